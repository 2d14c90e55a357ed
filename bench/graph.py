"""How fast are associations linked, opened, expanded, joined and ranked, in how many bytes?

    python bench/graph.py [--only wordnet,rmat] [--scale 16] [--queries 50] [--json FILE]

Beside igraph, networkit, rustworkx, networkx and scipy, each on the same edges in the same process.
Times are CPU times of the calling thread (medians over the queries), because they hold on a shared
machine; networkit runs with one thread.  A missing peer, or one without the call, is an empty cell.
"""

import argparse
import importlib
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
from quillian.bindings.graph import Edges, Extents, Graph, GraphView, edges_from
from quillian.bindings.paths import shortest_paths
from quillian.bindings.ranks import rank_near
from quillian.layout import LOG_HEADER_BYTES

UUID = bytes(16)
WORDNET = Path("/usr/share/wordnet")
ALPHA, EPSILON = 0.15, 1e-4
Row = dict[str, float | None]


def wordnet() -> Edges | None:
    """Synsets and their typed pointers; every weight 1."""
    if not WORDNET.exists():
        return None
    numbers: dict[tuple[str, str], int] = {}
    kinds: dict[str, int] = {}
    found: list[tuple[tuple[str, str], tuple[str, str], int]] = []
    for part, kind in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
        for line in (WORDNET / f"data.{part}").read_text("utf-8").splitlines():
            if line.startswith("  "):
                continue
            fields = line.partition("|")[0].split()
            numbers[kind, fields[0]] = len(numbers)
            at = 4 + 2 * int(fields[3], 16)
            for i in range(int(fields[at])):
                symbol, offset, target_kind = fields[at + 4 * i + 1 : at + 4 * i + 4]
                pointer = kinds.setdefault(symbol, len(kinds))
                found.append(((kind, fields[0]), (target_kind, offset), pointer))
    columns = np.array([(numbers[a], numbers[b], kind) for a, b, kind in found])
    return unique(edges_from(columns[:, 0], columns[:, 1], columns[:, 2]))


def rmat(scale: int, degree: int, seed: int) -> Edges:
    """A Kronecker graph (0.57, 0.19, 0.19, 0.05) with 3 types and weights in steps of 1/1000."""
    rng = np.random.default_rng(seed)
    count = degree << scale
    source, target = np.zeros(count, np.uint32), np.zeros(count, np.uint32)
    for bit in range(scale):
        draw = rng.random(count)
        source |= (draw >= 0.76).astype(np.uint32) << bit
        target |= (((draw >= 0.57) & (draw < 0.76)) | (draw >= 0.95)).astype(np.uint32) << bit
    weights = rng.integers(1, 1001, count) / 1000
    return unique(edges_from(source, target, rng.integers(0, 3, count), weights))


def unique(edges: Edges) -> Edges:
    """Each (source, target) once, in random order, so that all libraries hold the same graph."""
    key = edges["source"].astype(np.uint64) << np.uint64(32) | edges["target"]
    _, first = np.unique(key, return_index=True)
    return edges[np.random.default_rng(1).permutation(first)]


def cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.thread_time()
    answer = call()
    return time.thread_time() - started, answer


def best(call: Callable[[], Any], runs: int = 7) -> float:
    """The shortest CPU time of some runs: for what others on the machine can only slow down."""
    return min(cpu(call)[0] for _ in range(runs))


def median_us(call: Callable[[Any], Any], asked: list[Any]) -> float:
    call(asked[0])
    return float(np.median([cpu(lambda one=one: call(one))[0] for one in asked]) * 1e6)


def peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


