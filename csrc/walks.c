/* walks.c: the edges on short walks from some nodes to others: what paths, beliefs and cuts between
 * them are made of.
 *
 * Two searches go level by level, from the sources forwards and from the targets backwards, the one
 * with fewer nodes in its outer level next (Pohl 1971).  An edge u -> v is on a walk of at most h
 * edges only if u is within a of the sources or v within h - a of the targets, so a levels of one
 * and h - a of the other read every one of them.  Then the levels of both kinds are completed over
 * the edges read, and the edges whose two levels and themselves exceed h are dropped: of tens of
 * thousands read a few stay, and only those are looked up in the catalog and reasoned about.
 *
 * The budget counts edges of allowed types as they are read.  The level that it stops is undone;
 * all edges read before stay, since what else they lead to is unknown, and the outer levels are
 * given: every walk that was not seen leaves through a node of the one and comes back through a
 * node of the other. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

#define EDGES_FIRST 64u

typedef struct walk_edge {
    ql_edge edge;
    uint32_t tail; /* positions */
    uint32_t head;
} walk_edge;

typedef struct walking {
    const ql_graph_view *view;
    ql_type_set types;
    bool both;
    uint64_t budget;
    uint64_t touched;
    bool partial;
    ql_node_map map;
    uint32_t room;      /* of the next two, by position */
    uint32_t *level[2]; /* fewest edges from the sources, to the targets; QL_NONE: not known */
    uint32_t *queue[2]; /* positions in the order of their levels */
    uint32_t queued[2];
    uint32_t outer[2];  /* where the outer level starts */
    walk_edge *edges;
    uint64_t count;
    uint64_t capacity;
    ql_scratch scratch;
} walking;

void ql_walks_free(ql_walks *walks)
{
    if (!walks) return;
    ql_free(walks->edges);
    ql_free(walks->leaving);
    ql_free(walks->entering);
    ql_free(walks);
}

static void walking_free(walking *work)
{
    for (int end = 0; end < 2; end++) {
        ql_free(work->level[end]);
        ql_free(work->queue[end]);
    }
    ql_free(work->edges);
    ql_node_map_free(&work->map);
    ql_scratch_free(&work->scratch);
}

static int position_of(walking *work, uint32_t node, uint32_t *at)
{
    uint32_t known = work->map.count;
    QL_TRY(ql_node_map_add(&work->map, node, at));
    if (work->room < work->map.capacity) {
        for (int end = 0; end < 2; end++) {
            uint32_t *level = ql_realloc(work->level[end], work->map.capacity, sizeof *level);
            if (!level) return QL_E_MEMORY;
            work->level[end] = level;
            uint32_t *queue = ql_realloc(work->queue[end], work->map.capacity, sizeof *queue);
            if (!queue) return QL_E_MEMORY;
            work->queue[end] = queue;
        }
        work->room = work->map.capacity;
    }
    if (*at == known) work->level[0][*at] = work->level[1][*at] = QL_NONE;
    return QL_OK;
}

static void reach(walking *work, int end, uint32_t at, uint32_t level)
{
    if (work->level[end][at] != QL_NONE) return;
    work->level[end][at] = level;
    work->queue[end][work->queued[end]++] = at;
}

static int edge_keep(walking *work, ql_edge edge, int end, uint32_t level)
{
    if (work->count == work->capacity) {
        uint64_t capacity = work->capacity ? work->capacity * 2 : EDGES_FIRST;
        walk_edge *edges = ql_realloc(work->edges, capacity, sizeof *edges);
        if (!edges) return QL_E_MEMORY;
        work->edges = edges;
        work->capacity = capacity;
    }
    walk_edge kept = {.edge = edge};
    QL_TRY(position_of(work, edge.source, &kept.tail));
    QL_TRY(position_of(work, edge.target, &kept.head));
    work->edges[work->count++] = kept;
    if (work->both || end == 0) reach(work, end, kept.head, level);
    if (work->both || end == 1) reach(work, end, kept.tail, level);
    return QL_OK;
}

/* Read the edges of one node that lead on; stops with `partial` when the budget is used up. */
static int node_grow(walking *work, int end, uint32_t at, uint32_t level)
{
    uint32_t node = work->map.nodes[at];
    for (int side = 0; side < QL_SIDES; side++) {
        if (!work->both && (side == QL_SIDE_OUT) != (end == 0)) continue;
        ql_row row;
        QL_TRY(ql_row_read(work->view->state, work->view->limit, node, side, &work->scratch, &row));
        for (uint32_t i = 0; i < row.count; i++) {
            uint16_t type = ql_row_type(&row, i);
            if (!ql_type_allowed(&work->types, type)) continue;
            if (work->touched == work->budget) {
                work->partial = true;
                return QL_OK;
            }
            work->touched++;
            uint32_t other = row.other[i];
            ql_edge edge = {side == QL_SIDE_OUT ? node : other, side == QL_SIDE_OUT ? other : node,
                            type, ql_row_flags(&row, i), ql_row_weight(&row, i)};
            QL_TRY(edge_keep(work, edge, end, level));
        }
    }
    return QL_OK;
}

/* One level of one search. A level that the budget stops is undone. */
static int level_grow(walking *work, int end)
{
    uint32_t until = work->queued[end];
    uint64_t count = work->count;
    uint32_t level = work->level[end][work->queue[end][work->outer[end]]] + 1;
    for (uint32_t i = work->outer[end]; i < until && !work->partial; i++) {
        QL_TRY(node_grow(work, end, work->queue[end][i], level));
    }
    if (!work->partial) {
        work->outer[end] = until;
        return QL_OK;
    }
    for (uint32_t i = until; i < work->queued[end]; i++)
        work->level[end][work->queue[end][i]] = QL_NONE;
    work->queued[end] = until;
    work->count = count;
    return QL_OK;
}

