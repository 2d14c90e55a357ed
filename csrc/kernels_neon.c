/* kernels_neon.c: the kernels for 64-bit Arm, in the order of additions of kernels_portable.c.
 *
 * Lanes 0..31 are eight registers of four.  Two rows are summed at a time: sixteen sums of the
 * thirty-two registers, one load of the query for both.  There is no masked load: the last
 * components are copied into a block of zeros. */
#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "index.h"

#define LANES  32
#define WIDTH  4
#define GROUPS 8
#define ALWAYS static inline __attribute__((always_inline))

enum { DOT, L2 };

/* Fold halves: 16, 8 and 4 between registers, 2 and 1 inside. */
ALWAYS float folded(const float32x4_t *sums)
{
    float32x4_t low = vaddq_f32(vaddq_f32(sums[0], sums[4]), vaddq_f32(sums[2], sums[6]));
    float32x4_t high = vaddq_f32(vaddq_f32(sums[1], sums[5]), vaddq_f32(sums[3], sums[7]));
    float32x4_t four = vaddq_f32(low, high);
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));

    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

ALWAYS float32x4_t added(int kind, float32x4_t sum, float32x4_t a, float32x4_t b)
{
    float32x4_t x = kind == DOT ? a : vsubq_f32(a, b);

    return vaddq_f32(sum, vmulq_f32(x, kind == DOT ? b : x)); /* never vfmaq: see the definition */
}

/* n: a constant at every call, so that sums stay in registers. */
ALWAYS void score(int kind, const float *query, uint32_t dim, const float *const *rows, int n,
                  float *out)
{
    float32x4_t sums[2][GROUPS];
    uint32_t whole = dim / LANES * LANES;

    for (int r = 0; r < n; r++)
        for (int g = 0; g < GROUPS; g++) sums[r][g] = vdupq_n_f32(0);
    for (uint32_t i = 0; i < whole; i += LANES)
        for (int g = 0; g < GROUPS; g++) {
            float32x4_t part = vld1q_f32(query + i + WIDTH * g);

            for (int r = 0; r < n; r++)
                sums[r][g] = added(kind, sums[r][g], part, vld1q_f32(rows[r] + i + WIDTH * g));
        }
    if (whole < dim) {
        float padded_query[LANES] = {0};
        float padded[LANES] = {0};

        memcpy(padded_query, query + whole, (dim - whole) * sizeof(float));
        for (int r = 0; r < n; r++) {
            memcpy(padded, rows[r] + whole, (dim - whole) * sizeof(float));
            for (int g = 0; g < GROUPS; g++)
                sums[r][g] = added(kind, sums[r][g], vld1q_f32(padded_query + WIDTH * g),
                                   vld1q_f32(padded + WIDTH * g));
        }
    }
    for (int r = 0; r < n; r++) out[r] = folded(sums[r]);
}

static float dot(const float *a, const float *b, uint32_t dim)
{
    float result;

    score(DOT, a, dim, &b, 1, &result);
    return result;
}

static float l2(const float *a, const float *b, uint32_t dim)
{
    float result;

    score(L2, a, dim, &b, 1, &result);
    return result;
}

static void dot_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                     float *out)
{
    uint32_t i = 0;

    for (; i + 2 <= n; i += 2) score(DOT, query, dim, rows + i, 2, out + i);
    if (i < n) score(DOT, query, dim, rows + i, 1, out + i);
}

static void l2_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                    float *out)
{
    uint32_t i = 0;

    for (; i + 2 <= n; i += 2) score(L2, query, dim, rows + i, 2, out + i);
    if (i < n) score(L2, query, dim, rows + i, 1, out + i);
}

/* One row at a time: its sixteen sums already hide the latency. */
static void dot_square_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                            float *dots, float *squares)
{
    uint32_t whole = dim / LANES * LANES;
    float padded_query[LANES] = {0};
    float padded[LANES] = {0};

    memcpy(padded_query, query + whole, (dim - whole) * sizeof(float));
    for (uint32_t r = 0; r < n; r++) {
        float32x4_t sums[2][GROUPS];

        for (int g = 0; g < GROUPS; g++) sums[0][g] = sums[1][g] = vdupq_n_f32(0);
        for (uint32_t i = 0; i < whole; i += LANES)
            for (int g = 0; g < GROUPS; g++) {
                float32x4_t row = vld1q_f32(rows[r] + i + WIDTH * g);

                sums[0][g] = added(DOT, sums[0][g], row, vld1q_f32(query + i + WIDTH * g));
                sums[1][g] = added(DOT, sums[1][g], row, row);
            }
        memcpy(padded, rows[r] + whole, (dim - whole) * sizeof(float));
        for (int g = 0; g < GROUPS && whole < dim; g++) {
            float32x4_t row = vld1q_f32(padded + WIDTH * g);

            sums[0][g] = added(DOT, sums[0][g], row, vld1q_f32(padded_query + WIDTH * g));
            sums[1][g] = added(DOT, sums[1][g], row, row);
        }
        dots[r] = folded(sums[0]);
        squares[r] = folded(sums[1]);
    }
}

