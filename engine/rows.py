"""Rows of a Selection, and the stations of the way on which each came there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import views
from .bindings.limits import NONE
from .errors import NotFoundError
from .records import Concept


class Table(Protocol):
    """What a Row needs of its Selection; that file imports this one."""

    columns: dict[str, NDArray[Any]]

    @property
    def ids(self) -> NDArray[np.uint64]: ...
    @property
    def scores(self) -> NDArray[np.float32]: ...
    def trail(self, row: int) -> Sequence["Hop"]: ...
    def concept(self, row: int) -> Concept: ...


@dataclass(frozen=True, slots=True)
class Hop:
    """One station of a row's trail: the operator, the concept there, its score and columns."""

    operator: str
    id: str
    score: float
    columns: Mapping[str, Any]

    def __str__(self) -> str:
        details = "".join(f", {name} {_short(value)}" for name, value in self.columns.items())
        return f"{self.operator}: {self.id} {self.score:.3f}{details}"


class Row:
    """One row of a Selection: `.id .node .score .text .name .data .why`, the concept itself, and
    what operators added: `row["hop"]` is the column's value.
    """

    __slots__ = ("_concept", "_selection", "index")

    def __init__(self, selection: Table, index: int):
        self._selection = selection
        self.index = index
        self._concept: Concept | None = None  # Read once, whichever of its fields are asked for.

    @property
    def concept(self) -> Concept:
        if self._concept is None:
            self._concept = self._selection.concept(self.index)
        return self._concept

    def __getitem__(self, column: str) -> Any:
        if column not in self._selection.columns:
            raise NotFoundError(
                f"no column {column!r}; known: {', '.join(self._selection.columns)}"
            )
        return self._selection.columns[column][self.index : self.index + 1].tolist()[0]

    @property
    def node(self) -> int:
        return int(self._selection.ids[self.index])

    @property
    def score(self) -> float:
        return float(self._selection.scores[self.index])

    @property
    def id(self) -> str:
        return self.concept.id

    @property
    def text(self) -> str | None:
        return self.concept.text

    @property
    def name(self) -> str | None:
        return self.concept.name

    @property
    def data(self) -> Mapping[str, Any]:
        return self.concept.data

    @property
    def why(self) -> str:
        """Where this row came from, in one line."""
        return "; ".join(map(str, self._selection.trail(self.index))) or "everything"

    def _repr_svg_(self) -> str:
        """Where this row came from, as a drawing."""
        return views.drawing(self._selection.trail(self.index))

    def __repr__(self) -> str:
        return f"Row(id={self.id!r}, score={self.score:.4f}, text={_short(self.text)!r})"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if value == NONE:
        return "-"
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
