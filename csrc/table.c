/* table.c: a view as one plain table of compressed rows, for kernels that walk the whole graph.
 *
 * Node numbers may have gaps, so the table numbers the nodes that have edges, in either direction,
 * 0..n-1 in their order; the tables of the same view in both directions therefore agree.  Rows are
 * sorted by (type, target), like the view's; an association is one arc, also under QL_BOTH, where
 * each node's entering arcs follow its leaving ones and a loop appears in both.
 *
 * Cost: two walks over the rows, the first for counts, so that every column is allocated once and
 * exactly. */
#include <string.h>

#include "graph.h"

typedef struct table_work {
    ql_graph_view view;
    const ql_type_set *types;
    int direction;
    ql_scratch scratch[QL_SIDES];
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
        for (uint32_t i = 0; work->position[block] && i < QL_BLOCK_GROUPS; i++)
            ql_free(work->position[block][i]);
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

/* Call `visit` for every node with allowed edges in either direction, in order, with its rows. */
static int nodes_walk(table_work *work, int (*visit)(table_work *work, uint32_t node,
                                                     const ql_row *out, const ql_row *in))
{
    ql_walk walk[QL_SIDES];
    uint32_t node[QL_SIDES];
    ql_row row[QL_SIDES];
    for (int side = 0; side < QL_SIDES; side++) {
        walk[side] = ql_walk_start(&work->view, side, false);
        QL_TRY(ql_walk_next(&walk[side], &work->scratch[side], &node[side], &row[side]));
    }
    for (;;) {
        uint32_t first = node[QL_SIDE_OUT] < node[QL_SIDE_IN] ? node[QL_SIDE_OUT]
                                                              : node[QL_SIDE_IN];
        if (first == QL_NONE) return QL_OK;
        ql_row none = {0};
        const ql_row *out = node[QL_SIDE_OUT] == first ? &row[QL_SIDE_OUT] : &none;
        const ql_row *in = node[QL_SIDE_IN] == first ? &row[QL_SIDE_IN] : &none;
        if (row_allowed(work->types, out) + row_allowed(work->types, in) > 0)
            QL_TRY(visit(work, first, out, in));
        for (int side = 0; side < QL_SIDES; side++) {
            if (node[side] != first) continue;
            QL_TRY(ql_walk_next(&walk[side], &work->scratch[side], &node[side], &row[side]));
        }
    }
}

static int node_count(table_work *work, uint32_t node, const ql_row *out, const ql_row *in)
{
    uint32_t *positions = positions_of(work, node);
    if (!positions) return QL_E_MEMORY;
    positions[node % QL_GROUP_ROWS] = (uint32_t)work->table->count++;
    if (work->direction & QL_OUT) work->table->arcs += row_allowed(work->types, out);
    if (work->direction & QL_IN) work->table->arcs += row_allowed(work->types, in);
    return QL_OK;
}

/* Position of a node; QL_NONE where a hostile file of extents has it on one side only. */
static uint32_t position_of(const table_work *work, uint32_t node)
{
    uint32_t group = node >> QL_GROUP_BITS;
    uint32_t **block = work->position[group / QL_BLOCK_GROUPS];
    const uint32_t *positions = block ? block[group % QL_BLOCK_GROUPS] : NULL;
    uint32_t position = positions ? positions[node % QL_GROUP_ROWS] : 0;
    return position || node == work->table->nodes[0] ? position : QL_NONE;
}

static int row_fill(table_work *work, const ql_row *row)
{
    ql_graph_table *table = work->table;
    for (uint32_t i = 0; i < row->count; i++) {
        uint16_t type = ql_row_type(row, i);
        if (!ql_type_allowed(work->types, type)) continue;
        uint32_t position = position_of(work, row->other[i]);
        if (position == QL_NONE) return QL_E_CORRUPT;
        table->targets[table->arcs] = position;
        table->weights[table->arcs] = ql_row_weight(row, i);
        table->types[table->arcs++] = type;
    }
    return QL_OK;
}

static int node_fill(table_work *work, uint32_t node, const ql_row *out, const ql_row *in)
{
    work->table->nodes[work->table->count++] = node;
    if (work->direction & QL_OUT) QL_TRY(row_fill(work, out));
    if (work->direction & QL_IN) QL_TRY(row_fill(work, in));
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
    if (!table->nodes || !table->offsets || !table->targets || !table->weights || !table->types)
        return QL_E_MEMORY;
    table->count = 0;
    table->arcs = 0;
    return nodes_walk(work, node_fill);
}

int ql_graph_table_make(const ql_graph_view *view, int direction, const uint16_t *types,
                        uint32_t types_count, ql_graph_table **table, ql_cost *cost)
{
    if (direction < QL_OUT || direction > QL_BOTH) return QL_E_INVALID;
    ql_type_set set;
    QL_TRY(ql_type_set_make(types, types_count, &set));
    table_work *work = ql_alloc(1, sizeof *work);
    if (!work) return QL_E_MEMORY;
    work->types = &set;
    work->direction = direction;
    work->table = ql_alloc(1, sizeof *work->table);
    int status = work->table ? ql_view_plain(view, &work->view) : QL_E_MEMORY;
    if (status == QL_OK) {
        status = table_make(work);
        ql_view_plain_close(&work->view);
    }
    if (status == QL_OK && cost) {
        cost->edges += work->table->arcs;
        cost->bytes += work->table->arcs * QL_EDGE_READ_BYTES;
    }
    if (status == QL_OK) *table = work->table;
    else ql_graph_table_free(work->table);
    positions_free(work);
    for (int side = 0; side < QL_SIDES; side++) ql_scratch_free(&work->scratch[side]);
    ql_free(work);
    return status;
}
