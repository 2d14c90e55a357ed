"""The exact global minimum cut of a changing graph, over csrc/dynamic_cut.c."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .csr import Csr
from .status import check


class DynamicStats(NamedTuple):
    """What updates have cost since the start."""

    flows: int
    recomputes: int
    changes: int
    edges: int


class DynamicCut:
    """A copy of a graph whose edges change, and its minimum cut after each change.

    One thread at a time.  Raises InvalidError for fewer than 2 vertices.
    """

    def __init__(self, graph: Csr, seed: int = 0) -> None:
        handle = ffi.new("ql_dynamic **")
        status = lib.ql_dynamic_open(graph.struct, graph.integers(), seed & 0xFFFFFFFF, handle)
        check(status, f"prepare {graph.n} vertices and {graph.arcs // 2} edges for updates")
        size = 24 * graph.arcs + 60 * graph.n
        self._handle = ffi.gc(handle[0], lib.ql_dynamic_close, size)
        self._n = graph.n
        self._value, self._done = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        self._stats = ffi.new("ql_dynamic_stats *")

    def update(
        self, sources: ArrayLike, targets: ArrayLike, weights: ArrayLike
    ) -> NDArray[np.uint64]:
        """Set the weights of edges, one after the other; 0 removes.  The minimum cut after each.

        Raises InvalidError, before any change, for loops, unknown vertices or weights from 2^31.
        """
        columns = [np.ascontiguousarray(np.atleast_1d(x), np.uint32) for x in (sources, targets)]
        columns.append(np.ascontiguousarray(np.atleast_1d(weights), np.uint32))
        count = len(columns[0])
        if any(x.shape != (count,) for x in columns):
            raise InvalidError(f"want equal lengths, got {[x.shape for x in columns]}")
        values = np.empty(count, np.uint64)
        pointers = [ffi.from_buffer("uint32_t[]", x) for x in columns]
        out = ffi.from_buffer("uint64_t[]", values)
        status = lib.ql_dynamic_update(self._handle, *pointers, count, out, self._done)
        check(status, f"change {count} edges, {self._done[0]} done")
        return values

    @property
    def value(self) -> int:
        """The weight of the minimum cut now."""
        check(lib.ql_dynamic_cut(self._handle, self._value, ffi.NULL, self._stats), "cut")
        return int(self._value[0])

    @property
    def stats(self) -> DynamicStats:
        """Counters since the start."""
        check(lib.ql_dynamic_cut(self._handle, self._value, ffi.NULL, self._stats), "cut")
        s = self._stats
        return DynamicStats(int(s.flows), int(s.recomputes), int(s.changes), int(s.edges))

    def side(self) -> NDArray[np.bool_]:
        """One side of a minimum cut, (n,) bool."""
        side = np.zeros(self._n, np.uint8)
        buffer = ffi.from_buffer("uint8_t[]", side)
        check(lib.ql_dynamic_cut(self._handle, self._value, buffer, self._stats), "cut")
        return side.view(np.bool_)

    def verify(self) -> None:
        """Add up all degrees and known cuts anew; CorruptError if one differs.  Cost: O(m)."""
        check(lib.ql_dynamic_check(self._handle), "verify the sums of a changing graph")
