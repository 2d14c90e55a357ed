/* push.c: personalised PageRank near some seeds, by forward push (Andersen, Chung, Lang, FOCS
 * 2006).
 *
 * Every touched node has an estimate p and a residual r; at first r is the seeds' share of 1.
 * Pushing a node moves alpha of its residual to its estimate and spreads the rest over its edges by
 * weight (a node without edges gives it back to the seeds, as networkx does, or keeps all of it).
 * At any moment, exactly, rank(v) = p(v) + sum over u of r(u) * rank of v seen from u alone, so p
 * never overestimates and the sum of all errors is the sum of the residuals, which is returned.  A
 * node is pushed while r(v) > epsilon * degree(v); each push takes at least alpha * epsilon *
 * degree(v) from the residual, so at most 1 / (alpha * epsilon) edges are touched, however large
 * the graph.  On undirected graphs (QL_BOTH, unit weights) the error of v is at most epsilon *
 * degree(v).
 *
 * Degrees are only looked at when a residual passes epsilon, for which degree 1 would do: a row
 * that is never pushed is mostly never read, and of one whose degree says that it is not pushed yet
 * (hubs) only the length.  The queue is first in, first out, so the answer
 * depends on the view alone, and what is wanted next is known: rows are fetched ahead (a search of
 * 3,000 edges met a row that lay anywhere some thousand times). */
#include <math.h>

#include "graph.h"
#include "order.h"

#define DEGREE_UNKNOWN 0x7fffffffu
#define SHARES_FIRST 4096u /* a power of two: growing costs as much as all searching before it */
#define QUEUE_FIRST 256u   /* a power of two */
#define AHEAD_ROW 12u      /* places of the queue ahead at which the place of a row is fetched, */
#define AHEAD_EDGES 6u     /* and its edges */

typedef struct share { /* half a cache line: one miss for all that is known of a node */
    uint32_t node;
    uint32_t queued : 1;
    uint32_t degree : 31; /* DEGREE_UNKNOWN: not known yet */
    double rank;
    double residual;
    double weight;        /* of all its edges; below 0: not known yet */
} share;
_Static_assert(sizeof(share) == 32, "share");

typedef struct pushing {
    const ql_graph_view *view;
    ql_type_set types;
    bool stays; /* a walk that cannot go on */
    int direction;
    double alpha;
    double epsilon;
    uint64_t budget;
    uint64_t touched;
    const uint32_t *seeds;
    double *seed_shares; /* sum 1 */
    uint32_t seed_count;
    share *shares;       /* in the order in which they were touched */
    uint32_t count;
    uint32_t capacity;
    /* 1 + position in shares; 0: free; open addressing, twice as long as capacity, a power of
     * two */
    uint32_t *table;
    uint32_t *queue;     /* a ring of queue_capacity, a power of two */
    uint32_t queue_capacity;
    uint32_t queue_head;
    uint32_t queue_count;
    ql_scratch scratch[QL_SIDES];
} pushing;

void ql_ranks_free(ql_ranks *ranks)
{
    if (!ranks) return;
    ql_free(ranks->nodes);
    ql_free(ranks->ranks);
    ql_free(ranks);
}

static int queue_add(pushing *work, uint32_t at)
{
    if (work->queue_count == work->queue_capacity) {
        uint32_t capacity = work->queue_capacity ? work->queue_capacity * 2 : QUEUE_FIRST;
        uint32_t *queue = ql_alloc(capacity, sizeof *queue);
        if (!queue) return QL_E_MEMORY;
        for (uint32_t i = 0; i < work->queue_count; i++) {
            queue[i] = work->queue[(work->queue_head + i) & (work->queue_capacity - 1)];
        }
        ql_free(work->queue);
        work->queue = queue;
        work->queue_capacity = capacity;
        work->queue_head = 0;
    }
    work->queue[(work->queue_head + work->queue_count++) & (work->queue_capacity - 1)] = at;
    return QL_OK;
}

/* The slot of a node, or the free slot where it belongs. */
static uint32_t *slot_of(const pushing *work, uint32_t node)
{
    uint32_t mask = work->capacity * 2 - 1;
    uint32_t at = node * 0x9e3779b1u;
    for (at ^= at >> 15;; at++) {
        uint32_t *slot = &work->table[at & mask];
        if (*slot == 0 || work->shares[*slot - 1].node == node) return slot;
    }
}

