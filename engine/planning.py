"""Planning: the queries that `search` and `ask` run, and the questions that they ask."""

from functools import lru_cache
from typing import Any

from . import operators
from .errors import InvalidError
from .filters import Condition
from .nearness import is_count
from .query import Operator, Query
from .selection import Question
from .snapshot import Snapshot

FUSED_ROWS = 100  # Rows of each part that a fused search looks at.
SPREAD_FROM = 3  # Its best rows, from which a search follows associations.


def plan_of(
    view: Snapshot,
    question: Question,
    k: int,
    where: Condition | None = None,
    method: str | None = None,
    *,
    spread: bool = True,
) -> Query[Snapshot]:
    """The plan of `search`: a query that may also be printed, kept and run by hand.

    Vectors and words are fused by what their scores are worth, cosines and shares of the words'
    weight; then half the say goes to a walk from the three best over associations either way, if
    there are any and `spread`.  Of what was tried this loses least to the better part wherever
    one is weak (bench/notes/retrieval.md).
    """
    _check(question, k)
    has_vector = question.vector is not None or (view.has_embedder and question.text is not None)
    if method not in (None, "vectors", "words"):
        raise InvalidError(f'want method "vectors", "words" or None, got {method!r}')
    if method == "vectors" or (method is None and question.text is None):
        method = "vectors"
    elif method == "words" or not has_vector or view.head.vectors == 0:
        method = "words"
    spread = spread and bool(view.head.associations)
    return _planned(k, method, spread) if where is None else _plan(k, method, spread, where)


def _plan(
    k: int, method: str | None, spread: bool, where: Condition | None = None
) -> Query[Snapshot]:
    start = () if where is None else (operators.Where(where),)
    if method == "vectors":
        return Query(*start, operators.Near(k))
    if method == "words":
        return Query(*start, operators.Words(k))
    depth = max(k, FUSED_ROWS)
    both = operators.Near(depth), operators.Words(depth)
    steps: list[Operator[Snapshot]] = [
        *start, operators.Fuse(*both, method="share", weights=(0.5, 0.5))
    ]  # fmt: skip
    if spread:
        follow = operators.Spread(0.3, 1e-3, direction="both", stays=True)
        walk = Query(operators.Top(SPREAD_FROM), follow, *start)
        steps.append(operators.Fuse(operators.All(), walk, method="linear", weights=(0.5, 0.5)))
    return Query(*steps, operators.Top(k))


_planned = lru_cache(maxsize=64, typed=True)(_plan)  # A plan is data: the same one for all.


def asking(view: Snapshot, question: Question, k: int) -> Query[Snapshot]:
    """Search, deep enough for Recall, which walks by itself, to start from."""
    _check(question, k)
    search = plan_of(view, question, max(k, FUSED_ROWS), spread=False)
    return Query(*search.operators, operators.Recall(k))


def _check(question: Question, k: object) -> None:
    if question.text is not None and not isinstance(question.text, str):
        raise InvalidError(f"want a text as str, or vector=..., got {question.text!r}")
    if not is_count(k):
        raise InvalidError(f"want an integer k >= 1, got {k!r}")


def question_of(about: Any) -> Question:
    """What a caller asks, as a Question."""
    if isinstance(about, Question):
        return about
    is_text = about is None or isinstance(about, str)
    return Question(text=about) if is_text else Question(vector=about)
