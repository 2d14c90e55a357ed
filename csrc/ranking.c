/* ranking.c: PageRank of a whole graph.
 *
 * Page, Brin 1998, by pulling: ranks = (1 - d) * start + d * (sum over incoming arcs of
 * contribution, plus the mass of vertices without a way out, spread like the start).
 * contribution[v] = rank / outgoing weight is computed once per vertex and kept in float32, so that
 * the gather, which is all the time there is, fetches 4 bytes per arc; sums and ranks are float64.
 * The rounding of contributions is the same in every step: it moves the fixed point by at most 6e-8
 * of the mass and does not stop convergence. Stops when the ranks change by less than the tolerance
 * in sum. */
#include <math.h>

#include "internal.h"

/* incoming: row v holds the sources of the arcs into v (the graph itself if undirected); weights of
 * those arcs or NULL. outgoing (n): sum of weights that leave each vertex, 0 if none.  start (n):
 * non-negative with sum 1, or NULL for uniform. ranks (n): sum 1.  iterations: made; converged: 0
 * if iterations_max stopped it. */
int ql_pagerank(const ql_csr *incoming, const float *weights, const double *outgoing,
                const double *start, double damping, double tolerance, uint32_t iterations_max,
                double *ranks, uint32_t *iterations, uint32_t *converged, ql_cost *cost)
{
    const uint32_t n = incoming->n;
    if (!(damping >= 0 && damping <= 1) || !(tolerance >= 0)) return QL_E_INVALID;
    float *contributions = ql_alloc(n, sizeof *contributions);
    if (!contributions) return QL_E_MEMORY;
    for (uint32_t v = 0; v < n; v++) ranks[v] = start ? start[v] : 1.0 / n;
    *converged = n == 0;
    *iterations = 0;
    while (!*converged && *iterations < iterations_max) {
        double lost = 0;
        double change = 0;
        for (uint32_t v = 0; v < n; v++) {
            if (outgoing[v] > 0) {
                contributions[v] = (float)(ranks[v] / outgoing[v]);
            } else {
                contributions[v] = 0;
                lost += ranks[v];
            }
        }
        for (uint32_t v = 0; v < n; v++) {
            double sum = 0;
            const uint64_t end = incoming->offsets[v + 1];
            if (weights)
                for (uint64_t a = incoming->offsets[v]; a < end; a++)
                    sum += (double)weights[a] * (double)contributions[incoming->targets[a]];
            else
                for (uint64_t a = incoming->offsets[v]; a < end; a++)
                    sum += (double)contributions[incoming->targets[a]];
            const double rank = (1 - damping + damping * lost) * (start ? start[v] : 1.0 / n) +
                                damping * sum;
            change += fabs(rank - ranks[v]);
            ranks[v] = rank;
        }
        ++*iterations;
        cost->edges += incoming->offsets[n];
        *converged = change < tolerance;
    }
    double total = 0; /* Float32 contributions lose or gain a few parts in 10^8. */
    for (uint32_t v = 0; v < n; v++) total += ranks[v];
    for (uint32_t v = 0; v < n; v++) ranks[v] /= total;
    ql_free(contributions);
    return QL_OK;
}
