"""Paths, Believe and Overturn on stores: by hand, beside networkx, and against every set."""

import itertools
import math
from typing import Any

import networkx
import numpy as np
import pytest
import quillian as ql
from quillian import belief, evidence
from quillian.facts import Network


def worlds(store: ql.Store, n: int, p: float, seed: int) -> networkx.DiGraph:
    """A random directed graph with confidences, in the store and in networkx."""
    rng = np.random.default_rng(seed)
    graph = networkx.gnp_random_graph(n, p, seed=seed, directed=True)
    store.add_many(ids=[str(node) for node in graph])
    for _, _, data in graph.edges(data=True):
        data["p"] = float(rng.uniform(0.1, 1))
        data["length"] = -math.log(data["p"])
    pairs = list(graph.edges(data="p"))
    store.link_many(
        [str(u) for u, _, _ in pairs], [str(v) for _, v, _ in pairs], "t",
        confidences=[x for _, _, x in pairs],
    )  # fmt: skip
    return graph


def test_believe_by_hand(atlas: ql.Store) -> None:
    found = atlas.believe("paris", "europe")
    assert (found.lower, found.upper) == pytest.approx((0.98, 0.98))
    assert [str(path) for path in found.paths] == ["paris -capital_of-> france -part_of-> europe"]
    assert [str(link) for link in found.cut] == ["paris -capital_of-> france"]
    assert atlas.believe("europe", "paris").upper == 0
    assert atlas.believe("europe", "paris", direction="both").lower == pytest.approx(0.98)
    assert atlas.believe("paris", "europe", ["part_of"]).upper == 0
    assert atlas.believe("paris", "europe", hops=1).upper == 0
    assert atlas.believe("rome", "rome").lower == 1


def test_facts_count_only_while_they_are_valid(store: ql.Store) -> None:
    store.add_many(ids=["a", "b"])
    store.link("a", "b", "t", confidence=0.8, since=1_000, until=2_000)
    assert store.believe("a", "b").upper == 0  # Long over.
    assert store.believe("a", "b", at=1_500).lower == pytest.approx(0.8)
    assert store.believe("a", "b", at=2_000).upper == 0
    aged = store.believe("a", "b", at=1_500, half_life=250)
    assert aged.lower == pytest.approx(0.2)


def test_weight_is_not_belief(store: ql.Store) -> None:
    store.add_many(ids=["a", "b"])
    store.link("a", "b", "t", weight=0.01, confidence=0.9)
    assert store.believe("a", "b").lower == pytest.approx(0.9)


def test_paths_equal_networkx(store: ql.Store) -> None:
    graph = worlds(store, 20, 0.15, 1)
    with store.snapshot() as view:
        for target in range(1, 20):
            every = [
                math.prod(graph.edges[edge]["p"] for edge in itertools.pairwise(path))
                for path in networkx.all_simple_paths(graph, 0, target, cutoff=4)
            ]
            found = view.paths("0", str(target), 5, hops=4)
            assert [x.support for x in found] == pytest.approx(sorted(every, reverse=True)[:5])


def test_paths_operator_names_the_best_way(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Where(kind="city"), ql.Paths(to=("europe", "paris"))))
    rows = {row.id: (row.score, found.columns["best"][i]) for i, row in enumerate(found)}
    assert rows["europe"] == (1.0, "rome -capital_of-> italy -part_of-> europe")
    assert rows["paris"] == (1.0, "")
    europe = [row.id for row in found].index("europe")
    assert "rome" in found[europe].why
    assert found.columns["others"][europe] == "paris -capital_of-> france -part_of-> europe"


def test_paths_to_whatever_is_reached_equal_networkx(store: ql.Store) -> None:
    graph = worlds(store, 12, 0.2, 5)
    for direction in ("out", "both"):
        ways = graph if direction == "out" else graph.to_undirected(as_view=True)
        best: dict[str, float] = {}
        for target in range(1, 12):
            for path in networkx.all_simple_paths(ways, 0, target, cutoff=3):
                choices = [
                    max(
                        graph.edges[edge]["p"] for edge in (pair, pair[::-1]) if edge in graph.edges
                    )
                    if direction == "both"
                    else graph.edges[pair]["p"]
                    for pair in itertools.pairwise(path)
                ]
                best[str(target)] = max(best.get(str(target), 0.0), math.prod(choices))
        wanted = sorted(best.items(), key=lambda x: -x[1])
        for k in (1, 3, 20):
            way = ql.Paths(k=k, hops=3, direction=direction)
            found = store.run(ql.Query(ql.Named("0"), way))
            assert [row.id for row in found] == [id for id, _ in wanted[:k]]
            assert found.scores.tolist() == pytest.approx([p for _, p in wanted[:k]])


