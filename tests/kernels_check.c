/* kernels_check.c: every table of this CPU against the portable one, bit by bit, without Python.
 *
 * For CPUs that only an emulator has here: tests/test_dispatch.py compiles it for them.  Prints
 * what QUILLIAN_ISA and the CPU came to, then one line per instruction set; exits with 1 at the
 * first difference. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define DIM_MAX 1200
#define ROWS    9
#define HALVES  65536
#define NUMBERS 128

typedef struct coding {
    int8_t codes[DIM_MAX + 32];
    float scale;
    float error;
    float square;
} coding;

static uint64_t state = 88172645463325252u;
static float query[DIM_MAX + 4];
static float rows[ROWS][DIM_MAX + 4];

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

/* Mostly ordinary, some denormal, some zero of either sign. */
static float component(void)
{
    uint32_t kind = next() % 16;
    float value = (float)((int32_t)next()) * 0x1p-31f;

    return kind == 0 ? value * 0x1p-140f : kind == 1 ? 0.0f * value : value;
}

static int differs(const ql_kernels *table, uint32_t dim, uint32_t offset, uint32_t n)
{
    const ql_kernels *plain = &ql_kernels_portable;
    const float *pointers[ROWS];
    float got[2][ROWS];
    float want[2][ROWS];

    for (uint32_t i = 0; i < n; i++) pointers[i] = rows[i] + (offset + i) % 4;
    table->dot_rows(query + offset, dim, pointers, n, got[0]);
    table->l2_rows(query + offset, dim, pointers, n, got[1]);
    plain->dot_rows(query + offset, dim, pointers, n, want[0]);
    plain->l2_rows(query + offset, dim, pointers, n, want[1]);
    for (uint32_t i = 0; i < n; i++) {
        float one[2] = {table->dot(query + offset, pointers[i], dim),
                        table->l2(query + offset, pointers[i], dim)};

        for (int kind = 0; kind < 2; kind++) {
            if (memcmp(&got[kind][i], &want[kind][i], sizeof(float))) return 1;
            if (memcmp(&one[kind], &want[kind][i], sizeof(float))) return 1;
        }
    }
    return table->crc32c(dim, (const uint8_t *)query + offset, dim) !=
           plain->crc32c(dim, (const uint8_t *)query + offset, dim);
}

/* Integer sums of codes, and float64 sums. */
static int codes_differ(const ql_kernels *table, uint32_t dim, uint32_t offset, uint32_t n)
{
    const ql_kernels *plain = &ql_kernels_portable;
    const int8_t *signs = (const int8_t *)query;
    const uint8_t *pointers[ROWS];
    int32_t got[ROWS];
    int32_t want[ROWS];

    for (uint32_t i = 0; i < n; i++) pointers[i] = (const uint8_t *)(rows[i] + (offset + i) % 4);
    table->code_rows(signs, dim / 128 * 64, pointers, n, got); /* Two planes of half as many bytes. */
    plain->code_rows(signs, dim / 128 * 64, pointers, n, want);
    if (memcmp(got, want, n * sizeof *got)) return 1;
    table->code_hot_rows(signs, dim / 128 * 64, pointers, n, got);
    plain->code_hot_rows(signs, dim / 128 * 64, pointers, n, want);
    if (memcmp(got, want, n * sizeof *got)) return 1;
    for (uint32_t i = 0; i < n; i++) {
        const float *row = rows[i] + (offset + i) % 4;
        double one[3];
        double two[3];

        table->exact_dot(query + offset, row, dim, &one[0], &one[1]);
        plain->exact_dot(query + offset, row, dim, &two[0], &two[1]);
        one[2] = table->exact_l2(query + offset, row, dim);
        two[2] = plain->exact_l2(query + offset, row, dim);
        if (memcmp(one, two, sizeof one)) return 1;
    }
    return 0;
}

/* The largest sums that bytes can make: nothing may saturate. */
static int extremes_differ(const ql_kernels *table)
{
    static uint8_t high[QL_DIM_MAX];
    static int8_t low[QL_DIM_MAX];
    const uint8_t *pointers[5] = {high, high, high, high, high};
    int32_t got[5];

    memset(high, 255, sizeof high);
    memset(low, -128, sizeof low);
    table->code_rows(low, QL_DIM_MAX / 2, pointers, 5, got);
    for (int i = 0; i < 5; i++)
        if (got[i] != -128 * 255 * QL_DIM_MAX) return 1;
    table->code_hot_rows(low, QL_DIM_MAX / 2, pointers, 5, got);
    for (int i = 0; i < 5; i++)
        if (got[i] != -128 * 15 * QL_DIM_MAX) return 1;
    return 0;
}

static int both_differ(const ql_kernels *table, uint32_t dim, uint32_t n)
{
    const float *pointers[ROWS];
    float got[2][ROWS];
    float want[2][ROWS];

    for (uint32_t i = 0; i < n; i++) pointers[i] = rows[i];
    table->dot_square_rows(query, dim, pointers, n, got[0], got[1]);
    ql_kernels_portable.dot_square_rows(query, dim, pointers, n, want[0], want[1]);
    for (int kind = 0; kind < 2; kind++)
        if (memcmp(got[kind], want[kind], n * sizeof(float))) return 1;
    return 0;
}

