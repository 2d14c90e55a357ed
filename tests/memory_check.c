/* memory_check.c: what csrc/memory.c promises to the other C files; run by test_memory.py. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define WANT(condition)                                         \
    do {                                                        \
        if (!(condition)) {                                     \
            printf("line %d: want %s\n", __LINE__, #condition); \
            return 1;                                           \
        }                                                       \
    } while (0)

static int sizes_are_checked(void)
{
    WANT(!ql_alloc(SIZE_MAX, 2));
    WANT(!ql_alloc(SIZE_MAX / 2 + 2, 2)); /* the product wraps to 2 */
    WANT(!ql_alloc((size_t)1 << 32, (size_t)1 << 31));
    WANT(!ql_alloc_aligned(SIZE_MAX / 4, 8, 64));
    WANT(!ql_alloc_aligned(PTRDIFF_MAX, 1, 4096)); /* rounding up would pass the largest object */
    WANT(!ql_realloc(NULL, SIZE_MAX, 16));
    return 0;
}

static int blocks_are_zeroed_and_never_null(void)
{
    char *plain;
    char *aligned;

    for (int round = 0; round < 50; round++) { /* freed blocks come back dirty */
        plain = ql_alloc(7, 33);
        aligned = ql_alloc_aligned(3, 77, 64);
        WANT(plain && aligned && (uintptr_t)aligned % 64 == 0);
        for (int i = 0; i < 231; i++) WANT(plain[i] == 0 && aligned[i] == 0);
        memset(plain, 1, 231);
        memset(aligned, 1, 231);
        ql_free(plain);
        ql_free(aligned);
    }
    plain = ql_alloc(0, 8);
    aligned = ql_alloc_aligned(8, 0, 32);
    WANT(plain && aligned);
    plain = ql_realloc(plain, 0, 8);
    WANT(plain);
    ql_free(plain);
    ql_free(aligned);
    ql_free(NULL);
    return 0;
}

static int only_the_nth_fails(void)
{
    char *block = ql_alloc(4, 1);
    uint64_t before = ql_alloc_count();

    WANT(block);
    memcpy(block, "abc", 4);
    ql_alloc_fail_at(2);
    block = ql_realloc(block, 8, 1);
    WANT(block);
    WANT(!ql_realloc(block, 16, 1));
    WANT(strcmp(block, "abc") == 0); /* the old block stands */
    block = ql_realloc(block, 16, 1);
    WANT(block);
    WANT(ql_alloc_count() == before + 3);

    ql_alloc_fail_at(1);
    ql_alloc_fail_at(0);
    block = ql_realloc(block, 32, 1);
    WANT(block && strcmp(block, "abc") == 0);
    ql_alloc_fail_at(1);
    WANT(!ql_alloc_aligned(1, 1, 64));
    ql_free(block);
    return 0;
}

static void *churn(void *unused)
{
    for (int i = 0; i < 10000; i++) ql_free(ql_alloc(1, 8));
    return unused;
}

static int threads_lose_no_count(void)
{
    uint64_t before = ql_alloc_count();
    pthread_t thread;

    WANT(pthread_create(&thread, NULL, churn, NULL) == 0);
    churn(NULL);
    WANT(pthread_join(thread, NULL) == 0);
    WANT(ql_alloc_count() == before + 20000);
    return 0;
}

int main(void)
{
    return sizes_are_checked() || blocks_are_zeroed_and_never_null() || only_the_nth_fails() ||
           threads_lose_no_count();
}
