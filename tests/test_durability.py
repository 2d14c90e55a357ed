"""When commits become durable: modes, handles that want different ones, and who takes over."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
import writer
from quillian import durability, journal, syncpoints
from quillian.syncpoints import NOBODY, SyncPoint, SyncPoints


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sync point but those that a test asks for."""
    monkeypatch.setitem(durability.PAUSE_S, "group", 1e6)
    monkeypatch.setitem(durability.PAUSE_S, "none", 1e6)


def point(path: Path) -> SyncPoint:
    points = SyncPoints(path / "catalog.mdb-sync", read_only=True)
    try:
        return points.newest()
    finally:
        points.close()


def batches(store: ql.Store) -> set[int]:
    with store.snapshot() as view:
        return {int(concept.id.split("/")[0]) for concept in view.concepts()}


def test_an_unknown_mode_is_refused(path: Path) -> None:
    with pytest.raises(ql.InvalidError, match="want durability commit"):
        ql.open(path, dim=2, durability="always")


@pytest.mark.parametrize("mode", ["commit", "group", "none"])
def test_every_mode_keeps_what_was_committed(path: Path, mode: str) -> None:
    with ql.open(path, dim=writer.DIM, durability=mode) as store:
        for batch in range(12):
            writer.write(store, batch)
        store.compact()
        for batch in range(12, 15):
            writer.write(store, batch)
        store.optimize()
        store.sync()
    assert point(path).owner == NOBODY
    with ql.open(path) as store:
        writer.verify(store, list(range(15)))


