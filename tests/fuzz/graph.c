/* graph.c: fuzz the log of associations (GRAPH_LOG) or the file of extents (GRAPH_EXTENTS).
 * Input: the log; or four u32 (log_bytes, file_bytes, table_at, edges) and the file. */
#include "common.h"

#define EDGES 500

static void fill(ql_graph *graph, uint64_t *log_bytes)
{
    ql_edge edges[EDGES];

    for (uint32_t batch = 0; batch < 3; batch++) {
        for (uint32_t i = 0; i < EDGES; i++)
            edges[i] = (ql_edge){i * 7 % 50, i * 11 % 70000, (uint16_t)(i % 3), batch == 2 && i % 5 == 0, 0.5f};
        want(ql_graph_append(graph, edges, batch ? EDGES / 10 : EDGES) == QL_OK, "records");
        want(ql_graph_flush(graph, batch + 1, log_bytes) == QL_OK, "a batch");
        want(ql_graph_publish(graph) == QL_OK, "a commit");
    }
}

static void use(ql_graph *graph, uint64_t log_bytes)
{
    static const uint32_t seeds[2] = {0, 7};
    static const float scores[2] = {1, 1};
    static const uint64_t seeds_allowed[2] = {~0ull, 0x5555};
    ql_graph_view *view;
    ql_edges *edges;
    ql_reached *reached;
    ql_graph_table *table;
    ql_edge edge;
    uint64_t count;
    ql_cost cost;
    int found;

    if (ql_graph_view_open(graph, log_bytes, 0, &view) != QL_OK) return;
    ql_graph_view_count(view, &count);
    ql_graph_find(view, 7, 1, 11, &found, &edge);
    if (ql_graph_edges(view, &edges) == QL_OK) {
        want(edges->count == count, "as many edges as are counted");
        ql_edges_free(edges);
    }
    if (ql_graph_neighbours(view, seeds, 2, QL_BOTH, NULL, 0, &edges, &cost) == QL_OK) ql_edges_free(edges);
    if (ql_graph_expand(view, seeds, scores, 2, 2, QL_BOTH, NULL, 0, seeds_allowed, 128, 0.5f, 10000, &reached, &cost) == QL_OK)
        ql_reached_free(reached);
    if (ql_graph_table_make(view, QL_BOTH, NULL, 0, &table, &cost) == QL_OK) ql_graph_table_free(table);
    ql_graph_view_close(view);
}

#ifdef GRAPH_LOG

int seed(const char *name)
{
    uint64_t log_bytes;
    ql_graph *graph;

    want(ql_graph_open(name, uuid, 1, &graph) == QL_OK, "a log");
    fill(graph, &log_bytes);
    ql_graph_close(graph);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    ql_graph *graph;
    uint64_t where;

    for (int writable = 0; writable < 2; writable++) {
        file_write("graph.log", data, size_bytes);
        if (ql_graph_open(file_path("graph.log"), uuid, writable, &graph) != QL_OK) continue;
        if (ql_graph_advance(graph, size_bytes) == QL_OK) use(graph, size_bytes);
        ql_graph_check(graph, &where);
        if (writable) ql_graph_truncate(graph, size_bytes);
        ql_graph_close(graph);
    }
    return 0;
}

#else

int seed(const char *name)
{
    uint64_t log_bytes;
    ql_graph_extents extents;
    ql_graph *graph;
    FILE *out = fopen(name, "wb");
    FILE *in;
    int byte;

    want(ql_graph_open(file_path("graph.log"), uuid, 1, &graph) == QL_OK, "a log");
    fill(graph, &log_bytes);
    want(ql_graph_extents_write(graph, file_path("graph.dat"), &extents) == QL_OK, "extents");
    ql_graph_close(graph);
    uint32_t numbers[4] = {(uint32_t)extents.log_bytes, (uint32_t)extents.file_bytes, (uint32_t)extents.table_at,
                           (uint32_t)extents.edges};
    fwrite(numbers, sizeof numbers, 1, out);
    in = fopen(file_path("graph.dat"), "rb");
    want(in != NULL, "the file to read");
    while ((byte = fgetc(in)) != EOF) fputc(byte, out);
    fclose(in);
    return fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    ql_graph_extents extents;
    ql_graph *graph;

    extents.log_bytes = take_u32(&data, &size_bytes);
    extents.file_bytes = take_u32(&data, &size_bytes);
    extents.table_at = take_u32(&data, &size_bytes);
    extents.edges = take_u32(&data, &size_bytes);
    unlink(file_path("graph.log"));
    want(ql_graph_open(file_path("graph.log"), uuid, 1, &graph) == QL_OK, "an empty log");
    file_write("graph.dat", data, size_bytes);
    if (ql_graph_extents_read(graph, file_path("graph.dat"), &extents) == QL_OK) use(graph, extents.log_bytes);
    ql_graph_close(graph);
    return 0;
}

#endif
