"""A frozen state of the association graph, over csrc/neighbours.c, expand.c and table.c.

What a view returns is read-only memory of the C core, kept alive by the arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ClosedError, InvalidError
from ._core import ffi, lib
from .columns import column, edge_budget, finite_scores, pointer
from .edges import EDGE, Edges, direction_number, node_numbers, type_filter
from .status import check
from .vectors import bitmap_words


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

    def scan(self, *, direction: str = "out") -> tuple[int, int, int]:
        """How many associations there are, and the sums of their sources and targets.

        direction "out" reads them by source, "in" by target; both must give the same.
        """
        sums = ffi.new("ql_graph_sums *")
        status = lib.ql_graph_scan(self.handle, direction_number(direction), sums)
        check(status, f"scan the graph by its {direction} rows")
        return int(sums.edges), int(sums.sources), int(sums.targets)

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
        asked = node_numbers(nodes, "nodes")
        data, count = type_filter(types)
        block = ffi.new("ql_edges **")
        status = lib.ql_graph_neighbours(
            self.handle, pointer(asked), len(asked), direction_number(direction), data, count,
            block, ffi.NULL,
        )  # fmt: skip
        check(status, f"read the neighbours of {len(asked)} nodes")
        edges = ffi.gc(block[0], lib.ql_edges_free)
        return _edges(edges), column(edges, edges.offsets, len(asked) + 1, np.uint64)

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
        allowed: NDArray[np.uint64] | None = None,
        discount: float = 1.0,
        budget_edges: int | None = None,
    ) -> Reached:
        """Every node within `hops` of the seeds, once, at its smallest hop.

        seeds (n,) distinct.  A score is the best product of weight * discount along a shortest-hop
        path, times the seed's (1 if not given).  parents are positions in the answer, QL_NONE for
        seeds.  allowed (words,): bit per node, the only nodes to enter beside the seeds; None: all.
        budget_edges: edges looked at, at most; None: all; `partial` says that it stopped.
        """
        start = node_numbers(seeds, "seeds")
        given = ffi.NULL
        if scores is not None:
            given = ffi.from_buffer("float[]", finite_scores(scores, len(start)))
        if not 0 <= hops <= 65535:
            raise InvalidError(f"want hops 0..65535, got {hops}")
        budget = edge_budget(budget_edges)
        data, count = type_filter(types)
        words = 0 if allowed is None else bitmap_words(allowed, 1)
        bits = ffi.NULL if allowed is None else ffi.from_buffer("uint64_t[]", allowed)
        block = ffi.new("ql_reached **")
        cost = ffi.new("ql_cost *")
        status = lib.ql_graph_expand(
            self.handle, pointer(start), given, len(start), hops,
            direction_number(direction), data, count, bits, words * 64, discount, budget,
            block, cost,
        )  # fmt: skip
        if status == lib.QL_E_INVALID and len(np.unique(start)) != len(start):
            raise InvalidError("want distinct seeds, got one twice")
        check(status, f"expand {len(start)} seeds")
        return _reached(ffi.gc(block[0], lib.ql_reached_free), int(cost.edges))

    def table(self, *, direction: str = "out", types: Sequence[int] | None = None) -> Table:
        """All edges as compressed rows; row i belongs to nodes[i], targets are rows.

        nodes (n,) ascending, the same in every direction; offsets (n + 1,); the rest (m,), in a row
        sorted by (type, target), under "both" first the leaving ones, then the entering ones.
        """
        data, count = type_filter(types)
        made = ffi.new("ql_graph_table **")
        status = lib.ql_graph_table_make(
            self.handle, direction_number(direction), data, count, made, ffi.NULL
        )
        check(status, "make a table of the graph")
        block = ffi.gc(made[0], lib.ql_graph_table_free)
        n, m = int(block.count), int(block.arcs)
        return Table(
            nodes=column(block, block.nodes, n, np.uint32),
            offsets=column(block, block.offsets, n + 1, np.uint64),
            targets=column(block, block.targets, m, np.uint32),
            weights=column(block, block.weights, m, np.float32),
            types=column(block, block.types, m, np.uint16),
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


def _edges(block: Any) -> Edges:
    return column(block, block.edges, int(block.count), EDGE)


def _reached(block: Any, edges_touched: int) -> Reached:
    n = int(block.count)
    return Reached(
        nodes=column(block, block.nodes, n, np.uint32),
        scores=column(block, block.scores, n, np.float32),
        hops=column(block, block.hops, n, np.uint16),
        parents=column(block, block.parents, n, np.uint32),
        types=column(block, block.types, n, np.uint16),
        partial=bool(block.partial),
        edges_touched=edges_touched,
    )
