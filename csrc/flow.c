/* flow.c: minimum cuts between vertices or groups of an undirected graph, and cut trees.
 *
 * Two searches, from the sources and from the targets, grow by equal counts of residual arcs until
 * they meet; the path takes its bottleneck, and they start again.  When one runs dry, what it
 * reached is a side of a minimum cut: no proof over the whole graph is needed, and most cuts of a
 * knowledge graph (the star of one end) cost a few hundred arcs.  Hubs carry thousands of paths:
 * after QL_FLOW_PATHS_MAX augmentations Dinic (1970) goes on from the same flow, with levels
 * counted from the targets and current arcs.  A group is its vertices as roots of one search: no
 * super vertex is added.  When the flow reaches the weight around one terminal set, that set is the
 * side.
 *
 * Nothing is cleared per query but what the query touched: vertices carry the epoch of the search
 * that reached them, and arcs that got flow are listed.
 *
 * Layout: ql_arc is 16 bytes, four to a cache line; a scan reads target, weight and flow, which lie
 * together.  The residual weight of arc a is weight - flow, that of its reverse is weight + flow:
 * scanning backward needs no second lookup.
 *
 * Cut trees: Gusfield (1990), the variant that exchanges a vertex with its parent when the parent's
 * parent falls on its side. The shorter variant without it gives only an equivalent-flow tree,
 * whose edges are not cuts. */
#include "flow.h"

#include <string.h>

struct ql_flow { /* one thread at a time */
    ql_network network;
    ql_row *rows;
    ql_arc *arcs;
    uint64_t *degrees;
};

typedef struct terminals {
    const uint32_t *sources;
    const uint32_t *targets;
    uint32_t sources_count;
    uint32_t targets_count;
} terminals;

typedef struct frontier { /* two queues in one array, and where the searches met */
    uint32_t front_head;
    uint32_t front_tail;
    uint32_t back_head; /* from the end of the array, counted down */
    uint32_t back_tail;
    uint64_t front_work;
    uint64_t back_work;
    uint32_t met_tail; /* reached from the sources */
    uint32_t met_head; /* reached from the targets */
    uint32_t met_arc;  /* tail -> head */
} frontier;

_Static_assert(sizeof(ql_arc) == 16, "four arcs to a cache line");

int ql_network_open(ql_network *network, uint32_t n)
{
    network->n = n;
    network->marks = ql_alloc(n, sizeof *network->marks);
    network->via = ql_alloc(n, sizeof *network->via);
    network->levels = ql_alloc(n, sizeof *network->levels);
    network->cursors = ql_alloc(n, sizeof *network->cursors);
    network->queue = ql_alloc(n, sizeof *network->queue);
    if (network->marks && network->via && network->levels && network->cursors && network->queue)
        return QL_OK;
    ql_network_close(network);
    return QL_E_MEMORY;
}

void ql_network_close(ql_network *network)
{
    ql_free(network->touched);
    ql_free(network->queue);
    ql_free(network->cursors);
    ql_free(network->levels);
    ql_free(network->via);
    ql_free(network->marks);
    network->touched = network->queue = network->cursors = network->levels = network->via =
        network->marks = NULL;
    network->touched_count = network->touched_capacity = 0;
}

static void next_epoch(ql_network *network)
{
    network->epoch += 2;
    if (network->epoch == 0) { /* All numbers are used up: old marks could look new. */
        memset(network->marks, 0, network->n * sizeof *network->marks);
        network->epoch = 2;
    }
}

/* Move amount along an arc; remembers it for clearing. */
static int push(ql_network *network, uint32_t arc, int64_t amount)
{
    ql_arc *forward = &network->arcs[arc];
    if (forward->flow == 0) {
        if (network->touched_count == network->touched_capacity) {
            const uint64_t capacity = network->touched_capacity ? 2 * network->touched_capacity
                                                                : 256;
            uint32_t *grown = ql_realloc(network->touched, capacity, sizeof *grown);
            if (!grown) return QL_E_MEMORY;
            network->touched = grown;
            network->touched_capacity = capacity;
        }
        network->touched[network->touched_count++] = arc;
    }
    forward->flow = (int32_t)(forward->flow + amount);
    network->arcs[forward->reverse].flow = -forward->flow;
    return QL_OK;
}

static void clear(ql_network *network)
{
    for (uint64_t i = 0; i < network->touched_count; i++) {
        ql_arc *arc = &network->arcs[network->touched[i]];
        network->arcs[arc->reverse].flow = 0;
        arc->flow = 0;
    }
    network->touched_count = 0;
}

