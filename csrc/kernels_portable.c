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
#include <math.h>
#include <string.h>

#include "index.h"

#define LANES 32

static float folded(float *lanes)
{
    for (uint32_t half = LANES / 2; half; half /= 2)
        for (uint32_t j = 0; j < half; j++) lanes[j] += lanes[j + half];
    return lanes[0];
}

/* Up to 32 components into their lanes.  Functions of their own, because gcc 12 turns these loops
 * into vector code here and not inside the loops that call them: a fifth of the time. */
static void add_products(float *lanes, const float *a, const float *b, uint32_t count)
{
    for (uint32_t j = 0; j < count; j++) lanes[j] += a[j] * b[j];
}

static void add_squares(float *lanes, const float *a, const float *b, uint32_t count)
{
    for (uint32_t j = 0; j < count; j++) {
        float difference = a[j] - b[j];

        lanes[j] += difference * difference;
    }
}

static float dot(const float *a, const float *b, uint32_t dim)
{
    float lanes[LANES] = {0};
    uint32_t whole = dim / LANES * LANES;

    for (uint32_t i = 0; i < whole; i += LANES) add_products(lanes, a + i, b + i, LANES);
    add_products(lanes, a + whole, b + whole, dim - whole);
    return folded(lanes);
}

static float l2(const float *a, const float *b, uint32_t dim)
{
    float lanes[LANES] = {0};
    uint32_t whole = dim / LANES * LANES;

    for (uint32_t i = 0; i < whole; i += LANES) add_squares(lanes, a + i, b + i, LANES);
    add_squares(lanes, a + whole, b + whole, dim - whole);
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

static void dot_square_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                            float *dots, float *squares)
{
    for (uint32_t i = 0; i < n; i++) {
        dots[i] = dot(query, rows[i], dim);
        squares[i] = dot(rows[i], rows[i], dim);
    }
}

