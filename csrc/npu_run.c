/* npu_run.c: the bursts of the spiking simulation: plan, work, collect; see npu.c.
 *
 * What is planned per burst, from the number of deliveries known beforehand (the out-degrees of who
 * fired): list mode   when arrivals and injections together are below n/64: only they are looked at
 * afterwards blocked     when a worker's sums are beyond 8 MiB, unless few arrive or a block holds
 * too little of a row. At 1.2 million neurons (4.8 MB of sums, one thread, an L3 of 36 MB to
 * itself) push takes 0.73 to 0.87 of its time from 5 % firing on, and as long below; with other
 * programs in that L3 it was the other way round, 1.25 to 1.5 times, so ask for it where the
 * machine is crowded pull        only when asked for: its gathers cost 2.1 ns per stored synapse
 * where a sum in L2 costs push 1.6 ns The bounds come from bench/spiking.py; they cost or save time
 * and nothing else. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "npu.h"

#define SPINS                                                                                      \
    4000 /* before a waiting thread yields: a burst of a small network is shorter than a time      \
            slice */
#define LIST_SHARE                                                                                 \
    64 /* list mode below n / LIST_SHARE candidates: one costs as much as about 30 looked at in    \
          order */
#define BLOCKED_MIN (16 * NPU_BLOCK) /* targets of a worker: from 8 MiB of sums on */
#define BLOCKED_SHARE 4   /* deliveries at least n / BLOCKED_SHARE */
#define BLOCKED_PIECE 4   /* deliveries at least so many per fired neuron and block */

/* ---- Plan ---- */

static uint64_t deliveries(const ql_npu *npu)
{
    const npu_fired *fired = npu_delivered(npu);
    uint64_t events = 0;

    for (uint32_t k = 0; k < fired->count; k++) events += npu_outdegree(npu, fired->ids[k]);
    return events;
}

static uint32_t choose_method(const ql_npu *npu, int wanted)
{
    uint32_t blocks;

    /* The others know one form of sums and of factors. */
    if (!npu->sums || npu->has_driven) return QL_NPU_PUSH;
    if (wanted != QL_NPU_AUTO) return (uint32_t)wanted;
    if (npu->n / npu->worker_count < BLOCKED_MIN || npu->events < npu->n / BLOCKED_SHARE)
        return QL_NPU_PUSH;
    blocks = npu->n / NPU_BLOCK + 1;
    return npu->events / blocks < (uint64_t)npu_delivered(npu)->count * BLOCKED_PIECE
               ? QL_NPU_PUSH
               : QL_NPU_BLOCKED;
}

static int plan(ql_npu *npu, int wanted)
{
    npu->events = deliveries(npu);
    npu->method = choose_method(npu, wanted);
    npu->dense = npu->method != QL_NPU_PUSH || npu->forced_count > 0 ||
                 npu->events + npu->staged_count + npu->driven_count > npu->n / LIST_SHARE;
    if (npu->forgetful_count == npu->n)
        memset(npu->v, 0, npu->n * sizeof *npu->v);
    else
        for (uint32_t k = 0; k < npu->forgetful_count; k++) npu->v[npu->forgetful[k]] = 0.0f;
    return npu_prepare_method(npu);
}

/* ---- Collect ---- */

typedef struct record { /* the answer while it grows */
    ql_spikes *spikes;
    uint64_t count;
    uint64_t capacity;
} record;

static int record_burst(record *r, uint32_t burst, const npu_fired *fired)
{
    uint64_t wanted = r->count + fired->count;

    if (wanted > r->capacity) {
        uint64_t capacity = wanted + wanted / 2 + 1024;
        uint32_t *ids = ql_realloc(r->spikes->ids, capacity, sizeof *ids);
        if (!ids) return QL_E_MEMORY;
        r->spikes->ids = ids;
        r->capacity = capacity;
    }
    if (fired->count)
        memcpy(r->spikes->ids + r->count, fired->ids, fired->count * sizeof *fired->ids);
    r->count = wanted;
    r->spikes->offsets[burst + 1] = wanted;
    return QL_OK;
}

/* Close the burst: who fired becomes a list under way, what was injected is spent. */
static void collect(ql_npu *npu)
{
    npu_fired *slot = &npu->queue[npu->burst % npu->delay];

    slot->count = 0;
    for (uint32_t w = 0; w < npu->worker_count; w++) {
        const npu_fired *fired = &npu->workers[w].fired;
        memcpy(slot->ids + slot->count, fired->ids, fired->count * sizeof *fired->ids);
        if (npu->has_driven)
            memcpy(slot->at + slot->count, fired->at, fired->count * sizeof *fired->at);
        slot->count += fired->count;
    }
    for (uint32_t k = 0; k < npu->staged_count; k++) {
        npu->staged[npu->staged_ids[k]] = 0.0f;
        npu->staged_mark[npu->staged_ids[k]] = 0;
    }
    npu->staged_count = 0;
    npu->forced_count = 0;
    npu->burst++;
}

/* ---- Workers ---- */

typedef struct barrier { /* all threads of a run; reusable: the phase counts up */
    atomic_uint waiting;
    atomic_uint phase;
    uint32_t threads;
} barrier;

