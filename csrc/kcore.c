/* kcore.c: core numbers: the largest k for which a vertex lies in a subgraph where all have degree
 * k.
 *
 * Batagelj, Zaversnik (2003): vertices in buckets by degree, peeled from the lowest; a neighbour
 * that loses a peeled vertex moves one bucket down by changing places with the first of its own.
 * O(n + m), three columns. */
#include <string.h>

#include "internal.h"

typedef struct peeling {
    uint32_t *order;     /* vertices by current degree */
    uint32_t *positions; /* of vertices in order */
    uint32_t *starts;    /* [degree]: where its vertices begin in order */
} peeling;

static void lower(peeling *p, uint32_t *degrees, uint32_t v)
{
    const uint32_t degree = degrees[v]--;
    const uint32_t at = p->positions[v];
    const uint32_t first = p->starts[degree]++;
    const uint32_t other = p->order[first];
    p->order[at] = other;
    p->positions[other] = at;
    p->order[first] = v;
    p->positions[v] = first;
}

/* cores (n): core numbers of a graph without loops and parallel arcs. */
int ql_core_numbers(const ql_csr *graph, uint32_t *cores, ql_cost *cost)
{
    const uint32_t n = graph->n;
    int status = QL_E_MEMORY;
    uint32_t largest = 0;
    peeling p = {.order = ql_alloc(n, sizeof(uint32_t)),
                 .positions = ql_alloc(n, sizeof(uint32_t))};
    for (uint32_t v = 0; v < n; v++) {
        const uint64_t degree = graph->offsets[v + 1] - graph->offsets[v];
        if (degree >= QL_NONE) {
            status = QL_E_LIMIT;
            goto done;
        }
        cores[v] = (uint32_t)degree;
        if (cores[v] > largest) largest = cores[v];
    }
    p.starts = ql_alloc((size_t)largest + 2, sizeof *p.starts);
    if (!p.order || !p.positions || !p.starts) goto done;
    for (uint32_t v = 0; v < n; v++) p.starts[cores[v] + 1]++;
    for (uint32_t d = 0; d <= largest; d++) p.starts[d + 1] += p.starts[d];
    for (uint32_t v = 0; v < n; v++) {
        p.positions[v] = p.starts[cores[v]]++;
        p.order[p.positions[v]] = v;
    }
    memmove(p.starts + 1, p.starts, ((size_t)largest + 1) * sizeof *p.starts);
    p.starts[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t v = p.order[i];
        for (uint64_t a = graph->offsets[v]; a < graph->offsets[v + 1]; a++)
            if (cores[graph->targets[a]] > cores[v]) lower(&p, cores, graph->targets[a]);
    }
    cost->edges += graph->offsets[n];
    status = QL_OK;
done:
    ql_free(p.starts);
    ql_free(p.positions);
    ql_free(p.order);
    return status;
}
