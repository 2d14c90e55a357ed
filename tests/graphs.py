"""Random graphs that the tests of graph algorithms share, all seeded."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from quillian.bindings.csr import Csr, build


class Edges(NamedTuple):
    """Merged undirected edges of a Csr, each once, source below target."""

    sources: NDArray[np.uint32]
    targets: NDArray[np.uint32]
    weights: NDArray[np.uint32]

    def pairs(self) -> list[tuple[int, int]]:
        return list(zip(self.sources.tolist(), self.targets.tolist(), strict=True))


def edges_of(graph: Csr) -> Edges:
    sources = np.repeat(np.arange(graph.n, dtype=np.uint32), np.diff(graph.offsets).astype(int))
    once = sources < graph.targets
    weights = graph.weights if graph.weights is not None else np.ones(graph.arcs, np.uint32)
    return Edges(sources[once], graph.targets[once], weights[once].astype(np.uint32))


def graph_of(n: int, pairs: list[tuple[int, int]], weights: list[int] | None = None) -> Csr:
    ends = np.array(pairs, np.uint32).reshape(-1, 2)
    values = None if weights is None else np.array(weights, np.float64)
    offsets, targets, sums = build(n, ends[:, 0].copy(), ends[:, 1].copy(), values)
    return Csr(offsets, targets, sums.astype(np.uint32))


def random_graph(rng: np.random.Generator, n_max: int = 14, weight_max: int | None = None) -> Csr:
    """A small graph: sparse to dense, light to heavy weights, sometimes not connected."""
    n = int(rng.integers(2, n_max))
    m = int(rng.integers(n - 1, 3 * n + 2))
    heaviest = weight_max or int(rng.choice([1, 2, 4, 300, 100_000, 2**28]))
    ends = rng.integers(0, n, (2, m)).astype(np.uint32)
    weights = rng.integers(1, heaviest + 1, m).astype(np.float64)
    offsets, targets, sums = build(n, ends[0], ends[1], weights)
    return Csr(offsets, targets, np.minimum(sums, 2**32 - 1).astype(np.uint32))


def ring_of_communities(rng: np.random.Generator, communities: int, size: int) -> Csr:
    """Dense groups in a circle, two edges between neighbours: cuts that are not one vertex."""
    starts = np.repeat(np.arange(communities), size * 5) * size
    inner = starts + rng.integers(0, size, (2, len(starts)))
    firsts = np.repeat(np.arange(communities), 2)
    outer = rng.integers(0, size, (2, len(firsts)))
    outer += np.stack([firsts, (firsts + 1) % communities]) * size
    ends = np.concatenate([inner, outer], axis=1).astype(np.uint32)
    offsets, targets, sums = build(communities * size, ends[0].copy(), ends[1].copy())
    return Csr(offsets, targets, sums.astype(np.uint32))
