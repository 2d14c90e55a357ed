"""The contract that every operator passes, and then each one's own cases."""

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
import quillian as ql
from conftest import DIM

EXAMPLES: dict[str, list[ql.Operator[Any]]] = {
    "Near": [ql.Near(3), ql.Near(99, exact=True), ql.Near(1, ef=10), ql.Near(2, recall=1.0)],
    "Named": [ql.Named("paris", "Italy"), ql.Named()],
    "All": [ql.All()],
    "Where": [
        ql.Where(kind="city"),
        ql.Where({"pop": {"$gt": 2.5}}),
        ql.Where(),
        ql.Where(operator="Top"),
    ],
    "Top": [ql.Top(2), ql.Top(0), ql.Top(99)],
    "Above": [ql.Above(0.5), ql.Above(-9.0)],
    "Expand": [
        ql.Expand(),
        ql.Expand(2, types=("part_of",), direction="both"),
        ql.Expand(0),
        ql.Expand(2, where={"kind": "city"}),
        ql.Expand(where={"operator": "Top", "$not": {"pop": {"$gt": 2.5}}}),
    ],
    "Spike": [ql.Spike(), ql.Spike(3, types=("part_of",), threshold=0.1, excitability=0.7, seed=5)],
    "Spread": [ql.Spread(), ql.Spread(0.5, 1e-6, types=["part_of"], direction="both")],
    "Boundary": [ql.Boundary(), ql.Boundary(types=("part_of",))],
    "Cut": [ql.Cut(), ql.Cut(source="paris", target="italy")],
    "Tie": [ql.Tie(to=("paris", 4)), ql.Tie()],
    "Communities": [ql.Communities(), ql.Communities(resolution=0.1, seed=3)],
    "Words": [ql.Words(3), ql.Words(2, mode="all"), ql.Words(1, k1=0.9, b=0.4)],
    "Fuse": [
        ql.Fuse(ql.Near(3), ql.Words(3)),
        ql.Fuse(ql.Near(2), ql.Top(2), method="linear", weights=(1, 0.5)),
        ql.Fuse(),
    ],
    "Intersect": [ql.Intersect(ql.Near(4), ql.Words(4))],
    "Subtract": [ql.Subtract(ql.Near(2), ql.Words(1)), ql.Subtract()],
    "Between": [ql.Between(), ql.Between("2020-01-01", "2021-01-01"), ql.Between(0)],
    "AsOf": [ql.AsOf("2020-01-01")],
    "Distinct": [ql.Distinct(), ql.Distinct("kind"), ql.Distinct("pop")],
    "Diverse": [ql.Diverse(2), ql.Diverse(99, 1.0), ql.Diverse(0)],
    "Pack": [ql.Pack(), ql.Pack(5), ql.Pack(0)],
    "Paths": [ql.Paths(to=("europe", "italy"), k=2), ql.Paths(), ql.Paths(1, types=["part_of"])],
    "Believe": [ql.Believe(to=("europe",)), ql.Believe(), ql.Believe("rome", direction="both")],
    "Overturn": [ql.Overturn("europe"), ql.Overturn("europe", 0.5, by="doubt"), ql.Overturn()],
    "Consensus": [ql.Consensus(to=("europe",)), ql.Consensus(), ql.Consensus("rome", hops=2)],
    "Gate": [ql.Gate(), ql.Gate(0.1, 2, age_days=1.0)],
    "Trust": [ql.Trust((("atlas", 3, 1),)), ql.Trust()],
    "Calibrated": [ql.Calibrated(), ql.Calibrated(((0.0, 0.1), (0.5, 0.6)), version="1")],
    "Conflicts": [ql.Conflicts(functional=("capital_of",), inverse=("part_of",)), ql.Conflicts()],
    "Verify": [ql.Verify("part_of", "europe"), ql.Verify("part_of", 4, functional=True)],
    "Recall": [ql.Recall(), ql.Recall(2, bridge=0.0), ql.Recall(0)],
    "Explain": [ql.Explain(to=("europe",)), ql.Explain(), ql.Explain("rome", direction="both")],
    "Derive": [ql.Derive(("in(x, z) :- capital_of(x, y), part_of(y, z)",)), ql.Derive()],
    "Query": [ql.Query(ql.Near(3), ql.Expand(), ql.Top(4)), ql.Query()],
}
"""At least one example of every operator; a test below keeps it complete."""

