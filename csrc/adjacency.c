/* adjacency.c: associations in memory: an immutable base, an append-only delta, and rows merged
 * from both.
 *
 * Base: compressed sparse rows, cut into extents (extent.c) of 4,096 consecutive nodes and one
 * direction, each sorted by (row, type, other end). An extent never changes; extents hang in blocks
 * of 1,024 groups, blocks in a state, and both are counted by their owners, so that states share
 * what did not change. Node numbers may be anything below 2^32 - 1: what is not used is a null
 * pointer in a table of 1,024.
 *
 * Delta: the records since the base, in the order of the log, in chunks that double and never move.
 * Each record is in two chains, that of its source's out row and that of its target's in row,
 * newest first; chain heads are found through block -> group -> leaf of 256 nodes, made when first
 * needed. (The adjacency lists of LiveGraph, VLDB 2020, keep timestamps in every entry; here the
 * index of a record is its time, so a view is one number.)
 *
 * Invariants
 * - A reader with limit L sees the base and the records with index < L. Chains are walked from the
 * head, newer records skipped; a record and its `next` are written before the head that leads to it
 * is released.
 * - Dropping (abort) moves heads back over the newest records, newest first. A reader that stands
 * on a dropped record still follows its `next` to older ones. Indices of dropped records are not
 * given again, so no later view with a larger limit can meet them: no chain leads to them.
 * - (source, type, target) is the key; in a row the newest visible record of a key wins over older
 * ones and the base, and QL_EDGE_REMOVE hides the key.
 * - Folding (fold.c) builds a new state beside the old one: only groups with records are rebuilt;
 * open views keep theirs.
 *
 * A lookup of one key walks the out chain of its source and the in chain of its target in step:
 * both hold every record of the key, newest first, so the first hit or the first end decides. The
 * cost is that of the shorter one, so linking to a hub one by one stays cheap. */
#include <string.h>

#include "graph.h"

#define INSERTION_MAX 24u /* below this an insertion sort beats counting */
#define SCRATCH_FIRST 256u

/* ---- Blocks and the base ---- */

