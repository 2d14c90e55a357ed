"""Folds: associations as extents, written beside commits; a failure leaves the old one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from numpy.typing import NDArray
from quillian import catalog, folding
from quillian.associations import AssociationLog
from quillian.bindings.edges import Edges
from quillian.bindings.graph import Extents

NODES = 400
Model = dict[tuple[int, int, int], float]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds from 200 records on, loads from 1,000 on."""
    monkeypatch.setattr(folding, "FOLD_RECORDS_MIN", 200)
    monkeypatch.setattr(folding, "FINISH_RECORDS_MIN", 0)
    monkeypatch.setattr(folding, "LOAD_RECORDS_MIN", 1_000)


@pytest.fixture
def graph(path: Path, small: None) -> ql.Store:
    store = ql.open(path, dim=2)
    store.add_many(ids=[str(i) for i in range(NODES)])
    return store


def link(store: ql.Store, rng: np.random.Generator, n: int, model: Model) -> None:
    ends: NDArray[np.int64] = rng.integers(0, NODES, (n, 2))
    weights = rng.integers(1, 99, n)
    store.link_many(ends[:, 0], ends[:, 1], "to", weights=weights)
    for (a, b), weight in zip(ends.tolist(), weights.tolist(), strict=True):
        model[a, 0, b] = weight


def held(edges: Edges) -> Model:
    return {(s, t, d): w for s, d, t, _, w in edges.tolist()}


def assert_same(store: ql.Store, model: Model) -> None:
    with store.snapshot() as view:
        assert held(view.graph.edges()) == model
        assert view.head.associations == len(model)
    assert store.check() == []


def files(path: Path) -> list[str]:
    return sorted(x.name for x in path.glob("graph*"))


def wait(store: ql.Store) -> None:
    store._open_directory().folder.wait()


def test_a_long_log_is_folded_in_the_background_and_opening_reads_the_rest(graph: ql.Store) -> None:
    rng = np.random.default_rng(1)
    model: Model = {}
    for _ in range(30):
        link(graph, rng, 30, model)
        wait(graph)  # A fold leaves what is linked meanwhile, which may be all the rest.
    state = graph.stats()["extents"]
    assert state["fold"] > 0
    assert state["failure"] is None
    assert state["records_behind"] <= 200
    assert len(files(graph.path)) == 2
    graph.close()
    with ql.open(graph.path) as store:
        assert_same(store, model)
        store.optimize()
        assert store.stats()["extents"]["records_behind"] == 0
        assert_same(store, model)
    with ql.open(graph.path, read_only=True) as store:
        assert_same(store, model)


def test_snapshots_stay_as_they_are_through_folds(graph: ql.Store) -> None:
    rng = np.random.default_rng(2)
    model: Model = {}
    views, models = [], []
    for _ in range(12):
        link(graph, rng, 100, model)
        views.append(graph.snapshot())
        models.append(dict(model))
        graph.optimize()
    assert graph.stats()["extents"]["fold"] >= 12
    assert len(files(graph.path)) > 2  # They may still be opened.
    for view, expected in zip(views, models, strict=True):
        assert held(view.graph.edges()) == expected
        view.close()
    graph.optimize()
    link(graph, rng, 100, model)
    graph.optimize()
    assert len(files(graph.path)) == 2
    assert_same(graph, model)


def test_commits_go_on_while_folds_are_written(graph: ql.Store) -> None:
    rng = np.random.default_rng(3)
    model: Model = {}
    stop = threading.Event()

    def fold() -> None:
        while not stop.is_set():
            folding.fold(graph._open_directory(), 10)

    thread = threading.Thread(target=fold)
    thread.start()
    for number in range(40):
        link(graph, rng, 25, model)
        if number % 4 == 3:
            source, _, target = next(iter(model))
            del model[source, 0, target]
            with graph.transaction() as txn:
                txn.unlink(source, target)
        with graph.snapshot() as view:
            assert held(view.graph.edges()) == model
    stop.set()
    thread.join()
    assert graph.stats()["extents"]["fold"] > 1
    graph.close()
    with ql.open(graph.path) as store:
        assert_same(store, model)


def test_a_large_batch_goes_past_the_log(graph: ql.Store) -> None:
    rng = np.random.default_rng(4)
    model: Model = {}
    link(graph, rng, 100, model)
    link(graph, rng, 2_000, model)
    state = graph.stats()["extents"]
    assert (state["fold"], state["records_behind"]) == (1, 0)
    assert_same(graph, model)
    ends = rng.integers(0, NODES, (3_000, 2))
    with graph.transaction() as txn:
        txn.link_many(ends[:, 0], ends[:, 1], "more")
        txn.link(0, 1, "third")
        assert txn.graph.count() == len(model) + len(np.unique(ends, axis=0)) + 1
        txn.abort()
    assert_same(graph, model)
    with graph.transaction() as txn:
        txn.link_many(ends[:, 0], ends[:, 1], "more")
        txn.link(0, 1, "third")
        txn.unlink(int(ends[0, 0]), int(ends[0, 1]), "more")
    model |= {(int(a), 1, int(b)): 1.0 for a, b in ends}
    model[0, 2, 1] = 1.0
    del model[int(ends[0, 0]), 1, int(ends[0, 1])]
    assert graph.stats()["extents"]["records_behind"] < 10
    assert_same(graph, model)
    graph.close()
    with ql.open(graph.path) as store:
        assert_same(store, model)


