"""Synapses that learn while a network runs: window plasticity and pair plasticity.

Both are observers of a network (`network.watch(rule)`); a change takes effect at the next burst.

`WindowPlasticity` is the rule of genomes: over the last W bursts, a synapse grows if both its ends
fired in every one, and shrinks if both fired in some but not in all.
`PairPlasticity` is spike-timing dependent plasticity over all pairs of spikes (Song, Miller and
Abbott 2000): dt = t_post - t_pre; dt > 0 adds A+ exp(-dt/tau+), dt < 0 takes A- exp(dt/tau-).
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidError
from .ledgers import Ledger

Ids = NDArray[np.uint32]
Bytes = NDArray[np.uint8]


class Plastic(Protocol):
    """What a rule needs of a network."""

    @property
    def synapses(self) -> int: ...

    def rows(self) -> NDArray[np.uint64]: ...

    def synapses_at(self, first: int, count: int) -> tuple[Ids, Bytes, Bytes, Bytes]: ...

    def reweigh(self, positions: ArrayLike, weights: ArrayLike) -> None: ...

    def connect(
        self, sources: ArrayLike, targets: ArrayLike, *, weight: ArrayLike, psp: ArrayLike
    ) -> None: ...


class Between:
    """The synapses from one range of neurons to another: positions, ends and weights.

    Positions hold until synapses are added; `refresh` looks them up again when that happened.
    """

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self.source = source
        self.target = target
        self.known = -1
        self.positions = np.zeros(0, np.uint64)
        self.pre = np.zeros(0, np.int64)  # Offsets from the first of the source range.
        self.post = np.zeros(0, np.int64)
        self.weights = np.zeros(0, np.uint8)
        self.starts = np.zeros(
            source[1] + 1, np.int64
        )  # Those of pre i: [starts[i], starts[i + 1]).

    def refresh(self, network: Plastic) -> bool:
        """Look the synapses up if their number changed; True if it did."""
        if network.synapses == self.known:
            return False
        self.known = network.synapses
        rows = network.rows()[self.source[0] : sum(self.source) + 1].astype(np.int64)
        targets, weights, _, _ = network.synapses_at(int(rows[0]), int(rows[-1] - rows[0]))
        post = targets.astype(np.int64) - self.target[0]
        inside = (post >= 0) & (post < self.target[1])
        self.positions = (np.flatnonzero(inside) + rows[0]).astype(np.uint64)
        self.pre = np.repeat(np.arange(self.source[1]), np.diff(rows))[inside]
        self.post = post[inside]
        self.weights = weights[inside].copy()
        self.starts = np.searchsorted(self.pre, np.arange(self.source[1] + 1))
        return True

    def leaving(self, pre: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Which synapses leave the chosen ones of the source range."""
        sources = np.flatnonzero(pre)
        lengths = self.starts[sources + 1] - self.starts[sources]
        shifts = self.starts[sources] - np.cumsum(lengths) + lengths
        return np.repeat(shifts, lengths) + np.arange(lengths.sum())

    def change(self, network: Plastic, which: NDArray[np.int64], weights: Bytes) -> None:
        """Write the weights of these synapses where they differ."""
        differ = weights != self.weights[which]
        if differ.any():
            which, weights = which[differ], weights[differ]
            self.weights[which] = weights
            network.reweigh(self.positions[which], weights)


