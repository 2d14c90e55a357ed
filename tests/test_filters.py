"""Conditions equal a Python predicate over all concepts."""

from collections.abc import Callable
from typing import Any

import pytest
import quillian as ql
from quillian import filters
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
    ({"kind": {"$ne": "animal"}}, lambda c: c.kind != "animal"),
    ({"legs": 1}, lambda c: False),
    ({"legs": {"$gte": 0}}, lambda c: c.id in "ab"),
    ({"legs": {"$gt": 0, "$lt": 5}}, lambda c: c.id == "a"),
    ({"legs": {"$lte": "z"}}, lambda c: c.id == "d"),
    ({"legs": {"$in": [4, "four"]}}, lambda c: c.id in "ad"),
    ({"legs": {"$nin": [4, "four"]}}, lambda c: c.id in "bc"),
    ({"tags": {"$contains": "y"}}, lambda c: c.id == "a"),
    ({"text": {"$contains": "fox"}}, lambda c: c.id == "a"),
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
        ["a"],
        "a",
    ],
)
def test_malformed_condition_is_refused(wrong: Any) -> None:
    with pytest.raises(ql.InvalidError):
        filters.compile(wrong)
