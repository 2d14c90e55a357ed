"""Are the cuts exact, how fast are they beside other libraries, and how do they grow?

    python bench/cuts.py --fuzz 20000          # beside igraph and networkx; exits 1 if any differs
    python bench/cuts.py --peers [--kg FOLDER] # a row per graph, ms; a peer over --limit: ">..."
    python bench/cuts.py --slopes FAMILY       # dynamic updates: ba, rmat, ring, sbm or grid
    python bench/cuts.py --updates             # dynamic updates on real cores, in one call
    python bench/cuts.py --pairs               # s-t cuts of random pairs and of hubs

Slopes are empirical: fitted to each statistic separately, with family, range and bootstrap interval
in the same row; none is a claim about O().  Times are processor time of one thread, because other
programs share the machine; arcs looked at are printed beside them: they do not depend on it at all.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import machine
import networks
import numpy as np
from cut_fuzz import edges_of, fuzz
from quillian.bindings.csr import Csr
from quillian.bindings.cut import global_cut
from quillian.bindings.dynamic_cut import DynamicCut
from quillian.bindings.flow import Flow

SIZES = tuple(2**k for k in range(10, 21))
SMALL = 2**14  # Up to this size every seed, above it the first two.
UPDATES = 10_000


# Peers.


def timed(run: Callable[[], Any], repeats: int = 5) -> tuple[float, Any]:
    """Median milliseconds, and the last answer."""
    times, answer = [], None
    for _ in range(repeats):
        start = time.process_time()
        answer = run()
        times.append(time.process_time() - start)
    return float(np.median(times)) * 1e3, answer


def viecut(graph: Csr) -> tuple[float, float]:
    from chszlablib import Decomposition, Graph

    arrays = (graph.offsets.astype(np.int64), graph.targets.astype(np.int32))
    peer = Graph.from_csr(*arrays)
    ms, found = timed(lambda: Decomposition.mincut(peer, "exact", threads=1), 3)
    return ms, float(found.cut_value)


def igraph_cut(graph: Csr) -> tuple[float, float]:
    import igraph

    peer = igraph.Graph(graph.n, edges_of(graph)[0])
    ms, found = timed(lambda: peer.mincut(), 1)
    return ms, float(found.value)


def rustworkx_cut(graph: Csr) -> tuple[float, float]:
    import rustworkx

    peer = rustworkx.PyGraph()
    peer.add_nodes_from(range(graph.n))
    peer.add_edges_from_no_data(edges_of(graph)[0])
    ms, found = timed(lambda: rustworkx.stoer_wagner_min_cut(peer), 1)
    return ms, float(found[0])


PEERS = {"VieCut": viecut, "igraph": igraph_cut, "rustworkx": rustworkx_cut}


def limited(
    run: Callable[[Csr], tuple[float, float]], graph: Csr, limit_s: float
) -> tuple[str, float | None]:
    """A peer's milliseconds as text and its value, in a process that is ended at the limit."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=lambda: theirs.send(run(graph)))
    process.start()
    if ours.poll(limit_s):
        ms, value = ours.recv()
        process.join()
        return f"{ms:,.1f}", value
    process.kill()
    process.join()
    return f">{limit_s * 1e3:,.0f}", None


def real_graphs(folder: Path | None) -> dict[str, Csr]:
    """WordNet, Debian and the knowledge graphs of a folder, with their cores."""
    sources = {"WordNet": networks.wordnet(), "Debian": networks.debian()}
    if folder is not None:
        for path in sorted(folder.glob("*/train.txt")):
            sources[path.parent.name] = networks.triples(path)
    found = {}
    for name, graph in sources.items():
        if graph is not None:
            found[name] = networks.largest_component(graph)
            for k in (3, 10):
                inner = networks.core(graph, k)
                if inner.n > 100:
                    found[f"{name} k{k}"] = inner
    return found


