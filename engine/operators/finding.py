"""Finding: Near, Named, All. What a query usually starts with."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..query import Operator
from ..selection import Selection, as_rows
from ..snapshot import Key, Snapshot


@dataclass(frozen=True)
class Near(Operator[Snapshot]):
    """The k concepts of the selection whose vectors are nearest to the question.

    Scores: cosine in [-1, 1], inner product, or minus the squared distance, by the store's metric.
    recall: share of the true neighbours to find, as measured on the store's own vectors when its
    index was written.  ef: the index's beam width instead; exact=True scans all rows.  Always
    min(k, concepts with a vector) rows, however few the selection leaves.
    Source: Malkov and Yashunin 2018 (the index).
    """

    k: int = 10
    recall: float = 0.95
    ef: int | None = None
    exact: bool = False

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        return view.nearest(
            selection,
            k=self.k,
            ef=self.ef,
            recall=self.recall,
            exact=self.exact,
            allowed=selection.bitmap(view.head.next_node),
            operator=repr(self),
        )


@dataclass(frozen=True, init=False)
class Named(Operator[Snapshot]):
    """The concepts of the selection with one of these ids (or node numbers, names or aliases).

    Scores: 1.  An id wins over a name; a key that is neither raises NotFoundError.
    """

    ids: tuple[Key, ...]

    def __init__(self, *ids: Any):
        flat = ids[0] if len(ids) == 1 and isinstance(ids[0], list | tuple) else ids
        object.__setattr__(self, "ids", tuple(flat))

    @classmethod
    def build(cls, parameters: dict[str, Any]) -> "Operator[Any]":
        return cls(*parameters["ids"])

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        nodes: list[int] = []
        for key in self.ids:
            named = view.named(key) if isinstance(key, str) and key not in view else []
            nodes.extend([concept.node for concept in named] or [view.get(key).node])
        found = np.unique(np.array(nodes, dtype=np.uint64))
        rows = as_rows(selection, found)
        if not selection.is_everything:
            found, rows = found[rows >= 0], rows[rows >= 0]
        return selection.derive(repr(self), found, np.ones(len(found), dtype=np.float32), rows)


@dataclass(frozen=True)
class All(Operator[Snapshot]):
    """The whole selection, read: at the start of a query, every concept.

    Scores: as they were; 0 at the start.
    """

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        if selection.is_everything:
            return selection.derive(repr(self), selection.ids, selection.scores)
        return selection.take(repr(self), np.arange(len(selection)))
