/* npu_deliver.c: how the spikes of an earlier burst reach their targets.
 *
 * The wall is the read-modify-write of one sum per delivery, so the three ways differ only in where
 * those sums lie: push     for each fired neuron, for each synapse of its row: sum[target] += b.
 * Rows are read in order and prefetched 8 rows ahead.  Good while the sums fit the caches, or while
 * few neurons fire. blocked  the rows are walked once per block of 131,072 targets, each from where
 * the block before left it: the sums of a block stay in L2.  Rows are sorted, so a block is one
 * piece of each.  Good when the sums do not fit the caches.  (Bins of synapses per block, written
 * once and added block by block, took twice as long as push.) pull     for each target, for each
 * stored in-synapse: add if the source's bit is set.  No sum is ever fetched twice, but every
 * synapse is read whatever fires.  Good when most neurons fire and gathers are cheap. Each thread
 * does this for its own half of the targets (rows are sorted, so a half is a piece of each row): no
 * atomics and no merge.  Integer sums have no order, so threads and ways give the same bits.
 *
 * In list mode (few arrivals) the first arrival at a neuron also appends it to the worker's
 * candidate list; in dense mode every neuron of the range is looked at afterwards. */
#include <math.h>

#include "npu.h"

#define ROWS_AHEAD 8

const npu_fired *npu_delivered(const ql_npu *npu)
{
    return &npu->queue[npu->burst % npu->delay];
}

/* What an mp_driven neuron sends: its potential at firing as a whole number, halves away from zero,
 * in 0..255. */
static inline int32_t whole_potential(float at)
{
    if (!(at > 0.0f)) return 0;
    return at >= 255.0f ? 255 : (int32_t)roundf(at);
}

static inline int32_t factor_of(const ql_npu *npu, const npu_fired *fired, uint32_t k)
{
    return (npu->flags[fired->ids[k]] & QL_NPU_MP_DRIVEN) ? whole_potential(fired->at[k]) : 1;
}

static inline void add_packed(int32_t *sums, uint32_t synapse, int32_t factor)
{
    sums[synapse & NPU_TARGET_MASK] += ((int32_t)synapse >> NPU_TARGET_BITS) * factor + 1;
}

/* is_list, is_driven: constants in each caller, so that each gets a loop of its own. */
static inline __attribute__((always_inline)) void push_packed(npu_worker *worker, int is_list,
                                                              int is_driven)
{
    const ql_npu *npu = worker->npu;
    const npu_fired *fired = npu_delivered(npu);
    const uint32_t *packed = npu->packed;
    /* Shifts by a register are slower than a product. */
    const int32_t unit = (int32_t)1 << npu->count_bits;
    int32_t *sums = npu->sums;
    uint32_t *list = worker->list;
    uint32_t listed = worker->list_count;

    for (uint32_t k = 0; k < fired->count; k++) {
        const npu_piece p = npu_piece_of(worker, fired->ids[k]);
        const int32_t factor = is_driven ? factor_of(npu, fired, k) * unit : unit;

        if (k + ROWS_AHEAD < fired->count)
            npu_prefetch(worker, packed, sizeof *packed, fired->ids[k + ROWS_AHEAD]);
        uint64_t j = p.from;
        /* Unrolled: a third less time where rows are short. */
        for (; !is_list && j + 4 <= p.until; j += 4) {
            add_packed(sums, packed[j], factor);
            add_packed(sums, packed[j + 1], factor);
            add_packed(sums, packed[j + 2], factor);
            add_packed(sums, packed[j + 3], factor);
        }
        for (; j < p.until; j++) {
            uint32_t target = packed[j] & NPU_TARGET_MASK;
            int32_t sent = ((int32_t)packed[j] >> NPU_TARGET_BITS) * factor;
            int32_t before = sums[target];
            if (is_list) {
                list[listed] = target;
                listed += before == 0;
            }
            sums[target] = before + sent + 1;
        }
    }
    worker->list_count = listed;
}

static void push_packed_any(npu_worker *worker)
{
    if (!worker->npu->dense) {
        if (worker->npu->has_driven)
            push_packed(worker, 1, 1);
        else
            push_packed(worker, 1, 0);
    } else if (worker->npu->has_driven)
        push_packed(worker, 0, 1);
    else
        push_packed(worker, 0, 0);
}

