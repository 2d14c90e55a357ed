/* npu.h: what the files of the spiking simulation share: npu.c and every npu_*.c. */
#ifndef QL_NPU_H
#define QL_NPU_H

#include "internal.h"

#define NPU_PAGE                                                                                   \
    256 /* neurons that one kernel call advances: all its columns fit L1, with room for what       \
           streams */
#define NPU_THREADS 2     /* the most; targets are split in halves */
#define NPU_FRACTION 20   /* b/outdeg is rounded once to 2^-20 */
#define NPU_TARGET_BITS 22
#define NPU_TARGET_MASK ((1u << NPU_TARGET_BITS) - 1)
#define NPU_PACKED_MAX 511 /* |signed weight| of the packed form: 10 bits */

enum { NPU_FLOATS = 4, NPU_SHORTS = 3 };

/* A parameter: one value per neuron, or (each == NULL) one page of the same value, so that kernels
 * load both alike. */
typedef struct npu_floats {
    float *each;
    float same[NPU_PAGE];
} npu_floats;

typedef struct npu_shorts {
    uint16_t *each;
    uint16_t same[NPU_PAGE];
} npu_shorts;

/* Up to NPU_PAGE neurons in columns, as the kernels see them: consecutive ones, or candidates
 * gathered from anywhere. */
typedef struct npu_page {
    uint32_t count;
    uint32_t first;         /* neuron number of lane 0's origin: R wants first + lane[j] */
    uint32_t mixed_burst;   /* t*1597334677 mod 2^32 */
    /* 1: no rests, no fire limit, no upper limit, excitability 1 everywhere */
    uint32_t plain;
    const uint32_t *lane;
    const float *incoming;
    const uint32_t *candidate; /* 0 or 1 */
    float *v;
    uint16_t *countdown;
    uint16_t *consecutive;
    const float *threshold;
    const float *limit;
    const float *keep;      /* 1 - leak */
    const float *excitability;
    const uint16_t *refractory;
    const uint16_t *fire_limit;
    const uint16_t *snooze;
    float *at;              /* out: potential when compared */
    uint32_t *fired;        /* out: 0 or 1 */
    int32_t *sums;          /* charge only, in place of incoming and candidate: */
    uint32_t count_bits;
    uint32_t clamp;
    const float *drive;
    const uint8_t *drive_mark;
} npu_page;

struct npu_worker;
struct npu_fired;

/* One table per instruction set, all from npu_page.h. */
typedef struct npu_kernels {
    const char *name;
    /* Decode and clear accumulators: in[j] = the sum, candidate[j] = whether anything arrived. 0 if
     * none did. */
    uint32_t (*take)(int32_t *sums, uint32_t count, uint32_t count_bits, float *in,
                     uint32_t *candidate);
    /* in = (staged + drive) + in; candidates by mark; below 0 becomes 0 when clamp is 1. */
    void (*outside)(uint32_t count, const float *staged, const uint8_t *staged_mark,
                    const float *drive, const uint8_t *drive_mark, uint32_t clamp, float *in,
                    uint32_t *candidate);
    void (*advance)(npu_page *page);
    /* take, outside and advance in one pass, for plain pages into which nothing was injected. */
    void (*charge)(npu_page *page);
    /* Append first + j for every fired[j], ascending, from ids[0] on; how many. Room for count
     * + 16. */
    uint32_t (*compact)(const uint32_t *fired, uint32_t count, uint32_t first, uint32_t *ids);
    /* Blocked push: deliver into the worker's targets through its bins. */
    void (*push_blocked)(struct npu_worker *worker, const struct npu_fired *fired);
    /* Sum over stored in-synapses of one target whose source's bit is set; 0 if none is. */
    int32_t (*pull)(const uint32_t *row, uint64_t count, const uint32_t *fired_bits,
                    uint32_t count_bits);
} npu_kernels;
/* npu_portable.c: the table named as that of dispatch.c */
const npu_kernels *npu_kernels_active(void);
#if defined(__x86_64__)
extern const npu_kernels npu_kernels_avx2;
extern const npu_kernels npu_kernels_avx512;
#endif

/* The wide form of a synapse, and the one in which it waits for the next compile. */
typedef struct npu_synapse {
    uint32_t target;
    uint8_t weight;
    uint8_t psp;
    uint8_t inhibitory;
    uint8_t unused;
} npu_synapse;
_Static_assert(sizeof(npu_synapse) == 8, "the wide form is 8 bytes");

typedef struct npu_fired { /* neurons that fired in one burst, ascending */
    uint32_t *ids;
    float *at; /* potential at firing */
    uint32_t count;
} npu_fired;

typedef struct npu_piece { /* of a row: positions of synapses */
    uint64_t from;
    uint64_t until;
} npu_piece;

/* What one thread owns in a run: targets [from, until). Nobody else touches it between two
 * barriers. */
typedef struct npu_worker {
    struct ql_npu *npu;
    uint32_t from;
    uint32_t until;
    npu_fired fired;      /* of this burst, room for until - from */
    uint32_t *list;       /* candidates in order of arrival, may repeat; list mode only */
    uint32_t list_count;
    uint64_t *seen_bits;  /* bit per neuron of the range: candidate handled, then: fired */
    uint64_t *seen_words; /* bit per word of seen_bits that is not 0 */
    float *at_fire;       /* by neuron - from; only in list mode with mp_driven rows */
    npu_piece *pieces;    /* blocked push: what is left to deliver of NPU_BATCH rows */
} npu_worker;

