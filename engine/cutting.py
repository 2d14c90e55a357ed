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
from .bindings.edges import Edges
from .bindings.flow import Flow, FlowCut
from .bindings.graph_view import GraphView
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
    given; quantum: what one unit of the integer weights is worth.
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
    fractions are exact, anything else keeps 31 bits.
    """
    if len(weights) == 0:
        return np.empty(0, np.uint32), 1.0
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise InvalidError("want finite weights above 0")
    unit = float(2.0 ** (np.frexp(weights.max())[1] - 31))
    units = np.clip(np.rint(weights / unit), 1, 2**31 - 1).astype(np.uint64)
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


def network_of(
    graph: GraphView, nodes: ArrayLike | None = None, types: list[int] | None = None
) -> Network:
    """The network of the associations between some concepts, or of all that have any.

    Both directions and all types of a pair add up.  Associations of weight 0 or less hold nothing
    together and are left out.  Cost: the associations that leave `nodes`, or all of them.
    """
    edges: Edges
    if nodes is None:
        edges = graph.edges()
    else:
        edges = graph.neighbours(np.unique(np.asarray(nodes, np.uint64)), types=types)[0]
    kept = edges["weight"] > 0
    if types is not None and nodes is None:
        kept &= np.isin(edges["type"], types)
    edges = edges[kept]
    return network(edges["source"], edges["target"], edges["weight"], nodes)


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


def lightest_cut(net: Network, source: int | None = None, target: int | None = None) -> Cut:
    """The cut between two nodes, or with neither given the lightest of all."""
    if source is None and target is None:
        return min_cut(net)
    if source is None or target is None:
        raise InvalidError("want a source and a target, or neither")
    return cut_between(net, [source], [target])


def cut_between(net: Network, sources: ArrayLike, targets: ArrayLike) -> Cut:
    """The lightest cut between two disjoint groups of node numbers; its side is the smaller one.

    Raises InvalidError if a group is empty, shares a node with the other or leaves the network.
    """
    found = Flow(net.graph).cut(net.positions(sources), net.positions(targets))
    return cut_of(net, side_of(net, found))


def side_of(net: Network, found: FlowCut) -> NDArray[np.bool_]:
    """The sources' side of a cut, as positions (n,) bool."""
    side = np.zeros(net.graph.n, np.bool_)
    side[found.members] = True
    return side if found.source_side else ~side


def tie(net: Network, first: ArrayLike, second: ArrayLike) -> float:
    """How strongly two groups hold together, in [0, 1].

    The weight of their minimum cut over the weight at the lighter group's nodes: 1 when every
    association of the lighter group leads to the other one, 0 when no path does.
    """
    groups = net.positions(first), net.positions(second)
    strengths = np.concatenate([[0.0], np.cumsum(net.strengths)])
    begins, ends = strengths[net.graph.offsets[:-1]], strengths[net.graph.offsets[1:]]
    lighter = min(float((ends - begins)[group].sum()) for group in groups)
    if lighter == 0:
        return 0.0
    value = Flow(net.graph).cut(*groups).value * net.quantum
    return min(value / lighter, 1.0)


def cut_tree(net: Network, nodes: ArrayLike) -> list[tuple[int, int, float]]:
    """A Gomory-Hu tree of some nodes: edges (node, parent, weight), one per node but the first.

    The lightest edge on the path between two nodes weighs what their minimum cut does.
    Cost: one flow per node; meant for up to a few thousand of them.
    """
    terminals = net.positions(nodes)
    parents, weights = Flow(net.graph).tree(terminals)
    numbers = net.nodes[terminals].tolist()
    return [
        (numbers[i], numbers[parent], weight * net.quantum)
        for i, (parent, weight) in enumerate(zip(parents.tolist(), weights.tolist(), strict=True))
        if i
    ]
