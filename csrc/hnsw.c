/* hnsw.c: the walk through the graph of neighbours.
 *
 * Idea: Malkov and Yashunin 2018 (arXiv:1603.09320), with the lists of DiskANN (Subramanya et al.
 * 2019).  Every slot keeps a short list of slots that are near it in different directions; a search
 * repeatedly opens the nearest slot it knows and looks at that list, and ends when the `width`
 * nearest known slots are all open.
 *
 * What is different here.
 * - No hierarchy.  In high dimension the upper layers only replace a good first guess, and a scan
 * over 64 evenly spread slots (the routers) gives one for the price of two hops.
 * - One sorted array of integers is the beam: candidates and results in one, 8 bytes each.  The
 * loop itself stands in walk.h and is compiled once for every instruction set.
 * - Every list is whole cache lines of u32, ended by QL_NONE, in address space reserved for all
 * slots: no pointer ever moves, and readers need no lock.
 * - A slot whose row equals an earlier one is not linked at all but chained to it; the walk finds
 * the first and near.c follows the chain.  A thousand copies would otherwise fill each other's
 * lists and cut themselves off.
 * - Every slot has a parent: a slot whose list holds it, chosen among those before it.  By
 * induction every slot can be reached from slot 0, at any moment (build.c).
 * - Dead slots are swept out of all lists now and then, and cost nothing from then on (build.c).
 *
 * Invariants: links and chains name slots below the count being built; slots below `covered` have
 * complete lists; parents are a tree with root 0, over all slots that were not swept out. */
#define _GNU_SOURCE
#include "index.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEGREE_DEFAULT 32u
#define EF_CONSTRUCTION_DEFAULT 200u

static void walk_free(walk *scratch)
{
    if (!scratch) return;
    ql_free(scratch->visited);
    ql_free(scratch->touched);
    ql_free(scratch->keys);
    ql_free(scratch->beam);
    ql_free(scratch->aim.code);
    ql_free(scratch->room);
    ql_free(scratch);
}

static size_t links_bytes(const ql_hnsw *index)
{
    return (size_t)index->slots_max * index->degree * sizeof(uint32_t);
}

int index_make(ql_vectors *vectors, uint32_t degree, uint32_t ef_construction, uint64_t seed,
               const uint64_t *offsets, ql_hnsw **index)
{
    ql_hnsw *made = ql_alloc(1, sizeof *made);
    size_t slots = vectors->slots_max;

    if (!made) return QL_E_MEMORY;
    made->vectors = vectors;
    made->slots_max = vectors->slots_max;
    made->degree = degree;
    made->ef_construction = ef_construction;
    made->seed = seed;
    made->fd = -1;
    if (coder_make(vectors->dim, vectors->metric, seed, &made->coder) != QL_OK) {
        ql_free(made);
        return QL_E_MEMORY;
    }
    if (pthread_mutex_init(&made->writer, NULL) != 0) {
        coder_free(&made->coder);
        ql_free(made);
        return QL_E_MEMORY;
    }
    if (ql_map_zero_like(links_bytes(made), offsets[LINKS], (void **)&made->links) != QL_OK ||
        ql_map_zero_like(slots * made->coder.bytes, offsets[CODES], (void **)&made->codes) !=
            QL_OK ||
        ql_map_zero(slots * sizeof(uint32_t), (void **)&made->chain) != QL_OK ||
        ql_map_zero(slots * sizeof(uint32_t), (void **)&made->parent) != QL_OK ||
        ql_map_zero(slots * sizeof(uint16_t), (void **)&made->children) != QL_OK) {
        ql_hnsw_close(made);
        return QL_E_MEMORY;
    }
    /* Walks jump at random: with pages of 2 MiB every jump finds its translation. Only a hint, so
     * no error. */
    madvise((void *)made->links, links_bytes(made), MADV_HUGEPAGE);
    madvise(made->codes, slots * made->coder.bytes, MADV_HUGEPAGE);
    *index = made;
    return QL_OK;
}

int index_hold(ql_hnsw *index, uint32_t slots)
{
    size_t slot = sizeof *index->links * index->degree + index->coder.bytes +
                  sizeof *index->chain + sizeof *index->parent + sizeof *index->children;
    uint64_t wanted = (uint64_t)slots * slot;

    if (wanted <= index->held) return QL_OK;
    QL_TRY(ql_memory_take(wanted - index->held));
    index->held = wanted;
    return QL_OK;
}

int ql_hnsw_create(ql_vectors *vectors, uint32_t degree, uint32_t ef_construction, uint64_t seed,
                   ql_hnsw **index)
{
    const uint64_t offsets[SECTIONS] = {0}; /* In no file. */

    if (degree == 0) degree = DEGREE_DEFAULT;
    if (ef_construction == 0) ef_construction = EF_CONSTRUCTION_DEFAULT;
    if (degree > DEGREE_MAX || degree < 4 || ef_construction > EF_CONSTRUCTION_MAX)
        return QL_E_INVALID;
    return index_make(vectors, (degree + 15) / 16 * 16, ef_construction, seed, offsets, index);
}

void ql_hnsw_close(ql_hnsw *index)
{
    if (!index) return;
    size_t slots = index->slots_max;
    for (uint32_t i = 0; i < WALKS_KEPT; i++) walk_free(atomic_load(&index->kept[i]));
    ql_map_release((void *)index->links, links_bytes(index));
    ql_map_release(index->codes, slots * index->coder.bytes);
    ql_map_release((void *)index->chain, slots * sizeof(uint32_t));
    ql_map_release(index->parent, slots * sizeof(uint32_t));
    ql_map_release(index->children, slots * sizeof(uint16_t));
    ql_memory_give(index->held);
    coder_free(&index->coder);
    if (index->fd >= 0) close(index->fd);
    pthread_mutex_destroy(&index->writer);
    ql_free(index);
}