/* Thread rule: one caller at a time; within ql_npu_run, workers write their own range only and all
 * else is read-only. */
struct ql_npu {
    uint32_t n;
    uint32_t first_id;
    uint32_t delay;
    uint32_t signed_input;
    uint64_t burst; /* number of the next burst */

    npu_floats floats[NPU_FLOATS]; /* threshold, limit, keep, excitability */
    npu_shorts shorts[NPU_SHORTS]; /* refractory, fire limit, snooze */
    uint8_t *flags;                /* (n) QL_NPU_UNIFORM | QL_NPU_MP_DRIVEN | QL_NPU_ACCUMULATE */
    uint32_t *forgetful;           /* neurons without QL_NPU_ACCUMULATE */
    uint32_t forgetful_count;
    uint32_t has_divided;          /* some neuron is not uniform */
    uint32_t has_driven;           /* some neuron is mp_driven */
    uint32_t plain;

    float *v;
    uint16_t *countdown;
    uint16_t *consecutive;
    int32_t *sums;      /* packed count and sum, when they fit; else NULL and the next two */
    int64_t *wide_sums; /* in units of 2^-20 */
    uint8_t *arrived;

    uint32_t *pending_sources; /* connected, not compiled yet */
    npu_synapse *pending;
    uint64_t pending_count;
    uint64_t pending_capacity;

    uint64_t synapse_count;
    uint64_t *offsets;   /* (n + 1) rows by source, each sorted by target */
    uint32_t *halves;    /* (n) synapses of the row below the middle target */
    uint32_t *packed;    /* 22-bit target, 10-bit signed weight; or NULL and wide */
    npu_synapse *wide;
    uint8_t *row_psp;    /* (n) the psp that all synapses of a packed row share */
    uint32_t count_bits; /* low bits of a sum that count arrivals */
    uint32_t compiled;
    uint32_t stay_wide;  /* weights were changed: the packed form is not tried again */
    uint64_t *in_offsets; /* pull form: rows by target; NULL until first wanted */
    uint32_t *in_packed;
    uint32_t *fired_bits; /* pull: bit per source */

    float *staged;
    uint8_t *staged_mark;
    uint32_t *staged_ids;
    uint32_t staged_count;
    float *drive;
    uint8_t *drive_mark;
    uint32_t driven_count;
    uint32_t *driven_ids; /* ascending; only when few */
    uint32_t *forced_ids; /* ascending, distinct */
    float *forced_at;
    uint32_t forced_count;

    npu_fired *queue; /* (delay) ring; burst t writes slot t mod delay and delivers what it held */
    npu_worker workers[NPU_THREADS];
    uint32_t worker_count;
    uint32_t middle;  /* first target of the second worker */

    /* The plan of the current burst, written before the workers start. */
    uint32_t method;     /* QL_NPU_PUSH, QL_NPU_BLOCKED or QL_NPU_PULL */
    uint32_t dense;
    uint64_t events;
};

#define NPU_BLOCK 131072   /* sums, 512 KiB: a block of targets stays in L2 */
#define NPU_BATCH                                                                                  \
    65536 /* rows that are delivered block by block together: 1 MiB of pieces per worker */
#define NPU_OVERHANG 16    /* synapses behind the last one that kernels may read */

static inline uint32_t npu_outdegree(const ql_npu *npu, uint32_t i)
{
    return (uint32_t)(npu->offsets[i + 1] - npu->offsets[i]);
}

/* The worker's targets of a row. */
static inline npu_piece npu_piece_of(const npu_worker *worker, uint32_t source)
{
    const ql_npu *npu = worker->npu;
    npu_piece p = {npu->offsets[source], npu->offsets[source + 1]};

    if (npu->worker_count == 1) return p;
    if (worker->from == 0)
        p.until = p.from + npu->halves[source];
    else
        p.from += npu->halves[source];
    return p;
}

static inline void npu_prefetch(const npu_worker *worker, const void *rows, size_t size_bytes,
                                uint32_t source)
{
    npu_piece p = npu_piece_of(worker, source);
    const char *at = (const char *)rows + p.from * size_bytes;
    const char *end = (const char *)rows + p.until * size_bytes;

    __builtin_prefetch(at); /* Two lines without asking: short rows would be guessed wrong. */
    __builtin_prefetch(at + 64);
    if (end > at + 512) end = at + 512;
    for (at += 128; at < end; at += 64) __builtin_prefetch(at);
}

/* npu_synapses.c */
int npu_build_pull(ql_npu *npu);
void npu_free_synapses(ql_npu *npu);

/* npu_deliver.c: put what the delivered list sends into the worker's sums (and candidates, in list
 * mode). */
const npu_fired *npu_delivered(const ql_npu *npu);
void npu_deliver(npu_worker *worker);
int npu_prepare_method(ql_npu *npu); /* memory that the planned method needs */

/* npu_advance.c: P2 on the worker's range; fills worker->fired. */
void npu_advance(npu_worker *worker);

#endif
