"""The count of own memory: csrc/memory.c. What the engine holds beside the core is claimed here."""

from __future__ import annotations

from ..errors import LimitError
from ._core import lib


def held() -> int:
    """Bytes that the core and all claims of this process hold."""
    return int(lib.ql_memory_held())


def limit(size_bytes: int | None) -> None:
    """How many bytes may be held from now on; None: any number."""
    lib.ql_memory_limit(size_bytes or 0)


class Claim:
    """Bytes that something outside the core holds, until it is told otherwise or freed."""

    __slots__ = ("size_bytes",)

    def __init__(self) -> None:
        self.size_bytes = 0

    def to(self, size_bytes: int, what: str) -> None:
        """Hold so many bytes in all; LimitError, and as before, if they pass the limit."""
        if not self.fits(size_bytes):
            raise LimitError(f"could not {what}: {refusal(size_bytes - self.size_bytes)}")

    def fits(self, size_bytes: int) -> bool:
        """Hold so many bytes in all, if they do not pass the limit; whether they do not."""
        more = size_bytes - self.size_bytes
        if more > 0 and lib.ql_memory_take(more) != lib.QL_OK:
            return False
        if more < 0:
            lib.ql_memory_give(-more)
        self.size_bytes = size_bytes
        return True

    def __del__(self) -> None:
        if self.size_bytes:
            self.fits(0)


def refusal(more: int) -> str:
    """What to say of bytes that were refused."""
    return (
        f"that needs {more:,} bytes more than the {held():,} which this process holds, and passes "
        "memory_limit; do it in smaller parts, close snapshots, or open with a larger memory_limit"
    )
