"""Is a set of nodes special, or only made of hubs? Its signals beside those of matched random sets.

A set of hubs is tied strongly to whatever it is.  So a signal is compared with what random sets of
the same make have: each node is replaced by a random one whose degree has the same power of two.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .bindings.csr import Csr
from .errors import InvalidError

UInt32 = NDArray[np.uint32]


def matched_sets(graph: Csr, places: UInt32, samples: int, seed: int = 0) -> UInt32:
    """Random sets (samples, k): node i as often as any whose degree has its power of two.

    The nodes of a set are distinct.  Deterministic for a seed.  Cost: O(n + samples * k).
    """
    if samples < 2:
        raise InvalidError(f"want at least 2 samples, got {samples}")
    rng = np.random.default_rng(seed)
    classes = np.frexp(np.diff(graph.offsets).astype(np.float64))[1]
    drawn = np.empty((samples, len(places)), np.uint32)
    for one in np.unique(classes[places]):
        alike = np.flatnonzero(classes == one)
        columns = np.flatnonzero(classes[places] == one)
        drawn[:, columns] = alike[_distinct(rng, samples, len(columns), len(alike))]
    return drawn


def _distinct(rng: np.random.Generator, rows: int, k: int, n: int) -> NDArray[np.int64]:
    """Rows (rows, k) of distinct numbers below n, each set as likely as any other."""
    if k * k > n:
        return np.stack([rng.permutation(n)[:k] for _ in range(rows)])
    found = rng.integers(0, n, (rows, k))
    again = np.arange(rows)
    while k > 1:  # At least four of ten rows have no number twice.
        ordered = np.sort(found[again], axis=1)
        again = again[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
        if len(again) == 0:
            break
        found[again] = rng.integers(0, n, (len(again), k))
    return found


def z_score(
    signal: Callable[[UInt32], NDArray[np.float64]],
    graph: Csr,
    places: UInt32,
    *,
    samples: int = 30,
    seed: int = 0,
) -> float:
    """How many standard deviations the signal of these nodes lies above that of matched sets.

    signal: that of each row of sets (s, k) -> (s,).  0 when all matched sets have the same: nothing
    is known then.
    """
    values = signal(matched_sets(graph, places, samples, seed))
    spread = float(values.std(ddof=1))
    return (float(signal(places[None])[0]) - float(values.mean())) / spread if spread > 0 else 0.0
