"""csrc/communities.c: modularity as networkx counts it, quality beside igraph, connected groups."""

import igraph
import networkx as nx
import numpy as np
import pytest
from graphs import edges_of, graph_of, random_graph, ring_of_communities
from quillian.bindings._core import lib
from quillian.bindings.communities import label_propagation, leiden
from quillian.bindings.csr import Csr
from quillian.errors import InvalidError, OutOfMemoryError


def floats(graph: Csr) -> Csr:
    return Csr(graph.offsets, graph.targets, graph.weights.astype(np.float32))


def oracle_of(graph: Csr) -> nx.Graph:
    oracle = nx.Graph()
    oracle.add_nodes_from(range(graph.n))
    oracle.add_weighted_edges_from(zip(*(x.tolist() for x in edges_of(graph)), strict=True))
    return oracle


def groups_of(labels: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(labels == i).tolist()) for i in range(int(labels.max()) + 1)]


@pytest.mark.parametrize("resolution", [0.5, 1.0, 2.0])
def test_quality_is_the_modularity_that_networkx_counts(resolution: float) -> None:
    rng = np.random.default_rng(50)
    for i in range(60):
        graph = random_graph(rng, 40, 9)
        if graph.arcs == 0:
            continue
        found = leiden(floats(graph), resolution=resolution, seed=i)
        groups = groups_of(found.labels)
        assert len(groups) == found.groups
        expected = nx.community.modularity(oracle_of(graph), groups, resolution=resolution)
        assert found.quality == pytest.approx(expected, abs=1e-9)


def test_communities_are_connected_and_numbered_by_smallest_vertex() -> None:
    rng = np.random.default_rng(51)
    for i in range(60):
        graph = random_graph(rng, 60, 3)
        oracle = oracle_of(graph)
        groups = groups_of(leiden(floats(graph), seed=i).labels)
        assert all(nx.is_connected(oracle.subgraph(group)) for group in groups)
        assert [min(x) for x in groups] == sorted(min(x) for x in groups)


def test_quality_is_that_of_igraph() -> None:
    rng = np.random.default_rng(52)
    ours, theirs = [], []
    for i in range(12):
        graph = ring_of_communities(rng, 8, 20) if i % 2 else random_graph(rng, 120, 5)
        edges = edges_of(graph)
        oracle = igraph.Graph(graph.n, edges.pairs())
        weights = edges.weights.astype(float).tolist()
        result = oracle.community_leiden("modularity", weights=weights, n_iterations=2)
        theirs.append(oracle.modularity(result.membership, weights=weights))
        ours.append(leiden(floats(graph), seed=i).quality)
    assert np.mean(ours) > np.mean(theirs) - 0.01


def test_a_ring_of_communities_is_found_whole() -> None:
    graph = ring_of_communities(np.random.default_rng(53), 10, 30)
    expected = np.repeat(np.arange(10), 30)
    assert leiden(floats(graph), iterations=0).labels.tolist() == expected.tolist()
    labels, count = label_propagation(floats(graph), seed=1)
    assert count <= 12
    assert nx.community.modularity(oracle_of(graph), groups_of(labels)) > 0.8


def test_same_seed_same_answer() -> None:
    graph = floats(random_graph(np.random.default_rng(54), 200, 3))
    assert leiden(graph, seed=5).labels.tolist() == leiden(graph, seed=5).labels.tolist()
    first, second = (label_propagation(graph, seed=5)[0].tolist() for _ in range(2))
    assert first == second


def test_propagated_labels_stay_inside_components() -> None:
    graph = graph_of(6, [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)])
    assert label_propagation(floats(graph))[0].tolist() == [0, 0, 0, 1, 1, 1]


def test_vertices_without_edges_stay_alone() -> None:
    graph = Csr(np.zeros(4, np.uint64), np.zeros(0, np.uint32))
    found = leiden(graph)
    assert (found.labels.tolist(), found.groups, found.quality) == ([0, 1, 2], 3, 0.0)
    with pytest.raises(InvalidError):
        leiden(graph, resolution=0)


@pytest.mark.parametrize("method", [leiden, label_propagation])
def test_each_failed_allocation_is_reported(method) -> None:
    graph = floats(ring_of_communities(np.random.default_rng(55), 6, 10))
    before = lib.ql_alloc_count()
    method(graph)
    for nth in range(1, lib.ql_alloc_count() - before + 1):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError):
            method(graph)
    lib.ql_alloc_fail_at(0)
