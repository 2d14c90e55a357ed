/* build.c: linking new slots into the graph of neighbours, a batch at a time.
 *
 * Slots are linked in batches of up to 1,024, in slot order.  A batch has four steps:
 *   1. seek     rows are coded (codes.c); then every slot looks for its nearest ones: a walk
 * through the graph as it stood before the batch, and plain scores against all of the batch.  The
 * second part makes the result as good as linking one by one, whatever the order of arrival: a new
 * cluster that comes in one batch is linked within itself. Of what is found, a diverse selection
 * becomes the slot's list (below).
 *   2. settle   (one thread) equal rows are chained, lists are written, every slot gets its parent.
 *   3. group    (one thread) the reverse links are sorted by target.
 *   4. answer   every target takes its new in-links into its list, or selects again when the list
 * is full. Steps 1 and 4 run on any number of threads: in step 1 nobody writes, in step 4 each list
 * has one writer.  The result does not depend on the number of threads, and needs no locks beside
 * readers.
 *
 * Selection (diversity rule of HNSW and DiskANN): nearest first, a candidate is dropped when some
 * selected slot is ALPHA times closer to it than the base is.  Equal distances count as dropped, so
 * that near-copies do not fill a list.  A full list is cut to three quarters, which makes selecting
 * again rare.
 *
 * Parents: slot s > 0 has a parent, at first a p < s, whose list holds s; selection keeps the
 * children of its base before it looks at anything else.  A slot takes at most degree/2 children,
 * so lists always have room for links that are there because they are good.  There are fewer
 * children than slots, so some slot always has room.
 *
 * Sweeping: slots that died go on routing, and every search pays for them.  A sweep takes them out
 * of all lists, as FreshDiskANN does (Singh et al. 2021, arXiv:2105.09613): a list that held some
 * of them is selected again from what remains and from the lists of those that went.
 *   1. mark     (one thread) slots that died at or before `commit`; not slot 0, nor the first of a
 * chain with others alive.
 *   2. adopt    (one thread) a slot whose parent goes gets a parent in another tree of the forest
 * that is left: a neighbour, else any.  A tree of m slots has m - 1 children and room for m *
 * degree/2, so the tree of slot 0 always has room, and in the end it is the only one.  The new
 * links are made as in steps 3 and 4.
 *   3. clean    every list with a marked slot is selected again.  Threads write their own lists and
 * read lists of marked slots, which nobody writes: no locks, and the same result for any number of
 * threads.
 *   4. remove   (one thread) marked slots leave their chains, and their lists are replaced by
 * LINK_REMOVED. A search of a snapshot that may still see a marked slot does not trust the walk:
 * `swept` is stored before the first list changes and read after the walk (near.c). */
#include "index.h"

#include <string.h>

#include "order.h"

#define BATCH 1024u
#define ALPHA 1.1f
#define FILL(degree) ((degree) * 3 / 4) /* length of a list after selection */
#define FLOOR(degree) ((degree) / 4)    /* below that, the nearest of the dropped ones come back */
#define THREADS_MAX 64u
#define TOGETHER 8u                     /* selected slots compared with a candidate at a time */
#define TAKE 24u                        /* work items taken at a time by a thread */
#define CANDIDATES(degree)                                                                         \
    (3 * (degree)) /* of a list that is selected again; more made sweeping slower and nothing      \
                      better */

typedef struct worker {
    struct batch *batch;
    walk *walk;
    int8_t *other;         /* a code as a query */
    candidate *candidates; /* CANDIDATES(DEGREE_MAX) */
    ql_cost cost;
    pthread_t thread;
} worker;

typedef struct batch {
    ql_hnsw *index;
    uint32_t from;
    uint32_t n;
    uint32_t limit;      /* slots the graph covered before the batch */
    uint32_t *selected;  /* n lists of degree */
    uint32_t *counts;    /* n */
    uint32_t *twins;     /* n: an earlier slot with an equal row, or QL_NONE */
    uint64_t *edges;     /* target << 32 | source */
    uint32_t *groups;    /* starts of equal targets in edges */
    uint32_t edge_count;
    uint32_t group_count;
    uint32_t room;       /* slots below this one have no room for children */
    uint8_t *gone;       /* sweep: per slot, it is taken out */
    /* sweep: per slot, some slot further up its tree of parents; of the uppermost, itself */
    uint32_t *top;
    uint32_t covered;    /* sweep: slots in the index */
    _Atomic uint32_t next;
    void (*step)(worker *self, uint32_t item);
    uint32_t items;
    uint32_t threads;
    worker workers[THREADS_MAX];
} batch;

