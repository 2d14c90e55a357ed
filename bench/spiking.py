"""How many nanoseconds does a synaptic delivery take, by the share of neurons that fire?

    python bench/spiking.py [--large] [--store SYNAPSES] [--bursts 100] [--json FILE]

The peers' network: 22,590 neurons, 22 random targets each (496,980 synapses), weights +1 or -1,
drive +1 per burst, threshold P - 0.5, start potentials uniform in 0..P-1, so that about 1/P of the
neurons fire in every burst.  Every engine must give the same spikes as the first one, by a hash
over all bursts, or it stops; engines take turns.  A peer that is not installed is an empty row.
Then, of the simulation alone, its ways of delivery at a fixed share of fired neurons, and with
--large the same for 1,200,000 neurons with 99.6 million synapses, beside the limits of the machine:
how fast a plain loop in C adds 1 to random i32 of an accumulator of that size (needs a compiler).
--store: how fast a store's graph of 100,000 concepts becomes a network.

Time is processor time (other programs share the machine), the median and the best of 5 runs after
one to warm up; events are deliveries, counted.  The seed is 7.
"""

import argparse
import ctypes
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import machine
import numpy as np
import quillian as ql
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


def by_burst(ids: Array, bursts: Array, count: int) -> list[Array]:
    """Spikes as engines record them, as who fired in each burst."""
    order = np.lexsort((ids, bursts))
    return np.split(ids[order], np.searchsorted(bursts[order], np.arange(1, count)))


def brian2(period: int) -> Runner:
    """NumPy code; deliveries follow the reset, so they reach the next step's comparison."""
    b = import_module("brian2")
    b.prefs.codegen.target = "numpy"
    b.defaultclock.dt = b.ms
    targets, weights, start = peers_network(period)
    neurons = b.NeuronGroup(N, "v : 1", threshold=f"v >= {period - 0.5}", reset="v = 0")
    neurons.v = start
    neurons.run_regularly("v += 1", when="groups")
    synapses = b.Synapses(neurons, neurons, "w : 1", on_pre="v_post += w")
    synapses.connect(i=np.repeat(np.arange(N), DEGREE), j=targets)
    synapses.w = weights
    spikes = b.SpikeMonitor(neurons)
    network = b.Network(neurons, synapses, spikes)
    network.schedule = ["start", "groups", "thresholds", "resets", "synapses", "end"]
    seen = [0, 0]  # Spikes, bursts.

    def run(bursts: int) -> list[Array]:
        network.run(bursts * b.ms)
        ids = np.asarray(spikes.i)[seen[0] :]
        at = np.rint(np.asarray(spikes.t / b.ms)[seen[0] :]).astype(int) - seen[1]
        seen[0], seen[1] = seen[0] + ids.size, seen[1] + bursts
        return by_burst(ids, at, bursts)

    return run


def nest(period: int) -> Runner:
    """iaf_psc_delta without leak or rest, resolution and delay 1 ms, one thread."""
    sim = import_module("nest")
    sim.set_verbosity("M_ERROR")
    sim.ResetKernel()
    sim.resolution = 1.0
    targets, weights, start = peers_network(period)
    given = {"E_L": 0.0, "V_reset": 0.0, "V_min": -1e9, "V_th": period - 0.5}
    given |= {"tau_m": 1e12, "C_m": 1.0, "I_e": 1.0, "t_ref": 0.0}
    neurons = sim.Create("iaf_psc_delta", N, params=given)
    neurons.V_m = start.astype(float)
    first = neurons[0].global_id
    sources = np.repeat(np.arange(N), DEGREE) + first
    synapses = {"weight": weights.astype(float), "delay": np.ones(N * DEGREE)}
    sim.Connect(
        sources, targets + first, "one_to_one", synapses | {"synapse_model": "static_synapse"}
    )
    recorder = sim.Create("spike_recorder")
    sim.Connect(neurons, recorder)
    done = [0]

    def run(bursts: int) -> list[Array]:
        sim.Simulate(float(bursts))
        events = recorder.events
        at = np.rint(events["times"]).astype(int) - 1 - done[0]
        recorder.n_events = 0
        done[0] += bursts
        return by_burst(events["senders"] - first, at, bursts)

    return run


ENGINES: dict[str, Callable[[int], Runner]] = {
    "quillian": ours,
    "numpy, 12 lines": plain_numpy,
    "brian2": brian2,
    "nest": nest,
}


def hashed(fired: list[Array]) -> int:
    h = 0
    for ids in fired:
        h = (h * 1_000_003 + int(ids.astype(np.int64).sum())) % 2**48
    return h


def compare(period: int, bursts: int) -> list[dict[str, Any]]:
    """One row per engine at about 1/period of the neurons firing; the engines take turns."""
    runs: dict[str, Runner] = {}
    rows: list[dict[str, Any]] = []
    for name, make in ENGINES.items():
        try:
            runs[name] = make(period)
        except ImportError as error:
            rows.append({"engine": name, "period": period, "missing": str(error)})
    times: dict[str, list[float]] = {name: [] for name in runs}
    spikes = 0
    for repeat in range(REPEATS + 1):
        wanted = None
        for name, run in runs.items():
            started = time.process_time()
            fired = run(bursts)
            times[name].append(time.process_time() - started)
            wanted = wanted or hashed(fired)
            if hashed(fired) != wanted:
                raise SystemExit(f"{name} gives other spikes at period {period}")
        spikes += sum(len(ids) for ids in fired) if repeat else 0
    events = spikes * DEGREE / REPEATS
    own = statistics.median(times["quillian"][1:])
    for name, all_times in times.items():
        median = statistics.median(all_times[1:])
        row = {"engine": name, "period": period, "fired_share": spikes / REPEATS / bursts / N}
        row |= {"burst_ms": median / bursts * 1e3, "best_burst_ms": min(all_times) / bursts * 1e3}
        row |= {"event_ns": median / events * 1e9, "million_events_per_s": events / median / 1e6}
        rows.append(row | {"of_ours": median / own})
    return rows


