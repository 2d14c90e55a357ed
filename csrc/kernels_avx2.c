/* kernels_avx2.c: the kernels for x86-64 with AVX2, in the order of additions of
 * kernels_portable.c.
 *
 * Lanes 0..31 are four registers of eight.  Two rows are summed at a time: eight sums in flight
 * hide the latency of the addition, and one load of the query serves both.  The region does not
 * name "fma", so no compiler can fuse. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "index.h"

#define LANES    32
#define WIDTH    8
#define ROUNDING 12582912.0f /* see kernels_portable.c */
#define ALWAYS   static inline __attribute__((always_inline))

enum { DOT, L2 };

QL_TARGET_BEGIN("avx2,f16c,sse4.2,popcnt")

#include "rotation.h"

/* Fold halves: 16 and 8 between registers, 4, 2 and 1 inside. */
ALWAYS float folded(const __m256 *sums)
{
    __m256 eight = _mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3]));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

ALWAYS __m256 added(int kind, __m256 sum, __m256 a, __m256 b)
{
    __m256 x = kind == DOT ? a : _mm256_sub_ps(a, b);

    return _mm256_add_ps(sum, _mm256_mul_ps(x, kind == DOT ? b : x));
}

/* Ones for the first `count` of eight lanes. */
ALWAYS __m256i mask_of(int count)
{
    static const int32_t window[2 * WIDTH] = {-1, -1, -1, -1, -1, -1, -1, -1};

    count = count < 0 ? 0 : count > WIDTH ? WIDTH : count;
    return _mm256_loadu_si256((const __m256i *)(window + WIDTH - count));
}

/* n: a constant at every call, so that sums stay in registers. */
ALWAYS void score(int kind, const float *query, uint32_t dim, const float *const *rows, int n,
                  float *out)
{
    __m256 sums[2][4];
    uint32_t whole = dim / LANES * LANES;

    for (int r = 0; r < n; r++)
        for (int g = 0; g < 4; g++) sums[r][g] = _mm256_setzero_ps();
    for (uint32_t i = 0; i < whole; i += LANES)
        for (int g = 0; g < 4; g++) {
            __m256 part = _mm256_loadu_ps(query + i + WIDTH * g);

            for (int r = 0; r < n; r++)
                sums[r][g] = added(kind, sums[r][g], part,
                                   _mm256_loadu_ps(rows[r] + i + WIDTH * g));
        }
    if (whole < dim)
        for (int g = 0; g < 4; g++) {
            __m256i mask = mask_of((int)(dim - whole) - WIDTH * g);
            __m256 part = _mm256_maskload_ps(query + whole + WIDTH * g, mask);

            for (int r = 0; r < n; r++)
                sums[r][g] = added(kind, sums[r][g], part,
                                   _mm256_maskload_ps(rows[r] + whole + WIDTH * g, mask));
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

    for (; i + 2 <= n; i += 2) score(DOT, query, dim, rows + i, 2, out + i);
    if (i < n) score(DOT, query, dim, rows + i, 1, out + i);
}

static void l2_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                    float *out)
{
    uint32_t i = 0;

    for (; i + 2 <= n; i += 2) score(L2, query, dim, rows + i, 2, out + i);
    if (i < n) score(L2, query, dim, rows + i, 1, out + i);
}

/* Sums of the nibbles of one plane with the query.  A nibble times a byte is below 2^11 and pairs
 * are summed, so 16 bits hold two such steps with room to spare.  n is a constant at every call. */
ALWAYS void score_plane(const int8_t *query, uint32_t plane, const uint8_t *const *rows,
                        size_t offset, int n, int32_t *out)
{
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sums[4];

    for (int r = 0; r < n; r++) sums[r] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < plane; i += 32) {
        __m256i first = _mm256_loadu_si256((const __m256i *)(query + i));
        __m256i second = _mm256_loadu_si256((const __m256i *)(query + plane + i));

        for (int r = 0; r < n; r++) {
            __m256i both = _mm256_loadu_si256((const __m256i *)(rows[r] + offset + i));
            __m256i a = _mm256_maddubs_epi16(_mm256_and_si256(both, low), first);
            __m256i b = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(both, 4), low),
                                             second);

            sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(_mm256_add_epi16(a, b), ones));
        }
    }
    for (int r = 0; r < n; r++) {
        __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums[r]),
                                     _mm256_extracti128_si256(sums[r], 1));
        __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));

        out[r] = _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
    }
}

static void code_hot_rows(const int8_t *query, uint32_t plane, const uint8_t *const *rows,
                          uint32_t n, int32_t *out)
{
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) score_plane(query, plane, rows + i, 0, 4, out + i);
    for (; i < n; i++) score_plane(query, plane, rows + i, 0, 1, out + i);
}