static uint64_t residual(const ql_arc *arc, int backward)
{
    return (uint64_t)(backward ? (int64_t)arc->weight + arc->flow
                               : (int64_t)arc->weight - arc->flow);
}

/* ---- searching from both ends ---- */

static int mark_terminals(ql_network *network, const terminals *ends, frontier *f)
{
    next_epoch(network);
    *f = (frontier){.back_head = network->n, .back_tail = network->n};
    for (uint32_t i = 0; i < ends->sources_count; i++) {
        const uint32_t v = ends->sources[i];
        if (network->marks[v] == network->epoch) continue;
        network->marks[v] = network->epoch;
        network->via[v] = QL_NONE;
        network->queue[f->front_tail++] = v;
    }
    for (uint32_t i = 0; i < ends->targets_count; i++) {
        const uint32_t v = ends->targets[i];
        if (network->marks[v] == network->epoch) return QL_E_INVALID;
        if (network->marks[v] == network->epoch + 1) continue;
        network->marks[v] = network->epoch + 1;
        network->via[v] = QL_NONE;
        network->queue[--f->back_tail] = v;
    }
    return QL_OK;
}

/* Scan one vertex of one search; 1 if it met the other. */
static int grow(ql_network *network, frontier *f, int backward)
{
    const uint32_t mine = network->epoch + (uint32_t)backward;
    const uint32_t v = network->queue[backward ? --f->back_head : f->front_head++];
    const ql_row row = network->rows[v];
    for (uint32_t i = 0; i < row.length; i++) {
        const ql_arc *arc = &network->arcs[row.begin + i];
        const uint32_t t = arc->target;
        const uint32_t mark = network->marks[t];
        if (mark == mine || residual(arc, backward) == 0) continue;
        if ((mark ^ 1) == mine) {
            f->met_tail = backward ? t : v;
            f->met_head = backward ? v : t;
            f->met_arc = backward ? arc->reverse : row.begin + i;
            network->edges += i + 1;
            return 1;
        }
        network->marks[t] = mine;
        network->via[t] = row.begin + i;
        network->queue[backward ? --f->back_tail : f->front_tail++] = t;
    }
    network->edges += row.length;
    *(backward ? &f->back_work : &f->front_work) += row.length + 1;
    return 0;
}

/* The search that would be behind after its next row goes on: a hub waits until the other side has
 * cost as much. */
static int searches_meet(ql_network *network, frontier *f)
{
    while (f->front_head < f->front_tail && f->back_head > f->back_tail) {
        const uint64_t front = f->front_work + network->rows[network->queue[f->front_head]].length;
        const uint64_t back = f->back_work + network->rows[network->queue[f->back_head - 1]].length;
        if (grow(network, f, back < front)) return 1;
    }
    return 0;
}

/* Send the bottleneck of the path through the meeting arc. */
static int augment(ql_network *network, const frontier *f, uint64_t *value)
{
    ql_arc *arcs = network->arcs;
    uint64_t amount = residual(&arcs[f->met_arc], 0);
    for (uint32_t a = network->via[f->met_tail]; a != QL_NONE;
         a = network->via[arcs[arcs[a].reverse].target])
        if (residual(&arcs[a], 0) < amount) amount = residual(&arcs[a], 0);
    for (uint32_t a = network->via[f->met_head]; a != QL_NONE;
         a = network->via[arcs[arcs[a].reverse].target])
        if (residual(&arcs[a], 1) < amount) amount = residual(&arcs[a], 1);
    QL_TRY(push(network, f->met_arc, (int64_t)amount));
    for (uint32_t a = network->via[f->met_tail]; a != QL_NONE;
         a = network->via[arcs[arcs[a].reverse].target])
        QL_TRY(push(network, a, (int64_t)amount));
    for (uint32_t a = network->via[f->met_head]; a != QL_NONE;
         a = network->via[arcs[arcs[a].reverse].target])
        QL_TRY(push(network, arcs[a].reverse, (int64_t)amount));
    *value += amount;
    return QL_OK;
}

/* ---- Dinic ---- */

/* Levels counted from the targets; 1 if a source was reached. The queue then starts at the
 * front. */
