/* expand.c: visited-set expansion from seeds, level by level.
 *
 * Every node is reached once, at its smallest hop, so the work is bounded by the edges of what is
 * reached (walk enumeration, the default of several graph databases, is not bounded by anything).
 * No array is as long as the graph: visited nodes stand in an open-addressed table.  Most edges
 * lead to nodes that are known and do not become better, so beside the node a slot holds the score
 * that an edge must beat: the best of the level in work, more than any score for the levels before.
 * Its position in the answer stands apart and is read when that happens.
 *
 * Score of a node: the maximum, over the edges that lead to it from the level before, of
 * (score of the level before * weight) * discount, in float32.  Equal scores: the parent that
 * stands first in the answer, then the smaller type, then leaving before entering edges; so the
 * answer depends on the view alone and not on what is folded.  A product that overflows stays at
 * the largest float.
 *
 * A filter is part of the walk: a node that is not allowed is not entered, so nothing is reached
 * through it. The answer is that of the graph from which all such nodes but the seeds were removed.
 *
 * The budget counts edges of the asked types as they are looked at, also those to nodes that are
 * not allowed. When it runs out, the level in work keeps what it found, `partial` is set, and
 * nothing further is looked at. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "graph.h"

#define STEPS_FIRST 64u /* a power of two, as the table's mask needs */

typedef struct step { /* one reached node */
    uint32_t node;
    float score;
    uint32_t parent;
    uint16_t type;
    uint16_t hop;
} step;

typedef struct slot {
    uint32_t node; /* QL_NONE: free */
    float best;    /* the score to beat */
} slot;

typedef struct expansion {
    const ql_graph_view *view;
    ql_type_set types;
    const uint64_t *allowed; /* NULL: all */
    uint64_t allowed_nodes;
    int direction;
    float discount;
    uint64_t budget;
    uint64_t touched;
    uint32_t count;
    uint32_t capacity;
    step *steps;
    step *spare;         /* for sorting a level */
    slot *table;         /* twice as long as capacity */
    uint32_t *places;    /* index into steps, by slot */
    ql_scratch scratch;
} expansion;

void ql_reached_free(ql_reached *reached)
{
    if (!reached) return;
    ql_free(reached->nodes);
    ql_free(reached->scores);
    ql_free(reached->hops);
    ql_free(reached->parents);
    ql_free(reached->types);
    ql_free(reached);
}

/* The slot of a node, or the free slot where it belongs. */
static inline uint32_t slot_of(const expansion *work, uint32_t node)
{
    uint32_t mask = work->capacity * 2 - 1;
    uint32_t at = node * 0x9e3779b1u;
    for (at = (at ^ at >> 15) & mask; work->table[at].node != node; at = (at + 1) & mask) {
        if (work->table[at].node == QL_NONE) break;
    }
    return at;
}

/* Room for one more node. */
static int steps_reserve(expansion *work)
{
    if (work->count < work->capacity) return QL_OK;
    if (work->capacity > UINT32_MAX / 8) return QL_E_LIMIT;
    uint32_t capacity = work->capacity ? work->capacity * 2 : STEPS_FIRST;
    uint32_t slots = work->capacity * 2;
    step *steps = ql_realloc(work->steps, capacity, sizeof *steps);
    if (!steps) return QL_E_MEMORY;
    work->steps = steps;
    step *spare = ql_realloc(work->spare, capacity, sizeof *spare);
    if (!spare) return QL_E_MEMORY;
    work->spare = spare;
    uint32_t *places = ql_realloc(NULL, (size_t)capacity * 2, sizeof *places);
    slot *table = ql_realloc(NULL, (size_t)capacity * 2, sizeof *table);
    if (!places || !table) {
        ql_free(places);
        ql_free(table);
        return QL_E_MEMORY;
    }
    slot *old = work->table;
    uint32_t *old_places = work->places;
    work->table = table;
    work->places = places;
    work->capacity = capacity;
    memset(table, 0xff, (size_t)capacity * 2 * sizeof *table);
    for (uint32_t i = 0; i < slots; i++) {
        if (old[i].node == QL_NONE) continue;
        uint32_t at = slot_of(work, old[i].node);
        table[at] = old[i];
        places[at] = old_places[i];
    }
    ql_free(old);
    ql_free(old_places);
    return QL_OK;
}

/* A new node at its free slot. */
static void step_add(expansion *work, uint32_t at, const step *found, float best)
{
    work->table[at] = (slot){found->node, best};
    work->places[at] = work->count;
    work->steps[work->count++] = *found;
}

static int seeds_place(expansion *work, const uint32_t *seeds, const float *scores, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        float score = scores ? scores[i] : 1.0f;
        if (seeds[i] == QL_NONE || !isfinite(score)) return QL_E_INVALID;
        QL_TRY(steps_reserve(work));
        uint32_t at = slot_of(work, seeds[i]);
        if (work->table[at].node != QL_NONE) return QL_E_INVALID;
        step_add(work, at, &(step){seeds[i], score, QL_NONE, 0, 0}, INFINITY);
    }
    return QL_OK;
}

static bool is_allowed(const expansion *work, uint32_t node)
{
    if (!work->allowed) return true;
    return node < work->allowed_nodes && (work->allowed[node / 64] >> node % 64 & 1);
}

static float score_along(float score, float weight, float discount)
{
    float product = score * weight * discount;
    return isfinite(product) ? product : copysignf(FLT_MAX, product);
}

