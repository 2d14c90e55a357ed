/* table.c: a view as one plain table of compressed rows, for kernels that walk the whole graph.
 *
 * Node numbers may have gaps, so the table numbers the nodes that have edges, in either direction, 0..n-1 in their
 * order; the tables of the same view in both directions therefore agree.  Rows are sorted by (type, target), like the
 * view's; an association is one arc, also under QL_BOTH, where each node's entering arcs follow its leaving ones and a
 * loop appears in both.
 *
 * Cost: two walks over the rows, the first for counts, so that every column is allocated once and exactly. */
#include <string.h>

#include "graph.h"

typedef struct table_work {
    const ql_graph_view *view;
    const ql_type_set *types;
    int direction;
    ql_scratch scratch;
    uint32_t **position[QL_BLOCKS]; /* block -> group -> position of each of its 4,096 rows */
    ql_graph_table *table;
} table_work;

void ql_graph_table_free(ql_graph_table *table)
{
    if (!table) return;
    ql_free(table->nodes);
    ql_free(table->offsets);
    ql_free(table->targets);
    ql_free(table->weights);
    ql_free(table->types);
    ql_free(table);
}

static void positions_free(table_work *work)
{
    for (uint32_t block = 0; block < QL_BLOCKS; block++) {
        for (uint32_t i = 0; work->position[block] && i < QL_BLOCK_GROUPS; i++) ql_free(work->position[block][i]);
        ql_free(work->position[block]);
    }
}

/* The positions of a node's group, made when missing; NULL when memory is out. */
static uint32_t *positions_of(table_work *work, uint32_t node)
{
    uint32_t group = node >> QL_GROUP_BITS;
    uint32_t ***block = &work->position[group / QL_BLOCK_GROUPS];
    if (!*block) *block = ql_alloc(QL_BLOCK_GROUPS, sizeof **block);
    if (!*block) return NULL;
    uint32_t **positions = &(*block)[group % QL_BLOCK_GROUPS];
    if (!*positions) *positions = ql_alloc(QL_GROUP_ROWS, sizeof **positions);
    return *positions;
}

static uint64_t row_allowed(const ql_type_set *types, const ql_row *row)
{
    if (types->all) return row->count;
    uint64_t count = 0;
    for (uint32_t i = 0; i < row->count; i++) count += ql_type_allowed(types, ql_row_type(row, i));
    return count;
}

/* How many allowed edges the node has in one direction. */
static int row_count(table_work *work, uint32_t node, int side, uint64_t *count)
{
    ql_row row;
    QL_TRY(ql_row_read(work->view->state, work->view->limit, node, side, &work->scratch, &row));
    *count = row_allowed(work->types, &row);
    return QL_OK;
}

/* Call for every node with rows in either direction, in order. */
static int nodes_walk(table_work *work, int (*visit)(table_work *work, uint32_t node))
{
    const ql_state *state = work->view->state;
    uint32_t next[QL_SIDES] = {ql_row_next(state, 0, QL_SIDE_OUT, false), ql_row_next(state, 0, QL_SIDE_IN, false)};
    for (;;) {
        uint32_t node = next[0] < next[1] ? next[0] : next[1];
        if (node == QL_NONE) return QL_OK;
        QL_TRY(visit(work, node));
        for (int side = 0; side < QL_SIDES; side++) {
            if (next[side] == node) next[side] = ql_row_next(state, node + 1ull, side, false);
        }
    }
}

static int node_count(table_work *work, uint32_t node)
{
    uint64_t out;
    uint64_t in;
    QL_TRY(row_count(work, node, QL_SIDE_OUT, &out));
    QL_TRY(row_count(work, node, QL_SIDE_IN, &in));
    if (out + in == 0) return QL_OK;
    uint32_t *positions = positions_of(work, node);
    if (!positions) return QL_E_MEMORY;
    positions[node % QL_GROUP_ROWS] = (uint32_t)work->table->count++;
    work->table->arcs += (work->direction & QL_OUT ? out : 0) + (work->direction & QL_IN ? in : 0);
    return QL_OK;
}

static int row_fill(table_work *work, uint32_t node, int side)
{
    ql_graph_table *table = work->table;
    ql_row row;
    QL_TRY(ql_row_read(work->view->state, work->view->limit, node, side, &work->scratch, &row));
    for (uint32_t i = 0; i < row.count; i++) {
        uint16_t type = ql_row_type(&row, i);
        if (!ql_type_allowed(work->types, type)) continue;
        uint32_t other = row.other[i];
        uint32_t group = other >> QL_GROUP_BITS;
        table->targets[table->arcs] =
            work->position[group / QL_BLOCK_GROUPS][group % QL_BLOCK_GROUPS][other % QL_GROUP_ROWS];
        table->weights[table->arcs] = ql_row_weight(&row, i);
        table->types[table->arcs++] = type;
    }
    return QL_OK;
}

static int node_fill(table_work *work, uint32_t node)
{
    uint64_t out;
    uint64_t in;
    QL_TRY(row_count(work, node, QL_SIDE_OUT, &out));
    QL_TRY(row_count(work, node, QL_SIDE_IN, &in));
    if (out + in == 0) return QL_OK;
    work->table->nodes[work->table->count++] = node;
    if (work->direction & QL_OUT) QL_TRY(row_fill(work, node, QL_SIDE_OUT));
    if (work->direction & QL_IN) QL_TRY(row_fill(work, node, QL_SIDE_IN));
    work->table->offsets[work->table->count] = work->table->arcs;
    return QL_OK;
}

static int table_make(table_work *work)
{
    ql_graph_table *table = work->table;
    QL_TRY(nodes_walk(work, node_count));
    table->nodes = ql_alloc(table->count, sizeof *table->nodes);
    table->offsets = ql_alloc((size_t)table->count + 1, sizeof *table->offsets);
    table->targets = ql_alloc(table->arcs, sizeof *table->targets);
    table->weights = ql_alloc(table->arcs, sizeof *table->weights);
    table->types = ql_alloc(table->arcs, sizeof *table->types);
    if (!table->nodes || !table->offsets || !table->targets || !table->weights || !table->types) return QL_E_MEMORY;
    table->count = 0;
    table->arcs = 0;
    return nodes_walk(work, node_fill);
}

int ql_graph_table_make(const ql_graph_view *view, int direction, const uint16_t *types, uint32_t types_count,
                        ql_graph_table **table, ql_cost *cost)
{
    if (direction < QL_OUT || direction > QL_BOTH) return QL_E_INVALID;
    ql_type_set set;
    QL_TRY(ql_type_set_make(types, types_count, &set));
    table_work *work = ql_alloc(1, sizeof *work);
    if (!work) return QL_E_MEMORY;
    work->view = view;
    work->types = &set;
    work->direction = direction;
    work->table = ql_alloc(1, sizeof *work->table);
    int status = work->table ? table_make(work) : QL_E_MEMORY;
    if (status == QL_OK && cost) {
        cost->edges += work->table->arcs;
        cost->bytes += work->table->arcs * QL_EDGE_READ_BYTES;
    }
    if (status == QL_OK) *table = work->table;
    else ql_graph_table_free(work->table);
    positions_free(work);
    ql_scratch_free(&work->scratch);
    ql_free(work);
    return status;
}
