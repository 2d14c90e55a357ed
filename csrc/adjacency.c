/* adjacency.c: associations in memory: an immutable base, an append-only delta, and rows merged from both.
 *
 * Base: compressed sparse rows, cut into extents of 4,096 consecutive nodes and one direction, each sorted by
 * (row, type, other end). An extent never changes; extents hang in blocks of 1,024 groups, blocks in a state, and
 * both are counted by their owners, so that states share what did not change. Node numbers may be anything below
 * 2^32 - 1: what is not used is a null pointer in a table of 1,024.
 *
 * Delta: the records since the base, in the order of the log, in chunks that double and never move. Each record is in
 * two chains, that of its source's out row and that of its target's in row, newest first; chain heads are found
 * through block -> group -> leaf of 256 nodes, made when first needed. (The adjacency lists of LiveGraph, VLDB 2020,
 * keep timestamps in every entry; here the index of a record is its time, so a view is one number.)
 *
 * Invariants
 * - A reader with limit L sees the base and the records with index < L. Chains are walked from the head, newer records
 *   skipped; a record and its `next` are written before the head that leads to it is released.
 * - Dropping (abort) moves heads back over the newest records, newest first. A reader that stands on a dropped record
 *   still follows its `next` to older ones. Indices of dropped records are not given again, so no later view with a
 *   larger limit can meet them: no chain leads to them.
 * - (source, type, target) is the key; in a row the newest visible record of a key wins over older ones and the base,
 *   and QL_EDGE_REMOVE hides the key.
 * - Folding builds a new state beside the old one: only groups with a delta are rebuilt, and open views keep theirs.
 *
 * A lookup of one key walks the out chain of its source and the in chain of its target in step: both hold every record
 * of the key, newest first, so the first hit or the first end decides. The cost is that of the shorter one, so linking
 * to a hub one by one stays cheap. */
#include <string.h>

#include "graph.h"

#define INSERTION_MAX 24u /* below this an insertion sort beats counting */
#define SCRATCH_FIRST 256u

/* ---- Extents and blocks ---- */

static void extent_release(ql_extent *extent)
{
    if (extent && atomic_fetch_sub_explicit(&extent->owners, 1, memory_order_acq_rel) == 1) ql_free(extent);
}

static ql_extent *extent_create(uint32_t first, uint32_t rows, uint32_t edges)
{
    size_t offsets = (size_t)rows + 1;
    size_t size_bytes = sizeof(ql_extent) + offsets * sizeof(uint32_t) +
                        (size_t)edges * (sizeof(uint32_t) + sizeof(float) + sizeof(uint16_t));
    ql_extent *extent = ql_alloc(1, size_bytes);
    if (!extent) return NULL;
    atomic_init(&extent->owners, 1);
    extent->first = first;
    extent->rows = rows;
    extent->edges = edges;
    extent->offset = (uint32_t *)(extent + 1);
    extent->other = extent->offset + offsets;
    extent->weight = (float *)(extent->other + edges);
    extent->type = (uint16_t *)(extent->weight + edges);
    return extent;
}

