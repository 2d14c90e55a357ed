/* dynamic_cut.c: the exact global minimum cut of a graph that changes, after every change.
 *
 * No cactus, no exponent: three cheap facts answer almost every update, a bounded local flow the
 * rest, and the static algorithm of cut.c only when the value rises past what is certified.
 *
 *   certificate  weight of a cut + deficits of the suspect pairs that it separates >= certified,
 * for every cut      (A) witnesses    at most 64 known cuts and the lightest vertex; the best of
 * them weighs exactly `value`            (B)
 *
 * A suspect is an edge that was lowered, its deficit by how much.  So a cut below `certified`
 * separates a suspect, and (A) survives three moves: lowering (u, v) by w adds w to its deficit;
 * raising it takes w away, and the suspect goes with the last of it; and a suspect whose ends still
 * carry a flow of `certified` can be dropped, since no cut between them is below.
 *
 * Lowering by w lowers no cut by more than w: if a witness fell to value - w, that is the new value
 * and no flow is needed. Otherwise one flow between the ends, stopped at `certified`, gives the
 * only candidate.  Raising changes nothing while a witness of weight `value` is left; else flows
 * between the suspects decide, and with none left a witness of weight `certified` is proof.  Above
 * that the static cut runs.  With 64 suspects `certified` falls to the value: all cuts weigh at
 * least that, so (A) holds with no suspect at all.
 *
 * Deficits are what is new here: without them, deleting and restoring an edge of a minimum cut
 * costs two flows around the whole graph when its parts hang together in a ring; with them it costs
 * two sums.
 *
 * The bounded flow is that of flow.c on this graph's own arcs.  The proof is short and the code is
 * not: bench/cuts.py compares every update with the static cut and re-adds every witness, on
 * weighted graphs too.
 *
 * Layout: rows of 16-byte arcs in one arena; a full row moves to the end with more room, and the
 * arena is packed when its end is reached.  Degrees stand in a binary heap with positions, so that
 * the lightest vertex is at hand for any weights.
 *
 * When an allocation fails inside an update the graph has changed but the value may be old: `stale`
 * makes the next call start from the static cut. */
#include "flow.h"

#include <string.h>

typedef struct suspect { /* an edge that was lowered and not seen strong since; low < high */
    uint32_t low;
    uint32_t high;
    uint64_t deficit;
} suspect;

typedef struct witness {
    uint64_t weight;
    uint32_t *members; /* vertices whose mask has this witness's bit */
    uint32_t count;
} witness;

struct ql_dynamic { /* one thread at a time */
    uint32_t n;
    ql_network network;
    ql_row *rows;
    ql_arc *arcs;
    uint64_t used;     /* arcs of the arena below this are taken */
    uint64_t capacity; /* of the arena */
    uint64_t live;     /* arcs in rows */
    uint64_t *degrees;
    uint32_t *heap;      /* vertices, lightest first */
    uint32_t *positions; /* of vertices in the heap */
    uint64_t *masks;     /* per vertex: bit i is its side of witness i */
    uint64_t taken;      /* bit i: witness i exists */
    witness witnesses[QL_DYNAMIC_WITNESSES_MAX];
    suspect suspects[QL_DYNAMIC_SUSPECTS_MAX];
    uint32_t suspects_count;
    uint64_t value;
    uint64_t certified;
    uint64_t seed;
    int stale;
    ql_dynamic_stats stats;
};

_Static_assert(QL_DYNAMIC_WITNESSES_MAX == 64, "masks are 64 bits");

/* ---- the lightest vertex ---- */

static void heap_put(ql_dynamic *d, uint32_t at, uint32_t v)
{
    d->heap[at] = v;
    d->positions[v] = at;
}

