"""Varying: Distinct and Diverse. They keep rows that differ from each other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import filters
from ..errors import InvalidError
from ..query import Operator
from ..records import Concept
from ..selection import Selection
from ..snapshot import Snapshot

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Distinct(Operator[Snapshot]):
    """Of all rows with the same value of a field the best one; rows without one are all kept.

    by: a concept's own field ("text", "source", "kind", ...) or one of its metadata ("pop",
    "data.place.country").  Scores: as they were.
    """

    by: str = "text"

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        value_of = filters.getter(self.by)
        seen: set[str] = set()
        rows = []
        for row, concept in enumerate(selection.concepts()):
            value = value_of(concept)
            if value is None or (key := _key(value)) not in seen:
                rows.append(row)
            if value is not None:
                seen.add(key)
        return _pick(repr(self), selection, np.array(rows, np.int64))


@dataclass(frozen=True)
class Diverse(Operator[Snapshot]):
    """The k rows that are good and unlike each other: maximal marginal relevance.

    Rows are taken one by one, each time the one with the most of balance * score - (1 - balance) *
    (its largest cosine with a row taken before), scores scaled to [0, 1] over the selection, ties
    by node.  Concepts without a vector are like nothing.  Scores: as they were.
    Column taken: the place at which a row was taken, from 1.  Cost: O(k n d).
    Source: Carbonell and Goldstein 1998.
    """

    k: int = 10
    balance: float = 0.5

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        if self.k < 0 or not 0 <= self.balance <= 1:
            raise InvalidError(
                f"want k >= 0 and balance in [0, 1], got {self.k} and {self.balance}"
            )
        n = len(selection)
        directions = _directions(view, selection.concepts())
        scores = selection.scores.astype(np.float64)
        spread = float(scores[0] - scores[-1]) if n else 0.0
        relevance = (scores - scores[-1]) / spread if spread else np.ones(n)
        likeness = np.zeros(n)
        free = np.ones(n, np.bool_)
        taken: list[int] = []
        for _ in range(min(self.k, n)):
            gain = self.balance * relevance - (1 - self.balance) * likeness
            gain[~free] = -np.inf
            ties = np.flatnonzero(gain == gain.max())
            best = int(ties[np.argmin(selection.ids[ties])])
            free[best] = False
            cosines = directions @ directions[best]
            likeness = cosines if not taken else np.maximum(likeness, cosines)
            taken.append(best)
        rows = np.array(taken, np.int64)
        places = {"taken": np.arange(1, len(rows) + 1, dtype=np.uint32)}
        return _pick(repr(self), selection, rows, places)


def _key(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def _directions(view: Snapshot, concepts: list[Concept]) -> Float64:
    """Unit vectors of the rows, zeros for concepts without one, (n, d)."""
    having = [row for row, concept in enumerate(concepts) if concept.slots]
    if not having:
        return np.zeros((len(concepts), 1))
    vectors = view.vectors([concepts[row].node for row in having]).astype(np.float64)
    found = np.zeros((len(concepts), vectors.shape[1]))
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    found[having] = vectors / np.where(norms > 0, norms, 1)
    return found


def _pick(
    operator: str,
    selection: Selection,
    rows: NDArray[np.int64],
    columns: dict[str, NDArray[Any]] | None = None,
) -> Selection:
    kept = {name: column[rows] for name, column in selection.columns.items()}
    parents = np.full(len(rows), -1, np.int64) if selection.is_everything else rows
    return selection.derive(
        operator,
        selection.ids[rows],
        selection.scores[rows],
        parents,
        columns=kept | (columns or {}),
    )
