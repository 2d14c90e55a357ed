/* topk.h: a bounded heap of the best by score, ties by the smaller index. */
#ifndef QL_TOPK_H
#define QL_TOPK_H

#include "internal.h"

typedef struct ql_ranked {
    float score;
    uint32_t index;
} ql_ranked;

/* Thread rule: one thread at a time. */
typedef struct ql_best {
    ql_ranked *heap; /* the worst of them at the root */
    uint32_t size;
    uint32_t capacity;
} ql_best;

void ql_best_add(ql_best *best, float score, uint32_t index);
/* Write them best first and leave the heap empty. */
void ql_best_sorted(ql_best *best, uint32_t *index, float *scores);

#endif
