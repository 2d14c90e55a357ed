/* paths.c: the shortest path between two nodes, and the k shortest simple ones.
 *
 * One path: two searches, from the source forwards and from the target backwards, the one that
 * touched fewer edges so far going next.  Without weights they go level by level, and the first
 * edge that joins them closes a shortest path: with a levels complete on one side and b on the
 * other, every path of up to a + b edges would have joined them before. With weights as lengths
 * (none below 0) both are Dijkstra's, until the two smallest open distances together reach the best
 * joint found (Nicholson 1966).
 *
 * k paths: Yen's deviations (1971) with Lawler's pruning (1972: a path deviates only at or behind
 * the place where it left its parent itself, so nothing is found twice).  Each deviation is an A*
 * search; its lower bound to the target comes from one backward search that stops when it settles
 * the source at distance R: min(distance, R), which is consistent.  Paths are sequences of nodes;
 * of parallel edges the shortest counts, then the smaller type.
 *
 * Order of the answer: by length, then by the nodes in order.  The budget counts edges looked at;
 * when it ends the search, the paths found until then are given and `partial` is set. */
#include <math.h>
#include <string.h>

#include "paths.h"

void ql_paths_free(ql_paths *paths)
{
    if (!paths) return;
    ql_free(paths->offsets);
    ql_free(paths->nodes);
    ql_free(paths->types);
    ql_free(paths->lengths);
    ql_free(paths);
}

/* ---- One search ---- */

void ql_search_free(ql_search *search)
{
    ql_node_map_free(&search->map);
    ql_free(search->labels);
    ql_free(search->heap);
    *search = (ql_search){0};
}

int ql_search_label(ql_search *search, uint32_t node, uint32_t *at)
{
    uint32_t known = search->map.count;
    QL_TRY(ql_node_map_add(&search->map, node, at));
    if (search->label_capacity < search->map.capacity) {
        ql_label *labels = ql_realloc(search->labels, search->map.capacity, sizeof *labels);
        if (!labels) return QL_E_MEMORY;
        search->labels = labels;
        search->label_capacity = search->map.capacity;
    }
    if (*at == known) search->labels[*at] = (ql_label){.distance = INFINITY, .parent = QL_NONE};
    return QL_OK;
}

/* Smaller key first; equal keys by position, which is the order of discovery. */
static bool heap_before(const ql_heap_item *a, const ql_heap_item *b)
{
    return a->key != b->key ? a->key < b->key : a->at < b->at;
}

int ql_search_open(ql_search *search, uint32_t at, double key)
{
    if (search->heap_count == search->heap_capacity) {
        uint32_t capacity = search->heap_capacity ? search->heap_capacity * 2 : 64;
        ql_heap_item *heap = ql_realloc(search->heap, capacity, sizeof *heap);
        if (!heap) return QL_E_MEMORY;
        search->heap = heap;
        search->heap_capacity = capacity;
    }
    ql_heap_item item = {key, at};
    uint32_t i = search->heap_count++;
    for (; i > 0 && heap_before(&item, &search->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        search->heap[i] = search->heap[(i - 1) / 2];
    }
    search->heap[i] = item;
    return QL_OK;
}

static void heap_pop(ql_search *search)
{
    ql_heap_item item = search->heap[--search->heap_count];
    uint32_t n = search->heap_count;
    uint32_t i = 0;
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap_before(&search->heap[child + 1], &search->heap[child])) child++;
        if (!heap_before(&search->heap[child], &item)) break;
        search->heap[i] = search->heap[child];
    }
    if (n > 0) search->heap[i] = item;
}

double ql_search_least(ql_search *search)
{
    while (search->heap_count > 0 && search->labels[search->heap[0].at].settled) heap_pop(search);
    return search->heap_count > 0 ? search->heap[0].key : INFINITY;
}

uint32_t ql_search_settle(ql_search *search)
{
    uint32_t at = search->heap[0].at;
    search->labels[at].settled = 1;
    heap_pop(search);
    return at;
}

int ql_arcs_read(ql_finding *work, uint32_t node, int side, ql_row *row)
{
    return ql_row_read(work->view->state, work->view->limit, node, side, &work->scratch, row);
}

