/* npu_avx2.c: the kernels of the spiking simulation for AVX2. */
#include <math.h>
#include <string.h>

#include "npu.h"

#if defined(__x86_64__)
#include <immintrin.h>

QL_TARGET_BEGIN("avx2,bmi,bmi2,popcnt")
static inline uint32_t below_avx2(const uint32_t *row, uint32_t end, uint32_t *out)
{
    const __m256i synapses = _mm256_loadu_si256((const __m256i *)row);
    const __m256i targets = _mm256_and_si256(synapses, _mm256_set1_epi32(NPU_TARGET_MASK));
    const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)end), targets);

    _mm256_storeu_si256((__m256i *)out, synapses);
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(below));
}

static inline uint32_t leading_avx2(const uint32_t *row, uint32_t count, uint32_t end,
                                    uint32_t *out)
{
    const uint32_t below = below_avx2(row, end, out) | below_avx2(row + 8, end, out + 8) << 8;

    /* Rows ascend, so those below are in front. */
    return (uint32_t)__builtin_popcount(below & ((1u << count) - 1));
}
#define NPU_LEADING leading_avx2
#include "npu_page.h"
QL_TARGET_END

const npu_kernels npu_kernels_avx2 = NPU_TABLE("avx2");
#endif
