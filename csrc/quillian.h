/* quillian.h: the whole public interface of the C core, and the cdef that Python reads.
 *
 * Plain declarations and integer constants only; no conditionals, no macros with arguments, so that
 * bindings/build.py can hand this text to cffi as it is.  Every fallible function returns a status
 * (QL_OK or QL_E_...), takes its handle first and its outputs last, and writes outputs only on
 * success. Nothing here prints, exits, or keeps a Python object. */
#ifndef QUILLIAN_H
#define QUILLIAN_H

#include <stdint.h>

/* ---- Limits: each has one name, here; Python reads the same one. ---- */
#define QL_DIM_MAX 16384                   /* components of a vector */
#define QL_CONCEPTS_MAX 4294967294         /* node numbers are u32; the last one means "none" */
#define QL_NONE 4294967295                 /* no node, no slot */
#define QL_ASSOCIATIONS_MAX 1099511627776  /* 2^40 associations of one store */
#define QL_TYPES_MAX 4095                  /* association types of one store */
#define QL_NAMESPACES_MAX 65535            /* namespaces of ids in one store */
#define QL_NAMESPACE_BYTES_MAX 510          /* UTF-8 name of a namespace */
#define QL_ID_BYTES_MAX 511                /* an id, name, alias, source, kind or type, as UTF-8 */
#define QL_TYPE_BYTES_MAX 510               /* UTF-8 name of an association type */
#define QL_TEXT_BYTES_MAX 16777216         /* a concept's text, as UTF-8: 16 MiB */
#define QL_DATA_BYTES_MAX 1048576          /* metadata of one concept, as msgpack: 1 MiB */
#define QL_MEMORY_BYTES_MIN 16777216       /* the least that memory_limit may be: 16 MiB */
#define QL_FORMAT 1                        /* version of the format on disk */

/* ---- Statuses. For QL_E_IO the cause is in errno. ---- */
#define QL_OK 0
#define QL_E_INVALID 1   /* an argument is outside its documented range */
#define QL_E_MEMORY 2    /* an allocation failed; nothing changed */
#define QL_E_IO 3        /* a system call failed: see errno */
#define QL_E_CORRUPT 4   /* a file does not hold what it must */
#define QL_E_LIMIT 5     /* a limit above would be passed */
#define QL_E_READONLY 6  /* a writing call on a read-only handle */

/* ---- What a call cost, counted, never timed. Functions add to it. ---- */
typedef struct ql_cost {
    uint64_t distances; /* rows scored */
    uint64_t hops;      /* index nodes expanded */
    uint64_t edges;     /* associations touched */
    uint64_t bytes;     /* bytes of rows, codes or edges read */
} ql_cost;

/* ---- dispatch.c: which instruction set is in use ---- */
const char *ql_isa(void);           /* "portable", "avx2", "avx512" or "neon" */
/* QL_E_INVALID if QUILLIAN_ISA asks for what this CPU lacks: portable is used then */
int ql_isa_check(void);
/* for tests: switch tables; QL_E_INVALID if this CPU lacks it. Not thread-safe. */
int ql_isa_use(const char *name);

/* ---- memory.c: tests make the n-th allocation from now fail; 0 switches that off ---- */
void ql_alloc_fail_at(uint64_t nth);
uint64_t ql_alloc_count(void);      /* allocations made so far by this process */
/* Bytes of own memory that this process may hold for all its stores; 0: no limit. */
void ql_memory_limit(uint64_t size_bytes);
uint64_t ql_memory_held(void);
uint64_t ql_memory_refused(void);   /* what last would have passed the limit; 0: nothing has */
/* Count what is held outside the core: QL_E_MEMORY, and nothing counted, if that passes the limit.
 * give: it is held no longer. */
int ql_memory_take(uint64_t size_bytes);
void ql_memory_give(uint64_t size_bytes);

/* ---- crc32c.c ---- */
uint32_t ql_crc32c(uint32_t crc, const void *data, uint64_t size_bytes);

/* ---- kernels: scores of one query against many rows; higher is better ----
 * DOT: sum(q*r).  L2: -sum((q-r)^2).  COSINE: dot/(|q||r|), 0 when either norm is 0.
 * rows: row i starts at rows + i*stride floats, stride >= dim.  QL_E_INVALID if the query or a
 * score is not finite; scores are unspecified then.  The same bits for every instruction set and
 * either function. */
#define QL_DOT 0
#define QL_L2 1
#define QL_COSINE 2
int ql_score_rows(int metric, const float *query, uint32_t dim, const float *rows, uint64_t stride,
                  uint64_t n, float *scores);
int ql_score_gather(int metric, const float *query, uint32_t dim, const float *rows,
                    uint64_t stride, const uint32_t *index, uint64_t n, float *scores);

