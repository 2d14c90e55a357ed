/* vectors.c: the append-only log of rows, which is the truth about every vector.
 *
 * A slot is a row and its 24-byte entry.  Slots are numbered in the order of arrival and never
 * move, never change and are never reused: an update appends a slot and retires the old one. 65,536
 * slots make a segment, which is two files in the folder:
 *
 *   rows-NNN.f32    4,096-byte header, then the rows, each at a multiple of `stride` = dim*4
 * rounded up to 64 meta-NNN.slots  4,096-byte header, then 24-byte entries: u32 node, u32 crc32c,
 * u64 birth, f32 scale, u32 flags header          "QLROWS\0\1" or "QLMETA\0\1", u32 format, u32
 * dim, u32 metric, u32 segment, u8[16] uuid, u32 crc32c of the bytes before, zeros
 *
 * All little-endian.  Files are grown by posix_fallocate in steps that double from 1 MiB (64 KiB
 * for meta) to 32 MiB, ahead of the rows: a small store stays small and a full disk is an error,
 * not a SIGBUS.
 *
 * Writes go through pwrite, the maps are read-only, so a stray pointer cannot hurt user data; Linux
 * keeps both views of a page the same.  Address space for all slots is reserved at open and
 * segments are mapped into it at their place, so a row's address is base + slot*stride for ever.
 *
 * What a slot is worth is decided elsewhere: rows count from the moment a commit says so
 * (ql_vectors_extend in other processes, the caller's snapshot in this one), bytes beyond that are
 * cut off when the writer opens. Deaths are one word per slot in memory; the catalog keeps them on
 * disk.
 *
 * Invariants: slots below `count` lie inside files whose headers and sizes were checked; a file is
 * never cut below `count`; sizes on disk are compared before any map is read. */
#define _GNU_SOURCE
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the files are little-endian and mapped as they are"
#endif

#define SLOTS_LIMIT (1u << 28)              /* slots of one log */
#define ADDRESS_BYTES                                                                              \
    ((uint64_t)1 << 38) /* address space for its rows: 178 million of 384 components */
#define STAGING_BYTES ((size_t)1 << 20)     /* 16 rows of the largest dim */
#define NAME_BYTES 32                       /* room for "/meta-NNNNNNNNNN.slots" */
#define ROWS_STEP ((uint64_t)1 << 20)
#define META_STEP ((uint64_t)1 << 16)
#define STEP_MAX ((uint64_t)32 << 20)
#define LANES 8
#define NORM_LOW 1e-15 /* outside these, float32 sums of products are not trusted */
#define NORM_HIGH 1e15

typedef struct header {
    char magic[8];
    uint32_t format;
    uint32_t dim;
    uint32_t metric;
    uint32_t segment;
    uint8_t uuid[16];
    uint32_t crc;
    uint8_t zeros[HEADER_BYTES - 44];
} header;
_Static_assert(sizeof(header) == HEADER_BYTES, "header is a file format");
_Static_assert(offsetof(header, crc) == 40, "header is a file format");

enum { ROWS, META };
static const char magics[2][8] = {{'Q', 'L', 'R', 'O', 'W', 'S', 0, 1},
                                  {'Q', 'L', 'M', 'E', 'T', 'A', 0, 1}};

static uint64_t record_bytes(const ql_vectors *vectors, int kind)
{
    return kind == ROWS ? vectors->stride : sizeof(slot_meta);
}

static const char *segment_path(ql_vectors *vectors, int kind, uint32_t segment)
{
    snprintf(vectors->path + vectors->folder_length, NAME_BYTES,
             kind == ROWS ? "/rows-%03u.f32" : "/meta-%03u.slots", segment);
    return vectors->path;
}

static void header_fill(const ql_vectors *vectors, int kind, uint32_t segment, header *head)
{
    memset(head, 0, sizeof *head);
    memcpy(head->magic, magics[kind], sizeof head->magic);
    head->format = QL_FORMAT;
    head->dim = vectors->dim;
    head->metric = (uint32_t)vectors->metric;
    head->segment = segment;
    memcpy(head->uuid, vectors->uuid, sizeof head->uuid);
    head->crc = ql_crc32c(0, head, offsetof(header, crc));
}

/* How large a file must be to hold `needed` bytes: the next step, but never more than a full
 * segment. */
