/* kernels_avx512.c: the kernels for x86-64 with AVX-512, in the order of additions of
 * kernels_portable.c.
 *
 * Lanes 0..31 are two registers of sixteen.  Four rows are summed at a time: eight sums in flight,
 * one load of the query for all four.  The last components are loaded under a mask, the rest of the
 * register is +0 and changes no bit. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "index.h"

#define LANES    32
#define WIDTH    16
#define ROUNDING 12582912.0f /* see kernels_portable.c */
#define ALWAYS   static inline __attribute__((always_inline))

enum { DOT, L2 };

QL_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

#include "rotation.h"

/* Fold halves: 16 between registers, 8, 4, 2 and 1 inside. */
ALWAYS float folded(const __m512 *sums)
{
    __m512 sixteen = _mm512_add_ps(sums[0], sums[1]);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sixteen),
                                 _mm512_extractf32x8_ps(sixteen, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

ALWAYS __m512 added(int kind, __m512 sum, __m512 a, __m512 b)
{
    __m512 x = kind == DOT ? a : _mm512_sub_ps(a, b);

    return _mm512_add_ps(sum, _mm512_mul_ps(x, kind == DOT ? b : x));
}

/* n: a constant at every call, so that sums stay in registers. */
ALWAYS void score(int kind, const float *query, uint32_t dim, const float *const *rows, int n,
                  float *out)
{
    __m512 sums[4][2];
    uint32_t whole = dim / LANES * LANES;
    uint32_t mask = ((uint32_t)1 << (dim - whole)) - 1;

    for (int r = 0; r < n; r++) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    for (uint32_t i = 0; i < whole; i += LANES)
        for (int g = 0; g < 2; g++) {
            __m512 part = _mm512_loadu_ps(query + i + WIDTH * g);

            for (int r = 0; r < n; r++)
                sums[r][g] = added(kind, sums[r][g], part,
                                   _mm512_loadu_ps(rows[r] + i + WIDTH * g));
        }
    if (mask)
        for (int g = 0; g < 2; g++) {
            __mmask16 some = (__mmask16)(mask >> WIDTH * g);
            __m512 part = _mm512_maskz_loadu_ps(some, query + whole + WIDTH * g);

            for (int r = 0; r < n; r++)
                sums[r][g] = added(kind, sums[r][g], part,
                                   _mm512_maskz_loadu_ps(some, rows[r] + whole + WIDTH * g));
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

    for (; i + 4 <= n; i += 4) score(DOT, query, dim, rows + i, 4, out + i);
    for (; i < n; i++) score(DOT, query, dim, rows + i, 1, out + i);
}

static void l2_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                    float *out)
{
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) score(L2, query, dim, rows + i, 4, out + i);
    for (; i < n; i++) score(L2, query, dim, rows + i, 1, out + i);
}

/* Codes of codes.c, four or one at a time: one load of the query serves all, and the sums of four
 * are folded together. n and hot are constants at every call. */
ALWAYS void score_codes(const int8_t *query, uint32_t plane, const uint8_t *const *rows, int n,
                        int hot, int32_t *out)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i sums[4];
    __m256i eights[4];
    __m256i pairs;

    for (int r = 0; r < n; r++) sums[r] = _mm512_setzero_si512();
    for (uint32_t i = 0; i < plane; i += 64) {
        __m512i first = _mm512_loadu_si512(query + i);
        __m512i second = _mm512_loadu_si512(query + plane + i);

        for (int r = 0; r < n; r++) {
            __m512i a = _mm512_loadu_si512(rows[r] + i);
            __m512i b = _mm512_srli_epi16(a, 4);

            if (hot) {
                a = _mm512_and_si512(a, low);
                b = _mm512_and_si512(b, low);
            } else {
                /* Where the mask is set the warm nibble, else the hot one: 0xca is "a ? b : c". */
                __m512i warm = _mm512_loadu_si512(rows[r] + plane + i);
                b = _mm512_ternarylogic_epi64(low, _mm512_srli_epi16(warm, 4), a, 0xca);
                a = _mm512_ternarylogic_epi64(low, warm, _mm512_slli_epi16(a, 4), 0xca);
            }
            sums[r] = _mm512_dpbusd_epi32(sums[r], a, first);
            sums[r] = _mm512_dpbusd_epi32(sums[r], b, second);
        }
    }
    if (n == 1) {
        out[0] = _mm512_reduce_add_epi32(sums[0]);
        return;
    }
    for (int r = 0; r < 4; r++)
        eights[r] = _mm256_add_epi32(_mm512_castsi512_si256(sums[r]),
                                     _mm512_extracti64x4_epi64(sums[r], 1));
    pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(eights[0], eights[1]),
                              _mm256_hadd_epi32(eights[2], eights[3]));
    _mm_storeu_si128((__m128i *)out, _mm_add_epi32(_mm256_castsi256_si128(pairs),
                                                   _mm256_extracti128_si256(pairs, 1)));
}

