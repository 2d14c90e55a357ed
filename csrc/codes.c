/* codes.c: rows as one byte per component, scored with integers.
 *
 * A row is scaled to length 1, rotated, and every component is rounded to one of 255 steps.  The
 * rotation is what makes one fixed range fit all data: after it the components of any vector of d
 * dimensions look like draws from a normal distribution of variance 1/d, so there is nothing to
 * train and nothing that drifts as data arrive (the uniform scalar quantiser on a random rotation;
 * compare RaBitQ, arXiv:2405.12497, which keeps one bit of it).
 *
 * Rotation: twice (random signs, Walsh-Hadamard transform of the first p components, random signs,
 * transform of the last p), p the largest power of two <= d.  Orthogonal, so dot products stay; d
 * log d additions; no matrix.
 *
 * Layout of a code: two planes of nibbles.  A component is a byte, u = 128 + step.  Byte j of the
 * first plane, the hot one, has the upper four bits of component j in its low nibble and those of
 * component j + ceil(d/2) in its high nibble; the second plane, the warm one, has the lower four
 * bits of both.  Planes are filled with zeros up to a multiple of 64; except for cosine the last
 * four bytes of the hot plane are the row's norm as a float.
 *
 * A search is bound by the cache lines it waits for, and the hot plane alone is half of them: the
 * walk of a query reads that, and the few places it comes back with are scored again with both
 * (near.c).  Building reads both.
 *
 * A query has signed bytes, zero where a code has no component.  Then
 *     16 * sum(query * hot) + sum(query * warm) - 128 * sum(query)
 * is the exact integer dot product of both roundings: every instruction set gives the same number,
 * and so the same walk and the same index file.  Its error as a cosine is about 0.0007 at d = 384,
 * from the hot plane 0.007: text embeddings have gaps of 0.005 to 0.02 between their ten nearest,
 * which near.c scores from the stored floats.
 *
 * The float64 sums at the end are those scores.  Component i goes to lane i % 16; lanes are folded
 * in halves.  A product of two floats is exact in float64, so a fused multiply-add gives the same
 * bits. */
#include "codes.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "rotation.h"

#define RANGE 4.0f   /* standard deviations that the 127 steps on either side span */
#define STEPS 127.0f
#define ROUNDS 2u
#define EXACT_LANES 16u

static uint32_t half_of(uint32_t dim)
{
    return dim / 2 + dim % 2;
}

uint32_t code_bytes_for(uint32_t dim, int metric)
{
    return 2 *
           ((half_of(dim) + (metric == QL_COSINE ? 0 : (uint32_t)sizeof(float)) + 63) / 64 * 64);
}

/* splitmix64: the signs of a store depend on its seed alone. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int coder_make(uint32_t dim, int metric, uint64_t seed, coder *made)
{
    uint64_t state = seed;

    made->dim = dim;
    made->metric = metric;
    made->bytes = code_bytes_for(dim, metric);
    made->plane = made->bytes / 2;
    made->block = 1;
    while (made->block * 2 <= dim) made->block *= 2;
    made->signs = ql_alloc((size_t)2 * ROUNDS * made->block, sizeof *made->signs);
    if (!made->signs) return QL_E_MEMORY;
    for (uint32_t i = 0; i < 2 * ROUNDS * made->block; i++)
        made->signs[i] = random_next(&state) >> 63 ? 1.0f : -1.0f;
    return QL_OK;
}

void coder_free(coder *made)
{
    ql_free(made->signs);
    made->signs = NULL;
}

/* Scale to length sqrt(dim), so that components have variance 1, and rotate. */
static void rotate(const coder *with, const float *row, double norm, float *x)
{
    const ql_kernels *kernels = ql_kernels_active();
    uint32_t dim = with->dim;
    float shrink = 1 / sqrtf((float)with->block);
    double scale = norm > 0 ? sqrt(dim) / norm : 0;

    for (uint32_t i = 0; i < dim; i++) x[i] = (float)(row[i] * scale);
    for (uint32_t pass = 0; pass < 2 * ROUNDS; pass++) {
        float *part = pass % 2 ? x + dim - with->block : x;
        const float *signs = with->signs + (size_t)pass * with->block;
        kernels->turn(part, signs, shrink, with->block);
    }
}

static int32_t stepped(float x)
{
    x *= STEPS / RANGE;
    /* A damaged row may hold NaN. */
    return 128 + rounded(x > STEPS ? STEPS : x >= -STEPS ? x : -STEPS);
}

void code_row(const coder *with, const float *row, float *room, uint8_t *code)
{
    uint32_t half = half_of(with->dim);
    double dot;
    double square;
    float norm;

    ql_kernels_active()->exact_dot(row, row, with->dim, &dot, &square);
    rotate(with, row, sqrt(square), room);
    norm = (float)fmin(sqrt(square), FLT_MAX);
    memset(code, 0, with->bytes);
    for (uint32_t i = 0; i < half; i++) {
        int32_t low = stepped(room[i]);
        int32_t high = half + i < with->dim ? stepped(room[half + i]) : 0;
        code[i] = (uint8_t)(low >> 4 | (high & 0xf0));
        code[with->plane + i] = (uint8_t)((low & 15) | (high & 15) << 4);
    }
    if (with->metric != QL_COSINE) memcpy(code + with->plane - sizeof norm, &norm, sizeof norm);
}

