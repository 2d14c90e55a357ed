"""csrc/cut.c against brute force, igraph and networkx."""

import igraph
import networkx as nx
import numpy as np
import pytest
from graphs import edges_of, graph_of, random_graph, ring_of_communities
from quillian.bindings._core import lib
from quillian.bindings.csr import Csr
from quillian.bindings.cut import GlobalCut, global_cut
from quillian.errors import InvalidError, OutOfMemoryError


def weight_across(graph: Csr, side: np.ndarray) -> int:
    edges = edges_of(graph)
    across = side[edges.sources] != side[edges.targets]
    return int(edges.weights[across].astype(np.uint64).sum())


def checked_cut(graph: Csr, seed: int = 0) -> GlobalCut:
    """A cut whose side was verified to be a proper one of that weight."""
    found = global_cut(graph, seed)
    assert 0 < found.side.sum() <= graph.n // 2
    assert weight_across(graph, found.side) == found.value
    return found


def brute_force(graph: Csr) -> int:
    sides = (np.arange(1, 2 ** (graph.n - 1))[:, None] >> np.arange(graph.n)) & 1
    edges = edges_of(graph)
    across = sides[:, edges.sources] != sides[:, edges.targets]
    return int((across * edges.weights.astype(np.uint64)).sum(axis=1).min())


def test_value_equals_brute_force() -> None:
    rng = np.random.default_rng(10)
    for i in range(400):
        graph = random_graph(rng, 9)
        assert checked_cut(graph, i).value == brute_force(graph)


def test_value_equals_igraph() -> None:
    rng = np.random.default_rng(11)
    for i in range(2500):
        graph = random_graph(rng, 18)
        edges = edges_of(graph)
        oracle = igraph.Graph(graph.n, edges.pairs())
        expected = oracle.mincut(capacity=edges.weights.astype(float).tolist()).value
        assert checked_cut(graph, i).value == expected


def test_value_equals_networkx() -> None:
    rng = np.random.default_rng(12)
    compared = 0
    for i in range(300):
        graph = random_graph(rng, 14)
        edges = edges_of(graph)
        oracle = nx.Graph()
        oracle.add_nodes_from(range(graph.n))
        oracle.add_weighted_edges_from(zip(*(x.tolist() for x in edges), strict=True))
        if nx.is_connected(oracle):
            compared += 1
            assert checked_cut(graph, i).value == nx.stoer_wagner(oracle)[0]
    assert compared > 100


def test_two_equal_edges_at_one_vertex_do_not_merge_both_neighbours() -> None:
    rng = np.random.default_rng(13)
    for i in range(600):  # Light weights make 2w == degree frequent.
        graph = random_graph(rng, 10, weight_max=2)
        assert checked_cut(graph, i).value == brute_force(graph)


def test_a_ring_of_communities_is_cut_between_communities() -> None:
    graph = ring_of_communities(np.random.default_rng(14), 60, 16)
    found = checked_cut(graph)
    edges = edges_of(graph)
    expected = igraph.Graph(graph.n, edges.pairs()).mincut(
        capacity=edges.weights.astype(float).tolist()
    )
    assert found.value == expected.value
    assert found.rounds <= 4  # Without the rule of equality: one round per handful of vertices.


def test_a_component_apart_is_a_cut_of_zero() -> None:
    found = global_cut(graph_of(5, [(0, 1), (1, 2), (3, 4)]))
    assert (found.value, found.side.tolist()) == (0, [False, False, False, True, True])


def test_heavy_weights_do_not_overflow() -> None:
    heavy = 2**32 - 1
    pairs = [(a, b) for a in range(6) for b in range(a)]
    found = checked_cut(graph_of(6, pairs, [heavy] * len(pairs)))
    assert found.value == 5 * heavy


def test_parallel_arcs_and_loops_are_allowed() -> None:
    offsets = np.array([0, 3, 6, 7], np.uint64)
    targets = np.array([1, 1, 0, 0, 0, 2, 1], np.uint32)
    found = global_cut(Csr(offsets, targets))
    assert (found.value, found.side.tolist()) == (1, [False, False, True])


def test_seeds_agree_on_the_value() -> None:
    graph = ring_of_communities(np.random.default_rng(15), 20, 12)
    assert len({checked_cut(graph, seed).value for seed in range(20)}) == 1


def test_one_vertex_and_zero_weights_are_refused() -> None:
    with pytest.raises(InvalidError):
        global_cut(graph_of(1, []))
    offsets, targets = np.array([0, 1, 2], np.uint64), np.array([1, 0], np.uint32)
    with pytest.raises(InvalidError):
        global_cut(Csr(offsets, targets, np.zeros(2, np.uint32)))


def test_each_failed_allocation_is_reported_and_leaks_nothing() -> None:
    graph = ring_of_communities(np.random.default_rng(16), 10, 8)
    before = lib.ql_alloc_count()
    expected = global_cut(graph).value
    needed = lib.ql_alloc_count() - before
    assert needed > 10
    for nth in range(1, needed + 1):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError):
            global_cut(graph)
    lib.ql_alloc_fail_at(0)
    assert global_cut(graph).value == expected
