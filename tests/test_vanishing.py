"""A ":memory:" store is one store of one process, and nothing is left of it however that ends."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import quillian as ql
from quillian import vanishing

HOLD = """
import sys, quillian as ql
store = ql.open(":memory:", dim=2)
store.add("x", id="x", vector=[1, 2])
print(store.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nobody else makes memory stores."""
    monkeypatch.setattr(vanishing, "SHARED_MEMORY", tmp_path)
    return tmp_path


def left(place: Path) -> list[str]:
    return [folder.name for folder in place.glob("quillian-*")]


def test_two_opens_are_two_stores(place: Path) -> None:
    with ql.open(":memory:", dim=2) as one, ql.open(":memory:", dim=3) as two:
        one.add("x", id="x", vector=[1, 2])
        assert two.stats()["concepts"] == 0
        assert len(left(place)) == 2
    assert left(place) == []


def test_the_laws_of_a_store_hold(place: Path) -> None:
    with ql.open(":memory:", dim=2) as store:
        with store.transaction() as txn:
            txn.add("x", id="x", vector=[1, 2])
            txn.add("y", id="y", vector=[2, 1])
            txn.link("x", "y", "near")
        with store.snapshot() as view:
            store.forget("y")
            assert [row.id for row in view.near([2, 1])] == ["y", "x"]
        assert [row.id for row in store.search(vector=[2, 1])] == ["x"]
        store.optimize()
        store.compact()
        assert store.check() == []
        store.backup(place / "kept")
    with ql.open(place / "kept") as kept:
        assert kept.get("x").text == "x"


def test_nobody_else_may_enter(place: Path) -> None:
    with ql.open(":memory:", dim=2) as store:
        assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_a_killed_process_leaves_nothing_that_the_next_store_does_not_remove() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin
    assert holder.stdout
    folder = Path(holder.stdout.readline().strip()).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vanishing, "SHARED_MEMORY", folder.parent)
        with ql.open(":memory:", dim=2):
            assert folder.exists()  # Its process lives.
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        with ql.open(":memory:", dim=2):
            assert not folder.exists()


def test_a_forked_child_cannot_use_it_and_does_not_remove_it(place: Path) -> None:
    with ql.open(":memory:", dim=2) as store:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.stats()
            except ql.ClosedError as error:
                status = 0 if "fork" in str(error) else 2
            finally:
                store.close()
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store.add("x", id="x", vector=[1, 2])
        assert len(left(place)) == 1


def test_an_open_that_fails_leaves_nothing(place: Path) -> None:
    with pytest.raises(ql.InvalidError):
        ql.open(":memory:", dim=-1)
    with pytest.raises(ql.InvalidError, match="read-only"):
        ql.open(":memory:", read_only=True)
    assert left(place) == []


def test_what_is_half_removed_goes_too_and_foreign_names_stay(place: Path) -> None:
    (place / "quillian-memory-half").mkdir()
    (place / "quillian-other").mkdir()
    (place / "precious").mkdir()
    (place / "quillian-memory-link").symlink_to(place / "precious")
    vanishing.remove_dead(place)
    assert not (place / "quillian-memory-half").exists()
    assert (place / "quillian-other").exists()
    assert (place / "precious").exists()


def test_without_shared_memory_it_is_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vanishing, "SHARED_MEMORY", tmp_path / "missing")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ql.open(":memory:", dim=2) as store:
        assert store.path.is_relative_to(tmp_path)
    assert left(tmp_path) == []