/* The length of an allowed edge in *length; false when its type is not followed. */
int ql_arc_length(ql_finding *work, const ql_row *row, uint32_t i, bool *allowed, double *length)
{
    *allowed = ql_type_allowed(&work->types, ql_row_type(row, i));
    if (!*allowed) return QL_OK;
    if (work->touched == work->budget) {
        work->partial = true;
        return QL_OK;
    }
    work->touched++;
    *length = work->weighted ? (double)ql_row_weight(row, i) : 1.0;
    return *length >= 0 ? QL_OK : QL_E_INVALID;
}

/* ---- Two searches that meet ---- */

typedef struct meeting {
    ql_finding *work;
    ql_search search[2]; /* from the source, from the target */
    uint64_t touched[2];
    uint32_t level_start[2];
    double best;         /* length of the best joint */
    uint32_t joint;      /* node where it meets, or QL_NONE */
} meeting;

static int meet_arc(meeting *meet, int end, uint32_t parent, uint32_t node, uint16_t type,
                    double length)
{
    ql_search *search = &meet->search[end];
    double distance = search->labels[parent].distance + length;
    uint32_t at;
    QL_TRY(ql_search_label(search, node, &at));
    ql_label *label = &search->labels[at];
    if (distance >= label->distance) return QL_OK;
    label->distance = distance;
    label->parent = parent;
    label->type = type;
    uint32_t other = ql_node_map_find(&meet->search[1 - end].map, node);
    if (other != QL_NONE) {
        double joined = distance + meet->search[1 - end].labels[other].distance;
        if (joined < meet->best) {
            meet->best = joined;
            meet->joint = node;
        }
    }
    return meet->work->weighted ? ql_search_open(search, at, distance) : QL_OK;
}

static int meet_node(meeting *meet, int end, uint32_t at)
{
    ql_finding *work = meet->work;
    for (int side = 0; side < QL_SIDES; side++) {
        int leaving = side == QL_SIDE_OUT ? QL_OUT : QL_IN;
        int entering = side == QL_SIDE_OUT ? QL_IN : QL_OUT;
        if (!(work->direction & (end == 0 ? leaving : entering))) continue;
        ql_row row;
        QL_TRY(ql_arcs_read(work, meet->search[end].map.nodes[at], side, &row));
        for (uint32_t i = 0; i < row.count; i++) {
            bool allowed;
            double length;
            QL_TRY(ql_arc_length(work, &row, i, &allowed, &length));
            if (work->partial) return QL_OK;
            if (!allowed) continue;
            meet->touched[end]++;
            QL_TRY(meet_arc(meet, end, at, row.other[i], ql_row_type(&row, i), length));
            if (!work->weighted && meet->joint != QL_NONE) return QL_OK;
        }
    }
    return QL_OK;
}

/* Labels of a search without weights stand in the order of their levels. */
static int meet_levels(meeting *meet)
{
    while (meet->joint == QL_NONE && !meet->work->partial) {
        int end = meet->touched[1] < meet->touched[0];
        uint32_t until = meet->search[end].map.count;
        if (meet->level_start[end] == until) return QL_OK;
        for (uint32_t at = meet->level_start[end]; at < until; at++) {
            QL_TRY(meet_node(meet, end, at));
            if (meet->joint != QL_NONE || meet->work->partial) return QL_OK;
        }
        meet->level_start[end] = until;
    }
    return QL_OK;
}

static int meet_lengths(meeting *meet)
{
    while (!meet->work->partial) {
        double least[2] = {ql_search_least(&meet->search[0]), ql_search_least(&meet->search[1])};
        if (isinf(least[0]) || isinf(least[1]) || least[0] + least[1] >= meet->best) return QL_OK;
        int end = meet->touched[1] < meet->touched[0];
        QL_TRY(meet_node(meet, end, ql_search_settle(&meet->search[end])));
    }
    return QL_OK;
}

static int meet_start(meeting *meet, uint32_t source, uint32_t target)
{
    uint32_t ends[2] = {source, target};
    meet->best = INFINITY;
    meet->joint = source == target ? source : QL_NONE;
    for (int end = 0; end < 2; end++) {
        uint32_t at;
        QL_TRY(ql_search_label(&meet->search[end], ends[end], &at));
        meet->search[end].labels[at].distance = 0;
        QL_TRY(ql_search_open(&meet->search[end], at, 0));
    }
    if (source == target) meet->best = 0;
    return QL_OK;
}

