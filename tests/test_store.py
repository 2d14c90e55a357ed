"""Store: opening, creating, closing, the short verbs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
import quillian as ql
from conftest import DIM, Letters
from quillian import embedders, mounts


def test_open_creates_a_store_that_opens_again(path: Path) -> None:
    with ql.open(path, dim=DIM) as store:
        store.add("one", id="a", vector=np.ones(DIM))
    with ql.open(path) as store:
        assert store.get("a").text == "one"
        assert store.stats()["dim"] == DIM


def test_open_read_only_refuses_to_create(path: Path) -> None:
    with pytest.raises(ql.NotFoundError, match="no store"):
        ql.open(path, read_only=True)
    assert not path.exists()


def test_read_only_handle_reads_but_refuses_to_write(atlas: ql.Store) -> None:
    with ql.open(atlas.path, read_only=True) as reader:
        assert reader.get("rome").name == "Rome"
        with pytest.raises(ql.ReadOnlyError, match="read-only"):
            reader.add("x")
        with pytest.raises(ql.ReadOnlyError):
            reader.optimize()


@pytest.mark.parametrize("wrong", [0, -1, 16_385, 2.5, True])
def test_open_refuses_a_dimension_out_of_range(path: Path, wrong: object) -> None:
    with pytest.raises(ql.InvalidError, match="dimension"):
        ql.open(path, dim=wrong)  # type: ignore[arg-type]


def test_another_dimension_metric_or_embedder_is_an_error(path: Path, letters: Letters) -> None:
    with ql.open(path, embedder=letters):
        pass
    with pytest.raises(ql.InvalidError, match="dim=9"):
        ql.open(path, dim=9, embedder=letters)
    with pytest.raises(ql.InvalidError, match="metric=l2"):
        ql.open(path, metric="l2", embedder=letters)
    with pytest.raises(ql.EmbedderError, match="letters"):
        ql.open(path, embedder="wordllama")


def test_a_store_opens_where_its_embedder_is_not_installed(path: Path, letters: Letters) -> None:
    with ql.open(path, embedder=letters) as store:
        store.add("ab", id="x")
    with ql.open(path) as store:
        assert store.get("x").text == "ab"
        assert len(store.search(vector=np.ones(DIM))) == 1
        with pytest.raises(ql.EmbedderError, match="letters"):
            store.add("cd")


def test_many_processes_create_one_store(path: Path) -> None:
    code = "import sys, quillian as ql; ql.open(sys.argv[1], dim=3).add('x')"
    command = [sys.executable, "-c", code, str(path)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    with ql.open(path) as store:
        assert store.stats()["concepts"] == 4
        assert store.check() == []


def test_unknown_metric_is_an_error(path: Path) -> None:
    with pytest.raises(ql.InvalidError, match="metric"):
        ql.open(path, dim=3, metric="manhattan")


def test_memory_store_leaves_nothing_behind() -> None:
    with ql.open(":memory:", dim=3) as store:
        store.add("x", id="x", vector=[1, 2, 3])
        folder = store.path
        assert folder.exists()
    assert not folder.exists()


def test_close_may_be_called_twice_and_ends_everything(path: Path) -> None:
    store = ql.open(path, dim=3)
    store.close()
    store.close()
    with pytest.raises(ql.ClosedError, match="closed"):
        store.snapshot()


def test_two_handles_share_one_directory(path: Path) -> None:
    with ql.open(path, dim=3) as first, ql.open(path) as second:
        first.add("x", id="x")
        assert second.get("x").text == "x"
        first.close()
        assert second.get("x").text == "x"


def test_search_takes_text_vector_and_condition(path: Path, letters: Letters) -> None:
    with ql.open(path, embedder=letters) as store:
        store.add_many(texts=["aaaa", "aabb", "pppp"], ids=["a", "b", "p"], kinds=["x", "y", "x"])
        assert [row.id for row in store.search("aa", k=2)] == ["a", "b"]
        assert [row.id for row in store.search(vector=letters.embed(["pp"])[0], k=1)] == ["p"]
        assert [row.id for row in store.search("aa", k=2, where={"kind": "x"})] == ["a", "p"]


def test_search_walks_from_the_best_where_there_are_associations(
    path: Path, letters: Letters
) -> None:
    with ql.open(path, embedder=letters) as store:
        store.add_many(
            texts=["aaaa", "aaac", "aabb", "pppp", "oooo"], ids=list("acbpo"), kinds=list("xxyxx")
        )
        plain = store.search("aaaa", k=5)
        assert [step.operator[:4] for step in plain.steps()] == ["Fuse", "Top("]
        assert [row.id for row in plain] == ["a", "b", "c", "p", "o"]
        store.link("a", "o", "next")
        walked = store.search("aaaa", k=5)
        assert "Spread(" in walked.explain()
        assert [row.id for row in walked if row.id in "apo"] == ["a", "o", "p"]
        only = store.search("aaaa", k=5, where={"kind": "y"})
        assert [row.id for row in only] == ["b"]
        store.link("b", "o", "next")
        assert [row.id for row in store.search("aabb", k=5, where={"kind": "y"})] == ["b"]


def test_text_without_embedder_names_the_installs(atlas: ql.Store) -> None:
    with pytest.raises(ql.EmbedderError, match=r"quillian\[embed\]"):
        atlas.search("capital", method="vectors")


def test_first_vector_fixes_the_dimension_and_abort_takes_it_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quillian.embedders.default_embedder", lambda: None)
    with ql.open(path) as store:
        with pytest.raises(RuntimeError), store.transaction() as txn:
            txn.add("x", vector=[1, 2, 3])
            raise RuntimeError
        assert store.stats()["dim"] is None
        store.add("y", id="y", vector=[1, 2, 3, 4])
        assert store.stats()["dim"] == 4
        assert [row.id for row in store.search(vector=[1, 2, 3, 4])] == ["y"]


def test_stats_counts_and_sizes(atlas: ql.Store) -> None:
    stats = atlas.stats()
    assert (stats["concepts"], stats["vectors"], stats["associations"]) == (5, 5, 4)
    assert stats["types"] == {"capital_of": 2, "part_of": 2}
    assert all(stats["size_bytes"][part] > 0 for part in ("catalog", "vectors", "associations"))


def test_store_survives_fork(atlas: ql.Store) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = {
                "text": atlas.get("rome").text,
                "near": len(atlas.search(vector=np.ones(DIM))),
            }
            atlas.add("from the child", id="child")
            os.write(writing, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    assert answer == {"text": "Rome, a city", "near": 5}
    assert atlas.get("child").text == "from the child"


def test_an_existing_folder_that_is_no_store_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with ql.open(tmp_path, dim=2) as store:
        store.add("x", id="x")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ql.StorageError, match="could not create"):
        ql.open(tmp_path / "file", dim=2)


def closed_in_a_child(owned: ql.Snapshot | ql.Store) -> None:
    """Close it in a forked child, and wait for the child's end."""
    child = os.fork()
    if child == 0:
        try:
            owned.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_a_forked_child_leaves_its_parents_snapshots_alone(atlas: ql.Store) -> None:
    with atlas.snapshot() as view:
        readers = atlas._directory.catalog.readers()
        closed_in_a_child(view)
        assert atlas._directory.catalog.readers() == readers


