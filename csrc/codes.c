/* codes.c: rows as one byte per component, scored with integers.
 *
 * A row is scaled to length 1, rotated, and every component is rounded to one of 255 steps.  The rotation is what
 * makes one fixed range fit all data: after it the components of any vector of d dimensions look like draws from a
 * normal distribution of variance 1/d, so there is nothing to train and nothing that drifts as data arrive (the
 * uniform scalar quantiser on a random rotation; compare RaBitQ, arXiv:2405.12497, which keeps one bit of it).
 *
 * Rotation: twice (random signs, Walsh-Hadamard transform of the first p components, random signs, transform of the
 * last p), p the largest power of two <= d.  Orthogonal, so dot products stay; d log d additions; no matrix.
 *
 * Layout of a code: d bytes (128 + step), zeros up to a multiple of 64; except for cosine the last four bytes are the
 * row's norm as a float.  A query has signed bytes, zero where a code has no component.  Then
 *     sum(query[i] * code[i]) - 128 * sum(query[i])
 * is the exact integer dot product of both roundings: every instruction set gives the same number, and so the
 * same walk and the same index file.  Its error as a cosine is about 0.0007 at d = 384: text embeddings have gaps of
 * 0.005 to 0.02 between their ten nearest, and near.c scores those few again from the stored floats.
 *
 * The float64 sums at the end are those scores.  Component i goes to lane i % 16; lanes are folded in halves.  A
 * product of two floats is exact in float64, so a fused multiply-add gives the same bits. */
#include "codes.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define RANGE 4.0f   /* standard deviations that the 127 steps on either side span */
#define STEPS 127.0f
#define ROUNDS 2u
#define EXACT_LANES 16u

uint32_t code_bytes_for(uint32_t dim, int metric)
{
    return (dim + (metric == QL_COSINE ? 0 : (uint32_t)sizeof(float)) + 63) / 64 * 64;
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
    made->block = 1;
    while (made->block * 2 <= dim) made->block *= 2;
    made->signs = ql_alloc((size_t)2 * ROUNDS * made->block, sizeof *made->signs);
    if (!made->signs) return QL_E_MEMORY;
    for (uint32_t i = 0; i < 2 * ROUNDS * made->block; i++) made->signs[i] = random_next(&state) >> 63 ? 1.0f : -1.0f;
    return QL_OK;
}

void coder_free(coder *made)
{
    ql_free(made->signs);
    made->signs = NULL;
}

/* Unnormalised: every transform multiplies lengths by sqrt(n). */
static void hadamard(float *x, uint32_t n)
{
    uint32_t half = 1;

    for (; n >= 4 && half == 1; half = 4) /* The first two steps in one pass over neighbours. */
        for (uint32_t i = 0; i < n; i += 4) {
            float sums[2] = {x[i] + x[i + 1], x[i + 2] + x[i + 3]};
            float differences[2] = {x[i] - x[i + 1], x[i + 2] - x[i + 3]};
            x[i] = sums[0] + sums[1];
            x[i + 1] = differences[0] + differences[1];
            x[i + 2] = sums[0] - sums[1];
            x[i + 3] = differences[0] - differences[1];
        }
    for (; half < n; half *= 2)
        for (uint32_t i = 0; i < n; i += 2 * half) {
            float *restrict low = x + i;
            float *restrict high = low + half; /* Apart, so the compiler may take four at a time. */
            for (uint32_t j = 0; j < half; j++) {
                float a = low[j];
                float b = high[j];
                low[j] = a + b;
                high[j] = a - b;
            }
        }
}

/* Scale to length sqrt(dim), so that components have variance 1, and rotate. */
static void rotate(const coder *with, const float *row, double norm, float *x)
{
    uint32_t dim = with->dim;
    float shrink = 1 / sqrtf((float)with->block);
    double scale = norm > 0 ? sqrt(dim) / norm : 0;

    for (uint32_t i = 0; i < dim; i++) x[i] = (float)(row[i] * scale);
    for (uint32_t pass = 0; pass < 2 * ROUNDS; pass++) {
        float *part = pass % 2 ? x + dim - with->block : x;
        const float *signs = with->signs + (size_t)pass * with->block;
        for (uint32_t i = 0; i < with->block; i++) part[i] *= signs[i] * shrink;
        hadamard(part, with->block);
    }
}