def generated() -> dict[str, Csr]:
    return {
        "R-MAT 2^16 deg 16 k3": networks.core(networks.rmat(16, 16, 0), 3),
        "ring of 1024": networks.ring_of_communities(1024, 64, 14, 0),
        "ring of 4096": networks.ring_of_communities(4096, 64, 14, 0),
        "SBM 300k": networks.block_model(300_000, 300, 19, 0.05, 0),
        "BA 400k m=8": networks.barabasi_albert(400_000, 8, 0),
        "grid 512x512": networks.grid(512, 512),
    }


def peers(folder: Path | None, limit_s: float) -> int:
    bad = 0
    print(f"| graph | n | m | value | side | rounds | quillian ms | {' | '.join(PEERS)} |")
    print("|" + "---|" * (7 + len(PEERS)))
    for name, graph in (real_graphs(folder) | generated()).items():
        ms, found = timed(lambda graph=graph: global_cut(graph))
        row = [name, graph.n, graph.arcs // 2, found.value, int(found.side.sum()), found.rounds]
        cells = [f"{ms:.2f}"]
        for run in PEERS.values():
            text, value = limited(run, graph, limit_s)
            wrong = value is not None and value != found.value
            bad += wrong
            cells.append(f"{text} (says {value:.0f})" if wrong else text)
        print("| " + " | ".join(map(str, row)) + " | " + " | ".join(cells) + " |", flush=True)
    return bad


# Pairs.


def pairs(folder: Path | None) -> None:
    print("| graph | pairs p50 us | p99 us | arcs p50 | arcs p99 | three hub pairs ms | flows |")
    print("|" + "---|" * 7)
    for name, graph in real_graphs(folder).items():
        flow, rng = Flow(graph), np.random.default_rng(0)
        times, arcs = [], []
        for _ in range(2000):
            s, t = rng.choice(graph.n, 2, replace=False)
            start = time.process_time()
            found = flow.cut(s, t)
            times.append((time.process_time() - start) * 1e6)
            arcs.append(found.edges)
        hubs = np.argsort(-np.diff(graph.offsets).astype(int))[:4]
        rows = [timed(partial(flow.cut, hubs[i], hubs[i + 1]), 3) for i in range(3)]
        p = np.percentile
        cells = [f"{p(times, 50):.0f}", f"{p(times, 99):.0f}", f"{p(arcs, 50):.0f}"]
        cells += [f"{p(arcs, 99):.0f}", ", ".join(f"{ms:.0f}" for ms, _ in rows)]
        cells.append(", ".join(str(found.value) for _, found in rows))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


# Growth of dynamic updates.

FAMILIES: dict[str, Callable[[int, int], Csr]] = {
    "ba": lambda n, seed: networks.barabasi_albert(n, 8, seed),
    "rmat": lambda n, seed: networks.core(networks.rmat(n.bit_length() - 1, 16, seed), 3),
    "ring": lambda n, seed: networks.ring_of_communities(n // 64, 64, 14, seed),
    "sbm": lambda n, seed: networks.block_model(n, max(2, n // 1000), 19, 0.05, seed),
    "grid": lambda n, seed: networks.grid(int(n**0.5), int(n**0.5)),
}

Updates = tuple[np.ndarray, np.ndarray, np.ndarray]


def random_mix(graph: Csr, rng: np.random.Generator) -> Updates:
    """Half deletions of random edges, half insertions between random vertices."""
    u, v = networks.ends_of(graph)
    count = min(UPDATES, 2 * len(u))
    gone = rng.choice(len(u), count // 2, replace=False)
    s, t, w = inserts(graph, rng, count)
    s[0::2], t[0::2], w[0::2] = u[gone], v[gone], 0
    return s, t, w


def inserts(graph: Csr, rng: np.random.Generator, count: int = UPDATES) -> Updates:
    """Insertions between random vertices, which raise the minimum now and then."""
    s, t = rng.integers(0, graph.n, count), rng.integers(1, graph.n, count)
    return s, (s + t) % graph.n, np.ones(count, np.int64)


def sliding_window(graph: Csr, rng: np.random.Generator) -> Updates:
    """Delete the oldest edge, insert a random one; the window is a tenth of the edges."""
    u, v = networks.ends_of(graph)
    window = rng.permutation(len(u))[: max(1, len(u) // 10)]
    new = inserts(graph, rng, UPDATES // 2)
    s, t, w = np.empty((3, UPDATES), np.int64)
    s[1::2], t[1::2], w[1::2] = new
    s[0::2] = np.concatenate([u[window], new[0]])[: UPDATES // 2]
    t[0::2] = np.concatenate([v[window], new[1]])[: UPDATES // 2]
    w[0::2] = 0
    return s, t, w


def toggled(graph: Csr, rng: np.random.Generator, chosen: np.ndarray) -> Updates:
    """Delete and reinsert edges of a pool."""
    u, v = networks.ends_of(graph)
    picks = np.repeat(chosen[rng.integers(0, len(chosen), UPDATES // 2)], 2)
    return u[picks], v[picks], np.arange(UPDATES) % 2


def light_ends(graph: Csr, rng: np.random.Generator) -> Updates:
    """Delete and reinsert at the vertices of lowest degree."""
    u, v = networks.ends_of(graph)
    degrees = np.diff(graph.offsets).astype(int)
    return toggled(graph, rng, np.argsort(np.minimum(degrees[u], degrees[v]))[:1000])


def minimum_cut_edges(graph: Csr, rng: np.random.Generator) -> Updates:
    """Adversarial: delete and reinsert edges of a minimum cut."""
    u, v = networks.ends_of(graph)
    side = global_cut(graph).side
    return toggled(graph, rng, np.flatnonzero(side[u] != side[v]))


def pair_of_cut_edges(graph: Csr, rng: np.random.Generator) -> Updates:
    """Adversarial: delete two edges of a minimum cut, reinsert them in the other order."""
    u, v = networks.ends_of(graph)
    side = global_cut(graph).side
    chosen = np.flatnonzero(side[u] != side[v])[:2]
    picks = np.tile(chosen[[0, -1, 0, -1]], UPDATES // 4)
    return u[picks], v[picks], np.tile([0, 0, 1, 1], UPDATES // 4)


WORKLOADS = {
    "random mix": random_mix,
    "sliding window": sliding_window,
    "inserts": inserts,
    "light ends": light_ends,
    "cut edges": minimum_cut_edges,
    "two cut edges": pair_of_cut_edges,
}


def measure(graph: Csr, updates: Updates) -> dict[str, float]:
    """Microseconds per update by quantile, arcs per update, and how often the static cut ran."""
    dynamic = DynamicCut(graph)
    s, t, w = (np.ascontiguousarray(x, np.uint32) for x in updates)
    times = np.empty(len(s))
    overhead = min(_call_cost(dynamic) for _ in range(200))
    for i in range(len(s)):
        start = time.process_time()
        dynamic.update(s[i], t[i], w[i])
        times[i] = time.process_time() - start
    times = np.maximum(times - overhead, 1e-8) * 1e6
    static_ms, _ = timed(lambda: global_cut(graph), 3)
    stats = dynamic.stats
    return {
        "mean": float(times.mean()),
        "p50": float(np.median(times)),
        "p99": float(np.percentile(times, 99)),
        "max": float(times.max()),
        "arcs": stats.edges / len(s),
        "static ms": static_ms,
        "recomputes": stats.recomputes,
        "changes": stats.changes,
    }


def _call_cost(dynamic: DynamicCut) -> float:
    """What a call that changes nothing takes: removing an edge that is not there."""
    nothing = np.empty(0, np.uint32)
    start = time.process_time()
    dynamic.update(nothing, nothing, nothing)
    return time.process_time() - start


def updates(folder: Path | None) -> None:
    """Mean microseconds per update inside one call, beside the static cut."""
    print("| graph | updates | us | arcs per update | flows | recomputes | changes | static / us |")
    print("|" + "---|" * 8)
    for name, graph in real_graphs(folder).items():
        for workload, make in WORKLOADS.items():
            if workload == "two cut edges" or graph.arcs // 2 < UPDATES:
                continue
            columns = make(graph, np.random.default_rng(0))
            dynamic = DynamicCut(graph)
            mean, _ = timed(partial(dynamic.update, *columns), 1)
            mean *= 1e3 / UPDATES
            static_ms, _ = timed(partial(global_cut, graph), 3)
            stats = dynamic.stats
            cells = [f"{mean:.2f}", f"{stats.edges / UPDATES:.0f}", stats.flows, stats.recomputes]
            cells += [stats.changes, f"{static_ms * 1e3 / mean:,.0f}"]
            print(f"| {name} | {workload} | {' | '.join(map(str, cells))} |", flush=True)


def residual(sizes: np.ndarray, values: np.ndarray) -> float:
    """How far the points lie from their line: root mean square of the log2."""
    x, y = np.log2(sizes), np.log2(np.maximum(values, 1e-3))
    return float(np.sqrt(np.mean((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2)))


def slope(sizes: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Least squares of log value on log size, with a 95 % bootstrap interval over the points."""
    x, y = np.log(sizes), np.log(np.maximum(values, 1e-3))
    rng = np.random.default_rng(0)
    fits = []
    for _ in range(2000):
        picked = rng.integers(0, len(x), len(x))
        if len(np.unique(x[picked])) > 1:
            fits.append(np.polyfit(x[picked], y[picked], 1)[0])
    low, high = np.percentile(fits, [2.5, 97.5])
    return float(np.polyfit(x, y, 1)[0]), float(low), float(high)


def slopes(family: str, seeds: int, sizes: tuple[int, ...]) -> None:
    names = ["mean", "p50", "p99", "max", "arcs", "static ms", "recomputes", "changes"]
    for workload, make in WORKLOADS.items():
        print(f"\n{family}, {workload}, {UPDATES} updates, {seeds} seeds, us per update")
        print("| n | m | " + " | ".join(names) + " |\n|" + "---|" * (2 + len(names)))
        points: list[tuple[int, dict[str, float]]] = []
        for n in sizes:
            rows = []
            for seed in range(seeds if n <= SMALL else min(seeds, 2)):
                graph = FAMILIES[family](n, seed)
                rows.append(measure(graph, make(graph, np.random.default_rng(seed))))
            points += [(n, row) for row in rows]
            cells = [f"{np.mean([row[name] for row in rows]):.2f}" for name in names]
            print(f"| {graph.n} | {graph.arcs // 2} | {' | '.join(cells)} |", flush=True)
        at = np.array([n for n, _ in points])
        for name in ("mean", "p50", "p99", "max", "arcs"):
            values = np.array([row[name] for _, row in points])
            fit, low, high = slope(at, values)
            last = at >= sorted(set(at.tolist()))[-3:][0]
            local = slope(at[last], values[last])[0] if len(set(at[last])) > 1 else float("nan")
            print(
                f"empirical slope of {name}: {fit:.2f} [{low:.2f}, {high:.2f}] over "
                f"n = {at.min()}..{at.max()}; last three sizes {local:.2f}, "
                f"residual {residual(at, values):.2f} doublings"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz", type=int, default=0)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--updates", action="store_true")
    parser.add_argument("--slopes", choices=sorted(FAMILIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--smallest", type=int, default=2**12)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a peer may take")
    parser.add_argument("--kg", type=Path)
    options = parser.parse_args()
    print(machine.line("numpy", "igraph", "networkx", "rustworkx", "chszlablib"))
    bad = fuzz(options.fuzz) if options.fuzz else 0
    if options.peers:
        bad += peers(options.kg, options.limit)
    if options.pairs:
        pairs(options.kg)
    if options.updates:
        updates(options.kg)
    if options.slopes:
        sizes = tuple(n for n in SIZES if options.smallest <= n <= options.largest)
        slopes(options.slopes, options.seeds, sizes)
    sys.exit(bad > 0)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
