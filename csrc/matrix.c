/* matrix.c: exact top-k of many queries over many rows, scored and selected in one pass.
 *
 * Rows go by in blocks of 64, which stay in the first caches while every query looks at them.
 * Three ways, one answer:
 *     plain      few queries and no codes: every row is scored, and read once
 *     on the go  many queries: a block is coded (screen.c), which costs about as much as scoring it
 *                for a few of them, and then screened by each query
 *     coded      the codes were made before and stand in the matrix: a quarter of the bytes
 * Rows may be float32, float16 or int8; the last two are widened to float32, exactly, block by
 * block, and scored as such.
 *
 * Threads take ranges of rows, each with its own heaps; the ranges are merged in order.  The order
 * of results is total (topk.c) and scores are the same bits everywhere, so neither way nor threads
 * nor instruction set can show in the answer.
 *
 * NaN: queries are looked at first.  A row with a NaN or an infinity has an infinite error or a NaN
 * square, no screen rules it out, and its score is refused. */
#include <math.h>
#include <pthread.h>

#include "topk.h"

#define BLOCK       QL_TILE_ROWS
#define SMALL_BLOCK 16 /* rows that stay in the first cache as floats */
#define ON_THE_GO   12 /* queries from which coding a block pays (bench/kernels.py) */
_Static_assert(QL_TILE_ROWS == QL_SCORE_ROWS, "a block is both screened and scored");

/* Thread rule: nothing changes after creation. */
struct ql_matrix {
    const void *rows; /* the caller's */
    uint64_t n;
    uint32_t dim;
    int metric;
    int type;
    ql_screen_rows codes; /* .codes is NULL when there are none */
};

/* What all threads of one call read. */
typedef struct question {
    const ql_matrix *matrix;
    const ql_kernels *table;
    const float *queries;
    uint32_t m;
    uint32_t k;
    ql_screen_query *coded; /* per query; NULL: no screening */
    double *inverses;       /* 1/norm per query, as ql_score_block wants it */
} question;

/* Thread rule: its own thread only, until joined. */
typedef struct worker {
    const question *asked;
    uint64_t from;
    uint64_t until;
    ql_best *bests; /* per query */
    ql_ranked *heaps;
    float *wide;          /* BLOCK rows as float32, when they are not */
    ql_screen_rows block; /* codes made on the go */
    int8_t *codes;        /* one row of them, in order */
    ql_cost cost;
    int status;
    pthread_t thread;
    int started;
} worker;

static uint64_t row_bytes(const ql_matrix *matrix)
{
    return matrix->dim * (uint64_t)(matrix->type == QL_FLOAT32   ? 4
                                    : matrix->type == QL_FLOAT16 ? 2
                                                                 : 1);
}

/* Codes are made 32 at a time. */
static uint32_t codes_room(const ql_matrix *matrix)
{
    return (matrix->dim + 31) / 32 * 32;
}

static void widen(const ql_matrix *matrix, const ql_kernels *table, uint64_t row, float *out)
{
    if (matrix->type == QL_FLOAT16) {
        table->widen_f16((const uint16_t *)matrix->rows + row * matrix->dim, matrix->dim, out);
    } else {
        const int8_t *bytes = (const int8_t *)matrix->rows + row * matrix->dim;

        for (uint32_t j = 0; j < matrix->dim; j++) out[j] = bytes[j];
    }
}

/* The row as float32: where it is, or widened into its place of the block. */
static const float *row_of(const worker *self, uint64_t first, uint32_t i, uint64_t *widened)
{
    const ql_matrix *matrix = self->asked->matrix;
    float *place;

    if (matrix->type == QL_FLOAT32) return (const float *)matrix->rows + (first + i) * matrix->dim;
    place = self->wide + (uint64_t)i * matrix->dim;
    if (!(*widened >> i & 1)) {
        widen(matrix, self->asked->table, first + i, place);
        *widened |= (uint64_t)1 << i;
    }
    return place;
}

