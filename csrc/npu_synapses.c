/* npu_synapses.c: how the spiking simulation keeps its synapses.
 *
 * Synapses wait in a list as they are connected, and are compiled into rows by source when a burst
 * first needs them: a counting sort by source (stable, so parallel synapses keep their age), then
 * each row by target if it is not already. Sorted rows make the halves of two threads, and runs of
 * neighbouring targets, one piece each.
 *
 * Two forms of a row:
 *     packed   u32: target in the low 22 bits, signed weight in the high 10.  The weight is what is
 * sent: +-w*psp, or +-w where the potential is sent.  Needs n <= 2^22, |weight| <= 511, and one psp
 * per row, from which w is recovered by division; psp = 0 would lose w, and an inhibitory w = 0 its
 * sign: not packed. wide     8 bytes: target, w, psp, type.  Everything else, and every network
 * whose weights change.
 *
 * Two forms of a sum:
 *     i32      sum*2^c + count: each arrival adds (b << c) + 1.  The low c bits count arrivals, so
 * a sum of zero from +5 and -5 still shows that something arrived, and "a candidate" is one compare
 * with 0.  c is chosen so that no in-degree overflows it, and the form only if the largest possible
 * sum fits beside it. i64      in units of 2^-20, with a byte per neuron for "arrived". Both are
 * exact and converted to float32 once, so which one is used cannot be seen in the spikes. */
#define _DEFAULT_SOURCE /* madvise */
#include <string.h>
#include <sys/mman.h>

#include "npu.h"

#define SOURCE_PACKED_MAX (1u << NPU_TARGET_BITS)

/* Rows and sums are read at random: fewer, larger pages save a walk per access. Only a hint, so
 * errors are not ours. */
static void prefer_huge_pages(void *block, size_t size_bytes)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t page = 4096;
    uintptr_t from = ((uintptr_t)block + page - 1) & ~(page - 1);
    uintptr_t until = ((uintptr_t)block + size_bytes) & ~(page - 1);

    if (size_bytes >= (1u << 21) && until > from)
        (void)madvise((void *)from, until - from, MADV_HUGEPAGE);
#else
    (void)block;
    (void)size_bytes;
#endif
}

static void *allocate_huge(size_t count, size_t size_bytes)
{
    void *block = ql_alloc(count, size_bytes);

    if (block) prefer_huge_pages(block, count * size_bytes);
    return block;
}

void npu_free_synapses(ql_npu *npu)
{
    ql_free(npu->pending_sources);
    ql_free(npu->pending);
    ql_free(npu->offsets);
    ql_free(npu->halves);
    ql_free(npu->packed);
    ql_free(npu->wide);
    ql_free(npu->row_psp);
    ql_free(npu->in_offsets);
    ql_free(npu->in_packed);
    ql_free(npu->fired_bits);
    ql_free(npu->sums);
    ql_free(npu->wide_sums);
    ql_free(npu->arrived);
}

static int reserve_pending(ql_npu *npu, uint64_t more)
{
    uint64_t wanted = npu->pending_count + more;
    uint64_t capacity = npu->pending_capacity;
    uint32_t *sources;
    npu_synapse *synapses;

    if (wanted + npu->synapse_count > QL_ASSOCIATIONS_MAX) return QL_E_LIMIT;
    if (wanted <= capacity) return QL_OK;
    if (capacity + capacity / 2 > wanted)
        capacity += capacity / 2;
    else
        capacity = wanted;
    sources = ql_realloc(npu->pending_sources, capacity, sizeof *sources);
    if (!sources) return QL_E_MEMORY;
    npu->pending_sources = sources;
    synapses = ql_realloc(npu->pending, capacity, sizeof *synapses);
    if (!synapses) return QL_E_MEMORY;
    npu->pending = synapses;
    npu->pending_capacity = capacity;
    return QL_OK;
}

static int are_below(const uint32_t *ids, uint64_t n, uint32_t limit)
{
    uint32_t highest = 0;

    for (uint64_t i = 0; i < n; i++) highest = ids[i] > highest ? ids[i] : highest;
    return n == 0 || highest < limit;
}

