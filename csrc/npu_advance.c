/* npu_advance.c: what the candidates of a burst do with what arrived (P2 of the rule), page by
 * page.
 *
 * Dense mode walks the worker's whole range; list mode gathers the listed candidates into a page of
 * scratch columns, runs the same kernel, and scatters them back.  There is one definition of the
 * dynamics, in npu_page.h.
 *
 * Leak and rests are lazy: a neuron to which nothing came is no candidate and stays as it is. */
#include <string.h>

#include "npu.h"

static const float no_amounts[NPU_PAGE];
static const uint8_t no_marks[NPU_PAGE];

typedef struct scratch { /* columns of one page; about 12 KiB on the stack of the worker */
    uint32_t lane[NPU_PAGE];
    float incoming[NPU_PAGE];
    uint32_t candidate[NPU_PAGE];
    float at[NPU_PAGE];
    uint32_t fired[NPU_PAGE];
    float v[NPU_PAGE];
    uint16_t countdown[NPU_PAGE];
    uint16_t consecutive[NPU_PAGE];
    float floats[NPU_FLOATS][NPU_PAGE];
    uint16_t shorts[NPU_SHORTS][NPU_PAGE];
} scratch;

static void page_open(const ql_npu *npu, scratch *s, npu_page *page)
{
    page->first = npu->first_id;
    page->mixed_burst = (uint32_t)npu->burst * 1597334677u;
    page->plain = npu->plain;
    page->lane = s->lane;
    page->incoming = s->incoming;
    page->candidate = s->candidate;
    page->at = s->at;
    page->fired = s->fired;
}

static uint32_t take_wide(ql_npu *npu, uint32_t first, uint32_t count, float *in,
                          uint32_t *candidate)
{
    uint32_t any = 0;

    for (uint32_t j = 0; j < count; j++) {
        in[j] = (float)npu->wide_sums[first + j] * 0x1p-20f;
        candidate[j] = npu->arrived[first + j];
        any |= candidate[j];
    }
    memset(npu->wide_sums + first, 0, count * sizeof *npu->wide_sums);
    memset(npu->arrived + first, 0, count);
    return any;
}

static void keep_fired(npu_worker *worker, const npu_kernels *kernels, const scratch *s,
                       uint32_t first, uint32_t count)
{
    npu_fired *fired = &worker->fired;
    uint32_t added = kernels->compact(s->fired, count, first, fired->ids + fired->count);

    if (worker->npu->has_driven) /* Else nobody reads the potentials at firing. */
        for (uint32_t k = fired->count; k < fired->count + added; k++)
            fired->at[k] = s->at[fired->ids[k] - first];
    fired->count += added;
}

/* Forced neurons of [first, first + count) fire with the given potential, whatever their state. */
static void force(ql_npu *npu, scratch *s, uint32_t first, uint32_t count, int is_after)
{
    for (uint32_t k = 0; k < npu->forced_count; k++) {
        uint32_t j = npu->forced_ids[k] - first;
        if (npu->forced_ids[k] < first || j >= count) continue;
        s->candidate[j] = 0; /* The kernel leaves it alone. */
        if (!is_after) continue;
        s->fired[j] = 1;
        s->at[j] = npu->forced_at[k];
        npu->v[first + j] = 0.0f;
    }
}

static void dense_page(npu_worker *worker, const npu_kernels *kernels, scratch *s, npu_page *page,
                       uint32_t first)
{
    ql_npu *npu = worker->npu;
    const uint32_t count = worker->until - first < NPU_PAGE ? worker->until - first : NPU_PAGE;
    const int has_outside = npu->staged_count || npu->driven_count;
    uint32_t any = npu->sums ? kernels->take(npu->sums + first, count, npu->count_bits, s->incoming,
                                             s->candidate)
                             : take_wide(npu, first, count, s->incoming, s->candidate);

    if (!any && !has_outside && !npu->forced_count) return;
    if (has_outside || !npu->signed_input)
        kernels->outside(count, npu->staged_count ? npu->staged + first : no_amounts,
                         npu->staged_count ? npu->staged_mark + first : no_marks,
                         npu->driven_count ? npu->drive + first : no_amounts,
                         npu->driven_count ? npu->drive_mark + first : no_marks, !npu->signed_input,
                         s->incoming, s->candidate);
    if (npu->forced_count) force(npu, s, first, count, 0);
    page->count = count;
    page->first = npu->first_id + first;
    page->v = npu->v + first;
    page->countdown = npu->countdown + first;
    page->consecutive = npu->consecutive + first;
    page->threshold = npu->floats[0].each ? npu->floats[0].each + first : npu->floats[0].same;
    page->limit = npu->floats[1].each ? npu->floats[1].each + first : npu->floats[1].same;
    page->keep = npu->floats[2].each ? npu->floats[2].each + first : npu->floats[2].same;
    page->excitability = npu->floats[3].each ? npu->floats[3].each + first : npu->floats[3].same;
    page->refractory = npu->shorts[0].each ? npu->shorts[0].each + first : npu->shorts[0].same;
    page->fire_limit = npu->shorts[1].each ? npu->shorts[1].each + first : npu->shorts[1].same;
    page->snooze = npu->shorts[2].each ? npu->shorts[2].each + first : npu->shorts[2].same;
    kernels->advance(page);
    if (npu->forced_count) force(npu, s, first, count, 1);
    keep_fired(worker, kernels, s, first, count);
}