static void code_rows(const int8_t *query, uint32_t plane, const uint8_t *const *rows, uint32_t n,
                      int32_t *out)
{
    code_hot_rows(query, plane, rows, n, out);
    for (uint32_t i = 0; i < n; i++) {
        int32_t warm;
        score_plane(query, plane, rows + i, plane, 1, &warm);
        out[i] = 16 * out[i] + warm;
    }
}

/* Sixteen float64 lanes are four registers; fold 8 and 4 between registers, 2 and 1 inside. */
ALWAYS double folded_exact(const __m256d *sums)
{
    __m256d four = _mm256_add_pd(_mm256_add_pd(sums[0], sums[2]), _mm256_add_pd(sums[1], sums[3]));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));

    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* The last components, padded with zeros, which change no bit. */
ALWAYS const float *padded_16(const float *from, uint32_t count, float *room)
{
    memset(room, 0, 16 * sizeof *room);
    memcpy(room, from, count * sizeof *room);
    return room;
}

static void exact_dot(const float *query, const float *row, uint32_t dim, double *dot_out,
                      double *square_out)
{
    __m256d dots[4];
    __m256d squares[4];
    float rooms[2][16];

    for (int g = 0; g < 4; g++) dots[g] = squares[g] = _mm256_setzero_pd();
    for (uint32_t i = 0; i < dim; i += 16) {
        const float *q = dim - i >= 16 ? query + i : padded_16(query + i, dim - i, rooms[0]);
        const float *r = dim - i >= 16 ? row + i : padded_16(row + i, dim - i, rooms[1]);

        for (int g = 0; g < 4; g++) {
            __m256d x = _mm256_cvtps_pd(_mm_loadu_ps(q + 4 * g));
            __m256d y = _mm256_cvtps_pd(_mm_loadu_ps(r + 4 * g));

            dots[g] = _mm256_add_pd(dots[g], _mm256_mul_pd(x, y));
            squares[g] = _mm256_add_pd(squares[g], _mm256_mul_pd(y, y));
        }
    }
    *dot_out = folded_exact(dots);
    *square_out = folded_exact(squares);
}

static double exact_l2(const float *query, const float *row, uint32_t dim)
{
    __m256d sums[4];
    float rooms[2][16];

    for (int g = 0; g < 4; g++) sums[g] = _mm256_setzero_pd();
    for (uint32_t i = 0; i < dim; i += 16) {
        const float *q = dim - i >= 16 ? query + i : padded_16(query + i, dim - i, rooms[0]);
        const float *r = dim - i >= 16 ? row + i : padded_16(row + i, dim - i, rooms[1]);

        for (int g = 0; g < 4; g++) {
            __m256d x = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(q + 4 * g)),
                                      _mm256_cvtps_pd(_mm_loadu_ps(r + 4 * g)));

            sums[g] = _mm256_add_pd(sums[g], _mm256_mul_pd(x, x));
        }
    }
    return folded_exact(sums);
}

/* One row at a time: its eight sums already hide the latency. */
static void dot_square_rows(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                            float *dots, float *squares)
{
    uint32_t whole = dim / LANES * LANES;

    for (uint32_t r = 0; r < n; r++) {
        __m256 sums[2][4];

        for (int g = 0; g < 4; g++) sums[0][g] = sums[1][g] = _mm256_setzero_ps();
        for (uint32_t i = 0; i < whole; i += LANES)
            for (int g = 0; g < 4; g++) {
                __m256 row = _mm256_loadu_ps(rows[r] + i + WIDTH * g);

                sums[0][g] = added(DOT, sums[0][g], row, _mm256_loadu_ps(query + i + WIDTH * g));
                sums[1][g] = added(DOT, sums[1][g], row, row);
            }
        for (int g = 0; g < 4 && whole < dim; g++) {
            __m256i mask = mask_of((int)(dim - whole) - WIDTH * g);
            __m256 row = _mm256_maskload_ps(rows[r] + whole + WIDTH * g, mask);
            __m256 part = _mm256_maskload_ps(query + whole + WIDTH * g, mask);

            sums[0][g] = added(DOT, sums[0][g], row, part);
            sums[1][g] = added(DOT, sums[1][g], row, row);
        }
        dots[r] = folded(sums[0]);
        squares[r] = folded(sums[1]);
    }
}

static void widen_f16(const uint16_t *halves, uint64_t n, float *out)
{
    uint64_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(halves + i))));
    for (; i < n; i++) out[i] = _cvtsh_ss(halves[i]);
}

/* The largest size of each of eight lanes; a NaN is passed over, and shows in the square. */
ALWAYS __m256 larger(__m256 size, __m256 part)
{
    return _mm256_max_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), part), size);
}

