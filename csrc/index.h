/* index.h: what hnsw.c (walking), build.c (linking), index_file.c (saving) and near.c (answering)
 * share. */
#ifndef QL_INDEX_H
#define QL_INDEX_H

#include <pthread.h>
#include <stdatomic.h>

#include "codes.h"
#include "rows.h"

#define LINK_DUPLICATE                                                                             \
    (QL_NONE -                                                                                     \
     1) /* first link of a slot whose row equals its parent's: it has no links of its own */
#define LINK_REMOVED                                                                               \
    (QL_NONE - 2) /* first link of a slot that was swept out: nothing leads to it any more */
#define ROUTERS 64u
#define WALKS_KEPT 16u
#define DEGREE_MAX CODES_AT_ONCE
#define EF_CONSTRUCTION_MAX 65536u

#define TOUCHED_MAX                                                                                \
    16384u /* visited slots remembered one by one; beyond, the whole bitmap is cleared */
enum { LINKS, CHAIN, PARENT, CODES, SECTIONS }; /* of an index file */
#define KEYS_BEYOND 16u    /* keys behind the beam, see walk.h */

/* A slot and how far it is; the beam keeps them sorted. */
typedef struct candidate {
    /* smaller is closer: 1-cosine, squared L2, or minus the dot product; never NaN */
    float distance;
    uint32_t slot;
} candidate;

/* Scratch of one search.  Thread rule: owned by one thread between walk_take and walk_give. */
typedef struct walk {
    uint64_t *visited;  /* bit per slot; all zero between searches */
    uint32_t *touched;  /* slots whose bits are set, until it overflows */
    candidate *beam;    /* width_max + 1: what a walk found */
    uint64_t *keys;     /* width_max + KEYS_BEYOND: the beam while walking */
    coded aim;          /* what is being looked for */
    int hot;            /* read only the hot planes of codes */
    float *room;        /* dim, for coding it */
    uint32_t visited_words;
    uint32_t touched_count;
    uint32_t width_max;
    uint32_t count;     /* candidates in the beam */
} walk;

/* Thread rule: one writer at a time (mutex `writer`) extends, saves and checks; any number of
 * threads walk meanwhile. links, chain and routers are single atomic words; a list seen half old,
 * half new is a list of valid slots. `covered` is stored (release) after all that it promises. */
struct ql_hnsw {
    ql_vectors *vectors;
    _Atomic uint32_t *links;  /* slots_max lists of `degree` slots, ended by QL_NONE */
    _Atomic uint32_t *chain;  /* next slot with an equal row, or QL_NONE */
    uint8_t *codes;           /* slots_max codes of coder.bytes */
    /* writer: a slot whose list holds this one until it is swept; of a duplicate, its first */
    uint32_t *parent;
    uint16_t *children;       /* writer: how many slots call this one their parent */
    _Atomic uint32_t covered;
    _Atomic uint32_t removed; /* slots that were swept out */
    /* who sees less than this commit may miss slots that were swept out, and scans */
    _Atomic uint64_t swept;
    _Atomic uint64_t scored[QL_SCORED]; /* rows that its writers scored, by what for */
    _Atomic uint32_t router[ROUTERS];
    uint32_t slots_max;       /* of the vectors, which may be closed first */
    uint32_t degree;          /* a multiple of 16: lists are whole cache lines */
    uint32_t ef_construction;
    uint64_t seed;
    uint64_t held;            /* writer: bytes of the maps above counted as our own memory */
    coder coder;
    pthread_mutex_t writer;
    /* of a file that was mapped: index_file.c; the first is stored last (release) */
    _Atomic uint32_t unchecked; /* its bytes were not compared with their checksums yet */
    uint32_t unrelated;         /* nor its parents with each other */
    int fd;                     /* while unchecked */
    uint32_t section_crc[SECTIONS];
    _Atomic(walk *) kept[WALKS_KEPT]; /* idle scratch, so that a search allocates nothing */
};

/* hnsw.c */
/* offsets: where the sections stand in the file that will be mapped */
int index_make(ql_vectors *vectors, uint32_t degree, uint32_t ef_construction, uint64_t seed,
               const uint64_t *offsets, ql_hnsw **index);
/* Count the first `slots` slots as our own memory: the writer is about to fill, or copy, them. */
int index_hold(ql_hnsw *index, uint32_t slots);
int walk_take(ql_hnsw *index, uint32_t width, walk **taken);
void walk_give(ql_hnsw *index, walk *done);
/* Put a slot in its place, if it is among the `width` closest; returns the place, or width. */
uint32_t beam_add(walk *scratch, uint32_t width, float distance, uint32_t slot);
/* Fill the beam with the `width` slots below `limit` that are closest to scratch->aim. */
void index_walk(const ql_hnsw *index, walk *scratch, uint32_t width, uint32_t limit, ql_cost *cost);
/* Distances from aim to n <= DEGREE_MAX slots; hot: from the hot planes of their codes. */
void index_distances(const ql_hnsw *index, const coded *aim, int hot, const uint32_t *slots,
                     uint32_t n, float *distances);
void router_refresh(ql_hnsw *index);
/* index_file.c: all that a writer relies on holds; QL_E_CORRUPT if it does not. The caller holds
 * the mutex `writer`. */
int index_own(ql_hnsw *index);

static inline uint32_t link_at(const ql_hnsw *index, uint32_t slot, uint32_t i)
{
    return atomic_load_explicit(&index->links[(size_t)slot * index->degree + i],
                                memory_order_acquire);
}

static inline int is_duplicate(const ql_hnsw *index, uint32_t slot)
{
    return link_at(index, slot, 0) == LINK_DUPLICATE;
}

static inline int is_removed(const ql_hnsw *index, uint32_t slot)
{
    return link_at(index, slot, 0) == LINK_REMOVED;
}

/* The next slot with an equal row, or QL_NONE.  Chains fall, but for their first step, and `below`
 * (QL_NONE at first) holds a damaged one to that, so that every one ends. */
static inline uint32_t chain_next(const ql_hnsw *index, uint32_t slot, uint32_t *below)
{
    uint32_t next = atomic_load_explicit(&index->chain[slot], memory_order_acquire);

    if (next >= *below) return QL_NONE;
    *below = next;
    return next;
}

static inline uint8_t *code_at(const ql_hnsw *index, uint32_t slot)
{
    return index->codes + (size_t)slot * index->coder.bytes;
}

#endif