static void wait_for_all(barrier *b)
{
    unsigned phase = atomic_load_explicit(&b->phase, memory_order_acquire);

    if (atomic_fetch_add_explicit(&b->waiting, 1, memory_order_acq_rel) + 1 == b->threads) {
        atomic_store_explicit(&b->waiting, 0, memory_order_relaxed);
        atomic_store_explicit(&b->phase, phase + 1, memory_order_release);
        return;
    }
    for (uint32_t spin = 0; atomic_load_explicit(&b->phase, memory_order_acquire) == phase; spin++)
        if (spin >= SPINS) sched_yield();
}

typedef struct helper {
    npu_worker *worker;
    barrier *barrier;
    int *stop; /* written by the caller's thread before the barrier that starts a burst */
} helper;

static void work(npu_worker *worker)
{
    worker->list_count = 0;
    npu_deliver(worker);
    npu_advance(worker);
}

static void *help(void *argument)
{
    helper *h = argument;

    for (;;) {
        wait_for_all(h->barrier);
        if (*h->stop) return NULL;
        work(h->worker);
        wait_for_all(h->barrier);
    }
}

static int open_worker(ql_npu *npu, npu_worker *worker, uint32_t from, uint32_t until)
{
    const uint32_t words = (npu->n >> 12) + 1;

    worker->npu = npu;
    worker->from = from;
    worker->until = until;
    if (!worker->fired.ids)
        worker->fired.ids = ql_alloc((size_t)npu->n + 16, sizeof *worker->fired.ids);
    if (!worker->fired.at) worker->fired.at = ql_alloc(npu->n, sizeof *worker->fired.at);
    if (!worker->list)
        worker->list = ql_alloc((size_t)npu->n / LIST_SHARE + 2, sizeof *worker->list);
    if (!worker->seen_bits)
        worker->seen_bits = ql_alloc((size_t)words * 64, sizeof *worker->seen_bits);
    if (!worker->seen_words) worker->seen_words = ql_alloc(words, sizeof *worker->seen_words);
    if (npu->has_driven && !worker->at_fire)
        worker->at_fire = ql_alloc(npu->n, sizeof *worker->at_fire);
    if (!worker->fired.ids || !worker->fired.at || !worker->list || !worker->seen_bits ||
        !worker->seen_words || (npu->has_driven && !worker->at_fire))
        return QL_E_MEMORY;
    return QL_OK;
}

static int open_workers(ql_npu *npu, uint32_t threads)
{
    npu->worker_count = npu->middle == 0 ? 1 : threads;
    if (npu->worker_count == 1) return open_worker(npu, &npu->workers[0], 0, npu->n);
    QL_TRY(open_worker(npu, &npu->workers[0], 0, npu->middle));
    return open_worker(npu, &npu->workers[1], npu->middle, npu->n);
}

static int run_bursts(ql_npu *npu, uint32_t bursts, int method, barrier *b, record *r)
{
    for (uint32_t t = 0; t < bursts; t++) {
        QL_TRY(plan(npu, method));
        r->spikes->events += npu->events;
        if (npu->worker_count > 1) wait_for_all(b);
        work(&npu->workers[0]);
        if (npu->worker_count > 1) wait_for_all(b);
        collect(npu);
        QL_TRY(record_burst(r, t, &npu->queue[(npu->burst - 1) % npu->delay]));
    }
    return QL_OK;
}

static int run_threads(ql_npu *npu, uint32_t bursts, int method, record *r)
{
    int stop = 0;
    barrier b = {.threads = npu->worker_count};
    helper h = {&npu->workers[1], &b, &stop};
    pthread_t thread;
    int status;

    if (npu->worker_count == 1) return run_bursts(npu, bursts, method, &b, r);
    errno = pthread_create(&thread, NULL, help, &h);
    if (errno) return QL_E_IO;
    status = run_bursts(npu, bursts, method, &b, r);
    stop = 1;
    wait_for_all(&b);
    pthread_join(thread, NULL);
    return status;
}

void ql_spikes_free(ql_spikes *spikes)
{
    if (!spikes) return;
    ql_free(spikes->offsets);
    ql_free(spikes->ids);
    ql_free(spikes);
}

int ql_npu_run(ql_npu *npu, uint32_t bursts, uint64_t start, uint32_t threads, int method,
               ql_spikes **spikes)
{
    record r = {0};
    int status;

    if (threads == 0 || threads > NPU_THREADS || method < QL_NPU_AUTO || method > QL_NPU_PULL)
        return QL_E_INVALID;
    QL_TRY(ql_npu_compile(npu));
    QL_TRY(open_workers(npu, threads));
    if (start) QL_TRY(ql_npu_burst_set(npu, start));
    r.spikes = ql_alloc(1, sizeof *r.spikes);
    if (!r.spikes) return QL_E_MEMORY;
    r.spikes->bursts = bursts;
    r.spikes->offsets = ql_alloc((size_t)bursts + 1, sizeof *r.spikes->offsets);
    status = r.spikes->offsets ? run_threads(npu, bursts, method, &r) : QL_E_MEMORY;
    if (status != QL_OK) {
        ql_spikes_free(r.spikes);
        return status;
    }
    *spikes = r.spikes;
    return QL_OK;
}
