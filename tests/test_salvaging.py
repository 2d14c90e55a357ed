"""Salvaging: a damaged catalog is refused or named, and what holds of it is a store again."""

import mmap
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from conftest import DIM
from quillian.catalog import Catalog
from quillian.layout import DAMAGED, seal
from quillian.pages import PAGE, Pages, damages
from quillian.repairing import rescue
from test_repairing import damage_catalog


def large(path: Path) -> None:
    """A store whose catalog has a tree of levels, freed pages and overflows."""
    rng = random.Random(1)
    with ql.open(path, dim=DIM, embedder="none", hot_bytes=100_000) as store:
        for batch in range(6):
            n = 400
            store.add_many(
                ["wolf " * rng.randrange(1, 60) for _ in range(n)],
                ids=[f"{batch}/{i}" for i in range(n)],
                names=[f"name {batch} {i}" for i in range(n)],
                vectors=np.random.default_rng(batch).normal(size=(n, DIM)),
            )
            with store.transaction() as txn:
                txn.keep(f"blob {batch}", bytes(rng.randrange(100_000)))
                for i in range(50):
                    txn.forget(f"{batch}/{i}")
                ids = [f"{batch}/{i}" for i in range(100, 200)]
                txn.link_many(ids, ids[1:] + ids[:1], "next", confidences=[0.5] * 100)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "store"
    large(path)
    return path


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def catalog(path: Path) -> bytearray:
    return bytearray((path / "catalog.mdb").read_bytes())


def of_kind(content: bytes, kind: int) -> list[int]:
    """Numbers of the pages in use that are of a kind: 1 branches, 2 leaves."""
    pages = Pages(content)
    for _ in pages.pairs(pages.metas()[0]):
        pass
    return [n for n in sorted(pages.reached)
            if int.from_bytes(content[n * PAGE + 10 : n * PAGE + 12], "little") == kind
            and content[n * PAGE : n * PAGE + 8] == n.to_bytes(8, "little")]  # fmt: skip


def repaired(path: Path) -> list[str]:
    """Repair a store, in whichever way it takes; what is lost. It is sound then."""
    try:
        with ql.open(path) as store:
            assert store.check()
            found = store.repair()
    except ql.CorruptError:
        found = rescue(path, 1)
    with ql.open(path) as store:
        assert store.check() == []
    assert damages(path / "catalog.mdb") == []
    return [problem.message for problem in found if problem.lost]


def test_sound_pages_are_sound_and_read_as_lmdb_reads_them(sound: Path) -> None:
    path = sound / "catalog.mdb"
    assert damages(path) == []
    content = path.read_bytes()
    pages = Pages(content)
    meta = pages.metas()[0]
    found = list(pages.pairs(meta))
    assert meta.main.depth > 1
    opened = Catalog(path, read_only=True)
    with opened.begin() as txn:
        assert found == list(txn.txn.cursor())
    opened.close()
    assert pages.free is not None  # No page is both, none is neither.
    assert sorted(pages.reached | pages.free) == list(range(2, meta.last + 1))
    assert list(pages.stray(meta)) == []


def test_a_map_is_read_as_bytes_are(sound: Path) -> None:
    with (sound / "catalog.mdb").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        pages = Pages(mapped)
        assert len(list(pages.pairs(pages.metas()[0]))) == pages.metas()[0].main.entries
        mapped.close()


@pytest.mark.parametrize("seed", range(8))
def test_a_lost_branch_loses_nothing_for_its_leaves_are_in_use(copy: Path, seed: int) -> None:
    with ql.open(copy) as store:
        wanted = [(x.id, x.text, x.slots != ()) for x in store.snapshot().concepts()]
        edges = sorted((x.source, x.target, x.confidence) for x in store.snapshot().associations())
    content = catalog(copy)
    number = random.Random(seed).choice(of_kind(content, 1))
    content[number * PAGE : (number + 1) * PAGE] = bytes(PAGE)
    (copy / "catalog.mdb").write_bytes(content)
    lost = repaired(copy)
    assert [x for x in lost if "concept" in x and "entries" not in x] == []
    with ql.open(copy) as store, store.snapshot() as view:
        assert [(x.id, x.text, x.slots != ()) for x in view.concepts()] == wanted
        assert sorted((x.source, x.target, x.confidence) for x in view.associations()) == edges
    assert (copy / DAMAGED).exists()


