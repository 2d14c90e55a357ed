"""How many searches per second at recall 0.90, 0.95 and 0.99, beside every peer that is installed?

    python bench/vectors.py build  DATA CACHE PEER...   # each in a process of its own
    python bench/vectors.py open   DATA CACHE PEER...   # seconds, resident bytes, first query
    python bench/vectors.py search DATA CACHE PEER...   # in turns within one process
    python bench/vectors.py table  DATA CACHE           # everything measured so far

DATA holds `vectors.f16.npy` (n, d), real embeddings, and may hold `queries.f16.npy`; without it the
last rows of a seeded shuffle are the queries and are not indexed. CACHE keeps the built indexes and
the results, so that a run goes on where the last one ended. PEERs are the names in
`vector_peers.py`; a peer that is not installed or crashes is a row with the reason.

One thread, one query per Python call, k = 10, cosine. Recall counts an answer whose exact score
reaches the k-th best one, so that equal rows count; recall by id is beside it. Queries per second
are per second of processor time (other programs share the machine), the median of the passes,
interpolated in the sweep of widths. What `search` is given is asked in turns, width by width, and
the ratio is to the first of them in the same run.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
from vector_peers import PEERS, SEED, K, Peer

RECALLS = (0.90, 0.95, 0.99)
WIDTHS = (10, 12, 15, 20, 28, 40, 56, 80, 112, 160, 240, 360, 540, 800, 1200)
RECALL_ENOUGH = 0.995
WARM_QUERIES = 20
BUILD_TIMEOUT_S = 3600

Point = dict[str, float]


def loaded(folder: Path, count: int, queries: int) -> tuple[Any, Any]:
    """Unit rows to index and held-out queries, float32."""
    stored = np.load(folder / "vectors.f16.npy", mmap_mode="r")
    if (folder / "queries.f16.npy").is_file():
        rows = np.asarray(stored[:count], np.float32)
        asked = np.load(folder / "queries.f16.npy")[:queries].astype(np.float32)
    else:
        order = np.random.default_rng(SEED).permutation(len(stored))
        rows = np.asarray(stored[order[: min(count, len(stored) - queries)]], np.float32)
        asked = np.asarray(stored[order[-queries:]], np.float32)
    for block in (rows, asked):
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return rows, asked


def truth(rows: Any, queries: Any, cache: Path) -> tuple[Any, Any]:
    """The k-th best exact score (q,) and the k best rows (q, k) of every query, by brute force."""
    path = cache / "truth.npz"
    if not path.is_file():
        kth, best = np.empty(len(queries), np.float32), np.empty((len(queries), K), np.int64)
        for start in range(0, len(queries), 50):
            scores = queries[start : start + 50] @ rows.T
            best[start : start + 50] = np.argpartition(scores, -K, axis=1)[:, -K:]
            kth[start : start + 50] = np.partition(scores, -K, axis=1)[:, -K]
        np.savez(path, kth=kth, best=best, shape=(len(queries), len(rows)))
    found = np.load(path)
    if found["shape"].tolist() != [len(queries), len(rows)]:
        raise SystemExit(f"{path} is of other rows or queries: remove it, or use another CACHE")
    return found["kth"], found["best"]


def recalls(
    rows: Any, queries: Any, right: tuple[Any, Any], found: list[Any]
) -> tuple[float, float]:
    """Shares of the k best found: by score (ties count) and by id."""
    by_score = by_id = 0
    for query, least, best, ids in zip(queries, *right, found, strict=True):
        answers = np.asarray(ids, dtype=np.int64)  # Some fill up with numbers of no row.
        answers = answers[(answers >= 0) & (answers < len(rows))]
        by_score += int((rows[answers] @ query >= least - 1e-6).sum())
        by_id += len(np.intersect1d(answers, best))
    return by_score / (K * len(queries)), by_id / (K * len(queries))


def resident_bytes() -> int:
    """Bytes of this process in memory, mapped files included."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def disk_bytes(folder: Path) -> int:
    """Bytes that the files below a folder occupy, those it links to included."""
    places = [folder, *(place.resolve() for place in folder.iterdir() if place.is_symlink())]
    files = [f for place in places for f in place.rglob("*") if f.is_file()]
    return sum(f.stat().st_blocks * 512 for f in files)


def cpu_s() -> float:
    """Processor seconds of this process, all threads."""
    return time.process_time()


# The three measurements.


def build(name: str, options: Any) -> dict[str, Any]:
    """Build a peer into the cache."""
    folder = options.cache / name
    if (folder / "done").exists():
        return {}
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir(parents=True)
    rows, _ = loaded(options.data, options.rows, options.queries)
    cpu, wall = cpu_s(), time.perf_counter()
    phases = PEERS[name]().build(rows, folder, options.threads)
    wall, cpu = time.perf_counter() - wall, cpu_s() - cpu
    (folder / "done").touch()
    return {
        "build_wall_s": wall, "build_cpu_s": cpu, "threads": options.threads, **phases,
        "build_load": os.getloadavg()[0], "rows": len(rows),
    }  # fmt: skip


