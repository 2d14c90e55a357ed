/* extent_file.c: the base on disk, so that opening replays only a short log.
 *
 * Layout, little-endian: a header page of 4,096 bytes (as the log's, magic "QLEXTNT\0"), then in
 * any order, each at a multiple of 64 bytes blocks  extents as extent.c lays them out table   magic
 * u32 | groups u32 | zero u64 | sequence u64 | edges u64 | crc32c u32 | zeros up to 64, then per
 * group: group u32 | zero u32 | offset of the out block u64 | of the in block u64 (0: none) A file
 * is written whole, synced, and never changed: its length and the place of its table stand in the
 * catalog (ql_graph_extents).  A crash before that is committed leaves a file that nobody names.
 * Readers keep a file that was replaced mapped until they let go.  Appending only the changed
 * blocks was left out: two processes may fold at once, and one name per file is what keeps them
 * apart; the base is rewritten each time the log has grown by an eighth of it.
 *
 * Every association stands in two blocks, that of its source's out row and that of its target's in
 * row, each with its own magic, place and checksum: what one damaged block held can be read from
 * the others (engine/extents.py).
 *
 * Reading maps the file and checks all of every block that the table names, before any row is read:
 * checksums, order of offsets, ranges of numbers and codes. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graph.h"

#define TABLE_MAGIC 0x54454c51u /* "QLET" */
#define ALIGNMENT 64u

typedef struct table_header {
    uint32_t magic;
    uint32_t groups;
    uint64_t reserved_first;
    uint64_t sequence;
    uint64_t edges;
    uint32_t checksum; /* crc32c of this header with 0 here, and of the entries */
    uint32_t reserved[7];
} table_header;
_Static_assert(sizeof(table_header) == 64, "table header");

typedef struct table_entry {
    uint32_t group;
    uint32_t reserved;
    uint64_t at[QL_SIDES];
} table_entry;
_Static_assert(sizeof(table_entry) == 24, "table entry");

/* Counted by the extents inside it, and by who is opening it. */
struct ql_extent_map {
    _Atomic uint32_t owners;
    void *base;
    size_t size_bytes;
};

void ql_extent_map_release(ql_extent_map *map)
{
    if (atomic_fetch_sub_explicit(&map->owners, 1, memory_order_acq_rel) != 1) return;
    ql_map_release(map->base, map->size_bytes);
    ql_free(map);
}

static uint32_t table_checksum(const table_header *header, const table_entry *entries)
{
    table_header plain = *header;
    plain.checksum = 0;
    uint32_t checksum = ql_crc32c(0, &plain, sizeof plain);
    return ql_crc32c(checksum, entries, header->groups * sizeof *entries);
}

