/* graph.c: the handle of the association graph: pending batch, commit steps, catching up, views.
 *
 * A writer appends records, which join the delta at once but no committed view; flush writes them
 * behind the committed log, sync makes them durable, publish (after the catalog committed the new
 * length) makes them the committed graph, abort unlinks them.  Any process catches up by advance,
 * which replays the log between the length it knows and the length that the catalog names.
 *
 * A view is a state (adjacency.c) and the number of delta records it may see.  Committed lengths
 * that fall into the current delta are kept in `marks`.  A view older than the current base is rare
 * (a snapshot was taken before a fold and its view is opened after it); it is rebuilt from the
 * origin (what the extents on disk held at opening, or nothing) and the log, privately, which is
 * slow and right.
 *
 * Two ways lead to disk: flush writes the pending batch to the log; extents_write writes the
 * committed graph whole, beside commits that go on.  Who does the latter names both in the catalog:
 * the file, and a new log that begins where it ends; the handle of the old pair stays as it is for
 * its views, and the new pair gets a handle of its own.  A batch as large as the graph does not go
 * through log and delta at all: load folds it into a state beside the committed one, which pending
 * views see, and extents_write writes that.
 *
 * Who walks the whole graph pays for every row that has a delta: with 5 % of the edges in it, every
 * second row of a graph of degree 16 is gathered, sorted and merged.  Folding costs as much as some
 * five such walks, so a delta is walked as it is until walks have met an eighth of the base in it;
 * then it is folded for the walk alone (ql_view_plain), which the next walks of the same state
 * find.  After further commits only the groups that those touched are folded again.
 *
 * Locks: `merging` is held while that is made; `writing` is held through every changing call; `pin`
 * only while pointers and counts are exchanged, so opening a view never waits for a writer's work.
 * Readers of a view take no lock. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "graph.h"

#define FOLD_RECORDS_MIN 4096u /* smaller deltas are not worth folding */
#define FOLD_BASE_SHARE 4u     /* fold when the delta is larger than this share of the base */

#define MERGE_RECORDS_MIN 1024u /* smaller deltas are walked as they are, */
#define MERGE_WALKED_SHARE 8u   /* and others until walks met this share of the base in them */

typedef struct mark {
    uint64_t log_bytes;
    uint32_t limit;
} mark;

/* delta indices of pending records; failed appends leave gaps between ranges */
typedef struct range {
    uint32_t from;
    uint32_t until;
} range;

/* Below `pin:` guarded by the pin lock, and changed only by who holds `writing` as well; the rest
 * by `writing`. */
struct ql_graph {
    pthread_mutex_t writing;
    pthread_mutex_t pin;
    pthread_mutex_t merging;
    ql_log log;
    bool writable;
    /* what the file of extents held, an owner of it; NULL: the log starts from nothing */
    ql_state *origin;
    range *ranges;
    uint32_t range_count;
    uint32_t range_capacity;
    uint32_t pending;       /* records in the ranges */
    /* log length after the flushed batch; 0: the pending batch is not flushed */
    uint64_t flushed_bytes;
    /* pin: */
    ql_state *state;
    /* what load made of the committed graph and its records; pending, NULL if there is none */
    ql_state *loaded;
    uint64_t committed_bytes;
    uint64_t sequence;      /* of the next record of the committed log */
    uint32_t committed_limit;
    uint32_t pending_limit; /* of `loaded`, if there is one */
    /* the current state and its delta below merged_limit as a base, or NULL; changed under merging
     * too */
    ql_state *merged;
    uint32_t merged_limit;
    uint64_t walked;        /* delta records that whole walks met in this state since `merged` */
    mark *marks;            /* of the current state, ascending */
    uint32_t mark_count;
    uint32_t mark_capacity;
};

static void state_unpin(ql_graph *graph, ql_state *state)
{
    pthread_mutex_lock(&graph->pin);
    assert(state->owners > 0);
    bool last = --state->owners == 0;
    pthread_mutex_unlock(&graph->pin);
    if (last) ql_state_free(state);
}