static void block_release(ql_block *block)
{
    if (!block || atomic_fetch_sub_explicit(&block->owners, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t group = 0; group < QL_BLOCK_GROUPS; group++) {
        for (int side = 0; side < QL_SIDES; side++) extent_release(block->extent[group][side]);
    }
    ql_free(block);
}

/* A block of one owner that shares all extents of `old`, which may be NULL. */
static ql_block *block_copy(const ql_block *old)
{
    ql_block *block = ql_alloc(1, sizeof *block);
    if (!block) return NULL;
    atomic_init(&block->owners, 1);
    if (!old) return block;
    memcpy(block->extent, old->extent, sizeof block->extent);
    for (uint32_t group = 0; group < QL_BLOCK_GROUPS; group++) {
        for (int side = 0; side < QL_SIDES; side++) {
            ql_extent *extent = block->extent[group][side];
            if (extent) atomic_fetch_add_explicit(&extent->owners, 1, memory_order_relaxed);
        }
    }
    return block;
}

static const ql_extent *extent_of(const ql_state *state, uint32_t group, int side)
{
    const ql_block *block = state->block[group / QL_BLOCK_GROUPS];
    return block ? block->extent[group % QL_BLOCK_GROUPS][side] : NULL;
}

static ql_row base_row(const ql_state *state, uint32_t node, int side)
{
    const ql_extent *extent = extent_of(state, node >> QL_GROUP_BITS, side);
    uint32_t row = node & (QL_GROUP_ROWS - 1);
    if (!extent || row < extent->first || row - extent->first >= extent->rows) return (ql_row){0};
    uint32_t start = extent->offset[row - extent->first];
    uint32_t end = extent->offset[row - extent->first + 1];
    return (ql_row){end - start, extent->other + start, extent->weight + start, extent->type + start};
}

/* ---- States and their delta ---- */

int ql_state_create(uint64_t base_bytes, ql_state **state)
{
    ql_state *created = ql_alloc(1, sizeof *created);
    if (!created) return QL_E_MEMORY;
    created->owners = 1;
    created->base_bytes = base_bytes;
    *state = created;
    return QL_OK;
}

void ql_state_free(ql_state *state)
{
    if (!state) return;
    for (uint32_t i = 0; i < QL_BLOCKS; i++) {
        block_release(state->block[i]);
        ql_delta_block *block = atomic_load_explicit(&state->delta[i], memory_order_relaxed);
        if (!block) continue;
        for (uint32_t j = 0; j < QL_BLOCK_GROUPS; j++) {
            ql_delta_group *group = atomic_load_explicit(&block->group[j], memory_order_relaxed);
            if (!group) continue;
            for (uint32_t k = 0; k < QL_LEAVES; k++) {
                ql_free(atomic_load_explicit(&group->leaf[k], memory_order_relaxed));
            }
            ql_free(group);
        }
        ql_free(block);
    }
    for (uint32_t i = 0; i < QL_DELTA_CHUNKS; i++) {
        ql_free(atomic_load_explicit(&state->chunk[i], memory_order_relaxed));
    }
    ql_free(state);
}

/* Chunk c holds the indices from FIRST * (2^c - 1) on; adding FIRST makes the chunk the highest bit. */
static uint32_t chunk_of(uint32_t index, uint32_t *within)
{
    uint32_t shifted = index + QL_DELTA_FIRST;
    uint32_t chunk = 31u - (uint32_t)__builtin_clz(shifted) - 10u;
    *within = shifted - (QL_DELTA_FIRST << chunk);
    return chunk;
}
_Static_assert(QL_DELTA_FIRST == 1u << 10, "chunk_of subtracts its logarithm");

static ql_delta_record *record_at(const ql_state *state, uint32_t index)
{
    uint32_t within;
    uint32_t chunk = chunk_of(index, &within);
    return atomic_load_explicit(&state->chunk[chunk], memory_order_acquire) + within;
}

const ql_edge *ql_state_record(const ql_state *state, uint32_t index)
{
    return &record_at(state, index)->edge;
}

static ql_delta_group *delta_group(const ql_state *state, uint32_t group)
{
    ql_delta_block *block = atomic_load_explicit(&state->delta[group / QL_BLOCK_GROUPS], memory_order_acquire);
    return block ? atomic_load_explicit(&block->group[group % QL_BLOCK_GROUPS], memory_order_acquire) : NULL;
}

static ql_leaf *leaf_of(const ql_state *state, uint32_t node)
{
    ql_delta_group *group = delta_group(state, node >> QL_GROUP_BITS);
    if (!group) return NULL;
    return atomic_load_explicit(&group->leaf[node % QL_GROUP_ROWS / QL_LEAF_ROWS], memory_order_acquire);
}

/* The leaf of a node, made if missing; NULL when memory is out. */
static ql_leaf *leaf_make(ql_state *state, uint32_t node)
{
    uint32_t number = node >> QL_GROUP_BITS;
    ql_delta_block *block = atomic_load_explicit(&state->delta[number / QL_BLOCK_GROUPS], memory_order_relaxed);
    if (!block) {
        block = ql_alloc(1, sizeof *block);
        if (!block) return NULL;
        atomic_store_explicit(&state->delta[number / QL_BLOCK_GROUPS], block, memory_order_release);
    }
    ql_delta_group *group = atomic_load_explicit(&block->group[number % QL_BLOCK_GROUPS], memory_order_relaxed);
    if (!group) {
        group = ql_alloc(1, sizeof *group);
        if (!group) return NULL;
        atomic_store_explicit(&block->group[number % QL_BLOCK_GROUPS], group, memory_order_release);
    }
    uint32_t slot = node % QL_GROUP_ROWS / QL_LEAF_ROWS;
    ql_leaf *leaf = atomic_load_explicit(&group->leaf[slot], memory_order_relaxed);
    if (!leaf) {
        leaf = ql_alloc(1, sizeof *leaf);
        if (leaf) atomic_store_explicit(&group->leaf[slot], leaf, memory_order_release);
    }
    return leaf;
}

static uint32_t head_of(const ql_state *state, uint32_t node, int side)
{
    ql_leaf *leaf = leaf_of(state, node);
    return leaf ? atomic_load_explicit(&leaf->head[side][node % QL_LEAF_ROWS], memory_order_acquire) : 0;
}

static int append_one(ql_state *state, const ql_edge *edge)
{
    uint32_t within;
    uint32_t chunk = chunk_of(state->end, &within);
    ql_delta_record *records = atomic_load_explicit(&state->chunk[chunk], memory_order_relaxed);
    if (!records) {
        records = ql_alloc((size_t)QL_DELTA_FIRST << chunk, sizeof *records);
        if (!records) return QL_E_MEMORY;
        atomic_store_explicit(&state->chunk[chunk], records, memory_order_release);
    }
    ql_leaf *out = leaf_make(state, edge->source);
    ql_leaf *in = out ? leaf_make(state, edge->target) : NULL;
    if (!in) return QL_E_MEMORY;

    _Atomic uint32_t *out_head = &out->head[QL_SIDE_OUT][edge->source % QL_LEAF_ROWS];
    _Atomic uint32_t *in_head = &in->head[QL_SIDE_IN][edge->target % QL_LEAF_ROWS];
    records[within] = (ql_delta_record){*edge,
                                        {atomic_load_explicit(out_head, memory_order_relaxed),
                                         atomic_load_explicit(in_head, memory_order_relaxed)}};
    state->end++;
    atomic_store_explicit(out_head, state->end, memory_order_release);
    atomic_store_explicit(in_head, state->end, memory_order_release);
    return QL_OK;
}

int ql_state_append(ql_state *state, const ql_edge *records, uint64_t n)
{
    if (n > QL_DELTA_MAX - state->end) return QL_E_LIMIT;
    uint32_t from = state->end;
    for (uint64_t i = 0; i < n; i++) {
        int status = append_one(state, &records[i]);
        if (status != QL_OK) {
            ql_state_drop(state, from);
            return status;
        }
    }
    return QL_OK;
}

void ql_state_drop(ql_state *state, uint32_t from)
{
    for (uint32_t index = state->end; index-- > from;) {
        const ql_delta_record *record = record_at(state, index);
        ql_leaf *out = leaf_of(state, record->edge.source);
        ql_leaf *in = leaf_of(state, record->edge.target);
        _Atomic uint32_t *out_head = &out->head[QL_SIDE_OUT][record->edge.source % QL_LEAF_ROWS];
        _Atomic uint32_t *in_head = &in->head[QL_SIDE_IN][record->edge.target % QL_LEAF_ROWS];
        /* Records of an earlier drop are in no chain, so the head may be older than they are. */
        if (atomic_load_explicit(out_head, memory_order_relaxed) != index + 1) continue;
        atomic_store_explicit(out_head, record->next[QL_SIDE_OUT], memory_order_release);
        atomic_store_explicit(in_head, record->next[QL_SIDE_IN], memory_order_release);
    }
}

/* ---- Rows ---- */

void ql_scratch_free(ql_scratch *scratch)
{
    ql_free(scratch->other);
    ql_free(scratch->weight);
    ql_free(scratch->type);
    ql_free(scratch->items);
    ql_free(scratch->spare);
    *scratch = (ql_scratch){0};
}

/* Contents are lost, as no caller needs them. */
static int row_reserve(ql_scratch *scratch, uint64_t count)
{
    if (count <= scratch->row_capacity) return QL_OK;
    uint64_t capacity = count + count / 2 + SCRATCH_FIRST;
    scratch->row_capacity = 0;
    ql_free(scratch->other);
    ql_free(scratch->weight);
    ql_free(scratch->type);
    scratch->other = ql_alloc(capacity, sizeof *scratch->other);
    scratch->weight = ql_alloc(capacity, sizeof *scratch->weight);
    scratch->type = ql_alloc(capacity, sizeof *scratch->type);
    if (!scratch->other || !scratch->weight || !scratch->type) return QL_E_MEMORY;
    scratch->row_capacity = capacity;
    return QL_OK;
}

/* Contents are kept: items are gathered while it grows. */
static int sort_reserve(ql_scratch *scratch, uint64_t count)
{
    if (count <= scratch->sort_capacity) return QL_OK;
    uint64_t capacity = count + count / 2 + SCRATCH_FIRST;
    ql_sort_item *items = ql_realloc(scratch->items, capacity, sizeof *items);
    if (!items) return QL_E_MEMORY;
    scratch->items = items;
    ql_sort_item *spare = ql_realloc(scratch->spare, capacity, sizeof *spare);
    if (!spare) return QL_E_MEMORY;
    scratch->spare = spare;
    scratch->sort_capacity = capacity;
    return QL_OK;
}

/* Stable byte-wise counting sort; bytes in which all keys agree are skipped. */
static void sort_counting(ql_scratch *scratch, uint32_t n)
{
    uint64_t differing = 0;
    for (uint32_t i = 1; i < n; i++) differing |= scratch->items[i].key ^ scratch->items[0].key;
    for (uint32_t shift = 0; shift < 48; shift += 8) {
        if (((differing >> shift) & 0xff) == 0) continue;
        uint32_t start[256] = {0};
        for (uint32_t i = 0; i < n; i++) start[(scratch->items[i].key >> shift) & 0xff]++;
        uint32_t sum = 0;
        for (uint32_t digit = 0; digit < 256; digit++) {
            uint32_t count = start[digit];
            start[digit] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < n; i++) {
            scratch->spare[start[(scratch->items[i].key >> shift) & 0xff]++] = scratch->items[i];
        }
        ql_sort_item *swap = scratch->items;
        scratch->items = scratch->spare;
        scratch->spare = swap;
    }
}

static void sort_items(ql_scratch *scratch, uint32_t n)
{
    if (n > INSERTION_MAX) {
        sort_counting(scratch, n);
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        ql_sort_item item = scratch->items[i];
        uint32_t j = i;
        for (; j > 0 && scratch->items[j - 1].key > item.key; j--) scratch->items[j] = scratch->items[j - 1];
        scratch->items[j] = item;
    }
}

/* The visible records of a row, one per key and the newest, sorted; their number in *count. */
static int delta_gather(const ql_state *state, uint32_t limit, uint32_t head, int side, ql_scratch *scratch,
                        uint32_t *count)
{
    uint32_t n = 0;
    for (uint32_t link = head; link != 0;) {
        uint32_t index = link - 1;
        const ql_delta_record *record = record_at(state, index);
        link = record->next[side];
        if (index >= limit) continue;
        QL_TRY(sort_reserve(scratch, (uint64_t)n + 1));
        uint32_t other = side == QL_SIDE_OUT ? record->edge.target : record->edge.source;
        scratch->items[n++] = (ql_sort_item){(uint64_t)record->edge.type << 32 | other, index};
    }
    sort_items(scratch, n);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) { /* Newest first among equal keys, as gathered. */
        if (kept == 0 || scratch->items[kept - 1].key != scratch->items[i].key) {
            scratch->items[kept++] = scratch->items[i];
        }
    }
    *count = kept;
    return QL_OK;
}

