"""Namespaces: the same id may stand in several; their names, numbers and concepts.

A concept's record holds the name of its namespace, keys of ids hold its number (layout.py). The
namespace "" has the number 0, always exists, and is where concepts go that name none.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .bindings.limits import NAMESPACES_MAX
from .catalog import CatalogTransaction
from .errors import CorruptError, LimitError
from .layout import namespace_key, node_of

DEFAULT = ""


def numbers(txn: CatalogTransaction) -> dict[str, int]:
    """Number of every namespace by name; not to be changed."""
    return txn.known("namespaces", lambda: _read_numbers(txn))


def _read_numbers(txn: CatalogTransaction) -> dict[str, int]:
    found = {DEFAULT: 0}
    for key, value in txn.items("namespaces"):
        if len(value) != 2:
            raise CorruptError("a record of a namespace is damaged; run repair")
        found[key.decode("utf-8", "replace")] = int.from_bytes(value, "big")
    return found


def make(txn: CatalogTransaction, name: str, known: Mapping[str, int]) -> int:
    """The number of a new namespace of a checked name: the smallest that is free."""
    check_count(len(known) + 1)
    taken = set(known.values())
    number = next(x for x in range(len(taken) + 1) if x not in taken)
    txn.put("namespaces", name.encode(), namespace_key(number))
    return number


def check_count(count: int) -> None:
    """Raise LimitError for too many."""
    if count > NAMESPACES_MAX:
        raise LimitError(f"a store has at most {NAMESPACES_MAX} namespaces; drop one")


def nodes(txn: CatalogTransaction, number: int) -> NDArray[np.uint64]:
    """Node numbers of the concepts of a namespace, ascending, (n,)."""
    start = namespace_key(number)
    found = []
    for key, value in txn.items("ids", start):
        if not key.startswith(start):
            break
        found.append(int(node_of(value)[0]))
    return np.array(sorted(found), dtype=np.uint64)
