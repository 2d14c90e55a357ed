"""What readers yield: Items (future concepts) and Edges (future associations), plain and unchecked
against any store, each with the place in the file that it came from.

A reader is a generator over one open file. A record that it cannot read becomes a BadRecordError,
given to `on_bad`; when that returns, the reader goes on behind it: one bad line costs one line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from ..errors import BadRecordError


@dataclass(frozen=True, slots=True)
class Item:
    """One record that becomes a concept. place: "file:line" for messages."""

    id: str
    text: str | None = None
    name: str | None = None
    aliases: tuple[str, ...] = ()
    source: str | None = None
    kind: str | None = None
    since: int | str | None = None
    until: int | str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    vector: tuple[float, ...] | None = None
    place: str = ""
    namespace: str = ""

    def within(self, namespace: str) -> "Item":
        """The item in this namespace, if it names none."""
        return self if self.namespace else replace(self, namespace=namespace)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, id)"""
        return self.namespace, self.id


@dataclass(frozen=True, slots=True)
class Edge:
    """One record that becomes an association between the concepts with these ids."""

    source: str
    target: str
    type: str
    weight: float = 1.0
    confidence: float = 1.0
    origin: str | None = None
    since: int | str | None = None
    until: int | str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    place: str = ""
    source_namespace: str = ""
    target_namespace: str = ""

    def within(self, namespace: str) -> "Edge":
        """The edge between concepts of this namespace, where its ends name none."""
        ends = (self.source_namespace or namespace, self.target_namespace or namespace)
        return replace(self, source_namespace=ends[0], target_namespace=ends[1])

    @property
    def ends(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """(namespace, id) of the source and of the target."""
        return (self.source_namespace, self.source), (self.target_namespace, self.target)

    @property
    def has_content(self) -> bool:
        """Whether it says more than type, weight and confidence."""
        return bool(self.origin or self.data) or self.since is not None or self.until is not None


OnBad = Callable[[BadRecordError], None]
"""What to do with a bad record: raise it, or count it and return."""


def refuse(bad: BadRecordError) -> None:
    """The strict `on_bad`: raise."""
    raise bad


def stable_id(source: str, text: str) -> str:
    """The id of a record that has none: the same source and text give the same id, always."""
    return blake2b(f"{source}\0{text}".encode(), digest_size=12).hexdigest()
