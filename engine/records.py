"""What a store is made of: Concept and Association, and the times that they carry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .errors import InvalidError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Time = int | datetime | str
"""Integer nanoseconds since 1970 UTC, a datetime (naive means UTC), or its ISO 8601 text."""


@dataclass(frozen=True, slots=True)
class Concept:
    """An id with a text, names, metadata, times, a strength and a confidence.

    node: its number, given once, never reused.  slots: its rows of the vector log.
    namespace: ids are unique within one; "" is the one of all that name none.
    created_ns, updated_ns: recorded times.  since, until: validity [since, until), None is open.
    """

    node: int
    id: str
    text: str | None = None
    name: str | None = None
    aliases: tuple[str, ...] = ()
    source: str | None = None
    kind: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    created_ns: int = 0
    updated_ns: int = 0
    strength: float = 1.0
    confidence: float = 1.0
    since: int | None = None
    until: int | None = None
    slots: tuple[int, ...] = ()
    namespace: str = ""

    @property
    def key(self) -> "str | tuple[str, str]":
        """What names it to a store: its id, or (namespace, id)."""
        return (self.namespace, self.id) if self.namespace else self.id


@dataclass(frozen=True, slots=True)
class Association:
    """A typed, weighted, directed edge; (source, type, target) is its key.

    source, target: ids of the concepts, and their namespaces.
    weight: strength of association, finite, for spreading.
    confidence: belief that it holds, in (0, 1].  origin: who says so.
    since, until: validity [since, until) in nanoseconds, None is open.
    """

    source: str
    target: str
    type: str
    weight: float = 1.0
    confidence: float = 1.0
    origin: str | None = None
    since: int | None = None
    until: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    source_namespace: str = ""
    target_namespace: str = ""


def to_ns(time: Time | None) -> int | None:
    """Nanoseconds since 1970 UTC of a time in any accepted form; None stays None.

    Raises InvalidError for a text that is not ISO 8601 or a number out of 64 bits.
    """
    if time is None:
        return None
    if isinstance(time, bool) or not isinstance(time, int | datetime | str):
        raise InvalidError(f"want a time as integer ns, datetime or ISO text, got {time!r}")
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError as error:
            raise InvalidError(f"want an ISO 8601 time, got {time!r}") from error
    if isinstance(time, datetime):
        moment = time if time.tzinfo else time.replace(tzinfo=UTC)
        since_epoch = moment - datetime(1970, 1, 1, tzinfo=UTC)
        seconds = since_epoch.days * 86_400 + since_epoch.seconds
        time = seconds * 1_000_000_000 + since_epoch.microseconds * 1_000
    if not -(2**63) <= time < 2**63:
        raise InvalidError(f"want a time within 64 bits of ns, 1678 to 2261, got {time} ns")
    return time
