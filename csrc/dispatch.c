/* dispatch.c: which instruction set is in use.  The only file that knows CPUs.
 *
 * A table is chosen once, at the first call that needs one: the first of the list below that this
 * CPU and this operating system support, or the one that QUILLIAN_ISA names.  Two threads may
 * choose at the same time; they come to the same answer, so it does not matter whose store is last.
 *
 * A name in QUILLIAN_ISA that is unknown, or that this CPU lacks, must not end in SIGILL and must
 * not pass unseen: the portable table is used and ql_isa_check() says QL_E_INVALID, which
 * bindings/__init__.py raises at import.
 *
 * cpuid and xgetbv are read here and not through __builtin_cpu_supports, which needs a runtime
 * object that does not link into a shared object with every toolchain.  Every feature that a table
 * uses is asked for by itself; nothing is inferred from a model or from another feature (that is
 * how wheels die of SIGILL on the next CPU).
 *     avx2    avx2, fma, f16c, sse4.2, popcnt, bmi1, bmi2     x86-64-v3: Haswell and Zen, or later
 *     avx512  the above and avx512 f, bw, dq, vl, vnni        Cascade Lake and Zen 4, or later
 *     neon    every aarch64 that also has the crc32 instructions: all since Armv8.1 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include "internal.h"

static _Atomic(const ql_kernels *) active; /* NULL until chosen */

/* Best first; portable is last and always there. */
static const ql_kernels *const tables[] = {
#if defined(__x86_64__)
    &ql_kernels_avx512,
    &ql_kernels_avx2,
#elif defined(__aarch64__)
    &ql_kernels_neon,
#endif
    &ql_kernels_portable,
};
#define TABLES ((int)(sizeof tables / sizeof tables[0]))

#if defined(__x86_64__)
enum {
    ECX1_FMA = 1 << 12,
    ECX1_SSE42 = 1 << 20,
    ECX1_POPCNT = 1 << 23,
    ECX1_OSXSAVE = 1 << 27,
    ECX1_F16C = 1 << 29,
};
enum { EBX7_BMI1 = 1 << 3, EBX7_AVX2 = 1 << 5, EBX7_BMI2 = 1 << 8 };
#define EBX7_AVX512 (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) /* f, dq, bw, vl */
#define ECX7_AVX512 (1u << 11)                                  /* vnni */
#define XCR0_YMM    0x06u                                       /* the system saves xmm and ymm */
#define XCR0_ZMM    0xe6u                                       /* and masks and zmm */

static int has(unsigned value, unsigned bits)
{
    return (value & bits) == bits;
}

static unsigned xcr0(void)
{
    unsigned low;
    unsigned high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int is_supported(const ql_kernels *table)
{
    unsigned unused[3];
    unsigned ecx1;
    unsigned ebx7;
    unsigned ecx7;

    if (table == &ql_kernels_portable) return 1;
    if (!__get_cpuid(1, unused, unused + 1, &ecx1, unused + 2)) return 0;
    if (!__get_cpuid_count(7, 0, unused, &ebx7, &ecx7, unused + 1)) return 0;
    if (!has(ecx1, ECX1_FMA | ECX1_SSE42 | ECX1_POPCNT | ECX1_OSXSAVE | ECX1_F16C)) return 0;
    if (!has(ebx7, EBX7_BMI1 | EBX7_AVX2 | EBX7_BMI2) || !has(xcr0(), XCR0_YMM)) return 0;
    if (table == &ql_kernels_avx2) return 1;
    return has(ebx7, EBX7_AVX512) && has(ecx7, ECX7_AVX512) && has(xcr0(), XCR0_ZMM);
}
#elif defined(__aarch64__) && defined(__linux__)
static int is_supported(const ql_kernels *table)
{
    return table == &ql_kernels_portable || (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
#else
static int is_supported(const ql_kernels *table)
{
    (void)table; /* Apple's aarch64 has it all; elsewhere there is only portable. */
    return 1;
}
#endif

/* The named table if this CPU has it, else NULL. */
static const ql_kernels *named(const char *name)
{
    for (int i = 0; i < TABLES; i++)
        if (strcmp(tables[i]->name, name) == 0) return is_supported(tables[i]) ? tables[i] : NULL;
    return NULL;
}

static const ql_kernels *best(void)
{
    int i = 0;

    while (!is_supported(tables[i])) i++; /* ends at portable */
    return tables[i];
}

/* What QUILLIAN_ISA asks for; an empty value counts as none. */
static const char *asked(void)
{
    const char *name = getenv("QUILLIAN_ISA");

    return name && *name ? name : NULL;
}

static const ql_kernels *chosen(void)
{
    const char *name = asked();
    const ql_kernels *table = name ? named(name) : best();

    return table ? table : &ql_kernels_portable;
}

const ql_kernels *ql_kernels_active(void)
{
    const ql_kernels *table = atomic_load_explicit(&active, memory_order_relaxed);

    if (!table) {
        table = chosen();
        atomic_store_explicit(&active, table, memory_order_relaxed);
    }
    return table;
}

const char *ql_isa(void)
{
    return ql_kernels_active()->name;
}

int ql_isa_check(void)
{
    const char *name = asked();

    return !name || named(name) ? QL_OK : QL_E_INVALID;
}

int ql_isa_use(const char *name)
{
    const ql_kernels *table = named(name);

    if (!table) return QL_E_INVALID;
    atomic_store_explicit(&active, table, memory_order_relaxed);
    return QL_OK;
}