static uint64_t grown_bytes(uint64_t needed, uint64_t step, uint64_t full)
{
    uint64_t size = step;

    while (size < needed) size += size < STEP_MAX ? size : STEP_MAX;
    return size < full ? size : full;
}

/* Open one file of a segment and compare its header and size with what `slots` rows in it need. */
static int segment_check(ql_vectors *vectors, int kind, uint32_t segment, uint32_t slots, int *fd,
                         uint64_t *size_bytes)
{
    header want;
    header head;
    struct stat info;
    int file = open(segment_path(vectors, kind, segment),
                    (vectors->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    int status = QL_E_IO;

    if (file < 0) return errno == ENOENT ? QL_E_CORRUPT : QL_E_IO;
    if (fstat(file, &info) != 0) goto failed;
    status = QL_E_CORRUPT;
    if (!S_ISREG(info.st_mode)) goto failed;
    if ((uint64_t)info.st_size < HEADER_BYTES + slots * record_bytes(vectors, kind)) goto failed;
    status = ql_file_read(file, &head, sizeof head, 0);
    if (status != QL_OK) goto failed;
    header_fill(vectors, kind, segment, &want);
    status = memcmp(&head, &want, sizeof head) == 0 ? QL_OK : QL_E_CORRUPT;
    if (status != QL_OK) goto failed;
    *fd = file;
    *size_bytes = (uint64_t)info.st_size;
    return QL_OK;
failed:
    close(file);
    return status;
}

static int segment_map(ql_vectors *vectors, int kind, uint32_t segment, int fd)
{
    size_t size_bytes = (size_t)SEGMENT_SLOTS * record_bytes(vectors, kind);
    char *base = kind == ROWS ? vectors->rows : (char *)vectors->metas;

    return ql_map_file(fd, HEADER_BYTES, size_bytes, 0, base + (size_t)segment * size_bytes);
}

static void files_close(ql_vectors *vectors)
{
    if (vectors->rows_fd >= 0) close(vectors->rows_fd);
    if (vectors->meta_fd >= 0) close(vectors->meta_fd);
    vectors->rows_fd = vectors->meta_fd = -1;
}

/* Check the files of segments `from` until slots below `count` are readable, and map those that are
 * not yet; the writer keeps the last one open. */
static int segments_map(ql_vectors *vectors, uint32_t from, uint32_t count)
{
    uint32_t last = count / SEGMENT_SLOTS + (count % SEGMENT_SLOTS != 0); /* one past */

    for (uint32_t segment = from; segment < last; segment++) {
        uint32_t slots = segment + 1 < last ? SEGMENT_SLOTS : count - segment * SEGMENT_SLOTS;
        uint64_t sizes[2];
        int fds[2] = {-1, -1};
        int status = segment_check(vectors, ROWS, segment, slots, &fds[ROWS], &sizes[ROWS]);
        if (status == QL_OK)
            status = segment_check(vectors, META, segment, slots, &fds[META], &sizes[META]);
        for (int kind = ROWS; kind <= META && status == QL_OK && segment >= vectors->mapped; kind++)
            status = segment_map(vectors, kind, segment, fds[kind]);
        if (status == QL_OK && segment >= vectors->mapped) vectors->mapped = segment + 1;
        if (status == QL_OK && vectors->writable) {
            files_close(vectors);
            vectors->rows_fd = fds[ROWS];
            vectors->meta_fd = fds[META];
            vectors->rows_bytes = sizes[ROWS];
            vectors->meta_bytes = sizes[META];
            vectors->segment = segment;
            continue;
        }
        if (fds[ROWS] >= 0) close(fds[ROWS]);
        if (fds[META] >= 0) close(fds[META]);
        QL_TRY(status);
    }
    return QL_OK;
}

/* Address space is cheap but not always granted (ulimit -v): ask for less until it is. */
static int address_reserve(ql_vectors *vectors)
{
    uint64_t slots = ADDRESS_BYTES / vectors->stride;
    void *rows = NULL;
    void *metas = NULL;
    void *deaths = NULL;

    if (slots > SLOTS_LIMIT) slots = SLOTS_LIMIT;
    slots -= slots % SEGMENT_SLOTS;
    for (; slots >= SEGMENT_SLOTS; slots = slots / 2 - slots / 2 % SEGMENT_SLOTS) {
        if (ql_map_reserve((size_t)slots * vectors->stride, &rows) == QL_OK) {
            if (ql_map_reserve((size_t)slots * sizeof(slot_meta), &metas) == QL_OK) {
                if (ql_map_zero((size_t)slots * sizeof(uint64_t), &deaths) == QL_OK) break;
                ql_map_release(metas, (size_t)slots * sizeof(slot_meta));
            }
            ql_map_release(rows, (size_t)slots * vectors->stride);
        }
    }
    if (!deaths) return QL_E_MEMORY;
    vectors->slots_max = (uint32_t)slots;
    vectors->rows = rows;
    vectors->metas = metas;
    vectors->deaths = deaths;
    return QL_OK;
}

int ql_vectors_open(const char *folder, const uint8_t *uuid, uint32_t dim, int metric, int writable,
                    ql_vectors **vectors)
{
    ql_vectors *made;
    int status = QL_E_MEMORY;

    assert(folder && uuid && vectors);
    if (dim < 1 || dim > QL_DIM_MAX) return QL_E_INVALID;
    if (metric != QL_DOT && metric != QL_L2 && metric != QL_COSINE) return QL_E_INVALID;
    made = ql_alloc(1, sizeof *made);
    if (!made) return QL_E_MEMORY;
    if (places_make(made) != QL_OK) {
        ql_free(made);
        return QL_E_MEMORY;
    }
    made->rows_fd = made->meta_fd = -1;
    made->dim = dim;
    made->metric = metric;
    made->writable = writable != 0;
    made->stride = ((size_t)dim * sizeof(float) + 63) / 64 * 64;
    memcpy(made->uuid, uuid, sizeof made->uuid);
    made->folder_length = strlen(folder);
    made->path = ql_alloc(made->folder_length + NAME_BYTES, 1);
    if (!made->path) goto failed;
    memcpy(made->path, folder, made->folder_length);
    if (writable) made->staging = ql_alloc(STAGING_BYTES, 1);
    if (writable && !made->staging) goto failed;
    status = address_reserve(made);
    if (status != QL_OK) goto failed;
    made->settled = access(segment_path(made, ROWS, 0), F_OK) != 0;
    *vectors = made;
    return QL_OK;
failed:
    ql_vectors_close(made);
    return status;
}

void ql_vectors_close(ql_vectors *vectors)
{
    if (!vectors) return;
    files_close(vectors);
    places_free(vectors);
    ql_map_release(vectors->rows, vectors->slots_max * vectors->stride);
    ql_map_release(vectors->metas, vectors->slots_max * sizeof(slot_meta));
    ql_map_release((void *)vectors->deaths, vectors->slots_max * sizeof(uint64_t));
    ql_free(vectors->staging);
    ql_free(vectors->path);
    ql_free(vectors);
}

uint32_t ql_vectors_count(const ql_vectors *vectors)
{
    return atomic_load_explicit(&vectors->count, memory_order_acquire);
}

int ql_vectors_extend(ql_vectors *vectors, uint32_t count)
{
    if (count > vectors->slots_max) return QL_E_LIMIT;
    if (count > atomic_load(&vectors->count)) {
        QL_TRY(segments_map(vectors, atomic_load(&vectors->count) / SEGMENT_SLOTS, count));
        atomic_store_explicit(&vectors->count, count, memory_order_release);
    }
    vectors->settled = 1;
    return QL_OK;
}

/* ---- appending ---- */

/* Make the files of a new segment: header written, first step allocated, both mapped. */
static int segment_make(ql_vectors *vectors, uint32_t segment)
{
    header head;
    int fds[2] = {-1, -1};
    int status = QL_OK;

    if (vectors->dirty) QL_TRY(ql_vectors_sync(vectors)); /* Its files are about to be closed. */
    for (int kind = ROWS; kind <= META && status == QL_OK; kind++) {
        fds[kind] = open(segment_path(vectors, kind, segment),
                         O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fds[kind] < 0) status = QL_E_IO;
        if (status == QL_OK) status = ql_file_allocate(fds[kind], HEADER_BYTES);
        header_fill(vectors, kind, segment, &head);
        if (status == QL_OK) status = ql_file_write(fds[kind], &head, sizeof head, 0);
        if (status == QL_OK) status = segment_map(vectors, kind, segment, fds[kind]);
    }
    if (status != QL_OK) {
        if (fds[ROWS] >= 0) close(fds[ROWS]);
        if (fds[META] >= 0) close(fds[META]);
        return status;
    }
    files_close(vectors);
    vectors->rows_fd = fds[ROWS];
    vectors->meta_fd = fds[META];
    vectors->rows_bytes = vectors->meta_bytes = HEADER_BYTES;
    vectors->segment = segment;
    vectors->mapped = segment + 1;
    vectors->folder_dirty = vectors->dirty = 1;
    return QL_OK;
}

/* Allocate blocks for the first `slots` rows of the open segment. */
static int segment_grow(ql_vectors *vectors, uint32_t slots)
{
    for (int kind = ROWS; kind <= META; kind++) {
        uint64_t size = record_bytes(vectors, kind);
        uint64_t needed = HEADER_BYTES + slots * size;
        uint64_t full = HEADER_BYTES + SEGMENT_SLOTS * size;
        uint64_t *have = kind == ROWS ? &vectors->rows_bytes : &vectors->meta_bytes;
        if (needed <= *have) continue;
        uint64_t grown = grown_bytes(needed, kind == ROWS ? ROWS_STEP : META_STEP, full);
        QL_TRY(ql_file_allocate(kind == ROWS ? vectors->rows_fd : vectors->meta_fd, grown));
        *have = grown;
    }
    return QL_OK;
}

static uint32_t slot_crc(const slot_meta *meta, const float *row, uint32_t dim)
{
    uint32_t crc = ql_crc32c(0, row, (uint64_t)dim * sizeof(float));
    char tail[20];

    memcpy(tail, &meta->node, 4);
    memcpy(tail + 4, &meta->birth, 8);
    memcpy(tail + 12, &meta->scale, 4);
    memcpy(tail + 16, &meta->flags, 4);
    return ql_crc32c(crc, tail, sizeof tail);
}

/* In LANES sums that do not wait for each other; always the same ones, so the same scale on every
 * CPU. */
static double sum_of_squares(const float *row, uint32_t dim)
{
    double sums[LANES] = {0};
    uint32_t whole = dim - dim % LANES;
    double all = 0;

    for (uint32_t i = 0; i < whole; i += LANES)
        for (uint32_t lane = 0; lane < LANES; lane++)
            sums[lane] += (double)row[i + lane] * row[i + lane];
    for (uint32_t i = whole; i < dim; i++) sums[i - whole] += (double)row[i] * row[i];
    for (uint32_t lane = 0; lane < LANES; lane++) all += sums[lane];
    return all;
}

/* Without a branch in the loop, so that it is done many at a time. */
static int all_finite(const float *row, uint32_t dim)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < dim; i++) wrong |= (uint32_t)!(fabsf(row[i]) <= FLT_MAX);
    return !wrong;
}

