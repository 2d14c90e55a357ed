"""The spiking rule in plain NumPy, written from the rule alone: the oracle for csrc/npu.c.

Slow on purpose: every burst touches every synapse and every neuron, sums are exact integers, and
the steps stand in the order of the rule. It has the names of `quillian.spiking.Network`, so that
one scenario runs on both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FRACTION_BITS = 20  # A contribution b/outdeg is rounded once to 2^-20.


def hashed(x: np.ndarray | int) -> np.ndarray:
    """h of the rule for a 32-bit x: one step of a permuted congruential generator."""
    x = np.asarray(x, dtype=np.uint64)
    low = np.uint64(0xFFFFFFFF)
    s = (x * np.uint64(747796405) + np.uint64(2891336453)) & low
    w = (((s >> ((s >> np.uint64(28)) + np.uint64(4))) ^ s) * np.uint64(277803737)) & low
    return ((w >> np.uint64(22)) ^ w).astype(np.uint32)


def draw(neuron: np.ndarray | int, burst: int) -> np.ndarray:
    """R(i, t): the draw of a neuron at a burst, float32 in [0, 1]."""
    low = 0xFFFFFFFF
    i = np.asarray(neuron, dtype=np.uint64)
    t = np.uint64((burst & low) * 1597334677 & low)
    x = (i * np.uint64(2654435761) + t) & np.uint64(low)
    return (hashed(x).astype(np.float32).astype(np.float64) / 4294967296.0).astype(np.float32)


def rounded_away(x: np.ndarray) -> np.ndarray:
    """Halves away from zero, in float64, where adding 0.5 to a float32 is exact."""
    x = x.astype(np.float64)
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


class Reference:
    """One network; scalars or arrays of n as parameters, local indices everywhere."""

    def __init__(
        self,
        n: int,
        *,
        threshold: Any,
        leak: Any = 0.0,
        refractory: Any = 0,
        fire_limit: Any = 0,
        snooze: Any = 0,
        excitability: Any = 1.0,
        accumulate: Any = True,
        limit: Any = 0.0,
        uniform: Any = True,
        mp_driven: Any = False,
        neg_input: str = "clamp",
        first_id: int = 0,
        syn_delay: int = 1,
    ) -> None:
        def full(value: Any, dtype: Any) -> np.ndarray:
            return np.broadcast_to(np.asarray(value, dtype=dtype), (n,)).copy()

        self.n = n
        self.threshold = full(threshold, np.float32)
        self.limit = full(limit, np.float32)
        self.leak = full(leak, np.float32)
        self.refractory = full(refractory, np.int64)
        self.fire_limit = full(fire_limit, np.int64)
        self.fire_limit[self.fire_limit == 65535] = 0
        self.snooze = full(snooze, np.int64)
        self.excitability = full(excitability, np.float32)
        self.accumulate = full(accumulate, bool)
        self.uniform = full(uniform, bool)
        self.mp_driven = full(mp_driven, bool)
        self.neg_input = neg_input
        self.first_id, self.syn_delay = first_id, syn_delay
        self.potentials = np.zeros(n, np.float32)
        self.countdown = np.zeros(n, np.int64)
        self.consecutive = np.zeros(n, np.int64)
        self.driven = np.zeros(n, bool)
        self.drive_amount = np.zeros(n, np.float32)
        self.staged: list[tuple[np.ndarray, np.ndarray]] = []
        self.forced: dict[int, float] = {}
        self.burst = 1
        none = (np.zeros(0, np.int64), np.zeros(0, np.float32))
        self.queue = [none] * syn_delay  # [0] is the oldest: FQ(t - syn_delay)
        self.source = np.zeros(0, np.int64)
        self.target = np.zeros(0, np.int64)
        self.weight = np.zeros(0, np.int64)
        self.psp = np.zeros(0, np.int64)
        self.sign = np.zeros(0, np.int64)

    def connect(
        self, sources: Any, targets: Any, *, weight: Any = 1, psp: Any = 1, inhibitory: Any = False
    ) -> None:
        columns = np.broadcast_arrays(sources, targets, weight, psp, np.where(inhibitory, -1, 1))
        flat = [np.atleast_1d(column).astype(np.int64).ravel() for column in columns]
        self.source = np.concatenate([self.source, flat[0]])
        self.target = np.concatenate([self.target, flat[1]])
        self.weight = np.concatenate([self.weight, flat[2]])
        self.psp = np.concatenate([self.psp, flat[3]])
        self.sign = np.concatenate([self.sign, flat[4]])

    def drive(self, ids: Any = None, potential: float = 1.0) -> None:
        ids = np.arange(self.n) if ids is None else np.atleast_1d(ids)
        np.add.at(self.drive_amount, ids, np.float32(potential))
        self.driven[ids] = True

    def inject(self, ids: Any, potential: Any = 1.0) -> None:
        ids = np.atleast_1d(ids)
        self.staged.append((ids, np.broadcast_to(np.asarray(potential, np.float32), ids.shape)))

    def force(self, ids: Any, potential: float = 1.0) -> None:
        for i in np.atleast_1d(ids):
            self.forced[int(i)] = potential

    def run(self, bursts: int, start: int | None = None) -> list[np.ndarray]:
        if start is not None:
            self.burst = start
        return [self.step() for _ in range(bursts)]

    def step(self) -> np.ndarray:
        candidate, incoming = self.injected()
        ids, at_firing = self.dynamics(candidate, incoming)
        self.queue = [*self.queue[1:], (ids, at_firing)]
        self.burst += 1
        return ids

    def injected(self) -> tuple[np.ndarray, np.ndarray]:
        """P1: who is a candidate, and the sum each gets."""
        outside = np.zeros(self.n, np.float32)
        candidate = np.zeros(self.n, bool)
        for ids, potential in self.staged:  # a
            np.add.at(outside, ids, potential)
            candidate[ids] = True
        self.staged = []
        outside[self.driven] += self.drive_amount[self.driven]  # b
        candidate |= self.driven
        self.potentials[~self.accumulate] = 0  # c
        fired, at_firing = self.queue[0]  # e
        multiplier = np.zeros(self.n, np.int64)
        multiplier[fired] = np.clip(rounded_away(at_firing), 0, 255).astype(np.int64)
        active = np.zeros(self.n, bool)
        active[fired] = True
        on = active[self.source]
        source = self.source[on]
        size = self.weight[on] * np.where(self.mp_driven[source], multiplier[source], self.psp[on])
        degree = np.bincount(self.source, minlength=self.n)[source]
        divisor = np.where(self.uniform[source], 1, degree)
        fixed = ((size << (FRACTION_BITS + 1)) + divisor) // (2 * divisor)  # halves away from zero
        total = np.zeros(self.n, np.int64)
        np.add.at(total, self.target[on], fixed * self.sign[on])
        candidate[self.target[on]] = True
        incoming = outside + total.astype(np.float32) * np.float32(2.0**-FRACTION_BITS)
        if self.neg_input == "clamp":  # g
            incoming[incoming < 0] = 0
        return candidate, incoming

    def dynamics(
        self, candidate: np.ndarray, incoming: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """P2: who fires, with the potential at firing."""
        v, cd, cfc = self.potentials, self.countdown, self.consecutive
        limited = self.fire_limit > 0
        forced = np.zeros(self.n, bool)
        forced[list(self.forced)] = True
        live = candidate & ~forced
        resting = live & (cd > 0)  # 1
        cd[resting] -= 1
        cfc[resting & (cd == 0) & limited & (cfc >= self.fire_limit)] = 0
        live &= ~resting
        v[live] += incoming[live]  # 2
        above = live & (v >= self.threshold) & ((self.limit == 0) | (v <= self.limit))  # 3
        spent = above & limited & (cfc >= self.fire_limit)  # 4
        cfc[spent] = 0
        above &= ~spent
        lucky = draw(np.arange(self.n) + self.first_id, self.burst) < self.excitability  # 5
        sure = self.excitability >= np.float32(0.999)
        fire = above & (sure | ((self.excitability > 0) & lucky))
        at_firing = v.copy()  # 6
        v[fire] = 0
        cfc[fire] = np.minimum(cfc[fire] + 1, 65535)
        tired = fire & limited & (cfc >= self.fire_limit)
        cd[fire] = self.refractory[fire]
        cd[tired] += self.snooze[tired]
        rest = live & ~spent & ~fire  # 7
        cfc[rest & limited] = 0
        v[rest] *= np.float32(1) - self.leak[rest]
        for i, potential in self.forced.items():  # f
            at_firing[i], v[i], fire[i] = potential, 0, True
        self.forced = {}
        ids = np.flatnonzero(fire)
        return ids, at_firing[ids]
