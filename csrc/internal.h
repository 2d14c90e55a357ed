/* internal.h: what the C files of the core share and nobody else sees. */
#ifndef QL_INTERNAL_H
#define QL_INTERNAL_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "quillian.h"

/* Pass a failure on. Only for functions that hold nothing to free at that point. */
#define QL_TRY(call)                            \
    do {                                        \
        int ql_status_ = (call);                \
        if (ql_status_ != QL_OK) return ql_status_; \
    } while (0)

/* memory.c. All memory of the core comes through these, so that tests can make the n-th allocation
 * fail. ql_alloc and ql_alloc_aligned zero; NULL on failure or when count*size overflows, never for
 * size 0. What ql_realloc adds is not zeroed; when it fails the old block stands. Aligned blocks
 * are freed by ql_free too, never passed to ql_realloc. */
void *ql_alloc(size_t count, size_t size_bytes);
void *ql_alloc_aligned(size_t count, size_t size_bytes, size_t alignment);
void *ql_realloc(void *block, size_t count, size_t size_bytes);
void ql_free(void *block);

/* screen.c: rows and queries as 8-bit codes with bounds, to rule out most rows without reading
 * their floats. The score of row i is at most scale*q.scale*(codes . q.codes) + error*q.norm +
 * length*q.error + bias + q.bias. Codes stand in tiles of 64 rows, size_bytes each (dim rounded up
 * to 8): component j of row r of a tile is its byte (j/4)*256 + r*4 + j%4, as value + 128.  So a
 * register holds many rows, and no sum goes across it. */
#define QL_TILE_ROWS 64
typedef struct ql_screen_rows {
    uint8_t *codes; /* whole tiles, as the four arrays of numbers below */
    float *scale;
    float *error;
    float *length;
    float *bias;
    uint32_t size_bytes;
} ql_screen_rows;
typedef struct ql_screen_query {
    const int8_t *codes; /* size_bytes of them, in order */
    int32_t sum;         /* of the codes */
    float scale;
    float norm;
    float error;
    float bias;
} ql_screen_query;

/* The table of kernels of one instruction set; dispatch.c chooses it once.
 * dot and l2 score n gathered or consecutive rows: rows[i] are pointers to float rows of dim
 * components. All accumulate in float32, in the one order that kernels_portable.c defines: every
 * table gives the same bits. */
struct walk;
typedef struct ql_kernels {
    const char *name;
    float (*dot)(const float *a, const float *b, uint32_t dim);
    float (*l2)(const float *a, const float *b, uint32_t dim); /* sum((a-b)^2), positive */
    /* Up to any n rows against one query, the query kept in registers or L1; results into
     * out[n]. */
    void (*dot_rows)(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                     float *out);
    void (*l2_rows)(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                    float *out);
    /* dot(query, row) and dot(row, row) in one pass, for cosine. */
    void (*dot_square_rows)(const float *query, uint32_t dim, const float *const *rows, uint32_t n,
                            float *dots, float *squares);
    /* IEEE half to float, exact */
    void (*widen_f16)(const uint16_t *halves, uint64_t n, float *out);
    /* One row as codes, with what coding lost: see kernels_portable.c. codes: dim rounded up to 32
     * of them, in order. */
    void (*encode)(const float *row, uint32_t dim, int8_t *codes, float *scale, float *error,
                   float *square);
    /* Bit r is set unless row r of the tile is certain to score at most `worst`. */
    uint64_t (*screen)(const ql_screen_query *query, const ql_screen_rows *rows, uint64_t tile,
                       float worst);
    uint32_t (*crc32c)(uint32_t crc, const uint8_t *data, size_t size_bytes);
    /* codes.c: integer sums of the query with codes, and with their hot planes only. plane: bytes
     * of one plane, a multiple of 64; the query has two planes of them. Exact, so the same
     * everywhere. */
    void (*code_rows)(const int8_t *query, uint32_t plane, const uint8_t *const *rows, uint32_t n,
                      int32_t *out);
    void (*code_hot_rows)(const int8_t *query, uint32_t plane, const uint8_t *const *rows,
                          uint32_t n, int32_t *out);
    /* rotation.h: one pass of the rotation, the rounding of a rotated query, and its largest
     * magnitude. */
    void (*turn)(float *x, const float *signs, float scale, uint32_t n);
    int32_t (*steps)(const float *x, uint32_t n, float scale, int8_t *code);
    float (*largest)(const float *x, uint32_t n);
    /* walk.h: the walk of hnsw.c. */
    void (*walk)(const struct ql_hnsw *index, struct walk *scratch, uint32_t width, uint32_t limit,
                 ql_cost *cost);
    /* sum(q*r) and sum(r*r), or for l2 sum((q-r)^2), in float64, in the one order of codes.c. */
    void (*exact_dot)(const float *query, const float *row, uint32_t dim, double *dot,
                      double *square);
    double (*exact_l2)(const float *query, const float *row, uint32_t dim);
    /* postings.c: numbers of `bits` bits, 31 at most, packed from the least significant bit on; 16
     * bytes after the last are readable. Sums: out[i] = first + i + the sum of number[0 .. i], the
     * caller knows that all are below 2^32. */
    void (*unpack)(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t *out);
    void (*unpack_sums)(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t first,
                        uint32_t *out);
    uint64_t (*count_bits)(const uint64_t *words, uint64_t n);
} ql_kernels;