int ql_npu_connect(ql_npu *npu, const uint32_t *sources, const uint32_t *targets,
                   const uint8_t *weights, const uint8_t *psps, const uint8_t *inhibitory,
                   uint64_t n, uint32_t each)
{
    const uint64_t s = (each & QL_NPU_EACH_SOURCE) != 0;
    const uint64_t t = (each & QL_NPU_EACH_TARGET) != 0;
    const uint64_t w = (each & QL_NPU_EACH_WEIGHT) != 0;
    const uint64_t p = (each & QL_NPU_EACH_PSP) != 0;
    const uint64_t h = (each & QL_NPU_EACH_INHIBITORY) != 0;
    uint64_t at;

    assert(npu);
    if (n == 0) return QL_OK;
    if (!are_below(sources, s ? n : 1, npu->n) || !are_below(targets, t ? n : 1, npu->n))
        return QL_E_INVALID;
    QL_TRY(reserve_pending(npu, n));
    at = npu->pending_count;
    for (uint64_t i = 0; i < n; i++) {
        npu->pending_sources[at + i] = sources[i * s];
        npu->pending[at + i] =
            (npu_synapse){targets[i * t], weights[i * w], psps[i * p], inhibitory[i * h] != 0, 0};
    }
    npu->pending_count += n;
    npu->compiled = 0;
    return QL_OK;
}

uint64_t ql_npu_synapse_count(const ql_npu *npu)
{
    return npu->synapse_count + npu->pending_count;
}

/* Row i of the compiled synapses, position j, in the wide form. */
static npu_synapse unpacked(const ql_npu *npu, uint32_t i, uint64_t j)
{
    npu_synapse synapse = {0, 0, 0, 0, 0};
    int32_t sent;
    uint32_t size;

    if (npu->wide) return npu->wide[j];
    sent = (int32_t)npu->packed[j] >> NPU_TARGET_BITS;
    size = (uint32_t)(sent < 0 ? -sent : sent);
    synapse.target = npu->packed[j] & NPU_TARGET_MASK;
    synapse.psp = npu->row_psp[i];
    synapse.weight = (uint8_t)((npu->flags[i] & QL_NPU_MP_DRIVEN) ? size : size / synapse.psp);
    synapse.inhibitory = sent < 0;
    return synapse;
}

/* |b| at most: what a synapse of source i sends if its potential is as large as counts. */
static uint32_t sent_at_most(const ql_npu *npu, uint32_t i, const npu_synapse *synapse)
{
    return (uint32_t)synapse->weight * ((npu->flags[i] & QL_NPU_MP_DRIVEN) ? 255u : synapse->psp);
}

/* Stable by target. Rows mostly come sorted; the rest are short (insertion) or are merged. */
static void sort_row(npu_synapse *row, uint64_t count, npu_synapse *scratch)
{
    uint64_t sorted = 1;

    while (sorted < count && row[sorted - 1].target <= row[sorted].target) sorted++;
    if (sorted >= count) return;
    if (count <= 24) {
        for (uint64_t i = sorted; i < count; i++) {
            npu_synapse moved = row[i];
            uint64_t j = i;
            for (; j > 0 && row[j - 1].target > moved.target; j--) row[j] = row[j - 1];
            row[j] = moved;
        }
        return;
    }
    sort_row(row, count / 2, scratch);
    sort_row(row + count / 2, count - count / 2, scratch);
    memcpy(scratch, row, count / 2 * sizeof *row);
    for (uint64_t left = 0, right = count / 2, out = 0; left < count / 2; out++)
        row[out] = right < count && row[right].target < scratch[left].target ? row[right++]
                                                                             : scratch[left++];
}

typedef struct build {
    uint64_t count;
    uint64_t *offsets;
    npu_synapse *wide;
    uint32_t *packed;
    uint8_t *row_psp;
    uint32_t *halves;
    uint32_t *indegrees;
    uint32_t is_packable;
    uint32_t sent_max;
    uint64_t row_max;
} build;

/* Offsets of the new rows: what is there plus what waits. */
static int count_rows(const ql_npu *npu, build *b)
{
    b->count = npu->synapse_count + npu->pending_count;
    b->offsets = ql_alloc((size_t)npu->n + 1, sizeof *b->offsets);
    if (!b->offsets) return QL_E_MEMORY;
    for (uint64_t j = 0; j < npu->pending_count; j++) b->offsets[npu->pending_sources[j] + 1]++;
    for (uint32_t i = 0; i < npu->n; i++) {
        if (npu->offsets) b->offsets[i + 1] += npu->offsets[i + 1] - npu->offsets[i];
        if (b->offsets[i + 1] > b->row_max) b->row_max = b->offsets[i + 1];
        if (b->offsets[i + 1] > UINT32_MAX) return QL_E_LIMIT;
        b->offsets[i + 1] += b->offsets[i];
    }
    return QL_OK;
}

/* All synapses in the wide form, row by row, old before new. Afterwards offsets[i] is the end of
 * row i - 1 again. */
static void place_rows(const ql_npu *npu, build *b)
{
    uint64_t *next = b->offsets; /* used as cursors, then shifted back by one */

    for (uint32_t i = 0; npu->offsets && i < npu->n; i++)
        for (uint64_t j = npu->offsets[i]; j < npu->offsets[i + 1]; j++)
            b->wide[next[i]++] = unpacked(npu, i, j);
    for (uint64_t j = 0; j < npu->pending_count; j++)
        b->wide[next[npu->pending_sources[j]]++] = npu->pending[j];
    memmove(next + 1, next, npu->n * sizeof *next);
    next[0] = 0;
}