class WindowPlasticity:
    """Grow by D+ where both ends fired in every burst of the window, shrink by D- where in some.

    source, target: (first, count) ranges of neurons.  D+ = clamp(k*ltp, 0, 255), D- likewise with
    ltd.  bidirectional: also make a synapse (weight D+, psp) for every pair of neurons that
    fired throughout and is not connected yet.
    """

    def __init__(
        self,
        source: tuple[int, int],
        target: tuple[int, int],
        *,
        window: int = 3,
        k: float = 1.0,
        ltp: float = 1.0,
        ltd: float = 1.0,
        bidirectional: bool = False,
        psp: int = 1,
    ) -> None:
        if window < 1:
            raise InvalidError(f"want a window of at least 1 burst, got {window}")
        self.window = window
        self.factors = (k, ltp, ltd)
        self.grow = int(min(max(k * ltp, 0), 255))
        self.shrink = int(min(max(k * ltd, 0), 255))
        self.bidirectional = bidirectional
        self.psp = psp
        self.between = Between(source, target)
        self.ledgers = [Ledger(*ends, window=window) for ends in (source, target)]

    def after(self, network: Plastic, burst: int, fired: Ids) -> None:
        """Learn from one burst."""
        for ledger in self.ledgers:
            ledger.after(network, burst, fired)
        (every_pre, some_pre), (every_post, some_post) = (
            ledger.all_and_any(self.window) for ledger in self.ledgers
        )
        synapses = self.between
        synapses.refresh(network)
        which = synapses.leaving(some_pre)
        which = which[some_post[synapses.post[which]]]
        up = every_pre[synapses.pre[which]] & every_post[synapses.post[which]]
        weights = synapses.weights[which] + np.where(up, self.grow, -self.shrink)
        synapses.change(network, which, np.clip(weights, 0, 255).astype(np.uint8))
        if self.bidirectional:
            self._connect(network, np.flatnonzero(every_pre), np.flatnonzero(every_post))

    def as_data(self) -> dict[str, Any]:
        """What the rule is and what it has seen, as plain data."""
        k, ltp, ltd = self.factors
        given = {"window": self.window, "k": k, "ltp": ltp, "ltd": ltd, "psp": self.psp}
        return {
            "ranges": [list(self.between.source), list(self.between.target)],
            "given": given | {"bidirectional": self.bidirectional},
            "ledgers": [ledger.as_data() for ledger in self.ledgers],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """And back."""
        source, target = ((int(first), int(count)) for first, count in data["ranges"])
        rule = cls(source, target, **data["given"])
        for ledger, seen in zip(rule.ledgers, data["ledgers"], strict=True):
            ledger.restore(seen)
        return rule

    def _connect(self, network: Plastic, pre: NDArray[np.int64], post: NDArray[np.int64]) -> None:
        synapses = self.between
        wanted = (pre[:, None] * synapses.target[1] + post).ravel()
        missing = np.setdiff1d(wanted, synapses.pre * synapses.target[1] + synapses.post)
        if missing.size == 0:
            return
        s, t = np.divmod(missing, synapses.target[1])
        network.connect(
            s + synapses.source[0], t + synapses.target[0], weight=self.grow, psp=self.psp
        )


class PairPlasticity:
    """Spike-timing dependent plasticity over all pairs of spikes of a synapse's ends.

    Learns in float64 (`weights`, units of the simulation's 0..255) and writes what they round to:
    steps far below 1 add up instead of being cut off.  Source: Song, Miller and Abbott 2000, by
    the traces of Morrison, Diesmann and Gerstner 2008, section 4.1.2.
    """

    def __init__(
        self,
        source: tuple[int, int],
        target: tuple[int, int],
        *,
        a_plus: float = 0.01,
        a_minus: float = 0.012,
        tau_plus: float = 20.0,
        tau_minus: float = 20.0,
        highest: float = 255.0,
    ) -> None:
        if tau_plus <= 0 or tau_minus <= 0 or not 0 < highest <= 255:
            raise InvalidError(f"want tau > 0 and 0 < highest <= 255, got {highest}")
        self.a_plus = a_plus
        self.a_minus = a_minus
        self.decay_plus = float(np.exp(-1 / tau_plus))
        self.decay_minus = float(np.exp(-1 / tau_minus))
        self.highest = highest
        self.between = Between(source, target)
        self.weights = np.zeros(0)
        self._pre = np.zeros(source[1])  # Traces: sum of exp(-(now - spike)/tau), now excluded.
        self._post = np.zeros(target[1])
        self._burst = 0

    def after(self, network: Plastic, burst: int, fired: Ids) -> None:
        """Learn from one burst."""
        synapses = self.between
        if synapses.refresh(network):
            self.weights = np.minimum(synapses.weights.astype(np.float64), self.highest)
        elapsed = max(burst - self._burst, 0) if self._burst else 1
        self._burst = burst
        self._pre *= self.decay_plus**elapsed
        self._post *= self.decay_minus**elapsed
        pre, post = (_inside(fired, ends) for ends in (synapses.source, synapses.target))
        spiked_pre, spiked_post = (
            np.zeros(synapses.source[1], bool),
            np.zeros(self._post.size, bool),
        )
        spiked_pre[pre], spiked_post[post] = True, True
        which = np.flatnonzero(spiked_pre[synapses.pre] | spiked_post[synapses.post])
        s, t = synapses.pre[which], synapses.post[which]
        change = np.where(spiked_post[t], self.a_plus * self._pre[s], 0.0)
        change -= np.where(spiked_pre[s], self.a_minus * self._post[t], 0.0)
        which, change = which[change != 0], change[change != 0]
        learned = np.clip(self.weights[which] + change, 0, self.highest)
        self.weights[which] = learned
        synapses.change(network, which, np.floor(learned + 0.5).astype(np.uint8))
        self._pre[pre] += 1
        self._post[post] += 1


def _inside(fired: Ids, ends: tuple[int, int]) -> NDArray[np.int64]:
    """Those that fired in a range, as offsets from its first."""
    low, high = np.searchsorted(fired, [ends[0], sum(ends)])
    return fired[low:high].astype(np.int64) - ends[0]
