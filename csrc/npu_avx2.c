/* npu_avx2.c: the kernels of the spiking simulation for AVX2. */
#include <math.h>
#include <string.h>

#include "npu.h"

#if defined(__x86_64__)
QL_TARGET_BEGIN("avx2,bmi,bmi2,popcnt")
#include "npu_page.h"
QL_TARGET_END

const npu_kernels npu_kernels_avx2 = NPU_TABLE("avx2");
#endif
