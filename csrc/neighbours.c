/* neighbours.c: reading associations out of a view: of given nodes, of one key, all, and how many
 * there are.
 *
 * Order everywhere: (type, target, source) per asked node, (source, type, target) for all.  Memory
 * of the answers grows by halves; a failed allocation frees the answer and changes nothing. */
#include <string.h>

#include "graph.h"

#define ANSWER_FIRST 64u

int ql_type_set_make(const uint16_t *types, uint32_t count, ql_type_set *set)
{
    memset(set, 0, sizeof *set);
    set->all = types == NULL;
    for (uint32_t i = 0; types && i < count; i++) {
        if (types[i] >= QL_TYPES_MAX) return QL_E_INVALID;
        set->bits[types[i] / 64] |= 1ull << (types[i] % 64);
    }
    return QL_OK;
}

void ql_edges_free(ql_edges *edges)
{
    if (!edges) return;
    ql_free(edges->edges);
    ql_free(edges->offsets);
    ql_free(edges);
}

static int answer_reserve(ql_edges *answer, uint64_t *capacity, uint64_t extra)
{
    uint64_t wanted = answer->count + extra;
    if (wanted <= *capacity) return QL_OK;
    uint64_t grown = wanted + wanted / 2 + ANSWER_FIRST;
    ql_edge *edges = ql_realloc(answer->edges, grown, sizeof *edges);
    if (!edges) return QL_E_MEMORY;
    answer->edges = edges;
    *capacity = grown;
    return QL_OK;
}

static ql_edge row_edge(const ql_row *row, uint32_t i, uint32_t node, int side)
{
    uint16_t type = ql_row_type(row, i);
    uint16_t flags = ql_row_flags(row, i);
    float weight = ql_row_weight(row, i);
    return side == QL_SIDE_OUT ? (ql_edge){node, row->other[i], type, flags, weight}
                               : (ql_edge){row->other[i], node, type, flags, weight};
}

/* Below, at or above zero as a stands before, at or after b by (type, target, source). */
static int edge_compare(const ql_edge *a, const ql_edge *b)
{
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    if (a->target != b->target) return a->target < b->target ? -1 : 1;
    return a->source < b->source ? -1 : a->source > b->source;
}

/* Append the wanted edges of an out row and an in row (either may be empty), merged; a loop, in
 * both, once. */
static void rows_merge(const ql_row *out, const ql_row *in, uint32_t node, const ql_type_set *types,
                       ql_edges *answer)
{
    uint32_t i = 0;
    uint32_t j = 0;
    if (in->count == 0 && types->all) { /* The usual call needs no merging. */
        for (; i < out->count; i++)
            answer->edges[answer->count++] = row_edge(out, i, node, QL_SIDE_OUT);
        return;
    }
    while (i < out->count || j < in->count) {
        ql_edge leaving = i < out->count ? row_edge(out, i, node, QL_SIDE_OUT) : (ql_edge){0};
        ql_edge entering = j < in->count ? row_edge(in, j, node, QL_SIDE_IN) : (ql_edge){0};
        int order = i == out->count ? 1 : j == in->count ? -1 : edge_compare(&leaving, &entering);
        if (order <= 0) i++;
        if (order >= 0) j++;
        ql_edge edge = order <= 0 ? leaving : entering;
        if (ql_type_allowed(types, edge.type)) answer->edges[answer->count++] = edge;
    }
}

static int neighbours_collect(const ql_graph_view *view, const uint32_t *nodes, uint32_t n,
                              int direction, const ql_type_set *types, ql_scratch scratch[QL_SIDES],
                              ql_edges *answer, ql_cost *cost)
{
    uint64_t capacity = 0;
    uint64_t touched = 0;
    for (uint32_t i = 0; i < n; i++) {
        ql_row rows[QL_SIDES] = {{0}, {0}};
        for (int side = 0; side < QL_SIDES; side++) {
            if (!(direction & (side == QL_SIDE_OUT ? QL_OUT : QL_IN))) continue;
            QL_TRY(
                ql_row_read(view->state, view->limit, nodes[i], side, &scratch[side], &rows[side]));
        }
        uint64_t most = (uint64_t)rows[QL_SIDE_OUT].count + rows[QL_SIDE_IN].count;
        QL_TRY(answer_reserve(answer, &capacity, most));
        rows_merge(&rows[QL_SIDE_OUT], &rows[QL_SIDE_IN], nodes[i], types, answer);
        answer->offsets[i + 1] = answer->count;
        touched += most;
    }
    if (cost) {
        cost->edges += touched;
        cost->bytes += touched * QL_EDGE_READ_BYTES;
    }
    return QL_OK;
}