/* ---- topk.c, matrix.c: exact top-k; best first, equal scores by the smaller index ---- */
#define QL_THREADS_MAX 64 /* threads of one call */
/* k <= n best of each of m rows of n scores, into index and top (m, k). QL_E_INVALID on NaN. */
int ql_top(const float *scores, uint64_t m, uint64_t n, uint32_t k, uint32_t *index, float *top);

#define QL_FLOAT32 0
#define QL_FLOAT16 1
#define QL_INT8 2
typedef struct ql_matrix ql_matrix;
/* Rows (n, dim) of a type, which must outlive the matrix and not change. coded: 1 to keep 8-bit
 * codes of them, which cost dim + 16 bytes a row and make every top several times faster; answers
 * are the same. */
int ql_matrix_create(int metric, int type, const void *rows, uint64_t n, uint32_t dim, int coded,
                     ql_matrix **matrix);
void ql_matrix_close(ql_matrix *matrix);
/* The k <= n best rows of each of m queries (m, dim), into index and scores (m, k). The same bits
 * for every instruction set and number of threads. QL_E_INVALID if a query or a score is not
 * finite. */
int ql_matrix_top(const ql_matrix *matrix, const float *queries, uint32_t m, uint32_t k,
                  uint32_t threads, uint32_t *index, float *scores, ql_cost *cost);
/* all, into (m, n) */
int ql_matrix_scores(const ql_matrix *matrix, const float *queries, uint32_t m, float *scores);

/* ---- vectors.c: the append-only log of rows ---- */
typedef struct ql_vectors ql_vectors;
/* folder: where the segments live (made by the caller); uuid: 16 bytes, the store's. */
int ql_vectors_open(const char *folder, const uint8_t *uuid, uint32_t dim, int metric, int writable,
                    ql_vectors **vectors);
void ql_vectors_close(ql_vectors *vectors);
uint32_t ql_vectors_count(const ql_vectors *vectors); /* rows readable through this handle */
/* Append n rows, born at `commit`, for the given nodes; written to the file, not yet synced. */
int ql_vectors_append(ql_vectors *vectors, const float *rows, const uint32_t *nodes, uint32_t n,
                      uint64_t commit, uint32_t *first_slot);
int ql_vectors_sync(ql_vectors *vectors); /* one fdatasync per file touched since the last */
/* Reader side: rows up to count were committed by somebody; map what is new. QL_E_CORRUPT if files
 * are too short. */
int ql_vectors_extend(ql_vectors *vectors, uint32_t count);
/* Writer side: forget rows from count on (abort, or the tail that no commit covers); cuts the
 * files. */
int ql_vectors_truncate(ql_vectors *vectors, uint32_t count);
/* Slots die at `commit`; 0 revives them (abort). In memory only: the catalog holds the truth. */
int ql_vectors_retire(ql_vectors *vectors, const uint32_t *slots, uint32_t n, uint64_t commit);
int ql_vectors_read(const ql_vectors *vectors, const uint32_t *slots, uint32_t n, float *rows);
int ql_vectors_nodes(const ql_vectors *vectors, const uint32_t *slots, uint32_t n, uint32_t *nodes);
/* The bytes of slots [first, first + n) as the files hold them: rows at their stride, entries. The
 * sizes of both must be those of n slots. */
int ql_vectors_written(const ql_vectors *vectors, uint32_t first, uint32_t n, void *rows,
                       size_t rows_bytes, void *entries, size_t entries_bytes);
/* Verify crc32c of rows [from, until); up to capacity bad slots are listed, all are counted. */
int ql_vectors_check(const ql_vectors *vectors, uint32_t from, uint32_t until, uint32_t *bad,
                     uint32_t capacity, uint32_t *bad_count);

/* ---- hnsw.c: the index over a prefix of the rows ---- */
typedef struct ql_hnsw ql_hnsw;
int ql_hnsw_create(ql_vectors *vectors, uint32_t degree, uint32_t ef_construction, uint64_t seed,
                   ql_hnsw **index);
/* Link rows [covered, until) with up to `threads` threads; searches may run meanwhile. */
int ql_hnsw_extend(ql_hnsw *index, uint32_t until, uint32_t threads);
/* Count slots that died at or before `commit` and may go, and take them out of all lists if they
 * are `least`; searches may run meanwhile, those of snapshots before `commit` scan from then on.
 * The same result for any number of threads. */
int ql_hnsw_sweep(ql_hnsw *index, uint64_t commit, uint32_t threads, uint32_t least,
                  uint32_t *marked);
uint32_t ql_hnsw_covered(const ql_hnsw *index);
uint32_t ql_hnsw_removed(const ql_hnsw *index); /* slots that were swept out, ever */
/* Rows that this handle scored to change links, by what for: to link new slots; in sweeps to give a
 * parent to those that lost theirs, and to choose lists again. */
