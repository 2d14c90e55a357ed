/* deviations.c: from a shortest path to the k shortest simple paths; the essay is in paths.c. */
#include <math.h>
#include <string.h>

#include "paths.h"

typedef struct deviating {
    ql_finding *work;
    uint32_t source;
    uint32_t target;
    ql_search back;        /* from the target, as far as the source */
    double radius;         /* distances of nodes not settled there are at least this */
    ql_search search;      /* of the deviation in work */
    ql_route **candidates;
    uint32_t candidate_count;
    uint32_t candidate_capacity;
} deviating;

ql_route *ql_route_make(uint32_t count)
{
    size_t each = sizeof(double) + sizeof(uint32_t) + sizeof(uint16_t);
    ql_route *route = ql_alloc(1, sizeof *route + count * each);
    if (!route) return NULL;
    route->count = count;
    route->at = (double *)(route + 1);
    route->nodes = (uint32_t *)(route->at + count);
    route->types = (uint16_t *)(route->nodes + count);
    return route;
}

/* Call for every edge that leaves the node of a label, or enters it when going backwards. */
static int arcs_follow(deviating *all, ql_search *search, uint32_t from, bool backwards,
                       int (*visit)(deviating *all, uint32_t from, uint32_t node, uint16_t type,
                                    double length))
{
    ql_finding *work = all->work;
    for (int side = 0; side < QL_SIDES; side++) {
        bool out = (side == QL_SIDE_OUT) != backwards;
        if (!(work->direction & (out ? QL_OUT : QL_IN))) continue;
        ql_row row;
        QL_TRY(ql_arcs_read(work, search->map.nodes[from], side, &row));
        for (uint32_t i = 0; i < row.count; i++) {
            bool allowed;
            double length;
            QL_TRY(ql_arc_length(work, &row, i, &allowed, &length));
            if (work->partial) return QL_OK;
            if (allowed) QL_TRY(visit(all, from, row.other[i], ql_row_type(&row, i), length));
        }
    }
    return QL_OK;
}

static int back_visit(deviating *all, uint32_t from, uint32_t node, uint16_t type, double length)
{
    uint32_t at;
    double distance = all->back.labels[from].distance + length;
    QL_TRY(ql_search_label(&all->back, node, &at));
    if (distance >= all->back.labels[at].distance) return QL_OK;
    all->back.labels[at].distance = distance;
    all->back.labels[at].type = type;
    return ql_search_open(&all->back, at, distance);
}

static int back_search(deviating *all)
{
    uint32_t at;
    QL_TRY(ql_search_label(&all->back, all->target, &at));
    all->back.labels[at].distance = 0;
    QL_TRY(ql_search_open(&all->back, at, 0));
    while (!all->work->partial && !isinf(ql_search_least(&all->back))) {
        at = ql_search_settle(&all->back);
        all->radius = all->back.labels[at].distance;
        if (all->back.map.nodes[at] == all->source) return QL_OK;
        QL_TRY(arcs_follow(all, &all->back, at, true, back_visit));
    }
    return QL_OK;
}

/* At most the distance from a node to the target. */
static double bound_of(const deviating *all, uint32_t node)
{
    uint32_t at = ql_node_map_find(&all->back.map, node);
    return at != QL_NONE && all->back.labels[at].settled ? all->back.labels[at].distance
                                                         : all->radius;
}

static int search_visit(deviating *all, uint32_t from, uint32_t node, uint16_t type, double length)
{
    uint32_t at;
    double distance = all->search.labels[from].distance + length;
    QL_TRY(ql_search_label(&all->search, node, &at));
    ql_label *label = &all->search.labels[at];
    if (label->settled || distance >= label->distance) return QL_OK; /* Banned nodes are settled. */
    label->distance = distance;
    label->parent = from;
    label->type = type;
    return ql_search_open(&all->search, at, distance + bound_of(all, node));
}

/* No deviation goes through this node. */
static int ban(deviating *all, uint32_t node)
{
    uint32_t at;
    QL_TRY(ql_search_label(&all->search, node, &at));
    all->search.labels[at].settled = 1;
    return QL_OK;
}

/* Whether a path starts with the first `n` nodes of another. */
static bool starts_like(const ql_route *route, const ql_route *root, uint32_t n)
{
    return route->count > n && memcmp(route->nodes, root->nodes, n * sizeof *root->nodes) == 0;
}

/* The first step of a deviation: edges from the spur node, but not to where an accepted path with
 * this root goes. */
typedef struct first_step {
    const ql_route *root;
    uint32_t spur;
} first_step;

static bool step_taken(const deviating *all, const first_step *step, uint32_t node)
{
    for (uint32_t i = 0; i < all->work->accepted_count; i++) {
        const ql_route *route = all->work->accepted[i];
        if (starts_like(route, step->root, step->spur + 1) && route->nodes[step->spur + 1] == node)
            return true;
    }
    return false;
}

