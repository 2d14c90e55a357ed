"""csrc/hnsw.c, build.c and index_file.c: approximate search, filters, saving and loading."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quillian.bindings._core import ffi, lib
from quillian.bindings.hnsw import Hnsw
from quillian.bindings.vectors import Float32, Vectors
from quillian.errors import CorruptError, InvalidError, OutOfMemoryError

UUID = bytes(range(16))


def rows_of(n: int, dim: int = 32, seed: int = 0) -> Float32:
    """Rows like embeddings: clusters of different sizes on a space of few dimensions."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(99).standard_normal((min(dim, 12), dim))
    centres = np.random.default_rng(98).standard_normal((40, len(basis)))
    which = rng.integers(0, 40, n) * rng.integers(0, 2, n)
    inner = centres[which] + 0.7 * rng.standard_normal((n, len(basis)))
    return (inner @ basis + 0.3 * rng.standard_normal((n, dim))).astype(np.float32)


def built(
    folder: Path, rows: Float32, metric: str = "cosine", threads: int = 1
) -> tuple[Vectors, Hnsw]:
    vectors = Vectors(str(folder), UUID, rows.shape[1], metric=metric, writable=True)
    vectors.append(rows, np.arange(len(rows), dtype=np.uint32), commit=1)
    index = Hnsw.create(vectors)
    index.extend(len(rows), threads=threads)
    return vectors, index


def recall(vectors: Vectors, index: Hnsw, queries: Float32, k: int = 10, **options: Any) -> float:
    """Share of answers that score at least as well as the k-th exact one; every answer complete."""
    _, best, want, _ = vectors.near(queries, k=k, exact=True, **options)
    _, scores, found, _ = vectors.near(queries, index=index, k=k, **options)
    assert found.tolist() == want.tolist()
    hits = [
        (s[:n] >= b[n - 1] - 1e-6).mean() if n else 1
        for s, b, n in zip(scores, best, want, strict=True)
    ]
    return float(np.mean(hits))


def bitmap(nodes: np.ndarray, n: int) -> np.ndarray:
    bits = np.zeros((n + 63) // 64 * 64, np.uint8)
    bits[nodes] = 1
    return np.packbits(bits, bitorder="little").view(np.uint64)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_recall_at_defaults(tmp_path: Path, metric: str) -> None:
    vectors, index = built(tmp_path, rows_of(3000), metric)
    queries = rows_of(100, seed=1)
    assert recall(vectors, index, queries) >= 0.95
    assert vectors.near(queries, index=index)[3].distances < 100 * 3000 * 0.5


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Vectors, Hnsw]:
    """4,000 rows and their index, which no test changes."""
    return built(tmp_path_factory.mktemp("shared"), rows_of(4000), threads=2)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.05, 0.02, 0.01, 0.003, 0.0005])
@pytest.mark.parametrize("kind", ["random", "near", "far"])
def test_filtered_recall(shared: tuple[Vectors, Hnsw], share: float, kind: str) -> None:
    rows, queries = rows_of(4000), rows_of(20, seed=1)
    vectors, index = shared
    size = max(1, int(4000 * share))
    for query in queries:
        order = np.argsort(-(rows @ query) / np.linalg.norm(rows, axis=1))
        nodes = np.random.default_rng(0).permutation(4000)[:size]
        if kind == "near":
            nodes = order[:size]
        if kind == "far":
            nodes = order[-size:]
        assert recall(vectors, index, query[None], allowed=bitmap(nodes, 4000)) >= 0.9


def test_every_row_finds_itself(shared: tuple[Vectors, Hnsw]) -> None:
    vectors, index = shared
    assert index.check() == 0
    nodes, scores, _, _ = vectors.near(rows_of(4000), index=index, k=1)
    assert (nodes[:, 0] == np.arange(4000)).mean() >= 0.999
    assert scores[:, 0].min() >= 0.999


def test_the_tail_is_searched_exactly(tmp_path: Path) -> None:
    rows = rows_of(3000)
    vectors, index = built(tmp_path, rows[:2500])
    vectors.append(rows[2500:], np.arange(2500, 3000, dtype=np.uint32), commit=2)
    assert index.covered == 2500
    nodes, _, _, _ = vectors.near(rows[2500:], index=index, k=1)
    assert nodes[:, 0].tolist() == list(range(2500, 3000))
    index.extend(3000)
    assert index.covered == 3000
    assert index.check() == 0
    assert recall(vectors, index, rows_of(50, seed=1)) >= 0.95
    nodes, _, _, _ = vectors.near(rows[2500:2501], index=index, k=1, count=2500)
    assert nodes[0, 0] < 2500