void ql_block_release(ql_block *block)
{
    if (!block || atomic_fetch_sub_explicit(&block->owners, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t group = 0; group < QL_BLOCK_GROUPS; group++) {
        for (int side = 0; side < QL_SIDES; side++) ql_extent_release(block->extent[group][side]);
    }
    ql_free(block);
}

ql_block *ql_block_copy(const ql_block *old)
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

/* Written where it is wanted: a row that is returned goes through the stack in narrow stores and
 * wide loads, which cost more than reading it. */
static inline void base_row(const ql_state *state, uint32_t node, int side, ql_row *row)
{
    const ql_extent *extent = extent_of(state, node >> QL_GROUP_BITS, side);
    uint32_t at = (node & (QL_GROUP_ROWS - 1)) - (extent ? extent->first : 0);
    if (!extent || at >= extent->rows) {
        *row = (ql_row){0};
        return;
    }
    uint32_t start = extent->offset[at];
    *row = ql_extent_edges(extent, start, extent->offset[at + 1] - start);
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
        ql_block_release(state->block[i]);
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

/* Chunk c holds the indices from FIRST * (2^c - 1) on; adding FIRST makes the chunk the highest
 * bit. */
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

ql_delta_group *ql_delta_group_of(const ql_state *state, uint32_t group)
{
    ql_delta_block *block = atomic_load_explicit(&state->delta[group / QL_BLOCK_GROUPS],
                                                 memory_order_acquire);
    return block
               ? atomic_load_explicit(&block->group[group % QL_BLOCK_GROUPS], memory_order_acquire)
               : NULL;
}

static ql_leaf *leaf_of(const ql_state *state, uint32_t node)
{
    ql_delta_group *group = ql_delta_group_of(state, node >> QL_GROUP_BITS);
    if (!group) return NULL;
    return atomic_load_explicit(&group->leaf[node % QL_GROUP_ROWS / QL_LEAF_ROWS],
                                memory_order_acquire);
}

/* The leaf of a node, made if missing; NULL when memory is out. */
static ql_leaf *leaf_make(ql_state *state, uint32_t node)
{
    uint32_t number = node >> QL_GROUP_BITS;
    ql_delta_block *block = atomic_load_explicit(&state->delta[number / QL_BLOCK_GROUPS],
                                                 memory_order_relaxed);
    if (!block) {
        block = ql_alloc(1, sizeof *block);
        if (!block) return NULL;
        atomic_store_explicit(&state->delta[number / QL_BLOCK_GROUPS], block, memory_order_release);
    }
    ql_delta_group *group = atomic_load_explicit(&block->group[number % QL_BLOCK_GROUPS],
                                                 memory_order_relaxed);
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
    return leaf ? atomic_load_explicit(&leaf->head[side][node % QL_LEAF_ROWS], memory_order_acquire)
                : 0;
}

static int append_one(ql_state *state, const ql_edge *edge)
{
    uint32_t within;
    uint32_t chunk = chunk_of(state->end, &within);
    ql_delta_record *records = atomic_load_explicit(&state->chunk[chunk], memory_order_relaxed);
    if (!records) {
        size_t n = (size_t)QL_DELTA_FIRST << chunk;
        records = ql_alloc(n * sizeof *records + n / 8, 1);
        if (!records) return QL_E_MEMORY;
        state->dropped[chunk] = (_Atomic uint64_t *)(records + n);
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

bool ql_state_dropped(const ql_state *state, uint32_t index)
{
    uint32_t within;
    uint32_t chunk = chunk_of(index, &within);
    return atomic_load_explicit(&state->dropped[chunk][within / 64], memory_order_relaxed) >>
               (within % 64) &
           1;
}

void ql_state_drop(ql_state *state, uint32_t from)
{
    for (uint32_t index = state->end; index-- > from;) {
        uint32_t within;
        uint32_t chunk = chunk_of(index, &within);
        _Atomic uint64_t *word = &state->dropped[chunk][within / 64];
        uint64_t bit = 1ull << (within % 64);
        /* By an append that failed. */
        if (atomic_fetch_or_explicit(word, bit, memory_order_relaxed) & bit) continue;
        const ql_delta_record *record = record_at(state, index);
        uint32_t ends[QL_SIDES] = {record->edge.source, record->edge.target};
        for (int side = 0; side < QL_SIDES; side++) {
            _Atomic uint32_t *head = &leaf_of(state, ends[side])
                                          ->head[side][ends[side] % QL_LEAF_ROWS];
            assert(atomic_load_explicit(head, memory_order_relaxed) == index + 1);
            atomic_store_explicit(head, record->next[side], memory_order_release);
        }
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
        for (; j > 0 && scratch->items[j - 1].key > item.key; j--)
            scratch->items[j] = scratch->items[j - 1];
        scratch->items[j] = item;
    }
}

/* The visible records of a row, one per key and the newest, sorted; their number in *count. */
static int delta_gather(const ql_state *state, uint32_t limit, uint32_t head, int side,
                        ql_scratch *scratch, uint32_t *count)
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

/* `count` base edges from `from` on into the scratch at `at`. */
static void scratch_copy(ql_scratch *scratch, uint32_t at, const ql_row *base, uint32_t from,
                         uint32_t count)
{
    if (count == 0) return; /* The columns of an empty row may be NULL. */
    uint32_t *other = scratch->other + at;
    if (scratch->only_ends) memcpy(other, base->other + from, count * sizeof *other);
    else ql_row_decode(base, from, count, other, scratch->weight + at, scratch->type + at);
}

/* A row of the base with its delta, in place: spans of the base between the places of the delta's
 * keys. */
static int row_merge(const ql_state *state, uint32_t limit, uint32_t head, int side,
                     ql_scratch *scratch, ql_row *row)
{
    const ql_row *base = row;
    uint32_t delta;
    QL_TRY(delta_gather(state, limit, head, side, scratch, &delta));
    if (delta == 0) return QL_OK;
    QL_TRY(row_reserve(scratch, (uint64_t)base->count + delta));
    uint32_t count = 0;
    uint32_t from = 0;
    for (uint32_t i = 0; i < delta; i++) {
        uint64_t key = scratch->items[i].key;
        uint32_t until = ql_row_seek(base, from, key);
        scratch_copy(scratch, count, base, from, until - from);
        count += until - from;
        from = until + (until < base->count && ql_row_key(base, until) == key);
        const ql_edge *edge = ql_state_record(state, scratch->items[i].index);
        if (edge->flags & QL_EDGE_REMOVE) continue;
        scratch->other[count] = (uint32_t)key;
        scratch->weight[count] = edge->weight;
        scratch->type[count++] = (uint16_t)(edge->type |
                                            (edge->flags & QL_EDGE_DATA ? QL_TYPE_DATA : 0));
    }
    scratch_copy(scratch, count, base, from, base->count - from);
    count += base->count - from;
    *row = (ql_row){.count = count,
                    .weight_width = sizeof *scratch->weight,
                    .type_width = sizeof *scratch->type,
                    .other = scratch->other,
                    .weight = scratch->weight,
                    .type = scratch->type};
    return QL_OK;
}

int ql_row_read(const ql_state *state, uint32_t limit, uint32_t node, int side, ql_scratch *scratch,
                ql_row *row)
{
    uint32_t head = limit == 0 ? 0 : head_of(state, node, side);
    base_row(state, node, side, row);
    return head == 0 ? QL_OK : row_merge(state, limit, head, side, scratch, row);
}

void ql_row_fetch(const ql_state *state, uint32_t node, int side, bool edges)
{
    const ql_extent *extent = extent_of(state, node >> QL_GROUP_BITS, side);
    uint32_t row = (node & (QL_GROUP_ROWS - 1)) - (extent ? extent->first : 0);
    if (!extent || row >= extent->rows) return;
    if (!edges) {
        __builtin_prefetch(&extent->offset[row]);
        return;
    }
    uint32_t start = extent->offset[row];
    __builtin_prefetch(&extent->other[start]);
    if (extent->weight_width)
        __builtin_prefetch((const char *)extent->weight + (size_t)start * extent->weight_width);
}

/* The newest visible delta record of a key, or NULL. Steps both chains, as the essay says. */
static const ql_edge *delta_find(const ql_state *state, uint32_t limit, uint32_t source,
                                 uint16_t type, uint32_t target)
{
    uint32_t link[QL_SIDES] = {head_of(state, source, QL_SIDE_OUT),
                               head_of(state, target, QL_SIDE_IN)};
    while (link[QL_SIDE_OUT] != 0 && link[QL_SIDE_IN] != 0) {
        for (int side = 0; side < QL_SIDES; side++) {
            uint32_t index = link[side] - 1;
            const ql_delta_record *record = record_at(state, index);
            const ql_edge *edge = &record->edge;
            if (index < limit && edge->type == type && edge->source == source &&
                edge->target == target)
                return edge;
            link[side] = record->next[side];
        }
    }
    return NULL;
}

void ql_row_find(const ql_state *state, uint32_t limit, uint32_t source, uint16_t type,
                 uint32_t target, int *found, ql_edge *edge)
{
    const ql_edge *record = delta_find(state, limit, source, type, target);
    if (record) {
        *found = (record->flags & QL_EDGE_REMOVE) == 0;
        if (*found) *edge = *record;
        return;
    }
    ql_row row;
    base_row(state, source, QL_SIDE_OUT, &row);
    uint64_t key = (uint64_t)type << 32 | target;
    uint32_t low = ql_row_seek(&row, 0, key);
    *found = low < row.count && ql_row_key(&row, low) == key;
    if (*found)
        *edge = (ql_edge){source, target, type, ql_row_flags(&row, low), ql_row_weight(&row, low)};
}

/* ---- Walking all rows ---- */

ql_walk ql_walk_start(const ql_graph_view *view, int side, bool only_changed)
{
    return (ql_walk){
        .state = view->state, .limit = view->limit, .side = side, .only_changed = only_changed};
}

/* Move to the next group that has an extent or a delta; false at the end. */
static bool walk_group(ql_walk *walk)
{
    const ql_state *state = walk->state;
    while (walk->next < QL_NONE) {
        uint32_t group = (uint32_t)(walk->next >> QL_GROUP_BITS);
        uint32_t block = group / QL_BLOCK_GROUPS;
        if (!state->block[block] &&
            !atomic_load_explicit(&state->delta[block], memory_order_acquire)) {
            walk->next = (block + 1ull) * QL_BLOCK_GROUPS << QL_GROUP_BITS;
            continue;
        }
        walk->extent = walk->only_changed ? NULL : extent_of(state, group, walk->side);
        /* Newer views have a delta. */
        walk->delta = walk->limit == 0 ? NULL : ql_delta_group_of(state, group);
        walk->inside = walk->extent || walk->delta;
        if (walk->inside) return true;
        walk->next = (group + 1ull) << QL_GROUP_BITS;
    }
    return false;
}

/* The leaf of chain heads that holds a row of the group, or NULL. */
static ql_leaf *walk_leaf(const ql_walk *walk, uint32_t row)
{
    if (!walk->delta) return NULL;
    return atomic_load_explicit(&walk->delta->leaf[row / QL_LEAF_ROWS], memory_order_acquire);
}

/* The rows from here to `until` of the group have no delta: those of the extent are plain, the
 * others empty. */
static void walk_plain(ql_walk *walk, uint32_t row, uint32_t until)
{
    const ql_extent *extent = walk->extent;
    uint32_t from = extent && extent->first > row ? extent->first : row;
    uint32_t end = extent ? extent->first + extent->rows : 0;
    if (end > until) end = until;
    walk->plain = from < end ? end - from : 0;
    walk->next += walk->plain ? from - row : until - row;
}

static uint32_t leaf_head(const ql_walk *walk, const ql_leaf *leaf, uint32_t row)
{
    return atomic_load_explicit(&leaf->head[walk->side][row % QL_LEAF_ROWS], memory_order_acquire);
}

/* Begin to load the records that the rows of a leaf start with: they are anywhere. */
static void leaf_fetch(ql_walk *walk, const ql_leaf *leaf)
{
    walk->leaf = leaf;
    for (uint32_t row = 0; row < QL_LEAF_ROWS; row++) {
        uint32_t head = leaf_head(walk, leaf, row);
        if (head != 0) __builtin_prefetch(record_at(walk->state, head - 1));
    }
}

int ql_walk_find(ql_walk *walk, ql_scratch *scratch, uint32_t *node, ql_row *row)
{
    for (;;) {
        walk->inside = walk->inside && (walk->next & (QL_GROUP_ROWS - 1)) != 0;
        if (!walk->inside && !walk_group(walk)) {
            *node = QL_NONE;
            return QL_OK;
        }
        uint32_t at = (uint32_t)walk->next & (QL_GROUP_ROWS - 1);
        const ql_leaf *leaf = walk_leaf(walk, at);
        if (leaf && leaf != walk->leaf) leaf_fetch(walk, leaf);
        uint32_t head = leaf ? leaf_head(walk, leaf, at) : 0;
        if (head == 0) {
            uint32_t until = at + 1;
            uint32_t end = at - at % QL_LEAF_ROWS + QL_LEAF_ROWS;
            while (until < end && (!leaf || leaf_head(walk, leaf, until) == 0)) until++;
            walk_plain(walk, at, until);
            if (ql_walk_plain(walk, node, row)) return QL_OK;
            continue;
        }
        *node = (uint32_t)walk->next++;
        base_row(walk->state, *node, walk->side, row);
        walk->base_count = row->count;
        return row_merge(walk->state, walk->limit, head, walk->side, scratch, row);
    }
}
