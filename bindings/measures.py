"""Whole-graph measures: PageRank, core numbers, triangles; csrc/ranking.c, kcore.c, triangles.c."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .csr import Csr
from .status import check

Float64 = NDArray[np.float64]


class Ranks(NamedTuple):
    """PageRank (n,), sum 1; the steps made, and whether the tolerance was reached."""

    ranks: Float64
    iterations: int
    converged: bool


def pagerank(
    incoming: Csr,
    outgoing: Float64 | None = None,
    *,
    start: Float64 | None = None,
    damping: float = 0.85,
    tolerance: float = 1e-7,
    iterations_max: int = 100,
) -> Ranks:
    """Rank vertices by where a random walk with restarts stays.

    incoming: row v holds the sources of arcs into v; outgoing (n,): weight that leaves each vertex,
    taken from the graph when it is None (undirected).  start (n,): where restarts go, sum 1.
    """
    if outgoing is None:
        if not incoming.symmetric:
            raise InvalidError("want outgoing weights for a directed graph")
        outgoing = strengths(incoming)
    for column in (outgoing, start):
        if column is not None and column.shape != (incoming.n,):
            raise InvalidError(f"want ({incoming.n},), got {column.shape}")
    leaving = np.ascontiguousarray(outgoing, np.float64)
    restart = None if start is None else np.ascontiguousarray(start, np.float64)
    ranks = np.empty(incoming.n)
    numbers, cost = ffi.new("uint32_t[2]"), ffi.new("ql_cost *")
    status = lib.ql_pagerank(
        incoming.rows,
        incoming.floats(),
        ffi.from_buffer("double[]", leaving),
        ffi.NULL if restart is None else ffi.from_buffer("double[]", restart),
        damping,
        tolerance,
        iterations_max,
        ffi.from_buffer("double[]", ranks),
        numbers,
        numbers + 1,
        cost,
    )
    check(status, f"rank {incoming.n} vertices with damping {damping}, tolerance {tolerance}")
    return Ranks(ranks, int(numbers[0]), bool(numbers[1]))


def strengths(graph: Csr) -> Float64:
    """The sum of weights at each vertex, (n,)."""
    if graph.weights is None:
        return np.diff(graph.offsets).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(graph.weights, dtype=np.float64)])
    bounds = sums[graph.offsets]
    return np.asarray(bounds[1:] - bounds[:-1], np.float64)


def core_numbers(graph: Csr) -> NDArray[np.uint32]:
    """The largest k for which each vertex lies in a subgraph of degrees of at least k, (n,)."""
    cores, cost = np.empty(graph.n, np.uint32), ffi.new("ql_cost *")
    status = lib.ql_core_numbers(graph.struct, ffi.from_buffer("uint32_t[]", cores), cost)
    check(status, f"find the cores of {graph.n} vertices")
    return cores


def triangles(graph: Csr) -> tuple[int, NDArray[np.uint64]]:
    """How many triangles there are, and how many go through each vertex (n,)."""
    counts, total = np.empty(graph.n, np.uint64), ffi.new("uint64_t *")
    buffer = ffi.from_buffer("uint64_t[]", counts)
    status = lib.ql_triangles(graph.struct, buffer, total, ffi.new("ql_cost *"))
    check(status, f"count the triangles of {graph.n} vertices")
    return int(total[0]), counts
