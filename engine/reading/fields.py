"""From a record with named fields (a JSON object, a row of a table) to an Item or an Edge."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .items import Edge, Item, stable_id

EDGE_COLUMNS = frozenset({"source", "target", "type"})
"""A table whose header has these and no text is a table of associations."""

WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
INTEGER_DIGITS_MAX = 18
"""Longer ones need not fit into 64 bits, where a store keeps integers; they stay texts."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a record are its id, text and name; source for records that name none.

    A text of several fields, parted by commas, is made of them: "city: Paris, age: 34"; they stay
    metadata, or the name, too.
    """

    id: str = "id"
    text: str = "text"
    name: str = "name"
    source: str | None = None


def item_from(record: Mapping[str, Any], fields: Fields, place: str) -> Item:
    """The item of a record.

    `aliases source kind since until data vector namespace` mean what they mean to a store; every
    other field is metadata. Without an id the id is a hash of source and text (or name).
    Raises ValueError with the reason: a field of the wrong type, or neither id, text nor name.
    """
    rest = {key: value for key, value in record.items() if value is not None}
    id = _identity(rest.pop(fields.id, None), fields.id)
    text = _text(rest, fields.text)
    name = _string(rest.pop(fields.name, None), fields.name)
    source = _string(rest.pop("source", None), "source") or fields.source
    kind = _string(rest.pop("kind", None), "kind")
    namespace = _string(rest.pop("namespace", None), "namespace") or ""
    aliases = _aliases(rest.pop("aliases", ()))
    vector = _vector(rest.pop("vector", None))
    since, until = (_time(rest.pop(key, None), key) for key in ("since", "until"))
    data = rest.pop("data", {})
    if not isinstance(data, Mapping):
        raise ValueError(f"want an object in field 'data', got {type(data).__name__}")
    basis = text or name
    if id is None and basis is None:
        raise ValueError(f"want a field {fields.id!r}, {fields.text!r} or {fields.name!r}")
    return Item(
        id=id if id is not None else stable_id(source or "", basis or ""),
        text=text or None,
        name=name or None,
        aliases=aliases,
        source=source,
        kind=kind,
        since=since,
        until=until,
        data={**rest, **data},
        vector=vector,
        place=place,
        namespace=namespace,
    )


def edge_from(record: Mapping[str, Any], place: str) -> Edge:
    """The edge of a record with `source`, `target`, `type`; raises ValueError with the reason.

    Optional: `source_namespace`, `target_namespace`, `weight`, `confidence`, `origin`, `since`,
    `until`, `data`.
    """
    ends = {key: _identity(record.get(key), key) for key in ("source", "target", "type")}
    missing = [key for key, value in ends.items() if value is None]
    if missing:
        raise ValueError(f"an association needs a field {missing[0]!r}")
    data = record.get("data") or {}
    if not isinstance(data, Mapping):
        raise ValueError(f"want an object in field 'data', got {type(data).__name__}")
    spaces = [_string(record.get(f"{end}_namespace"), end) for end in ("source", "target")]
    return Edge(
        source=str(ends["source"]),
        target=str(ends["target"]),
        type=str(ends["type"]),
        weight=_number(record.get("weight"), "weight"),
        confidence=_number(record.get("confidence"), "confidence"),
        origin=_string(record.get("origin"), "origin"),
        since=_time(record.get("since"), "since"),
        until=_time(record.get("until"), "until"),
        data=data,
        place=place,
        source_namespace=spaces[0] or "",
        target_namespace=spaces[1] or "",
    )


def typed(cell: str) -> str | int | float | None:
    """A cell of a table as the number that it plainly is; empty is None; "007" stays a text."""
    if WHOLE.fullmatch(cell) and len(cell) <= INTEGER_DIGITS_MAX:
        return int(cell)
    if DECIMAL.fullmatch(cell):
        return float(cell)
    return cell or None


def _text(record: dict[str, Any], fields: str) -> str | None:
    if "," not in fields:
        return _string(record.pop(fields, None), fields)
    told = {key: record[key] for key in fields.split(",") if record.get(key) not in (None, "")}
    return _string(", ".join(f"{key}: {value}" for key, value in told.items()), fields)


def _identity(value: Any, field: str) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _string(value, field) or None


def _string(value: Any, field: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"want a text in field {field!r}, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"field {field!r} holds half of a surrogate pair: not UTF-8") from None
    return value


def _aliases(value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple):
        raise ValueError(f"want a list of texts in field 'aliases', got {type(value).__name__}")
    return tuple(text for x in values if (text := _string(x, "aliases")))


def _vector(value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(x) in (int, float) for x in value):
        raise ValueError("want a list of numbers in field 'vector'")
    return tuple(float(x) for x in value)


def _number(value: Any, field: str) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"want a number in field {field!r}, got {type(value).__name__}")
    return float(value)


def _time(value: Any, field: str) -> int | str | None:
    if value is None or (isinstance(value, int | str) and not isinstance(value, bool)):
        return value
    raise ValueError(f"want nanoseconds or ISO text in field {field!r}, got {type(value).__name__}")