/* Is some selected slot so much closer to the candidate than the base is, that the candidate is
 * reached through it? */
static int is_reached(worker *self, candidate c, const uint32_t *selected, uint32_t n)
{
    const ql_hnsw *index = self->batch->index;
    /* Minus a dot product has no zero to scale from. */
    float alpha = index->vectors->metric == QL_DOT ? 1 : ALPHA;
    float distances[TOGETHER];
    coded aim = {.code = self->other};

    if (n) code_as_query(&index->coder, code_at(index, c.slot), &aim);
    for (uint32_t i = 0; i < n; i += TOGETHER) {
        uint32_t part = n - i < TOGETHER ? n - i : TOGETHER;
        index_distances(index, &aim, 0, selected + i, part, distances);
        self->cost.distances += part;
        for (uint32_t j = 0; j < part; j++)
            if (alpha * distances[j] <= c.distance) return 1;
    }
    return 0;
}

/* From n candidates, nearest first, add a diverse choice to the `kept` slots that stand in selected
 * already. */
static uint32_t choose(worker *self, const candidate *candidates, uint32_t n,
                       uint32_t *selected, uint32_t kept)
{
    const ql_hnsw *index = self->batch->index;
    uint32_t count = kept;

    for (uint32_t i = 0; i < n && count < FILL(index->degree); i++)
        if (!is_reached(self, candidates[i], selected, count))
            selected[count++] = candidates[i].slot;
    for (uint32_t i = 0; i < n && count < FLOOR(index->degree); i++) {
        uint32_t j = 0;
        while (j < count && selected[j] != candidates[i].slot) j++;
        if (j == count) selected[count++] = candidates[i].slot;
    }
    return count;
}

/* ---- step 1 ---- */

static void encode(worker *self, uint32_t item)
{
    const ql_hnsw *index = self->batch->index;
    uint32_t slot = self->batch->from + item;

    code_row(&index->coder, row_at(index->vectors, slot), self->walk->room, code_at(index, slot));
}

static void seek(worker *self, uint32_t item)
{
    batch *work = self->batch;
    const ql_hnsw *index = work->index;
    const ql_vectors *vectors = index->vectors;
    uint32_t slot = work->from + item;
    uint32_t *selected = work->selected + (size_t)item * index->degree;
    uint32_t slots[DEGREE_MAX];
    float distances[DEGREE_MAX];

    code_as_query(&index->coder, code_at(index, slot), &self->walk->aim);
    self->walk->hot = 0;
    index_walk(index, self->walk, index->ef_construction, work->limit, &self->cost);
    for (uint32_t at = work->from; at < work->from + work->n;) {
        uint32_t n = 0;
        for (; n < DEGREE_MAX && at < work->from + work->n; at++)
            if (at != slot) slots[n++] = at;
        index_distances(index, &self->walk->aim, 0, slots, n, distances);
        self->cost.distances += n;
        for (uint32_t i = 0; i < n; i++)
            beam_add(self->walk, index->ef_construction, distances[i], slots[i]);
    }
    work->twins[item] = QL_NONE;
    for (uint32_t i = 0; i < self->walk->count; i++) {
        uint32_t other = self->walk->beam[i].slot;
        if (other > slot || other >= work->twins[item]) continue;
        if (memcmp(row_at(vectors, other), row_at(vectors, slot), vectors->dim * sizeof(float)) ==
            0)
            work->twins[item] = other;
    }
    work->counts[item] = 0;
    if (work->twins[item] == QL_NONE)
        work->counts[item] = choose(self, self->walk->beam, self->walk->count, selected, 0);
}

/* ---- step 2 ---- */

/* The first slot with the same row. */
static uint32_t original(const batch *work, uint32_t slot)
{
    while (slot >= work->from && work->twins[slot - work->from] != QL_NONE)
        slot = work->twins[slot - work->from];
    if (slot < work->from && is_duplicate(work->index, slot)) slot = work->index->parent[slot];
    return slot;
}

static void link_store(ql_hnsw *index, uint32_t slot, uint32_t i, uint32_t to)
{
    atomic_store_explicit(&index->links[(size_t)slot * index->degree + i], to,
                          memory_order_release);
}

