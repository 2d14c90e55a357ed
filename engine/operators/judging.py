"""Judging: Consensus, Gate, Trust, Calibrated. From bounds to what may be said."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .. import belief, evidence
from ..belief import Bounds
from ..bounding import Bounding
from ..errors import InvalidError
from ..facts import Network
from ..judgement import Thresholds, mapped, trust
from ..query import Operator
from ..selection import Selection
from ..snapshot import Key, Snapshot


@dataclass(frozen=True)
class Consensus(Bounding, Operator[Snapshot]):
    """The rows as rival answers, by the independent evidence that leads from each to all of `to`.

    Evidence is the set of associations on the way, each counted once however many paths use it.
    Scores: a lower bound of the probability that they lead there, in [0, 1].  Columns: those of the
    rows, `independent` (paths that share no association), `agreed` (whether two or more do: one
    path is no consensus).  types, hops, direction, cases, improve: as for Believe.
    """

    to: tuple[Key, ...] = ()
    hops: int = evidence.HOPS
    types: tuple[str, ...] | None = None
    direction: str = "both"
    cases: int = belief.CASES

    def _answer(
        self, selection: Selection, nets: Sequence[Network], limits: Sequence[Bounds]
    ) -> Selection:
        n = len(selection)
        scores, paths = np.zeros(n, np.float32), np.zeros(n, np.int64)
        for row, (net, bounds) in enumerate(zip(nets, limits, strict=True)):
            scores[row] = bounds.lower
            paths[row] = len(belief.disjoint_chains(net))
        columns = {**selection.columns, "independent": paths, "agreed": paths >= 2}
        rows = np.arange(n, dtype=np.int64)
        return selection.derive(
            repr(self),
            selection.ids,
            scores,
            rows,
            columns=columns,
            cost={"facts": sum(len(net.facts) for net in nets)},
            partial=any(net.partial for net in nets),
        )


@dataclass(frozen=True)
class Gate(Operator[Snapshot]):
    """The rows that may be said; the others are left out, which is to abstain.

    A row passes with a score of at least `belief`, at least `disjoint` paths that share no
    association (columns `paths` or `independent`, as Believe and Consensus give them; without such
    a column there is no evidence) and a concept that changed at most `age_days` before the view's
    last commit.  Scores: as they were.
    """

    belief: float = 0.5
    disjoint: int = 1
    age_days: float | None = None

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        limits = Thresholds(self.belief, self.disjoint, self.age_days)
        none = np.zeros(len(selection), np.int64)
        paths = selection.columns.get("paths", selection.columns.get("independent", none))
        ages = none
        if self.age_days is not None:
            changed = [max(x.created_ns, x.updated_ns) for x in selection.concepts()]
            ages = view.moment - np.array(changed, np.int64)
        passing = [
            not limits.reasons(float(score), int(count), int(age))
            for score, count, age in zip(selection.scores, paths, ages, strict=True)
        ]
        return selection.take(repr(self), np.array(passing, np.bool_))


@dataclass(frozen=True)
class Trust(Operator[Snapshot]):
    """The rows, each believed as far as its source is.

    outcomes: (source, how often it was right, how often wrong), in any order; more of one source
    add up.  Scores: as they were, times the mean of Beta(1 + right, 1 + wrong), 0.5 for a source
    without outcomes.  Columns: those of the rows, `trust` (that mean), `trust_low` (5 % bound).
    """

    outcomes: tuple[tuple[str, int, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "outcomes", tuple((s, r, w) for s, r, w in self.outcomes))

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        sums: dict[str | None, tuple[int, int]] = {}
        for source, right, wrong in self.outcomes:
            before = sums.get(source, (0, 0))
            sums[source] = before[0] + right, before[1] + wrong
        known = {source: trust(*counts) for source, counts in sums.items()}
        unknown = trust(0, 0)
        found = [known.get(concept.source, unknown) for concept in selection.concepts()]
        means = np.array([x.mean for x in found], np.float64)
        return selection.derive(
            repr(self),
            selection.ids,
            (selection.scores * means).astype(np.float32),
            np.arange(len(selection), dtype=np.int64),
            columns={
                **selection.columns,
                "trust": means,
                "trust_low": np.array([x.low for x in found], np.float64),
            },
        )


@dataclass(frozen=True)
class Calibrated(Operator[Snapshot]):
    """The rows, by what scores like theirs turned out to be worth.

    points: (score, value), both rising, as `quillian.judgement.isotonic` learns them from labelled
    outcomes.  version: whatever says which.  Scores: the value of the last point at or below the
    row's score.  Columns: those of the rows, `raw` (the score before).
    """

    points: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0))
    version: str = ""

    def __post_init__(self) -> None:
        points = tuple((x, y) for x, y in self.points)
        rising = all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(points))
        if not points or not rising:
            raise InvalidError(f"want points with rising scores and values, got {points}")
        object.__setattr__(self, "points", points)

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        values = [mapped(self.points, float(score)) for score in selection.scores]
        return selection.derive(
            repr(self),
            selection.ids,
            np.array(values, np.float32),
            np.arange(len(selection), dtype=np.int64),
            columns={**selection.columns, "raw": selection.scores},
        )
