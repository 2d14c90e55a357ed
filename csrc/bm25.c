/* bm25.c: the best k documents for the words of a query.
 *
 * Score: sum over the query's words of weight * f / (f + k1 (1 - b + b length / mean)) (Robertson
 * and Zaragoza 2009; weight is Lucene's inverse document frequency, computed by the caller from the
 * statistics of the snapshot).
 *
 * Any word: block-max MaxScore (Turtle and Flood 1995; Ding and Suel 2011; the windows are those of
 * Lucene's MaxScoreBulkScorer).  Documents are cut into windows in which every word stays inside
 * one block; the impacts of these blocks bound the score of every document of the window, and a
 * window that cannot enter the top k is skipped without decoding; whole groups of 64 blocks are
 * skipped in the same way.  In a window that is not skipped, words whose bounds together cannot
 * enter are looked up only for documents that the others propose. All words, phrases, and filters
 * that let few documents through: one sorted list leads (the rarest word, or the documents
 * allowed), the others follow it; the same bounds skip.
 *
 * Different here: bounds are exact, not approximate.  A document's sum is taken in double, in the
 * order of the query's words, and rounded once; a bound is the same sum over impacts.  Addition and
 * rounding are monotone, so a bound is never below a score it covers, and equal scores are told
 * apart by node: what is skipped could not have been in the answer, and the answer has the same
 * bits however documents are spread over segments.
 *
 * Invariants: the heap holds at most k results, the worst at its root; worse is a lower score or,
 * among equals, a larger node.  Ordinals only grow while a segment is searched. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "postings.h"

#define SPARSE_RATIO                                                                               \
    16 /* A filter leads when it lets through fewer documents than 1/16 of the postings. */

#define COUNT_WORDS 512 /* of a filter are counted before the next look at the limit */

typedef struct word { /* one word of the query in one segment */
    ql_cursor cursor;
    double weight;
    uint32_t place;       /* in the query */
    uint32_t bound_block; /* the block or group that the bound below belongs to; QL_NONE: none */
    uint32_t bound_group;
    uint32_t fetched_block; /* whose lengths were asked for */
    double block_bound;
    double group_bound;
    double window_bound; /* in the current window; 0: the word is not in it */
    uint32_t doc;        /* where it stands inside a window */
} word;

typedef struct search { /* one query against one segment at a time */
    const ql_words *words;
    const uint64_t *live;
    int gapless; /* the segment's nodes are all from the first to the last: no need to read them */
    const ql_words_query *query;
    double c0; /* k1 (1 - b) */
    double c1; /* k1 b / mean */
    word *list;
    uint32_t n;
    uint32_t *phrase; /* the query's phrase as indices of list */
    double *sums;     /* (query->n,) contributions by place */
    uint32_t *positions[2];
    size_t positions_capacity[2];
    uint32_t *nodes; /* the heap */
    float *scores;
    uint32_t found;
    ql_cost *cost;
} search;

/* ---- The heap ---- */

static int worse(const search *s, uint32_t i, uint32_t j)
{
    if (s->scores[i] != s->scores[j]) return s->scores[i] < s->scores[j];
    return s->nodes[i] > s->nodes[j];
}

static void swap(search *s, uint32_t i, uint32_t j)
{
    uint32_t node = s->nodes[i];
    float score = s->scores[i];

    s->nodes[i] = s->nodes[j];
    s->scores[i] = s->scores[j];
    s->nodes[j] = node;
    s->scores[j] = score;
}

static void sink(search *s, uint32_t i, uint32_t count)
{
    for (;;) {
        uint32_t least = i;
        if (2 * i + 1 < count && worse(s, 2 * i + 1, least)) least = 2 * i + 1;
        if (2 * i + 2 < count && worse(s, 2 * i + 2, least)) least = 2 * i + 2;
        if (least == i) return;
        swap(s, i, least);
        i = least;
    }
}

static uint32_t node_of(const search *s, uint32_t doc)
{
    return s->gapless ? s->words->nodes[0] + doc : s->words->nodes[doc];
}

/* Whether nothing with this bound at this ordinal or a later one can enter any more. */
static int hopeless(const search *s, double bound, uint32_t doc)
{
    float rounded = (float)bound;

    if (s->found < s->query->k) return 0;
    if (rounded != s->scores[0]) return rounded < s->scores[0];
    return node_of(s, doc) > s->nodes[0];
}