static int count_levels(ql_network *network, const terminals *ends, uint32_t *reached)
{
    uint32_t head = 0;
    uint32_t tail = 0;
    uint32_t stop = QL_NONE; /* the level of the nearest source */
    next_epoch(network);
    for (uint32_t i = 0; i < ends->sources_count; i++)
        network->marks[ends->sources[i]] = network->epoch;
    for (uint32_t i = 0; i < ends->targets_count; i++) {
        const uint32_t v = ends->targets[i];
        if (network->marks[v] == network->epoch + 1) continue;
        network->marks[v] = network->epoch + 1;
        network->levels[v] = 0;
        network->queue[tail++] = v;
    }
    while (head < tail) {
        const uint32_t v = network->queue[head++];
        const ql_row row = network->rows[v];
        if (network->levels[v] >= stop) break; /* Farther vertices lie on no shortest path. */
        network->cursors[v] = 0;
        for (uint32_t i = 0; i < row.length; i++) {
            const ql_arc *arc = &network->arcs[row.begin + i];
            if (network->marks[arc->target] == network->epoch + 1 || residual(arc, 1) == 0)
                continue;
            if (network->marks[arc->target] == network->epoch) stop = network->levels[v] + 1;
            network->marks[arc->target] = network->epoch + 1;
            network->levels[arc->target] = network->levels[v] + 1;
            network->cursors[arc->target] = 0;
            network->queue[tail++] = arc->target;
        }
        network->edges += row.length;
    }
    *reached = tail;
    return stop != QL_NONE;
}

/* Push along the path in `via` (each vertex names the arc it leaves by); returns the vertex where
 * it is now saturated. */
static int push_path(ql_network *network, uint32_t source, uint64_t room, uint64_t *value,
                     uint32_t *back_to)
{
    uint64_t amount = room;
    uint32_t v = source;
    for (; network->levels[v] > 0; v = network->arcs[network->via[v]].target) {
        const uint64_t r = residual(&network->arcs[network->via[v]], 0);
        if (r < amount) amount = r;
    }
    *back_to = source;
    int found = 0;
    for (v = source; network->levels[v] > 0;) {
        const uint32_t arc = network->via[v];
        QL_TRY(push(network, arc, (int64_t)amount));
        if (!found && residual(&network->arcs[arc], 0) == 0) {
            *back_to = v;
            found = 1;
        }
        v = network->arcs[arc].target;
    }
    *value += amount;
    return QL_OK;
}

/* A blocking flow from one source. The path is kept in via/back: back[v] is the vertex before v,
 * held in the queue's slots. */
static int block(ql_network *network, uint32_t source, uint64_t limit, uint64_t *value)
{
    uint32_t v = source;
    if (network->marks[source] != network->epoch + 1) return QL_OK;
    while (*value < limit) {
        if (network->levels[v] == 0) {
            QL_TRY(push_path(network, source, limit - *value, value, &v));
            continue;
        }
        const ql_row row = network->rows[v];
        uint32_t i = network->cursors[v];
        for (; i < row.length; i++) {
            const ql_arc *arc = &network->arcs[row.begin + i];
            if (network->marks[arc->target] == network->epoch + 1 &&
                network->levels[arc->target] + 1 == network->levels[v] && residual(arc, 0) > 0)
                break;
        }
        network->edges += i - network->cursors[v] + 1;
        network->cursors[v] = i;
        if (i < row.length) { /* Advance. */
            network->via[v] = row.begin + i;
            v = network->arcs[row.begin + i].target;
            continue;
        }
        network->levels[v] = QL_NONE - 1; /* A dead end, for everybody. */
        if (v == source) return QL_OK;
        /* Paths are short in levels: walk them again instead of keeping a stack. */
        uint32_t before = source;
        while (network->arcs[network->via[before]].target != v)
            before = network->arcs[network->via[before]].target;
        v = before;
    }
    return QL_OK;
}

static int dinic(ql_network *network, const terminals *ends, uint64_t limit, uint64_t *value,
                 uint32_t *reached)
{
    while (*value < limit && count_levels(network, ends, reached))
        for (uint32_t i = 0; i < ends->sources_count; i++)
            QL_TRY(block(network, ends->sources[i], limit, value));
    return QL_OK;
}

/* ---- the cut ---- */

/* Weight of the arcs that leave a terminal set: a cut at once. mark: what its vertices carry. */
static uint64_t weight_around(ql_network *network, const uint32_t *set, uint32_t count,
                              uint32_t mark)
{
    uint64_t sum = 0;
    if (count == 1) return network->degrees[set[0]];
    for (uint32_t i = 0; i < count; i++) {
        const ql_row row = network->rows[set[i]];
        for (uint32_t a = row.begin; a < row.begin + row.length; a++)
            if (network->marks[network->arcs[a].target] != mark) sum += network->arcs[a].weight;
        network->edges += row.length;
    }
    return sum;
}

