/* index.c: fuzz the file of the vector index, over rows that are sound.  Input: the file. */
#include "common.h"

#define DIM 6
#define ROWS 60

static ql_vectors *sound_rows(void)
{
    static ql_vectors *vectors;
    float rows[ROWS][DIM];
    uint32_t nodes[ROWS];
    uint32_t first;

    if (vectors) return vectors;
    folder_make();
    for (int i = 0; i < ROWS * DIM; i++) rows[i / DIM][i % DIM] = (float)((i / 8 * 37 % 19) - 9); /* some repeat */
    for (uint32_t i = 0; i < ROWS; i++) nodes[i] = i;
    want(ql_vectors_open(folder, uuid, DIM, QL_L2, 1, &vectors) == QL_OK, "an open log");
    want(ql_vectors_append(vectors, rows[0], nodes, ROWS, 1, &first) == QL_OK, "rows");
    return vectors;
}

int seed(const char *name)
{
    ql_hnsw *index;

    want(ql_hnsw_create(sound_rows(), 16, 20, 7, &index) == QL_OK, "an index");
    want(ql_hnsw_extend(index, ROWS - 10, 1) == QL_OK, "links");
    want(ql_hnsw_save(index, name) == QL_OK, "a file");
    ql_hnsw_close(index);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static const float query[DIM] = {1, -2, 3, 0, 1, 2};
    ql_vectors *vectors = sound_rows();
    ql_near_options options = {.k = 5, .ef = 20, .count = ROWS, .commit = 1};
    uint32_t nodes[5];
    float scores[5];
    uint32_t found;
    uint64_t unreachable;
    ql_hnsw *index;
    ql_cost cost;

    file_write("index.hnsw", data, size_bytes);
    if (ql_hnsw_load(vectors, file_path("index.hnsw"), &index) != QL_OK) return 0;
    ql_hnsw_check(index, &unreachable);
    if (ql_near(vectors, index, query, 1, &options, nodes, scores, &found, &cost) == QL_OK)
        for (uint32_t i = 0; i < found; i++) want(nodes[i] < ROWS, "nodes that exist");
    if (ql_hnsw_extend(index, ROWS, 1) == QL_OK)
        ql_near(vectors, index, query, 1, &options, nodes, scores, &found, &cost);
    ql_hnsw_close(index);
    return 0;
}