def open_(name: str, options: Any) -> dict[str, Any]:
    """Open a peer, then ask for the first time, then for all queries."""
    rows, queries = loaded(options.data, WARM_QUERIES, options.queries)
    peer = PEERS[name]()
    imported(peer)
    before, wall, cpu = resident_bytes(), time.perf_counter(), cpu_s()
    peer.open(options.cache / name, rows.shape[1])
    opened, cpu = time.perf_counter(), cpu_s() - cpu
    grown = resident_bytes() - before
    peer.search(queries[0], 64)
    first = time.perf_counter() - opened
    for query in queries:
        peer.search(query, 64)
    return {
        "open_wall_s": opened - wall, "open_cpu_s": cpu, "open_bytes": grown,
        "first_query_s": first, "asked_bytes": resident_bytes() - before,
        "disk_bytes": disk_bytes(options.cache / name),
    }  # fmt: skip


def imported(peer: Peer) -> None:
    """Import the package of a peer, so that its code is not counted as its index."""
    modules = {"faiss-cpu": "faiss", "scalable-vs": "svs"}
    module = importlib.import_module(modules.get(peer.package, peer.package))
    getattr(module, "open", None)  # Ours imports its parts when they are asked for.


def search(names: list[str], options: Any) -> dict[str, list[Point]]:
    """The sweeps of several peers, asked in turns."""
    rows, queries = loaded(options.data, options.rows, options.queries)
    right = truth(rows, queries, options.cache)
    deadline = time.monotonic() + options.seconds
    peers: dict[str, Peer] = {}
    for name in names:
        peers[name] = PEERS[name]()
        peers[name].open(options.cache / name, rows.shape[1])
    points = {name: first_pass(peer, rows, queries, right) for name, peer in peers.items()}
    times: dict[tuple[str, int], list[float]] = {}
    passes = 0
    while passes < options.passes and (passes < 1 or time.monotonic() < deadline):
        for width in WIDTHS:
            for name, peer in peers.items():
                if any(point["ef"] == width for point in points[name]):
                    times.setdefault((name, width), []).append(timed(peer, queries, width))
        passes += 1
    for name, swept in points.items():
        for point in swept:
            seconds = times[name, int(point["ef"])]
            point["qps"] = len(queries) / statistics.median(seconds)
            point["spread"] = (max(seconds) - min(seconds)) / statistics.median(seconds)
            point["passes"] = len(seconds)
    for name, peer in peers.items():
        add_batches(peer, queries, points[name])
    return points


def first_pass(peer: Peer, rows: Any, queries: Any, right: tuple[Any, Any]) -> list[Point]:
    """Recall and counters for each width of use, before anything is timed."""
    points = []
    for width in WIDTHS[:1] if peer.exact else WIDTHS:
        found, totals = [], dict[str, float]()
        for query in queries:
            found.append(peer.search(query, width))
            for key, value in peer.facts().items():
                totals[key] = totals.get(key, 0) + value / len(queries)
        by_score, by_id = recalls(rows, queries, right, found)
        points.append({"ef": float(width), "recall": by_score, "recall_by_id": by_id, **totals})
        if by_score > RECALL_ENOUGH:
            break
    return points


def timed(peer: Peer, queries: Any, width: int) -> float:
    """Processor seconds of asking all queries, one per call."""
    start = cpu_s()
    for query in queries:
        peer.search(query, width)
    return cpu_s() - start


def add_batches(peer: Peer, queries: Any, points: list[Point]) -> None:
    """Queries per second of one call with all queries, at the first width of recall 0.95."""
    point = next((x for x in points if x["recall"] >= 0.95), None)
    if point is None or peer.batch(queries[:2], int(point["ef"])) is None:
        return
    times = []
    for _ in range(3):
        start = cpu_s()
        peer.batch(queries, int(point["ef"]))
        times.append(cpu_s() - start)
    point["batch_gain"] = len(queries) / statistics.median(times) / point["qps"]


# The record and the table.


def noted(name: str, options: Any, facts: dict[str, Any]) -> None:
    """Add facts to what is known of a peer."""
    path = options.cache / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.is_file() else {}
    known |= {"version": version(name), **facts}
    path.write_text(json.dumps(known, indent=1))


