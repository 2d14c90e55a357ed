/* graph.h: what the files of the association graph share: log, adjacency, views.
 *
 * graph.c       the handle: pending batch, commit steps, advance, views
 * graph_log.c   the file: header page, batches, checksums
 * adjacency.c   the structure in memory: base extents, delta chains, merged rows, folding
 * neighbours.c  reading: neighbours, find, all edges
 * table.c       a whole view as plain compressed rows
 * expand.c      visited-set expansion */
#ifndef QL_GRAPH_H
#define QL_GRAPH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "internal.h"

/* ---- adjacency.c ---- */
#define QL_GROUP_BITS 12
#define QL_GROUP_ROWS (1u << QL_GROUP_BITS) /* rows of one extent */
#define QL_BLOCK_GROUPS 1024u               /* groups of one block of the group table */
#define QL_BLOCKS 1024u                     /* 2^10 blocks * 2^10 groups * 2^12 rows = 2^32 */
#define QL_LEAF_ROWS 256u                   /* rows of one leaf of chain heads */
#define QL_LEAVES (QL_GROUP_ROWS / QL_LEAF_ROWS)
#define QL_DELTA_FIRST 1024u                /* records of the first delta chunk; each next one doubles */
#define QL_DELTA_CHUNKS 22u
#define QL_DELTA_MAX (QL_DELTA_FIRST * ((1u << QL_DELTA_CHUNKS) - 1u))
#define QL_TYPE_MASK 0x0fff                 /* of the type column; the bit below stands beside the type */
#define QL_TYPE_DATA 0x8000                 /* QL_EDGE_DATA in the type column */

/* Directions as indices: the row of a node holds its out edges (0) or its in edges (1). */
enum { QL_SIDE_OUT, QL_SIDE_IN, QL_SIDES };

/* The edges of up to 4,096 consecutive rows in one direction. Immutable after it is built; counted by its owners. */
typedef struct ql_extent {
    _Atomic uint32_t owners;
    uint32_t first;   /* first row, within the group */
    uint32_t rows;    /* rows from there on */
    uint32_t edges;
    uint32_t *offset; /* (rows + 1,) */
    uint32_t *other;  /* (edges,), sorted by (type, other) inside a row */
    float *weight;
    uint16_t *type;   /* type, and QL_TYPE_DATA */
} ql_extent;

/* Extents of 1,024 groups. Immutable once its state is current; shared between states. */
typedef struct ql_block {
    _Atomic uint32_t owners;
    ql_extent *extent[QL_BLOCK_GROUPS][QL_SIDES];
} ql_block;

typedef struct ql_delta_record { /* immutable once a chain head reaches it */
    ql_edge edge;
    uint32_t next[QL_SIDES]; /* 1 + index of the next older record of the same row; 0 ends the chain */
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

/* Base and delta. One writer appends to the delta and moves chain heads (release); readers follow them (acquire).
 * `end` and everything else of the writer is guarded by the graph's writing lock; `owners` by its pin lock. */
typedef struct ql_state {
    uint32_t owners;
    uint64_t base_bytes;  /* the base holds the log up to here */
    uint64_t base_edges;  /* live associations of the base */
    ql_block *block[QL_BLOCKS];
    uint32_t end;         /* delta records, dropped ones included */
    _Atomic(ql_delta_record *) chunk[QL_DELTA_CHUNKS];
    _Atomic(ql_delta_block *) delta[QL_BLOCKS];
} ql_state;

/* One row as columns: pointers into an extent, or into the scratch when the row has a delta. */
typedef struct ql_row {
    uint32_t count;
    const uint32_t *other;
    const float *weight;
    const uint16_t *type;
} ql_row;

static inline uint16_t ql_row_type(const ql_row *row, uint32_t i)
{
    return row->type[i] & QL_TYPE_MASK;
}

static inline uint16_t ql_row_flags(const ql_row *row, uint32_t i)
{
    return row->type[i] & QL_TYPE_DATA ? QL_EDGE_DATA : 0;
}

static inline float ql_row_weight(const ql_row *row, uint32_t i)
{
    return row->weight[i];
}

typedef struct ql_sort_item {
    uint64_t key; /* type << 32 | other */
    uint32_t index;
} ql_sort_item;

/* Memory of a merged row; one per caller, reused from row to row. */
typedef struct ql_scratch {
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
/* Writer: unlink the records from index `from` on. Their numbers are not used again, so no view meets them. */
void ql_state_drop(ql_state *state, uint32_t from);
/* A new state whose base holds this one's base and its whole delta; untouched extents are shared. */
int ql_state_fold(const ql_state *state, uint64_t base_bytes, ql_state **folded);
const ql_edge *ql_state_record(const ql_state *state, uint32_t index);

/* The row of a node in one direction, as a view with this limit sees it. */
int ql_row_read(const ql_state *state, uint32_t limit, uint32_t node, int side, ql_scratch *scratch, ql_row *row);
/* The newest record of a key in delta or base. */
void ql_row_find(const ql_state *state, uint32_t limit, uint32_t source, uint16_t type, uint32_t target, int *found,
                 ql_edge *edge);
/* The first node from `node` on that has base edges or delta records (only_changed: delta records) in one direction,
 * visible or not; QL_NONE when there is none. */
uint32_t ql_row_next(const ql_state *state, uint64_t node, int side, bool only_changed);
uint32_t ql_row_base_count(const ql_state *state, uint32_t node, int side);
void ql_scratch_free(ql_scratch *scratch);

struct ql_graph_view {
    ql_graph *graph;
    ql_state *state;
    uint32_t limit; /* delta records below this index exist */
};

/* ---- graph_log.c ---- */
#define QL_LOG_HEADER_BYTES 4096 /* the first batch starts here */

typedef struct ql_log {
    int fd;
    uint8_t uuid[16];
    uint32_t seed;     /* checksum of the header page; batches continue it, so none fits another store's log */
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

int ql_log_open(const char *path, const uint8_t *uuid, bool writable, ql_log *log);
void ql_log_close(ql_log *log);
int ql_log_size(const ql_log *log, uint64_t *size_bytes);
int ql_log_header_check(const ql_log *log);
/* Write one batch at `offset`: batch.count records, which `fill` gives piece by piece, in order. */
int ql_log_write(const ql_log *log, uint64_t offset, ql_log_batch batch,
                 void (*fill)(void *context, ql_edge *piece, uint32_t n), void *context);
/* Read the batch at `offset`, which must end at or before `until`; hand its records to `take` in pieces, before the
 * checksum is known: what was taken must be dropped when this fails. */
int ql_log_read(const ql_log *log, uint64_t offset, uint64_t until, uint64_t sequence,
                int (*take)(void *context, const ql_edge *piece, uint32_t n), void *context, ql_log_batch *batch);
/* Whether a record keeps to its ranges. */
bool ql_edge_valid(const ql_edge *edge);

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

#endif
