/* order.h: sorting 64-bit keys in place, without memory and without a bad case (heapsort; insertion
 * when short), or byte by byte where there is memory. */
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

/* Ascending, stable, with memory for n keys: a pass per byte in which the keys differ. */
static inline void order_keys_spare(uint64_t *keys, uint64_t *spare, uint64_t n)
{
    uint64_t differing = 0;
    uint64_t *from = keys;

    if (n <= 48) {
        order_keys(keys, n);
        return;
    }
    for (uint64_t i = 1; i < n; i++) differing |= keys[i] ^ keys[0];
    for (int shift = 0; shift < 64; shift += 8) {
        uint64_t start[256] = {0};
        uint64_t sum = 0;
        if (!(differing >> shift & 0xff)) continue;
        for (uint64_t i = 0; i < n; i++) start[from[i] >> shift & 0xff]++;
        for (int digit = 0; digit < 256; digit++) {
            uint64_t count = start[digit];
            start[digit] = sum;
            sum += count;
        }
        for (uint64_t i = 0; i < n; i++) spare[start[from[i] >> shift & 0xff]++] = from[i];
        uint64_t *swap = from;
        from = spare;
        spare = swap;
    }
    if (from != keys) memcpy(keys, from, n * sizeof *keys);
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
