"""Does a network hold together? Signals that mean something on knowledge graphs.

The minimum cut of a raw knowledge graph is one leaf: of WordNet's bridges, nine in ten cut off a
single concept.  So trees of degree-1 nodes are pruned first, conductance is read at fixed volumes
and never below a floor, and seeds are asked how strongly they hold each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bindings.components import components
from .bindings.conductance import Sweep, spectral_gap, sweep
from .bindings.csr import Csr
from .bindings.cut import global_cut
from .bindings.flow import Flow
from .bindings.measures import core_numbers, strengths
from .cutting import Network, network, side_of
from .errors import InvalidError
from .matched import z_score

FLOOR = 10
"""Smaller sets around a seed say little: on knowledge graphs the best of all has two nodes."""


@dataclass(frozen=True)
class Coherence:
    """How a network holds together around some seeds.

    components: parts that share no edge.  edge_connectivity: the lightest cut after degree-1 trees
    are pruned, 0 with several components, None for a tree.  trivial: whether that cut takes off one
    node.  shared: the weight of the lightest cut between any two seeds; core: the largest k such
    that all seeds lie in one k-edge-connected part, at most `shared` for two or more.
    conductance: of the seeds as a set; z: by how many standard deviations it is lower than that of
    random sets with the same degrees.  best: the lowest conductance of a sweep from the seeds at
    or above the floor; improved: the same after MQI, if that stays above the floor.
    profile: (volume, conductance) pairs, the lowest within each power of two.  gap: lambda2;
    gap / 2 <= conductance of the best set of all <= sqrt(2 * gap).
    """

    components: int
    edge_connectivity: float | None
    trivial: bool
    shared: float
    core: float
    conductance: float
    z: float
    best: float
    improved: float
    profile: tuple[tuple[int, float], ...]
    gap: float


def coherence(net: Network, seeds: ArrayLike, *, epsilon: float = 1e-4) -> Coherence:
    """The signals for a network and some of its nodes; about 50 ms for 50,000 arcs.

    Raises InvalidError for no seeds or seeds outside the network.
    """
    places = net.positions(seeds)
    if len(places) == 0:
        raise InvalidError("want at least one seed")
    weighted = Csr(net.graph.offsets, net.graph.targets, net.strengths.astype(np.float32))
    connectivity, trivial = pruned_connectivity(net)
    around = sweep(weighted, places, epsilon=epsilon)
    total = float(strengths(weighted).sum())
    best = best_prefix(around, total)
    cleaned = improve(weighted, around.vertices[:best]) if best else around.vertices[:0]
    lowest = float(around.conductances[best - 1]) if best else 1.0

    def held(rows: NDArray[np.uint32]) -> NDArray[np.float64]:
        return -set_conductances(weighted, rows, total)

    return Coherence(
        components=components(net.graph)[0],
        edge_connectivity=connectivity,
        trivial=trivial,
        shared=shared_connectivity(net, places),
        core=shared_core(net, places),
        conductance=set_conductance(weighted, places, total),
        z=z_score(held, weighted, places),
        best=lowest,
        improved=set_conductance(weighted, cleaned, total) if len(cleaned) >= FLOOR else lowest,
        profile=profile(around),
        gap=spectral_gap(weighted) if net.graph.n > 1 else 0.0,
    )


def pruned_connectivity(net: Network) -> tuple[float | None, bool]:
    """The lightest cut of the 2-core and whether it takes off one node; None without a 2-core."""
    graph = net.graph
    if components(graph)[0] > 1:
        return 0.0, False
    kept = core_numbers(graph) >= 2
    if not kept.any():
        return None, False
    cut = global_cut(among(graph, kept))
    return cut.value * net.quantum, int(cut.side.sum()) == 1


def among(graph: Csr, kept: NDArray[np.bool_]) -> Csr:
    """The graph among some of its vertices, numbered anew in their order."""
    if kept.all():
        return graph
    number = (np.cumsum(kept) - 1).astype(np.uint32)
    arcs = np.repeat(kept, np.diff(graph.offsets).astype(np.int64)) & kept[graph.targets]
    before = np.concatenate([[0], np.cumsum(arcs)]).astype(np.uint64)
    rows = before[np.append(graph.offsets[:-1][kept], graph.offsets[-1])]
    weights = None if graph.weights is None else graph.weights[arcs]
    return Csr(rows, number[graph.targets[arcs]], weights)


def shared_connectivity(net: Network, places: NDArray[np.uint32]) -> float:
    """The weight of the lightest cut between any two of these positions; infinite for one.

    A cut between two of them separates the first from one of the two: one flow each is enough.
    """
    flow = Flow(net.graph)
    values = [flow.cut(places[0], other).value for other in places[1:]]
    return min(values) * net.quantum if values else float("inf")


def shared_core(net: Network, places: NDArray[np.uint32]) -> float:
    """The largest k such that a k-edge-connected part of the network holds all these positions.

    A part is the network among some nodes.  One that holds all the seeds and hangs together more
    strongly than the lightest cut lies on one side of it, and has no node lighter than that: what
    cannot belong to a better part goes, until a seed does.  Source: Gibb et al. 1972 (k-core by
    peeling); Chang et al. 2013 (decomposition by cuts).  Cost: a minimum cut per round.
    """
    best = 0
    graph, seeds = net.graph, places.astype(np.int64)
    while True:
        inside = strengths(graph) > best
        if inside.all():
            labels = components(graph)[1]
            inside = labels == labels[seeds[0]]
        if inside.all():
            if graph.n < 2:
                return best * net.quantum
            cut = global_cut(graph)
            best = max(best, cut.value)
            inside = cut.side == cut.side[seeds[0]]
        if not inside[seeds].all():
            return best * net.quantum
        graph, seeds = among(graph, inside), (np.cumsum(inside) - 1)[seeds]


def improve(graph: Csr, places: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The subset with the least weight across per volume, by maximum flows: MQI.

    A subset S beats the ratio c / v of the set exactly if it makes the cut of a small network
    cheaper: source to node with c * degree, node to sink with v * its weight to the outside, and
    v * weight between nodes.  Repeated until none does.  Meant for sets of at most half the volume.
    Exact while those products fit 31 bits, else to their 31 leading bits, and never worse.
    Source: Lang and Rao 2004.  Cost: a flow on the set per improvement, rarely more than five.
    """
    places = np.asarray(places, np.uint32)
    while len(places) > 1:
        tails, heads, weights = rows_of(graph, places)
        inner = np.isin(heads, places)
        volume, across = float(weights.sum()), float(weights[~inner].sum())
        if across == 0:
            break
        order = np.argsort(places)
        n = len(places)
        number = order[np.searchsorted(places, heads[inner], sorter=order)]
        own = np.bincount(tails, weights, minlength=n) * across
        out = np.bincount(tails[~inner], weights[~inner], minlength=n) * volume
        once = tails[inner] < number
        ends = [
            (np.full(n, n), np.arange(n), own),
            (np.arange(n), np.full(n, n + 1), out),
            (tails[inner][once], number[once], weights[inner][once] * volume),
        ]
        sources, targets, sums = (np.concatenate(column) for column in zip(*ends, strict=True))
        used = sums > 0
        flows = network(sources[used], targets[used], sums[used], np.arange(n + 2))
        better = places[side_of(flows, Flow(flows.graph).cut([n], [n + 1]))[:n]]
        if len(better) == 0 or quotient(graph, better) >= across / volume:
            break
        places = better
    return places


