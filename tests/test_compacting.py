"""compact and secure forgetting: what died is given back, snapshots stay, no byte is left."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
import writer
from numpy.typing import NDArray
from quillian import catalog, indexing

DIM = 64


def contents(view: ql.Snapshot) -> tuple[object, ...]:
    """All that a view shows, without slots, which compacting changes."""
    concepts = [(c.node, c.id, c.text, dict(c.data)) for c in view.concepts()]
    with_vectors = [c.node for c in view.concepts() if c.slots]
    rows = view.vectors(with_vectors).tolist() if with_vectors else []
    return concepts, rows, list(view.associations())


def filled(path: Path, count: int = 600) -> tuple[ql.Store, NDArray[np.float32]]:
    """A store in which two thirds of the concepts died again."""
    rows = np.random.default_rng(1).normal(size=(count, DIM)).astype(np.float32)
    store = ql.open(path, dim=DIM)
    ids = [str(i) for i in range(count)]
    store.add_many(vectors=rows, ids=ids, texts=[f"word{i} " * 20 for i in range(count)])
    store.link_many(ids[:-1], ids[1:], "next")
    store.link("0", "3", "jump", confidence=0.5)
    with store.transaction() as txn:
        for i in range(count):
            if i % 3:
                txn.forget(str(i))
    return store, rows


def live_bytes(store: ql.Store, rows: int) -> int:
    text = sum(len(c.text or "") for c in store.snapshot().concepts())
    return rows * DIM * 4 + text


def test_compacting_keeps_what_lives_and_gives_the_rest_back(path: Path) -> None:
    store, rows = filled(path)
    with store:
        with store.snapshot() as view:
            before = contents(view)
        done = store.compact()
        assert done.old_files_removed
        assert done.catalog_shrunk
        assert done.after_bytes < done.before_bytes
        with store.snapshot() as view:
            assert contents(view) == before
            assert view.near(rows[3], k=1).ids.tolist() == [3]
        assert store.search("word9", method="words", k=1)[0].id == "9"
        assert store.stats()["rows"] == {"live": 200, "retired": 0}
        assert store.check() == []
        assert [x.confidence for x in store.snapshot().neighbours("0", ["jump"])] == [0.5]
        store.add("more", id="more", vector=rows[1])
        store.link("more", "0", "next")
    assert sorted(x.name for x in path.iterdir()) == [
        "catalog.mdb", "catalog.mdb-lock", "catalog.mdb-sync", "graph-000001-000001.dat",
            "graph-000001-000001.log", "vectors-000001", "words",
        "writer.lock",
    ]  # fmt: skip
    with ql.open(path) as store:
        assert store.check() == []
        assert store.search(vector=rows[1], k=1)[0].id == "more"
        assert store.compact().old_files_removed
        assert store.check() == []


def test_a_compacted_store_is_as_small_as_one_written_at_once(path: Path, tmp_path: Path) -> None:
    store, rows = filled(path)
    live = [str(i) for i in range(0, 600, 3)]
    with store, ql.open(tmp_path / "other", dim=DIM) as other:
        store.compact()
        other.add_many(vectors=rows[::3], ids=live, texts=[f"word{i} " * 20 for i in live])
        other.link("0", "3", "jump", confidence=0.5)
        other.compact()
        sizes = [sum(s.stats()["size_bytes"].values()) for s in (store, other)]
    assert sizes[0] <= 1.1 * sizes[1]


def test_open_snapshots_of_this_process_stay_as_they_are(path: Path) -> None:
    store, rows = filled(path)
    with store:
        with store.snapshot() as old:
            before = contents(old)
            done = store.compact()
            assert not done.old_files_removed
            assert not done.catalog_shrunk
            store.add("more", id="more", vector=rows[1])
            assert contents(old) == before
            assert old.near(rows[3], k=1).ids.tolist() == [3]
            assert "more" not in old
            with store.snapshot() as new:
                assert "more" in new
        assert store.compact().old_files_removed
        assert store.check() == []


def test_a_snapshot_of_another_process_stays_as_it_is(path: Path) -> None:
    store, _ = filled(path)
    hold = (
        "import sys, quillian as ql\n"
        "with ql.open(sys.argv[1]) as s, s.snapshot() as v:\n"
        "    print('held', flush=True); sys.stdin.readline()\n"
        "    c = [x for x in v.concepts()]\n"
        "    v.vectors([x.node for x in c]); a = len(list(v.associations()))\n"
        "    with s.snapshot() as w: print(len(c), a, len(w), flush=True)\n"
    )
    with store:
        command = [sys.executable, "-c", hold, str(path)]
        with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "held\n"
            done = store.compact()
            assert (done.old_files_removed, done.catalog_shrunk) == (False, False)
            store.forget("0")
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "200 1 199\n"
        done = store.compact()
        assert (done.old_files_removed, done.catalog_shrunk) == (True, True)
        assert store.check() == []


def test_a_store_with_an_index_is_indexed_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", 50)
    store, rows = filled(path)
    with store:
        store.optimize()
        store.compact()
        store.optimize()
        assert store.stats()["index"]["rows"] == 200
        assert store.search(vector=rows[9], k=1)[0].id == "9"
        assert store.check() == []


def test_a_failed_compaction_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = filled(path)
    with store:
        with store.snapshot() as view:
            before = contents(view)

        def fail(self: object) -> None:
            raise ql.StorageError(28, "no space left")

        monkeypatch.setattr(catalog.CatalogTransaction, "commit", fail)
        with pytest.raises(ql.StorageError):
            store.compact()
        monkeypatch.undo()
        assert not (path / "vectors-000001").exists()
        with store.snapshot() as view:
            assert contents(view) == before
        assert store.compact().old_files_removed
        assert store.check() == []


def bytes_of(path: Path) -> bytes:
    return b"".join(x.read_bytes() for x in path.rglob("*") if x.is_file())


@pytest.mark.parametrize("size", [10, 3_000, 100_000])
def test_secure_forgetting_leaves_no_byte_in_any_file(path: Path, size: int) -> None:
    secret = "classified " * (size // 11 + 1)
    vector = np.random.default_rng(3).normal(size=DIM).astype(np.float32)
    with ql.open(path, dim=DIM) as store:
        store.add_many(texts=[f"plain {i}" for i in range(50)], vectors=np.ones((50, DIM)))
        store.add(secret, id="secret-id", name="covert", vector=vector, data={"hidden": "value"})
        store.link("secret-id", 3, "t", origin="informer")
        store.optimize()
        for known in (b"classified", vector.tobytes(), b"secret-id", b"covert", b"informer"):
            assert known in bytes_of(path), known
        store.forget("secret-id", secure=True)
        kept = bytes_of(path)
        for known in (b"classified", vector.tobytes()[:8], b"secret-id", b"covert", b"hidden",
                      b"informer"):  # fmt: skip
            assert known not in kept, known
        assert store.check() == []


def test_secure_forgetting_says_when_a_snapshot_is_in_the_way(path: Path) -> None:
    with ql.open(path, dim=writer.DIM) as store:
        writer.write(store, 0)
        with store.snapshot(), pytest.raises(ql.ConflictError, match="is forgotten, but"):
            store.forget("0/1", secure=True)
        assert "0/1" not in store.snapshot()
        assert store.compact().catalog_shrunk


def test_stats_tell_how_far_readers_are_behind(path: Path) -> None:
    with ql.open(path, dim=writer.DIM) as store:
        assert store.stats()["readers"] == []
        with store.snapshot():
            writer.write(store, 0)
            writer.write(store, 1)
            assert store.stats()["readers"] == [{"process": os.getpid(), "behind": 2}]
        assert store.stats()["readers"] == []


def test_compacting_what_is_compact_adds_nothing(path: Path) -> None:
    with ql.open(path, dim=4) as store:
        store.add_many(vectors=np.eye(4))
        store.compact()
        size = store.stats()["size_bytes"]["vectors"]
        store.compact()
        assert store.stats()["size_bytes"]["vectors"] == size < 65_536
        assert store.check() == []


def test_stats_tell_what_compacting_gives_back_and_how_old_readers_are(path: Path) -> None:
    with ql.open(path, dim=4) as store:
        ids = [str(i) for i in range(200)]
        store.add_many(texts=["x" * 400] * 200, ids=ids, vectors=np.ones((200, 4)))
        store.link_many(ids[:-1], ids[1:], "next")
        assert store.stats()["oldest_reader_s"] == 0
        with store.snapshot():
            assert store.stats()["oldest_reader_s"] > 0
        with store.transaction() as txn:
            for id in ids[:150]:
                txn.forget(id)
        before = store.stats()["reclaimable_bytes"]
        assert before["vectors"] == 150 * (64 + 24)
        assert before["associations"] >= (2 * 150 - 1) * 16
        assert before["catalog"] > 150 * 400
        store.compact()
        after = store.stats()["reclaimable_bytes"]
        assert (after["vectors"], after["associations"]) == (0, 0)
        assert after["catalog"] < before["catalog"] / 4


def test_sizes_leave_out_a_file_that_goes_meanwhile(tmp_path: Path) -> None:
    with ql.open(tmp_path / "store") as store:
        store.add("a")
        (tmp_path / "store" / "graph-000001.log").symlink_to("gone")  # As a listed name may be.
        assert store.stats()["size_bytes"]["catalog"] > 0