ALL = [example for examples in EXAMPLES.values() for example in examples]
QUESTION = ql.Question(text="a city in Europe", vector=np.linspace(1, 2, DIM, dtype=np.float32))


def inputs(view: ql.Snapshot) -> dict[str, ql.Selection]:
    everything = ql.Selection.everything(view, QUESTION)
    three = everything.derive(
        "three", np.array([3, 0, 2], np.uint64), np.array([1, 2, 0.5], np.float32)
    )
    none = everything.derive("none", np.empty(0, np.uint64), np.empty(0, np.float32))
    return {"everything": everything, "three": three, "none": none}


def fingerprint(folder: Path) -> dict[str, str]:
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and not f.name.endswith("-lock")]
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_every_operator_has_an_example() -> None:
    ours = {
        name for name, kind in ql.Operator.known().items() if kind.__module__.startswith("quillian")
    }
    assert ours == set(EXAMPLES)


@pytest.mark.parametrize("operator", ALL, ids=repr)
@pytest.mark.parametrize("start", ["everything", "three", "none"])
def test_contract(atlas: ql.Store, operator: ql.Operator[Any], start: str) -> None:
    before = fingerprint(atlas.path)
    with atlas.snapshot() as view:
        given = inputs(view)[start]
        ids, scores = given.ids.copy(), given.scores.copy()
        found = operator(view, inputs(view)[start])
        again = operator(view, inputs(view)[start])

        assert (given.ids == ids).all()
        assert (given.scores == scores).all()
        assert (found.ids == again.ids).all()
        assert (found.scores == again.scores).all()
        assert found.ids.dtype == np.uint64
        assert found.scores.dtype == np.float32
        assert len(np.unique(found.ids)) == len(found.ids)
        assert np.isin(found.ids, view.all_nodes()).all()
        assert np.isfinite(found.scores).all()
        order = np.lexsort((found.ids, -found.scores))
        assert (order == np.arange(len(found))).all()
        assert all(len(column) == len(found) for column in found.columns.values())
        assert not found.ids.flags.writeable
        for row in range(len(found)):
            assert found.trail(row) or operator == ql.Query()
        if start == "none" and not isinstance(operator, ql.Named):
            assert len(found) == 0
    assert fingerprint(atlas.path) == before


@pytest.mark.parametrize("operator", ALL, ids=repr)
def test_operator_survives_json_equality_and_hash(operator: ql.Operator[Any]) -> None:
    again = ql.Operator.from_json(operator.to_json())
    assert again == operator
    assert hash(again) == hash(operator)
    assert dataclasses.is_dataclass(operator)


@pytest.mark.parametrize("name", ["Expand", "Spread", "Spike", "Boundary", "Believe", "Overturn"])
def test_one_type_alone_is_a_tuple_of_one(name: str) -> None:
    operator = ql.Operator.known()[name]
    alone, listed = (operator.build({"types": given}) for given in ("part_of", ["part_of"]))
    assert alone == listed
    assert alone.types == ("part_of",)  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ['{"operator": "Nope"}', '{"operator": "Top", "x": 1}', "[]"])
def test_malformed_json_is_refused(text: str) -> None:
    with pytest.raises(ql.InvalidError):
        ql.Operator.from_json(text)


# Near


def test_near_exact_equals_numpy(store: ql.Store) -> None:
    rows = np.random.default_rng(1).normal(size=(300, DIM)).astype(np.float32)
    store.add_many(vectors=rows)
    question = rows[7] + 0.1
    cosines = rows @ question / np.linalg.norm(rows, axis=1) / np.linalg.norm(question)
    found = store.run(ql.Near(20, exact=True), about=question)
    assert found.ids.tolist() == np.argsort(-cosines)[:20].tolist()
    assert found.scores == pytest.approx(np.sort(cosines)[::-1][:20], rel=1e-5)


def test_filter_in_front_never_starves_near(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Where(kind="city"), ql.Near(5)), about=np.ones(DIM))
    assert sorted(row.id for row in found) == ["paris", "rome"]


