/* order.h: sorting 64-bit keys in place, without memory and without a bad case (heapsort; insertion when short). */
#ifndef QL_ORDER_H
#define QL_ORDER_H

#include <stdint.h>
#include <string.h>

static inline void order_sift(uint64_t *keys, uint64_t root, uint64_t n)
{
    uint64_t key = keys[root];

    for (uint64_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && keys[child + 1] > keys[child]) child++;
        if (keys[child] <= key) break;
        keys[root] = keys[child];
    }
    keys[root] = key;
}

/* Ascending. */
static inline void order_keys(uint64_t *keys, uint64_t n)
{
    if (n <= 48) {
        for (uint64_t i = 1; i < n; i++) {
            uint64_t key = keys[i];
            uint64_t j = i;
            for (; j && keys[j - 1] > key; j--) keys[j] = keys[j - 1];
            keys[j] = key;
        }
        return;
    }
    for (uint64_t i = n / 2; i--;) order_sift(keys, i, n);
    for (uint64_t end = n; --end;) {
        uint64_t top = keys[0];
        keys[0] = keys[end];
        keys[end] = top;
        order_sift(keys, 0, end);
    }
}

/* A key that ascends where the float descends; -0 and +0 are the same. */
static inline uint32_t order_descending(float score)
{
    uint32_t bits;

    score += 0.0f;
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

static inline float order_score(uint32_t key)
{
    uint32_t bits = key & 0x80000000u ? key : ~key & 0x7fffffffu;
    float score;

    memcpy(&score, &bits, sizeof score);
    return score;
}

#endif