static void offer(search *s, uint32_t node, float score)
{
    uint32_t i;

    if (s->found < s->query->k) {
        i = s->found++;
        s->nodes[i] = node;
        s->scores[i] = score;
        for (; i && worse(s, i, (i - 1) / 2); i = (i - 1) / 2) swap(s, i, (i - 1) / 2);
        return;
    }
    if (score < s->scores[0] || (score == s->scores[0] && node > s->nodes[0])) return;
    s->nodes[0] = node;
    s->scores[0] = score;
    sink(s, 0, s->found);
}

static void sort_heap(search *s)
{
    for (uint32_t count = s->found; count > 1; count--) {
        swap(s, 0, count - 1);
        sink(s, 0, count - 1);
    }
}

/* ---- Scores and bounds ---- */

static double score_of(const search *s, const word *w, uint32_t frequency, uint32_t length)
{
    if (frequency == 0) return 0;
    return w->weight * ((double)frequency / ((double)frequency + (s->c0 + s->c1 * (double)length)));
}

static double score_here(const search *s, word *w, uint32_t doc)
{
    return score_of(s, w, ql_cursor_frequency(&w->cursor), s->words->lengths[doc]);
}

static double bound_of(const search *s, const word *w, const ql_words_block *block)
{
    double most = 0;

    for (uint32_t i = 0; i < WORDS_IMPACTS; i++) {
        double score = score_of(s, w, block->best[i].frequency, block->best[i].length);
        if (score > most) most = score;
    }
    return most;
}

/* The best score of a word that has one block only: exact, the block is decoded anyway. */
static double short_bound(const search *s, word *w)
{
    ql_cursor *cursor = &w->cursor;
    double most = 0;

    for (uint32_t doc = ql_cursor_seek(cursor, 0); cursor->at < cursor->filled; cursor->at++) {
        double score;
        doc = cursor->docs[cursor->at];
        score = score_here(s, w, doc);
        if (score > most) most = score;
    }
    cursor->at = 0;
    return most;
}

/* The word's bound for documents from doc on, valid up to *end, which is lowered to where that
 * stops. */
static double block_bound(const search *s, word *w, uint32_t doc, uint32_t *end)
{
    ql_cursor *cursor = &w->cursor;
    uint32_t last;

    if (!ql_cursor_skip(cursor, doc)) return 0;
    if (!cursor->table) {
        uint32_t next;
        if (w->bound_block == QL_NONE) {
            w->block_bound = short_bound(s, w);
            w->bound_block = 0;
        }
        next = ql_cursor_seek(cursor, doc);
        if (next == QL_NONE) return 0;
        if (next > doc) { /* It is not here yet: a window without it ends just before. */
            if (next - 1 < *end) *end = next - 1;
            return 0;
        }
        last = cursor->docs[cursor->filled - 1];
    } else {
        if (w->bound_block != cursor->block) {
            w->block_bound = bound_of(s, w, &cursor->table[cursor->block]);
            w->bound_block = cursor->block;
        }
        last = cursor->table[cursor->block].last;
    }
    if (last < *end) *end = last;
    return w->block_bound;
}

/* The same for the group of blocks. */
static double group_bound(const search *s, word *w, uint32_t doc, uint32_t *end)
{
    ql_cursor *cursor = &w->cursor;
    uint32_t group;

    if (!cursor->table) return block_bound(s, w, doc, end);
    if (!ql_cursor_skip(cursor, doc)) return 0;
    group = cursor->block / WORDS_GROUP;
    if (w->bound_group != group) {
        w->group_bound = bound_of(s, w, &cursor->table[cursor->blocks + group]);
        w->bound_group = group;
    }
    group = cursor->table[cursor->blocks + group].last;
    /* A hostile table may name an end before doc; the block's own is not. */
    if (group < cursor->table[cursor->block].last) group = cursor->table[cursor->block].last;
    if (group < *end) *end = group;
    return w->group_bound;
}

/* The sum over the words' contributions in the order of the query. */
static double total(const search *s)
{
    double sum = 0;

    for (uint32_t i = 0; i < s->query->n; i++) sum += s->sums[i];
    return sum;
}

static int is_set(const uint64_t *bits, uint32_t i)
{
    return (int)(bits[i / 64] >> (i % 64) & 1);
}

