"""The vector log of one store in this process, and the index over a prefix of it.

Truth is split: rows stand in the log's segments (csrc/vectors.c), how many of them exist and which
have died stands in the catalog. `refresh` brings this process up to a Head; handles only grow, so
snapshots of older heads stay right beside it.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import calibration
from .bindings.columns import floats_for_c, real_numbers
from .bindings.vectors import Vectors
from .catalog import CatalogTransaction
from .errors import CorruptError, InvalidError
from .heads import Head, Manifest
from .indexing import VectorIndex
from .layout import SLOT_BYTES, stride

Float32 = NDArray[np.float32]
F4 = np.dtype(np.float32)

WIDTHS_MAX = 256  # Pairs of k and recall whose beam width is remembered.


def as_vectors(values: Any, dim: int | None, metric: str) -> Float32:
    """`values` as checked float32 rows, shape (n, d); any strides, byte order and kind of number.

    Raises InvalidError for another dimension, text or objects, NaN, infinities (also those that
    appear when a wider type is narrowed) and, under cosine, zero vectors.
    """
    plain = type(values) is np.ndarray and values.dtype == F4 and values.shape in ((dim,), (1, dim))
    if plain and (metric != "cosine" or np.count_nonzero(values)):
        return _finite(values.reshape(1, dim))  # One question or concept, as most are: 5 us less.
    array = real_numbers(values, f"want vectors (n, {dim or 'd'})")
    with np.errstate(over="ignore"):
        rows = floats_for_c(np.atleast_2d(array))
    if rows.ndim != 2 or rows.shape[1] == 0 or (dim is not None and rows.shape[1] != dim):
        raise InvalidError(f"want vectors (n, {dim or 'd'}) float32, got {tuple(array.shape)}")
    _finite(rows)
    if metric == "cosine" and not rows.any(axis=1).all():
        bad = int(np.flatnonzero(~rows.any(axis=1))[0])
        raise InvalidError(f"row {bad} is all zeros, which has no direction under cosine")
    return rows


def _finite(rows: Float32) -> Float32:
    if np.count_nonzero(np.isfinite(rows)) < rows.size:  # A third of what all() takes for one.
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise InvalidError(f"want finite vectors, but row {bad} holds NaN or infinity")
    flags = rows.flags
    return rows if flags.c_contiguous and flags.aligned else floats_for_c(rows)


class VectorLog:
    """Rows by slot, their nodes, births and deaths, and the index. One per process and store."""

    def __init__(self, folder: Path, manifest: Manifest, *, read_only: bool):
        if manifest.dim is None:
            raise InvalidError("this store has no vectors: no dimension was given")
        if not read_only:
            folder.mkdir(exist_ok=True)
        self.folder = folder
        self.dim = manifest.dim
        self.metric = manifest.metric
        self.damage: str | None = None  # Why vectors cannot be used.
        self._opened = Vectors(
            str(folder),
            manifest.uuid,
            manifest.dim,
            metric=manifest.metric,
            writable=not read_only,
        )
        self.index = VectorIndex(self._opened, folder)
        self._deaths_seen = 0
        self._widths: tuple[calibration.Curve, dict[tuple[int, float], int | None]] = ((), {})
        self._lock = threading.Lock()  # The core wants one thread at a time to change rows.

    @property
    def _rows(self) -> Vectors:
        if self.damage is not None:
            raise CorruptError(f"the vectors are damaged: {self.damage}; run repair")
        return self._opened

    def close(self) -> None:
        self.index.close()
        self._opened.close()

    # Following the catalog.

    def refresh(self, catalog: CatalogTransaction, head: Head) -> None:
        """Make everything up to `head` readable here; never takes anything back.

        Damage of the files shows when vectors are used.
        """
        with self._lock:
            if not self._extend(head):
                return
            for commit, slots in catalog.deaths(self._deaths_seen):
                if slots.size and int(slots.max()) >= head.rows:
                    raise CorruptError("a retired vector lies beyond the log; run check")
                self._rows.retire(slots, commit=commit)
                self._deaths_seen = commit
        self.index.adopt(head)

    def cut(self, head: Head) -> None:
        """Forget rows beyond `head`: the tail of a writer that died. Needs the writer's lock."""
        with self._lock:
            if self._extend(head):
                self._rows.truncate(head.rows)

    def _extend(self, head: Head) -> bool:
        """Map all rows of a head; whether they can be read."""
        if self.damage is None:
            try:
                self._rows.extend(head.rows)
            except CorruptError as error:
                self.damage = str(error)
        return self.damage is None

    # Writing; the caller holds the writer's lock.

    @property
    def count(self) -> int:
        """Rows readable through this handle, pending ones included."""
        return self._rows.count

    def append(self, rows: Float32, nodes: NDArray[np.uint32], commit: int) -> int:
        """Append checked rows born at `commit`; returns the first slot."""
        with self._lock:
            return self._rows.append(rows, nodes, commit=commit)

    def retire(self, slots: Sequence[int], commit: int) -> None:
        """Slots die at `commit`; 0 takes that back."""
        with self._lock:
            self._rows.retire(slots, commit=commit)

    def rollback(self, rows: int, retired: Sequence[int]) -> None:
        """Undo what a failed transaction appended and retired."""
        self.retire(retired, 0)
        with self._lock:
            self._rows.truncate(rows)

    def fit(self) -> None:
        """Give back the space that was allocated ahead of the rows."""
        with self._lock:
            self._rows.truncate(self._rows.count)

    def written(self, first: int, count: int) -> tuple[bytes, bytes]:
        """What the files hold of slots from `first` on: the rows, and their entries."""
        return self._rows.written(first, count, (stride(self.dim), SLOT_BYTES))

    def sync(self) -> None:
        self._rows.sync()

    # Reading.

    def read(self, slots: Sequence[int]) -> Float32:
        """The rows of slots, (n, dim)."""
        return self._rows.read(slots)

    def near(
        self,
        query: Float32,
        *,
        k: int,
        ef: int | None,
        recall: float,
        exact: bool,
        rows: int,
        commit: int,
        allowed: NDArray[np.uint64] | None,
    ) -> tuple[NDArray[np.uint64], Float32, dict[str, int]]:
        """Nodes nearest to a query (dim,) among rows below `rows` visible at `commit`.

        ef: beam width of the index; None takes the one that gave `recall` when it was measured,
        and scans all rows where none did or recall is 1.
        Returns nodes (m,) and scores (m,), m up to k, read-only, and the cost.
        """
        ef = ef or self._width(k, recall)
        exact = exact or ef is None
        index = None if exact else self.index.current
        try:
            return self._rows.near_one(
                query, index, k, ef or k, count=rows, commit=commit, exact=exact, allowed=allowed
            )
        except InvalidError:
            _finite(query[None])  # Says what is wrong with it.
            raise

    def _width(self, k: int, recall: float) -> int | None:
        """calibration.width, looked up where it was asked for since the last generation."""
        curve = self.index.curve
        if self._widths[0] is not curve:
            self._widths = curve, {}
        known = self._widths[1]
        if (k, recall) not in known:
            if len(known) > WIDTHS_MAX:
                known.clear()
            known[k, recall] = calibration.width(curve, k, recall)
        return known[k, recall]

    def check(self, rows: int) -> NDArray[np.uint32]:
        """Slots whose checksum fails among the first `rows`."""
        return self._rows.check(0, rows, capacity=max(rows, 1))