int ql_graph_neighbours(const ql_graph_view *view, const uint32_t *nodes, uint32_t n, int direction,
                        const uint16_t *types, uint32_t types_count, ql_edges **edges,
                        ql_cost *cost)
{
    if (direction < QL_OUT || direction > QL_BOTH) return QL_E_INVALID;
    for (uint32_t i = 0; i < n; i++) {
        if (nodes[i] == QL_NONE) return QL_E_INVALID;
    }
    ql_type_set set;
    QL_TRY(ql_type_set_make(types, types_count, &set));

    ql_scratch scratch[QL_SIDES] = {{0}, {0}};
    ql_edges *answer = ql_alloc(1, sizeof *answer);
    if (!answer) return QL_E_MEMORY;
    answer->offsets = ql_alloc((size_t)n + 1, sizeof *answer->offsets);
    int status = answer->offsets ? QL_OK : QL_E_MEMORY;
    if (status == QL_OK)
        status = neighbours_collect(view, nodes, n, direction, &set, scratch, answer, cost);
    for (int side = 0; side < QL_SIDES; side++) ql_scratch_free(&scratch[side]);
    if (status != QL_OK) {
        ql_edges_free(answer);
        return status;
    }
    *edges = answer;
    return QL_OK;
}

int ql_graph_find(const ql_graph_view *view, uint32_t source, uint16_t type, uint32_t target,
                  int *found, ql_edge *edge)
{
    if (source == QL_NONE || target == QL_NONE || type >= QL_TYPES_MAX) return QL_E_INVALID;
    ql_row_find(view->state, view->limit, source, type, target, found, edge);
    return QL_OK;
}

/* The base's count, corrected by every out row that has a delta. */
static int view_count(const ql_graph_view *view, ql_scratch *scratch, uint64_t *count)
{
    uint64_t total = view->state->base_edges;
    ql_walk walk = ql_walk_start(view, QL_SIDE_OUT, true);
    for (;;) {
        uint32_t node;
        ql_row row;
        QL_TRY(ql_walk_next(&walk, scratch, &node, &row));
        if (node == QL_NONE) break;
        total += row.count;
        total -= walk.base_count;
    }
    *count = total;
    return QL_OK;
}

int ql_graph_view_count(const ql_graph_view *view, uint64_t *count)
{
    ql_scratch scratch = {0};
    int status = view_count(view, &scratch, count);
    ql_scratch_free(&scratch);
    return status;
}

static int edges_collect(const ql_graph_view *view, ql_scratch *scratch, ql_edges *answer)
{
    uint64_t capacity = 0;
    ql_walk walk = ql_walk_start(view, QL_SIDE_OUT, false);
    for (;;) {
        uint32_t node;
        ql_row row;
        QL_TRY(ql_walk_next(&walk, scratch, &node, &row));
        if (node == QL_NONE) return QL_OK;
        QL_TRY(answer_reserve(answer, &capacity, row.count));
        for (uint32_t i = 0; i < row.count; i++)
            answer->edges[answer->count++] = row_edge(&row, i, node, QL_SIDE_OUT);
    }
}

int ql_graph_edges(const ql_graph_view *view, ql_edges **edges)
{
    ql_edges *answer = ql_alloc(1, sizeof *answer);
    if (!answer) return QL_E_MEMORY;
    ql_scratch scratch = {0};
    ql_graph_view plain;
    int status = ql_view_plain(view, &plain);
    if (status == QL_OK) {
        status = edges_collect(&plain, &scratch, answer);
        ql_view_plain_close(&plain);
    }
    ql_scratch_free(&scratch);
    if (status != QL_OK) {
        ql_edges_free(answer);
        return status;
    }
    *edges = answer;
    return QL_OK;
}

/* A row costs its offsets and its column of other ends; sums wrap at 2^32, which
 * adds four at a time. */
static int edges_scan(const ql_graph_view *view, int side, ql_graph_sums *sums)
{
    ql_scratch scratch = {.only_ends = true};
    ql_walk walk = ql_walk_start(view, side, false);
    uint32_t own = 0;
    uint32_t other = 0;
    for (;;) {
        uint32_t node;
        ql_row row;
        int status = ql_walk_next(&walk, &scratch, &node, &row);
        if (status != QL_OK || node == QL_NONE) {
            ql_scratch_free(&scratch);
            sums->sources = side == QL_SIDE_OUT ? own : other;
            sums->targets = side == QL_SIDE_OUT ? other : own;
            return status;
        }
        sums->edges += row.count;
        own += node * row.count;
        for (uint32_t i = 0; i < row.count; i++) other += row.other[i];
    }
}

int ql_graph_scan(const ql_graph_view *view, int direction, ql_graph_sums *sums)
{
    if (direction != QL_OUT && direction != QL_IN) return QL_E_INVALID;
    ql_graph_view plain;
    QL_TRY(ql_view_plain(view, &plain));
    ql_graph_sums made = {0};
    int status = edges_scan(&plain, direction == QL_OUT ? QL_SIDE_OUT : QL_SIDE_IN, &made);
    ql_view_plain_close(&plain);
    if (status == QL_OK) *sums = made;
    return status;
}
