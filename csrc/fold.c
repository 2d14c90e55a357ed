/* fold.c: a new base out of a base, its delta up to a limit, and further records that never were in
 * a delta.
 *
 * For each direction the records are counted by group and scattered to their groups, each group's
 * share is sorted by (row, type, other), stably, which leaves the newest record of a key last, and
 * merged with the base's extent in one linear walk; rows without records are copied in spans.
 * Walking the chains row by row instead cost 1.4 us per record, this 0.15 us (2 M random records):
 * chains jump through memory, scattering streams.
 *
 * Nothing of the old state changes, so views keep reading it; groups without records share their
 * extents.  Only what is immutable below the limit is read, so a writer may append to the state
 * meanwhile. */
#include <string.h>

#include "graph.h"

typedef struct item { /* one record, as one direction sees it */
    uint64_t key;     /* row within the group << 44 | type << 32 | other end */
    float weight;
    uint32_t flags;
} item;

typedef struct fold {
    const ql_state *state;
    uint32_t limit;       /* delta records below it */
    const ql_edge *records;
    uint32_t total;       /* limit + further records */
    ql_state *folded;
    /* by group: counts, then where its items start, then where they end; NULL: no items */
    uint32_t *ends[QL_BLOCKS];
    item *items;          /* all records of one direction, by group */
    item *spare;          /* one group, sorted */
    uint32_t spare_count;
    ql_extent_builder build;
} fold;

#define ROW_SHIFT 44
#define INSERTION_MAX 24u

/* ---- Sorting ---- */

/* The items of one row by (type, other), stable, in place. */
static void row_sort(item *items, item *spare, uint32_t n)
{
    if (n <= INSERTION_MAX) {
        for (uint32_t i = 1; i < n; i++) {
            item one = items[i];
            uint32_t j = i;
            for (; j > 0 && items[j - 1].key > one.key; j--) items[j] = items[j - 1];
            items[j] = one;
        }
        return;
    }
    item *from = items;
    uint64_t differing = 0;
    for (uint32_t i = 1; i < n; i++) differing |= items[i].key ^ items[0].key;
    for (uint32_t shift = 0; shift < ROW_SHIFT; shift += 8) {
        if (((differing >> shift) & 0xff) == 0) continue;
        uint32_t start[256] = {0};
        for (uint32_t i = 0; i < n; i++) start[(from[i].key >> shift) & 0xff]++;
        uint32_t sum = 0;
        for (uint32_t digit = 0; digit < 256; digit++) {
            uint32_t count = start[digit];
            start[digit] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < n; i++) spare[start[(from[i].key >> shift) & 0xff]++] = from[i];
        item *swap = from;
        from = spare;
        spare = swap;
    }
    if (from != items) memcpy(items, from, n * sizeof *items);
}

/* From items to sorted: one pass by row, then each row for itself, as most rows have few. */
static void items_sort(item *items, item *sorted, uint32_t n)
{
    uint32_t start[QL_GROUP_ROWS + 1] = {0};
    for (uint32_t i = 0; i < n; i++) start[(items[i].key >> ROW_SHIFT) + 1]++;
    for (uint32_t row = 0; row < QL_GROUP_ROWS; row++) start[row + 1] += start[row];
    for (uint32_t i = 0; i < n; i++) sorted[start[items[i].key >> ROW_SHIFT]++] = items[i];
    for (uint32_t i = 0; i < n;) { /* start[row] is now where the row ends */
        uint32_t end = start[sorted[i].key >> ROW_SHIFT];
        row_sort(sorted + i, items + i, end - i);
        i = end;
    }
}

/* Keep the last, newest, item of every key; their number. */
static uint32_t items_unique(item *items, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i + 1 < n && items[i + 1].key == items[i].key) continue;
        items[kept++] = items[i];
    }
    return kept;
}

/* ---- Merging one group ---- */

static int build_reserve(ql_extent_builder *build, uint64_t wanted)
{
    if (wanted <= build->capacity) return QL_OK;
    if (wanted > UINT32_MAX / 2) return QL_E_LIMIT;
    uint32_t capacity = (uint32_t)(wanted + wanted / 4 + QL_GROUP_ROWS);
    build->capacity = 0;
    ql_free(build->other);
    ql_free(build->weight);
    ql_free(build->type);
    ql_free(build->code);
    build->other = ql_alloc(capacity, sizeof *build->other);
    build->weight = ql_alloc(capacity, sizeof *build->weight);
    build->type = ql_alloc(capacity, sizeof *build->type);
    build->code = ql_alloc(capacity, sizeof *build->code);
    if (!build->other || !build->weight || !build->type || !build->code) return QL_E_MEMORY;
    build->capacity = capacity;
    return QL_OK;
}

