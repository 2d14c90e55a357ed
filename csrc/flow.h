/* flow.h: residual networks, shared by flow.c (a fixed graph) and dynamic_cut.c (one that
 * changes). */
#ifndef QL_FLOW_H
#define QL_FLOW_H

#include "internal.h"

typedef struct ql_arc {
    uint32_t target;
    uint32_t weight;  /* at most QL_FLOW_WEIGHT_MAX, so that flow fits */
    uint32_t reverse; /* position of the opposite arc */
    /* what runs along this arc now; the negative of the reverse's; 0 between searches */
    int32_t flow;
} ql_arc;

typedef struct ql_row {
    uint32_t begin;
    uint32_t length;
    uint32_t capacity;
} ql_row;

/* One thread at a time: searches write flow and the scratch columns. */
typedef struct ql_network {
    uint32_t n;
    ql_row *rows;
    ql_arc *arcs;
    const uint64_t *degrees; /* [vertex]: sum of its arcs' weights */
    uint32_t *marks;   /* [vertex]: epoch + side if reached in this search */
    uint32_t *via;     /* [vertex]: arc that reached it; QL_NONE at terminals */
    uint32_t *levels;  /* [vertex]: distance to a target, Dinic only */
    uint32_t *cursors; /* [vertex]: next arc to try, Dinic only */
    uint32_t *queue;   /* (n): one search grows from the front, the other from the back */
    /* even; marks are epoch (from the sources) or epoch + 1 (from the targets) */
    uint32_t epoch;
    uint32_t *touched; /* arcs that got flow, to be cleared */
    uint64_t touched_count;
    uint64_t touched_capacity;
    uint64_t edges; /* residual arcs looked at so far */
} ql_network;

/* Allocate the scratch columns for n vertices; rows, arcs and degrees are the caller's. */
int ql_network_open(ql_network *network, uint32_t n);
void ql_network_close(ql_network *network);

/* Weight of a minimum cut between two disjoint, non-empty sets, or some flow >= limit when that is
 * reached first. value < limit: members points to `count` vertices of one side inside the network's
 * queue, valid until the next search; source_side tells which.  Arc flows are 0 again on return. */
int ql_network_cut(ql_network *network, const uint32_t *sources, uint32_t sources_count,
                   const uint32_t *targets, uint32_t targets_count, uint64_t limit, uint64_t *value,
                   const uint32_t **members, uint32_t *count, uint32_t *source_side);

#endif
