"""Exact minimum cuts of a weighted network: pure functions from edges to answers.

A network is plain data: node numbers and an undirected graph over their positions.  Weights
become integers first (`quantised`), because an exact algorithm needs exact sums; the value of a cut
is then added up again from the weights given.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bindings.csr import Csr, build
from .bindings.cut import global_cut
from .errors import InvalidError

UInt64 = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Cut:
    """A cut: its weight, the node numbers of the smaller side, the edges across it (k, 2)."""

    value: float
    side: UInt64
    edges: UInt64


@dataclass(frozen=True, eq=False)
class Network:
    """An undirected graph over node numbers.

    nodes (n,) ascending; graph: their positions, integer weights; strengths (arcs,): the weights
    given; quantum: what one unit of the integer weights is worth (0.5 ulp of the largest is lost).
    """

    nodes: UInt64
    graph: Csr
    strengths: NDArray[np.float64]
    quantum: float

    def positions(self, nodes: ArrayLike) -> NDArray[np.uint32]:
        """Where node numbers stand; InvalidError if one is not in the network."""
        wanted = np.unique(np.asarray(nodes, np.uint64))
        found = np.searchsorted(self.nodes, wanted)
        inside = found < len(self.nodes)
        inside[inside] = self.nodes[found[inside]] == wanted[inside]
        if not inside.all():
            raise InvalidError(f"want nodes of the network, got {wanted[~inside][:5].tolist()}")
        return found.astype(np.uint32)


def quantised(weights: NDArray[np.float64]) -> tuple[NDArray[np.uint32], float]:
    """Weights as integers of at least 1, and the worth of one unit.

    The unit is a power of two times the greatest common divisor: integers and short binary
    fractions are exact, anything else keeps 32 bits.
    """
    if len(weights) == 0:
        return np.empty(0, np.uint32), 1.0
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise InvalidError("want finite weights above 0")
    unit = float(2.0 ** (np.frexp(weights.max())[1] - 32))
    units = np.clip(np.rint(weights / unit), 1, 2**32 - 1).astype(np.uint64)
    divisor = int(np.gcd.reduce(units))
    return (units // divisor).astype(np.uint32), unit * divisor


def network(
    sources: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    nodes: ArrayLike | None = None,
) -> Network:
    """Make an undirected network of edges between node numbers.

    Loops are dropped, parallel edges and both directions add up.  nodes: all of them, when some
    may be without an edge; edges that leave it are dropped.  Cost: O(n + m) and a sort of numbers.
    """
    heads = np.asarray(sources, np.uint64)
    tails = np.asarray(targets, np.uint64)
    values = np.ones(len(heads)) if weights is None else np.asarray(weights, np.float64)
    if heads.shape != tails.shape or heads.shape != values.shape:
        raise InvalidError(f"want equal lengths, got {heads.shape} {tails.shape} {values.shape}")
    if nodes is None:
        numbers = np.unique(np.concatenate([heads, tails]))
    else:
        numbers = np.unique(np.asarray(nodes, np.uint64))
        inside = np.isin(heads, numbers) & np.isin(tails, numbers)
        heads, tails, values = heads[inside], tails[inside], values[inside]
    offsets, rows, sums = build(
        len(numbers),
        np.searchsorted(numbers, heads).astype(np.uint32),
        np.searchsorted(numbers, tails).astype(np.uint32),
        values,
    )
    units, quantum = quantised(sums)
    return Network(numbers, Csr(offsets, rows, units), sums, quantum)


def cut_of(net: Network, side: NDArray[np.bool_]) -> Cut:
    """The cut that a set of positions (n,) bool makes, given from its smaller side."""
    if 2 * int(side.sum()) > len(side):
        side = ~side
    graph = net.graph
    rows = np.flatnonzero(side)
    begins, ends = graph.offsets[rows].astype(np.int64), graph.offsets[rows + 1].astype(np.int64)
    arcs = np.repeat(ends - np.cumsum(ends - begins), ends - begins) + np.arange(
        int((ends - begins).sum())
    )
    origins = np.repeat(rows, ends - begins)
    across = ~side[graph.targets[arcs]]
    pairs = np.stack([origins[across], graph.targets[arcs[across]].astype(np.int64)], axis=1)
    return Cut(float(net.strengths[arcs[across]].sum()), net.nodes[rows], net.nodes[pairs])


def min_cut(net: Network, seed: int = 0) -> Cut:
    """The lightest cut of the whole network; value 0 if it is not connected.

    Exact for the integer weights of the network.  The minimum cut of a raw knowledge graph is
    usually one leaf: see `coherence.py` for what to show instead.
    Raises InvalidError for fewer than 2 nodes.
    """
    return cut_of(net, global_cut(net.graph, seed).side)
