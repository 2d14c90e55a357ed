/* near.c: nearest neighbours as the user sees them: visible, allowed, distinct, exactly scored,
 * sorted.
 *
 * The index covers a prefix of the rows; the rest is scanned.  Both only propose slots with an
 * approximate score. What is answered is computed here from the stored rows in float64 (products of
 * two floats are exact there), so equal rows have equal scores, and the order is by that score,
 * then by the smaller node.
 *
 * A proposal costs a float64 score only if its approximate score, plus the most that float32 can be
 * wrong, reaches the k-th best so far.  A scan is therefore exact at float32 speed.
 *
 * Filters and deaths.  Slots that died long ago are not in the graph any more; a snapshot that
 * still sees some of them scans.  To the others the walk is blind: a beam of width ef/s holds about
 * ef matches when a share s of the slots matches.  Its matches are the best ones as long as the
 * k-th of them does not stand near the end of the beam; otherwise (few matches, or matches far from
 * the query) all matching rows are scanned, which costs what the walk would have at the same share,
 * and is exact.  So min(k, matching) results are always found. */
#include "index.h"

#include <float.h>
#include <math.h>

#include "order.h"

#define SCAN_ROWS 64u
#define CODE_ERROR                                                                                 \
    0.03 /* of a cosine times sqrt(d): 2.3 standard deviations of what codes.c rounds away */
#define HOT_BLUR                                                                                   \
    0.75 /* the same of what the hot plane alone rounds away, five standard deviations */
#define WARM_PLACES 3u /* places per result that are scored with both planes of their codes ... */
#define WARM_MORE 16u  /* ... and some more, because the walk saw the hot plane only */
#define FEW                                                                                        \
    4u /* begin with the allowed nodes if they are less than this part of the slots; else look at  \
          every slot */
#define DISTANCES_PER_WIDTH                                                                        \
    12u /* rows that a walk scores per place in its beam; bench/vectors.py */

/* What is being asked, and the best answers so far.  keys are score-major: descending score << 32 |
 * node. */
typedef struct question {
    const ql_vectors *vectors;
    const ql_near_options *options;
    const float *query;  /* as given */
    float *unit;         /* for scanning: of length 1 for cosine, otherwise a copy */
    double norm;
    int few;             /* so few nodes are allowed that it pays to begin with them */
    int extreme;         /* query or rows where float32 is not trusted: score all in float64 */
    uint64_t *keys;      /* capacity */
    uint32_t capacity;
    uint32_t count;
    uint32_t k;
    float threshold;     /* the k-th best exact score, or -inf */
    ql_cost *cost;
} question;

static int is_allowed(const ql_near_options *options, uint32_t node)
{
    if (!options->allowed) return 1;
    return node < options->allowed_nodes && (options->allowed[node / 64] >> node % 64 & 1);
}

static int is_match(const question *ask, uint32_t slot)
{
    if (slot >= ask->options->count) return 0;
    return is_allowed(ask->options, ask->vectors->metas[slot].node) &&
           slot_visible(ask->vectors, slot, ask->options->commit);
}

/* ---- exact scores ---- */

static float exact_score(const question *ask, uint32_t slot)
{
    const ql_kernels *kernels = ql_kernels_active();
    const float *row = row_at(ask->vectors, slot);
    double dot;
    double square;

    if (ask->vectors->metric == QL_L2) {
        dot = -kernels->exact_l2(ask->query, row, ask->vectors->dim);
    } else {
        kernels->exact_dot(ask->query, row, ask->vectors->dim, &dot, &square);
        if (ask->vectors->metric == QL_COSINE)
            dot = square > 0 && ask->norm > 0 ? dot / (ask->norm * sqrt(square)) : 0;
    }
    if (dot > FLT_MAX) return FLT_MAX; /* Scores are finite. */
    return dot >= -FLT_MAX ? (float)dot : -FLT_MAX; /* Damaged rows may hold NaN: they come last. */
}

/* ---- collecting ---- */

