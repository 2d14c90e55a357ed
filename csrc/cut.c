/* cut.c: the exact global minimum cut of an undirected graph with integer weights.
 *
 * Nagamochi, Ono, Ibaraki (1994) as engineered by Henzinger, Noe, Schulz, Strash (2018): keep an
 * upper bound L (the best cut seen) and contract pairs that no cut below L separates, until two
 * vertices are left.
 *
 *   scan      one maximum-adjacency order.  r[t], the weight from scanned vertices to t when the
 * arc (v, t) is scanned, is a lower bound of the connectivity of v and t; r[t] + w >= L proves the
 * pair.  Every scanned prefix is itself a cut (alpha), which may lower L.  Keys are capped at L in
 * the queue, never in r: alpha needs the true sums. local     Padberg-Rinaldi rules on one arc: w
 * >= L, or 2w > degree of an end. contract  counting sort of vertices by representative, parallel
 * arcs merged by one slot per target: O(n + m), no hashing.
 *
 * What is different here
 *   - Equality 2w == degree(v) is used too, once per vertex as the one that moves.  Why that is
 * safe: take a minimum cut below L that separates v from t; {v} alone is not it (its value is at
 * least L), so v can change sides without raising the value.  Each vertex moves along at most one
 * arc and arcs inside a class are skipped, so the moves form a forest; carried out from the roots
 * down, none undoes an earlier one, and a strict pair is separated by no minimum cut at all.
 * Without equality a ring shrinks by a handful of vertices per round; with two moves per vertex the
 * answers are wrong.
 *   - L equal to the smallest weight ends the search: in a connected graph no cut is lighter.  A
 * knowledge graph with a leaf is answered without copying it.
 *   - The queue is one arena of slots with a free list, so that it stays in cache: a bit per bucket
 * finds the highest.  For bounds above 65,535 a binary heap with stale entries takes over.
 *
 * Measured beside VieCut, igraph and rustworkx in bench/cuts.py.
 *
 * Invariants: the graph is connected when the loop starts; L is at most every weighted degree;
 * labels[v] is the vertex of the current graph that original v was merged into. */
#include <string.h>

#include "internal.h"

#define BUCKETS_MAX 65536
#define RANKED UINT64_MAX

/* the current graph; weights are narrow (the caller's), wide (ours) or all one */
typedef struct shape {
    uint32_t n;
    const uint64_t *offsets;
    const uint32_t *targets;
    const uint32_t *narrow;
    const uint64_t *wide;
    uint64_t weight_min;
    uint64_t weight_max;
} shape;

typedef struct buffer { /* where contraction writes; two take turns */
    uint64_t *offsets;
    uint32_t *targets;
    uint64_t *weights;
} buffer;

/* vertices by capped key, highest first, newest first among equals; stale entries are skipped */
typedef struct queue {
    uint32_t *heads;    /* [bucket]: newest slot + 1 */
    uint64_t *occupied; /* bit per bucket */
    uint32_t top;       /* highest word of occupied that may be non-zero */
    uint32_t *next;     /* [slot]: older slot + 1, also the free list */
    uint32_t *vertices; /* [slot] */
    uint32_t unused;    /* head of the free list */
    uint32_t used;      /* slots ever used */
    uint64_t *keys;     /* heap only: [position] */
    uint64_t size;      /* heap only */
} queue;

typedef struct search { /* one call; one thread */
    shape now;
    buffer buffers[2];
    uint32_t turn;
    uint32_t original_n;
    uint64_t *degrees;
    uint64_t *r;
    uint32_t *parents; /* union-find over current vertices */
    uint32_t *order;   /* scan: vertices by rank; contract: vertices by class */
    uint32_t *labels;
    uint32_t *map;
    uint64_t *slots;
    uint8_t *moved;
    queue waiting;
    uint64_t bound; /* L */
    uint8_t *side;
    uint64_t random;
    uint64_t edges;
} search;

static inline uint64_t weight_of(const shape *g, uint64_t arc)
{
    return g->wide ? g->wide[arc] : g->narrow ? g->narrow[arc] : 1;
}

