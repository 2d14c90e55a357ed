/* postings_write.c: writing a segment, for the builder (text.c) and the merge (postings_merge.c)
 * alike.
 *
 * One streaming pass in file order with bounded memory: only the dictionary (records and texts),
 * the checksums and the current term's table stay in memory.  The first page is written last.  What
 * is written depends on the postings only, never on how they came, so a merge of segments equals a
 * rebuild byte for byte.
 *
 * The file appears under its name only after fsync and rename; a crash leaves a file with the
 * suffix ".part", which nobody opens.  The layout stands in postings.c.
 *
 * Impacts: of the up to 128 (frequency, length) pairs of a block only those count that no other
 * pair beats in both. Of these at most three are kept; where there are more, neighbours on the
 * frontier are joined to one that beats both (the higher frequency, the smaller length), always the
 * two whose joining promises least too much. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "postings.h"

_Static_assert(sizeof(ql_words_header) == 120, "the header of a segment");
_Static_assert(sizeof(ql_words_record) == 16, "the record of a term");
_Static_assert(sizeof(ql_words_block) == 32, "an entry of a term's table");

#define BUFFER_BYTES ((size_t)1 << 20)

int ql_words_grow(void **block, size_t *capacity, size_t need, size_t item_bytes)
{
    size_t wanted = *capacity ? *capacity : 64;
    void *grown;

    if (need <= *capacity) return QL_OK;
    while (wanted < need) wanted += wanted / 2;
    grown = ql_realloc(*block, wanted, item_bytes);
    if (!grown) return QL_E_MEMORY;
    *block = grown;
    *capacity = wanted;
    return QL_OK;
}

/* ---- The stream of bytes ---- */

static uint64_t place(const ql_words_writer *writer)
{
    return writer->flushed + writer->buffered;
}

/* Write out whole pages and note their checksums. */
static int flush(ql_words_writer *writer)
{
    size_t pages = writer->buffered / WORDS_PAGE;
    size_t first = (size_t)(writer->flushed / WORDS_PAGE) - 1;
    size_t size_bytes = pages * WORDS_PAGE;

    QL_TRY(ql_words_grow((void **)&writer->checksums, &writer->checksums_capacity, first + pages,
                         sizeof(uint32_t)));
    for (size_t i = 0; i < pages; i++)
        writer->checksums[first + i] = ql_crc32c(0, writer->buffer + i * WORDS_PAGE, WORDS_PAGE);
    QL_TRY(ql_file_write(writer->fd, writer->buffer, size_bytes, writer->flushed));
    memmove(writer->buffer, writer->buffer + size_bytes, writer->buffered - size_bytes);
    writer->buffered -= size_bytes;
    writer->flushed += size_bytes;
    return QL_OK;
}

static int put(ql_words_writer *writer, const void *data, size_t size_bytes)
{
    const uint8_t *at = data;

    while (size_bytes) {
        size_t part = BUFFER_BYTES - writer->buffered;
        if (part > size_bytes) part = size_bytes;
        memcpy(writer->buffer + writer->buffered, at, part);
        writer->buffered += part;
        at += part;
        size_bytes -= part;
        if (writer->buffered == BUFFER_BYTES) QL_TRY(flush(writer));
    }
    return QL_OK;
}

static int put_zeros(ql_words_writer *writer, uint64_t unit)
{
    static const uint8_t zeros[WORDS_PAGE];

    return put(writer, zeros, (size_t)((unit - place(writer) % unit) % unit));
}