static ql_state *state_pin(ql_graph *graph, ql_state *state)
{
    pthread_mutex_lock(&graph->pin);
    state->owners++;
    pthread_mutex_unlock(&graph->pin);
    return state;
}

int ql_graph_open(const char *path, const uint8_t *uuid, int writable, ql_graph **graph)
{
    ql_graph *opened = ql_alloc(1, sizeof *opened);
    if (!opened) return QL_E_MEMORY;
    opened->writable = writable != 0;
    opened->committed_bytes = QL_LOG_HEADER_BYTES;
    int status = ql_state_create(QL_LOG_HEADER_BYTES, &opened->state);
    if (status == QL_OK)
        status = ql_log_open(path, QL_LOG_MAGIC, uuid, opened->writable, &opened->log);
    if (status != QL_OK) {
        ql_state_free(opened->state);
        ql_free(opened);
        return status;
    }
    pthread_mutex_init(&opened->writing, NULL);
    pthread_mutex_init(&opened->pin, NULL);
    pthread_mutex_init(&opened->merging, NULL);
    *graph = opened;
    return QL_OK;
}

void ql_graph_close(ql_graph *graph)
{
    if (!graph) return;
    if (graph->merged) state_unpin(graph, graph->merged);
    if (graph->loaded) state_unpin(graph, graph->loaded);
    if (graph->origin) state_unpin(graph, graph->origin);
    state_unpin(graph, graph->state);
    ql_log_close(&graph->log);
    pthread_mutex_destroy(&graph->writing);
    pthread_mutex_destroy(&graph->pin);
    pthread_mutex_destroy(&graph->merging);
    ql_free(graph->ranges);
    ql_free(graph->marks);
    ql_free(graph);
}

/* Room for one more mark, so that the step after a commit cannot fail. */
static int marks_reserve(ql_graph *graph)
{
    if (graph->mark_count < graph->mark_capacity) return QL_OK;
    pthread_mutex_lock(&graph->pin);
    uint32_t capacity = graph->mark_capacity * 2 + 64;
    mark *marks = ql_realloc(graph->marks, capacity, sizeof *marks);
    if (marks) {
        graph->marks = marks;
        graph->mark_capacity = capacity;
    }
    pthread_mutex_unlock(&graph->pin);
    return marks ? QL_OK : QL_E_MEMORY;
}

/* The delta up to its end is the graph as of log_bytes. */
static void commit_at(ql_graph *graph, uint64_t log_bytes, uint64_t sequence)
{
    pthread_mutex_lock(&graph->pin);
    assert(graph->mark_count < graph->mark_capacity);
    graph->committed_bytes = log_bytes;
    graph->sequence = sequence;
    graph->committed_limit = graph->state->end;
    graph->pending_limit = graph->state->end;
    graph->marks[graph->mark_count++] = (mark){log_bytes, graph->state->end};
    pthread_mutex_unlock(&graph->pin);
}

/* Another base, with an empty delta, is the committed graph as of its base_bytes. Called when
 * nothing is pending. */
static void state_replace(ql_graph *graph, ql_state *state)
{
    pthread_mutex_lock(&graph->pin);
    ql_state *old = graph->state;
    ql_state *merged = graph->merged;
    graph->merged = NULL;
    graph->walked = 0;
    graph->state = state;
    graph->committed_bytes = state->base_bytes;
    graph->sequence = state->base_sequence;
    graph->committed_limit = 0;
    graph->pending_limit = 0;
    graph->mark_count = 0;
    pthread_mutex_unlock(&graph->pin);
    if (merged) state_unpin(graph, merged);
    state_unpin(graph, old);
}

/* Called when nothing is pending. Out of memory leaves the delta as it is: right, slower, and tried
 * again later. */
