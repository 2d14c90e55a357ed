"""Addressing: the concept that a key means: an id, (namespace, id) or a node number."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import namespaces
from .catalog import CatalogTransaction
from .errors import InvalidError, NotFoundError
from .heads import Head

SAME_NAMES_SHOWN = 3  # In an error.
Key = str | int | tuple[str, str]
"""A concept: its id, (namespace, id), or its node number."""


class Addressing:
    """The part of a Snapshot that turns keys into node numbers."""

    _catalog: CatalogTransaction
    _head: Head
    _namespaces: dict[str, int] | None

    def node(self, key: Key) -> int:
        """The node number of an id (or of itself); NotFoundError if there is none."""
        if isinstance(key, str | tuple):
            node = self._node_of_id(key)
            if node is None:
                raise NotFoundError(f"there is no concept with id {key!r}{self._meant(key)}")
            return node
        if isinstance(key, bool) or not isinstance(key, int | np.integer):
            raise InvalidError(
                f"want an id (str), (namespace, id) or a node number (int), got {key!r}"
            )
        return int(key)

    def _node_of_id(self, key: str | tuple[str, str]) -> int | None:
        if isinstance(key, str):
            return self._catalog.node(key)
        if len(key) != 2 or not all(isinstance(part, str) for part in key):
            raise InvalidError(f"want (namespace, id), got {key!r}")
        if not key[0]:
            return self._catalog.node(key[1])
        number = self.namespace_numbers().get(key[0])
        return None if number is None else self._catalog.node(key[1], number)

    def _meant(self, key: str | tuple[str, str]) -> str:
        """Whose name it is: a hint for who took a name for an id."""
        nodes = self._catalog.named(key) if isinstance(key, str) else []
        found = map(self._catalog.concept, nodes[:SAME_NAMES_SHOWN])
        ids = ", ".join(repr(concept.id) for concept in found if concept is not None)
        return f"; that is a name of {ids}" if ids else ""

    def existing(self, key: Key) -> int:
        """The node number of a concept that exists; NotFoundError if there is none."""
        node = self.node(key)
        named = isinstance(key, str | tuple)  # An id stands for a concept that there is.
        if named or (0 <= node < self._head.next_node and self._catalog.has(node)):
            return node
        raise NotFoundError(f"there is no concept {key!r}")

    def __contains__(self, key: Key) -> bool:
        if isinstance(key, str | tuple):
            return self._node_of_id(key) is not None
        return 0 <= key < self._head.next_node and self._catalog.has(key)

    def known(self, ids: Sequence[str | tuple[str, str]]) -> NDArray[np.bool_]:
        """For each id, or (namespace, id), whether there is such a concept, (n,)."""
        return np.array([self._node_of_id(id) is not None for id in ids], dtype=np.bool_)

    def namespace_numbers(self) -> dict[str, int]:
        """Number of every namespace by name."""
        if self._namespaces is None:
            self._namespaces = namespaces.numbers(self._catalog)
        return self._namespaces

    def namespaces(self) -> dict[str, int]:
        """How many concepts there are in every namespace, by name."""
        named = sorted(self.namespace_numbers().items())
        return {name: len(namespaces.nodes(self._catalog, number)) for name, number in named}
