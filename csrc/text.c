/* text.c: from prepared texts to a segment of postings.
 *
 * What a word is: a maximal run of Unicode word characters of the text after NFKC and case folding.
 * The Unicode part is Python's (engine/text_tokens.py): a text beyond ASCII arrives here
 * normalised, folded, and with spaces between its words.  ASCII text, most of all text, needs no
 * preparation: its word characters are letters, digits and underscores, its folding is 32 added to
 * capitals.  So one rule serves both: a word is a maximal run of ASCII word characters and bytes >=
 * 0x80, and the table `folded` says both which and what.
 *
 * The builder keeps one u32 per word occurrence, in the order of the texts, and a vocabulary (open
 * addressing over FNV-1a hashes).  Writing counts occurrences per term, scatters their documents
 * term by term (a counting sort, stable, so every term's documents ascend), and sorts the
 * vocabulary once.  Nothing is kept per document and term while texts come, which is what makes
 * this quick: 8 bytes per occurrence at the peak, 12 with positions. */
#include <stdlib.h>
#include <string.h>

#include "postings.h"

#define OCCURRENCES_MAX UINT32_MAX

typedef struct term {
    uint64_t hash;
    uint32_t text; /* in strings */
    uint32_t text_bytes;
    uint32_t count; /* occurrences */
} term;

/* Used by one thread at a time. */
struct ql_words_builder {
    uint8_t folded[256]; /* 0: not in a word; else the byte after folding */
    int has_positions;
    term *terms;
    size_t terms_count;
    size_t terms_capacity;
    uint32_t *slots; /* hash table: term + 1; 0: free */
    size_t slots_count; /* a power of two */
    uint8_t *strings;
    size_t strings_bytes;
    size_t strings_capacity;
    uint32_t *occurrences; /* (occurrences_count,) terms in the order of the texts */
    size_t occurrences_count;
    size_t occurrences_capacity;
    uint32_t *nodes; /* (documents,) */
    size_t nodes_capacity;
    uint32_t *lengths; /* (documents,) */
    size_t lengths_capacity;
    size_t documents;
};

int ql_words_builder_create(int positions, ql_words_builder **builder)
{
    ql_words_builder *made = ql_alloc(1, sizeof *made);

    if (!made) return QL_E_MEMORY;
    for (int c = 0; c < 256; c++) {
        int capital = c >= 'A' && c <= 'Z';
        int word = capital || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
                   c >= 0x80;
        made->folded[c] = (uint8_t)(word ? c + 32 * capital : 0);
    }
    made->has_positions = positions != 0;
    *builder = made;
    return QL_OK;
}

void ql_words_builder_close(ql_words_builder *builder)
{
    if (!builder) return;
    ql_free(builder->terms);
    ql_free(builder->slots);
    ql_free(builder->strings);
    ql_free(builder->occurrences);
    ql_free(builder->nodes);
    ql_free(builder->lengths);
    ql_free(builder);
}

uint64_t ql_words_builder_bytes(const ql_words_builder *builder)
{
    return builder->terms_capacity * sizeof(term) + builder->slots_count * sizeof(uint32_t) +
           builder->strings_capacity +
           (builder->occurrences_capacity + builder->nodes_capacity + builder->lengths_capacity) *
               sizeof(uint32_t);
}

/* ---- The vocabulary ---- */

static int enlarge_table(ql_words_builder *builder)
{
    size_t count = builder->slots_count ? builder->slots_count * 2 : 1024;
    uint32_t *slots = ql_alloc(count, sizeof *slots);

    if (!slots) return QL_E_MEMORY;
    for (size_t i = 0; i < builder->terms_count; i++) {
        size_t at = builder->terms[i].hash & (count - 1);
        while (slots[at]) at = (at + 1) & (count - 1);
        slots[at] = (uint32_t)i + 1;
    }
    ql_free(builder->slots);
    builder->slots = slots;
    builder->slots_count = count;
    return QL_OK;
}

/* The term whose text stands, folded, behind the strings: an old one, or a new one that takes the
 * text over. */
