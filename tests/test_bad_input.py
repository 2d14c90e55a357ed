"""The bad input table of the storage design: a clear error, nothing written, nothing lost."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quillian as ql
from conftest import DIM
from quillian import checks

GOOD = np.ones(DIM)
NAN, INF = float("nan"), float("inf")

VECTORS: list[tuple[Any, str]] = [
    (np.full(DIM, NAN), "NaN"),
    (np.full(DIM, INF), "infinity"),
    (np.full(DIM, 1e39), "infinity"),  # Beyond float32.
    (np.zeros(DIM), "zeros"),
    (np.ones(DIM - 1), r"want vectors \(n, 8\)"),
    (np.ones((2, 2, DIM)), "want vectors"),
    (["a"] * DIM, "numbers"),
    (np.array([None] * DIM), "numbers"),
    ([], "want vectors"),
]
CONCEPTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"id": ""}, ql.InvalidError, "non-empty id"),
    ({"id": "x" * 512}, ql.LimitError, "511"),
    ({"id": "a\nb"}, ql.InvalidError, "control"),
    ({"id": 5}, ql.InvalidError, "str"),
    ({"text": "x\x00y"}, ql.InvalidError, "control"),
    ({"text": "\ud800"}, ql.InvalidError, "UTF-8"),
    ({"text": b"bytes"}, ql.InvalidError, "str"),
    ({"text": "x" * (16 * 2**20 + 1)}, ql.LimitError, "16777216"),
    ({"data": {"x": "y" * 2**20}}, ql.LimitError, "1048576"),
    ({"data": {"x": NAN}}, ql.InvalidError, "finite"),
    ({"data": {"x": 2**64}}, ql.InvalidError, "64 bits"),
    ({"data": {"x": object()}}, ql.InvalidError, "JSON"),
    ({"data": {"x": b"b"}}, ql.InvalidError, "JSON"),
    ({"data": {1: 2}}, ql.InvalidError, "str keys"),
    ({"data": {"a": {2: 3}}}, ql.InvalidError, "str keys"),
    ({"data": [1]}, ql.InvalidError, "dictionary"),
    ({"confidence": 0}, ql.InvalidError, "confidence"),
    ({"confidence": 1.1}, ql.InvalidError, "confidence"),
    ({"confidence": None}, ql.InvalidError, "confidence"),
    ({"strength": -0.1}, ql.InvalidError, "strength"),
    ({"strength": None}, ql.InvalidError, "strength"),
    ({"since": 2, "until": 1}, ql.InvalidError, "since <= until"),
    ({"since": "yesterday"}, ql.InvalidError, "ISO 8601"),
    ({"since": 2**63}, ql.InvalidError, "64 bits"),
    ({"until": "2500-01-01"}, ql.InvalidError, "64 bits"),
    ({"since": datetime.date(2020, 1, 1)}, ql.InvalidError, "datetime"),
    ({"aliases": "one"}, ql.InvalidError, "list"),
    ({"kind": ""}, ql.InvalidError, "kind"),
    ({"on_conflict": "ignore"}, ql.InvalidError, "on_conflict"),
]
LINKS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"type": ["near"]}, ql.InvalidError, "association type as str"),
    ({"type": 7}, ql.InvalidError, "association type"),
    ({"weight": NAN}, ql.InvalidError, "weight"),
    ({"weight": 1e39}, ql.InvalidError, "float32"),
    ({"weight": "heavy"}, ql.InvalidError, "number"),
    ({"weight": None}, ql.InvalidError, "number"),
    ({"confidence": None}, ql.InvalidError, "number"),
    ({"confidence": 0}, ql.InvalidError, "confidence"),
    ({"confidence": 1.5}, ql.InvalidError, "confidence"),
    ({"confidence": NAN}, ql.InvalidError, "confidence"),
    ({"since": 9, "until": 3}, ql.InvalidError, "since"),
    ({"type": ""}, ql.InvalidError, "type"),
    ({"type": "x" * 511}, ql.LimitError, "510"),
    ({"target": "nobody"}, ql.NotFoundError, "nobody"),
    ({"source": 77}, ql.NotFoundError, "77"),
    ({"source": True}, ql.InvalidError, "id"),
    ({"data": {"x": NAN}}, ql.InvalidError, "finite"),
]


def untouched(store: ql.Store, before: dict[str, Any]) -> None:
    after = store.stats()
    for stats in (before, after):
        for name in ("size_bytes", "memory"):
            stats.pop(name, None)
    assert after == before
    assert store.check() == []


@pytest.mark.parametrize(("vector", "message"), VECTORS)
def test_bad_vector_is_refused_before_anything_is_written(
    atlas: ql.Store, vector: Any, message: str
) -> None:
    before = atlas.stats()
    with pytest.raises(ql.InvalidError, match=message):
        atlas.add("x", id="x", vector=vector)
    batch = [GOOD, vector]
    with pytest.raises(ql.InvalidError):
        atlas.add_many(ids=["y", "z"], vectors=batch)
    untouched(atlas, before)


@pytest.mark.parametrize(("vector", "message"), [v for v in VECTORS if v[1] != "zeros"])
def test_bad_question_is_refused(atlas: ql.Store, vector: Any, message: str) -> None:
    with pytest.raises(ql.InvalidError, match=message.replace("want vectors", "want .*")):
        atlas.search(vector=vector)


@pytest.mark.parametrize(("fields", "error", "message"), CONCEPTS)
def test_bad_concept_is_refused_before_anything_is_written(
    atlas: ql.Store, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    before = atlas.stats()
    with pytest.raises(error, match=message):
        atlas.add(**{"id": "x", "vector": GOOD, **fields})
    untouched(atlas, before)


@pytest.mark.parametrize(("fields", "error", "message"), LINKS)
def test_bad_association_is_refused_before_anything_is_written(
    atlas: ql.Store, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    before = atlas.stats()
    arguments = {"source": "paris", "target": "rome", "type": "near", **fields}
    ends = [arguments.pop(name) for name in ("source", "target", "type")]
    with pytest.raises(error, match=message):
        atlas.link(*ends, **arguments)
    untouched(atlas, before)


def test_types_of_many_that_are_no_texts_are_refused(atlas: ql.Store) -> None:
    before = atlas.stats()
    with pytest.raises(ql.InvalidError, match="association type as str"):
        atlas.link_many(["paris", "paris"], ["rome", "rome"], [["near"], ["near"]])
    untouched(atlas, before)


def test_an_error_in_a_batch_names_its_row(store: ql.Store) -> None:
    with pytest.raises(ql.InvalidError, match="row 2"):
        store.add_many(texts=["a", "b", "c\x01"])


def test_columns_of_different_lengths_are_refused(store: ql.Store) -> None:
    for columns in (
        {"texts": ["a", "b"], "ids": ["a"]},
        {"texts": ["a", "b"], "vectors": np.ones((3, DIM))},
        {"ids": ["a"], "kinds": ["x", "y"]},
    ):
        with pytest.raises(ql.InvalidError, match="want"):
            store.add_many(**columns)
    with pytest.raises(ql.InvalidError, match="at least one"):
        store.add_many()
    assert store.stats()["concepts"] == 0


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(atlas: ql.Store, k: int) -> None:
    with pytest.raises(ql.InvalidError, match="k >= 1"):
        atlas.search(vector=GOOD, k=k)


def test_unknown_direction_is_refused(atlas: ql.Store) -> None:
    with pytest.raises(ql.InvalidError, match="direction"), atlas.snapshot() as view:
        view.neighbours("paris", direction="sideways")


@pytest.mark.parametrize("wrong", [{"k": 2.5}, {"k": "3"}, {"k": True}, {"ef": -1}, {"ef": 2**40}])
def test_counts_of_a_search_are_checked(atlas: ql.Store, wrong: dict[str, Any]) -> None:
    with atlas.snapshot() as view, pytest.raises(ql.InvalidError, match=r"want an integer (k|ef)"):
        view.near([1.0] * 8, **wrong)


@pytest.mark.parametrize("wrong", [-1, float("inf"), float("nan")])
def test_a_lock_timeout_is_finite_seconds(path: Path, wrong: float) -> None:
    with pytest.raises(ql.InvalidError, match="lock_timeout"):
        ql.open(path, dim=2, lock_timeout=wrong)


@pytest.mark.parametrize(
    "value",
    ["ä", "\u2028", "a\tb", "a\nb", "", "a\x00", "a\x7f", "\ud800", "x" * 511, "x" * 512, "é" * 256,
     None, 1, b"a", np.str_("a")],
)  # fmt: skip
def test_what_is_plain_among_many_passes_alone(value: object) -> None:
    def passes(check: Callable[[Any], object]) -> bool:
        try:
            return check(value) == value
        except ql.QuillianError:
            return False

    for lines, check in ((False, checks.name), (True, checks.text)):
        plain = checks.are_plain(["a", value, "z"], lines=lines, optional=lines)
        assert passes(check) or not plain
    assert checks.are_plain(["a", "ä", "zoë"])
    assert checks.are_plain(["a\tb", None], lines=True)


@pytest.mark.parametrize("wrong", [5, None, b"folder", ["folder"]])
def test_a_path_is_a_path(wrong: Any) -> None:
    with pytest.raises(ql.InvalidError, match="want the path of a folder"):
        ql.open(wrong)


@pytest.mark.parametrize("wrong", [5, b"text", ["text"]])
def test_a_question_is_a_text(atlas: ql.Store, wrong: Any) -> None:
    with pytest.raises(ql.InvalidError, match=r"want a text as str, or vector=\.\.\."):
        atlas.search(wrong)
    with pytest.raises(ql.InvalidError, match=r"want a text as str, or vector=\.\.\."):
        atlas.ask(wrong)


@pytest.mark.parametrize("wrong", ["x", 0, -1, 1.5, None, True])
@pytest.mark.parametrize("method", [None, "words", "vectors"])
def test_k_is_a_count(atlas: ql.Store, wrong: Any, method: str | None) -> None:
    with pytest.raises(ql.InvalidError, match="want an integer k >= 1"):
        atlas.search("city", wrong, method=method)


@pytest.mark.parametrize("wrong", ["x", None, 0, 1.1, float("nan")])
def test_recall_is_a_share(atlas: ql.Store, wrong: Any) -> None:
    with atlas.snapshot() as view, pytest.raises(ql.InvalidError, match="want a recall"):
        view.near(np.ones(DIM), recall=wrong)


def test_an_operator_has_a_name_of_its_own() -> None:
    with pytest.raises(ql.InvalidError, match=r"want another name .* got 'Near'"):
        type("Near", (ql.Operator,), {})
    assert ql.Operator.known()["Near"] is ql.Near
