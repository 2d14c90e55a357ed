/* postings.c: reading an immutable segment of postings.
 *
 * A segment answers, for a set of documents, which of them hold a word and how often.  It is
 * derived from the concepts' texts, written once (postings_write.c) and never changed; later
 * segments and the tail override its documents (engine/text.py).  The form is that of Lucene:
 * sorted dictionary, blocks of 128 bit-packed deltas with frequencies, and per block its *impacts*:
 * the few (frequency, length) pairs that no posting of the block beats. Different here: impacts are
 * kept instead of a finished maximum, because the score depends on k1, b and the mean length of a
 * snapshot, and all of these may change under a segment; lengths are kept exact, so that scores
 * are. Blocks name documents by their ordinal in the segment, not by node: deltas are smaller, a
 * length is one array access, and ordinals ascend with nodes, so ties by ordinal are ties by node.
 *
 * Layout, little-endian; a page is 4096 bytes:
 *   page 0     ql_words_header, zeros; `crc` covers the page
 *   nodes      u32 per document, strictly ascending
 *   lengths    u32 per document: its words; QL_WORDS_GONE marks a tombstone, a node without text
 * from here on data       per term: its blocks one after another, then, if there are two or more,
 * zeros up to a multiple of four and its table: ql_words_block per block, then one per group of 64
 * blocks then 8 zero bytes records    ql_words_record per term in the order of their texts, and one
 * more that marks the ends strings    the texts checksums  at a multiple of the page: crc32c of
 * every page from page 1 up to here A block: u8 bits of a delta, u8 bits of a frequency, the packed
 * deltas (document - previous document - 1; before the first block stands document -1), the packed
 * frequencies - 1, and, in segments with positions, per posting the word positions as LEB128
 * deltas.  Packed numbers stand least significant bit first and end on a byte.
 *
 * Trust: opening verifies the header, the nodes and the lengths; every other page is verified when
 * it is first touched, so opening costs the same for any size of text.  Checksums find damage; a
 * hostile file has right ones, so every offset, order and count is also checked where it is used,
 * and a read never leaves the map.
 *
 * Invariants: 0 < block <= WORDS_BLOCK postings; the last document of a block is table[block].last;
 * a frequency is at least 1; documents of tombstones have no postings. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "postings.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "segments are little-endian"
#endif

/* ---- Opening ---- */

static int header_is_sound(const ql_words *words, const uint8_t *uuid, uint32_t analyser)
{
    const ql_words_header *h = &words->header;
    uint8_t page[WORDS_PAGE];
    uint64_t documents_bytes = (uint64_t)h->documents * 4;
    uint64_t records_bytes = ((uint64_t)h->terms + 1) * sizeof(ql_words_record);

    memcpy(page, words->base, WORDS_PAGE);
    memset(page + offsetof(ql_words_header, crc), 0, 4);
    if (ql_crc32c(0, page, WORDS_PAGE) != h->crc) return 0;
    if (memcmp(h->magic, WORDS_MAGIC, 8) || h->format != QL_FORMAT || memcmp(h->uuid, uuid, 16))
        return 0;
    if (h->analyser != analyser || h->flags > WORDS_POSITIONS || h->terms == QL_NONE) return 0;

    /* Sections follow one another inside [page 1, checksums); no sum below can wrap once each part
     * is inside. */
    if (h->checksums % WORDS_PAGE || h->checksums < 2 * WORDS_PAGE ||
        h->checksums > words->size_bytes)
        return 0;
    if (words->size_bytes - h->checksums != (h->checksums / WORDS_PAGE - 1) * 4) return 0;
    if (h->nodes != WORDS_PAGE || h->lengths != h->nodes + documents_bytes) return 0;
    if (h->data != h->lengths + documents_bytes || h->data > h->checksums) return 0;
    if (h->records % 8 || h->records > h->checksums || h->data_bytes > h->records - h->data)
        return 0;
    if (h->records - h->data - h->data_bytes < WORDS_SLACK) return 0;
    if (records_bytes > h->checksums - h->records || h->strings != h->records + records_bytes)
        return 0;
    return h->strings_bytes <= h->checksums - h->strings;
}

static int documents_are_sound(ql_words *words)
{
    const ql_words_header *h = &words->header;
    uint64_t tokens = 0;
    int64_t previous = -1;

    words->nodes = (const uint32_t *)ql_words_bytes(words, h->nodes, (uint64_t)h->documents * 4);
    words->lengths = (const uint32_t *)ql_words_bytes(words, h->lengths,
                                                      (uint64_t)h->documents * 4);
    if (!words->nodes || !words->lengths) return 0;
    for (uint32_t i = 0; i < h->documents; i++) {
        if ((int64_t)words->nodes[i] <= previous || words->nodes[i] == QL_NONE) return 0;
        previous = words->nodes[i];
        if (words->lengths[i] != QL_WORDS_GONE) tokens += words->lengths[i];
    }
    return tokens == h->tokens;
}