static void heap_rise(ql_dynamic *d, uint32_t v)
{
    uint32_t at = d->positions[v];
    while (at > 0 && d->degrees[d->heap[(at - 1) / 2]] > d->degrees[v]) {
        heap_put(d, at, d->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(d, at, v);
}

static void heap_sink(ql_dynamic *d, uint32_t v)
{
    uint32_t at = d->positions[v];
    for (uint64_t child = 2 * (uint64_t)at + 1; child < d->n; child = 2 * (uint64_t)at + 1) {
        if (child + 1 < d->n && d->degrees[d->heap[child + 1]] < d->degrees[d->heap[child]])
            child++;
        if (d->degrees[d->heap[child]] >= d->degrees[v]) break;
        heap_put(d, at, d->heap[child]);
        at = (uint32_t)child;
    }
    heap_put(d, at, v);
}

static void change_degree(ql_dynamic *d, uint32_t v, int64_t by)
{
    d->degrees[v] += (uint64_t)by;
    if (by < 0) heap_rise(d, v);
    else heap_sink(d, v);
}

/* ---- the changing graph ---- */

static uint32_t find_arc(const ql_dynamic *d, uint32_t u, uint32_t v)
{
    const int shorter = d->rows[v].length < d->rows[u].length;
    const ql_row row = d->rows[shorter ? v : u];
    const uint32_t wanted = shorter ? u : v;
    for (uint32_t a = row.begin; a < row.begin + row.length; a++)
        if (d->arcs[a].target == wanted) return shorter ? d->arcs[a].reverse : a;
    return QL_NONE;
}

/* Copy every row, with its capacity cut to its length, into a new arena that has room for `more`
 * arcs. */
static int pack(ql_dynamic *d, uint64_t more)
{
    const uint64_t capacity = d->live + d->live / 2 + more + 1024;
    uint64_t used = 0;
    if (capacity >= QL_NONE) return QL_E_LIMIT;
    ql_arc *arcs = ql_alloc(capacity, sizeof *arcs);
    uint32_t *moved = ql_alloc(d->used + 1, sizeof *moved);
    if (!arcs || !moved) {
        ql_free(moved);
        ql_free(arcs);
        return QL_E_MEMORY;
    }
    for (uint32_t v = 0; v < d->n; v++) {
        ql_row *row = &d->rows[v];
        for (uint32_t i = 0; i < row->length; i++) {
            moved[row->begin + i] = (uint32_t)used + i;
            arcs[used + i] = d->arcs[row->begin + i];
        }
        *row = (ql_row){(uint32_t)used, row->length, row->length};
        used += row->length;
    }
    for (uint64_t a = 0; a < used; a++) arcs[a].reverse = moved[arcs[a].reverse];
    ql_free(moved);
    ql_free(d->arcs);
    d->arcs = d->network.arcs = arcs;
    d->used = used;
    d->capacity = capacity;
    return QL_OK;
}

/* The capacity of a full row after it moves. */
static uint32_t grown(const ql_row *row)
{
    return row->length + row->length / 2 + 2;
}

/* Move a full row to the end of the arena, where there is room for it. */
static void widen(ql_dynamic *d, uint32_t v)
{
    ql_row *row = &d->rows[v];
    const uint32_t capacity = grown(row);
    if (row->length < row->capacity) return;
    assert(d->used + capacity <= d->capacity);
    for (uint32_t i = 0; i < row->length; i++) {
        d->arcs[d->used + i] = d->arcs[row->begin + i];
        d->arcs[d->arcs[row->begin + i].reverse].reverse = (uint32_t)d->used + i;
    }
    row->begin = (uint32_t)d->used;
    row->capacity = capacity;
    d->used += capacity;
}

static int add_edge(ql_dynamic *d, uint32_t u, uint32_t v, uint32_t weight)
{
    const uint64_t room = (uint64_t)grown(&d->rows[u]) + grown(&d->rows[v]);
    if (d->used + room > d->capacity &&
        (d->rows[u].length == d->rows[u].capacity || d->rows[v].length == d->rows[v].capacity))
        QL_TRY(pack(d, room));
    widen(d, u);
    widen(d, v);
    const uint32_t a = d->rows[u].begin + d->rows[u].length++;
    const uint32_t b = d->rows[v].begin + d->rows[v].length++;
    d->arcs[a] = (ql_arc){v, weight, b, 0};
    d->arcs[b] = (ql_arc){u, weight, a, 0};
    d->live += 2;
    return QL_OK;
}

static void drop_arc(ql_dynamic *d, uint32_t v, uint32_t arc)
{
    const uint32_t last = d->rows[v].begin + --d->rows[v].length;
    if (arc == last) return;
    d->arcs[arc] = d->arcs[last];
    d->arcs[d->arcs[arc].reverse].reverse = arc;
}

static void remove_edge(ql_dynamic *d, uint32_t arc)
{
    const uint32_t reverse = d->arcs[arc].reverse;
    const uint32_t v = d->arcs[arc].target;
    const uint32_t u = d->arcs[reverse].target;
    drop_arc(d, u, arc);
    drop_arc(d, v, reverse); /* Rows differ, so dropping the one did not move the other. */
    d->live -= 2;
}

/* ---- witnesses ---- */

static uint64_t upper_bound(const ql_dynamic *d)
{
    uint64_t best = d->degrees[d->heap[0]];
    for (uint64_t bits = d->taken; bits; bits &= bits - 1) {
        const uint64_t weight = d->witnesses[__builtin_ctzll(bits)].weight;
        if (weight < best) best = weight;
    }
    return best;
}

static void forget_witness(ql_dynamic *d, uint32_t i)
{
    witness *w = &d->witnesses[i];
    for (uint32_t j = 0; j < w->count; j++) d->masks[w->members[j]] &= ~(1ull << i);
    ql_free(w->members);
    *w = (witness){0};
    d->taken &= ~(1ull << i);
}

/* Keep a cut, unless a known one weighs the same; the heaviest makes room. */
static int add_witness(ql_dynamic *d, const uint32_t *members, uint32_t count, uint64_t weight)
{
    uint32_t slot = 0;
    if (upper_bound(d) == weight) return QL_OK;
    uint32_t *copy = ql_alloc(count, sizeof *copy);
    if (!copy) return QL_E_MEMORY;
    if (~d->taken) {
        slot = (uint32_t)__builtin_ctzll(~d->taken);
    } else {
        for (uint32_t i = 1; i < QL_DYNAMIC_WITNESSES_MAX; i++)
            if (d->witnesses[i].weight > d->witnesses[slot].weight) slot = i;
        forget_witness(d, slot);
    }
    memcpy(copy, members, count * sizeof *copy);
    for (uint32_t j = 0; j < count; j++) d->masks[copy[j]] |= 1ull << slot;
    d->witnesses[slot] = (witness){weight, copy, count};
    d->taken |= 1ull << slot;
    return QL_OK;
}

static void change_witnesses(ql_dynamic *d, uint32_t u, uint32_t v, int64_t by)
{
    for (uint64_t bits = (d->masks[u] ^ d->masks[v]) & d->taken; bits; bits &= bits - 1)
        d->witnesses[__builtin_ctzll(bits)].weight += (uint64_t)by;
}

/* ---- the value ---- */

/* Start from the static cut: certified = value, no suspects. */
static int recompute(ql_dynamic *d)
{
    int status = QL_E_MEMORY;
    ql_cost cost = {0};
    uint32_t rounds;
    uint32_t count = 0;
    uint64_t at = 0;
    uint64_t *offsets = ql_alloc((size_t)d->n + 1, sizeof *offsets);
    uint32_t *targets = ql_alloc(d->live + 1, sizeof *targets);
    uint32_t *weights = ql_alloc(d->live + 1, sizeof *weights);
    uint8_t *side = ql_alloc(d->n, 1);
    if (!offsets || !targets || !weights || !side) goto done;
    for (uint32_t v = 0; v < d->n; v++) {
        const ql_row row = d->rows[v];
        for (uint32_t a = row.begin; a < row.begin + row.length; a++) {
            targets[at] = d->arcs[a].target;
            weights[at++] = d->arcs[a].weight;
        }
        offsets[v + 1] = at;
    }
    const ql_csr graph = {d->n, offsets, targets};
    status = ql_cut_global(&graph, weights, d->seed, &d->value, side, &rounds, &cost);
    if (status != QL_OK) goto done;
    for (uint32_t v = 0; v < d->n; v++)
        if (side[v]) targets[count++] = v; /* At most n / 2 vertices, */
    assert(count <= d->live + 1);          /* each but a lonely one with an arc of its own. */
    d->certified = d->value;
    d->suspects_count = 0;
    d->stats.recomputes++;
    d->stats.edges += cost.edges;
    status = add_witness(d, targets, count, d->value);
done:
    ql_free(side);
    ql_free(weights);
    ql_free(targets);
    ql_free(offsets);
    return status;
}

/* Flow between two vertices up to `certified`; below it, the side is in members. */
static int tie_of(ql_dynamic *d, uint32_t u, uint32_t v, uint64_t *flow, const uint32_t **members,
                  uint32_t *count)
{
    uint32_t source_side;
    const uint64_t before = d->network.edges;
    d->stats.flows++;
    const int status = ql_network_cut(&d->network, &u, 1, &v, 1, d->certified, flow, members, count,
                                      &source_side);
    d->stats.edges += d->network.edges - before;
    return status;
}

/* No witness weighs `value` any more: find the new, larger value. */
static int resolve(ql_dynamic *d)
{
    uint64_t best = UINT64_MAX;
    uint32_t kept = 0;
    const uint32_t *members;
    uint32_t count;
    uint64_t flow;
    for (uint32_t i = 0; i < d->suspects_count; i++) {
        const suspect s = d->suspects[i];
        QL_TRY(tie_of(d, s.low, s.high, &flow, &members, &count));
        if (flow >= d->certified) continue;
        d->suspects[kept++] = s;
        if (flow >= best) continue;
        best = flow;
        QL_TRY(add_witness(d, members, count, flow)); /* Before the next flow takes the queue. */
    }
    d->suspects_count = kept;
    if (kept) d->value = best;
    else if (upper_bound(d) == d->certified) d->value = d->certified;
    else return recompute(d);
    return QL_OK;
}

/* Position of a pair among the suspects, or their number. */
static uint32_t find_suspect(const ql_dynamic *d, uint32_t low, uint32_t high)
{
    uint32_t i = 0;
    while (i < d->suspects_count && (d->suspects[i].low != low || d->suspects[i].high != high)) i++;
    return i;
}

static void drop_suspect(ql_dynamic *d, uint32_t i)
{
    d->suspects[i] = d->suspects[--d->suspects_count];
}

static int raise_edge(ql_dynamic *d, uint32_t low, uint32_t high, uint64_t by)
{
    const uint32_t i = find_suspect(d, low, high);
    if (i < d->suspects_count) {
        if (d->suspects[i].deficit > by) d->suspects[i].deficit -= by;
        else drop_suspect(d, i);
    }
    return upper_bound(d) == d->value ? QL_OK : resolve(d);
}

static void add_deficit(ql_dynamic *d, uint32_t low, uint32_t high, uint64_t by)
{
    const uint32_t i = find_suspect(d, low, high);
    if (i < d->suspects_count) {
        d->suspects[i].deficit += by;
    } else if (i < QL_DYNAMIC_SUSPECTS_MAX) {
        d->suspects[d->suspects_count++] = (suspect){low, high, by};
    } else {
        d->certified = d->value;
        d->suspects_count = 0;
    }
}

static int lower_edge(ql_dynamic *d, uint32_t low, uint32_t high, uint64_t by)
{
    const uint32_t *members;
    uint32_t count;
    uint64_t flow;
    if (d->certified == 0) return QL_OK;
    if (upper_bound(d) + by == d->value) {
        d->value -= by;
        add_deficit(d, low, high, by);
        return QL_OK;
    }
    QL_TRY(tie_of(d, low, high, &flow, &members, &count));
    if (flow >= d->certified) {
        const uint32_t i = find_suspect(d, low, high);
        if (i < d->suspects_count) drop_suspect(d, i);
        return QL_OK;
    }
    if (flow < d->value) {
        d->value = flow;
        QL_TRY(add_witness(d, members, count, flow));
    }
    add_deficit(d, low, high, by);
    return QL_OK;
}

static int set_weight(ql_dynamic *d, uint32_t u, uint32_t v, uint32_t weight)
{
    if (d->stale) {
        QL_TRY(recompute(d));
        d->stale = 0;
    }
    const uint32_t arc = find_arc(d, u, v);
    const uint32_t old = arc == QL_NONE ? 0 : d->arcs[arc].weight;
    const uint64_t before = d->value;
    if (weight == old) return QL_OK;
    if (arc == QL_NONE) {
        QL_TRY(add_edge(d, u, v, weight));
    } else if (weight == 0) {
        remove_edge(d, arc);
    } else {
        d->arcs[arc].weight = weight;
        d->arcs[d->arcs[arc].reverse].weight = weight;
    }
    const int64_t by = (int64_t)weight - (int64_t)old;
    const uint32_t low = u < v ? u : v;
    const uint32_t high = u < v ? v : u;
    change_degree(d, u, by);
    change_degree(d, v, by);
    change_witnesses(d, u, v, by);
    const int status = by > 0 ? raise_edge(d, low, high, (uint64_t)by)
                              : lower_edge(d, low, high, (uint64_t)-by);
    if (status != QL_OK) d->stale = 1;
    d->stats.changes += d->value != before;
    return status;
}

/* ---- the public handle ---- */

/* Copy a graph and cut it. Loops are ignored; no parallel arcs; weights 1 .. QL_FLOW_WEIGHT_MAX or
 * NULL for ones. */
int ql_dynamic_open(const ql_csr *graph, const uint32_t *weights, uint64_t seed,
                    ql_dynamic **dynamic)
{
    int status = QL_E_MEMORY;
    const uint32_t n = graph->n;
    if (n < 2) return QL_E_INVALID;
    ql_dynamic *d = ql_alloc(1, sizeof *d);
    if (!d) return QL_E_MEMORY;
    d->n = n;
    d->seed = seed;
    d->rows = ql_alloc(n, sizeof *d->rows);
    d->degrees = ql_alloc(n, sizeof *d->degrees);
    d->heap = ql_alloc(n, sizeof *d->heap);
    d->positions = ql_alloc(n, sizeof *d->positions);
    d->masks = ql_alloc(n, sizeof *d->masks);
    if (!d->rows || !d->degrees || !d->heap || !d->positions || !d->masks) goto failed;
    status = ql_network_open(&d->network, n);
    if (status != QL_OK) goto failed;
    d->network.rows = d->rows;
    d->network.degrees = d->degrees;
    status = pack(d, graph->offsets[n]);
    if (status != QL_OK) goto failed;
    /* Room first, so that reverses can be filled in as arcs arrive. */
    for (uint32_t v = 0; v < n; v++) {
        d->heap[v] = d->positions[v] = v;
        d->rows[v] = (ql_row){(uint32_t)d->used, 0,
                              (uint32_t)(graph->offsets[v + 1] - graph->offsets[v])};
        d->used += d->rows[v].capacity;
    }
    for (uint32_t v = 0; v < n; v++)
        for (uint64_t a = graph->offsets[v]; a < graph->offsets[v + 1]; a++) {
            const uint32_t weight = weights ? weights[a] : 1;
            const uint32_t t = graph->targets[a];
            status = weight == 0 || weight > QL_FLOW_WEIGHT_MAX ? QL_E_INVALID : QL_OK;
            if (status == QL_OK && v < t) status = add_edge(d, v, t, weight);
            if (status != QL_OK) goto failed;
            if (v != t) d->degrees[v] += weight;
        }
    /* From the bottom: what is below is in order. */
    for (uint32_t at = n; at-- > 0;) heap_sink(d, d->heap[at]);
    status = recompute(d);
    if (status != QL_OK) goto failed;
    d->stats = (ql_dynamic_stats){0};
    *dynamic = d;
    return QL_OK;
failed:
    ql_dynamic_close(d);
    return status;
}

void ql_dynamic_close(ql_dynamic *dynamic)
{
    if (!dynamic) return;
    for (uint32_t i = 0; i < QL_DYNAMIC_WITNESSES_MAX; i++) ql_free(dynamic->witnesses[i].members);
    ql_network_close(&dynamic->network);
    ql_free(dynamic->masks);
    ql_free(dynamic->positions);
    ql_free(dynamic->heap);
    ql_free(dynamic->degrees);
    ql_free(dynamic->arcs);
    ql_free(dynamic->rows);
    ql_free(dynamic);
}

/* Set the weights of count edges, one after the other; 0 removes one. values (count) or NULL: the
 * minimum cut after each. done: how many were carried out; the failing one of QL_E_MEMORY may be in
 * the graph, and is accounted for at the next call. QL_E_INVALID, before anything is changed, for a
 * loop, an unknown vertex or a weight above QL_FLOW_WEIGHT_MAX. */
int ql_dynamic_update(ql_dynamic *dynamic, const uint32_t *sources, const uint32_t *targets,
                      const uint32_t *weights, uint64_t count, uint64_t *values, uint64_t *done)
{
    *done = 0;
    for (uint64_t i = 0; i < count; i++)
        if (sources[i] >= dynamic->n || targets[i] >= dynamic->n || sources[i] == targets[i] ||
            weights[i] > QL_FLOW_WEIGHT_MAX)
            return QL_E_INVALID;
    for (uint64_t i = 0; i < count; i++) {
        QL_TRY(set_weight(dynamic, sources[i], targets[i], weights[i]));
        if (values) values[i] = dynamic->value;
        ++*done;
    }
    return QL_OK;
}

/* The value now, a lightest cut (side (n): 1 on one of its sides; may be NULL), and what updates
 * have cost since open. */
int ql_dynamic_cut(ql_dynamic *dynamic, uint64_t *value, uint8_t *side, ql_dynamic_stats *stats)
{
    if (dynamic->stale) {
        QL_TRY(recompute(dynamic));
        dynamic->stale = 0;
    }
    *value = dynamic->value;
    *stats = dynamic->stats;
    if (!side) return QL_OK;
    memset(side, 0, dynamic->n);
    if (dynamic->degrees[dynamic->heap[0]] == dynamic->value) {
        side[dynamic->heap[0]] = 1;
        return QL_OK;
    }
    for (uint32_t i = 0; i < QL_DYNAMIC_WITNESSES_MAX; i++) {
        const witness *w = &dynamic->witnesses[i];
        if (!(dynamic->taken >> i & 1) || w->weight != dynamic->value) continue;
        for (uint32_t j = 0; j < w->count; j++) side[w->members[j]] = 1;
        return QL_OK;
    }
    assert(!"a witness attains the value");
    return QL_E_INVALID;
}

/* For tests: add up degrees and witnesses anew, and look at every arc's reverse. QL_E_CORRUPT if
 * anything differs. */
int ql_dynamic_check(const ql_dynamic *dynamic)
{
    uint64_t weights[QL_DYNAMIC_WITNESSES_MAX] = {0};
    for (uint32_t v = 0; v < dynamic->n; v++) {
        const ql_row row = dynamic->rows[v];
        uint64_t degree = 0;
        for (uint32_t a = row.begin; a < row.begin + row.length; a++) {
            const ql_arc *arc = &dynamic->arcs[a];
            const ql_arc *back = &dynamic->arcs[arc->reverse];
            if (back->reverse != a || back->target != v || back->weight != arc->weight || arc->flow)
                return QL_E_CORRUPT;
            degree += arc->weight;
            if (v > arc->target) continue;
            for (uint64_t bits = dynamic->masks[v] ^ dynamic->masks[arc->target]; bits;
                 bits &= bits - 1)
                weights[__builtin_ctzll(bits)] += arc->weight;
        }
        if (degree != dynamic->degrees[v] || dynamic->heap[dynamic->positions[v]] != v)
            return QL_E_CORRUPT;
        const uint32_t above =
            dynamic->heap[(dynamic->positions[v] - (dynamic->positions[v] > 0)) / 2];
        if (degree < dynamic->degrees[above]) return QL_E_CORRUPT;
    }
    for (uint32_t i = 0; i < QL_DYNAMIC_WITNESSES_MAX; i++)
        if ((dynamic->taken >> i & 1) && weights[i] != dynamic->witnesses[i].weight)
            return QL_E_CORRUPT;
    return upper_bound(dynamic) == dynamic->value || dynamic->stale ? QL_OK : QL_E_CORRUPT;
}