static void keys_rotate(question *ask)
{
    for (uint32_t i = 0; i < ask->count; i++)
        ask->keys[i] = ask->keys[i] << 32 | ask->keys[i] >> 32;
}

/* Keep the best k distinct nodes, sorted. */
static void keep_best(question *ask)
{
    uint32_t distinct = 0;

    keys_rotate(ask);
    order_keys(ask->keys, ask->count);
    for (uint32_t i = 0; i < ask->count; i++)
        if (i == 0 || ask->keys[i] >> 32 != ask->keys[distinct - 1] >> 32)
            ask->keys[distinct++] = ask->keys[i];
    ask->count = distinct;
    keys_rotate(ask);
    order_keys(ask->keys, ask->count);
    if (ask->count < ask->k) return;
    ask->count = ask->k;
    ask->threshold = order_score((uint32_t)(ask->keys[ask->k - 1] >> 32));
}

/* A matching slot, its approximate score, and the most that this may be too low. */
static void propose(question *ask, uint32_t slot, float score, double slack)
{
    const slot_meta *meta = &ask->vectors->metas[slot];

    if (!ask->extreme && !(meta->flags & SLOT_EXTREME) &&
        (double)score + slack < (double)ask->threshold)
        return;
    score = exact_score(ask, slot);
    if (score < ask->threshold) return;
    ask->keys[ask->count++] = (uint64_t)order_descending(score) << 32 | meta->node;
    if (ask->count == ask->capacity) keep_best(ask);
}

/* The most that float32 rounding takes from the score of a row. */
static double float_slack(const question *ask, uint32_t slot, float score)
{
    double factor = (ask->vectors->dim / 32.0 + 16) * 6e-8;

    if (ask->vectors->metric == QL_L2) return factor * -(double)score;
    return ask->vectors->metric == QL_DOT
               ? factor * ask->norm * (double)ask->vectors->metas[slot].scale
               : factor;
}

/* What coding takes from it, but for one row in a hundred. */
static double code_slack(const question *ask, uint32_t slot)
{
    double error = CODE_ERROR / sqrt(ask->vectors->dim);

    if (ask->vectors->metric == QL_COSINE) return error;
    error *= ask->norm * (double)ask->vectors->metas[slot].scale;
    return ask->vectors->metric == QL_DOT ? error : 2 * error;
}

/* ---- scanning ---- */

static void score_slots(question *ask, const uint32_t *slots, uint32_t n)
{
    const ql_vectors *vectors = ask->vectors;
    const ql_kernels *kernels = ql_kernels_active();
    const float *rows[SCAN_ROWS];
    float scores[SCAN_ROWS];

    for (uint32_t i = 0; i < n; i++) rows[i] = row_at(vectors, slots[i]);
    if (vectors->metric == QL_L2) kernels->l2_rows(ask->unit, vectors->dim, rows, n, scores);
    else kernels->dot_rows(ask->unit, vectors->dim, rows, n, scores);
    for (uint32_t i = 0; i < n; i++) {
        if (vectors->metric == QL_L2) scores[i] = -scores[i];
        if (vectors->metric == QL_COSINE) scores[i] *= vectors->metas[slots[i]].scale;
        propose(ask, slots[i], scores[i], float_slack(ask, slots[i], scores[i]));
    }
    ask->cost->distances += n;
    ask->cost->bytes += (uint64_t)n * vectors->dim * sizeof(float);
}

/* The next matches from slot *at on, up to SCAN_ROWS of them. Nearly all slots may fail: the loop
 * does nothing else. */
static uint32_t matches_from(const question *ask, uint32_t *at, uint32_t until, uint32_t *slots)
{
    const slot_meta *metas = ask->vectors->metas;
    const uint64_t *allowed = ask->options->allowed;
    uint64_t nodes = allowed ? ask->options->allowed_nodes : 0;
    uint64_t commit = ask->options->commit;
    uint32_t slot = *at;
    uint32_t n = 0;

    for (; slot < until && n < SCAN_ROWS; slot++) {
        uint32_t node = metas[slot].node;
        if (allowed && (node >= nodes || !(allowed[node / 64] >> node % 64 & 1))) continue;
        if (slot_visible(ask->vectors, slot, commit)) slots[n++] = slot;
    }
    *at = slot;
    return n;
}