PLAIN_LOOPS = """
#include <stddef.h>
#include <stdint.h>
void add(int32_t *sums, const uint32_t *at, size_t n)
{
    for (size_t i = 0; i < n; i++) sums[at[i]] += 1;
}
uint32_t read_all(const uint32_t *at, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += at[i];
    return sum;
}
"""


def limits(sizes: list[int]) -> list[dict[str, Any]]:
    """ns per random addition into accumulators of these sizes, and per u32 read in order."""
    compiler = shutil.which("cc")
    if compiler is None:
        return [{"limit": "plain loops in C", "missing": "no compiler"}]
    events = 1 << 22
    rng = np.random.default_rng(SEED)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source, built = Path(folder, "loops.c"), Path(folder, "loops.so")
        source.write_text(PLAIN_LOOPS)
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", source, "-o", built], check=True)
        loops = ctypes.CDLL(str(built))
        for n in sizes:
            sums, at = np.zeros(n, np.int32), rng.integers(0, n, events, dtype=np.uint32)
            row: dict[str, Any] = {"limit": "plain loops in C", "accumulator": n}
            given = [ctypes.c_void_p(x.ctypes.data) for x in (sums, at)] + [ctypes.c_size_t(events)]
            for name, loop, arguments in (
                ("add_ns", loops.add, given),
                ("read_ns", loops.read_all, given[1:]),
            ):
                times = []
                for _ in range(REPEATS + 1):
                    started = time.process_time()
                    loop(*arguments)
                    times.append(time.process_time() - started)
                row[name] = min(times[1:]) / events * 1e9
            rows.append(row)
    return rows


@contextmanager
def stored(synapses: int) -> Iterator[Any]:
    """A snapshot of a store of 100,000 concepts with random associations of one type."""
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder, ql.open(Path(folder, "graph")) as store:
        with store.transaction() as txn:
            nodes = txn.add_many(ids=[f"n{i}" for i in range(100_000)])
            for first in range(0, synapses, 500_000):
                ends = nodes[rng.integers(0, nodes.size, (2, min(500_000, synapses - first)))]
                txn.link_many(ends[0], ends[1], "r", weights=rng.integers(1, 9, ends.shape[1]))
        with store.snapshot() as snapshot:
            yield snapshot


def built(synapses: int) -> list[dict[str, Any]]:
    """How fast a snapshot becomes a network that is ready to run."""
    times = []
    with stored(synapses) as snapshot:
        for _ in range(REPEATS + 1):
            started = time.process_time()
            network = Network.from_snapshot(snapshot)
            network.rows()
            times.append(time.process_time() - started)
    rates = [network.synapses / x / 1e6 for x in times]
    row = {"store": "from_snapshot", "synapses": network.synapses, "first_million_per_s": rates[0]}
    return [row | {"million_per_s": statistics.median(rates[1:]), "best": max(rates)}]


WAYS = [("push", 1), ("blocked", 1), ("pull", 1), ("auto", 1), ("push", 2), ("auto", 2)]


def ways(n: int, degree: int, shares: list[float]) -> list[dict[str, Any]]:
    """Each way of delivery, one or two threads, at a given share fired; nobody fires on."""
    rng = np.random.default_rng(SEED)
    network = Network(n, threshold=1e9, neg_input="signed")
    targets = np.empty((n, degree), np.uint32)
    for part in np.array_split(targets, max(1, n // 100_000)):  # In parts: sorting needs room.
        part[:] = np.sort(rng.integers(0, n, part.shape, dtype=np.uint32), axis=1)
    signs = rng.integers(0, 2, n * degree, dtype=np.uint8)
    started = time.process_time()
    sources = np.repeat(np.arange(n, dtype=np.uint32), degree)
    network.connect(sources, targets.ravel(), inhibitory=signs)
    network.rows()
    build_s = time.process_time() - started
    del sources, targets, signs, part  # The last view would keep all of them.
    rows: list[dict[str, Any]] = [{"n": n, "build_million_per_s": n * degree / build_s / 1e6}]
    for share in shares:
        ids = np.sort(rng.permutation(n)[: max(1, int(n * share))]).astype(np.uint32)
        for method, threads in WAYS:
            if method == "pull" and n > 1_000_000:  # Twice the memory.
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
    parser.add_argument("--store", type=int, default=0, metavar="SYNAPSES")
    parser.add_argument("--bursts", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts = machine.facts("numpy", "brian2", "nest-simulator", seed=SEED)
    show([facts])
    rows: list[dict[str, Any]] = []
    for period in (100, 20, 4, 1):
        rows += (found := compare(period, options.bursts))
        show(found)
    rows += (found := limits([N] + [131_072, 600_000, 1_200_000] * options.large))
    show(found)
    if options.store:
        rows += (found := built(options.store))
        show(found)
    sizes = [(N, DEGREE)] + ([(1_200_000, 83)] if options.large else [])
    for n, degree in sizes:
        rows += (found := ways(n, degree, [0.01, 0.05, 0.1, 0.3, 1.0]))
        show(found)
    if options.json:
        options.json.write_text(json.dumps({"facts": facts, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
