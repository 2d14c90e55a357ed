"""Conditions on concepts, in the dictionary form that people know from MongoDB.

    {"source": "atlas"}                              equality
    {"pop": {"$gt": 2, "$lte": 9}}                   comparisons, all must hold
    {"$or": [{"kind": "city"}, {"name": "Rome"}]}    $and, $or, $not

OWN_FIELDS name the concept's own; anything else, and `data.<field>`, names metadata, dots going
into dictionaries.
A missing field equals None and satisfies no comparison. Values of different types never compare.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from .errors import InvalidError
from .records import Concept

Predicate = Callable[[Concept], bool]
Condition = Mapping[str, Any]
T = TypeVar("T")

OWN_FIELDS = frozenset(field.name for field in fields(Concept)) - {"data", "slots"}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordered(a: Any, b: Any) -> bool:
    return (_number(a) and _number(b)) or (isinstance(a, str) and isinstance(b, str))


def _equal(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _contains(value: Any, part: Any) -> bool:
    if isinstance(value, str):
        return isinstance(part, str) and part in value
    if isinstance(value, list | tuple):
        return part in value
    if isinstance(value, dict):
        return isinstance(part, str) and part in value
    return False


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda a, b: not _equal(a, b),
    "$in": lambda a, b: any(_equal(a, x) for x in b),
    "$nin": lambda a, b: not any(_equal(a, x) for x in b),
    "$gt": lambda a, b: _ordered(a, b) and a > b,
    "$gte": lambda a, b: _ordered(a, b) and a >= b,
    "$lt": lambda a, b: _ordered(a, b) and a < b,
    "$lte": lambda a, b: _ordered(a, b) and a <= b,
    "$contains": _contains,
    "$exists": lambda a, b: (a is not None) == bool(b),
}


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What a condition is made into: the meaning of its comparisons and of the words around."""

    comparison: Callable[[str, str, Any], T]  # Of a field, a word of COMPARISONS, its operand.
    every: Callable[[list[T]], T]
    some: Callable[[list[T]], T]
    inverse: Callable[[T], T]


def compile(condition: Condition) -> Predicate:
    """The predicate of a condition.

    Raises InvalidError for an unknown `$` word or an operand of the wrong form.
    """
    return read(condition, PREDICATES)


def read(condition: Condition, reading: Reading[T]) -> T:
    """What a condition says in this reading of it. Raises InvalidError as compile does."""
    if not isinstance(condition, Mapping):
        raise InvalidError(f"want a condition as a dictionary, got {condition!r}")
    return reading.every([_term(key, value, reading) for key, value in condition.items()])


def _term(key: str, value: Any, reading: Reading[T]) -> T:
    if not isinstance(key, str):
        raise InvalidError(f"want the name of a field as text, got {key!r}")
    if key in ("$and", "$or"):
        if not isinstance(value, list | tuple) or not value:
            raise InvalidError(f"want a list of conditions after {key}, got {value!r}")
        parts = [read(part, reading) for part in value]
        return reading.every(parts) if key == "$and" else reading.some(parts)
    if key == "$not":
        return reading.inverse(read(value, reading))
    if key.startswith("$"):
        raise InvalidError(f"unknown word {key} in a condition; want $and, $or, $not or a field")
    tests = value if isinstance(value, Mapping) and _is_tests(value) else {"$eq": value}
    return reading.every([_checked(key, *test, reading) for test in tests.items()])


def _is_tests(value: Mapping[str, Any]) -> bool:
    words = [str(key).startswith("$") for key in value]
    return bool(words) and any(words)


def _checked(field: str, word: str, operand: Any, reading: Reading[T]) -> T:
    if word not in COMPARISONS:
        raise InvalidError(f"unknown comparison {word} on {field}; want {' '.join(COMPARISONS)}")
    if word in ("$in", "$nin") and not isinstance(operand, list | tuple | set | frozenset):
        raise InvalidError(f"want a list after {word}, got {operand!r}")
    return reading.comparison(field, word, operand)


def _comparison(field: str, word: str, operand: Any) -> Predicate:
    test, value = COMPARISONS[word], getter(field)
    return lambda concept: test(value(concept), operand)


def _every(predicates: list[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda concept: all(predicate(concept) for predicate in predicates)


def _some(predicates: list[Predicate]) -> Predicate:
    return lambda concept: any(predicate(concept) for predicate in predicates)


def _inverse(predicate: Predicate) -> Predicate:
    return lambda concept: not predicate(concept)


PREDICATES = Reading(_comparison, _every, _some, _inverse)


def getter(field: str) -> Callable[[Concept], Any]:
    """The function that reads a field of a concept; None where it is missing."""
    if field in OWN_FIELDS:
        return lambda concept: getattr(concept, field)
    path = field.removeprefix("data.").split(".")

    def read(concept: Concept) -> Any:
        value: Any = concept.data
        for part in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(part)
        return value

    return read
