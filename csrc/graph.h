/* graph.h: what the files of the association graph share: log, adjacency, views.
 *
 * graph.c       the handle: pending batch, commit steps, advance, views
 * graph_log.c   the file: header page, batches, checksums
 * adjacency.c   the structure in memory: base extents, delta chains, merged rows
 * extent.c      one extent: its bytes, encoding, checks
 * extent_file.c the extents on disk
 * fold.c        a new base out of base and delta
 * neighbours.c  reading: neighbours, find, all edges
 * table.c       a whole view as plain compressed rows
 * expand.c      visited-set expansion
 * push.c        personalised PageRank
 * paths.c, deviations.c (paths.h)  shortest paths
 * node_map.c    what searches know of nodes */
#ifndef QL_GRAPH_H
#define QL_GRAPH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "internal.h"

#define QL_GROUP_BITS 12
#define QL_GROUP_ROWS (1u << QL_GROUP_BITS) /* rows of one extent */
#define QL_BLOCK_GROUPS 1024u               /* groups of one block of the group table */
#define QL_BLOCKS 1024u                     /* 2^10 blocks * 2^10 groups * 2^12 rows = 2^32 */
#define QL_LEAF_ROWS 256u                   /* rows of one leaf of chain heads */
#define QL_LEAVES (QL_GROUP_ROWS / QL_LEAF_ROWS)
#define QL_DELTA_FIRST 1024u /* records of the first delta chunk; each next one doubles */
#define QL_DELTA_CHUNKS 22u
#define QL_DELTA_MAX (QL_DELTA_FIRST * ((1u << QL_DELTA_CHUNKS) - 1u))
#define QL_TYPE_MASK 0x0fff /* of the type column; the bit below stands beside the type */
#define QL_TYPE_DATA 0x8000                 /* QL_EDGE_DATA in the type column */

/* Directions as indices: the row of a node holds its out edges (0) or its in edges (1). */
enum { QL_SIDE_OUT, QL_SIDE_IN, QL_SIDES };

/* ---- extent.c ---- */
/* extent_file.c: a mapped file, counted by its extents */
typedef struct ql_extent_map ql_extent_map;
void ql_extent_map_release(ql_extent_map *map);

typedef struct ql_extent_header { /* 64 bytes, then the columns */
    uint32_t magic;
    uint32_t group;
    uint8_t side;
    uint8_t weight_width;   /* bytes per edge: 0 constant, 1 or 2 codes, 4 plain */
    uint8_t type_width;     /* 0 constant, 1 codes, 2 plain */
    uint8_t reserved;
    uint32_t first;         /* first row, within the group */
    uint32_t rows;          /* rows from there on */
    uint32_t edges;         /* at least 1 */
    uint32_t weight_values;
    uint32_t type_values;
    uint64_t size_bytes;    /* of the block, a multiple of 64 */
    uint32_t checksum;      /* crc32c of the block with 0 here */
    uint32_t reserved_more[5];
} ql_extent_header;

/* Immutable after it is made; counted by its owners. */
typedef struct ql_extent {
    _Atomic uint32_t owners;
    const ql_extent_header *header;
    uint32_t first;         /* these four as in the header, which is another cache line */
    uint32_t rows;
    uint8_t weight_width;
    uint8_t type_width;
    ql_extent_map *map;     /* the block belongs to it; NULL: allocated */
    const uint32_t *offset; /* (rows + 1,) */
    const uint32_t *other;  /* (edges,), sorted by (type, other) inside a row */
    const float *weight_values;
    const void *weight;
    const uint16_t *type_values;
    const void *type;
} ql_extent;

typedef struct ql_weight_slot {
    uint32_t stamp;
    uint32_t bits;
    uint16_t code;
} ql_weight_slot;

/* Plain columns of one group and direction, and the tables of their encoding. */
typedef struct ql_extent_builder {
    uint32_t count;
    uint32_t capacity;
    uint32_t offset[QL_GROUP_ROWS + 1];
    uint32_t *other;
    float *weight;
    uint16_t *type;         /* with QL_TYPE_DATA */
    uint16_t *code;         /* of weights */
    uint32_t stamp;         /* slots of other stamps are free */
    float values[65536];
    uint16_t type_values[256];
    uint16_t type_code_of[65536];
    ql_weight_slot slots[131072];
} ql_extent_builder;

