/* kernels_portable.c: the definition of the kernels; every other table is tested against this one,
 * bit by bit.
 *
 * One order of additions for every instruction set.  Component i goes to lane i % 32; each lane is
 * summed in float32 in the order of i, product and sum rounded separately (no fused multiply-add);
 * the 32 lanes are folded in halves: lane j takes lane j+16, then j+8, j+4, j+2, j+1.
 *
 * Why fix it: the same rows give the same scores on every machine, alone or in a block, consecutive
 * or gathered, so ties stay ties and top-k is identical for every instruction set.  What it costs:
 * the fused instruction would halve the arithmetic, but a score reads 4 bytes per multiply and
 * beyond the first cache it waits for them (bench/kernels.py).
 *
 * Why 32: it is two AVX-512 registers, four AVX2 or eight NEON ones, enough additions in flight to
 * hide their latency; and the error is bounded by (d/32 + 6) * 2^-24 * sum|q*r|, below 2.5e-6 of
 * sum|q*r| up to d = 1100.
 *
 * A lane starts at +0 and x + (+0) == x for every sum reached from there, so a kernel may pad the
 * last components with zeros: the bits do not change. */
#include "internal.h"

#define LANES 32

static float folded(float *lanes)
{
    for (uint32_t half = LANES / 2; half; half /= 2)
        for (uint32_t j = 0; j < half; j++) lanes[j] += lanes[j + half];
    return lanes[0];
}

static float dot(const float *a, const float *b, uint32_t dim)
{
    float lanes[LANES] = {0};
    uint32_t i = 0;

    for (; i + LANES <= dim; i += LANES)
        for (uint32_t j = 0; j < LANES; j++) {
            float product = a[i + j] * b[i + j];
            lanes[j] += product;
        }
    for (uint32_t j = 0; i + j < dim; j++) {
        float product = a[i + j] * b[i + j];
        lanes[j] += product;
    }
    return folded(lanes);
}

static float l2(const float *a, const float *b, uint32_t dim)
{
    float lanes[LANES] = {0};
    uint32_t i = 0;

    for (; i + LANES <= dim; i += LANES)
        for (uint32_t j = 0; j < LANES; j++) {
            float difference = a[i + j] - b[i + j];
            float square = difference * difference;
            lanes[j] += square;
        }
    for (uint32_t j = 0; i + j < dim; j++) {
        float difference = a[i + j] - b[i + j];
        float square = difference * difference;
        lanes[j] += square;
    }
    return folded(lanes);
}

static void dot_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                     float *out)
{
    for (uint32_t i = 0; i < n; i++) out[i] = dot(query, rows[i], dim);
}

static void l2_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                    float *out)
{
    for (uint32_t i = 0; i < n; i++) out[i] = l2(query, rows[i], dim);
}

const ql_kernels ql_kernels_portable = {
    .name = "portable",
    .dot = dot,
    .l2 = l2,
    .dot_rows = dot_rows,
    .l2_rows = l2_rows,
    .crc32c = ql_crc32c_portable,
    .code_rows = ql_code_rows_portable,
    .exact_dot = ql_exact_dot_portable,
    .exact_l2 = ql_exact_l2_portable,
};