/* Sort each row and learn what forms it allows. */
static void study_rows(const ql_npu *npu, build *b, npu_synapse *scratch)
{
    b->is_packable = npu->n <= SOURCE_PACKED_MAX && !npu->stay_wide;
    for (uint32_t i = 0; i < npu->n; i++) {
        npu_synapse *row = b->wide + b->offsets[i];
        uint64_t count = b->offsets[i + 1] - b->offsets[i];
        uint32_t half = 0;
        int is_driven = (npu->flags[i] & QL_NPU_MP_DRIVEN) != 0;

        sort_row(row, count, scratch);
        b->row_psp[i] = count ? row[0].psp : 0;
        for (uint64_t j = 0; j < count; j++) {
            uint32_t most = sent_at_most(npu, i, &row[j]);
            uint32_t kept = is_driven ? row[j].weight : most;
            if (most > b->sent_max) b->sent_max = most;
            if (kept > NPU_PACKED_MAX || row[j].psp != row[0].psp) b->is_packable = 0;
            if (kept == 0 && (row[j].inhibitory || (!is_driven && row[j].psp == 0)))
                b->is_packable = 0;
            b->indegrees[row[j].target]++;
            half += row[j].target < npu->middle;
        }
        b->halves[i] = half;
    }
}

static void pack_rows(const ql_npu *npu, build *b)
{
    for (uint32_t i = 0; i < npu->n; i++) {
        uint32_t factor = (npu->flags[i] & QL_NPU_MP_DRIVEN) ? 1u : b->row_psp[i];
        for (uint64_t j = b->offsets[i]; j < b->offsets[i + 1]; j++) {
            uint32_t sent = b->wide[j].weight * factor;
            uint32_t bits = b->wide[j].inhibitory ? 0u - sent : sent;
            b->packed[j] = bits << NPU_TARGET_BITS | b->wide[j].target;
        }
    }
}

/* Choose and allocate the sums; see the essay. */
static int choose_sums(const ql_npu *npu, const build *b, int32_t **sums, int64_t **wide_sums,
                       uint8_t **arrived, uint32_t *count_bits)
{
    uint64_t indegree = 0;
    uint32_t bits = 1;

    for (uint32_t i = 0; i < npu->n; i++)
        if (b->indegrees[i] > indegree) indegree = b->indegrees[i];
    while (bits < 32 && indegree >= (uint64_t)1 << bits) bits++;
    *count_bits = bits;
    if (b->is_packable && !npu->has_divided && bits < 20 &&
        ((indegree * b->sent_max + 1) << bits) < (1u << 31)) {
        *sums = allocate_huge(npu->n, sizeof **sums);
        return *sums ? QL_OK : QL_E_MEMORY;
    }
    /* Weights may change later, so what counts is the most that could ever arrive. */
    if (indegree * 65025 >= (uint64_t)1 << (62 - NPU_FRACTION)) return QL_E_LIMIT;
    *wide_sums = allocate_huge(npu->n, sizeof **wide_sums);
    *arrived = ql_alloc(npu->n, sizeof **arrived);
    return *wide_sums && *arrived ? QL_OK : QL_E_MEMORY;
}

static int build_rows(const ql_npu *npu, build *b)
{
    npu_synapse *scratch;

    QL_TRY(count_rows(npu, b));
    b->wide = allocate_huge(b->count, sizeof *b->wide);
    b->row_psp = ql_alloc(npu->n, sizeof *b->row_psp);
    b->halves = ql_alloc(npu->n, sizeof *b->halves);
    b->indegrees = ql_alloc(npu->n, sizeof *b->indegrees);
    scratch = ql_alloc(b->row_max / 2 + 1, sizeof *scratch);
    if (!b->wide || !b->row_psp || !b->halves || !b->indegrees || !scratch) {
        ql_free(scratch);
        return QL_E_MEMORY;
    }
    place_rows(npu, b);
    study_rows(npu, b, scratch);
    ql_free(scratch);
    return QL_OK;
}

