"""Edges on short walks against levels by networkx; what a budget leaves; memory that runs out."""

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from graph_model import fail_in_turn, random_edges
from quillian.bindings._core import lib
from quillian.bindings.edges import edges_from
from quillian.bindings.walks import walks
from test_graph_paths import view_of

Key = tuple[int, int, int]


def living(edges: np.ndarray) -> set[Key]:
    newest = {(s, t, d): flags for s, d, t, flags, _ in edges.tolist()}
    return {key for key, flags in newest.items() if not flags & lib.QL_EDGE_REMOVE}


def on_walks(
    keys: set[Key], sources: list[int], targets: list[int], hops: int, both: bool
) -> set[Key]:
    """By breadth-first levels of the whole graph."""
    graph = nx.DiGraph()
    graph.add_nodes_from([*sources, *targets])
    graph.add_edges_from((s, d) for s, _, d in keys)
    if both:
        graph = graph.to_undirected().to_directed()
    away = nx.multi_source_dijkstra_path_length(graph, set(sources), weight=None)
    left = nx.multi_source_dijkstra_path_length(graph.reverse(), set(targets), weight=None)

    def useful(tail: int, head: int) -> bool:
        return tail in away and head in left and away[tail] + 1 + left[head] <= hops

    return {(s, t, d) for s, t, d in keys if useful(s, d) or (both and useful(d, s))}


def keys_of(edges: np.ndarray) -> list[Key]:
    return [(s, t, d) for s, d, t, _, _ in edges.tolist()]


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_walks_match_levels(tmp_path: Path, seed: int, both: bool) -> None:
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(4, 40))
    edges = random_edges(rng, nodes * 3, nodes)
    view = view_of(tmp_path, edges, tail=nodes)
    keys = living(edges)
    for hops in range(6):
        sources, targets = (rng.choice(nodes, rng.integers(1, 4)).tolist() for _ in range(2))
        found = walks(view, sources, targets, hops, both=both)
        assert not found.partial
        assert keys_of(found.edges) == sorted(on_walks(keys, sources, targets, hops, both))
        some = walks(view, sources, targets, hops, both=both, types=[0, 1])
        few = {key for key in keys if key[1] < 2}
        assert keys_of(some.edges) == sorted(on_walks(few, sources, targets, hops, both))


@pytest.mark.parametrize("seed", range(10))
def test_unseen_walks_leave_and_come_back(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = edges_from(*rng.integers(0, 20, (2, 60)))
    edges["source"][:3], edges["target"][-3:] = 0, 1
    view = view_of(tmp_path, edges)
    keys = living(edges)
    stopped = 0
    for budget in range(0, 60, 7):
        found = walks(view, [0], [1], 6, budget=budget)
        seen = set(keys_of(found.edges))
        stopped += found.partial
        assert found.edges_touched <= budget
        for _ in range(5):  # Whatever fails, a walk that holds is seen, or leads through leaks.
            failed = {key for key in keys if rng.random() < 0.3}
            truth = nx.DiGraph([(s, d) for s, _, d in keys - failed])
            known = nx.DiGraph([(s, d) for s, _, d in seen - failed])
            known.add_edges_from((x, "unseen") for x in found.leaving.tolist())
            known.add_edges_from(("unseen", y) for y in found.entering.tolist())
            for graph in (truth, known):
                graph.add_nodes_from([0, 1])
            if nx.single_source_shortest_path_length(truth, 0, 6).get(1) is not None:
                assert nx.has_path(known, 0, 1)
    assert stopped


def test_flags_and_weights_come_along(tmp_path: Path) -> None:
    view = view_of(tmp_path, edges_from([0, 1], [1, 2], 3, [0.5, 2.0], [2, 0]))
    assert walks(view, [0], [2], 2).edges.tolist() == [(0, 1, 3, 2, 0.5), (1, 2, 3, 0, 2.0)]


def test_memory_runs_out_in_turn(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    view = view_of(tmp_path, edges_from(*rng.integers(0, 100, (2, 400))))
    assert fail_in_turn(lambda: walks(view, [0], [1], 5)) > 10
