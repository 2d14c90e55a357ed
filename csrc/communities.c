/* communities.c: groups that hold together more than chance: Leiden for modularity, and label
 * propagation.
 *
 * Leiden (Traag, Waltman, van Eck 2019).  Three phases per level: vertices move to the neighbouring
 * community of the best gain, driven by a queue of those whose neighbourhood changed; each
 * community is then refined, from single vertices, by merges inside it only; the refined groups
 * become the vertices of the next level, which starts from the unrefined communities.  Merges
 * follow edges, so every community is connected: what Louvain does not promise.
 * Different here: refinement takes the best gain instead of drawing by exp(gain / theta).  It is
 * repeatable, and two iterations end within a few thousandths of the modularity of the drawn form
 * (bench/graph_algorithms.py).
 *
 * gain of v joining c, in units of 1 / m: toward(c) - resolution * strength(v) * total(c) / 2m
 *
 * Sums are float64.  A level holds its loops apart (`inner` weight of a merged vertex counts in its
 * strength only).
 *
 * Label propagation (Raghavan, Albert, Kumara 2007), asynchronous, in one random order per sweep; a
 * vertex keeps its label while that is among the heaviest, so one whose neighbours kept theirs
 * since it was looked at is passed over, and nothing changes by that.  Stops when a sweep changes
 * fewer than 1 vertex in 1000. */
#include <string.h>

#include "internal.h"

#define AHEAD 6u /* vertices of the order ahead whose rows are fetched */

typedef struct level {
    uint32_t n;
    const uint64_t *offsets;
    const uint32_t *targets;
    const float *narrow;  /* the caller's weights, level 0 */
    const double *wide;   /* ours, above */
    double *strengths;    /* (n): weight at a vertex, loops included */
    uint32_t *labels;     /* (n): community of a vertex, below n */
} level;

typedef struct leiden { /* scratch of one run, sized by the first level; one thread */
    double resolution;
    double volume; /* 2m */
    double *totals;  /* [community]: strength; refinement keeps those of its groups behind */
    double *toward;  /* [community]: weight from the vertex at hand */
    uint32_t *near;  /* communities with toward > 0 */
    uint32_t *queue;
    uint32_t *order;
    uint32_t *sizes; /* [community] */
    uint32_t *refined;
    uint8_t *waiting;
    uint64_t random;
    uint64_t edges;
} leiden;

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 32) * below >> 32);
}