int ql_row_read(const ql_state *state, uint32_t limit, uint32_t node, int side, ql_scratch *scratch, ql_row *row)
{
    ql_row base = base_row(state, node, side);
    uint32_t head = head_of(state, node, side);
    uint32_t delta = 0;
    if (head != 0) QL_TRY(delta_gather(state, limit, head, side, scratch, &delta));
    if (delta == 0) {
        *row = base;
        return QL_OK;
    }
    QL_TRY(row_reserve(scratch, (uint64_t)base.count + delta));

    uint32_t count = 0;
    uint32_t from = 0;
    for (uint32_t i = 0; i < delta; i++) {
        uint64_t key = scratch->items[i].key;
        uint64_t base_key = 0;
        while (from < base.count &&
               (base_key = (uint64_t)(base.type[from] & QL_TYPE_MASK) << 32 | base.other[from]) < key) {
            scratch->other[count] = base.other[from];
            scratch->weight[count] = base.weight[from];
            scratch->type[count++] = base.type[from++];
        }
        if (from < base.count && base_key == key) from++;
        const ql_edge *edge = ql_state_record(state, scratch->items[i].index);
        if (edge->flags & QL_EDGE_REMOVE) continue;
        scratch->other[count] = (uint32_t)key;
        scratch->weight[count] = edge->weight;
        scratch->type[count++] = (uint16_t)(edge->type | (edge->flags & QL_EDGE_DATA ? QL_TYPE_DATA : 0));
    }
    for (; from < base.count; from++) {
        scratch->other[count] = base.other[from];
        scratch->weight[count] = base.weight[from];
        scratch->type[count++] = base.type[from];
    }
    *row = (ql_row){count, scratch->other, scratch->weight, scratch->type};
    return QL_OK;
}