/* codes.c: what these mean, for the tables that have nothing better. */
void ql_turn_portable(float *x, const float *signs, float scale, uint32_t n);
int32_t ql_steps_portable(const float *x, uint32_t n, float scale, int8_t *code);
float ql_largest_portable(const float *x, uint32_t n);
void ql_code_rows_portable(const int8_t *query, uint32_t plane, const uint8_t *const *rows,
                           uint32_t n, int32_t *out);
void ql_code_hot_rows_portable(const int8_t *query, uint32_t plane, const uint8_t *const *rows,
                               uint32_t n, int32_t *out);
void ql_exact_dot_portable(const float *query, const float *row, uint32_t dim, double *dot,
                           double *square);
double ql_exact_l2_portable(const float *query, const float *row, uint32_t dim);

/* kernels_portable.c, likewise */
void ql_unpack_portable(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t *out);
void ql_unpack_sums_portable(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t first,
                             uint32_t *out);
uint64_t ql_count_bits_portable(const uint64_t *words, uint64_t n);
/* Packed number i; 8 bytes from its first on are readable. */
static inline uint32_t ql_packed_at(const uint8_t *from, uint32_t bits, uint64_t i)
{
    uint64_t place = i * bits;
    uint64_t word;

    memcpy(&word, from + place / 8, 8);
    return (uint32_t)((word >> (place % 8)) & (((uint64_t)1 << bits) - 1));
}

/* crc32c.c, for the tables */
uint32_t ql_crc32c_portable(uint32_t crc, const uint8_t *data, size_t size_bytes);
void ql_encode_portable(const float *row, uint32_t dim, int8_t *codes, float *scale, float *error,
                        float *square);

extern const ql_kernels ql_kernels_portable;
#if defined(__x86_64__)
/* kernels_avx2.c, for both tables */
uint32_t ql_crc32c_sse42(uint32_t crc, const uint8_t *data, size_t size_bytes);
void ql_unpack_avx2(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t *out);
void ql_unpack_sums_avx2(const uint8_t *from, uint32_t bits, uint32_t count, uint32_t first,
                         uint32_t *out);
uint64_t ql_count_bits_popcnt(const uint64_t *words, uint64_t n);
extern const ql_kernels ql_kernels_avx2;
extern const ql_kernels ql_kernels_avx512;
#elif defined(__aarch64__)
extern const ql_kernels ql_kernels_neon;
#endif
/* score.c: up to QL_SCORE_ROWS rows by any metric. For cosine only: query_inverse =
 * ql_inverse_norm(dot(query, query)), inverses the same of the rows, or NULL to have them computed
 * on the way. QL_E_INVALID if a score is not finite; scores are unspecified then. */
#define QL_SCORE_ROWS 64
double ql_inverse_norm(float square); /* 0 when it must be done in double */
int ql_score_block(const ql_kernels *table, int metric, const float *query, uint32_t dim,
                   double query_inverse, const float *const *rows, const double *inverses,
                   uint32_t n, float *scores);
int ql_is_finite(const float *values, uint64_t n);

/* neither so small nor so large that its sum lost components */
int ql_square_is_comfortable(float square);

/* screen.c. make: room for n rows, zeroed; what is there must be freed even after a failure. */
int ql_screen_rows_make(uint64_t n, uint32_t dim, ql_screen_rows *rows);
void ql_screen_rows_free(ql_screen_rows *rows);
/* codes: room for dim rounded up to 32, from now on as scratch (row) or for as long as `coded` is
 * used (query). */
void ql_screen_encode_row(const ql_kernels *table, int metric, const float *row, uint32_t dim,
                          int8_t *codes, ql_screen_rows *rows, uint64_t i);
void ql_screen_encode_query(const ql_kernels *table, int metric, const float *query, uint32_t dim,
                            int8_t *codes, ql_screen_query *coded);

/* dispatch.c; never NULL; cheap enough to call once per query */
const ql_kernels *ql_kernels_active(void);

/* Code between these two may use the named instruction sets; no per-file flags, on gcc and clang
 * alike. */
#define QL_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define QL_TARGET_BEGIN(isa)                                                                       \
    QL_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define QL_TARGET_END QL_PRAGMA(clang attribute pop)
#else
#define QL_TARGET_BEGIN(isa) QL_PRAGMA(GCC push_options) QL_PRAGMA(GCC target(isa))
#define QL_TARGET_END QL_PRAGMA(GCC pop_options)
#endif

/* file.c. Whole-or-error input and output: EINTR retried, short counts continued, errno left for
 * QL_E_IO. */
int ql_file_write(int fd, const void *data, size_t size_bytes, uint64_t offset);
/* QL_E_CORRUPT at end of file */
int ql_file_read(int fd, void *data, size_t size_bytes, uint64_t offset);
/* grow with blocks behind it, so a full disk is an error now */
int ql_file_allocate(int fd, uint64_t size_bytes);
int ql_file_sync(int fd);
/* address space only; nothing is readable yet */
int ql_map_reserve(size_t size_bytes, void **base);
/* zeroed private memory, paid for page by page as it is touched */
int ql_map_zero(size_t size_bytes, void **base);
/* The same at an address like `offset` (a multiple of the page), modulo 2 MiB: a file mapped there
 * from that offset has huge pages where the page cache holds it in such. */
int ql_map_zero_like(size_t size_bytes, uint64_t offset, void **base);
/* Place size_bytes of a file from offset (a multiple of 4096) at `at`, inside memory reserved
 * above. It may reach past the file's end, where it must not be touched. private: writable here,
 * and the file never changes. */
int ql_map_file(int fd, uint64_t offset, size_t size_bytes, int private, void *at);
void ql_map_release(void *base, size_t size_bytes);

#endif