/* Score the rows whose bits are set, at least one, and keep the best. */
static int consider(worker *self, uint32_t query, uint64_t first, uint64_t bits, uint64_t *widened)
{
    const question *asked = self->asked;
    const ql_matrix *matrix = asked->matrix;
    const float *rows[BLOCK];
    uint32_t places[BLOCK];
    float scores[BLOCK];
    uint32_t count = 0;

    do {
        places[count] = (uint32_t)__builtin_ctzll(bits);
        rows[count] = row_of(self, first, places[count], widened);
        count++;
        bits &= bits - 1;
    } while (bits);
    QL_TRY(ql_score_block(asked->table, matrix->metric,
                          asked->queries + (uint64_t)query * matrix->dim, matrix->dim,
                          asked->inverses[query], rows, NULL, count, scores));
    for (uint32_t i = 0; i < count; i++)
        ql_best_add(&self->bests[query], scores[i], (uint32_t)(first + places[i]));
    self->cost.distances += count;
    self->cost.bytes += count * row_bytes(matrix);
    return QL_OK;
}

static int scan_block(worker *self, uint64_t first, uint32_t count)
{
    const question *asked = self->asked;
    const ql_matrix *matrix = asked->matrix;
    const ql_screen_rows *codes = &matrix->codes;
    uint64_t tile = first / BLOCK;
    uint64_t all = count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
    uint64_t widened = 0;

    if (self->block.codes) { /* on the go */
        codes = &self->block;
        tile = 0;
        for (uint32_t i = 0; i < count; i++)
            ql_screen_encode_row(asked->table, matrix->metric, row_of(self, first, i, &widened),
                                 matrix->dim, self->codes, &self->block, i);
    }
    for (uint32_t q = 0; q < asked->m; q++) {
        const ql_best *best = &self->bests[q];
        uint64_t bits = all;

        if (asked->coded && best->size == best->capacity) {
            bits = all & asked->table->screen(&asked->coded[q], codes, tile, best->heap[0].score);
            self->cost.bytes += (uint64_t)BLOCK * codes->size_bytes;
        }
        if (bits) QL_TRY(consider(self, q, first, bits, &widened));
    }
    return QL_OK;
}

static void *scan(void *argument)
{
    worker *self = argument;

    for (uint64_t first = self->from; first < self->until && self->status == QL_OK;
         first += BLOCK) {
        uint64_t left = self->until - first;

        self->status = scan_block(self, first, left < BLOCK ? (uint32_t)left : BLOCK);
    }
    return NULL;
}

static int worker_make(worker *self, const question *asked, uint64_t from, uint64_t until)
{
    const ql_matrix *matrix = asked->matrix;

    *self = (worker){.asked = asked, .from = from, .until = until};
    self->bests = ql_alloc(asked->m, sizeof *self->bests);
    self->heaps = ql_alloc((uint64_t)asked->m * asked->k, sizeof *self->heaps);
    if (!self->bests || !self->heaps) return QL_E_MEMORY;
    for (uint32_t q = 0; q < asked->m; q++)
        self->bests[q] = (ql_best){.heap = self->heaps + (uint64_t)q * asked->k,
                                   .capacity = asked->k};
    if (matrix->type != QL_FLOAT32) {
        self->wide = ql_alloc((uint64_t)BLOCK * matrix->dim, sizeof *self->wide);
        if (!self->wide) return QL_E_MEMORY;
    }
    if (asked->coded && !matrix->codes.codes) {
        QL_TRY(ql_screen_rows_make(BLOCK, matrix->dim, &self->block));
        self->codes = ql_alloc(codes_room(matrix), 1);
        if (!self->codes) return QL_E_MEMORY;
    }
    return QL_OK;
}

static void worker_free(worker *self)
{
    ql_free(self->codes);
    ql_screen_rows_free(&self->block);
    ql_free(self->wide);
    ql_free(self->heaps);
    ql_free(self->bests);
}