static int shares_grow(pushing *work)
{
    if (work->capacity > UINT32_MAX / 8) return QL_E_LIMIT;
    uint32_t capacity = work->capacity ? work->capacity * 2 : SHARES_FIRST;
    share *shares = ql_realloc(work->shares, capacity, sizeof *shares);
    if (!shares) return QL_E_MEMORY;
    work->shares = shares;
    uint32_t *table = ql_alloc((size_t)capacity * 2, sizeof *table);
    if (!table) return QL_E_MEMORY;
    ql_free(work->table);
    work->table = table;
    work->capacity = capacity;
    for (uint32_t i = 0; i < work->count; i++) *slot_of(work, shares[i].node) = i + 1;
    return QL_OK;
}

/* More residual for a node. */
static int share_add(pushing *work, uint32_t node, double residual)
{
    if (work->count == work->capacity) QL_TRY(shares_grow(work));
    uint32_t *slot = slot_of(work, node);
    if (*slot == 0) {
        work->shares[work->count] = (share){.node = node, .degree = DEGREE_UNKNOWN, .weight = -1};
        *slot = ++work->count;
    }
    uint32_t at = *slot - 1;
    share *one = &work->shares[at];
    one->residual += residual;
    double least = one->degree == DEGREE_UNKNOWN || one->degree == 0 ? work->epsilon
                                                                     : work->epsilon * one->degree;
    if (one->queued || one->residual <= least) return QL_OK;
    one->queued = 1;
    return queue_add(work, at);
}

/* Fetch what the nodes further back in the queue will be asked for: rows lie anywhere in memory. */
static void queue_fetch(const pushing *work)
{
    for (int edges = 0; edges < 2; edges++) {
        uint32_t ahead = edges ? AHEAD_EDGES : AHEAD_ROW;
        if (ahead >= work->queue_count) continue;
        const share *one =
            &work->shares[work->queue[(work->queue_head + ahead) & (work->queue_capacity - 1)]];
        if (work->direction & QL_OUT)
            ql_row_fetch(work->view->state, one->node, QL_SIDE_OUT, edges);
        if (work->direction & QL_IN) ql_row_fetch(work->view->state, one->node, QL_SIDE_IN, edges);
    }
}

/* Degree and total weight of the allowed edges of a row. */
static int row_measure(const pushing *work, const ql_row *row, uint32_t *degree, double *weight)
{
    /* Equal weights need no walk. */
    if (row->count > 0 && work->types.all && row->weight_width == 0) {
        *weight += (double)row->weight_values[0] * row->count;
        *degree += row->count;
        return row->weight_values[0] < 0 ? QL_E_INVALID : QL_OK;
    }
    for (uint32_t i = 0; i < row->count; i++) {
        if (!work->types.all && !ql_type_allowed(&work->types, ql_row_type(row, i))) continue;
        float one = ql_row_weight(row, i);
        if (one < 0) return QL_E_INVALID;
        *weight += one;
        *degree += 1;
    }
    return QL_OK;
}

/* The rows of a node, and its degree and weight as far as they are needed to know whether it is
 * pushed: the degree takes no walk when all types are followed. */
static int node_measure(pushing *work, share *one, ql_row rows[QL_SIDES])
{
    uint32_t degree = 0;
    double weight = 0;
    for (int side = 0; side < QL_SIDES; side++) {
        if (!(work->direction & (side == QL_SIDE_OUT ? QL_OUT : QL_IN))) continue;
        QL_TRY(ql_row_read(work->view->state, work->view->limit, one->node, side,
                           &work->scratch[side], &rows[side]));
        degree += rows[side].count;
    }
    if (one->weight >= 0) return QL_OK;
    if (!work->types.all || one->residual > work->epsilon * degree) {
        degree = 0;
        for (int side = 0; side < QL_SIDES; side++)
            QL_TRY(row_measure(work, &rows[side], &degree, &weight));
        one->weight = weight;
    }
    one->degree = degree < DEGREE_UNKNOWN ? degree : DEGREE_UNKNOWN - 1;
    return QL_OK;
}

static int row_spread(pushing *work, const ql_row *row, double per_weight)
{
    for (uint32_t i = 0; i < row->count; i++) {
        if (!work->types.all && !ql_type_allowed(&work->types, ql_row_type(row, i))) continue;
        QL_TRY(share_add(work, row->other[i], per_weight * (double)ql_row_weight(row, i)));
    }
    return QL_OK;
}

