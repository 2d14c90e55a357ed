"""Exact top-k of many queries over many rows: csrc/matrix.c."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .kernels import Float32, UInt32, checked, floats
from .status import check

TYPES: dict[np.dtype[Any], int] = {
    np.dtype(np.float32): lib.QL_FLOAT32,
    np.dtype(np.float16): lib.QL_FLOAT16,
    np.dtype(np.int8): lib.QL_INT8,
}


class Matrix:
    """Rows (n, d) of float32, float16 or int8 under one metric, with or without 8-bit codes.

    The rows are not copied and must not change.  Any number of threads may ask at once.
    """

    def __init__(self, metric: int, rows: NDArray[Any], *, coded: bool) -> None:
        if rows.dtype not in TYPES:
            raise InvalidError(f"want rows of float32, float16 or int8, got {rows.dtype}")
        self.rows = checked(rows, rows.dtype.type, 2, "rows")
        n, d = rows.shape
        made = ffi.new("ql_matrix **")
        self._memory = ffi.from_buffer(rows) if rows.size else ffi.NULL
        status = lib.ql_matrix_create(metric, TYPES[rows.dtype], self._memory, n, d, coded, made)
        check(status, f"take rows {rows.shape}: want finite ones of 1 to {lib.QL_DIM_MAX} columns")
        self.codes_bytes = n * (d + 16) if coded else 0
        self._handle = ffi.gc(made[0], lib.ql_matrix_close, self.codes_bytes)

    def top(self, queries: Float32, k: int, threads: int = 1) -> tuple[UInt32, Float32, int]:
        """The k <= n best rows of each query (m, d): indices (m, k), scores (m, k), rows scored.

        Raises InvalidError if a query or a score is not finite.
        """
        m = self._checked(queries)
        index: NDArray[np.uint32] = np.empty((m, k), np.uint32)
        scores = np.empty((m, k), np.float32)
        cost = ffi.new("ql_cost *")
        status = lib.ql_matrix_top(
            self._handle,
            floats(queries),
            m,
            k,
            threads,
            ffi.from_buffer("uint32_t[]", index, require_writable=True),
            floats(scores, writable=True),
            cost,
        )
        check(
            status,
            f"find the {k} best of {len(self.rows)} rows with {threads} threads: want finite "
            f"queries, rows and scores, and 1 to {lib.QL_THREADS_MAX} threads",
        )
        return index, scores, int(cost.distances)

    def scores(self, queries: Float32) -> Float32:
        """All scores of queries (m, d): (m, n). Raises InvalidError if one is not finite."""
        m = self._checked(queries)
        scores = np.empty((m, len(self.rows)), np.float32)
        into = floats(scores, writable=True)
        status = lib.ql_matrix_scores(self._handle, floats(queries), m, into)
        check(status, f"score {len(self.rows)} rows: everything must be finite")
        return scores

    def _checked(self, queries: Float32) -> int:
        d = self.rows.shape[1]
        if checked(queries, np.float32, 2, "queries").shape[1] != d:
            raise InvalidError(f"want queries (m, {d}) like the rows, got {queries.shape}")
        return len(queries)
