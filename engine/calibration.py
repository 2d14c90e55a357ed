"""Calibration: which beam width gives which recall, measured on the store's own vectors.

When a generation of the index is published, questions midway between two of its rows are asked at
growing widths and compared with exact scans. A search that asks for a recall gets the narrowest
width that reached it there, so the promise follows the data. It is meant for questions that stand
as far from every row as two topics in one sentence do. Nearer ones are easier: with the rows
themselves a promise of 0.95 gave 0.92 between rows of WordNet, and with questions at a third of the
way 0.84 for texts of two halves (bench/stress_peers.py), where midway gives 0.95.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .bindings.hnsw import Hnsw
from .bindings.vectors import Vectors

QUESTIONS = 100
WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
NEIGHBOURS = (10, 100)
SEED = 11

Curve = tuple[tuple[int, int, float], ...]
"""(k, width, recall at k) as measured, widths going up for each k."""


def measure(
    rows: Vectors, index: Hnsw, commit: int, stopped: Callable[[], bool] = lambda: False
) -> Curve:
    """The curve of an index over its own rows; stops at the width that finds everything.

    stopped: asked between steps, which may take a second each; then the curve is empty, which says
    that it is to be measured.
    """
    covered = index.covered
    chosen = np.random.default_rng(SEED).choice(covered, (2, QUESTIONS)).astype(np.uint32)
    questions = (rows.read(chosen[0]) + rows.read(chosen[1])) / np.float32(2)
    found: list[tuple[int, int, float]] = []
    for k in NEIGHBOURS:
        if stopped():
            return ()
        truth = rows.near(questions, k=k, count=covered, commit=commit, exact=True)
        filled = truth[2].clip(min=1)
        worst = truth[1][np.arange(QUESTIONS), filled - 1]
        for wide in WIDTHS:
            if wide < k:
                continue
            if stopped():
                return ()
            _, scores, counts, _ = rows.near(
                questions, index=index, k=k, ef=wide, count=covered, commit=commit
            )
            hits = (scores >= worst[:, None]) & (np.arange(k) < counts[:, None])
            found.append((k, wide, float((hits.sum(axis=1) / filled).mean())))
            if found[-1][2] >= 1:
                break
    return tuple(found)


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
