"""Communities of a graph, over csrc/communities.c."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._core import ffi, lib
from .csr import Csr
from .status import check


class Communities(NamedTuple):
    """Labels (n,) numbered in order of their smallest vertices, and how many there are."""

    labels: NDArray[np.uint32]
    groups: int
    quality: float


def leiden(
    graph: Csr, *, resolution: float = 1.0, iterations: int = 2, seed: int = 0
) -> Communities:
    """Communities of high modularity (the quality), each connected.

    resolution above 0: higher gives smaller ones.  iterations 0: until nothing changes.
    """
    labels = np.empty(graph.n, np.uint32)
    count, quality = ffi.new("uint32_t *"), ffi.new("double *")
    status = lib.ql_leiden(
        graph.struct,
        graph.floats(),
        resolution,
        iterations,
        seed & 0xFFFFFFFF,
        ffi.from_buffer("uint32_t[]", labels),
        count,
        quality,
        ffi.new("ql_cost *"),
    )
    check(status, f"find communities of {graph.n} vertices at resolution {resolution}")
    return Communities(labels, int(count[0]), float(quality[0]))


def label_propagation(
    graph: Csr, *, sweeps_max: int = 100, seed: int = 0
) -> tuple[NDArray[np.uint32], int]:
    """Communities by spreading labels (n,), and how many: faster and coarser than Leiden."""
    labels = np.empty(graph.n, np.uint32)
    count, sweeps = ffi.new("uint32_t *"), ffi.new("uint32_t *")
    buffer = ffi.from_buffer("uint32_t[]", labels)
    status = lib.ql_label_propagation(
        graph.struct,
        graph.floats(),
        sweeps_max,
        seed & 0xFFFFFFFF,
        buffer,
        count,
        sweeps,
        ffi.new("ql_cost *"),
    )
    check(status, f"spread labels over {graph.n} vertices")
    return labels, int(count[0])
