"""Scores, exact nearest rows and hashes, for arrays that are in no store.

Scores are float32, higher is better, and the same bits on every instruction set and number of
threads: `dot`, `cosine` (0 for a zero norm) and `l2` (minus the squared distance).  Rows may be
float32, float16 or int8 and are read as they are; anything else is converted to float32 first.
NaN and infinities are refused.  `nearest` answers like a full scan; `matrix` prepares rows for many
such questions.  Hashing lives in `hashing`, patterns in `patterns`; their names are here too.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bindings.columns import floats_for_c, real_numbers
from .bindings.kernels import COSINE, DOT, L2, isa
from .bindings.matrix import TYPES
from .bindings.matrix import Matrix as CoreMatrix
from .bindings.topk import top
from .errors import InvalidError
from .hashing import (
    Deduped,
    dedupe,
    hash64,
    hash128,
    jump_hash,
    lsh,
    minhash,
    rolling_hash,
    similarity,
)
from .patterns import Found, PatternSet

Float32 = NDArray[np.float32]
Metric = Literal["dot", "cosine", "l2"]
METRICS: dict[str, int] = {"dot": DOT, "cosine": COSINE, "l2": L2}

__all__ = [
    "Deduped",
    "Found",
    "Matrix",
    "PatternSet",
    "Ranked",
    "cosine",
    "dedupe",
    "dot",
    "hash64",
    "hash128",
    "isa",
    "jump_hash",
    "l2",
    "lsh",
    "matrix",
    "minhash",
    "nearest",
    "normalize",
    "rolling_hash",
    "similarity",
    "top_k",
]


class Ranked(NamedTuple):
    """Numbers of rows (or of scores) and their scores, best first; ties by the smaller number."""

    rows: NDArray[np.intp]
    scores: Float32


def dot(queries: ArrayLike, rows: ArrayLike) -> Float32:
    """sum(q*r) of every query with every row.

    queries (d,) or (m, d), rows (n, d) -> (n,) or (m, n).  Error: below 1e-5 * sum(|q*r|).

    >>> dot([1, 2], [[3, 4], [0, 1]]).tolist()
    [11.0, 2.0]
    """
    return _all_scores(DOT, queries, rows)


def cosine(queries: ArrayLike, rows: ArrayLike) -> Float32:
    """dot(q, r) / (|q| |r|) within [-1, 1], and 0 if either norm is 0; shapes as for `dot`.

    >>> cosine([1, 0], [[2, 0], [0, 3], [0, 0]]).tolist()
    [1.0, 0.0, 0.0]
    """
    return _all_scores(COSINE, queries, rows)


def l2(queries: ArrayLike, rows: ArrayLike) -> Float32:
    """-sum((q-r)^2), so that higher is nearer; shapes as for `dot`.

    >>> l2([1, 2], [[1, 2], [4, 6]]).tolist()
    [0.0, -25.0]
    """
    return _all_scores(L2, queries, rows)


def top_k(scores: ArrayLike, k: int) -> Ranked:
    """The min(k, n) best scores of each row.

    scores (n,) or (m, n) -> (k,) or (m, k).  Infinities are scores like others; NaN is refused.
    Cost: O(n), and O(log k) for each score that makes it into the best so far.

    >>> top_k([0.5, 0.9, 0.5], 2).rows.tolist()
    [1, 0]
    """
    array = _float32(scores, "scores")
    if array.ndim not in (1, 2):
        raise InvalidError(f"want scores (n,) or (m, n), got {array.shape}")
    index, best = top(np.atleast_2d(array), min(_count(k), array.shape[-1]))
    return _ranked(index, best, array.ndim == 1)


def nearest(
    queries: ArrayLike, rows: ArrayLike, k: int, *, metric: Metric = "cosine", threads: int = 1
) -> Ranked:
    """The min(k, n) best rows of each query, found in one pass over the rows.

    queries (d,) or (m, d), rows (n, d) -> (k,) or (m, k).  Equals top_k of all scores.
    Cost: one reading of the rows for few queries; for many, an eighth of their arithmetic.

    >>> nearest([1, 0], [[0, 1], [1, 1], [2, 0]], 2).rows.tolist()
    [2, 1]
    """
    return Matrix(rows, metric=metric, coded=False).nearest(queries, k, threads=threads)


def matrix(rows: ArrayLike, *, metric: Metric = "cosine") -> "Matrix":
    """Rows (n, d) prepared for many exact questions: 8-bit codes rule out most without the floats.

    The rows must not change afterwards.  Memory: d + 16 bytes a row beside them.

    >>> matrix([[0, 1], [1, 1], [2, 0]]).nearest([1, 0], 1).rows.tolist()
    [2]
    """
    return Matrix(rows, metric=metric, coded=True)


class Matrix:
    """Rows under one metric; see `matrix`. Any number of threads may ask at once."""

    def __init__(self, rows: ArrayLike, *, metric: Metric = "cosine", coded: bool = True) -> None:
        if metric not in METRICS:
            raise InvalidError(f"want a metric of {', '.join(METRICS)}, got {metric!r}")
        self.metric = metric
        self._core = CoreMatrix(METRICS[metric], _rows(rows), coded=coded)

    @property
    def rows(self) -> NDArray[Any]:
        """The rows (n, d), as they were given or converted."""
        return self._core.rows

    @property
    def codes_bytes(self) -> int:
        """What the codes cost beside the rows."""
        return self._core.codes_bytes

    def nearest(self, queries: ArrayLike, k: int, *, threads: int = 1) -> Ranked:
        """The min(k, n) best rows of queries (d,) or (m, d): (k,) or (m, k)."""
        asked, single = _queries(queries)
        index, scores, _ = self._core.top(asked, min(_count(k), len(self.rows)), threads)
        return _ranked(index, scores, single)

    def scores(self, queries: ArrayLike) -> Float32:
        """All scores of queries (d,) or (m, d): (n,) or (m, n)."""
        asked, single = _queries(queries)
        scores = self._core.scores(asked)
        return scores[0] if single else scores


def normalize(rows: ArrayLike) -> Float32:
    """The rows with norm 1, as float32; a zero row stays zero.

    rows (d,) or (n, d) -> the same shape.  Norms in float64.  Raises InvalidError on NaN.

    >>> normalize([3, 4]).tolist() == [0.6000000238418579, 0.800000011920929]
    True
    """
    array = _float32(rows, "rows")
    if array.ndim not in (1, 2):
        raise InvalidError(f"want rows (d,) or (n, d), got {array.shape}")
    result = np.empty_like(array)
    given, made = np.atleast_2d(array), np.atleast_2d(result)
    for start in range(0, len(given), 4096):
        part = given[start : start + 4096].astype(np.float64)
        norms = np.sqrt(np.einsum("nd,nd->n", part, part))
        if not np.isfinite(norms).all():
            raise InvalidError("want finite rows, got NaN or infinity")
        made[start : start + 4096] = part / np.where(norms > 0, norms, 1.0)[:, None]
    return result


def _all_scores(metric: int, queries: ArrayLike, rows: ArrayLike) -> Float32:
    asked, single = _queries(queries)
    scores = CoreMatrix(metric, _rows(rows), coded=False).scores(asked)
    return scores[0] if single else scores


def _rows(rows: ArrayLike) -> NDArray[Any]:
    array = real_numbers(rows, "want rows")
    if array.ndim != 2:
        raise InvalidError(f"want rows (n, d), got {array.shape}")
    if array.dtype not in TYPES:
        return _float32(array, "rows")
    rows = np.ascontiguousarray(array)
    return rows if rows.flags.aligned else rows.copy()


def _queries(queries: ArrayLike) -> tuple[Float32, bool]:
    """Queries (m, d), and whether it was a single one (d,)."""
    array = _float32(queries, "queries")
    if array.ndim not in (1, 2):
        raise InvalidError(f"want queries (d,) or (m, d), got {array.shape}")
    return np.atleast_2d(array), array.ndim == 1


def _float32(values: ArrayLike, name: str) -> Float32:
    """Real numbers as float32 in C order; what leaves its range becomes infinite and is refused."""
    array = real_numbers(values, f"want {name}")
    with np.errstate(over="ignore"):
        return floats_for_c(array).reshape(array.shape)


def _count(k: int) -> int:
    if k < 0:
        raise InvalidError(f"want k of at least 0, got {k}")
    return k


def _ranked(index: NDArray[np.uint32], scores: Float32, single: bool) -> Ranked:
    rows = index.astype(np.intp)
    return Ranked(rows[0], scores[0]) if single else Ranked(rows, scores)