static void fold_if_due(ql_graph *graph)
{
    const ql_state *state = graph->state;
    if (state->end < FOLD_RECORDS_MIN || state->end < state->base_edges / FOLD_BASE_SHARE) return;
    ql_state *folded;
    if (ql_state_fold(state, state->end, NULL, 0, graph->committed_bytes, &folded) != QL_OK) return;
    folded->base_sequence = graph->sequence;
    state_replace(graph, folded);
}

/* ---- The writer ---- */

static int ranges_reserve(ql_graph *graph)
{
    if (graph->range_count < graph->range_capacity) return QL_OK;
    uint32_t capacity = graph->range_capacity * 2 + 8;
    range *ranges = ql_realloc(graph->ranges, capacity, sizeof *ranges);
    if (!ranges) return QL_E_MEMORY;
    graph->ranges = ranges;
    graph->range_capacity = capacity;
    return QL_OK;
}

static int append_locked(ql_graph *graph, const ql_edge *records, uint64_t n)
{
    ql_state *state = graph->loaded ? graph->loaded : graph->state;
    QL_TRY(ranges_reserve(graph));
    uint32_t from = state->end;
    QL_TRY(ql_state_append(state, records, n));

    range *last = graph->range_count ? &graph->ranges[graph->range_count - 1] : NULL;
    if (last && last->until == from) last->until = state->end;
    else graph->ranges[graph->range_count++] = (range){from, state->end};
    graph->pending += (uint32_t)n;
    graph->flushed_bytes = 0;
    pthread_mutex_lock(&graph->pin);
    graph->pending_limit = state->end;
    pthread_mutex_unlock(&graph->pin);
    return QL_OK;
}

static int load_locked(ql_graph *graph, const ql_edge *records, uint64_t n)
{
    if (graph->pending > 0 || graph->loaded) return QL_E_INVALID;
    ql_state *loaded;
    QL_TRY(ql_state_fold(graph->state, graph->committed_limit, records, n, QL_LOG_HEADER_BYTES,
                         &loaded));
    loaded->base_sequence = graph->sequence;
    pthread_mutex_lock(&graph->pin);
    graph->loaded = loaded;
    graph->pending_limit = 0;
    pthread_mutex_unlock(&graph->pin);
    return QL_OK;
}

int ql_graph_load(ql_graph *graph, const ql_edge *records, uint64_t n)
{
    if (!graph->writable) return QL_E_READONLY;
    for (uint64_t i = 0; i < n; i++) {
        if (!ql_edge_valid(&records[i])) return QL_E_INVALID;
    }
    pthread_mutex_lock(&graph->writing);
    int status = load_locked(graph, records, n);
    pthread_mutex_unlock(&graph->writing);
    return status;
}

int ql_graph_append(ql_graph *graph, const ql_edge *records, uint64_t n)
{
    if (!graph->writable) return QL_E_READONLY;
    for (uint64_t i = 0; i < n; i++) {
        if (!ql_edge_valid(&records[i])) return QL_E_INVALID;
    }
    if (n == 0) return QL_OK;
    pthread_mutex_lock(&graph->writing);
    int status = append_locked(graph, records, n);
    pthread_mutex_unlock(&graph->writing);
    return status;
}

typedef struct pending_cursor {
    const ql_graph *graph;
    uint32_t range;
    uint32_t within;
} pending_cursor;

static void pending_fill(void *context, ql_edge *piece, uint32_t n)
{
    pending_cursor *cursor = context;
    for (uint32_t i = 0; i < n; i++) {
        const range *here = &cursor->graph->ranges[cursor->range];
        piece[i] = *ql_state_record(cursor->graph->state, here->from + cursor->within);
        if (++cursor->within == here->until - here->from) {
            cursor->range++;
            cursor->within = 0;
        }
    }
}