static int run(ql_network *network, const terminals *ends, uint64_t limit, uint64_t *value,
               uint32_t *first, uint32_t *count, uint32_t *source_side)
{
    frontier f;
    QL_TRY(mark_terminals(network, ends, &f));
    const uint32_t roots = f.front_tail; /* Without repetitions: the queue holds each once. */
    const uint32_t sinks = network->n - f.back_tail;
    const uint64_t around_sources = weight_around(network, network->queue, roots, network->epoch);
    const uint64_t around_targets = weight_around(network, network->queue + f.back_tail, sinks,
                                                  network->epoch + 1);
    const uint64_t trivial = around_sources < around_targets ? around_sources : around_targets;
    for (int paths = 0; *value < limit && *value < trivial; paths++) {
        if (paths == QL_FLOW_PATHS_MAX) {
            *first = *source_side = 0;
            QL_TRY(dinic(network, ends, limit < trivial ? limit : trivial, value, count));
            break;
        }
        if (paths) QL_TRY(mark_terminals(network, ends, &f));
        if (!searches_meet(network, &f)) {
            *source_side = f.front_head == f.front_tail;
            *first = *source_side ? 0 : f.back_tail;
            *count = *source_side ? f.front_tail : network->n - f.back_tail;
            return QL_OK;
        }
        QL_TRY(augment(network, &f, value));
    }
    if (*value < trivial || *value >= limit) return QL_OK;
    QL_TRY(mark_terminals(network, ends, &f)); /* A terminal set alone is the side. */
    *source_side = around_sources == trivial;
    *first = *source_side ? 0 : f.back_tail;
    *count = *source_side ? roots : sinks;
    return QL_OK;
}

int ql_network_cut(ql_network *network, const uint32_t *sources, uint32_t sources_count,
                   const uint32_t *targets, uint32_t targets_count, uint64_t limit, uint64_t *value,
                   const uint32_t **members, uint32_t *count, uint32_t *source_side)
{
    const terminals ends = {sources, targets, sources_count, targets_count};
    uint64_t flow = 0;
    uint32_t first = 0;
    uint32_t size = 0;
    uint32_t side = 0;
    assert(network->touched_count == 0);
    const int status = run(network, &ends, limit, &flow, &first, &size, &side);
    clear(network);
    if (status != QL_OK) return status;
    *value = flow;
    *members = network->queue + first;
    *count = flow < limit ? size : 0;
    *source_side = side;
    return QL_OK;
}

/* ---- the public handle ---- */

/* Arcs with their reverses, in one pass: rows ascend, so the arcs into v are met in the order of
 * v's row. */
static int link_arcs(ql_flow *flow, const ql_csr *graph, const uint32_t *weights, uint32_t *cursors)
{
    for (uint32_t v = 0; v < graph->n; v++) {
        const uint64_t begin = graph->offsets[v];
        flow->rows[v] = (ql_row){(uint32_t)begin, (uint32_t)(graph->offsets[v + 1] - begin), 0};
        cursors[v] = (uint32_t)begin;
    }
    for (uint32_t v = 0; v < graph->n; v++)
        for (uint64_t a = graph->offsets[v]; a < graph->offsets[v + 1]; a++) {
            const uint32_t t = graph->targets[a];
            const uint32_t w = weights ? weights[a] : 1;
            if (t == v || cursors[t] >= graph->offsets[t + 1] || graph->targets[cursors[t]] != v)
                return QL_E_INVALID;
            if (w == 0 || w > QL_FLOW_WEIGHT_MAX || (weights && weights[cursors[t]] != w))
                return QL_E_INVALID;
            flow->arcs[a] = (ql_arc){t, w, cursors[t]++, 0};
            flow->degrees[v] += w;
        }
    return QL_OK;
}

/* Copy a graph for s-t cuts. Rows strictly ascending, no loops, weights 1 .. QL_FLOW_WEIGHT_MAX or
 * NULL for ones; QL_E_INVALID otherwise, QL_E_LIMIT from 2^32 - 1 arcs. */