static void meta_fill(const ql_vectors *vectors, const float *row, uint32_t node, uint64_t birth,
                      slot_meta *meta)
{
    double norm = sqrt(sum_of_squares(row, vectors->dim));

    meta->node = node;
    meta->birth = birth;
    meta->flags = norm > 0 && !(norm > NORM_LOW && norm < NORM_HIGH) ? SLOT_EXTREME : 0;
    if (vectors->metric == QL_COSINE) meta->scale = norm > 0 ? (float)fmin(1 / norm, FLT_MAX) : 0;
    else meta->scale = (float)fmin(norm, FLT_MAX);
    meta->crc = slot_crc(meta, row, vectors->dim);
}

/* Write n rows that fit in the open segment, a staging buffer full at a time. */
static int segment_write(ql_vectors *vectors, uint32_t slot, const float *rows,
                         const uint32_t *nodes, uint32_t n, uint64_t commit)
{
    uint32_t place = slot % SEGMENT_SLOTS;
    size_t row_bytes = (size_t)vectors->dim * sizeof(float);

    while (n) {
        uint32_t part = (uint32_t)(STAGING_BYTES / vectors->stride);
        if (part > n) part = n;
        const void *padded = rows;
        if (row_bytes != vectors->stride) {
            memset(vectors->staging, 0, part * vectors->stride);
            for (uint32_t i = 0; i < part; i++)
                memcpy(vectors->staging + i * vectors->stride, rows + (size_t)i * vectors->dim,
                       row_bytes);
            padded = vectors->staging;
        }
        QL_TRY(ql_file_write(vectors->rows_fd, padded, part * vectors->stride,
                             HEADER_BYTES + (uint64_t)place * vectors->stride));
        for (uint32_t i = 0; i < part; i++)
            meta_fill(vectors, rows + (size_t)i * vectors->dim, nodes[i], commit,
                      (slot_meta *)vectors->staging + i);
        QL_TRY(ql_file_write(vectors->meta_fd, vectors->staging, part * sizeof(slot_meta),
                             HEADER_BYTES + (uint64_t)place * sizeof(slot_meta)));
        place += part;
        rows += (size_t)part * vectors->dim;
        nodes += part;
        n -= part;
    }
    return QL_OK;
}