def test_a_lost_leaf_costs_what_it_held_and_names_it(copy: Path) -> None:
    with ql.open(copy) as store:
        before = {x.id for x in store.snapshot().concepts()}
    content = catalog(copy)
    key = b"c" + (777).to_bytes(4, "big")
    number = content.rindex(key) // PAGE
    (number,) = [n for n in of_kind(content, 2) if key in content[n * PAGE : (n + 1) * PAGE]]
    content[number * PAGE : (number + 1) * PAGE] = bytes(PAGE)
    (copy / "catalog.mdb").write_bytes(content)
    lost = repaired(copy)
    with ql.open(copy) as store:
        after = {x.id for x in store.snapshot().concepts()}
    named = {x.split("'")[1] for x in lost if x.startswith("concept ")}
    assert after < before
    assert before - after == named


def test_a_node_that_does_not_fit_costs_no_other(copy: Path) -> None:
    content = catalog(copy)
    leaves = of_kind(content, 2)
    number = leaves[len(leaves) // 2]
    (start,) = struct.unpack_from("<H", content, number * PAGE + 16)
    content[number * PAGE + start + 6] ^= 0x40  # The size of its key.
    (copy / "catalog.mdb").write_bytes(content)
    assert len([x for x in repaired(copy) if x.startswith("concept ")]) <= 1


def test_the_commit_before_is_taken_where_the_last_cannot_be_read(copy: Path) -> None:
    with ql.open(copy) as store:
        store.add("last", id="last")
    content = catalog(copy)
    newest = Pages(content).metas()[0]
    content[newest.main.page * PAGE : (newest.main.page + 1) * PAGE] = bytes(PAGE)
    content[newest.free.page * PAGE : (newest.free.page + 1) * PAGE] = bytes(PAGE)
    (copy / "catalog.mdb").write_bytes(content)
    assert "the last commit is lost: what the one before it left is taken" in repaired(copy)
    with ql.open(copy) as store, store.snapshot() as view:
        assert "last" not in view
        assert len(view) == 6 * 350


def test_a_lost_head_is_made_from_the_logs(copy: Path) -> None:
    with ql.open(copy) as store:
        wanted = store.stats()
    damage_catalog(copy, b"Shead", b"garbage")
    with pytest.raises(ql.CorruptError):
        ql.open(copy)
    assert any("what the last commit covered is lost" in x for x in repaired(copy))
    with ql.open(copy) as store:
        for name in ("concepts", "vectors", "associations"):
            assert store.stats()[name] == wanted[name]
        near = store.search(vector=np.random.default_rng(2).normal(size=(400, DIM))[99], k=1)
        assert near[0].id == "2/99"


def test_a_lost_manifest_is_made_from_the_logs(copy: Path) -> None:
    damage_catalog(copy, b"Sstore", None)
    with pytest.raises(ql.CorruptError):
        ql.open(copy)
    assert any("embedder" in x for x in repaired(copy))
    with ql.open(copy, dim=DIM) as store:
        assert (store.stats()["metric"], len(store.snapshot())) == ("cosine", 6 * 350)


def test_names_of_types_that_are_lost_are_told(atlas: ql.Store) -> None:
    path = atlas.path
    atlas.close()
    damage_catalog(path, b"Tcapital_of", None)
    lost = repaired(path)
    assert lost == ["the name of an association type is lost: it is called 'type 0' now"]
    with ql.open(path) as store:
        assert store.snapshot().neighbours("paris")[0].type == "type 0"
        store.link("rome", "paris", "another")  # Its number is free.
        assert store.check() == []


@pytest.mark.parametrize("number", [0, 1])
def test_with_one_meta_page_nobody_knows_whether_it_is_the_last(copy: Path, number: int) -> None:
    content = catalog(copy)
    content[number * PAGE : (number + 1) * PAGE] = bytes(PAGE)
    (copy / "catalog.mdb").write_bytes(content)
    assert "the last commit may be lost" in " ".join(x.message for x in rescue(copy, 1) if x.lost)


def test_a_salvaged_store_still_moves_records_between_tiers(path: Path) -> None:
    with ql.open(path, dim=DIM, embedder="none", hot_bytes=100_000) as store:
        store.add_many(["wolf " * 20] * 400)
        content = catalog(path)
        leaf = next(
            number
            for number in reversed(of_kind(content, 2))
            if content[number * PAGE : (number + 1) * PAGE].count(b"wolf wolf") > 3
        )
        with (path / "catalog.mdb").open("r+b") as file:
            file.seek(leaf * PAGE + 10)
            file.write(b"\xff\xff")
        assert any(problem.lost for problem in store.repair())
        for _ in range(6):
            store.add_many(["b"] * 1_500)
        assert store.stats()["tiers"]["hot_bytes"] <= 100_000
        assert store.check() == []


def test_both_meta_pages_lost_need_a_backup(copy: Path) -> None:
    content = catalog(copy)
    content[: 2 * PAGE] = bytes(2 * PAGE)
    (copy / "catalog.mdb").write_bytes(content)
    with pytest.raises(ql.CorruptError):
        rescue(copy, 1)
    assert catalog(copy) == content


def test_a_newer_format_is_not_damage(copy: Path) -> None:
    opened = Catalog(copy / "catalog.mdb", read_only=False)
    with opened.begin(write=True) as txn:
        manifest = txn.manifest()
        assert manifest is not None
        fields = {name: getattr(manifest, name) for name in manifest.__match_args__}
        txn.put("store", b"store", seal(b"store", {**fields, "format": 99}))
        txn.commit()
    opened.close()
    before = catalog(copy)
    with pytest.raises(ql.CorruptError, match="upgrade"):
        rescue(copy, 1)
    assert catalog(copy) == before


def test_a_store_that_is_open_elsewhere_is_not_salvaged(copy: Path) -> None:
    code = "import quillian as ql, sys; s = ql.open(sys.argv[1]); print(1, flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code, str(copy)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline()
    with pytest.raises(ql.ConflictError, match="open in a process"):
        rescue(copy, 1)
    other.communicate(b"\n")
    assert not (copy / DAMAGED).exists()


def test_secure_forgetting_reaches_what_was_salvaged(copy: Path) -> None:
    content = catalog(copy)
    number = of_kind(content, 1)[0]
    content[number * PAGE : (number + 1) * PAGE] = bytes(PAGE)
    (copy / "catalog.mdb").write_bytes(content)
    repaired(copy)
    with ql.open(copy) as store:
        store.forget("2/99", secure=True)
    for file in copy.rglob("*"):
        assert file.is_dir() or b"name 2 99" not in file.read_bytes(), file


def test_pages_that_are_anything_at_all_end_in_faults_or_pairs(sound: Path) -> None:
    content, rng = (sound / "catalog.mdb").read_bytes(), random.Random(5)
    named = 0
    for _ in range(60):
        spoiled = bytearray(content)
        for _ in range(rng.randrange(1, 40)):
            at = rng.randrange(len(spoiled)) if rng.random() < 0.7 else rng.randrange(4 * PAGE)
            spoiled[at : at + 8] = rng.choice((bytes(8), b"\xff" * 8, rng.randbytes(8)))
        pages = Pages(bytes(spoiled[: rng.choice((len(spoiled), rng.randrange(len(spoiled))))]))
        for meta in pages.metas():
            found = [*pages.pairs(meta), *pages.stray(meta)]
            assert all(isinstance(value, bytes) for pair in found for value in pair)
        named += bool(pages.faults)
    assert named > 20