static int flush_locked(ql_graph *graph, uint64_t commit, uint64_t *log_bytes)
{
    uint64_t end = graph->committed_bytes;
    if (graph->loaded) return QL_E_INVALID; /* It goes to a file of extents. */
    if (graph->pending > 0) {
        QL_TRY(marks_reserve(graph));
        ql_log_batch batch = {
            .count = graph->pending, .commit = commit, .sequence = graph->sequence};
        pending_cursor cursor = {.graph = graph};
        graph->flushed_bytes = 0; /* A write that fails half way leaves nothing to publish. */
        QL_TRY(ql_log_write(&graph->log, end, batch, pending_fill, &cursor));
        end += sizeof batch + (uint64_t)graph->pending * sizeof(ql_edge);
        graph->flushed_bytes = end;
    }
    *log_bytes = end;
    return QL_OK;
}

int ql_graph_flush(ql_graph *graph, uint64_t commit, uint64_t *log_bytes)
{
    if (!graph->writable) return QL_E_READONLY;
    pthread_mutex_lock(&graph->writing);
    int status = flush_locked(graph, commit, log_bytes);
    pthread_mutex_unlock(&graph->writing);
    return status;
}

int ql_graph_written(const ql_graph *graph, uint64_t offset, size_t size_bytes, void *bytes)
{
    return ql_file_read(graph->log.fd, bytes, size_bytes, offset);
}

int ql_graph_sync(ql_graph *graph)
{
    if (!graph->writable) return QL_E_READONLY;
    return ql_file_sync(graph->log.fd);
}

static void pending_clear(ql_graph *graph)
{
    graph->range_count = 0;
    graph->pending = 0;
    graph->flushed_bytes = 0;
}

int ql_graph_publish(ql_graph *graph)
{
    if (!graph->writable) return QL_E_READONLY;
    pthread_mutex_lock(&graph->writing);
    int status = QL_OK;
    if (graph->loaded || (graph->pending > 0 && graph->flushed_bytes == 0)) {
        status = QL_E_INVALID;
    } else if (graph->pending > 0) {
        commit_at(graph, graph->flushed_bytes, graph->sequence + graph->pending);
        pending_clear(graph);
        fold_if_due(graph);
    }
    pthread_mutex_unlock(&graph->writing);
    return status;
}

int ql_graph_abort(ql_graph *graph)
{
    if (!graph->writable) return QL_E_READONLY;
    pthread_mutex_lock(&graph->writing);
    ql_state *loaded = graph->loaded;
    pthread_mutex_lock(&graph->pin);
    graph->loaded = NULL;
    graph->pending_limit = graph->committed_limit;
    pthread_mutex_unlock(&graph->pin);
    if (loaded) {
        state_unpin(graph, loaded);
        pending_clear(graph);
    } else if (graph->pending > 0) {
        ql_state_drop(graph->state, graph->ranges[0].from);
        pending_clear(graph);
        fold_if_due(graph);
    }
    pthread_mutex_unlock(&graph->writing);
    return QL_OK;
}

static int truncate_locked(ql_graph *graph, uint64_t log_bytes)
{
    if (log_bytes < graph->committed_bytes || graph->pending > 0) return QL_E_INVALID;
    uint64_t size_bytes;
    QL_TRY(ql_log_size(&graph->log, &size_bytes));
    if (size_bytes < log_bytes) return QL_E_CORRUPT;
    int result;
    do result = ftruncate(graph->log.fd, (off_t)log_bytes);
    while (result != 0 && errno == EINTR);
    return result == 0 ? QL_OK : QL_E_IO;
}

/* A length of 0 means: nothing was ever committed. */
static uint64_t with_header(uint64_t log_bytes)
{
    return log_bytes == 0 ? QL_LOG_HEADER_BYTES : log_bytes;
}

int ql_graph_truncate(ql_graph *graph, uint64_t log_bytes)
{
    if (!graph->writable) return QL_E_READONLY;
    pthread_mutex_lock(&graph->writing);
    int status = truncate_locked(graph, with_header(log_bytes));
    pthread_mutex_unlock(&graph->writing);
    return status;
}

