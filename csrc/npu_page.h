/* npu_page.h: the kernels of the spiking simulation, written once; npu_portable.c, npu_avx2.c and
 * npu_avx512.c include it, each under its own target.
 *
 * Plain loops without branches over columns, so that every compiler vectorises them under each
 * target: one definition to believe, and no intrinsics.  All arithmetic is exact integers, or one
 * float32 operation at a time in the order of the rule (no a*b+c that a compiler could contract),
 * so every instruction set gives the same bits; that is a test. */
#ifndef QL_NPU_PAGE_H
#define QL_NPU_PAGE_H

#include <math.h>
#include <string.h>

#include "npu.h"

/* The columns of a page never overlap; without being told, compilers give up on so many of them. */
#if defined(__clang__)
#define NPU_INDEPENDENT QL_PRAGMA(clang loop vectorize(assume_safety))
#else
#define NPU_INDEPENDENT QL_PRAGMA(GCC ivdep)
#endif

/* on ? a : b for on = 0 or 1, as bits: a conditional here would become a branch, and a branch ends
 * vectorisation. */
static inline float npu_pick(uint32_t on, float a, float b)
{
    uint32_t mask = 0u - on, x, y;

    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    x = (x & mask) | (y & ~mask);
    memcpy(&a, &x, sizeof a);
    return a;
}

static uint32_t take(int32_t *sums, uint32_t count, uint32_t count_bits, float *in,
                     uint32_t *candidate)
{
    uint32_t any = 0;

    NPU_INDEPENDENT
    for (uint32_t j = 0; j < count; j++) {
        int32_t sum = sums[j];
        sums[j] = 0;
        in[j] = (float)(sum >> count_bits);
        candidate[j] = sum != 0;
        any |= (uint32_t)sum;
    }
    return any != 0;
}

static void outside(uint32_t count, const float *staged, const uint8_t *staged_mark,
                    const float *drive, const uint8_t *drive_mark, uint32_t clamp, float *in,
                    uint32_t *candidate)
{
    const float lowest = clamp ? 0.0f : -INFINITY;

    NPU_INDEPENDENT
    for (uint32_t j = 0; j < count; j++) {
        float outside = staged[j] + drive[j];
        float sum = outside + in[j];
        in[j] = sum < lowest ? 0.0f : sum;
        candidate[j] |= (uint32_t)(staged_mark[j] | drive_mark[j]);
    }
}

/* The common case: nothing rests, every window is open upwards, every neuron at its threshold
 * fires. */
static void advance_plain(npu_page *p)
{
    const uint32_t count = p->count;
    const float *restrict in = p->incoming;
    const uint32_t *restrict candidate = p->candidate;
    const float *restrict threshold = p->threshold;
    const float *restrict keep = p->keep;
    float *restrict v = p->v;
    float *restrict at = p->at;
    uint32_t *restrict fired = p->fired;

    NPU_INDEPENDENT
    for (uint32_t j = 0; j < count; j++) {
        float before = v[j];
        float charged = before + in[j];
        float kept = charged * keep[j];
        uint32_t live = candidate[j];
        uint32_t above = charged >= threshold[j];
        uint32_t fire = live & above;
        float next = npu_pick(live, kept, before);
        at[j] = charged;
        v[j] = npu_pick(fire, 0.0f, next);
        fired[j] = fire;
    }
}

/* take, outside and advance_plain at once: three passes over scratch columns cost four times as
 * much. */
static void charge(npu_page *p)
{
    const uint32_t count = p->count;
    const uint32_t count_bits = p->count_bits;
    const float lowest = p->clamp ? 0.0f : -INFINITY;
    const float *restrict drive = p->drive;
    const uint8_t *restrict drive_mark = p->drive_mark;
    const float *restrict threshold = p->threshold;
    const float *restrict keep = p->keep;
    int32_t *restrict sums = p->sums;
    float *restrict v = p->v;
    float *restrict at = p->at;
    uint32_t *restrict fired = p->fired;

    NPU_INDEPENDENT
    for (uint32_t j = 0; j < count; j++) {
        int32_t sum = sums[j];
        float sent = drive[j] + (float)(sum >> count_bits);
        float in = sent < lowest ? 0.0f : sent;
        float before = v[j];
        float charged = before + in;
        float kept = charged * keep[j];
        uint32_t live = (uint32_t)(sum != 0) | drive_mark[j];
        uint32_t above = charged >= threshold[j];
        uint32_t fire = live & above;
        float next = npu_pick(live, kept, before);
        sums[j] = 0;
        at[j] = charged;
        v[j] = npu_pick(fire, 0.0f, next);
        fired[j] = fire;
    }
}

