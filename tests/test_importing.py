"""Indexes of hnswlib become stores; every byte of a file that lies is noticed or harmless."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from click.testing import CliRunner
from numpy.typing import NDArray
from quillian.cli.main import main
from quillian.importing import import_hnswlib
from quillian.reading.hnswlib import HEADER, read_hnswlib

LINKS, LINKS0 = 2, 4
LABELS = [7, 0, 2**40, 3]
ROWS = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 3], [1, 1, 1]], np.float32)


def index_bytes(
    rows: NDArray[np.float32] = ROWS,
    labels: Sequence[int] = LABELS,
    deleted: Sequence[int] = (3,),
    upper: int = 1,
) -> bytes:
    """What saveIndex of hnswalg.h writes, field by field; element 0 has `upper` levels above 0."""
    row_at = 4 + 4 * LINKS0
    label_at = row_at + 4 * rows.shape[1]
    count = len(rows)
    parts = [
        struct.pack("<QQQQQQ", 0, 10, count, label_at + 8, label_at, row_at),
        struct.pack("<iIQQQdQ", upper, 0, LINKS, LINKS0, LINKS, 1 / np.log(2), 200),
    ]
    for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
        others = [x for x in range(count) if x != number][:LINKS0]
        parts.append(struct.pack("<HBB", len(others), number in deleted, 0))
        parts.append(struct.pack(f"<{LINKS0}I", *others, *[0] * (LINKS0 - len(others))))
        parts += [row.astype("<f4").tobytes(), struct.pack("<Q", label)]
    for number in range(count):
        lists = bytes((4 + 4 * LINKS) * upper) if number == 0 else b""
        parts += [struct.pack("<I", len(lists)), lists]
    return b"".join(parts)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "index.bin"
    path.write_bytes(index_bytes())
    return path


def test_a_file_written_by_hand_is_read(file: Path) -> None:
    index = read_hnswlib(file)
    assert np.array_equal(index.rows, ROWS)
    assert index.labels.tolist() == LABELS
    assert index.deleted.tolist() == [False, False, False, True]


def test_elements_become_concepts_and_deleted_ones_do_not(file: Path, path: Path) -> None:
    with ql.open(path, dim=3, metric="l2") as store:
        counts = import_hnswlib(store, file)
        assert (counts.concepts, counts.known) == (3, 0)
        assert {x.id: x.source for x in store.search(vector=[0, 2, 0]).concepts()} == {
            str(label): "index.bin" for label in LABELS[:3]
        }
        assert store.search(vector=[0, 0, 3], k=1)[0].id == str(2**40)
        assert import_hnswlib(store, file).known == 3
        assert store.stats()["concepts"] == 3


def test_ids_are_those_of_the_labels(tmp_path: Path, path: Path) -> None:
    file = tmp_path / "x.bin"
    file.write_bytes(index_bytes(labels=[3, 2, 1, 0], deleted=()))
    with ql.open(path, dim=3) as store:
        for wrong, reason in ((["a", "b"], "an id for label 3"), (["a", "b", "a", "c"], "twice")):
            with pytest.raises(ql.InvalidError, match=reason):
                import_hnswlib(store, file, ids=wrong)
        assert store.stats()["concepts"] == 0
        import_hnswlib(store, file, ids=["a", "b", "c", "d"])
        assert store.search(vector=ROWS[0], k=1)[0].id == "d"


def test_what_hnswlib_saves_finds_the_same_rows(tmp_path: Path, path: Path) -> None:
    hnswlib = pytest.importorskip("hnswlib")
    random = np.random.default_rng(2)
    rows = random.normal(size=(500, 20)).astype(np.float32)
    labels = random.permutation(10_000)[:500]
    for space, metric in (("cosine", "cosine"), ("ip", "dot"), ("l2", "l2")):
        peer = hnswlib.Index(space, 20)
        peer.init_index(700, M=8, ef_construction=50, random_seed=3)
        peer.add_items(rows, labels)
        for label in labels[::10]:
            peer.mark_deleted(label)
        peer.set_ef(500)
        peer.save_index(str(tmp_path / f"{space}.bin"))
        with ql.open(path / space, dim=20, metric=metric) as store:
            counts = import_hnswlib(store, tmp_path / f"{space}.bin")
            assert counts.concepts == 450
            for row in rows[:30]:
                found = [int(x.id) for x in store.search(vector=row, k=5)]
                assert found == peer.knn_query(row, k=5)[0][0].tolist()


@pytest.mark.parametrize("cut", [0, 1, 95, 96, 97, 150, len(index_bytes()) - 1])
def test_a_shortened_file_is_refused(file: Path, cut: int) -> None:
    file.write_bytes(index_bytes()[:cut])
    with pytest.raises(ql.InvalidError, match=r"index\.bin is no index of hnswlib"):
        read_hnswlib(file)


def test_a_longer_file_and_a_missing_one_are_refused(file: Path) -> None:
    file.write_bytes(index_bytes() + b"x")
    with pytest.raises(ql.InvalidError, match="from the end of the file"):
        read_hnswlib(file)
    with pytest.raises(ql.NotFoundError):
        read_hnswlib(file.with_name("nothing"))


@pytest.mark.parametrize("value", [0, 1, 0xFF, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
def test_hostile_headers_are_refused_or_read_within_the_file(file: Path, value: int) -> None:
    good = index_bytes()
    for at in range(0, HEADER.size, 4):
        size = 4 if value < 2**32 else 8
        bad = good[:at] + value.to_bytes(size, "little") + good[at + size :]
        file.write_bytes(bad[: len(good)])
        try:
            index = read_hnswlib(file)
        except ql.InvalidError:
            continue
        assert index.rows.nbytes <= len(good)
        assert np.array_equal(index.rows, ROWS[: len(index.rows)])


def test_broken_elements_are_refused(file: Path) -> None:
    good = bytearray(index_bytes())
    for at, byte, reason in ((96, 200, "links"), (98, 9, "deletion")):
        bad = bytes(good[:at]) + bytes([byte]) + bytes(good[at + 1 :])
        file.write_bytes(bad)
        with pytest.raises(ql.InvalidError, match=reason):
            read_hnswlib(file)
    file.write_bytes(index_bytes(labels=[1, 1, 2, 3]))
    with pytest.raises(ql.InvalidError, match="twice"):
        read_hnswlib(file)


def test_vectors_that_a_store_refuses_are_named_or_skipped(tmp_path: Path, path: Path) -> None:
    file = tmp_path / "x.bin"
    rows = ROWS.copy()
    rows[1] = 0
    rows[2, 0] = np.nan
    file.write_bytes(index_bytes(rows, deleted=()))
    bad: list[ql.InvalidError] = []
    with ql.open(path, dim=3) as store:
        with pytest.raises(ql.InvalidError, match="label 0: row 0 is all zeros"):
            import_hnswlib(store, file)
        assert store.stats()["concepts"] == 0
        assert import_hnswlib(store, file, on_bad=bad.append).concepts == 2
    assert len(bad) == 2


def test_the_command_imports_reports_and_names_errors(tmp_path: Path, file: Path) -> None:
    store, ids = str(tmp_path / "brain"), tmp_path / "ids.txt"
    file.write_bytes(index_bytes(labels=[0, 1, 2, 3]))
    ids.write_text("a\nb\nc\nd\n")
    command = ["import-hnswlib", store, str(file), "--metric", "ip", "--labels", str(ids), "--json"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "added": 3, "known": 0, "deleted": 1, "skipped": 0, "dim": 3
    }  # fmt: skip
    with ql.open(store, read_only=True) as opened:
        assert opened.stats()["metric"] == "dot"
        assert opened.search(vector=[0, 1, 0], k=1)[0].id == "b"
    file.write_bytes(b"x" * 200)
    other = CliRunner().invoke(main, ["import-hnswlib", store + "2", *command[2:-1]])
    assert (other.exit_code, "no index of hnswlib" in other.output) == (1, True)
    assert not Path(store + "2").exists()
