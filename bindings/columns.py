"""Columns between numpy and C: memory of the core as read-only arrays, and arrays for it."""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidError
from ._core import ffi

UNLIMITED = 2**64 - 1
FEW = 32
"""So many numbers are checked in Python: NumPy takes 3 us for each reduction."""


def column(owner: Any, start: Any, n: int, dtype: Any) -> NDArray[Any]:
    """n items of C memory as a read-only array, which keeps `owner` alive."""
    if n == 0:
        return np.empty(0, dtype)
    kept = ffi.gc(start, partial(_hold, owner))
    array = np.ndarray(n, dtype, ffi.buffer(kept, n * np.dtype(dtype).itemsize))
    array.setflags(write=False)  # With frombuffer and flags three times as long, in 10 us calls.
    return array


def _hold(_owner: Any, _start: Any) -> None:
    """Nothing to free: the owner frees its columns with itself."""


def pointer(numbers: NDArray[np.uint32]) -> Any:
    return ffi.from_buffer("uint32_t[]", numbers)


def finite_scores(values: ArrayLike, n: int) -> NDArray[np.float32]:
    scores = np.ascontiguousarray(values, np.float32)
    if n <= FEW and scores.shape == (n,) and all(map(math.isfinite, scores.tolist())):
        return scores
    if scores.shape != (n,) or not np.isfinite(scores).all():
        raise InvalidError(f"want scores ({n},), finite, got shape {scores.shape}")
    return scores


def real_numbers(values: Any, want: str) -> NDArray[Any]:
    """Any array of integers, floats or the small floats of ml_dtypes (bfloat16), as it is.

    16-bit patterns as uint16 are integers here: view them as bfloat16 before.
    Raises InvalidError for text, objects, complex numbers, dates, ragged lists, masked entries.
    """
    nested = isinstance(values, list | tuple) and values and not isinstance(values[0], int | float)
    if any(np.ma.is_masked(part) for part in (values if nested else (values,))):
        raise InvalidError(f"{want}, but some are masked; fill them first")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InvalidError(f"{want}: {error}") from error
    kind = array.dtype.kind
    if kind not in "fiub" and not (kind == "V" and np.can_cast(array.dtype, np.float32)):
        raise InvalidError(f"{want} of real numbers, got {array.dtype}")
    return array


def floats_for_c(array: NDArray[Any]) -> NDArray[np.float32]:
    """The same numbers as float32 in C order and aligned, copied only where they are not."""
    rows = np.ascontiguousarray(array, dtype=np.float32)
    return rows if rows.flags.aligned else rows.copy()


def edge_budget(budget_edges: int | None) -> int:
    """As C wants it; None: no limit."""
    if budget_edges is None:
        return UNLIMITED
    if not 0 <= budget_edges <= UNLIMITED:
        raise InvalidError(f"want budget_edges 0..2^64 - 1 or None, got {budget_edges}")
    return budget_edges