static uint64_t aligned(uint64_t offset)
{
    return (offset + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

/* ---- Writing ---- */

typedef struct writing {
    ql_log file;
    uint64_t end;
    uint32_t groups;
    table_entry *entries;
} writing;

static int extent_write(writing *work, const ql_extent *extent, uint64_t *at)
{
    QL_TRY(ql_file_write(work->file.fd, extent->header, extent->header->size_bytes, work->end));
    *at = work->end;
    work->end += extent->header->size_bytes;
    return QL_OK;
}

static uint32_t groups_count(const ql_state *state)
{
    uint32_t groups = 0;
    for (uint32_t i = 0; i < QL_BLOCKS; i++) {
        for (uint32_t j = 0; state->block[i] && j < QL_BLOCK_GROUPS; j++) {
            groups += state->block[i]->extent[j][QL_SIDE_OUT] ||
                      state->block[i]->extent[j][QL_SIDE_IN];
        }
    }
    return groups;
}

static int extents_write(writing *work, const ql_state *state)
{
    for (uint32_t i = 0; i < QL_BLOCKS; i++) {
        for (uint32_t j = 0; state->block[i] && j < QL_BLOCK_GROUPS; j++) {
            ql_extent *const *sides = state->block[i]->extent[j];
            if (!sides[QL_SIDE_OUT] && !sides[QL_SIDE_IN]) continue;
            table_entry *entry = &work->entries[work->groups++];
            entry->group = i * QL_BLOCK_GROUPS + j;
            for (int side = 0; side < QL_SIDES; side++) {
                if (sides[side]) QL_TRY(extent_write(work, sides[side], &entry->at[side]));
            }
        }
    }
    return QL_OK;
}

static int table_write(writing *work, const ql_state *state, ql_graph_extents *extents)
{
    table_header header = {.magic = TABLE_MAGIC,
                           .groups = work->groups,
                           .sequence = state->base_sequence,
                           .edges = state->base_edges};
    header.checksum = table_checksum(&header, work->entries);
    uint64_t at = aligned(work->end);
    uint64_t entries_bytes = work->groups * sizeof *work->entries;
    QL_TRY(ql_file_write(work->file.fd, &header, sizeof header, at));
    if (entries_bytes)
        QL_TRY(ql_file_write(work->file.fd, work->entries, entries_bytes, at + sizeof header));
    QL_TRY(ql_file_sync(work->file.fd));
    *extents = (ql_graph_extents){.log_bytes = state->base_bytes,
                                  .file_bytes = at + sizeof header + entries_bytes,
                                  .table_at = at,
                                  .edges = state->base_edges};
    return QL_OK;
}

int ql_extents_write(const ql_state *state, const char *path, const uint8_t *uuid,
                     ql_graph_extents *extents)
{
    if (unlink(path) != 0 && errno != ENOENT) return QL_E_IO;
    writing work = {.end = QL_LOG_HEADER_BYTES};
    QL_TRY(ql_log_open(path, QL_EXTENTS_MAGIC, uuid, true, &work.file));
    work.entries = ql_alloc(groups_count(state), sizeof *work.entries);
    int status = work.entries ? extents_write(&work, state) : QL_E_MEMORY;
    if (status == QL_OK) status = table_write(&work, state, extents);
    ql_free(work.entries);
    ql_log_close(&work.file);
    return status;
}

/* ---- Reading ---- */

typedef struct reading {
    ql_log file;
    const ql_graph_extents *extents;
    table_header header;
    table_entry *entries;
    ql_extent_map *map;
    ql_state *state;
} reading;

static int table_read(reading *work)
{
    const ql_graph_extents *extents = work->extents;
    struct stat status;
    if (fstat(work->file.fd, &status) != 0) return QL_E_IO;
    if ((uint64_t)status.st_size < extents->file_bytes) return QL_E_CORRUPT;
    uint64_t at = extents->table_at;
    if (at < QL_LOG_HEADER_BYTES || at % ALIGNMENT != 0) return QL_E_CORRUPT;
    if (extents->file_bytes < at || extents->file_bytes - at < sizeof work->header)
        return QL_E_CORRUPT;

    QL_TRY(ql_file_read(work->file.fd, &work->header, sizeof work->header, at));
    uint64_t entries_bytes = extents->file_bytes - at - sizeof work->header;
    if (work->header.magic != TABLE_MAGIC || work->header.groups > QL_BLOCKS * QL_BLOCK_GROUPS)
        return QL_E_CORRUPT;
    if (entries_bytes != (uint64_t)work->header.groups * sizeof *work->entries) return QL_E_CORRUPT;
    work->entries = ql_alloc(work->header.groups, sizeof *work->entries);
    if (!work->entries) return QL_E_MEMORY;
    QL_TRY(ql_file_read(work->file.fd, work->entries, entries_bytes, at + sizeof work->header));
    if (table_checksum(&work->header, work->entries) != work->header.checksum) return QL_E_CORRUPT;
    return work->header.edges == extents->edges ? QL_OK : QL_E_CORRUPT;
}

static int file_map(reading *work)
{
    ql_extent_map *map = ql_alloc(1, sizeof *map);
    if (!map) return QL_E_MEMORY;
    map->size_bytes = (work->extents->file_bytes + 4095) & ~(uint64_t)4095;
    int status = ql_map_reserve(map->size_bytes, &map->base);
    if (status != QL_OK) {
        ql_free(map);
        return status;
    }
    atomic_init(&map->owners, 1);
    work->map = map;
    return ql_map_file(work->file.fd, 0, map->size_bytes, 0, map->base);
}

static int extent_read(reading *work, const table_entry *entry, int side, ql_extent **extent)
{
    uint64_t at = entry->at[side];
    if (at < QL_LOG_HEADER_BYTES || at % ALIGNMENT != 0 || at >= work->extents->table_at)
        return QL_E_CORRUPT;
    const char *block = (const char *)work->map->base + at;
    QL_TRY(
        ql_extent_open(work->map, block, work->extents->table_at - at, entry->group, side, extent));
    atomic_fetch_add_explicit(&work->map->owners, 1, memory_order_relaxed);
    return QL_OK;
}

static int entry_read(reading *work, const table_entry *entry, uint64_t edges[QL_SIDES])
{
    ql_block **block = &work->state->block[entry->group / QL_BLOCK_GROUPS];
    if (!*block) *block = ql_block_copy(NULL);
    if (!*block) return QL_E_MEMORY;
    for (int side = 0; side < QL_SIDES; side++) {
        if (entry->at[side] == 0) continue;
        ql_extent **extent = &(*block)->extent[entry->group % QL_BLOCK_GROUPS][side];
        QL_TRY(extent_read(work, entry, side, extent));
        edges[side] += (*extent)->header->edges;
    }
    return QL_OK;
}

static int state_read(reading *work)
{
    uint64_t edges[QL_SIDES] = {0, 0};
    QL_TRY(ql_state_create(work->extents->log_bytes, &work->state));
    for (uint32_t i = 0; i < work->header.groups; i++) {
        const table_entry *entry = &work->entries[i];
        if (entry->group >= QL_BLOCKS * QL_BLOCK_GROUPS) return QL_E_CORRUPT;
        if (i > 0 && entry->group <= work->entries[i - 1].group) return QL_E_CORRUPT;
        QL_TRY(entry_read(work, entry, edges));
    }
    if (edges[QL_SIDE_OUT] != edges[QL_SIDE_IN] || edges[QL_SIDE_OUT] != work->header.edges)
        return QL_E_CORRUPT;
    work->state->base_edges = work->header.edges;
    work->state->base_sequence = work->header.sequence;
    return QL_OK;
}

int ql_extents_read(const char *path, const uint8_t *uuid, const ql_graph_extents *extents,
                    ql_state **state)
{
    reading work = {.extents = extents};
    QL_TRY(ql_log_open(path, QL_EXTENTS_MAGIC, uuid, false, &work.file));
    int status = table_read(&work);
    if (status == QL_OK) status = file_map(&work);
    if (status == QL_OK) status = state_read(&work);
    if (status == QL_OK) *state = work.state;
    else ql_state_free(work.state);
    if (work.map) ql_extent_map_release(work.map);
    ql_free(work.entries);
    ql_log_close(&work.file);
    return status;
}