/* Score the matches among slots [from, until), found from the allowed nodes. */
static void scan_allowed(question *ask, uint32_t from, uint32_t until)
{
    const ql_vectors *vectors = ask->vectors;
    const ql_near_options *options = ask->options;
    uint32_t slots[SCAN_ROWS];
    uint32_t n = 0;

    for (uint64_t i = 0; i < (options->allowed_nodes + 63) / 64; i++)
        for (uint64_t word = options->allowed[i]; word; word &= word - 1) {
            uint64_t node = 64 * i + (uint64_t)__builtin_ctzll(word);
            uint32_t slot = node < options->allowed_nodes ? place_newest(vectors, (uint32_t)node)
                                                          : 0;
            for (; slot; slot = place_older(vectors, slot - 1)) {
                if (slot - 1 < from || slot - 1 >= until) continue;
                if (slot_visible(vectors, slot - 1, options->commit)) slots[n++] = slot - 1;
                if (n < SCAN_ROWS) continue;
                score_slots(ask, slots, n);
                n = 0;
            }
        }
    score_slots(ask, slots, n);
}

/* Every match among slots [from, until). */
static void scan(question *ask, uint32_t from, uint32_t until)
{
    uint32_t slots[SCAN_ROWS];
    int cosine = ask->vectors->metric == QL_COSINE && ask->norm > 0;

    if (from == until) return;
    for (uint32_t i = 0; i < ask->vectors->dim; i++)
        ask->unit[i] = cosine ? (float)(ask->query[i] / ask->norm) : ask->query[i];
    /* The table is no part of what the rows are. */
    if (ask->few && places_until((ql_vectors *)ask->vectors, until)) {
        scan_allowed(ask, from, until);
        return;
    }
    while (from < until) score_slots(ask, slots, matches_from(ask, &from, until, slots));
}

/* ---- the index ---- */

/* Propose a place of the beam and all rows equal to it; says whether any of them matched. */
static int propose_chain(question *ask, const ql_hnsw *index, candidate place)
{
    float score = ask->vectors->metric == QL_COSINE ? 1 - place.distance : -place.distance;
    double slack = code_slack(ask, place.slot);
    uint32_t below = QL_NONE;
    int matched = 0;

    for (uint32_t slot = place.slot; slot != QL_NONE; slot = chain_next(index, slot, &below)) {
        if (!is_match(ask, slot)) continue;
        propose(ask, slot, score, slack);
        matched = 1;
    }
    return matched;
}

/* Can neither this place nor a later one reach the k-th best?  Known without touching the slot for
 * cosine only. */
static int is_beyond(const question *ask, candidate place)
{
    if (ask->vectors->metric != QL_COSINE) return 0;
    return 1 - (double)place.distance + code_slack(ask, place.slot) < (double)ask->threshold;
}

static void row_prefetch(const question *ask, const ql_hnsw *index, uint32_t slot)
{
    const char *row = (const char *)row_at(ask->vectors, slot);

    __builtin_prefetch(&ask->vectors->metas[slot]);
    __builtin_prefetch((const void *)&ask->vectors->deaths[slot]);
    __builtin_prefetch((const void *)&index->chain[slot]);
    for (size_t at = 0; at < ask->vectors->stride; at += 64) __builtin_prefetch(row + at);
}

/* Are all places of the beam so close together that the hot plane cannot order them?  Rows of a
 * dense cluster are. */
static int is_blurred(const question *ask, const walk *scratch)
{
    if (!scratch->count) return 0;
    double span = (double)scratch->beam[scratch->count - 1].distance -
                  (double)scratch->beam[0].distance;
    return span < HOT_BLUR / CODE_ERROR * code_slack(ask, scratch->beam[0].slot);
}

