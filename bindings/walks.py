"""The edges on short walks between two groups of nodes, over csrc/walks.c."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .columns import column, edge_budget, pointer
from .edges import EDGE, Edges, node_numbers, type_filter
from .graph_view import GraphView
from .status import check


@dataclass(frozen=True, slots=True)
class Walks:
    """Edges by (source, type, target), each once.

    partial: the budget ended; then edges are all that were read, and every walk that was not seen
    goes out through a node of `leaving` and comes back through one of `entering`.
    """

    edges: Edges
    partial: bool
    leaving: NDArray[np.uint32]
    entering: NDArray[np.uint32]
    edges_touched: int


def walks(
    view: GraphView,
    sources: ArrayLike,
    targets: ArrayLike,
    hops: int,
    *,
    both: bool = False,
    types: Sequence[int] | None = None,
    budget: int | None = None,
) -> Walks:
    """The edges on a walk of at most `hops` edges from any source to any target.

    both: along edges either way.  budget: edges read at most; None: no limit.
    """
    if not 0 <= hops < lib.QL_NONE:
        raise InvalidError(f"want hops 0..{lib.QL_NONE - 1}, got {hops}")
    ends = node_numbers(sources, "sources"), node_numbers(targets, "targets")
    data, count = type_filter(types)
    made, cost = ffi.new("ql_walks **"), ffi.new("ql_cost *")
    status = lib.ql_graph_walks(
        view.handle, pointer(ends[0]), len(ends[0]), pointer(ends[1]), len(ends[1]), hops,
        int(both), data, count, edge_budget(budget), made, cost,
    )  # fmt: skip
    check(status, f"find walks of {hops} hops")
    block = ffi.gc(made[0], lib.ql_walks_free)
    return Walks(
        edges=column(block, block.edges, int(block.count), EDGE),
        partial=bool(block.partial),
        leaving=column(block, block.leaving, int(block.leaving_count), np.uint32),
        entering=column(block, block.entering, int(block.entering_count), np.uint32),
        edges_touched=int(cost.edges),
    )