static void code_rows(const int8_t *query, uint32_t plane, const uint8_t *const *rows, uint32_t n,
                      int32_t *out)
{
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) score_codes(query, plane, rows + i, 4, 0, out + i);
    for (; i < n; i++) score_codes(query, plane, rows + i, 1, 0, out + i);
}

static void code_hot_rows(const int8_t *query, uint32_t plane, const uint8_t *const *rows,
                          uint32_t n, int32_t *out)
{
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) score_codes(query, plane, rows + i, 4, 1, out + i);
    for (; i < n; i++) score_codes(query, plane, rows + i, 1, 1, out + i);
}

/* Sixteen float64 lanes are two registers. */
ALWAYS double folded_exact(const __m512d *sums)
{
    __m512d eight = _mm512_add_pd(sums[0], sums[1]);
    __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));

    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* Components [i, i + 16) as float64, zeros beyond dim. */
ALWAYS void widened(const float *from, uint32_t i, uint32_t dim, __m512d *halves)
{
    __mmask16 some = dim - i >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << (dim - i)) - 1);
    __m512 all = _mm512_maskz_loadu_ps(some, from + i);

    halves[0] = _mm512_cvtps_pd(_mm512_castps512_ps256(all));
    halves[1] = _mm512_cvtps_pd(_mm512_extractf32x8_ps(all, 1));
}

/* A product of two float32 is exact in float64, so fusing it with the addition changes no bit. */
static void exact_dot(const float *query, const float *row, uint32_t dim, double *dot_out,
                      double *square_out)
{
    __m512d dots[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    __m512d squares[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};

    for (uint32_t i = 0; i < dim; i += WIDTH) {
        __m512d q[2];
        __m512d r[2];

        widened(query, i, dim, q);
        widened(row, i, dim, r);
        for (int g = 0; g < 2; g++) {
            dots[g] = _mm512_fmadd_pd(q[g], r[g], dots[g]);
            squares[g] = _mm512_fmadd_pd(r[g], r[g], squares[g]);
        }
    }
    *dot_out = folded_exact(dots);
    *square_out = folded_exact(squares);
}

static double exact_l2(const float *query, const float *row, uint32_t dim)
{
    __m512d sums[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};

    for (uint32_t i = 0; i < dim; i += WIDTH) {
        __m512d q[2];
        __m512d r[2];

        widened(query, i, dim, q);
        widened(row, i, dim, r);
        for (int g = 0; g < 2; g++) {
            __m512d x = _mm512_sub_pd(q[g], r[g]);

            sums[g] = _mm512_add_pd(sums[g], _mm512_mul_pd(x, x));
        }
    }
    return folded_exact(sums);
}

ALWAYS void score_both(const float *query, uint32_t dim, const float *const *rows, int n,
                       float *dots, float *squares)
{
    __m512 sums[4][2];
    __m512 square_sums[4][2];
    uint32_t whole = dim / LANES * LANES;
    uint32_t mask = ((uint32_t)1 << (dim - whole)) - 1;

    for (int r = 0; r < n; r++)
        for (int g = 0; g < 2; g++) sums[r][g] = square_sums[r][g] = _mm512_setzero_ps();
    for (uint32_t i = 0; i < whole; i += LANES)
        for (int g = 0; g < 2; g++) {
            __m512 part = _mm512_loadu_ps(query + i + WIDTH * g);

            for (int r = 0; r < n; r++) {
                __m512 row = _mm512_loadu_ps(rows[r] + i + WIDTH * g);

                sums[r][g] = added(DOT, sums[r][g], part, row);
                square_sums[r][g] = added(DOT, square_sums[r][g], row, row);
            }
        }
    for (int g = 0; g < 2 && mask; g++) {
        __mmask16 some = (__mmask16)(mask >> WIDTH * g);
        __m512 part = _mm512_maskz_loadu_ps(some, query + whole + WIDTH * g);

        for (int r = 0; r < n; r++) {
            __m512 row = _mm512_maskz_loadu_ps(some, rows[r] + whole + WIDTH * g);

            sums[r][g] = added(DOT, sums[r][g], part, row);
            square_sums[r][g] = added(DOT, square_sums[r][g], row, row);
        }
    }
    for (int r = 0; r < n; r++) {
        dots[r] = folded(sums[r]);
        squares[r] = folded(square_sums[r]);
    }
}

static void dot_square_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                            float *dots, float *squares)
{
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) score_both(query, dim, rows + i, 4, dots + i, squares + i);
    for (; i < n; i++) score_both(query, dim, rows + i, 1, dots + i, squares + i);
}

