/* components.c: connected components of an undirected graph.
 *
 * Afforest (Sutton, Ben-Nun, Barak 2018), one thread: link every vertex to its first two
 * neighbours, sample which component has become the giant one, then process the remaining arcs only
 * of vertices outside it.  An arc between the giant and another component is found from its other
 * end, because both arcs of an edge are stored; so most arcs of a usual graph are never read. Union
 * by smaller root: the root of a finished tree is its smallest vertex, and labels follow the order
 * of smallest vertices. */
#include "internal.h"

#define SAMPLES 1024

static uint32_t find(uint32_t *parents, uint32_t v)
{
    while (parents[v] != v) {
        parents[v] = parents[parents[v]];
        v = parents[v];
    }
    return v;
}

static void join(uint32_t *parents, uint32_t a, uint32_t b)
{
    a = find(parents, a);
    b = find(parents, b);
    if (a < b) parents[b] = a;
    else parents[a] = b;
}

/* The most frequent root among evenly spaced vertices (Boyer-Moore vote: any answer is correct, a
 * frequent one is fast). */
static uint32_t giant_root(uint32_t *parents, uint32_t n)
{
    const uint32_t step = n / SAMPLES + 1;
    uint32_t root = 0;
    uint32_t votes = 0;
    for (uint32_t v = 0; v < n; v += step) {
        const uint32_t candidate = find(parents, v);
        if (votes == 0) root = candidate;
        votes += candidate == root ? 1 : (uint32_t)-1;
    }
    return root;
}

/* labels (n): component numbers 0 .. count-1, in the order of each component's smallest vertex. */
void ql_components(const ql_csr *graph, uint32_t *labels, uint32_t *count, ql_cost *cost)
{
    const uint32_t n = graph->n;
    uint32_t components = 0;
    for (uint32_t v = 0; v < n; v++) labels[v] = v;
    for (uint32_t v = 0; v < n; v++) {
        const uint64_t begin = graph->offsets[v];
        const uint64_t end = graph->offsets[v + 1];
        for (uint64_t a = begin; a < end && a < begin + 2; a++) join(labels, v, graph->targets[a]);
        cost->edges += end - begin < 2 ? end - begin : 2;
    }
    const uint32_t giant = n ? giant_root(labels, n) : 0;
    for (uint32_t v = 0; v < n; v++) {
        if (graph->offsets[v] + 2 >= graph->offsets[v + 1] ||
            find(labels, v) == find(labels, giant))
            continue;
        for (uint64_t a = graph->offsets[v] + 2; a < graph->offsets[v + 1]; a++)
            join(labels, v, graph->targets[a]);
        cost->edges += graph->offsets[v + 1] - graph->offsets[v] - 2;
    }
    /* Roots are smallest members, so ascending order meets a root before anything that points to
     * it. */
    for (uint32_t v = 0; v < n; v++) labels[v] = labels[v] == v ? components++ : labels[labels[v]];
    *count = components;
}
