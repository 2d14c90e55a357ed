"""Calibration: which beam width gives which recall, measured on the store's own vectors.

When a generation of the index is published, some of its rows are asked as questions, each without
itself as an answer, at growing widths, and compared with exact scans. A search that asks for a
recall gets the narrowest width that reached it there, so the promise follows the data. Rows of the
store stand in for questions: questions unlike anything stored find less.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .bindings.hnsw import Hnsw
from .bindings.vectors import Vectors

QUESTIONS = 100
WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
NEIGHBOURS = (10, 100)
SEED = 11

Curve = tuple[tuple[int, int, float], ...]
"""(k, width, recall at k) as measured, widths going up for each k."""


def measure(rows: Vectors, index: Hnsw, commit: int) -> Curve:
    """The curve of an index over its own rows; stops at the width that finds everything."""
    covered = index.covered
    chosen = np.random.default_rng(SEED).choice(covered, min(QUESTIONS, covered), replace=False)
    slots = np.sort(chosen).astype(np.uint32)
    questions, own = rows.read(slots), rows.nodes(slots)
    found: list[tuple[int, int, float]] = []
    for k in NEIGHBOURS:
        truth = rows.near(questions, k=k + 1, count=covered, commit=commit, exact=True)[1]
        worst = np.array([_kth(scores, k) for scores in truth])
        for width in WIDTHS:
            if width < k:
                continue
            nodes, scores, counts, _ = rows.near(
                questions, index=index, k=k + 1, ef=width, count=covered, commit=commit
            )
            others = (nodes != own[:, None]) & (np.arange(k + 1) < counts[:, None])
            hits = (others & (scores >= worst[:, None])).sum(axis=1).clip(max=k)
            found.append((k, width, float(hits.mean() / k)))
            if found[-1][2] >= 1:
                break
    return tuple(found)


def _kth(scores: NDArray[np.float32], k: int) -> float:
    """The score of the k-th neighbour other than the question itself, which scores best."""
    return float(scores[min(k, len(scores) - 1)])


def width(curve: Sequence[Sequence[float]], k: int, recall: float) -> int | None:
    """The narrowest width that reached `recall` at the measured k next above.

    None if none did, and for a recall of 1, which only a scan of all rows can promise.
    Beyond the largest measured k the width grows in proportion.
    """
    if recall >= 1:
        return None
    measured = next((x for x in NEIGHBOURS if x >= k), NEIGHBOURS[-1])
    for at, wide, reached in curve:
        if at == measured and reached >= recall:
            return max(int(wide) * max(k, measured) // measured, k)
    return None
