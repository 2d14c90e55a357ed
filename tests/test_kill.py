"""SIGKILL at random moments: every acknowledged commit is present, nothing is half there.

Writers are forked from a server that has the imports done, so that a kill costs milliseconds. They
publish index generations as they go, so kills fall into those and into recovery as well.
"""

import multiprocessing
import random
import time
from pathlib import Path

import pytest
import quillian as ql
import writer

KILLS = 20
SECONDS_MAX = 0.06

forks = multiprocessing.get_context("forkserver")
PRELOADED = ["pytest", "numpy.random", "quillian.store", "quillian.folding", "quillian.indexing"]
forks.set_forkserver_preload(PRELOADED)  # All that a writer needs: both packages import lazily.


def run_until_killed(path: Path, first: int, seconds: float, durability: str) -> list[int]:
    """Start a writer and kill it after so many seconds; the batches that it acknowledged."""
    reading, writing = forks.Pipe(duplex=False)
    process = forks.Process(target=writer.work, args=(path, first, durability, writing))
    process.start()
    writing.close()
    reading.poll(timeout=60 * (seconds > SECONDS_MAX / 4))  # Some die before their first commit.
    time.sleep(seconds)
    process.kill()
    process.join()
    acknowledged = []
    try:
        while True:
            acknowledged.append(reading.recv())
    except (EOFError, OSError):  # The last acknowledgement may be cut short.
        return acknowledged


@pytest.mark.parametrize("durability", ["commit", "group"])
@pytest.mark.parametrize("seed", range(5))
def test_every_acknowledged_commit_survives_sigkill(path: Path, seed: int, durability: str) -> None:
    moments = random.Random(seed)
    ql.open(path, dim=writer.DIM).close()
    acknowledged: list[int] = []
    first = 0
    for _ in range(KILLS):
        acknowledged += run_until_killed(path, first, moments.uniform(0, SECONDS_MAX), durability)
        with ql.open(path, dim=writer.DIM) as store:
            last = writer.verify(store, acknowledged, since=first - 3)
        first = (last // 3 + 1) * 3  # The batch in flight may have been committed.
    with ql.open(path) as store:
        writer.verify(store, acknowledged)
    assert len(acknowledged) > KILLS / 4
