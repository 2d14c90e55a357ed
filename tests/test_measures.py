"""csrc/ranking.c, kcore.c and triangles.c against networkx and float64 power iteration."""

import networkx as nx
import numpy as np
import pytest
from graphs import edges_of, graph_of, random_graph, ring_of_communities
from quillian.bindings._core import lib
from quillian.bindings.csr import Csr
from quillian.bindings.measures import core_numbers, pagerank, strengths, triangles
from quillian.errors import InvalidError, OutOfMemoryError


def oracle_of(graph: Csr) -> nx.Graph:
    edges = edges_of(graph)
    oracle = nx.Graph()
    oracle.add_nodes_from(range(graph.n))
    oracle.add_weighted_edges_from(zip(*(x.tolist() for x in edges), strict=True))
    return oracle


def dense(graph: Csr) -> np.ndarray:
    matrix = np.zeros((graph.n, graph.n))
    sources = np.repeat(np.arange(graph.n), np.diff(graph.offsets).astype(int))
    matrix[sources, graph.targets] = 1 if graph.weights is None else graph.weights
    return matrix


def power_iteration(
    incoming: np.ndarray, start: np.ndarray, damping: float, steps: int = 2000
) -> np.ndarray:
    """ranks = (1 - d) start + d (A ranks / out + lost start), in float64, to the fixed point."""
    out = incoming.sum(axis=0)
    ranks = start.copy()
    for _ in range(steps):
        shares = np.divide(ranks, out, out=np.zeros_like(ranks), where=out > 0)
        lost = ranks[out == 0].sum()
        ranks = (1 - damping + damping * lost) * start + damping * (incoming @ shares)
    return ranks


@pytest.mark.parametrize("weighted", [False, True])
def test_pagerank_equals_power_iteration(weighted: bool) -> None:
    rng = np.random.default_rng(40)
    for _ in range(20):
        whole = random_graph(rng, 40, 9)
        weights = whole.weights.astype(np.float32) if weighted else None
        graph = Csr(whole.offsets, whole.targets, weights)
        found = pagerank(graph, tolerance=1e-7, iterations_max=500)
        expected = power_iteration(dense(graph), np.full(graph.n, 1 / graph.n), 0.85)
        assert found.converged
        assert np.abs(found.ranks - expected).sum() < 2e-6


def test_pagerank_follows_arcs_and_restarts_of_a_directed_graph() -> None:
    rng = np.random.default_rng(41)
    n = 30
    matrix = (rng.random((n, n)) < 0.1) * rng.integers(1, 5, (n, n))  # [target, source]
    np.fill_diagonal(matrix, 0)
    matrix[:, 3] = 0  # A vertex without a way out.
    rows, columns = np.nonzero(matrix)
    offsets = np.searchsorted(rows, np.arange(n + 1)).astype(np.uint64)
    values = matrix[rows, columns].astype(np.float32)
    incoming = Csr(offsets, columns.astype(np.uint32), values, directed=True)
    start = rng.random(n)
    start /= start.sum()
    out = matrix.sum(axis=0).astype(float)
    found = pagerank(incoming, out, start=start, damping=0.7)
    expected = power_iteration(matrix.astype(float), start, 0.7)
    assert np.abs(found.ranks - expected).sum() < 1e-6
    with pytest.raises(InvalidError):
        pagerank(incoming)
    with pytest.raises(InvalidError):
        core_numbers(incoming)


def test_pagerank_tells_when_it_did_not_converge() -> None:
    found = pagerank(graph_of_floats(graph_of(3, [(0, 1), (1, 2)])), iterations_max=2)
    assert (found.iterations, found.converged) == (2, False)
    with pytest.raises(InvalidError):
        pagerank(graph_of_floats(graph_of(3, [(0, 1)])), damping=1.5)


def graph_of_floats(graph: Csr) -> Csr:
    return Csr(graph.offsets, graph.targets)


def test_strengths_are_row_sums() -> None:
    graph = random_graph(np.random.default_rng(42), 30, 9)
    assert strengths(graph).tolist() == dense(graph).sum(axis=1).tolist()


def test_core_numbers_equal_networkx() -> None:
    rng = np.random.default_rng(43)
    for _ in range(200):
        graph = random_graph(rng, 40)
        expected = nx.core_number(oracle_of(graph))
        assert core_numbers(graph).tolist() == [expected[v] for v in range(graph.n)]
    assert core_numbers(graph_of(0, [])).tolist() == []


def test_triangles_equal_networkx() -> None:
    rng = np.random.default_rng(44)
    for graph in [random_graph(rng, 40) for _ in range(100)] + [ring_of_communities(rng, 5, 30)]:
        expected = nx.triangles(oracle_of(graph))
        total, counts = triangles(graph)
        assert counts.tolist() == [expected[v] for v in range(graph.n)]
        assert total == sum(expected.values()) // 3


@pytest.mark.parametrize("measure", [core_numbers, triangles, pagerank])
def test_each_failed_allocation_is_reported(measure) -> None:
    graph = graph_of_floats(random_graph(np.random.default_rng(45), 30))
    before = lib.ql_alloc_count()
    measure(graph)
    for nth in range(1, lib.ql_alloc_count() - before + 1):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError):
            measure(graph)
    lib.ql_alloc_fail_at(0)
