"""memory_limit: what is held is counted, caches give way, the rest is refused and nothing is lost.

The work is done in a process of its own, whose private memory is looked at all the while: a page
that is not a map of a file counts, whoever asked for it.
"""

import gc
import json
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
from quillian import indexing, memory
from quillian.bindings import memory as core
from quillian.bindings.hnsw import Hnsw
from quillian.bindings.limits import MEMORY_BYTES_MIN
from quillian.bindings.vectors import Vectors
from quillian.bitmaps import Kept
from quillian.indexing import VectorIndex

MiB = 1 << 20
LIMIT = 40 * MiB
CONSTANT = 40 * MiB  # Malloc's arenas and rounding, Python's own objects, pages of 2 MiB.
DIM = 1_024


def private_bytes() -> int:
    """Memory of this process that is no map of a file, now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon: Linux before 4.5")


class Watch:
    """The most private memory since it was made, looked at every few milliseconds."""

    def __init__(self) -> None:
        self.before = self.most = private_bytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.003):
            self.most = max(self.most, private_bytes())

    def end(self) -> int:
        self._ended.set()
        self._thread.join()
        return self.most - self.before


def work(path: Path, batches: int, rows: int) -> dict[str, Any]:
    """Ingest, index, search, compact and check; the most private memory, and the most counted."""
    rng = np.random.default_rng(3)
    indexing.INDEX_ROWS_MIN = indexing.INDEX_TAIL_ROWS = 1_000
    with ql.open(path, dim=DIM, memory_limit=LIMIT, cache_bytes=LIMIT, embedder="none") as store:
        made = rng.normal(size=(rows, DIM)).astype(np.float32)
        watch = Watch()
        for batch in range(batches):
            ids = [f"{batch}/{row}" for row in range(rows)]
            store.add_many([f"text {x} wolf {x}" for x in ids], ids=ids, vectors=made + batch)
            store.link_many(ids, ids[1:] + ids[:1], "next")
            store.search("wolf", vector=made[batch], k=rows // 2)
        store.optimize()
        for row in range(50):
            store.search(f"text 1/{row}", vector=made[row], k=rows // 2)
        store.compact()
        store.optimize()
        problems = [problem.message for problem in store.check()]
        stats = store.stats()
        most = watch.end()
    return {
        "most": most,
        "problems": problems,
        "indexed": stats["index"]["rows"],
        "held": stats["memory"]["held_bytes"],
        "disk": sum(stats["size_bytes"].values()),
    }


@pytest.fixture
def limited(path: Path) -> Iterator[ql.Store]:
    """A store with the least limit."""
    with ql.open(path, dim=8, embedder="none", memory_limit=MEMORY_BYTES_MIN) as store:
        yield store


def vectors(n: int, dim: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("wrong", [0, MEMORY_BYTES_MIN - 1, 1e9, True, "1 GB"])
def test_a_limit_is_a_number_of_bytes_that_a_store_can_live_with(path: Path, wrong: Any) -> None:
    with pytest.raises(ql.InvalidError, match="memory_limit"):
        ql.open(path, dim=8, memory_limit=wrong)
    assert not path.exists()


def test_stats_tells_what_is_held_and_the_limit(limited: ql.Store) -> None:
    told = limited.stats()["memory"]
    assert told["limit_bytes"] == MEMORY_BYTES_MIN
    assert 0 < told["held_bytes"] < MEMORY_BYTES_MIN


def test_caches_and_limits_may_come_and_go_while_others_are_looked_at() -> None:
    class Handle:
        pass

    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            _ = [Kept((number,)) for number in range(50)]
            handles = [Handle() for _ in range(50)]
            for handle in handles:
                memory.set_limit(handle, 1 << 40)

    others = [threading.Thread(target=come_and_go) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for other in others:
            other.start()
        for _ in range(2_000):
            memory.shrink()
            assert memory.limit() in (1 << 40, None)
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        for other in others:
            other.join()


def test_the_least_limit_holds_and_ends_with_its_handle(limited: ql.Store, tmp_path: Path) -> None:
    with ql.open(tmp_path / "other", dim=8, memory_limit=1 << 30) as other:
        assert other.stats()["memory"]["limit_bytes"] == MEMORY_BYTES_MIN
        limited.close()
        assert other.stats()["memory"]["limit_bytes"] == 1 << 30
    assert memory.limit() is None


def test_an_index_that_was_closed_has_nothing_to_give_back(
    limited: ql.Store, tmp_path: Path
) -> None:
    rows = Vectors(str(tmp_path), bytes(16), 8, writable=True)
    rows.append(vectors(500), np.arange(500, dtype=np.uint32), commit=1)
    index = VectorIndex(rows, tmp_path)
    index.grow(500, 1, None)
    draft, _, curve = index.write(1, lambda: True)
    index.publish(draft, 1, curve)
    index.close()
    rows.close()
    assert index in memory.caches
    memory.shrink()


def test_what_the_core_allocates_is_counted_and_given_back(tmp_path: Path) -> None:
    gc.collect()  # Of what earlier tests left.
    before = core.held()
    rows = Vectors(str(tmp_path), bytes(16), 8, writable=True)
    rows.append(vectors(2_000), np.arange(2_000, dtype=np.uint32), commit=1)
    index = Hnsw.create(rows)
    opened = core.held()
    index.extend(2_000)
    links = 2_000 * (4 * 32 + 8 + 4 + 4 + 2)
    assert links <= core.held() - opened < links + 2_000_000  # And scratch of walks.
    index.close()
    rows.close()
    del index, rows
    gc.collect()
    assert core.held() == before


@pytest.mark.parametrize("rows", [20_000, 1_000_000])
def test_a_batch_that_is_too_large_is_refused_and_nothing_is_lost(
    limited: ql.Store, rows: int
) -> None:
    limited.add("wolf", id="wolf", vector=vectors(1)[0])
    version = limited.stats()["version"]
    with pytest.raises(ql.LimitError, match=r"add [\d,]+ concepts.*memory_limit.*smaller parts"):
        limited.add_many(ids=[str(i) for i in range(rows)])
    assert limited.stats()["version"] == version
    limited.add_many(ids=[str(i) for i in range(1_000)])
    assert limited.stats()["concepts"] == 1_001
    assert limited.check() == []


def test_a_transaction_that_grows_too_large_is_refused_and_takes_nothing_along(
    limited: ql.Store,
) -> None:
    held = core.held()
    with pytest.raises(ql.LimitError, match="memory_limit"), limited.transaction() as txn:
        for batch in range(100):
            ids = [f"{batch}/{i}" for i in range(1_000)]
            txn.add_many([x * 20 for x in ids], ids=ids)
    assert len(limited.snapshot()) == 0
    gc.collect()
    assert core.held() - held < 1_000_000
    limited.add("wolf", id="wolf")
    assert limited.search("wolf", method="words")[0].id == "wolf"


def test_too_many_associations_at_once_are_refused(limited: ql.Store) -> None:
    nodes = limited.add_many(ids=[str(i) for i in range(100)])
    sources = np.repeat(nodes, 1_000)
    with pytest.raises(ql.LimitError, match=r"link 100,000 associations.*memory_limit"):
        limited.link_many(sources, np.tile(nodes, 1_000), "next")
    assert limited.link_many(nodes[:-1], nodes[1:], "next") == 99
    assert limited.stats()["associations"] == 99


def test_caches_give_way_to_work(path: Path) -> None:
    with ql.open(path, dim=8, memory_limit=MEMORY_BYTES_MIN, cache_bytes=1 << 30) as store:
        store.add_many(ids=[str(i) for i in range(2_000)], vectors=vectors(2_000))
        for row in vectors(900):
            store.search(vector=row, k=1_000)
        kept = store.stats()["cache"]
        assert kept["entries"] < 900
        assert MEMORY_BYTES_MIN // 4 < kept["bytes"] < MEMORY_BYTES_MIN  # Others hold some of it.
        store.add_many(ids=[f"more {i}" for i in range(2_000)])
        assert store.stats()["cache"]["bytes"] < kept["bytes"]


def test_a_search_without_room_is_the_same_error_and_answers_later(store: ql.Store) -> None:
    store.add_many(ids=[str(i) for i in range(300)], vectors=vectors(300))
    found = store.search(vector=vectors(1)[0]).names
    core.limit(1)
    try:
        with pytest.raises(ql.LimitError, match="passes memory_limit; do it in smaller parts"):
            store.search(vector=vectors(1)[0])
    finally:
        core.limit(None)
    assert store.search(vector=vectors(1)[0]).names == found


def test_caches_are_emptied_before_a_search_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[bool] = []

    def compute() -> str:
        if not emptied:
            raise ql.LimitError("no room")
        return "answer"

    def shrink() -> None:
        emptied.append(True)
        claim.fits(0)

    claim = core.Claim()
    claim.to(1_000, "hold")
    monkeypatch.setattr(memory, "shrink", shrink)
    assert memory.retried(compute) == "answer"
    emptied.clear()
    with pytest.raises(ql.LimitError):  # Emptying them gave nothing: once is enough.
        memory.retried(compute)


def test_an_index_that_does_not_fit_waits_and_search_stays_exact(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", 1_000)
    monkeypatch.setattr(indexing, "INDEX_TAIL_ROWS", 1_000)
    monkeypatch.setattr(memory, "INDEX_SHARE", 0.02)
    rows = vectors(2_000)
    with ql.open(path, dim=8, memory_limit=MEMORY_BYTES_MIN) as store:
        for start in range(0, len(rows), 500):
            store.add_many(vectors=rows[start : start + 500])
        directory = store._open_directory()
        directory._indexer.wait()
        assert store.stats()["index"]["rows"] < 2_000
        with pytest.raises(ql.LimitError, match=r"the links of 2,000 rows.*larger"):
            store.optimize()
        assert store.search(vector=rows[1_999], k=1)[0].node == 1_999
        assert store.search(vector=rows[5], k=1)[0].node == 5
        assert store.check() == []
    with ql.open(path, dim=8) as store:
        store.optimize()  # Without a limit all is linked, as ever.
        assert store.stats()["index"]["rows"] == 2_000


def test_an_index_that_was_built_here_becomes_a_map_of_its_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", 1_000)
    with ql.open(path, dim=8, memory_limit=4 * MEMORY_BYTES_MIN) as store:
        store.add_many(vectors=vectors(4_000))
        store._open_directory()._indexer.wait()
        before = core.held()
        store.optimize()
        gc.collect()
        assert core.held() - before < 4_000 * 4 * 32  # Less than the links alone.
        assert store.search(vector=vectors(4_000)[7], k=1)[0].node == 7


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells RssAnon")
def test_private_memory_stays_below_the_limit_for_several_times_as_much_data(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, __file__, str(path), "40", "500"],
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["indexed"] == 20_000
    assert found["disk"] > 2 * LIMIT
    assert found["held"] <= LIMIT
    assert found["most"] <= LIMIT + CONSTANT, f"{found['most']:,}"


if __name__ == "__main__":
    print(json.dumps(work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