int ql_words_writer_open(ql_words_writer *writer, const char *path, const uint8_t *uuid,
                         uint32_t analyser, uint32_t flags, const uint32_t *nodes,
                         const uint32_t *lengths, uint32_t documents)
{
    size_t path_bytes = strlen(path) + sizeof ".part";

    memset(writer, 0, sizeof *writer);
    writer->fd = -1;
    writer->has_positions = flags & WORDS_POSITIONS;
    writer->lengths = lengths;
    writer->flushed = WORDS_PAGE;
    memcpy(writer->header.magic, WORDS_MAGIC, 8);
    writer->header.format = QL_FORMAT;
    writer->header.flags = flags;
    memcpy(writer->header.uuid, uuid, 16);
    writer->header.analyser = analyser;
    writer->header.documents = documents;
    for (uint32_t i = 0; i < documents; i++)
        if (lengths[i] != QL_WORDS_GONE) writer->header.tokens += lengths[i];

    writer->buffer = ql_alloc(BUFFER_BYTES, 1);
    writer->path = ql_alloc(path_bytes, 1);
    if (!writer->buffer || !writer->path) return QL_E_MEMORY;
    snprintf(writer->path, path_bytes, "%s.part", path);
    writer->fd = open(writer->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer->fd < 0) return QL_E_IO;

    writer->header.nodes = place(writer);
    QL_TRY(put(writer, nodes, (size_t)documents * 4));
    writer->header.lengths = place(writer);
    QL_TRY(put(writer, lengths, (size_t)documents * 4));
    writer->header.data = place(writer);
    writer->term_start = writer->header.data;
    writer->previous = QL_NONE;
    return QL_OK;
}

/* ---- Impacts ---- */

static int by_length(const void *left, const void *right)
{
    const ql_impact *a = left;
    const ql_impact *b = right;

    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return a->frequency > b->frequency ? -1 : a->frequency < b->frequency;
}

/* Reduce n impacts to at most WORDS_IMPACTS that beat them all; best[] beyond them is zero.
 * Reorders impacts. */
static void reduce(ql_impact *impacts, uint32_t n, ql_impact *best)
{
    uint32_t kept = 0;

    qsort(impacts, n, sizeof *impacts, by_length);
    for (uint32_t i = 0; i < n; i++) /* Along the frontier both length and frequency rise. */
        if (impacts[i].frequency > (kept ? impacts[kept - 1].frequency : 0))
            impacts[kept++] = impacts[i];
    while (kept > WORDS_IMPACTS) {
        uint64_t least = UINT64_MAX;
        uint32_t where = 0;
        for (uint32_t i = 0; i + 1 < kept; i++) {
            uint64_t excess = (uint64_t)(impacts[i + 1].frequency - impacts[i].frequency) *
                              (impacts[i + 1].length - impacts[i].length);
            if (excess < least) {
                least = excess;
                where = i;
            }
        }
        impacts[where].frequency = impacts[where + 1].frequency;
        memmove(impacts + where + 1, impacts + where + 2, (kept - where - 2) * sizeof *impacts);
        kept--;
    }
    memset(best, 0, WORDS_IMPACTS * sizeof *best);
    memcpy(best, impacts, kept * sizeof *impacts);
}

/* ---- Postings ---- */

static uint32_t bits_of(uint32_t number)
{
    return number ? 32 - (uint32_t)__builtin_clz(number) : 0;
}

/* Numbers of `bits` bits behind one another into out, which was zeroed and has 8 bytes to spare. */
static size_t pack(const uint32_t *numbers, uint32_t count, uint32_t bits, uint8_t *out)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < count; i++, at += bits) {
        uint64_t word;
        memcpy(&word, out + at / 8, 8);
        word |= (uint64_t)numbers[i] << (at % 8);
        memcpy(out + at / 8, &word, 8);
    }
    return (size_t)((at + 7) / 8);
}

