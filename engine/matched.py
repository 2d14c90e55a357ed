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
        for row in drawn:
            row[columns] = rng.choice(alike, len(columns), replace=False)
    return drawn


def z_score(
    signal: Callable[[UInt32], float],
    graph: Csr,
    places: UInt32,
    *,
    samples: int = 30,
    seed: int = 0,
) -> float:
    """How many standard deviations the signal of these nodes lies above that of matched sets.

    0 when all matched sets have the same signal: nothing is known then.
    """
    values = np.array([signal(row) for row in matched_sets(graph, places, samples, seed)])
    spread = float(values.std(ddof=1))
    return (signal(places) - float(values.mean())) / spread if spread > 0 else 0.0
