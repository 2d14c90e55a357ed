"""What a store is made of: Concept and Association, the times that they carry, and Draft."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

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


class _Open:
    """A Concept while it is filled: a quarter of what a frozen class takes to set its fields."""

    __slots__ = Concept.__slots__

    def __init__(
        self, node: int, id: str, text: str | None, name: str | None, aliases: tuple[str, ...],
        source: str | None, kind: str | None, data: Mapping[str, Any], created_ns: int,
        updated_ns: int, strength: float, confidence: float, since: int | None, until: int | None,
        slots: tuple[int, ...], namespace: str,
    ):  # fmt: skip
        self.node, self.id, self.text, self.name = node, id, text, name
        self.aliases, self.source, self.kind, self.data = aliases, source, kind, data
        self.created_ns, self.updated_ns = created_ns, updated_ns
        self.strength, self.confidence = strength, confidence
        self.since, self.until, self.slots, self.namespace = since, until, slots, namespace


def concept_of(*values: Any) -> Concept:
    """The Concept of values for all of its fields, in order: what reading a record ends with."""
    made: Any = _Open(*values)
    made.__class__ = Concept
    return cast("Concept", made)


@dataclass(slots=True)
class Draft:
    """A concept to be: one row of an `add`; None means "not given"."""

    index: int
    id: str = ""  # "" until it is given one.
    text: str | None = None
    name: str | None = None
    aliases: tuple[str, ...] = ()
    source: str | None = None
    kind: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    since: int | None = None
    until: int | None = None
    strength: float = 1.0
    confidence: float = 1.0
    namespace: str = ""
    vector: int | None = None  # Its row of the matrix of vectors to append.
    slots: tuple[int, ...] = ()  # Where the vector went.
    node: int = -1  # Given when all rows are checked.
    created_ns: int = 0
    updated_ns: int = 0

    def replacing(self, old: Concept, updated_ns: int) -> Concept:
        """The record of this row in place of `old`."""
        return Concept(
            old.node, self.id, self.text, self.name, self.aliases, self.source, self.kind,
            self.data, old.created_ns, updated_ns, self.strength, self.confidence, self.since,
            self.until, self.slots, self.namespace,
        )  # fmt: skip

    def merged_into(self, old: Concept, updated_ns: int) -> Concept:
        """`old` with the given fields of this row; metadata and aliases united."""
        return replace(
            old,
            updated_ns=updated_ns,
            slots=self.slots or old.slots,
            text=old.text if self.text is None else self.text,
            name=old.name if self.name is None else self.name,
            aliases=tuple(dict.fromkeys((*old.aliases, *self.aliases))),
            source=old.source if self.source is None else self.source,
            kind=old.kind if self.kind is None else self.kind,
            data={**old.data, **self.data},
            since=old.since if self.since is None else self.since,
            until=old.until if self.until is None else self.until,
            strength=old.strength if self.strength == 1.0 else self.strength,
            confidence=old.confidence if self.confidence == 1.0 else self.confidence,
        )


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
