"""engine/coherence.py: each signal by hand or against networkx."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from quillian.bindings.csr import Csr
from quillian.coherence import (
    coherence,
    improve,
    pruned_connectivity,
    quotient,
    set_conductance,
    set_conductances,
    shared_connectivity,
    shared_core,
)
from quillian.cutting import Network, network
from quillian.errors import InvalidError


def net_of(graph: nx.Graph) -> Network:
    edges = list(graph.edges(data="weight", default=1.0))
    columns = zip(*edges, strict=True)
    return network(*(list(column) for column in columns), nodes=list(graph))


def test_leaves_do_not_count() -> None:
    graph = nx.barbell_graph(5, 0)
    graph.add_edges_from((0, 100 + i) for i in range(3))
    graph.add_edge(101, 200)
    signals = coherence(net_of(graph), [1, 2])
    assert (signals.components, signals.edge_connectivity, signals.trivial) == (1, 1.0, False)


def test_pruned_connectivity_equals_networkx() -> None:
    compared = 0
    for seed in range(40):
        graph = nx.gnp_random_graph(20, 0.15, seed=seed)
        core = nx.k_core(graph, 2)
        if nx.is_connected(graph) and len(core) > 2:
            compared += 1
            expected = nx.stoer_wagner(core)[0]
            assert pruned_connectivity(net_of(graph))[0] == expected
    assert compared > 5


def test_trees_and_parts() -> None:
    assert pruned_connectivity(net_of(nx.path_graph(5))) == (None, False)
    parts = nx.disjoint_union(nx.cycle_graph(4), nx.cycle_graph(3))
    signals = coherence(net_of(parts), [0, 4])
    assert (signals.components, signals.edge_connectivity, signals.shared) == (2, 0.0, 0.0)
    assert signals.gap == pytest.approx(0, abs=1e-9)


def test_shared_is_the_lightest_cut_between_two_seeds() -> None:
    rng = np.random.default_rng(1)
    for seed in range(15):
        graph = nx.gnp_random_graph(16, 0.3, seed=seed)
        for _, _, data in graph.edges(data=True):
            data["weight"] = float(rng.integers(1, 9))
        net = net_of(graph)
        chosen = [0, 3, 7, 12]
        expected = min(
            nx.minimum_cut_value(graph, a, b, capacity="weight")
            for a in chosen
            for b in chosen
            if a < b
        )
        assert shared_connectivity(net, net.positions(chosen)) == expected


def test_conductance_equals_networkx() -> None:
    graph = nx.gnp_random_graph(30, 0.2, seed=2)
    net = net_of(graph)
    plain = Csr(net.graph.offsets, net.graph.targets)
    for size in (1, 5, 15):
        found = set_conductance(plain, np.arange(size, dtype=np.uint32), plain.arcs)
        assert found == pytest.approx(nx.conductance(graph, range(size)))
    rng = np.random.default_rng(0)
    sets = np.stack([rng.permutation(30)[:4] for _ in range(20)]).astype(np.uint32)
    expected = [nx.conductance(graph, row) for row in sets.tolist()]
    assert set_conductances(plain, sets, plain.arcs) == pytest.approx(expected)


def test_a_community_has_a_low_best_and_the_gap_brackets_it() -> None:
    graph = nx.ring_of_cliques(8, 14)
    signals = coherence(net_of(graph), [3, 5])
    assert signals.best == pytest.approx(2 / (14 * 13 + 2))
    assert signals.gap / 2 <= signals.best
    assert signals.conductance > 0.8
    assert signals.core == signals.shared == 13
    assert signals.improved <= signals.best
    assert min(phi for _, phi in signals.profile) == signals.best


def test_seeds_are_wanted_and_known() -> None:
    net = net_of(nx.cycle_graph(4))
    with pytest.raises(InvalidError):
        coherence(net, [])
    with pytest.raises(InvalidError):
        coherence(net, [9])
    assert coherence(net, [1]).shared == float("inf")


def weighted_graph(n: int, p: float, seed: int) -> nx.Graph:
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(n, p, seed=seed)
    for _, _, data in graph.edges(data=True):
        data["weight"] = float(rng.integers(1, 5))
    return graph


def strongest_part(graph: nx.Graph, seeds: set[int]) -> float:
    """By trying every set of nodes that holds the seeds."""
    rest = sorted(set(graph) - seeds)
    best = 0.0
    for size in range(len(rest) + 1):
        for more in combinations(rest, size):
            part = graph.subgraph(seeds | set(more))
            if len(part) > 1 and nx.is_connected(part):
                best = max(best, nx.stoer_wagner(part)[0])
    return best


def test_shared_core_equals_the_best_of_all_parts() -> None:
    values = set()
    for seed in range(12):
        graph = weighted_graph(8, 0.45, seed)
        net = net_of(graph)
        for seeds in ({0, 3}, {1, 2, 6}, {5}):
            found = shared_core(net, net.positions(sorted(seeds)))
            assert found == strongest_part(graph, seeds)
            if len(seeds) > 1:
                assert found <= shared_connectivity(net, net.positions(sorted(seeds)))
            values.add(found)
    assert len(values) > 4


def test_improve_equals_the_best_of_all_subsets() -> None:
    smaller = 0
    for seed in range(30):
        graph = weighted_graph(14, 0.25, seed)
        net = net_of(graph)
        plain = Csr(net.graph.offsets, net.graph.targets, net.strengths.astype(np.float32))
        places = np.random.default_rng(seed).permutation(14)[:7].astype(np.uint32)
        found = improve(plain, places)
        assert np.isin(found, places).all()
        best = min(
            quotient(plain, np.array(some, np.uint32))
            for size in range(1, 8)
            for some in combinations(places.tolist(), size)
        )
        assert quotient(plain, found) == pytest.approx(best)
        smaller += len(found) < len(places)
    assert smaller > 10