static void build_copy(ql_extent_builder *build, const ql_row *row, uint32_t start, uint32_t count)
{
    uint32_t at = build->count;
    ql_row_decode(row, start, count, build->other + at, build->weight + at, build->type + at);
    build->count += count;
}

static uint32_t base_offset(const ql_extent *base, uint32_t row)
{
    if (!base || row <= base->first) return 0;
    uint32_t within = row - base->first;
    return within >= base->rows ? base->header->edges : base->offset[within];
}

/* Rows from..until, which have no items, as they are. */
static void rows_copy(ql_extent_builder *build, const ql_extent *base, uint32_t from,
                      uint32_t until)
{
    uint32_t start = base_offset(base, from);
    for (uint32_t row = from; row < until; row++)
        build->offset[row] = build->count + base_offset(base, row) - start;
    uint32_t count = base_offset(base, until) - start;
    if (count == 0) return;
    ql_row span = ql_extent_edges(base, start, count);
    build_copy(build, &span, 0, count);
}

/* One row with its items; the number of items used. */
static uint32_t row_merge(ql_extent_builder *build, const ql_extent *base, uint32_t row,
                          const item *items, uint32_t n)
{
    uint32_t start = base_offset(base, row);
    uint32_t count = base_offset(base, row + 1) - start;
    ql_row old = count ? ql_extent_edges(base, start, count) : (ql_row){0};
    uint32_t at = 0;
    uint32_t i = 0;
    build->offset[row] = build->count;
    for (; i < n && items[i].key >> ROW_SHIFT == row; i++) {
        uint64_t key = items[i].key & ((1ull << ROW_SHIFT) - 1);
        uint32_t until = ql_row_seek(&old, at, key);
        build_copy(build, &old, at, until - at);
        at = until + (until < count && ql_row_key(&old, until) == key);
        if (items[i].flags & QL_EDGE_REMOVE) continue;
        uint16_t data = items[i].flags & QL_EDGE_DATA ? QL_TYPE_DATA : 0;
        build->other[build->count] = (uint32_t)key;
        build->weight[build->count] = items[i].weight;
        build->type[build->count++] = (uint16_t)(key >> 32 | data);
    }
    build_copy(build, &old, at, count - at);
    return i;
}

/* The extent of one group and direction with its items merged; *extent is NULL when nothing is
 * left. */
static int group_merge(ql_extent_builder *build, const ql_extent *base, const item *items,
                       uint32_t n, uint32_t group, int side, ql_extent **extent)
{
    QL_TRY(build_reserve(build, (uint64_t)(base ? base->header->edges : 0) + n));
    build->count = 0;
    uint32_t row = 0;
    for (uint32_t i = 0; i < n; row++) {
        uint32_t next = (uint32_t)(items[i].key >> ROW_SHIFT);
        rows_copy(build, base, row, next);
        row = next;
        i += row_merge(build, base, row, items + i, n - i);
    }
    rows_copy(build, base, row, QL_GROUP_ROWS);
    build->offset[QL_GROUP_ROWS] = build->count;
    *extent = NULL;
    return build->count == 0 ? QL_OK : ql_extent_make(build, group, side, extent);
}

/* ---- All groups ---- */

/* A record by its place in the order, or NULL if it was dropped. */
static inline const ql_edge *record_of(const fold *work, uint32_t index)
{
    if (index >= work->limit) return &work->records[index - work->limit];
    return ql_state_dropped(work->state, index) ? NULL : ql_state_record(work->state, index);
}

static int items_count(fold *work, int side)
{
    for (uint32_t number = 0; number < QL_BLOCKS; number++) {
        if (work->ends[number])
            memset(work->ends[number], 0, QL_BLOCK_GROUPS * sizeof **work->ends);
    }
    for (uint32_t index = 0; index < work->total; index++) {
        const ql_edge *edge = record_of(work, index);
        if (!edge) continue;
        uint32_t group = (side == QL_SIDE_OUT ? edge->source : edge->target) >> QL_GROUP_BITS;
        uint32_t **counts = &work->ends[group / QL_BLOCK_GROUPS];
        if (!*counts) *counts = ql_alloc(QL_BLOCK_GROUPS, sizeof **counts);
        if (!*counts) return QL_E_MEMORY;
        (*counts)[group % QL_BLOCK_GROUPS]++;
    }
    return QL_OK;
}

/* Counts become starts; the largest number of items of one group. */
static uint32_t starts_place(fold *work)
{
    uint32_t most = 0;
    uint32_t sum = 0;
    for (uint32_t number = 0; number < QL_BLOCKS; number++) {
        uint32_t *ends = work->ends[number];
        for (uint32_t i = 0; ends && i < QL_BLOCK_GROUPS; i++) {
            uint32_t count = ends[i];
            ends[i] = sum;
            sum += count;
            if (count > most) most = count;
        }
    }
    return most;
}