static int halves_differ(const ql_kernels *table, uint64_t from, uint64_t n)
{
    static uint16_t halves[HALVES];
    static float got[HALVES];
    static float want[HALVES];

    for (uint32_t i = 0; i < HALVES; i++) halves[i] = (uint16_t)i;
    table->widen_f16(halves + from, n, got);
    ql_kernels_portable.widen_f16(halves + from, n, want);
    for (uint64_t i = 0; i < n; i++) /* a NaN may come out with another payload */
        if (memcmp(got + i, want + i, sizeof *got) && !(got[i] != got[i] && want[i] != want[i]))
            return 1;
    return 0;
}

static int encodings_differ(const ql_kernels *table, uint32_t dim)
{
    coding got = {{0}, 0, 0, 0};
    coding want = {{0}, 0, 0, 0};

    table->encode(rows[1], dim, got.codes, &got.scale, &got.error, &got.square);
    ql_kernels_portable.encode(rows[1], dim, want.codes, &want.scale, &want.error, &want.square);
    if (memcmp(got.codes, want.codes, dim)) return 1;
    return memcmp(&got.scale, &want.scale, 3 * sizeof(float));
}

/* A tile of all rows over and over, against bounds of every height. */
static int screens_differ(const ql_kernels *table, uint32_t dim)
{
    const ql_kernels *plain = &ql_kernels_portable;
    int8_t codes[DIM_MAX + 32];
    int8_t query_codes[DIM_MAX + 32];
    ql_screen_query coded;
    ql_screen_rows tiles;
    int differ = 0;

    if (ql_screen_rows_make(2 * QL_TILE_ROWS, dim, &tiles) != QL_OK) return 1;
    for (uint32_t i = 0; i < 2 * QL_TILE_ROWS; i++)
        ql_screen_encode_row(plain, (int)(dim % 3), rows[i % ROWS] + i % 4, dim, codes, &tiles, i);
    memset(query_codes, 0, sizeof query_codes);
    ql_screen_encode_query(plain, (int)(dim % 3), query, dim, query_codes, &coded);
    for (float worst = -1000; worst < 1000; worst += worst < -2 || worst > 2 ? 50 : 0.03f)
        differ |= table->screen(&coded, &tiles, 1, worst) !=
                  plain->screen(&coded, &tiles, 1, worst);
    ql_screen_rows_free(&tiles);
    return differ;
}

/* Packed numbers of every width and count, sums that start anywhere, and bits of whole words. */
static int packings_differ(const ql_kernels *table)
{
    const ql_kernels *plain = &ql_kernels_portable;
    const uint8_t *packed = (const uint8_t *)rows;
    uint32_t got[NUMBERS];
    uint32_t want[NUMBERS];

    for (uint32_t bits = 0; bits <= 31; bits++) {
        for (uint32_t count = 0; count <= NUMBERS; count++) {
            table->unpack(packed + count, bits, count, got);
            plain->unpack(packed + count, bits, count, want);
            if (memcmp(got, want, count * sizeof *got)) return 1;
            table->unpack_sums(packed + count, bits, count, 77 * count, got);
            plain->unpack_sums(packed + count, bits, count, 77 * count, want);
            if (memcmp(got, want, count * sizeof *got)) return 1;
        }
    }
    for (uint64_t n = 0; n < 70; n++)
        if (table->count_bits((const uint64_t *)rows, n) !=
            plain->count_bits((const uint64_t *)rows, n))
            return 1;
    return 0;
}

static int checked(const char *name)
{
    if (ql_isa_use(name) != QL_OK) {
        printf("%s absent\n", name);
        return 1;
    }
    for (uint32_t dim = 0; dim <= DIM_MAX; dim += dim < 140 ? 1 : 53) {
        const ql_kernels *table = ql_kernels_active();
        int bad = encodings_differ(table, dim) || screens_differ(table, dim);

        for (uint32_t n = 0; n <= ROWS; n++)
            bad = bad || differs(table, dim, dim % 4, n) || both_differ(table, dim, n) ||
                  codes_differ(table, dim, dim % 4, n);
        bad = bad || halves_differ(table, dim * 7, dim) || halves_differ(table, 0, HALVES);
        if (bad) {
            printf("%s differs at dim %u\n", name, dim);
            return 0;
        }
    }
    if (extremes_differ(ql_kernels_active())) {
        printf("%s differs at the largest codes\n", name);
        return 0;
    }
    if (packings_differ(ql_kernels_active())) {
        printf("%s differs at packed numbers\n", name);
        return 0;
    }
    printf("%s equal\n", name);
    return 1;
}

int main(void)
{
    static const char *const names[] = {"portable", "avx2", "avx512", "neon"};

    for (uint32_t i = 0; i < DIM_MAX + 4; i++) {
        query[i] = component();
        for (uint32_t r = 0; r < ROWS; r++) rows[r][i] = component();
    }
    printf("chosen %s%s\n", ql_isa(), ql_isa_check() == QL_OK ? "" : ", not what was asked");
    for (int i = 0; i < 4; i++)
        if (!checked(names[i])) return 1;
    return 0;
}
