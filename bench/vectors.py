"""How many searches per second at recall 0.90, 0.95 and 0.99, beside every peer that is installed?

    python bench/vectors.py FOLDER [--rows 100000] [--only quillian,hnswlib] [--json FILE]

FOLDER holds `vectors.f16.npy` (n, d), real embeddings; the last rows of a seeded shuffle are the
queries and are not indexed. One thread, one query per Python call, k = 10, cosine. Recall counts
an answer whose exact score reaches the k-th best one, so that equal rows count. Queries per second
are per second of processor time (other programs share the machine), the median of the passes,
interpolated in the ef sweep. A missing peer has no row.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

K = 10
RECALLS = (0.90, 0.95, 0.99)
WIDTHS = (10, 12, 15, 20, 28, 40, 56, 80, 112, 160, 240, 360, 540)
SEED = 1

Search = Callable[[Any, int], Any]  # (query (d,), ef) -> ids


class Peer:
    """An index under test: build it, then search with a width."""

    name = ""
    package = ""

    def build(self, rows: Any, threads: int) -> None:
        raise NotImplementedError

    def search(self, query: Any, width: int) -> Any:
        raise NotImplementedError

    def facts(self) -> dict[str, float]:
        """Counters of the last search, where a peer has any."""
        return {}


class Quillian(Peer):
    name, package = "quillian", "quillian"

    def build(self, rows: Any, threads: int) -> None:
        from quillian.bindings.hnsw import Hnsw
        from quillian.bindings.vectors import Vectors

        self.folder = tempfile.TemporaryDirectory()
        self.vectors = Vectors(self.folder.name, bytes(16), rows.shape[1], writable=True)
        self.vectors.append(rows, np.arange(len(rows), dtype=np.uint32), commit=1)
        self.vectors.sync()
        self.index = Hnsw.create(self.vectors)
        self.index.extend(len(rows), threads=threads)

    def search(self, query: Any, width: int) -> Any:
        nodes, _, _, self.cost = self.vectors.near(query[None], index=self.index, k=K, ef=width)
        return nodes[0]

    def facts(self) -> dict[str, float]:
        return {"distances": self.cost.distances, "hops": self.cost.hops, "bytes": self.cost.bytes}


class Hnswlib(Peer):
    name, package = "hnswlib M=16", "hnswlib"
    degree = 16

    def build(self, rows: Any, threads: int) -> None:
        import hnswlib

        self.index = hnswlib.Index("cosine", rows.shape[1])
        self.index.init_index(len(rows), M=self.degree, ef_construction=200, random_seed=SEED)
        self.index.add_items(rows, num_threads=threads)
        self.index.set_num_threads(1)

    def search(self, query: Any, width: int) -> Any:
        self.index.set_ef(width)
        return self.index.knn_query(query, k=K)[0][0]


class Hnswlib32(Hnswlib):
    name, degree = "hnswlib M=32", 32


class Usearch(Peer):
    name, package = "usearch f32", "usearch"
    dtype = "f32"

    def build(self, rows: Any, threads: int) -> None:
        from usearch.index import Index

        self.index = Index(
            ndim=rows.shape[1], metric="cos", dtype=self.dtype, connectivity=16, expansion_add=128
        )
        self.index.add(np.arange(len(rows)), rows, threads=threads)

    def search(self, query: Any, width: int) -> Any:
        self.index.expansion_search = width
        return self.index.search(query, K, threads=1).keys


class UsearchI8(Usearch):
    name, dtype = "usearch i8", "i8"


class UsearchB16(Usearch):
    name, dtype = "usearch bf16", "bf16"


class Faiss(Peer):
    name, package = "faiss HNSW32 flat", "faiss-cpu"
    factory = "HNSW32,Flat"

    def build(self, rows: Any, threads: int) -> None:
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(threads)
        self.index = faiss.index_factory(rows.shape[1], self.factory, faiss.METRIC_INNER_PRODUCT)
        base = faiss.downcast_index(getattr(self.index, "base_index", self.index))
        base.hnsw.efConstruction = 200
        self.index.train(rows)
        self.index.add(rows)
        faiss.omp_set_num_threads(1)
        self.parameters = faiss.SearchParametersHNSW()

    def search(self, query: Any, width: int) -> Any:
        self.parameters.efSearch = width
        return self.index.search(query[None], K, params=self.parameters)[1][0]


class FaissSq8(Faiss):
    name, factory = "faiss HNSW32 SQ8 + refine", "HNSW32_SQ8,Refine(Flat)"

    def search(self, query: Any, width: int) -> Any:
        base = self.faiss.SearchParametersHNSW()
        base.efSearch = width
        parameters = self.faiss.IndexRefineSearchParameters(k_factor=1.5, base_index_params=base)
        return self.index.search(query[None], K, params=parameters)[1][0]


class Vsag(Peer):
    name, package = "vsag hgraph sq8 + reorder", "pyvsag"
    quantization = "sq8_uniform"

    def build(self, rows: Any, threads: int) -> None:
        import pyvsag

        settings = {
            "dtype": "float32",
            "metric_type": "cosine",
            "dim": rows.shape[1],
            "index_param": {
                "base_quantization_type": self.quantization,
                "use_reorder": True,
                "precise_quantization_type": "fp32",
                "max_degree": 32,
                "ef_construction": 200,
                "build_thread_count": threads,
            },
        }
        self.index = pyvsag.Index("hgraph", json.dumps(settings))
        self.index.build(rows, np.arange(len(rows)), len(rows), rows.shape[1])

    def search(self, query: Any, width: int) -> Any:
        parameters = json.dumps({"hgraph": {"ef_search": width}})
        return self.index.knn_search(query, K, parameters)[0]


class Svs(Peer):
    name, package = "svs vamana f16", "scalable-vs"

    def build(self, rows: Any, threads: int) -> None:
        import svs

        settings = svs.VamanaBuildParameters(
            graph_max_degree=32, window_size=200, alpha=0.95, prune_to=28
        )
        self.index = svs.Vamana.build(
            settings,
            rows.astype(np.float16),
            svs.DistanceType.MIP,
            num_threads=threads,
        )
        self.index.num_threads = 1

    def search(self, query: Any, width: int) -> Any:
        self.index.search_window_size = width
        return self.index.search(query[None], K)[0][0]


PEERS: tuple[type[Peer], ...] = (
    Quillian,
    Hnswlib,
    Hnswlib32,
    Usearch,
    UsearchB16,
    UsearchI8,
    Faiss,
    FaissSq8,
    Vsag,
    Svs,
)


def loaded(folder: Path, count: int, queries: int) -> tuple[Any, Any]:
    """Unit rows to index and held-out queries, float32."""
    stored = np.load(folder / "vectors.f16.npy", mmap_mode="r")
    order = np.random.default_rng(SEED).permutation(len(stored))
    rows = np.asarray(stored[order[: min(count, len(stored) - queries)]], dtype=np.float32)
    asked = np.asarray(stored[order[-queries:]], dtype=np.float32)
    for block in (rows, asked):
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return rows, asked


def kth_scores(rows: Any, queries: Any) -> Any:
    """The k-th best exact score of every query, by brute force."""
    kth = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), 100):
        scores = queries[start : start + 100] @ rows.T
        kth[start : start + 100] = np.partition(scores, -K, axis=1)[:, -K]
    return kth


def recall_of(rows: Any, queries: Any, kth: Any, found: list[Any]) -> float:
    hits = 0
    for query, least, ids in zip(queries, kth, found, strict=True):
        hits += int((rows[np.asarray(ids, dtype=np.int64)] @ query >= least - 1e-6).sum())
    return hits / (K * len(queries))


def swept(peer: Peer, rows: Any, queries: Any, kth: Any, passes: int) -> list[dict[str, float]]:
    """Recall, queries per second and counters for each width, until recall passes 0.995."""
    points = []
    for width in WIDTHS:
        found = [peer.search(query, width) for query in queries]
        point = {"ef": float(width), "recall": recall_of(rows, queries, kth, found)}
        times = []
        for _ in range(passes):
            start = time.process_time()
            for query in queries:
                peer.search(query, width)
            times.append(time.process_time() - start)
        point["qps"] = len(queries) / statistics.median(times)
        totals: dict[str, float] = {}
        for query in queries:
            peer.search(query, width)
            for key, value in peer.facts().items():
                totals[key] = totals.get(key, 0) + value / len(queries)
        points.append({**point, **totals})
        if point["recall"] > 0.995:
            break
    return points


def at_recall(points: list[dict[str, float]], recall: float, what: str) -> float | None:
    """The value at a recall, linear between the two points around it."""
    for low, high in zip([None, *points], points, strict=False):
        if high["recall"] < recall or what not in high:
            continue
        if low is None or high["recall"] == low["recall"]:
            return high[what]
        part = (recall - low["recall"]) / (high["recall"] - low["recall"])
        return low[what] + part * (high[what] - low[what])
    return None


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def measured(kind: type[Peer], rows: Any, queries: Any, kth: Any, options: Any) -> dict[str, Any]:
    peer = kind()
    before, start = resident_bytes(), time.perf_counter()
    peer.build(rows, options.threads)
    build = time.perf_counter() - start
    grown = resident_bytes() - before
    points = swept(peer, rows, queries, kth, options.passes)
    return {
        "name": kind.name,
        "version": importlib.metadata.version(kind.package),
        "build_s": build,
        "bytes_per_row": grown / len(rows),
        "points": points,
    }


def machine() -> str:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def table(results: list[dict[str, Any]]) -> str:
    head = (
        "| index | q/s @0.90 | @0.95 | @0.99 | x hnswlib @0.95 | dist/q @0.95 | build s | B/row |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    base = next((x for x in results if x["name"] == Hnswlib.name), None)
    base_qps = at_recall(base["points"], 0.95, "qps") if base else None
    for each in results:
        qps = [at_recall(each["points"], recall, "qps") for recall in RECALLS]
        ratio = f"{qps[1] / base_qps:.2f}" if qps[1] and base_qps else "-"
        distances = shown(at_recall(each["points"], 0.95, "distances"))
        cells = [f"{each['name']} {each['version']}", *map(shown, qps), ratio, distances]
        cells += [f"{each['build_s']:.1f}", shown(each["bytes_per_row"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2, help="of the build")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--only", default="", help="names that peers start with, comma-separated")
    parser.add_argument("--json", type=Path, help="where to write every point")
    options = parser.parse_args()
    rows, queries = loaded(options.folder, options.rows, options.queries)
    kth = kth_scores(rows, queries)
    wanted = tuple(options.only.split(",")) if options.only else ("",)
    results = []
    for kind in PEERS:
        if not kind.name.startswith(wanted):
            continue
        try:
            results.append(measured(kind, rows, queries, kth, options))
        except ImportError as missing:
            print(f"{kind.name}: not installed ({missing})")
            continue
        print(json.dumps(results[-1]["points"]), flush=True)
    print(f"\n{len(rows):,} x {rows.shape[1]}, {len(queries)} queries, seed {SEED}; {machine()}")
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=1))


if __name__ == "__main__":
    main()
