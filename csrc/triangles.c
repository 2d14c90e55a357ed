/* triangles.c: how many triangles there are, and how many go through each vertex.
 *
 * Each edge points from the lower to the higher degree (ties by number), so that no row of the
 * oriented graph is longer than sqrt(2 m) and every triangle is met once, from its lowest corner
 * (Chiba, Nishizeki 1985; Schank, Wagner 2005).  Vertices are renumbered with the highest degree
 * first: most out-neighbours are then small numbers, the bytes that mark one row's members stay in
 * cache, and a plain look-up beats merging two sorted rows. */
#include "internal.h"

typedef struct oriented {
    uint32_t *rank;     /* old -> new number */
    uint32_t *vertices; /* new -> old */
    uint64_t *offsets;
    uint32_t *targets;
    uint64_t *counts; /* by new number */
    uint8_t *marks;
} oriented;

/* Counting sort by falling degree. */
static int rank_vertices(const ql_csr *graph, oriented *o)
{
    const uint32_t n = graph->n;
    uint64_t largest = 0;
    for (uint32_t v = 0; v < n; v++)
        if (graph->offsets[v + 1] - graph->offsets[v] > largest)
            largest = graph->offsets[v + 1] - graph->offsets[v];
    uint32_t *starts = ql_alloc(largest + 2, sizeof *starts);
    if (!starts) return QL_E_MEMORY;
    for (uint32_t v = 0; v < n; v++)
        starts[largest - (graph->offsets[v + 1] - graph->offsets[v]) + 1]++;
    for (uint64_t d = 0; d <= largest; d++) starts[d + 1] += starts[d];
    for (uint32_t v = 0; v < n; v++) {
        o->rank[v] = starts[largest - (graph->offsets[v + 1] - graph->offsets[v])]++;
        o->vertices[o->rank[v]] = v;
    }
    ql_free(starts);
    return QL_OK;
}

static void orient(const ql_csr *graph, oriented *o)
{
    uint64_t kept = 0;
    for (uint32_t r = 0; r < graph->n; r++) {
        const uint32_t v = o->vertices[r];
        o->offsets[r] = kept;
        for (uint64_t a = graph->offsets[v]; a < graph->offsets[v + 1]; a++)
            if (o->rank[graph->targets[a]] < r) o->targets[kept++] = o->rank[graph->targets[a]];
    }
    o->offsets[graph->n] = kept;
}

static uint64_t count_row(oriented *o, uint32_t r, ql_cost *cost)
{
    const uint64_t begin = o->offsets[r];
    const uint64_t end = o->offsets[r + 1];
    uint64_t through = 0;
    if (end - begin < 2) return 0;
    for (uint64_t a = begin; a < end; a++) o->marks[o->targets[a]] = 1;
    for (uint64_t a = begin; a < end; a++) {
        const uint32_t s = o->targets[a];
        uint64_t closed = 0;
        for (uint64_t b = o->offsets[s]; b < o->offsets[s + 1]; b++) {
            const uint64_t hit = o->marks[o->targets[b]];
            o->counts[o->targets[b]] += hit;
            closed += hit;
        }
        o->counts[s] += closed;
        through += closed;
        cost->edges += o->offsets[s + 1] - o->offsets[s];
    }
    for (uint64_t a = begin; a < end; a++) o->marks[o->targets[a]] = 0;
    o->counts[r] += through;
    return through;
}

/* counts (n): triangles through each vertex of a graph without loops and parallel arcs; total: each
 * triangle once. */
int ql_triangles(const ql_csr *graph, uint64_t *counts, uint64_t *total, ql_cost *cost)
{
    const size_t n = graph->n;
    int status = QL_E_MEMORY;
    uint64_t sum = 0;
    oriented o = {
        .rank = ql_alloc(n, sizeof *o.rank),
        .vertices = ql_alloc(n, sizeof *o.vertices),
        .offsets = ql_alloc(n + 1, sizeof *o.offsets),
        /* Half is used: never touched, never paid. */
        .targets = ql_alloc(graph->offsets[n] + 1, sizeof *o.targets),
        .counts = ql_alloc(n, sizeof *o.counts),
        .marks = ql_alloc(n, 1),
    };
    if (!o.rank || !o.vertices || !o.offsets || !o.targets || !o.counts || !o.marks) goto done;
    status = rank_vertices(graph, &o);
    if (status != QL_OK) goto done;
    orient(graph, &o);
    for (uint32_t r = 0; r < n; r++) sum += count_row(&o, r, cost);
    for (uint32_t v = 0; v < n; v++) counts[v] = o.counts[o.rank[v]];
    *total = sum;
done:
    ql_free(o.marks);
    ql_free(o.counts);
    ql_free(o.targets);
    ql_free(o.offsets);
    ql_free(o.vertices);
    ql_free(o.rank);
    return status;
}