#define QL_SCORED_LINKING 0
#define QL_SCORED_ADOPTING 1
#define QL_SCORED_CLEANING 2
#define QL_SCORED 3
void ql_hnsw_scored(const ql_hnsw *index, uint64_t *scored);
/* written to path, fsynced; the caller publishes it */
int ql_hnsw_save(const ql_hnsw *index, const char *path);
/* Map what was saved. Its bytes are compared with their checksums by the first call that uses them:
 * QL_E_CORRUPT, then and ever after. */
int ql_hnsw_load(ql_vectors *vectors, const char *path, ql_hnsw **index);
int ql_hnsw_verify(ql_hnsw *index); /* do that now */
int ql_hnsw_check(const ql_hnsw *index, uint64_t *unreachable); /* QL_E_CORRUPT on broken links */
void ql_hnsw_close(ql_hnsw *index); /* the rows must outlive it */

/* ---- nearest neighbours: index over its prefix, exact scan of the tail, one sorted answer ---- */
typedef struct ql_near_options {
    uint32_t k;
    uint32_t ef;             /* beam width of the index search; at least k is used */
    uint32_t count;          /* rows of the snapshot: slots from here on do not exist */
    /* of the snapshot: a slot is visible if born <= commit and not dead at commit */
    uint64_t commit;
    uint32_t exact;          /* 1: scan all rows, never the index */
    /* how many nodes `allowed` has bits for; nodes beyond are not allowed */
    uint64_t allowed_nodes;
    const uint64_t *allowed; /* bit per node, or NULL for all */
    /* at most QL_THREADS_MAX share the queries; 0 and 1: none is started */
    uint32_t threads;
    uint64_t allowed_stride; /* words from one query's bitmap to the next; 0: one bitmap for all */
} ql_near_options;
/* queries (n, dim). Writes per query up to k distinct nodes by score (ties: smaller node first)
 * into nodes and scores (n, k) and their number into found (n). index may be NULL. Refuses NaN and
 * infinities. */
int ql_near(const ql_vectors *vectors, const ql_hnsw *index, const float *queries, uint32_t n,
            const ql_near_options *options, uint32_t *nodes, float *scores, uint32_t *found,
            ql_cost *cost);
/* The same for callers to whom a struct costs more than arguments: nodes (n, k), scores (n, k),
 * found (n) and the cost, in words, one after another in `block`. */
int ql_near_block(const ql_vectors *vectors, const ql_hnsw *index, const float *queries, uint32_t n,
                  uint32_t k, uint32_t ef, uint32_t count, uint64_t commit, uint32_t exact,
                  uint32_t threads, const uint64_t *allowed, uint64_t allowed_nodes,
                  uint64_t allowed_stride, uint32_t *block);
/* The same for one query, none sharing it: `block` holds k nodes of 64 bits, the ql_cost, how many
 * were found in 64 bits, and k scores. */
int ql_near_one(const ql_vectors *vectors, const ql_hnsw *index, const float *query, uint32_t k,
                uint32_t ef, uint32_t count, uint64_t commit, uint32_t exact,
                const uint64_t *allowed, uint64_t allowed_nodes, uint64_t *block);

/* ---- graph.c: the log of associations and its adjacency, both directions ---- */
typedef struct ql_edge { /* one log record; (source, type, target) is the key */
    uint32_t source;
    uint32_t target;
    uint16_t type;   /* below QL_TYPES_MAX */
    uint16_t flags;  /* QL_EDGE_... */
    float weight;    /* finite */
} ql_edge;
#define QL_EDGE_REMOVE 1 /* the record removes the association instead of setting it */
#define QL_EDGE_DATA 2   /* confidence, times, source or data stand in the catalog under the key */

#define QL_OUT 1
#define QL_IN 2
#define QL_BOTH 3

typedef struct ql_graph ql_graph;
typedef struct ql_graph_view ql_graph_view; /* a frozen graph: what a snapshot sees */
int ql_graph_open(const char *path, const uint8_t *uuid, int writable, ql_graph **graph);
void ql_graph_close(ql_graph *graph); /* views must be released before */
/* Writer: records join the pending batch, visible to views taken from now on with `pending`. */
int ql_graph_append(ql_graph *graph, const ql_edge *records, uint64_t n);
/* write the batch after the committed log; no sync */
int ql_graph_flush(ql_graph *graph, uint64_t commit, uint64_t *log_bytes);
/* Bytes of the log's file, flushed ones too. */
int ql_graph_written(const ql_graph *graph, uint64_t offset, size_t size_bytes, void *bytes);
int ql_graph_sync(ql_graph *graph);
int ql_graph_publish(ql_graph *graph); /* the flushed batch is committed */
int ql_graph_abort(ql_graph *graph);   /* drop the pending batch, flushed or not */
/* Any process: replay the log up to log_bytes, which somebody committed. */
int ql_graph_advance(ql_graph *graph, uint64_t log_bytes);
/* writer, at open: cut the tail that no commit covers */
int ql_graph_truncate(ql_graph *graph, uint64_t log_bytes);
/* Writer: fold n records into a pending graph of their own, past the delta; for batches about as
 * large as the graph. QL_E_INVALID when something is pending. Further appends join it. It cannot be
 * flushed: extents_write writes it without what was appended since, and abort drops it. */