@pytest.mark.parametrize("kind", [ql.Believe, ql.Consensus])
def test_improving_answers_end_in_the_batch_answer(store: ql.Store, kind: Any) -> None:
    worlds(store, 14, 0.25, 6)
    operator = kind(to=("1",), hops=6, cases=40)
    with store.snapshot() as view:
        everything = ql.Selection.everything(view)
        steps = list(operator.improve(view, everything))
        last = operator.apply(view, everything)
    assert len(steps) > 3
    assert (steps[-1].ids == last.ids).all()
    assert (steps[-1].scores == last.scores).all()
    for name, values in last.columns.items():
        assert (steps[-1].columns[name] == values).all()
    for before, after in itertools.pairwise(steps):
        first, then = np.argsort(before.ids), np.argsort(after.ids)
        assert (before.scores[first] <= after.scores[then]).all()
        if kind is ql.Believe:
            assert (before.columns["upper"][first] >= after.columns["upper"][then]).all()


def test_believe_operator_ranks_rows(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.All(), ql.Believe(to=("europe",), hops=2)))
    assert [row.id for row in found] == ["france", "rome", "italy", "europe", "paris"]
    assert found.scores[-1] == pytest.approx(0.98)
    assert (found.columns["upper"] >= found.scores - 1e-6).all()


def test_budget_leaves_true_bounds(store: ql.Store) -> None:
    worlds(store, 20, 0.15, 2)
    for target in range(1, 7):
        exact = store.believe("0", str(target), cases=300)
        for budget in (0, 3, 10, 40, 100):
            some = store.believe("0", str(target), budget=budget)
            assert some.lower <= exact.upper + 1e-9
            assert some.upper >= exact.lower - 1e-9
            assert some.partial == (some.facts < exact.facts or some.partial)


def network_of(view: ql.Snapshot, target: str) -> Network:
    return evidence.seen(view, [view.node("0")], [view.node(target)], hops=4)


@pytest.mark.parametrize("by", ["count", "doubt"])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6])
def test_overturning_is_verified_by_removing_it(store: ql.Store, by: str, threshold: float) -> None:
    worlds(store, 9, 0.2, 3)
    with store.snapshot() as view:
        before = {
            str(t): evidence.overturn(view, network_of(view, str(t)), threshold=threshold, by=by)
            for t in range(1, 9)
        }
    for target, found in before.items():
        assert found.possible
        kept = {(x.source, x.type, x.target): x.p for x in found.links}
        with store.transaction() as txn:
            for source, type, end in kept:
                txn.unlink(source, end, type)
        assert store.believe("0", target).upper <= threshold
        with store.transaction() as txn:
            for (source, type, end), p in kept.items():
                txn.link(source, end, type, confidence=p)


def fewest(net: Network, threshold: float) -> int:
    """By trying every set, smallest first."""
    for size in range(len(net.facts) + 1):
        for gone in itertools.combinations(range(len(net.facts)), size):
            if belief.at_most(belief.without(net, gone), threshold, 500):
                return size
    raise AssertionError


@pytest.mark.parametrize("threshold", [0.0, 0.4])
def test_overturning_is_the_smallest(store: ql.Store, threshold: float) -> None:
    worlds(store, 6, 0.3, 4)
    with store.snapshot() as view:
        for target in map(str, range(1, 6)):
            net = network_of(view, target)
            found = evidence.overturn(view, net, threshold=threshold)
            assert len(found.links) == fewest(net, threshold)


def test_most_doubtful_goes_first(store: ql.Store) -> None:
    store.add_many(ids=["a", "b", "c", "d"])
    store.link_many(
        ["a", "a", "b", "c"], ["b", "c", "d", "d"], "t", confidences=[0.5, 0.5, 0.99, 0.99]
    )
    store.link("d", "a", "back")
    found = store.run(ql.Query(ql.Named("a"), ql.Overturn("d", by="doubt")))
    assert sorted(str(found.columns["overturn"][0]).split("\n")) == ["a -t-> b", "a -t-> c"]
    assert found.scores[0] == 2


@pytest.mark.parametrize(
    "wrong",
    [{"hops": 0}, {"direction": "up"}, {"half_life": 0}, {"cases": -1}],
)
def test_bad_parameters_are_refused(atlas: ql.Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(ql.InvalidError):
        atlas.believe("paris", "europe", **wrong)