class Ours:
    """quillian: the log, the extents, the view."""

    def __init__(self, edges: Edges, folder: Path) -> None:
        self.folder = folder
        self.linked: dict[str, float] = {}
        for name, size in (("batches of 10,000", 10_000), ("one batch", len(edges))):
            path = folder / f"{size}.log"
            graph = Graph(path, UUID, writable=True)

            def link(graph: Graph = graph, size: int = size) -> int:
                log_bytes = 0
                for number, at in enumerate(range(0, len(edges), size), 1):
                    graph.append(edges[at : at + size])
                    log_bytes = graph.flush(number)
                    graph.publish()
                graph.sync()
                return log_bytes

            seconds, self.log_bytes = cpu(link)
            self.linked[name] = len(edges) / seconds / 1e6
        self.linked["bulk"] = self._loaded(edges)
        self.graph = graph
        self.view = graph.view(self.log_bytes)

    def _loaded(self, edges: Edges) -> float:
        """Million edges per second past the log into extents on disk; they are read back after."""
        graph = Graph(self.folder / "load.log", UUID, writable=True)

        def load() -> Extents:
            graph.load(edges)
            return graph.extents_write(self.folder / "graph.dat")

        seconds, self.extents = cpu(load)
        return len(edges) / seconds / 1e6

    def storage(self, edges: Edges) -> Row:
        count = len(edges)
        reader = Graph(self.folder / "read.log", UUID, writable=True)
        kept = self.extents._replace(log_bytes=LOG_HEADER_BYTES)
        seconds, _ = cpu(lambda: reader.extents_read(self.folder / "graph.dat", kept))
        row: Row = {"bytes per edge": self.extents.file_bytes / count, "open, ms": seconds * 1e3}
        return row | scans(reader, edges)


