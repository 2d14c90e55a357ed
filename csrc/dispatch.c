/* dispatch.c: which instruction set is in use.  The only file that knows CPUs.
 *
 * A table is chosen once, at the first call that needs one: the first of the list below that this CPU and this
 * operating system support, or the one that QUILLIAN_ISA names.  Two threads may choose at the same time; they come to
 * the same answer, so the last store wins nothing.
 *
 * A name in QUILLIAN_ISA that is unknown, or that this CPU lacks, must not end in SIGILL and must not pass unseen: the
 * portable table is used and ql_isa_check() says QL_E_INVALID, which bindings/__init__.py raises at import.
 *
 * cpuid and xgetbv are read here and not through __builtin_cpu_supports, which needs a runtime object that does not link
 * into a shared object with every toolchain.  Every feature that a table uses is asked for by itself; nothing is
 * inferred from a model or from another feature (that is how wheels die of SIGILL on the next CPU).
 *     avx2    avx2, fma, f16c, sse4.2, popcnt, bmi1, bmi2     x86-64-v3: Haswell and Zen, or later
 *     avx512  the above and avx512 f, bw, dq, vl, vnni        Cascade Lake and Zen 4, or later
 *     neon    part of every aarch64; the crc32c instruction is asked for in kernels_neon.c's own terms */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static _Atomic(const ql_kernels *) active; /* NULL until chosen */

/* Best first; portable is last and always there. */
static const ql_kernels *const tables[] = {
    &ql_kernels_portable,
};
#define TABLES ((int)(sizeof tables / sizeof tables[0]))

static int is_supported(const ql_kernels *table)
{
    return table == &ql_kernels_portable;
}

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
