"""The k best of given scores: csrc/topk.c."""

import numpy as np
from numpy.typing import NDArray

from ._core import ffi, lib
from .kernels import Float32, UInt32, checked, floats
from .status import check


def top(scores: Float32, k: int) -> tuple[UInt32, Float32]:
    """The k best of every row: higher first, equal ones by the smaller index.

    scores (m, n), k <= n -> indices (m, k), scores (m, k).  Raises InvalidError on NaN.
    """
    m, n = checked(scores, np.float32, 2, "scores").shape
    index: NDArray[np.uint32] = np.empty((m, k), np.uint32)
    best = np.empty((m, k), np.float32)
    into = ffi.from_buffer("uint32_t[]", index, require_writable=True)
    status = lib.ql_top(floats(scores), m, n, k, into, floats(best, writable=True))
    check(status, f"take the {k} best of {n} scores: want no NaN and k at most n")
    return index, best
