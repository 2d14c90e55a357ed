/* conductance.c: how well a set of vertices is held together against the rest: local sweeps, and
 * the spectral gap.
 *
 * conductance of S = weight across / min(volume of S, volume of the rest); volume = sum of
 * strengths
 *
 * Sweep: personalised PageRank around the seeds by forward push (Andersen, Chung, Lang 2006): a
 * vertex with residual of at least epsilon * strength keeps alpha of it and hands the rest, half
 * lazily, to its neighbours; then vertices in falling order of p / strength, and the conductance of
 * every prefix.  Work is at most volume(seeds' mass) / (epsilon * alpha) arcs whatever the size of
 * the graph; so the state is a hash table of the vertices touched, not a column per vertex.  Which
 * prefix to believe is the caller's choice: on knowledge graphs the best one is a whisker of two
 * vertices unless a floor is set. On return |p(v) - exact(v)| <= epsilon * strength(v).
 *
 * Gap: lambda2 of the normalised Laplacian by Lanczos with full reorthogonalisation against the
 * known first eigenvector sqrt(strength); the largest eigenvalue of the small tridiagonal matrix
 * comes from Sturm counts.  Few steps give an upper bound of lambda2, tight when the gap is not
 * minute.  Cheeger: lambda2 / 2 <= conductance of the best set <= sqrt(2 lambda2). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef struct touched {
    uint32_t vertex;
    uint32_t queued;
    double p;
    double r;
    double strength;
} touched;

typedef struct push { /* one sweep; one thread */
    const ql_csr *graph;
    const float *weights;
    const double *strengths; /* or NULL: degrees */
    touched *rows;
    uint32_t *table; /* open addressing: position in rows + 1 */
    uint32_t *queue; /* ring of positions */
    uint32_t count;
    uint32_t capacity; /* of rows and queue; the table has twice as many */
    uint32_t head;
    uint32_t waiting;
} push;

static uint32_t slot_of(const push *s, uint32_t vertex)
{
    const uint32_t mask = 2 * s->capacity - 1;
    uint32_t slot = (uint32_t)(vertex * 2654435761u) & mask;
    while (s->table[slot] && s->rows[s->table[slot] - 1].vertex != vertex) slot = (slot + 1) & mask;
    return slot;
}

static int grow(push *s)
{
    const uint32_t capacity = s->capacity ? 2 * s->capacity : 256;
    touched *rows = ql_realloc(s->rows, capacity, sizeof *rows);
    if (!rows) return QL_E_MEMORY;
    s->rows = rows;
    uint32_t *table = ql_alloc(2 * (size_t)capacity, sizeof *table);
    uint32_t *queue = ql_alloc(capacity, sizeof *queue);
    if (!table || !queue) {
        ql_free(queue);
        ql_free(table);
        return QL_E_MEMORY;
    }
    for (uint32_t i = 0; i < s->waiting; i++)
        queue[i] = s->queue[(s->head + i) & (s->capacity - 1)];
    ql_free(s->queue);
    ql_free(s->table);
    s->queue = queue;
    s->table = table;
    s->capacity = capacity;
    s->head = 0;
    for (uint32_t i = 0; i < s->count; i++) table[slot_of(s, rows[i].vertex)] = i + 1;
    return QL_OK;
}

/* The row of a vertex, made when it is new. */
static int touch(push *s, uint32_t vertex, uint32_t *position)
{
    if (s->count == s->capacity) QL_TRY(grow(s));
    const uint32_t slot = slot_of(s, vertex);
    if (!s->table[slot]) {
        const double degree = (double)(s->graph->offsets[vertex + 1] - s->graph->offsets[vertex]);
        s->rows[s->count] = (touched){.vertex = vertex,
                                      .strength = s->strengths ? s->strengths[vertex] : degree};
        s->table[slot] = ++s->count;
    }
    *position = s->table[slot] - 1;
    return QL_OK;
}

static int receive(push *s, uint32_t vertex, double amount, double epsilon)
{
    uint32_t i;
    QL_TRY(touch(s, vertex, &i));
    touched *row = &s->rows[i];
    row->r += amount;
    if (!row->queued && row->r >= epsilon * row->strength && row->strength > 0) {
        row->queued = 1;
        s->queue[(s->head + s->waiting++) & (s->capacity - 1)] = i;
    }
    return QL_OK;
}