/* Whether the bitmaps let a document through. */
static int passes(const search *s, uint32_t doc)
{
    uint32_t node;

    if (s->live && !is_set(s->live, doc)) return 0;
    if (!s->query->allowed) return 1;
    node = node_of(s, doc);
    return node < s->query->allowed_nodes && is_set(s->query->allowed, node);
}

/* Whether a document exists for this search. */
static int admits(const search *s, uint32_t doc)
{
    return passes(s, doc) && s->words->lengths[doc] != QL_WORDS_GONE;
}

static void accept(search *s, uint32_t doc)
{
    s->cost->distances++;
    offer(s, node_of(s, doc), (float)total(s));
}

static int first_failure(const search *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->list[i].cursor.status != QL_OK) return s->list[i].cursor.status;
    return QL_OK;
}

/* Seek, and let the lengths of a whole new block come: they are far apart, and waiting for one
 * after another was half of the time of a long question. */
static uint32_t propose(const search *s, word *w, uint32_t doc)
{
    ql_cursor *cursor = &w->cursor;

    doc = ql_cursor_seek(cursor, doc);
    if (w->fetched_block == cursor->decoded) return doc;
    for (uint32_t at = cursor->at; at < cursor->filled; at++)
        __builtin_prefetch(&s->words->lengths[cursor->docs[at]]);
    w->fetched_block = cursor->decoded;
    return doc;
}

/* ---- Any of the words ---- */

/* The next document of a word after the one where it stands. */
static uint32_t step(const search *s, word *w)
{
    ql_cursor *cursor = &w->cursor;

    if (cursor->block == cursor->decoded && cursor->at + 1 < cursor->filled)
        return cursor->docs[++cursor->at];
    return propose(s, w, w->doc + 1);
}

/* A window of a question of one word: most of the time of a very common word is spent here. */
static void scan_window(search *s, word *w, uint32_t from, uint32_t until)
{
    ql_cursor *cursor = &w->cursor;
    const uint32_t *frequencies;
    uint32_t at;

    if (ql_cursor_seek(cursor, from) > until) return;
    frequencies = ql_cursor_frequencies(cursor);
    for (at = cursor->at; at < cursor->filled && cursor->docs[at] <= until; at++) {
        uint32_t doc = cursor->docs[at];
        double score;
        if (!admits(s, doc)) continue;
        score = score_of(s, w, frequencies[at], s->words->lengths[doc]);
        if (hopeless(s, score, doc)) continue;
        s->cost->distances++;
        offer(s, node_of(s, doc), (float)score);
    }
    cursor->at = at - 1;
}

/* Score the documents of a window. order[0..n): words of the window, the lowest bound first. */
static void search_window(search *s, word **order, uint32_t n, uint32_t from, uint32_t until)
{
    /* order[essential..n) propose documents; the split holds for the whole window. */
    uint32_t essential = 0;

    memset(s->sums, 0, s->query->n * sizeof *s->sums);
    for (; essential < n; essential++) {
        s->sums[order[essential]->place] = order[essential]->window_bound;
        if (!hopeless(s, total(s), from)) break;
    }
    for (uint32_t i = essential; i < n; i++) order[i]->doc = propose(s, order[i], from);
    for (;;) {
        uint32_t doc = QL_NONE;
        int admitted;
        for (uint32_t i = essential; i < n; i++)
            if (order[i]->doc < doc) doc = order[i]->doc;
        if (doc > until) return;

        admitted = admits(s, doc);
        for (uint32_t i = 0; i < n; i++) {
            word *w = order[i];
            if (i < essential) {
                s->sums[w->place] = w->window_bound;
            } else if (w->doc != doc) {
                s->sums[w->place] = 0;
            } else {
                if (admitted) s->sums[w->place] = score_here(s, w, doc);
                w->doc = step(s, w);
            }
        }
        if (!admitted) continue;
        /* The highest bound first. */
        for (uint32_t i = essential; i > 0 && !hopeless(s, total(s), doc); i--) {
            word *w = order[i - 1];
            s->sums[w->place] = ql_cursor_seek(&w->cursor, doc) == doc ? score_here(s, w, doc) : 0;
        }
        if (!hopeless(s, total(s), doc)) accept(s, doc);
    }
}

/* The words of the window that starts at doc, by bound; *end is where it ends, *sum the bound of
 * all together. */
