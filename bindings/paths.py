"""Shortest paths through a graph, over csrc/paths.c."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .columns import column, edge_budget
from .edges import direction_number, node_numbers, type_filter
from .graph_view import GraphView
from .status import check


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths by length; path i is nodes[offsets[i]:offsets[i + 1]], types those of the edges in."""

    offsets: NDArray[np.uint64]
    nodes: NDArray[np.uint32]
    types: NDArray[np.uint16]
    lengths: NDArray[np.float64]
    partial: bool
    edges_touched: int

    def __len__(self) -> int:
        return len(self.lengths)

    def path(self, i: int) -> list[int]:
        """The nodes of one path, from source to target."""
        nodes: list[int] = self.nodes[int(self.offsets[i]) : int(self.offsets[i + 1])].tolist()
        return nodes


def shortest_paths(
    view: GraphView,
    source: int,
    target: int,
    k: int = 1,
    *,
    weighted: bool = False,
    direction: str = "out",
    types: Sequence[int] | None = None,
    budget_edges: int | None = None,
) -> Paths:
    """Find up to k simple paths, the shortest first; equal lengths by their nodes.

    weighted: lengths are sums of weights, none below 0 (InvalidError); else numbers of edges.
    Source: Yen 1971 with Lawler 1972; one path by two searches that meet.
    """
    if not 1 <= k <= lib.QL_PATHS_MAX:
        raise InvalidError(f"want k 1..{lib.QL_PATHS_MAX}, got {k}")
    ends = node_numbers([source, target], "source and target")
    data, count = type_filter(types)
    made, cost = ffi.new("ql_paths **"), ffi.new("ql_cost *")
    status = lib.ql_graph_paths(
        view.handle, int(ends[0]), int(ends[1]), k, int(weighted), direction_number(direction),
        data, count, edge_budget(budget_edges), made, cost,
    )  # fmt: skip
    check(status, f"find {k} paths from {source} to {target}")
    block = ffi.gc(made[0], lib.ql_paths_free)
    n = int(block.count)
    total = int(block.offsets[n])
    return Paths(
        offsets=column(block, block.offsets, n + 1, np.uint64),
        nodes=column(block, block.nodes, total, np.uint32),
        types=column(block, block.types, total, np.uint16),
        lengths=column(block, block.lengths, n, np.float64),
        partial=bool(block.partial),
        edges_touched=int(cost.edges),
    )
