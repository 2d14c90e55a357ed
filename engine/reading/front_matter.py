"""The block between `---` at the start of a note, as metadata.

Of YAML it reads the flat fields that notes have: `key: value`, `key: [a, b]`, and lines `- item`
below a `key:`. Values are texts, but plain numbers, true and false. What is nested, or goes on over
lines, is left out.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from .fields import typed

FIELD = re.compile(r"(\w[\w-]*):(?:[ \t]+(.*))?")
ENTRY = re.compile(r"[ \t]*-[ \t]+(.+)")
QUOTED = re.compile(r"""(["'])(.*)\1""")
OTHER = tuple("|>{&*!")  # Begins what is no flat value.
TRUTH = {"true": True, "false": False}


def without_front_matter(
    lines: Iterator[tuple[int, str]], fields: dict[str, Any]
) -> Iterator[tuple[int, str]]:
    """The numbered lines behind the block, whose fields are put into `fields`."""
    held: list[tuple[int, str]] = []
    for number, line in lines:
        if not held and (number, line.rstrip()) != (1, "---"):
            yield number, line
            break
        held.append((number, line))
        if number > 1 and line.rstrip() in ("---", "..."):
            fields |= flat_fields(text for _, text in held[1:-1])
            held = []
            break
    yield from held  # A block that never ends is text.
    yield from lines


def flat_fields(lines: Iterable[str]) -> dict[str, Any]:
    """The fields of such a block; an empty one is left out."""
    found: dict[str, Any] = {}
    entries: list[Any] | None = None  # Of the field whose lines follow.
    for line in lines:
        if field := FIELD.fullmatch(line.rstrip()):
            key, text = field[1], (field[2] or "").partition(" #")[0].strip()
            entries = None if text else found.setdefault(key, [])
            if text.startswith("[") and text.endswith("]"):
                found[key] = [_value(x) for x in text[1:-1].split(",") if x.strip()]
            elif text and not text.startswith(OTHER):
                found[key] = _value(text)
        elif entries is not None and (entry := ENTRY.fullmatch(line.rstrip())):
            entries.append(_value(entry[1]))
    return {key: value for key, value in found.items() if value not in ([], None)}


def _value(text: str) -> str | int | float | bool | None:
    text = text.strip()
    if quoted := QUOTED.fullmatch(text):
        return quoted[2]
    return TRUTH[text] if text in TRUTH else typed(text)