/* ---- Catching up ---- */

static int take_records(void *context, const ql_edge *piece, uint32_t n)
{
    return ql_state_append(context, piece, n);
}

/* Append the batch at *offset to the state and step over it; on failure the state holds what it
 * held. */
static int replay_batch(const ql_log *log, ql_state *state, uint64_t until, uint64_t *offset,
                        uint64_t *sequence)
{
    ql_log_batch batch;
    uint32_t from = state->end;
    int status = ql_log_read(log, *offset, until, *sequence, take_records, state, &batch);
    if (status != QL_OK) {
        ql_state_drop(state, from); /* Records came before the checksum at their end. */
        return status;
    }
    *offset += sizeof batch + (uint64_t)batch.count * sizeof(ql_edge);
    *sequence += batch.count;
    return QL_OK;
}

static int advance_locked(ql_graph *graph, uint64_t log_bytes)
{
    if (log_bytes > graph->committed_bytes && (graph->pending > 0 || graph->loaded))
        return QL_E_INVALID;
    while (graph->committed_bytes < log_bytes) {
        uint64_t offset = graph->committed_bytes;
        uint64_t sequence = graph->sequence;
        QL_TRY(marks_reserve(graph));
        QL_TRY(replay_batch(&graph->log, graph->state, log_bytes, &offset, &sequence));
        commit_at(graph, offset, sequence);
        fold_if_due(graph);
    }
    return QL_OK;
}

int ql_graph_advance(ql_graph *graph, uint64_t log_bytes)
{
    log_bytes = with_header(log_bytes);
    pthread_mutex_lock(&graph->pin);
    bool known = log_bytes <= graph->committed_bytes;
    pthread_mutex_unlock(&graph->pin);
    /* Usual in the writer's process, whose readers must not wait for the writer. */
    if (known) return QL_OK;

    pthread_mutex_lock(&graph->writing);
    int status = advance_locked(graph, log_bytes);
    pthread_mutex_unlock(&graph->writing);
    return status;
}

/* ---- Extents on disk ---- */

/* The pending load, or the committed graph beside which commits go on. */
static int extents_write(ql_graph *graph, const char *path, ql_graph_extents *extents)
{
    pthread_mutex_lock(&graph->pin);
    ql_state *state = graph->loaded ? graph->loaded : graph->state;
    bool whole = graph->loaded || graph->committed_limit == 0;
    uint32_t limit = graph->committed_limit;
    uint64_t log_bytes = graph->committed_bytes;
    uint64_t sequence = graph->sequence;
    state->owners++;
    pthread_mutex_unlock(&graph->pin);

    ql_state *folded = NULL;
    int status = whole ? QL_OK : ql_state_fold(state, limit, NULL, 0, log_bytes, &folded);
    if (folded) folded->base_sequence = sequence;
    if (status == QL_OK)
        status = ql_extents_write(whole ? state : folded, path, graph->log.uuid, extents);
    ql_state_free(folded);
    state_unpin(graph, state);
    return status;
}

int ql_graph_extents_write(ql_graph *graph, const char *path, ql_graph_extents *extents)
{
    return graph->writable ? extents_write(graph, path, extents) : QL_E_READONLY;
}

static int extents_read_locked(ql_graph *graph, const char *path, const ql_graph_extents *extents)
{
    if (graph->pending > 0 || graph->loaded || graph->origin) return QL_E_INVALID;
    if (graph->committed_bytes > extents->log_bytes) return QL_E_INVALID;
    ql_state *state;
    QL_TRY(ql_extents_read(path, graph->log.uuid, extents, &state));
    state_replace(graph, state);
    graph->origin = state_pin(graph, state);
    return QL_OK;
}

int ql_graph_extents_read(ql_graph *graph, const char *path, const ql_graph_extents *extents)
{
    pthread_mutex_lock(&graph->writing);
    int status = extents_read_locked(graph, path, extents);
    pthread_mutex_unlock(&graph->writing);
    return status;
}