/* Score the first n places of the beam with both planes, and forget the others. */
static void warm_up(question *ask, const ql_hnsw *index, walk *scratch, uint32_t n)
{
    uint32_t slots[DEGREE_MAX];
    float distances[DEGREE_MAX];

    for (uint32_t i = 0; i < n; i++)
        for (uint32_t at = index->coder.plane; at < index->coder.bytes; at += 64)
            __builtin_prefetch(code_at(index, scratch->beam[i].slot) + at);
    scratch->count = 0;
    for (uint32_t i = 0, part; i < n; i += part) {
        part = n - i < DEGREE_MAX ? n - i : DEGREE_MAX;
        for (uint32_t j = 0; j < part; j++) slots[j] = scratch->beam[i + j].slot;
        index_distances(index, &scratch->aim, 0, slots, part, distances);
        for (uint32_t j = 0; j < part; j++) beam_add(scratch, n, distances[j], slots[j]);
    }
    ask->cost->bytes += (uint64_t)n * index->coder.plane;
}

/* Answer from the index; 0 when the beam did not hold k matches, or held the k-th too near its
 * end. */
static int walk_answers(question *ask, const ql_hnsw *index, walk *scratch, uint32_t width,
                        uint32_t limit, int blind)
{
    uint32_t trusted = blind ? width - width / 4 : width;
    uint32_t warm = WARM_PLACES * ask->k + WARM_MORE;

    code_query(&index->coder, ask->query, ask->norm, scratch->room, &scratch->aim);
    scratch->hot = 1;
    index_walk(index, scratch, width, limit, ask->cost);
    if (scratch->count < width) trusted = scratch->count;
    if (is_blurred(ask, scratch)) {
        scratch->hot = 0;
        index_walk(index, scratch, width, limit, ask->cost);
    } else {
        warm_up(ask, index, scratch, blind || scratch->count < warm ? scratch->count : warm);
    }
    for (uint32_t i = 0; i < ask->k + ask->k / 2 && i < scratch->count; i++)
        row_prefetch(ask, index, scratch->beam[i].slot);
    for (uint32_t i = 0; i < scratch->count; i++) {
        if (is_beyond(ask, scratch->beam[i])) break;
        if (!propose_chain(ask, index, scratch->beam[i])) continue;
        /* Sorting as soon as k are known lets the rest be refused by their approximate scores. */
        if (ask->count >= ask->k && ask->threshold == -INFINITY) {
            keep_best(ask);
            if (ask->count >= ask->k && i >= trusted) return 0;
        }
    }
    if (ask->threshold == -INFINITY) keep_best(ask);
    return ask->count >= ask->k;
}

/* ---- one call ---- */

/* How many nodes the filter allows. */
static uint64_t allowed_count(const ql_near_options *options)
{
    uint64_t set = 0;

    if (!options->allowed) return 0;
    for (uint64_t i = 0; i < options->allowed_nodes / 64; i++)
        set += (uint64_t)__builtin_popcountll(options->allowed[i]);
    if (options->allowed_nodes % 64)
        set += (uint64_t)__builtin_popcountll(options->allowed[options->allowed_nodes / 64] &
                                              ((UINT64_C(1) << options->allowed_nodes % 64) - 1));
    return set;
}

/* Width of the beam that should hold enough matches, or 0 when scanning all matches is cheaper. */
static uint32_t beam_width(const ql_vectors *vectors, const ql_hnsw *index,
                           const ql_near_options *options, uint32_t k, uint64_t allowed,
                           uint32_t limit, int *blind)
{
    uint32_t retired = atomic_load_explicit(&vectors->retired, memory_order_relaxed);
    uint32_t removed = ql_hnsw_removed(index);
    double matching = retired < options->count ? options->count - retired : 0;
    double linked = removed < options->count ? options->count - removed : 0;
    double width = options->ef > k ? options->ef : k;
    double share;

    if (options->allowed && (double)allowed < matching) matching = (double)allowed;
    share = matching < linked ? matching / linked : 1;
    *blind = share < 1;
    if (*blind && width < 2.0 * k) width = 2.0 * k;
    width /= share;
    if (!(width * DISTANCES_PER_WIDTH < matching) || width >= limit) return 0;
    return (uint32_t)width;
}