@pytest.mark.parametrize("mode", ["group", "none"])
def test_a_power_loss_leaves_the_last_sync_point(
    path: Path, mode: str, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages behind the sync point may be anything then: here they are overwritten."""
    write = (
        "import os, sys, writer, quillian as ql; from quillian import durability\n"
        "durability.PAUSE_S.update(group=1e6, none=1e6)\n"
        "store = ql.open(sys.argv[1], dim=writer.DIM, durability=sys.argv[2])\n"
        "for batch in range(9):\n"
        "    writer.write(store, batch)\n"
        "    if batch == 4: store.sync()\n"
        "os._exit(0)\n"
    )
    folder = Path(__file__).parent
    subprocess.run([sys.executable, "-c", write, path, mode], check=True, cwd=folder)
    with ql.open(path, read_only=True) as store:
        assert batches(store) == set(range(9))  # The process died, the system did not.
    monkeypatch.setattr(syncpoints, "boot_id", lambda: b"another boot now")
    with ql.open(path) as store:
        assert batches(store) == set(range(5))
        writer.verify(store, list(range(5)))
        writer.write(store, 5)
    with ql.open(path) as store:
        writer.verify(store, list(range(6)))


def test_a_handle_that_wants_more_waits_for_a_sync_point(path: Path, quiet: None) -> None:
    with (
        ql.open(path, dim=writer.DIM, durability="group") as group,
        ql.open(path, durability="commit") as commit,
    ):
        writer.write(group, 0)
        before = point(path)
        writer.write(commit, 1)
        after = point(path)
        writer.write(group, 2)
        assert after.txn > before.txn
        assert point(path) == after
        group.sync()
        assert point(path).txn > after.txn


def test_writers_of_different_modes_take_over_from_each_other(path: Path) -> None:
    ql.open(path, dim=writer.DIM).close()
    code = (
        "import sys, writer, quillian as ql\n"
        "with ql.open(sys.argv[1], durability=sys.argv[2], lock_timeout=60) as store:\n"
        "    first = int(sys.argv[3])\n"
        "    for batch in range(first, first + 12): writer.write(store, batch)\n"
    )
    modes = ("commit", "group", "group", "none")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), mode, str(30 * i)], cwd=Path(__file__).parent
        )
        for i, mode in enumerate(modes)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    with ql.open(path) as store:
        writer.verify(store, [30 * i + batch for i in range(4) for batch in range(12)])


def test_a_forked_child_takes_over_and_its_parent_goes_on(path: Path) -> None:
    with ql.open(path, dim=writer.DIM, durability="group") as store:
        writer.write(store, 0)
        child = os.fork()
        if child == 0:
            try:
                writer.write(store, 1)
                store.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        writer.write(store, 2)
        writer.verify(store, [0, 1, 2])


def test_a_failed_sync_is_told_by_the_next_transaction(
    path: Path, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    store = ql.open(path, dim=2, durability="group")
    store.add("a", vector=[1, 0])
    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(ql.StorageError, match="could not sync"):
        store.sync()
    monkeypatch.undo()
    with pytest.raises(ql.StorageError, match="open again"):
        store.add("b")
    store.close()
    with ql.open(path) as again:
        again.add("b")
        assert again.stats()["concepts"] == 2


def test_who_was_taken_over_from_lets_go_of_its_pages(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an idle handle would let the catalog grow for ever while another process writes."""
    monkeypatch.setattr(durability, "LOOK_S", 0.001)
    code = "import sys, writer, quillian as ql; writer.write(ql.open(sys.argv[1]), 1)"
    with ql.open(path, dim=writer.DIM, durability="group") as store:
        writer.write(store, 0)
        store.sync()
        keeper = store._directory.durability
        assert keeper.pin is not None
        subprocess.run([sys.executable, "-c", code, path], check=True, cwd=Path(__file__).parent)
        turn = threading.Event()
        assert any(keeper.pin is None or turn.wait(0.01) for _ in range(1_000))
        writer.write(store, 2)
        writer.verify(store, [0, 1, 2])


def test_any_failure_of_the_thread_that_syncs_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise ql.LimitError("no room for a reader")

    store = ql.open(path, dim=2, durability="group")
    store.add("a", vector=[1, 0])
    keeper = store._directory.durability
    monkeypatch.setattr(durability.Durability, "_pinned", full)
    keeper._wake()
    assert keeper._thread is not None
    keeper._thread.join(timeout=30)
    with pytest.raises(ql.StorageError, match="no room for a reader"):
        store.add("b")
    monkeypatch.undo()
    store.close()


def test_the_handle_that_wants_the_soonest_sync_sets_the_pause(path: Path) -> None:
    with (
        ql.open(path, dim=2, durability="none") as store,
        ql.open(path, durability="group"),
    ):
        assert store._directory.durability._pause_s == durability.PAUSE_S["group"]


def test_opening_removes_nothing_that_a_power_loss_would_bring_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process dies behind a fold that no sync point covers; the next one drops the old files."""
    write = (
        "import os, sys, writer, quillian as ql; from quillian import durability, folding\n"
        "durability.PAUSE_S.update(group=1e6)\n"
        "store = ql.open(sys.argv[1], dim=writer.DIM, durability='group')\n"
        "for batch in range(3): writer.write(store, batch)\n"
        "store.sync()\n"
        "folding.fold(store._directory, 5)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", write, path], check=True, cwd=Path(__file__).parent)
    ql.open(path).close()
    monkeypatch.setattr(syncpoints, "boot_id", lambda: b"another boot now")
    with ql.open(path) as store:
        writer.verify(store, list(range(3)))


def test_a_torn_record_leaves_the_one_before(path: Path) -> None:
    path.mkdir()
    points = SyncPoints(path / "points", read_only=False)
    for sequence in (1, 2, 3):
        points.put(SyncPoint(sequence, b"o" * 16, txn=sequence))
    os.pwrite(points._file, b"torn", 4_096 + 60)
    assert points.newest().txn == 2
    points.put(SyncPoint(4))
    os.pwrite(points._file, b"torn", 60)
    assert points.newest() == SyncPoint(4)  # Stands in both slots: nothing older may count again.
    points.close()


# The journal.


def test_small_commits_wait_for_no_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ql.open(path, dim=writer.DIM) as store:
        writer.write(store, 0)
        synced = []
        monkeypatch.setattr(type(store._directory.vectors()), "sync", lambda _: synced.append(1))
        monkeypatch.setattr(
            type(store._directory.logs.associations), "sync", lambda _: synced.append(1)
        )
        for batch in range(1, 9):
            writer.write(store, batch)
        assert synced == []
        store.add_many(vectors=np.ones((5_000, writer.DIM)))
        assert synced == [1]


def test_what_a_power_loss_takes_from_the_logs_is_in_the_journal(path: Path) -> None:
    """The logs are cut back to what was synced: the first commit."""
    sizes = {}
    with ql.open(path, dim=writer.DIM) as store:
        writer.write(store, 0)
        with store.snapshot() as view:
            rows, log = view.head.rows, view.head.log_bytes
        for batch in range(1, 9):
            writer.write(store, batch)
    sizes["vectors/rows-000.f32"] = 4_096 + 64 * rows
    sizes["vectors/meta-000.slots"] = 4_096 + 24 * rows
    sizes["graph.log"] = log
    for name, size in sizes.items():
        os.truncate(path / name, size)
    with ql.open(path) as store:
        writer.verify(store, list(range(9)))


def test_the_journal_is_emptied_once_it_is_large(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "JOURNAL_BYTES_MAX", 2_000)
    kept = []
    with ql.open(path, dim=writer.DIM) as store:
        for batch in range(20):
            writer.write(store, batch)
            with store.snapshot() as view:
                entries = list(view.catalog.items("journal"))
                kept.append(view.head.journal_bytes)
                assert (view.head.journal_bytes > 0) == (len(entries) > 0)
        assert kept[0] == 0  # The first commit makes the files.
        assert max(kept) < 3_000
        assert min(kept[5:]) < max(kept)
        store.compact()
        with store.snapshot() as view:
            assert view.head.journal_bytes == 0
            assert list(view.catalog.items("journal")) == []


def test_a_damaged_entry_of_the_journal_refuses_nothing(path: Path) -> None:
    with ql.open(path, dim=writer.DIM) as store:
        for batch in range(3):
            writer.write(store, batch)
        with store.transaction() as txn:
            key, value = next(iter(txn.catalog.items("journal")))
            txn.catalog.put("journal", key, value[:-1] + b"x")
    with ql.open(path) as store:
        writer.verify(store, list(range(3)))


def test_closing_while_the_thread_begins_a_sync_point_ends_it(tmp_path: Path) -> None:
    class Closing(threading.Event):
        """Somebody closes just before its word is cleared."""

        def clear(self) -> None:
            syncing._ending.set()
            self.set()
            super().clear()

    with ql.open(tmp_path / "store", dim=2, durability="group") as store:
        syncing = store._directory.durability
        syncing._wanted = Closing()
        store.add(id="a", vector=[1.0, 0.0])
        assert syncing._thread is not None
        syncing._thread.join(10)
        assert not syncing._thread.is_alive()
    with ql.open(tmp_path / "store") as store:
        assert store.get("a").node == 0