static int node_push(pushing *work, uint32_t at)
{
    ql_row rows[QL_SIDES] = {{0}, {0}};
    share *one = &work->shares[at];
    QL_TRY(node_measure(work, one, rows));
    uint32_t degree = one->degree;
    double weight = one->weight;
    one->queued = 0;
    if (one->residual <= work->epsilon * (degree ? degree : 1)) return QL_OK;
    double residual = one->residual;
    double rest = (1 - work->alpha) * residual;
    one->rank += work->alpha * residual;
    one->residual = 0;
    /* So that the budget also ends walks among nodes without edges. */
    work->touched += degree ? degree : 1;
    if (weight > 0) {
        for (int side = 0; side < QL_SIDES; side++)
            QL_TRY(row_spread(work, &rows[side], rest / weight));
        return QL_OK;
    }
    if (work->stays) { /* Each round would give it alpha of what is left: all in the end. */
        one->rank += rest;
        return QL_OK;
    }
    for (uint32_t i = 0; i < work->seed_count; i++) {
        QL_TRY(share_add(work, work->seeds[i], rest * work->seed_shares[i]));
    }
    return QL_OK;
}

static int seeds_check(pushing *work, const uint32_t *seeds, const float *weights, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        float weight = weights ? weights[i] : 1.0f;
        if (seeds[i] == QL_NONE || !isfinite(weight) || weight < 0) return QL_E_INVALID;
        sum += (double)weight;
    }
    if (n > 0 && !(sum > 0)) return QL_E_INVALID;
    work->seeds = seeds;
    work->seed_count = n;
    work->seed_shares = ql_alloc(n, sizeof *work->seed_shares);
    if (!work->seed_shares) return QL_E_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        work->seed_shares[i] = (weights ? (double)weights[i] : 1.0) / sum;
    }
    return QL_OK;
}

static int push_all(pushing *work, bool *going)
{
    for (uint32_t i = 0; i < work->seed_count; i++) {
        QL_TRY(share_add(work, work->seeds[i], work->seed_shares[i]));
    }
    while (work->queue_count > 0) {
        if (work->touched >= work->budget) {
            *going = false;
            return QL_OK;
        }
        queue_fetch(work);
        uint32_t at = work->queue[work->queue_head];
        work->queue_head = (work->queue_head + 1) & (work->queue_capacity - 1);
        work->queue_count--;
        QL_TRY(node_push(work, at));
    }
    return QL_OK;
}

/* Nodes with an estimate, best first; equal ranks by node. */
static int ranks_make(const pushing *work, bool partial, ql_ranks **ranks)
{
    uint64_t *keys = ql_alloc((size_t)work->count * 2 + 1, sizeof *keys); /* Half of it spare. */
    ql_ranks *made = ql_alloc(1, sizeof *made);
    if (made) {
        made->nodes = ql_alloc((size_t)work->count + 1, sizeof *made->nodes);
        made->ranks = ql_alloc((size_t)work->count + 1, sizeof *made->ranks);
    }
    if (!keys || !made || !made->nodes || !made->ranks) {
        ql_free(keys);
        ql_ranks_free(made);
        return QL_E_MEMORY;
    }
    made->partial = partial;
    for (uint32_t at = 0; at < work->count; at++) {
        const share *one = &work->shares[at];
        made->residual += one->residual;
        if (one->rank > 0)
            keys[made->count++] = (uint64_t)order_descending((float)one->rank) << 32 | one->node;
    }
    order_keys_spare(keys, keys + made->count, made->count);
    for (uint64_t i = 0; i < made->count; i++) {
        made->nodes[i] = (uint32_t)keys[i];
        made->ranks[i] = order_score((uint32_t)(keys[i] >> 32));
    }
    ql_free(keys);
    *ranks = made;
    return QL_OK;
}

int ql_graph_rank(const ql_graph_view *view, const uint32_t *seeds, const float *weights,
                  uint32_t n, double alpha, double epsilon, int stays, int direction,
                  const uint16_t *types, uint32_t types_count, uint64_t budget_edges,
                  ql_ranks **ranks, ql_cost *cost)
{
    if (direction < QL_OUT || direction > QL_BOTH) return QL_E_INVALID;
    if (!(alpha > 0 && alpha <= 1) || !(epsilon > 0 && epsilon <= 1)) return QL_E_INVALID;
    pushing work = {.view = view, .stays = stays != 0, .direction = direction, .alpha = alpha,
                    .epsilon = epsilon, .budget = budget_edges};
    QL_TRY(ql_type_set_make(types, types_count, &work.types));

    bool going = true;
    int status = seeds_check(&work, seeds, weights, n);
    if (status == QL_OK) status = push_all(&work, &going);
    if (status == QL_OK) status = ranks_make(&work, !going, ranks);
    if (status == QL_OK && cost) {
        cost->edges += work.touched;
        cost->bytes += work.touched * QL_EDGE_READ_BYTES;
    }
    ql_free(work.seed_shares);
    ql_free(work.shares);
    ql_free(work.queue);
    ql_free(work.table);
    for (int side = 0; side < QL_SIDES; side++) ql_scratch_free(&work.scratch[side]);
    return status;
}
