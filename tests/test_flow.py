"""csrc/flow.c against igraph and networkx: values, sides, groups, limits, cut trees."""

from itertools import pairwise

import igraph
import networkx as nx
import numpy as np
import pytest
from graphs import Edges, edges_of, graph_of, random_graph, ring_of_communities
from quillian.bindings._core import lib
from quillian.bindings.csr import Csr
from quillian.bindings.flow import Flow, FlowCut
from quillian.errors import InvalidError, OutOfMemoryError


def light_graph(rng: np.random.Generator, n_max: int) -> Csr:
    """A random graph whose weights a flow accepts."""
    return random_graph(rng, n_max, int(rng.choice([1, 3, 50, 2**24])))


def side_of(graph: Csr, cut: FlowCut) -> np.ndarray:
    side = np.zeros(graph.n, bool)
    side[cut.members] = True
    return side if cut.source_side else ~side


def weight_across(edges: Edges, side: np.ndarray) -> int:
    return int(edges.weights[side[edges.sources] != side[edges.targets]].astype(np.uint64).sum())


def check_side(graph: Csr, cut: FlowCut, sources: list[int], targets: list[int]) -> None:
    side = side_of(graph, cut)
    assert side[sources].all()
    assert not side[targets].any()
    assert weight_across(edges_of(graph), side) == cut.value


def igraph_of(graph: Csr, extra: int = 0) -> tuple[igraph.Graph, list[float]]:
    edges = edges_of(graph)
    return igraph.Graph(graph.n + extra, edges.pairs()), edges.weights.astype(float).tolist()


def test_cuts_of_pairs_equal_igraph() -> None:
    rng = np.random.default_rng(20)
    for _ in range(400):
        graph = light_graph(rng, 20)
        oracle, capacity = igraph_of(graph)
        flow = Flow(graph)
        for _ in range(5):
            s, t = (int(x) for x in rng.choice(graph.n, 2, replace=False))
            cut = flow.cut(s, t)
            assert cut.value == oracle.maxflow_value(s, t, capacity)
            check_side(graph, cut, [s], [t])


