"""What callers of the simulation give, as columns: one value for all, or one per neuron or row."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidError


def floats(name: str, values: ArrayLike, n: int) -> NDArray[np.float32]:
    """A scalar or array of finite numbers as (1,) or (n,) float32, or InvalidError."""
    array = np.ascontiguousarray(np.atleast_1d(np.asarray(values, dtype=np.float32)))
    if array.ndim != 1 or array.size not in (1, n):
        raise InvalidError(f"{name}: want a scalar or ({n},), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise InvalidError(f"{name}: want finite float32 values")
    return array


def whole(
    name: str, values: ArrayLike, n: int | None, dtype: type[Any], top: int | None = None
) -> NDArray[Any]:
    """A scalar or array of whole numbers in 0..top as (1,) or (n,) of dtype, or InvalidError."""
    array = np.atleast_1d(np.asarray(values))
    if array.size == 0:
        array = array.astype(dtype)
    highest = np.iinfo(dtype).max if top is None else top
    if array.ndim != 1 or (n is not None and array.size not in (1, n)):
        wanted = "a list" if n is None else f"({n},)"
        raise InvalidError(f"{name}: want a scalar or {wanted}, got shape {array.shape}")
    if array.dtype.kind == "f" and np.array_equal(array, np.rint(array)):
        array = array.astype(np.int64)
    if array.dtype.kind not in "biu":
        raise InvalidError(f"{name}: want whole numbers, got {array.dtype}")
    if array.size and (int(array.min()) < 0 or int(array.max()) > highest):
        raise InvalidError(f"{name}: want 0..{highest}, got {array.min()}..{array.max()}")
    return np.ascontiguousarray(array.astype(dtype, copy=False))


def once(values: NDArray[Any]) -> NDArray[Any]:
    """One value instead of n equal ones."""
    return values[:1] if values.size and (values == values[0]).all() else values
