"""Personalised PageRank against networkx and power iteration."""

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from graph_model import UUID, commit, fail_in_turn, random_edges
from quillian.bindings._core import lib
from quillian.bindings.graph import Graph, GraphView, edges_from
from quillian.bindings.ranks import rank_near
from quillian.errors import InvalidError


def view_of(folder: Path, edges: np.ndarray) -> GraphView:
    graph = Graph(folder / "graph.log", UUID, writable=True)
    graph.append(edges)
    return graph.view(commit(graph, 1))


def true_ranks(view: GraphView, seeds: dict[int, float], alpha: float) -> dict[int, float]:
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(seeds)
    for source, target, _, _, weight in view.edges().tolist():
        graph.add_edge(source, target, weight=weight)
    ranks: dict[int, float] = nx.pagerank(
        graph, 1 - alpha, personalization=seeds, tol=1e-13, max_iter=10_000, dangling=seeds
    )
    return ranks


@pytest.mark.parametrize("seed", range(12))
def test_errors_sum_to_the_residual(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(3, 60))
    view = view_of(tmp_path, random_edges(rng, nodes * 3, nodes))
    seeds = {int(n): float(rng.integers(1, 5)) for n in rng.choice(nodes, 3, replace=False)}
    for alpha, epsilon in ((0.15, 1e-2), (0.5, 1e-3), (0.15, 1e-6)):
        got = rank_near(
            view, list(seeds), shares=list(seeds.values()), alpha=alpha, epsilon=epsilon
        )
        ranks = true_ranks(view, seeds, alpha)
        errors = dict(ranks)
        for node, rank in zip(got.nodes.tolist(), got.ranks.tolist(), strict=True):
            errors[node] -= rank
        assert min(errors.values()) > -1e-6
        assert sum(errors.values()) == pytest.approx(got.residual, abs=1e-5)
        order = list(zip(-got.ranks, got.nodes, strict=True))
        assert order == sorted(order)
    assert got.residual < 1e-3


def test_undirected_error_is_at_most_epsilon_times_degree(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    edges = edges_from(rng.integers(0, 300, 1200), rng.integers(300, 600, 1200))
    view = view_of(tmp_path, edges)
    graph = nx.Graph()
    graph.add_edges_from(view.edges()[["source", "target"]].tolist())
    seed = int(edges["source"][0])
    ranks = nx.pagerank(graph, 0.85, personalization={seed: 1}, tol=1e-13, max_iter=1000)
    epsilon = 1e-4
    got = rank_near(view, [seed], epsilon=epsilon, direction="both")
    assert np.lexsort((got.nodes, -got.ranks)).tolist() == list(range(len(got.nodes)))
    found = dict(zip(got.nodes.tolist(), got.ranks.tolist(), strict=True))
    for node, rank in ranks.items():
        assert -1e-6 < rank - found.get(node, 0.0) <= epsilon * graph.degree[node] + 1e-7


def test_work_is_bounded_by_alpha_and_epsilon_and_budget(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    edges = edges_from(rng.integers(0, 20_000, 100_000), rng.integers(0, 20_000, 100_000))
    view = view_of(tmp_path, edges)
    assert rank_near(view, [5], epsilon=1e-4).edges_touched <= 1 / (0.15 * 1e-4)
    part = rank_near(view, [5], epsilon=1e-4, budget_edges=200)
    assert part.partial
    assert part.ranks.sum() + part.residual == pytest.approx(1, abs=1e-5)


def test_walk_follows_only_the_types_asked_for(tmp_path: Path) -> None:
    view = view_of(tmp_path, edges_from([1, 1, 2], [2, 3, 4], [7, 8, 7]))
    assert set(rank_near(view, [1], types=[7]).nodes.tolist()) == {1, 2, 4}
    assert rank_near(view, [1], types=[]).nodes.tolist() == [1]
    assert len(rank_near(view, []).nodes) == 0
    assert set(rank_near(view, [4], direction="in").nodes.tolist()) == {1, 2, 4}


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    view = view_of(tmp_path, edges_from([1, 2], [2, 3], 0, [1, -1]))
    for call in (
        lambda: rank_near(view, [1], alpha=0),
        lambda: rank_near(view, [1], epsilon=2),
        lambda: rank_near(view, [1], shares=[0]),
        lambda: rank_near(view, [1], shares=[-1]),
        lambda: rank_near(view, [1], shares=[1, 2]),
        lambda: rank_near(view, [lib.QL_NONE]),
        lambda: rank_near(view, [1]),  # A weight below 0.
    ):
        with pytest.raises(InvalidError):
            call()


def test_every_failing_allocation_leaves_ranks_right(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    view = view_of(tmp_path, edges_from(rng.integers(0, 900, 4000), rng.integers(0, 900, 4000)))
    wanted = rank_near(view, [1, 2]).nodes.tolist()
    assert fail_in_turn(lambda: rank_near(view, [1, 2])) > 8
    assert rank_near(view, [1, 2]).nodes.tolist() == wanted