def test_one_and_two_threads_build_the_same_file(tmp_path: Path) -> None:
    rows = rows_of(2500)
    for threads in (1, 3, 2):
        (tmp_path / str(threads)).mkdir()
        _, index = built(tmp_path / str(threads), rows, threads=threads)
        index.save(str(tmp_path / f"{threads}.index"))
    first = (tmp_path / "1.index").read_bytes()
    assert (tmp_path / "2.index").read_bytes() == first
    assert (tmp_path / "3.index").read_bytes() == first


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_every_instruction_set_builds_the_same_file(tmp_path: Path, metric: str) -> None:
    best = ffi.string(lib.ql_isa())
    files = []
    try:
        for name in (b"portable", b"avx2", b"avx512", b"neon"):
            if lib.ql_isa_use(name) != lib.QL_OK:
                continue
            folder = tmp_path / name.decode()
            folder.mkdir()
            vectors, index = built(folder, rows_of(1100, 20), metric)
            index.save(str(folder / "index"))
            nodes, scores, _, _ = vectors.near(rows_of(20, 20, seed=1), index=index)
            files.append((folder / "index").read_bytes() + nodes.tobytes() + scores.tobytes())
    finally:
        lib.ql_isa_use(best)
    assert len(set(files)) == 1


def test_clusters_that_arrive_one_after_another_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, 32)).astype(np.float32) * 5
    rows = np.repeat(centres, 400, axis=0) + rng.standard_normal((4000, 32), dtype=np.float32)
    vectors = Vectors(str(tmp_path), UUID, 32, writable=True)
    vectors.append(rows, np.arange(4000, dtype=np.uint32), commit=1)
    index = Hnsw.create(vectors)
    for until in range(250, 4001, 250):
        index.extend(until)
    assert index.check() == 0
    assert recall(vectors, index, rows[::37] + np.float32(0.1)) >= 0.95


def test_duplicates_and_near_duplicates_hide_nothing(tmp_path: Path) -> None:
    rows = rows_of(4000)
    rows[1000:2000] = rows[7]
    rows[3000:3500] = rows[8] + np.float32(1e-6) * rows_of(500, seed=3)
    order = np.random.default_rng(4).permutation(4000)
    rows = np.ascontiguousarray(rows[order])
    vectors, index = built(tmp_path, rows)
    assert index.check() == 0
    assert recall(vectors, index, rows_of(100, seed=1)) >= 0.95
    copies = np.flatnonzero((rows == rows[np.flatnonzero(order == 7)[0]]).all(axis=1))
    nodes, scores, _, _ = vectors.near(rows[copies[:1]], index=index, k=50)
    assert nodes[0].tolist() == copies[:50].tolist()
    assert np.unique(scores).size == 1


def test_all_rows_equal(tmp_path: Path) -> None:
    rows = np.ones((3000, 16), np.float32)
    vectors, index = built(tmp_path, rows)
    assert index.check() == 0
    nodes, _, _, _ = vectors.near(rows[:1], index=index, k=20)
    assert nodes[0].tolist() == list(range(20))
    vectors.retire(np.arange(2990, dtype=np.uint32), commit=2)
    nodes, _, found, _ = vectors.near(rows[:1], index=index, k=20)
    assert nodes[0, : found[0]].tolist() == list(range(2990, 3000))


@pytest.mark.parametrize(("n", "dim"), [(0, 4), (1, 4), (2, 4), (17, 1), (300, 1), (50, 4096)])
def test_degenerate_sizes(tmp_path: Path, n: int, dim: int) -> None:
    rows = np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32)
    vectors, index = built(tmp_path, rows, "l2")
    assert index.check() == 0
    query = np.ones((1, dim), np.float32)
    for k in (1, n, n + 5):
        assert recall(vectors, index, query, k=k) == 1
    index.save(str(tmp_path / "index"))
    assert Hnsw.load(vectors, str(tmp_path / "index")).covered == n


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_zero_rows_and_extreme_rows_are_linked_and_harmless(tmp_path: Path, metric: str) -> None:
    rows = rows_of(2000)
    rows[5] = 0
    rows[6] = 1e-42
    rows[7] = 3e38
    vectors, index = built(tmp_path, rows, metric)
    assert index.check() == 0
    assert recall(vectors, index, rows_of(50, seed=1)) >= 0.9