int ql_graph_load(ql_graph *graph, const ql_edge *records, uint64_t n);
/* The graph on disk in a file that is never changed, so that opening replays only a short log. The
 * catalog keeps this: */
typedef struct ql_graph_extents {
    uint64_t log_bytes;  /* the extents hold the log up to here */
    uint64_t file_bytes; /* length of the file */
    uint64_t table_at;
    uint64_t edges;
} ql_graph_extents;
/* Write the pending load, or else the committed graph, to a new file, synced. Commits go on
 * meanwhile. */
int ql_graph_extents_write(ql_graph *graph, const char *path, ql_graph_extents *extents);
/* Before anything else after opening: start from a file instead of nothing; checks all of it.
 * extents->log_bytes: where in this log, as of whose first byte the file may have been written.
 * QL_E_INVALID when the handle is ahead of it. */
int ql_graph_extents_read(ql_graph *graph, const char *path, const ql_graph_extents *extents);
/* A view of the graph as of log_bytes (<= what was advanced), with the pending batch if pending
 * is 1. */
int ql_graph_view_open(ql_graph *graph, uint64_t log_bytes, int pending, ql_graph_view **view);
void ql_graph_view_close(ql_graph_view *view);
/* live associations; looks at the changed rows */
int ql_graph_view_count(const ql_graph_view *view, uint64_t *count);

/* Rows that C allocated for the caller: edges sorted per asked node by (type, target), and their
 * CSR offsets. */
typedef struct ql_edges {
    uint64_t count;
    ql_edge *edges;     /* (count,), in the direction stored: source -> target */
    uint64_t *offsets;  /* (n + 1,): edges of the i-th asked node */
} ql_edges;
void ql_edges_free(ql_edges *edges);
/* Edges that leave (QL_OUT), enter (QL_IN) or touch (a loop once; ties by source) the n nodes.
 * types: allowed types, or NULL for all. */
int ql_graph_neighbours(const ql_graph_view *view, const uint32_t *nodes, uint32_t n, int direction,
                        const uint16_t *types, uint32_t types_count, ql_edges **edges,
                        ql_cost *cost);
int ql_graph_find(const ql_graph_view *view, uint32_t source, uint16_t type, uint32_t target,
                  int *found, ql_edge *edge);
/* Every edge once, by its source's rows (QL_OUT) or its target's (QL_IN): both must add up to the
 * same. */
typedef struct ql_graph_sums {
    uint64_t edges;
    uint32_t sources; /* sum of node numbers, modulo 2^32 */
    uint32_t targets;
} ql_graph_sums;
int ql_graph_scan(const ql_graph_view *view, int direction, ql_graph_sums *sums);
/* all, sorted by (source, type, target); offsets NULL */
int ql_graph_edges(const ql_graph_view *view, ql_edges **edges);

/* Visited-set expansion: every node within `hops` of the seeds, once, at its smallest hop; score =
 * best product of weight*discount along a shortest-hop path from a seed, times the seed's score
 * (scores NULL: 1).
 * allowed: bit per node below allowed_nodes, or NULL for all: no other node is entered, but the
 * seeds stay. */
typedef struct ql_reached {
    uint64_t count;
    uint32_t *nodes;   /* seeds first, in the order given; then hop by hop, by node number */
    float *scores;
    uint16_t *hops;
    uint32_t *parents; /* position in this array of the node it came from; QL_NONE for seeds */
    uint16_t *types;   /* association type taken; 0 for seeds */
    uint32_t partial;  /* 1: budget_edges stopped it */
} ql_reached;
void ql_reached_free(ql_reached *reached);
int ql_graph_expand(const ql_graph_view *view, const uint32_t *seeds, const float *scores,
                    uint32_t n, uint32_t hops, int direction, const uint16_t *types,
                    uint32_t types_count, const uint64_t *allowed, uint64_t allowed_nodes,
                    float discount, uint64_t budget_edges, ql_reached **reached, ql_cost *cost);
/* Personalised PageRank by forward push: at most about 1/(alpha*epsilon) edges, whatever the size
 * of the graph. */