static void chain_to(ql_hnsw *index, uint32_t slot, uint32_t first)
{
    uint32_t next = atomic_load_explicit(&index->chain[first], memory_order_relaxed);

    index->parent[slot] = first;
    for (uint32_t i = 0; i < index->degree; i++)
        link_store(index, slot, i, i ? QL_NONE : LINK_DUPLICATE);
    atomic_store_explicit(&index->chain[slot], next, memory_order_release);
    atomic_store_explicit(&index->chain[first], slot, memory_order_release);
}

/* An earlier slot with room for one more child: the nearest selected one, else any. */
static uint32_t parent_for(batch *work, uint32_t slot, const uint32_t *selected, uint32_t count)
{
    ql_hnsw *index = work->index;

    for (uint32_t i = 0; i < count; i++)
        if (selected[i] < slot && index->children[selected[i]] < index->degree / 2)
            return selected[i];
    while (work->room < slot && (index->children[work->room] >= index->degree / 2 ||
                                 is_duplicate(index, work->room) || is_removed(index, work->room)))
        work->room++;
    assert(work->room < slot); /* Fewer children than slots: somebody has room. */
    return work->room;
}

static void settle(batch *work, uint32_t item)
{
    ql_hnsw *index = work->index;
    uint32_t slot = work->from + item;
    uint32_t *selected = work->selected + (size_t)item * index->degree;
    uint32_t count = 0;
    uint32_t parent = 0;

    if (work->twins[item] != QL_NONE) {
        chain_to(index, slot, original(work, slot));
        return;
    }
    for (uint32_t i = 0; i < work->counts[item]; i++) {
        uint32_t to = original(work, selected[i]);
        uint32_t j = 0;
        while (j < count && selected[j] != to) j++;
        if (j == count && to != slot) selected[count++] = to;
    }
    atomic_store_explicit(&index->chain[slot], QL_NONE, memory_order_release);
    for (uint32_t i = 0; i < index->degree; i++)
        link_store(index, slot, i, i < count ? selected[i] : QL_NONE);
    index->parent[slot] = QL_NONE;
    if (slot) {
        parent = parent_for(work, slot, selected, count);
        index->parent[slot] = parent;
        index->children[parent]++;
        work->edges[work->edge_count++] = (uint64_t)parent << 32 | slot;
    }
    for (uint32_t i = 0; i < count; i++)
        if (selected[i] != parent || !slot)
            work->edges[work->edge_count++] = (uint64_t)selected[i] << 32 | slot;
}

/* ---- step 4 ---- */

/* Select again among the n candidates of base, its children first. */
static uint32_t choose_again(worker *self, uint32_t base, candidate *candidates, uint32_t n,
                             uint32_t *selected)
{
    const ql_hnsw *index = self->batch->index;
    uint32_t slots[DEGREE_MAX];
    float distances[DEGREE_MAX];
    uint32_t kept = 0;
    uint32_t others = 0;

    code_as_query(&index->coder, code_at(index, base), &self->walk->aim);
    for (uint32_t i = 0; i < n; i += DEGREE_MAX) {
        uint32_t part = n - i < DEGREE_MAX ? n - i : DEGREE_MAX;
        for (uint32_t j = 0; j < part; j++) slots[j] = candidates[i + j].slot;
        index_distances(index, &self->walk->aim, 0, slots, part, distances);
        self->cost.distances += part;
        for (uint32_t j = 0; j < part; j++) candidates[i + j].distance = distances[j];
    }
    for (uint32_t i = 0; i < n; i++) {
        candidate c = candidates[i];
        if (index->parent[c.slot] == base) {
            selected[kept++] = c.slot;
            continue;
        }
        uint32_t j = others++;
        for (; j && candidates[j - 1].distance > c.distance; j--) candidates[j] = candidates[j - 1];
        candidates[j] = c;
    }
    return choose(self, candidates, others, selected, kept);
}

static void answer(worker *self, uint32_t item)
{
    batch *work = self->batch;
    ql_hnsw *index = work->index;
    uint32_t end = item + 1 < work->group_count ? work->groups[item + 1] : work->edge_count;
    uint32_t base = (uint32_t)(work->edges[work->groups[item]] >> 32);
    uint32_t selected[DEGREE_MAX];
    uint32_t at = work->groups[item];

    while (at < end) {
        uint32_t have = 0;
        uint32_t count;
        while (have < index->degree && (selected[have] = link_at(index, base, have)) != QL_NONE)
            have++;
        for (count = 0; count < have; count++) self->candidates[count].slot = selected[count];
        for (; at < end && count < 2 * index->degree; at++) {
            uint32_t source = (uint32_t)work->edges[at];
            uint32_t j = 0;
            while (j < count && self->candidates[j].slot != source) j++;
            if (j == count) self->candidates[count++].slot = source;
        }
        if (count <= index->degree) {
            for (uint32_t i = have; i < count; i++)
                link_store(index, base, i, self->candidates[i].slot);
            continue;
        }
        count = choose_again(self, base, self->candidates, count, selected);
        for (uint32_t i = 0; i < index->degree; i++)
            link_store(index, base, i, i < count ? selected[i] : QL_NONE);
    }
}

