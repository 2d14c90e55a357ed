/* csr.c: plain undirected graphs as compressed rows, for the algorithms that read a whole graph.
 *
 * offsets (n + 1) u64, targets (offsets[n]) u32; row v is targets[offsets[v] .. offsets[v+1]).
 * Undirected means that both arcs of an edge are stored, with one weight.  Weights are a separate
 * column, or NULL for all ones, because the same graph is cut with integers and ranked with floats.
 *
 * ql_csr_check is the border: an algorithm of cut.c, flow.c, communities.c ... trusts a graph that
 * passed it and reads nothing outside the two arrays.  Symmetry is tested by a sum of hashes over
 * directed arcs, each arc counted once forward and once backward: a graph that is not symmetric
 * passes with probability 2^-64, and then gives a wrong answer but no wrong access.
 *
 * ql_csr_build makes such a graph from a list of edges by two counting sorts (targets, then
 * sources: O(n + m), rows come out sorted), drops loops and adds up parallel edges and both
 * directions.  Sums are float64: exact for integers below 2^53. */
#include <math.h>
#include <string.h>

#include "internal.h"

static uint64_t mixed(uint64_t x)
{
    x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
    return x ^ (x >> 32);
}

/* Verify that the arrays describe rows inside `arcs`, and set symmetric to 1 if each arc has its
 * reverse with the same weight bits, and sorted to 1 if each row ascends strictly.  weights: any
 * 4-byte column, or NULL. */
int ql_csr_check(const ql_csr *graph, uint64_t arcs, const void *weights, uint32_t *symmetric,
                 uint32_t *sorted)
{
    const uint64_t *offsets = graph->offsets;
    const uint32_t *targets = graph->targets;
    const uint32_t n = graph->n;
    const uint32_t *bits = weights;
    uint64_t balance = 0;
    uint32_t ascending = 1;
    if (n >= QL_NONE || offsets[0] != 0 || offsets[n] != arcs) return QL_E_INVALID;
    for (uint32_t v = 0; v < n; v++)
        if (offsets[v] > offsets[v + 1]) return QL_E_INVALID;
    for (uint32_t v = 0; v < n; v++)
        for (uint64_t a = offsets[v]; a < offsets[v + 1]; a++) {
            const uint64_t t = targets[a];
            const uint64_t w = bits ? bits[a] * 0x9e3779b97f4a7c15u : 0;
            if (t >= n) return QL_E_INVALID;
            balance += mixed(((uint64_t)v << 32 | t) ^ w) - mixed((t << 32 | v) ^ w);
            if (a > offsets[v] && targets[a - 1] >= t) ascending = 0;
        }
    *symmetric = balance == 0;
    *sorted = ascending;
    return QL_OK;
}

/* Stable counting sort of arcs by key: order[i] = the i-th arc. counts has n + 1 entries and comes
 * back as row starts. */
static void sort_by(const uint32_t *keys, const uint64_t *input, uint64_t arcs, uint32_t n,
                    uint64_t *counts, uint64_t *order)
{
    memset(counts, 0, ((size_t)n + 1) * sizeof *counts);
    for (uint64_t i = 0; i < arcs; i++) counts[keys[i] + 1]++;
    for (uint32_t v = 0; v < n; v++) counts[v + 1] += counts[v];
    for (uint64_t i = 0; i < arcs; i++) {
        const uint64_t arc = input ? input[i] : i;
        order[counts[keys[arc]]++] = arc;
    }
    for (uint32_t v = n; v > 0; v--) counts[v] = counts[v - 1];
    counts[0] = 0;
}

/* Join sorted rows in place: equal targets of one row add their weights. */
static uint64_t merge_rows(uint32_t n, uint64_t *offsets, uint32_t *targets, double *weights)
{
    uint64_t kept = 0;
    uint64_t begin = 0;
    for (uint32_t v = 0; v < n; v++) {
        const uint64_t row = kept;
        const uint64_t end = offsets[v + 1];
        for (uint64_t a = begin; a < end; a++) {
            if (kept > row && targets[kept - 1] == targets[a]) {
                weights[kept - 1] += weights[a];
                continue;
            }
            targets[kept] = targets[a];
            weights[kept++] = weights[a];
        }
        offsets[v] = row;
        begin = end;
    }
    offsets[n] = kept;
    return kept;
}

/* Make an undirected graph of n vertices from m edges. weights (m) or NULL for ones; finite and
 * above 0. Outputs: offsets (n + 1), targets and sums (2 m, the first offsets[n] used). */
int ql_csr_build(uint32_t n, const uint32_t *sources, const uint32_t *targets,
                 const double *weights, uint64_t m, uint64_t *offsets, uint32_t *targets_out,
                 double *sums)
{
    int status = QL_E_MEMORY;
    uint64_t arcs = 0;
    if (n >= QL_NONE || m > QL_ASSOCIATIONS_MAX) return QL_E_INVALID;
    for (uint64_t i = 0; i < m; i++) {
        if (sources[i] >= n || targets[i] >= n) return QL_E_INVALID;
        if (weights && !(weights[i] > 0 && isfinite(weights[i]))) return QL_E_INVALID;
    }
    uint32_t *heads = ql_alloc(2 * m + 1, sizeof *heads);
    uint32_t *tails = ql_alloc(2 * m + 1, sizeof *tails);
    double *values = ql_alloc(2 * m + 1, sizeof *values);
    uint64_t *by_target = ql_alloc(2 * m + 1, sizeof *by_target);
    uint64_t *order = ql_alloc(2 * m + 1, sizeof *order);
    if (!heads || !tails || !values || !by_target || !order) goto done;

    for (uint64_t i = 0; i < m; i++) {
        if (sources[i] == targets[i]) continue;
        tails[arcs] = heads[arcs + 1] = sources[i];
        heads[arcs] = tails[arcs + 1] = targets[i];
        values[arcs] = values[arcs + 1] = weights ? weights[i] : 1.0;
        arcs += 2;
    }
    sort_by(heads, NULL, arcs, n, offsets, by_target);
    sort_by(tails, by_target, arcs, n, offsets, order);
    for (uint64_t i = 0; i < arcs; i++) {
        targets_out[i] = heads[order[i]];
        sums[i] = values[order[i]];
    }
    merge_rows(n, offsets, targets_out, sums);
    status = QL_OK;
done:
    ql_free(order);
    ql_free(by_target);
    ql_free(values);
    ql_free(tails);
    ql_free(heads);
    return status;
}
