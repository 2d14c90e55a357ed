"""A writing process for the tests: commits numbered batches and acknowledges each.

Usage: python writer.py STORE FIRST COUNT prints "ack i" after the commit of batch i returned; tests
that kill many writers call `run` in a forked process instead.  Batch i adds concepts "i/0".."i/2"
with vectors and links them in a ring; every third batch replaces and forgets in the one before.
"""

import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import quillian as ql
from numpy.typing import NDArray
from quillian import folding, indexing

DIM = 4
SIZE = 3


def vector(batch: int, row: int) -> NDArray[np.float32]:
    """The vector that concept "batch/row" must have."""
    return np.random.default_rng((batch, row)).normal(size=DIM).astype(np.float32)


def write(store: ql.Store, batch: int) -> None:
    """One acknowledged transaction."""
    ids = [f"{batch}/{row}" for row in range(SIZE)]
    with store.transaction() as txn:
        txn.add_many(texts=ids, ids=ids, vectors=np.stack([vector(batch, r) for r in range(SIZE)]))
        txn.link_many(ids, ids[1:] + ids[:1], "next", weights=[batch + 1.0] * SIZE)
        if batch % 3 == 2:  # Deletes and replacements are torn as well as inserts.
            id = f"{batch - 1}/0"
            txn.add("replaced", id=id, vector=vector(batch, 99), on_conflict="replace")
            txn.forget(f"{batch - 1}/1")


def run(
    path: Path,
    first: int,
    count: int,
    acknowledge: Callable[[int], None],
    durability: str = "commit",
) -> None:
    """Write `count` batches; every few an index or a fold is published, or the store compacted."""
    indexing.INDEX_ROWS_MIN = indexing.INDEX_TAIL_ROWS = 32
    indexing.INDEX_STEP_ROWS = 16
    folding.FOLD_RECORDS_MIN = 8
    folding.LOAD_RECORDS_MIN = 3
    with ql.open(path, dim=DIM, lock_timeout=60, durability=durability) as store:
        for batch in range(first, first + count):
            write(store, batch)
            acknowledge(batch)
            if batch % 5 == 4:
                store.compact()


def work(path: Path, first: int, durability: str, acknowledged: Connection) -> None:
    """As `run`, until killed; here, so that a forked process need not import the tests."""
    run(path, first, 1_000_000, acknowledged.send, durability)


def verify(store: ql.Store, batches: list[int], since: int = 0) -> int:
    """Every one of these batches is there, whole from `since` on, and nothing half of any other.

    Returns the last batch that is there.
    """
    assert store.check() == []
    with store.snapshot() as view:
        found: dict[int, set[int]] = {}
        for concept in view.concepts():
            batch, row = map(int, concept.id.split("/"))
            found.setdefault(batch, set()).add(row)
        assert set(batches) <= set(found), sorted(set(batches) - set(found))
        for batch, rows in sorted(found.items()):
            if batch < since:
                continue
            changed = batch % 3 == 1 and batch + 1 in found
            assert rows == ({0, 2} if changed else {0, 1, 2}), (batch, rows)
            expected = [vector(batch + 1, 99) if changed else vector(batch, 0), vector(batch, 2)]
            nodes = [view.node(f"{batch}/0"), view.node(f"{batch}/2")]
            assert (view.vectors(nodes) == np.stack(expected)).all()
            (edge,) = view.neighbours(f"{batch}/2")
            assert (edge.target, edge.weight) == (f"{batch}/0", batch + 1.0)
            assert view.near(expected[1], k=1).scores[0] > 0.999
        return max(found, default=-1)


if __name__ == "__main__":
    run(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        lambda batch: print(f"ack {batch}", flush=True),
    )