/* b or b/outdeg in units of 2^-20, rounded once, halves away from zero.  The division in double is
 * exact enough: a quotient that is not a tie is at least 1/(2*outdeg) away from one, which is more
 * than its rounding error. */
static inline int64_t fixed(int32_t sent, int is_uniform, double outdegree)
{
    double size = (double)((int64_t)(sent < 0 ? -sent : sent) << NPU_FRACTION);
    int64_t rounded = (int64_t)(is_uniform ? size : size / outdegree + 0.5);

    return sent < 0 ? -rounded : rounded;
}

static void push_wide_sums(npu_worker *worker)
{
    const ql_npu *npu = worker->npu;
    const npu_fired *fired = npu_delivered(npu);
    const int is_list = !npu->dense;

    for (uint32_t k = 0; k < fired->count; k++) {
        const uint32_t source = fired->ids[k];
        const npu_piece p = npu_piece_of(worker, source);
        const int is_driven = (npu->flags[source] & QL_NPU_MP_DRIVEN) != 0;
        const int is_uniform = (npu->flags[source] & QL_NPU_UNIFORM) != 0;
        const int32_t factor = factor_of(npu, fired, k);
        const double outdegree = npu_outdegree(npu, source);

        if (k + ROWS_AHEAD < fired->count) {
            if (npu->packed)
                npu_prefetch(worker, npu->packed, sizeof *npu->packed, fired->ids[k + ROWS_AHEAD]);
            else
                npu_prefetch(worker, npu->wide, sizeof *npu->wide, fired->ids[k + ROWS_AHEAD]);
        }
        for (uint64_t j = p.from; j < p.until; j++) {
            uint32_t target;
            int32_t sent;
            if (npu->packed) {
                target = npu->packed[j] & NPU_TARGET_MASK;
                sent = ((int32_t)npu->packed[j] >> NPU_TARGET_BITS) * factor;
            } else {
                const npu_synapse *s = &npu->wide[j];
                target = s->target;
                sent = s->weight * (is_driven ? factor : s->psp);
                sent = s->inhibitory ? -sent : sent;
            }
            if (is_list && !npu->arrived[target]) worker->list[worker->list_count++] = target;
            npu->arrived[target] = 1;
            npu->wide_sums[target] += fixed(sent, is_uniform, outdegree);
        }
    }
}

static void pull(npu_worker *worker)
{
    const ql_npu *npu = worker->npu;
    const npu_kernels *kernels = npu_kernels_active();

    for (uint32_t t = worker->from; t < worker->until; t++) {
        const uint32_t *row = npu->in_packed + npu->in_offsets[t];
        npu->sums[t] = kernels->pull(row, npu->in_offsets[t + 1] - npu->in_offsets[t],
                                     npu->fired_bits, npu->count_bits);
    }
}

/* Memory and tables that the planned way needs; before the workers start. */
int npu_prepare_method(ql_npu *npu)
{
    const npu_fired *fired = npu_delivered(npu);

    if (npu->method == QL_NPU_PULL) {
        QL_TRY(npu_build_pull(npu));
        for (uint32_t w = 0; w <= npu->n / 32; w++) npu->fired_bits[w] = 0;
        for (uint32_t k = 0; k < fired->count; k++)
            npu->fired_bits[fired->ids[k] >> 5] |= 1u << (fired->ids[k] & 31);
    }
    for (uint32_t w = 0; npu->method == QL_NPU_BLOCKED && w < npu->worker_count; w++) {
        npu_worker *worker = &npu->workers[w];
        if (!worker->pieces) worker->pieces = ql_alloc(NPU_BATCH, sizeof *worker->pieces);
        if (!worker->pieces) return QL_E_MEMORY;
    }
    return QL_OK;
}

void npu_deliver(npu_worker *worker)
{
    if (!worker->npu->sums)
        push_wide_sums(worker);
    else if (worker->npu->method == QL_NPU_PULL)
        pull(worker);
    else if (worker->npu->method == QL_NPU_BLOCKED)
        npu_kernels_active()->push_blocked(worker, npu_delivered(worker->npu));
    else
        push_packed_any(worker);
}