/* ---- the batch ---- */

static void *work_on(void *argument)
{
    worker *self = argument;
    batch *work = self->batch;

    for (;;) {
        uint32_t item = atomic_fetch_add(&work->next, TAKE);
        if (item >= work->items) return NULL;
        for (uint32_t end = item + TAKE; item < end && item < work->items; item++)
            work->step(self, item);
    }
}

/* Do the step for all items; fewer threads than asked for is slower, not wrong. */
static void spread(batch *work, uint32_t items, void (*step)(worker *, uint32_t))
{
    uint32_t started = 1;

    work->step = step;
    work->items = items;
    atomic_store(&work->next, 0);
    while (started < work->threads && (uint64_t)started * TAKE < items) {
        worker *helper = &work->workers[started];
        if (pthread_create(&helper->thread, NULL, work_on, helper) != 0) break;
        started++;
    }
    work_on(&work->workers[0]);
    while (--started) pthread_join(work->workers[started].thread, NULL);
}

/* Say in the index what the threads scored since the last time. */
static void tell(batch *work, uint32_t what)
{
    for (uint32_t i = 0; i < work->threads; i++) {
        atomic_fetch_add(&work->index->scored[what], work->workers[i].cost.distances);
        work->workers[i].cost = (ql_cost){0};
    }
}

static void group(batch *work)
{
    order_keys(work->edges, work->edge_count);
    work->group_count = 0;
    for (uint32_t i = 0; i < work->edge_count; i++)
        if (i == 0 || work->edges[i] >> 32 != work->edges[i - 1] >> 32)
            work->groups[work->group_count++] = i;
}

static void walks_give(batch *work)
{
    for (uint32_t i = 0; i < work->threads; i++)
        if (work->workers[i].walk) walk_give(work->index, work->workers[i].walk);
    for (uint32_t i = 0; i < work->threads; i++) work->workers[i].walk = NULL;
}

static int walks_take(batch *work)
{
    for (uint32_t i = 0; i < work->threads; i++) {
        int status = walk_take(work->index, work->index->ef_construction, &work->workers[i].walk);
        if (status == QL_OK) continue;
        walks_give(work);
        return status;
    }
    return QL_OK;
}

static int link_batch(batch *work, uint32_t until)
{
    ql_hnsw *index = work->index;
    int status = walks_take(work);

    work->from = work->limit = atomic_load(&index->covered);
    work->n = until - work->from < BATCH ? until - work->from : BATCH;
    if (status == QL_OK) {
        spread(work, work->n, encode);
        spread(work, work->n, seek);
        work->edge_count = 0;
        for (uint32_t item = 0; item < work->n; item++) settle(work, item);
        group(work);
        spread(work, work->group_count, answer);
        atomic_store_explicit(&index->covered, work->from + work->n, memory_order_release);
        router_refresh(index);
        walks_give(work);
        tell(work, QL_SCORED_LINKING);
    }
    return status;
}

static void batch_free(batch *work)
{
    if (!work) return;
    for (uint32_t i = 0; i < work->threads; i++) {
        ql_free(work->workers[i].other);
        ql_free(work->workers[i].candidates);
    }
    ql_free(work->selected);
    ql_free(work->counts);
    ql_free(work->twins);
    ql_free(work->edges);
    ql_free(work->groups);
    ql_free(work->gone);
    ql_free(work->top);
    ql_free(work);
}

