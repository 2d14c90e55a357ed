"""Local sweeps and the spectral gap, over csrc/conductance.c."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .csr import Csr
from .measures import strengths
from .status import check

Float64 = NDArray[np.float64]


class Sweep(NamedTuple):
    """Vertices around the seeds in sweep order, their mass, and each prefix's volume and phi."""

    vertices: NDArray[np.uint32]
    scores: Float64
    volumes: Float64
    conductances: Float64
    edges: int


def sweep(graph: Csr, seeds: ArrayLike, *, alpha: float = 0.15, epsilon: float = 1e-4) -> Sweep:
    """Spread mass from the seeds until residuals fall below epsilon * strength, and sweep it.

    Weights are float32 or none.  Cost: about 1 / (alpha * epsilon) arcs, however large the graph.
    """
    starts = np.ascontiguousarray(np.atleast_1d(np.asarray(seeds)), np.uint32)
    if starts.ndim != 1:
        raise InvalidError(f"want seeds (k,), got {starts.shape}")
    sums = None if graph.weights is None else strengths(graph)
    volume = float(graph.arcs if sums is None else sums.sum())
    vertices, columns = np.empty(graph.n, np.uint32), np.empty((3, graph.n))
    count, cost = ffi.new("uint32_t *"), ffi.new("ql_cost *")
    status = lib.ql_conductance_sweep(
        graph.struct,
        graph.floats(),
        ffi.NULL if sums is None else ffi.from_buffer("double[]", sums),
        volume,
        ffi.from_buffer("uint32_t[]", starts),
        len(starts),
        alpha,
        epsilon,
        ffi.from_buffer("uint32_t[]", vertices),
        *(ffi.from_buffer("double[]", column) for column in columns),
        count,
        cost,
    )
    check(status, f"sweep around {len(starts)} seeds, alpha {alpha}, epsilon {epsilon}")
    kept = slice(int(count[0]))
    scores, volumes, conductances = (column[kept].copy() for column in columns)
    return Sweep(vertices[kept].copy(), scores, volumes, conductances, int(cost.edges))


def spectral_gap(graph: Csr, *, steps: int = 30, seed: int = 0) -> float:
    """lambda2 of the normalised Laplacian, from above: 0 when the graph falls apart.

    lambda2 / 2 <= conductance of the best set <= sqrt(2 * lambda2) (Cheeger).
    """
    value = ffi.new("double *")
    status = lib.ql_spectral_gap(
        graph.struct, graph.floats(), steps, seed & 0xFFFFFFFF, value, ffi.new("ql_cost *")
    )
    check(status, f"find the spectral gap of {graph.n} vertices in {steps} steps")
    return float(value[0])
