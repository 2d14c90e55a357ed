"""Conditions from text: "topic=animal", "pop>=2.5", "text~wolf", as people type them in a shell."""

import json
import re
from collections.abc import Iterable
from typing import Any

from .errors import InvalidError

WORDS = {"=": "$eq", "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"} | {
    "~": "$contains"
}
TERM = re.compile(r"([\w.-]+)\s*(!=|>=|<=|=|>|<|~)\s*(.*)", re.DOTALL)
SIGNS = tuple("=!<>~")
TEXT_FIELDS = frozenset({"id", "text", "name", "source", "kind", "namespace"})
"""Fields whose values are texts, whatever they look like."""


def parse_conditions(terms: Iterable[str]) -> dict[str, Any] | None:
    """One condition, as `quillian.filters` takes it, that holds where all terms do; None for none.

    A term is FIELD, one of = != > >= < <= ~ (contains), and a value: a number, true, false, null or
    a "quoted text" where it reads as JSON, else the text itself. Raises InvalidError.
    """
    parts = []
    for term in terms:
        match = TERM.fullmatch(term.strip())
        if match is None:
            want = "want FIELD and one of = != > >= < <= ~ and a value, like 'topic=animal'"
            raise InvalidError(f"{want}; got {term!r}")
        field, sign, value = match.groups()
        if sign != "~" and value.startswith(SIGNS):
            raise InvalidError(
                f"{field} {sign}{value[0]} is no comparison; want one of = != > >= < <= ~"
            )
        parts.append({field: {WORDS[sign]: value if field in TEXT_FIELDS else _value(value)}})
    if len(parts) <= 1:
        return parts[0] if parts else None
    return {"$and": parts}


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text
    return text if isinstance(value, list | dict) or value != value else value
