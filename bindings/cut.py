"""The exact global minimum cut, over csrc/cut.c."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._core import ffi, lib
from .csr import Csr
from .status import check


class GlobalCut(NamedTuple):
    """A lightest cut: its weight, the smaller side (n,) bool, and what it cost to find."""

    value: int
    side: NDArray[np.bool_]
    rounds: int
    edges: int


def global_cut(graph: Csr, seed: int = 0) -> GlobalCut:
    """Find a lightest cut of the whole graph; 0 if it is not connected.

    Integer weights of at least 1, or none.  The seed never changes the value.
    Raises InvalidError if the graph has fewer than 2 vertices or a weight is 0.
    """
    side = np.zeros(graph.n, np.uint8)
    value, rounds, cost = ffi.new("uint64_t *"), ffi.new("uint32_t *"), ffi.new("ql_cost *")
    buffer = ffi.from_buffer("uint8_t[]", side)
    status = lib.ql_cut_global(
        graph.struct, graph.integers(), seed & 0xFFFFFFFF, value, buffer, rounds, cost
    )
    check(status, f"cut a graph of {graph.n} vertices and {graph.arcs // 2} edges")
    return GlobalCut(int(value[0]), side.view(np.bool_), int(rounds[0]), int(cost.edges))