static uint32_t find(uint32_t *parents, uint32_t v)
{
    while (parents[v] != v) {
        parents[v] = parents[parents[v]];
        v = parents[v];
    }
    return v;
}

static int join(uint32_t *parents, uint32_t a, uint32_t b)
{
    a = find(parents, a);
    b = find(parents, b);
    if (a == b) return 0;
    if (a < b) parents[b] = a;
    else parents[a] = b;
    return 1;
}

/* ---- the queue ---- */

static void bucket_push(queue *q, uint64_t key, uint32_t vertex)
{
    uint32_t slot = q->unused;
    if (slot) q->unused = q->next[slot - 1];
    else slot = ++q->used;
    const uint32_t word = (uint32_t)(key >> 6);
    q->vertices[slot - 1] = vertex;
    q->next[slot - 1] = q->heads[key];
    q->heads[key] = slot;
    q->occupied[word] |= 1ull << (key & 63);
    if (word > q->top) q->top = word;
}

static int bucket_pop(queue *q, uint32_t *vertex)
{
    while (!q->occupied[q->top]) {
        if (q->top == 0) return 0;
        q->top--;
    }
    const uint32_t bit = 63 - (uint32_t)__builtin_clzll(q->occupied[q->top]);
    const uint32_t key = q->top << 6 | bit;
    const uint32_t slot = q->heads[key];
    q->heads[key] = q->next[slot - 1];
    if (!q->heads[key]) q->occupied[q->top] &= ~(1ull << bit);
    q->next[slot - 1] = q->unused;
    q->unused = slot;
    *vertex = q->vertices[slot - 1];
    return 1;
}

