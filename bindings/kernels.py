"""Scores of one query against many rows, checksums, and which instruction set computes them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .status import check

Float32 = NDArray[np.float32]
UInt32 = NDArray[np.uint32]

DOT: int = lib.QL_DOT
L2: int = lib.QL_L2
COSINE: int = lib.QL_COSINE


def isa() -> str:
    """The instruction set in use: "portable", "avx2", "avx512" or "neon"."""
    return str(ffi.string(lib.ql_isa()).decode("ascii"))


def use_isa(name: str) -> None:
    """Switch the kernels of the whole process; for tests, with no other thread in the core.

    Raises InvalidError if this CPU lacks it or nobody knows it.
    """
    if lib.ql_isa_use(name.encode()) != lib.QL_OK:
        raise InvalidError(f"want an instruction set of this CPU, got {name!r}; in use: {isa()}")


def crc32c(data: Any, crc: int = 0) -> int:
    """The checksum (RFC 3720) of any buffer; `crc` is that of the bytes before it."""
    view = memoryview(data).cast("B")
    return int(lib.ql_crc32c(crc, ffi.from_buffer(view), view.nbytes))


def score_rows(metric: int, query: Float32, rows: Float32) -> Float32:
    """Score consecutive rows: higher is better, the same bits on every instruction set.

    query (d,), rows (n, d), C order -> (n,).
    metric: DOT, L2 (-sum((q-r)^2)) or COSINE (0 for a zero norm).
    Raises InvalidError if the query, a row or a score is not finite.
    """
    d = checked(rows, np.float32, 2, "rows").shape[1]
    checked_query(query, d)
    scores = np.empty(len(rows), np.float32)
    status = lib.ql_score_rows(
        metric, floats(query), d, floats(rows), d, len(rows), floats(scores, writable=True)
    )
    check(status, f"score {len(rows)} rows: everything must be finite")
    return scores


def score_gather(metric: int, query: Float32, rows: Float32, index: UInt32) -> Float32:
    """Score rows[index] without copying them; otherwise as score_rows.

    index (m,) uint32, each below n -> (m,).
    """
    d = checked(rows, np.float32, 2, "rows").shape[1]
    checked_query(query, d)
    checked(index, np.uint32, 1, "index")
    if len(index) and int(index.max()) >= len(rows):
        raise InvalidError(f"want an index below {len(rows)}, got {index.max()}")
    scores = np.empty(len(index), np.float32)
    status = lib.ql_score_gather(
        metric,
        floats(query),
        d,
        floats(rows),
        d,
        ffi.from_buffer("uint32_t[]", index),
        len(index),
        floats(scores, writable=True),
    )
    check(status, f"score {len(index)} rows: everything must be finite")
    return scores


def checked(array: NDArray[Any], dtype: type, dimensions: int, name: str) -> NDArray[Any]:
    """The array itself, if C may read it as it is."""
    if array.dtype != dtype or array.ndim != dimensions:
        raise InvalidError(
            f"want {name} with {dimensions} dimensions of {np.dtype(dtype).name}, "
            f"got {array.shape} {array.dtype}"
        )
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise InvalidError(f"want {name} in C order and aligned: pass np.ascontiguousarray({name})")
    return array


def checked_query(query: Float32, d: int) -> None:
    if len(checked(query, np.float32, 1, "query")) != d:
        raise InvalidError(f"want a query ({d},) like the rows, got ({len(query)},)")


def floats(array: Float32, *, writable: bool = False) -> Any:
    """The array's memory as float*, alive as long as the result is."""
    return ffi.from_buffer("float[]", array, require_writable=writable)