/* One row as columns: pointers into an extent, or into the scratch when the row has a delta. */
typedef struct ql_row {
    uint32_t count;
    uint8_t weight_width; /* as in ql_extent_header */
    uint8_t type_width;
    const uint32_t *other;
    const void *weight;
    const void *type;
    const float *weight_values;
    const uint16_t *type_values;
} ql_row;

static inline float ql_row_weight(const ql_row *row, uint32_t i)
{
    switch (row->weight_width) {
    case 0: return row->weight_values[0];
    case 1: return row->weight_values[((const uint8_t *)row->weight)[i]];
    case 2: return row->weight_values[((const uint16_t *)row->weight)[i]];
    default: return ((const float *)row->weight)[i];
    }
}

/* The type, with QL_TYPE_DATA. */
static inline uint16_t ql_row_type_bits(const ql_row *row, uint32_t i)
{
    switch (row->type_width) {
    case 0: return row->type_values[0];
    case 1: return row->type_values[((const uint8_t *)row->type)[i]];
    default: return ((const uint16_t *)row->type)[i];
    }
}

static inline uint16_t ql_row_type(const ql_row *row, uint32_t i)
{
    return ql_row_type_bits(row, i) & QL_TYPE_MASK;
}

static inline uint16_t ql_row_flags(const ql_row *row, uint32_t i)
{
    return ql_row_type_bits(row, i) & QL_TYPE_DATA ? QL_EDGE_DATA : 0;
}

static inline uint64_t ql_row_key(const ql_row *row, uint32_t i)
{
    return (uint64_t)ql_row_type(row, i) << 32 | row->other[i];
}

void ql_extent_release(ql_extent *extent);
/* Encode the builder's columns, of which there is at least one edge. */
int ql_extent_make(ql_extent_builder *build, uint32_t group, int side, ql_extent **extent);
/* Take a block of a mapped file after checking all of it; the extent then owns one count of the
 * map. */
int ql_extent_open(ql_extent_map *map, const void *block, uint64_t room, uint32_t group, int side,
                   ql_extent **extent);
static inline ql_row ql_extent_edges(const ql_extent *extent, uint32_t start, uint32_t count)
{
    return (ql_row){.count = count,
                    .weight_width = extent->weight_width,
                    .type_width = extent->type_width,
                    .other = extent->other + start,
                    .weight = (const char *)extent->weight + (size_t)start * extent->weight_width,
                    .type = (const char *)extent->type + (size_t)start * extent->type_width,
                    .weight_values = extent->weight_values,
                    .type_values = extent->type_values};
}
/* Plain columns of the edges start .. start + count of a row. */
void ql_row_decode(const ql_row *row, uint32_t start, uint32_t count, uint32_t *other,
                   float *weight, uint16_t *type);
/* The first edge from `from` on whose (type, other) is not below the key. */
static inline uint32_t ql_row_seek(const ql_row *row, uint32_t from, uint64_t key)
{
    uint32_t until = row->count;
    while (from < until) {
        uint32_t middle = from + (until - from) / 2;
        if (ql_row_key(row, middle) < key) from = middle + 1;
        else until = middle;
    }
    return from;
}

/* ---- adjacency.c ---- */
/* Extents of 1,024 groups. Immutable once its state is current; shared between states. */
typedef struct ql_block {
    _Atomic uint32_t owners;
    ql_extent *extent[QL_BLOCK_GROUPS][QL_SIDES];
} ql_block;

typedef struct ql_delta_record { /* immutable once a chain head reaches it */
    ql_edge edge;
    /* 1 + index of the next older record of the same row; 0 ends the chain */
    uint32_t next[QL_SIDES];
} ql_delta_record;

typedef struct ql_leaf {
    _Atomic uint32_t head[QL_SIDES][QL_LEAF_ROWS]; /* 1 + index of the newest record; 0: none */
} ql_leaf;

typedef struct ql_delta_group {
    _Atomic(ql_leaf *) leaf[QL_LEAVES];
} ql_delta_group;

typedef struct ql_delta_block {
    _Atomic(ql_delta_group *) group[QL_BLOCK_GROUPS];
} ql_delta_block;

/* Base and delta. One writer appends to the delta and moves chain heads (release); readers follow
 * them (acquire). `end` and everything else of the writer is guarded by the graph's writing lock;
 * `owners` by its pin lock. */
