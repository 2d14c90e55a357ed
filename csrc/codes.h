/* codes.h: how codes.c serves the index. */
#ifndef QL_CODES_H
#define QL_CODES_H

#include <stdint.h>

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

/* A query, ready to be compared with codes; read for hot planes only, smaller steps are taken to be in the middle. */
typedef struct coded {
    int8_t *code;  /* two planes of bytes: components of the low nibbles, then of the high ones */
    int32_t sum;   /* of the components */
    float step;    /* what one unit of the sum is worth as a cosine */
    float norm;    /* of the query; not used for cosine */
} coded;

uint32_t code_bytes_for(uint32_t dim, int metric);
int coder_make(uint32_t dim, int metric, uint64_t seed, coder *made);
void coder_free(coder *made);
void code_row(const coder *with, const float *row, float *room, uint8_t *code); /* room: dim floats */
void code_query(const coder *with, const float *query, double norm, float *room, coded *aim);
void code_as_query(const coder *with, const uint8_t *code, coded *aim);
/* Smaller is closer: 1-cosine, squared L2 or minus the dot product. n <= CODES_AT_ONCE. hot: from the hot plane only. */
void code_distances(const coder *with, const coded *aim, int hot, const uint8_t *const *codes, uint32_t n,
                    float *distances);

#endif
