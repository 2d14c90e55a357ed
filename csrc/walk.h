/* walk.h: the walk of hnsw.c, whole, for each instruction set.
 *
 * Included by the kernel files inside their target regions, after their code_rows and
 * code_hot_rows: a search makes one indirect call, and none for a list.  Every number that decides
 * is an integer or the same float32 operation everywhere, so all of them walk the same way.
 *
 * The beam is one sorted array of u64 keys: the distance, mapped so that integers order as the
 * floats do, above the slot and a last bit that says "opened".  Beyond its end stand keys of all
 * ones, so the last comparisons of an insertion are sixteen at once without looking where it ends.
 * A neighbour is entered into the list of new ones before it is known whether it was seen, and the
 * list grows by the answer: which neighbours are new cannot be predicted. */
#ifndef QL_WALK_H
#define QL_WALK_H

#include <string.h>

#include "index.h"

#define SEEDS 4u      /* routers that start the walk */
#define AHEAD 2u      /* places whose lists are fetched before it is certain that they are opened */
#define STEPS_FULL                                                                                 \
    2u /* places opened at a time once the beam is full: more lines on their way at once */
#define OPENED 1u
#define NO_KEY UINT64_MAX

static inline uint64_t walk_key(float distance, uint32_t slot)
{
    uint32_t bits;

    memcpy(&bits, &distance, sizeof bits);
    bits ^= (uint32_t)-(int32_t)(bits >> 31) | 0x80000000u;
    return (uint64_t)bits << 32 | (uint64_t)slot << 1;
}

static inline candidate walk_place(uint64_t key)
{
    candidate place = {0, (uint32_t)key >> 1};
    uint32_t bits = (uint32_t)(key >> 32);

    bits ^= (uint32_t)-(int32_t)(~bits >> 31) | 0x80000000u;
    memcpy(&place.distance, &bits, sizeof bits);
    return place;
}

static inline void walk_fetch(const void *start, uint32_t size_bytes)
{
    for (uint32_t at = 0; at < size_bytes; at += 64) __builtin_prefetch((const char *)start + at);
}

static inline void walk_fetch_links(const ql_hnsw *index, uint64_t key)
{
    walk_fetch((const void *)&index->links[(size_t)((uint32_t)key >> 1) * index->degree],
               index->degree * 4);
}

/* Enter a key that is smaller than the last of `width`; says at which place. */
static inline uint32_t walk_insert(walk *scratch, uint32_t width, uint64_t key)
{
    uint64_t *keys = scratch->keys;
    uint32_t low = 0;
    uint32_t below = 0;

    for (uint32_t n = scratch->count, half; n > KEYS_BEYOND; n -= half) {
        half = n / 2;
        low = keys[low + half - 1] < key ? low + half : low;
    }
    for (uint32_t i = 0; i < KEYS_BEYOND; i++) below += keys[low + i] < key;
    low += below;
    if (scratch->count < width) scratch->count++;
    memmove(keys + low + 1, keys + low, (scratch->count - 1 - low) * sizeof *keys);
    keys[low] = key;
    return low;
}

/* Score n slots, none seen before, and enter them; all places before `at` are open. Says at which
 * place the first of them stands. */
static inline uint32_t walk_score(const ql_hnsw *index, walk *scratch, uint32_t width, uint32_t at,
                                  const uint32_t *slots, uint32_t n, ql_cost *cost)
{
    const coder *with = &index->coder;
    const uint8_t *codes[DEGREE_MAX + 4];
    int32_t sums[DEGREE_MAX + 4];
    float distances[DEGREE_MAX];
    uint64_t near[DEGREE_MAX];
    uint64_t worst = scratch->keys[width - 1];
    uint32_t first = width;
    uint32_t kept = 0;

    if (!n) return first;
    for (uint32_t i = 0; i < n; i++) codes[i] = code_at(index, slots[i]);
    for (uint32_t i = n; i < n + 3; i++) codes[i] = codes[0]; /* Four at a time is the fast way. */
    if (scratch->hot) code_hot_rows(scratch->aim.code, with->plane, codes, (n + 3) / 4 * 4, sums);
    else code_rows(scratch->aim.code, with->plane, codes, (n + 3) / 4 * 4, sums);
    code_sums_distances(with, &scratch->aim, scratch->hot, codes, n, sums, distances);
    for (uint32_t i = 0; i < n; i++) {
        near[kept] = walk_key(distances[i], slots[i]);
        kept += near[kept] < worst;
    }
    for (uint32_t i = 0; i < kept; i++) {
        if (near[i] >= scratch->keys[width - 1]) continue;
        uint32_t place = walk_insert(scratch, width, near[i]);
        if (place < first) first = place;
        if (place < at + AHEAD) walk_fetch_links(index, near[i]); /* Likely to be opened next. */
    }
    cost->distances += n;
    cost->bytes += (uint64_t)n * (scratch->hot ? with->plane : with->bytes);
    return first;
}

