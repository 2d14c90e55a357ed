/* kernels_avx512.c: the kernels for x86-64 with AVX-512, in the order of additions of
 * kernels_portable.c.
 *
 * Lanes 0..31 are two registers of sixteen.  Four rows are summed at a time: eight sums in flight,
 * one load of the query for all four.  The last components are loaded under a mask, the rest of the
 * register is +0 and changes no bit. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "internal.h"

#define LANES  32
#define WIDTH  16
#define ALWAYS static inline __attribute__((always_inline))

enum { DOT, L2 };

QL_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl")

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

QL_TARGET_END

const ql_kernels ql_kernels_avx512 = {
    .name = "avx512",
    .dot = dot,
    .l2 = l2,
    .dot_rows = dot_rows,
    .l2_rows = l2_rows,
    .crc32c = ql_crc32c_sse42,
};
#else
typedef int ql_kernels_avx512_are_for_x86_64; /* C wants a declaration in every file */
#endif
