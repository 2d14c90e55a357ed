/* rotation.h: what codes.c does to every query, for each instruction set.
 *
 * Included by codes.c and, inside their target regions, by the kernel files: the same plain loops,
 * which the compiler makes four, eight or sixteen components wide.  Every component has its own
 * sums, so the width changes no bit. */
#ifndef QL_ROTATION_H
#define QL_ROTATION_H

#include <stdint.h>
#include <string.h>

/* One step of the transform: sums and differences of components `half` apart. */
static inline __attribute__((always_inline)) void hadamard_step(float *x, uint32_t n, uint32_t half)
{
    for (uint32_t i = 0; i < n; i += 2 * half) {
        float *restrict low = x + i;
        float *restrict high = low + half; /* Apart, so the compiler may take several at a time. */
        for (uint32_t j = 0; j < half; j++) {
            float a = low[j];
            float b = high[j];
            low[j] = a + b;
            high[j] = a - b;
        }
    }
}

/* Unnormalised: every transform multiplies lengths by sqrt(n).  n: a power of two. */
static inline void hadamard(float *x, uint32_t n)
{
    uint32_t half = 1;

    for (; n >= 4 && half == 1; half = 4) /* The first two steps in one pass over neighbours. */
        for (uint32_t i = 0; i < n; i += 4) {
            float sums[2] = {x[i] + x[i + 1], x[i + 2] + x[i + 3]};
            float differences[2] = {x[i] - x[i + 1], x[i + 2] - x[i + 3]};
            x[i] = sums[0] + sums[1];
            x[i + 1] = differences[0] + differences[1];
            x[i + 2] = sums[0] - sums[1];
            x[i + 3] = differences[0] - differences[1];
        }
    if (n >= 16) { /* Short steps of a known length become registers. */
        hadamard_step(x, n, 4);
        hadamard_step(x, n, 8);
        half = 16;
    }
    for (; half < n; half *= 2) hadamard_step(x, n, half);
}

/* Signs, scale and transform: one pass of the rotation. */
static void turn(float *restrict x, const float *restrict signs, float scale, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) x[i] *= signs[i] * scale;
    hadamard(x, n);
}

/* Round half away from zero, without the library: the compiler makes it eight at a time. */
static inline int32_t rounded(float x)
{
    return (int32_t)(x + (x < 0 ? -0.5f : 0.5f));
}

/* Each component times scale, rounded to a signed byte; returns their sum. */
static int32_t step_all(const float *restrict x, uint32_t n, float scale, int8_t *restrict code)
{
    int32_t sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        int32_t step = rounded(x[i] * scale);
        code[i] = (int8_t)step;
        sum += step;
    }
    return sum;
}

/* The largest magnitude; magnitudes of floats are ordered as their bits are. */
static float largest_of(const float *x, uint32_t n)
{
    int32_t largest_bits = 0;
    float largest;

    for (uint32_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        largest_bits = bits > largest_bits ? bits : largest_bits;
    }
    memcpy(&largest, &largest_bits, sizeof largest);
    return largest;
}

#endif
