"""backup and restore: one moment of a store that is in use, checked before it is put in place."""

import threading
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
import writer
from quillian import indexing


def contents(store: ql.Store) -> tuple[list[ql.Concept], list[ql.Association]]:
    with store.snapshot() as view:
        return list(view.concepts()), list(view.associations())


def test_a_backup_is_the_store_as_it_was(atlas: ql.Store, tmp_path: Path) -> None:
    before = contents(atlas)
    atlas.backup(tmp_path / "copy")
    atlas.forget("paris")
    with ql.open(tmp_path / "copy") as copy:
        assert copy.check() == []
        assert contents(copy) == before
        assert copy.search(vector=np.eye(5, 8)[2], k=1)[0].id == "rome"
        assert copy.search("country", method="words", k=9).names == ["France", "Italy"]
        copy.add("more", vector=np.ones(8))
        assert copy.check() == []


def test_a_backup_holds_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", 100)
    rows = np.random.default_rng(5).normal(size=(300, 8)).astype(np.float32)
    with ql.open(tmp_path / "store", dim=8) as store:
        store.add_many(vectors=rows, texts=[f"word{i}" for i in range(300)])
        store.optimize()
        store.backup(tmp_path / "copy")
    with ql.open(tmp_path / "copy") as copy:
        assert copy.stats()["index"]["rows"] == 300
        assert copy.stats()["words"]["documents"] == 300
        assert copy.check() == []
        assert copy.search(vector=rows[7], k=1)[0].node == 7


@pytest.mark.parametrize("dim", [None, 8])
def test_an_empty_store_can_be_backed_up(tmp_path: Path, dim: int | None) -> None:
    with ql.open(tmp_path / "store", dim=dim, embedder=None if dim else "none") as store:
        store.backup(tmp_path / "copy")
    with ql.open(tmp_path / "copy", embedder="none") as copy:
        assert copy.check() == []
        assert len(contents(copy)[0]) == 0


def test_backups_while_a_writer_commits_are_each_one_moment(tmp_path: Path) -> None:
    done = threading.Event()
    acknowledged: list[int] = []

    def work(store: ql.Store) -> None:
        while not done.is_set():
            writer.write(store, len(acknowledged))
            acknowledged.append(len(acknowledged))

    with ql.open(tmp_path / "store", dim=writer.DIM) as store:
        thread = threading.Thread(target=work, args=(store,))
        thread.start()
        try:
            for turn in range(5):
                before = list(acknowledged)
                store.backup(tmp_path / f"copy{turn}")
                with ql.open(tmp_path / f"copy{turn}") as copy:
                    writer.verify(copy, before)
        finally:
            done.set()
            thread.join()


def test_nothing_is_overwritten_and_nothing_is_left_half(atlas: ql.Store, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(ql.ConflictError, match="target exists"):
        atlas.backup(target)
    with pytest.raises(ql.ConflictError, match="target exists"):
        ql.restore(atlas.path, target)
    assert list(target.iterdir()) == []
    with pytest.raises(ql.NotFoundError):
        ql.restore(tmp_path / "missing", tmp_path / "restored")
    assert sorted(x.name for x in tmp_path.iterdir()) == ["store", "target"]


def test_restore_puts_a_sound_backup_in_place(atlas: ql.Store, tmp_path: Path) -> None:
    atlas.backup(tmp_path / "copy")
    ql.restore(tmp_path / "copy", tmp_path / "deep" / "restored")
    with ql.open(tmp_path / "deep" / "restored") as restored:
        assert contents(restored) == contents(atlas)


def test_restore_refuses_a_damaged_backup(atlas: ql.Store, tmp_path: Path) -> None:
    atlas.backup(tmp_path / "copy")
    rows = tmp_path / "copy" / "vectors" / "rows-000.f32"
    content = bytearray(rows.read_bytes())
    content[4096 + 64 * 2] ^= 1
    rows.write_bytes(content)
    with pytest.raises(ql.CorruptError, match="rome"):
        ql.restore(tmp_path / "copy", tmp_path / "restored")
    rows.write_bytes(content[:4096])
    with pytest.raises(ql.CorruptError):
        ql.restore(tmp_path / "copy", tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