/* The newest visible delta record of a key, or NULL. Steps both chains, as the essay says. */
static const ql_edge *delta_find(const ql_state *state, uint32_t limit, uint32_t source, uint16_t type, uint32_t target)
{
    uint32_t link[QL_SIDES] = {head_of(state, source, QL_SIDE_OUT), head_of(state, target, QL_SIDE_IN)};
    while (link[QL_SIDE_OUT] != 0 && link[QL_SIDE_IN] != 0) {
        for (int side = 0; side < QL_SIDES; side++) {
            uint32_t index = link[side] - 1;
            const ql_delta_record *record = record_at(state, index);
            const ql_edge *edge = &record->edge;
            if (index < limit && edge->type == type && edge->source == source && edge->target == target) return edge;
            link[side] = record->next[side];
        }
    }
    return NULL;
}

void ql_row_find(const ql_state *state, uint32_t limit, uint32_t source, uint16_t type, uint32_t target, int *found,
                 ql_edge *edge)
{
    const ql_edge *record = delta_find(state, limit, source, type, target);
    if (record) {
        *found = (record->flags & QL_EDGE_REMOVE) == 0;
        if (*found) *edge = *record;
        return;
    }
    ql_row row = base_row(state, source, QL_SIDE_OUT);
    uint64_t key = (uint64_t)type << 32 | target;
    uint32_t low = 0;
    uint32_t high = row.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint64_t here = (uint64_t)(row.type[middle] & QL_TYPE_MASK) << 32 | row.other[middle];
        if (here < key) low = middle + 1;
        else high = middle;
    }
    *found = low < row.count && row.other[low] == target && (row.type[low] & QL_TYPE_MASK) == type;
    if (!*found) return;
    uint16_t flags = row.type[low] & QL_TYPE_DATA ? QL_EDGE_DATA : 0;
    *edge = (ql_edge){source, target, type, flags, row.weight[low]};
}

