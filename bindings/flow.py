"""Cuts between vertices or groups of one graph, and cut trees, over csrc/flow.c."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._core import ffi, lib
from .csr import Csr
from .status import check

UInt32 = NDArray[np.uint32]


class FlowCut(NamedTuple):
    """A cut between two groups: its weight, the vertices of one side, whether the sources' one."""

    value: int
    members: UInt32
    source_side: bool
    edges: int


class Flow:
    """A graph made ready for many cuts; one thread at a time.

    Rows must ascend strictly and weights lie in 1 .. QL_FLOW_WEIGHT_MAX; InvalidError otherwise.
    """

    def __init__(self, graph: Csr) -> None:
        handle = ffi.new("ql_flow **")
        status = lib.ql_flow_open(graph.struct, graph.integers(), handle)
        check(status, f"prepare {graph.n} vertices and {graph.arcs // 2} edges for cuts")
        self._handle = ffi.gc(handle[0], lib.ql_flow_close, 16 * graph.arcs + 28 * graph.n)
        self._members = np.empty(graph.n, np.uint32)
        self._buffer = ffi.from_buffer("uint32_t[]", self._members)
        self._numbers = ffi.new("uint32_t[2]")
        self._value, self._cost = ffi.new("uint64_t *"), ffi.new("ql_cost *")

    def cut(self, sources: ArrayLike, targets: ArrayLike, limit: int = 0) -> FlowCut:
        """A lightest cut between two disjoint groups of vertices.

        limit: stop as soon as the cut is known to weigh at least this; members are then empty.
        """
        starts, goals = _group(sources), _group(targets)
        before = self._cost.edges
        status = lib.ql_flow_cut(
            self._handle,
            starts,
            len(starts),
            goals,
            len(goals),
            limit,
            self._value,
            self._buffer,
            self._numbers,
            self._numbers + 1,
            self._cost,
        )
        if status:  # Wording the message costs as much as a small cut.
            check(status, f"cut {len(starts)} from {len(goals)} vertices")
        members = self._members[: self._numbers[0]].copy()
        edges = int(self._cost.edges - before)
        return FlowCut(int(self._value[0]), members, bool(self._numbers[1]), edges)

    def tree(self, terminals: ArrayLike) -> tuple[UInt32, NDArray[np.uint64]]:
        """A cut tree of distinct vertices: each one's parent (by position) and the weight between.

        Position 0 is the root.  The lightest edge on the path between two terminals weighs what
        their minimum cut does, and removing it splits the terminals as that cut does.
        """
        wanted = _vertices(terminals)
        parents, weights = np.empty(len(wanted), np.uint32), np.empty(len(wanted), np.uint64)
        status = lib.ql_flow_tree(
            self._handle,
            ffi.from_buffer("uint32_t[]", wanted),
            len(wanted),
            ffi.from_buffer("uint32_t[]", parents),
            ffi.from_buffer("uint64_t[]", weights),
            self._cost,
        )
        check(status, f"make a cut tree of {len(wanted)} vertices")
        return parents, weights


def _group(values: ArrayLike) -> Any:
    """Vertices as C numbers; a single one without NumPy, which would take 5 us of a 30 us cut."""
    if isinstance(values, int | np.integer) and 0 <= values <= 0xFFFFFFFF:
        return ffi.new("uint32_t[1]", (int(values),))
    return ffi.from_buffer("uint32_t[]", _vertices(values))


def _vertices(values: ArrayLike) -> UInt32:
    return np.ascontiguousarray(np.atleast_1d(np.asarray(values)), np.uint32)
