"""Filtering: Where, Top, Above. They keep rows with their scores and columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import bitmaps, filters
from ..errors import InvalidError
from ..query import Operator
from ..selection import Selection
from ..snapshot import Snapshot


@dataclass(frozen=True, init=False)
class Where(Operator[Snapshot]):
    """The concepts that satisfy a condition on their fields and metadata.

    `Where({"pop": {"$gt": 2}})`, or `Where(kind="city")` for equality; see `quillian.filters`.
    Scores: as they were; 0 at the start of a query.
    """

    condition: Mapping[str, Any] = field(hash=False)

    def __init__(self, condition: Mapping[str, Any] | None = None, /, **fields: Any):
        if not isinstance(condition, Mapping | None):
            raise InvalidError(f"want a condition as a dictionary, got {condition!r}")
        object.__setattr__(self, "condition", {**(condition or {}), **fields})

    @classmethod
    def build(cls, parameters: dict[str, Any]) -> "Operator[Any]":
        return cls(parameters["condition"])

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        predicate = filters.compile(self.condition)
        if selection.is_everything:
            matching = view.matching(self.condition)
            nodes = bitmaps.to_nodes(matching)
            zeros = np.zeros(len(nodes), dtype=np.float32)
            return selection.derive(repr(self), nodes, zeros, in_order=True, bitmap=matching)
        known = view.matched(self.condition)
        if known is not None:
            return selection.take(repr(self), bitmaps.holds(known, selection.ids))
        kept = np.array([predicate(concept) for concept in selection.concepts()], dtype=np.bool_)
        return selection.take(repr(self), kept)


@dataclass(frozen=True)
class Top(Operator[Snapshot]):
    """The first k rows. Scores: as they were."""

    k: int = 10

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        if self.k < 0:
            raise InvalidError(f"want k >= 0, got {self.k}")
        return selection.take(repr(self), np.arange(min(self.k, len(selection))))


@dataclass(frozen=True)
class Above(Operator[Snapshot]):
    """The rows that score at least `score`. Scores: as they were."""

    score: float = 0.0

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        return selection.take(repr(self), selection.scores >= np.float32(self.score))