/* Whether a row has delta records or, unless only those are asked for, base edges. */
static bool row_present(const ql_state *state, uint32_t node, int side, bool only_changed)
{
    if (head_of(state, node, side) != 0) return true;
    return !only_changed && base_row(state, node, side).count > 0;
}

/* Whether any of the 256 rows from `node` on can be present. */
static bool leaf_present(const ql_state *state, uint32_t node, int side, bool only_changed)
{
    if (leaf_of(state, node)) return true;
    const ql_extent *extent = only_changed ? NULL : extent_of(state, node >> QL_GROUP_BITS, side);
    uint32_t row = node & (QL_GROUP_ROWS - 1);
    return extent && row + QL_LEAF_ROWS > extent->first && row < extent->first + extent->rows;
}

uint32_t ql_row_next(const ql_state *state, uint64_t node, int side, bool only_changed)
{
    while (node < QL_NONE) {
        uint32_t at = (uint32_t)node;
        uint32_t group = at >> QL_GROUP_BITS;
        uint32_t number = group / QL_BLOCK_GROUPS;
        uint64_t step = 1;
        if (!state->block[number] && !atomic_load_explicit(&state->delta[number], memory_order_acquire)) {
            step = (uint64_t)QL_BLOCK_GROUPS << QL_GROUP_BITS;
        } else if (!extent_of(state, group, side) && !delta_group(state, group)) {
            step = QL_GROUP_ROWS;
        } else if (!leaf_present(state, at - at % QL_LEAF_ROWS, side, only_changed)) {
            step = QL_LEAF_ROWS;
        } else if (row_present(state, at, side, only_changed)) {
            return at;
        }
        node = (node / step + 1) * step;
    }
    return QL_NONE;
}