/* Run all workers, the first on this thread; then the others' best join the first's. */
static int scan_all(worker *workers, uint32_t threads, ql_cost *cost)
{
    for (uint32_t t = 1; t < threads; t++)
        workers[t].started = pthread_create(&workers[t].thread, NULL, scan, &workers[t]) == 0;
    for (uint32_t t = 0; t < threads; t++) {
        if (workers[t].started)
            pthread_join(workers[t].thread, NULL);
        else
            scan(&workers[t]); /* the first one, and any that the system had no thread for */
    }
    for (uint32_t t = 0; t < threads; t++)
        if (workers[t].status != QL_OK) return workers[t].status;
    for (uint32_t t = 0; t < threads; t++) {
        cost->distances += workers[t].cost.distances;
        cost->bytes += workers[t].cost.bytes;
        for (uint32_t q = 0; t > 0 && q < workers[t].asked->m; q++)
            for (uint32_t i = 0; i < workers[t].bests[q].size; i++)
                ql_best_add(&workers[0].bests[q], workers[t].bests[q].heap[i].score,
                            workers[t].bests[q].heap[i].index);
    }
    return QL_OK;
}

static int answer(const question *asked, uint32_t threads, uint32_t *index, float *scores,
                  ql_cost *cost)
{
    uint64_t blocks = (asked->matrix->n + BLOCK - 1) / BLOCK;
    worker *workers;
    uint32_t made = 0;
    int status = QL_OK;

    if (threads > blocks) threads = (uint32_t)blocks;
    workers = ql_alloc(threads, sizeof *workers);
    if (!workers) return QL_E_MEMORY;
    for (; made < threads && status == QL_OK; made++) {
        uint64_t from = blocks * made / threads * BLOCK;
        uint64_t until = made + 1 == threads ? asked->matrix->n
                                             : blocks * (made + 1) / threads * BLOCK;

        status = worker_make(&workers[made], asked, from, until);
    }
    if (status == QL_OK) status = scan_all(workers, threads, cost);
    for (uint32_t q = 0; status == QL_OK && q < asked->m; q++)
        ql_best_sorted(&workers[0].bests[q], index + (uint64_t)q * asked->k,
                       scores + (uint64_t)q * asked->k);
    while (made) worker_free(&workers[--made]);
    ql_free(workers);
    return status;
}

/* The inverse norm of each query, or NULL. */
static double *inverses_of(const ql_matrix *matrix, const ql_kernels *table, const float *queries,
                           uint32_t m)
{
    double *inverses = ql_alloc(m, sizeof *inverses);

    for (uint32_t q = 0; inverses && q < m; q++, queries += matrix->dim)
        inverses[q] = ql_inverse_norm(table->dot(queries, queries, matrix->dim));
    return inverses;
}

int ql_matrix_top(const ql_matrix *matrix, const float *queries, uint32_t m, uint32_t k,
                  uint32_t threads, uint32_t *index, float *scores, ql_cost *cost)
{
    question asked = {
        .matrix = matrix, .table = ql_kernels_active(), .queries = queries, .m = m, .k = k};
    int8_t *codes = NULL;
    int status = QL_E_MEMORY;

    assert(matrix && cost);
    if (k > matrix->n || threads < 1 || threads > QL_THREADS_MAX) return QL_E_INVALID;
    if (m == 0 || k == 0) return QL_OK;
    if (!queries || !index || !scores) return QL_E_INVALID;
    if (!ql_is_finite(queries, (uint64_t)m * matrix->dim)) return QL_E_INVALID;

    asked.inverses = inverses_of(matrix, asked.table, queries, m);
    if (!asked.inverses) goto done;
    if (matrix->codes.codes || m >= ON_THE_GO) {
        uint32_t room = codes_room(matrix);

        asked.coded = ql_alloc(m, sizeof *asked.coded);
        codes = ql_alloc(m, room);
        if (!asked.coded || !codes) goto done;
        for (uint32_t q = 0; q < m; q++)
            ql_screen_encode_query(asked.table, matrix->metric, queries + (uint64_t)q * matrix->dim,
                                   matrix->dim, codes + (uint64_t)q * room, &asked.coded[q]);
    }
    status = answer(&asked, threads, index, scores, cost);
done:
    ql_free(codes);
    ql_free(asked.coded);
    ql_free(asked.inverses);
    return status;
}

