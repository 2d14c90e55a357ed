/* screen.c: rows and queries as 8-bit codes with certain bounds, to rule out rows without their
 * floats.
 *
 * An exact top-k reads every row only to find that nearly all are far from the best.  A row of
 * codes is a quarter of the bytes, and its product with a coded query bounds the score from above;
 * only rows whose bound beats the worst of the k best so far are scored in float32.  As in the
 * VA-file (Weber, Schek and Blott 1998), but with the bound of Cauchy and Schwarz on what coding
 * lost instead of a box per component.  The answer is that of the full scan, bit by bit.
 *
 * With r = r' + e, r' = scale*code, and q = q' + f in the same way (kernels_portable.c):
 *     q.r = q'.r' + f.r' + q.e  <=  q'.r' + |f| |r'| + |q| |e|
 * so a row keeps scale, error = |e| and length >= max(|r|, |r'|), a query scale, norm = |q| and
 * error = |f|.  A score is a float32 sum, at most `slack` * |q| |r| away from the exact one
 * (kernels_portable.c); the slack of the sum, of the norms and of the bound itself is in the
 * query's error.  Everything that bounds is rounded up by a factor of 1.0001.
 *     dot     as above
 *     cosine  a row's numbers divided by |r|, a query's by |q|
 *     l2      2 q.r - |r|^2 - |q|^2: a row's numbers doubled, the squares as biases, slack added
 * A row or a query so tiny or huge that its square is no comfortable float32 gets an infinite
 * error: its bounds are infinite or NaN, and neither rules anything out.  So do NaN and infinity.
 */
#include <math.h>
#include <string.h>

#include "internal.h"

#define UP 1.0001f

int ql_screen_rows_make(uint64_t n, uint32_t dim, ql_screen_rows *rows)
{
    ql_screen_rows made = {.size_bytes = (dim + 7) / 8 * 8};

    n = (n + QL_TILE_ROWS - 1) / QL_TILE_ROWS * QL_TILE_ROWS;
    made.codes = ql_alloc_aligned(n, made.size_bytes, 64);
    made.scale = ql_alloc(n, sizeof(float));
    made.error = ql_alloc(n, sizeof(float));
    made.length = ql_alloc(n, sizeof(float));
    made.bias = ql_alloc(n, sizeof(float));
    *rows = made;
    if (made.codes && made.scale && made.error && made.length && made.bias) return QL_OK;
    ql_screen_rows_free(rows);
    return QL_E_MEMORY;
}

void ql_screen_rows_free(ql_screen_rows *rows)
{
    ql_free(rows->bias);
    ql_free(rows->length);
    ql_free(rows->error);
    ql_free(rows->scale);
    ql_free(rows->codes);
    *rows = (ql_screen_rows){0};
}

/* How far a float32 sum of this length may be from the exact one, as a part of |q| |r|. */
static float slack(uint32_t dim)
{
    return ((float)dim / 32 + 16) * 0x1p-24f;
}

static int is_zero(const float *row, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++)
        if (row[i] != 0) return 0; /* a NaN is not 0 */
    return 1;
}

/* The codes of row i into its tile, four bytes at a time. */
static void scatter(const int8_t *codes, ql_screen_rows *rows, uint64_t i)
{
    uint8_t *place = rows->codes + i / QL_TILE_ROWS * QL_TILE_ROWS * rows->size_bytes;

    place += i % QL_TILE_ROWS * 4;
    for (uint32_t j = 0; j < rows->size_bytes; j += 4, place += 4 * QL_TILE_ROWS) {
        uint32_t four;

        memcpy(&four, codes + j, sizeof four);
        four ^= 0x80808080u; /* each + 128 */
        memcpy(place, &four, sizeof four);
    }
}

void ql_screen_encode_row(const ql_kernels *table, int metric, const float *row, uint32_t dim,
                          int8_t *codes, ql_screen_rows *rows, uint64_t i)
{
    float scale;
    float error;
    float square;
    float unit = 1;
    float length;

    rows->scale[i] = rows->error[i] = rows->length[i] = rows->bias[i] = 0;
    table->encode(row, dim, codes, &scale, &error, &square);
    scatter(codes, rows, i);
    if (!ql_square_is_comfortable(square)) {
        if (!is_zero(row, dim)) rows->error[i] = INFINITY;
        return;
    }
    length = sqrtf(square);
    error = error * UP + 0x1p-22f * length; /* and the rounding of the residuals */
    if (metric == QL_COSINE) unit = 1 / length;
    if (metric == QL_L2) {
        unit = 2;
        rows->bias[i] = -square * (1 - 4 * slack(dim));
    }
    rows->scale[i] = scale * unit;
    rows->error[i] = error * unit * UP;
    rows->length[i] = (length + error) * unit * UP;
}

void ql_screen_encode_query(const ql_kernels *table, int metric, const float *query, uint32_t dim,
                            int8_t *codes, ql_screen_query *coded)
{
    float scale;
    float error;
    float square;
    float norm;
    float unit;

    *coded = (ql_screen_query){.codes = codes};
    table->encode(query, dim, codes, &scale, &error, &square);
    for (uint32_t i = 0; i < dim; i++) coded->sum += codes[i];
    if (!ql_square_is_comfortable(square)) {
        if (!is_zero(query, dim)) coded->error = INFINITY;
        return;
    }
    norm = sqrtf(square);
    unit = metric == QL_COSINE ? 1 / norm : 1;
    coded->scale = scale * unit;
    coded->norm = norm * unit * UP;
    coded->error = (error * UP + (0x1p-22f + 4 * slack(dim)) * norm) * unit * UP;
    if (metric == QL_L2) coded->bias = -square * (1 - 4 * slack(dim));
}
