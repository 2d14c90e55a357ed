"""repair: the derived is rebuilt, the damaged is left out and named, everything else stays."""

from pathlib import Path

import lmdb
import numpy as np
import pytest
import quillian as ql
from conftest import DIM
from test_check import flip


def repaired(path: Path) -> tuple[list[str], ql.Store]:
    """Repair a store; what is lost, and the store, which is then sound."""
    store = ql.open(path)
    found = store.repair()
    assert found
    assert store.check() == []
    assert store.repair() == []
    return [problem.message for problem in found if problem.lost], store


def test_a_sound_store_is_left_as_it_is(atlas: ql.Store) -> None:
    before = atlas.stats()["version"]
    assert atlas.repair() == []
    assert atlas.stats()["version"] == before


def test_a_damaged_vector_costs_its_concept_that_vector(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    flip(path / "vectors" / "rows-000.f32", 4096 + 64 * 2 + 5)
    lost, store = repaired(path)
    with store:
        assert lost == ["the vector of 'rome' is lost"]
        assert store.get("rome").text == "Rome, a city"
        assert store.get("rome").slots == ()
        assert store.search(vector=np.eye(5, DIM)[3], k=1)[0].id == "italy"
        assert len(store.search(vector=np.ones(DIM), k=9)) == 4


@pytest.mark.parametrize("part", ["rows-000.f32", "meta-000.slots"])
@pytest.mark.parametrize("size", [0, 4096, 4096 + 3 * 24])
def test_a_file_of_vectors_that_ends_too_soon(atlas: ql.Store, part: str, size: int) -> None:
    path = atlas.path
    atlas.close()
    with (path / "vectors" / part).open("r+b") as file:
        file.truncate(size)
    lost, store = repaired(path)
    with store:
        kept = max(0, (size - 4096) // (64 if part.startswith("rows") else 24))
        assert len(lost) == 5 - kept
        assert store.stats()["vectors"] == kept
        assert store.stats()["associations"] == 4


def test_a_damaged_header_costs_nothing(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    flip(path / "vectors" / "rows-000.f32", 9)
    flip(path / "graph.log", 9)
    lost, store = repaired(path)
    with store:
        assert lost == []
        assert store.stats()["vectors"] == 5
        assert store.stats()["associations"] == 4


def test_a_damaged_batch_costs_its_associations_and_no_other(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.link("europe", "paris", "has")  # A batch of its own, behind the damaged one.
    atlas.close()
    flip(path / "graph.log", 4096 + 32 + 14)
    lost, store = repaired(path)
    with store:
        (message,) = lost
        assert message == "the associations in bytes 4096 to 4192 of the log are lost"
        (edge,) = store.snapshot().associations()
        assert (edge.source, edge.target, edge.type) == ("europe", "paris", "has")


def test_a_missing_log_is_named(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    (path / "graph.log").unlink()
    lost, store = repaired(path)
    with store:
        assert lost == ["the associations in bytes 4096 to 4192 of the log are lost"]
        assert store.stats()["concepts"] == 5


def damage_catalog(path: Path, key: bytes, value: bytes | None) -> None:
    with lmdb.open(str(path / "catalog.mdb"), subdir=False) as env, env.begin(write=True) as txn:
        if value is None:
            assert txn.delete(key)
        else:
            assert txn.put(key, value)


def test_a_damaged_record_costs_its_concept_and_what_touches_it(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    damage_catalog(path, b"c" + (2).to_bytes(4, "big"), b"garbage garbage")
    lost, store = repaired(path)
    with store:
        assert lost == ["concept 'rome' is lost"]
        assert "rome" not in store.snapshot()
        assert store.stats()["concepts"] == 4
        assert store.stats()["associations"] == 3
        assert store.search("italy", method="words", k=9).names == ["Italy"]


def test_ids_names_and_words_are_rebuilt(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.optimize()
    atlas.close()
    damage_catalog(path, b"I\0\0rome", None)
    damage_catalog(path, b"I\0\0ghost", (77).to_bytes(4, "big"))
    (words,) = (path / "words").iterdir()
    flip(words, words.stat().st_size // 2)
    lost, store = repaired(path)
    with store:
        assert lost == []
        assert store.get("rome").node == 2
        assert "ghost" not in store.snapshot()
        assert store.search("rome", method="words", k=1)[0].id == "rome"


def test_a_store_goes_on_after_a_repair(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    flip(path / "graph.log", 4096 + 32 + 14)
    _, store = repaired(path)
    with store:
        store.add("Oslo", id="oslo", vector=np.ones(DIM))
        store.link("oslo", "europe", "part_of")
    with ql.open(path) as store:
        assert store.check() == []
        assert [x.target for x in store.snapshot().neighbours("oslo")] == ["europe"]
