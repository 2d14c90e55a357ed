"""The log of vectors, and nearest neighbours over it: csrc/vectors.c and csrc/near.c."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ClosedError, InvalidError
from ._core import ffi, lib
from .status import check

Float32 = NDArray[np.float32]
UInt32 = NDArray[np.uint32]
UInt64 = NDArray[np.uint64]
Slots = UInt32 | Sequence[int]

METRICS: dict[str, int] = {"cosine": lib.QL_COSINE, "dot": lib.QL_DOT, "l2": lib.QL_L2}
FLOATS = ffi.typeof("float[]")  # Parsed once: near is called once per query.
WORDS = ffi.typeof("uint32_t[]")
LONGS = ffi.typeof("uint64_t[]")
F4 = np.dtype(np.float32)  # A type would be made a dtype again in every call.
U4 = np.dtype(np.uint32)
U8 = np.dtype(np.uint64)
COUNTS = struct.Struct("=4Q")  # A ql_cost.
ONE = struct.Struct("=5Q")  # A ql_cost and how many were found.
HANDLE_BYTES = 4096  # What the garbage collector should think a handle weighs.


class Cost(NamedTuple):
    """What a call cost, counted and never timed."""

    distances: int
    hops: int
    edges: int
    bytes: int


class Index(Protocol):
    """What near needs of an index; bindings/hnsw.py has it."""

    @property
    def handle(self) -> Any: ...


class Vectors:
    """Rows of `dim` float32 in the segments of one folder.

    One thread at a time appends, extends, truncates and retires; other threads read meanwhile.
    """

    def __init__(
        self, folder: str, uuid: bytes, dim: int, *, metric: str = "cosine", writable: bool = False
    ) -> None:
        if len(uuid) != 16:
            raise InvalidError(f"want a uuid of 16 bytes, got {len(uuid)}")
        if metric not in METRICS:
            raise InvalidError(f"want a metric of {', '.join(METRICS)}, got {metric!r}")
        out = ffi.new("ql_vectors **")
        status = lib.ql_vectors_open(
            folder.encode(), uuid, dim, METRICS[metric], int(writable), out
        )
        check(status, f"open vectors of dimension {dim} in {folder}")
        self._handle: Any = ffi.gc(out[0], lib.ql_vectors_close, size=HANDLE_BYTES)
        self.dim = dim
        self.metric = metric

    @property
    def handle(self) -> Any:
        """The C handle; raises ClosedError after close."""
        if self._handle is None:
            raise ClosedError("these vectors are closed; open them again")
        return self._handle

    def close(self) -> None:
        """Forget the handle; its memory goes with the last index or call that uses it."""
        self._handle = None

    @property
    def count(self) -> int:
        """Rows readable through this handle."""
        return int(lib.ql_vectors_count(self.handle))

    def append(self, rows: Float32, nodes: UInt32, *, commit: int) -> int:
        """Append rows (n, dim), born at `commit`, for nodes (n,); returns the first slot.

        Written but not yet durable: see sync.
        """
        rows = self.rows_of(rows)
        nodes = column_of(nodes, np.uint32, "nodes")
        if len(nodes) != len(rows):
            raise InvalidError(f"want {len(rows)} nodes for {len(rows)} rows, got {len(nodes)}")
        first = ffi.new("uint32_t *")
        status = lib.ql_vectors_append(
            self.handle,
            ffi.from_buffer("float[]", rows),
            ffi.from_buffer("uint32_t[]", nodes),
            len(rows),
            commit,
            first,
        )
        check(status, f"append {len(rows)} rows")
        return int(first[0])

    def written(self, first: int, count: int, sizes: tuple[int, int]) -> tuple[bytes, bytes]:
        """What the files hold of `count` slots from `first` on: their rows, and their entries.

        sizes: the bytes of one row and of one entry there.
        """
        parts = bytearray(count * sizes[0]), bytearray(count * sizes[1])
        rows, slots = map(ffi.from_buffer, parts)
        status = lib.ql_vectors_written(
            self.handle, first, count, rows, len(rows), slots, len(slots)
        )
        check(status, f"read {count} slots of {sizes} bytes from {first} on")
        return bytes(parts[0]), bytes(parts[1])

    def sync(self) -> None:
        """Make what was appended durable: one fdatasync per file touched since the last."""
        check(lib.ql_vectors_sync(self.handle), "sync vectors")

    def extend(self, count: int) -> None:
        """Map what somebody committed: rows below `count` become readable."""
        check(lib.ql_vectors_extend(self.handle, count), f"read {count} rows")

    def truncate(self, count: int) -> None:
        """Forget rows from `count` on and cut the files; the writer's first call after opening."""
        check(lib.ql_vectors_truncate(self.handle, count), f"cut the vectors to {count} rows")

    def retire(self, slots: Slots, *, commit: int) -> None:
        """Let slots die at `commit`; 0 revives them. In memory only."""
        column = column_of(slots, np.uint32, "slots")
        status = lib.ql_vectors_retire(
            self.handle, ffi.from_buffer("uint32_t[]", column), len(column), commit
        )
        check(status, f"retire {len(column)} slots")

    def read(self, slots: Slots) -> Float32:
        """The rows (n, dim) of slots (n,), as they were appended."""
        column = column_of(slots, np.uint32, "slots")
        rows = np.empty((len(column), self.dim), dtype=np.float32)
        status = lib.ql_vectors_read(
            self.handle,
            ffi.from_buffer("uint32_t[]", column),
            len(column),
            ffi.from_buffer("float[]", rows),
        )
        check(status, f"read {len(column)} rows")
        return rows

    def nodes(self, slots: Slots) -> UInt32:
        """The nodes (n,) that slots (n,) belong to."""
        column = column_of(slots, np.uint32, "slots")
        nodes = np.empty(len(column), dtype=np.uint32)
        status = lib.ql_vectors_nodes(
            self.handle,
            ffi.from_buffer("uint32_t[]", column),
            len(column),
            ffi.from_buffer("uint32_t[]", nodes),
        )
        check(status, f"read the nodes of {len(column)} slots")
        return nodes

    def check(self, start: int = 0, until: int | None = None, *, capacity: int = 1000) -> UInt32:
        """Slots of [start, until) whose checksum fails, at most `capacity` of them."""
        bad = np.empty(capacity, dtype=np.uint32)
        count = ffi.new("uint32_t *")
        status = lib.ql_vectors_check(
            self.handle,
            start,
            self.count if until is None else until,
            ffi.from_buffer("uint32_t[]", bad),
            capacity,
            count,
        )
        check(status, f"check rows {start} to {until}")
        return bad[: min(capacity, count[0])]

    def near(
        self,
        queries: Float32,
        *,
        index: Index | None = None,
        k: int = 10,
        ef: int = 64,
        count: int | None = None,
        commit: int = 2**63,
        exact: bool = False,
        allowed: UInt64 | None = None,
        threads: int = 1,
    ) -> tuple[UInt32, Float32, UInt32, Cost]:
        """The k nearest nodes of each query, as (nodes, scores, found, cost).

        queries (q, dim) -> nodes (q, k) and scores (q, k), best first, equal scores by node; of
        row i only the first found[i] are set. count and commit are the snapshot's; allowed is a
        bitmap of nodes, 64 a word, or one for each query (q, words); nodes beyond it are not
        allowed. threads share the queries.
        Raises InvalidError for NaN and infinities.
        """
        handle = self.handle
        n = len(self.rows_of(queries))
        cells = n * k
        words, stride, bitmap = 0, 0, ffi.NULL
        if allowed is not None:
            stride = words = bitmap_words(allowed, n)
            if allowed.ndim == 1:
                stride = 0
            bitmap = ffi.from_buffer("uint64_t[]", allowed)
        block = np.empty(2 * cells + n + COUNTS.size // 4, U4)
        status = lib.ql_near_block(
            handle,
            ffi.NULL if index is None else index.handle,
            ffi.from_buffer(FLOATS, queries),
            n,
            k,
            ef,
            lib.ql_vectors_count(handle) if count is None else count,
            commit,
            exact,
            threads,
            bitmap,
            64 * words,
            stride,
            ffi.from_buffer(WORDS, block),
        )
        if status:
            check(status, f"search {n} queries (k={k}, finite, at most {self.count} rows)")
        nodes: UInt32 = np.ndarray((n, k), U4, block)  # Half the time of slices of the block.
        scores: Float32 = np.ndarray((n, k), F4, block, 4 * cells)
        found: UInt32 = np.ndarray((n,), U4, block, 8 * cells)
        counts = COUNTS.unpack_from(block.data, 8 * cells + 4 * n)
        return nodes, scores, found, tuple.__new__(Cost, counts)

    def near_one(
        self,
        query: Float32,
        index: Index | None,
        k: int,
        ef: int,
        *,
        count: int,
        commit: int,
        exact: bool,
        allowed: UInt64 | None,
    ) -> tuple[UInt64, Float32, dict[str, int]]:
        """The nodes nearest to one query (dim,), their scores, and the cost; see near.

        Arrays of one length, up to k, read-only. Made for a call to cost little beside the search.
        """
        if query.shape != (self.dim,) or query.dtype != F4:
            raise InvalidError(f"want a vector ({self.dim},) float32, got {described(query)}")
        words, bitmap = 0, ffi.NULL
        if allowed is not None:
            words, bitmap = bitmap_words(allowed, 1), ffi.from_buffer("uint64_t[]", allowed)
        block = np.empty(k + ONE.size // 8 + (k + 1) // 2, U8)
        status = lib.ql_near_one(
            self.handle, ffi.NULL if index is None else index.handle,
            ffi.from_buffer(FLOATS, query), k, ef, count, commit, exact, bitmap, 64 * words,
            ffi.from_buffer(LONGS, block),
        )  # fmt: skip
        if status:
            check(status, f"search (k={k}, finite, at most {self.count} rows)")
        distances, hops, edges, size, found = ONE.unpack_from(block.data, 8 * k)
        block.setflags(write=False)  # So nothing that is made of it can be written.
        scores: Float32 = np.ndarray((found,), F4, block, 8 * k + ONE.size)
        cost = {"distances": distances, "hops": hops, "edges": edges, "bytes": size}
        return block[:found], scores, cost

    def rows_of(self, rows: Float32) -> Float32:
        """The same array if it is float32, C-contiguous and (n, dim); otherwise InvalidError."""
        if rows.dtype != F4 or rows.ndim != 2 or rows.shape[1] != self.dim:
            raise InvalidError(f"want vectors (n, {self.dim}) float32, got {described(rows)}")
        flags = rows.flags
        if not (flags.c_contiguous and flags.aligned):
            raise InvalidError(f"want vectors (n, {self.dim}) in C order and aligned; copy them")
        return rows


def bitmap_words(allowed: UInt64, n: int) -> int:
    """Words of each bitmap: one for all queries, or one for each of n."""
    shaped = allowed.ndim == 1 or (allowed.ndim == 2 and len(allowed) == n)
    if allowed.dtype != U8 or not shaped or not allowed.flags.c_contiguous:
        raise InvalidError(
            f"want allowed (words,) or ({n}, words) uint64 contiguous, got {described(allowed)}"
        )
    return int(allowed.shape[-1])


def described(array: NDArray[Any]) -> str:
    """An array's shape, and its dtype unless it is float32: "(10, 383)"."""
    return f"{array.shape}" + ("" if array.dtype == np.float32 else f" {array.dtype}")


def column_of(values: Any, dtype: Any, name: str) -> NDArray[Any]:
    """A contiguous 1-d array of `dtype`: arrays must have it, other sequences are converted."""
    if isinstance(values, np.ndarray):
        if values.dtype != dtype or values.ndim != 1 or not values.flags.c_contiguous:
            want = np.dtype(dtype)
            raise InvalidError(f"want {name} (n,) {want} contiguous, got {described(values)}")
        return values
    return np.array(values, dtype=dtype)