static inline void walk_touch(walk *scratch, const uint32_t *slots, uint32_t n)
{
    if (scratch->touched_count + n <= TOUCHED_MAX)
        memcpy(scratch->touched + scratch->touched_count, slots, n * sizeof *slots);
    scratch->touched_count += n;
}

static inline void walk_clear(walk *scratch)
{
    if (scratch->touched_count > TOUCHED_MAX)
        memset(scratch->visited, 0, scratch->visited_words * sizeof *scratch->visited);
    else
        for (uint32_t i = 0; i < scratch->touched_count; i++)
            scratch->visited[scratch->touched[i] / 64] = 0;
    scratch->touched_count = 0;
}

/* Mark a place of the beam as opened, and gather its neighbours that were not seen before. */
static inline uint32_t walk_open(const ql_hnsw *index, walk *scratch, uint32_t place,
                                 uint32_t limit, uint32_t *slots)
{
    const _Atomic uint32_t
        *list = &index->links[(size_t)((uint32_t)scratch->keys[place] >> 1) * index->degree];
    uint64_t *visited = scratch->visited;
    uint32_t degree = index->degree;
    uint32_t n = 0;

    scratch->keys[place] |= OPENED;
    for (uint32_t i = 0; i < degree; i++) {
        uint32_t next = atomic_load_explicit(&list[i], memory_order_acquire);
        if (next >= limit) {
            if (next == QL_NONE) break;
            continue;
        }
        uint64_t word = visited[next / 64];
        slots[n] = next;
        n += !(word >> next % 64 & 1);
        visited[next / 64] = word | UINT64_C(1) << next % 64;
    }
    return n;
}

static inline void walk_start(const ql_hnsw *index, walk *scratch, uint32_t width, uint32_t limit,
                              ql_cost *cost)
{
    uint32_t slots[ROUTERS];
    uint32_t n = 0;

    for (uint32_t i = 0; i < ROUTERS; i++) {
        uint32_t slot = atomic_load_explicit(&index->router[i], memory_order_acquire);
        if (slot >= limit || scratch->visited[slot / 64] >> slot % 64 & 1) continue;
        scratch->visited[slot / 64] |= UINT64_C(1) << slot % 64;
        slots[n++] = slot;
    }
    /* Losers may turn up as neighbours. */
    for (uint32_t i = 0; i < n; i++) scratch->visited[slots[i] / 64] = 0;
    for (uint32_t i = 0; i < width + KEYS_BEYOND; i++) scratch->keys[i] = NO_KEY;
    walk_score(index, scratch, SEEDS < width ? SEEDS : width, 0, slots, n, cost);
    for (uint32_t i = 0; i < scratch->count; i++) {
        slots[i] = (uint32_t)scratch->keys[i] >> 1;
        scratch->visited[slots[i] / 64] |= UINT64_C(1) << slots[i] % 64;
    }
    walk_touch(scratch, slots, scratch->count);
}

/* Fill the beam with the `width` slots below `limit` that are closest to the aim. */
static void walk_graph(const ql_hnsw *index, walk *scratch, uint32_t width, uint32_t limit,
                       ql_cost *cost)
{
    uint32_t code_bytes = scratch->hot ? index->coder.plane : index->coder.bytes;
    uint32_t slots[DEGREE_MAX + 1]; /* One more, for a neighbour that proves to be known. */
    uint32_t at = 0;                /* all places before this one are open */

    walk_start(index, scratch, width, limit, cost);
    while (at < scratch->count) {
        uint32_t steps = scratch->count == width ? STEPS_FULL : 1;
        uint32_t n = 0;
        for (; at < scratch->count && steps && n + index->degree <= DEGREE_MAX; at++) {
            if (scratch->keys[at] & OPENED) continue;
            n += walk_open(index, scratch, at, limit, slots + n);
            cost->hops++;
            steps--;
        }
        for (uint32_t i = 0; i < n; i++) walk_fetch(code_at(index, slots[i]), code_bytes);
        for (uint32_t i = at, left = AHEAD; i < scratch->count && left; i++) {
            if (scratch->keys[i] & OPENED) continue;
            walk_fetch_links(index, scratch->keys[i]);
            left--;
        }
        walk_touch(scratch, slots, n);
        uint32_t first = walk_score(index, scratch, width, at, slots, n, cost);
        if (first < at) at = first;
    }
    walk_clear(scratch);
    for (uint32_t i = 0; i < scratch->count; i++) scratch->beam[i] = walk_place(scratch->keys[i]);
}

#endif
