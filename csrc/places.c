/* places.c: which slots a node has, the newest first, so that a filter that allows few nodes looks
 * at few slots.
 *
 * Two arrays of u32, both "slot + 1, or 0": newest[node], and older[slot], the slot that the same
 * node had before.  They are made by the first search that wants them, in one pass over the
 * entries, and brought up to date by later ones; a store that is never filtered does not pay.
 * Address space is reserved for all slots and as many nodes; where that fails, or an entry names a
 * larger node, there is no table and searches look at every slot; so they do while its pages would
 * pass the limit of memory.
 *
 * Threads: one at a time adds or takes back (mutex `placing`), others follow meanwhile.  A follower
 * asks for slots below a count that was placed before, and passes over newer ones; older[slot] is
 * stored before newest leads there. */
#include "rows.h"

#define ARRAY_BYTES(vectors) ((size_t)(vectors)->slots_max * sizeof(uint32_t))

int places_make(ql_vectors *vectors)
{
    return pthread_mutex_init(&vectors->placing, NULL) == 0 ? QL_OK : QL_E_MEMORY;
}

void places_free(ql_vectors *vectors)
{
    if (vectors->newest) ql_map_release((void *)vectors->newest, ARRAY_BYTES(vectors));
    if (vectors->older) ql_map_release((void *)vectors->older, ARRAY_BYTES(vectors));
    ql_memory_give(vectors->placed_bytes);
    pthread_mutex_destroy(&vectors->placing);
}

static int arrays_make(ql_vectors *vectors)
{
    if (vectors->unplaceable) return 0;
    if (vectors->newest) return 1;
    vectors->unplaceable = ql_map_zero(ARRAY_BYTES(vectors), (void **)&vectors->newest) != QL_OK ||
                           ql_map_zero(ARRAY_BYTES(vectors), (void **)&vectors->older) != QL_OK;
    return !vectors->unplaceable;
}

/* Count what the table of slots below `until` fills as our own memory; 0 if that is too much. */
static int hold(ql_vectors *vectors, uint32_t until)
{
    uint64_t wanted = (uint64_t)until * 2 * sizeof(uint32_t);

    if (wanted <= vectors->placed_bytes) return 1;
    if (ql_memory_take(wanted - vectors->placed_bytes) != QL_OK) return 0;
    vectors->placed_bytes = wanted;
    return 1;
}

int places_until(ql_vectors *vectors, uint32_t until)
{
    uint32_t slot = atomic_load_explicit(&vectors->placed, memory_order_acquire);

    if (slot >= until) return 1;
    pthread_mutex_lock(&vectors->placing);
    if (arrays_make(vectors) && hold(vectors, until)) {
        for (slot = atomic_load(&vectors->placed); slot < until; slot++) {
            uint32_t node = vectors->metas[slot].node;
            if (node >= vectors->slots_max) break;
            uint32_t before = atomic_load_explicit(&vectors->newest[node], memory_order_relaxed);
            atomic_store_explicit(&vectors->older[slot], before, memory_order_relaxed);
            atomic_store_explicit(&vectors->newest[node], slot + 1, memory_order_release);
        }
        vectors->unplaceable = slot < until;
        atomic_store_explicit(&vectors->placed, slot, memory_order_release);
    }
    pthread_mutex_unlock(&vectors->placing);
    return slot >= until;
}

void places_truncate(ql_vectors *vectors, uint32_t count)
{
    pthread_mutex_lock(&vectors->placing);
    for (uint32_t slot = atomic_load(&vectors->placed); slot > count; slot--) {
        uint32_t node = vectors->metas[slot - 1].node;
        uint32_t before = atomic_load_explicit(&vectors->older[slot - 1], memory_order_relaxed);
        atomic_store_explicit(&vectors->newest[node], before, memory_order_release);
        atomic_store_explicit(&vectors->placed, slot - 1, memory_order_release);
    }
    pthread_mutex_unlock(&vectors->placing);
}
