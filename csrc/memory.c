/* memory.c: every allocation of the core.
 *
 * One door to malloc for two reasons: a product of sizes that does not fit is refused in one place,
 * and tests can make the n-th allocation fail, so that every error path of the core is walked and
 * not only believed.
 *
 * What is held is counted too, as malloc rounds it, and with a limit set whatever would pass it is
 * refused as if memory had run out.  The count also has what others tell of: pages of anonymous
 * maps that an index fills, and what the engine keeps outside the core.  Mapped files do not count:
 * the system takes their pages back whenever it wants.
 *
 * The counters are the only state here and the core's only globals beside the kernel table.
 * They are atomic and relaxed: they order nothing, they only count.  An attempt counts whether it
 * succeeds or not, so "fail the n-th" for n = 1.. walks through all of them: a run that made c
 * attempts is covered after c+1 runs. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <malloc/malloc.h>
#define block_bytes malloc_size
#else
#include <malloc.h>
#define block_bytes malloc_usable_size
#endif

#include "internal.h"

static _Atomic uint64_t attempts;
static _Atomic uint64_t failing; /* the attempt that fails, counted from 1; 0: none */
static _Atomic uint64_t held;
static _Atomic uint64_t limit; /* 0: none */
static _Atomic uint64_t refused; /* the last that would have passed it */

void ql_alloc_fail_at(uint64_t nth)
{
    uint64_t made = atomic_load_explicit(&attempts, memory_order_relaxed);

    atomic_store_explicit(&failing, nth ? made + nth : 0, memory_order_relaxed);
}

uint64_t ql_alloc_count(void)
{
    return atomic_load_explicit(&attempts, memory_order_relaxed);
}

void ql_memory_limit(uint64_t size_bytes)
{
    atomic_store_explicit(&limit, size_bytes, memory_order_relaxed);
    atomic_store_explicit(&refused, 0, memory_order_relaxed);
}

uint64_t ql_memory_held(void)
{
    return atomic_load_explicit(&held, memory_order_relaxed);
}

uint64_t ql_memory_refused(void)
{
    return atomic_load_explicit(&refused, memory_order_relaxed);
}

int ql_memory_take(uint64_t size_bytes)
{
    uint64_t most = atomic_load_explicit(&limit, memory_order_relaxed);
    uint64_t before = atomic_fetch_add_explicit(&held, size_bytes, memory_order_relaxed);

    if (!most || !size_bytes || (before <= most && size_bytes <= most - before)) return QL_OK;
    ql_memory_give(size_bytes);
    atomic_store_explicit(&refused, size_bytes, memory_order_relaxed);
    return QL_E_MEMORY;
}

void ql_memory_give(uint64_t size_bytes)
{
    atomic_fetch_sub_explicit(&held, size_bytes, memory_order_relaxed);
}

/* A block that malloc gave, counted; or given back and NULL, where that would pass the limit. */
static void *counted(void *block)
{
    if (!block || ql_memory_take(block_bytes(block)) == QL_OK) return block;
    free(block);
    return NULL;
}

/* Whether a block of this size may be asked for at all: malloc would touch it to zero it. */
static int fits(size_t size_bytes)
{
    if (ql_memory_take(size_bytes) != QL_OK) return 0;
    ql_memory_give(size_bytes);
    return 1;
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

    if (!may_allocate(count, size_bytes, &total_bytes) || !fits(total_bytes)) return NULL;
    return counted(calloc(1, total_bytes));
}

void *ql_alloc_aligned(size_t count, size_t size_bytes, size_t alignment)
{
    size_t total_bytes;
    void *block;

    assert(alignment >= sizeof(void *) && (alignment & (alignment - 1)) == 0);
    if (!may_allocate(count, size_bytes, &total_bytes)) return NULL;
    if (total_bytes > PTRDIFF_MAX - alignment) return NULL;

    total_bytes = (total_bytes + alignment - 1) & ~(alignment - 1); /* C11 wants a multiple */
    if (!fits(total_bytes)) return NULL;
    block = counted(aligned_alloc(alignment, total_bytes));
    if (block) memset(block, 0, total_bytes);
    return block;
}

void *ql_realloc(void *block, size_t count, size_t size_bytes)
{
    size_t total_bytes;
    size_t before = block ? block_bytes(block) : 0;
    void *grown;

    if (!may_allocate(count, size_bytes, &total_bytes)) return NULL;
    /* Old and new stand side by side while it is copied; and nothing may fail behind realloc. */
    if (total_bytes > before && !fits(total_bytes)) return NULL;
    grown = realloc(block, total_bytes);
    if (!grown) return NULL;
    atomic_fetch_add_explicit(&held, block_bytes(grown) - before, memory_order_relaxed);
    return grown;
}

void ql_free(void *block)
{
    if (!block) return;
    ql_memory_give(block_bytes(block));
    free(block);
}