uint32_t ql_row_base_count(const ql_state *state, uint32_t node, int side)
{
    return base_row(state, node, side).count;
}

/* ---- Folding ---- */

/* Columns of the extent being built. */
typedef struct builder {
    uint32_t count;
    uint32_t capacity;
    uint32_t offset[QL_GROUP_ROWS + 1];
    uint32_t *other;
    float *weight;
    uint16_t *type;
    ql_scratch scratch;
} builder;

static int builder_reserve(builder *build, uint32_t extra)
{
    uint64_t wanted = (uint64_t)build->count + extra;
    if (wanted <= build->capacity) return QL_OK;
    if (wanted > UINT32_MAX / 2) return QL_E_LIMIT;
    uint32_t capacity = (uint32_t)(wanted + wanted / 2 + QL_GROUP_ROWS);
    uint32_t *other = ql_realloc(build->other, capacity, sizeof *other);
    if (!other) return QL_E_MEMORY;
    build->other = other;
    float *weight = ql_realloc(build->weight, capacity, sizeof *weight);
    if (!weight) return QL_E_MEMORY;
    build->weight = weight;
    uint16_t *type = ql_realloc(build->type, capacity, sizeof *type);
    if (!type) return QL_E_MEMORY;
    build->type = type;
    build->capacity = capacity;
    return QL_OK;
}

static int builder_add(builder *build, const ql_row *row)
{
    if (row->count == 0) return QL_OK;
    QL_TRY(builder_reserve(build, row->count));
    memcpy(build->other + build->count, row->other, row->count * sizeof *row->other);
    memcpy(build->weight + build->count, row->weight, row->count * sizeof *row->weight);
    memcpy(build->type + build->count, row->type, row->count * sizeof *row->type);
    build->count += row->count;
    return QL_OK;
}