static int map_file(const char *path, ql_words *words)
{
    struct stat status;
    void *base;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int saved;

    if (fd < 0) return QL_E_IO;
    if (fstat(fd, &status) < 0) goto failed;
    if (status.st_size < 2 * WORDS_PAGE) {
        close(fd);
        return QL_E_CORRUPT;
    }
    base = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) goto failed;
    close(fd);
    words->base = base;
    words->size_bytes = (uint64_t)status.st_size;
    return QL_OK;
failed:
    saved = errno;
    close(fd);
    errno = saved;
    return QL_E_IO;
}

int ql_words_open(const char *path, const uint8_t *uuid, uint32_t analyser, ql_words **words)
{
    ql_words *made = ql_alloc(1, sizeof *made);
    int status;

    if (!made) return QL_E_MEMORY;
    status = map_file(path, made);
    if (status != QL_OK) goto failed;
    memcpy(&made->header, made->base, sizeof made->header);
    status = QL_E_CORRUPT;
    if (!header_is_sound(made, uuid, analyser)) goto failed;
    made->checksums = (const uint32_t *)(made->base + made->header.checksums);
    if (ql_crc32c(0, made->checksums, made->size_bytes - made->header.checksums) !=
        made->header.checksums_crc)
        goto failed;

    made->verified = ql_alloc(made->header.checksums / WORDS_PAGE / 64 + 1, sizeof *made->verified);
    if (!made->verified) {
        status = QL_E_MEMORY;
        goto failed;
    }
    if (!documents_are_sound(made)) goto failed;
    *words = made;
    return QL_OK;
failed:
    ql_words_close(made);
    return status;
}

void ql_words_close(ql_words *words)
{
    if (!words) return;
    if (words->base) munmap((void *)(uintptr_t)words->base, (size_t)words->size_bytes);
    ql_free((void *)words->verified);
    ql_free(words);
}

uint32_t ql_words_documents(const ql_words *words) { return words->header.documents; }
uint32_t ql_words_terms(const ql_words *words) { return words->header.terms; }
uint64_t ql_words_size(const ql_words *words) { return words->size_bytes; }
int ql_words_has_positions(const ql_words *words)
{
    return (words->header.flags & WORDS_POSITIONS) != 0;
}
const uint32_t *ql_words_nodes(const ql_words *words) { return words->nodes; }
const uint32_t *ql_words_lengths(const ql_words *words) { return words->lengths; }

const uint8_t *ql_words_bytes(const ql_words *words, uint64_t offset, uint64_t size_bytes)
{
    uint64_t end = words->header.checksums;

    if (offset < WORDS_PAGE || offset > end || size_bytes > end - offset) return NULL;
    if (size_bytes == 0) return words->base + offset;
    for (uint64_t page = offset / WORDS_PAGE; page <= (offset + size_bytes - 1) / WORDS_PAGE;
         page++) {
        _Atomic uint64_t *seen = &words->verified[page / 64];
        uint64_t bit = (uint64_t)1 << (page % 64);
        if (atomic_load_explicit(seen, memory_order_relaxed) & bit) continue;
        if (ql_crc32c(0, words->base + page * WORDS_PAGE, WORDS_PAGE) != words->checksums[page - 1])
            return NULL;
        atomic_fetch_or_explicit(seen, bit, memory_order_relaxed);
    }
    return words->base + offset;
}

/* ---- The dictionary ---- */

/* Record i and its successor, which says where it ends. */
static int record_of(const ql_words *words, uint32_t term, ql_words_record *record,
                     ql_words_record *next)
{
    const uint8_t *at = ql_words_bytes(
        words, words->header.records + (uint64_t)term * sizeof *record, 2 * sizeof *record);

    assert(term < words->header.terms);
    if (!at) return QL_E_CORRUPT;
    memcpy(record, at, sizeof *record);
    memcpy(next, at + sizeof *record, sizeof *next);
    if (record->text > next->text || next->text > words->header.strings_bytes) return QL_E_CORRUPT;
    if (record->start > next->start || next->start > words->header.data_bytes) return QL_E_CORRUPT;
    return QL_OK;
}

