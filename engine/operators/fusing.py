"""Fusing: Fuse, Intersect, Subtract. They run sub-queries on the same view and selection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from ..query import Operator
from ..selection import Nodes, Selection, as_rows
from ..snapshot import Snapshot

METHODS = ("rrf", "linear", "share")


@dataclass(frozen=True, init=False)
class Fuse(Operator[Snapshot]):
    """The union of what several queries find, scored by all of them together.

    method "rrf": sum of weight / (k + rank), ranks from 1 (Cormack, Clarke and Buettcher 2009).
    "linear": sum of weight * (score - missing) / (best - missing), missing being what a concept
    that the query did not find scores at most: the least score found, or 0 where nothing was cut
    off; 1 where best and missing are equal.  "share": sum of weight * (score - missing) / (best
    score there can be), which is 1 for cosines, and for words what endless repetition of them would
    score; "linear" where a query does not know these.  So a query that knows little of the question
    has little say.  What a query did not find adds nothing.
    weights: one per query, all 1 when left out.  Columns rank_1, rank_2, ...: the rank in each
    query, 0 where it did not find the row.
    """

    queries: tuple[Operator[Snapshot], ...]
    method: str = "rrf"
    k: int = 60
    weights: tuple[float, ...] | None = None

    def __init__(
        self,
        *queries: Operator[Snapshot],
        method: str = "rrf",
        k: int = 60,
        weights: Sequence[float] | None = None,
    ):
        object.__setattr__(self, "queries", queries)
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "weights", None if weights is None else tuple(weights))

    @classmethod
    def build(cls, parameters: dict[str, Any]) -> "Operator[Any]":
        queries = parameters.pop("queries")
        return cls(*queries, **parameters)

    def _scores(self, leg: Selection, shares: bool) -> NDArray[np.float64]:
        if self.method == "rrf":
            return 1.0 / (self.k + 1 + np.arange(len(leg)))
        scores = leg.scores.astype(np.float64)
        if len(leg) == 0:
            return scores
        missing, most = leg.scale or (float(scores[-1]), 0.0)
        if not shares:
            most = float(scores[0]) - missing
        return np.maximum(scores - missing, 0) / most if most > 0 else np.ones(len(leg))

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        weights = self.weights or (1.0,) * len(self.queries)
        if self.method not in METHODS:
            raise InvalidError(f"want method {' | '.join(METHODS)}, got {self.method!r}")
        if len(weights) != len(self.queries) or not all(0 <= w < np.inf for w in weights):
            raise InvalidError(f"want {len(self.queries)} weights >= 0, got {self.weights}")
        if self.k < 0:
            raise InvalidError(f"want k >= 0, got {self.k}")
        legs = tuple(query(view, selection) for query in self.queries)
        ids = _union(legs)
        shares = self.method == "share" and all(leg.scale is not None for leg in legs)
        scores = np.zeros(len(ids))
        columns = {}
        for number, (leg, weight) in enumerate(zip(legs, weights, strict=True), 1):
            rows = np.searchsorted(ids, leg.ids)
            scores[rows] += weight * self._scores(leg, shares)
            ranks = np.zeros(len(ids), np.uint32)
            ranks[rows] = np.arange(1, len(leg) + 1)
            columns[f"rank_{number}"] = ranks
        return selection.derive(
            repr(self),
            ids,
            scores.astype(np.float32),
            as_rows(selection, ids),
            columns=columns,
            cost=_cost(legs, selection),
            partial=any(leg.partial for leg in legs),
            inputs=legs,
            scale=(0.0, sum(weights)) if shares and sum(weights) > 0 else None,
        )


@dataclass(frozen=True, init=False)
class _Several(Operator[Snapshot]):
    """An operator whose only parameters are queries."""

    queries: tuple[Operator[Snapshot], ...]

    def __init__(self, *queries: Operator[Snapshot]):
        object.__setattr__(self, "queries", queries)

    @classmethod
    def build(cls, parameters: dict[str, Any]) -> "Operator[Any]":
        return cls(*parameters["queries"])


@dataclass(frozen=True, init=False)
class Intersect(_Several):
    """What every one of the queries finds. Scores: those of the first query."""

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        if not self.queries:
            raise InvalidError("Intersect wants at least one query, got none")
        legs = tuple(query(view, selection) for query in self.queries)
        kept = np.ones(len(legs[0]), np.bool_)
        for leg in legs[1:]:
            kept &= np.isin(legs[0].ids, leg.ids)
        ids = legs[0].ids[kept]
        return selection.derive(
            repr(self),
            ids,
            legs[0].scores[kept],
            as_rows(selection, ids),
            cost=_cost(legs, selection),
            partial=any(leg.partial for leg in legs),
            inputs=legs,
        )


@dataclass(frozen=True, init=False)
class Subtract(_Several):
    """The rows that none of the queries finds. Scores: as they were."""

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        legs = tuple(query(view, selection) for query in self.queries)
        rows = np.flatnonzero(~np.isin(selection.ids, _union(legs)))
        return selection.derive(
            repr(self),
            selection.ids[rows],
            selection.scores[rows],
            np.full(len(rows), -1, np.int64) if selection.is_everything else rows,
            columns={name: column[rows] for name, column in selection.columns.items()},
            cost=_cost(legs, selection),
            partial=any(leg.partial for leg in legs),
            inputs=legs,
        )


def _union(legs: Sequence[Selection]) -> Nodes:
    """The nodes of all, ascending."""
    return np.unique(np.concatenate([np.empty(0, np.uint64), *(leg.ids for leg in legs)]))


def _cost(legs: Sequence[Selection], start: Selection) -> dict[str, int]:
    """What all steps of all legs cost together, from `start` on."""
    before = len(start.steps())
    total: dict[str, int] = {}
    for leg in legs:
        for step in leg.steps()[before:]:
            for name, value in step.cost.items():
                total[name] = total.get(name, 0) + value
    return total
