"""Personalised PageRank by forward push, over csrc/push.c."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .columns import column, edge_budget, finite_scores, pointer
from .edges import direction_number, node_numbers, type_filter
from .graph_view import GraphView
from .status import check


@dataclass(frozen=True, slots=True)
class Ranks:
    """Nodes best first with their ranks; read-only columns.

    No rank is more than the true one; `residual` is the sum of what all are less.
    """

    nodes: NDArray[np.uint32]
    ranks: NDArray[np.float32]
    residual: float
    partial: bool
    edges_touched: int


def rank_near(
    view: GraphView,
    seeds: ArrayLike,
    *,
    shares: ArrayLike | None = None,
    alpha: float = 0.15,
    epsilon: float = 1e-4,
    stays: bool = False,
    direction: str = "out",
    types: Sequence[int] | None = None,
    budget_edges: int | None = None,
) -> Ranks:
    """Rank the nodes near the seeds by a walk that restarts there with probability alpha.

    seeds (n,), shares (n,) of the restarts (equal if not given).  The walk follows edges by weight,
    none below 0 (InvalidError), and where there are none restarts, or
    stays.  A node is left alone once its
    residual is at most epsilon * degree.
    Cost: about 1 / (alpha * epsilon) edges.  Source: Andersen, Chung, Lang 2006.
    """
    start = node_numbers(seeds, "seeds")
    given = ffi.NULL
    if shares is not None:
        weights = finite_scores(shares, len(start))
        if len(start) and not (weights.min() >= 0 and weights.max() > 0):
            raise InvalidError("want shares of at least 0, one of them above 0")
        given = ffi.from_buffer("float[]", weights)
    if not (0 < alpha <= 1 and 0 < epsilon <= 1):
        raise InvalidError(f"want alpha and epsilon in (0, 1], got {alpha} and {epsilon}")
    data, count = type_filter(types)
    made, cost = ffi.new("ql_ranks **"), ffi.new("ql_cost *")
    status = lib.ql_graph_rank(
        view.handle, pointer(start), given, len(start), alpha, epsilon, stays,
        direction_number(direction), data, count, edge_budget(budget_edges), made, cost,
    )  # fmt: skip
    check(status, f"rank the nodes near {len(start)} seeds")
    block = ffi.gc(made[0], lib.ql_ranks_free)
    n = int(block.count)
    return Ranks(
        nodes=column(block, block.nodes, n, np.uint32),
        ranks=column(block, block.ranks, n, np.float32),
        residual=float(block.residual),
        partial=bool(block.partial),
        edges_touched=int(cost.edges),
    )