int ql_words_text(const ql_words *words, uint32_t term, const uint8_t **text, uint32_t *size_bytes)
{
    ql_words_record record;
    ql_words_record next;
    const uint8_t *at;

    QL_TRY(record_of(words, term, &record, &next));
    at = ql_words_bytes(words, words->header.strings + record.text, next.text - record.text);
    if (!at) return QL_E_CORRUPT;
    *text = at;
    *size_bytes = next.text - record.text;
    return QL_OK;
}

int ql_words_find(const ql_words *words, const uint8_t *text, uint32_t size_bytes, uint32_t *term)
{
    uint32_t low = 0;
    uint32_t high = words->header.terms;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const uint8_t *there;
        uint32_t there_bytes;
        int order;

        QL_TRY(ql_words_text(words, middle, &there, &there_bytes));
        order = memcmp(there, text, there_bytes < size_bytes ? there_bytes : size_bytes);
        if (order == 0 && there_bytes == size_bytes) {
            *term = middle;
            return QL_OK;
        }
        if (order < 0 || (order == 0 && there_bytes < size_bytes)) low = middle + 1;
        else high = middle;
    }
    *term = QL_NONE;
    return QL_OK;
}

/* ---- A term's postings ---- */

int ql_cursor_open(const ql_words *words, uint32_t term, ql_cursor *cursor)
{
    ql_words_record record;
    ql_words_record next;
    uint64_t entries = 0;
    uint64_t size_bytes;

    QL_TRY(record_of(words, term, &record, &next));
    if (record.count == 0 || record.count > words->header.documents) return QL_E_CORRUPT;

    memset(cursor, 0, offsetof(ql_cursor, docs));
    cursor->words = words;
    cursor->count = record.count;
    cursor->blocks = (record.count + WORDS_BLOCK - 1) / WORDS_BLOCK;
    cursor->decoded = QL_NONE;
    if (cursor->blocks > 1)
        entries = cursor->blocks + (cursor->blocks + WORDS_GROUP - 1) / WORDS_GROUP;
    size_bytes = next.start - record.start;
    if (entries * sizeof(ql_words_block) > size_bytes) return QL_E_CORRUPT;
    cursor->data_bytes = size_bytes - entries * sizeof(ql_words_block);
    cursor->data = words->base + words->header.data + record.start; /* verified block by block */
    if (entries) {
        uint64_t table = words->header.data + record.start + cursor->data_bytes;
        if (table % 4) return QL_E_CORRUPT;
        cursor->table = (const ql_words_block *)ql_words_bytes(words, table,
                                                               entries * sizeof(ql_words_block));
        if (!cursor->table) return QL_E_CORRUPT;
    }
    return QL_OK;
}

/* ql_unpack_sums where a sum may leave 32 bits, which damage can make it; 0: one does. */
static int unpack_far_sums(const uint8_t *from, uint32_t bits, uint32_t count, uint64_t first,
                           uint32_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        first += ql_packed_at(from, bits, i);
        out[i] = (uint32_t)first++;
    }
    return first <= UINT32_MAX;
}

static uint32_t cursor_failed(ql_cursor *cursor)
{
    cursor->status = QL_E_CORRUPT;
    cursor->block = cursor->blocks;
    return QL_NONE;
}

/* Documents of the block where the cursor stands into docs[]; its frequencies wait until they are
 * asked for. */
static int decode(ql_cursor *cursor)
{
    uint32_t block = cursor->block;
    uint32_t filled = block + 1 < cursor->blocks ? WORDS_BLOCK
                                                 : cursor->count - block * WORDS_BLOCK;
    uint64_t start = cursor->table ? cursor->table[block].start : 0;
    uint64_t end = block + 1 < cursor->blocks ? cursor->table[block + 1].start : cursor->data_bytes;
    uint64_t offset = (uint64_t)(cursor->data - cursor->words->base);
    uint32_t bits_doc;
    uint32_t bits_frequency;
    uint64_t docs_bytes;
    uint64_t packed_bytes;
    uint64_t first;
    const uint8_t *at;

    if (start > end || end > cursor->data_bytes || end - start < 2) return 0;
    /* The slack belongs to what is read: it may stand on the next page. Kernels load some bytes
     * more and mask them away; behind the slack stands at least one record, of 16. */
    at = ql_words_bytes(cursor->words, offset + start, end - start + WORDS_SLACK);
    if (!at) return 0;
    bits_doc = at[0];
    bits_frequency = at[1];
    if (bits_doc > 32 || bits_frequency > 31) return 0;
    docs_bytes = ((uint64_t)filled * bits_doc + 7) / 8;
    packed_bytes = docs_bytes + ((uint64_t)filled * bits_frequency + 7) / 8;
    if (packed_bytes > end - start - 2) return 0;

    first = block ? (uint64_t)cursor->table[block - 1].last + 1 : 0;
    if (first + ((uint64_t)filled << bits_doc) <= UINT32_MAX)
        ql_kernels_active()->unpack_sums(at + 2, bits_doc, filled, (uint32_t)first, cursor->docs);
    else if (!unpack_far_sums(at + 2, bits_doc, filled, first, cursor->docs)) return 0;
    /* They grew from each to the next: all are inside. */
    if (cursor->docs[filled - 1] >= cursor->words->header.documents) return 0;
    if (cursor->table && cursor->docs[filled - 1] != cursor->table[block].last) return 0;

    cursor->filled = filled;
    cursor->decoded = block;
    cursor->at = 0;
    cursor->has_frequencies = 0;
    cursor->frequencies_at = at + 2 + docs_bytes;
    cursor->frequency_bits = bits_frequency;
    cursor->positions = at + 2 + packed_bytes;
    cursor->positions_end = at + (end - start);
    cursor->positions_of = 0;
    cursor->decoded_blocks++;
    cursor->decoded_bytes += end - start;
    return 1;
}

