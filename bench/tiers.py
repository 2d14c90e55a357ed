"""How quick is a record of the hot and of the cold tier, and how often is what is read hot?

Reads by node number through a snapshot, median of chunks; Zipf 1.0 reads, and the same with a scan
of everything in between, on 10,000 records of which a tenth fits, beside an exact LRU of that size.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import quillian as ql
from quillian.layout import is_cold

RECORDS = 10_000
READS = 120_000
WRITE_EVERY = 1_000  # Reads between two commits, in which records move.
CHUNK = 200
SEED = 5
TEXT = "A record number {} of a store whose texts resemble one another, from the house of {}."


def filled(path: Path, hot_bytes: int | None) -> ql.Store:
    store = ql.open(path, embedder="none", hot_bytes=hot_bytes)
    numbers = range(RECORDS)
    texts = [TEXT.format(i, i % 97) for i in numbers]
    store.add_many(texts, ids=[f"c{i}" for i in numbers], data=[{"n": i} for i in numbers])
    return store


def read_us(store: ql.Store, cold: bool) -> tuple[float, float]:
    """Median and 90th percentile over chunks of the CPU time of a read, in microseconds."""
    with store.snapshot() as view:
        items = view.catalog.items("concepts")
        nodes = [int.from_bytes(k, "big") for k, value in items if is_cold(value) == cold]
        random.Random(SEED).shuffle(nodes)
        times = []
        for at in range(0, min(len(nodes), 5_000) - CHUNK, CHUNK):
            start = time.thread_time()
            for node in nodes[at : at + CHUNK]:
                view.get(node)
            times.append((time.thread_time() - start) / CHUNK * 1e6)
    times.sort()
    return statistics.median(times), times[len(times) * 9 // 10]


def trace(scans: bool) -> list[int]:
    rng = random.Random(SEED)
    names = list(range(RECORDS))
    rng.shuffle(names)
    weights = [1 / (i + 1) for i in range(RECORDS)]
    skewed = [names[i] for i in rng.choices(range(RECORDS), weights, k=READS)]
    if not scans:
        return skewed
    return [x for at, node in enumerate(skewed) for x in (node, at % RECORDS)][:READS]


def lru(reads: list[int], capacity: int, skip: int) -> float:
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for at, node in enumerate(reads):
        hits += at >= skip and node in kept
        kept[node] = None
        kept.move_to_end(node)
        if len(kept) > capacity:
            kept.popitem(last=False)
    return hits / (len(reads) - skip)


def ratio(store: ql.Store, reads: list[int], skip: int) -> float:
    hits = 0
    view = store.snapshot()
    before = 0
    for at, node in enumerate(reads):
        if at % WRITE_EVERY == 0:
            view.close()
            store.add(id="tick", on_conflict="replace")
            view = store.snapshot()
        if at == skip:
            before = store._open_directory().tiers.counts.hot_reads
        view.get(node)
    hits = store._open_directory().tiers.counts.hot_reads - before
    view.close()
    return hits / (len(reads) - skip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    found: dict[str, Any] = {"load": os.getloadavg()[0], "seed": SEED}
    with tempfile.TemporaryDirectory() as folder:
        with filled(Path(folder) / "all", None) as store:
            size = store.stats()["tiers"]["hot_bytes"]
            found["hot_us"] = read_us(store, cold=False)
        for name in ("zipf", "scans"):
            with filled(Path(folder) / name, size // 10) as store:
                if name == "zipf":
                    tiers = store.stats()["tiers"]
                    found["cold_us"] = read_us(store, cold=True)
                    found["packed"] = tiers["cold_bytes"] / (size - tiers["hot_bytes"])
                reads = trace(name == "scans")
                skip = READS // 4
                found[name] = ratio(store, reads, skip)
                found[f"{name}_lru"] = lru(reads, RECORDS // 10, skip)
                stats = store.stats()["tiers"]
                assert stats["hot_bytes"] <= stats["hot_bytes_max"]
    print(json.dumps(found) if as_json else "\n".join(f"{k}: {v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
