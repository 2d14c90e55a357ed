"""The embedded stores that durability.py compares, with the same few verbs, as durable as they can.

`write` is one commit of concepts (id, text, vector) and links between them, and returns when the
store says that it is durable; Chroma and LanceDB have no links.  `bulk` is the fastest way in that
the store's own documents name, durable at its end.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIM = 384
Links = Sequence[tuple[str, str]]
Vectors = NDArray[np.float32]


class Peer(ABC):
    """One open store."""

    package: str  # As pip calls it.

    @abstractmethod
    def __init__(self, path: Path) -> None: ...

    @abstractmethod
    def write(self, ids: list[str], texts: list[str], vectors: Vectors, links: Links) -> None: ...

    @abstractmethod
    def bulk(self, ids: list[str], texts: list[str], vectors: Vectors) -> None: ...

    @abstractmethod
    def read(self, id: str) -> str | None: ...

    @abstractmethod
    def ids(self) -> list[str]: ...

    @abstractmethod
    def close(self) -> None: ...


class Quillian(Peer):
    package = "quillian"
    mode = "commit"

    def __init__(self, path: Path) -> None:
        import quillian as ql

        self.store = ql.open(path, dim=DIM, lock_timeout=30, durability=self.mode)

    def write(self, ids: list[str], texts: list[str], vectors: Vectors, links: Links) -> None:
        with self.store.transaction() as txn:
            if len(ids) == 1:
                txn.add(texts[0], id=ids[0], vector=vectors[0])
            else:
                txn.add_many(texts, ids=ids, vectors=vectors)
            for source, target in links:
                txn.link(source, target, "next")

    def bulk(self, ids: list[str], texts: list[str], vectors: Vectors) -> None:
        self.store.add_many(texts, ids=ids, vectors=vectors)
        self.store.sync()

    def read(self, id: str) -> str | None:
        return self.store.get(id).text

    def ids(self) -> list[str]:
        with self.store.snapshot() as view:
            return [concept.id for concept in view.concepts()]

    def close(self) -> None:
        self.store.close()


class QuillianGroup(Quillian):
    mode = "group"


class Sqlite(Peer):
    package = "sqlite3"

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self.db = sqlite3.connect(path / "db", isolation_level=None, timeout=30)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS concept (id TEXT PRIMARY KEY, text TEXT, vector BLOB)"
        )
        self.db.execute("CREATE TABLE IF NOT EXISTS link (source TEXT, target TEXT, type TEXT)")

    def write(self, ids: list[str], texts: list[str], vectors: Vectors, links: Links) -> None:
        rows = zip(ids, texts, (row.tobytes() for row in vectors), strict=True)
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("INSERT INTO concept VALUES (?, ?, ?)", rows)
        self.db.executemany("INSERT INTO link VALUES (?, ?, 'next')", links)
        self.db.execute("COMMIT")

    def bulk(self, ids: list[str], texts: list[str], vectors: Vectors) -> None:
        self.write(ids, texts, vectors, [])

    def read(self, id: str) -> str | None:
        found = self.db.execute("SELECT text FROM concept WHERE id = ?", (id,)).fetchone()
        return found[0] if found else None

    def ids(self) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT id FROM concept")]

    def close(self) -> None:
        self.db.close()


def arrow(ids: list[str], texts: list[str], vectors: Vectors) -> Any:
    """Columns id, text and vector as an Arrow table."""
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    rows = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    words = {"id": pa.array(ids, pa.string()), "text": pa.array(texts, pa.string())}
    return pa.table({**words, "vector": rows})


class DuckDB(Peer):
    package = "duckdb"

    def __init__(self, path: Path) -> None:
        import duckdb

        path.mkdir(exist_ok=True)
        self.db = duckdb.connect(str(path / "db"))
        columns = f"id TEXT PRIMARY KEY, text TEXT, vector FLOAT[{DIM}]"
        self.db.execute(f"CREATE TABLE IF NOT EXISTS concept ({columns})")
        self.db.execute("CREATE TABLE IF NOT EXISTS link (source TEXT, target TEXT, type TEXT)")

    def write(self, ids: list[str], texts: list[str], vectors: Vectors, links: Links) -> None:
        self.db.execute("BEGIN")
        for id, text, row in zip(ids, texts, vectors, strict=True):
            self.db.execute("INSERT INTO concept VALUES (?, ?, ?)", (id, text, row.tolist()))
        for source, target in links:
            self.db.execute("INSERT INTO link VALUES (?, ?, 'next')", (source, target))
        self.db.execute("COMMIT")

    def bulk(self, ids: list[str], texts: list[str], vectors: Vectors) -> None:
        self.db.register("rows", arrow(ids, texts, vectors))
        self.db.execute("INSERT INTO concept SELECT * FROM rows")
        self.db.execute("CHECKPOINT")

    def read(self, id: str) -> str | None:
        found = self.db.execute("SELECT text FROM concept WHERE id = ?", (id,)).fetchone()
        return found[0] if found else None

    def ids(self) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT id FROM concept").fetchall()]

    def close(self) -> None:
        self.db.close()


class Ladybug(Peer):
    package = "ladybug"

    def __init__(self, path: Path) -> None:
        module = __import__(self.package)
        path.mkdir(exist_ok=True)
        self.db = module.Database(str(path / "db"))
        self.run = module.Connection(self.db).execute
        columns = f"id STRING, text STRING, vector FLOAT[{DIM}], PRIMARY KEY(id)"
        self.run(f"CREATE NODE TABLE IF NOT EXISTS Concept({columns})")
        self.run("CREATE REL TABLE IF NOT EXISTS Next(FROM Concept TO Concept)")

    def write(self, ids: list[str], texts: list[str], vectors: Vectors, links: Links) -> None:
        self.run("BEGIN TRANSACTION")
        for id, text, row in zip(ids, texts, vectors, strict=True):
            values = {"id": id, "text": text, "vector": row.tolist()}
            self.run("CREATE (:Concept {id: $id, text: $text, vector: $vector})", values)
        for source, target in links:
            match = "MATCH (a:Concept {id: $a}), (b:Concept {id: $b}) CREATE (a)-[:Next]->(b)"
            self.run(match, {"a": source, "b": target})
        self.run("COMMIT")

    def bulk(self, ids: list[str], texts: list[str], vectors: Vectors) -> None:
        self.run("COPY Concept FROM $rows", {"rows": arrow(ids, texts, vectors)})
        self.run("CHECKPOINT")

    def read(self, id: str) -> str | None:
        found = self.run("MATCH (c:Concept {id: $id}) RETURN c.text", {"id": id})
        return str(found.get_next()[0]) if found.has_next() else None

    def ids(self) -> list[str]:
        return [row[0] for row in self.run("MATCH (c:Concept) RETURN c.id")]

    def close(self) -> None:
        self.db.close()


class Kuzu(Ladybug):
    package = "kuzu"

    def ids(self) -> list[str]:
        found = self.run("MATCH (c:Concept) RETURN c.id")
        return [row[0] for row in found.get_all()]


class OverGraph(Peer):
    package = "overgraph"
    sync = "immediate"

    def __init__(self, path: Path) -> None:
        from overgraph import OverGraph as Graph

        self.graph = Graph.open(str(path), wal_sync_mode=self.sync, dense_vector_dimension=DIM)

    def write(self, ids: list[str], texts: list[str], vectors: Vectors, links: Links) -> None:
        txn = self.graph.begin_write_txn()
        made = {}
        for id, text, row in zip(ids, texts, vectors, strict=True):
            made[id] = txn.upsert_node(
                "Concept", id, props={"text": text}, dense_vector=row.tolist()
            )
        for ends in links:
            source, target = (made.get(x) or txn.get_node_by_key("Concept", x) for x in ends)
            txn.upsert_edge(reference(source), reference(target), "next")
        txn.commit()

    def bulk(self, ids: list[str], texts: list[str], vectors: Vectors) -> None:
        for at in range(0, len(ids), 2000):
            part = slice(at, at + 2000)
            rows = zip(ids[part], texts[part], vectors[part].tolist(), strict=True)
            self.graph.batch_upsert_nodes(
                [
                    {"labels": ["Concept"], "key": id, "props": {"text": t}, "dense_vector": v}
                    for id, t, v in rows
                ]
            )
        self.graph.sync()

    def read(self, id: str) -> str | None:
        node = self.graph.get_node_by_key("Concept", id)
        return None if node is None else str(node.props["text"])

    def ids(self) -> list[str]:
        nodes = self.graph.get_nodes(list(self.graph.nodes_by_labels("Concept")))
        return [node.key for node in nodes if node is not None]

    def close(self) -> None:
        self.graph.close()


def reference(node: Any) -> Any:
    """What a transaction of OverGraph calls a node that it made or found."""
    return {"id": node["id"]} if "id" in node else node


class Chroma(Peer):
    package = "chromadb"

    def __init__(self, path: Path) -> None:
        import chromadb
        from chromadb.config import Settings

        self.client = chromadb.PersistentClient(str(path), Settings(anonymized_telemetry=False))
        self.rows = self.client.get_or_create_collection("concept", embedding_function=None)

    def write(self, ids: list[str], texts: list[str], vectors: Vectors, links: Links) -> None:
        self.rows.add(ids=ids, documents=texts, embeddings=vectors)

    def bulk(self, ids: list[str], texts: list[str], vectors: Vectors) -> None:
        step = self.client.get_max_batch_size()
        for at in range(0, len(ids), step):
            part = slice(at, at + step)
            self.rows.add(ids=ids[part], documents=texts[part], embeddings=vectors[part])

    def read(self, id: str) -> str | None:
        found = self.rows.get(ids=[id])["documents"]
        return found[0] if found else None

    def ids(self) -> list[str]:
        return list(self.rows.get(include=[])["ids"])

    def close(self) -> None:
        self.client.close()


class LanceDB(Peer):
    package = "lancedb"

    def __init__(self, path: Path) -> None:
        import lancedb

        self.db = lancedb.connect(path)
        empty = arrow([], [], np.empty((0, DIM), np.float32)).schema
        self.table = self.db.create_table("concept", schema=empty, exist_ok=True)

    def write(self, ids: list[str], texts: list[str], vectors: Vectors, links: Links) -> None:
        self.table.add(arrow(ids, texts, vectors))

    def bulk(self, ids: list[str], texts: list[str], vectors: Vectors) -> None:
        self.table.add(arrow(ids, texts, vectors))
        self.table.create_scalar_index("id")

    def read(self, id: str) -> str | None:
        found = self.table.search().where(f"id = '{id}'").select(["text"]).limit(1).to_list()
        return found[0]["text"] if found else None

    def ids(self) -> list[str]:
        self.table.checkout_latest()
        return list(self.table.search().select(["id"]).limit(None).to_arrow()["id"].to_pylist())

    def close(self) -> None:
        pass


PEERS: dict[str, type[Peer]] = {
    "quillian": Quillian,
    "quillian, group": QuillianGroup,
    "SQLite": Sqlite,
    "DuckDB": DuckDB,
    "Ladybug": Ladybug,
    "Kuzu": Kuzu,
    "OverGraph": OverGraph,
    "Chroma": Chroma,
    "LanceDB": LanceDB,
}