static void widen_f16(const uint16_t *halves, uint64_t n, float *out)
{
    for (uint64_t i = 0; i < n; i += WIDTH) {
        __mmask16 some = n - i < WIDTH ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xffff;

        _mm512_mask_storeu_ps(out + i, some,
                              _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(some, halves + i)));
    }
}

static float largest(const float *row, uint32_t dim)
{
    __m512 sizes[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    uint32_t i = 0;

    /* A NaN is passed over, and shows in the square. */
    for (; i + LANES <= dim; i += LANES)
        for (int g = 0; g < 2; g++)
            sizes[g] = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(row + i + WIDTH * g)), sizes[g]);
    for (; i < dim; i += WIDTH) {
        __mmask16 some = (__mmask16)(dim - i < WIDTH ? (1u << (dim - i)) - 1 : 0xffffu);

        sizes[0] = _mm512_max_ps(_mm512_abs_ps(_mm512_maskz_loadu_ps(some, row + i)), sizes[0]);
    }
    return _mm512_reduce_max_ps(_mm512_max_ps(sizes[0], sizes[1]));
}

/* 32 components: codes out, squared residuals and squares added to the lanes. */
ALWAYS void encode_block(const __m512 *parts, float scale, float inverse, int8_t *codes,
                         __m512 *residuals, __m512 *squares)
{
    __m512 rounding = _mm512_set1_ps(ROUNDING);

    for (int g = 0; g < 2; g++) {
        __m512 rounded = _mm512_add_ps(_mm512_mul_ps(parts[g], _mm512_set1_ps(inverse)), rounding);
        __m512 near = _mm512_mul_ps(_mm512_sub_ps(rounded, rounding), _mm512_set1_ps(scale));
        __m128i bytes = _mm512_cvtepi32_epi8(_mm512_castps_si512(rounded));

        _mm_storeu_si128((__m128i *)(codes + WIDTH * g), bytes);
        residuals[g] = added(L2, residuals[g], parts[g], near);
        squares[g] = added(DOT, squares[g], parts[g], parts[g]);
    }
}

