/* npu.c: a discrete-time spiking simulation over a graph: neurons, what is put into them, and the
 * run of bursts.
 *
 * The rule is that of the FEAGI engine (release 2.6.10), kept bit for bit.  In a burst t every
 * candidate (a neuron to which anything came, be it a sum of zero) adds what came to its potential,
 * fires if the potential lies in its window and its draw allows, and else leaks; its synapses
 * deliver `delay` bursts later.  Numbers in comments of the kernels are the steps of the rule: 1
 * resting: count down, the input is lost    2 V += I                  3 threshold <= V <= limit 4
 * fired too often in a row: skip one burst  5 draw R(i,t)             6 fire: V = 0, rest 7 not
 * fired: V *= 1 - leak
 *
 * I of a neuron is ((injected + driven) + sent): two float32 additions, where `sent` is the exact
 * sum of its synapses converted to float32 once.  Nothing depends on an order, so threads,
 * instruction sets and ways of delivery agree.
 *
 * A burst has four phases.  The caller's thread plans (which way to deliver, list or dense mode),
 * all workers deliver into their own half of the targets and advance it, and the caller's thread
 * collects who fired.  Two barriers part them; workers live as long as one ql_npu_run.
 *
 * Memory per neuron: potential 4, sum 4, rests 4, flags 1, row 13 bytes, plus 4 per parameter that
 * is given per neuron; per synapse 4 (npu_synapses.c).  Files: npu_run.c bursts, npu_synapses.c
 * rows, npu_deliver.c P1, npu_advance.c and npu_page.h P2. */
#include <math.h>
#include <string.h>

#include "npu.h"

static void close_worker(npu_worker *worker)
{
    ql_free(worker->fired.ids);
    ql_free(worker->fired.at);
    ql_free(worker->list);
    ql_free(worker->seen_bits);
    ql_free(worker->seen_words);
    ql_free(worker->at_fire);
    ql_free(worker->pieces);
}

void ql_npu_close(ql_npu *npu)
{
    if (!npu) return;
    npu_free_synapses(npu);
    for (int c = 0; c < NPU_FLOATS; c++) ql_free(npu->floats[c].each);
    for (int c = 0; c < NPU_SHORTS; c++) ql_free(npu->shorts[c].each);
    for (uint32_t d = 0; npu->queue && d < npu->delay; d++) {
        ql_free(npu->queue[d].ids);
        ql_free(npu->queue[d].at);
    }
    for (int w = 0; w < NPU_THREADS; w++) close_worker(&npu->workers[w]);
    ql_free(npu->queue);
    ql_free(npu->flags);
    ql_free(npu->forgetful);
    ql_free(npu->v);
    ql_free(npu->countdown);
    ql_free(npu->consecutive);
    ql_free(npu->staged);
    ql_free(npu->staged_mark);
    ql_free(npu->staged_ids);
    ql_free(npu->drive);
    ql_free(npu->drive_mark);
    ql_free(npu->driven_ids);
    ql_free(npu->forced_ids);
    ql_free(npu->forced_at);
    ql_free(npu);
}

static int open_arrays(ql_npu *npu)
{
    npu->v = ql_alloc(npu->n, sizeof *npu->v);
    npu->countdown = ql_alloc(npu->n, sizeof *npu->countdown);
    npu->consecutive = ql_alloc(npu->n, sizeof *npu->consecutive);
    npu->flags = ql_alloc(npu->n, sizeof *npu->flags);
    npu->queue = ql_alloc(npu->delay, sizeof *npu->queue);
    if (!npu->v || !npu->countdown || !npu->consecutive || !npu->flags || !npu->queue)
        return QL_E_MEMORY;
    /* Room for all: pages that are never used are never paid for. */
    for (uint32_t d = 0; d < npu->delay; d++) {
        npu->queue[d].ids = ql_alloc(npu->n, sizeof *npu->queue[d].ids);
        npu->queue[d].at = ql_alloc(npu->n, sizeof *npu->queue[d].at);
        if (!npu->queue[d].ids || !npu->queue[d].at) return QL_E_MEMORY;
    }
    return QL_OK;
}

