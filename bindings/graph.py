"""The association graph of the C core: `Graph` is one log file, `GraphView` a frozen state of it.

Mirrors csrc/graph.c. Edges travel as structured arrays of dtype `EDGE`, the log's own 16-byte
record; what a view returns is read-only memory of the C core, kept alive by the array.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fsencode
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ClosedError, InvalidError
from ._core import ffi, lib
from .status import check

EDGE = np.dtype(
    [("source", "<u4"), ("target", "<u4"), ("type", "<u2"), ("flags", "<u2"), ("weight", "<f4")]
)
Edges = NDArray[np.void]
DIRECTIONS = {"out": lib.QL_OUT, "in": lib.QL_IN, "both": lib.QL_BOTH}
UNLIMITED = 2**64 - 1


def edges_from(
    sources: ArrayLike,
    targets: ArrayLike,
    types: ArrayLike = 0,
    weights: ArrayLike = 1.0,
    flags: ArrayLike = 0,
) -> Edges:
    """Columns as one array of records; scalars are repeated."""
    columns = (sources, targets, types, flags, weights)
    shape = np.broadcast_shapes(*(np.shape(column) for column in columns))
    if len(shape) != 1:
        raise InvalidError(f"want columns (n,), got shapes that make {shape}")
    edges = np.empty(shape, EDGE)
    limits = (lib.QL_CONCEPTS_MAX, lib.QL_CONCEPTS_MAX, lib.QL_TYPES_MAX - 1, 3)
    names = ("source", "target", "type", "flags")
    for name, column, limit in zip(names, columns, limits, strict=False):
        edges[name] = _integers(column, name, limit)
    with np.errstate(over="ignore"):
        edges["weight"] = weights
    if not np.isfinite(edges["weight"]).all():
        raise InvalidError("want finite float32 weights, got NaN or infinity")
    return edges


@dataclass(frozen=True, slots=True)
class Reached:
    """What an expansion reached: read-only columns of one length, seeds first, then hop by hop."""

    nodes: NDArray[np.uint32]
    scores: NDArray[np.float32]
    hops: NDArray[np.uint16]
    parents: NDArray[np.uint32]
    types: NDArray[np.uint16]
    partial: bool
    edges_touched: int


@dataclass(frozen=True, slots=True)
class Table:
    """A whole view as compressed rows over the nodes that have edges; read-only columns."""

    nodes: NDArray[np.uint32]
    offsets: NDArray[np.uint64]
    targets: NDArray[np.uint32]
    weights: NDArray[np.float32]
    types: NDArray[np.uint16]


class Graph:
    """The log of associations in one file, and its adjacency in memory.

    One writer, any number of readers; every method may be called from any thread.
    """

    def __init__(self, path: str | PathLike[str], uuid: bytes, *, writable: bool = False) -> None:
        """Open the log, and make it if it is missing and writable.

        uuid: 16 bytes, the store's.  Raises StorageError, CorruptError (another store's file).
        """
        if len(uuid) != 16:
            raise InvalidError(f"want a uuid of 16 bytes, got {len(uuid)}")
        handle = ffi.new("ql_graph **")
        status = lib.ql_graph_open(fsencode(path), uuid, int(writable), handle)
        check(status, f"open the graph {str(path)!r}")
        self._handle: Any = ffi.gc(handle[0], lib.ql_graph_close)

    @property
    def handle(self) -> Any:
        if self._handle is None:
            raise ClosedError("the graph is closed")
        return self._handle

    def append(self, edges: Edges) -> None:
        """Add records (n,) of dtype EDGE to the pending batch; all or none."""
        records = _records(edges)
        data = ffi.from_buffer("ql_edge[]", records)
        check(lib.ql_graph_append(self.handle, data, len(records)), f"append {len(records)} edges")

    def flush(self, commit: int) -> int:
        """Write the pending batch behind the committed log; the length the log then has."""
        log_bytes = ffi.new("uint64_t *")
        check(lib.ql_graph_flush(self.handle, commit, log_bytes), "write the batch of edges")
        return int(log_bytes[0])

    def sync(self) -> None:
        """Make what was flushed durable."""
        check(lib.ql_graph_sync(self.handle), "sync the graph's log")

    def publish(self) -> None:
        """Make the flushed batch the committed graph; raises InvalidError if it is not flushed."""
        check(lib.ql_graph_publish(self.handle), "publish edges that were not flushed")

    def abort(self) -> None:
        """Drop the pending batch, flushed or not."""
        check(lib.ql_graph_abort(self.handle), "drop the pending edges")

    def advance(self, log_bytes: int) -> None:
        """Read the log up to a length that somebody committed; 0: nothing was."""
        status = lib.ql_graph_advance(self.handle, log_bytes)
        check(status, f"read the graph's log up to byte {log_bytes}")

    def truncate(self, log_bytes: int) -> None:
        """Cut the file behind the committed length, when it is opened for writing."""
        check(lib.ql_graph_truncate(self.handle, log_bytes), f"cut the log at byte {log_bytes}")

    def view(self, log_bytes: int, *, pending: bool = False) -> "GraphView":
        """The graph as of a committed length, with the pending batch if asked."""
        return GraphView(self.handle, log_bytes, pending)

    def check(self) -> int | None:
        """The byte at which the first bad batch of the committed log starts; None: all is well."""
        where = ffi.new("uint64_t *")
        status = lib.ql_graph_check(self.handle, where)
        if status == lib.QL_E_CORRUPT:
            return int(where[0])
        check(status, "check the graph's log")
        return None

    def close(self) -> None:
        """Forget the handle; the log is closed with the last view. May be called twice."""
        self._handle = None

    def __enter__(self) -> "Graph":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class GraphView:
    """A frozen graph; made by `Graph.view`. Threads may read it at once; close it when done."""

    def __init__(self, graph: Any, log_bytes: int, pending: bool) -> None:
        handle = ffi.new("ql_graph_view **")
        status = lib.ql_graph_view_open(graph, log_bytes, int(pending), handle)
        check(status, f"view the graph as of byte {log_bytes}")

        def release(view: Any, _graph: Any = graph) -> None:  # The graph must outlive its views.
            lib.ql_graph_view_close(view)

        self._handle: Any = ffi.gc(handle[0], release)

    @property
    def handle(self) -> Any:
        if self._handle is None:
            raise ClosedError("the view is closed")
        return self._handle

    def count(self) -> int:
        """How many associations there are. Cost: the rows changed since the base was built."""
        count = ffi.new("uint64_t *")
        check(lib.ql_graph_view_count(self.handle, count), "count the edges")
        return int(count[0])

    def neighbours(
        self,
        nodes: ArrayLike,
        *,
        direction: str = "out",
        types: Sequence[int] | None = None,
    ) -> tuple[Edges, NDArray[np.uint64]]:
        """Edges that leave, enter or touch the nodes, and where each node's begin.

        nodes (n,) -> edges (m,), offsets (n + 1,).  Per node sorted by (type, target, source).
        """
        asked = _numbers(nodes, "nodes")
        data, count = _types(types)
        block = ffi.new("ql_edges **")
        status = lib.ql_graph_neighbours(
            self.handle, _pointer(asked), len(asked), _direction(direction), data, count, block,
            ffi.NULL,
        )  # fmt: skip
        check(status, f"read the neighbours of {len(asked)} nodes")
        edges = ffi.gc(block[0], lib.ql_edges_free)
        return _edges(edges), _column(edges, edges.offsets, len(asked) + 1, np.uint64)

    def find(self, source: int, type: int, target: int) -> Edges | None:
        """The one edge under this key as an array (1,), or None."""
        found = ffi.new("int *")
        edge = np.zeros(1, EDGE)
        for name, value, limit in (
            ("source", source, lib.QL_CONCEPTS_MAX),
            ("type", type, lib.QL_TYPES_MAX - 1),
            ("target", target, lib.QL_CONCEPTS_MAX),
        ):
            if not 0 <= value <= limit:
                raise InvalidError(f"want {name} 0..{limit}, got {value}")
        into = ffi.from_buffer("ql_edge[]", edge)
        status = lib.ql_graph_find(self.handle, source, type, target, found, into)
        check(status, f"find the edge {(source, type, target)}")
        return edge if found[0] else None

    def edges(self) -> Edges:
        """All edges, sorted by (source, type, target)."""
        block = ffi.new("ql_edges **")
        check(lib.ql_graph_edges(self.handle, block), "list all edges")
        return _edges(ffi.gc(block[0], lib.ql_edges_free))

    def expand(
        self,
        seeds: ArrayLike,
        *,
        scores: ArrayLike | None = None,
        hops: int = 1,
        direction: str = "out",
        types: Sequence[int] | None = None,
        discount: float = 1.0,
        budget_edges: int | None = None,
    ) -> Reached:
        """Every node within `hops` of the seeds, once, at its smallest hop.

        seeds (n,) distinct.  A score is the best product of weight * discount along a shortest-hop
        path, times the seed's (1 if not given).  parents are positions in the answer, QL_NONE for
        seeds.  budget_edges: edges looked at, at most; None: all; `partial` says that it stopped.
        """
        start = _numbers(seeds, "seeds")
        values = np.ones(len(start), np.float32) if scores is None else _scores(scores, len(start))
        if not 0 <= hops <= 65535:
            raise InvalidError(f"want hops 0..65535, got {hops}")
        budget = UNLIMITED if budget_edges is None else budget_edges
        if len(np.unique(start)) != len(start):
            raise InvalidError("want distinct seeds, got one twice")
        data, count = _types(types)
        block = ffi.new("ql_reached **")
        cost = ffi.new("ql_cost *")
        status = lib.ql_graph_expand(
            self.handle, _pointer(start), ffi.from_buffer("float[]", values), len(start), hops,
            _direction(direction), data, count, discount, budget, block, cost,
        )  # fmt: skip
        check(status, f"expand {len(start)} seeds")
        return _reached(ffi.gc(block[0], lib.ql_reached_free), int(cost.edges))

    def table(self, *, direction: str = "out", types: Sequence[int] | None = None) -> Table:
        """All edges as compressed rows; row i belongs to nodes[i], targets are rows.

        nodes (n,) ascending, the same in every direction; offsets (n + 1,); the rest (m,), in a row
        sorted by (type, target), under "both" first the leaving ones, then the entering ones.
        """
        data, count = _types(types)
        made = ffi.new("ql_graph_table **")
        status = lib.ql_graph_table_make(
            self.handle, _direction(direction), data, count, made, ffi.NULL
        )
        check(status, "make a table of the graph")
        block = ffi.gc(made[0], lib.ql_graph_table_free)
        n, m = int(block.count), int(block.arcs)
        return Table(
            nodes=_column(block, block.nodes, n, np.uint32),
            offsets=_column(block, block.offsets, n + 1, np.uint64),
            targets=_column(block, block.targets, m, np.uint32),
            weights=_column(block, block.weights, m, np.float32),
            types=_column(block, block.types, m, np.uint16),
        )

    def close(self) -> None:
        """Let the view go; arrays it returned stay. May be called twice."""
        if self._handle is not None:
            ffi.release(self._handle)
        self._handle = None

    def __enter__(self) -> "GraphView":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _integers(values: ArrayLike, name: str, limit: int) -> NDArray[Any]:
    column = np.asarray(values)
    if column.size and column.dtype.kind not in "iu":
        raise InvalidError(f"want integers as {name}, got {column.dtype}")
    if column.size and not (column.min() >= 0 and column.max() <= limit):
        raise InvalidError(f"want {name} 0..{limit}, got {column.min()}..{column.max()}")
    return column


def _numbers(values: ArrayLike, name: str) -> NDArray[np.uint32]:
    column = _integers(values, name, lib.QL_CONCEPTS_MAX)
    if column.ndim != 1:
        raise InvalidError(f"want {name} (n,), got shape {column.shape}")
    return np.ascontiguousarray(column, np.uint32)


def _records(edges: Edges) -> Edges:
    if edges.dtype != EDGE or edges.ndim != 1:
        raise InvalidError(f"want edges (n,) of dtype EDGE, got {edges.shape} {edges.dtype}")
    return np.ascontiguousarray(edges)


def _scores(values: ArrayLike, n: int) -> NDArray[np.float32]:
    scores = np.ascontiguousarray(values, np.float32)
    if scores.shape != (n,) or not np.isfinite(scores).all():
        raise InvalidError(f"want scores ({n},), finite, got shape {scores.shape}")
    return scores


def _types(types: Sequence[int] | None) -> tuple[Any, int]:
    """As C wants them: NULL means all."""
    if types is None:
        return ffi.NULL, 0
    column = _integers(types, "types", lib.QL_TYPES_MAX - 1)
    if len(column) == 0:
        return ffi.new("uint16_t[1]"), 0  # Not NULL: no type at all.
    return ffi.from_buffer("uint16_t[]", np.ascontiguousarray(column, np.uint16)), len(column)


def _direction(direction: str) -> int:
    if direction not in DIRECTIONS:
        raise InvalidError(f"want direction out, in or both, got {direction!r}")
    return int(DIRECTIONS[direction])


def _pointer(numbers: NDArray[np.uint32]) -> Any:
    return ffi.from_buffer("uint32_t[]", numbers)


def _column(owner: Any, start: Any, n: int, dtype: Any) -> NDArray[Any]:
    """n items of C memory as a read-only array, which keeps `owner` alive."""
    if n == 0:
        return np.empty(0, dtype)

    def hold(_start: Any, _owner: Any = owner) -> None:
        """Nothing to free: the owner frees its columns with itself."""

    kept = ffi.gc(start, hold)
    array = np.frombuffer(ffi.buffer(kept, n * np.dtype(dtype).itemsize), dtype)
    array.flags.writeable = False
    return array


def _edges(block: Any) -> Edges:
    return _column(block, block.edges, int(block.count), EDGE)


def _reached(block: Any, edges_touched: int) -> Reached:
    n = int(block.count)
    return Reached(
        nodes=_column(block, block.nodes, n, np.uint32),
        scores=_column(block, block.scores, n, np.float32),
        hops=_column(block, block.hops, n, np.uint16),
        parents=_column(block, block.parents, n, np.uint32),
        types=_column(block, block.types, n, np.uint16),
        partial=bool(block.partial),
        edges_touched=edges_touched,
    )