def quotient(graph: Csr, places: NDArray[np.uint32]) -> float:
    """Weight across over the volume of these positions; 1 without volume."""
    _, heads, weights = rows_of(graph, places)
    volume = float(weights.sum())
    return float(weights[~np.isin(heads, places)].sum()) / volume if volume > 0 else 1.0


def set_conductance(graph: Csr, places: NDArray[np.uint32], total: float) -> float:
    """Weight across over the smaller volume, of `total`; 1 where a side has none."""
    return float(set_conductances(graph, places[None], total)[0])


def set_conductances(graph: Csr, sets: NDArray[np.uint32], total: float) -> NDArray[np.float64]:
    """`set_conductance` of each row of sets (s, k) -> (s,)."""
    count, k = sets.shape
    tails, heads, weights = rows_of(graph, sets.ravel())
    rows = tails // k
    inside = np.zeros((count, graph.n), np.bool_)
    inside[np.arange(count)[:, None], sets] = True
    volumes = np.bincount(rows, weights, minlength=count)
    across = np.bincount(rows, np.where(inside[rows, heads], 0, weights), minlength=count)
    smaller = np.minimum(volumes, total - volumes)
    return np.where(smaller > 0, across / np.where(smaller > 0, smaller, 1), 1.0)


def rows_of(
    graph: Csr, places: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float64]]:
    """The arcs that leave these positions: which of them, to what, and how heavy."""
    begins = graph.offsets[places].astype(np.int64)
    lengths = graph.offsets[places + np.uint32(1)].astype(np.int64) - begins
    tails = np.repeat(np.arange(len(places)), lengths)
    arcs = np.repeat(begins - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    weights = np.ones(len(arcs)) if graph.weights is None else graph.weights[arcs]
    return tails, graph.targets[arcs], weights.astype(np.float64)


def best_prefix(around: Sweep, volume: float, floor: int = FLOOR) -> int:
    """How many nodes the prefix of lowest conductance has, of those with at least `floor` nodes
    and at most half the volume; 0 if there is none."""
    sizes = np.arange(1, len(around.vertices) + 1)
    allowed = (sizes >= floor) & (around.volumes <= volume / 2)
    if not allowed.any():
        return 0
    return int(np.argmin(np.where(allowed, around.conductances, np.inf))) + 1


def profile(around: Sweep) -> tuple[tuple[int, float], ...]:
    """The lowest conductance among prefixes of volume 2^k .. 2^(k + 1), from 2^4 on."""
    powers = np.floor(np.log2(np.maximum(around.volumes, 1e-9))).astype(int)
    return tuple(
        (2**k, float(around.conductances[powers == k].min()))
        for k in range(4, 64)
        if (powers == k).any()
    )