int ql_npu_open(uint32_t n, uint32_t first_id, uint32_t delay, uint32_t signed_input, ql_npu **out)
{
    const float one = 1.0f;
    const uint8_t flags = QL_NPU_UNIFORM | QL_NPU_ACCUMULATE;
    ql_npu *npu;
    int status;

    if (n == 0 || delay == 0 || delay > QL_NPU_DELAY_MAX || signed_input > 1) return QL_E_INVALID;
    if (n > QL_NPU_NEURONS_MAX) return QL_E_LIMIT;
    npu = ql_alloc(1, sizeof *npu);
    if (!npu) return QL_E_MEMORY;
    npu->n = n;
    npu->first_id = first_id;
    npu->delay = delay;
    npu->signed_input = signed_input;
    npu->burst = 1;
    npu->middle = n / 2 / 64 * 64; /* whole words of bits on either side */
    status = open_arrays(npu);
    if (status == QL_OK) status = ql_npu_set_floats(npu, QL_NPU_THRESHOLD, &one, 1);
    if (status == QL_OK) status = ql_npu_set_floats(npu, QL_NPU_EXCITABILITY, &one, 1);
    if (status == QL_OK) status = ql_npu_set_floats(npu, QL_NPU_LEAK, &(float){0.0f}, 1);
    if (status == QL_OK) status = ql_npu_set_flags(npu, &flags, 1);
    if (status != QL_OK) {
        ql_npu_close(npu);
        return status;
    }
    *out = npu;
    return QL_OK;
}

/* Whether the short kernel does: nothing rests, no fire limit, no upper limit, all fire surely. */
static void study_parameters(ql_npu *npu)
{
    npu->plain = 1;
    for (uint32_t i = 0; i < npu->n && npu->plain; i++) {
        const uint32_t j = i < NPU_PAGE ? i : 0;
        float limit = npu->floats[QL_NPU_LIMIT].each ? npu->floats[QL_NPU_LIMIT].each[i]
                                                     : npu->floats[QL_NPU_LIMIT].same[j];
        const npu_floats *chance = &npu->floats[QL_NPU_EXCITABILITY];
        const npu_shorts *rests = &npu->shorts[QL_NPU_REFRACTORY];
        const npu_shorts *limits = &npu->shorts[QL_NPU_FIRE_LIMIT];
        if (limit != 0.0f || (chance->each ? chance->each[i] : chance->same[j]) < 0.999f ||
            (rests->each ? rests->each[i] : rests->same[j]) ||
            (limits->each ? limits->each[i] : limits->same[j]) || npu->countdown[i])
            npu->plain = 0;
    }
}

int ql_npu_set_floats(ql_npu *npu, int column, const float *values, uint32_t count)
{
    float *each;

    if (column < 0 || column > QL_NPU_POTENTIAL || (count != 1 && count != npu->n))
        return QL_E_INVALID;
    for (uint32_t i = 0; i < count; i++)
        if (!isfinite(values[i])) return QL_E_INVALID;
    if (column == QL_NPU_POTENTIAL) {
        for (uint32_t i = 0; i < npu->n; i++) npu->v[i] = values[count == 1 ? 0 : i];
        return QL_OK;
    }
    if (count == 1) {
        ql_free(npu->floats[column].each);
        npu->floats[column].each = NULL;
        for (uint32_t j = 0; j < NPU_PAGE; j++)
            npu->floats[column].same[j] = column == QL_NPU_LEAK ? 1.0f - values[0] : values[0];
    } else {
        each = ql_realloc(npu->floats[column].each, count, sizeof *each);
        if (!each) return QL_E_MEMORY;
        for (uint32_t i = 0; i < count; i++)
            each[i] = column == QL_NPU_LEAK ? 1.0f - values[i] : values[i];
        npu->floats[column].each = each;
    }
    study_parameters(npu);
    return QL_OK;
}

int ql_npu_set_shorts(ql_npu *npu, int column, const uint16_t *values, uint32_t count)
{
    uint16_t *each;

    if (column < 0 || column > QL_NPU_CONSECUTIVE || (count != 1 && count != npu->n))
        return QL_E_INVALID;
    if (column >= QL_NPU_COUNTDOWN) {
        uint16_t *state = column == QL_NPU_COUNTDOWN ? npu->countdown : npu->consecutive;
        for (uint32_t i = 0; i < npu->n; i++) state[i] = values[count == 1 ? 0 : i];
        study_parameters(npu);
        return QL_OK;
    }
    each = ql_realloc(npu->shorts[column].each, count, sizeof *each);
    if (!each) return QL_E_MEMORY;
    npu->shorts[column].each = each;
    for (uint32_t i = 0; i < count; i++)
        each[i] = column == QL_NPU_FIRE_LIMIT && values[i] == UINT16_MAX ? 0 : values[i];
    if (count == 1) {
        for (uint32_t j = 0; j < NPU_PAGE; j++) npu->shorts[column].same[j] = each[0];
        ql_free(each);
        npu->shorts[column].each = NULL;
    }
    study_parameters(npu);
    return QL_OK;
}