static int spread(push *s, double alpha, double epsilon, ql_cost *cost)
{
    while (s->waiting) {
        const uint32_t i = s->queue[s->head];
        s->head = (s->head + 1) & (s->capacity - 1);
        s->waiting--;
        const touched row = s->rows[i];
        const double share = (1 - alpha) / 2 * row.r / row.strength;
        s->rows[i].queued = 0;
        s->rows[i].p += alpha * row.r;
        s->rows[i].r = 0;
        QL_TRY(receive(s, row.vertex, (1 - alpha) / 2 * row.r, epsilon));
        for (uint64_t a = s->graph->offsets[row.vertex]; a < s->graph->offsets[row.vertex + 1]; a++)
            QL_TRY(receive(s, s->graph->targets[a],
                           share * (s->weights ? (double)s->weights[a] : 1.0), epsilon));
        cost->edges += s->graph->offsets[row.vertex + 1] - s->graph->offsets[row.vertex];
        cost->hops++;
    }
    return QL_OK;
}

static int by_density(const void *left, const void *right)
{
    const touched *a = left;
    const touched *b = right;
    const double x = a->strength > 0 ? a->p / a->strength : 0;
    const double y = b->strength > 0 ? b->p / b->strength : 0;
    if (x != y) return x < y ? 1 : -1;
    return a->vertex < b->vertex ? -1 : a->vertex > b->vertex;
}

/* Conductance of every prefix of the sorted rows; rows without p are left out. Returns how many
 * prefixes. */
static uint32_t sweep(push *s, double volume_all, uint32_t *vertices, double *scores,
                      double *volumes, double *conductances, ql_cost *cost)
{
    double volume = 0;
    double across = 0;
    uint32_t kept = 0;
    qsort(s->rows, s->count, sizeof *s->rows, by_density);
    while (kept < s->count && s->rows[kept].p > 0) kept++;
    memset(s->table, 0, 2 * (size_t)s->capacity * sizeof *s->table);
    for (uint32_t i = 0; i < kept; i++) {
        const touched *row = &s->rows[i];
        double inside = 0;
        for (uint64_t a = s->graph->offsets[row->vertex]; a < s->graph->offsets[row->vertex + 1];
             a++)
            if (s->table[slot_of(s, s->graph->targets[a])])
                inside += s->weights ? (double)s->weights[a] : 1.0;
        cost->edges += s->graph->offsets[row->vertex + 1] - s->graph->offsets[row->vertex];
        s->table[slot_of(s, row->vertex)] = i + 1;
        volume += row->strength;
        across += row->strength - 2 * inside;
        const double smaller = volume < volume_all - volume ? volume : volume_all - volume;
        vertices[i] = row->vertex;
        scores[i] = row->p;
        volumes[i] = volume;
        conductances[i] = smaller > 0 ? (across > 0 ? across : 0) / smaller : 1;
    }
    return kept;
}

/* Sweep around seeds. weights and strengths (n): both or neither; volume: sum of strengths of the
 * whole graph. alpha in (0, 1), epsilon above 0.  Outputs with room for n: vertices in sweep order,
 * their mass, and per prefix its volume and conductance (1 where a side is empty).  No loops.
 * QL_E_INVALID for no seeds or unknown ones. */
int ql_conductance_sweep(const ql_csr *graph, const float *weights, const double *strengths,
                         double volume, const uint32_t *seeds, uint32_t seeds_count, double alpha,
                         double epsilon, uint32_t *vertices, double *scores, double *volumes,
                         double *conductances, uint32_t *count, ql_cost *cost)
{
    push s = {.graph = graph, .weights = weights, .strengths = strengths};
    int status = QL_OK;
    if (!seeds_count || !(alpha > 0 && alpha < 1) || !(epsilon > 0)) return QL_E_INVALID;
    for (uint32_t i = 0; i < seeds_count; i++)
        if (seeds[i] >= graph->n) return QL_E_INVALID;
    for (uint32_t i = 0; i < seeds_count && status == QL_OK; i++)
        status = receive(&s, seeds[i], 1.0 / seeds_count, epsilon);
    if (status == QL_OK) status = spread(&s, alpha, epsilon, cost);
    if (status == QL_OK) *count = sweep(&s, volume, vertices, scores, volumes, conductances, cost);
    ql_free(s.queue);
    ql_free(s.table);
    ql_free(s.rows);
    return status;
}

/* ---- the spectral gap ---- */

#define LANES 8u /* sums side by side: one alone waits for each addition before the next */

static double lanes_sum(const double *lanes)
{
    double sum = 0;
    for (uint32_t j = 0; j < LANES; j++) sum += lanes[j];
    return sum;
}

static double dot(const double *a, const double *b, uint32_t n)
{
    double lanes[LANES] = {0};
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (uint32_t j = 0; j < LANES; j++) lanes[j] += a[i + j] * b[i + j];
    for (uint32_t j = 0; i < n; i++, j++) lanes[j] += a[i] * b[i];
    return lanes_sum(lanes);
}

/* Take the parts along each of `count` orthonormal rows out of x, twice: once is not enough in
 * floating point. */