void code_query(const coder *with, const float *query, double norm, float *room, coded *aim)
{
    const ql_kernels *kernels = ql_kernels_active();
    uint32_t half = half_of(with->dim);
    float largest;
    float scale;

    rotate(with, query, norm, room);
    largest = kernels->largest(room, with->dim);
    scale = largest > 0 ? STEPS / largest : 0;
    memset(aim->code, 0, with->bytes);
    aim->sum = kernels->steps(room, half, scale, aim->code);
    aim->sum += kernels->steps(room + half, with->dim - half, scale, aim->code + with->plane);
    aim->norm = (float)fmin(norm, FLT_MAX);
    aim->step = scale > 0 ? RANGE / STEPS / scale / (float)with->dim : 0;
}

void code_as_query(const coder *with, const uint8_t *code, coded *aim)
{
    uint32_t low = half_of(with->dim);
    uint32_t high = with->dim - low;
    int32_t sum = 0;

    for (uint32_t i = 0; i < low; i++) {
        int8_t step = (int8_t)((code[i] << 4 | (code[with->plane + i] & 15)) ^ 0x80);
        aim->code[i] = step;
        sum += step;
    }
    for (uint32_t i = 0; i < high; i++) {
        int8_t step = (int8_t)(((code[i] & 0xf0) | code[with->plane + i] >> 4) ^ 0x80);
        aim->code[with->plane + i] = step;
        sum += step;
    }
    memset(aim->code + low, 0, with->plane - low);
    memset(aim->code + with->plane + high, 0, with->plane - high);
    aim->sum = sum;
    aim->norm = 1;
    if (with->metric != QL_COSINE)
        memcpy(&aim->norm, code + with->plane - sizeof aim->norm, sizeof aim->norm);
    aim->step = RANGE / STEPS * (RANGE / STEPS) / (float)with->dim;
}

void code_distances(const coder *with, const coded *aim, int hot, const uint8_t *const *codes,
                    uint32_t n, float *distances)
{
    const ql_kernels *kernels = ql_kernels_active();
    int32_t sums[CODES_AT_ONCE];

    assert(n <= CODES_AT_ONCE);
    if (hot) kernels->code_hot_rows(aim->code, with->plane, codes, n, sums);
    else kernels->code_rows(aim->code, with->plane, codes, n, sums);
    code_sums_distances(with, aim, hot, codes, n, sums, distances);
}

/* ---- the definitions of kernels ---- */

void ql_turn_portable(float *x, const float *signs, float scale, uint32_t n)
{
    turn(x, signs, scale, n);
}

int32_t ql_steps_portable(const float *x, uint32_t n, float scale, int8_t *code)
{
    return step_all(x, n, scale, code);
}

float ql_largest_portable(const float *x, uint32_t n)
{
    return largest_of(x, n);
}

static int32_t plane_sum(const int8_t *query, uint32_t plane, const uint8_t *bytes)
{
    int32_t sum = 0;

    for (uint32_t j = 0; j < plane; j++)
        sum += query[j] * (bytes[j] & 15) + query[plane + j] * (bytes[j] >> 4);
    return sum;
}

void ql_code_rows_portable(const int8_t *query, uint32_t plane, const uint8_t *const *rows,
                           uint32_t n, int32_t *out)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = 16 * plane_sum(query, plane, rows[i]) + plane_sum(query, plane, rows[i] + plane);
}

void ql_code_hot_rows_portable(const int8_t *query, uint32_t plane, const uint8_t *const *rows,
                               uint32_t n, int32_t *out)
{
    for (uint32_t i = 0; i < n; i++) out[i] = plane_sum(query, plane, rows[i]);
}

static double folded(double *lanes)
{
    for (uint32_t half = EXACT_LANES / 2; half; half /= 2)
        for (uint32_t j = 0; j < half; j++) lanes[j] += lanes[j + half];
    return lanes[0];
}

void ql_exact_dot_portable(const float *query, const float *row, uint32_t dim, double *dot,
                           double *square)
{
    double dots[EXACT_LANES] = {0};
    double squares[EXACT_LANES] = {0};

    for (uint32_t i = 0; i < dim; i += EXACT_LANES)
        for (uint32_t j = 0; j < EXACT_LANES && i + j < dim; j++) {
            dots[j] += (double)query[i + j] * row[i + j];
            squares[j] += (double)row[i + j] * row[i + j];
        }
    *dot = folded(dots);
    *square = folded(squares);
}

double ql_exact_l2_portable(const float *query, const float *row, uint32_t dim)
{
    double sums[EXACT_LANES] = {0};

    for (uint32_t i = 0; i < dim; i += EXACT_LANES)
        for (uint32_t j = 0; j < EXACT_LANES && i + j < dim; j++) {
            double difference = (double)query[i + j] - row[i + j];
            double square = difference * difference;
            sums[j] += square;
        }
    return folded(sums);
}