static int intern(ql_words_builder *builder, uint64_t hash, uint32_t text_bytes, uint32_t *found)
{
    const uint8_t *text = builder->strings + builder->strings_bytes;
    size_t at;

    if (builder->terms_count * 2 >= builder->slots_count) QL_TRY(enlarge_table(builder));
    hash ^= hash >> 32; /* FNV's low bits alone are weak. */
    at = hash & (builder->slots_count - 1);
    for (; builder->slots[at]; at = (at + 1) & (builder->slots_count - 1)) {
        const term *there = &builder->terms[builder->slots[at] - 1];
        if (there->hash != hash || there->text_bytes != text_bytes) continue;
        if (memcmp(builder->strings + there->text, text, text_bytes) != 0) continue;
        *found = builder->slots[at] - 1;
        return QL_OK;
    }
    if (builder->strings_bytes + text_bytes > UINT32_MAX || builder->terms_count >= QL_NONE - 1)
        return QL_E_LIMIT;
    QL_TRY(ql_words_grow((void **)&builder->terms, &builder->terms_capacity,
                         builder->terms_count + 1, sizeof(term)));
    builder->terms[builder->terms_count] = (term){hash, (uint32_t)builder->strings_bytes,
                                                  text_bytes, 0};
    builder->strings_bytes += text_bytes;
    *found = (uint32_t)builder->terms_count++;
    builder->slots[at] = (uint32_t)builder->terms_count;
    return QL_OK;
}

/* ---- Texts ---- */

static int add_text(ql_words_builder *builder, const uint8_t *text, uint64_t size_bytes,
                    uint32_t *length)
{
    uint64_t i = 0;

    *length = 0;
    while (i < size_bytes) {
        uint64_t hash = 0xcbf29ce484222325;
        uint8_t *out = builder->strings + builder->strings_bytes;
        uint32_t text_bytes = 0;
        uint32_t found;
        uint8_t c;

        for (; i < size_bytes && (c = builder->folded[text[i]]) != 0; i++) {
            out[text_bytes++] = c;
            hash = (hash ^ c) * 0x100000001b3;
        }
        i++; /* over the separator */
        if (!text_bytes) continue;
        QL_TRY(intern(builder, hash, text_bytes, &found));
        builder->occurrences[builder->occurrences_count++] = found;
        builder->terms[found].count++;
        ++*length;
    }
    return QL_OK;
}

/* Take back what a failed text left: its occurrences; its new terms stay, without any. */
static void forget_occurrences(ql_words_builder *builder, size_t count)
{
    while (builder->occurrences_count > count)
        builder->terms[builder->occurrences[--builder->occurrences_count]].count--;
}

int ql_words_builder_add(ql_words_builder *builder, const uint32_t *nodes, const uint8_t *texts,
                         const uint64_t *offsets, const uint8_t *gone, uint32_t n)
{
    if (builder->documents + n > QL_CONCEPTS_MAX) return QL_E_LIMIT;
    QL_TRY(ql_words_grow((void **)&builder->nodes, &builder->nodes_capacity, builder->documents + n,
                         4));
    QL_TRY(ql_words_grow((void **)&builder->lengths, &builder->lengths_capacity,
                         builder->documents + n, 4));
    for (uint32_t i = 0; i < n; i++) {
        uint64_t size_bytes = offsets[i + 1] - offsets[i];
        size_t before = builder->occurrences_count;
        uint32_t length = QL_WORDS_GONE;

        if (offsets[i + 1] < offsets[i] || nodes[i] == QL_NONE) return QL_E_INVALID;
        if (builder->documents && nodes[i] <= builder->nodes[builder->documents - 1])
            return QL_E_INVALID;
        if (!gone || !gone[i]) {
            /* A word and what separates it take two bytes at least; a folded text is never longer
             * than the text. */
            if (before + size_bytes / 2 + 1 > OCCURRENCES_MAX) return QL_E_LIMIT;
            QL_TRY(ql_words_grow((void **)&builder->occurrences, &builder->occurrences_capacity,
                                 before + (size_t)(size_bytes / 2 + 1), sizeof(uint32_t)));
            QL_TRY(ql_words_grow((void **)&builder->strings, &builder->strings_capacity,
                                 builder->strings_bytes + (size_t)size_bytes, 1));
            int status = add_text(builder, texts + offsets[i], size_bytes, &length);
            if (status == QL_OK && length > WORDS_LENGTH_MAX) status = QL_E_LIMIT;
            if (status != QL_OK) {
                forget_occurrences(builder, before);
                return status;
            }
        }
        builder->nodes[builder->documents] = nodes[i];
        builder->lengths[builder->documents++] = length;
    }
    return QL_OK;
}

