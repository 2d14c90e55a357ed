/* score.c: one query against many rows, consecutive or gathered, on top of the active table.
 *
 * What is refused.  The query is looked at before anything else: d components against n*d of work.
 * Rows are not: that would read them twice.  Instead each score is looked at, one number per row: a
 * NaN or an infinity in a row always makes its score NaN or infinite, and so does a sum that leaves
 * float32.  Either is QL_E_INVALID, and then `scores` is unspecified (the one exception to "outputs
 * only on success": the alternative is a second buffer or a second pass).
 *
 * Cosine is computed as (float)(dot * (1/|q| * 1/|r|)), in double but for the sums, cut to [-1, 1].
 * The three sums are float32 sums of the table as long as they stay within [2^-80, 2^100]; a vector
 * of tiny or huge components would underflow or overflow there, and is done again in double, where
 * every float32 vector of QL_DIM_MAX components fits. */
#include <math.h>

#include "internal.h"

#define SQUARE_MIN 0x1p-80f
#define SQUARE_MAX 0x1p+100f

int ql_is_finite(const float *values, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (!isfinite(values[i])) return 0;
    return 1;
}

static float cosine_in_double(const float *a, const float *b, uint32_t dim)
{
    double ab = 0;
    double aa = 0;
    double bb = 0;

    for (uint32_t i = 0; i < dim; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    if (aa == 0 || bb == 0) return 0;
    return (float)(ab / (sqrt(aa) * sqrt(bb)));
}

int ql_square_is_comfortable(float square)
{
    return square >= SQUARE_MIN && square <= SQUARE_MAX;
}

double ql_inverse_norm(float square)
{
    return ql_square_is_comfortable(square) ? 1 / sqrt((double)square) : 0;
}

static void cosines(const ql_kernels *table, const float *query, uint32_t dim, double query_inverse,
                    const float *const *rows, const double *inverses, uint32_t n, float *scores)
{
    float squares[QL_SCORE_ROWS];
    double made[QL_SCORE_ROWS];

    if (inverses) {
        table->dot_rows(query, dim, rows, n, scores);
    } else {
        table->dot_square_rows(query, dim, rows, n, scores, squares);
        for (uint32_t i = 0; i < n; i++) made[i] = ql_inverse_norm(squares[i]);
        inverses = made;
    }
    for (uint32_t i = 0; i < n; i++) {
        double inverse = query_inverse * inverses[i];
        float cosine = (float)(scores[i] * inverse);

        if (inverse == 0) cosine = cosine_in_double(query, rows[i], dim);
        if (cosine > 1) cosine = 1;
        if (cosine < -1) cosine = -1;
        scores[i] = cosine; /* NaN passes and is refused by the caller */
    }
}

int ql_score_block(const ql_kernels *table, int metric, const float *query, uint32_t dim,
                   double query_inverse, const float *const *rows, const double *inverses,
                   uint32_t n, float *scores)
{
    assert(n <= QL_SCORE_ROWS);
    if (metric == QL_L2) {
        table->l2_rows(query, dim, rows, n, scores);
        for (uint32_t i = 0; i < n; i++) scores[i] = 0 - scores[i]; /* and not -0 for equal rows */
    } else if (metric == QL_DOT) {
        table->dot_rows(query, dim, rows, n, scores);
    } else {
        cosines(table, query, dim, query_inverse, rows, inverses, n, scores);
    }
    return ql_is_finite(scores, n) ? QL_OK : QL_E_INVALID;
}

/* index NULL: consecutive rows. */
static int score(int metric, const float *query, uint32_t dim, const float *rows, uint64_t stride,
                 const uint32_t *index, uint64_t n, float *scores)
{
    const ql_kernels *table = ql_kernels_active();
    const float *block[QL_SCORE_ROWS];
    double inverse;

    if (metric != QL_DOT && metric != QL_L2 && metric != QL_COSINE) return QL_E_INVALID;
    if (dim > QL_DIM_MAX || stride < dim) return QL_E_INVALID;
    if (n && (!query || !rows || !scores)) return QL_E_INVALID;
    if (!ql_is_finite(query, n ? dim : 0)) return QL_E_INVALID;

    inverse = metric == QL_COSINE && n ? ql_inverse_norm(table->dot(query, query, dim)) : 0;
    for (uint64_t from = 0; from < n; from += QL_SCORE_ROWS) {
        uint32_t count = n - from < QL_SCORE_ROWS ? (uint32_t)(n - from) : QL_SCORE_ROWS;

        for (uint32_t i = 0; i < count; i++)
            block[i] = rows + (index ? index[from + i] : from + i) * stride;
        QL_TRY(
            ql_score_block(table, metric, query, dim, inverse, block, NULL, count, scores + from));
    }
    return QL_OK;
}

int ql_score_rows(int metric, const float *query, uint32_t dim, const float *rows, uint64_t stride,
                  uint64_t n, float *scores)
{
    return score(metric, query, dim, rows, stride, NULL, n, scores);
}

int ql_score_gather(int metric, const float *query, uint32_t dim, const float *rows,
                    uint64_t stride, const uint32_t *index, uint64_t n, float *scores)
{
    if (n && !index) return QL_E_INVALID;
    return score(metric, query, dim, rows, stride, index, n, scores);
}
