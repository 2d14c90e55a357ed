"""Judgement: gates, calibration, trust in sources, facts that cannot all hold. Pure functions."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidError

Ints = NDArray[np.int64]

DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What an answer needs: a lower bound, disjoint paths, and evidence no older than so many days.

    belief and disjoint: passing a higher one implies passing every lower one; age the other way.
    """

    belief: float = 0.5
    disjoint: int = 1
    age_days: float | None = None

    def reasons(self, belief: float, disjoint: int, age_ns: int = 0) -> list[str]:
        """Why to abstain; empty: the answer passes. Without any path it never does."""
        found = []
        if disjoint < 1:
            found.append("no evidence: no path supports it")
        elif disjoint < self.disjoint:
            found.append(f"want {self.disjoint} disjoint paths, got {disjoint}")
        if belief < self.belief:
            found.append(f"want a belief of at least {self.belief:.3f}, got {belief:.3f}")
        if self.age_days is not None and age_ns > self.age_days * DAY_NS:
            found.append(
                f"want evidence of {self.age_days:g} days at most, got {age_ns / DAY_NS:.1f}"
            )
        return found


def isotonic(scores: Sequence[float], outcomes: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """The rising map from scores to outcomes with the least squared error, as (score, value).

    Scores between two points get the value of the lower one's step.
    Source: pool adjacent violators, Ayer et al. 1955.
    """
    if len(scores) != len(outcomes) or not scores:
        raise InvalidError(f"want n >= 1 scores and outcomes, got {len(scores)}, {len(outcomes)}")
    sums: dict[float, list[float]] = defaultdict(list)
    for score, outcome in zip(scores, outcomes, strict=True):
        sums[float(score)].append(float(outcome))
    blocks: list[tuple[float, float, int]] = []  # First score, sum, count.
    for score in sorted(sums):
        block = score, math.fsum(sums[score]), len(sums[score])
        while blocks and blocks[-1][1] * block[2] >= block[1] * blocks[-1][2]:
            first, total, count = blocks.pop()
            block = first, total + block[1], count + block[2]
        blocks.append(block)
    return tuple((first, total / count) for first, total, count in blocks)


def mapped(points: Sequence[tuple[float, float]], score: float) -> float:
    """The value of a map at a score; below its first point, that point's."""
    value = points[0][1]
    for at, then in points:
        if at > score:
            break
        value = then
    return value


class Trust(NamedTuple):
    """How reliable a source is: the mean of Beta(1 + right, 1 + wrong), and its 5 % quantile."""

    mean: float
    low: float


def trust(right: int, wrong: int) -> Trust:
    """Trust in a source after so many right and wrong statements; 0.5 without any."""
    if right < 0 or wrong < 0:
        raise InvalidError(f"want counts >= 0, got {right} and {wrong}")
    a, b = right + 1, wrong + 1
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_below(middle, a, b) < 0.05 else (low, middle)
    return Trust(a / (a + b), low)


def beta_below(x: float, a: int, b: int) -> float:
    """P(Beta(a, b) <= x) for whole a and b: a or more heads in a + b - 1 coins of chance x."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    n = a + b - 1
    logs = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1)
        + i * math.log(x) + (n - i) * math.log1p(-x)
        for i in range(a, n + 1)
    )  # fmt: skip
    return min(math.fsum(map(math.exp, logs)), 1.0)


@dataclass(frozen=True, slots=True)
class Declared:
    """What types of associations promise.

    functional: one target per source (born_in).  inverse: one source per target (capital_of).
    antisymmetric: never both ways (part_of).  exclusive: pairs that never hold together.
    transitive: chains of it hold too.
    """

    functional: tuple[str, ...] = ()
    inverse: tuple[str, ...] = ()
    antisymmetric: tuple[str, ...] = ()
    exclusive: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()


class Triple(NamedTuple):
    """A typed fact with its validity [since, until); None is open."""

    source: int
    type: str
    target: int
    since: int | None = None
    until: int | None = None


class Conflict(NamedTuple):
    """Two facts that cannot both hold, and the promise that one of them breaks."""

    kind: str
    first: Triple
    second: Triple


def overlapping(a: Triple, b: Triple) -> bool:
    """Whether there is a moment at which both are valid."""
    return (a.since is None or b.until is None or a.since < b.until) and (
        b.since is None or a.until is None or b.since < a.until
    )


def conflicts(facts: Iterable[Triple], declared: Declared) -> list[Conflict]:
    """All pairs of facts that cannot both hold, each once, by promise and then by the facts.

    Cost: sorting the facts, and the pairs that share a key of a promise.
    """
    known = sorted(set(facts), key=lambda x: x[:3])
    numbers = {name: number for number, name in enumerate(sorted({x.type for x in known}))}
    columns = (
        np.array([x.source for x in known], np.int64),
        np.array([numbers[x.type] for x in known], np.int64),
        np.array([x.target for x in known], np.int64),
    )
    return [
        Conflict(kind, known[first], known[second])
        for kind, first, second in rivals(*columns, numbers, declared)
        if overlapping(known[first], known[second])
    ]


def rivals(
    source: Ints, type: Ints, target: Ints, numbers: Mapping[str, int], declared: Declared
) -> list[tuple[str, int, int]]:
    """(promise, position, position) of facts that cannot both hold if they are valid at once.

    source, type, target (n,): facts, each once; the first of a pair stands first.
    numbers: the number of every type by name.
    """
    found: list[tuple[str, int, int]] = []
    for kind, names, end in (
        ("functional", declared.functional, source),
        ("inverse", declared.inverse, target),
    ):
        rows = np.flatnonzero(np.isin(type, _numbers(names, numbers)))
        found += [(kind, *pair) for pair in _sharing(rows, type, end)]
    nodes, flat = np.unique(np.concatenate([source, target]), return_inverse=True)
    tail, head = flat[: len(source)], flat[len(source) :]
    keys = (type * len(nodes) + tail) * len(nodes) + head
    order = np.argsort(keys)

    def meeting(kind: str, rows: Ints, wanted: Ints) -> None:
        at = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        there = order[at] if len(keys) else at
        same = keys[there] == wanted
        pairs = zip(rows[same].tolist(), there[same].tolist(), strict=True)
        found.extend((kind, first, second) for first, second in pairs)

    once = np.isin(type, _numbers(declared.antisymmetric, numbers)) & (tail < head)
    rows = np.flatnonzero(once)
    meeting("antisymmetric", rows, (type[rows] * len(nodes) + head[rows]) * len(nodes) + tail[rows])
    for one, other in declared.exclusive:
        rows = np.flatnonzero(type == numbers.get(one, -1))
        if other in numbers:
            wanted = (numbers[other] * len(nodes) + tail[rows]) * len(nodes) + head[rows]
            meeting("exclusive", rows, wanted)
    return found


def _numbers(names: Iterable[str], numbers: Mapping[str, int]) -> list[int]:
    return [numbers[name] for name in names if name in numbers]


def _sharing(rows: Ints, type: Ints, end: Ints) -> list[tuple[int, int]]:
    """All pairs of the rows of one type and end, by position."""
    ordered = rows[np.lexsort((rows, end[rows], type[rows]))]
    found: list[tuple[int, int]] = []
    first = np.arange(len(ordered))
    for away in range(1, len(ordered)):  # As many rounds as the largest group has facts.
        first = first[first + away < len(ordered)]
        a, b = ordered[first], ordered[first + away]
        same = (type[a] == type[b]) & (end[a] == end[b])
        if not same.any():
            break
        first = first[same]
        found += zip(a[same].tolist(), b[same].tolist(), strict=True)
    return sorted(found)
