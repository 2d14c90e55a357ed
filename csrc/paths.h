/* paths.h: what paths.c (one path) and deviations.c (the next ones) share. */
#ifndef QL_PATHS_H
#define QL_PATHS_H

#include "graph.h"

typedef struct ql_label { /* what a search knows of a node */
    double distance;
    uint32_t parent; /* position of the node before it; QL_NONE: it is the start */
    uint16_t type;   /* of the edge from there */
    uint16_t settled;
} ql_label;

typedef struct ql_heap_item {
    double key;
    uint32_t at;
} ql_heap_item;

typedef struct ql_search {
    ql_node_map map;
    ql_label *labels; /* by position in the map */
    uint32_t label_capacity;
    ql_heap_item *heap;
    uint32_t heap_count;
    uint32_t heap_capacity;
} ql_search;

/* A path: nodes, the type of the edge into each, and the length up to each. One allocation. */
typedef struct ql_route {
    uint32_t count;
    uint32_t deviation; /* where it left the path it came from */
    double *at;
    uint32_t *nodes;
    uint16_t *types;
} ql_route;

typedef struct ql_finding {
    const ql_graph_view *view;
    ql_type_set types;
    int direction;
    bool weighted;
    uint64_t budget;
    uint64_t touched;
    bool partial;
    ql_route **accepted;
    uint32_t accepted_count;
    ql_scratch scratch;
} ql_finding;

void ql_search_free(ql_search *search);
/* new ones are infinitely far */
int ql_search_label(ql_search *search, uint32_t node, uint32_t *at);
int ql_search_open(ql_search *search, uint32_t at, double key);
double ql_search_least(ql_search *search);     /* smallest open key; INFINITY when there is none */
uint32_t ql_search_settle(ql_search *search);  /* the label of that key, now settled */
int ql_arcs_read(ql_finding *work, uint32_t node, int side, ql_row *row);
/* Whether edge i may be followed, and its length; sets `partial` when the budget is used up. */
int ql_arc_length(ql_finding *work, const ql_row *row, uint32_t i, bool *allowed, double *length);

/* deviations.c */
ql_route *ql_route_make(uint32_t count);
int ql_paths_deviate(ql_finding *work, uint32_t k); /* from the one accepted path to up to k */

#endif
