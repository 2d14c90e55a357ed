/* codes.h: how codes.c serves the index. */
#ifndef QL_CODES_H
#define QL_CODES_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#include "internal.h"

#define CODES_AT_ONCE 128u

/* Set once, read by all. */
typedef struct coder {
    float *signs;   /* of the rotation: four blocks of `block` */
    uint32_t block; /* largest power of two <= dim */
    uint32_t dim;
    uint32_t plane; /* bytes of one plane of a code: a multiple of 64 */
    uint32_t bytes; /* of one code: two planes */
    int metric;
} coder;

/* A query, ready to be compared with codes; read for hot planes only, smaller steps are taken to be
 * in the middle. */
typedef struct coded {
    int8_t *code;  /* two planes of bytes: components of the low nibbles, then of the high ones */
    int32_t sum;   /* of the components */
    float step;    /* what one unit of the sum is worth as a cosine */
    float norm;    /* of the query; not used for cosine */
} coded;

uint32_t code_bytes_for(uint32_t dim, int metric);
int coder_make(uint32_t dim, int metric, uint64_t seed, coder *made);
void coder_free(coder *made);
/* room: dim floats */
void code_row(const coder *with, const float *row, float *room, uint8_t *code);
void code_query(const coder *with, const float *query, double norm, float *room, coded *aim);
void code_as_query(const coder *with, const uint8_t *code, coded *aim);
/* Smaller is closer: 1-cosine, squared L2 or minus the dot product. n <= CODES_AT_ONCE. hot: from
 * the hot plane only. */
void code_distances(const coder *with, const coded *aim, int hot, const uint8_t *const *codes,
                    uint32_t n, float *distances);

/* What the kernels' sums mean, for n codes; the sums are changed. */
static inline void code_sums_distances(const coder *with, const coded *aim, int hot,
                                       const uint8_t *const *codes, uint32_t n, int32_t *sums,
                                       float *distances)
{
    float step = hot ? aim->step / 2 : aim->step;

    /* The warm nibble that was not read is taken for 7.5: 2 * (16 * hot + 7.5 * sum - 128 *
     * sum). */
    for (uint32_t i = 0; i < n; i++)
        sums[i] = hot ? 32 * sums[i] - 241 * aim->sum : sums[i] - 128 * aim->sum;
    if (with->metric == QL_COSINE) {
        for (uint32_t i = 0; i < n; i++) distances[i] = 1 - (float)sums[i] * step;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        float norm;
        float distance;
        memcpy(&norm, codes[i] + with->plane - sizeof norm, sizeof norm);
        distance = -(float)sums[i] * step * aim->norm * norm;
        if (with->metric == QL_L2) distance = aim->norm * aim->norm + norm * norm + 2 * distance;
        distances[i] = distance < FLT_MAX ? distance : FLT_MAX; /* Also what NaN becomes. */
    }
}

#endif