int ql_npu_compile(ql_npu *npu)
{
    build b = {0};
    int32_t *sums = NULL;
    int64_t *wide_sums = NULL;
    uint8_t *arrived = NULL;
    uint32_t count_bits = 0;
    int status;

    if (npu->compiled) return QL_OK;
    status = build_rows(npu, &b);
    if (status == QL_OK) status = choose_sums(npu, &b, &sums, &wide_sums, &arrived, &count_bits);
    if (status == QL_OK && b.is_packable) {
        b.packed = allocate_huge(b.count + NPU_OVERHANG, sizeof *b.packed);
        if (!b.packed) status = QL_E_MEMORY;
    }
    ql_free(b.indegrees);
    if (status != QL_OK) {
        ql_free(b.offsets);
        ql_free(b.wide);
        ql_free(b.row_psp);
        ql_free(b.halves);
        ql_free(sums);
        ql_free(wide_sums);
        ql_free(arrived);
        return status;
    }
    if (b.is_packable) {
        pack_rows(npu, &b);
        ql_free(b.wide);
        b.wide = NULL;
    }
    npu_free_synapses(npu);
    npu->pending_sources = NULL;
    npu->pending = NULL;
    npu->pending_count = npu->pending_capacity = 0;
    npu->in_offsets = NULL;
    npu->in_packed = npu->fired_bits = NULL;
    npu->synapse_count = b.count;
    npu->offsets = b.offsets;
    npu->halves = b.halves;
    npu->packed = b.packed;
    npu->wide = b.wide;
    npu->row_psp = b.row_psp;
    npu->sums = sums;
    npu->wide_sums = wide_sums;
    npu->arrived = arrived;
    npu->count_bits = count_bits;
    npu->compiled = 1;
    return QL_OK;
}

/* The rows once more, by target: what pull reads. Only for the packed form with i32 sums. */
int npu_build_pull(ql_npu *npu)
{
    uint64_t *offsets, *next;
    uint32_t *rows;

    if (npu->in_offsets) return QL_OK;
    assert(npu->compiled && npu->packed && npu->sums);
    offsets = ql_alloc((size_t)npu->n + 2, sizeof *offsets);
    rows = allocate_huge(npu->synapse_count, sizeof *rows);
    npu->fired_bits = ql_alloc((size_t)npu->n / 32 + 1, sizeof *npu->fired_bits);
    if (!offsets || !rows || !npu->fired_bits) {
        ql_free(offsets);
        ql_free(rows);
        ql_free(npu->fired_bits);
        npu->fired_bits = NULL;
        return QL_E_MEMORY;
    }
    next = offsets + 1; /* row t is placed through next[t], which ends as the start of row t + 1 */
    for (uint64_t j = 0; j < npu->synapse_count; j++)
        offsets[(npu->packed[j] & NPU_TARGET_MASK) + 2]++;
    for (uint32_t t = 0; t < npu->n; t++) offsets[t + 2] += offsets[t + 1];
    for (uint32_t i = 0; i < npu->n; i++)
        for (uint64_t j = npu->offsets[i]; j < npu->offsets[i + 1]; j++) {
            uint32_t target = npu->packed[j] & NPU_TARGET_MASK;
            rows[next[target]++] = (npu->packed[j] & ~NPU_TARGET_MASK) | i;
        }
    npu->in_offsets = offsets;
    npu->in_packed = rows;
    return QL_OK;
}

int ql_npu_offsets(ql_npu *npu, uint64_t *offsets)
{
    QL_TRY(ql_npu_compile(npu));
    memcpy(offsets, npu->offsets, ((size_t)npu->n + 1) * sizeof *offsets);
    return QL_OK;
}

/* The row that holds position j. */
static uint32_t row_of(const ql_npu *npu, uint64_t j)
{
    uint32_t low = 0, high = npu->n; /* offsets[low] <= j < offsets[high] */

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (npu->offsets[middle] <= j)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int ql_npu_synapses(ql_npu *npu, uint64_t first, uint64_t n, uint32_t *targets, uint8_t *weights,
                    uint8_t *psps, uint8_t *inhibitory)
{
    uint32_t row;

    QL_TRY(ql_npu_compile(npu));
    if (first > npu->synapse_count || n > npu->synapse_count - first) return QL_E_INVALID;
    row = n ? row_of(npu, first) : 0;
    for (uint64_t k = 0; k < n; k++) {
        npu_synapse synapse;
        while (npu->offsets[row + 1] <= first + k) row++;
        synapse = unpacked(npu, row, first + k);
        targets[k] = synapse.target;
        weights[k] = synapse.weight;
        psps[k] = synapse.psp;
        inhibitory[k] = synapse.inhibitory;
    }
    return QL_OK;
}

/* Set weights by position. The network turns to the wide form at the first call, once. */
int ql_npu_reweigh(ql_npu *npu, const uint64_t *positions, const uint8_t *weights, uint64_t n)
{
    QL_TRY(ql_npu_compile(npu));
    for (uint64_t k = 0; k < n; k++)
        if (positions[k] >= npu->synapse_count) return QL_E_INVALID;
    if (!npu->wide) {
        npu->stay_wide = 1;
        npu->compiled = 0;
        QL_TRY(ql_npu_compile(npu));
    }
    for (uint64_t k = 0; k < n; k++) npu->wide[positions[k]].weight = weights[k];
    return QL_OK;
}
