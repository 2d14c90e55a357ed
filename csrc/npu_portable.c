/* npu_portable.c: the kernels of the spiking simulation for any CPU, and the choice among all of
 * them.
 *
 * Which instruction set is in use is not decided here: the name of the active table of dispatch.c
 * is looked up. */
#include "npu_page.h"

static const npu_kernels portable = NPU_TABLE("portable");

const npu_kernels *npu_kernels_active(void)
{
#if defined(__x86_64__)
    const char *name = ql_isa();

    if (strcmp(name, "avx512") == 0) return &npu_kernels_avx512;
    if (strcmp(name, "avx2") == 0) return &npu_kernels_avx2;
#endif
    /* On aarch64 the plain target already has neon, and the vectoriser uses it. */
    return &portable;
}
