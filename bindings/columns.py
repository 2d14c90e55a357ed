"""Columns between numpy and C: memory of the core as read-only arrays, and arrays for it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidError
from ._core import ffi

UNLIMITED = 2**64 - 1


def column(owner: Any, start: Any, n: int, dtype: Any) -> NDArray[Any]:
    """n items of C memory as a read-only array, which keeps `owner` alive."""
    if n == 0:
        return np.empty(0, dtype)

    def hold(_start: Any, _owner: Any = owner) -> None:
        """Nothing to free: the owner frees its columns with itself."""

    kept = ffi.gc(start, hold)
    array = np.frombuffer(ffi.buffer(kept, n * np.dtype(dtype).itemsize), dtype)
    array.flags.writeable = False
    return array


def pointer(numbers: NDArray[np.uint32]) -> Any:
    return ffi.from_buffer("uint32_t[]", numbers)


def finite_scores(values: ArrayLike, n: int) -> NDArray[np.float32]:
    scores = np.ascontiguousarray(values, np.float32)
    if scores.shape != (n,) or not np.isfinite(scores).all():
        raise InvalidError(f"want scores ({n},), finite, got shape {scores.shape}")
    return scores


def edge_budget(budget_edges: int | None) -> int:
    """As C wants it; None: no limit."""
    if budget_edges is None:
        return UNLIMITED
    if not 0 <= budget_edges <= UNLIMITED:
        raise InvalidError(f"want budget_edges 0..2^64 - 1 or None, got {budget_edges}")
    return budget_edges