int ql_cursor_skip(ql_cursor *cursor, uint32_t doc)
{
    uint32_t low = cursor->block;
    uint32_t step = 1;
    uint32_t high;

    if (low >= cursor->blocks) return 0;
    if (!cursor->table) {
        if (cursor->decoded != 0 && !decode(cursor)) {
            cursor_failed(cursor);
            return 0;
        }
        if (cursor->docs[cursor->filled - 1] >= doc) return 1;
        cursor->block = cursor->blocks;
        return 0;
    }
    if (cursor->table[low].last >= doc) return 1;
    /* Gallop, then halve. */
    while (low + step < cursor->blocks && cursor->table[low + step].last < doc) {
        low += step;
        step *= 2;
    }
    high = low + step < cursor->blocks ? low + step : cursor->blocks;
    while (high - low > 1) { /* table[low].last < doc; table[high].last >= doc or high is the end */
        uint32_t middle = low + (high - low) / 2;
        if (cursor->table[middle].last < doc) low = middle;
        else high = middle;
    }
    cursor->block = high;
    return high < cursor->blocks;
}

uint32_t ql_cursor_seek(ql_cursor *cursor, uint32_t doc)
{
    uint32_t at;

    if (!ql_cursor_skip(cursor, doc)) return QL_NONE;
    if (cursor->decoded != cursor->block && !decode(cursor)) return cursor_failed(cursor);
    /* the table promised otherwise */
    if (cursor->docs[cursor->filled - 1] < doc) return cursor_failed(cursor);

    at = cursor->at;
    if (cursor->docs[at] < doc) { /* Callers only go forward: what lies before `at` was passed. */
        /* The first that is not below doc is in (at, at + left]; halved without branches, which
         * would be guessed wrong half of the time. */
        for (uint32_t left = cursor->filled - 1 - at; left > 1; left -= left / 2)
            at += cursor->docs[at + left / 2] < doc ? left / 2 : 0;
        at++;
    }
    cursor->at = at;
    return cursor->docs[at];
}

uint32_t ql_cursor_frequency(ql_cursor *cursor)
{
    return ql_packed_at(cursor->frequencies_at, cursor->frequency_bits, cursor->at) + 1;
}

const uint32_t *ql_cursor_frequencies(ql_cursor *cursor)
{
    if (!cursor->has_frequencies) {
        ql_kernels_active()->unpack(cursor->frequencies_at, cursor->frequency_bits, cursor->filled,
                                    cursor->frequencies);
        for (uint32_t i = 0; i < cursor->filled; i++) cursor->frequencies[i]++;
        cursor->has_frequencies = 1;
    }
    return cursor->frequencies;
}

/* One LEB128 number; NULL where it leaves the block or 32 bits. */
static const uint8_t *read_number(const uint8_t *at, const uint8_t *end, uint32_t *number)
{
    uint64_t value = 0;

    for (uint32_t shift = 0; shift < 35; shift += 7) {
        if (at >= end) return NULL;
        value |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80)) {
            if (value > UINT32_MAX) return NULL;
            *number = (uint32_t)value;
            return at;
        }
    }
    return NULL;
}

