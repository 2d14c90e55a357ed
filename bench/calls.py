"""How many microseconds does a call from Python cost beside the C search below it?

    python bench/calls.py [--rounds 15] [--json]

Processor time of this thread. Call and C search take turns, CHUNK calls of each a round; median and
quartiles over rounds. What has no C search below it stands beside nothing.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
import quillian as ql
from quillian.bindings._core import ffi, lib

COUNT = 300  # So few that what surrounds a search is not lost in it.
DIM = 384
K = 10
CHUNK = 200
SEED = 5
TEXT = "Record {} of the house of {} stands beside {} others of its kind"
WORDS = "record house kind"

Call = Callable[[], object]


def filled(path: Path) -> ql.Store:
    """A store of COUNT concepts with a text, a vector, a field of data and two associations."""
    rng = np.random.default_rng(SEED)
    store = ql.open(path, dim=DIM, embedder="none")
    numbers = range(COUNT)
    ids = [f"c{i}" for i in numbers]
    with store.transaction() as txn:
        txn.add_many(
            [TEXT.format(i, i % 97, i % 7) for i in numbers],
            ids=ids,
            vectors=rng.standard_normal((COUNT, DIM)).astype(np.float32),
            data=[{"n": i} for i in numbers],
        )
        for step in (1, 7):
            ends = [ids[(i + step) % COUNT] for i in numbers]
            txn.link_many(ids, ends, "next to", weights=np.ones(COUNT, np.float32))
    store.optimize()
    return store


def bare_near(view: ql.Snapshot, query: Any) -> Call:
    """The C search of `near`, with everything around it made once."""
    rows = view._logs.vectors()._rows
    block = ffi.new("uint32_t[]", 2 * K + 1 + 8)
    given = (
        rows.handle, ffi.NULL, ffi.from_buffer("float[]", query), 1, K, K, COUNT,
        view.head.commit, True, 1, ffi.NULL, 0, 0, block,
    )  # fmt: skip
    return lambda: lib.ql_near_block(*given)


def bare_neighbours(view: ql.Snapshot) -> Call:
    """The C search of `neighbours`, and the freeing of what it found."""
    node = ffi.new("uint32_t[]", [17])
    block = ffi.new("ql_edges **")
    handle = view.graph.handle

    def call() -> None:
        lib.ql_graph_neighbours(handle, node, 1, 0, ffi.NULL, 0, block, ffi.NULL)
        lib.ql_edges_free(block[0])

    return call


def bare_words(view: ql.Snapshot) -> Call:
    """The search of words below the plan: the index's own, from Python words to rows."""
    words = view.words
    asked = words.words(WORDS)
    return lambda: words.search(asked, K)


def calls(store: ql.Store, view: ql.Snapshot) -> dict[str, tuple[Call, Call | None]]:
    """What is measured by name, and the search below it."""
    query = np.random.default_rng(SEED + 1).standard_normal(DIM).astype(np.float32)
    near, words = bare_near(view, query), bare_words(view)
    return {
        "snapshot.near": (lambda: view.near(query, exact=True), near),
        "store.snapshot and close": (lambda: store.snapshot().close(), None),
        "snapshot.get by node": (lambda: view.get(17), None),
        "snapshot.get by id": (lambda: view.get("c17"), None),
        "store.get by id": (lambda: store.get("c17"), None),
        "snapshot.neighbours, two": (lambda: view.neighbours("c17"), bare_neighbours(view)),
        "store.search, vector": (lambda: store.search(vector=query), near),
        "store.search, words": (lambda: store.search(WORDS, method="words"), words),
        "store.search, words; ids": (
            lambda: [row.id for row in store.search(WORDS, method="words")], words,
        ),
    }  # fmt: skip


def took_us(call: Call) -> float:
    """Processor time of one of CHUNK calls."""
    start = time.thread_time()
    for _ in range(CHUNK):
        call()
    return (time.thread_time() - start) / CHUNK * 1e6


def measured(store: ql.Store, rounds: int) -> dict[str, dict[str, float]]:
    """Median and quartiles of every call in microseconds, the search below it, and the rest."""
    rows: dict[str, dict[str, float]] = {}
    with store.snapshot() as view:
        for name, (call, below) in calls(store, view).items():
            whole, alone = [], []
            for _ in range(rounds + 1):
                whole.append(took_us(call))
                alone.append(took_us(below) if below else 0.0)
            low, middle, high = statistics.quantiles(whole[1:], n=4)  # The first warms up.
            c = statistics.median(alone[1:])
            rows[name] = {"us": middle, "low": low, "high": high, "below": c, "beside": middle - c}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder) / "calls") as store:
        rows = measured(store, options.rounds)
    facts = machine.facts("numpy", "lmdb", "msgpack", seed=SEED, rows=COUNT, dim=DIM, k=K)
    if options.json:
        print(json.dumps({"facts": facts, "calls": rows}))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"{'us a call':<28}{'median':>9}{'quartiles':>16}{'search below':>14}{'beside it':>11}")
    for name, row in rows.items():
        spread = f"{row['low']:.1f} to {row['high']:.1f}"
        print(f"{name:<28}{row['us']:9.1f}{spread:>16}{row['below']:14.1f}{row['beside']:11.1f}")


if __name__ == "__main__":
    main()