def test_deleted_rows_are_never_found_and_never_missed(tmp_path: Path) -> None:
    rows, queries = rows_of(4000), rows_of(30, seed=1)
    vectors, index = built(tmp_path, rows)
    dead = np.random.default_rng(0).permutation(4000)[:3600].astype(np.uint32)
    vectors.retire(dead, commit=2)
    nodes, _, found, _ = vectors.near(queries, index=index, k=300)
    assert found.tolist() == [300] * 30
    assert not np.isin(nodes, dead).any()
    assert recall(vectors, index, queries) >= 0.95
    assert recall(vectors, index, queries, commit=1) >= 0.95  # A snapshot from before.


def test_a_loaded_index_answers_the_same_and_grows(tmp_path: Path) -> None:
    rows, queries = rows_of(4000), rows_of(50, seed=1)
    vectors, index = built(tmp_path, rows[:3000])
    path = str(tmp_path / "index")
    index.save(path)
    saved = Path(path).read_bytes()
    loaded = Hnsw.load(vectors, path)
    for a, b in zip(
        vectors.near(queries, index=index), vectors.near(queries, index=loaded), strict=True
    ):
        assert np.array_equal(a, b)
    vectors.append(rows[3000:], np.arange(3000, 4000, dtype=np.uint32), commit=2)
    loaded.extend(4000)
    index.extend(4000)
    assert loaded.check() == 0
    assert Path(path).read_bytes() == saved
    loaded.save(str(tmp_path / "loaded"))
    index.save(str(tmp_path / "whole"))
    assert (tmp_path / "loaded").read_bytes() == (tmp_path / "whole").read_bytes()


def test_an_index_of_other_vectors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    vectors, index = built(tmp_path / "a", rows_of(100))
    other, _ = built(tmp_path / "b", rows_of(50))
    index.save(str(tmp_path / "index"))
    with pytest.raises(CorruptError):  # It covers rows that are not there.
        Hnsw.load(other, str(tmp_path / "index"))
    with pytest.raises(InvalidError):
        other.near(rows_of(1), index=index)
    with pytest.raises(InvalidError):
        index.extend(101)
    with pytest.raises(InvalidError):
        Hnsw.create(vectors, degree=1000)


def test_handles_may_be_dropped_in_any_order(tmp_path: Path) -> None:
    vectors, index = built(tmp_path, rows_of(100))
    vectors.close()
    del vectors
    assert index.check() == 0
    index.close()


def test_reader_threads_search_while_the_writer_links(tmp_path: Path) -> None:
    rows, queries = rows_of(4000), rows_of(20, seed=1)
    vectors = Vectors(str(tmp_path), UUID, 32, writable=True)
    index = Hnsw.create(vectors)
    vectors.append(rows[:500], np.arange(500, dtype=np.uint32), commit=1)
    failures: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            count = vectors.count
            nodes, scores, found, _ = vectors.near(queries, index=index, count=count, commit=9)
            if found.min() < 10 or nodes.max() >= count or not np.isfinite(scores).all():
                failures.append(f"{found.min()} results, node {nodes.max()} of {count}")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for start in range(500, 2500, 250):
        vectors.append(
            rows[start : start + 250], np.arange(start, start + 250, dtype=np.uint32), commit=2
        )
        index.extend(start + 250)
        vectors.retire(np.arange(start, start + 100, dtype=np.uint32), commit=3)
        index.sweep(3)
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert index.check() == 0


def test_every_failing_allocation_is_an_error_and_the_index_stays_usable(tmp_path: Path) -> None:
    rows = rows_of(300)
    vectors, whole = built(tmp_path, rows)
    whole.save(str(tmp_path / "whole"))

    def run() -> None:
        index = Hnsw.create(vectors)
        index.extend(300, threads=2)
        index.sweep(1)
        index.check()
        index.save(str(tmp_path / "index"))
        loaded = Hnsw.load(vectors, str(tmp_path / "index"))
        vectors.near(rows, index=loaded, k=1, ef=4)

    before = lib.ql_alloc_count()
    run()
    needed = lib.ql_alloc_count() - before
    assert needed > 10
    try:
        for nth in range(1, needed + 1):
            lib.ql_alloc_fail_at(nth)
            with pytest.raises(OutOfMemoryError):
                run()
    finally:
        lib.ql_alloc_fail_at(0)
    run()
    assert (tmp_path / "index").read_bytes() == (tmp_path / "whole").read_bytes()