typedef struct ql_ranks {
    uint64_t count;
    uint32_t *nodes;   /* best first; ties: smaller node first */
    float *ranks;      /* never more than the true rank */
    double residual;   /* the true ranks minus these, summed over all nodes of the graph */
    uint32_t partial;  /* 1: budget_edges stopped it; residual still holds */
} ql_ranks;
void ql_ranks_free(ql_ranks *ranks);
/* weights: the seeds' shares of the restarts, at least one above 0; NULL: equal ones. alpha:
 * probability of a restart, (0, 1]. Edges are followed by their weight, which must not be negative;
 * at a node without edges the walk restarts, or stays if `stays`. */
int ql_graph_rank(const ql_graph_view *view, const uint32_t *seeds, const float *weights,
                  uint32_t n, double alpha, double epsilon, int stays, int direction,
                  const uint16_t *types, uint32_t types_count, uint64_t budget_edges,
                  ql_ranks **ranks, ql_cost *cost);

/* Every edge on a walk of at most `hops` edges from any source to any target, each once; both 1:
 * along edges either way. */
typedef struct ql_walks {
    uint64_t count;
    ql_edge *edges;          /* by (source, type, target) */
    /* 1: budget_edges stopped it; then edges are all that were read, on a walk or not, */
    uint32_t partial;
    /* and every walk not seen leaves the sources' side through one of these nodes */
    uint64_t leaving_count;
    uint32_t *leaving;
    uint64_t entering_count; /* and comes back to the targets' side through one of these */
    uint32_t *entering;
} ql_walks;
void ql_walks_free(ql_walks *walks);
int ql_graph_walks(const ql_graph_view *view, const uint32_t *sources, uint32_t sources_count,
                   const uint32_t *targets, uint32_t targets_count, uint32_t hops, int both,
                   const uint16_t *types, uint32_t types_count, uint64_t budget_edges,
                   ql_walks **walks, ql_cost *cost);

/* The k shortest simple paths, by edges or (weighted 1) by the sum of weights, which must then not
 * be negative. */
#define QL_PATHS_MAX 65536 /* k of one call */
typedef struct ql_paths {
    uint64_t count;    /* paths, up to k, by length, then by their nodes */
    uint64_t *offsets; /* (count + 1,) */
    uint32_t *nodes;   /* from source to target */
    uint16_t *types;   /* of the edge into each node; 0 for the source */
    double *lengths;   /* (count,) */
    uint32_t partial;  /* 1: budget_edges stopped it */
} ql_paths;
void ql_paths_free(ql_paths *paths);
int ql_graph_paths(const ql_graph_view *view, uint32_t source, uint32_t target, uint32_t k,
                   int weighted, int direction, const uint16_t *types, uint32_t types_count,
                   uint64_t budget_edges, ql_paths **paths, ql_cost *cost);

/* A whole view as plain compressed rows over the nodes that have edges, for kernels on ql_csr and
 * the like. */
typedef struct ql_graph_table {
    uint64_t count;    /* nodes */
    uint64_t arcs;
    /* (count,): node number of each row, ascending; the same in every direction */
    uint32_t *nodes;
    uint64_t *offsets; /* (count + 1,) */
    /* (arcs,): rows, not node numbers; sorted by (type, target), under QL_BOTH leaving before
     * entering */
    uint32_t *targets;
    float *weights;    /* (arcs,) */
    uint16_t *types;   /* (arcs,) */
} ql_graph_table;
void ql_graph_table_free(ql_graph_table *table);
int ql_graph_table_make(const ql_graph_view *view, int direction, const uint16_t *types,
                        uint32_t types_count, ql_graph_table **table, ql_cost *cost);
/* Verify batch checksums and record ranges of the committed log; where = byte offset of the first
 * bad batch. */
int ql_graph_check(ql_graph *graph, uint64_t *where);

/* ---- csr.c: plain undirected graphs, both arcs of an edge stored; weights are a separate column
 * or NULL for ones ---- */
typedef struct ql_csr {
    uint32_t n;
    const uint64_t *offsets; /* (n + 1,): row v is targets[offsets[v] .. offsets[v + 1]) */
    const uint32_t *targets; /* (offsets[n],) */
} ql_csr;
/* Every other function on a ql_csr trusts one that passed this. weights: a 4-byte column of `arcs`,
 * or NULL. */
int ql_csr_check(const ql_csr *graph, uint64_t arcs, const void *weights, uint32_t *symmetric,
                 uint32_t *sorted);
/* From m edges, loops dropped, parallel edges added: offsets (n + 1); targets_out and sums (2 m),
 * offsets[n] of them used. */
int ql_csr_build(uint32_t n, const uint32_t *sources, const uint32_t *targets,
                 const double *weights, uint64_t m, uint64_t *offsets, uint32_t *targets_out,
                 double *sums);

/* ---- components.c ---- */
void ql_components(const ql_csr *graph, uint32_t *labels, uint32_t *count, ql_cost *cost);

