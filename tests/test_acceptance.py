"""What users of other vector engines complain about, asked of a store through its public API.

The names A-nn are those of the table in README.md, which says where the others are tested.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quillian as ql
from numpy.typing import NDArray
from quillian import indexing
from quillian.bindings.hnsw import Hnsw

Rows = NDArray[np.float32]
DIM, ROWS = 16, 2_000
SHARES = (1, 0.5, 0.1, 0.05, 0.02, 0.01, 0.003, 0.001, 0.0005)


@pytest.fixture(autouse=True)
def small_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", 500)
    monkeypatch.setattr(indexing, "INDEX_TAIL_ROWS", 500)


def clustered(seed: int, count: int = ROWS, clusters: int = 20) -> Rows:
    """Rows around seeded centres, as embeddings of real texts lie."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(clusters, DIM))
    spread = 0.5 * random.normal(size=(count, DIM))
    return (centres[np.arange(count) % clusters] + spread).astype(np.float32)


@pytest.fixture
def rows() -> Rows:
    return clustered(1)


@pytest.fixture
def grown(path: Path, rows: Rows) -> Iterator[ql.Store]:
    """A store with an index over all its rows; the id of row i is "i"."""
    with ql.open(path, dim=DIM) as store:
        store.add_many(ids=[str(i) for i in range(ROWS)], vectors=rows)
        store.optimize()
        assert store.stats()["index"]["rows"] == ROWS
        yield store


def best(rows: Rows, query: Rows, k: int) -> NDArray[np.float64]:
    """The k best cosines by definition, in float64."""
    wide, asked = rows.astype(np.float64), query.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1) * np.linalg.norm(asked)
    scores: NDArray[np.float64] = np.sort(wide @ asked / norms)[::-1][:k]
    return scores


def recall(view: ql.Snapshot, alive: Rows, queries: Rows, k: int = 10, **how: Any) -> float:
    """Share of answers that reach the k-th best score; always min(k, alive) of them."""
    hits = wanted = 0
    for query in queries:
        found = view.near(query, k=k, **how)
        right = best(alive, query, k)
        assert len(found) == len(right)
        hits += int((found.scores >= right[-1] - 1e-5).sum())
        wanted += len(right)
    return hits / wanted


@pytest.mark.parametrize("k", [1, 10, 100])
def test_a01_after_deleting_most_rows_every_answer_is_full_alive_and_right(
    grown: ql.Store, rows: Rows, k: int
) -> None:
    cluster = np.arange(ROWS) % 20 == 3
    chosen = np.random.default_rng(2).random(ROWS) < 0.9
    dead = np.flatnonzero(chosen | cluster)
    with grown.transaction() as txn:
        for row in dead:
            txn.forget(str(row))
    alive = np.setdiff1d(np.arange(ROWS), dead)
    with grown.snapshot() as view:
        assert recall(view, rows[alive], clustered(3, 30), k, recall=0.99) >= 0.95
        assert recall(view, rows[alive], rows[cluster][:10], k, recall=0.99) >= 0.95
        everything = view.near(rows[0], k=ROWS)
    assert sorted(everything.ids.tolist()) == alive.tolist()


def test_a02_the_last_of_many_additions_of_one_id_is_the_only_one(grown: ql.Store) -> None:
    for turn in range(10):
        vector = np.full(DIM, 1.0)
        vector[turn] = 50
        grown.add(f"turn {turn}", id="same", vector=vector)
        assert grown.get("same").text == f"turn {turn}"
        found = grown.search(vector=vector, k=20)
        assert [row.id for row in found if row.id == "same"] == ["same"]
        assert found[0].id == "same"
        if turn < 9:
            grown.forget("same")
            assert "same" not in [row.id for row in grown.search(vector=vector, k=20)]
    assert grown.stats()["concepts"] == ROWS + 1


@pytest.mark.slow
def test_a03_cycles_of_adding_and_deleting_do_not_grow_a_store(path: Path, rows: Rows) -> None:
    sizes = []
    with ql.open(path, dim=DIM) as store:
        for _ in range(4):
            nodes = store.add_many(vectors=rows)
            store.optimize()
            with store.transaction() as txn:
                for node in nodes:
                    txn.forget(txn.get(node).id)
            store.compact()
            sizes.append(sum(store.stats()["size_bytes"].values()))
    assert sizes[-1] <= 1.2 * sizes[0]


def test_a05_every_stored_vector_finds_itself(grown: ql.Store, rows: Rows) -> None:
    with grown.snapshot() as view:
        found = [view.near(row, k=1, ef=64).ids[0] for row in rows]
    assert np.mean(np.array(found) == np.arange(ROWS)) >= 0.999
    assert grown.check() == []  # Every linked row is reachable, too.


