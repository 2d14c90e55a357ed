"""Memory: what one process may hold of its own memory for its stores, and what gives way first.

Counted are the allocations of the C core, the pages of an index that is being built, and what grows
with data on this side: kept answers and filters, the words of the tail, reads that the tiers
remember, the rows and the dirty pages of a transaction, the columns of a compaction. Mapped files
are not: the system takes their pages back. Nor is what callers hold, such as arrays that they were
given, nor Python itself. The least limit of the open handles holds for all of them: the core cannot
tell whose its scratch is.

Near the limit caches are emptied; what does not fit then is a LimitError, before anything changed.
"""

import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

from .bindings import memory
from .bindings.limits import MEMORY_BYTES_MIN
from .errors import InvalidError, LimitError

INDEX_SHARE = 0.75  # Of the limit: a growing index leaves the rest to searches and commits.
ROOM_SHARE = 0.5  # Of the limit: when more is held, a writer's work starts with empty caches.
BUILD_SHARE = 8  # A builder of words writes a part at this share of the limit.

Made = TypeVar("Made")


class Cache(Protocol):
    """Something that can be computed again."""

    def shrink(self) -> None:
        """Give back what is not in use; must not wait for a lock."""


caches: "weakref.WeakKeyDictionary[Cache, None]" = weakref.WeakKeyDictionary()
_limits: "weakref.WeakKeyDictionary[object, int]" = weakref.WeakKeyDictionary()


def check_limit(size_bytes: object) -> None:
    """InvalidError unless it may be a limit."""
    whole = isinstance(size_bytes, int) and not isinstance(size_bytes, bool)
    if not whole or size_bytes < MEMORY_BYTES_MIN:  # type: ignore[operator]
        raise InvalidError(
            f"want memory_limit as an integer of bytes, {MEMORY_BYTES_MIN:,} or more, "
            f"got {size_bytes!r}"
        )


def set_limit(handle: object, size_bytes: int | None) -> None:
    """A handle wants this limit; None: none any more."""
    _limits.pop(handle, None)
    if size_bytes is not None:
        _limits[handle] = size_bytes
    memory.limit(limit())
    if size_bytes is not None and memory.held() > size_bytes:
        shrink()


def limit() -> int | None:
    """The limit of this process."""
    handles = (ref() for ref in _limits.keyrefs())  # A list, whatever other threads do meanwhile.
    limits = (_limits.get(handle) for handle in handles if handle is not None)
    return min((found for found in limits if found is not None), default=None)


def stats() -> dict[str, int | None]:
    """Counts for people."""
    return {"held_bytes": memory.held(), "limit_bytes": limit()}


def shrink() -> None:
    """Empty all caches."""
    for ref in caches.keyrefs():  # A list: other threads open snapshots meanwhile.
        cache = ref()
        if cache is not None:
            cache.shrink()


def make_room() -> None:
    """Before work of unknown size: empty the caches where they could be in its way."""
    most = limit()
    if most is not None and memory.held() > most * ROOM_SHARE:
        shrink()


def retried(compute: Callable[[], Made]) -> Made:
    """What `compute` makes; once more with empty caches if the limit was in its way."""
    try:
        return compute()
    except LimitError:
        before = memory.held()
        shrink()
        if memory.held() >= before:
            raise
    return compute()


class Claim(memory.Claim):
    """Bytes held on this side of the core; caches give way to them."""

    __slots__ = ()

    def to(self, size_bytes: int, what: str) -> None:
        """Hold so many bytes in all; LimitError, and as before, if they do not fit."""
        if not self.fits(size_bytes):
            shrink()
            super().to(size_bytes, what)

    def more(self, size_bytes: int, what: str) -> None:
        """Hold so many bytes more."""
        self.to(self.size_bytes + size_bytes, what)
