"""Results: what the cache returns is what computing would, and it stays within its budget."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quillian as ql
from conftest import DIM
from hypothesis import given, settings
from hypothesis import strategies as st
from quillian import results
from test_operators import ALL, QUESTION

BUDGET = 1 << 20


@pytest.fixture
def cached(atlas: ql.Store) -> Iterator[ql.Store]:
    """The atlas once more, by a handle that keeps results."""
    with ql.open(atlas.path, cache_bytes=BUDGET) as store:
        yield store


def told(found: ql.Selection) -> list[Any]:
    """Every byte of an answer: ids, scores, columns, concepts, trails, costs."""
    columns = {k: (v.dtype.str, v.tolist()) for k, v in found.columns.items()}
    steps = [(step.operator, dict(step.cost), step.partial) for step in found.steps()]
    trails = [[str(hop) for hop in found.trail(row)] for row in range(len(found))]
    bytes_of = [found.ids.tobytes(), found.scores.tobytes()]
    return [bytes_of, columns, found.concepts(), trails, steps, found.names]


@pytest.mark.parametrize("operator", ALL, ids=repr)
def test_a_kept_answer_is_the_computed_one(
    cached: ql.Store, atlas: ql.Store, operator: ql.Operator[Any]
) -> None:
    query = ql.Query(ql.Near(4), operator)
    try:
        computed = told(atlas.run(query, about=QUESTION))
    except ql.QuillianError as error:
        with pytest.raises(type(error)):
            cached.run(query, about=QUESTION)
        return
    for _ in range(3):
        assert told(cached.run(query, about=QUESTION)) == computed
    assert cached.stats()["cache"]["hits"] == 2


def test_nobody_can_change_what_is_kept(cached: ql.Store) -> None:
    vector = np.ones(DIM, dtype=np.float32)
    first = cached.search(vector=vector, k=3)
    before = told(cached.search(vector=np.ones(DIM, dtype=np.float32), k=3))
    for found in (first, cached.search(vector=vector, k=3)):
        found.columns["mine"] = np.ones(3)
        found[0].concept.data["spoilt"] = True  # type: ignore[index]
        with pytest.raises(ValueError, match="read-only"):
            found.scores[0] = 9
    vector[:] = 7
    assert told(cached.search(vector=np.ones(DIM, dtype=np.float32), k=3)) == before


def test_any_commit_makes_it_miss(cached: ql.Store) -> None:
    assert cached.search("country", method="words").names == ["France", "Italy"]
    cached.add("another country", id="x", name="X")
    assert "X" in cached.search("country", method="words").names
    cached.forget("x")
    assert cached.search("country", method="words").names == ["France", "Italy"]
    stats = cached.stats()["cache"]
    assert (stats["hits"], stats["misses"], stats["hit_ratio"]) == (0, 3, 0.0)


def test_what_differs_in_anything_is_another_entry(cached: ql.Store) -> None:
    near = [ql.Near(2), ql.Near(3), ql.Near(3, exact=True)]
    for query in (*near, ql.Query(near[0]), ql.Query(ql.Where({"pop": 1}), near[0])):
        for about in (np.ones(DIM), np.ones(DIM, np.float32), np.eye(DIM)[1]):
            cached.run(query, about=about)
    cached.run(ql.Query(ql.Where({"pop": True}), near[0]), about=np.ones(DIM))
    assert cached.stats()["cache"]["hits"] == 0


def test_what_json_cannot_say_is_computed(cached: ql.Store) -> None:
    query = ql.Where({"kind": {"$in": {"city"}}})
    for _ in range(2):
        assert cached.run(query).names == ["Paris", "Rome"]
    assert cached.stats()["cache"]["entries"] == 0


def test_an_answer_lives_for_its_time(cached: ql.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(results.time, "monotonic", lambda: now[0])
    with ql.open(cached.path, cache_bytes=BUDGET, cache_seconds=5) as store:
        for moment in (100.0, 104.0, 106.0):
            now[0] = moment
            store.search("city", method="words")
        stats = store.stats()["cache"]
        assert (stats["hits"], stats["misses"], stats["entries"]) == (1, 2, 1)


@given(asked=st.lists(st.integers(0, 30), max_size=60), size=st.integers(0, 200_000))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_the_budget_holds_and_answers_are_right(
    made: ql.Store, asked: list[int], size: int
) -> None:
    with ql.open(made.path, cache_bytes=size) as store:
        for number in asked:
            found = store.run(ql.Near(3), about=np.eye(DIM)[number % DIM] + number)
            assert told(found) == told(
                made.run(ql.Near(3), about=np.eye(DIM)[number % DIM] + number)
            )
            stats = store.stats()["cache"]
            assert stats["bytes"] <= size
            assert (stats["entries"] == 0) == (stats["bytes"] == 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ql.Store]:
    with ql.open(Path(tmp_path_factory.mktemp("made")) / "store", dim=DIM) as store:
        store.add_many([f"text {i}" for i in range(50)], vectors=np.eye(50, DIM) + 0.1)
        yield store


@pytest.mark.parametrize(
    "wrong",
    [{"cache_bytes": -1}, {"cache_bytes": True}, {"cache_bytes": 1.5}, {"cache_seconds": 0}],
)
def test_wrong_budgets_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ql.InvalidError, match="want cache"):
        ql.open(tmp_path / "x", **wrong)
