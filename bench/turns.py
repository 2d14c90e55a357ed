"""How many times as fast as hnswlib, when both search in turns and share every disturbance?

    python bench/turns.py FOLDER [--cache FOLDER] [--core FILE ...] [--rounds 15] [--json FILE]

FOLDER holds `vectors.f16.npy` as for vectors.py. Every contender gets the narrowest width that
reaches each recall, then all ask the same questions round after round, one per call, on one
thread, in processor time. The ratio is that of the medians; best/best is beside it. `c call` is
the same search without the Python around it; --core adds other builds of bindings/_core*.so, whose
C call is timed in the same rounds. --cache keeps rows and indexes for the next run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import line
from vectors import RECALLS, loaded

K = 10
SEED = 1
WIDTH_MAX = 2000


def kth_scores(rows: Any, queries: Any) -> Any:
    """The k-th best exact score of every query, by brute force."""
    kth = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), 100):
        scores = queries[start : start + 100] @ rows.T
        kth[start : start + 100] = np.partition(scores, -K, axis=1)[:, -K]
    return kth


def recall_of(rows: Any, queries: Any, kth: Any, found: list[Any]) -> float:
    """Share of answers that score at least as well as the k-th best, so that equal rows count."""
    hits = 0
    for query, least, ids in zip(queries, kth, found, strict=True):
        hits += int((rows[np.asarray(ids, dtype=np.int64)] @ query >= least - 1e-6).sum())
    return hits / (K * len(queries))


class Core:
    """One build of the C core, called as directly as Python can."""

    def __init__(self, name: str, path: Path, rows: Any, cache: Path):
        spec = importlib.util.spec_from_file_location("_core", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.name, self.ffi, self.lib = name, module.ffi, module.lib
        self.vectors = self._opened(rows, cache / "rows")
        self.index = self._index(len(rows), cache / f"{name}.index")
        self.options = self.ffi.new("ql_near_options *", (K, K, len(rows), 1, 0))
        self.nodes = np.empty(K, np.uint32)
        self.out = (
            self.ffi.from_buffer("uint32_t[]", self.nodes),
            self.ffi.new("float[]", K),
            self.ffi.new("uint32_t *"),
            self.ffi.new("ql_cost *"),
        )

    def _opened(self, rows: Any, folder: Path) -> Any:
        lib, out = self.lib, self.ffi.new("ql_vectors **")
        fresh = not folder.exists()
        folder.mkdir(exist_ok=True)
        status = lib.ql_vectors_open(
            str(folder).encode(), bytes(16), rows.shape[1], lib.QL_COSINE, fresh, out
        )
        assert status == lib.QL_OK
        if fresh:
            nodes = np.arange(len(rows), dtype=np.uint32)
            data = (
                self.ffi.from_buffer("float[]", rows),
                self.ffi.from_buffer("uint32_t[]", nodes),
            )
            status = lib.ql_vectors_append(out[0], *data, len(rows), 1, self.ffi.new("uint32_t *"))
        else:
            status = lib.ql_vectors_extend(out[0], len(rows))
        assert status == lib.QL_OK
        return out[0]

    def _index(self, count: int, path: Path) -> Any:
        lib, out = self.lib, self.ffi.new("ql_hnsw **")
        if path.exists() and lib.ql_hnsw_load(self.vectors, str(path).encode(), out) == lib.QL_OK:
            return out[0]
        assert lib.ql_hnsw_create(self.vectors, 32, 200, SEED, out) == lib.QL_OK
        start = time.process_time()
        assert lib.ql_hnsw_extend(out[0], count, 2) == lib.QL_OK
        print(f"{self.name}: built in {time.process_time() - start:.1f} s of processor time")
        assert lib.ql_hnsw_save(out[0], str(path).encode()) == lib.QL_OK
        return out[0]

    def search(self, query: Any, width: int) -> Any:
        self.options.ef = width
        data = self.ffi.from_buffer("float[]", query)
        self.lib.ql_near(self.vectors, self.index, data, 1, self.options, *self.out)
        return self.nodes

    def counters(self, queries: Any, width: int) -> dict[str, float]:
        cost = self.out[3]
        before = (cost.distances, cost.hops)
        for query in queries:
            self.search(query, width)
        after = (cost.distances, cost.hops)
        names = ("rows scored", "hops")
        return {x: (b - a) / len(queries) for x, a, b in zip(names, before, after, strict=True)}


class Bindings:
    """The installed package: what a Python caller gets."""

    name = "quillian"

    def __init__(self, count: int, dim: int, cache: Path, index: str):
        from quillian.bindings.hnsw import Hnsw
        from quillian.bindings.vectors import Vectors

        self.vectors = Vectors(str(cache / "rows"), bytes(16), dim)
        self.vectors.extend(count)
        self.index = Hnsw.load(self.vectors, str(cache / f"{index}.index"))

    def search(self, query: Any, width: int) -> Any:
        return self.vectors.near(query[None], index=self.index, k=K, ef=width)[0][0]


class Hnswlib:
    name = "hnswlib M=16"

    def __init__(self, rows: Any, cache: Path):
        import hnswlib

        path = cache / "hnswlib.index"
        self.index = hnswlib.Index("cosine", rows.shape[1])
        if path.exists():
            self.index.load_index(str(path))
        else:
            self.index.init_index(len(rows), M=16, ef_construction=200, random_seed=SEED)
            start = time.process_time()
            self.index.add_items(rows, num_threads=2)
            print(f"{self.name}: built in {time.process_time() - start:.1f} s of processor time")
            self.index.save_index(str(path))
        self.index.set_num_threads(1)

    def search(self, query: Any, width: int) -> Any:
        self.index.set_ef(width)
        return self.index.knn_query(query, k=K)[0][0]


def width_for(peer: Any, recall: float, rows: Any, queries: Any, kth: Any) -> tuple[int, float]:
    """The narrowest width that reaches the recall, and what it reached."""
    low, high = K - 1, K
    reached: dict[int, float] = {}

    def at(width: int) -> float:
        found = [np.array(peer.search(query, width)) for query in queries]
        reached[width] = recall_of(rows, queries, kth, found)
        return reached[width]

    while at(high) < recall:
        low, high = high, 2 * high
        if high > WIDTH_MAX:
            raise SystemExit(f"{peer.name} does not reach a recall of {recall}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle) >= recall else (middle, high)
    return high, reached[high]


def timed(peer: Any, queries: Any, width: int) -> float:
    """Microseconds of processor time a query."""
    start = time.process_time()
    for query in queries:
        peer.search(query, width)
    return (time.process_time() - start) / len(queries) * 1e6


def report(peers: list[Any], base: Any, times: Any, widths: Any, queries: Any) -> list[Any]:
    """Print a line per recall and contender; the same as data."""
    print("| recall | contender | width | reached | us/query median | best | x median | x best |")
    print("|---|---|---|---|---|---|---|---|")
    results = []
    for recall in RECALLS:
        for peer in peers:
            own, other = times[peer.name, recall], times[base.name, recall]
            median, best = statistics.median(own), min(own)
            ratios = (statistics.median(other) / median, min(other) / best)
            width, reached = widths[peer.name, recall]
            counted = peer.counters(queries, width) if isinstance(peer, Core) else {}
            print(
                f"| {recall} | {peer.name} | {width} | {reached:.3f} | {median:.1f} | {best:.1f} "
                f"| {ratios[0]:.2f} | {ratios[1]:.2f} |"
                + "".join(f" {value:.0f} {name}" for name, value in counted.items())
            )
            results.append(
                {"recall": recall, "name": peer.name, "width": width, "us": own, **counted}
            )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--core", type=Path, action="append", default=[])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows, queries = loaded(options.folder, options.rows, options.queries)
    kth = kth_scores(rows, queries)
    from quillian.bindings import _core

    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary)
        cache.mkdir(exist_ok=True, parents=True)
        peers: list[Any] = [Hnswlib(rows, cache), Core("c call", Path(_core.__file__), rows, cache)]
        peers.insert(1, Bindings(len(rows), rows.shape[1], cache, "c call"))
        peers += [Core(path.stem, path, rows, cache) for path in options.core]
        widths = {
            (peer.name, recall): width_for(peer, recall, rows, queries, kth)
            for peer in peers
            for recall in RECALLS
        }
        times: dict[tuple[str, float], list[float]] = {key: [] for key in widths}
        for _ in range(options.rounds):
            for recall in RECALLS:
                for peer in peers:
                    width = widths[peer.name, recall][0]
                    times[peer.name, recall].append(timed(peer, queries, width))
        results = report(peers, peers[0], times, widths, queries)
    facts = line("hnswlib", rows=f"{len(rows):,}", queries=len(queries), seed=SEED)
    print(f"\n{facts}, {options.rounds} rounds")
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "results": results}, indent=1))


if __name__ == "__main__":
    main()
