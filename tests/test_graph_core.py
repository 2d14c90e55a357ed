"""The association graph of the C core against a dictionary and networkx."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from graph_model import (
    HEADER,
    UUID,
    Model,
    assert_same,
    commit,
    commit_unsynced,
    expected_reach,
    fail_in_turn,
    put,
    random_edges,
    touching,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from quillian import bitmaps
from quillian.bindings._core import lib
from quillian.bindings.graph import Graph, GraphView, edges_from
from quillian.errors import (
    ClosedError,
    InvalidError,
    QuillianError,
)


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    with Graph(tmp_path / "graph.log", UUID, writable=True) as opened:
        yield opened


def test_empty_graph_has_nothing(graph: Graph) -> None:
    view = graph.view(0)
    assert view.count() == 0
    assert len(view.edges()) == 0
    edges, offsets = view.neighbours([0, 2**32 - 2])
    assert (len(edges), offsets.tolist()) == (0, [0, 0, 0])
    assert view.find(1, 0, 2) is None
    assert view.expand([7], hops=3).nodes.tolist() == [7]
    assert graph.flush(1) == HEADER


def test_neighbours_come_sorted_in_each_direction(graph: Graph) -> None:
    graph.append(edges_from([5, 5, 5, 1, 5], [9, 2, 2, 5, 5], [0, 1, 0, 1, 1], [1, 2, 3, 4, 5]))
    view = graph.view(commit(graph, 1))
    out, offsets = view.neighbours([5, 1])
    assert out[["type", "target"]].tolist() == [(0, 2), (0, 9), (1, 2), (1, 5), (1, 5)]
    assert offsets.tolist() == [0, 4, 5]
    entering, _ = view.neighbours([5], direction="in")
    assert entering[["source", "type"]].tolist() == [(1, 1), (5, 1)]
    both, _ = view.neighbours([5], direction="both")
    assert both[["type", "target", "source"]].tolist() == [
        (0, 2, 5),
        (0, 9, 5),
        (1, 2, 5),
        (1, 5, 1),
        (1, 5, 5),
    ]


def test_newest_record_of_a_key_wins(graph: Graph) -> None:
    graph.append(edges_from([1, 1], [2, 2], [3, 3], [0.5, 0.25], [0, lib.QL_EDGE_DATA]))
    first = commit(graph, 1)
    graph.append(edges_from([1], [2], [3], [9], [lib.QL_EDGE_REMOVE]))
    second = commit(graph, 2)
    assert graph.view(first).edges().tolist() == [(1, 2, 3, lib.QL_EDGE_DATA, 0.25)]
    assert graph.view(first).find(1, 3, 2) is not None
    assert graph.view(second).count() == 0
    assert graph.view(second).find(1, 3, 2) is None


def write_at_random(graph: Graph, nodes: int, commits: int) -> tuple[int, Model]:
    """Commit and abort random batches, comparing on the way; the last length, the model."""
    rng = np.random.default_rng(nodes)
    model: Model = {}
    old: list[tuple[GraphView, Model]] = []
    log_bytes = 0
    for number in range(1, commits + 1):
        before = dict(model)
        for _ in range(int(rng.integers(1, 4))):
            batch = random_edges(rng, int(rng.integers(1, 600)), nodes)
            if model:  # Half of the records change known keys, which large spaces never meet.
                known = rng.choice(np.array(list(model), np.uint32), len(batch) // 2)
                for column, name in enumerate(("source", "type", "target")):
                    batch[name][: len(known)] = known[:, column]
            graph.append(batch)
            put(model, batch)
        assert_same(graph.view(log_bytes, pending=True), model)
        if rng.random() < 0.3:
            if rng.random() < 0.5:
                graph.flush(number)
            graph.abort()
            model = before
        else:
            log_bytes = commit(graph, number)
        assert_same(graph.view(log_bytes), model)
        if number % 5 == 0:
            old.append((graph.view(log_bytes), dict(model)))
    for view, then in old:
        assert_same(view, then)
    return log_bytes, model


@pytest.mark.parametrize("nodes", [12, 700, 2**32 - 2])
def test_random_writes_match_a_dictionary(graph: Graph, tmp_path: Path, nodes: int) -> None:
    log_bytes, model = write_at_random(graph, nodes, 30 if nodes < 10**6 else 10)
    view = graph.view(log_bytes)
    asked = [s for s, _, _ in list(model)[:40]] + [0, 1, nodes]
    for direction in ("out", "in", "both"):
        for types in (None, [1], [0, 2], []):
            edges, offsets = view.neighbours(asked, direction=direction, types=types)
            for i, node in enumerate(asked):
                got = edges[int(offsets[i]) : int(offsets[i + 1])].tolist()
                wanted = touching(model, node, direction, None if types is None else set(types))
                assert got == wanted
    for s, t, d in list(model)[:200]:
        found = view.find(s, t, d)
        assert found is not None
        assert found.tolist() == [(s, d, t, model[s, t, d][1], model[s, t, d][0])]
    assert view.find(nodes, 2, nodes) is None or (nodes, 2, nodes) in model

    reader = Graph(tmp_path / "graph.log", UUID)
    reader.advance(log_bytes)
    assert_same(reader.view(log_bytes), model)
    assert graph.check() is None


def test_views_older_than_the_base_come_from_the_log(graph: Graph) -> None:
    rng = np.random.default_rng(3)
    model: Model = {}
    lengths: list[tuple[int, Model]] = []
    for number in range(1, 12):
        batch = random_edges(rng, 1500, 60)
        graph.append(batch)
        put(model, batch)
        lengths.append((commit(graph, number), dict(model)))
    for log_bytes, then in lengths:
        assert_same(graph.view(log_bytes), then)
    with pytest.raises(InvalidError):
        graph.view(lengths[-1][0] - 16)
    with pytest.raises(InvalidError):
        graph.view(lengths[-1][0] + 48)


def test_whole_walks_over_a_large_delta_see_each_view_as_it_was(graph: Graph) -> None:
    rng = np.random.default_rng(8)
    model: Model = {}
    before = 0
    views: list[tuple[GraphView, Model]] = []
    for number in range(1, 12):
        batch = random_edges(rng, 12_000 if number == 1 else 700, 9000)
        graph.append(batch)
        if number % 4 == 0:  # What a walk folded of these must not stay.
            pending = dict(model)
            put(pending, batch)
            assert_same(graph.view(before, pending=True), pending)
            graph.abort()
            continue
        put(model, batch)
        before = commit(graph, number)
        views.append((graph.view(before), dict(model)))
        if number % 3:  # The first walks merge row by row, later ones find it folded.
            assert_scanned(*views[-1])
            assert_same(*views[-1])
    for view, expected in reversed(views):
        assert_same(view, expected)
        assert_scanned(view, expected)


def assert_scanned(view: GraphView, expected: Model) -> None:
    sums = (
        len(expected),
        sum(source for source, _, _ in expected) % 2**32,
        sum(target for _, _, target in expected) % 2**32,
    )
    assert view.scan() == view.scan(direction="in") == sums


def test_hub_of_100_000_edges(graph: Graph) -> None:
    targets = np.random.default_rng(1).permutation(100_000).astype(np.uint32)
    for half in (targets[:50_000], targets[50_000:]):
        graph.append(edges_from(100_001, half, 1, half / 100_000))
    log_bytes = graph.flush(1)
    pending = graph.view(0, pending=True)
    assert pending.find(100_001, 1, 77_777) is not None
    assert pending.neighbours([100_001])[0]["target"].tolist() == list(range(100_000))
    graph.publish()
    view = graph.view(log_bytes)
    assert view.neighbours([100_001])[0]["target"].tolist() == list(range(100_000))
    assert view.count() == 100_000
    assert len(view.neighbours([5], direction="in")[0]) == 1
    reached = view.expand([77], hops=2, direction="both")
    assert len(reached.nodes) == 100_001


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_expand_matches_networkx(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = Graph(tmp_path_factory.mktemp("graph") / "log", UUID, writable=True)
    edges = random_edges(rng, int(rng.integers(1, 80)), int(rng.integers(2, 30)))
    edges["weight"] = rng.choice([0.5, 0.25, 1.5, -1, 0], len(edges))
    model: Model = {}
    put(model, edges)
    graph.append(edges)
    view = graph.view(commit(graph, 1))
    seeds = {int(node): float(rng.random()) for node in rng.permutation(30)[: rng.integers(1, 4)]}
    seeds = {node: float(np.float32(score)) for node, score in seeds.items()}
    for direction in ("out", "in", "both"):
        hops = int(rng.integers(0, 5))
        got = view.expand(
            list(seeds), scores=list(seeds.values()), hops=hops, direction=direction, discount=0.75
        )
        columns = (got.nodes, got.scores, got.hops, got.parents, got.types)
        wanted = expected_reach(model, seeds, hops, direction, 0.75)
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == [
            (node, float(score), *rest) for node, score, *rest in wanted
        ]
        assert not got.partial


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9))
def test_expand_enters_only_what_is_allowed(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """The same as in the graph without the other nodes; the last words may have no bits for it."""
    rng = np.random.default_rng(seed)
    edges = random_edges(rng, int(rng.integers(1, 80)), 30)
    edges["source"] *= 5  # Over three words of bits.
    edges["target"] *= 5
    inside = [x for x in range(64 * int(rng.integers(0, 4))) if rng.random() < 0.6]
    allowed = bitmaps.of_nodes(
        np.array(inside, np.uint64), 64 * (max(inside, default=-1) // 64 + 1)
    )
    seeds = {int(node) * 5: 0.5 for node in rng.permutation(30)[: rng.integers(1, 4)]}
    kept = set(inside) | set(seeds)
    model: Model = {}
    put(model, edges[[e["source"] in kept and e["target"] in kept for e in edges]])
    with Graph(tmp_path_factory.mktemp("graph") / "log", UUID, writable=True) as graph:
        graph.append(edges)
        view = graph.view(commit(graph, 1))
        got = view.expand(
            list(seeds), scores=list(seeds.values()), hops=3, direction="both", allowed=allowed
        )
        columns = (got.nodes, got.scores, got.hops, got.parents, got.types)
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == [
            (node, float(score), *rest)
            for node, score, *rest in expected_reach(model, seeds, 3, "both", 1.0)
        ]


def test_expand_follows_only_the_types_asked_for(graph: Graph) -> None:
    graph.append(edges_from([1, 1, 2, 3], [2, 3, 4, 5], [7, 8, 7, 7]))
    view = graph.view(commit(graph, 1))
    assert view.expand([1], hops=9, types=[7]).nodes.tolist() == [1, 2, 4]
    assert view.expand([1], hops=9, types=[]).nodes.tolist() == [1]
    assert view.expand([1], hops=9, types=[8, 7]).types.tolist() == [0, 7, 8, 7, 7]


def test_expand_stops_at_its_budget(graph: Graph) -> None:
    graph.append(edges_from([1, 1, 1, 2], [2, 3, 4, 5]))
    view = graph.view(commit(graph, 1))
    reached = view.expand([1], hops=2, budget_edges=2)
    assert (reached.nodes.tolist(), reached.partial) == ([1, 2, 3], True)
    assert reached.edges_touched == 2
    reached = view.expand([1], hops=2, budget_edges=4)
    assert (reached.nodes.tolist(), reached.partial) == ([1, 2, 3, 4, 5], False)
    assert view.expand([1], hops=2, budget_edges=0).partial


@pytest.mark.parametrize("types", [None, [1]])
def test_table_holds_every_edge_by_row(graph: Graph, types: list[int] | None) -> None:
    rng = np.random.default_rng(2)
    numbers = np.sort(rng.choice(2**32 - 1, 50, replace=False))
    model: Model = {}
    for number in (1, 2):  # The first is folded, the second a delta.
        batch = random_edges(rng, 5000 if number == 1 else 200, 50)
        batch["source"], batch["target"] = numbers[batch["source"]], numbers[batch["target"]]
        graph.append(batch)
        put(model, batch)
        log_bytes = commit(graph, number)
    kept = {key: model[key][0] for key in model if types is None or key[1] in types}
    view = graph.view(log_bytes)
    for direction in ("out", "in", "both"):
        table = view.table(direction=direction, types=types)
        assert table.nodes.tolist() == sorted({n for s, _, d in kept for n in (s, d)})
        leaving = [(s, 0, t, d, kept[s, t, d]) for s, t, d in kept if direction != "in"]
        entering = [(d, 1, t, s, kept[s, t, d]) for s, t, d in kept if direction != "out"]
        rows = np.repeat(table.nodes, np.diff(table.offsets.astype(np.int64)))
        columns = (rows, table.types, table.nodes[table.targets], table.weights)
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == [
            (node, *rest) for node, _, *rest in sorted(leaving + entering)
        ]


def test_scores_stay_finite(graph: Graph) -> None:
    graph.append(edges_from([1, 2], [2, 3], 0, [3e38, 3e38]))
    view = graph.view(commit(graph, 1))
    assert np.isfinite(view.expand([1], hops=2, discount=100).scores).all()


def test_answers_outlive_view_and_graph(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    graph.append(edges_from([1], [2], 3, 0.5))
    view = graph.view(commit(graph, 1))
    graph.close()
    graph.close()
    edges = view.edges()
    reached = view.expand([1])
    view.close()
    view.close()
    assert edges.tolist() == [(1, 2, 3, 0, 0.5)]
    assert reached.nodes.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        edges["weight"] = 1
    with pytest.raises(ClosedError):
        view.count()
    with pytest.raises(ClosedError):
        graph.view(0)


def test_every_failing_allocation_leaves_a_view_usable(graph: Graph) -> None:
    rng = np.random.default_rng(5)
    for number in (1, 2):
        graph.append(random_edges(rng, 3000, 200))
        log_bytes = commit(graph, number)
    view = graph.view(log_bytes)

    def everything() -> tuple[object, ...]:
        around = view.neighbours([1, 2, 3], direction="both")[0].tolist()
        reached = view.expand([1, 2], hops=3, direction="both")
        table = view.table().targets.tolist()
        return view.edges().tolist(), view.count(), around, reached.nodes.tolist(), table

    wanted = everything()
    assert fail_in_turn(everything) > 20
    assert everything() == wanted
    assert fail_in_turn(lambda: graph.view(log_bytes)) == 1


def test_readers_beside_a_writer_see_whole_frozen_states(tmp_path: Path) -> None:
    """Each commit adds 5 edges out of a hub and takes away 5 older ones; views must never mix."""
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    graph.append(edges_from(0, np.arange(1, 6), 0, 0))
    committed = [commit(graph, 1)]
    stop = threading.Event()
    wrong: list[str] = []

    def read(seed: int) -> None:
        rng = random.Random(seed)
        while not stop.is_set():
            number = len(committed) - 1
            try:
                view = graph.view(committed[number])
                out = view.neighbours([0])[0]
                if len(out) != 5 or len(set(out["weight"].tolist())) != 1:
                    wrong.append(f"mixed: {out}")
                if out["weight"][0] != number:
                    wrong.append(f"want commit {number}, got {out['weight'][0]}")
                if view.count() != 5 or len(view.expand([0], hops=2).nodes) != 6:
                    wrong.append("counts differ")
                if rng.random() < 0.1:
                    view.close()
            except QuillianError as error:
                wrong.append(repr(error))

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 1000):
            gone = np.arange(number * 5 - 4, number * 5 + 1)
            graph.append(edges_from(0, gone, 0, 0, lib.QL_EDGE_REMOVE))
            graph.append(edges_from(0, gone + 5, 0, number))
            if number % 3 == 0:
                graph.abort()
                graph.append(edges_from(0, gone, 0, 0, lib.QL_EDGE_REMOVE))
                graph.append(edges_from(0, gone + 5, 0, number))
            committed.append(commit_unsynced(graph, number + 1))
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []
