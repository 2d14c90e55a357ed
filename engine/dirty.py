"""Dirty pages: what LMDB holds in memory of a writing transaction, bounded from what was put.

LMDB keeps every page that a transaction changed, whole, until the commit, and says nowhere how
many they are. They are no more than these: what was put, in pages that are half full; and a page
that was there before for each put, though no more than there were. Beyond PAGES_MAX it writes them
out.
"""

from collections.abc import Sequence
from pathlib import Path

from .memory import Claim, limit

PAGE_BYTES = 4_096
PAGES_MAX = 1 << 17
FILL = 2
PAIR_BYTES = 120  # Of a pair and its key on their way to LMDB.


class Dirty:
    """The claim of one transaction."""

    __slots__ = ("_before_bytes", "_bytes", "_claim", "_path", "_puts")

    def __init__(self, path: Path):
        self._path = path
        self._before_bytes = 0
        self._bytes = self._puts = 0
        self._claim: Claim | None = None

    def count(self, puts: int, size_bytes: int) -> None:
        """These are about to be put; LimitError if their pages do not fit."""
        self._puts += puts
        self._bytes += size_bytes
        if limit() is None and self._claim is None:
            return
        if self._claim is None:
            self._claim, self._before_bytes = Claim(), self._path.stat().st_size
        touched = min(self._puts * PAGE_BYTES, self._before_bytes)
        pages = min(FILL * self._bytes + touched, PAGES_MAX * PAGE_BYTES)
        self._claim.to(pages, "write so much in one transaction")

    def count_pairs(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """As `count`; the pairs themselves are only for a moment there."""
        if limit() is None and self._claim is None:
            return
        size_bytes = sum(len(key) + len(value) for key, value in pairs)
        passing = Claim()
        passing.to(size_bytes + PAIR_BYTES * len(pairs), "write so much in one transaction")
        self.count(len(pairs), size_bytes)

    def end(self) -> None:
        """The transaction has ended."""
        self._claim = None