def test_cuts_of_groups_equal_igraph_with_super_terminals() -> None:
    rng = np.random.default_rng(21)
    for _ in range(400):
        graph = light_graph(rng, 20)
        if graph.n < 4:
            continue
        sizes = rng.integers(1, graph.n // 2 + 1, 2)
        chosen = rng.permutation(graph.n).tolist()
        sources, targets = chosen[: sizes[0]], chosen[sizes[0] : sizes.sum()]
        oracle, capacity = igraph_of(graph, extra=2)
        oracle.add_edges([(graph.n, x) for x in sources] + [(graph.n + 1, x) for x in targets])
        capacity += [1e15] * int(sizes.sum())
        cut = Flow(graph).cut(sources, targets)
        assert cut.value == oracle.maxflow_value(graph.n, graph.n + 1, capacity)
        check_side(graph, cut, sources, targets)


def hubs(rng: np.random.Generator, n: int, weight_max: int) -> Csr:
    """Two vertices joined by hundreds of paths of two to five edges: Dinic must take over."""
    ends = rng.integers(2, n, (2, 3 * n))
    pairs = [(0, x) for x in range(2, n) if x % 3] + [(1, x) for x in range(2, n) if x % 4]
    pairs += [(int(a), int(b)) for a, b in ends.T if a != b]
    return graph_of(n, pairs, rng.integers(1, weight_max + 1, len(pairs)).tolist())


def test_cuts_of_hubs_equal_igraph() -> None:
    rng = np.random.default_rng(22)
    for i in range(25):
        graph = hubs(rng, int(rng.integers(150, 500)), [1, 2, 1000][i % 3])
        oracle, capacity = igraph_of(graph)
        cut = Flow(graph).cut(0, 1)
        assert cut.value == oracle.maxflow_value(0, 1, capacity)
        assert cut.value > 64
        check_side(graph, cut, [0], [1])


def test_cuts_of_groups_of_hubs_equal_igraph() -> None:
    rng = np.random.default_rng(23)
    for _ in range(20):
        graph = hubs(rng, 400, 3)
        oracle, capacity = igraph_of(graph, extra=2)
        sources, targets = [0, 5, 9], [1, 6, 10]
        oracle.add_edges([(graph.n, x) for x in sources] + [(graph.n + 1, x) for x in targets])
        capacity += [1e15] * 6
        cut = Flow(graph).cut(sources, targets)
        assert cut.value == oracle.maxflow_value(graph.n, graph.n + 1, capacity)
        check_side(graph, cut, sources, targets)


def test_a_limit_stops_the_search_and_leaves_no_trace() -> None:
    rng = np.random.default_rng(24)
    for graph in (hubs(rng, 300, 5), ring_of_communities(rng, 8, 12), light_graph(rng, 20)):
        flow, fresh = Flow(graph), Flow(graph)
        exact = fresh.cut(0, 1).value
        for limit in sorted({1, 2, exact // 2 + 1, exact, exact + 1}):
            cut = flow.cut(0, 1, limit=limit)
            assert cut.value == exact if limit > exact else exact >= cut.value >= min(limit, exact)
            assert (len(cut.members) == 0) == (cut.value >= limit)
        again = flow.cut(0, 1)
        assert again.value == exact
        check_side(graph, again, [0], [1])


def path_minimum(parents: list[int], weights: list[int], a: int, b: int) -> int:
    """The lightest edge between two vertices of a tree of parents."""
    tree = nx.Graph()
    tree.add_weighted_edges_from((i, parents[i], weights[i]) for i in range(1, len(parents)))
    route = nx.shortest_path(tree, a, b)
    return min(tree[x][y]["weight"] for x, y in pairwise(route))


def test_cut_trees_give_all_pairs_and_their_edges_are_cuts() -> None:
    rng = np.random.default_rng(25)
    for _ in range(120):
        graph = light_graph(rng, 12)
        edges = edges_of(graph)
        oracle, capacity = igraph_of(graph)
        parents, weights = (x.tolist() for x in Flow(graph).tree(np.arange(graph.n)))
        for a in range(graph.n):
            for b in range(a):
                expected = oracle.maxflow_value(a, b, capacity)
                assert path_minimum(parents, weights, a, b) == expected
        tree = nx.Graph([(i, parents[i]) for i in range(1, graph.n)])
        for i in range(1, graph.n):
            tree.remove_edge(i, parents[i])
            side = np.zeros(graph.n, bool)
            side[list(nx.node_connected_component(tree, i))] = True
            assert weight_across(edges, side) == weights[i]
            tree.add_edge(i, parents[i])


def test_cut_trees_of_some_vertices_are_cuts_between_their_groups() -> None:
    rng = np.random.default_rng(26)
    for _ in range(80):
        graph = light_graph(rng, 24)
        if graph.n < 6:
            continue
        chosen = rng.choice(graph.n, 5, replace=False)
        flow = Flow(graph)
        parents, weights = (x.tolist() for x in flow.tree(chosen))
        tree = nx.Graph([(i, parents[i]) for i in range(1, 5)])
        for i in range(1, 5):
            tree.remove_edge(i, parents[i])
            group = sorted(nx.node_connected_component(tree, i))
            rest = [x for x in range(5) if x not in group]
            assert flow.cut(chosen[group], chosen[rest]).value == weights[i]
            tree.add_edge(i, parents[i])


def test_bad_terminals_and_graphs_are_refused() -> None:
    flow = Flow(graph_of(3, [(0, 1), (1, 2)]))
    for sources, targets in (([0], [0]), ([], [1]), ([0], [3]), ([0, 1], [2, 1])):
        with pytest.raises(InvalidError):
            flow.cut(np.array(sources, np.uint32), np.array(targets, np.uint32))
    with pytest.raises(InvalidError):
        flow.tree([1, 1])
    unsorted = Csr(np.array([0, 2, 3, 4], np.uint64), np.array([2, 1, 0, 0], np.uint32))
    with pytest.raises(InvalidError):
        Flow(unsorted)
    with pytest.raises(InvalidError):
        Flow(graph_of(2, [(0, 1)], [2**31]))


def test_repeated_terminals_count_once() -> None:
    flow = Flow(graph_of(3, [(0, 1), (1, 2), (0, 2)], [1, 2, 4]))
    assert flow.cut([0, 0], [1, 1]).value == flow.cut(0, 1).value == 3


def test_each_failed_allocation_is_reported_and_the_handle_stays_right() -> None:
    graph = hubs(np.random.default_rng(27), 600, 4)
    expected = Flow(graph).cut(0, 1).value
    before = lib.ql_alloc_count()
    flow = Flow(graph)
    opening = lib.ql_alloc_count() - before
    for nth in range(1, opening + 1):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError):
            Flow(graph)
    for nth in (1, 2):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError):
            flow.cut(0, 1)
    lib.ql_alloc_fail_at(0)
    assert flow.cut(0, 1).value == expected
