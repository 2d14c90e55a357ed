/* node_map.c: node numbers to positions 0, 1, 2, ..., in the order they were added.
 *
 * What a search on a view knows of a node stands in arrays by position, so it costs what it touches
 * and never the size of the graph.  Open addressing, at most half full, multiplicative hashing. */
#include "graph.h"

#define FIRST 64u /* a power of two */

void ql_node_map_free(ql_node_map *map)
{
    ql_free(map->nodes);
    ql_free(map->table);
    *map = (ql_node_map){0};
}

static uint32_t *slot_of(const ql_node_map *map, uint32_t node)
{
    uint32_t mask = map->capacity * 2 - 1;
    uint32_t at = node * 0x9e3779b1u;
    for (at ^= at >> 15;; at++) {
        uint32_t *slot = &map->table[at & mask];
        if (*slot == 0 || map->nodes[*slot - 1] == node) return slot;
    }
}

uint32_t ql_node_map_find(const ql_node_map *map, uint32_t node)
{
    return map->capacity == 0 ? QL_NONE : *slot_of(map, node) - 1; /* 0 - 1 is QL_NONE. */
}

static int map_grow(ql_node_map *map)
{
    if (map->capacity > UINT32_MAX / 8) return QL_E_LIMIT;
    uint32_t capacity = map->capacity ? map->capacity * 2 : FIRST;
    uint32_t *nodes = ql_realloc(map->nodes, capacity, sizeof *nodes);
    if (!nodes) return QL_E_MEMORY;
    map->nodes = nodes;
    uint32_t *table = ql_alloc((size_t)capacity * 2, sizeof *table);
    if (!table) return QL_E_MEMORY;
    ql_free(map->table);
    map->table = table;
    map->capacity = capacity;
    for (uint32_t i = 0; i < map->count; i++) *slot_of(map, nodes[i]) = i + 1;
    return QL_OK;
}

int ql_node_map_add(ql_node_map *map, uint32_t node, uint32_t *at)
{
    if (map->count == map->capacity) QL_TRY(map_grow(map));
    uint32_t *slot = slot_of(map, node);
    if (*slot == 0) {
        map->nodes[map->count] = node;
        *slot = ++map->count;
    }
    *at = *slot - 1;
    return QL_OK;
}