int ql_vectors_append(ql_vectors *vectors, const float *rows, const uint32_t *nodes, uint32_t n,
                      uint64_t commit, uint32_t *first_slot)
{
    uint32_t first = atomic_load(&vectors->count);
    uint32_t slot = first;

    if (!vectors->writable) return QL_E_READONLY;
    /* Rows may lie there: extend or truncate says how many. */
    if (!vectors->settled) return QL_E_INVALID;
    if (n > vectors->slots_max - first) return QL_E_LIMIT;
    for (uint32_t i = 0; i < n; i++)
        if (nodes[i] >= QL_CONCEPTS_MAX) return QL_E_INVALID;
    for (uint32_t i = 0; i < n; i++)
        if (!all_finite(rows + (size_t)i * vectors->dim, vectors->dim)) return QL_E_INVALID;

    for (uint32_t left = n; left;) {
        uint32_t place = slot % SEGMENT_SLOTS;
        uint32_t part = SEGMENT_SLOTS - place < left ? SEGMENT_SLOTS - place : left;
        if (vectors->rows_fd < 0 || vectors->segment != slot / SEGMENT_SLOTS)
            QL_TRY(segment_make(vectors, slot / SEGMENT_SLOTS));
        QL_TRY(segment_grow(vectors, place + part));
        vectors->dirty = 1;
        QL_TRY(segment_write(vectors, slot, rows, nodes, part, commit));
        slot += part;
        rows += (size_t)part * vectors->dim;
        nodes += part;
        left -= part;
    }
    atomic_store_explicit(&vectors->count, slot, memory_order_release);
    *first_slot = first;
    return QL_OK;
}

