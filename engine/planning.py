"""Planning: the queries that `search` and `ask` run, and the questions that they ask."""

from typing import Any

from .errors import InvalidError
from .filters import Condition
from .nearness import is_count
from .operators import All, Fuse, Near, Recall, Spread, Top, Where, Words
from .query import Operator, Query
from .selection import Question
from .snapshot import Snapshot

FUSED_ROWS = 100  # Rows of each part that a fused search looks at.
SPREAD_FROM = 3  # Its best rows, from which a search follows associations.
SPREAD = Spread(0.3, 1e-3, direction="both", stays=True)


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
    depth = max(k, FUSED_ROWS)
    has_vector = question.vector is not None or (view.has_embedder and question.text is not None)
    if method not in (None, "vectors", "words"):
        raise InvalidError(f'want method "vectors", "words" or None, got {method!r}')
    start = () if where is None else (Where(where),)
    if method == "vectors" or (method is None and question.text is None):
        return Query(*start, Near(k))
    if method == "words" or not has_vector or view.head.vectors == 0:
        return Query(*start, Words(k))
    steps: list[Operator[Snapshot]] = [
        *start,
        Fuse(Near(depth), Words(depth), method="share", weights=(0.5, 0.5)),
    ]
    if spread and view.head.associations:
        walk = Query(Top(SPREAD_FROM), SPREAD, *start)
        steps.append(Fuse(All(), walk, method="linear", weights=(0.5, 0.5)))
    return Query(*steps, Top(k))


def asking(view: Snapshot, question: Question, k: int) -> Query[Snapshot]:
    """Search, deep enough for Recall, which walks by itself, to start from."""
    _check(question, k)
    search = plan_of(view, question, max(k, FUSED_ROWS), spread=False)
    return Query(*search.operators, Recall(k))


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
