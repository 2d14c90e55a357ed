"""Conditions equal a Python predicate over all concepts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quillian as ql
from quillian import bitmaps, filters
from quillian.bitmaps import Kept
from quillian.records import Concept

CONCEPTS = [
    Concept(
        0, "a", text="red fox", name="Fox", kind="animal", data={"legs": 4, "tags": ["x", "y"]}
    ),
    Concept(1, "b", kind="plant", source="book", data={"legs": 0, "deep": {"er": "yes"}}),
    Concept(2, "c", data={"legs": True, "name": "shadow"}),
    Concept(3, "d", kind="animal", data={"legs": "four"}, confidence=0.5),
]

CASES: list[tuple[dict[str, Any], Callable[[Concept], bool]]] = [
    ({}, lambda c: True),
    ({"kind": "animal"}, lambda c: c.kind == "animal"),
    ({"kind": None}, lambda c: c.kind is None),
    ({"kind": {"$eq": "animal"}}, lambda c: c.kind == "animal"),
    ({"kind": {"$ne": "animal"}}, lambda c: c.kind != "animal"),
    ({"legs": 1}, lambda c: False),
    ({"legs": {"$gte": 0}}, lambda c: c.id in "ab"),
    ({"legs": {"$gt": 0, "$lt": 5}}, lambda c: c.id == "a"),
    ({"legs": {"$lte": "z"}}, lambda c: c.id == "d"),
    ({"legs": {"$in": [4, "four"]}}, lambda c: c.id in "ad"),
    ({"legs": {"$nin": [4, "four"]}}, lambda c: c.id in "bc"),
    ({"tags": {"$contains": "y"}}, lambda c: c.id == "a"),
    ({"text": {"$contains": "fox"}}, lambda c: c.id == "a"),
    ({"deep": {"$contains": "er"}}, lambda c: c.id == "b"),
    ({"deep": {"$contains": ["er"]}}, lambda c: False),
    ({"deep.er": "yes"}, lambda c: c.id == "b"),
    ({"data.name": "shadow"}, lambda c: c.id == "c"),
    ({"name": {"$exists": True}}, lambda c: c.name is not None),
    ({"deep": {"er": "yes"}}, lambda c: c.id == "b"),
    ({"$or": [{"source": "book"}, {"confidence": {"$lt": 1}}]}, lambda c: c.id in "bd"),
    ({"$and": [{"kind": "animal"}, {"legs": 4}]}, lambda c: c.id == "a"),
    ({"$not": {"kind": "animal"}}, lambda c: c.kind != "animal"),
    ({"node": {"$gte": 2}, "kind": "animal"}, lambda c: c.id == "d"),
]


@pytest.mark.parametrize(("condition", "expected"), CASES)
def test_condition_equals_its_predicate(
    condition: dict[str, Any], expected: Callable[[Concept], bool]
) -> None:
    test = filters.compile(condition)
    assert [test(c) for c in CONCEPTS] == [expected(c) for c in CONCEPTS]


@pytest.mark.parametrize(
    "wrong",
    [
        {"a": {"$near": 1}},
        {"$xor": []},
        {"$or": []},
        {"$or": {"a": 1}},
        {"a": {"$in": 3}},
        {1: 2},
        ["a"],
        "a",
    ],
)
def test_malformed_condition_is_refused(wrong: Any) -> None:
    with pytest.raises(ql.InvalidError):
        filters.compile(wrong)
    if not isinstance(wrong, dict):
        with pytest.raises(ql.InvalidError):
            ql.Where(wrong)


@pytest.mark.parametrize(("condition", "expected"), CASES)
def test_conditions_reach_near_and_words_as_bitmaps(
    store: ql.Store, condition: dict[str, Any], expected: Callable[[Concept], bool]
) -> None:
    """Every operator behind a Where sees exactly the concepts of the Python predicate."""
    with store.transaction() as txn:
        for concept in CONCEPTS:
            own = {x: getattr(concept, x) for x in ("name", "kind", "source", "confidence")}
            text = f"{concept.text or 'bird'} word"
            txn.add(text, id=concept.id, vector=[1.0] * 8, data=dict(concept.data), **own)
    wanted = {c.id for c in CONCEPTS if expected(c)}
    question = ql.Question(text="word", vector=np.ones(8, np.float32))
    where = ql.Where(condition)
    plans = [ql.Query(where), ql.Query(ql.All(), where)]
    plans += [ql.Query(where, leg) for leg in (ql.Near(9), ql.Near(9, exact=True), ql.Words(9))]
    plans += [ql.Query(where, ql.Near(9), where)]  # The second time by the bitmap.
    for plan in plans:
        assert {row.id for row in store.run(plan, about=question)} == wanted


@pytest.mark.parametrize(("condition", "expected"), CASES)
def test_conditions_reach_expand_as_bitmaps(
    store: ql.Store, condition: dict[str, Any], expected: Callable[[Concept], bool]
) -> None:
    """What is reached is what a graph without the concepts of the false predicate would give."""
    pairs = ["ab", "bc", "cd", "ad", "db", "ca"]
    with store.transaction() as txn:
        for concept in CONCEPTS:
            own = {x: getattr(concept, x) for x in ("text", "name", "kind", "source", "confidence")}
            txn.add(id=concept.id, data=dict(concept.data), **own)
        txn.link_many([x for x, _ in pairs], [y for _, y in pairs], "t")
    inside = {c.id for c in CONCEPTS if expected(c)}
    for start in "abcd":
        reached = {start}
        for hops in range(4):
            plan = ql.Query(ql.Named(start), ql.Expand(hops, where=condition))
            assert {row.id for row in store.run(plan)} == reached
            reached |= {y for x, y in pairs if x in reached and y in inside}


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 1])
def test_bitmaps_hold_their_nodes(size: int, share: float) -> None:
    nodes = np.flatnonzero(np.random.default_rng(size).random(size) < share).astype(np.uint64)
    bitmap = bitmaps.of_nodes(nodes, size)
    assert bitmaps.to_nodes(bitmap).tolist() == nodes.tolist()
    everywhere = np.arange(size + 70, dtype=np.uint64)
    assert everywhere[bitmaps.holds(bitmap, everywhere)].tolist() == nodes.tolist()


def test_snapshots_of_one_state_share_what_a_filter_found(tmp_path: Path) -> None:
    with ql.open(tmp_path / "store", dim=2) as store:
        store.add_many(ids=["a", "b"], data=[{"n": 1}, {"n": 2}])
        with store.snapshot() as first, store.snapshot() as second:
            assert first.matching({"n": 1}) is second.matching({"n": 1})
        with store.transaction() as txn:
            assert bitmaps.to_nodes(txn.matching({"n": 1})).tolist() == [0]
            txn.add(id="c", data={"n": 1})
            assert bitmaps.to_nodes(txn.matching({"n": 1})).tolist() == [0, 2]
            with store.snapshot() as before:
                assert bitmaps.to_nodes(before.matching({"n": 1})).tolist() == [0]
        with store.snapshot() as after:
            assert bitmaps.to_nodes(after.matching({"n": 1})).tolist() == [0, 2]
            for n in range(40):
                after.matching({"n": n})
            assert after.matched({"n": 0}) is None
            assert after.matched({"n": 39}) is not None


def test_what_another_thread_keeps_of_another_state_is_not_taken(atlas: ql.Store) -> None:
    directory = atlas._open_directory()
    where = {"id": "paris"}
    with atlas.snapshot() as view:
        state = view._kept.state
        wanted = [concept.node for concept in view.concepts(where)]

    class Passing(Kept):
        """When its state is looked at, another snapshot puts its own there."""

        def __getattribute__(self, name: str) -> Any:
            if name == "state":
                directory.kept = other
            return super().__getattribute__(name)

    other = Kept((0, 0, 0))
    other.put(repr(where), np.zeros(1, np.uint64))
    directory.kept = Passing(state)
    with atlas.snapshot() as view:
        assert [concept.node for concept in view.concepts(where)] == wanted
    assert len(wanted) == 1
