"""csrc/dynamic_cut.c against the static cut and igraph, after each update."""

from collections.abc import Iterator

import igraph
import numpy as np
import pytest
from graphs import graph_of, random_graph, ring_of_communities
from quillian.bindings._core import lib
from quillian.bindings.csr import Csr
from quillian.bindings.cut import global_cut
from quillian.bindings.dynamic_cut import DynamicCut
from quillian.errors import InvalidError, OutOfMemoryError

Weights = dict[tuple[int, int], int]


def weights_of(graph: Csr) -> Weights:
    sources = np.repeat(np.arange(graph.n), np.diff(graph.offsets).astype(int)).tolist()
    values = [1] * graph.arcs if graph.weights is None else graph.weights.tolist()
    arcs = zip(sources, graph.targets.tolist(), values, strict=True)
    return {(a, b): w for a, b, w in arcs if a < b}


def static_value(n: int, weights: Weights) -> int:
    return global_cut(graph_of(n, list(weights), list(weights.values()))).value


def changes(
    rng: np.random.Generator, n: int, weights: Weights, heaviest: int, count: int
) -> Iterator[tuple[int, int, int]]:
    """Updates that keep `weights` in step: removals, insertions, changes, and a few no-ops."""
    for _ in range(count):
        if weights and rng.random() < 0.5:
            u, v = list(weights)[int(rng.integers(len(weights)))]
        else:
            u, v = sorted(int(x) for x in rng.choice(n, 2, replace=False))
        weight = 0 if rng.random() < 0.45 else int(rng.integers(1, heaviest + 1))
        if weight:
            weights[u, v] = weight
        else:
            weights.pop((u, v), None)
        yield (u, v, weight) if rng.random() < 0.5 else (v, u, weight)


@pytest.mark.parametrize("heaviest", [1, 3, 1000])
def test_value_equals_the_static_cut_after_each_update(heaviest: int) -> None:
    rng = np.random.default_rng(30 + heaviest)
    raised = 0
    for _ in range(25):
        graph = random_graph(rng, 16, heaviest)
        weights = weights_of(graph)
        dynamic = DynamicCut(graph)
        for change in changes(rng, graph.n, weights, heaviest, 60):
            expected = static_value(graph.n, weights)
            raised += expected > dynamic.value
            assert dynamic.update(*change).tolist() == [expected]
            dynamic.verify()
    assert raised > 50


def test_degrees_are_in_order_from_the_start() -> None:
    rng = np.random.default_rng(37)
    for _ in range(500):
        graph = random_graph(rng, 40, 50)
        dynamic = DynamicCut(graph)
        dynamic.verify()
        assert dynamic.value == global_cut(graph).value


def test_value_equals_igraph_after_each_update() -> None:
    rng = np.random.default_rng(31)
    for _ in range(10):
        graph = random_graph(rng, 14, 9)
        weights = weights_of(graph)
        dynamic = DynamicCut(graph)
        for change in changes(rng, graph.n, weights, 9, 40):
            dynamic.update(*change)
            oracle = igraph.Graph(graph.n, list(weights))
            expected = oracle.mincut(capacity=[float(x) for x in weights.values()]).value
            assert dynamic.value == expected


def test_side_is_a_cut_of_the_value() -> None:
    rng = np.random.default_rng(32)
    graph = ring_of_communities(rng, 6, 10)
    weights = weights_of(graph)
    dynamic = DynamicCut(graph)
    for change in changes(rng, graph.n, weights, 2, 200):
        dynamic.update(*change)
        side = dynamic.side()
        assert 0 < side.sum() < graph.n
        assert dynamic.value == sum(w for (u, v), w in weights.items() if side[u] != side[v])


def test_edges_of_the_minimum_cut_toggle_without_static_cuts() -> None:
    rng = np.random.default_rng(33)
    graph = ring_of_communities(rng, 8, 16)
    weights = weights_of(graph)
    dynamic = DynamicCut(graph)
    side = global_cut(graph).side
    across = [pair for pair in weights if side[pair[0]] != side[pair[1]]]
    for u, v in across * 20:
        without = {pair: w for pair, w in weights.items() if pair != (u, v)}
        values = dynamic.update([u, u], [v, v], [0, weights[u, v]]).tolist()
        assert values == [static_value(graph.n, without), static_value(graph.n, weights)]
    assert dynamic.stats.recomputes == 0
    assert dynamic.stats.changes == 2 * 20 * len(across)


def test_more_lowered_edges_than_suspects_stay_exact() -> None:
    rng = np.random.default_rng(34)
    n = 24
    pairs = [(a, b) for b in range(n) for a in range(b)]
    weights = dict.fromkeys(pairs, 5)
    dynamic = DynamicCut(graph_of(n, pairs, [5] * len(pairs)))
    for i in rng.permutation(len(pairs))[:200].tolist():
        weights[pairs[i]] = 1
        assert dynamic.update(*pairs[i], 1).tolist() == [static_value(n, weights)]


def test_rows_grow_and_the_arena_is_packed() -> None:
    n = 400
    weights = {(i, i + 1): 1 for i in range(n - 1)}
    dynamic = DynamicCut(graph_of(n, list(weights)))
    rng = np.random.default_rng(35)
    for _ in range(3000):
        u, v = sorted(rng.choice(n, 2, replace=False).tolist())
        weights[u, v] = 1
    pairs = np.array(list(weights))
    values = dynamic.update(pairs[:, 0], pairs[:, 1], np.ones(len(pairs)))
    assert values[-1] == static_value(n, weights)
    dynamic.verify()


def test_a_star_that_grows_moves_its_hub() -> None:
    n = 3000
    dynamic = DynamicCut(graph_of(n, [(0, 1)]))
    values = dynamic.update(np.zeros(n - 2), np.arange(2, n), np.ones(n - 2))
    assert values.tolist() == [0] * (n - 3) + [1]
    dynamic.verify()


def test_an_emptied_graph_comes_back() -> None:
    dynamic = DynamicCut(graph_of(3, [(0, 1), (1, 2)]))
    values = dynamic.update([0, 1, 0, 1, 2], [1, 2, 1, 2, 0], [0, 0, 4, 3, 2])
    assert values.tolist() == [0, 0, 0, 3, 5]


def test_bad_updates_change_nothing() -> None:
    dynamic = DynamicCut(graph_of(3, [(0, 1), (1, 2)]))
    for u, v, w in ((0, 0, 1), (0, 3, 1), (0, 2, 2**31)):
        with pytest.raises(InvalidError):
            dynamic.update([0, u], [1, v], [0, w])
    assert dynamic.value == 1
    with pytest.raises(InvalidError):
        DynamicCut(graph_of(1, []))


def test_failed_allocations_are_caught_up_with() -> None:
    rng = np.random.default_rng(36)
    graph = ring_of_communities(rng, 4, 8)
    before = lib.ql_alloc_count()
    dynamic = DynamicCut(graph)
    for nth in range(1, lib.ql_alloc_count() - before + 1):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError):
            DynamicCut(graph)
    graph = random_graph(rng, 12, 9)
    dynamic = DynamicCut(graph)
    weights = weights_of(graph)
    failures = 0
    for u, v, w in changes(rng, graph.n, weights, 9, 400):
        lib.ql_alloc_fail_at(int(rng.integers(1, 4)))
        try:
            dynamic.update(u, v, w)
        except OutOfMemoryError:
            failures += 1
            lib.ql_alloc_fail_at(0)
            dynamic.update(u, v, w)
        lib.ql_alloc_fail_at(0)
        assert dynamic.value == static_value(graph.n, weights)
    assert failures > 10
