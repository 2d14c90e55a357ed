"""Facets: a condition finds what reading every record finds, whatever happened to the store."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quillian as ql
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from quillian import bitmaps, coding, facets, filters, layout

CASE = settings(
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
IDS = [f"c{i}" for i in range(14)]
LONG = "x" * 80
plain = [None, True, False, 0, 1, 1.0, 2**53 + 1, float(2**53), -0.0, 2.5, "", "a", "b", LONG]
values = st.sampled_from([*plain, ["a"], ["a", LONG], {"in": 1}, {"in": "a", "on": [1]}])
names = st.sampled_from(["n", "m", "in", "a.b"])
records = st.fixed_dictionaries(
    {"data": st.dictionaries(names, values, max_size=3)},
    optional={"kind": st.sampled_from(["a", "b"]), "name": st.just(LONG)},
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(IDS), records),
        st.tuples(st.sampled_from(["merge", "forget"]), st.sampled_from(IDS), records),
        st.tuples(st.sampled_from(["commit", "abort", "compact", "optimize", "reopen"])),
    ),
    max_size=40,
)
fields = st.sampled_from(
    ["n", "m", "n.in", "data.n.on", "a.b", "kind", "name", "id", "namespace", "confidence", "none"]
)
leaves = st.one_of(
    st.dictionaries(fields, values, min_size=1, max_size=1),
    st.builds(
        lambda field, word, value: {field: {word: value}},
        fields,
        st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$contains", "$exists"]),
        values,
    ),
    st.builds(
        lambda field, word, some: {field: {word: some}},
        fields,
        st.sampled_from(["$in", "$nin"]),
        st.lists(values, max_size=3),
    ),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda x: {"$not": x}, inner),
        st.builds(
            lambda w, x: {w: x}, st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1)
        ),
    ),
    max_leaves=4,
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of four nodes, two of which may be stale, and of three metadata fields."""
    monkeypatch.setattr(facets, "PAGE", 4)
    monkeypatch.setattr(facets, "STALE_MAX", 2)
    monkeypatch.setattr(coding, "FIELDS_MAX", 3)


def compare(view: ql.Snapshot, condition: dict[str, Any]) -> None:
    """What the facets find is what a predicate over all records finds."""
    holds = filters.compile(condition)
    expected = [concept.node for concept in view.concepts() if holds(concept)]
    assert bitmaps.to_nodes(view.matching(condition)).tolist() == expected
    assert [concept.node for concept in view.concepts(condition)] == expected


def put(txn: ql.Transaction, kind: str, id: str, record: dict[str, Any]) -> None:
    if kind == "forget":
        if id in txn:
            txn.forget(id)
    else:
        txn.add(id=id, on_conflict="merge" if kind == "merge" else "replace", **record)


@seed(1)
@CASE
@given(steps, conditions, conditions)
def test_a_condition_finds_what_a_scan_finds(
    tmp_path: Path, small: None, history: list[Any], first: Any, second: Any
) -> None:
    """In open transactions, after commits, aborts, compactions, and for views from before."""
    path = tmp_path / "store"
    shutil.rmtree(path, ignore_errors=True)
    with ExitStack() as stack:
        store = stack.enter_context(ql.open(path, embedder="none"))
        txn = stack.enter_context(store.transaction())
        for step in history:
            if len(step) > 1:
                put(txn, *step)
                compare(txn, first)
                continue
            (txn.abort if step[0] == "abort" else txn.commit)()
            if step[0] == "reopen":
                store.close()
                store = stack.enter_context(ql.open(path, embedder="none"))
            elif step[0] in ("compact", "optimize"):
                getattr(store, step[0])()
            with store.snapshot() as view:
                compare(view, first)
                compare(view, second)
            assert store.check() == []
            txn = stack.enter_context(store.transaction())


@pytest.fixture
def store(tmp_path: Path, small: None) -> Iterator[ql.Store]:
    with ql.open(tmp_path / "store", embedder="none") as opened:
        opened.add_many(ids=IDS[:10], data=[{"n": i % 3, "t": f"v{i}"} for i in range(10)])
        yield opened