static void orthogonalise(double *x, const double *basis, uint32_t count, uint32_t n)
{
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t j = 0; j < count; j++) {
            const double *row = basis + (size_t)j * n;
            const double along = dot(x, row, n);
            for (uint32_t i = 0; i < n; i++) x[i] -= along * row[i];
        }
}

/* y = D^-1/2 A D^-1/2 x; scale (n) = 1 / sqrt(strength), 0 for vertices without edges; scaled (n):
 * room. */
static void multiply(const ql_csr *graph, const float *weights, const double *scale,
                     const double *x, double *scaled, double *y)
{
    for (uint32_t v = 0; v < graph->n; v++) scaled[v] = scale[v] * x[v];
    for (uint32_t v = 0; v < graph->n; v++) {
        double lanes[LANES] = {0};
        const uint64_t until = graph->offsets[v + 1];
        uint64_t a = graph->offsets[v];
        for (; a + LANES <= until; a += LANES)
            for (uint32_t j = 0; j < LANES; j++)
                lanes[j] += (weights ? (double)weights[a + j] : 1.0) *
                            scaled[graph->targets[a + j]];
        for (uint32_t j = 0; a < until; a++, j++)
            lanes[j] += (weights ? (double)weights[a] : 1.0) * scaled[graph->targets[a]];
        y[v] = scale[v] * lanes_sum(lanes);
    }
}

/* The largest eigenvalue of a symmetric tridiagonal matrix, by bisection on the signs of its Sturm
 * sequence. */
static double largest_eigenvalue(const double *diagonal, const double *beside, uint32_t k)
{
    double low = -1.5;
    double high = 1.5; /* All eigenvalues of a normalised adjacency lie in [-1, 1]. */
    for (int step = 0; step < 60; step++) {
        const double middle = (low + high) / 2;
        uint32_t above = 0;
        double q = 1;
        for (uint32_t i = 0; i < k; i++) {
            q = diagonal[i] - middle - (i ? beside[i - 1] * beside[i - 1] / q : 0);
            if (q == 0) q = 1e-300;
            above += q > 0;
        }
        if (above) low = middle;
        else high = middle;
    }
    return (low + high) / 2;
}

/* lambda2 of the normalised Laplacian of a graph without loops, from `steps` Lanczos steps (at
 * least its true value). 0 if the graph has no edge; vertices without edges are left out of
 * account.  QL_E_INVALID if n < 2 or steps is 0. */
int ql_spectral_gap(const ql_csr *graph, const float *weights, uint32_t steps, uint64_t seed,
                    double *lambda2, ql_cost *cost)
{
    const uint32_t n = graph->n;
    int status = QL_E_MEMORY;
    uint32_t k = 0;
    if (n < 2 || steps == 0) return QL_E_INVALID;
    if (steps > n - 1) steps = n - 1;
    /* Row 0: the first eigenvector. */
    double *basis = ql_alloc((size_t)n * ((size_t)steps + 2), sizeof *basis);
    double *scale = ql_alloc(n, sizeof *scale);
    double *scaled = ql_alloc(n, sizeof *scaled);
    double *diagonal = ql_alloc(steps, sizeof *diagonal);
    double *beside = ql_alloc(steps, sizeof *beside);
    if (!basis || !scale || !scaled || !diagonal || !beside) goto done;
    for (uint32_t v = 0; v < n; v++) {
        double strength = 0;
        for (uint64_t a = graph->offsets[v]; a < graph->offsets[v + 1]; a++)
            strength += weights ? (double)weights[a] : 1.0;
        scale[v] = strength > 0 ? 1 / sqrt(strength) : 0;
        basis[v] = sqrt(strength);
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        basis[n + v] = strength > 0 ? (double)(seed >> 11) / 9007199254740992.0 - 0.5 : 0;
    }
    double norm = sqrt(dot(basis, basis, n));
    *lambda2 = 0;
    status = QL_OK;
    if (norm == 0) goto done;
    for (uint32_t v = 0; v < n; v++) basis[v] /= norm;
    for (; k < steps; k++) {
        double *now = basis + ((size_t)k + 1) * n;
        orthogonalise(now, basis, k + 1, n);
        norm = sqrt(dot(now, now, n));
        if (k) beside[k - 1] = norm;
        if (norm < 1e-10) break; /* The space is spanned. */
        for (uint32_t v = 0; v < n; v++) now[v] /= norm;
        multiply(graph, weights, scale, now, scaled, now + n);
        cost->edges += graph->offsets[n];
        diagonal[k] = dot(now, now + n, n);
    }
    if (k) *lambda2 = 1 - largest_eigenvalue(diagonal, beside, k);
    if (*lambda2 < 0) *lambda2 = 0;
done:
    ql_free(beside);
    ql_free(diagonal);
    ql_free(scaled);
    ql_free(scale);
    ql_free(basis);
    return status;
}