def version(name: str) -> str:
    try:
        return importlib.metadata.version(PEERS[name]().package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def at_recall(points: list[Point], recall: float, what: str) -> float | None:
    """The value at a recall, linear between the two points around it."""
    for low, high in zip([None, *points], points, strict=False):
        if high["recall"] < recall or what not in high:
            continue
        if low is None or high["recall"] == low["recall"]:
            return high[what]
        part = (recall - low["recall"]) / (high["recall"] - low["recall"])
        return low[what] + part * (high[what] - low[what])
    return None


def shown(value: float | None, form: str = ",.0f") -> str:
    return "-" if value is None else format(value, form)


def searches(results: dict[str, dict[str, Any]]) -> list[str]:
    """The table of searches."""
    head = "index | q/s @0.90 | @0.95 | @0.99 | x the base @0.90 / 0.95 / 0.99 | recall by id @0.95"
    lines = [f"| {head} | batch | rows scored, hops @0.95 |", "|---|---|---|---|---|---|---|---|"]
    for name, known in results.items():
        points, base = known.get("points"), known.get("base")
        if not points:
            lines.append(f"| {name} | {known.get('failure', 'not measured')} |||||||")
            continue
        qps = [at_recall(points, recall, "qps") for recall in RECALLS]
        least = [at_recall(base, recall, "qps") for recall in RECALLS] if base else [None] * 3
        ratios = [a / b if a and b else None for a, b in zip(qps, least, strict=True)]
        counters = [at_recall(points, 0.95, what) for what in ("distances", "hops")]
        gain = next((x["batch_gain"] for x in points if "batch_gain" in x), None)
        cells = [f"{name} {known['version']}", *map(shown, qps)]
        cells.append(" / ".join(shown(x, ".2f") for x in ratios))
        cells.append(shown(at_recall(points, 0.95, "recall_by_id"), ".3f"))
        cells += [shown(gain, ".2f"), ", ".join(map(shown, counters))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def footprints(results: dict[str, dict[str, Any]]) -> list[str]:
    """The table of building, opening and bytes."""
    head = (
        "index | build cpu s | wall s | load | disk B/row | open ms | MB resident | first query ms"
    )
    lines = [f"| {head} | MB after 1,000 |", "|---|---|---|---|---|---|---|---|---|"]
    for name, known in results.items():
        rows = known.get("rows")
        cells = [
            name,
            shown(known.get("build_cpu_s"), ",.1f"),
            shown(known.get("build_wall_s"), ",.1f"),
        ]
        cells.append(shown(known.get("build_load"), ".1f"))
        cells.append(
            shown(known["disk_bytes"] / rows)
            if "disk_bytes" in known
            else known.get("failure", "-")
        )
        for what in ("open_wall_s", "open_bytes", "first_query_s", "asked_bytes"):
            scale = 1e3 if what.endswith("_s") else 1e-6
            cells.append(shown(known[what] * scale, ",.1f") if what in known else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def table(options: Any) -> str:
    """Everything measured so far, as Markdown."""
    results = {}
    for name in PEERS:
        path = options.cache / "results" / f"{name}.json"
        if path.is_file():
            results[name] = json.loads(path.read_text())
    rows = max((x["rows"] for x in results.values() if "rows" in x), default=0)
    head = f"{rows:,} rows, {options.queries} queries, seed {SEED}; {machine.line()}"
    notes = [f"{name}: {PEERS[name]().note}." for name in results if PEERS[name]().note]
    return "\n".join([head, "", *searches(results), "", *footprints(results), "", *notes])


# The command line.


def apart(what: str, name: str, options: Any) -> None:
    """Run one step in a process of its own; what it dies of becomes the peer's failure."""
    command = [
        sys.executable,
        __file__,
        what,
        str(options.data),
        str(options.cache),
        name,
        "--here",
    ]
    for key in ("rows", "queries", "threads"):
        command += [f"--{key}", str(getattr(options, key))]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    print(f"{what} {name}: {done.stdout.strip()[-300:]}", flush=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        noted(name, options, {"failure": f"{what}: {reason[:160]}"})
        print(f"{what} {name} failed: {done.stderr[-1500:]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("build", "open", "search", "table"))
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("peers", nargs="*", help=", ".join(PEERS))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2, help="of the build")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=200, help="no new pass after this")
    parser.add_argument("--here", action="store_true", help="in this process")
    options = parser.parse_intermixed_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    if options.what == "table":
        print(table(options))
    elif options.what == "search":
        found = search(options.peers, options)
        for name, points in found.items():
            facts = {"points": points, "base": found[options.peers[0]], "machine": machine.line()}
            noted(name, options, facts)
            print(name, [(x["ef"], round(x["recall"], 4), round(x["qps"])) for x in points])
    elif options.here:
        facts = {"build": build, "open": open_}[options.what](options.peers[0], options)
        noted(options.peers[0], options, facts)
        print(json.dumps(facts))
    else:
        for name in options.peers:
            apart(options.what, name, options)


if __name__ == "__main__":
    main()