static void shuffle(uint64_t *state, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        const uint32_t j = draw(state, i);
        const uint32_t other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

static double weight_of(const level *g, uint64_t arc)
{
    return g->wide ? g->wide[arc] : g->narrow ? (double)g->narrow[arc] : 1.0;
}

/* Add up the weight from v to each community around it (by `groups`, within v's own label if
 * inside). */
static uint32_t look_around(leiden *s, const level *g, uint32_t v, const uint32_t *groups,
                            int inside)
{
    uint32_t found = 0;
    for (uint64_t a = g->offsets[v]; a < g->offsets[v + 1]; a++) {
        const uint32_t t = g->targets[a];
        if (t == v || (inside && g->labels[t] != g->labels[v])) continue;
        const uint32_t c = groups[t];
        if (s->toward[c] == 0) s->near[found++] = c;
        s->toward[c] += weight_of(g, a);
    }
    s->edges += g->offsets[v + 1] - g->offsets[v];
    return found;
}

static void forget_around(leiden *s, uint32_t found)
{
    for (uint32_t i = 0; i < found; i++) s->toward[s->near[i]] = 0;
}

/* Move vertices until no queued one gains; returns moves. */
static uint64_t move_vertices(leiden *s, level *g)
{
    uint64_t moves = 0;
    uint32_t head = 0;
    uint32_t count = g->n;
    memset(s->totals, 0, g->n * sizeof *s->totals);
    for (uint32_t v = 0; v < g->n; v++) s->totals[g->labels[v]] += g->strengths[v];
    shuffle(&s->random, s->queue, g->n);
    memset(s->waiting, 1, g->n);
    while (count) {
        const uint32_t v = s->queue[head];
        head = head + 1 == g->n ? 0 : head + 1;
        count--;
        s->waiting[v] = 0;
        const uint32_t own = g->labels[v];
        const double pull = s->resolution * g->strengths[v] / s->volume;
        const uint32_t found = look_around(s, g, v, g->labels, 0);
        uint32_t best = own;
        s->totals[own] -= g->strengths[v];
        double best_gain = s->toward[own] - pull * s->totals[own];
        for (uint32_t i = 0; i < found; i++) {
            const double gain = s->toward[s->near[i]] - pull * s->totals[s->near[i]];
            if (gain > best_gain + 1e-12 * s->volume) {
                best_gain = gain;
                best = s->near[i];
            }
        }
        s->totals[best] += g->strengths[v];
        forget_around(s, found);
        if (best == own) continue;
        moves++;
        g->labels[v] = best;
        for (uint64_t a = g->offsets[v]; a < g->offsets[v + 1]; a++) {
            const uint32_t t = g->targets[a];
            if (s->waiting[t] || g->labels[t] == best || t == v) continue;
            s->waiting[t] = 1;
            s->queue[head + count >= g->n ? head + count - g->n : head + count] = t;
            count++;
        }
    }
    return moves;
}

/* Split each community into groups grown from single vertices; refined[v] names v's group. */
static void refine(leiden *s, const level *g)
{
    for (uint32_t v = 0; v < g->n; v++) {
        s->refined[v] = v;
        s->sizes[v] = 1;
    }
    double *community = s->totals;
    memset(community, 0, g->n * sizeof *community);
    for (uint32_t v = 0; v < g->n; v++) community[g->labels[v]] += g->strengths[v];
    double *group = s->totals + g->n;
    memcpy(group, g->strengths, g->n * sizeof *group);
    shuffle(&s->random, s->order, g->n);
    for (uint32_t i = 0; i < g->n; i++) {
        const uint32_t v = s->order[i];
        if (s->sizes[s->refined[v]] != 1) continue; /* Somebody joined it: it stays. */
        const uint32_t found = look_around(s, g, v, s->refined, 1);
        const double pull = s->resolution * g->strengths[v] / s->volume;
        double tied = 0;
        uint32_t best = s->refined[v];
        double best_gain = 0;
        for (uint32_t j = 0; j < found; j++) tied += s->toward[s->near[j]];
        const int well = tied >= pull * (community[g->labels[v]] - g->strengths[v]) * (1 - 1e-12);
        for (uint32_t j = 0; well && j < found; j++) {
            const double gain = s->toward[s->near[j]] - pull * group[s->near[j]];
            if (gain > best_gain) {
                best_gain = gain;
                best = s->near[j];
            }
        }
        forget_around(s, found);
        if (best == s->refined[v]) continue;
        s->sizes[s->refined[v]] = 0;
        group[s->refined[v]] = 0;
        s->refined[v] = best;
        s->sizes[best]++;
        group[best] += g->strengths[v];
    }
}

/* Number n groups, each below range, densely in place; returns how many there are. */
static uint32_t renumber(uint32_t *groups, uint32_t n, uint32_t range, uint32_t *names)
{
    uint32_t count = 0;
    memset(names, 0xff, range * sizeof *names);
    for (uint32_t v = 0; v < n; v++) {
        if (names[groups[v]] == QL_NONE) names[groups[v]] = count++;
        groups[v] = names[groups[v]];
    }
    return count;
}

typedef struct owned { /* memory of one aggregated level */
    uint64_t *offsets;
    uint32_t *targets;
    double *weights;
    double *strengths;
    uint32_t *labels;
} owned;

static void owned_free(owned *o)
{
    ql_free(o->labels);
    ql_free(o->strengths);
    ql_free(o->weights);
    ql_free(o->targets);
    ql_free(o->offsets);
    *o = (owned){0};
}

/* The graph of the refined groups. Uses sizes as starts of groups and order as vertices by
 * group. */
static int aggregate(leiden *s, const level *g, uint32_t groups, owned *out, level *next)
{
    const uint64_t arcs = g->offsets[g->n];
    uint64_t kept = 0;
    uint32_t i = 0;
    out->offsets = ql_alloc((size_t)groups + 1, sizeof *out->offsets);
    out->targets = ql_alloc(arcs + 1, sizeof *out->targets);
    out->weights = ql_alloc(arcs + 1, sizeof *out->weights);
    out->strengths = ql_alloc(groups, sizeof *out->strengths);
    out->labels = ql_alloc(groups, sizeof *out->labels);
    if (!out->offsets || !out->targets || !out->weights || !out->strengths || !out->labels)
        return QL_E_MEMORY;
    memset(s->sizes, 0, g->n * sizeof *s->sizes);
    for (uint32_t v = 0; v < g->n; v++) s->sizes[s->refined[v]]++;
    for (uint32_t c = 0, sum = 0; c < groups; c++) {
        const uint32_t size = s->sizes[c];
        s->sizes[c] = sum;
        sum += size;
    }
    for (uint32_t v = 0; v < g->n; v++) s->order[s->sizes[s->refined[v]]++] = v;
    for (uint32_t c = 0; c < groups; c++) {
        uint32_t found = 0;
        out->offsets[c] = kept;
        out->labels[c] = g->labels[s->order[i]];
        for (; i < g->n && s->refined[s->order[i]] == c; i++) {
            out->strengths[c] += g->strengths[s->order[i]];
            for (uint64_t a = g->offsets[s->order[i]]; a < g->offsets[s->order[i] + 1]; a++) {
                const uint32_t t = s->refined[g->targets[a]];
                if (t == c) continue;
                if (s->toward[t] == 0) s->near[found++] = t;
                s->toward[t] += weight_of(g, a);
            }
        }
        for (uint32_t j = 0; j < found; j++) {
            out->targets[kept] = s->near[j];
            out->weights[kept++] = s->toward[s->near[j]];
        }
        forget_around(s, found);
    }
    out->offsets[groups] = kept;
    s->edges += arcs;
    renumber(out->labels, groups, g->n, s->near);
    *next = (level){groups,       out->offsets,   out->targets, NULL,
                    out->weights, out->strengths, out->labels};
    return QL_OK;
}

/* One iteration: improve labels of the first level; returns through *changed whether anything
 * moved. */
static int iterate(leiden *s, level *first, uint32_t *down, int *changed)
{
    level g = *first;
    owned levels[2] = {{0}, {0}};
    int status = QL_OK;
    int turn = 0;
    *changed = 0;
    for (uint32_t v = 0; v < first->n; v++) down[v] = v; /* first level -> current level */
    for (;;) {
        const uint64_t moves = move_vertices(s, &g);
        *changed |= moves > 0;
        refine(s, &g);
        const uint32_t groups = renumber(s->refined, g.n, g.n, s->near);
        if (groups == g.n) break; /* Nothing to merge: the communities stand. */
        level next;
        status = aggregate(s, &g, groups, &levels[turn], &next);
        if (status != QL_OK) goto done;
        for (uint32_t v = 0; v < first->n; v++) down[v] = s->refined[down[v]];
        owned_free(&levels[!turn]);
        g = next;
        turn = !turn;
    }
    if (g.labels != first->labels)
        for (uint32_t v = 0; v < first->n; v++) first->labels[v] = g.labels[down[v]];
done:
    owned_free(&levels[0]);
    owned_free(&levels[1]);
    return status;
}

static double modularity(const leiden *s, const level *g, double *totals)
{
    double inner = 0;
    double expected = 0;
    memset(totals, 0, g->n * sizeof *totals);
    for (uint32_t v = 0; v < g->n; v++) {
        totals[g->labels[v]] += g->strengths[v];
        for (uint64_t a = g->offsets[v]; a < g->offsets[v + 1]; a++)
            if (g->labels[g->targets[a]] == g->labels[v]) inner += weight_of(g, a);
    }
    for (uint32_t c = 0; c < g->n; c++) expected += totals[c] / s->volume * (totals[c] / s->volume);
    return inner / s->volume - s->resolution * expected;
}

static int leiden_open(leiden *s, uint32_t n, double resolution, uint64_t seed)
{
    *s = (leiden){.resolution = resolution, .random = seed * 2 + 1};
    s->totals = ql_alloc(2 * (size_t)n, sizeof *s->totals);
    s->toward = ql_alloc(n, sizeof *s->toward);
    s->near = ql_alloc(n, sizeof *s->near);
    s->queue = ql_alloc(n, sizeof *s->queue);
    s->order = ql_alloc(n, sizeof *s->order);
    s->sizes = ql_alloc(n, sizeof *s->sizes);
    s->refined = ql_alloc(n, sizeof *s->refined);
    s->waiting = ql_alloc(n, 1);
    return s->totals && s->toward && s->near && s->queue && s->order && s->sizes && s->refined &&
                   s->waiting
               ? QL_OK
               : QL_E_MEMORY;
}

static void leiden_close(leiden *s)
{
    ql_free(s->waiting);
    ql_free(s->refined);
    ql_free(s->sizes);
    ql_free(s->order);
    ql_free(s->queue);
    ql_free(s->near);
    ql_free(s->toward);
    ql_free(s->totals);
}

/* Communities of high modularity. weights: above 0, or NULL for ones; resolution above 0: higher
 * gives smaller ones. iterations: at most so many, fewer if one changes nothing; 0: until then.
 * labels (n): numbered in order of their smallest vertices. quality: modularity, 0 without
 * edges. */
int ql_leiden(const ql_csr *graph, const float *weights, double resolution, uint32_t iterations,
              uint64_t seed, uint32_t *labels, uint32_t *count, double *quality, ql_cost *cost)
{
    leiden s;
    int changed = 1;
    if (!(resolution > 0)) return QL_E_INVALID;
    double *strengths = ql_alloc(graph->n, sizeof *strengths);
    uint32_t *down = ql_alloc(graph->n, sizeof *down);
    int status = leiden_open(&s, graph->n, resolution, seed);
    if (!strengths || !down) status = QL_E_MEMORY;
    if (status != QL_OK) goto done;
    level g = {graph->n, graph->offsets, graph->targets, weights, NULL, strengths, labels};
    for (uint32_t v = 0; v < g.n; v++) {
        labels[v] = v;
        for (uint64_t a = g.offsets[v]; a < g.offsets[v + 1]; a++) strengths[v] += weight_of(&g, a);
        s.volume += strengths[v];
    }
    for (uint32_t i = 0; s.volume > 0 && changed && (iterations == 0 || i < iterations); i++) {
        status = iterate(&s, &g, down, &changed);
        if (status != QL_OK) goto done;
    }
    *count = renumber(labels, g.n, g.n, s.near);
    *quality = s.volume > 0 ? modularity(&s, &g, s.totals) : 0;
    cost->edges += s.edges;
done:
    leiden_close(&s);
    ql_free(down);
    ql_free(strengths);
    return status;
}

/* Communities by spreading labels: fast, coarse. sweeps: made, at most sweeps_max. labels as in
 * ql_leiden. */
int ql_label_propagation(const ql_csr *graph, const float *weights, uint32_t sweeps_max,
                         uint64_t seed, uint32_t *labels, uint32_t *count, uint32_t *sweeps,
                         ql_cost *cost)
{
    leiden s;
    uint64_t changes = graph->n;
    int status = leiden_open(&s, graph->n, 1, seed);
    if (status != QL_OK) goto done;
    level g = {graph->n, graph->offsets, graph->targets, weights, NULL, NULL, labels};
    for (uint32_t v = 0; v < g.n; v++) labels[v] = v;
    memset(s.waiting, 1, g.n);
    for (*sweeps = 0; *sweeps < sweeps_max && changes > g.n / 1000; ++*sweeps) {
        changes = 0;
        shuffle(&s.random, s.order, g.n);
        for (uint32_t i = 0; i < g.n; i++) {
            const uint32_t v = s.order[i];
            if (i + AHEAD < g.n)
                __builtin_prefetch(&g.targets[g.offsets[s.order[i + AHEAD]]]);
            if (!s.waiting[v]) continue;
            s.waiting[v] = 0;
            const uint32_t found = look_around(&s, &g, v, labels, 0);
            double most = s.toward[labels[v]];
            uint32_t best = labels[v];
            uint32_t ties = 0;
            for (uint32_t j = 0; j < found; j++) {
                const double weight = s.toward[s.near[j]];
                if (weight > most) ties = 1;
                else if (weight == most && best != labels[v]) ties++;
                else continue;
                if (ties == 1 || draw(&s.random, ties) == 0) best = s.near[j];
                most = weight;
            }
            forget_around(&s, found);
            if (best == labels[v]) continue;
            labels[v] = best;
            changes++;
            for (uint64_t a = g.offsets[v]; a < g.offsets[v + 1]; a++) s.waiting[g.targets[a]] = 1;
        }
    }
    *count = renumber(labels, g.n, g.n, s.near);
    cost->edges += s.edges;
done:
    leiden_close(&s);
    return status;
}