static int spur_follow(deviating *all, const first_step *step, uint32_t from)
{
    ql_finding *work = all->work;
    for (int side = 0; side < QL_SIDES; side++) {
        if (!(work->direction & (side == QL_SIDE_OUT ? QL_OUT : QL_IN))) continue;
        ql_row row;
        QL_TRY(ql_arcs_read(work, all->search.map.nodes[from], side, &row));
        for (uint32_t i = 0; i < row.count; i++) {
            bool allowed;
            double length;
            QL_TRY(ql_arc_length(work, &row, i, &allowed, &length));
            if (work->partial) return QL_OK;
            if (!allowed || step_taken(all, step, row.other[i])) continue;
            QL_TRY(search_visit(all, from, row.other[i], ql_row_type(&row, i), length));
        }
    }
    return QL_OK;
}

/* Search from the spur node; *end is the label of the target, or QL_NONE. */
static int spur_search(deviating *all, const first_step *step, uint32_t *end)
{
    const ql_route *root = step->root;
    ql_search_free(&all->search);
    for (uint32_t i = 0; i < step->spur; i++) QL_TRY(ban(all, root->nodes[i]));
    uint32_t start;
    QL_TRY(ql_search_label(&all->search, root->nodes[step->spur], &start));
    all->search.labels[start].distance = root->at[step->spur];
    all->search.labels[start].settled = 1;
    QL_TRY(spur_follow(all, step, start));
    *end = QL_NONE;
    while (!all->work->partial && !isinf(ql_search_least(&all->search))) {
        uint32_t at = ql_search_settle(&all->search);
        if (all->search.map.nodes[at] == all->target) {
            *end = at;
            return QL_OK;
        }
        QL_TRY(arcs_follow(all, &all->search, at, false, search_visit));
    }
    return QL_OK;
}

/* Root and spur as one route. */
static int route_join(const deviating *all, const first_step *step, uint32_t end, ql_route **route)
{
    uint32_t behind = 0;
    for (uint32_t at = end; all->search.labels[at].parent != QL_NONE;
         at = all->search.labels[at].parent)
        behind++;
    ql_route *made = ql_route_make(step->spur + 1 + behind);
    if (!made) return QL_E_MEMORY;
    made->deviation = step->spur;
    memcpy(made->nodes, step->root->nodes, (step->spur + 1) * sizeof *made->nodes);
    memcpy(made->types, step->root->types, (step->spur + 1) * sizeof *made->types);
    memcpy(made->at, step->root->at, (step->spur + 1) * sizeof *made->at);
    uint32_t place = made->count;
    for (uint32_t at = end; all->search.labels[at].parent != QL_NONE;
         at = all->search.labels[at].parent) {
        made->nodes[--place] = all->search.map.nodes[at];
        made->types[place] = all->search.labels[at].type;
        made->at[place] = all->search.labels[at].distance;
    }
    *route = made;
    return QL_OK;
}

static int candidate_add(deviating *all, const first_step *step, uint32_t end)
{
    if (all->candidate_count == all->candidate_capacity) {
        uint32_t capacity = all->candidate_capacity * 2 + 16;
        ql_route **candidates = ql_realloc(all->candidates, capacity, sizeof(ql_route *));
        if (!candidates) return QL_E_MEMORY;
        all->candidates = candidates;
        all->candidate_capacity = capacity;
    }
    QL_TRY(route_join(all, step, end, &all->candidates[all->candidate_count]));
    all->candidate_count++;
    return QL_OK;
}

/* All deviations of the path accepted last. */
static int deviations_add(deviating *all)
{
    const ql_route *root = all->work->accepted[all->work->accepted_count - 1];
    for (uint32_t spur = root->deviation; spur + 1 < root->count; spur++) {
        first_step step = {root, spur};
        uint32_t end;
        QL_TRY(spur_search(all, &step, &end));
        if (all->work->partial) return QL_OK;
        if (end != QL_NONE) QL_TRY(candidate_add(all, &step, end));
    }
    return QL_OK;
}

static bool route_before(const ql_route *a, const ql_route *b)
{
    double length_a = a->at[a->count - 1];
    double length_b = b->at[b->count - 1];
    if (length_a != length_b) return length_a < length_b;
    uint32_t n = a->count < b->count ? a->count : b->count;
    for (uint32_t i = 0; i < n; i++) {
        if (a->nodes[i] != b->nodes[i]) return a->nodes[i] < b->nodes[i];
    }
    return a->count < b->count;
}

static int deviate(deviating *all, uint32_t k)
{
    QL_TRY(back_search(all));
    while (all->work->accepted_count < k && !all->work->partial) {
        QL_TRY(deviations_add(all));
        if (all->work->partial || all->candidate_count == 0) return QL_OK;
        uint32_t best = 0;
        for (uint32_t i = 1; i < all->candidate_count; i++) {
            if (route_before(all->candidates[i], all->candidates[best])) best = i;
        }
        all->work->accepted[all->work->accepted_count++] = all->candidates[best];
        all->candidates[best] = all->candidates[--all->candidate_count];
    }
    return QL_OK;
}

int ql_paths_deviate(ql_finding *work, uint32_t k)
{
    const ql_route *first = work->accepted[0];
    deviating all = {
        .work = work, .source = first->nodes[0], .target = first->nodes[first->count - 1]};
    int status = deviate(&all, k);
    for (uint32_t i = 0; i < all.candidate_count; i++) ql_free(all.candidates[i]);
    ql_free(all.candidates);
    ql_search_free(&all.back);
    ql_search_free(&all.search);
    return status;
}