static void encode(const float *row, uint32_t dim, int8_t *codes, float *scale, float *error,
                   float *square)
{
    float top = largest(row, dim);
    float step = top / 127;
    float inverse = top > 0 ? 127 / top : 0;
    uint32_t whole = dim / LANES * LANES;
    uint32_t mask = ((uint32_t)1 << (dim - whole)) - 1;
    __m512 residuals[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    __m512 squares[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    __m512 parts[2];

    for (uint32_t i = 0; i < whole; i += LANES) {
        for (int g = 0; g < 2; g++) parts[g] = _mm512_loadu_ps(row + i + WIDTH * g);
        encode_block(parts, step, inverse, codes + i, residuals, squares);
    }
    if (mask) {
        for (int g = 0; g < 2; g++)
            parts[g] = _mm512_maskz_loadu_ps((__mmask16)(mask >> WIDTH * g),
                                             row + whole + WIDTH * g);
        encode_block(parts, step, inverse, codes + whole, residuals, squares);
    }
    *scale = step;
    *error = sqrtf(folded(residuals));
    *square = folded(squares);
}

/* The bounds of sixteen rows against worst, as sixteen bits; a NaN passes. */
ALWAYS uint64_t passing(const ql_screen_query *query, const ql_screen_rows *rows, uint64_t row,
                        __m512i sums, float worst)
{
    __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(rows->scale + row), _mm512_set1_ps(query->scale));
    __m512 error = _mm512_mul_ps(_mm512_loadu_ps(rows->error + row), _mm512_set1_ps(query->norm));
    __m512 rest = _mm512_mul_ps(_mm512_loadu_ps(rows->length + row), _mm512_set1_ps(query->error));
    __m512 bias = _mm512_add_ps(_mm512_loadu_ps(rows->bias + row), _mm512_set1_ps(query->bias));
    __m512 highest = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sums));

    highest = _mm512_add_ps(_mm512_add_ps(highest, _mm512_add_ps(error, rest)), bias);
    return _mm512_cmp_ps_mask(highest, _mm512_set1_ps(worst), _CMP_NLE_UQ);
}

/* Sixteen rows of four components per register: vpdpbusd adds four products to each row's sum. */
static uint64_t screen(const ql_screen_query *query, const ql_screen_rows *rows, uint64_t tile,
                       float worst)
{
    const uint8_t *codes = rows->codes + tile * QL_TILE_ROWS * rows->size_bytes;
    __m512i sums[2][4]; /* two sets: a sum waits five cycles for the one before */
    uint64_t bits = 0;

    /* Codes are 128 too large, so the sums start that much too low. */
    for (int g = 0; g < 4; g++) sums[0][g] = _mm512_set1_epi32(-128 * query->sum);
    for (int g = 0; g < 4; g++) sums[1][g] = _mm512_setzero_si512();
    for (uint32_t j = 0; j < rows->size_bytes; j += 8)
        for (int half = 0; half < 2; half++, codes += 4 * QL_TILE_ROWS) {
            int32_t four;
            __m512i part;

            memcpy(&four, query->codes + j + 4 * half, sizeof four);
            part = _mm512_set1_epi32(four);
            for (int g = 0; g < 4; g++)
                sums[half][g] = _mm512_dpbusd_epi32(sums[half][g],
                                                    _mm512_load_si512(codes + 64 * g), part);
        }
    for (int g = 0; g < 4; g++) {
        __m512i sum = _mm512_add_epi32(sums[0][g], sums[1][g]);

        bits |= passing(query, rows, tile * QL_TILE_ROWS + 16 * g, sum, worst) << 16 * g;
    }
    return bits;
}

#include "walk.h"

QL_TARGET_END

const ql_kernels ql_kernels_avx512 = {
    .name = "avx512",
    .dot = dot,
    .l2 = l2,
    .dot_rows = dot_rows,
    .l2_rows = l2_rows,
    .dot_square_rows = dot_square_rows,
    .widen_f16 = widen_f16,
    .encode = encode,
    .screen = screen,
    .crc32c = ql_crc32c_sse42,
    .code_rows = code_rows,
    .code_hot_rows = code_hot_rows,
    .turn = turn,
    .steps = step_all,
    .largest = largest_of,
    .walk = walk_graph,
    .exact_dot = exact_dot,
    .exact_l2 = exact_l2,
    .unpack = ql_unpack_avx2,
    .unpack_sums = ql_unpack_sums_avx2,
    .count_bits = ql_count_bits_popcnt,
};
#else
typedef int ql_kernels_avx512_are_for_x86_64; /* C wants a declaration in every file */
#endif