/* ---- cut.c: the exact global minimum cut. side (n,): 1 for the smaller part ---- */
int ql_cut_global(const ql_csr *graph, const uint32_t *weights, uint64_t seed, uint64_t *value,
                  uint8_t *side, uint32_t *rounds, ql_cost *cost);

/* ---- flow.c: minimum cuts between two vertices or groups, and cut trees. One thread per handle
 * ---- */
#define QL_FLOW_WEIGHT_MAX 2147483647
#define QL_FLOW_PATHS_MAX 64 /* augmenting paths before Dinic takes over */
typedef struct ql_flow ql_flow;
int ql_flow_open(const ql_csr *graph, const uint32_t *weights, ql_flow **flow);
void ql_flow_close(ql_flow *flow);
/* members (n,): `count` vertices of one side, the sources' if source_side is 1. limit 0: none. */
int ql_flow_cut(ql_flow *flow, const uint32_t *sources, uint32_t sources_count,
                const uint32_t *targets, uint32_t targets_count, uint64_t limit, uint64_t *value,
                uint32_t *members, uint32_t *count, uint32_t *source_side, ql_cost *cost);
int ql_flow_tree(ql_flow *flow, const uint32_t *terminals, uint32_t k, uint32_t *parents,
                 uint64_t *weights, ql_cost *cost);

/* ---- dynamic_cut.c: the exact global minimum cut after every change. One thread per handle
 * ---- */
#define QL_DYNAMIC_WITNESSES_MAX 64
#define QL_DYNAMIC_SUSPECTS_MAX 64
typedef struct ql_dynamic ql_dynamic;
typedef struct ql_dynamic_stats { /* since open */
    uint64_t flows;      /* bounded flows run */
    uint64_t recomputes; /* static cuts run */
    uint64_t changes;    /* updates that changed the value */
    uint64_t edges;      /* arcs looked at */
} ql_dynamic_stats;
int ql_dynamic_open(const ql_csr *graph, const uint32_t *weights, uint64_t seed,
                    ql_dynamic **dynamic);
void ql_dynamic_close(ql_dynamic *dynamic);
/* Set edge weights one after the other, 0 removes. values (count) or NULL: the minimum cut after
 * each; done: how many. */
int ql_dynamic_update(ql_dynamic *dynamic, const uint32_t *sources, const uint32_t *targets,
                      const uint32_t *weights, uint64_t count, uint64_t *values, uint64_t *done);
/* side may be NULL */
int ql_dynamic_cut(ql_dynamic *dynamic, uint64_t *value, uint8_t *side, ql_dynamic_stats *stats);
/* for tests: QL_E_CORRUPT if sums or links are wrong */
int ql_dynamic_check(const ql_dynamic *dynamic);

/* ---- conductance.c: local sweeps and the spectral gap. Outputs of a sweep have room for n ---- */
int ql_conductance_sweep(const ql_csr *graph, const float *weights, const double *strengths,
                         double volume, const uint32_t *seeds, uint32_t seeds_count, double alpha,
                         double epsilon, uint32_t *vertices, double *scores, double *volumes,
                         double *conductances, uint32_t *count, ql_cost *cost);
int ql_spectral_gap(const ql_csr *graph, const float *weights, uint32_t steps, uint64_t seed,
                    double *lambda2, ql_cost *cost);

/* ---- communities.c ---- */
int ql_leiden(const ql_csr *graph, const float *weights, double resolution, uint32_t iterations,
              uint64_t seed, uint32_t *labels, uint32_t *count, double *quality, ql_cost *cost);
int ql_label_propagation(const ql_csr *graph, const float *weights, uint32_t sweeps_max,
                         uint64_t seed, uint32_t *labels, uint32_t *count, uint32_t *sweeps,
                         ql_cost *cost);

/* ---- ranking.c, kcore.c, triangles.c: whole-graph measures ---- */
int ql_pagerank(const ql_csr *incoming, const float *weights, const double *outgoing,
                const double *start, double damping, double tolerance, uint32_t iterations_max,
                double *ranks, uint32_t *iterations, uint32_t *converged, ql_cost *cost);
int ql_core_numbers(const ql_csr *graph, uint32_t *cores, ql_cost *cost);
int ql_triangles(const ql_csr *graph, uint64_t *counts, uint64_t *total, ql_cost *cost);

/* ---- xxh64.c ---- */
uint64_t ql_xxh64(const void *data, uint64_t size_bytes);