static void advance_full(npu_page *p)
{
    const uint32_t count = p->count;
    const uint32_t first = p->first;
    const uint32_t mixed = p->mixed_burst;
    const uint32_t *restrict lane = p->lane;
    const float *restrict in = p->incoming;
    const uint32_t *restrict candidate = p->candidate;
    const float *restrict threshold = p->threshold;
    const float *restrict limit = p->limit;
    const float *restrict keep = p->keep;
    const float *restrict excitability = p->excitability;
    const uint16_t *restrict refractory = p->refractory;
    const uint16_t *restrict fire_limit = p->fire_limit;
    const uint16_t *restrict snooze = p->snooze;
    float *restrict v = p->v;
    float *restrict at = p->at;
    uint16_t *restrict countdown = p->countdown;
    uint16_t *restrict consecutive = p->consecutive;
    uint32_t *restrict fired = p->fired;

    NPU_INDEPENDENT
    for (uint32_t j = 0; j < count; j++) {
        const float chance = excitability[j];
        const float top = limit[j];
        const float before = v[j];
        const float added = before + in[j];
        const int32_t most = fire_limit[j];
        const int32_t run = consecutive[j];
        const int32_t wait = countdown[j];
        const int32_t asleep = snooze[j];
        const int32_t is_candidate = (int32_t)candidate[j];
        const int32_t limited = most > 0;
        const int32_t full = limited & (run >= most);
        const int32_t resting = is_candidate & (wait > 0); /* 1 */
        const int32_t live = is_candidate & (wait == 0);
        const int32_t left = wait - resting;
        const int32_t woken = resting & (left == 0) & full;
        const float charged = npu_pick((uint32_t)live, added, before); /* 2 */
        const int32_t inside = (top == 0.0f) | (charged <= top);
        const int32_t above = live & (charged >= threshold[j]) & inside; /* 3 */
        const int32_t spent = above & full; /* 4 */
        const uint32_t x = (first + lane[j]) * 2654435761u + mixed;
        const uint32_t s = x * 747796405u + 2891336453u;
        const uint32_t w = ((s >> ((s >> 28) + 4)) ^ s) * 277803737u;
        const uint32_t h = (w >> 22) ^ w;
        /* Exact, so the next sum rounds once, as (float)h. */
        const float high = (float)(int32_t)(h >> 16) * 65536.0f;
        const float draw = (high + (float)(int32_t)(h & 65535)) * 0x1p-32f;
        const int32_t lucky = (chance >= 0.999f) | ((chance > 0.0f) & (draw < chance)); /* 5 */
        const int32_t fire = above & (spent ^ 1) & lucky;
        const int32_t rest = live & (spent ^ 1) & (fire ^ 1);
        const int32_t longer = run + (run < 65535);
        const int32_t tired = fire & limited & (longer >= most);
        const int32_t over = woken | spent | (rest & limited);
        const int32_t ongoing = run & (over - 1);
        const int32_t pause = refractory[j] + (asleep & -tired);
        const float kept = charged * keep[j]; /* 7 */
        const float after = npu_pick((uint32_t)rest, kept, charged);
        at[j] = charged;
        v[j] = npu_pick((uint32_t)fire, 0.0f, after); /* 6 */
        consecutive[j] = (uint16_t)((longer & -fire) | (ongoing & (fire - 1)));
        countdown[j] = (uint16_t)((pause & -fire) | (left & (fire - 1)));
        fired[j] = (uint32_t)fire;
    }
}

static void advance(npu_page *p)
{
    if (p->plain)
        advance_plain(p);
    else
        advance_full(p);
}

static int32_t pull(const uint32_t *row, uint64_t count, const uint32_t *fired_bits,
                    uint32_t count_bits)
{
    uint32_t sum = 0;

    for (uint64_t j = 0; j < count; j++) {
        uint32_t source = row[j] & NPU_TARGET_MASK;
        uint32_t on = 0u - ((fired_bits[source >> 5] >> (source & 31)) & 1u);
        uint32_t signed_weight = (uint32_t)((int32_t)row[j] >> NPU_TARGET_BITS);
        sum += ((signed_weight << count_bits) + 1u) & on;
    }
    return (int32_t)sum;
}