/* The same of plain neurons into which nothing was injected: one kernel instead of three. */
static void plain_page(npu_worker *worker, const npu_kernels *kernels, scratch *s, npu_page *page,
                       uint32_t first)
{
    ql_npu *npu = worker->npu;

    page->count = worker->until - first < NPU_PAGE ? worker->until - first : NPU_PAGE;
    page->sums = npu->sums + first;
    page->drive = npu->driven_count ? npu->drive + first : no_amounts;
    page->drive_mark = npu->driven_count ? npu->drive_mark + first : no_marks;
    page->v = npu->v + first;
    page->threshold = npu->floats[0].each ? npu->floats[0].each + first : npu->floats[0].same;
    page->keep = npu->floats[2].each ? npu->floats[2].each + first : npu->floats[2].same;
    kernels->charge(page);
    keep_fired(worker, kernels, s, first, page->count);
}

static void advance_dense(npu_worker *worker)
{
    const ql_npu *npu = worker->npu;
    const npu_kernels *kernels = npu_kernels_active();
    const int is_plain = npu->plain && npu->sums && npu->staged_count == 0 &&
                         npu->forced_count == 0;
    scratch s;
    npu_page page;

    page_open(npu, &s, &page);
    page.count_bits = npu->count_bits;
    page.clamp = !npu->signed_input;
    for (uint32_t j = 0; j < NPU_PAGE; j++) s.lane[j] = j;
    for (uint32_t first = worker->from; first < worker->until; first += NPU_PAGE)
        if (is_plain)
            plain_page(worker, kernels, &s, &page, first);
        else
            dense_page(worker, kernels, &s, &page, first);
}

/* Fetch what arrived at one listed candidate; its sum is cleared. */
static float arrived_at(ql_npu *npu, uint32_t i)
{
    float in, outside;

    if (npu->sums) {
        in = (float)(npu->sums[i] >> npu->count_bits);
        npu->sums[i] = 0;
    } else {
        in = (float)npu->wide_sums[i] * 0x1p-20f;
        npu->wide_sums[i] = 0;
        npu->arrived[i] = 0;
    }
    outside = (npu->staged ? npu->staged[i] : 0.0f) + (npu->drive ? npu->drive[i] : 0.0f);
    in = outside + in;
    return !npu->signed_input && in < 0.0f ? 0.0f : in;
}

static void gather(ql_npu *npu, scratch *s, uint32_t j, uint32_t i)
{
    s->lane[j] = i;
    s->incoming[j] = arrived_at(npu, i);
    s->candidate[j] = 1;
    s->v[j] = npu->v[i];
    for (int c = 0; c < NPU_FLOATS; c++)
        s->floats[c][j] = npu->floats[c].each ? npu->floats[c].each[i] : npu->floats[c].same[0];
    if (npu->plain) return;
    s->countdown[j] = npu->countdown[i];
    s->consecutive[j] = npu->consecutive[i];
    for (int c = 0; c < NPU_SHORTS; c++)
        s->shorts[c][j] = npu->shorts[c].each ? npu->shorts[c].each[i] : npu->shorts[c].same[0];
}

static void mark(npu_worker *worker, uint32_t offset)
{
    worker->seen_bits[offset >> 6] |= (uint64_t)1 << (offset & 63);
    worker->seen_words[offset >> 12] |= (uint64_t)1 << ((offset >> 6) & 63);
}

static int is_marked(const npu_worker *worker, uint32_t offset)
{
    return (int)(worker->seen_bits[offset >> 6] >> (offset & 63) & 1);
}

