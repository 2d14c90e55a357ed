"""How many nanoseconds does a synaptic delivery take, by the share of neurons that fire?

    python bench/spiking.py [--large] [--bursts 20] [--json FILE]

The peers' network: 22,590 neurons, 22 random targets each (496,980 synapses), weights +1 or -1,
drive +1 per burst, threshold P - 0.5, start potentials uniform in 0..P-1, so that about 1/P of the
neurons fire in every burst.  Every engine must give the same spikes as the first one, by a hash
over all bursts, or it stops.  Then, of the simulation alone, its ways of delivery at a fixed share
of fired neurons, and with --large the same for 1,200,000 neurons with 99.6 million synapses.

Time is processor time (other programs share the machine), the median and the best of 5 runs after
one to warm up; events are deliveries, counted.  The seed is 7.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray
from quillian.spiking import Network

N, DEGREE, SEED, REPEATS = 22_590, 22, 7, 5
Array = NDArray[Any]
Runner = Callable[[int], list[Array]]


def peers_network(period: int) -> tuple[Array, Array, Array]:
    """(targets, weights, start potentials), drawn in the order that all engines share."""
    rng = np.random.default_rng(SEED)
    targets = rng.integers(0, N, N * DEGREE)
    return targets, rng.choice([1, -1], N * DEGREE), rng.integers(0, period, N)


def ours(period: int) -> Runner:
    targets, weights, start = peers_network(period)
    network = Network(N, threshold=period - 0.5, neg_input="signed")
    network.connect(np.repeat(np.arange(N), DEGREE), targets, inhibitory=weights < 0)
    network.potentials = start
    network.drive(None, 1)
    return lambda bursts: list(network.run(bursts))


def plain_numpy(period: int) -> Runner:
    """The 12 lines that one would write."""
    targets, weights, v = peers_network(period)
    rows, signs = targets.reshape(N, DEGREE), weights.reshape(N, DEGREE).astype(float)
    v = v.astype(float)
    fired = np.zeros(0, np.int64)

    def run(bursts: int) -> list[Array]:
        nonlocal v, fired
        found = []
        for _ in range(bursts):
            v += 1 + np.bincount(rows[fired].ravel(), signs[fired].ravel(), N)
            fired = np.flatnonzero(v >= period - 0.5)
            v[fired] = 0
            found.append(fired)
        return found

    return run


ENGINES: dict[str, Callable[[int], Runner]] = {
    "quillian": ours,
    "numpy, 12 lines": plain_numpy,
}


def hashed(fired: list[Array]) -> int:
    h = 0
    for ids in fired:
        h = (h * 1_000_003 + int(ids.astype(np.int64).sum())) % 2**48
    return h


def compare(period: int, bursts: int) -> list[dict[str, Any]]:
    """One row per engine at about 1/period of the neurons firing."""
    rows: list[dict[str, Any]] = []
    wanted: list[int] = []
    for name, make in ENGINES.items():
        run = make(period)
        hashes, times, spikes = [], [], 0
        for repeat in range(REPEATS + 1):
            started = time.process_time()
            fired = run(bursts)
            if repeat:
                times.append(time.process_time() - started)
                spikes += sum(len(ids) for ids in fired)
            hashes.append(hashed(fired))
        wanted = wanted or hashes
        if hashes != wanted:
            raise SystemExit(f"{name} gives other spikes at period {period}")
        events = spikes * DEGREE / REPEATS
        median = statistics.median(times)
        rows.append(
            {
                "engine": name,
                "period": period,
                "fired_share": spikes / REPEATS / bursts / N,
                "burst_ms": median / bursts * 1e3,
                "best_burst_ms": min(times) / bursts * 1e3,
                "event_ns": median / events * 1e9,
                "million_events_per_s": events / median / 1e6,
            }
        )
    return rows


def ways(n: int, degree: int, shares: list[float]) -> list[dict[str, Any]]:
    """Each way of delivery, one or two threads, at a given share fired; nobody fires on."""
    rng = np.random.default_rng(SEED)
    network = Network(n, threshold=1e9, neg_input="signed")
    targets = np.sort(rng.integers(0, n, (n, degree), dtype=np.uint32), axis=1)
    signs = rng.integers(0, 2, n * degree, dtype=np.uint8)
    started = time.process_time()
    sources = np.repeat(np.arange(n, dtype=np.uint32), degree)
    network.connect(sources, targets.ravel(), inhibitory=signs)
    network.rows()
    build_s = time.process_time() - started
    del sources, targets, signs
    rows: list[dict[str, Any]] = [{"n": n, "build_million_per_s": n * degree / build_s / 1e6}]
    for share in shares:
        ids = np.sort(rng.permutation(n)[: max(1, int(n * share))]).astype(np.uint32)
        for method, threads in [("push", 1), ("blocked", 1), ("pull", 1), ("push", 2), ("auto", 2)]:
            if method == "pull" and n > 1_000_000:
                continue
            times, walls = [], []
            for _ in range(REPEATS + 1):
                network.force(ids)
                network.run(1, threads=threads)
                before, wall = time.process_time(), time.perf_counter()
                network.run(1, threads=threads, method=method)
                times.append(time.process_time() - before)
                walls.append(time.perf_counter() - wall)
            row = {"n": n, "share": share, "way": method, "threads": threads}
            row |= {"cpu_ms": statistics.median(times[1:]) * 1e3, "best_ms": min(times) * 1e3}
            row |= {"wall_ms": statistics.median(walls[1:]) * 1e3, "best_wall_ms": min(walls) * 1e3}
            row["event_ns"] = row["best_ms"] * 1e6 / (ids.size * degree)
            rows.append(row)
    rows[0]["resident_mb"] = resident_mb()
    return rows


def resident_mb() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    return float(status.read_text().split("VmRSS:")[1].split()[0]) / 1e3


def show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        cells = [f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()]
        print("  ".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="also 1.2 M neurons")
    parser.add_argument("--bursts", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    show([machine.facts("numpy", seed=SEED)])
    rows = []
    for period in (100, 20, 4, 1):
        rows += compare(period, options.bursts)
        show(rows[-len(ENGINES) :])
    sizes = [(N, DEGREE)] + ([(1_200_000, 83)] if options.large else [])
    for n, degree in sizes:
        rows += (found := ways(n, degree, [0.01, 0.05, 0.1, 0.3, 1.0]))
        show(found)
    if options.json:
        options.json.write_text(json.dumps({"facts": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