/* ---- Views ---- */

/* The limit of a committed length in the current state; QL_E_INVALID if no batch ends there. */
static int mark_find(const ql_graph *graph, uint64_t log_bytes, uint32_t *limit)
{
    if (log_bytes == graph->state->base_bytes) {
        *limit = 0;
        return QL_OK;
    }
    uint32_t low = 0;
    uint32_t high = graph->mark_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (graph->marks[middle].log_bytes < log_bytes) low = middle + 1;
        else high = middle;
    }
    if (low == graph->mark_count || graph->marks[low].log_bytes != log_bytes) return QL_E_INVALID;
    *limit = graph->marks[low].limit;
    return QL_OK;
}

static int view_pin(ql_graph *graph, uint64_t log_bytes, bool pending, ql_graph_view *view)
{
    if (log_bytes > graph->committed_bytes) return QL_E_INVALID;
    if (pending && log_bytes != graph->committed_bytes) return QL_E_INVALID;
    if (pending) view->limit = graph->pending_limit;
    else QL_TRY(mark_find(graph, log_bytes, &view->limit));
    view->state = pending && graph->loaded ? graph->loaded : graph->state;
    view->state->owners++;
    return QL_OK;
}

/* A view from before the current base: its own state, from the origin and the log. */
static int view_replay(ql_graph *graph, uint64_t log_bytes, ql_graph_view *view)
{
    const ql_state *origin = graph->origin;
    uint64_t offset = origin ? origin->base_bytes : QL_LOG_HEADER_BYTES;
    uint64_t sequence = origin ? origin->base_sequence : 0;
    if (log_bytes < offset) return QL_E_INVALID;
    ql_state *state;
    /* Shares all of it. */
    if (origin) QL_TRY(ql_state_fold(origin, 0, NULL, 0, log_bytes, &state));
    else QL_TRY(ql_state_create(log_bytes, &state));
    int status = QL_OK;
    while (status == QL_OK && offset < log_bytes) {
        status = replay_batch(&graph->log, state, log_bytes, &offset, &sequence);
    }
    if (status != QL_OK) {
        ql_state_free(state);
        return status;
    }
    view->state = state;
    view->limit = state->end;
    return QL_OK;
}

int ql_graph_view_open(ql_graph *graph, uint64_t log_bytes, int pending, ql_graph_view **view)
{
    log_bytes = with_header(log_bytes);
    ql_graph_view *opened = ql_alloc(1, sizeof *opened);
    if (!opened) return QL_E_MEMORY;
    opened->graph = graph;

    pthread_mutex_lock(&graph->pin);
    bool older = !pending && log_bytes < graph->state->base_bytes;
    int status = older ? QL_OK : view_pin(graph, log_bytes, pending != 0, opened);
    pthread_mutex_unlock(&graph->pin);
    if (older) status = view_replay(graph, log_bytes, opened);
    if (status != QL_OK) {
        ql_free(opened);
        return status;
    }
    *view = opened;
    return QL_OK;
}

void ql_graph_view_close(ql_graph_view *view)
{
    if (!view) return;
    state_unpin(view->graph, view->state);
    ql_free(view);
}

/* ---- Whole walks ---- */

/* The committed records from..until of a state, in order, as one array; dropped ones left out. */
static int records_copy(const ql_state *state, uint32_t from, uint32_t until, ql_edge **records,
                        uint64_t *n)
{
    ql_edge *copied = ql_alloc(until - from, sizeof *copied);
    if (!copied) return QL_E_MEMORY;
    *n = 0;
    for (uint32_t index = from; index < until; index++) {
        if (!ql_state_dropped(state, index)) copied[(*n)++] = *ql_state_record(state, index);
    }
    *records = copied;
    return QL_OK;
}

