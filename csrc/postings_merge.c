/* postings_merge.c: several segments into one.
 *
 * The dictionaries are walked side by side in byte order, as in a merge sort; a term's postings are
 * read from every segment that has it, renumbered by the caller's maps, put in order and written.
 * Memory: the postings of one term. Documents whose map says QL_NONE (replaced later, forgotten)
 * are left out here, and terms without any left too.
 *
 * Segments usually cover later and later nodes, so the renumbered lists stand in order already;
 * only where an update mixed them is a sort needed. Both give the same file. */
#include <stdlib.h>
#include <string.h>

#include "postings.h"

typedef struct posting {
    uint32_t doc;
    uint32_t frequency;
    size_t positions; /* where they start in merge.positions */
} posting;

typedef struct merge {
    const ql_words *const *segments;
    const uint32_t *const *maps;
    uint32_t n;
    uint32_t documents;
    uint32_t *terms; /* (n,) where each dictionary stands */
    ql_words_writer writer;
    posting *postings;
    size_t postings_count;
    size_t postings_capacity;
    uint32_t *positions;
    size_t positions_count;
    size_t positions_capacity;
} merge;

static int by_doc(const void *left, const void *right)
{
    const posting *a = left;
    const posting *b = right;

    return a->doc < b->doc ? -1 : a->doc > b->doc;
}

static int compare_texts(const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes)
{
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);

    if (order) return order;
    return a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

/* The smallest text that any dictionary stands at; 0 bytes of size and *found 0 when all have
 * ended. */
static int next_text(const merge *m, const uint8_t **text, uint32_t *size_bytes, int *found)
{
    *found = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        const uint8_t *there;
        uint32_t there_bytes;
        if (m->terms[i] >= ql_words_terms(m->segments[i])) continue;
        QL_TRY(ql_words_text(m->segments[i], m->terms[i], &there, &there_bytes));
        if (*found && compare_texts(there, there_bytes, *text, *size_bytes) >= 0) continue;
        *text = there;
        *size_bytes = there_bytes;
        *found = 1;
    }
    return QL_OK;
}

/* The postings of the term where segment i stands, renumbered. */
static int gather(merge *m, uint32_t i)
{
    const ql_words *words = m->segments[i];
    ql_cursor cursor;

    QL_TRY(ql_cursor_open(words, m->terms[i], &cursor));
    for (uint32_t doc = ql_cursor_seek(&cursor, 0); doc != QL_NONE;
         doc = ql_cursor_seek(&cursor, doc + 1)) {
        uint32_t frequency = ql_cursor_frequency(&cursor);
        uint32_t target = m->maps[i][doc];
        if (cursor.status != QL_OK) break;
        if (target == QL_NONE) continue;
        if (target >= m->documents) return QL_E_INVALID;
        if (frequency > WORDS_LENGTH_MAX) return QL_E_CORRUPT;
        QL_TRY(ql_words_grow((void **)&m->postings, &m->postings_capacity, m->postings_count + 1,
                             sizeof(posting)));
        m->postings[m->postings_count++] = (posting){target, frequency, m->positions_count};
        if (m->writer.has_positions) {
            QL_TRY(ql_words_grow((void **)&m->positions, &m->positions_capacity,
                                 m->positions_count + frequency, sizeof(uint32_t)));
            QL_TRY(ql_cursor_positions(&cursor, m->positions + m->positions_count));
            m->positions_count += frequency;
        }
    }
    return cursor.status;
}

/* Merge the term `text`, which stands in the map of a segment, and step over it in all. */
static int merge_term(merge *m, const uint8_t *text, uint32_t size_bytes)
{
    int sorted = 1;

    m->postings_count = 0;
    m->positions_count = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        const uint8_t *there;
        uint32_t there_bytes;
        if (m->terms[i] >= ql_words_terms(m->segments[i])) continue;
        QL_TRY(ql_words_text(m->segments[i], m->terms[i], &there, &there_bytes));
        if (compare_texts(there, there_bytes, text, size_bytes) != 0) continue;
        QL_TRY(gather(m, i));
        m->terms[i]++;
    }
    for (size_t j = 1; j < m->postings_count && sorted; j++)
        sorted = m->postings[j - 1].doc < m->postings[j].doc;
    if (!sorted) qsort(m->postings, m->postings_count, sizeof(posting), by_doc);
    for (size_t j = 0; j < m->postings_count; j++) {
        const posting *p = &m->postings[j];
        const uint32_t *positions = m->writer.has_positions ? m->positions + p->positions : NULL;
        if (j && p->doc <= p[-1].doc) return QL_E_INVALID; /* two maps name one document */
        QL_TRY(ql_words_writer_posting(&m->writer, p->doc, p->frequency, positions));
    }
    return ql_words_writer_term(&m->writer, text, size_bytes);
}

int ql_words_merge(const ql_words *const *segments, const uint32_t *const *maps, uint32_t n,
                   const uint32_t *nodes, const uint32_t *lengths, uint32_t documents,
                   const char *path, const uint8_t *uuid, uint32_t analyser)
{
    merge m = {.segments = segments, .maps = maps, .n = n, .documents = documents};
    uint32_t flags = n && ql_words_has_positions(segments[0]) ? WORDS_POSITIONS : 0;
    int status;

    for (uint32_t i = 0; i < n; i++)
        if (ql_words_has_positions(segments[i]) != (flags == WORDS_POSITIONS)) return QL_E_INVALID;
    for (uint32_t i = 0; i < documents; i++)
        if (i && nodes[i] <= nodes[i - 1]) return QL_E_INVALID;
    m.terms = ql_alloc(n, sizeof *m.terms);
    if (!m.terms) return QL_E_MEMORY;

    status = ql_words_writer_open(&m.writer, path, uuid, analyser, flags, nodes, lengths,
                                  documents);
    while (status == QL_OK) {
        const uint8_t *text;
        uint32_t size_bytes;
        int found;
        status = next_text(&m, &text, &size_bytes, &found);
        if (status != QL_OK || !found) break;
        status = merge_term(&m, text, size_bytes);
    }
    if (status == QL_OK) status = ql_words_writer_finish(&m.writer, path);
    ql_words_writer_close(&m.writer);
    ql_free(m.terms);
    ql_free(m.postings);
    ql_free(m.positions);
    return status;
}