@pytest.mark.slow
def test_a09_replacing_every_row_once_hides_none(grown: ql.Store) -> None:
    fresh = clustered(4)
    for start in range(0, ROWS, ROWS // 4):  # The entry and the first linked rows come first.
        part = slice(start, start + ROWS // 4)
        ids = [str(i) for i in range(ROWS)[part]]
        grown.add_many(ids=ids, vectors=fresh[part], on_conflict="replace")
        grown.optimize()
    with grown.snapshot() as view:
        found = [view.near(row, k=1, ef=64).ids[0] for row in fresh]
        assert recall(view, fresh, clustered(5, 30), recall=0.99) >= 0.95
    assert np.mean(np.array(found) == np.arange(ROWS)) >= 0.999
    assert grown.check() == []


@pytest.mark.slow
def test_a11_any_number_of_threads_after_any_open(grown: ql.Store, path: Path) -> None:
    grown.close()
    for threads in (1, 2, 7):
        with ql.open(path) as store:
            store.add_many(vectors=clustered(threads, 600))
            store.optimize(threads=threads)
            assert store.stats()["index"]["rows_behind"] == 0
            assert store.check() == []


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a14_exact_is_numpy(path: Path, rows: Rows, metric: str) -> None:
    with ql.open(path, dim=DIM, metric=metric) as store:
        store.add_many(vectors=rows)
        store.optimize()
        with store.snapshot() as view:
            for query in clustered(6, 5):
                found = view.near(query, k=25, exact=True)
                wide, asked = rows.astype(np.float64), query.astype(np.float64)
                scores = {
                    "cosine": wide @ asked / np.linalg.norm(wide, axis=1) / np.linalg.norm(asked),
                    "dot": wide @ asked,
                    "l2": -((wide - asked) ** 2).sum(axis=1),
                }[metric]
                order = np.argsort(-scores, kind="stable")[:25]
                assert np.abs(found.scores - scores[order]).max() <= 1e-6 * np.abs(scores).max()
                assert found.ids.tolist() == order.tolist()


@pytest.mark.parametrize(("cores", "asked", "used"), [(64, None, 2), (1, None, 1), (64, 5, 5)])
def test_a15_few_threads_unless_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, asked: int | None, used: int
) -> None:
    seen: set[int] = set()
    extend = Hnsw.extend

    def watched(index: Hnsw, until: int, *, threads: int = 1) -> None:
        seen.add(threads)
        extend(index, until, threads=threads)

    with ql.open(path, dim=DIM) as store:
        store._directory.pause_indexing()
        monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", 10**9)  # Nothing in the background.
        store.add_many(vectors=clustered(7, 600))
        monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", 500)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(Hnsw, "extend", watched)
        store.optimize(threads=asked)
    assert seen == {used}


def test_a16_stats_tell_the_bytes_on_disk(grown: ql.Store) -> None:
    files = [x for x in grown.path.rglob("*") if x.is_file()]
    used = sum(x.stat().st_blocks * 512 for x in files)
    assert sum(grown.stats()["size_bytes"].values()) == pytest.approx(used, rel=0.05)


def test_a17_closing_gives_every_descriptor_back(path: Path, rows: Rows) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    with ql.open(path, dim=DIM) as store:
        store.add_many(vectors=rows)
    before = opened()
    for _ in range(5):
        with ql.open(path) as store:
            store.optimize()
            store.search(vector=rows[0])
    assert opened() == before


@pytest.mark.slow
@pytest.mark.parametrize("order", ["random", "near", "far"])
def test_a22_filters_of_every_selectivity_and_correlation(
    path: Path, rows: Rows, order: str
) -> None:
    random = np.random.default_rng(8)
    anchor = rows[np.arange(ROWS) % 20 == 0].mean(axis=0)
    similar = rows @ anchor / np.linalg.norm(rows, axis=1)
    ranks = {
        "random": random.permutation(ROWS),
        "near": np.argsort(np.argsort(-similar)),
        "far": np.argsort(np.argsort(similar)),
    }[order]
    queries = (anchor + 0.5 * random.normal(size=(20, DIM))).astype(np.float32)
    with ql.open(path, dim=DIM) as store:
        store.add_many(vectors=rows, data=[{"rank": int(rank)} for rank in ranks])
        store.optimize()
        with store.snapshot() as view:
            for share in SHARES:
                limit = max(1, round(share * ROWS))
                where = {"rank": {"$lt": limit}}
                found = recall(view, rows[ranks < limit], queries, where=where, recall=0.99)
                assert found >= 0.95, share


PEAKS = """
import sys, numpy as np, quillian as ql
from quillian import indexing
indexing.INDEX_ROWS_MIN = 500

def memory(what):
    status = open("/proc/self/status").read()
    return int(status.split(what + ":")[1].split()[0]) << 10

with ql.open(sys.argv[1], dim=256) as store:
    store._directory.pause_indexing()
    store.add_many(vectors=np.random.default_rng(0).normal(size=(3_000, 256)))
    for work in (store.optimize, store.compact):
        open("/proc/self/clear_refs", "w").write("5")  # The peak is counted from here on.
        before = memory("VmRSS")
        work()
        print(memory("VmHWM") - before)
    print(sum(x.stat().st_size for x in store.path.rglob("*") if x.is_file()))
"""


@pytest.mark.slow
def test_a23_building_and_compacting_need_no_more_than_what_is_stored(path: Path) -> None:
    command = [sys.executable, "-c", PEAKS, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    build, compact, stored = map(int, done.stdout.split())
    assert max(build, compact) <= 1.3 * stored + (32 << 20)


@pytest.mark.slow
def test_a25_compacting_leaves_what_lives(grown: ql.Store, path: Path, rows: Rows) -> None:
    with grown.transaction() as txn:
        for row in range(ROWS):
            if row % 5:
                txn.forget(str(row))
    grown.compact()
    grown.optimize()
    with ql.open(path.with_name("alone"), dim=DIM) as alone:
        alone.add_many(ids=[str(i) for i in range(0, ROWS, 5)], vectors=rows[::5])
        alone.optimize()
        sizes = [sum(store.stats()["size_bytes"].values()) for store in (grown, alone)]
    assert sizes[0] <= 1.1 * sizes[1]


def test_a27_readers_go_on_while_most_rows_are_deleted(grown: ql.Store, rows: Rows) -> None:
    problems: list[BaseException | str] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                count = len(grown.search(vector=rows[5], k=ROWS))
                if count not in (ROWS, ROWS // 10):  # All of a commit or nothing.
                    problems.append(f"{count} rows")
        except BaseException as error:
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    with grown.transaction() as txn:
        for row in range(ROWS):
            if row % 10:
                txn.forget(str(row))
    done.set()
    for reader in readers:
        reader.join()
    assert problems == []
    assert len(grown.search(vector=rows[5], k=ROWS)) == ROWS // 10


FEW_FILES = """
import resource, sys, numpy as np, quillian as ql
from quillian import indexing
indexing.INDEX_ROWS_MIN = 500
rows = np.random.default_rng(0).normal(size=(700, 8))
soft = int(sys.argv[2])
with ql.open(sys.argv[1], dim=8) as store:
    store.search(vector=rows[0])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
for turn in range(int(sys.argv[3])):
    with ql.open(sys.argv[1]) as store:
        store.add_many(vectors=rows + turn)
        store.optimize()
        store.link_many([0], [1], "x")
        assert store.check() == []
        assert len(store.search(vector=rows[0], k=5)) == 5
"""


def run_with_few_files(path: Path, files: int, turns: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FEW_FILES, str(path), str(files), str(turns)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a31_sixty_four_descriptors_are_enough(path: Path) -> None:
    done = run_with_few_files(path, 64, 3)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a31_too_few_descriptors_are_an_error_and_lose_nothing(path: Path) -> None:
    assert run_with_few_files(path, 64, 1).returncode == 0
    for files in (5, 7, 9):
        done = run_with_few_files(path, files, 1)
        assert done.returncode == 1
        assert "Too many open files" in done.stderr.splitlines()[-1]
        with ql.open(path) as store:
            assert store.check() == []
            assert store.stats()["vectors"] % 700 == 0


@pytest.mark.parametrize("shape", ["one loud dimension", "exponential", "long tails", "offset"])
def test_a32_skewed_data_is_found(path: Path, shape: str) -> None:
    random = np.random.default_rng(11)
    rows, queries = clustered(12), clustered(13, 30)
    for block in (rows, queries):
        if shape == "one loud dimension":
            block[:, 0] *= 100
        elif shape == "exponential":
            block[:] = np.exp(1.5 * block)
        elif shape == "long tails":
            block *= random.standard_t(1.5, size=block.shape).astype(np.float32)
        else:
            block += 20
    with ql.open(path, dim=DIM, metric="l2") as store:
        store.add_many(vectors=rows)
        store.optimize()
        with store.snapshot() as view:
            hits = 0
            for query in queries:
                exact = -((rows.astype(np.float64) - query) ** 2).sum(axis=1)
                least = np.sort(exact)[-10]
                found = view.near(query, k=10, recall=0.99)
                hits += int((exact[found.ids.astype(int)] >= least * (1 + 1e-6)).sum())
    assert hits / 300 >= 0.95


def test_a35_published_index_files_are_never_written_again(grown: ql.Store, path: Path) -> None:
    (old,) = (path / "vectors").glob("index-*.hnsw")
    with old.open("rb") as kept:  # As a reader of another process would keep it.
        before = kept.read()
        grown.add_many(vectors=clustered(14, 600))
        grown.optimize()
        assert not old.exists()
        kept.seek(0)
        assert kept.read() == before
    assert not hasattr(grown, "save")