static float largest(const float *row, uint32_t dim)
{
    __m256 sizes[4];
    uint32_t i = 0;
    __m128 four;

    for (int g = 0; g < 4; g++) sizes[g] = _mm256_setzero_ps();
    for (; i + LANES <= dim; i += LANES)
        for (int g = 0; g < 4; g++)
            sizes[g] = larger(sizes[g], _mm256_loadu_ps(row + i + WIDTH * g));
    for (; i < dim; i += WIDTH)
        sizes[0] = larger(sizes[0], _mm256_maskload_ps(row + i, mask_of((int)(dim - i))));
    sizes[0] = _mm256_max_ps(_mm256_max_ps(sizes[0], sizes[1]), _mm256_max_ps(sizes[2], sizes[3]));
    four = _mm_max_ps(_mm256_castps256_ps128(sizes[0]), _mm256_extractf128_ps(sizes[0], 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

/* 32 components: codes out, squared residuals and squares added to the lanes. */
ALWAYS void encode_block(const __m256 *parts, float scale, float inverse, int8_t *codes,
                         __m256 *residuals, __m256 *squares)
{
    __m256 rounding = _mm256_set1_ps(ROUNDING);
    __m256i whole[4];
    __m256i bytes;

    for (int g = 0; g < 4; g++) {
        __m256 rounded = _mm256_add_ps(_mm256_mul_ps(parts[g], _mm256_set1_ps(inverse)), rounding);
        __m256 near = _mm256_mul_ps(_mm256_sub_ps(rounded, rounding), _mm256_set1_ps(scale));

        whole[g] = _mm256_sub_epi32(_mm256_castps_si256(rounded), _mm256_castps_si256(rounding));
        residuals[g] = added(L2, residuals[g], parts[g], near);
        squares[g] = added(DOT, squares[g], parts[g], parts[g]);
    }
    bytes = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]),
                               _mm256_packs_epi32(whole[2], whole[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)codes, bytes);
}

static void encode(const float *row, uint32_t dim, int8_t *codes, float *scale, float *error,
                   float *square)
{
    float top = largest(row, dim);
    float step = top / 127;
    float inverse = top > 0 ? 127 / top : 0;
    uint32_t whole = dim / LANES * LANES;
    __m256 residuals[4];
    __m256 squares[4];
    __m256 parts[4];

    for (int g = 0; g < 4; g++) residuals[g] = squares[g] = _mm256_setzero_ps();
    for (uint32_t i = 0; i < whole; i += LANES) {
        for (int g = 0; g < 4; g++) parts[g] = _mm256_loadu_ps(row + i + WIDTH * g);
        encode_block(parts, step, inverse, codes + i, residuals, squares);
    }
    if (whole < dim) {
        for (int g = 0; g < 4; g++)
            parts[g] = _mm256_maskload_ps(row + whole + WIDTH * g,
                                          mask_of((int)(dim - whole) - WIDTH * g));
        encode_block(parts, step, inverse, codes + whole, residuals, squares);
    }
    *scale = step;
    *error = sqrtf(folded(residuals));
    *square = folded(squares);
}

/* The bounds of eight rows against worst, as eight bits; a NaN passes. */
ALWAYS uint64_t passing(const ql_screen_query *query, const ql_screen_rows *rows, uint64_t row,
                        __m256i sums, float worst)
{
    __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(rows->scale + row), _mm256_set1_ps(query->scale));
    __m256 error = _mm256_mul_ps(_mm256_loadu_ps(rows->error + row), _mm256_set1_ps(query->norm));
    __m256 rest = _mm256_mul_ps(_mm256_loadu_ps(rows->length + row), _mm256_set1_ps(query->error));
    __m256 bias = _mm256_add_ps(_mm256_loadu_ps(rows->bias + row), _mm256_set1_ps(query->bias));
    __m256 highest = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(sums));

    highest = _mm256_add_ps(_mm256_add_ps(highest, _mm256_add_ps(error, rest)), bias);
    return (uint64_t)_mm256_movemask_ps(_mm256_cmp_ps(highest, _mm256_set1_ps(worst), _CMP_NLE_UQ));
}

/* Eight rows of four components per register.  maddubs takes one side without sign: the sign of the
 * row moves to the query.  127*128*2 stays below 2^15, so it cannot saturate. */
