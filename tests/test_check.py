"""check: a sound store has no problems, a damaged one names them."""

from pathlib import Path

import lmdb
import numpy as np
import pytest
import quillian as ql
from conftest import DIM


def flip(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 1
    file.write_bytes(content)


def test_a_sound_store_has_no_problems(atlas: ql.Store) -> None:
    assert atlas.check() == []


def test_a_flipped_bit_of_a_vector_names_its_concept(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    (rows,) = (path / "vectors").glob("rows-*")
    flip(rows, 4096 + 64 * 2 + 5)  # Rows are 64 bytes here: the third belongs to rome.
    with ql.open(path) as store:
        (problem,) = store.check()
    assert (problem.part, problem.lost) == ("vectors", True)
    assert "rome" in problem.message


def test_a_damaged_association_log_is_named_and_the_rest_served(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    file = path / "graph.log"
    flip(file, file.read_bytes().rindex(np.float32(0.5).tobytes()))
    with ql.open(path) as store:
        assert store.get("paris").name == "Paris"
        assert store.search(vector=np.eye(5, DIM)[2], k=1)[0].id == "rome"
        store.add("more", id="more", vector=np.ones(DIM))
        for use in (lambda: store.link("more", "rome", "t"), lambda: store.snapshot().graph):
            with pytest.raises(ql.CorruptError, match="associations are damaged"):
                use()
        (problem,) = store.check()
        assert (problem.part, problem.lost) == ("associations", True)
        assert store.stats()["damage"] == [store.snapshot().damage["associations"]]


@pytest.mark.parametrize("size", [0, 100, 4096])
def test_vectors_that_end_too_soon_are_named_and_the_rest_served(
    atlas: ql.Store, size: int
) -> None:
    path = atlas.path
    atlas.close()
    with (path / "vectors" / "rows-000.f32").open("r+b") as file:
        file.truncate(size)
    with ql.open(path) as store:
        assert store.get("paris").name == "Paris"
        assert [x.target for x in store.snapshot().neighbours("paris")] == ["france"]
        assert store.search("country", method="words", k=9).names == ["France", "Italy"]
        with pytest.raises(ql.CorruptError, match="vectors are damaged"):
            store.search(vector=np.ones(DIM))
        assert [(x.part, x.lost) for x in store.check()] == [("vectors", True)]


def test_a_flipped_bit_of_a_record_names_its_concept(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    file = path / "catalog.mdb"
    content = file.read_bytes()
    at = content.index(b"Rome, a city")
    while at >= 0:  # Every copy that LMDB keeps of the page.
        flip(file, at)
        at = content.find(b"Rome, a city", at + 1)
    with ql.open(path) as store:
        with pytest.raises(ql.CorruptError, match="concept number 2"):
            store.get("rome")
        assert [p for p in store.check() if p.lost and "concept number 2" in p.message]


def test_references_that_lead_nowhere_are_named(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    with lmdb.open(str(path / "catalog.mdb"), subdir=False) as env, env.begin(write=True) as txn:
        assert txn.delete(b"c" + (4).to_bytes(4, "big"))
    with ql.open(path) as store:
        messages = " ".join(problem.message for problem in store.check())
    assert "missing concept 4" in messages
    assert "an id leads to concept number 4" in messages
    assert "counts 5 concepts" in messages


def test_a_gap_in_the_log_of_changed_texts_is_named_and_mended(atlas: ql.Store) -> None:
    path = atlas.path
    before = [row.id for row in atlas.search("capital", method="words")]
    atlas.close()
    with lmdb.open(str(path / "catalog.mdb"), subdir=False) as env, env.begin(write=True) as txn:
        cursor = txn.cursor()
        assert cursor.set_range(b"W")
        entry = cursor.value()
        cursor.delete()
        txn.put(b"W" + (1 << 40).to_bytes(8, "big"), entry)
    with ql.open(path) as store:
        (problem,) = store.check()
        assert (problem.part, problem.lost) == ("words", False)
        store.repair()
        assert store.check() == []
        assert [row.id for row in store.search("capital", method="words")] == before


def test_rows_beyond_the_committed_ones_are_cut_at_open(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    log = path / "graph.log"
    size = log.stat().st_size
    with log.open("ab") as file:
        file.write(b"torn write" * 1000)
    with ql.open(path) as store:
        assert store.check() == []
        assert log.stat().st_size == size
        store.add("x", id="x", vector=np.ones(DIM))
        store.link("x", "rome", "t")
    with ql.open(path) as store:
        assert store.check() == []
        assert [x.target for x in store.snapshot().neighbours("x")] == ["rome"]


@pytest.mark.parametrize("key", [b"I\0\0paris", b"T\xff"])
def test_a_damaged_entry_without_a_seal_is_a_typed_error(atlas: ql.Store, key: bytes) -> None:
    path = atlas.path
    atlas.close()
    with lmdb.open(str(path / "catalog.mdb"), subdir=False) as env, env.begin(write=True) as txn:
        txn.put(key, b"\0\0\0")
    with ql.open(path) as store, pytest.raises(ql.CorruptError, match="damaged"):
        store.get("paris")
        list(store.snapshot().associations())
