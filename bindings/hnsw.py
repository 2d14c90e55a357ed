"""The index over a prefix of the vectors: csrc/hnsw.c, build.c and index_file.c."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import ClosedError
from ._core import ffi, lib
from .status import check
from .vectors import HANDLE_BYTES, Vectors

COUNT_ONLY = 2**32 - 1  # More than there can be: a sweep of so many at least changes nothing.


class Scored(NamedTuple):
    """Rows scored to link new ones, and in sweeps for parents of orphans and for cleaned lists."""

    linking: int
    adopting: int
    cleaning: int


class Hnsw:
    """Links between rows. One thread at a time extends, saves or checks; searches run meanwhile."""

    def __init__(self, vectors: Vectors, handle: Any) -> None:
        self._vectors: Any = vectors.handle  # The rows must outlive their index.
        self._handle: Any = ffi.gc(handle, lib.ql_hnsw_close, size=HANDLE_BYTES)

    @classmethod
    def create(
        cls, vectors: Vectors, *, degree: int = 32, ef_construction: int = 200, seed: int = 0
    ) -> Hnsw:
        """An empty index: links per row, and how many candidates each is chosen from."""
        out = ffi.new("ql_hnsw **")
        status = lib.ql_hnsw_create(vectors.handle, degree, ef_construction, seed, out)
        check(status, f"create an index of degree {degree}, ef_construction {ef_construction}")
        return cls(vectors, out[0])

    @classmethod
    def load(cls, vectors: Vectors, path: str) -> Hnsw:
        """The index saved at `path`, checked and mapped; changes to it stay in memory."""
        index = cls.open(vectors, path)
        index.verify()
        return index

    @classmethod
    def open(cls, vectors: Vectors, path: str) -> Hnsw:
        """The same, but checked by whatever uses it first: no byte of it is read before."""
        out = ffi.new("ql_hnsw **")
        check(lib.ql_hnsw_load(vectors.handle, path.encode(), out), f"load the index {path}")
        return cls(vectors, out[0])

    def verify(self) -> None:
        """Compare every byte with its checksum, once; CorruptError if one differs."""
        check(lib.ql_hnsw_verify(self.handle), "verify the index")

    @property
    def handle(self) -> Any:
        """The C handle; raises ClosedError after close."""
        if self._handle is None:
            raise ClosedError("this index is closed; load it again")
        return self._handle

    def close(self) -> None:
        """Forget the handle, then the rows'."""
        self._handle = None
        self._vectors = None

    @property
    def covered(self) -> int:
        """Rows that the index has linked; later ones are scanned."""
        return int(lib.ql_hnsw_covered(self.handle))

    def extend(self, until: int, *, threads: int = 1) -> None:
        """Link rows [covered, until). The result is the same for any number of threads."""
        check(lib.ql_hnsw_extend(self.handle, until, threads), f"link rows up to {until}")

    @property
    def removed(self) -> int:
        """Rows that were swept out."""
        return int(lib.ql_hnsw_removed(self.handle))

    @property
    def scored(self) -> Scored:
        """Rows that this handle scored to change links."""
        out = ffi.new("uint64_t[]", len(Scored._fields))
        lib.ql_hnsw_scored(self.handle, out)
        return Scored(*out)

    def sweep(self, commit: int, *, threads: int = 1, least: int = 1) -> int:
        """Take rows that died at or before `commit` out of all lists; returns how many there are.

        Only counts while there are fewer than `least`. Snapshots before `commit` scan all rows
        from then on. The result is the same for any number of threads.
        """
        out = ffi.new("uint32_t *")
        status = lib.ql_hnsw_sweep(self.handle, commit, threads, least, out)
        check(status, f"sweep out what died by {commit}")
        return int(out[0])

    def save(self, path: str) -> None:
        """Write the index to `path` and sync it."""
        check(lib.ql_hnsw_save(self.handle, path.encode()), f"save the index to {path}")

    def check(self) -> int:
        """How many rows no search can reach (0 is right); raises CorruptError on broken links."""
        out = ffi.new("uint64_t *")
        check(lib.ql_hnsw_check(self.handle, out), "check the index")
        return int(out[0])
