"""Boundary, Cut, Tie, Communities and Snapshot.min_cut: by hand, and against networkx."""

import networkx
import numpy as np
import pytest
import quillian as ql


def linked(store: ql.Store, graph: networkx.Graph) -> None:
    """The graph as concepts "0", "1", ... with weighted associations of two types."""
    store.add_many(ids=[str(node) for node in range(len(graph))])
    with store.transaction() as txn:
        for i, (u, v, data) in enumerate(graph.edges(data=True)):
            txn.link(str(u), str(v), "ab"[i % 2], weight=data.get("weight", 1.0))


def weighted_graph(n: int, p: float, seed: int) -> networkx.Graph:
    rng = np.random.default_rng(seed)
    graph = networkx.gnp_random_graph(n, p, seed=seed)
    for _, _, data in graph.edges(data=True):
        data["weight"] = float(rng.integers(1, 8)) / 4
    return graph


def test_min_cut_equals_networkx(store: ql.Store) -> None:
    graph = weighted_graph(30, 0.3, 1)
    linked(store, graph)
    with store.snapshot() as view:
        cut = view.min_cut()
        assert cut.value == networkx.stoer_wagner(graph)[0]
        assert cut.value == networkx.cut_size(graph, set(cut.side.tolist()), weight="weight")
        assert {frozenset(edge) for edge in cut.edges.tolist()} == {
            frozenset(edge) for edge in networkx.edge_boundary(graph, set(cut.side.tolist()))
        }
        some = [str(x) for x in range(20)]
        assert view.min_cut(some).value == networkx.stoer_wagner(graph.subgraph(range(20)))[0]


def test_min_cut_between_two_equals_networkx(store: ql.Store) -> None:
    graph = weighted_graph(25, 0.25, 2)
    linked(store, graph)
    with store.snapshot() as view:
        for a, b in ((0, 1), (3, 17), (20, 4)):
            expected = networkx.minimum_cut_value(graph, a, b, capacity="weight")
            assert view.min_cut(source=str(a), target=b).value == expected
        with pytest.raises(ql.InvalidError):
            view.min_cut(source="0")
        with pytest.raises(ql.NotFoundError):
            view.min_cut(["0", "no such"])


def test_min_cut_of_the_atlas_is_its_weakest_association(atlas: ql.Store) -> None:
    with atlas.snapshot() as view:
        cut = view.min_cut()
        assert (cut.value, cut.side.tolist()) == (0.5, [view.node("rome")])
        assert sorted(cut.edges[0].tolist()) == [view.node("rome"), view.node("italy")]


def test_cut_marks_sides_and_weighs_its_ends(atlas: ql.Store) -> None:
    found = atlas.run(ql.Cut())
    rows = {row.id: (row.score, int(side)) for row, side in zip(
        found, found.columns["side"], strict=True)}  # fmt: skip
    assert rows["rome"] == (0.5, 1)
    assert rows["italy"] == (0.5, 0)
    assert rows["paris"] == rows["europe"] == rows["france"] == (0.0, 0)


def test_cut_between_rows_that_are_not_there_is_refused(atlas: ql.Store) -> None:
    with pytest.raises(ql.InvalidError):
        atlas.run(ql.Query(ql.Named("paris", "france"), ql.Cut(source="paris", target="rome")))
    with pytest.raises(ql.InvalidError):
        ql.Cut(source="paris")


def test_boundary_sums_weights_and_names_the_row_inside(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Named("france", "italy"), ql.Boundary()))
    rows = {row.id: (row.score, int(t)) for row, t in zip(
        found, found.columns["touching"], strict=True)}  # fmt: skip
    assert rows == {"europe": (2.0, 2), "paris": (1.0, 1), "rome": (0.5, 1)}
    trail = found.trail(len(found) - 1)
    assert [hop.id for hop in trail] == ["italy", "rome"]


def test_boundary_equals_networkx(store: ql.Store) -> None:
    graph = weighted_graph(40, 0.1, 3)
    linked(store, graph)
    chosen = {1, 5, 8, 13, 21}
    found = store.run(ql.Query(ql.Named(*(str(x) for x in chosen)), ql.Boundary()))
    expected: dict[int, float] = {}
    for _, outside, data in networkx.edge_boundary(graph, chosen, data=True):
        expected[outside] = expected.get(outside, 0) + data["weight"]
    assert dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True)) == expected


def test_tie_equals_networkx(store: ql.Store) -> None:
    graph = weighted_graph(25, 0.25, 4)
    linked(store, graph)
    found = store.run(ql.Query(ql.All(), ql.Tie(to=("7",))))
    volumes = dict(graph.degree(weight="weight"))
    for row in found:
        expected = 1.0
        if row.node != 7:
            flow = networkx.minimum_cut_value(graph, row.node, 7, capacity="weight")
            expected = flow / min(volumes[row.node], volumes[7])
        assert row.score == pytest.approx(expected)


def test_communities_of_two_cliques(store: ql.Store) -> None:
    linked(store, networkx.barbell_graph(6, 0))
    found = store.run(ql.Query(ql.All(), ql.Communities()))
    labels = dict(zip(found.ids.tolist(), found.columns["community"].tolist(), strict=True))
    assert labels == {node: int(node >= 6) for node in range(12)}
    with pytest.raises(ql.InvalidError):
        store.run(ql.Communities(resolution=0.0))


def test_associations_without_weight_hold_nothing(store: ql.Store) -> None:
    store.add_many(ids=["a", "b", "c"])
    with store.transaction() as txn:
        txn.link("a", "b", "t", weight=2.0)
        txn.link("b", "c", "t", weight=-1.0)
    with store.snapshot() as view:
        assert view.min_cut().value == 0.0
        assert view.min_cut(["a", "b"]).value == 2.0
