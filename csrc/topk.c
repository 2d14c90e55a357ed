/* topk.c: the k best of n scores, by a bounded heap.
 *
 * The order is total: higher score first, and of equal scores the smaller index.  So the k best are
 * one set whatever the order of arrival, and neither threads nor instruction sets can change them.
 * The root is the worst of those kept: most candidates end at one comparison with it. */
#include "topk.h"

static int is_worse(ql_ranked a, ql_ranked b)
{
    return a.score < b.score || (a.score == b.score && a.index > b.index);
}

static void sink(ql_ranked *heap, uint32_t size, uint32_t at)
{
    ql_ranked moving = heap[at];

    for (;;) {
        uint64_t child = 2 * (uint64_t)at + 1;

        if (child >= size) break;
        if (child + 1 < size && is_worse(heap[child + 1], heap[child])) child++;
        if (!is_worse(heap[child], moving)) break;
        heap[at] = heap[child];
        at = (uint32_t)child;
    }
    heap[at] = moving;
}

void ql_best_add(ql_best *best, float score, uint32_t index)
{
    ql_ranked one = {score, index};
    uint32_t at;

    if (best->size == best->capacity) {
        if (best->size == 0 || !is_worse(best->heap[0], one)) return;
        best->heap[0] = one;
        sink(best->heap, best->size, 0);
        return;
    }
    for (at = best->size++; at > 0; at = (at - 1) / 2) { /* rise */
        uint32_t parent = (at - 1) / 2;

        if (!is_worse(one, best->heap[parent])) break;
        best->heap[at] = best->heap[parent];
    }
    best->heap[at] = one;
}

void ql_best_sorted(ql_best *best, uint32_t *index, float *scores)
{
    for (uint32_t size = best->size; size > 0; size--) {
        index[size - 1] = best->heap[0].index;
        scores[size - 1] = best->heap[0].score;
        best->heap[0] = best->heap[size - 1];
        sink(best->heap, size - 1, 0);
    }
    best->size = 0;
}

static int has_nan(const float *scores, uint64_t n)
{
    int found = 0;

    for (uint64_t i = 0; i < n; i++) found |= scores[i] != scores[i];
    return found;
}

int ql_top(const float *scores, uint64_t m, uint64_t n, uint32_t k, uint32_t *index, float *top)
{
    ql_best best = {.capacity = k};

    if (k > n || n > QL_NONE) return QL_E_INVALID;
    if (m == 0 || k == 0) return QL_OK;
    if (!scores || !index || !top) return QL_E_INVALID;
    for (uint64_t row = 0; row < m; row++)
        if (has_nan(scores + row * n, n)) return QL_E_INVALID;

    best.heap = ql_alloc(k, sizeof *best.heap);
    if (!best.heap) return QL_E_MEMORY;
    for (uint64_t row = 0; row < m; row++, scores += n) {
        for (uint64_t i = 0; i < n; i++)
            if (best.size < k || scores[i] > best.heap[0].score)
                ql_best_add(&best, scores[i], (uint32_t)i);
        ql_best_sorted(&best, index + row * k, top + row * k);
    }
    ql_free(best.heap);
    return QL_OK;
}