def test_a_forked_child_leaves_its_parents_memory_store_alone() -> None:
    with ql.open(":memory:", dim=2) as store:
        closed_in_a_child(store)
        assert store.path.exists()
        store.add("x", id="x", vector=[1, 2])


def test_memory_store_that_is_not_closed_ends_with_its_process() -> None:
    script = "import quillian as ql; print(ql.open(':memory:', dim=2).path)"
    done = subprocess.run(
        [sys.executable, "-c", script], text=True, capture_output=True, check=True
    )
    assert done.stdout
    assert not Path(done.stdout.strip()).exists()


def test_another_dimension_after_a_crash_in_the_first_add(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quillian.embedders.default_embedder", lambda: None)
    crashed = tmp_path / "crashed"
    with ql.open(path) as store, store.transaction() as txn:
        txn.add("x", vector=[1, 2, 3])
        shutil.copytree(path, crashed)
    with ql.open(crashed) as store:
        store.add("y", id="y", vector=[1, 2, 3, 4])
        assert [row.id for row in store.search(vector=[1, 2, 3, 4])] == ["y"]
        assert store.check() == []


def test_a_store_that_cannot_be_opened_says_so_every_time(path: Path) -> None:
    with ql.open(path, dim=2) as store:
        store.add_many(["a", "b"], ids=["a", "b"])
    sound = (path / "catalog.mdb").read_bytes()
    with lmdb.open(str(path / "catalog.mdb"), subdir=False) as env, env.begin(write=True) as txn:
        assert txn.put(b"Sstore", b"garbage")
    for _ in range(2):
        with pytest.raises(ql.CorruptError):
            ql.open(path)
    (path / "catalog.mdb").write_bytes(sound)
    with ql.open(path) as store:
        assert store.check() == []


def test_a_foreign_file_among_the_vectors_is_left_alone(path: Path) -> None:
    ql.open(path, dim=2).close()
    foreign = path / "vectors" / "index-draft-x.tmp"
    foreign.parent.mkdir(exist_ok=True)
    foreign.touch()
    ql.open(path).close()
    assert foreign.exists()


def test_a_dimension_given_later_is_recorded_or_refused(path: Path) -> None:
    ql.open(path, embedder="none").close()
    with pytest.raises(ql.InvalidError, match="open it for writing"):
        ql.open(path, dim=8, read_only=True)
    ql.open(path, dim=8).close()
    with ql.open(path) as store:
        assert store.stats()["dim"] == 8
        with pytest.raises(ql.InvalidError, match="8"):
            store.add("x", vector=[1, 2, 3])
    with pytest.raises(ql.InvalidError, match="dim=9"):
        ql.open(path, dim=9)


def test_a_store_on_a_network_file_system_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "file_system", lambda place: ("nfs4", "/home"))
    with pytest.raises(ql.StorageError, match=r"network file system .nfs4 at /home"):
        ql.open(path, dim=8)
    assert not path.exists()


def test_iterating_a_closed_snapshot_is_a_closed_error(atlas: ql.Store) -> None:
    with atlas.snapshot() as view:
        concepts = view.concepts()
        next(concepts)
    with pytest.raises(ql.ClosedError):
        next(concepts)


def test_an_association_named_twice_in_a_batch_leaves_no_data_behind(atlas: ql.Store) -> None:
    with atlas.transaction() as txn:
        txn.link_many(["paris"] * 2, ["rome"] * 2, "near", confidences=[0.5, 1.0])
        txn.link_many(["rome"] * 2, ["paris"] * 2, "near", confidences=[1.0, 0.5])
    with atlas.snapshot() as view:
        found = {x.source: x.confidence for x in view.associations() if x.type == "near"}
        assert found == {"paris": 1.0, "rome": 0.5}
        kept = [key for key, _ in view.catalog.items("edges")]
        assert len(kept) == 2  # Of "rome near paris", and of the atlas's "paris capital_of france".


def test_an_existing_store_opens_without_asking_what_is_installed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ql.open(path, embedder="none").close()

    def asked() -> None:
        raise AssertionError("to look at all installed packages takes longer than to open")

    monkeypatch.setattr(embedders, "default_embedder", asked)
    with ql.open(path) as store:
        assert store.stats()["embedder"] is None