static void heap_push(queue *q, uint64_t key, uint32_t vertex)
{
    uint64_t at = q->size++;
    while (at && q->keys[(at - 1) / 2] < key) {
        q->keys[at] = q->keys[(at - 1) / 2];
        q->vertices[at] = q->vertices[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    q->keys[at] = key;
    q->vertices[at] = vertex;
}

static int heap_pop(queue *q, uint32_t *vertex)
{
    if (!q->size) return 0;
    *vertex = q->vertices[0];
    const uint64_t key = q->keys[--q->size];
    const uint32_t last = q->vertices[q->size];
    uint64_t at = 0;
    for (uint64_t child = 1; child < q->size; child = 2 * at + 1) {
        if (child + 1 < q->size && q->keys[child + 1] > q->keys[child]) child++;
        if (q->keys[child] <= key) break;
        q->keys[at] = q->keys[child];
        q->vertices[at] = q->vertices[child];
        at = child;
    }
    q->keys[at] = key;
    q->vertices[at] = last;
    return 1;
}

/* ---- bounds ---- */

/* Degrees, smallest and largest weight of the current graph. */
static void measure(search *s)
{
    shape *g = &s->now;
    g->weight_min = UINT64_MAX;
    g->weight_max = 0;
    for (uint32_t v = 0; v < g->n; v++) {
        uint64_t degree = 0;
        for (uint64_t a = g->offsets[v]; a < g->offsets[v + 1]; a++) {
            const uint64_t w = weight_of(g, a);
            if (g->targets[a] == v) continue;
            degree += w;
            if (w < g->weight_min) g->weight_min = w;
            if (w > g->weight_max) g->weight_max = w;
        }
        s->degrees[v] = degree;
    }
    s->edges += g->offsets[g->n];
}

/* A vertex alone is a cut: take the lightest if it beats the bound. */
static void bound_by_degree(search *s)
{
    uint32_t best = QL_NONE;
    for (uint32_t v = 0; v < s->now.n; v++)
        if (s->degrees[v] < s->bound) {
            s->bound = s->degrees[v];
            best = v;
        }
    if (best == QL_NONE) return;
    for (uint32_t v = 0; v < s->original_n; v++) s->side[v] = s->labels[v] == best;
}

/* ---- the two ways to prove pairs ---- */

/* Padberg-Rinaldi rules 1 and 2 over all arcs; returns how many merges happened. */
static uint32_t local_rules(search *s)
{
    const shape *g = &s->now;
    uint32_t merges = 0;
    /* No degree is below the bound. */
    if (g->weight_max < s->bound && 2 * g->weight_max < s->bound) return 0;
    memset(s->moved, 0, g->n);
    for (uint32_t v = 0; v < g->n; v++)
        for (uint64_t a = g->offsets[v]; a < g->offsets[v + 1]; a++) {
            const uint32_t t = g->targets[a];
            const uint64_t w = weight_of(g, a);
            if (t == v) continue;
            if (w >= s->bound || 2 * w > s->degrees[v]) {
                merges += (uint32_t)join(s->parents, v, t);
            } else if (2 * w == s->degrees[v] && !s->moved[v] && join(s->parents, v, t)) {
                s->moved[v] = 1;
                merges++;
            }
        }
    s->edges += g->offsets[g->n];
    return merges;
}

/* One vertex of the order: prove pairs with its unscanned neighbours and queue them. */
static uint32_t scan_vertex(search *s, uint32_t v, uint64_t cap, int heap)
{
    const shape *g = &s->now;
    uint32_t merges = 0;
    for (uint64_t a = g->offsets[v]; a < g->offsets[v + 1]; a++) {
        const uint32_t t = g->targets[a];
        const uint64_t old = s->r[t];
        if (old == RANKED) continue;
        const uint64_t grown = old + weight_of(g, a);
        s->r[t] = grown;
        if (grown >= s->bound) merges += (uint32_t)join(s->parents, v, t);
        if (old >= cap) continue;
        const uint64_t key = grown < cap ? grown : cap;
        if (heap) heap_push(&s->waiting, key, t);
        else bucket_push(&s->waiting, key, t);
    }
    return merges;
}

/* One maximum-adjacency scan; returns merges. May lower the bound by a prefix of the order. */
static uint32_t scan(search *s)
{
    const shape *g = &s->now;
    const uint64_t cap = s->bound;
    const int heap = cap >= BUCKETS_MAX;
    queue *q = &s->waiting;
    uint64_t alpha = 0;
    uint32_t prefix = 0;
    uint32_t ranked = 0;
    uint32_t merges = 0;
    uint32_t v;
    memset(s->r, 0, g->n * sizeof *s->r);
    if (!heap) {
        memset(q->heads, 0, (cap + 1) * sizeof *q->heads);
        memset(q->occupied, 0, (cap / 64 + 1) * sizeof *q->occupied);
    }
    q->top = q->unused = q->used = 0;
    q->size = 0;
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    v = (uint32_t)((s->random >> 32) * g->n >> 32);
    do {
        if (s->r[v] == RANKED) continue;
        /* Wraps and comes back: alpha itself is never negative. */
        alpha += s->degrees[v] - 2 * s->r[v];
        s->r[v] = RANKED;
        s->order[ranked++] = v;
        if (ranked < g->n && alpha < s->bound) {
            s->bound = alpha;
            prefix = ranked;
        }
        merges += scan_vertex(s, v, cap, heap);
    } while (heap ? heap_pop(q, &v) : bucket_pop(q, &v));
    assert(ranked == g->n); /* The graph is connected. */
    s->edges += g->offsets[g->n];
    if (prefix) {
        memset(s->moved, 0, g->n);
        for (uint32_t i = 0; i < prefix; i++) s->moved[s->order[i]] = 1;
        for (uint32_t u = 0; u < s->original_n; u++) s->side[u] = s->moved[s->labels[u]];
    }
    return merges;
}

/* ---- contraction ---- */

static int buffer_reserve(buffer *b, uint32_t n, uint64_t arcs)
{
    if (b->offsets) return QL_OK;
    b->offsets = ql_alloc((size_t)n + 1, sizeof *b->offsets);
    b->targets = ql_alloc(arcs + 1, sizeof *b->targets);
    b->weights = ql_alloc(arcs + 1, sizeof *b->weights);
    return b->offsets && b->targets && b->weights ? QL_OK : QL_E_MEMORY;
}

/* Number the classes into map, and sort the vertices by class into order; starts are left in
 * slots. */
static uint32_t classify(search *s)
{
    const uint32_t n = s->now.n;
    uint32_t classes = 0;
    for (uint32_t v = 0; v < n; v++) {
        const uint32_t root = find(s->parents, v);
        /* Roots are the smallest of their class. */
        s->map[v] = root == v ? classes++ : s->map[root];
    }
    memset(s->slots, 0, ((size_t)classes + 1) * sizeof *s->slots);
    for (uint32_t v = 0; v < n; v++) s->slots[s->map[v] + 1]++;
    for (uint32_t c = 0; c < classes; c++) s->slots[c + 1] += s->slots[c];
    for (uint32_t v = 0; v < n; v++) s->order[s->slots[s->map[v]]++] = v;
    return classes;
}

/* Replace the current graph by its classes. */
static int contract(search *s)
{
    const shape old = s->now;
    buffer *out = &s->buffers[s->turn];
    uint64_t kept = 0;
    uint32_t i = 0;
    QL_TRY(buffer_reserve(out, old.n, old.offsets[old.n]));
    const uint32_t classes = classify(s);
    memset(s->slots, 0, (size_t)classes * sizeof *s->slots);
    for (uint32_t c = 0; c < classes; c++) {
        const uint64_t row = kept;
        out->offsets[c] = row;
        for (; i < old.n && s->map[s->order[i]] == c; i++) {
            const uint32_t v = s->order[i];
            for (uint64_t a = old.offsets[v]; a < old.offsets[v + 1]; a++) {
                const uint32_t t = s->map[old.targets[a]];
                if (t == c) continue;
                /* Slots hold position + 1; older rows lie before this one. */
                if (s->slots[t] > row) {
                    out->weights[s->slots[t] - 1] += weight_of(&old, a);
                    continue;
                }
                out->targets[kept] = t;
                out->weights[kept] = weight_of(&old, a);
                s->slots[t] = ++kept;
            }
        }
    }
    out->offsets[classes] = kept;
    for (uint32_t v = 0; v < s->original_n; v++) s->labels[v] = s->map[s->labels[v]];
    for (uint32_t c = 0; c < classes; c++) s->parents[c] = c;
    s->now = (shape){
        .n = classes, .offsets = out->offsets, .targets = out->targets, .wide = out->weights};
    s->turn = !s->turn;
    s->edges += old.offsets[old.n];
    if (classes > 1) { /* One class has no cut left, and no degree. */
        measure(s);
        bound_by_degree(s);
    }
    return QL_OK;
}

/* ---- the whole ---- */

static int search_open(search *s, const ql_csr *graph, const uint32_t *weights, uint8_t *side,
                       uint64_t seed)
{
    const size_t n = graph->n;
    const uint64_t slots = graph->offsets[n] + 2; /* Each arc queues at most once. */
    *s = (search){
        .original_n = graph->n, .side = side, .random = seed * 2 + 1, .bound = UINT64_MAX};
    s->now = (shape){
        .n = graph->n, .offsets = graph->offsets, .targets = graph->targets, .narrow = weights};
    s->degrees = ql_alloc(n, sizeof *s->degrees);
    s->labels = ql_alloc(n, sizeof *s->labels);
    s->r = ql_alloc(n, sizeof *s->r);
    s->parents = ql_alloc(n, sizeof *s->parents);
    s->order = ql_alloc(n, sizeof *s->order);
    s->map = ql_alloc(n, sizeof *s->map);
    s->slots = ql_alloc(n + 1, sizeof *s->slots);
    s->moved = ql_alloc(n, sizeof *s->moved);
    s->waiting.heads = ql_alloc(BUCKETS_MAX, sizeof *s->waiting.heads);
    s->waiting.occupied = ql_alloc(BUCKETS_MAX / 64, sizeof *s->waiting.occupied);
    s->waiting.next = ql_alloc(slots, sizeof *s->waiting.next);
    s->waiting.vertices = ql_alloc(slots, sizeof *s->waiting.vertices);
    if (!s->degrees || !s->labels || !s->r || !s->parents || !s->order || !s->map || !s->slots ||
        !s->moved || !s->waiting.heads || !s->waiting.occupied || !s->waiting.next ||
        !s->waiting.vertices)
        return QL_E_MEMORY;
    for (uint32_t v = 0; v < graph->n; v++) s->labels[v] = s->parents[v] = v;
    return QL_OK;
}

static void search_close(search *s)
{
    for (int i = 0; i < 2; i++) {
        ql_free(s->buffers[i].weights);
        ql_free(s->buffers[i].targets);
        ql_free(s->buffers[i].offsets);
    }
    ql_free(s->waiting.keys);
    ql_free(s->waiting.vertices);
    ql_free(s->waiting.next);
    ql_free(s->waiting.occupied);
    ql_free(s->waiting.heads);
    ql_free(s->moved);
    ql_free(s->slots);
    ql_free(s->map);
    ql_free(s->order);
    ql_free(s->parents);
    ql_free(s->r);
    ql_free(s->labels);
    ql_free(s->degrees);
}

/* The smallest component is the side of a cut of value 0. Uses order as counters. */
static void cut_component(search *s, uint32_t components)
{
    uint32_t best = 0;
    memset(s->order, 0, s->original_n * sizeof *s->order);
    for (uint32_t v = 0; v < s->original_n; v++) s->order[s->labels[v]]++;
    for (uint32_t c = 1; c < components; c++)
        if (s->order[c] < s->order[best]) best = c;
    for (uint32_t v = 0; v < s->original_n; v++) s->side[v] = s->labels[v] == best;
    s->bound = 0;
}

static int shrink(search *s, uint32_t *rounds)
{
    while (s->now.n > 2 && s->bound > s->now.weight_min) {
        const uint64_t before = s->bound;
        uint32_t n;
        uint32_t merges;
        do {
            n = s->now.n;
            merges = local_rules(s);
            if (merges) QL_TRY(contract(s));
        } while (merges > n / 20 && s->now.n > 2);
        if (s->now.n <= 2 || s->bound <= s->now.weight_min) break;
        if (s->bound >= BUCKETS_MAX && !s->waiting.keys) {
            s->waiting.keys = ql_alloc(s->now.offsets[s->now.n] + 2, sizeof *s->waiting.keys);
            if (!s->waiting.keys) return QL_E_MEMORY;
        }
        merges = scan(s);
        assert(merges || s->bound < before);
        if (merges) QL_TRY(contract(s));
        ++*rounds;
    }
    return QL_OK;
}

/* The lightest cut of a graph that passed ql_csr_check and is symmetric; weights (arcs) at least 1,
 * or NULL for ones. value: its weight, 0 if the graph is not connected.  side (n): 1 for the
 * vertices of the smaller part (of the part without vertex 0 if both are equal).  rounds: scans
 * made.  Parallel edges add up, loops are ignored.  The seed moves the choice among equal cuts and
 * the time, never the value.  QL_E_INVALID if n < 2 or a weight is 0. */
int ql_cut_global(const ql_csr *graph, const uint32_t *weights, uint64_t seed, uint64_t *value,
                  uint8_t *side, uint32_t *rounds, ql_cost *cost)
{
    search s;
    uint32_t components;
    uint32_t inside = 0;
    if (graph->n < 2) return QL_E_INVALID;
    /* Slots of the queue are u32. */
    if (graph->offsets[graph->n] >= QL_NONE - 2) return QL_E_LIMIT;
    for (uint64_t a = 0; weights && a < graph->offsets[graph->n]; a++)
        if (weights[a] == 0) return QL_E_INVALID;
    int status = search_open(&s, graph, weights, side, seed);
    if (status != QL_OK) goto done;

    *rounds = 0;
    ql_components(graph, s.labels, &components, cost);
    if (components > 1) {
        cut_component(&s, components);
    } else {
        for (uint32_t v = 0; v < graph->n; v++) s.labels[v] = v;
        measure(&s);
        bound_by_degree(&s);
        status = shrink(&s, rounds);
        if (status != QL_OK) goto done;
    }
    for (uint32_t v = 0; v < graph->n; v++) inside += side[v];
    if (inside > graph->n - inside || (inside == graph->n - inside && side[0]))
        for (uint32_t v = 0; v < graph->n; v++) side[v] = !side[v];
    *value = s.bound;
    cost->edges += s.edges;
done:
    search_close(&s);
    return status;
}