static int write_block(ql_words_writer *writer)
{
    uint8_t packed[2 + 2 * (WORDS_BLOCK * 4) + 16] = {0};
    uint32_t deltas[WORDS_BLOCK];
    uint32_t extra[WORDS_BLOCK];
    ql_impact impacts[WORDS_BLOCK];
    uint32_t bits_doc = 0;
    uint32_t bits_frequency = 0;
    uint32_t previous = writer->previous; /* QL_NONE + 1 wraps to 0, which is what is wanted */
    uint64_t start = place(writer) - writer->term_start;
    ql_words_block *block;
    size_t size_bytes = 2;

    if (start > UINT32_MAX) return QL_E_LIMIT;
    QL_TRY(ql_words_grow((void **)&writer->blocks, &writer->blocks_capacity,
                         writer->blocks_count + 1, sizeof *block));
    for (uint32_t i = 0; i < writer->filled; i++) {
        uint32_t doc = writer->docs[i];
        deltas[i] = doc - previous - 1;
        extra[i] = writer->frequencies[i] - 1;
        previous = doc;
        bits_doc |= deltas[i];
        bits_frequency |= extra[i];
        impacts[i] = (ql_impact){writer->frequencies[i], writer->lengths[doc]};
    }
    bits_doc = bits_of(bits_doc);
    bits_frequency = bits_of(bits_frequency);
    packed[0] = (uint8_t)bits_doc;
    packed[1] = (uint8_t)bits_frequency;
    size_bytes += pack(deltas, writer->filled, bits_doc, packed + size_bytes);
    size_bytes += pack(extra, writer->filled, bits_frequency, packed + size_bytes);

    block = &writer->blocks[writer->blocks_count++];
    block->last = previous;
    block->start = (uint32_t)start;
    reduce(impacts, writer->filled, block->best);
    QL_TRY(put(writer, packed, size_bytes));
    QL_TRY(put(writer, writer->positions, writer->positions_bytes));
    writer->positions_bytes = 0;
    writer->filled = 0;
    writer->previous = previous;
    return QL_OK;
}

int ql_words_writer_posting(ql_words_writer *writer, uint32_t doc, uint32_t frequency,
                            const uint32_t *positions)
{
    assert(doc < writer->header.documents && frequency > 0);
    assert(writer->filled == 0 || doc > writer->docs[writer->filled - 1]);
    if (writer->filled == WORDS_BLOCK) QL_TRY(write_block(writer));

    if (writer->has_positions) {
        uint32_t previous = 0;
        size_t need = writer->positions_bytes + (size_t)frequency * 5;
        QL_TRY(ql_words_grow((void **)&writer->positions, &writer->positions_capacity, need, 1));
        for (uint32_t i = 0; i < frequency; i++) {
            uint32_t delta = positions[i] - previous;
            for (; delta >= 0x80; delta >>= 7)
                writer->positions[writer->positions_bytes++] = (uint8_t)(delta | 0x80);
            writer->positions[writer->positions_bytes++] = (uint8_t)delta;
            previous = positions[i];
        }
    }
    writer->docs[writer->filled] = doc;
    writer->frequencies[writer->filled++] = frequency;
    writer->count++;
    return QL_OK;
}

/* The term's table: its blocks, then its groups. */
static int write_table(ql_words_writer *writer)
{
    ql_impact impacts[WORDS_GROUP * WORDS_IMPACTS];

    QL_TRY(put_zeros(writer, 4));
    QL_TRY(put(writer, writer->blocks, writer->blocks_count * sizeof *writer->blocks));
    for (size_t first = 0; first < writer->blocks_count; first += WORDS_GROUP) {
        size_t end = first + WORDS_GROUP < writer->blocks_count ? first + WORDS_GROUP
                                                                : writer->blocks_count;
        ql_words_block group = {.last = writer->blocks[end - 1].last};
        uint32_t n = 0;
        for (size_t i = first; i < end; i++)
            for (uint32_t j = 0; j < WORDS_IMPACTS; j++)
                if (writer->blocks[i].best[j].frequency) impacts[n++] = writer->blocks[i].best[j];
        reduce(impacts, n, group.best);
        QL_TRY(put(writer, &group, sizeof group));
    }
    return QL_OK;
}

