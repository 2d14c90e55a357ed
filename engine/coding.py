"""Coding: a column of values as its distinct values and a code for every row; for facets.py."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from operator import ne
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

FIELDS_MAX = 64
VALUE_BYTES_MAX = 64
ASK = 1  # The code of a value that is not kept.
VALUES = 2  # The first code of one that is.

Content = tuple[bytes, list[int | float], list[str], list[bytes]]
"""Codes; the distinct numbers, texts, and others as msgpack, each ascending."""


def metadata(data: Sequence[Any]) -> tuple[list[tuple[str, list[Any]]], bool]:
    """The metadata fields by frequency, level by level, with their values; whether that is all."""
    found: list[tuple[str, list[Any]]] = []
    waiting = [("data.", data)]
    for prefix, maps in waiting:  # Grows.
        counts = Counter(chain.from_iterable(x for x in maps if x))
        for key, _ in counts.most_common():
            if not isinstance(key, str) or "." in key:
                continue  # No condition can name it.
            if len(found) == FIELDS_MAX:
                return found, False
            column = [x.get(key) if x else None for x in maps]
            found.append((prefix + key, column))
            if dict in set(map(type, column)):
                inner = [x if type(x) is dict else None for x in column]
                waiting.append((f"{prefix}{key}.", inner))
    return found, True


def coded(values: list[Any], places: NDArray[np.intp], count: int) -> Content:
    """The page of a column whose values are those of the nodes at `places`."""
    if values and values.count(values[0]) == len(values) and len(set(map(type, values))) == 1:
        values = values[:1]  # One of all: coded once, and spread over the nodes.
    keys, numbers, texts, others = _distinct(values)
    table = dict.fromkeys(keys, ASK)
    table[None] = 0
    for code, key in enumerate(chain(numbers, texts, others), VALUES):
        table[key] = code
    size = VALUES + len(numbers) + len(texts) + len(others)
    codes = np.zeros(count, np.uint8 if size <= 256 else np.uint16)
    codes[places] = list(map(table.__getitem__, keys))
    if (codes == codes[0]).all():
        codes = codes[:1].astype(np.uint8)  # All have one value, or none: of the dead, too.
    plain = [key[1] if isinstance(key, tuple) else key for key in numbers]
    return codes.tobytes(), plain, texts, others


def _distinct(values: list[Any]) -> tuple[list[Any], list[Any], list[str], list[bytes]]:
    """A hashable key for every value, and the distinct keys that are kept: numbers, texts, others.

    Python holds 1, 1.0 and True for one key, so in a mixed column numbers go with their types.
    """
    kinds = set(map(type, values)) - {type(None)}
    alike = list(dict.fromkeys(values)) if len(kinds) == 1 and kinds <= {str, int, float} else []
    if None in alike:
        alike.remove(None)
    if kinds <= {str}:
        return values, [], sorted(x for x in alike if len(x) <= VALUE_BYTES_MAX), []
    if alike and not any(map(ne, alike, alike)):  # No NaN.
        return values, sorted(alike), [], []
    keys = [_key(x) for x in values]
    known = dict.fromkeys(keys)
    numbers = sorted((x for x in known if isinstance(x, tuple)), key=lambda x: x[1])
    texts = sorted(x for x in known if isinstance(x, str) and len(x) <= VALUE_BYTES_MAX)
    others = sorted(x for x in known if isinstance(x, bytes) and len(x) <= VALUE_BYTES_MAX)
    return keys, numbers, texts, others


def _key(value: Any) -> Any:
    if value is None or type(value) is str:
        return value
    if type(value) in (int, float) and value == value:
        return type(value), value
    packed = msgpack.packb(value)
    if isinstance(value, int | float | str) and type(value) not in (bool, float):
        return _key(msgpack.unpackb(packed))  # Of a subclass, as what its record will give.
    return packed
