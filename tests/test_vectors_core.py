"""csrc/vectors.c and csrc/near.c: the log of rows, and exact search over it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from quillian.bindings._core import lib
from quillian.bindings.vectors import Float32, Vectors
from quillian.errors import (
    ClosedError,
    CorruptError,
    InvalidError,
    LimitError,
    OutOfMemoryError,
    ReadOnlyError,
)

UUID = bytes(range(16))
SEGMENT = 65536


def opened(folder: Path, dim: int = 8, metric: str = "cosine", writable: bool = True) -> Vectors:
    return Vectors(str(folder), UUID, dim, metric=metric, writable=writable)


def rows_of(n: int, dim: int = 8, seed: int = 0) -> Float32:
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def nodes_of(n: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + n, dtype=np.uint32)


def oracle(rows: Float32, query: Float32, metric: str) -> np.ndarray:
    """Scores in float64, rounded as the core rounds them."""
    r, q = rows.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return -((r - q) ** 2).sum(axis=1)
    dots = r @ q
    if metric == "dot":
        return dots
    norms = np.linalg.norm(r, axis=1) * np.linalg.norm(q)
    return np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)


def test_rows_come_back_bit_for_bit(tmp_path: Path) -> None:
    vectors, rows = opened(tmp_path, 7), rows_of(100, 7)
    assert vectors.append(rows[:60], nodes_of(60), commit=1) == 0
    assert vectors.append(rows[60:], nodes_of(40, 60), commit=2) == 60
    assert vectors.count == 100
    slots = [99, 0, 59, 60]
    assert vectors.read(slots).tobytes() == rows[slots].tobytes()
    assert vectors.nodes(slots).tolist() == slots


def test_written_slots_are_the_bytes_of_the_files(tmp_path: Path) -> None:
    vectors, row, slot = opened(tmp_path, 7), 64, 24
    vectors.append(rows_of(100, 7), nodes_of(100), commit=1)
    rows, slots = vectors.written(90, 10, (row, slot))
    assert rows == (tmp_path / "rows-000.f32").read_bytes()[4096 + 90 * row :][: 10 * row]
    assert slots == (tmp_path / "meta-000.slots").read_bytes()[4096 + 90 * slot :][: 10 * slot]
    for first, count, sizes in ((91, 10, (64, 24)), (101, 0, (64, 24)), (0, 1, (28, 24))):
        with pytest.raises(InvalidError):
            vectors.written(first, count, sizes)


def test_a_reader_sees_what_was_committed_and_no_more(tmp_path: Path) -> None:
    writer, reader = opened(tmp_path), opened(tmp_path, writable=False)
    rows = rows_of(50)
    writer.append(rows, nodes_of(50), commit=1)
    assert reader.count == 0
    reader.extend(30)
    assert reader.count == 30
    assert reader.read([29]).tobytes() == rows[29:30].tobytes()
    with pytest.raises(InvalidError):
        reader.read([30])
    with pytest.raises(ReadOnlyError):
        reader.append(rows, nodes_of(50), commit=2)
    with pytest.raises(ReadOnlyError):
        reader.sync()


def test_growth_over_three_segments_and_reopening(tmp_path: Path) -> None:
    n = 2 * SEGMENT + 100
    rows = rows_of(n, 2)
    vectors = opened(tmp_path, 2)
    vectors.append(rows[:10], nodes_of(10), commit=1)
    vectors.append(rows[10:], nodes_of(n - 10, 10), commit=1)
    vectors.sync()
    slots = [0, 9, 10, SEGMENT - 1, SEGMENT, 2 * SEGMENT - 1, 2 * SEGMENT, n - 1]
    assert vectors.read(slots).tobytes() == rows[slots].tobytes()
    vectors.close()
    again = opened(tmp_path, 2)
    again.truncate(n)
    assert again.read(slots).tobytes() == rows[slots].tobytes()
    assert len(again.check()) == 0
    assert again.append(rows[:1], nodes_of(1), commit=2) == n
    assert sorted(p.name for p in tmp_path.iterdir())[3:] == [f"rows-00{i}.f32" for i in range(3)]


def test_a_small_log_is_a_small_folder(tmp_path: Path) -> None:
    vectors = opened(tmp_path, 384)
    vectors.append(rows_of(100, 384), nodes_of(100), commit=1)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 1_200_000


@pytest.mark.parametrize("keep", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT])
def test_truncate_forgets_and_append_overwrites(tmp_path: Path, keep: int) -> None:
    n = 2 * SEGMENT + 10
    rows = rows_of(n, 1)
    vectors = opened(tmp_path, 1)
    vectors.append(rows, nodes_of(n), commit=1)
    vectors.retire([n - 1], commit=1)
    vectors.truncate(keep)
    assert vectors.count == keep
    assert len(list(tmp_path.glob("rows-*"))) == -(-keep // SEGMENT)
    other = rows_of(n - keep, 1, seed=1)
    assert vectors.append(other, nodes_of(n - keep, keep), commit=2) == keep
    want = np.concatenate([rows[:keep], other])
    assert vectors.read(nodes_of(n)).tobytes() == want.tobytes()
    assert len(vectors.check()) == 0
    nodes, _, _, _ = vectors.near(want[n - 1 :], k=n, exact=True)
    assert n - 1 in nodes[0]  # Its death was forgotten with the row it was for.


def test_the_writer_must_say_how_much_is_committed(tmp_path: Path) -> None:
    vectors = opened(tmp_path)
    vectors.append(rows_of(10), nodes_of(10), commit=1)
    vectors.close()
    again = opened(tmp_path)
    with pytest.raises(InvalidError):
        again.append(rows_of(1), nodes_of(1), commit=2)
    again.truncate(4)
    assert again.append(rows_of(1), nodes_of(1), commit=2) == 4


def test_bad_input_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    vectors = opened(tmp_path)
    rows = rows_of(10)
    with pytest.raises(InvalidError, match=r"want vectors \(n, 8\) float32, got \(10, 7\)"):
        vectors.append(np.ascontiguousarray(rows[:, :7]), nodes_of(10), commit=1)
    with pytest.raises(InvalidError, match="float64"):
        vectors.append(rows.astype(np.float64), nodes_of(10), commit=1)  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match="C order"):
        vectors.append(rows[::2], nodes_of(5), commit=1)
    with pytest.raises(InvalidError, match="want 10 nodes"):
        vectors.append(rows, nodes_of(9), commit=1)
    with pytest.raises(InvalidError):
        vectors.append(rows, np.full(10, 2**32 - 1, np.uint32), commit=1)
    for bad in (np.nan, np.inf, -np.inf):
        rows[7, 3] = bad
        with pytest.raises(InvalidError):
            vectors.append(rows, nodes_of(10), commit=1)
        with pytest.raises(InvalidError):
            vectors.near(rows, k=1)
    assert vectors.count == 0
    with pytest.raises(InvalidError):
        opened(tmp_path, 0)
    with pytest.raises(InvalidError):
        opened(tmp_path, lib.QL_DIM_MAX + 1)
    with pytest.raises(InvalidError):
        opened(tmp_path, metric="hamming")
    with pytest.raises(LimitError):
        vectors.extend(2**32 - 1)
    vectors.close()
    vectors.close()
    with pytest.raises(ClosedError):
        vectors.append(rows_of(1), nodes_of(1), commit=1)


@pytest.mark.parametrize("name", ["rows-000.f32", "meta-000.slots"])
@pytest.mark.parametrize("offset", [0, 8, 12, 16, 20, 24, 40, 44, 4095])
def test_a_damaged_header_is_corrupt(tmp_path: Path, name: str, offset: int) -> None:
    opened(tmp_path).append(rows_of(10), nodes_of(10), commit=1)
    data = bytearray((tmp_path / name).read_bytes())
    data[offset] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CorruptError):
        opened(tmp_path, writable=False).extend(10)


def test_files_too_short_missing_or_of_another_store_are_corrupt(tmp_path: Path) -> None:
    opened(tmp_path).append(rows_of(3000), nodes_of(3000), commit=1)
    with pytest.raises(CorruptError):
        Vectors(str(tmp_path), bytes(16), 8).extend(10)
    with pytest.raises(CorruptError):
        opened(tmp_path, 9, writable=False).extend(10)
    with pytest.raises(CorruptError):
        opened(tmp_path, metric="l2", writable=False).extend(10)
    reader = opened(tmp_path, writable=False)
    with pytest.raises(CorruptError):
        reader.extend(SEGMENT + 1)
    os.truncate(tmp_path / "meta-000.slots", 4096 + 24 * 3000 - 1)
    with pytest.raises(CorruptError):
        reader.extend(3000)
    reader.extend(2999)
    (tmp_path / "rows-000.f32").unlink()
    with pytest.raises(CorruptError):
        opened(tmp_path, writable=False).extend(1)


def test_check_names_every_flipped_row(tmp_path: Path) -> None:
    vectors = opened(tmp_path, 8)
    vectors.append(rows_of(1000), nodes_of(1000), commit=1)
    with (tmp_path / "rows-000.f32").open("r+b") as file:
        file.seek(4096 + 64 * 17 + 5)
        file.write(b"\xff")
    with (tmp_path / "meta-000.slots").open("r+b") as file:
        for slot, byte in ((3, 0), (400, 4), (401, 8), (402, 16), (403, 20)):
            file.seek(4096 + 24 * slot + byte)
            file.write(b"\xa5")
    assert vectors.check().tolist() == [3, 17, 400, 401, 402, 403]
    assert vectors.check(18, 402).tolist() == [400, 401]
    assert vectors.check(capacity=2).tolist() == [3, 17]


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("dim", [1, 2, 17, 384])
def test_exact_search_is_numpy(tmp_path: Path, metric: str, dim: int) -> None:
    rows, queries = rows_of(700, dim), rows_of(20, dim, seed=1)
    vectors = opened(tmp_path, dim, metric)
    vectors.append(rows, nodes_of(700), commit=1)
    nodes, scores, found, cost = vectors.near(queries, k=10, exact=True)
    assert found.tolist() == [10] * 20
    assert cost.distances == 20 * 700
    for i in range(20):
        want = oracle(rows, queries[i], metric)
        best = np.argsort(-want, kind="stable")[:10]
        np.testing.assert_allclose(scores[i], want[best], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(want[nodes[i]], want[best], rtol=1e-6, atol=1e-7)
        assert [(-s, n) for s, n in zip(scores[i], nodes[i], strict=True)] == sorted(
            (-s, n) for s, n in zip(scores[i], nodes[i], strict=True)
        )


def test_ties_go_to_the_smaller_node(tmp_path: Path) -> None:
    vectors = opened(tmp_path, 3)
    rows = np.tile(np.array([[1, 2, 3]], np.float32), (5000, 1))
    nodes = np.random.default_rng(0).permutation(5000).astype(np.uint32)
    vectors.append(rows, nodes, commit=1)
    found, scores, _, _ = vectors.near(rows[:1], k=100)
    assert found[0].tolist() == list(range(100))
    assert np.unique(scores).tolist() == [1.0]


def test_a_node_with_many_rows_is_found_once_by_its_best(tmp_path: Path) -> None:
    vectors = opened(tmp_path, 4, "dot")
    rows = rows_of(900, 4)
    vectors.append(rows, nodes_of(900) // 3, commit=1)
    query = rows_of(1, 4, seed=5)
    nodes, scores, found, _ = vectors.near(query, k=300)
    want = oracle(rows, query[0], "dot").reshape(300, 3).max(axis=1)
    assert found[0] == 300
    assert sorted(nodes[0].tolist()) == list(range(300))
    np.testing.assert_allclose(scores[0], want[nodes[0]], rtol=1e-6)


def test_snapshots_see_births_and_deaths_at_their_commit(tmp_path: Path) -> None:
    vectors = opened(tmp_path, 2)
    row = np.array([[1, 0]], np.float32)
    for commit in (1, 2, 3):
        vectors.append(row, nodes_of(1, commit), commit=commit)
    vectors.retire([0], commit=2)

    def seen(commit: int, count: int = 3) -> list[int]:
        nodes, _, found, _ = vectors.near(row, k=5, commit=commit, count=count)
        return [int(x) for x in nodes[0, : found[0]]]

    assert [seen(c) for c in range(4)] == [[], [1], [2], [2, 3]]
    assert seen(3, count=2) == [2]
    vectors.retire([0], commit=0)
    assert seen(3) == [1, 2, 3]


def test_only_allowed_nodes_are_found(tmp_path: Path) -> None:
    vectors, rows = opened(tmp_path), rows_of(300)
    vectors.append(rows, nodes_of(300), commit=1)
    allowed = np.zeros(3, np.uint64)  # 192 nodes: those beyond are not allowed.
    allowed[1] = np.uint64(1 << 5 | 1 << 63)
    nodes, _, found, _ = vectors.near(rows[:2], k=10, allowed=allowed)
    assert found.tolist() == [2, 2]
    assert sorted(nodes[0, :2].tolist()) == [69, 127]
    _, _, found, _ = vectors.near(rows[:2], k=10, allowed=np.zeros(0, np.uint64))
    assert found.tolist() == [0, 0]


def test_degenerate_sizes(tmp_path: Path) -> None:
    vectors = opened(tmp_path, 4096)
    query = rows_of(1, 4096)
    assert vectors.near(query, k=3)[2].tolist() == [0]
    assert vectors.append(rows_of(0, 4096), nodes_of(0), commit=1) == 0
    vectors.append(query, nodes_of(1, 7), commit=1)
    nodes, scores, found, _ = vectors.near(query, k=3)
    assert (nodes[0, 0], scores[0, 0], found[0]) == (7, 1.0, 1)
    assert vectors.near(query, k=0)[2].tolist() == [0]
    assert vectors.near(query[:0], k=3)[0].shape == (0, 3)


@pytest.mark.parametrize("size", [1e-45, 1e-39, 1e-20, 1.0, 1e20, 3e38])
def test_scores_are_right_and_finite_at_every_magnitude(tmp_path: Path, size: float) -> None:
    vectors = opened(tmp_path, 4)
    rows = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], np.float32)
    vectors.append((rows * size).astype(np.float32), nodes_of(4), commit=1)
    for query_size in (1e-45, 1.0, 3e38):
        query = (rows[:1] * query_size).astype(np.float32)
        nodes, scores, _, _ = vectors.near(query, k=4)
        assert nodes[0].tolist() == [0, 1, 2, 3]
        np.testing.assert_allclose(scores[0], [1, 0.5**0.5, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_overflowing_scores_are_finite(tmp_path: Path, metric: str) -> None:
    vectors = opened(tmp_path, 2, metric)
    rows = np.array([[3e38, 3e38], [-3e38, 3e38], [-3e38, -3e38]], np.float32)
    vectors.append(rows, nodes_of(3), commit=1)
    nodes, scores, _, _ = vectors.near(rows[:1], k=3)
    assert nodes[0, 0] == 0
    assert np.isfinite(scores).all()


def test_the_zero_query_scores_everything_zero(tmp_path: Path) -> None:
    vectors = opened(tmp_path)
    vectors.append(rows_of(100), nodes_of(100), commit=1)
    nodes, scores, _, _ = vectors.near(np.zeros((1, 8), np.float32), k=5)
    assert nodes[0].tolist() == [0, 1, 2, 3, 4]
    assert scores[0].tolist() == [0] * 5


def test_every_failing_allocation_is_an_error_and_the_log_stays_usable(tmp_path: Path) -> None:
    rows = rows_of(50)

    def run(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        vectors = opened(folder)
        vectors.truncate(0)
        vectors.append(rows, nodes_of(50), commit=1)
        assert vectors.near(rows, k=1)[0][:, 0].tolist() == list(range(50))

    before = lib.ql_alloc_count()
    run(tmp_path / "count")
    needed = lib.ql_alloc_count() - before
    assert needed >= 3
    try:
        for nth in range(1, needed + 1):
            lib.ql_alloc_fail_at(nth)
            with pytest.raises(OutOfMemoryError):
                run(tmp_path / str(nth))
            lib.ql_alloc_fail_at(0)
            run(tmp_path / str(nth))
    finally:
        lib.ql_alloc_fail_at(0)