/* Code all rows; a row that is not finite is refused here, not at the first query that meets it. */
static int encode_all(ql_matrix *matrix)
{
    const ql_kernels *table = ql_kernels_active();
    float *wide = ql_alloc(matrix->dim, sizeof *wide);
    int8_t *codes = ql_alloc(codes_room(matrix), 1);
    int status = wide && codes ? QL_OK : QL_E_MEMORY;

    for (uint64_t i = 0; i < matrix->n && status == QL_OK; i++) {
        const float *row = wide;

        if (matrix->type == QL_FLOAT32)
            row = (const float *)matrix->rows + i * matrix->dim;
        else
            widen(matrix, table, i, wide);
        ql_screen_encode_row(table, matrix->metric, row, matrix->dim, codes, &matrix->codes, i);
        if (matrix->codes.error[i] == INFINITY && !ql_is_finite(row, matrix->dim))
            status = QL_E_INVALID;
    }
    ql_free(codes);
    ql_free(wide);
    return status;
}

int ql_matrix_create(int metric, int type, const void *rows, uint64_t n, uint32_t dim, int coded,
                     ql_matrix **matrix)
{
    ql_matrix *made;
    int status = QL_OK;

    if (metric != QL_DOT && metric != QL_L2 && metric != QL_COSINE) return QL_E_INVALID;
    if (type != QL_FLOAT32 && type != QL_FLOAT16 && type != QL_INT8) return QL_E_INVALID;
    if (dim < 1 || dim > QL_DIM_MAX || n > QL_NONE || (n && !rows)) return QL_E_INVALID;
    made = ql_alloc(1, sizeof *made);
    if (!made) return QL_E_MEMORY;

    *made = (ql_matrix){.rows = rows, .n = n, .dim = dim, .metric = metric, .type = type};
    if (coded) status = ql_screen_rows_make(n, dim, &made->codes);
    if (coded && status == QL_OK) status = encode_all(made);
    if (status != QL_OK) {
        ql_matrix_close(made);
        return status;
    }
    *matrix = made;
    return QL_OK;
}

void ql_matrix_close(ql_matrix *matrix)
{
    if (!matrix) return;
    ql_screen_rows_free(&matrix->codes);
    ql_free(matrix);
}

/* A block of rows stays in the first cache while all queries look at it. */
static int score_block(const worker *self, uint64_t first, uint32_t count, float *scores)
{
    const question *asked = self->asked;
    const ql_matrix *matrix = asked->matrix;
    const float *rows[BLOCK];
    double inverses[BLOCK];
    uint64_t widened = 0;

    for (uint32_t i = 0; i < count; i++) {
        rows[i] = row_of(self, first, i, &widened);
        if (matrix->metric == QL_COSINE && asked->m > 1)
            inverses[i] = ql_inverse_norm(asked->table->dot(rows[i], rows[i], matrix->dim));
    }
    for (uint32_t q = 0; q < asked->m; q++)
        QL_TRY(ql_score_block(asked->table, matrix->metric,
                              asked->queries + (uint64_t)q * matrix->dim, matrix->dim,
                              asked->inverses[q], rows, asked->m > 1 ? inverses : NULL, count,
                              scores + q * matrix->n + first));
    return QL_OK;
}

int ql_matrix_scores(const ql_matrix *matrix, const float *queries, uint32_t m, float *scores)
{
    question asked = {.matrix = matrix, .table = ql_kernels_active(), .queries = queries, .m = m};
    worker self = {.asked = &asked};
    uint32_t step = m > 1 ? SMALL_BLOCK : BLOCK;
    int status = QL_E_MEMORY;

    assert(matrix);
    if (m == 0 || matrix->n == 0) return QL_OK;
    if (!queries || !scores || !ql_is_finite(queries, (uint64_t)m * matrix->dim))
        return QL_E_INVALID;
    asked.inverses = inverses_of(matrix, asked.table, queries, m);
    if (!asked.inverses) goto done;
    if (matrix->type != QL_FLOAT32) {
        self.wide = ql_alloc((uint64_t)BLOCK * matrix->dim, sizeof *self.wide);
        if (!self.wide) goto done;
    }
    status = QL_OK;
    for (uint64_t first = 0; first < matrix->n && status == QL_OK; first += step) {
        uint64_t left = matrix->n - first;

        status = score_block(&self, first, left < step ? (uint32_t)left : step, scores);
    }
done:
    ql_free(self.wide);
    ql_free(asked.inverses);
    return status;
}
