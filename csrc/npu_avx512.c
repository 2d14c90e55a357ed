/* npu_avx512.c: the kernels of the spiking simulation for AVX-512. */
#include <math.h>
#include <string.h>

#include "npu.h"

#if defined(__x86_64__)
QL_TARGET_BEGIN("avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512dq,avx512vl")
#include "npu_page.h"
QL_TARGET_END

const npu_kernels npu_kernels_avx512 = NPU_TABLE("avx512");
#endif