static int question_prepare(question *ask, const float *query)
{
    double dot;
    double square;

    ql_kernels_active()->exact_dot(query, query, ask->vectors->dim, &dot, &square);
    ask->query = query;
    ask->norm = sqrt(square);
    ask->extreme = ask->norm > 0 && !(ask->norm > 1e-15 && ask->norm < 1e15);
    ask->count = 0;
    ask->threshold = -INFINITY;
    /* Everything scores 0: the smallest nodes win. */
    return ask->vectors->metric == QL_COSINE && square == 0;
}

static int near_one(question *ask, ql_hnsw *index, const float *query, uint32_t limit)
{
    int flat = question_prepare(ask, query);
    uint32_t covered = limit < ask->options->count ? limit : ask->options->count;
    uint64_t allowed = allowed_count(ask->options);
    uint32_t width = 0;
    int blind = 0;
    walk *scratch = NULL;
    int answered = 0;

    ask->few = ask->options->allowed && allowed < ask->options->count / FEW;
    if (limit && !flat && !ask->extreme)
        width = beam_width(ask->vectors, index, ask->options, ask->k, allowed, limit, &blind);
    if (width) {
        QL_TRY(walk_take(index, width, &scratch));
        answered = walk_answers(ask, index, scratch, width, limit, blind);
        walk_give(index, scratch);
        /* It may have missed what was swept out. */
        if (ask->options->commit < atomic_load(&index->swept)) answered = 0;
    }
    if (!answered) scan(ask, 0, covered);
    scan(ask, covered, ask->options->count);
    keep_best(ask);
    return QL_OK;
}

/* What the threads of one call share; each takes the next query that nobody has. */
typedef struct errand {
    const ql_vectors *vectors;
    ql_hnsw *index;
    const float *queries;
    const ql_near_options *options;
    uint32_t *nodes;
    float *scores;
    uint32_t *found;
    uint32_t n;
    uint32_t k;
    uint32_t limit;
    _Atomic uint32_t next;
} errand;

typedef struct runner {
    errand *on;
    ql_cost cost;
    int status;
    pthread_t thread;
} runner;

static int questions_answer(errand *on, question *ask, ql_near_options *options)
{
    for (uint32_t i; (i = atomic_fetch_add_explicit(&on->next, 1, memory_order_relaxed)) < on->n;) {
        size_t first = (size_t)i * on->options->k;
        if (options->allowed)
            options->allowed = on->options->allowed + (size_t)i * options->allowed_stride;
        QL_TRY(near_one(ask, on->index, on->queries + (size_t)i * on->vectors->dim, on->limit));
        for (uint32_t j = 0; j < ask->count; j++) {
            on->nodes[first + j] = (uint32_t)ask->keys[j];
            on->scores[first + j] = order_score((uint32_t)(ask->keys[j] >> 32));
        }
        on->found[i] = ask->count;
    }
    return QL_OK;
}

static void *run(void *argument)
{
    runner *self = argument;
    errand *on = self->on;
    ql_near_options options = *on->options;
    question ask = {.vectors = on->vectors, .options = &options, .cost = &self->cost, .k = on->k};

    ask.capacity = 2 * ask.k + 16;
    ask.keys = ql_alloc(ask.capacity, sizeof *ask.keys);
    ask.unit = ql_alloc(on->vectors->dim, sizeof *ask.unit);
    self->status = ask.keys && ask.unit ? questions_answer(on, &ask, &options) : QL_E_MEMORY;
    ql_free(ask.keys);
    ql_free(ask.unit);
    return NULL;
}