static void widen_f16(const uint16_t *halves, uint64_t n, float *out)
{
    float16_t last[WIDTH] = {0};
    float values[WIDTH];
    uint64_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH)
        vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves + i))));
    if (i == n) return;
    memcpy(last, halves + i, (n - i) * sizeof *halves);
    vst1q_f32(values, vcvt_f32_f16(vld1_f16(last)));
    memcpy(out + i, values, (n - i) * sizeof *values);
}

/* Four rows of four components per register.  Two products of at most 127*128 fit 16 bits. */
static uint64_t screen(const ql_screen_query *query, const ql_screen_rows *rows, uint64_t tile,
                       float worst)
{
    const uint8_t *codes = rows->codes + tile * QL_TILE_ROWS * rows->size_bytes;
    int32x4_t sums[QL_TILE_ROWS / 4];
    int32_t sum[QL_TILE_ROWS];
    uint64_t passing = 0;

    for (int g = 0; g < QL_TILE_ROWS / 4; g++) sums[g] = vdupq_n_s32(0);
    for (uint32_t j = 0; j < rows->size_bytes; j += 4, codes += 4 * QL_TILE_ROWS) {
        int32_t four;
        int8x16_t part;

        memcpy(&four, query->codes + j, sizeof four);
        part = vreinterpretq_s8_s32(vdupq_n_s32(four));
        for (int g = 0; g < QL_TILE_ROWS / 4; g++) {
            int8x16_t row = vreinterpretq_s8_u8(
                veorq_u8(vld1q_u8(codes + 16 * g), vdupq_n_u8(128)));
            int16x8_t low = vmull_s8(vget_low_s8(row), vget_low_s8(part));
            int16x8_t high = vmull_s8(vget_high_s8(row), vget_high_s8(part));

            sums[g] = vpadalq_s16(sums[g], vpaddq_s16(low, high));
        }
    }
    for (int g = 0; g < QL_TILE_ROWS / 4; g++) vst1q_s32(sum + 4 * g, sums[g]);
    for (uint32_t r = 0; r < QL_TILE_ROWS; r++) {
        uint64_t row = tile * QL_TILE_ROWS + r;
        float highest = rows->scale[row] * query->scale * (float)sum[r];

        highest += rows->error[row] * query->norm + rows->length[row] * query->error;
        highest += rows->bias[row] + query->bias;
        passing |= (uint64_t)!(highest <= worst) << r; /* a NaN passes */
    }
    return passing;
}

/* The instruction by hand: gcc and clang spell both its intrinsic and its target differently. */
static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t size_bytes)
{
    crc = ~crc;
    for (; size_bytes >= 8; size_bytes -= 8, data += 8) {
        uint64_t word;

        memcpy(&word, data, sizeof word);
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    }
    while (size_bytes--) {
        uint32_t byte = *data++;

        __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
    }
    return ~crc;
}

static void (*const code_rows)(const int8_t *, uint32_t, const uint8_t *const *, uint32_t,
                               int32_t *) =
    ql_code_rows_portable; /* The compiler makes them wide enough. */
static void (*const code_hot_rows)(const int8_t *, uint32_t, const uint8_t *const *, uint32_t,
                                   int32_t *) = ql_code_hot_rows_portable;

#include "walk.h"

const ql_kernels ql_kernels_neon = {
    .name = "neon",
    .dot = dot,
    .l2 = l2,
    .dot_rows = dot_rows,
    .l2_rows = l2_rows,
    .dot_square_rows = dot_square_rows,
    .widen_f16 = widen_f16,
    .encode = ql_encode_portable,
    .screen = screen,
    .crc32c = crc32c,
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
#else
typedef int ql_kernels_neon_are_for_aarch64; /* C wants a declaration in every file */
#endif