static void items_scatter(fold *work, int side)
{
    for (uint32_t index = 0; index < work->total; index++) {
        const ql_edge *edge = record_of(work, index);
        if (!edge) continue;
        uint32_t node = side == QL_SIDE_OUT ? edge->source : edge->target;
        uint32_t other = side == QL_SIDE_OUT ? edge->target : edge->source;
        uint32_t group = node >> QL_GROUP_BITS;
        work->items[work->ends[group / QL_BLOCK_GROUPS][group % QL_BLOCK_GROUPS]++] = (item){
            (uint64_t)(node % QL_GROUP_ROWS) << ROW_SHIFT | (uint64_t)edge->type << 32 | other,
            edge->weight, edge->flags};
    }
}

static int group_fold(fold *work, uint32_t number, int side, item *items, uint32_t n)
{
    if (n == 0) return QL_OK;
    ql_block *block = work->folded->block[number / QL_BLOCK_GROUPS];
    ql_extent **slot = &block->extent[number % QL_BLOCK_GROUPS][side];
    items_sort(items, work->spare, n);
    n = items_unique(work->spare, n);
    ql_extent *extent;
    QL_TRY(group_merge(&work->build, *slot, work->spare, n, number, side, &extent));
    if (side == QL_SIDE_OUT) {
        work->folded->base_edges += extent ? extent->header->edges : 0;
        work->folded->base_edges -= *slot ? (*slot)->header->edges : 0;
    }
    ql_extent_release(*slot);
    *slot = extent;
    return QL_OK;
}

/* Blocks without items are shared, the others copied (by the first side that needs it), so that
 * extents can be replaced. */
static int block_prepare(fold *work, uint32_t number)
{
    ql_block **block = &work->folded->block[number];
    ql_block *old = work->state->block[number];
    if (*block && *block != old) return QL_OK;
    ql_block *copy = ql_block_copy(old);
    if (!copy) return QL_E_MEMORY;
    ql_block_release(*block);
    *block = copy;
    return QL_OK;
}

static int side_fold(fold *work, int side)
{
    QL_TRY(items_count(work, side));
    uint32_t most = starts_place(work);
    if (most > work->spare_count) {
        ql_free(work->spare);
        work->spare = ql_alloc(most, sizeof *work->spare);
        work->spare_count = work->spare ? most : 0;
        if (!work->spare) return QL_E_MEMORY;
    }
    items_scatter(work, side);
    uint32_t from = 0;
    for (uint32_t number = 0; number < QL_BLOCKS; number++) {
        if (!work->ends[number]) continue;
        QL_TRY(block_prepare(work, number));
        for (uint32_t i = 0; i < QL_BLOCK_GROUPS; i++) {
            uint32_t until = work->ends[number][i];
            QL_TRY(group_fold(work, number * QL_BLOCK_GROUPS + i, side, work->items + from,
                              until - from));
            from = until;
        }
    }
    return QL_OK;
}

static int fold_run(fold *work)
{
    work->folded->base_edges = work->state->base_edges;
    work->items = ql_alloc(work->total, sizeof *work->items);
    if (!work->items) return QL_E_MEMORY;
    for (uint32_t i = 0; i < QL_BLOCKS; i++) {
        ql_block *shared = work->state->block[i];
        if (shared) atomic_fetch_add_explicit(&shared->owners, 1, memory_order_relaxed);
        work->folded->block[i] = shared;
    }
    for (int side = 0; side < QL_SIDES; side++) QL_TRY(side_fold(work, side));
    return QL_OK;
}

int ql_state_fold(const ql_state *state, uint32_t limit, const ql_edge *records, uint64_t n,
                  uint64_t base_bytes, ql_state **folded)
{
    if (n > QL_DELTA_MAX - limit) return QL_E_LIMIT;
    fold *work = ql_alloc(1, sizeof *work); /* Its tables are too large for a thread's stack. */
    if (!work) return QL_E_MEMORY;
    work->state = state;
    work->limit = limit;
    work->records = records;
    work->total = limit + (uint32_t)n;
    int status = ql_state_create(base_bytes, &work->folded);
    if (status == QL_OK) status = fold_run(work);
    if (status == QL_OK) *folded = work->folded;
    else ql_state_free(work->folded);
    for (uint32_t i = 0; i < QL_BLOCKS; i++) ql_free(work->ends[i]);
    ql_free(work->items);
    ql_free(work->spare);
    ql_free(work->build.other);
    ql_free(work->build.weight);
    ql_free(work->build.type);
    ql_free(work->build.code);
    ql_free(work);
    return status;
}
