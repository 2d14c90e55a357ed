"""Budgets: how much of the machine one process may use for a store."""

from dataclasses import dataclass

from . import memory
from .errors import InvalidError


@dataclass(frozen=True, slots=True)
class Budgets:
    """In bytes, but for the time to live of cached results in seconds (None: until they fall out).

    hot_bytes: of concept records in the hot tier; None: as it was, at first 100 MB.
    cache_bytes: of results of queries; 0 keeps none.
    memory_limit: of own memory, see memory.py; None: no limit.
    """

    hot_bytes: int | None = None
    cache_bytes: int = 0
    cache_seconds: float | None = None
    memory_limit: int | None = None

    def __post_init__(self) -> None:
        if self.hot_bytes is not None:
            _check("hot_bytes", self.hot_bytes)
        if self.memory_limit is not None:
            memory.check_limit(self.memory_limit)
        _check("cache_bytes", self.cache_bytes)
        if self.cache_seconds is not None and not self.cache_seconds > 0:
            raise InvalidError(f"want cache_seconds above 0 or None, got {self.cache_seconds!r}")


def _check(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidError(f"want {name} as an integer of bytes, 0 or more, got {value!r}")