static void widen_f16(const uint16_t *halves, uint64_t n, float *out)
{
    for (uint64_t i = 0; i < n; i++) {
        uint32_t sign = (uint32_t)(halves[i] & 0x8000) << 16;
        uint32_t exponent = halves[i] >> 10 & 31;
        uint32_t fraction = halves[i] & 1023;
        uint32_t bits;

        if (exponent == 0) { /* denormal: fraction * 2^-24 is a normal float */
            float value = (float)fraction * 0x1p-24f;

            memcpy(&bits, &value, sizeof bits);
        } else {
            bits = (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
        }
        bits |= sign;
        memcpy(out + i, &bits, sizeof bits);
    }
}

/* Adding this rounds a small float to the nearest integer and leaves it in the low bits, NaN or
 * not: a conversion would be undefined for NaN. */
#define ROUNDING 12582912.0f /* 1.5 * 2^23 */

static void keep_larger(float *restrict lanes, const float *restrict row, uint32_t count)
{
    for (uint32_t j = 0; j < count; j++) {
        float size = fabsf(row[j]);

        lanes[j] = size > lanes[j] ? size : lanes[j];
    }
}

static float largest(const float *row, uint32_t dim)
{
    float lanes[LANES] = {0};
    uint32_t whole = dim / LANES * LANES;

    for (uint32_t i = 0; i < whole; i += LANES) keep_larger(lanes, row + i, LANES);
    keep_larger(lanes, row + whole, dim - whole);
    for (uint32_t j = 1; j < LANES; j++) lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
    return lanes[0];
}

/* 32 components: codes out, squared residuals and squares added to the lanes. */
static void encode_block(const float *restrict row, float scale, float inverse,
                         int8_t *restrict codes, float *restrict residuals, float *restrict squares)
{
    float rounded[LANES];
    uint32_t bits[LANES];

    for (uint32_t j = 0; j < LANES; j++) rounded[j] = row[j] * inverse + ROUNDING;
    memcpy(bits, rounded, sizeof bits);
    for (uint32_t j = 0; j < LANES; j++) codes[j] = (int8_t)(uint8_t)bits[j];
    for (uint32_t j = 0; j < LANES; j++) {
        float residual = row[j] - (rounded[j] - ROUNDING) * scale;

        residuals[j] += residual * residual;
        squares[j] += row[j] * row[j];
    }
}

void ql_encode_portable(const float *row, uint32_t dim, int8_t *codes, float *scale, float *error,
                        float *square)
{
    float residuals[LANES] = {0};
    float squares[LANES] = {0};
    float tail[LANES] = {0};
    float top = largest(row, dim);
    float inverse = top > 0 ? 127 / top : 0;
    uint32_t whole = dim / LANES * LANES;

    *scale = top / 127;
    for (uint32_t i = 0; i < whole; i += LANES)
        encode_block(row + i, *scale, inverse, codes + i, residuals, squares);
    if (whole < dim) {
        memcpy(tail, row + whole, (dim - whole) * sizeof(float));
        encode_block(tail, *scale, inverse, codes + whole, residuals, squares);
    }
    *error = sqrtf(folded(residuals));
    *square = folded(squares);
}

static uint64_t screen(const ql_screen_query *query, const ql_screen_rows *rows, uint64_t tile,
                       float worst)
{
    const uint8_t *codes = rows->codes + tile * QL_TILE_ROWS * rows->size_bytes;
    int32_t sums[QL_TILE_ROWS] = {0};
    uint64_t passing = 0;

    for (uint32_t j = 0; j < rows->size_bytes; j += 4, codes += 4 * QL_TILE_ROWS)
        for (uint32_t r = 0; r < QL_TILE_ROWS; r++)
            for (uint32_t c = 0; c < 4; c++)
                sums[r] += (codes[4 * r + c] - 128) * query->codes[j + c];
    for (uint32_t r = 0; r < QL_TILE_ROWS; r++) {
        uint64_t row = tile * QL_TILE_ROWS + r;
        float highest = rows->scale[row] * query->scale * (float)sums[r];

        highest += rows->error[row] * query->norm + rows->length[row] * query->error;
        highest += rows->bias[row] + query->bias;
        passing |= (uint64_t)!(highest <= worst) << r; /* a NaN passes */
    }
    return passing;
}

static void (*const code_rows)(const int8_t *, uint32_t, const uint8_t *const *, uint32_t,
                               int32_t *) =
    ql_code_rows_portable; /* The compiler makes them wide enough. */
static void (*const code_hot_rows)(const int8_t *, uint32_t, const uint8_t *const *, uint32_t,
                                   int32_t *) = ql_code_hot_rows_portable;

#include "walk.h"

void ql_unpack_portable(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t *out)
{
    for (uint32_t i = 0; i < count; i++) out[i] = ql_packed_at(from, bits, i);
}

void ql_unpack_sums_portable(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t first,
                             uint32_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        first += ql_packed_at(from, bits, i);
        out[i] = first++;
    }
}

uint64_t ql_count_bits_portable(const uint64_t *words, uint64_t n)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < n; i++) count += (uint64_t)__builtin_popcountll(words[i]);
    return count;
}

const ql_kernels ql_kernels_portable = {
    .name = "portable",
    .dot = dot,
    .l2 = l2,
    .dot_rows = dot_rows,
    .l2_rows = l2_rows,
    .dot_square_rows = dot_square_rows,
    .widen_f16 = widen_f16,
    .encode = ql_encode_portable,
    .screen = screen,
    .crc32c = ql_crc32c_portable,
    .code_rows = ql_code_rows_portable,
    .code_hot_rows = ql_code_hot_rows_portable,
    .turn = ql_turn_portable,
    .steps = ql_steps_portable,
    .largest = ql_largest_portable,
    .walk = walk_graph,
    .exact_dot = ql_exact_dot_portable,
    .exact_l2 = ql_exact_l2_portable,
    .unpack = ql_unpack_portable,
    .unpack_sums = ql_unpack_sums_portable,
    .count_bits = ql_count_bits_portable,
};