/* ---- Writing ---- */

typedef struct entry { /* a term while the vocabulary is sorted */
    const uint8_t *text;
    uint32_t text_bytes;
    uint32_t term;
} entry;

static int by_text(const void *left, const void *right)
{
    const entry *a = left;
    const entry *b = right;
    int order = memcmp(a->text, b->text,
                       a->text_bytes < b->text_bytes ? a->text_bytes : b->text_bytes);

    if (order) return order;
    return a->text_bytes < b->text_bytes ? -1 : a->text_bytes > b->text_bytes;
}

typedef struct scattered { /* occurrences grouped by term */
    uint32_t *starts;    /* (terms + 1,) */
    uint32_t *docs;      /* (occurrences,) */
    uint32_t *positions; /* (occurrences,), or NULL */
} scattered;

static int scatter(const ql_words_builder *builder, scattered *out)
{
    size_t occurrence = 0;

    out->starts = ql_alloc(builder->terms_count + 1, sizeof(uint32_t));
    out->docs = ql_alloc(builder->occurrences_count, sizeof(uint32_t));
    if (builder->has_positions)
        out->positions = ql_alloc(builder->occurrences_count, sizeof(uint32_t));
    if (!out->starts || !out->docs || (builder->has_positions && !out->positions))
        return QL_E_MEMORY;

    /* starts[t + 1] is where the next occurrence of term t goes, and ends as where term t + 1
     * starts. */
    for (size_t t = 1; t < builder->terms_count; t++)
        out->starts[t + 1] = out->starts[t] + builder->terms[t - 1].count;
    for (size_t doc = 0; doc < builder->documents; doc++) {
        uint32_t length = builder->lengths[doc] == QL_WORDS_GONE ? 0 : builder->lengths[doc];
        for (uint32_t i = 0; i < length; i++) {
            uint32_t at = out->starts[builder->occurrences[occurrence++] + 1]++;
            out->docs[at] = (uint32_t)doc;
            if (out->positions) out->positions[at] = i;
        }
    }
    assert(occurrence == builder->occurrences_count);
    return QL_OK;
}

static int write_term(ql_words_writer *writer, const scattered *all, uint32_t term_index)
{
    uint32_t end = all->starts[term_index + 1];

    for (uint32_t i = all->starts[term_index]; i < end;) {
        uint32_t first = i;
        while (i < end && all->docs[i] == all->docs[first]) i++;
        QL_TRY(ql_words_writer_posting(writer, all->docs[first], i - first,
                                       all->positions ? all->positions + first : NULL));
    }
    return QL_OK;
}

int ql_words_builder_write(ql_words_builder *builder, const char *path, const uint8_t *uuid,
                           uint32_t analyser)
{
    ql_words_writer writer;
    scattered all = {0};
    entry *entries = ql_alloc(builder->terms_count, sizeof *entries);
    int status;

    status = ql_words_writer_open(&writer, path, uuid, analyser,
                                  builder->has_positions ? WORDS_POSITIONS : 0, builder->nodes,
                                  builder->lengths, (uint32_t)builder->documents);
    if (status == QL_OK && !entries) status = QL_E_MEMORY;
    if (status == QL_OK) status = scatter(builder, &all);
    if (status != QL_OK) goto done;

    for (size_t t = 0; t < builder->terms_count; t++)
        entries[t] = (entry){builder->strings + builder->terms[t].text,
                             builder->terms[t].text_bytes, (uint32_t)t};
    qsort(entries, builder->terms_count, sizeof *entries, by_text);
    for (size_t t = 0; t < builder->terms_count && status == QL_OK; t++) {
        status = write_term(&writer, &all, entries[t].term);
        if (status == QL_OK)
            status = ql_words_writer_term(&writer, entries[t].text, entries[t].text_bytes);
    }
    if (status == QL_OK) status = ql_words_writer_finish(&writer, path);
    if (status != QL_OK) goto done;

    builder->terms_count = 0;
    builder->strings_bytes = 0;
    builder->occurrences_count = 0;
    builder->documents = 0;
    if (builder->slots_count)
        memset(builder->slots, 0, builder->slots_count * sizeof *builder->slots);
done:
    ql_words_writer_close(&writer);
    ql_free(entries);
    ql_free(all.starts);
    ql_free(all.docs);
    ql_free(all.positions);
    return status;
}
