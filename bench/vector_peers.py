"""Which indexes are measured, and with which settings?

A peer is built into a folder once, opened from it, and searched with a width. All get the same unit
rows and the same degree of 32 links at the bottom (hnswlib and usearch count half: M = 16) and 200
candidates (usearch's own default is 128) where they have such settings; the rest is their best
setting for a reranked compressed index, or their default.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

K = 10
SEED = 1
CANDIDATES = 200
ADD_ROWS = 50_000


class Peer:
    """An index under test."""

    package = ""
    note = ""  # What a reader of the table should know.
    exact = False  # Whether the width means nothing.

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        """Index rows (n, d) and write the index to the folder; phases in seconds, if it has any."""
        raise NotImplementedError

    def open(self, folder: Path, dim: int) -> None:
        """Get ready to search what was built."""
        raise NotImplementedError

    def search(self, query: Any, width: int) -> Any:
        """The k nearest rows of one query (d,)."""
        raise NotImplementedError

    def batch(self, queries: Any, width: int) -> Any:
        """The k nearest rows of every query (q, d), one call, one thread; None: no such call."""
        return None

    def facts(self) -> dict[str, float]:
        """Counters of the last search, where a peer has any."""
        return {}


class Store(Peer):
    """The public API: a store on disk, `snapshot.near`."""

    package = "quillian"
    note = "`snapshot.near`: a Selection of concepts, durable, filtered, deletable"

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        import quillian as ql

        started = time.perf_counter()
        with ql.open(folder / "store", dim=rows.shape[1], embedder="none") as store:
            with store.transaction() as txn:
                for start in range(0, len(rows), ADD_ROWS):
                    txn.add_many(vectors=rows[start : start + ADD_ROWS])
            added = time.perf_counter()
            store.optimize(threads=threads)
        return {"add_s": added - started, "index_s": time.perf_counter() - added}

    def open(self, folder: Path, dim: int) -> None:
        import quillian as ql

        self.store = ql.open(folder / "store", read_only=True)
        self.view = self.store.snapshot().__enter__()

    def search(self, query: Any, width: int) -> Any:
        found = self.view.near(query, K, ef=width)
        self.cost = found.step.cost if found.step is not None else {}
        return found.ids

    def facts(self) -> dict[str, float]:
        return {name: float(self.cost[name]) for name in ("distances", "hops", "bytes")}


class Core(Store):
    """The same store, one call below: what a row of C costs through cffi alone."""

    note = "`Vectors.near`, the call below `snapshot.near`"

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        (folder / "store").symlink_to(folder.parent / "quillian" / "store")
        return {}

    def open(self, folder: Path, dim: int) -> None:
        super().open(folder, dim)
        log = self.store._directory.vectors()
        self.rows, self.index = log._rows, log.index.current

    def search(self, query: Any, width: int) -> Any:
        return self.batch(query[None], width)[0]

    def batch(self, queries: Any, width: int) -> Any:
        nodes, _, _, cost = self.rows.near(queries, index=self.index, k=K, ef=width)
        self.cost = cost._asdict()
        return nodes


class Hnswlib(Peer):
    package = "hnswlib"
    degree = 16

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        import hnswlib

        index = hnswlib.Index("cosine", rows.shape[1])
        index.init_index(len(rows), M=self.degree, ef_construction=CANDIDATES, random_seed=SEED)
        index.add_items(rows, num_threads=threads)
        index.save_index(str(folder / "index.bin"))
        return {}

    def open(self, folder: Path, dim: int) -> None:
        import hnswlib

        self.index = hnswlib.Index("cosine", dim)
        self.index.load_index(str(folder / "index.bin"))
        self.index.set_num_threads(1)

    def search(self, query: Any, width: int) -> Any:
        return self.batch(query, width)[0]

    def batch(self, queries: Any, width: int) -> Any:
        self.index.set_ef(width)
        return self.index.knn_query(queries, k=K)[0]


class Hnswlib32(Hnswlib):
    degree = 32


class Usearch(Peer):
    package = "usearch"
    dtype = "f32"

    def _index(self, dim: int) -> Any:
        from usearch.index import Index

        return Index(ndim=dim, metric="cos", dtype=self.dtype, connectivity=16, expansion_add=128)

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        index = self._index(rows.shape[1])
        index.add(np.arange(len(rows)), rows, threads=threads)
        index.save(str(folder / "index.usearch"))
        return {}

    def open(self, folder: Path, dim: int) -> None:
        self.index = self._index(dim)
        self.index.load(str(folder / "index.usearch"))

    def search(self, query: Any, width: int) -> Any:
        return self.batch(query, width)

    def batch(self, queries: Any, width: int) -> Any:
        self.index.expansion_search = width
        return self.index.search(queries, K, threads=1).keys


class UsearchB16(Usearch):
    dtype = "bf16"


class UsearchI8(Usearch):
    dtype = "i8"
    note = "no rerank: scores are of 8-bit rows"


class Faiss(Peer):
    package = "faiss-cpu"
    factory = "HNSW32,Flat"

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        import faiss

        faiss.omp_set_num_threads(threads)
        index = faiss.index_factory(rows.shape[1], self.factory, faiss.METRIC_INNER_PRODUCT)
        base = faiss.downcast_index(getattr(index, "base_index", index))
        base.hnsw.efConstruction = CANDIDATES
        index.train(rows)
        index.add(rows)
        faiss.write_index(index, str(folder / "index.faiss"))
        return {}

    def open(self, folder: Path, dim: int) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self.faiss = faiss
        self.index = faiss.read_index(str(folder / "index.faiss"))

    def search(self, query: Any, width: int) -> Any:
        return self.batch(query[None], width)[0]

    def batch(self, queries: Any, width: int) -> Any:
        return self.index.search(queries, K, params=self.parameters(width))[1]

    def parameters(self, width: int) -> Any:
        return self.faiss.SearchParametersHNSW(efSearch=width)


class FaissSq8(Faiss):
    factory = "HNSW32_SQ8,Refine(Flat)"
    note = "the best 15 ranked again by float32"

    def parameters(self, width: int) -> Any:
        base = self.faiss.SearchParametersHNSW(efSearch=width)
        return self.faiss.IndexRefineSearchParameters(k_factor=1.5, base_index_params=base)


class Vsag(Peer):
    package = "pyvsag"
    codes = "sq8_uniform"

    def _index(self, dim: int, threads: int) -> Any:
        import pyvsag

        pyvsag.set_logger_off()
        settings = {
            "dtype": "float32",
            "metric_type": "cosine",
            "dim": dim,
            "index_param": {
                "base_quantization_type": self.codes,
                "use_reorder": True,
                "precise_quantization_type": "fp32",
                "max_degree": 32,
                "ef_construction": CANDIDATES,
                "build_thread_count": threads,
            },
        }
        return pyvsag.Index("hgraph", json.dumps(settings))

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        index = self._index(rows.shape[1], threads)
        index.build(rows, np.arange(len(rows)), len(rows), rows.shape[1])
        index.save(str(folder / "index.vsag"))
        return {}

    def open(self, folder: Path, dim: int) -> None:
        self.index = self._index(dim, 1)
        self.index.load(str(folder / "index.vsag"))
        self.parameters: dict[int, str] = {}

    def search(self, query: Any, width: int) -> Any:
        if width not in self.parameters:
            self.parameters[width] = json.dumps({"hgraph": {"ef_search": width}})
        return self.index.knn_search(query, K, self.parameters[width])[0]  # Its help says [1].


class VsagSq4(Vsag):
    codes = "sq4_uniform"


class Svs(Peer):
    package = "scalable-vs"

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        import svs

        settings = svs.VamanaBuildParameters(
            alpha=0.95, graph_max_degree=32, window_size=CANDIDATES, prune_to=28
        )
        index = svs.Vamana.build(
            settings, self.stored(rows, folder), svs.DistanceType.MIP, num_threads=threads
        )
        index.save(*(str(folder / part) for part in ("config", "graph", "data")))
        return {}

    def open(self, folder: Path, dim: int) -> None:
        import svs

        graph = svs.GraphLoader(str(folder / "graph"))
        self.index = svs.Vamana(
            str(folder / "config"), graph, self.loader(folder, dim), svs.DistanceType.MIP
        )

    def stored(self, rows: Any, folder: Path) -> Any:
        return rows.astype(np.float16)

    def loader(self, folder: Path, dim: int) -> Any:
        import svs

        return svs.VectorDataLoader(str(folder / "data"), svs.DataType.float16)

    def search(self, query: Any, width: int) -> Any:
        return self.batch(query[None], width)[0]

    def batch(self, queries: Any, width: int) -> Any:
        self.index.search_window_size = width
        return self.index.search(queries, K)[0]


class SvsLvq(Svs):
    def stored(self, rows: Any, folder: Path) -> Any:
        import svs

        svs.write_vecs(rows, str(folder / "rows.fvecs"))
        svs.convert_vecs_to_svs(str(folder / "rows.fvecs"), str(folder / "rows.svs"))
        (folder / "rows.fvecs").unlink()
        data = svs.VectorDataLoader(str(folder / "rows.svs"), svs.DataType.float32)
        return svs.LVQLoader(data, primary=4, residual=8)

    def loader(self, folder: Path, dim: int) -> Any:
        import svs

        return svs.LVQLoader(str(folder / "data"))


class Zvec(Peer):
    package = "zvec"
    note = "int8 codes, refined by float32; a call makes document objects"
    INSERTED = 1000

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, optimize_threads=threads)
        index = zvec.HnswIndexParam(
            metric_type=zvec.MetricType.COSINE,
            m=32,
            ef_construction=CANDIDATES,
            quantize_type=zvec.QuantizeType.INT8,
            use_contiguous_memory=True,
            use_flat_contiguous_memory=True,
        )
        field = zvec.VectorSchema("v", zvec.DataType.VECTOR_FP32, rows.shape[1], index)
        schema = zvec.CollectionSchema(name="rows", vectors=field)
        collection = zvec.create_and_open(str(folder / "zvec"), schema)
        for start in range(0, len(rows), self.INSERTED):
            part = rows[start : start + self.INSERTED]
            collection.insert(
                [zvec.Doc(id=str(start + i), vectors={"v": row}) for i, row in enumerate(part)]
            )
        collection.optimize(zvec.OptimizeOption(concurrency=threads))
        collection.flush()
        return {}

    def open(self, folder: Path, dim: int) -> None:
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=1)
        self.zvec = zvec
        self.collection = zvec.open(str(folder / "zvec"), zvec.CollectionOption(read_only=True))

    def search(self, query: Any, width: int) -> Any:
        parameters = self.zvec.HnswQueryParam(ef=width, is_using_refiner=True, scale_factor=2.0)
        asked = self.zvec.Query(field_name="v", vector=query, param=parameters)
        return [int(x.id) for x in self.collection.query(asked, topk=K, output_fields=[])]


class BruteForce(Peer):
    package = "numpy"
    note = "one matrix product, then argpartition"
    exact = True

    def build(self, rows: Any, folder: Path, threads: int) -> dict[str, float]:
        np.save(folder / "rows.npy", rows)
        return {}

    def open(self, folder: Path, dim: int) -> None:
        self.rows = np.load(folder / "rows.npy")

    def search(self, query: Any, width: int) -> Any:
        return np.argpartition(self.rows @ query, -K)[-K:]


PEERS: dict[str, Callable[[], Peer]] = {
    "quillian": Store,
    "quillian-core": Core,
    "hnswlib-16": Hnswlib,
    "hnswlib-32": Hnswlib32,
    "usearch-f32": Usearch,
    "usearch-bf16": UsearchB16,
    "usearch-i8": UsearchI8,
    "faiss-flat": Faiss,
    "faiss-sq8": FaissSq8,
    "vsag-sq8": Vsag,
    "vsag-sq4": VsagSq4,
    "svs-f16": Svs,
    "svs-lvq": SvsLvq,
    "zvec-int8": Zvec,
    "numpy": BruteForce,
}