static uint64_t screen(const ql_screen_query *query, const ql_screen_rows *rows, uint64_t tile,
                       float worst)
{
    const uint8_t *codes = rows->codes + tile * QL_TILE_ROWS * rows->size_bytes;
    __m256i sums[8];
    uint64_t bits = 0;

    for (int g = 0; g < 8; g++) sums[g] = _mm256_setzero_si256();
    for (uint32_t j = 0; j < rows->size_bytes; j += 4, codes += 4 * QL_TILE_ROWS) {
        int32_t four;
        __m256i part;

        memcpy(&four, query->codes + j, sizeof four);
        part = _mm256_set1_epi32(four);
        for (int g = 0; g < 8; g++) {
            __m256i code = _mm256_load_si256((const __m256i *)(codes + 32 * g));
            __m256i row = _mm256_xor_si256(code, _mm256_set1_epi8(-128)); /* code - 128 */
            __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(row), _mm256_sign_epi8(part, row));

            sums[g] = _mm256_add_epi32(sums[g], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
    }
    for (int g = 0; g < 8; g++)
        bits |= passing(query, rows, tile * QL_TILE_ROWS + 8 * g, sums[g], worst) << 8 * g;
    return bits;
}

/* One instruction per eight bytes; three cycles each, as every step waits for the last. */
uint32_t ql_crc32c_sse42(uint32_t crc, const uint8_t *data, size_t size_bytes)
{
    uint64_t state = ~crc;

    for (; size_bytes >= 8; size_bytes -= 8, data += 8) {
        uint64_t word;

        memcpy(&word, data, sizeof word);
        state = _mm_crc32_u64(state, word);
    }
    while (size_bytes--) state = _mm_crc32_u8((uint32_t)state, *data++);
    return ~(uint32_t)state;
}

/* Where eight packed numbers stand: four bytes of each, and their shift in these. Numbers 0 to 3
 * are read from the first byte, 4 to 7 from byte 4 bits / 8, as 16 bytes hold four of them. */
typedef struct packing {
    __m256i bytes;
    __m256i shifts;
    __m256i mask;
    uint32_t half; /* bytes to the second four */
} packing;

static packing packing_of(uint32_t bits)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3);
    const __m256i high = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    __m256i odd = _mm256_mullo_epi32(high, _mm256_set1_epi32((int)(4 * bits % 8)));
    __m256i place = _mm256_mullo_epi32(lanes, _mm256_set1_epi32((int)bits));
    __m256i byte;

    place = _mm256_add_epi32(place, odd);
    byte = _mm256_mullo_epi32(_mm256_srli_epi32(place, 3), _mm256_set1_epi32(0x01010101));
    return (packing){_mm256_add_epi32(byte, _mm256_set1_epi32(0x03020100)),
                     _mm256_and_si256(place, _mm256_set1_epi32(7)),
                     _mm256_set1_epi32((int)((1u << bits) - 1)), 4 * bits / 8};
}

static __m256i unpack_eight(const uint8_t *from, const packing *p)
{
    __m256i word = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)from));

    word = _mm256_inserti128_si256(word, _mm_loadu_si128((const __m128i *)(from + p->half)), 1);
    word = _mm256_srlv_epi32(_mm256_shuffle_epi8(word, p->bytes), p->shifts);
    return _mm256_and_si256(word, p->mask);
}

#define UNPACK_BITS 25 /* With a shift of seven they still fit four bytes. */

void ql_unpack_avx2(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t *out)
{
    uint32_t i = 0;

    if (bits <= UNPACK_BITS) {
        packing p = packing_of(bits);
        for (; i + 8 <= count; i += 8, from += bits)
            _mm256_storeu_si256((__m256i *)(out + i), unpack_eight(from, &p));
    }
    ql_unpack_portable(from, bits, count - i, out + i);
}

void ql_unpack_sums_avx2(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t first,
                         uint32_t *out)
{
    uint32_t i = 0;

    if (bits <= UNPACK_BITS) {
        packing p = packing_of(bits);
        __m256i before = _mm256_set1_epi32((int)(first - 1));
        for (; i + 8 <= count; i += 8, from += bits) {
            __m256i sum = _mm256_add_epi32(unpack_eight(from, &p), _mm256_set1_epi32(1));
            __m256i low;
            sum = _mm256_add_epi32(sum, _mm256_slli_si256(sum, 4));
            sum = _mm256_add_epi32(sum, _mm256_slli_si256(sum, 8));
            /* The first four's sum belongs to the second four too. */
            low = _mm256_permute2x128_si256(sum, sum, 0x08);
            sum = _mm256_add_epi32(sum, _mm256_shuffle_epi32(low, 0xff));
            sum = _mm256_add_epi32(sum, before);
            _mm256_storeu_si256((__m256i *)(out + i), sum);
            before = _mm256_permutevar8x32_epi32(sum, _mm256_set1_epi32(7));
        }
        if (i) first = out[i - 1] + 1;
    }
    ql_unpack_sums_portable(from, bits, count - i, first, out + i);
}

uint64_t ql_count_bits_popcnt(const uint64_t *words, uint64_t n)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < n; i++) count += (uint64_t)__builtin_popcountll(words[i]);
    return count;
}

#include "walk.h"

QL_TARGET_END

const ql_kernels ql_kernels_avx2 = {
    .name = "avx2",
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
typedef int ql_kernels_avx2_are_for_x86_64; /* C wants a declaration in every file */
#endif