static batch *batch_make(ql_hnsw *index, uint32_t threads)
{
    batch *work = ql_alloc(1, sizeof *work);
    size_t edges = (size_t)BATCH * (index->degree + 1);
    int failed;

    if (!work) return NULL;
    work->index = index;
    work->threads = threads;
    work->selected = ql_alloc((size_t)BATCH * index->degree, sizeof *work->selected);
    work->counts = ql_alloc(BATCH, sizeof *work->counts);
    work->twins = ql_alloc(BATCH, sizeof *work->twins);
    work->edges = ql_alloc(edges, sizeof *work->edges);
    work->groups = ql_alloc(edges, sizeof *work->groups);
    failed = !work->selected || !work->counts || !work->twins || !work->edges || !work->groups;
    for (uint32_t i = 0; i < threads; i++) {
        worker *each = &work->workers[i];
        each->batch = work;
        each->other = ql_alloc(index->coder.bytes, 1);
        each->candidates = ql_alloc(CANDIDATES(DEGREE_MAX), sizeof(candidate));
        failed |= !each->other || !each->candidates;
    }
    if (!failed) return work;
    batch_free(work);
    return NULL;
}

int ql_hnsw_extend(ql_hnsw *index, uint32_t until, uint32_t threads)
{
    int status;

    if (until > ql_vectors_count(index->vectors) || threads > THREADS_MAX) return QL_E_INVALID;
    pthread_mutex_lock(&index->writer);
    status = index_own(index);
    if (status == QL_OK && until > atomic_load(&index->covered)) {
        batch *work = batch_make(index, threads ? threads : 1);
        status = work ? index_hold(index, until) : QL_E_MEMORY;
        while (status == QL_OK && atomic_load(&index->covered) < until)
            status = link_batch(work, until);
        batch_free(work);
    }
    pthread_mutex_unlock(&index->writer);
    return status;
}

/* ---- sweeping ---- */

static int stays_linked(const batch *work, uint32_t slot)
{
    return !work->gone[slot] && !is_duplicate(work->index, slot) && !is_removed(work->index, slot);
}

/* Mark what died at or before `commit`; says how many slots that is. */
static uint32_t mark(batch *work, uint64_t commit)
{
    const ql_hnsw *index = work->index;
    uint32_t count = 0;

    for (uint32_t slot = 1; slot < work->covered; slot++) {
        uint64_t death = atomic_load_explicit(&index->vectors->deaths[slot], memory_order_relaxed);
        work->gone[slot] = death && death <= commit && !is_removed(index, slot);
    }
    for (uint32_t slot = 1; slot < work->covered; slot++)
        if (!work->gone[slot] && is_duplicate(index, slot)) work->gone[index->parent[slot]] = 0;
    for (uint32_t slot = 1; slot < work->covered; slot++) count += work->gone[slot];
    return count;
}

/* The uppermost slot of the tree that holds this one. */
static uint32_t top_of(batch *work, uint32_t slot)
{
    while (work->top[slot] != slot) slot = work->top[slot] = work->top[work->top[slot]];
    return slot;
}

static int may_adopt(batch *work, uint32_t slot, uint32_t orphan)
{
    return stays_linked(work, slot) && work->index->children[slot] < work->index->degree / 2 &&
           top_of(work, slot) != orphan;
}

static uint32_t adopter_in_list(batch *work, uint32_t list, uint32_t orphan)
{
    for (uint32_t i = 0; i < work->index->degree; i++) {
        uint32_t to = link_at(work->index, list, i);
        if (to >= work->covered) break;
        if (may_adopt(work, to, orphan)) return to;
    }
    return QL_NONE;
}

static void edges_link(batch *work)
{
    group(work);
    spread(work, work->group_count, answer);
    work->edge_count = 0;
}

static void adopt(batch *work)
{
    ql_hnsw *index = work->index;

    work->edge_count = work->room = 0;
    for (uint32_t slot = 0; slot < work->covered; slot++) {
        if (work->gone[slot] && !is_duplicate(index, slot)) index->children[index->parent[slot]]--;
        work->top[slot] = slot;
        if (slot && stays_linked(work, slot) && !work->gone[index->parent[slot]])
            work->top[slot] = index->parent[slot];
    }
    for (uint32_t slot = 1; slot < work->covered; slot++) {
        if (!stays_linked(work, slot) || work->top[slot] != slot) continue;
        uint32_t parent = adopter_in_list(work, slot, slot);
        if (parent == QL_NONE) parent = adopter_in_list(work, index->parent[slot], slot);
        while (parent == QL_NONE && (!stays_linked(work, work->room) ||
                                     index->children[work->room] >= index->degree / 2))
            work->room++;
        for (uint32_t any = work->room; parent == QL_NONE; any++) {
            assert(any < work->covered); /* The tree of slot 0 has room. */
            if (may_adopt(work, any, slot)) parent = any;
        }
        index->parent[slot] = work->top[slot] = parent;
        index->children[parent]++;
        work->edges[work->edge_count++] = (uint64_t)parent << 32 | slot;
        if (work->edge_count == BATCH) edges_link(work);
    }
    edges_link(work);
}