static int near_check(const ql_vectors *vectors, const ql_hnsw *index, const float *queries,
                      uint32_t n, const ql_near_options *options)
{
    if (options->count > ql_vectors_count(vectors) || options->threads > QL_THREADS_MAX)
        return QL_E_INVALID;
    if (index && index->vectors != vectors) return QL_E_INVALID;
    for (size_t i = 0; i < (size_t)n * vectors->dim; i++)
        if (!isfinite(queries[i])) return QL_E_INVALID;
    return QL_OK;
}

int ql_near(const ql_vectors *vectors, const ql_hnsw *index, const float *queries, uint32_t n,
            const ql_near_options *options, uint32_t *nodes, float *scores, uint32_t *found,
            ql_cost *cost)
{
    errand on = {vectors, (ql_hnsw *)index, /* Idle scratch is not part of what the index holds. */
                 queries, options, nodes, scores, found, n, 0, 0, 0};
    runner runners[QL_THREADS_MAX];
    uint32_t threads = options->threads < n ? options->threads : n;
    uint32_t started = 1;
    int status = QL_OK;

    QL_TRY(near_check(vectors, index, queries, n, options));
    if (index && !options->exact) QL_TRY(ql_hnsw_verify(on.index));
    on.limit = index && !options->exact ? ql_hnsw_covered(index) : 0;
    on.k = options->k < options->count ? options->k : options->count;
    if (!on.k) {
        for (uint32_t i = 0; i < n; i++) found[i] = 0;
        return QL_OK;
    }
    for (runners[0] = (runner){.on = &on}; started < threads; started++) {
        runners[started] = (runner){.on = &on};
        /* Slower, not wrong. */
        if (pthread_create(&runners[started].thread, NULL, run, &runners[started]) != 0) break;
    }
    run(&runners[0]);
    for (uint32_t i = 0; i < started; i++) {
        if (i) pthread_join(runners[i].thread, NULL);
        if (status == QL_OK) status = runners[i].status;
        cost->distances += runners[i].cost.distances;
        cost->hops += runners[i].cost.hops;
        cost->bytes += runners[i].cost.bytes;
    }
    return status;
}

int ql_near_block(const ql_vectors *vectors, const ql_hnsw *index, const float *queries, uint32_t n,
                  uint32_t k, uint32_t ef, uint32_t count, uint64_t commit, uint32_t exact,
                  uint32_t threads, const uint64_t *allowed, uint64_t allowed_nodes,
                  uint64_t allowed_stride, uint32_t *block)
{
    const ql_near_options options = {k,       ef,      count,         commit, exact, allowed_nodes,
                                     allowed, threads, allowed_stride};
    size_t cells = (size_t)n * k;
    ql_cost cost = {0};

    QL_TRY(ql_near(vectors, index, queries, n, &options, block, (float *)(void *)(block + cells),
                   block + 2 * cells, &cost));
    memcpy(block + 2 * cells + n, &cost, sizeof cost);
    return QL_OK;
}

int ql_near_one(const ql_vectors *vectors, const ql_hnsw *index, const float *query, uint32_t k,
                uint32_t ef, uint32_t count, uint64_t commit, uint32_t exact,
                const uint64_t *allowed, uint64_t allowed_nodes, uint64_t *block)
{
    const ql_near_options options = {k, ef, count, commit, exact, allowed_nodes, allowed, 0, 0};
    uint32_t *nodes = (uint32_t *)(void *)block + k; /* The upper half of the place of the wide. */
    float *scores = (float *)(void *)(block + k + sizeof(ql_cost) / 8 + 1);
    ql_cost cost = {0};
    uint32_t found;

    QL_TRY(ql_near(vectors, index, query, 1, &options, nodes, scores, &found, &cost));
    for (uint32_t i = 0; i < found; i++) { /* Writes over node i at most. */
        uint32_t node;

        memcpy(&node, nodes + i, sizeof node);
        block[i] = node;
    }
    memcpy(block + k, &cost, sizeof cost);
    block[k + sizeof cost / 8] = found;
    return QL_OK;
}