int ql_npu_set_flags(ql_npu *npu, const uint8_t *values, uint32_t count)
{
    uint32_t *forgetful;
    uint32_t forgetting = 0;

    if (count != 1 && count != npu->n) return QL_E_INVALID;
    if (ql_npu_synapse_count(npu)) return QL_E_INVALID; /* Rows are packed by them. */
    for (uint32_t i = 0; i < npu->n; i++)
        forgetting += !(values[count == 1 ? 0 : i] & QL_NPU_ACCUMULATE);
    forgetful = ql_alloc(forgetting, sizeof *forgetful);
    if (!forgetful) return QL_E_MEMORY;
    ql_free(npu->forgetful);
    npu->forgetful = forgetful;
    npu->forgetful_count = 0;
    npu->has_divided = npu->has_driven = 0;
    for (uint32_t i = 0; i < npu->n; i++) {
        npu->flags[i] = values[count == 1 ? 0 : i];
        npu->has_divided |= !(npu->flags[i] & QL_NPU_UNIFORM);
        npu->has_driven |= (npu->flags[i] & QL_NPU_MP_DRIVEN) != 0;
        if (!(npu->flags[i] & QL_NPU_ACCUMULATE)) forgetful[npu->forgetful_count++] = i;
    }
    return QL_OK;
}

int ql_npu_potentials(const ql_npu *npu, float *values)
{
    memcpy(values, npu->v, npu->n * sizeof *values);
    return QL_OK;
}

int ql_npu_rests(const ql_npu *npu, uint16_t *countdown, uint16_t *consecutive)
{
    memcpy(countdown, npu->countdown, npu->n * sizeof *countdown);
    memcpy(consecutive, npu->consecutive, npu->n * sizeof *consecutive);
    return QL_OK;
}

/* ---- What is put in from outside ---- */

static int check_amounts(const ql_npu *npu, const uint32_t *ids, const float *amounts, uint32_t n,
                         uint32_t each)
{
    for (uint32_t k = 0; ids && k < n; k++)
        if (ids[k] >= npu->n) return QL_E_INVALID;
    for (uint32_t k = 0; k < (each ? n : 1); k++)
        if (!isfinite(amounts[k])) return QL_E_INVALID;
    return QL_OK;
}

static int open_drive(ql_npu *npu)
{
    if (!npu->drive) npu->drive = ql_alloc(npu->n, sizeof *npu->drive);
    if (!npu->drive_mark) npu->drive_mark = ql_alloc(npu->n, sizeof *npu->drive_mark);
    if (!npu->driven_ids) npu->driven_ids = ql_alloc(npu->n, sizeof *npu->driven_ids);
    return npu->drive && npu->drive_mark && npu->driven_ids ? QL_OK : QL_E_MEMORY;
}

int ql_npu_drive(ql_npu *npu, const uint32_t *ids, const float *amounts, uint32_t n, uint32_t each)
{
    const uint32_t count = ids ? n : npu->n;

    if (!ids && each && n != npu->n) return QL_E_INVALID;
    if (count == 0) return QL_OK;
    QL_TRY(check_amounts(npu, ids, amounts, count, each));
    QL_TRY(open_drive(npu));
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = ids ? ids[k] : k;
        npu->drive[i] += amounts[each ? k : 0];
        npu->drive_mark[i] = 1;
    }
    npu->driven_count = 0;
    for (uint32_t i = 0; i < npu->n; i++)
        if (npu->drive_mark[i]) npu->driven_ids[npu->driven_count++] = i;
    return QL_OK;
}

int ql_npu_drive_stop(ql_npu *npu)
{
    for (uint32_t k = 0; k < npu->driven_count; k++) {
        npu->drive[npu->driven_ids[k]] = 0.0f;
        npu->drive_mark[npu->driven_ids[k]] = 0;
    }
    npu->driven_count = 0;
    return QL_OK;
}

int ql_npu_inject(ql_npu *npu, const uint32_t *ids, const float *amounts, uint32_t n, uint32_t each)
{
    if (n == 0) return QL_OK;
    QL_TRY(check_amounts(npu, ids, amounts, n, each));
    if (!npu->staged) npu->staged = ql_alloc(npu->n, sizeof *npu->staged);
    if (!npu->staged_mark) npu->staged_mark = ql_alloc(npu->n, sizeof *npu->staged_mark);
    if (!npu->staged_ids) npu->staged_ids = ql_alloc(npu->n, sizeof *npu->staged_ids);
    if (!npu->staged || !npu->staged_mark || !npu->staged_ids) return QL_E_MEMORY;
    for (uint32_t k = 0; k < n; k++) {
        npu->staged[ids[k]] += amounts[each ? k : 0];
        if (!npu->staged_mark[ids[k]]) npu->staged_ids[npu->staged_count++] = ids[k];
        npu->staged_mark[ids[k]] = 1;
    }
    return QL_OK;
}

