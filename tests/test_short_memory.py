"""A search whose maps left memory answers the same, and waits for no more than it touches."""

import ctypes
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from quillian import indexing

MAPS = Path("/proc/self/maps")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
DIM, ROWS = 1_024, 2_000
MADV_DONTNEED = 4


def maps_below(folder: Path) -> Iterator[tuple[int, int]]:
    """Address and bytes of each map of a file below a folder."""
    for line in MAPS.read_text().splitlines():
        if str(folder) in line:
            start, _, end = line.split()[0].partition("-")
            yield int(start, 16), int(end, 16) - int(start, 16)


def evict(folder: Path) -> int:
    """Take the files below a folder from memory; how many of their mapped pages stay."""
    c = ctypes.CDLL(None, use_errno=True)
    for start, size in maps_below(folder):
        assert c.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_DONTNEED) == 0
    for path in folder.glob("*"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    stay = 0
    for start, size in maps_below(folder):
        pages = (ctypes.c_ubyte * -(-size // PAGE_BYTES))()
        assert c.mincore(ctypes.c_void_p(start), ctypes.c_size_t(size), pages) == 0
        stay += sum(page & 1 for page in pages)
    return stay


@pytest.mark.skipif(not MAPS.exists(), reason="Linux lists the maps of a process")
def test_a12_a_search_without_its_pages_does_the_same_work(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", 500)
    random = np.random.default_rng(1)
    centres = random.normal(size=(20, DIM))
    rows = centres[np.arange(ROWS) % 20] + 0.5 * random.normal(size=(ROWS, DIM))
    with ql.open(path, dim=DIM) as store:
        store.add_many(vectors=rows)
        store.optimize()
    with ql.open(path, read_only=True) as store, store.snapshot() as view:
        questions = rows[:12] + 0.1
        before = [view.near(question, k=10, ef=50) for question in questions]
        waits = 0
        for question, expected in zip(questions, before, strict=True):
            if evict(path / "vectors"):
                pytest.skip("this file system keeps its pages in memory, as tmpfs does")
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
            found = view.near(question, k=10, ef=50)
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults
            assert found.ids.tolist() == expected.ids.tolist()
            assert found.scores.tolist() == expected.scores.tolist()
            assert found.step is not None
            assert expected.step is not None
            cost = found.step.cost
            assert cost == expected.step.cost
            assert cost["distances"] < ROWS / 2  # No scan.
            assert faults <= cost["distances"] + cost["hops"]
            waits += faults
        assert waits >= len(questions)  # What was taken was read again.
