/* rows.h: what vectors.c shows to the files that search its rows (hnsw.c, near.c, places.c). */
#ifndef QL_ROWS_H
#define QL_ROWS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "internal.h"

#define SEGMENT_SLOTS 65536u
#define HEADER_BYTES 4096u

/* One entry of meta-NNN.slots, little-endian as everything in the files. */
typedef struct slot_meta {
    uint32_t node;
    /* crc32c of the row's dim floats, then of node, birth, scale and flags as they stand here */
    uint32_t crc;
    uint64_t birth; /* commit that made the slot */
    float scale;    /* cosine: 1/norm, 0 for a zero row; otherwise the norm */
    uint32_t flags; /* SLOT_... */
} slot_meta;
_Static_assert(sizeof(slot_meta) == 24, "slot_meta is a file format");

/* The norm is so large or small that float32 sums overflow or vanish: score this row in float64
 * only. */
#define SLOT_EXTREME 1u

/* Thread rule: one writer thread at a time calls append, sync, extend, truncate and retire; any
 * number of threads read meanwhile.  `count` is stored last (release) and loaded first (acquire):
 * whatever lies below it is complete. `deaths` are single atomic words.  Everything else is set at
 * open, or used by the writer only. */
struct ql_vectors {
    char *rows;                /* slots_max rows at `stride` bytes, mapped segment by segment */
    slot_meta *metas;          /* slots_max entries */
    _Atomic uint64_t *deaths;  /* slots_max words; 0 = alive */
    _Atomic uint32_t count;
    _Atomic uint32_t retired;  /* slots with a death */
    uint32_t dim;
    int metric;
    uint32_t slots_max;
    size_t stride;
    int writable;
    int settled;               /* the writer was told what is committed, or the folder was empty */
    int folder_dirty;          /* a file was made or removed since the last sync */
    int rows_fd;               /* writer: the segment being filled, or -1 */
    int meta_fd;
    uint32_t segment;          /* its number */
    uint32_t mapped;           /* segments [0, mapped) are mapped */
    uint64_t rows_bytes;       /* allocated size of the two open files */
    uint64_t meta_bytes;
    int dirty;                 /* they hold writes since the last sync */
    uint8_t uuid[16];
    char *staging;             /* writer: rows padded to the stride, and meta entries */
    pthread_mutex_t placing;   /* places.c: who changes the next five */
    _Atomic uint32_t *newest;
    _Atomic uint32_t *older;
    _Atomic uint32_t placed;   /* slots below this one are in the table */
    uint64_t placed_bytes;     /* of the two, counted as our own memory */
    int unplaceable;           /* there is no table */
    char *path;                /* folder, then room for a file name */
    size_t folder_length;
};

/* places.c */
int places_make(ql_vectors *vectors);
void places_free(ql_vectors *vectors);
/* Make sure that slots below `until` are in the table; 0 if there is none. */
int places_until(ql_vectors *vectors, uint32_t until);
/* before the entries of later slots go away */
void places_truncate(ql_vectors *vectors, uint32_t count);

/* The newest slot of a node plus 1, or 0; the one before it. */
static inline uint32_t place_newest(const ql_vectors *vectors, uint32_t node)
{
    if (node >= vectors->slots_max) return 0;
    return atomic_load_explicit(&vectors->newest[node], memory_order_acquire);
}

static inline uint32_t place_older(const ql_vectors *vectors, uint32_t slot)
{
    return atomic_load_explicit(&vectors->older[slot], memory_order_relaxed);
}

static inline const float *row_at(const ql_vectors *vectors, uint32_t slot)
{
    return (const float *)(const void *)(vectors->rows + (size_t)slot * vectors->stride);
}

/* Alive and born for somebody who sees everything up to `commit`. */
static inline int slot_visible(const ql_vectors *vectors, uint32_t slot, uint64_t commit)
{
    uint64_t death = atomic_load_explicit(&vectors->deaths[slot], memory_order_relaxed);
    return vectors->metas[slot].birth <= commit && (death == 0 || death > commit);
}

#endif