/* Round half away from zero, without the library: the compiler makes it eight at a time. */
static int32_t rounded(float x)
{
    return (int32_t)(x + (x < 0 ? -0.5f : 0.5f));
}

void code_row(const coder *with, const float *row, float *room, uint8_t *code)
{
    double dot;
    double square;
    float norm;

    ql_kernels_active()->exact_dot(row, row, with->dim, &dot, &square);
    rotate(with, row, sqrt(square), room);
    norm = (float)fmin(sqrt(square), FLT_MAX);
    for (uint32_t i = 0; i < with->dim; i++) {
        float x = room[i] * (STEPS / RANGE);
        x = x > STEPS ? STEPS : x < -STEPS ? -STEPS : x;
        code[i] = (uint8_t)(128 + rounded(x));
    }
    memset(code + with->dim, 0, with->bytes - with->dim);
    if (with->metric != QL_COSINE) memcpy(code + with->bytes - sizeof norm, &norm, sizeof norm);
}

void code_query(const coder *with, const float *query, double norm, float *room, coded *aim)
{
    int32_t largest_bits = 0; /* Magnitudes of floats are ordered as their bits are. */
    int32_t sum = 0;
    float largest;

    rotate(with, query, norm, room);
    for (uint32_t i = 0; i < with->dim; i++) {
        int32_t bits;
        memcpy(&bits, &room[i], sizeof bits);
        bits &= 0x7fffffff;
        largest_bits = bits > largest_bits ? bits : largest_bits;
    }
    memcpy(&largest, &largest_bits, sizeof largest);
    float scale = largest > 0 ? STEPS / largest : 0;
    for (uint32_t i = 0; i < with->dim; i++) {
        int32_t step = rounded(room[i] * scale);
        aim->code[i] = (int8_t)step;
        sum += step;
    }
    memset(aim->code + with->dim, 0, with->bytes - with->dim);
    aim->bias = 128 * sum;
    aim->norm = (float)fmin(norm, FLT_MAX);
    aim->step = scale > 0 ? RANGE / STEPS / scale / (float)with->dim : 0;
}

void code_as_query(const coder *with, const uint8_t *code, coded *aim)
{
    int32_t sum = 0;

    for (uint32_t i = 0; i < with->dim; i++) {
        int8_t step = (int8_t)(code[i] ^ 0x80);
        aim->code[i] = step;
        sum += step;
    }
    memset(aim->code + with->dim, 0, with->bytes - with->dim);
    aim->bias = 128 * sum;
    aim->norm = 1;
    if (with->metric != QL_COSINE) memcpy(&aim->norm, code + with->bytes - sizeof aim->norm, sizeof aim->norm);
    aim->step = RANGE / STEPS * (RANGE / STEPS) / (float)with->dim;
}

void code_distances(const coder *with, const coded *aim, const uint8_t *const *codes, uint32_t n, float *distances)
{
    int32_t sums[CODES_AT_ONCE];

    assert(n <= CODES_AT_ONCE);
    ql_kernels_active()->code_rows(aim->code, with->bytes, codes, n, sums);
    if (with->metric == QL_COSINE) {
        for (uint32_t i = 0; i < n; i++) distances[i] = 1 - (float)(sums[i] - aim->bias) * aim->step;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        float norm;
        float distance;
        memcpy(&norm, codes[i] + with->bytes - sizeof norm, sizeof norm);
        distance = -(float)(sums[i] - aim->bias) * aim->step * aim->norm * norm;
        if (with->metric == QL_L2) distance = aim->norm * aim->norm + norm * norm + 2 * distance;
        distances[i] = distance < FLT_MAX ? distance : FLT_MAX; /* Also what NaN becomes. */
    }
}

/* ---- the definitions of three kernels ---- */

void ql_code_rows_portable(const int8_t *query, uint32_t bytes, const uint8_t *const *rows, uint32_t n, int32_t *out)
{
    for (uint32_t i = 0; i < n; i++) {
        int32_t sum = 0;
        for (uint32_t j = 0; j < bytes; j++) sum += query[j] * rows[i][j];
        out[i] = sum;
    }
}

static double folded(double *lanes)
{
    for (uint32_t half = EXACT_LANES / 2; half; half /= 2)
        for (uint32_t j = 0; j < half; j++) lanes[j] += lanes[j + half];
    return lanes[0];
}

void ql_exact_dot_portable(const float *query, const float *row, uint32_t dim, double *dot, double *square)
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
