"""How do embedded databases do what graph.py asks: links, 3 hops, one path, bytes per edge?

    python bench/graph_databases.py                  # ladybug and duckdb beside quillian
    python bench/graph_databases.py --only rmat --peers duckdb

Graphs, seeds and pairs are those of graph.py.  Links: CPU time from columns (ours, DuckDB) or from
a CSV file written before (Ladybug, Kuzu: COPY, their fastest way in) to a file on disk.  Databases
may work in threads of their own, so all times here are of the whole process; one thread each is
asked for.  3 hops count distinct nodes: Ladybug and Kuzu enumerate walks, DuckDB joins recursively.
A peer has LIMIT_S seconds for each graph; what it did not come to is an empty cell.
Ladybug and Kuzu do not load into one process: ask for Kuzu with --peers.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
from graph import Edges, Ours, Row, peer, rmat, wordnet
from quillian.bindings.paths import shortest_paths

LIMIT_S = 30.0
COLUMNS = {"link": "M/s", "3 hops": "us", "path": "us", "bytes": "per edge"}


def took(call: Callable[[], Any]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def median_us(call: Callable[[Any], Any], asked: list[Any], until: float) -> float | None:
    """The median of what fits before `until`, after one call to warm up; None if none did."""
    times = []
    for one in [asked[0], *asked]:
        if time.monotonic() > until:
            break
        try:
            times.append(took(lambda one=one: call(one)))
        except RuntimeError as error:  # Ladybug and Kuzu say so when a query took too long.
            if "nterrupt" not in str(error):
                raise
            break
    return float(np.median(times[1:]) * 1e6) if len(times) > 1 else None


def ours_row(edges: Edges, seeds: list[int], pairs: list[tuple[int, int]], folder: Path) -> Row:
    ours, until = Ours(edges, folder), time.monotonic() + LIMIT_S
    return {
        "link": ours.linked["one batch"],
        "3 hops": median_us(lambda s: ours.view.expand([s], hops=3), seeds, until),
        "path": median_us(lambda p: shortest_paths(ours.view, *p), pairs, until),
        "bytes": ours.extents.file_bytes / len(edges),
    }


def cypher_row(name: str) -> Callable[..., Row]:
    """Ladybug and Kuzu, which share an interface."""

    def row(edges: Edges, seeds: list[int], pairs: list[tuple[int, int]], folder: Path) -> Row:
        library = peer(name)
        if library is None:
            return {}
        nodes = np.unique(np.concatenate([edges["source"], edges["target"]]))
        np.savetxt(folder / "nodes.csv", nodes, fmt="%d")
        columns = [edges[field] for field in ("source", "target", "type", "weight")]
        np.savetxt(folder / "edges.csv", np.column_stack(columns), "%d,%d,%d,%.3f")
        path = folder / f"{name}.db"
        connection = library.Connection(library.Database(str(path), max_num_threads=1), 1)
        connection.set_query_timeout(int(LIMIT_S * 500))
        run = connection.execute
        run("CREATE NODE TABLE node(id INT64, PRIMARY KEY(id))")
        run("CREATE REL TABLE edge(FROM node TO node, type INT16, weight FLOAT)")
        run(f"COPY node FROM '{folder / 'nodes.csv'}'")
        until = time.monotonic() + LIMIT_S
        linked = took(lambda: (run(f"COPY edge FROM '{folder / 'edges.csv'}'"), run("CHECKPOINT")))
        hops = "MATCH (a:node {id: %d})-[:edge*1..3]->(b:node) RETURN count(DISTINCT b.id)"
        ends = "(a:node {id: %d})-[:edge* SHORTEST 1..30]->(b:node {id: %d})"
        return {
            "link": len(edges) / linked / 1e6,
            "path": median_us(
                lambda p: run(f"MATCH p = {ends % p} RETURN length(p)").has_next(), pairs, until
            ),
            "bytes": path.stat().st_size / len(edges),
            "3 hops": median_us(lambda s: run(hops % s).get_next(), seeds, until),
        }

    return row


def duckdb_row(edges: Edges, seeds: list[int], pairs: list[tuple[int, int]], folder: Path) -> Row:
    """Tables by source: recursive joins for hops; it has no path search of its own offline."""
    duckdb = peer("duckdb")
    if duckdb is None:
        return {}
    until, path = time.monotonic() + LIMIT_S, folder / "duck.db"
    base = duckdb.connect(str(path), config={"threads": 1})
    base.register("given", {field: edges[field].copy() for field in edges.dtype.names or ()})
    kept = "SELECT source, target, type, weight FROM given"

    def link() -> None:
        base.execute(f"CREATE TABLE edge AS {kept} ORDER BY source, type, target")
        base.execute("CHECKPOINT")

    linked = took(link)
    hops = """WITH RECURSIVE near(node, hop) AS (SELECT ?::UINTEGER, 0 UNION
        SELECT edge.target, hop + 1 FROM near JOIN edge ON edge.source = near.node WHERE hop < 3)
        SELECT count(DISTINCT node) FROM near"""
    return {
        "link": len(edges) / linked / 1e6,
        "3 hops": median_us(lambda s: base.execute(hops, [s]).fetchall(), seeds, until),
        "bytes": path.stat().st_size / len(edges),
    }


PEERS = {
    "quillian": ours_row,
    "ladybug": cypher_row("ladybug"),
    "kuzu": cypher_row("kuzu"),
    "duckdb": duckdb_row,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="wordnet,rmat")
    parser.add_argument("--peers", default="quillian,ladybug,duckdb")
    parser.add_argument("--scale", type=int, default=15, help="of the R-MAT graph: 2^scale nodes")
    parser.add_argument("--queries", type=int, default=20)
    options = parser.parse_args()
    print(machine.facts("numpy", *options.peers.split(",")), flush=True)
    for name in options.only.split(","):
        edges = wordnet() if name == "wordnet" else rmat(options.scale, 16, 1)
        if edges is None:
            print(f"\n{name}: not installed")
            continue
        rng = np.random.default_rng(7)
        seeds = rng.choice(np.unique(edges["source"]), options.queries).tolist()
        both = np.unique(np.concatenate([edges["source"], edges["target"]]))
        pairs = [(int(a), int(b)) for a, b in rng.choice(both, (options.queries, 2))]
        print(f"\n| {name}, {len(edges):,} edges | " + " | ".join(map(" ".join, COLUMNS.items())))
        for one in options.peers.split(","):
            with tempfile.TemporaryDirectory() as folder:
                row = PEERS[one](edges, seeds, pairs, Path(folder))
            cells = [f"{row[k]:,.1f}" if row.get(k) is not None else "" for k in COLUMNS]
            print(f"| {one} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
