/* memory.c: every allocation of the core.
 *
 * One door to malloc for two reasons: a product of sizes that does not fit is refused in one place,
 * and tests can make the n-th allocation fail, so that every error path of the core is walked and
 * not only believed.
 *
 * The two counters are the only state here and the core's only globals beside the kernel table.
 * They are atomic and relaxed: they order nothing, they only count.  An attempt counts whether it
 * succeeds or not, so "fail the n-th" for n = 1.. walks through all of them: a run that made c
 * attempts is covered after c+1 runs. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static _Atomic uint64_t attempts;
static _Atomic uint64_t failing; /* the attempt that fails, counted from 1; 0: none */

void ql_alloc_fail_at(uint64_t nth)
{
    uint64_t made = atomic_load_explicit(&attempts, memory_order_relaxed);

    atomic_store_explicit(&failing, nth ? made + nth : 0, memory_order_relaxed);
}

uint64_t ql_alloc_count(void)
{
    return atomic_load_explicit(&attempts, memory_order_relaxed);
}

/* Count this attempt; 0 when it is the one to fail or when count*size_bytes does not fit. */
static int may_allocate(size_t count, size_t size_bytes, size_t *total_bytes)
{
    uint64_t mine = atomic_fetch_add_explicit(&attempts, 1, memory_order_relaxed) + 1;

    if (mine == atomic_load_explicit(&failing, memory_order_relaxed)) return 0;
    if (__builtin_mul_overflow(count, size_bytes, total_bytes)) return 0;
    if (*total_bytes > PTRDIFF_MAX) return 0; /* pointer differences must stay defined */
    if (*total_bytes == 0) *total_bytes = 1;  /* so that NULL always means failure */
    return 1;
}

void *ql_alloc(size_t count, size_t size_bytes)
{
    size_t total_bytes;

    if (!may_allocate(count, size_bytes, &total_bytes)) return NULL;
    return calloc(1, total_bytes);
}

void *ql_alloc_aligned(size_t count, size_t size_bytes, size_t alignment)
{
    size_t total_bytes;
    void *block;

    assert(alignment >= sizeof(void *) && (alignment & (alignment - 1)) == 0);
    if (!may_allocate(count, size_bytes, &total_bytes)) return NULL;
    if (total_bytes > PTRDIFF_MAX - alignment) return NULL;

    total_bytes = (total_bytes + alignment - 1) & ~(alignment - 1); /* C11 wants a multiple */
    block = aligned_alloc(alignment, total_bytes);
    if (block) memset(block, 0, total_bytes);
    return block;
}

void *ql_realloc(void *block, size_t count, size_t size_bytes)
{
    size_t total_bytes;

    if (!may_allocate(count, size_bytes, &total_bytes)) return NULL;
    return realloc(block, total_bytes);
}

void ql_free(void *block)
{
    free(block);
}