/* The page of gathered candidates goes back; those that fired are listed in place of the
 * candidates. */
static void scatter(npu_worker *worker, const scratch *s, uint32_t count, uint32_t *fired_count)
{
    ql_npu *npu = worker->npu;

    for (uint32_t j = 0; j < count; j++) {
        uint32_t i = s->lane[j];
        npu->v[i] = s->v[j];
        if (!npu->plain) {
            npu->countdown[i] = s->countdown[j];
            npu->consecutive[i] = s->consecutive[j];
        }
        if (!s->fired[j]) continue;
        if (worker->at_fire) worker->at_fire[i - worker->from] = s->at[j];
        worker->list[(*fired_count)++] = i; /* Never ahead of what is still to be read. */
    }
}

/* Ascending order by marking and scanning: two levels of bits, so only words that hold something
 * are looked at. */
static void sort_fired(npu_worker *worker, uint32_t fired_count)
{
    npu_fired *fired = &worker->fired;
    const uint32_t words = ((worker->until - worker->from) >> 12) + 1;

    for (uint32_t k = 0; k < fired_count; k++) mark(worker, worker->list[k] - worker->from);
    for (uint32_t w = 0; w < words; w++) {
        for (uint64_t level = worker->seen_words[w]; level; level &= level - 1) {
            uint32_t word = w * 64 + (uint32_t)__builtin_ctzll(level);
            for (uint64_t bits = worker->seen_bits[word]; bits; bits &= bits - 1) {
                uint32_t offset = word * 64 + (uint32_t)__builtin_ctzll(bits);
                fired->ids[fired->count] = worker->from + offset;
                fired->at[fired->count++] = worker->at_fire ? worker->at_fire[offset] : 0.0f;
            }
            worker->seen_bits[word] = 0;
        }
        worker->seen_words[w] = 0;
    }
}

static void list_outside(npu_worker *worker)
{
    const ql_npu *npu = worker->npu;

    for (uint32_t k = 0; k < npu->staged_count; k++)
        if (npu->staged_ids[k] >= worker->from && npu->staged_ids[k] < worker->until)
            worker->list[worker->list_count++] = npu->staged_ids[k];
    for (uint32_t k = 0; k < npu->driven_count; k++)
        if (npu->driven_ids[k] >= worker->from && npu->driven_ids[k] < worker->until)
            worker->list[worker->list_count++] = npu->driven_ids[k];
}

/* Drop repeats: a neuron is listed by its injection, its drive and its first arrival. */
static void drop_repeats(npu_worker *worker)
{
    uint32_t kept = 0;

    for (uint32_t k = 0; k < worker->list_count; k++) {
        uint32_t offset = worker->list[k] - worker->from;
        if (is_marked(worker, offset)) continue;
        mark(worker, offset);
        worker->list[kept++] = worker->list[k];
    }
    worker->list_count = kept;
    for (uint32_t k = 0; k < kept; k++) {
        uint32_t offset = worker->list[k] - worker->from;
        worker->seen_bits[offset >> 6] = 0;
        worker->seen_words[offset >> 12] = 0;
    }
}

static void advance_list(npu_worker *worker)
{
    ql_npu *npu = worker->npu;
    const npu_kernels *kernels = npu_kernels_active();
    uint32_t fired_count = 0;
    scratch s;
    npu_page page;

    page_open(npu, &s, &page);
    page.v = s.v;
    page.countdown = s.countdown;
    page.consecutive = s.consecutive;
    page.threshold = s.floats[0];
    page.limit = s.floats[1];
    page.keep = s.floats[2];
    page.excitability = s.floats[3];
    page.refractory = s.shorts[0];
    page.fire_limit = s.shorts[1];
    page.snooze = s.shorts[2];
    list_outside(worker);
    drop_repeats(worker);
    for (uint32_t from = 0; from < worker->list_count; from += NPU_PAGE) {
        page.count = worker->list_count - from < NPU_PAGE ? worker->list_count - from : NPU_PAGE;
        for (uint32_t j = 0; j < page.count; j++) gather(npu, &s, j, worker->list[from + j]);
        kernels->advance(&page);
        scatter(worker, &s, page.count, &fired_count);
    }
    sort_fired(worker, fired_count);
}

void npu_advance(npu_worker *worker)
{
    worker->fired.count = 0;
    if (worker->npu->dense)
        advance_dense(worker);
    else
        advance_list(worker);
}