/* Copy up to 16 synapses, those in front whose target is below end; how many. Room for 16, 16
 * readable. */
#ifndef NPU_LEADING
#define NPU_LEADING leading
static inline uint32_t leading(const uint32_t *row, uint32_t count, uint32_t end, uint32_t *out)
{
    uint32_t got = 0;

    for (; got < count && (row[got] & NPU_TARGET_MASK) < end; got++) out[got] = row[got];
    return got;
}
#endif

#define NPU_BUFFER 2048
#define NPU_PIECES_AHEAD 12

static inline void add_buffer(const uint32_t *buffer, uint32_t count, int32_t *sums, int32_t unit)
{
    for (uint32_t j = 0; j < count; j++)
        sums[buffer[j] & NPU_TARGET_MASK] += ((int32_t)buffer[j] >> NPU_TARGET_BITS) * unit + 1;
}

/* Deliver what the pieces hold of targets below end.  Pieces are short and of any length: copied
 * together first, they are added in a loop whose end is not guessed wrong. */
static void add_block(const npu_worker *worker, uint32_t count, uint32_t end)
{
    const uint32_t *packed = worker->npu->packed;
    const int32_t unit = (int32_t)1 << worker->npu->count_bits;
    uint32_t buffer[NPU_BUFFER + 16];
    uint32_t filled = 0;

    for (uint32_t k = 0; k < count; k++) {
        npu_piece p = worker->pieces[k];

        if (k + NPU_PIECES_AHEAD < count) { /* Half of the pieces reach into a second line. */
            __builtin_prefetch(packed + worker->pieces[k + NPU_PIECES_AHEAD].from);
            __builtin_prefetch(packed + worker->pieces[k + NPU_PIECES_AHEAD].from + 8);
        }
        while (p.from < p.until) {
            uint32_t left = p.until - p.from < 16 ? (uint32_t)(p.until - p.from) : 16;
            uint32_t got = NPU_LEADING(packed + p.from, left, end, buffer + filled);
            p.from += got;
            filled += got;
            if (filled >= NPU_BUFFER) {
                add_buffer(buffer, filled, worker->npu->sums, unit);
                filled = 0;
            }
            if (got < 16) break;
        }
        worker->pieces[k].from = p.from;
    }
    add_buffer(buffer, filled, worker->npu->sums, unit);
}

static void push_blocked(npu_worker *worker, const npu_fired *fired)
{
    const uint32_t blocks = (worker->until - worker->from - 1) / NPU_BLOCK + 1;
    const uint32_t width = (worker->until - worker->from - 1) / blocks + 1;

    for (uint32_t first = 0; first < fired->count; first += NPU_BATCH) {
        const uint32_t count = fired->count - first < NPU_BATCH ? fired->count - first : NPU_BATCH;
        for (uint32_t k = 0; k < count; k++)
            worker->pieces[k] = npu_piece_of(worker, fired->ids[first + k]);
        for (uint32_t b = 1; b < blocks; b++) add_block(worker, count, worker->from + b * width);
        add_block(worker, count, worker->until);
    }
}

#ifndef NPU_COMPACT
#define NPU_COMPACT compact
static uint32_t compact(const uint32_t *fired, uint32_t count, uint32_t first, uint32_t *ids)
{
    uint32_t total = 0;

    for (uint32_t from = 0; from < count; from += 16) {
        const uint32_t until = count - from < 16 ? count : from + 16;
        uint32_t any = 0;
        for (uint32_t j = from; j < until; j++) any |= fired[j];
        if (!any) continue;
        /* Without branches: which of them fired cannot be predicted. */
        for (uint32_t j = from; j < until; j++) {
            ids[total] = first + j;
            total += fired[j];
        }
    }
    return total;
}
#endif

#define NPU_TABLE(title)                                                                           \
    {.name = title,                                                                                \
     .take = take,                                                                                 \
     .outside = outside,                                                                           \
     .advance = advance,                                                                           \
     .charge = charge,                                                                             \
     .compact = NPU_COMPACT,                                                                       \
     .push_blocked = push_blocked,                                                                 \
     .pull = pull}

#endif