/* Fold a view's delta, from what was merged before if that was of the same state. */
static int view_merge(ql_graph *graph, const ql_graph_view *view, ql_state **merged)
{
    pthread_mutex_lock(&graph->pin);
    bool more = graph->merged && graph->state == view->state && graph->merged_limit <= view->limit;
    ql_state *before = more ? graph->merged : NULL;
    uint32_t from = graph->merged_limit;
    if (before) before->owners++;
    pthread_mutex_unlock(&graph->pin);
    if (before && from == view->limit) {
        *merged = before;
        return QL_OK;
    }
    if (!before)
        return ql_state_fold(view->state, view->limit, NULL, 0, view->state->base_bytes, merged);
    ql_edge *records;
    uint64_t n;
    int status = records_copy(view->state, from, view->limit, &records, &n);
    if (status == QL_OK) {
        status = ql_state_fold(before, 0, records, n, view->state->base_bytes, merged);
        ql_free(records);
    }
    state_unpin(graph, before);
    return status;
}

/* Keep it for the next walk, if the state is still current and nothing newer was kept. */
static void merged_keep(ql_graph *graph, const ql_graph_view *view, ql_state *merged)
{
    ql_state *old = NULL;
    pthread_mutex_lock(&graph->pin);
    if (graph->state == view->state && graph->merged != merged &&
        (!graph->merged || graph->merged_limit < view->limit)) {
        old = graph->merged;
        graph->merged = merged;
        graph->merged_limit = view->limit;
        graph->walked = 0;
        merged->owners++;
    }
    pthread_mutex_unlock(&graph->pin);
    if (old) state_unpin(graph, old);
}

int ql_view_plain(const ql_graph_view *view, ql_graph_view *plain)
{
    ql_graph *graph = view->graph;
    *plain = *view;
    uint64_t most = view->state->base_edges / MERGE_WALKED_SHARE;
    pthread_mutex_lock(&graph->pin);
    plain->state->owners++;
    bool committed = view->state == graph->state && view->limit <= graph->committed_limit;
    bool merge = committed && ((graph->merged && graph->merged_limit == view->limit) ||
                               graph->walked + view->limit > most);
    if (committed && !merge) graph->walked += view->limit;
    pthread_mutex_unlock(&graph->pin);
    if (!merge || view->limit < MERGE_RECORDS_MIN) return QL_OK;
    ql_state *merged;
    pthread_mutex_lock(&graph->merging);
    int status = view_merge(graph, view, &merged);
    if (status == QL_OK) merged_keep(graph, view, merged);
    pthread_mutex_unlock(&graph->merging);
    if (status == QL_OK) {
        state_unpin(graph, plain->state);
        plain->state = merged;
        plain->limit = 0;
    }
    return QL_OK; /* Out of memory for a copy, the rows are merged one by one. */
}

void ql_view_plain_close(ql_graph_view *plain)
{
    state_unpin(plain->graph, plain->state);
}

int ql_graph_check(ql_graph *graph, uint64_t *where)
{
    pthread_mutex_lock(&graph->writing); /* The origin's. */
    uint64_t until = graph->committed_bytes;
    const ql_state *origin = graph->origin;
    /* Else the log goes back to nothing. */
    bool starts = origin && origin->base_bytes == QL_LOG_HEADER_BYTES;
    uint64_t sequence = starts ? origin->base_sequence : 0;
    pthread_mutex_unlock(&graph->writing);

    uint64_t offset = 0;
    int status = ql_log_header_check(&graph->log);
    if (status == QL_OK) offset = QL_LOG_HEADER_BYTES;
    while (status == QL_OK && offset < until) {
        ql_log_batch batch;
        status = ql_log_read(&graph->log, offset, until, sequence, NULL, NULL, &batch);
        if (status != QL_OK) break;
        offset += sizeof batch + (uint64_t)batch.count * sizeof(ql_edge);
        sequence += batch.count;
    }
    if (status == QL_OK || status == QL_E_CORRUPT) *where = offset;
    return status;
}