@pytest.mark.parametrize("step", ["put_head", "commit"])
@pytest.mark.parametrize("batch", [20, 5_000])
def test_a_failing_fold_or_load_leaves_the_old_one(
    graph: ql.Store, monkeypatch: pytest.MonkeyPatch, step: str, batch: int
) -> None:
    rng = np.random.default_rng(5)
    model: Model = {}
    link(graph, rng, 150, model)
    before = files(graph.path)

    def fail(*_: object) -> None:
        raise ql.StorageError(28, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(catalog.CatalogTransaction, step, fail)
        with pytest.raises(ql.StorageError):
            if batch == 20:
                folding.fold(graph._open_directory(), 10)
            else:
                link(graph, rng, batch, {})
    assert files(graph.path) == before
    assert_same(graph, model)
    link(graph, rng, batch, model)
    folding.fold(graph._open_directory(), 10)
    assert_same(graph, model)


def test_two_folds_of_one_process_keep_out_of_each_others_way(
    graph: ql.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Model = {}
    link(graph, np.random.default_rng(8), 150, model)
    both, write = threading.Barrier(2), AssociationLog.write_extents
    drafts: list[Path] = []

    def written_together(log: AssociationLog, draft: Path) -> Extents:
        drafts.append(draft)
        both.wait()
        return write(log, draft)

    monkeypatch.setattr(AssociationLog, "write_extents", written_together)
    with ThreadPoolExecutor(2) as pool:
        directory = graph._open_directory()
        for done in [pool.submit(folding.fold, directory, 10) for _ in range(2)]:
            done.result()
    assert len(set(drafts)) == 2
    assert_same(graph, model)


def test_what_a_dead_process_left_is_removed(graph: ql.Store) -> None:
    model: Model = {}
    link(graph, np.random.default_rng(6), 150, model)
    graph.close()
    for name in ("graph-000000-000001.dat", "graph-000000-000001.log", "graph-draft-7-999999.tmp"):
        (graph.path / name).write_bytes(b"half")
    with ql.open(graph.path) as store:
        assert files(graph.path) == ["graph.log"]
        store.optimize()
        assert_same(store, model)


def test_backups_and_compacting_take_the_fold_along(graph: ql.Store, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    model: Model = {}
    link(graph, rng, 1_500, model)
    link(graph, rng, 50, model)
    graph.backup(tmp_path / "backup")
    ql.restore(tmp_path / "backup", tmp_path / "restored")
    with ql.open(tmp_path / "restored") as store:
        assert_same(store, model)
        graph.compact()
        assert files(graph.path) == ["graph-000001-000001.dat", "graph-000001-000001.log"]
        assert_same(graph, model)


def test_a_damaged_block_is_named_and_read_from_the_others(graph: ql.Store) -> None:
    model: Model = {}
    link(graph, np.random.default_rng(8), 1_500, model)
    graph.close()
    (file,) = graph.path.glob("*.dat")
    content = bytearray(file.read_bytes())
    content[content.index(b"QLEX") + 300] ^= 4
    file.write_bytes(content)
    with ql.open(graph.path) as store:
        with store.snapshot() as view:
            assert view.get("7").node == 7
            with pytest.raises(ql.CorruptError):
                view.neighbours("7")
        assert [problem.part for problem in store.check()] == ["associations"]
        assert not any(problem.lost for problem in store.repair())
        assert_same(store, model)


def test_what_both_blocks_lost_is_counted(graph: ql.Store) -> None:
    model: Model = {}
    link(graph, np.random.default_rng(9), 1_500, model)
    link(graph, np.random.default_rng(10), 30, behind := {})
    graph.close()
    (file,) = graph.path.glob("*.dat")
    content = file.read_bytes()
    file.write_bytes(content.replace(b"QLEX", b"QLEY"))
    with ql.open(graph.path) as store:
        lost = [problem.message for problem in store.repair() if problem.lost]
        assert lost == [f"{len(model)} associations are lost"]
        assert_same(store, behind)
        store.close()
    (file,) = graph.path.glob("*.dat")
    file.unlink()
    with ql.open(graph.path) as store:
        assert store.stats()["damage"]
        assert any(problem.lost for problem in store.repair())
        assert_same(store, {})
