/* index_file.c: the graph of neighbours as one immutable, position-independent, checksummed file.
 *
 *   header   4,096 bytes: "QLHNSW\0\3", u32 format, u32 dim, u32 metric, u32 degree,
 *            u32 ef_construction, u32 covered, u64 seed, u8[16] uuid, u64 swept,
 *            u32 crc32c of each section, u32 crc32c of the bytes before, zeros
 *   links    covered * degree u32, padded with zeros to 4,096
 *   chain    covered u32, padded
 *   parent   covered u32, padded
 *   codes    covered codes of codes.c, padded
 *
 * All little-endian.  The file is derived: whatever is wrong with it, it can be made again from the
 * rows.
 *
 * Loading reads the header and maps the sections copy-on-write where the arrays live: the writer
 * goes on linking, and the file never changes.  Whoever uses it first reads every byte once through
 * a small buffer (checksum and range of every word), so a store that is opened for something else
 * does not pay.  A file that passes cannot make a walk leave its arrays: links and chains are in
 * range, and a chain that does not fall ends (chain_next).  Only a writer reads parents, and
 * before it changes anything they are found to be a tree: that touches every list, which would
 * make all of them resident in every reader.
 *
 * Links and codes are mapped at addresses like their offsets modulo 2 MiB: where the page cache
 * holds the file in folios of that size, as it does what was written at once, their pages are huge
 * and still shared, and a walk finds more translations: 3 to 6 % (bench/notes/vectors.md). */
#define _GNU_SOURCE
#include "index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 20)
#define PAGE_BYTES 4096u

typedef struct header {
    char magic[8];
    uint32_t format;
    uint32_t dim;
    uint32_t metric;
    uint32_t degree;
    uint32_t ef_construction;
    uint32_t covered;
    uint64_t seed;
    uint8_t uuid[16];
    uint64_t swept;
    uint32_t section_crc[SECTIONS];
    uint32_t crc;
    uint8_t zeros[PAGE_BYTES - 84];
} header;
_Static_assert(sizeof(header) == PAGE_BYTES, "header is a file format");
_Static_assert(offsetof(header, crc) == 80, "header is a file format");

static const char magic[8] = {'Q', 'L', 'H', 'N', 'S', 'W', 0, 3};

typedef struct shape {
    uint32_t covered;
    uint32_t degree;
    uint32_t code_bytes;
} shape;

static size_t section_bytes(shape of, int section)
{
    if (section == CODES) return (size_t)of.covered * of.code_bytes;
    return (size_t)of.covered * (section == LINKS ? of.degree : 1) * sizeof(uint32_t);
}