/* ---- npu.c: the spiking simulation ---- */
#define QL_NPU_NEURONS_MAX 1073741824
#define QL_NPU_DELAY_MAX 255
/* Columns of ql_npu_set_*: parameters first, then state. */
#define QL_NPU_THRESHOLD 0
#define QL_NPU_LIMIT 1        /* 0 means none */
#define QL_NPU_LEAK 2
#define QL_NPU_EXCITABILITY 3
#define QL_NPU_POTENTIAL 4
#define QL_NPU_REFRACTORY 0   /* columns of u16 from here */
#define QL_NPU_FIRE_LIMIT 1   /* 0 and 65535 mean none */
#define QL_NPU_SNOOZE 2
#define QL_NPU_COUNTDOWN 3
#define QL_NPU_CONSECUTIVE 4
/* Flags of a neuron. */
#define QL_NPU_UNIFORM 1      /* its synapses are not divided by their number */
#define QL_NPU_MP_DRIVEN 2    /* they send the potential at firing instead of psp */
#define QL_NPU_ACCUMULATE 4   /* it keeps its potential from burst to burst */
/* Which columns of a call hold a value per row; the others hold one for all. */
#define QL_NPU_EACH_SOURCE 1
#define QL_NPU_EACH_TARGET 2
#define QL_NPU_EACH_WEIGHT 4
#define QL_NPU_EACH_PSP 8
#define QL_NPU_EACH_INHIBITORY 16
/* How a burst delivers; the spikes are the same bit for bit. */
#define QL_NPU_AUTO 0
#define QL_NPU_PUSH 1
#define QL_NPU_BLOCKED 2
#define QL_NPU_PULL 3
typedef struct ql_npu ql_npu;
/* n neurons, numbered from first_id for their draws; synapses deliver `delay` bursts later;
 * signed_input 0 clamps negative sums to 0. */
int ql_npu_open(uint32_t n, uint32_t first_id, uint32_t delay, uint32_t signed_input, ql_npu **npu);
void ql_npu_close(ql_npu *npu);
/* count: 1 (for all) or n. Parameters: only before the first connect and run. */
int ql_npu_set_floats(ql_npu *npu, int column, const float *values, uint32_t count);
int ql_npu_set_shorts(ql_npu *npu, int column, const uint16_t *values, uint32_t count);
int ql_npu_set_flags(ql_npu *npu, const uint8_t *values, uint32_t count);
int ql_npu_potentials(const ql_npu *npu, float *values);
int ql_npu_rests(const ql_npu *npu, uint16_t *countdown, uint16_t *consecutive);
/* Add synapses; parallel ones stay apart. They take part from the next burst on. */
int ql_npu_connect(ql_npu *npu, const uint32_t *sources, const uint32_t *targets,
                   const uint8_t *weights, const uint8_t *psps, const uint8_t *inhibitory,
                   uint64_t n, uint32_t each);
int ql_npu_compile(ql_npu *npu); /* done by the calls below when needed */
uint64_t ql_npu_synapse_count(const ql_npu *npu);
/* Synapses in order of (source, target, age): row i is [offsets[i], offsets[i + 1]). */
int ql_npu_offsets(ql_npu *npu, uint64_t *offsets);
int ql_npu_synapses(ql_npu *npu, uint64_t first, uint64_t n, uint32_t *targets, uint8_t *weights,
                    uint8_t *psps, uint8_t *inhibitory);
int ql_npu_reweigh(ql_npu *npu, const uint64_t *positions, const uint8_t *weights, uint64_t n);
/* ids NULL: all neurons. each 1: an amount per id. Amounts for one neuron add up. */
int ql_npu_drive(ql_npu *npu, const uint32_t *ids, const float *amounts, uint32_t n, uint32_t each);
int ql_npu_drive_stop(ql_npu *npu);
int ql_npu_inject(ql_npu *npu, const uint32_t *ids, const float *amounts, uint32_t n,
                  uint32_t each);
int ql_npu_force(ql_npu *npu, const uint32_t *ids, const float *amounts, uint32_t n, uint32_t each);
/* What is put in from outside, for a checkpoint: QL_NPU_DRIVEN (every burst), _STAGED and _FORCED
 * (the next one). ids NULL: only the count. */
#define QL_NPU_DRIVEN 0
#define QL_NPU_STAGED 1
#define QL_NPU_FORCED 2
int ql_npu_inputs(const ql_npu *npu, int which, uint32_t *ids, float *amounts, uint32_t *count);
typedef struct ql_spikes {
    uint32_t bursts;
    uint64_t *offsets; /* (bursts + 1): fired neurons of burst i */
    uint32_t *ids;     /* ascending within a burst */
    uint64_t events;   /* synaptic deliveries */
} ql_spikes;
/* Run bursts from number `start` on (0: continue). threads: 1 or 2. On QL_E_MEMORY bursts may have
 * run. */
int ql_npu_run(ql_npu *npu, uint32_t bursts, uint64_t start, uint32_t threads, int method,
               ql_spikes **spikes);
void ql_spikes_free(ql_spikes *spikes);
uint64_t ql_npu_burst(const ql_npu *npu); /* number of the next burst */
/* The fired lists that are still under way, oldest first (age 0 is delivered next): how many, and
 * who with what. */