int ql_cursor_positions(ql_cursor *cursor, uint32_t *out)
{
    uint32_t frequency = ql_cursor_frequency(cursor);
    uint64_t position = 0;
    const uint8_t *at;

    if (cursor->status != QL_OK) return cursor->status;
    if (cursor->positions_of > cursor->at) return QL_E_CORRUPT;
    for (; cursor->positions_of < cursor->at; cursor->positions_of++) {
        uint32_t i = ql_packed_at(cursor->frequencies_at, cursor->frequency_bits,
                               cursor->positions_of) + 1;
        while (i > 0) {
            if (cursor->positions >= cursor->positions_end) return QL_E_CORRUPT;
            /* A number ends with a byte whose top bit is clear. */
            i -= !(*cursor->positions++ & 0x80);
        }
    }
    at = cursor->positions;
    for (uint32_t i = 0; i < frequency; i++) {
        uint32_t delta;
        at = read_number(at, cursor->positions_end, &delta);
        if (!at) return QL_E_CORRUPT;
        position += delta;
        if (position > UINT32_MAX) return QL_E_CORRUPT;
        out[i] = (uint32_t)position;
    }
    return QL_OK;
}

/* ---- Counting and checking ---- */

int ql_words_frequencies(const ql_words *words, const uint8_t *texts, const uint32_t *offsets,
                         uint32_t n, const uint32_t *dead, uint32_t dead_count,
                         uint32_t *frequencies)
{
    for (uint32_t i = 0; i < n; i++) {
        ql_cursor cursor;
        uint32_t term;

        frequencies[i] = 0;
        QL_TRY(ql_words_find(words, texts + offsets[i], offsets[i + 1] - offsets[i], &term));
        if (term == QL_NONE) continue;
        QL_TRY(ql_cursor_open(words, term, &cursor));
        frequencies[i] = cursor.count;
        for (uint32_t j = 0; j < dead_count; j++) {
            uint32_t doc = ql_cursor_seek(&cursor, dead[j]);
            if (doc == QL_NONE) break;
            if (doc == dead[j]) frequencies[i]--;
        }
        QL_TRY(cursor.status);
    }
    return QL_OK;
}

/* All postings of a term, against its table and the segment. */
static int check_term(const ql_words *words, uint32_t term, uint32_t *positions, uint64_t *tokens)
{
    ql_cursor cursor;
    uint64_t seen = 0;

    QL_TRY(ql_cursor_open(words, term, &cursor));
    for (uint32_t doc = ql_cursor_seek(&cursor, 0); doc != QL_NONE;
         doc = ql_cursor_seek(&cursor, doc + 1)) {
        uint32_t frequency = ql_cursor_frequency(&cursor);
        if (cursor.status != QL_OK) break;
        if (words->lengths[doc] == QL_WORDS_GONE || frequency > words->lengths[doc])
            return QL_E_CORRUPT;
        if (ql_words_has_positions(words)) {
            QL_TRY(ql_cursor_positions(&cursor, positions));
            if (positions[frequency - 1] >= words->lengths[doc]) return QL_E_CORRUPT;
        }
        *tokens += frequency;
        seen++;
    }
    if (cursor.status != QL_OK) return cursor.status;
    return seen == cursor.count ? QL_OK : QL_E_CORRUPT;
}

int ql_words_check(const ql_words *words)
{
    const uint8_t *before = NULL;
    uint32_t before_bytes = 0;
    uint64_t tokens = 0;
    uint32_t longest = 1;
    uint32_t *positions;
    int status = QL_E_CORRUPT;

    if (!ql_words_bytes(words, WORDS_PAGE, words->header.checksums - WORDS_PAGE))
        return QL_E_CORRUPT;
    for (uint32_t i = 0; i < words->header.documents; i++)
        if (words->lengths[i] != QL_WORDS_GONE && words->lengths[i] > longest)
            longest = words->lengths[i];
    if (longest > WORDS_LENGTH_MAX) return QL_E_CORRUPT;
    positions = ql_alloc(longest, sizeof *positions);
    if (!positions) return QL_E_MEMORY;

    for (uint32_t term = 0; term < words->header.terms; term++) {
        const uint8_t *text;
        uint32_t size_bytes;
        int order = -1;

        status = ql_words_text(words, term, &text, &size_bytes);
        if (status != QL_OK) goto done;
        if (before)
            order = memcmp(before, text, before_bytes < size_bytes ? before_bytes : size_bytes);
        status = QL_E_CORRUPT;
        if (order > 0 || (order == 0 && before_bytes >= size_bytes)) goto done;
        status = check_term(words, term, positions, &tokens);
        if (status != QL_OK) goto done;
        before = text;
        before_bytes = size_bytes;
    }
    status = tokens == words->header.tokens ? QL_OK : QL_E_CORRUPT;
done:
    ql_free(positions);
    return status;
}