static int add_record(ql_words_writer *writer, uint64_t start, uint32_t count, const uint8_t *text,
                      uint32_t size_bytes)
{
    ql_words_header *h = &writer->header;

    if (size_bytes > UINT32_MAX - h->strings_bytes || h->terms == QL_NONE - 1) return QL_E_LIMIT;
    QL_TRY(ql_words_grow((void **)&writer->records, &writer->records_capacity, (size_t)h->terms + 1,
                         sizeof *writer->records));
    QL_TRY(ql_words_grow((void **)&writer->strings, &writer->strings_capacity,
                         (size_t)h->strings_bytes + size_bytes, 1));
    writer->records[h->terms++] = (ql_words_record){start - h->data, count, h->strings_bytes};
    if (size_bytes) memcpy(writer->strings + h->strings_bytes, text, size_bytes);
    h->strings_bytes += size_bytes;
    return QL_OK;
}

int ql_words_writer_term(ql_words_writer *writer, const uint8_t *text, uint32_t size_bytes)
{
    if (writer->count == 0) return QL_OK;
    QL_TRY(write_block(writer));
    if (writer->blocks_count > 1) QL_TRY(write_table(writer));
    QL_TRY(add_record(writer, writer->term_start, writer->count, text, size_bytes));
    writer->term_start = place(writer);
    writer->blocks_count = 0;
    writer->count = 0;
    writer->previous = QL_NONE;
    return QL_OK;
}

/* ---- The end of the file, and its first page ---- */

static int write_dictionary(ql_words_writer *writer)
{
    static const uint8_t slack[WORDS_SLACK];
    ql_words_header *h = &writer->header;

    h->data_bytes = place(writer) - h->data;
    QL_TRY(put(writer, slack, sizeof slack));
    QL_TRY(put_zeros(writer, 8));
    h->records = place(writer);
    QL_TRY(add_record(writer, h->data + h->data_bytes, 0, (const uint8_t *)"", 0));
    h->terms--; /* the last record is not a term */
    QL_TRY(put(writer, writer->records, ((size_t)h->terms + 1) * sizeof *writer->records));
    h->strings = place(writer);
    QL_TRY(put(writer, writer->strings, h->strings_bytes));
    QL_TRY(put_zeros(writer, WORDS_PAGE));
    QL_TRY(flush(writer));
    assert(writer->buffered == 0);
    h->checksums = place(writer);
    return QL_OK;
}

int ql_words_writer_finish(ql_words_writer *writer, const char *path)
{
    ql_words_header *h = &writer->header;
    uint8_t page[WORDS_PAGE] = {0};
    size_t checksums_bytes;

    assert(writer->count == 0);
    QL_TRY(write_dictionary(writer));
    checksums_bytes = (size_t)(h->checksums / WORDS_PAGE - 1) * 4;
    h->checksums_crc = ql_crc32c(0, writer->checksums, checksums_bytes);
    QL_TRY(ql_file_write(writer->fd, writer->checksums, checksums_bytes, h->checksums));
    h->crc = 0;
    memcpy(page, h, sizeof *h);
    h->crc = ql_crc32c(0, page, WORDS_PAGE);
    memcpy(page, h, sizeof *h);
    QL_TRY(ql_file_write(writer->fd, page, WORDS_PAGE, 0));
    QL_TRY(ql_file_sync(writer->fd));
    if (rename(writer->path, path) < 0) return QL_E_IO;
    ql_free(writer->path);
    writer->path = NULL;
    return QL_OK;
}

void ql_words_writer_close(ql_words_writer *writer)
{
    int saved = errno; /* the caller's status may be QL_E_IO */

    if (writer->fd >= 0) {
        if (writer->path) unlink(writer->path);
        close(writer->fd);
    }
    ql_free(writer->path);
    ql_free(writer->buffer);
    ql_free(writer->checksums);
    ql_free(writer->records);
    ql_free(writer->strings);
    ql_free(writer->blocks);
    ql_free(writer->positions);
    errno = saved;
}
