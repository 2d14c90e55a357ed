"""The index grows in the background and is published for other processes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from numpy.typing import NDArray
from quillian import indexing
from quillian.bindings._core import lib
from quillian.directory import Directory

DIM, ROWS = 16, 3_000
ASK = """
import json, sys, numpy as np, quillian as ql
with ql.open(sys.argv[1], read_only=True) as store:
    rows = np.random.default_rng(5).normal(size=(20, 16)).astype(np.float32)
    found = [store.search(vector=row, k=10) for row in rows]
    distances = sum(made.step.cost["distances"] for made in found)
    print(json.dumps([[made.ids.tolist() for made in found], distances]))
"""


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", 1_000)
    monkeypatch.setattr(indexing, "INDEX_TAIL_ROWS", 500)
    monkeypatch.setattr(indexing, "INDEX_DEAD_ROWS", 200)
    monkeypatch.setattr(indexing, "INDEX_STEP_ROWS", 256)


@pytest.fixture
def rows() -> NDArray[np.float32]:
    return np.random.default_rng(4).normal(size=(ROWS, DIM)).astype(np.float32)


@pytest.fixture
def grown(path: Path, rows: NDArray[np.float32]) -> Iterator[ql.Store]:
    with ql.open(path, dim=DIM) as store:
        store.add_many(vectors=rows)
        store.optimize()
        yield store


def recall(store: ql.Store, k: int = 10) -> float:
    hits = 0
    queries = np.random.default_rng(5).normal(size=(20, DIM)).astype(np.float32)
    with store.snapshot() as view:
        for query in queries:
            exact = view.near(query, k, exact=True)
            hits += np.isin(view.near(query, k).ids, exact.ids).sum()
    return float(hits / (20 * k))


def test_optimize_links_every_row_and_recall_holds(grown: ql.Store) -> None:
    state = grown.stats()["index"]
    assert (state["generation"], state["rows"], state["rows_behind"]) == (1, ROWS, 0)
    found = grown.search(vector=np.ones(DIM))
    assert found.step is not None
    assert found.step.cost["distances"] < ROWS  # It walks, and does not scan.
    assert recall(grown) >= 0.95
    assert grown.check() == []


@pytest.mark.parametrize("promised", [0.8, 0.95, 0.99])
def test_a_promised_recall_is_kept_at_growing_cost(grown: ql.Store, promised: float) -> None:
    hits, walked, scanned = 0, 0, 0
    queries = np.random.default_rng(5).normal(size=(50, DIM)).astype(np.float32)
    with grown.snapshot() as view:
        for query in queries:
            found, exact = view.near(query, recall=promised), view.near(query, recall=1)
            hits += int(np.isin(found.ids, exact.ids).sum())
            assert found.step is not None
            assert exact.step is not None
            walked += found.step.cost["distances"]
            scanned += exact.step.cost["distances"]
    assert hits / 500 >= promised - 0.03  # The curve itself is a sample of 100 questions.
    assert walked < scanned


def test_the_curve_is_in_the_stats_and_goes_up(grown: ql.Store) -> None:
    curve = [x["recall"] for x in grown.stats()["index"]["recall"] if x["k"] == 10]
    assert len(curve) > 1
    assert curve[-1] > 0.99
    assert curve == sorted(curve)


@pytest.mark.parametrize("wrong", [0, -0.5, 1.5])
def test_an_impossible_recall_is_refused(grown: ql.Store, wrong: float) -> None:
    with pytest.raises(ql.InvalidError, match="recall"), grown.snapshot() as view:
        view.near(np.ones(DIM), recall=wrong)


def test_small_stores_need_no_index(store: ql.Store) -> None:
    store.add("x", vector=np.ones(8))
    store.optimize()
    assert store.stats()["index"]["generation"] == 0


def test_background_thread_links_after_a_commit_and_ends(
    path: Path, rows: NDArray[np.float32]
) -> None:
    with ql.open(path, dim=DIM) as store:
        store.add_many(vectors=rows)
        store._directory._indexer.wait()
        state = store.stats()["index"]
        assert (state["rows"], state["failure"]) == (ROWS, None)
        store.add_many(vectors=rows[:100] + 1)  # A short tail is scanned, not linked.
        store._directory._indexer.wait()
        assert store.stats()["index"]["rows_behind"] == 100
        assert store.search(vector=rows[7] + 1, k=1)[0].node == ROWS + 7


def test_tail_and_deaths_are_seen_at_once(grown: ql.Store, rows: NDArray[np.float32]) -> None:
    grown.add("new", id="new", vector=rows[3] * 1.001)
    best = grown.search(vector=rows[3], k=2)
    assert {row.node for row in best} == {3, ROWS}
    grown.forget(3)
    assert grown.search(vector=rows[3], k=1)[0].id == "new"


def forget(store: ql.Store, nodes: NDArray[np.int64]) -> None:
    with store.transaction() as txn:
        for node in nodes:
            txn.forget(int(node))


def test_deaths_alone_make_a_generation_due(grown: ql.Store, rows: NDArray[np.float32]) -> None:
    def scored() -> float:
        with grown.snapshot() as view:
            steps = [view.near(row, 10).step for row in rows[1::40]]
        return sum(step.cost["distances"] for step in steps if step is not None)

    before = scored()
    forget(grown, np.arange(0, ROWS, 3))  # Slot 0, which every sweep keeps, is one of them.
    grown._directory._indexer.wait()
    assert grown.stats()["index"]["generation"] == 2
    assert scored() < 0.9 * before
    alive = np.setdiff1d(np.arange(ROWS), np.arange(0, ROWS, 3))
    with grown.snapshot() as view:
        found = [view.near(rows[node], 1, ef=64).ids[0] for node in alive]
        assert np.mean(found == alive) >= 0.999
        index = grown._directory.vectors().index
        assert not index.is_due(view.head)
        assert not index.is_behind(view.head)
    assert grown.check() == []  # And all of them are reachable.


def test_dead_rows_that_lead_to_living_copies_make_nothing_due(path: Path) -> None:
    rows = np.random.default_rng(7).normal(size=(1_500, DIM))
    with ql.open(path, dim=DIM) as store:
        store.add_many(vectors=np.concatenate([rows, rows]))
        store.optimize()
        forget(store, np.arange(1_500))  # Each is the first of a chain whose second lives.
        store._directory._indexer.wait()
        store.optimize()
        assert store.stats()["index"]["generation"] == 1
        forget(store, np.arange(1_500, 1_900))  # Now both of a pair are dead.
        store._directory._indexer.wait()
        assert store.stats()["index"]["generation"] == 2
        assert store._directory.vectors().index.current.removed == 799  # Not slot 0.


def test_another_process_maps_the_published_generation(grown: ql.Store) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", ASK, str(grown.path)], capture_output=True, text=True, check=True
    )
    ids, distances = json.loads(answer.stdout)
    queries = np.random.default_rng(5).normal(size=(20, DIM)).astype(np.float32)
    assert ids == [grown.search(vector=query, k=10).ids.tolist() for query in queries]
    assert distances < 20 * ROWS


def test_reopened_store_searches_through_its_index(
    grown: ql.Store, rows: NDArray[np.float32]
) -> None:
    path, before = grown.path, grown.search(vector=rows[0]).ids.tolist()
    grown.close()
    with ql.open(path) as again:
        assert again.search(vector=rows[0]).ids.tolist() == before
        assert again.stats()["index"]["rows_linked_here"] == ROWS


def test_a_newer_generation_replaces_the_file_of_the_old_one(grown: ql.Store) -> None:
    grown.add_many(vectors=np.random.default_rng(6).normal(size=(700, DIM)))
    grown.optimize()
    files = [file.name for file in (grown.path / "vectors").glob("index-*")]
    assert files == [f"index-{grown.stats()['index']['generation']:06d}.hnsw"]
    assert grown.stats()["index"]["rows"] == ROWS + 700


def test_stopping_keeps_what_was_linked(path: Path, rows: NDArray[np.float32]) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done > 1_500:
            raise KeyboardInterrupt

    with ql.open(path, dim=DIM) as store:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(indexing, "INDEX_ROWS_MIN", 10**9)
            store.add_many(vectors=rows)
        with pytest.raises(KeyboardInterrupt):
            store.optimize(progress=stop)
        assert 1_500 < store.stats()["index"]["rows"] < ROWS
        store.optimize()
        assert store.stats()["index"]["rows"] == ROWS


def test_a_damaged_index_is_named_scanned_around_and_built_again(
    grown: ql.Store, rows: NDArray[np.float32]
) -> None:
    path = grown.path
    grown.close()
    (file,) = (path / "vectors").glob("index-*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    with ql.open(path) as store:
        with pytest.warns(UserWarning, match="is damaged"):
            assert store.search(vector=rows[9], k=1)[0].node == 9
        assert [(p.part, p.lost) for p in store.check()] == [("index", False)]
        store.optimize()
        assert store.check() == []
    with ql.open(path) as store:
        assert store.check() == []


def test_an_index_whose_parents_are_no_tree_is_built_again(grown: ql.Store) -> None:
    path = grown.path
    grown.close()
    (file,) = (path / "vectors").glob("index-*")
    content = bytearray(file.read_bytes())
    rows = int.from_bytes(content[28:32], "little")
    parents = sum(
        (n + 4095) // 4096 * 4096 for n in (4096, rows * indexing.INDEX_DEGREE * 4, rows * 4)
    )
    content[parents + 4 : parents + 8] = (1).to_bytes(4, "little")  # Slot 1 is its own.
    whole = bytes(content[parents : parents + 4 * rows])
    content[72:76] = lib.ql_crc32c(0, whole, len(whole)).to_bytes(4, "little")
    content[80:84] = lib.ql_crc32c(0, bytes(content[:80]), 80).to_bytes(4, "little")
    file.write_bytes(content)
    with ql.open(path) as store:
        assert [p.part for p in store.check()] == ["index"]
        with pytest.warns(UserWarning, match="is damaged"):
            store.optimize()
        assert store.check() == []


def test_closing_does_not_wait_for_the_curve(
    path: Path, rows: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(True)
        return True

    monkeypatch.setattr(Directory, "work_if_due", lambda *_: None)
    with ql.open(path, dim=DIM) as store:
        store.add_many(vectors=rows)
        directory = store._directory
        directory.index(timeout=1, threads=1, progress=None, stopped=stopped)
        assert asked == [True]
        with store.snapshot() as view:
            assert not view.head.index_curve
            assert view.head.index_rows == ROWS
            assert directory.vectors().index.is_due(view.head)  # Only the curve is missing.
        store.optimize()
        assert len(store.stats()["index"]["recall"]) > 0
        assert recall(store) > 0.9
