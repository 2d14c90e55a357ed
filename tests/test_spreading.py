"""Spread against power iteration and networkx, in stores."""

import networkx as nx
import numpy as np
import pytest
import quillian as ql

ALPHA = 0.2


def linked(store: ql.Store, seed: int) -> nx.DiGraph:
    """Forty concepts, random weighted associations of two types, and the same graph."""
    rng = np.random.default_rng(seed)
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(range(40))
    for source, target in {tuple(x) for x in rng.integers(0, 38, (120, 2)).tolist()}:
        kind = str(rng.choice(["near", "far"]))
        graph.add_edge(source, target, weight=float(rng.integers(1, 9)), type=kind)
    store.add_many(texts=[f"text {i}" for i in range(40)])
    store.link_many(
        [x for x, _ in graph.edges],
        [x for _, x in graph.edges],
        [graph.edges[x]["type"] for x in graph.edges],
        weights=[graph.edges[x]["weight"] for x in graph.edges],
    )
    return graph


def iterated(graph: nx.DiGraph, shares: dict[int, float], alpha: float) -> np.ndarray:
    """Power iteration; where nothing leads on, the walk restarts."""
    step = nx.to_numpy_array(graph, nodelist=range(40), weight="weight")
    start = np.array([shares.get(node, 0.0) for node in range(40)])
    start /= start.sum()
    sums = step.sum(axis=1, keepdims=True)
    step = np.where(sums > 0, step / np.where(sums > 0, sums, 1), start)
    ranks = start
    for _ in range(400):
        ranks = alpha * start + (1 - alpha) * ranks @ step
    return ranks


def seeded(view: ql.Snapshot, shares: dict[int, float]) -> ql.Selection:
    return ql.Selection.everything(view).derive(
        "seeds", np.array(list(shares), np.uint64), np.array(list(shares.values()), np.float32)
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("direction", ["out", "in", "both"])
def test_ranks_keep_their_bound(store: ql.Store, seed: int, direction: str) -> None:
    graph = linked(store, seed)
    if direction == "in":
        graph = graph.reverse()
    elif direction == "both":
        both = nx.MultiDiGraph(graph)
        both.add_edges_from(graph.reverse().edges(data=True))
        graph = nx.DiGraph()
        graph.add_nodes_from(range(40))
        for source, target, weight in both.edges(data="weight"):
            old = graph.get_edge_data(source, target, {"weight": 0.0})["weight"]
            graph.add_edge(source, target, weight=old + weight)
    shares = {3: 2.0, 17: 1.0, 39: 0.5}
    truth = iterated(graph, shares, ALPHA)
    by_networkx = nx.pagerank(
        graph, 1 - ALPHA, personalization=shares, dangling=shares, tol=1e-13, max_iter=9999
    )
    assert truth == pytest.approx([by_networkx[node] for node in range(40)], abs=1e-9)
    with store.snapshot() as view:
        for eps in (1e-2, 1e-4, 1e-7):
            found = ql.Spread(ALPHA, eps, direction=direction)(view, seeded(view, shares))
            ranks = np.zeros(40)
            ranks[found.ids.astype(int)] = found.scores
            lacking = truth - ranks
            assert lacking.min() > -1e-6
            assert lacking.sum() == pytest.approx(float(found.columns["short"][0]), abs=1e-5)
    assert lacking.max() < 1e-4


def test_one_association_by_hand(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Named("rome"), ql.Spread(0.5, 1e-9)))
    ranks = {row.id: row.score for row in found}
    # Rome, Italy, Europe in a row, then back: each half of the one before, together 1.
    assert ranks == pytest.approx({"rome": 4 / 7, "italy": 2 / 7, "europe": 1 / 7}, abs=1e-5)
    assert [hop.id for hop in found.trail(0)] == ["rome", "rome"]
    assert found.steps()[-1].cost["edges"] > 0


def test_a_walk_that_cannot_go_on_stays_if_asked_to(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Named("rome"), ql.Spread(0.5, 1e-9, stays=True)))
    ranks = {row.id: row.score for row in found}
    assert ranks == pytest.approx({"rome": 1 / 2, "italy": 1 / 4, "europe": 1 / 4}, abs=1e-5)
    atlas.add("alone", id="alone")
    plan = ql.Query(ql.Named("alone", "paris"), ql.Spread(stays=True, eps=1e-6))
    assert {row.id: row.score for row in atlas.run(plan)}["alone"] == pytest.approx(0.5)


def test_only_the_types_asked_for_are_followed(atlas: ql.Store) -> None:
    capital = ql.Spread(types=("capital_of",))
    found = atlas.run(ql.Query(ql.Named("paris"), capital))
    assert {row.id for row in found} == {"paris", "france"}
    assert [row.id for row in atlas.run(ql.Query(ql.Named("paris"), ql.Spread(types=("x",))))] == [
        "paris"
    ]


def test_rows_without_a_score_start_alike(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Where(kind="city"), ql.Spread(0.5, 1e-9)))
    ranks = {row.id: row.score for row in found}
    assert ranks["paris"] == pytest.approx(ranks["rome"], abs=1e-6)


def test_a_budget_makes_it_partial(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Named("paris"), ql.Spread(budget=1)))
    assert found.partial
    total = float(found.scores.sum()) + float(found.columns["short"][0])
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("wrong", [ql.Spread(0), ql.Spread(2), ql.Spread(eps=0)], ids=repr)
def test_bad_parameters_are_refused(atlas: ql.Store, wrong: ql.Spread) -> None:
    with pytest.raises(ql.InvalidError, match="alpha and epsilon"):
        atlas.run(ql.Query(ql.Named("paris"), wrong))


def test_scores_below_0_are_refused(atlas: ql.Store) -> None:
    with atlas.snapshot() as view, pytest.raises(ql.InvalidError, match="Above"):
        ql.Spread()(view, seeded(view, {0: 1.0, 1: -1.0}))