static uint32_t open_window(search *s, word **order, uint32_t doc, uint32_t *end, double *sum)
{
    uint32_t n = 0;

    memset(s->sums, 0, s->query->n * sizeof *s->sums);
    for (uint32_t i = 0; i < s->n; i++) {
        word *w = &s->list[i];
        uint32_t at;
        w->window_bound = block_bound(s, w, doc, end);
        s->sums[w->place] = w->window_bound;
        if (w->window_bound <= 0) continue;
        for (at = n++; at > 0 && order[at - 1]->window_bound > w->window_bound; at--)
            order[at] = order[at - 1];
        order[at] = w;
    }
    *sum = total(s);
    return n;
}

static int search_any(search *s)
{
    uint32_t documents = s->words->header.documents;
    uint32_t group_end = 0; /* groups were looked at up to here */
    word **order = ql_alloc(s->n, sizeof *order);

    if (!order) return QL_E_MEMORY;
    for (uint32_t doc = 0; doc < documents;) {
        uint32_t end = documents - 1;
        double sum = 0;
        uint32_t n;

        if (s->found == s->query->k && doc >= group_end) {
            memset(s->sums, 0, s->query->n * sizeof *s->sums);
            for (uint32_t i = 0; i < s->n; i++)
                s->sums[s->list[i].place] = group_bound(s, &s->list[i], doc, &end);
            sum = total(s);
            if (hopeless(s, sum, doc)) {
                doc = end + 1;
                continue;
            }
            group_end = end + 1;
            end = documents - 1;
        }
        n = open_window(s, order, doc, &end, &sum);
        if (n && !hopeless(s, sum, doc)) {
            if (s->query->n == 1) scan_window(s, order[0], doc, end);
            else search_window(s, order, n, doc, end);
        }
        doc = end + 1;
    }
    ql_free(order);
    return first_failure(s);
}

/* ---- Every word, phrases, and filters that lead ---- */

/* Positions of a word in the document where it stands, ascending. */
static int positions_of(search *s, uint32_t which, uint32_t slot, uint32_t *count)
{
    ql_cursor *cursor = &s->list[which].cursor;
    uint32_t frequency = ql_cursor_frequency(cursor);

    QL_TRY(cursor->status);
    if (frequency > (uint64_t)(cursor->positions_end - cursor->positions)) return QL_E_CORRUPT;
    QL_TRY(ql_words_grow((void **)&s->positions[slot], &s->positions_capacity[slot], frequency,
                         sizeof(uint32_t)));
    *count = frequency;
    return ql_cursor_positions(cursor, s->positions[slot]);
}

/* Keep of starts[] those after which the word stands `shift` places later; returns how many are
 * left. */
static uint32_t keep_followed(uint32_t *starts, uint32_t count, const uint32_t *later,
                              uint32_t later_count, uint32_t shift)
{
    uint32_t kept = 0;
    uint32_t j = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t wanted = (uint64_t)starts[i] + shift;
        while (j < later_count && later[j] < wanted) j++;
        if (j < later_count && later[j] == wanted) starts[kept++] = starts[i];
    }
    return kept;
}

static int holds_phrase(search *s, int *holds)
{
    uint32_t count;

    *holds = 0;
    QL_TRY(positions_of(s, s->phrase[0], 0, &count));
    for (uint32_t i = 1; i < s->query->phrase_count && count; i++) {
        uint32_t later_count;
        QL_TRY(positions_of(s, s->phrase[i], 1, &later_count));
        count = keep_followed(s->positions[0], count, s->positions[1], later_count, i);
    }
    *holds = count > 0;
    return QL_OK;
}

/* Whether the bounds of the blocks at doc rule it out, and then all up to *end. */
static int ruled_out(search *s, uint32_t doc, uint32_t *end)
{
    *end = s->words->header.documents - 1;
    if (s->found < s->query->k) return 0;
    memset(s->sums, 0, s->query->n * sizeof *s->sums);
    for (uint32_t i = 0; i < s->n; i++)
        s->sums[s->list[i].place] = block_bound(s, &s->list[i], doc, end);
    return hopeless(s, total(s), doc);
}

/* Score one proposed document; *next is where the next one worth proposing may stand, at least doc
 * + 1. Its length comes last: it is far from all that was read before. */