int ql_npu_force(ql_npu *npu, const uint32_t *ids, const float *amounts, uint32_t n, uint32_t each)
{
    QL_TRY(check_amounts(npu, ids, amounts, n, each));
    if (!npu->forced_ids) npu->forced_ids = ql_alloc(npu->n, sizeof *npu->forced_ids);
    if (!npu->forced_at) npu->forced_at = ql_alloc(npu->n, sizeof *npu->forced_at);
    if (!npu->forced_ids || !npu->forced_at) return QL_E_MEMORY;
    /* Few: kept sorted by insertion; the last potential counts. */
    for (uint32_t k = 0; k < n; k++) {
        uint32_t at = npu->forced_count;
        while (at > 0 && npu->forced_ids[at - 1] >= ids[k]) at--;
        if (at == npu->forced_count || npu->forced_ids[at] != ids[k]) {
            memmove(npu->forced_ids + at + 1, npu->forced_ids + at,
                    (npu->forced_count - at) * sizeof *npu->forced_ids);
            memmove(npu->forced_at + at + 1, npu->forced_at + at,
                    (npu->forced_count - at) * sizeof *npu->forced_at);
            npu->forced_ids[at] = ids[k];
            npu->forced_count++;
        }
        npu->forced_at[at] = amounts[each ? k : 0];
    }
    return QL_OK;
}

int ql_npu_inputs(const ql_npu *npu, int which, uint32_t *ids, float *amounts, uint32_t *count)
{
    const uint32_t *chosen = which == QL_NPU_DRIVEN   ? npu->driven_ids
                             : which == QL_NPU_STAGED ? npu->staged_ids
                                                      : npu->forced_ids;

    if (which < QL_NPU_DRIVEN || which > QL_NPU_FORCED) return QL_E_INVALID;
    *count = which == QL_NPU_DRIVEN   ? npu->driven_count
             : which == QL_NPU_STAGED ? npu->staged_count
                                      : npu->forced_count;
    for (uint32_t k = 0; ids && k < *count; k++) {
        ids[k] = chosen[k];
        if (which == QL_NPU_FORCED)
            amounts[k] = npu->forced_at[k];
        else
            amounts[k] = which == QL_NPU_DRIVEN ? npu->drive[chosen[k]] : npu->staged[chosen[k]];
    }
    return QL_OK;
}

/* ---- The queue of fired lists ---- */

uint64_t ql_npu_burst(const ql_npu *npu)
{
    return npu->burst;
}

int ql_npu_burst_set(ql_npu *npu, uint64_t burst)
{
    const uint64_t shift = burst % npu->delay;
    const uint64_t old = npu->burst % npu->delay;

    if (burst == 0) return QL_E_INVALID;
    /* Slots are numbered by burst: turn the ring so that every list keeps its age. */
    for (uint64_t turn = (shift + npu->delay - old) % npu->delay; turn > 0; turn--) {
        npu_fired last = npu->queue[npu->delay - 1];
        memmove(npu->queue + 1, npu->queue, (npu->delay - 1) * sizeof *npu->queue);
        npu->queue[0] = last;
    }
    npu->burst = burst;
    return QL_OK;
}

static npu_fired *slot_of(const ql_npu *npu, uint32_t age)
{
    return &npu->queue[(npu->burst + age) % npu->delay];
}

int ql_npu_queue_count(const ql_npu *npu, uint32_t age, uint32_t *count)
{
    if (age >= npu->delay) return QL_E_INVALID;
    *count = slot_of(npu, age)->count;
    return QL_OK;
}

int ql_npu_queue(const ql_npu *npu, uint32_t age, uint32_t *ids, float *at)
{
    const npu_fired *slot;

    if (age >= npu->delay) return QL_E_INVALID;
    slot = slot_of(npu, age);
    memcpy(ids, slot->ids, slot->count * sizeof *ids);
    memcpy(at, slot->at, slot->count * sizeof *at);
    return QL_OK;
}

int ql_npu_queue_set(ql_npu *npu, uint32_t age, const uint32_t *ids, const float *at,
                     uint32_t count)
{
    npu_fired *slot;

    if (age >= npu->delay || count > npu->n) return QL_E_INVALID;
    for (uint32_t k = 0; k < count; k++)
        if (ids[k] >= npu->n || (k && ids[k] <= ids[k - 1]) || !isfinite(at[k]))
            return QL_E_INVALID;
    slot = slot_of(npu, age);
    memcpy(slot->ids, ids, count * sizeof *ids);
    memcpy(slot->at, at, count * sizeof *at);
    slot->count = count;
    return QL_OK;
}