/* Look at one row of the node at `parent`; *going becomes false when the budget runs out. */
static int row_expand(expansion *work, uint32_t parent, int side, bool *going)
{
    uint16_t hop = (uint16_t)(work->steps[parent].hop + 1);
    float from = work->steps[parent].score;
    ql_row row;
    QL_TRY(ql_row_read(work->view->state, work->view->limit, work->steps[parent].node, side,
                       &work->scratch, &row));
    for (uint32_t i = 0; i < row.count; i++) {
        uint16_t type = ql_row_type(&row, i);
        if (!work->types.all && !ql_type_allowed(&work->types, type)) continue;
        if (work->touched == work->budget) {
            *going = false;
            return QL_OK;
        }
        work->touched++;
        uint32_t node = row.other[i];
        float score = score_along(from, ql_row_weight(&row, i), work->discount);
        uint32_t at = slot_of(work, node);
        bool known = work->table[at].node != QL_NONE;
        if (known && !(score > work->table[at].best)) continue;
        step found = {node, score, parent, type, hop};
        if (known) {
            work->table[at].best = score;
            work->steps[work->places[at]] = found;
        } else if (is_allowed(work, node)) {
            if (work->count == work->capacity) {
                QL_TRY(steps_reserve(work));
                at = slot_of(work, node);
            }
            step_add(work, at, &found, score);
        }
    }
    return QL_OK;
}

/* Order the steps from `from` on by node, which no edge makes better any more: byte-wise counting
 * sort, skipping bytes in which all agree. */
static void level_sort(expansion *work, uint32_t from)
{
    uint32_t n = work->count - from;
    step *here = work->steps + from;
    step *there = work->spare + from;
    uint32_t differing = 0;
    for (uint32_t i = 1; i < n; i++) differing |= here[i].node ^ here[0].node;
    for (uint32_t shift = 0; shift < 32; shift += 8) {
        if (((differing >> shift) & 0xff) == 0) continue;
        uint32_t start[256] = {0};
        for (uint32_t i = 0; i < n; i++) start[(here[i].node >> shift) & 0xff]++;
        uint32_t sum = 0;
        for (uint32_t digit = 0; digit < 256; digit++) {
            uint32_t count = start[digit];
            start[digit] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < n; i++) there[start[(here[i].node >> shift) & 0xff]++] = here[i];
        step *swap = here;
        here = there;
        there = swap;
    }
    if (here != work->steps + from) memcpy(work->steps + from, here, n * sizeof *here);
    for (uint32_t i = from; i < work->count; i++)
        work->table[slot_of(work, work->steps[i].node)].best = INFINITY;
}

static int levels_expand(expansion *work, uint32_t hops, bool *going)
{
    uint32_t from = 0;
    for (uint32_t hop = 0; hop < hops && *going; hop++) {
        uint32_t until = work->count;
        if (from == until) break;
        for (uint32_t parent = from; parent < until && *going; parent++) {
            if (work->direction & QL_OUT) QL_TRY(row_expand(work, parent, QL_SIDE_OUT, going));
            if (work->direction & QL_IN && *going)
                QL_TRY(row_expand(work, parent, QL_SIDE_IN, going));
        }
        level_sort(work, until);
        from = until;
    }
    return QL_OK;
}

/* The steps as columns. */
static int reached_make(const expansion *work, bool partial, ql_reached **reached)
{
    ql_reached *made = ql_alloc(1, sizeof *made);
    if (!made) return QL_E_MEMORY;
    size_t n = work->count ? work->count : 1; /* No zero-sized allocations. */
    made->count = work->count;
    made->partial = partial;
    made->nodes = ql_alloc(n, sizeof *made->nodes);
    made->scores = ql_alloc(n, sizeof *made->scores);
    made->hops = ql_alloc(n, sizeof *made->hops);
    made->parents = ql_alloc(n, sizeof *made->parents);
    made->types = ql_alloc(n, sizeof *made->types);
    if (!made->nodes || !made->scores || !made->hops || !made->parents || !made->types) {
        ql_reached_free(made);
        return QL_E_MEMORY;
    }
    for (uint32_t i = 0; i < work->count; i++) {
        made->nodes[i] = work->steps[i].node;
        made->scores[i] = work->steps[i].score;
        made->hops[i] = work->steps[i].hop;
        made->parents[i] = work->steps[i].parent;
        made->types[i] = work->steps[i].type;
    }
    *reached = made;
    return QL_OK;
}

int ql_graph_expand(const ql_graph_view *view, const uint32_t *seeds, const float *scores,
                    uint32_t n, uint32_t hops, int direction, const uint16_t *types,
                    uint32_t types_count, const uint64_t *allowed, uint64_t allowed_nodes,
                    float discount, uint64_t budget_edges, ql_reached **reached, ql_cost *cost)
{
    if (direction < QL_OUT || direction > QL_BOTH || hops > UINT16_MAX || !isfinite(discount))
        return QL_E_INVALID;
    expansion work = {.view = view,
                      .allowed = allowed,
                      .allowed_nodes = allowed_nodes,
                      .direction = direction,
                      .discount = discount,
                      .budget = budget_edges};
    QL_TRY(ql_type_set_make(types, types_count, &work.types));

    bool going = true;
    int status = seeds_place(&work, seeds, scores, n);
    if (status == QL_OK) status = levels_expand(&work, hops, &going);
    if (status == QL_OK) status = reached_make(&work, !going, reached);
    if (status == QL_OK && cost) {
        cost->edges += work.touched;
        cost->bytes += work.touched * QL_EDGE_READ_BYTES;
    }
    ql_free(work.steps);
    ql_free(work.spare);
    ql_free(work.table);
    ql_free(work.places);
    ql_scratch_free(&work.scratch);
    return status;
}