static int try_document(search *s, uint32_t doc, int every, uint32_t *next)
{
    uint32_t end;
    int here = 0;

    *next = doc + 1;
    if (!passes(s, doc)) return QL_OK;
    if (ruled_out(s, doc, &end)) {
        *next = end + 1;
        return QL_OK;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        word *w = &s->list[i];
        w->doc = ql_cursor_seek(&w->cursor, doc);
        here |= w->doc == doc;
        if (w->doc == doc || !every) continue;
        *next = w->doc;
        return w->cursor.status;
    }
    if (!here || s->words->lengths[doc] == QL_WORDS_GONE) return QL_OK;
    memset(s->sums, 0, s->query->n * sizeof *s->sums);
    for (uint32_t i = 0; i < s->n; i++)
        if (s->list[i].doc == doc) s->sums[s->list[i].place] = score_here(s, &s->list[i], doc);
    if (hopeless(s, total(s), doc) || total(s) <= 0) return QL_OK;
    if (s->query->mode == QL_WORDS_PHRASE) {
        int holds;
        QL_TRY(holds_phrase(s, &holds));
        if (!holds) return QL_OK;
    }
    accept(s, doc);
    return QL_OK;
}

/* The rarest word leads; list is in that order. */
static int search_all(search *s)
{
    uint32_t doc = propose(s, &s->list[0], 0);

    while (doc < s->words->header.documents) {
        uint32_t next;
        QL_TRY(try_document(s, doc, 1, &next));
        if (next >= s->words->header.documents) break;
        doc = propose(s, &s->list[0], next);
    }
    return first_failure(s);
}

/* The first document from `from` on whose node is at least `node`; documents, or more, if there is
 * none. */