static int levels_grow(walking *work, uint32_t hops)
{
    for (uint32_t hop = 0; hop < hops && !work->partial; hop++) {
        uint32_t wide[2] = {work->queued[0] - work->outer[0], work->queued[1] - work->outer[1]};
        int end = wide[1] < wide[0];
        if (wide[end] == 0) return QL_OK; /* No walk is longer. */
        QL_TRY(level_grow(work, end));
    }
    return QL_OK;
}

/* Lower the level of one end of an edge by that of the other; whether it did. */
static bool lower(uint32_t *level, uint32_t from, uint32_t to)
{
    if (level[from] == QL_NONE || level[to] <= level[from] + 1) return false;
    level[to] = level[from] + 1;
    return true;
}

/* Levels over the edges read, until nothing changes: at most as many rounds as a walk has edges. */
static void levels_complete(walking *work)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (uint64_t i = 0; i < work->count; i++) {
            uint32_t tail = work->edges[i].tail;
            uint32_t head = work->edges[i].head;
            changed |= lower(work->level[0], tail, head);
            changed |= lower(work->level[1], head, tail);
            if (!work->both) continue;
            changed |= lower(work->level[0], head, tail);
            changed |= lower(work->level[1], tail, head);
        }
    }
}

static bool within(const walking *work, uint32_t from, uint32_t to, uint32_t hops)
{
    uint32_t away = work->level[0][from];
    uint32_t left = work->level[1][to];
    return away != QL_NONE && left != QL_NONE && (uint64_t)away + left < hops;
}

static void edges_prune(walking *work, uint32_t hops)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < work->count; i++) {
        const walk_edge *edge = &work->edges[i];
        bool useful = within(work, edge->tail, edge->head, hops);
        if (work->both) useful |= within(work, edge->head, edge->tail, hops);
        if (useful) work->edges[kept++] = *edge;
    }
    work->count = kept;
}

static int edge_order(const void *one, const void *other)
{
    const ql_edge *a = &((const walk_edge *)one)->edge;
    const ql_edge *b = &((const walk_edge *)other)->edge;
    if (a->source != b->source) return a->source < b->source ? -1 : 1;
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    return a->target < b->target ? -1 : a->target > b->target;
}

/* The nodes of an outer level; nothing unless walks were left unseen. */
static int outer_copy(const walking *work, int end, uint64_t *count, uint32_t **nodes)
{
    uint32_t n = work->partial ? work->queued[end] - work->outer[end] : 0;
    *nodes = ql_alloc(n, sizeof **nodes);
    if (!*nodes) return QL_E_MEMORY;
    for (uint32_t i = 0; i < n; i++)
        (*nodes)[i] = work->map.nodes[work->queue[end][work->outer[end] + i]];
    *count = n;
    return QL_OK;
}

static int walks_make(walking *work, ql_walks *made)
{
    if (work->count > 1) qsort(work->edges, work->count, sizeof *work->edges, edge_order);
    made->edges = ql_alloc(work->count, sizeof *made->edges);
    if (!made->edges) return QL_E_MEMORY;
    for (uint64_t i = 0; i < work->count; i++) { /* Both searches may have read it. */
        if (i > 0 && edge_order(&work->edges[i - 1], &work->edges[i]) == 0) continue;
        made->edges[made->count++] = work->edges[i].edge;
    }
    made->partial = work->partial;
    QL_TRY(outer_copy(work, 0, &made->leaving_count, &made->leaving));
    return outer_copy(work, 1, &made->entering_count, &made->entering);
}

static int walks_find(walking *work, const uint32_t *ends[2], const uint32_t n[2], uint32_t hops,
                      ql_walks *made)
{
    for (int end = 0; end < 2; end++) {
        for (uint32_t i = 0; i < n[end]; i++) {
            uint32_t at;
            QL_TRY(position_of(work, ends[end][i], &at));
            reach(work, end, at, 0);
        }
    }
    QL_TRY(levels_grow(work, hops));
    if (!work->partial) {
        levels_complete(work);
        edges_prune(work, hops);
    }
    return walks_make(work, made);
}

int ql_graph_walks(const ql_graph_view *view, const uint32_t *sources, uint32_t sources_count,
                   const uint32_t *targets, uint32_t targets_count, uint32_t hops, int both,
                   const uint16_t *types, uint32_t types_count, uint64_t budget_edges,
                   ql_walks **walks, ql_cost *cost)
{
    const uint32_t *ends[2] = {sources, targets};
    uint32_t n[2] = {sources_count, targets_count};
    for (int end = 0; end < 2; end++) {
        for (uint32_t i = 0; i < n[end]; i++) {
            if (ends[end][i] == QL_NONE) return QL_E_INVALID;
        }
    }
    walking work = {.view = view, .both = both != 0, .budget = budget_edges};
    QL_TRY(ql_type_set_make(types, types_count, &work.types));
    ql_walks *made = ql_alloc(1, sizeof *made);
    if (!made) return QL_E_MEMORY;
    int status = walks_find(&work, ends, n, hops, made);
    if (status == QL_OK && cost) {
        cost->edges += work.touched;
        cost->bytes += work.touched * QL_EDGE_READ_BYTES;
    }
    walking_free(&work);
    if (status != QL_OK) {
        ql_walks_free(made);
        return status;
    }
    *walks = made;
    return QL_OK;
}