typedef struct ql_state {
    uint32_t owners;
    uint64_t base_bytes;  /* the base holds the log up to here */
    uint64_t base_sequence; /* records of the log up to there */
    uint64_t base_edges;  /* live associations of the base */
    ql_block *block[QL_BLOCKS];
    uint32_t end;         /* delta records, dropped ones included */
    _Atomic(ql_delta_record *) chunk[QL_DELTA_CHUNKS];
    /* a bit per record of the chunk, behind it in the same memory */
    _Atomic uint64_t *dropped[QL_DELTA_CHUNKS];
    _Atomic(ql_delta_block *) delta[QL_BLOCKS];
} ql_state;

typedef struct ql_sort_item {
    uint64_t key; /* type << 32 | other */
    uint32_t index;
} ql_sort_item;

/* Memory of a merged row; one per caller, reused from row to row. */
typedef struct ql_scratch {
    bool only_ends; /* the caller reads no weights and types */
    uint64_t row_capacity;
    uint32_t *other;
    float *weight;
    uint16_t *type;
    uint64_t sort_capacity;
    ql_sort_item *items;
    ql_sort_item *spare;
} ql_scratch;

int ql_state_create(uint64_t base_bytes, ql_state **state);
void ql_state_free(ql_state *state);
/* Writer: append n records and link them; on failure nothing is linked. */
int ql_state_append(ql_state *state, const ql_edge *records, uint64_t n);
/* Writer: unlink the records from index `from` on. Their numbers are not used again, so no view
 * meets them. */
void ql_state_drop(ql_state *state, uint32_t from);
/* A new state whose base holds this one's base, its delta below `limit` and n records more;
 * untouched extents are shared. Needs no lock while the limit is committed and the state owned:
 * later records and drops do not matter. */
int ql_state_fold(const ql_state *state, uint32_t limit, const ql_edge *records, uint64_t n,
                  uint64_t base_bytes, ql_state **folded);
const ql_edge *ql_state_record(const ql_state *state, uint32_t index);
bool ql_state_dropped(const ql_state *state, uint32_t index);
ql_delta_group *ql_delta_group_of(const ql_state *state, uint32_t group);
/* A block of one owner that shares all extents of `old`, which may be NULL; NULL when memory is
 * out. */
ql_block *ql_block_copy(const ql_block *old);
void ql_block_release(ql_block *block);

/* The row of a node in one direction, as a view with this limit sees it. */
int ql_row_read(const ql_state *state, uint32_t limit, uint32_t node, int side, ql_scratch *scratch,
                ql_row *row);
/* Begin to load the place of a row in the base or, when that is there, its edges. */
void ql_row_fetch(const ql_state *state, uint32_t node, int side, bool edges);
/* The newest record of a key in delta or base. */
void ql_row_find(const ql_state *state, uint32_t limit, uint32_t source, uint16_t type,
                 uint32_t target, int *found, ql_edge *edge);
/* All rows of one direction that may hold edges, in order, as a view with this limit sees them. */
typedef struct ql_walk {
    const ql_state *state;
    uint32_t limit;
    int side;
    bool only_changed;   /* only rows with delta records, visible or not */
    bool inside;         /* the group of `next` was looked up: */
    const ql_extent *extent;
    const ql_delta_group *delta;
    const ql_leaf *leaf; /* whose records were fetched last */
    uint64_t next;       /* the first node not looked at yet */
    uint32_t plain;      /* so many rows from `next` on are in the extent and have no delta */
    uint32_t base_count; /* of the row given last: its edges in the base */
} ql_walk;

ql_walk ql_walk_start(const ql_graph_view *view, int side, bool only_changed);
int ql_walk_find(ql_walk *walk, ql_scratch *scratch, uint32_t *node, ql_row *row);

/* The next plain row with edges; false when there is none. */
static inline bool ql_walk_plain(ql_walk *walk, uint32_t *node, ql_row *row)
{
    while (walk->plain > 0) {
        const ql_extent *extent = walk->extent;
        uint32_t at = (uint32_t)walk->next % QL_GROUP_ROWS - extent->first;
        uint32_t start = extent->offset[at];
        uint32_t count = extent->offset[at + 1] - start;
        *node = (uint32_t)walk->next++;
        walk->plain--;
        if (count == 0) continue;
        walk->base_count = count;
        *row = ql_extent_edges(extent, start, count);
        return true;
    }
    return false;
}

/* The next row; *node is QL_NONE at the end. The row is valid until the next call with this
 * scratch. Inline, so that columns which the caller does not read cost nothing. */