int ql_vectors_sync(ql_vectors *vectors)
{
    if (!vectors->writable) return QL_E_READONLY;
    if (vectors->dirty) {
        QL_TRY(ql_file_sync(vectors->rows_fd));
        QL_TRY(ql_file_sync(vectors->meta_fd));
        vectors->dirty = 0;
    }
    if (vectors->folder_dirty) { /* A new file's name is not durable before its folder is. */
        vectors->path[vectors->folder_length] = 0;
        int fd = open(vectors->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int failed = fd < 0 || fsync(fd) != 0;
        if (fd >= 0) close(fd);
        if (failed) return QL_E_IO;
        vectors->folder_dirty = 0;
    }
    return QL_OK;
}

/* Remove segment files from `segment` on; they hold nothing that was committed. */
static int segments_remove(ql_vectors *vectors, uint32_t segment)
{
    for (int found = 1; found; segment++) {
        found = 0;
        for (int kind = ROWS; kind <= META; kind++) {
            if (unlink(segment_path(vectors, kind, segment)) == 0) found = 1;
            else if (errno != ENOENT) return QL_E_IO;
        }
        if (found) vectors->folder_dirty = 1;
    }
    return QL_OK;
}

static void deaths_clear(ql_vectors *vectors, uint32_t from, uint32_t until)
{
    for (uint32_t slot = from; slot < until; slot++)
        if (atomic_exchange(&vectors->deaths[slot], 0)) atomic_fetch_sub(&vectors->retired, 1);
}

int ql_vectors_truncate(ql_vectors *vectors, uint32_t count)
{
    uint32_t keep = count / SEGMENT_SLOTS + (count % SEGMENT_SLOTS != 0);
    uint32_t before;

    if (!vectors->writable) return QL_E_READONLY;
    QL_TRY(ql_vectors_extend(vectors, count));
    before = atomic_load(&vectors->count);
    places_truncate(vectors, count);
    if (vectors->rows_fd >= 0 && vectors->segment >= keep) { /* What was open goes away. */
        files_close(vectors);
        vectors->dirty = 0;
    }
    atomic_store_explicit(&vectors->count, count, memory_order_release);
    deaths_clear(vectors, count, before);
    QL_TRY(segments_remove(vectors, keep));
    if (vectors->mapped > keep) vectors->mapped = keep;
    if (count % SEGMENT_SLOTS == 0) return QL_OK;
    if (vectors->rows_fd < 0) QL_TRY(segments_map(vectors, keep - 1, count));
    for (int kind = ROWS; kind <= META; kind++) {
        uint64_t size_bytes = HEADER_BYTES + count % SEGMENT_SLOTS * record_bytes(vectors, kind);
        if (ftruncate(kind == ROWS ? vectors->rows_fd : vectors->meta_fd, (off_t)size_bytes) != 0)
            return QL_E_IO;
        *(kind == ROWS ? &vectors->rows_bytes : &vectors->meta_bytes) = size_bytes;
    }
    vectors->dirty = 1;
    return QL_OK;
}

/* ---- deaths and reading ---- */

static int slots_below_count(const ql_vectors *vectors, const uint32_t *slots, uint32_t n)
{
    uint32_t count = ql_vectors_count(vectors);

    for (uint32_t i = 0; i < n; i++)
        if (slots[i] >= count) return QL_E_INVALID;
    return QL_OK;
}

int ql_vectors_retire(ql_vectors *vectors, const uint32_t *slots, uint32_t n, uint64_t commit)
{
    QL_TRY(slots_below_count(vectors, slots, n));
    for (uint32_t i = 0; i < n; i++) {
        uint64_t before = atomic_exchange_explicit(&vectors->deaths[slots[i]], commit,
                                                   memory_order_release);
        if (before == 0 && commit != 0)
            atomic_fetch_add_explicit(&vectors->retired, 1, memory_order_relaxed);
        if (before != 0 && commit == 0)
            atomic_fetch_sub_explicit(&vectors->retired, 1, memory_order_relaxed);
    }
    return QL_OK;
}

int ql_vectors_read(const ql_vectors *vectors, const uint32_t *slots, uint32_t n, float *rows)
{
    QL_TRY(slots_below_count(vectors, slots, n));
    for (uint32_t i = 0; i < n; i++)
        memcpy(rows + (size_t)i * vectors->dim, row_at(vectors, slots[i]),
               (size_t)vectors->dim * sizeof(float));
    return QL_OK;
}

int ql_vectors_nodes(const ql_vectors *vectors, const uint32_t *slots, uint32_t n, uint32_t *nodes)
{
    QL_TRY(slots_below_count(vectors, slots, n));
    for (uint32_t i = 0; i < n; i++) nodes[i] = vectors->metas[slots[i]].node;
    return QL_OK;
}

int ql_vectors_written(const ql_vectors *vectors, uint32_t first, uint32_t n, void *rows,
                       size_t rows_bytes, void *entries, size_t entries_bytes)
{
    uint32_t count = ql_vectors_count(vectors);

    if (first > count || n > count - first) return QL_E_INVALID;
    if (rows_bytes != n * vectors->stride || entries_bytes != n * sizeof *vectors->metas)
        return QL_E_INVALID;
    memcpy(rows, row_at(vectors, first), rows_bytes);
    memcpy(entries, vectors->metas + first, entries_bytes);
    return QL_OK;
}

int ql_vectors_check(const ql_vectors *vectors, uint32_t from, uint32_t until, uint32_t *bad,
                     uint32_t capacity, uint32_t *bad_count)
{
    uint32_t count = 0;

    if (from > until || until > ql_vectors_count(vectors)) return QL_E_INVALID;
    for (uint32_t slot = from; slot < until; slot++) {
        const slot_meta *meta = &vectors->metas[slot];
        if (slot_crc(meta, row_at(vectors, slot), vectors->dim) == meta->crc) continue;
        if (count < capacity) bad[count] = slot;
        count++;
    }
    *bad_count = count;
    return QL_OK;
}
