"""Selection: a column of concepts with scores, and where each row came from.

Columnar: `ids` are node numbers, `scores` go down, equal scores by node number. Provenance too: a
Selection knows the Selection it was made from, and for every row the row there that it came from;
`trail` walks that chain only when somebody asks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from . import bitmaps, views
from .errors import ClosedError, InvalidError
from .layout import decode
from .records import Concept
from .rows import Hop, Row

DETACHED_ROWS_MAX = 10_000
"""Up to so many rows keep their concepts when the snapshot that they came from has ended."""

Nodes = NDArray[np.uint64]
Float32 = NDArray[np.float32]
U8 = np.dtype(np.uint64)  # A type would be made a dtype again for every selection.
F4 = np.dtype(np.float32)


class Reader(Protocol):
    """What a Selection needs of a snapshot."""

    def records(self, nodes: Sequence[int] | Nodes) -> list[Concept]: ...

    def unread(self, nodes: Sequence[int]) -> list[bytes | Concept]: ...

    def all_nodes(self) -> Nodes: ...


@dataclass(frozen=True, slots=True)
class Question:
    """What a query is about: a text, a vector (d,), both or neither."""

    text: str | None = None
    vector: Float32 | None = None


class Step(NamedTuple):
    """How a Selection was made: by which operator, from what, at which cost."""

    operator: str
    source: "Selection | None"
    parents: NDArray[np.int64] | None  # Row of `source` that each came from, -1 or None for none.
    cost: Mapping[str, int]
    seconds: float = 0.0
    partial: bool = False
    inputs: tuple["Selection", ...] = ()  # Selections of sub-queries.
    scale: tuple[float, float] | None = None  # See Selection.scale.


class Selection:
    """Concepts with scores, best first.

    ids (n,) uint64 node numbers, unique; scores (n,) float32, finite, going down; columns: further
    arrays of n by name. All are read-only. A selection of everything, where a query starts, reads
    its nodes when asked.
    """

    __slots__ = (
        "__weakref__", "_bitmap", "_ids", "_kept", "_reader", "_scores", "columns", "question",
        "step",
    )  # fmt: skip

    def __init__(
        self,
        reader: Reader,
        ids: Nodes | None,
        scores: Float32 | None = None,
        *,
        question: Question | None = None,
        columns: Mapping[str, NDArray[Any]] | None = None,
        step: Step | None = None,
    ):
        self._reader: Reader | None = reader
        self._ids = None if ids is None else _frozen(ids, U8)
        self._scores = None if scores is None else _frozen(scores, F4)
        self.columns: dict[str, NDArray[Any]] = {}
        if columns:
            self.columns = {name: _frozen(np.asarray(x)) for name, x in columns.items()}
        self.question = question or Question()
        self.step = step
        self._kept: dict[int, bytes | Concept] = {}  # Hot records are decoded when asked for.
        self._bitmap: bitmaps.Bitmap | None = None

    @classmethod
    def everything(cls, reader: Reader, question: Question | None = None) -> Self:
        """All concepts, score 0, read only when asked: where a query starts."""
        return cls(reader, None, question=question)

    @property
    def is_everything(self) -> bool:
        """Whether this is the unread selection of all concepts."""
        return self._ids is None

    @property
    def ids(self) -> Nodes:
        """Node numbers, (n,)."""
        if self._ids is None:
            self._ids = _frozen(self._open_reader().all_nodes())
        return self._ids

    @property
    def scores(self) -> Float32:
        """Scores, (n,), going down; what they mean is the operator's to say."""
        if self._scores is None:
            self._scores = _frozen(np.zeros(len(self.ids), dtype=np.float32))
        return self._scores

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Row]:
        return (Row(self, i) for i in range(len(self)))

    def __getitem__(self, row: int) -> Row:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of a selection of {len(self)}")
        return Row(self, row % len(self))

    def __repr__(self) -> str:
        if self.is_everything:
            return "Selection(everything)"
        best = f", best {float(self.scores[0]):.3f}" if len(self) else ""
        return f"Selection({len(self)} rows{best})"

    # Making the next one; for operators.

    def derive(
        self,
        operator: str,
        ids: Nodes,
        scores: Float32,
        parents: NDArray[np.int64] | None = None,
        *,
        columns: Mapping[str, NDArray[Any]] | None = None,
        cost: Mapping[str, int] | None = None,
        partial: bool = False,
        inputs: tuple["Selection", ...] = (),
        scale: tuple[float, float] | None = None,
        in_order: bool = False,
        bitmap: bitmaps.Bitmap | None = None,
    ) -> "Selection":
        """A Selection of the same question made from this one, sorted as all are.

        parents (n,): the row here that each row came from, -1 (and None) for none.
        in_order: the rows are sorted already.  bitmap: of the ids, where it is known.
        """
        if not in_order:
            order = np.lexsort((ids, -scores.astype(np.float64)))
            ids, scores = ids[order], scores[order]
            parents = None if parents is None else parents[order]
            columns = {name: np.asarray(x)[order] for name, x in (columns or {}).items()}
        step = Step(operator, self, parents, cost or {}, 0.0, partial, inputs, scale)
        question, reader = self.question, self._open_reader()
        made = Selection(reader, ids, scores, question=question, columns=columns, step=step)
        made._bitmap = bitmap
        return made

    def take(self, operator: str, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Selection":
        """The given rows of this one, with their scores and columns."""
        picked = np.arange(len(self), dtype=np.int64)[rows]
        columns = {name: column[picked] for name, column in self.columns.items()}
        ids, scores = self.ids[picked], self.scores[picked]
        return self.derive(operator, ids, scores, picked, columns=columns, scale=self.scale)

    @property
    def scale(self) -> tuple[float, float] | None:
        """What a concept that is not here scores at most, and any at most; None: not known."""
        return None if self.step is None else self.step.scale

    def bitmap(self, size: int) -> bitmaps.Bitmap | None:
        """The nodes as a bitmap over [0, size), made once; None for the selection of everything."""
        if self.is_everything:
            return None
        if self._bitmap is None or len(self._bitmap) != (size + 63) // 64:
            self._bitmap = bitmaps.of_nodes(self.ids, size)
        return self._bitmap

    def timed(self, seconds: float) -> "Selection":
        """The same with the time that making it took."""
        if self.step is not None:
            operator, source, parents, cost, _, partial, inputs, scale = self.step
            self.step = Step(operator, source, parents, cost, seconds, partial, inputs, scale)
        return self

    # Reading.

    def concepts(self) -> list[Concept]:
        """The concept of every row, in order."""
        if not self._kept and len(self):
            return self._open_reader().records(self.ids)
        return [self.concept(row) for row in range(len(self))]

    @property
    def names(self) -> list[str]:
        """For every row its name, or its id where it has none."""
        return [concept.name or concept.id for concept in self.concepts()]

    def trail(self, row: int) -> list[Hop]:
        """Where a row came from: one Hop per operator that brought it here, first to last."""
        hops: list[Hop] = []
        at: Selection | None = self
        while at is not None and at.step is not None and row >= 0:
            columns = {name: column[row].item() for name, column in at.columns.items()}
            id = at.concept(row).id
            hops.append(Hop(at.step.operator, id, float(at.scores[row]), columns))
            row = -1 if at.step.parents is None else int(at.step.parents[row])
            at = at.step.source
        return hops[::-1]

    def steps(self) -> list[Step]:
        """The steps that made this selection, first to last."""
        found: list[Step] = []
        at: Selection | None = self
        while at is not None and at.step is not None:
            found.append(at.step)
            at = at.step.source
        return found[::-1]

    @property
    def partial(self) -> bool:
        """Whether a budget stopped any step."""
        return any(step.partial for step in self.steps())

    def explain(self) -> str:
        """The plan as it ran: per step the rows, milliseconds and counted cost."""
        lines = views.told(self, None, "")
        return "\n".join(line.rstrip() for line in lines) or "(everything; nothing has run)"

    def chain(self) -> list["Selection"]:
        """What each step made, first to last; this one is the last."""
        chain: list[Selection] = []
        at: Selection | None = self
        while at is not None and at.step is not None:
            chain.append(at)
            at = at.step.source
        return chain[::-1]

    def reached(self) -> list["Selection"]:
        """This one, what it was made from, and what sub-queries gave."""
        found: list[Selection] = []
        waiting: list[Selection | None] = [self]
        while waiting:
            made = waiting.pop()
            if made is not None:
                found.append(made)
                waiting += () if made.step is None else (made.step.source, *made.step.inputs)
        return found

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns as lists: id, score, text, name and the operators' own."""
        return {
            name: column if isinstance(column, list) else column.tolist()
            for name, column in views.columns(self).items()
        }

    def to_arrow(self) -> Any:
        """A pyarrow.Table: id, score, name, text and the operators' own; wants pyarrow."""
        return views.arrow(self)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame of the same columns; wants pandas."""
        return views.frame(self)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """What polars, DuckDB and other readers of Arrow's C stream take; wants pyarrow."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def detach(self) -> Self:
        """Keep the concepts of all rows and their trails, so that they outlive the snapshot."""
        if len(self) <= DETACHED_ROWS_MAX:
            self._keep(self.ids, self._kept)
            at: Selection = self
            rows = np.arange(len(self), dtype=np.int64)
            while (step := at.step) and step.source is not None and step.parents is not None:
                parents = step.parents[rows]
                at, rows = step.source, np.unique(parents[parents >= 0])
                if len(rows):  # Else a start of everything would be read just to keep nothing.
                    at._keep(at.ids[rows], self._kept)
        for made in self.reached():
            made._reader = None
        return self

    def _keep(self, nodes: Nodes, known: dict[int, bytes | Concept]) -> None:
        numbers = nodes.tolist()
        if missing := [node for node in numbers if node not in known]:
            known.update(zip(missing, self._open_reader().unread(missing), strict=True))
        if known is not self._kept:
            self._kept.update((node, known[node]) for node in numbers)

    def concept(self, row: int) -> Concept:
        """The concept of a row."""
        node = self.ids.item(row)
        return self._of_kept(node) or self._open_reader().records((node,))[0]

    def _of_kept(self, node: int) -> Concept | None:
        found = self._kept.get(node)
        if type(found) is bytes:
            found = self._kept[node] = decode(node, found)
        return cast("Concept | None", found)

    def _open_reader(self) -> Reader:
        if self._reader is None:
            raise ClosedError(
                "the snapshot of this selection has ended, and it is an earlier step or has over "
                f"{DETACHED_ROWS_MAX} rows; run the query inside `with store.snapshot()`"
            )
        return self._reader

    def _repr_html_(self) -> str:
        return views.table(self)


def require_question(question: Question, what: str) -> None:
    """InvalidError where an operator that needs a question has none."""
    if question.text is None and question.vector is None:
        raise InvalidError(f"{what} wants a question; pass about=... with a text or a vector")


def as_rows(selection: Selection, nodes: Nodes) -> NDArray[np.int64]:
    """For each node its row in the selection; -1 for none, and in a selection of everything."""
    if selection.is_everything or len(selection) == 0:
        return np.full(len(nodes), -1, dtype=np.int64)
    ids = selection.ids
    ascends = bool((ids[1:] > ids[:-1]).all())  # What a filter hands on: nothing to sort.
    order = None if ascends else np.argsort(ids, kind="stable")
    rows = np.minimum(np.searchsorted(ids, nodes, sorter=order), len(ids) - 1)
    if order is not None:
        rows = order[rows]
    return np.where(ids[rows] == nodes, rows, -1).astype(np.int64)


def _frozen(array: NDArray[Any], dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """The array read-only, and of a dtype: itself where it is, so that nothing is made for it."""
    if not array.flags.writeable and array.dtype == (dtype or array.dtype):
        return array
    view = np.asarray(array, dtype).view()
    view.flags.writeable = False
    return view
