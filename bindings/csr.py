"""Plain undirected graphs for the C core: rows of targets, checked once, shared without copies."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .status import check

Weights = NDArray[Any]  # uint32 or float32


class Csr:
    """A graph as compressed rows, with weights or all ones; undirected unless said otherwise.

    offsets (n + 1,) uint64, targets (arcs,) uint32, weights (arcs,) uint32 or float32: contiguous,
    and not to be changed while the graph lives.
    Raises InvalidError if rows leave the arrays, or an undirected arc lacks its reverse.
    Cost: O(n + m).
    """

    def __init__(
        self,
        offsets: NDArray[np.uint64],
        targets: NDArray[np.uint32],
        weights: Weights | None = None,
        *,
        directed: bool = False,
    ) -> None:
        if offsets.ndim != 1 or len(offsets) == 0:
            raise InvalidError(f"want offsets (n + 1,), got {offsets.shape}")
        if weights is not None and weights.shape != targets.shape:
            raise InvalidError(f"want weights {targets.shape}, got {weights.shape}")
        self.offsets = np.ascontiguousarray(offsets, np.uint64)
        self.targets = np.ascontiguousarray(targets, np.uint32)
        self.weights = _weights(weights)
        self.n = len(self.offsets) - 1
        self._struct = ffi.new("ql_csr *")
        self._struct.n = self.n
        self._struct.offsets = self._offsets = ffi.from_buffer("uint64_t[]", self.offsets)
        self._struct.targets = self._targets = ffi.from_buffer("uint32_t[]", self.targets)
        symmetric, ordered = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        column = ffi.NULL if self.weights is None else ffi.from_buffer(self.weights)
        status = lib.ql_csr_check(self._struct, len(self.targets), column, symmetric, ordered)
        check(status, f"read a graph of {self.n} rows and {len(self.targets)} arcs")
        if not symmetric[0] and not directed:
            raise InvalidError("want an undirected graph: each arc with its reverse, equal weights")
        self.ordered = bool(ordered[0])
        self.symmetric = bool(symmetric[0])

    @property
    def arcs(self) -> int:
        """Stored arcs: twice the edges."""
        return len(self.targets)

    @property
    def struct(self) -> Any:
        """The ql_csr of an undirected graph; valid while this object lives."""
        if not self.symmetric:
            raise InvalidError("want an undirected graph, got a directed one")
        return self._struct

    @property
    def rows(self) -> Any:
        """The ql_csr of any graph; valid while this object lives."""
        return self._struct

    def integers(self) -> Any:
        """The weights as C integers, or NULL for ones; InvalidError if they are floats."""
        return self._column(np.uint32, "uint32_t[]")

    def floats(self) -> Any:
        """The weights as C floats, or NULL for ones; InvalidError if they are integers."""
        return self._column(np.float32, "float[]")

    def _column(self, kind: type[np.generic], name: str) -> Any:
        if self.weights is None:
            return ffi.NULL
        if self.weights.dtype != kind:
            raise InvalidError(f"want {kind.__name__} weights, got {self.weights.dtype}")
        return ffi.from_buffer(name, self.weights)


def _weights(weights: Weights | None) -> Weights | None:
    if weights is None:
        return None
    if weights.dtype not in (np.uint32, np.float32):
        raise InvalidError(f"want uint32 or float32 weights, got {weights.dtype}")
    if weights.dtype == np.float32 and not (np.isfinite(weights).all() and (weights > 0).all()):
        raise InvalidError("want finite weights above 0")
    return weights if weights.flags.c_contiguous else weights.copy()


def build(
    n: int,
    sources: NDArray[np.uint32],
    targets: NDArray[np.uint32],
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.float64]]:
    """Make sorted undirected rows from edges: offsets, targets and summed weights.

    Loops are dropped; parallel edges and both directions add up.  Cost: O(n + m).
    """
    sources = np.ascontiguousarray(sources, np.uint32)
    targets = np.ascontiguousarray(targets, np.uint32)
    m = len(sources)
    if targets.shape != (m,) or (weights is not None and weights.shape != (m,)):
        raise InvalidError(f"want {m} targets and weights, got {targets.shape}")
    offsets = np.empty(n + 1, np.uint64)
    heads = np.empty(2 * m + 1, np.uint32)
    sums = np.empty(2 * m + 1, np.float64)
    column = ffi.NULL
    if weights is not None:
        column = ffi.from_buffer("double[]", np.ascontiguousarray(weights, np.float64))
    status = lib.ql_csr_build(
        n,
        ffi.from_buffer("uint32_t[]", sources),
        ffi.from_buffer("uint32_t[]", targets),
        column,
        m,
        ffi.from_buffer("uint64_t[]", offsets),
        ffi.from_buffer("uint32_t[]", heads),
        ffi.from_buffer("double[]", sums),
    )
    check(status, f"build a graph of {n} rows from {m} edges")
    arcs = int(offsets[n])
    return offsets, heads[:arcs].copy(), sums[:arcs].copy()