/* Add a slot to the candidates, unless it is there or is to go; those that go from lists of slots
 * that went are looked through once more. */
static uint32_t candidates_add(const worker *self, uint32_t base, uint32_t slot, uint32_t count,
                               int deeper)
{
    const batch *work = self->batch;

    if (work->gone[slot]) {
        for (uint32_t i = 0; deeper && i < work->index->degree; i++) {
            uint32_t to = link_at(work->index, slot, i);
            if (to >= work->covered) break;
            count = candidates_add(self, base, to, count, deeper - 1);
        }
        return count;
    }
    if (slot == base || count == CANDIDATES(work->index->degree)) return count;
    for (uint32_t i = 0; i < count; i++)
        if (self->candidates[i].slot == slot) return count;
    self->candidates[count].slot = slot;
    return count + 1;
}

static void clean(worker *self, uint32_t base)
{
    batch *work = self->batch;
    ql_hnsw *index = work->index;
    uint32_t selected[DEGREE_MAX];
    uint32_t count = 0;
    uint32_t have = 0;
    int dirty = 0;

    if (!stays_linked(work, base)) return;
    while (have < index->degree && (selected[have] = link_at(index, base, have)) != QL_NONE)
        dirty |= work->gone[selected[have++]];
    if (!dirty) return;
    for (uint32_t i = 0; i < have; i++) /* What stays comes first, if there are more than fit. */
        if (!work->gone[selected[i]]) count = candidates_add(self, base, selected[i], count, 0);
    for (uint32_t i = 0; i < have; i++)
        if (work->gone[selected[i]]) count = candidates_add(self, base, selected[i], count, 2);
    count = choose_again(self, base, self->candidates, count, selected);
    for (uint32_t i = 0; i < index->degree; i++)
        link_store(index, base, i, i < count ? selected[i] : QL_NONE);
}

static void drop_marked(batch *work)
{
    ql_hnsw *index = work->index;

    for (uint32_t slot = 0; slot < work->covered; slot++) {
        if (!stays_linked(work, slot)) continue;
        for (uint32_t at = slot, next; (next = atomic_load(&index->chain[at])) != QL_NONE;) {
            if (work->gone[next]) atomic_store(&index->chain[at], atomic_load(&index->chain[next]));
            else at = next;
        }
    }
    for (uint32_t slot = 0; slot < work->covered; slot++) {
        if (!work->gone[slot]) continue;
        /* Others still lead on. */
        if (!is_duplicate(index, slot)) atomic_store(&index->chain[slot], QL_NONE);
        index->children[slot] = 0;
        index->parent[slot] = QL_NONE;
        for (uint32_t i = 0; i < index->degree; i++)
            link_store(index, slot, i, i ? QL_NONE : LINK_REMOVED);
    }
}

static void sweep(batch *work, uint64_t commit, uint32_t marked)
{
    ql_hnsw *index = work->index;

    if (atomic_load(&index->swept) < commit) atomic_store(&index->swept, commit);
    adopt(work);
    tell(work, QL_SCORED_ADOPTING);
    spread(work, work->covered, clean);
    tell(work, QL_SCORED_CLEANING);
    drop_marked(work);
    atomic_fetch_add(&index->removed, marked);
    router_refresh(index);
}

int ql_hnsw_sweep(ql_hnsw *index, uint64_t commit, uint32_t threads, uint32_t least,
                  uint32_t *marked)
{
    batch *work = NULL;
    int status;

    if (threads > THREADS_MAX) return QL_E_INVALID;
    pthread_mutex_lock(&index->writer);
    status = index_own(index);
    if (status != QL_OK) goto done;
    status = QL_E_MEMORY;
    work = batch_make(index, threads ? threads : 1);
    if (!work) goto done;
    work->covered = atomic_load(&index->covered);
    work->gone = ql_alloc((size_t)work->covered + 1, 1);
    work->top = ql_alloc((size_t)work->covered + 1, sizeof *work->top);
    if (!work->gone || !work->top) goto done;
    status = walks_take(work);
    if (status != QL_OK) goto done;
    *marked = mark(work, commit);
    if (*marked && *marked >= least) {
        status = index_hold(index, work->covered);
        if (status == QL_OK) sweep(work, commit, *marked);
    }
    walks_give(work);
done:
    batch_free(work);
    pthread_mutex_unlock(&index->writer);
    return status;
}