int ql_flow_open(const ql_csr *graph, const uint32_t *weights, ql_flow **flow)
{
    int status = QL_E_MEMORY;
    const uint64_t arcs = graph->offsets[graph->n];
    if (arcs >= QL_NONE) return QL_E_LIMIT;
    ql_flow *made = ql_alloc(1, sizeof *made);
    if (!made) return QL_E_MEMORY;
    made->rows = ql_alloc(graph->n, sizeof *made->rows);
    made->arcs = ql_alloc_aligned(arcs, sizeof *made->arcs, 64);
    made->degrees = ql_alloc(graph->n, sizeof *made->degrees);
    if (!made->rows || !made->arcs || !made->degrees) goto failed;
    status = ql_network_open(&made->network, graph->n);
    if (status != QL_OK) goto failed;
    made->network.rows = made->rows;
    made->network.arcs = made->arcs;
    made->network.degrees = made->degrees;
    status = link_arcs(made, graph, weights, made->network.cursors);
    if (status != QL_OK) goto failed;
    *flow = made;
    return QL_OK;
failed:
    ql_flow_close(made);
    return status;
}

void ql_flow_close(ql_flow *flow)
{
    if (!flow) return;
    ql_network_close(&flow->network);
    ql_free(flow->degrees);
    ql_free(flow->arcs);
    ql_free(flow->rows);
    ql_free(flow);
}

static int inside(const ql_flow *flow, const uint32_t *set, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (set[i] >= flow->network.n) return 0;
    return count > 0;
}

/* A lightest cut between two groups. limit: stop when the flow reaches it (value is then at least
 * limit and count is 0); 0 for none.  members (n): one side; count: how many; source_side: 1 if
 * they are the sources' side. QL_E_INVALID if a group is empty, names no vertex, or the groups
 * share one. */
int ql_flow_cut(ql_flow *flow, const uint32_t *sources, uint32_t sources_count,
                const uint32_t *targets, uint32_t targets_count, uint64_t limit, uint64_t *value,
                uint32_t *members, uint32_t *count, uint32_t *source_side, ql_cost *cost)
{
    const uint32_t *found;
    const uint64_t before = flow->network.edges;
    if (!inside(flow, sources, sources_count) || !inside(flow, targets, targets_count))
        return QL_E_INVALID;
    QL_TRY(ql_network_cut(&flow->network, sources, sources_count, targets, targets_count,
                          limit ? limit : UINT64_MAX, value, &found, count, source_side));
    memcpy(members, found, *count * sizeof *members);
    cost->edges += flow->network.edges - before;
    return QL_OK;
}

/* A cut tree of k distinct terminals: parents (k) positions in terminals (the root, 0, is its own),
 * weights (k) of the edge to the parent (0 at the root).  Removing an edge splits the terminals as
 * a minimum cut of that weight does.  k - 1 flows. */
int ql_flow_tree(ql_flow *flow, const uint32_t *terminals_in, uint32_t k, uint32_t *parents,
                 uint64_t *weights, ql_cost *cost)
{
    const uint64_t before = flow->network.edges;
    int status = QL_OK;
    if (!inside(flow, terminals_in, k)) return QL_E_INVALID;
    uint8_t *in_side = ql_alloc(flow->network.n, 1);
    if (!in_side) return QL_E_MEMORY;
    for (uint32_t i = 0; i < k; i++) {
        if (in_side[terminals_in[i]]) status = QL_E_INVALID;
        in_side[terminals_in[i]] = 1;
        parents[i] = 0;
        weights[i] = 0;
    }
    for (uint32_t s = 1; s < k && status == QL_OK; s++) {
        const uint32_t t = parents[s];
        const uint32_t *members;
        uint32_t count, source_side;
        uint64_t value;
        status = ql_network_cut(&flow->network, terminals_in + s, 1, terminals_in + t, 1,
                                UINT64_MAX, &value, &members, &count, &source_side);
        if (status != QL_OK) break;
        memset(in_side, !source_side, flow->network.n);
        for (uint32_t i = 0; i < count; i++) in_side[members[i]] = (uint8_t)source_side;
        weights[s] = value;
        for (uint32_t i = 0; i < k; i++)
            if (i != s && i != t && parents[i] == t && in_side[terminals_in[i]]) parents[i] = s;
        /* The parent's parent came along: exchange the two. */
        if (t != 0 && in_side[terminals_in[parents[t]]]) {
            parents[s] = parents[t];
            parents[t] = s;
            weights[s] = weights[t];
            weights[t] = value;
        }
    }
    ql_free(in_side);
    cost->edges += flow->network.edges - before;
    return status;
}
