"""Which engines are asked what stress.py asks, and how does each do it?

An engine loads concepts and associations into a folder in batches, ends (indexes, commits, closes)
and is opened again by another process. What it cannot do stays `None`, a "no" in the table. All get
the same vectors; every index keeps its defaults but for what its `note` says.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

K = 10
TENTH = 100  # Of the values 0..999 of `n`: the filter is n < TENTH.
Ask = Callable[[Any], Any]


class Batch(NamedTuple):
    """Concepts: rows (numbers that all engines know them by), texts, values of `n`, vectors."""

    rows: Any
    texts: list[str]
    n: list[int]
    vectors: Any


class Engine:
    """What is measured; a way of asking that a subclass leaves at None it has not."""

    packages: ClassVar[tuple[str, ...]] = ()
    note = ""
    batch = 20_000  # Concepts that it takes at once.

    near: Ask | None = None  # vector -> rows
    near_tenth: Ask | None = None  # vector -> rows with n < TENTH
    words: Ask | None = None  # text -> rows
    hops: Ask | None = None  # row -> how many concepts lie within two hops, both ways
    get: Ask | None = None  # row -> text

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder = folder
        self.dim = dim

    def create(self) -> None:
        """Begin an empty store in the folder."""

    def add(self, batch: Batch) -> None:
        """Add concepts."""

    def link(self, sources: Any, targets: Any) -> None:
        """Add associations; left out by engines without a graph."""

    def end(self) -> None:
        """Index, make durable, close."""

    def open(self) -> None:
        """Get ready to answer."""


class Quillian(Engine):
    packages = ("quillian",)
    note = "one transaction per batch"

    def create(self) -> None:
        import quillian as ql

        self.store = ql.open(self.folder, dim=self.dim)

    def add(self, batch: Batch) -> None:
        self.store.add_many(
            batch.texts,
            ids=[str(row) for row in batch.rows],
            vectors=batch.vectors,
            data=[{"n": n} for n in batch.n],
        )

    def link(self, sources: Any, targets: Any) -> None:
        self.store.link_many([str(x) for x in sources], [str(x) for x in targets], "linked")

    def end(self) -> None:
        self.store.optimize()
        self.store.close()

    def open(self) -> None:
        import quillian as ql

        tenth = {"n": {"$lt": TENTH}}
        within = ql.Expand(2, direction="both", budget=10**9)
        self.store = ql.open(self.folder, read_only=True)
        self.view = self.store.snapshot()
        self.near = lambda q: [int(row.id) for row in self.view.near(q, K)]
        self.near_tenth = lambda q: [int(row.id) for row in self.view.near(q, K, where=tenth)]
        self.words = lambda q: [int(row.id) for row in self.store.search(q, K, method="words")]
        self.hops = lambda row: len(self.store.run(ql.Query(ql.Named(str(row)), within)))
        self.get = lambda row: self.view.get(str(row)).text


class LanceDb(Engine):
    packages = ("lancedb",)
    note = "IVF_HNSW_SQ with its default lists, refined 3 times; full-text index"

    def create(self) -> None:
        import lancedb

        self.table: Any = None
        self.base = lancedb.connect(self.folder)

    def add(self, batch: Batch) -> None:
        import pyarrow as pa

        vectors = pa.FixedSizeListArray.from_arrays(pa.array(batch.vectors.ravel()), self.dim)
        columns = {"row": pa.array(batch.rows), "n": batch.n, "text": batch.texts}
        part = pa.table(columns | {"vector": vectors})
        if self.table is None:
            self.table = self.base.create_table("concepts", part)
        else:
            self.table.add(part)

    def end(self) -> None:
        self.table.create_index(metric="cosine", index_type="IVF_HNSW_SQ")
        self.table.create_scalar_index("n")
        self.table.create_scalar_index("row")
        self.table.create_fts_index("text", replace=True)
        self.table.optimize()

    def open(self) -> None:
        self.create()
        self.table = self.base.open_table("concepts")

        def near(q: Any, where: str | None = None) -> list[int]:
            asked = self.table.search(q).distance_type("cosine").refine_factor(3).nprobes(20)
            asked = asked.where(where, prefilter=True) if where else asked
            return list(asked.limit(K).select(["row"]).to_arrow()["row"].to_pylist())

        self.near = near
        self.near_tenth = lambda q: near(q, f"n < {TENTH}")
        self.words = lambda q: (
            self.table.search(q, query_type="fts").limit(K).to_arrow()["row"].to_pylist()
        )
        self.get = lambda row: (
            self.table.search().where(f"row = {row}").limit(1).to_arrow()["text"].to_pylist()
        )


class Chroma(Engine):
    packages = ("chromadb",)
    note = "HNSW, M = 16, 200 candidates, width 100"
    batch = 5_000

    def _client(self) -> Any:
        import chromadb

        settings = chromadb.Settings(anonymized_telemetry=False)
        return chromadb.PersistentClient(str(self.folder), settings)

    def create(self) -> None:
        how = {"space": "cosine", "ef_construction": 200, "ef_search": 100, "max_neighbors": 16}
        self.all = self._client().create_collection(
            "concepts", configuration={"hnsw": how}, embedding_function=None
        )

    def add(self, batch: Batch) -> None:
        self.all.add(
            ids=[str(row) for row in batch.rows],
            embeddings=batch.vectors,
            documents=batch.texts,
            metadatas=[{"n": n} for n in batch.n],
        )

    def open(self) -> None:
        self.all = self._client().get_collection("concepts", embedding_function=None)

        def near(q: Any, **where: Any) -> list[int]:
            found = self.all.query(query_embeddings=q[None], n_results=K, include=[], **where)
            return [int(x) for x in found["ids"][0]]

        self.near = near
        self.near_tenth = lambda q: near(q, where={"n": {"$lt": TENTH}})
        self.get = lambda row: self.all.get(ids=[str(row)])["documents"]


class Sqlite(Engine):
    packages = ("pysqlite3", "sqlite-vec")  # Python's own is often built without extensions.
    note = "tables, FTS5, sqlite-vec (exact); recursive join for hops"

    def _connect(self) -> None:
        import pysqlite3
        import sqlite_vec

        self.base = pysqlite3.connect(self.folder / "base.db")
        self.base.enable_load_extension(True)
        sqlite_vec.load(self.base)
        self.base.execute("PRAGMA journal_mode = WAL")

    def create(self) -> None:
        self._connect()
        self.base.executescript(
            f"""CREATE TABLE concept(row INTEGER PRIMARY KEY, n INTEGER, text TEXT);
            CREATE VIRTUAL TABLE word USING fts5(text, content=concept, content_rowid=row);
            CREATE VIRTUAL TABLE vector USING
                vec0(row INTEGER PRIMARY KEY, n INTEGER,
                     v FLOAT[{self.dim}] distance_metric=cosine);
            CREATE TABLE edge(source INTEGER, target INTEGER)"""
        )

    def add(self, batch: Batch) -> None:
        rows = [int(x) for x in batch.rows]
        with self.base:
            self.base.executemany(
                "INSERT INTO concept VALUES (?, ?, ?)",
                zip(rows, batch.n, batch.texts, strict=True),
            )
            self.base.executemany(
                "INSERT INTO word(rowid, text) VALUES (?, ?)", zip(rows, batch.texts, strict=True)
            )
            self.base.executemany(
                "INSERT INTO vector VALUES (?, ?, ?)",
                zip(rows, batch.n, map(bytes, batch.vectors), strict=True),
            )

    def link(self, sources: Any, targets: Any) -> None:
        with self.base:
            pairs = zip(sources.tolist(), targets.tolist(), strict=True)
            self.base.executemany("INSERT INTO edge VALUES (?, ?)", pairs)

    def end(self) -> None:
        with self.base:
            for columns in ("source, target", "target, source"):
                self.base.execute(f"CREATE INDEX {columns[:6]}s ON edge({columns})")
        self.base.close()

    def open(self) -> None:
        self._connect()
        nearest = f"SELECT row FROM vector WHERE v MATCH ? AND k = {K}"
        within = """SELECT count(*) FROM (
            WITH one(x) AS (SELECT target FROM edge WHERE source = ?1
                UNION SELECT source FROM edge WHERE target = ?1 UNION SELECT ?1)
            SELECT target FROM edge JOIN one ON source = x UNION
            SELECT source FROM edge JOIN one ON target = x UNION SELECT x FROM one)"""

        def first(query: str, *values: Any) -> list[Any]:
            return [x for (x,) in self.base.execute(query, values)]

        self.near = lambda q: first(nearest, q.tobytes())
        self.near_tenth = lambda q: first(f"{nearest} AND n < {TENTH}", q.tobytes())
        self.words = lambda q: first(
            f"SELECT rowid FROM word WHERE word MATCH ? ORDER BY rank LIMIT {K}",
            " OR ".join(f'"{x}"' for x in q.replace('"', " ").split()),
        )
        self.hops = lambda row: first(within, row)[0]
        self.get = lambda row: first("SELECT text FROM concept WHERE row = ?", row)


class Ladybug(Engine):
    packages = ("ladybug",)
    note = "COPY from Arrow; no vector or word extension offline"

    def _connect(self) -> None:
        import ladybug
        import pyarrow

        self.table = pyarrow.table
        self.base = ladybug.Database(str(self.folder / "base.lbug"))
        self.run = ladybug.Connection(self.base).execute

    def create(self) -> None:
        self._connect()
        self.run("CREATE NODE TABLE concept(row INT64, n INT64, text STRING, PRIMARY KEY(row))")
        self.run("CREATE REL TABLE edge(FROM concept TO concept)")

    def add(self, batch: Batch) -> None:
        part = self.table({"row": np.asarray(batch.rows), "n": batch.n, "text": batch.texts})
        self.run("COPY concept FROM $part", {"part": part})

    def link(self, sources: Any, targets: Any) -> None:
        part = self.table({"source": sources.astype(np.int64), "target": targets.astype(np.int64)})
        self.run("COPY edge FROM $part", {"part": part})

    def end(self) -> None:
        self.run("CHECKPOINT")
        self.base.close()

    def open(self) -> None:
        self._connect()
        ends = "(a:concept {row: $row})-[:edge*0..2]-(b:concept)"
        within = f"MATCH {ends} RETURN count(DISTINCT b.row)"
        text = "MATCH (a:concept {row: $row}) RETURN a.text"
        self.hops = lambda row: self.run(within, {"row": row}).get_next()[0]
        self.get = lambda row: self.run(text, {"row": row}).get_next()[0]


class Zvec(Engine):
    packages = ("zvec",)
    note = "HNSW of 8-bit codes, refined, M = 32, width 100"
    batch = 1_000

    def create(self) -> None:
        import zvec

        self.zvec = zvec
        index = zvec.HnswIndexParam(
            metric_type=zvec.MetricType.COSINE, m=32, quantize_type=zvec.QuantizeType.INT8
        )
        schema = zvec.CollectionSchema(
            name="concepts",
            fields=[
                zvec.FieldSchema("n", zvec.DataType.INT32, index_param=zvec.InvertIndexParam()),
                zvec.FieldSchema("text", zvec.DataType.STRING),
            ],
            vectors=zvec.VectorSchema("v", zvec.DataType.VECTOR_FP32, self.dim, index),
        )
        self.all = zvec.create_and_open(path=str(self.folder / "zvec"), schema=schema)

    def add(self, batch: Batch) -> None:
        columns = zip(batch.rows, batch.n, batch.texts, batch.vectors, strict=True)
        doc = self.zvec.Doc
        self.all.insert(
            [
                doc(str(row), vectors={"v": v}, fields={"n": n, "text": x})
                for row, n, x, v in columns
            ]
        )

    def end(self) -> None:
        self.all.optimize()
        self.all.flush()

    def open(self) -> None:
        import zvec

        self.all = zvec.open(path=str(self.folder / "zvec"))
        how = zvec.HnswQueryParam(ef=100, is_using_refiner=True)

        def near(q: Any, filter: str | None = None) -> list[int]:
            asked = zvec.Query("v", vector=q, param=how)
            found = self.all.query(asked, topk=K, filter=filter, output_fields=[])
            return [int(x.id) for x in found]

        self.near = near
        self.near_tenth = lambda q: near(q, f"n < {TENTH}")
        self.get = lambda row: self.all.fetch([str(row)])[str(row)].field("text")


class UsearchNetworkx(Engine):
    packages = ("usearch", "networkx")
    note = "usearch of 8-bit numbers, M = 16, width 100; a networkx graph in memory, pickled"

    def create(self) -> None:
        import networkx
        from usearch.index import Index

        self.index = Index(
            ndim=self.dim, metric="cos", dtype="i8", connectivity=16, expansion_search=100
        )
        self.graph = networkx.DiGraph()

    def add(self, batch: Batch) -> None:
        self.index.add(np.asarray(batch.rows, np.uint64), batch.vectors, threads=2)
        self.graph.add_nodes_from(
            (int(row), {"n": n, "text": text})
            for row, n, text in zip(batch.rows, batch.n, batch.texts, strict=True)
        )

    def link(self, sources: Any, targets: Any) -> None:
        self.graph.add_edges_from(zip(sources.tolist(), targets.tolist(), strict=True))

    def end(self) -> None:
        self.index.save(str(self.folder / "index.usearch"))
        with (self.folder / "graph.pickle").open("wb") as file:
            pickle.dump(self.graph, file, protocol=5)

    def open(self) -> None:
        from networkx import single_source_shortest_path_length
        from usearch.index import Index

        index = Index.restore(str(self.folder / "index.usearch"), view=True)
        assert index is not None
        index.expansion_search = 100
        with (self.folder / "graph.pickle").open("rb") as file:
            graph = pickle.load(file)
        self.near = lambda q: index.search(q, K).keys.tolist()
        self.get = lambda row: graph.nodes[row]["text"]

        both = graph.to_undirected(as_view=True)
        self.hops = lambda row: len(single_source_shortest_path_length(both, row, cutoff=2))


ENGINES: dict[str, type[Engine]] = {
    "quillian": Quillian,
    "lancedb": LanceDb,
    "chroma": Chroma,
    "sqlite": Sqlite,
    "ladybug": Ladybug,
    "zvec": Zvec,
    "usearch+networkx": UsearchNetworkx,
}