def asked(view: ql.Snapshot, condition: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many records deciding a condition reads."""
    read = []
    catalog = type(view.catalog)
    decoded = catalog.decoded
    with monkeypatch.context() as patch:
        patch.setattr(
            catalog, "decoded", lambda self, n, x: (read.append(n), decoded(self, n, x))[1]
        )
        view.matching(condition)
    return len(read)


def test_only_the_tail_and_what_changed_is_read(
    store: ql.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.snapshot() as view:
        assert asked(view, {"n": 1}, monkeypatch) == 2  # Of ten nodes two pages of four are full.
        assert asked(view, {"n": {"$gt": 0}, "id": "c1"}, monkeypatch) == 5 + 2
    store.add(id="c0", data={"n": 1}, on_conflict="replace")
    with store.snapshot() as view:
        assert asked(view, {"n": 1}, monkeypatch) == 2 + 1
    for id in ("c2", "c3"):  # With three stale nodes their page is written anew.
        store.add(id=id, data={"n": 0}, on_conflict="replace")
    with store.snapshot() as view:
        assert asked(view, {"n": 1}, monkeypatch) == 2
    store.optimize()
    with store.snapshot() as view:
        assert asked(view, {"n": 1}, monkeypatch) == 0
        assert bitmaps.to_nodes(view.matching({"n": 1})).tolist() == [0, 1, 4, 7]


def test_a_view_from_before_sees_its_own_values(store: ql.Store) -> None:
    with store.snapshot() as before:
        for id in IDS[:10]:
            store.add(id=id, data={"n": 7}, on_conflict="replace")
        store.optimize()
        assert bitmaps.to_nodes(before.matching({"n": 7})).tolist() == []
        assert bitmaps.to_nodes(before.matching({"n": 1})).tolist() == [1, 4, 7]
    with store.snapshot() as after:
        assert len(bitmaps.to_nodes(after.matching({"n": 7}))) == 10


def test_a_page_may_lose_all_its_nodes(store: ql.Store) -> None:
    with store.transaction() as txn:
        for id in IDS[:4]:
            txn.forget(id)
    with store.snapshot() as view:
        assert bitmaps.to_nodes(view.matching({"n": 1})).tolist() == [4, 7]


def test_a_killed_commit_leaves_the_facets_of_before(store: ql.Store) -> None:
    child = os.fork()
    if child == 0:
        try:
            txn = store.transaction()
            txn.add_many(ids=IDS[:14], data=[{"n": 9}] * 14, on_conflict="replace")
            txn._directory.publish = lambda *args, **how: os._exit(7)  # type: ignore[method-assign]
            txn.commit()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with store.snapshot() as view:
        compare(view, {"n": 9})
        compare(view, {"n": 1})
    assert store.check() == []


@pytest.mark.parametrize("damage", ["seal", "value", "missing", "more"])
def test_check_notices_and_repair_mends(store: ql.Store, damage: str) -> None:
    key = layout.facet_key("data.n", 0)
    wrong = layout.seal(key, [b"\2", [5], [], []])
    with store._open_directory().catalog.begin(write=True) as txn:
        if damage == "missing":
            txn.delete("facets", key)
        else:
            txn.put("facets", key + b"x" * (damage == "more"), wrong + b"x" * (damage == "seal"))
        txn.commit()
    assert {(x.part, x.lost) for x in store.check()} == {("catalog", False)}
    assert not any(problem.lost for problem in store.repair())
    assert store.check() == []
    with store.snapshot() as view:
        compare(view, {"n": 1})


def test_a_damaged_record_stops_no_commit(store: ql.Store) -> None:
    with store._open_directory().catalog.begin(write=True) as txn:
        txn.put("concepts", layout.node_key(8), b"damaged")
        txn.put("concepts", layout.node_key(5), b"damaged")
        txn.commit()
    store.add_many(ids=IDS[10:], data=[{"n": 1}] * 4)
    for id in ("c4", "c6", "c7"):  # Too many to be stale.
        store.add(id=id, data={"n": 1}, on_conflict="replace")
    store.optimize()
    with store.snapshot() as view, pytest.raises(ql.CorruptError):
        view.matching({"n": 1})
    store.repair()
    with store.snapshot() as view:
        assert bitmaps.to_nodes(view.matching({"n": 1})).tolist() == [1, 4, 6, 7, *range(10, 14)]


def test_secure_forgetting_leaves_no_value(store: ql.Store) -> None:
    store.forget("c2", secure=True)
    files = [path.read_bytes() for path in store.path.rglob("*") if path.is_file()]
    assert any(b"v3" in content for content in files)
    assert not any(b"v2" in content for content in files)


def test_a_field_beyond_the_most_frequent_ones_is_asked(store: ql.Store) -> None:
    rows: list[dict[str, Any]] = [{"a": 1, "b": 1, "c": 1, f"rare{i}": {"in": i}} for i in range(6)]
    store.add_many(data=rows)
    store.optimize()
    with store.snapshot() as view:
        assert bitmaps.to_nodes(view.matching({"rare4.in": 4})).tolist() == [14]
        compare(view, {"rare4.in": {"$ne": 4}})


def test_numbers_and_texts_of_other_kinds_count_as_plain_ones(store: ql.Store) -> None:
    some = [np.float64(0.5), np.str_("a"), HTTPStatus.OK, np.float64(0.5), True]
    store.add_many(data=[{"x": x} for x in some])
    store.add_many(data=[{"y": x} for x in some[:1] * 5])
    with store.snapshot() as view:
        assert view.head.facets == 20
        assert bitmaps.to_nodes(view.matching({"x": 0.5})).tolist() == [10, 13]
        assert bitmaps.to_nodes(view.matching({"x": {"$gte": 200}})).tolist() == [12]
    assert store.check() == []