uint32_t ql_hnsw_covered(const ql_hnsw *index)
{
    return atomic_load_explicit(&index->covered, memory_order_acquire);
}

void ql_hnsw_scored(const ql_hnsw *index, uint64_t *scored)
{
    for (uint32_t i = 0; i < QL_SCORED; i++) scored[i] = atomic_load(&index->scored[i]);
}

uint32_t ql_hnsw_removed(const ql_hnsw *index)
{
    return atomic_load_explicit(&index->removed, memory_order_relaxed);
}

/* ---- scratch ---- */

static int walk_grow(walk *scratch, uint32_t words, uint32_t width)
{
    if (words > scratch->visited_words) {
        uint64_t *visited = ql_alloc(words, sizeof *visited);
        if (!visited) return QL_E_MEMORY;
        ql_free(scratch->visited);
        scratch->visited = visited;
        scratch->visited_words = words;
    }
    if (width > scratch->width_max) {
        candidate *beam = ql_alloc((size_t)width + 1, sizeof *beam);
        uint64_t *keys = ql_alloc((size_t)width + KEYS_BEYOND, sizeof *keys);
        if (!beam || !keys) {
            ql_free(beam);
            ql_free(keys);
            return QL_E_MEMORY;
        }
        ql_free(scratch->beam);
        ql_free(scratch->keys);
        scratch->beam = beam;
        scratch->keys = keys;
        scratch->width_max = width;
    }
    return QL_OK;
}

int walk_take(ql_hnsw *index, uint32_t width, walk **taken)
{
    uint32_t words = ql_hnsw_covered(index) / 64 + 1;
    walk *scratch = NULL;

    for (uint32_t i = 0; i < WALKS_KEPT && !scratch; i++)
        if (atomic_load_explicit(&index->kept[i], memory_order_relaxed))
            scratch = atomic_exchange_explicit(&index->kept[i], NULL, memory_order_acquire);
    if (!scratch) {
        scratch = ql_alloc(1, sizeof *scratch);
        if (!scratch) return QL_E_MEMORY;
        scratch->touched = ql_alloc(TOUCHED_MAX, sizeof *scratch->touched);
        scratch->aim.code = ql_alloc(index->coder.bytes, 1);
        scratch->room = ql_alloc(index->coder.dim, sizeof *scratch->room);
        if (!scratch->touched || !scratch->aim.code || !scratch->room) {
            walk_free(scratch);
            return QL_E_MEMORY;
        }
    }
    /* A little more than needed, so that an index that grows does not reallocate for every
     * search. */
    if (words > scratch->visited_words) words += words / 4;
    if (walk_grow(scratch, words, width) != QL_OK) {
        walk_free(scratch);
        return QL_E_MEMORY;
    }
    *taken = scratch;
    return QL_OK;
}

void walk_give(ql_hnsw *index, walk *done)
{
    for (uint32_t i = 0; i < WALKS_KEPT; i++) {
        walk *expected = NULL;
        if (atomic_compare_exchange_strong_explicit(&index->kept[i], &expected, done,
                                                    memory_order_release, memory_order_relaxed))
            return;
    }
    walk_free(done);
}

uint32_t beam_add(walk *scratch, uint32_t width, float distance, uint32_t slot)
{
    candidate *beam = scratch->beam;
    uint32_t low = 0;

    if (scratch->count == width && distance >= beam[width - 1].distance) return width;
    /* Without a branch that depends on data. */
    for (uint32_t n = scratch->count, half; n; n -= half) {
        half = n - n / 2;
        low = beam[low + half - 1].distance <= distance ? low + half : low;
    }
    if (scratch->count < width) scratch->count++;
    memmove(beam + low + 1, beam + low, (scratch->count - 1 - low) * sizeof *beam);
    beam[low].distance = distance;
    beam[low].slot = slot;
    return low;
}

void index_distances(const ql_hnsw *index, const coded *aim, int hot, const uint32_t *slots,
                     uint32_t n, float *distances)
{
    const uint8_t *codes[DEGREE_MAX];

    if (!n) return;
    for (uint32_t i = 0; i < n; i++) codes[i] = code_at(index, slots[i]);
    code_distances(&index->coder, aim, hot, codes, n, distances);
}

void index_walk(const ql_hnsw *index, walk *scratch, uint32_t width, uint32_t limit, ql_cost *cost)
{
    assert(width <= scratch->width_max && limit <= (uint64_t)scratch->visited_words * 64);
    scratch->count = 0;
    if (limit) ql_kernels_active()->walk(index, scratch, width, limit, cost);
}

/* Evenly spread slots, slot 0 among them: it is the root from which parents reach every slot. */
void router_refresh(ql_hnsw *index)
{
    uint32_t covered = atomic_load(&index->covered);

    for (uint32_t i = 0; i < ROUTERS; i++) {
        uint32_t slot = (uint32_t)((uint64_t)covered * i / ROUTERS);
        while (slot < covered && is_removed(index, slot)) slot++;
        if (slot >= covered) slot = 0;
        else if (is_duplicate(index, slot)) slot = index->parent[slot];
        atomic_store_explicit(&index->router[i], slot, memory_order_release);
    }
}
