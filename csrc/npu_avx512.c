/* npu_avx512.c: the kernels of the spiking simulation for AVX-512. */
#include <math.h>
#include <string.h>

#include "npu.h"

#if defined(__x86_64__)
#include <immintrin.h>

QL_TARGET_BEGIN("avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512dq,avx512vl")
/* Kernels that no vectoriser finds. 16 flags to the numbers of those that are set: */
static uint32_t compact_avx512(const uint32_t *fired, uint32_t count, uint32_t first, uint32_t *ids)
{
    const __m512i step = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    uint32_t total = 0;

    for (uint32_t j = 0; j < count; j += 16) {
        __mmask16 inside = count - j < 16 ? (__mmask16)((1u << (count - j)) - 1)
                                          : (__mmask16)0xFFFF;
        __m512i flags = _mm512_maskz_loadu_epi32(inside, fired + j);
        __mmask16 set = _mm512_test_epi32_mask(flags, flags);
        __m512i numbers = _mm512_add_epi32(step, _mm512_set1_epi32((int)(first + j)));
        /* A whole register is stored, whatever is set: whether any is cannot be predicted. */
        _mm512_storeu_si512(ids + total, _mm512_maskz_compress_epi32(set, numbers));
        total += (uint32_t)__builtin_popcount(set);
    }
    return total;
}
#define NPU_COMPACT compact_avx512

static inline uint32_t leading_avx512(const uint32_t *row, uint32_t count, uint32_t end,
                                      uint32_t *out)
{
    const __mmask16 inside = (__mmask16)((1u << count) - 1);
    const __m512i synapses = _mm512_maskz_loadu_epi32(inside, row);
    const __m512i targets = _mm512_and_si512(synapses, _mm512_set1_epi32(NPU_TARGET_MASK));
    const __mmask16 below = _mm512_mask_cmplt_epu32_mask(inside, targets,
                                                         _mm512_set1_epi32((int)end));

    _mm512_storeu_si512(out, synapses);
    return (uint32_t)__builtin_popcount(below); /* Rows ascend, so those below are in front. */
}
#define NPU_LEADING leading_avx512
#include "npu_page.h"
QL_TARGET_END

const npu_kernels npu_kernels_avx512 = NPU_TABLE("avx512");
#endif