/* The two halves as one route. */
static int meet_route(const meeting *meet, ql_route **route)
{
    uint32_t at[2];
    uint32_t n[2] = {0, 0};
    for (int end = 0; end < 2; end++) {
        at[end] = ql_node_map_find(&meet->search[end].map, meet->joint);
        for (uint32_t i = at[end]; i != QL_NONE; i = meet->search[end].labels[i].parent) n[end]++;
    }
    ql_route *made = ql_route_make(n[0] + n[1] - 1);
    if (!made) return QL_E_MEMORY;
    uint32_t place = n[0];
    for (uint32_t i = at[0]; i != QL_NONE; i = meet->search[0].labels[i].parent) {
        const ql_label *label = &meet->search[0].labels[i];
        made->nodes[--place] = meet->search[0].map.nodes[i];
        made->types[place] = label->type;
        made->at[place] = label->distance;
    }
    place = n[0];
    const ql_search *back = &meet->search[1];
    for (uint32_t i = at[1]; back->labels[i].parent != QL_NONE; i = back->labels[i].parent) {
        const ql_label *label = &back->labels[i];
        made->nodes[place] = back->map.nodes[label->parent];
        made->types[place] = label->type;
        made->at[place++] = meet->best - back->labels[label->parent].distance;
    }
    *route = made;
    return QL_OK;
}

static int path_one(ql_finding *work, uint32_t source, uint32_t target)
{
    meeting meet = {.work = work};
    int status = meet_start(&meet, source, target);
    if (status == QL_OK) status = work->weighted ? meet_lengths(&meet) : meet_levels(&meet);
    /* A joint may still improve. */
    bool found = meet.joint != QL_NONE && !(work->partial && work->weighted);
    ql_route *route = NULL;
    if (status == QL_OK && found) status = meet_route(&meet, &route);
    if (route) work->accepted[work->accepted_count++] = route;
    for (int end = 0; end < 2; end++) ql_search_free(&meet.search[end]);
    return status;
}

/* ---- The call ---- */

static int paths_make(const ql_finding *work, ql_paths **paths)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < work->accepted_count; i++) total += work->accepted[i]->count;
    ql_paths *made = ql_alloc(1, sizeof *made);
    if (!made) return QL_E_MEMORY;
    made->count = work->accepted_count;
    made->partial = work->partial;
    made->offsets = ql_alloc((size_t)made->count + 1, sizeof *made->offsets);
    made->lengths = ql_alloc(made->count, sizeof *made->lengths);
    made->nodes = ql_alloc(total, sizeof *made->nodes);
    made->types = ql_alloc(total, sizeof *made->types);
    if (!made->offsets || !made->lengths || !made->nodes || !made->types) {
        ql_paths_free(made);
        return QL_E_MEMORY;
    }
    for (uint32_t i = 0; i < work->accepted_count; i++) {
        const ql_route *route = work->accepted[i];
        uint64_t at = made->offsets[i];
        memcpy(made->nodes + at, route->nodes, route->count * sizeof *route->nodes);
        memcpy(made->types + at, route->types, route->count * sizeof *route->types);
        made->lengths[i] = route->at[route->count - 1];
        made->offsets[i + 1] = at + route->count;
    }
    *paths = made;
    return QL_OK;
}

int ql_graph_paths(const ql_graph_view *view, uint32_t source, uint32_t target, uint32_t k,
                   int weighted, int direction, const uint16_t *types, uint32_t types_count,
                   uint64_t budget_edges, ql_paths **paths, ql_cost *cost)
{
    if (source == QL_NONE || target == QL_NONE || k == 0 || k > QL_PATHS_MAX) return QL_E_INVALID;
    if (direction < QL_OUT || direction > QL_BOTH) return QL_E_INVALID;
    ql_finding work = {
        .view = view, .direction = direction, .weighted = weighted != 0, .budget = budget_edges};
    QL_TRY(ql_type_set_make(types, types_count, &work.types));
    work.accepted = ql_alloc(k, sizeof *work.accepted);
    if (!work.accepted) return QL_E_MEMORY;

    int status = path_one(&work, source, target);
    if (status == QL_OK && k > 1 && work.accepted_count == 1 && source != target) {
        status = ql_paths_deviate(&work, k);
    }
    if (status == QL_OK) status = paths_make(&work, paths);
    if (status == QL_OK && cost) {
        cost->edges += work.touched;
        cost->bytes += work.touched * QL_EDGE_READ_BYTES;
    }
    for (uint32_t i = 0; i < work.accepted_count; i++) ql_free(work.accepted[i]);
    ql_free(work.accepted);
    ql_scratch_free(&work.scratch);
    return status;
}