static uint32_t document_of(const search *s, uint32_t from, uint32_t node)
{
    const uint32_t *nodes = s->words->nodes;
    uint32_t documents = s->words->header.documents;
    uint32_t low = from;
    uint64_t high;

    if (s->gapless) return node > nodes[0] ? node - nodes[0] : 0;
    /* Nodes ascend strictly. */
    high = (uint64_t)from + (node > nodes[from] ? node - nodes[from] : 0);
    if (high >= documents) high = documents;
    /* No node between was left out: the usual case. */
    else if (nodes[high] == node) return (uint32_t)high;
    while (low < high) {
        uint32_t middle = low + (uint32_t)(high - low) / 2;
        if (nodes[middle] < node) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The allowed documents lead. */
static int search_allowed(search *s, int every)
{
    uint32_t documents = s->words->header.documents;
    uint64_t words = (s->query->allowed_nodes + 63) / 64;
    uint32_t from = 0;

    for (uint64_t i = documents ? s->words->nodes[0] / 64 : words; i < words && from < documents;
         i++) {
        for (uint64_t bits = s->query->allowed[i]; bits && from < documents; bits &= bits - 1) {
            uint32_t node = (uint32_t)(i * 64 + (uint32_t)__builtin_ctzll(bits));
            uint32_t next;
            from = document_of(s, from, node);
            if (from >= documents || node_of(s, from) != node) continue;
            QL_TRY(try_document(s, from, every, &next));
        }
    }
    return first_failure(s);
}

/* ---- One segment ---- */

static int by_count(const void *left, const void *right)
{
    const word *a = left;
    const word *b = right;

    if (a->cursor.count != b->cursor.count) return a->cursor.count < b->cursor.count ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

/* Open the query's words here; *missing: some are not. */
static int open_words(search *s, int *missing, uint64_t *postings)
{
    const ql_words_query *query = s->query;

    s->n = 0;
    *missing = 0;
    *postings = 0;
    for (uint32_t i = 0; i < query->n; i++) {
        word *w = &s->list[s->n];
        uint32_t term;
        QL_TRY(ql_words_find(s->words, query->texts + query->offsets[i],
                             query->offsets[i + 1] - query->offsets[i], &term));
        *missing |= term == QL_NONE;
        if (term == QL_NONE) continue;
        QL_TRY(ql_cursor_open(s->words, term, &w->cursor));
        w->weight = query->weights[i];
        w->place = i;
        w->bound_block = QL_NONE;
        w->bound_group = QL_NONE;
        w->fetched_block = QL_NONE;
        *postings += w->cursor.count;
        s->n++;
    }
    return QL_OK;
}

/* Whether the filter lets fewer nodes through than this; looks no further than it must. */
static int allows_fewer(const ql_words_query *query, uint64_t limit)
{
    uint64_t words = (query->allowed_nodes + 63) / 64;
    uint64_t count = 0;

    if (!query->allowed) return 0;
    for (uint64_t i = 0; i < words && count < limit; i += COUNT_WORDS) {
        uint64_t part = words - i < COUNT_WORDS ? words - i : COUNT_WORDS;
        count += ql_kernels_active()->count_bits(query->allowed + i, part);
    }
    return count < limit;
}

static int search_segment(search *s)
{
    int every = s->query->mode != QL_WORDS_ANY;
    uint64_t postings;
    int missing;
    int status;

    QL_TRY(open_words(s, &missing, &postings));
    if (s->n == 0 || (every && missing)) return QL_OK;
    if (every) {
        qsort(s->list, s->n, sizeof *s->list, by_count);
        postings = s->list[0].cursor.count;
        for (uint32_t i = 0; s->query->mode == QL_WORDS_PHRASE && i < s->query->phrase_count; i++)
            for (uint32_t j = 0; j < s->n; j++)
                if (s->list[j].place == s->query->phrase[i]) s->phrase[i] = j;
    }
    if (allows_fewer(s->query, postings / SPARSE_RATIO)) status = search_allowed(s, every);
    else status = every ? search_all(s) : search_any(s);
    for (uint32_t i = 0; i < s->n; i++) {
        s->cost->hops += s->list[i].cursor.decoded_blocks;
        s->cost->bytes += s->list[i].cursor.decoded_bytes;
    }
    return status;
}

/* Nodes ascend strictly: they are gapless where the ends are as far apart as their nodes. */
static int is_gapless(const ql_words *words)
{
    uint32_t n = words->header.documents;

    return n && words->nodes[n - 1] - words->nodes[0] == n - 1;
}

static int query_is_sound(const ql_words_query *q)
{
    if (q->n == 0 || q->n > QL_QUERY_WORDS_MAX || q->k == 0 || q->mode > QL_WORDS_PHRASE) return 0;
    if (!(q->k1 >= 0 && q->k1 <= FLT_MAX) || !(q->b >= 0 && q->b <= 1)) return 0;
    if (!(q->length_mean > 0 && q->length_mean <= FLT_MAX)) return 0;
    for (uint32_t i = 0; i < q->n; i++) {
        if (!(q->weights[i] > 0 && q->weights[i] <= FLT_MAX / QL_QUERY_WORDS_MAX)) return 0;
        if (q->offsets[i + 1] < q->offsets[i]) return 0;
    }
    if (q->mode == QL_WORDS_PHRASE && q->phrase_count == 0) return 0;
    for (uint32_t i = 0; q->mode == QL_WORDS_PHRASE && i < q->phrase_count; i++)
        if (q->phrase[i] >= q->n) return 0;
    return 1;
}

int ql_words_search(const ql_words *const *segments, const uint64_t *const *live, uint32_t n,
                    const ql_words_query *query, uint32_t *nodes, float *scores, uint32_t *found,
                    ql_cost *cost)
{
    search s = {.query = query, .nodes = nodes, .scores = scores, .cost = cost};
    int status = QL_OK;

    if (!query_is_sound(query) || *found > query->k) return QL_E_INVALID;
    for (uint32_t i = 0; i < n; i++)
        if (query->mode == QL_WORDS_PHRASE && !ql_words_has_positions(segments[i]))
            return QL_E_INVALID;
    s.c0 = query->k1 * (1 - query->b);
    s.c1 = query->k1 * query->b / query->length_mean;
    for (s.found = 0; s.found < *found;) offer(&s, nodes[s.found], scores[s.found]);
    s.list = ql_alloc(query->n, sizeof *s.list);
    s.sums = ql_alloc(query->n, sizeof *s.sums);
    s.phrase = ql_alloc(query->phrase_count, sizeof *s.phrase);
    if (!s.list || !s.sums || !s.phrase) status = QL_E_MEMORY;

    for (uint32_t i = 0; i < n && status == QL_OK; i++) {
        s.words = segments[i];
        s.live = live[i];
        s.gapless = is_gapless(segments[i]);
        status = search_segment(&s);
    }
    if (status == QL_OK) {
        sort_heap(&s);
        *found = s.found;
    }
    ql_free(s.list);
    ql_free(s.sums);
    ql_free(s.phrase);
    ql_free(s.positions[0]);
    ql_free(s.positions[1]);
    return status;
}