def test_near_without_question_is_refused(atlas: ql.Store) -> None:
    with pytest.raises(ql.InvalidError, match="question"):
        atlas.run(ql.Near())


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_near_under_other_metrics(path: Path, metric: str) -> None:
    rows = np.random.default_rng(2).normal(size=(50, DIM)).astype(np.float32)
    with ql.open(path, dim=DIM, metric=metric) as store:
        store.add_many(vectors=rows)
        scores = rows @ rows[0] if metric == "dot" else -((rows - rows[0]) ** 2).sum(axis=1)
        found = store.run(ql.Near(5), about=rows[0])
        assert found.ids.tolist() == np.argsort(-scores, kind="stable")[:5].tolist()
        assert found.scores == pytest.approx(np.sort(scores)[::-1][:5], rel=1e-4, abs=1e-4)


# Named, All, Where, Top, Above


def test_named_takes_ids_numbers_and_names(atlas: ql.Store) -> None:
    found = atlas.run(ql.Named("paris", 2, "EUROPE"))
    assert [row.id for row in found] == ["paris", "rome", "europe"]
    with pytest.raises(ql.NotFoundError, match="atlantis"):
        atlas.run(ql.Named("atlantis"))


def test_named_looks_inside_its_selection(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Where(kind="city"), ql.Named("paris", "italy")))
    assert [row.id for row in found] == ["paris"]


def test_all_reads_every_concept(atlas: ql.Store) -> None:
    assert len(atlas.run(ql.All())) == 5


def test_where_then_top(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Where({"pop": {"$gt": 2.5}}), ql.Top(2)))
    assert [row.id for row in found] == ["france", "rome"]


def test_above_keeps_scores_at_the_bound(atlas: ql.Store) -> None:
    everything = atlas.run(ql.Near(5), about=np.eye(DIM)[0] + 0.1)
    bound = float(everything.scores[2])
    kept = atlas.run(ql.Query(ql.Near(5), ql.Above(bound)), about=np.eye(DIM)[0] + 0.1)
    assert len(kept) == int((everything.scores >= np.float32(bound)).sum())


# Expand


def test_expand_by_hand(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Named("rome"), ql.Expand(2)))
    rows = {row.id: (row.score, h, v) for row, h, v in zip(
        found, found.columns["hop"], found.columns["via"], strict=True)}  # fmt: skip
    assert rows["rome"] == (1.0, 0, "")
    assert rows["italy"] == (0.25, 1, "capital_of")  # Weight 0.5 times discount 0.5.
    assert rows["europe"] == (0.125, 2, "part_of")
    assert [hop.id for hop in found.trail(2)] == ["rome", "europe"]


def test_expand_equals_networkx(store: ql.Store) -> None:
    graph = networkx.gnp_random_graph(60, 0.04, seed=3, directed=True)
    ids = [str(node) for node in graph]
    store.add_many(ids=ids)
    pairs = np.array(list(graph.edges))
    store.link_many([str(x) for x in pairs[:, 0]], [str(x) for x in pairs[:, 1]], "t")
    for direction, oracle in (
        ("out", graph), ("in", graph.reverse()), ("both", graph.to_undirected()),
    ):  # fmt: skip
        for hops in (1, 2, 4):
            found = store.run(ql.Query(ql.Named("5"), ql.Expand(hops, direction=direction)))
            expected = networkx.single_source_shortest_path_length(oracle, 5, cutoff=hops)
            got = dict(
                zip((int(row.id) for row in found), found.columns["hop"].tolist(), strict=True)
            )
            assert got == expected


def test_expand_says_when_its_budget_stopped_it(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Named("rome"), ql.Expand(5, budget=1)))
    assert found.partial
    assert "partial" in found.explain()


@pytest.mark.parametrize("wrong", [{"hops": -1}, {"direction": "up"}, {"discount": 0.0}])
def test_expand_refuses_bad_parameters(atlas: ql.Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(ql.InvalidError):
        atlas.run(ql.Query(ql.Named("rome"), ql.Expand(**wrong)))


def test_a_query_is_read_by_a_process_that_has_used_no_operator() -> None:
    code = (
        "import sys, quillian as ql; ql.open;"
        "assert 'quillian.spiking' not in sys.modules and 'quillian.asking' not in sys.modules;"
        "assert {'Spike', 'Words'} < set(dir(ql.operators));"
        "print(ql.Query.from_dict({'operator': 'Top', 'k': 3}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "Top(k=3)"
