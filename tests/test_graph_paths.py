"""Shortest paths against networkx."""

from itertools import islice
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from graph_model import UUID, commit, fail_in_turn, random_edges
from quillian.bindings._core import lib
from quillian.bindings.graph import Graph, GraphView, edges_from
from quillian.bindings.paths import shortest_paths
from quillian.errors import InvalidError


def view_of(folder: Path, edges: np.ndarray, tail: int = 0) -> GraphView:
    """A view of the edges, the last `tail` of them from a commit of their own."""
    graph = Graph(folder / "graph.log", UUID, writable=True)
    log_bytes = 0
    for number, part in enumerate(np.split(edges, [len(edges) - tail])):
        if len(part):
            graph.append(part)
            log_bytes = commit(graph, number + 1)
    return graph.view(log_bytes)


def plain(edges: np.ndarray, direction: str) -> nx.DiGraph:
    """The newest edges, of parallel ones the shortest."""
    newest = {(s, t, d): (f, w) for s, d, t, f, w in edges.tolist()}
    graph = nx.DiGraph()
    for (s, _, d), (flags, weight) in newest.items():
        pairs = [(s, d)] if direction == "out" else [(d, s)]
        for a, b in pairs + ([(s, d)] if direction == "both" else []):
            if not flags & lib.QL_EDGE_REMOVE:
                known = graph.get_edge_data(a, b, {"weight": np.inf})["weight"]
                graph.add_edge(a, b, weight=min(weight, known))
    return graph


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_paths_match_networkx(tmp_path: Path, seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(4, 40))
    edges = random_edges(rng, nodes * 4, nodes)
    edges["weight"] = rng.integers(0 if seed % 2 else 1, 9, len(edges)) / 4
    view = view_of(tmp_path, edges, tail=nodes)
    for direction in ("out", "in", "both"):
        graph = plain(edges, direction)
        for _ in range(4):
            source, target = (int(x) for x in rng.choice(list(graph), 2, replace=False))
            k = int(rng.integers(1, 12))
            got = shortest_paths(view, source, target, k, weighted=weighted, direction=direction)
            name = "weight" if weighted else None
            if not nx.has_path(graph, source, target):
                assert len(got) == 0
                continue
            found = islice(nx.shortest_simple_paths(graph, source, target, name), k)
            wanted = [nx.path_weight(graph, p, "weight") if weighted else len(p) - 1 for p in found]
            assert got.lengths.tolist() == wanted
            paths = [got.path(i) for i in range(len(got))]
            assert len({tuple(path) for path in paths}) == len(paths)
            for path, length in zip(paths, got.lengths.tolist(), strict=True):
                assert (path[0], path[-1], len(set(path))) == (source, target, len(path))
                weight = nx.path_weight(graph, path, "weight")
                assert length == (weight if weighted else len(path) - 1)


def test_types_of_the_shorter_of_parallel_edges_are_told(tmp_path: Path) -> None:
    view = view_of(tmp_path, edges_from([1, 1, 2], [2, 2, 3], [4, 5, 6], [2.0, 1.0, 1.0]))
    found = shortest_paths(view, 1, 3, weighted=True)
    assert (found.path(0), found.types.tolist(), found.lengths.tolist()) == (
        [1, 2, 3],
        [0, 5, 6],
        [2.0],
    )
    assert len(shortest_paths(view, 1, 3, types=[5])) == 0


def test_path_from_a_node_to_itself_has_no_edge(tmp_path: Path) -> None:
    view = view_of(tmp_path, edges_from([1, 1], [1, 2]))
    for node in (1, 77):
        for weighted in (False, True):
            found = shortest_paths(view, node, node, 3, weighted=weighted)
            assert (found.path(0), len(found), found.lengths.tolist()) == ([node], 1, [0.0])


def test_two_searches_touch_few_edges_of_a_large_graph(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    n = 20_000
    edges = edges_from(rng.integers(0, n, 5 * n), rng.integers(0, n, 5 * n))
    view = view_of(tmp_path, edges)
    touched = [
        shortest_paths(view, int(a), int(b)).edges_touched for a, b in rng.integers(0, n, (20, 2))
    ]
    assert np.median(touched) < n / 4


def test_budget_stops_with_what_was_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    view = view_of(tmp_path, edges_from(rng.integers(0, 50, 500), rng.integers(0, 50, 500)))
    whole = shortest_paths(view, 1, 2, 30)
    part = shortest_paths(view, 1, 2, 30, budget_edges=whole.edges_touched // 2)
    assert (part.partial, whole.partial) == (True, False)
    assert 0 < len(part) < len(whole)
    assert part.nodes.tolist() == whole.nodes[: len(part.nodes)].tolist()
    assert len(shortest_paths(view, 1, 2, weighted=True, budget_edges=1)) == 0


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    view = view_of(tmp_path, edges_from([1, 2], [2, 3], 0, [1, -1]))
    for call in (
        lambda: shortest_paths(view, 1, 3, 0),
        lambda: shortest_paths(view, 1, 3, lib.QL_PATHS_MAX + 1),
        lambda: shortest_paths(view, -1, 3),
        lambda: shortest_paths(view, 1, lib.QL_NONE),
        lambda: shortest_paths(view, 1, 3, weighted=True),  # A weight below 0.
        lambda: shortest_paths(view, 1, 3, budget_edges=-1),
    ):
        with pytest.raises(InvalidError):
            call()
    assert shortest_paths(view, 1, 3).path(0) == [1, 2, 3]


def test_every_failing_allocation_leaves_paths_right(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    view = view_of(tmp_path, edges_from(rng.integers(0, 30, 300), rng.integers(0, 30, 300)))
    for weighted in (False, True):
        assert fail_in_turn(lambda w=weighted: shortest_paths(view, 1, 2, 5, weighted=w)) > 10
    assert len(shortest_paths(view, 1, 2, 5)) == 5
