/* rows.c: fuzz the segments of the vector log.  Input: u32 rows, u32 bytes of rows-000.f32, then both files. */
#include "common.h"

#define DIM 5
#define ROWS 40

static void append(FILE *out, const char *name, uint32_t size_bytes)
{
    FILE *in = fopen(file_path(name), "rb");

    want(in != NULL, "the file to read");
    for (uint32_t i = 0; i < size_bytes; i++) fputc(fgetc(in), out);
    fclose(in);
}

int seed(const char *name)
{
    float rows[ROWS][DIM];
    uint32_t nodes[ROWS];
    uint32_t first;
    uint32_t sizes[2] = {ROWS, 4096 + ROWS * 64};
    ql_vectors *vectors;
    FILE *out = fopen(name, "wb");

    folder_make();
    for (int i = 0; i < ROWS * DIM; i++) rows[i / DIM][i % DIM] = (float)((i * 37 % 19) - 9);
    for (uint32_t i = 0; i < ROWS; i++) nodes[i] = i;
    want(ql_vectors_open(folder, uuid, DIM, QL_COSINE, 1, &vectors) == QL_OK, "an open log");
    want(ql_vectors_append(vectors, rows[0], nodes, ROWS, 1, &first) == QL_OK, "rows");
    ql_vectors_close(vectors);
    fwrite(sizes, sizeof sizes, 1, out);
    append(out, "rows-000.f32", sizes[1]);
    append(out, "meta-000.slots", 4096 + ROWS * 24);
    return fclose(out);
}

static void use(ql_vectors *vectors, uint32_t count)
{
    static const float query[DIM] = {1, -2, 3, 0, 1};
    ql_near_options options = {.k = 3, .ef = 10, .count = count, .commit = 1, .exact = 1};
    uint32_t slots[3] = {0, count / 2, count - 1};
    uint32_t nodes[3];
    uint32_t found;
    uint32_t bad[4];
    float rows[3][DIM];
    float scores[3];
    ql_hnsw *index = NULL;
    ql_cost cost;

    ql_vectors_read(vectors, slots, 3, rows[0]);
    ql_vectors_nodes(vectors, slots, 3, nodes);
    ql_vectors_check(vectors, 0, count, bad, 4, &found);
    ql_near(vectors, NULL, query, 1, &options, nodes, scores, &found, &cost);
    if (ql_hnsw_create(vectors, 16, 20, 7, &index) == QL_OK && ql_hnsw_extend(index, count, 1) == QL_OK) {
        options.exact = 0;
        ql_near(vectors, index, query, 1, &options, nodes, scores, &found, &cost);
    }
    ql_hnsw_close(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    uint32_t count = take_u32(&data, &size_bytes);
    uint32_t rows_bytes = take_u32(&data, &size_bytes);
    ql_vectors *vectors;

    if (rows_bytes > size_bytes) rows_bytes = (uint32_t)size_bytes;
    file_write("rows-000.f32", data, rows_bytes);
    file_write("meta-000.slots", data + rows_bytes, size_bytes - rows_bytes);
    for (int writable = 0; writable < 2; writable++) {
        want(ql_vectors_open(folder, uuid, DIM, QL_COSINE, writable, &vectors) == QL_OK, "a log to open");
        if (ql_vectors_extend(vectors, count) == QL_OK && count) use(vectors, count);
        if (writable && count > 1 && count == ql_vectors_count(vectors)) ql_vectors_truncate(vectors, count / 2);
        ql_vectors_close(vectors);
    }
    return 0;
}
