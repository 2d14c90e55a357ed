"""Scenarios with known outcomes, run on the reference and on the simulator alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Make = Callable[..., Any]

# name: (parameters, bursts, spikes), one neuron under a constant drive of 5.
SINGLE: dict[str, tuple[dict[str, Any], str]] = {
    "refractory": ({"threshold": 5, "refractory": 2}, "1__" * 4),
    "fire limit": ({"threshold": 5, "fire_limit": 3}, "111_" * 3),
    "snooze": ({"threshold": 5, "fire_limit": 2, "snooze": 4}, "11____" * 3),
    "all rests": ({"threshold": 5, "fire_limit": 3, "snooze": 2, "refractory": 1}, "1_1_1___" * 3),
    "leak": ({"threshold": 8, "leak": 0.1}, "_1" * 6),
    "forgets": ({"threshold": 8, "accumulate": False}, "_" * 12),
    "above the limit": ({"threshold": 1, "limit": 4}, "_" * 12),
    "inclusive": ({"threshold": 5}, "1" * 12),
    "inclusive limit": ({"threshold": 5, "limit": 5}, "1" * 12),
    "never excited": ({"threshold": 5, "excitability": 0.0}, "_" * 12),
    "surely excited": ({"threshold": 5, "excitability": 0.999}, "1" * 12),
    "no limit at 65535": ({"threshold": 5, "fire_limit": 65535}, "1" * 12),
}


def pattern(fired: list[np.ndarray], neuron: int) -> str:
    return "".join("1" if neuron in ids else "_" for ids in fired)


def single(make: Make, parameters: dict[str, Any], bursts: int) -> str:
    network = make(1, **parameters)
    network.drive(None, 5)
    return pattern(network.run(bursts), 0)


def inhibited(make: Make) -> str:
    """+5 against -3 into a threshold of 10: a net 2 per burst."""
    network = make(3, threshold=[1, 1, 10])
    network.connect([0, 1], [2, 2], psp=[5, 3], inhibitory=[False, True])
    network.drive([0, 1], 1)
    return pattern(network.run(21), 2)


def divided(make: Make) -> str:
    """5 shared by two targets of threshold 5."""
    network = make(3, threshold=[1, 5, 5], uniform=False)
    network.connect(0, [1, 2], psp=5)
    network.drive(0, 1)
    return pattern(network.run(13), 1)


def sheet(make: Make, bursts: int, **options: Any) -> tuple[int, int]:
    """(spikes, hash) of the 60 x 60 sheet up to burst `bursts`; 200 gives the golden values."""
    network = make(
        3600,
        threshold=14,
        leak=0.2,
        refractory=1,
        fire_limit=3,
        excitability=0.6,
        first_id=7,
        **options,
    )
    x, y = np.divmod(np.arange(3600), 60)
    for dx, dy, inhibitory in [
        *[(dx, dy, False) for dx, dy in [(1, 0), (-1, 0), (0, 1), (2, 1), (-3, 2)]],
        *[(dx, dy, True) for dx, dy in [(0, -1), (1, -1), (-2, -2)]],
    ]:
        inside = (x + dx >= 0) & (x + dx < 60) & (y + dy >= 0) & (y + dy < 60)
        here = np.flatnonzero(inside)
        network.connect(here, here + dx * 60 + dy, weight=1, psp=5, inhibitory=inhibitory)
    fired = network.run(1)
    network.drive(None, 5)
    fired += network.run(bursts - 1)
    return tally(fired, 0)


def peers(make: Make, period: int, bursts: int, **options: Any) -> tuple[int, int]:
    """(spikes, hash) of the network that NEST and Brian2 run too."""
    n, degree = 22_590, 22
    rng = np.random.default_rng(7)
    targets = rng.integers(0, n, n * degree)
    weights = rng.choice([1, -1], n * degree)
    start = rng.integers(0, period, n)
    network = make(n, threshold=period - 0.5, neg_input="signed", **options)
    network.connect(np.repeat(np.arange(n), degree), targets, inhibitory=weights < 0)
    network.potentials = start.astype(np.float32)
    network.drive(None, 1)
    return tally(network.run(bursts), 0)


def tally(fired: list[np.ndarray], first: int) -> tuple[int, int]:
    h = 0
    for ids in fired:
        h = (h * 1_000_003 + int(ids.astype(np.int64).sum()) + first * len(ids)) % 2**48
    return sum(len(ids) for ids in fired), h