int ql_npu_queue_count(const ql_npu *npu, uint32_t age, uint32_t *count);
int ql_npu_queue(const ql_npu *npu, uint32_t age, uint32_t *ids, float *at);
int ql_npu_queue_set(ql_npu *npu, uint32_t age, const uint32_t *ids, const float *at,
                     uint32_t count);
int ql_npu_burst_set(ql_npu *npu, uint64_t burst); /* before queue_set: ages are relative to it */

/* ---- text: words of documents, immutable postings segments, BM25 ---- */
#define QL_WORDS_ANY 0         /* documents with at least one of the words */
#define QL_WORDS_ALL 1         /* documents with every word */
/* documents with the words in this order, side by side; needs positions */
#define QL_WORDS_PHRASE 2
#define QL_QUERY_WORDS_MAX 4096 /* distinct words of one query */
/* the length of a document that says: this node has no text any more */
#define QL_WORDS_GONE 4294967295

/* A builder takes prepared texts: UTF-8 in which every maximal run of ASCII letters, digits,
 * underscores and bytes
 * >= 0x80 is a word; ASCII capitals are folded here, all else is the caller's. Nodes must come in
 * ascending order. */
typedef struct ql_words_builder ql_words_builder;
int ql_words_builder_create(int positions, ql_words_builder **builder);
/* gone: (n,) 1 where the node has no text any more (a tombstone), or NULL. offsets (n + 1,). */
int ql_words_builder_add(ql_words_builder *builder, const uint32_t *nodes, const uint8_t *texts,
                         const uint64_t *offsets, const uint8_t *gone, uint32_t n);
uint64_t ql_words_builder_bytes(const ql_words_builder *builder); /* memory it holds */
/* Write the segment to path (temporary name, fsync, rename) and empty the builder. */
int ql_words_builder_write(ql_words_builder *builder, const char *path, const uint8_t *uuid,
                           uint32_t analyser);
void ql_words_builder_close(ql_words_builder *builder);

typedef struct ql_words ql_words; /* an open segment; any number of threads may read it */
int ql_words_open(const char *path, const uint8_t *uuid, uint32_t analyser, ql_words **words);
void ql_words_close(ql_words *words);
uint32_t ql_words_documents(const ql_words *words); /* tombstones included */
uint32_t ql_words_terms(const ql_words *words);
uint64_t ql_words_size(const ql_words *words);      /* bytes of the file */
int ql_words_has_positions(const ql_words *words);
/* (documents,) ascending; valid until close */
const uint32_t *ql_words_nodes(const ql_words *words);
/* (documents,) words of each; QL_WORDS_GONE: tombstone */
const uint32_t *ql_words_lengths(const ql_words *words);
int ql_words_check(const ql_words *words); /* every checksum, every posting */
/* Documents of each of n words, without those listed as dead: ordinals (dead_count,) ascending, or
 * NULL. */
int ql_words_frequencies(const ql_words *words, const uint8_t *texts, const uint32_t *offsets,
                         uint32_t n, const uint32_t *dead, uint32_t dead_count,
                         uint32_t *frequencies);
/* One segment of several. maps[i] (documents of i,): the new ordinal of each document, ascending,
 * QL_NONE to drop it. */
int ql_words_merge(const ql_words *const *segments, const uint32_t *const *maps, uint32_t n,
                   const uint32_t *nodes, const uint32_t *lengths, uint32_t documents,
                   const char *path, const uint8_t *uuid, uint32_t analyser);

typedef struct ql_words_query {
    uint32_t n;              /* distinct words */
    uint32_t mode;           /* QL_WORDS_... */
    const uint8_t *texts;    /* the words, one after another */
    const uint32_t *offsets; /* (n + 1,) */
    /* (n,) inverse document frequency times occurrences in the query; positive */
    const double *weights;
    /* (phrase_count,) for QL_WORDS_PHRASE: which word stands at each place */
    const uint32_t *phrase;
    uint32_t phrase_count;
    uint32_t k;
    double k1;
    double b;
    double length_mean;      /* of a document, in words */
    /* how many nodes `allowed` has bits for; nodes beyond are not allowed */
    uint64_t allowed_nodes;
    const uint64_t *allowed; /* bit per node, or NULL for all */
} ql_words_query;
/* The best k documents of several segments: score = sum of weight * f / (f + k1 (1 - b + b length /
 * length_mean)). live[i]: bit per ordinal of segment i, NULL for all. nodes, scores (k,) hold
 * `found` results of elsewhere on entry (0 for none), which take part; on return sorted by score,
 * ties by node. */
int ql_words_search(const ql_words *const *segments, const uint64_t *const *live, uint32_t n,
                    const ql_words_query *query, uint32_t *nodes, float *scores, uint32_t *found,
                    ql_cost *cost);

#endif
