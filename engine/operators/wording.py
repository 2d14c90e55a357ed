"""Wording: Words, the concepts whose words are those of the question."""

from dataclasses import dataclass

import numpy as np

from ..errors import InvalidError
from ..nearness import is_count
from ..query import Operator
from ..selection import Selection, as_rows
from ..snapshot import Snapshot
from ..text import Bm25


@dataclass(frozen=True)
class Words(Operator[Snapshot]):
    """The k concepts of the selection that fit the words of the question's text best.

    A concept has the words of its name, its aliases and its text.  Scores: BM25 with Lucene's idf,
    above 0, by the statistics of the whole snapshot: a filter in front changes no score.
    mode: "any" of the words, "all" of them (an unknown one makes it empty), or "phrase": side by
    side, in a store made with phrases=True.
    Source: Robertson and Zaragoza 2009.
    """

    k: int = 10
    mode: str = "any"
    k1: float = 1.2
    b: float = 0.75

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        text = selection.question.text
        if text is None:
            raise InvalidError("Words wants a question with a text; pass about=... with one")
        if not is_count(self.k):
            raise InvalidError(f"want an integer k >= 1, got {self.k!r}")
        words = view.words
        found = words.search(
            words.words(text),
            self.k,
            mode=self.mode,
            allowed=selection.bitmap(view.head.next_node),
            parameters=Bm25(self.k1, self.b),
        )
        ids = found.nodes.astype(np.uint64)
        rows = None if selection.is_everything else as_rows(selection, ids)
        least = float(found.scores[-1]) if len(ids) == self.k else 0.0
        scale = (least, found.ceiling)
        return selection.derive(
            repr(self), ids, found.scores, rows, cost=found.cost, scale=scale, in_order=True
        )