static inline int ql_walk_next(ql_walk *walk, ql_scratch *scratch, uint32_t *node, ql_row *row)
{
    return ql_walk_plain(walk, node, row) ? QL_OK : ql_walk_find(walk, scratch, node, row);
}
void ql_scratch_free(ql_scratch *scratch);

struct ql_graph_view {
    ql_graph *graph;
    ql_state *state;
    uint32_t limit; /* delta records below this index exist */
};

/* The same graph, without a delta if that was large, for a walk over all rows; close it after. */
int ql_view_plain(const ql_graph_view *view, ql_graph_view *plain);
void ql_view_plain_close(ql_graph_view *plain);

/* ---- graph_log.c ---- */
#define QL_LOG_HEADER_BYTES 4096 /* the first batch starts here */

#define QL_LOG_MAGIC "QLGRAPH"     /* with its zero, 8 bytes */
#define QL_EXTENTS_MAGIC "QLEXTNT"

typedef struct ql_log {
    int fd;
    const char *magic;
    uint8_t uuid[16];
    /* checksum of the header page; batches continue it, so none fits another store's log */
    uint32_t seed;
} ql_log;

typedef struct ql_log_batch { /* 32 bytes on disk, followed by `count` records of 16 bytes */
    uint32_t magic;
    uint32_t count;    /* at least 1 */
    uint64_t commit;
    uint64_t sequence; /* of the first record: how many records stand before it in the log */
    uint32_t checksum; /* crc32c of this header with 0 here, and of the records */
    uint32_t reserved; /* 0 */
} ql_log_batch;
_Static_assert(sizeof(ql_log_batch) == 32, "batch header");
_Static_assert(sizeof(ql_edge) == 16, "log record");

int ql_log_open(const char *path, const char *magic, const uint8_t *uuid, bool writable,
                ql_log *log);
void ql_log_close(ql_log *log);
int ql_log_size(const ql_log *log, uint64_t *size_bytes);
int ql_log_header_check(const ql_log *log);
/* Write one batch at `offset`: batch.count records, which `fill` gives piece by piece, in order. */
int ql_log_write(const ql_log *log, uint64_t offset, ql_log_batch batch,
                 void (*fill)(void *context, ql_edge *piece, uint32_t n), void *context);
/* Read the batch at `offset`, which must end at or before `until`; hand its records to `take` in
 * pieces, before the checksum is known: what was taken must be dropped when this fails. */
int ql_log_read(const ql_log *log, uint64_t offset, uint64_t until, uint64_t sequence,
                int (*take)(void *context, const ql_edge *piece, uint32_t n), void *context,
                ql_log_batch *batch);
/* Whether a record keeps to its ranges. */
bool ql_edge_valid(const ql_edge *edge);

/* ---- extent_file.c ---- */
/* Write a state's base to a new file, in place of one that is there, synced. */
int ql_extents_write(const ql_state *state, const char *path, const uint8_t *uuid,
                     ql_graph_extents *extents);
/* The base of a file as a state that starts at extents->log_bytes; all of it is checked. */
int ql_extents_read(const char *path, const uint8_t *uuid, const ql_graph_extents *extents,
                    ql_state **state);

/* ---- neighbours.c ---- */
#define QL_EDGE_READ_BYTES 10 /* other end, weight and type of one edge, for ql_cost */

/* Which association types a call follows. */
typedef struct ql_type_set {
    bool all;
    uint64_t bits[(QL_TYPES_MAX + 63) / 64];
} ql_type_set;

int ql_type_set_make(const uint16_t *types, uint32_t count, ql_type_set *set);
static inline bool ql_type_allowed(const ql_type_set *set, uint16_t type)
{
    return set->all || (set->bits[type / 64] >> (type % 64) & 1);
}

/* ---- node_map.c ---- */
typedef struct ql_node_map {
    uint32_t count;
    uint32_t capacity;
    uint32_t *nodes; /* by position */
    uint32_t *table; /* 1 + position; 0: free; twice as long as capacity */
} ql_node_map;

void ql_node_map_free(ql_node_map *map);
/* The position of a node, added at the end when it is new. Arrays by position need `capacity`
 * elements. */
int ql_node_map_add(ql_node_map *map, uint32_t node, uint32_t *at);
uint32_t ql_node_map_find(const ql_node_map *map, uint32_t node); /* QL_NONE when it is not there */

#endif