/* The extent of one group and direction with its delta merged; *extent is NULL when nothing is left. */
static int extent_fold(const ql_state *state, uint32_t group, int side, builder *build, ql_extent **extent)
{
    uint32_t first = QL_GROUP_ROWS;
    uint32_t last = 0;
    build->count = 0;
    uint64_t node = (uint64_t)group << QL_GROUP_BITS;
    uint32_t filled = 0; /* rows whose offset is known */
    while ((node = ql_row_next(state, node, side, false)) >> QL_GROUP_BITS == group && node != QL_NONE) {
        uint32_t row = (uint32_t)node & (QL_GROUP_ROWS - 1);
        while (filled <= row) build->offset[filled++] = build->count;
        ql_row merged;
        QL_TRY(ql_row_read(state, UINT32_MAX, (uint32_t)node++, side, &build->scratch, &merged));
        if (merged.count == 0) continue;
        QL_TRY(builder_add(build, &merged));
        if (first == QL_GROUP_ROWS) first = row;
        last = row;
    }
    while (filled < QL_GROUP_ROWS) build->offset[filled++] = build->count;
    build->offset[QL_GROUP_ROWS] = build->count;
    *extent = NULL;
    if (build->count == 0) return QL_OK;

    ql_extent *created = extent_create(first, last - first + 1, build->count);
    if (!created) return QL_E_MEMORY;
    memcpy(created->offset, build->offset + first, ((size_t)created->rows + 1) * sizeof *created->offset);
    memcpy(created->other, build->other, build->count * sizeof *build->other);
    memcpy(created->weight, build->weight, build->count * sizeof *build->weight);
    memcpy(created->type, build->type, build->count * sizeof *build->type);
    *extent = created;
    return QL_OK;
}

/* Replace the extents of the groups of one block that have a delta. The block belongs to the new state already, so a
 * failure leaves nothing to undo but that state. */
static int block_fold(const ql_state *state, uint32_t number, builder *build, ql_state *folded)
{
    ql_delta_block *delta = atomic_load_explicit(&state->delta[number], memory_order_acquire);
    ql_block *block = folded->block[number];
    for (uint32_t i = 0; i < QL_BLOCK_GROUPS; i++) {
        if (!atomic_load_explicit(&delta->group[i], memory_order_acquire)) continue;
        for (int side = 0; side < QL_SIDES; side++) {
            ql_extent *extent;
            QL_TRY(extent_fold(state, number * QL_BLOCK_GROUPS + i, side, build, &extent));
            ql_extent *old = block->extent[i][side];
            if (side == QL_SIDE_OUT) {
                folded->base_edges += extent ? extent->edges : 0;
                folded->base_edges -= old ? old->edges : 0;
            }
            extent_release(old);
            block->extent[i][side] = extent;
        }
    }
    return QL_OK;
}

int ql_state_fold(const ql_state *state, uint64_t base_bytes, ql_state **folded)
{
    ql_state *created;
    QL_TRY(ql_state_create(base_bytes, &created));
    created->base_edges = state->base_edges;
    builder *build = ql_alloc(1, sizeof *build);
    int status = build ? QL_OK : QL_E_MEMORY;
    for (uint32_t i = 0; i < QL_BLOCKS && status == QL_OK; i++) {
        ql_block *old = state->block[i];
        if (!atomic_load_explicit(&state->delta[i], memory_order_acquire)) {
            if (old) atomic_fetch_add_explicit(&old->owners, 1, memory_order_relaxed);
            created->block[i] = old;
            continue;
        }
        created->block[i] = block_copy(old);
        status = created->block[i] ? block_fold(state, i, build, created) : QL_E_MEMORY;
    }
    if (build) {
        ql_free(build->other);
        ql_free(build->weight);
        ql_free(build->type);
        ql_scratch_free(&build->scratch);
        ql_free(build);
    }
    if (status != QL_OK) {
        ql_state_free(created);
        return status;
    }
    *folded = created;
    return QL_OK;
}