static size_t padded(size_t size_bytes)
{
    return (size_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static uint64_t section_offset(shape of, int section)
{
    uint64_t offset = PAGE_BYTES;

    for (int before = 0; before < section; before++) offset += padded(section_bytes(of, before));
    return offset;
}

static void *section_memory(const ql_hnsw *index, int section)
{
    if (section == LINKS) return (void *)index->links;
    if (section == CODES) return index->codes;
    return section == CHAIN ? (void *)index->chain : (void *)index->parent;
}

static void header_fill(const ql_hnsw *index, shape of, header *head)
{
    memset(head, 0, sizeof *head);
    memcpy(head->magic, magic, sizeof magic);
    head->format = QL_FORMAT;
    head->dim = index->vectors->dim;
    head->metric = (uint32_t)index->vectors->metric;
    head->degree = index->degree;
    head->ef_construction = index->ef_construction;
    head->covered = of.covered;
    head->swept = atomic_load(&index->swept);
    head->seed = index->seed;
    memcpy(head->uuid, index->vectors->uuid, sizeof head->uuid);
    for (int section = LINKS; section < SECTIONS; section++)
        head->section_crc[section] =
            ql_crc32c(0, section_memory(index, section), section_bytes(of, section));
    head->crc = ql_crc32c(0, head, offsetof(header, crc));
}

static int save(const ql_hnsw *index, int fd)
{
    shape of = {atomic_load(&index->covered), index->degree, index->coder.bytes};
    header head;

    header_fill(index, of, &head);
    QL_TRY(ql_file_allocate(fd, section_offset(of, SECTIONS)));
    for (int section = LINKS; section < SECTIONS; section++)
        QL_TRY(ql_file_write(fd, section_memory(index, section), section_bytes(of, section),
                             section_offset(of, section)));
    QL_TRY(ql_file_write(fd, &head, sizeof head, 0));
    return fsync(fd) == 0 ? QL_OK : QL_E_IO;
}

int ql_hnsw_save(const ql_hnsw *index, const char *path)
{
    /* Locking changes nothing that the index holds. */
    pthread_mutex_t *writer = (pthread_mutex_t *)&index->writer;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int status;

    if (fd < 0) return QL_E_IO;
    pthread_mutex_lock(writer);
    status = index_own((ql_hnsw *)index);
    if (status == QL_OK) status = save(index, fd);
    pthread_mutex_unlock(writer);
    if (close(fd) != 0 && status == QL_OK) status = QL_E_IO;
    return status;
}

/* ---- loading ---- */

static shape shape_of(const header *head)
{
    shape of = {head->covered, head->degree, code_bytes_for(head->dim, (int)head->metric)};

    return of;
}

static int header_read(const ql_vectors *vectors, int fd, header *head)
{
    struct stat info;

    if (fstat(fd, &info) != 0) return QL_E_IO;
    if (!S_ISREG(info.st_mode)) return QL_E_CORRUPT;
    QL_TRY(ql_file_read(fd, head, sizeof *head, 0));
    if (memcmp(head->magic, magic, sizeof magic) != 0 || head->format != QL_FORMAT)
        return QL_E_CORRUPT;
    if (head->crc != ql_crc32c(0, head, offsetof(header, crc))) return QL_E_CORRUPT;
    for (size_t i = 0; i < sizeof head->zeros; i++)
        if (head->zeros[i]) return QL_E_CORRUPT;
    if (head->dim != vectors->dim || head->metric != (uint32_t)vectors->metric) return QL_E_CORRUPT;
    if (memcmp(head->uuid, vectors->uuid, sizeof head->uuid) != 0) return QL_E_CORRUPT;
    if (head->degree < 16 || head->degree > DEGREE_MAX || head->degree % 16) return QL_E_CORRUPT;
    if (head->covered > ql_vectors_count(vectors)) return QL_E_CORRUPT;
    if (!head->ef_construction || head->ef_construction > EF_CONSTRUCTION_MAX) return QL_E_CORRUPT;
    if ((uint64_t)info.st_size != section_offset(shape_of(head), SECTIONS)) return QL_E_CORRUPT;
    return QL_OK;
}

/* Every word is a slot below covered, or QL_NONE, or, at the head of a list, the mark of a
 * duplicate or of a removed slot; counts the latter. */
static int words_check(const uint32_t *words, size_t n, shape of, int section, size_t first,
                       uint32_t *removed)
{
    if (section == CODES) return QL_OK; /* Any byte is a code. */
    for (size_t i = 0; i < n; i++) {
        if (words[i] < of.covered || words[i] == QL_NONE) continue;
        if (section != LINKS || words[i] < LINK_REMOVED || (first + i) % of.degree)
            return QL_E_CORRUPT;
        *removed += words[i] == LINK_REMOVED;
    }
    return QL_OK;
}

static int section_check(const ql_hnsw *index, int section, char *buffer, uint32_t *removed)
{
    shape of = {atomic_load(&index->covered), index->degree, index->coder.bytes};
    size_t size_bytes = section_bytes(of, section);
    size_t whole = padded(size_bytes);
    uint64_t offset = section_offset(of, section);
    uint32_t crc = 0;

    for (size_t at = 0; at < whole; at += BUFFER_BYTES) {
        size_t part = whole - at < BUFFER_BYTES ? whole - at : BUFFER_BYTES;
        size_t used = size_bytes - at < part ? size_bytes - at : part;
        QL_TRY(ql_file_read(index->fd, buffer, part, offset + at));
        crc = ql_crc32c(crc, buffer, used);
        QL_TRY(words_check((const uint32_t *)(const void *)buffer, used / sizeof(uint32_t), of,
                           section, at / sizeof(uint32_t), removed));
        for (size_t i = used; i < part; i++)
            if (buffer[i]) return QL_E_CORRUPT;
    }
    return crc == index->section_crc[section] ? QL_OK : QL_E_CORRUPT;
}

/* The caller holds the mutex `writer`. */
static int sections_check(ql_hnsw *index)
{
    uint32_t removed = 0;
    int status = QL_OK;
    char *buffer;

    if (!atomic_load(&index->unchecked)) return QL_OK;
    buffer = ql_alloc(BUFFER_BYTES, 1);
    if (!buffer) return QL_E_MEMORY;
    for (int section = LINKS; section < SECTIONS && status == QL_OK; section++)
        status = section_check(index, section, buffer, &removed);
    ql_free(buffer);
    QL_TRY(status);
    close(index->fd);
    index->fd = -1;
    atomic_store(&index->removed, removed);
    router_refresh(index);
    atomic_store_explicit(&index->unchecked, 0, memory_order_release);
    return QL_OK;
}

int ql_hnsw_verify(ql_hnsw *index)
{
    int status;

    if (!atomic_load_explicit(&index->unchecked, memory_order_acquire)) return QL_OK;
    pthread_mutex_lock(&index->writer);
    status = sections_check(index);
    pthread_mutex_unlock(&index->writer);
    return status;
}

/* Chains and who may be whose parent; counts the children. */
static int family_check(ql_hnsw *index, uint32_t slot, uint32_t covered)
{
    uint32_t parent = index->parent[slot];
    uint32_t next = atomic_load_explicit(&index->chain[slot], memory_order_relaxed);
    int duplicate = is_duplicate(index, slot);

    if (is_removed(index, slot))
        return slot && parent == QL_NONE && (next == QL_NONE || next < slot) ? QL_OK : QL_E_CORRUPT;
    if (slot == 0) {
        if (parent != QL_NONE || duplicate) return QL_E_CORRUPT;
    } else if (parent >= covered || is_duplicate(index, parent) || is_removed(index, parent)) {
        return QL_E_CORRUPT;
    }
    if (!duplicate && slot && ++index->children[parent] > index->degree / 2) return QL_E_CORRUPT;
    if (next == QL_NONE) return QL_OK;
    if (!is_duplicate(index, next) || index->parent[next] != (duplicate ? parent : slot))
        return QL_E_CORRUPT;
    return duplicate && next >= slot ? QL_E_CORRUPT : QL_OK;
}

/* Do all parents lead to slot 0?  seen: zeros; becomes the number of the slot from which a slot was
 * first reached. */
static int tree_check(const ql_hnsw *index, uint32_t covered, uint32_t *seen)
{
    for (uint32_t slot = 1; slot < covered; slot++) {
        if (is_removed(index, slot)) continue;
        uint32_t at = slot;
        for (; at && !seen[at]; at = index->parent[at]) seen[at] = slot;
        if (at && seen[at] == slot) return QL_E_CORRUPT; /* Back where this way began: a ring. */
    }
    return QL_OK;
}

static int families_check(ql_hnsw *index)
{
    uint32_t covered = atomic_load(&index->covered);
    uint32_t *seen;
    int status;

    memset(index->children, 0, covered * sizeof *index->children);
    for (uint32_t slot = 0; slot < covered; slot++) QL_TRY(family_check(index, slot, covered));
    seen = ql_alloc((size_t)covered + 1, sizeof *seen);
    if (!seen) return QL_E_MEMORY;
    status = tree_check(index, covered, seen);
    ql_free(seen);
    return status;
}

int index_own(ql_hnsw *index)
{
    uint64_t counts = (uint64_t)atomic_load(&index->covered) * sizeof *index->children;

    QL_TRY(sections_check(index));
    if (!index->unrelated) return QL_OK;
    if (!index->held) QL_TRY(ql_memory_take(counts));
    index->held = counts;
    QL_TRY(families_check(index));
    index->unrelated = 0;
    return QL_OK;
}

/* On success fd is the index's. */
static int load(ql_vectors *vectors, int fd, ql_hnsw **index)
{
    header head;
    uint64_t offsets[SECTIONS];
    ql_hnsw *made;
    int status = QL_OK;

    QL_TRY(header_read(vectors, fd, &head));
    for (int section = LINKS; section < SECTIONS; section++)
        offsets[section] = section_offset(shape_of(&head), section);
    QL_TRY(index_make(vectors, head.degree, head.ef_construction, head.seed, offsets, &made));
    for (int section = LINKS; section < SECTIONS && status == QL_OK; section++)
        status = ql_map_file(fd, offsets[section], padded(section_bytes(shape_of(&head), section)),
                             1, section_memory(made, section));
    if (status != QL_OK) {
        ql_hnsw_close(made);
        return status;
    }
    made->fd = fd;
    made->unrelated = 1;
    memcpy(made->section_crc, head.section_crc, sizeof made->section_crc);
    atomic_store(&made->unchecked, 1);
    atomic_store(&made->swept, head.swept);
    atomic_store_explicit(&made->covered, head.covered, memory_order_release);
    *index = made;
    return QL_OK;
}

int ql_hnsw_load(ql_vectors *vectors, const char *path, ql_hnsw **index)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int status;

    if (fd < 0) return errno == ENOENT ? QL_E_CORRUPT : QL_E_IO;
    status = load(vectors, fd, index);
    if (status != QL_OK) close(fd);
    return status;
}

/* ---- checking ---- */

/* A removed slot has no list; others are slots without itself and without repeats, then QL_NONE to
 * its end; a duplicate equals its parent. */
static int list_check(const ql_hnsw *index, uint32_t slot, uint32_t covered)
{
    const ql_vectors *vectors = index->vectors;
    uint32_t count = 0;

    if (is_duplicate(index, slot)) {
        size_t size_bytes = (size_t)vectors->dim * sizeof(float);
        int equal = memcmp(row_at(vectors, slot), row_at(vectors, index->parent[slot]),
                           size_bytes) == 0;
        return equal ? QL_OK : QL_E_CORRUPT;
    }
    if (is_removed(index, slot)) count = 1;
    while (count < index->degree && link_at(index, slot, count) != QL_NONE) {
        uint32_t to = link_at(index, slot, count);
        if (to >= covered || to == slot || is_duplicate(index, to) || is_removed(index, to))
            return QL_E_CORRUPT;
        for (uint32_t i = 0; i < count; i++)
            if (link_at(index, slot, i) == to) return QL_E_CORRUPT;
        count++;
    }
    for (; count < index->degree; count++)
        if (link_at(index, slot, count) != QL_NONE) return QL_E_CORRUPT;
    return QL_OK;
}

/* Count the slots, but for removed ones, that neither links from slot 0 nor chains lead to.  queue:
 * room for every slot. */
static uint64_t unreached(const ql_hnsw *index, uint32_t covered, uint32_t *queue, uint8_t *seen)
{
    uint64_t reached = covered != 0;
    uint64_t linked = reached;

    if (covered) seen[0] = 1;
    for (uint64_t at = 0; at < linked; at++) {
        uint32_t slot = at ? queue[at] : 0;
        for (uint32_t i = 0; i < index->degree; i++) {
            uint32_t to = link_at(index, slot, i);
            if (to == QL_NONE) break;
            if (seen[to]) continue;
            seen[to] = 1;
            queue[linked++] = to;
            reached++;
        }
        for (uint32_t to = slot; (to = atomic_load(&index->chain[to])) != QL_NONE;) reached++;
    }
    return covered - atomic_load(&index->removed) - reached;
}

int ql_hnsw_check(const ql_hnsw *index, uint64_t *unreachable)
{
    pthread_mutex_t *writer = (pthread_mutex_t *)&index->writer;
    uint32_t covered;
    uint32_t *queue;
    uint8_t *seen;
    int status;

    pthread_mutex_lock(writer);
    status = index_own((ql_hnsw *)index);
    covered = atomic_load(&index->covered);
    queue = ql_alloc((size_t)covered + 1, sizeof *queue);
    seen = ql_alloc((size_t)covered + 1, 1);
    if (status == QL_OK && (!queue || !seen)) status = QL_E_MEMORY;
    for (uint32_t slot = 0; slot < covered && status == QL_OK; slot++)
        status = list_check(index, slot, covered);
    if (status == QL_OK) *unreachable = unreached(index, covered, queue, seen);
    ql_free(queue);
    ql_free(seen);
    pthread_mutex_unlock(writer);
    return status;
}