def scans(graph: Graph, edges: Edges) -> Row:
    """Scans of all rows: of the base, and with a twentieth of the edges in the delta."""
    base = graph.view(LOG_HEADER_BYTES)
    seconds = best(base.scan)
    rng = np.random.default_rng(2)
    delta = edges[rng.choice(len(edges), len(edges) // 20, replace=False)].copy()
    delta["target"] = rng.permutation(delta["target"])
    graph.append(delta)
    length = graph.flush(1)
    graph.publish()
    view = graph.view(length)
    first, _ = cpu(view.scan)
    return {
        "scan, M edges/s": len(edges) / seconds / 1e6,
        "with a delta of 5 %, first / base": first / seconds,
        "with a delta of 5 %, later / base": best(view.scan) / best(base.scan),
        "table, M edges/s": len(edges) / best(base.table) / 1e6,
    }


def readers(edges: Edges, folder: Path) -> Row:
    """Two hops from random nodes, us at the 99th percentile, alone and beside commits."""
    graph = Graph(folder / "readers.log", UUID, writable=True)
    half = len(edges) // 2
    graph.append(edges[:half])
    lengths = [graph.flush(1)]
    graph.publish()
    seeds = np.random.default_rng(3).choice(np.unique(edges["source"]), 3_000).tolist()

    def p99() -> float:
        times = []
        for seed in seeds:
            started = time.thread_time()
            with graph.view(lengths[-1]) as view:
                view.expand([seed], hops=2, budget_edges=2_000)
            times.append(time.thread_time() - started)
        return float(np.percentile(times, 99) * 1e6)

    alone, stop = p99(), threading.Event()

    def write() -> None:
        for number, at in enumerate(range(half, len(edges), 100), 2):
            if stop.is_set():
                return
            graph.append(edges[at : at + 100])
            length = graph.flush(number)
            graph.sync()
            graph.publish()
            lengths.append(length)

    writer = threading.Thread(target=write)
    writer.start()
    beside = p99()
    stop.set()
    writer.join()
    commits = float(len(lengths) - 1)
    return {"readers p99 alone, us": alone, "beside a writer, us": beside, "commits": commits}


def power_iteration(view: GraphView, seed: int) -> np.ndarray:
    """Personalised ranks of the table's rows, to 1e-12, by scipy."""
    sparse = importlib.import_module("scipy.sparse")
    table = view.table()
    n = len(table.nodes)
    offsets = table.offsets.astype(np.int64)
    matrix = sparse.csr_matrix((table.weights.astype(np.float64), table.targets, offsets), (n, n))
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    restart = (table.nodes == seed).astype(np.float64)
    ranks, step = restart.copy(), 1.0
    while step > 1e-12:
        walking = np.divide(ranks, sums, out=np.zeros(n), where=sums > 0)
        dangling = ranks[sums == 0].sum()
        following = (1 - ALPHA) * (matrix.T @ walking + dangling * restart) + ALPHA * restart
        step = float(np.abs(following - ranks).sum())
        ranks = following
    return ranks


def bound_holds(view: GraphView, seed: int) -> bool:
    """Whether the errors of one ranking sum to its residual, and none is below 0."""
    true = power_iteration(view, seed)
    found = rank_near(view, [seed], alpha=ALPHA, epsilon=EPSILON)
    errors = true.copy()
    errors[np.searchsorted(view.table().nodes, found.nodes)] -= found.ranks
    return bool(errors.min() > -1e-6 and abs(errors.sum() - found.residual) < 1e-4)


def ours_row(ours: Ours, seeds: list[int], pairs: list[tuple[int, int]]) -> Row:
    view = ours.view
    return {
        "link": ours.linked["one batch"],
        "3 hops": median_us(lambda s: view.expand([s], hops=3), seeds),
        "path": median_us(lambda p: shortest_paths(view, *p), pairs),
        "10 paths": median_us(lambda p: shortest_paths(view, *p, 10), pairs[:10]),
        "ranks": median_us(lambda s: rank_near(view, [s], alpha=ALPHA, epsilon=EPSILON), seeds),
    }


def igraph_row(edges: Edges, seeds: list[int], pairs: list[tuple[int, int]]) -> Row:
    igraph = peer("igraph")
    if igraph is None:
        return {}
    ends = np.column_stack([edges["source"], edges["target"]])
    seconds, graph = cpu(lambda: igraph.Graph(edges=ends, directed=True))
    return {
        "link": len(edges) / seconds / 1e6,
        "3 hops": median_us(lambda s: graph.neighborhood(s, 3, mode="out"), seeds),
        "path": median_us(lambda p: graph.get_shortest_path(*p, mode="out"), pairs),
        "10 paths": median_us(
            lambda p: graph.get_k_shortest_paths(*p, k=10, mode="out"), pairs[:3]
        ),
        "ranks": median_us(
            lambda s: graph.personalized_pagerank(damping=1 - ALPHA, reset_vertices=[s]), seeds[:5]
        ),
    }


def networkit_row(edges: Edges, seeds: list[int], pairs: list[tuple[int, int]]) -> Row:
    networkit = peer("networkit")
    if networkit is None:
        return {}
    networkit.setNumberOfThreads(1)
    n = int(max(edges["source"].max(), edges["target"].max())) + 1
    graph = networkit.Graph(n, directed=True)
    ends = (edges["source"].astype(np.uint64), edges["target"].astype(np.uint64))
    seconds, _ = cpu(lambda: graph.addEdges(ends))
    bfs = networkit.distance.BidirectionalBFS
    return {
        "link": len(edges) / seconds / 1e6,
        "path": median_us(lambda p: bfs(graph, *p).run(), pairs),
    }


def rustworkx_row(edges: Edges, seeds: list[int], pairs: list[tuple[int, int]]) -> Row:
    rustworkx = peer("rustworkx")
    if rustworkx is None:
        return {}
    graph = rustworkx.PyDiGraph()
    graph.add_nodes_from(range(int(max(edges["source"].max(), edges["target"].max())) + 1))
    ends = list(zip(edges["source"].tolist(), edges["target"].tolist(), strict=True))
    seconds, _ = cpu(lambda: graph.add_edges_from_no_data(ends))
    path = rustworkx.dijkstra_shortest_paths
    return {
        "link": len(edges) / seconds / 1e6,
        "path": median_us(lambda p: path(graph, p[0], target=p[1], default_weight=1.0), pairs[:10]),
        "ranks": median_us(
            lambda s: rustworkx.pagerank(graph, alpha=1 - ALPHA, personalization={s: 1.0}),
            seeds[:3],
        ),
    }


def networkx_row(edges: Edges, seeds: list[int], pairs: list[tuple[int, int]]) -> Row:
    networkx = peer("networkx")
    if networkx is None:
        return {}
    graph = networkx.DiGraph()
    ends = list(zip(edges["source"].tolist(), edges["target"].tolist(), strict=True))
    seconds, _ = cpu(lambda: graph.add_edges_from(ends))
    reach = networkx.single_source_shortest_path_length

    def path(pair: tuple[int, int]) -> None:
        if all(node in graph for node in pair) and networkx.has_path(graph, *pair):
            networkx.bidirectional_shortest_path(graph, *pair)

    return {
        "link": len(edges) / seconds / 1e6,
        "3 hops": median_us(lambda s: reach(graph, s, cutoff=3), seeds),
        "path": median_us(path, pairs),
        "ranks": median_us(
            lambda s: networkx.pagerank(graph, 1 - ALPHA, personalization={s: 1}), seeds[:2]
        ),
    }


def scipy_row(edges: Edges, seeds: list[int], pairs: list[tuple[int, int]]) -> Row:
    sparse, csgraph = peer("scipy.sparse"), peer("scipy.sparse.csgraph")
    if sparse is None:
        return {}
    n = int(max(edges["source"].max(), edges["target"].max())) + 1
    ones = np.ones(len(edges))
    ends = (edges["source"], edges["target"])
    seconds, graph = cpu(lambda: sparse.coo_matrix((ones, ends), (n, n)).tocsr())
    return {
        "link": len(edges) / seconds / 1e6,
        "path": median_us(lambda p: csgraph.breadth_first_order(graph, p[0]), pairs[:10]),
    }


ROWS = {
    "igraph": igraph_row,
    "networkit": networkit_row,
    "rustworkx": rustworkx_row,
    "networkx": networkx_row,
    "scipy": scipy_row,
}
COLUMNS = {"link": "M/s", "3 hops": "us", "path": "us", "10 paths": "us", "ranks": "us"}


def measured(name: str, edges: Edges, queries: int) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    seeds = rng.choice(np.unique(edges["source"]), queries).tolist()
    ends = rng.choice(np.unique(np.concatenate([edges["source"], edges["target"]])), (queries, 2))
    pairs = [(int(a), int(b)) for a, b in ends]
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(edges, Path(folder))
        rows: dict[str, Row] = {"quillian": ours_row(ours, seeds, pairs)}
        facts: Row = {f"link in {k}, M/s": v for k, v in ours.linked.items()}
        facts |= ours.storage(edges) | readers(edges, Path(folder))
        if peer("scipy.sparse"):
            facts["rank bound holds"] = float(all(bound_holds(ours.view, s) for s in seeds[:3]))
    rows |= {peer_name: row(edges, seeds, pairs) for peer_name, row in ROWS.items()}
    return {"graph": name, "edges": len(edges), "facts": facts, "rows": rows}


def shown(result: dict[str, Any]) -> str:
    lines = [f"\n{result['graph']}: {result['edges']:,} edges"]
    lines += [f"  {key}: {value:.2f}" for key, value in result["facts"].items()]
    lines.append("| | " + " | ".join(f"{k}, {unit}" for k, unit in COLUMNS.items()) + " |")
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for name, row in result["rows"].items():
        cells = [f"{row[k]:,.1f}" if row.get(k) is not None else "" for k in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="wordnet,rmat")
    parser.add_argument("--scale", type=int, default=16, help="of the R-MAT graph: 2^scale nodes")
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts = machine.facts("numpy", *ROWS)
    print(facts, flush=True)
    results = []
    for name in options.only.split(","):
        edges = wordnet() if name == "wordnet" else rmat(options.scale, 16, 1)
        if edges is None:
            print(f"\n{name}: not installed")
            continue
        results.append(measured(name, edges, options.queries))
        print(shown(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"facts": facts, "results": results}, indent=1))


if __name__ == "__main__":
    main()
