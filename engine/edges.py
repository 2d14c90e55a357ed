"""The tables in the catalog that stand beside the logs: what those do not hold.

Of associations the names of types, and what is not at its default; of vectors which have died.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .concepts import ConceptTable
from .errors import CorruptError
from .layout import commit_key, edge_key, seal, unseal

EdgeKey = tuple[int, int, int]
"""(source node, type number, target node)."""


Found = TypeVar("Found")


class EdgeTable(ConceptTable):
    """The part of a CatalogTransaction that reads and writes these tables."""

    @abstractmethod
    def known(self, what: str | bytes, read: Callable[[], Found]) -> Found: ...

    @abstractmethod
    def put(self, table: str, key: bytes, value: bytes) -> None: ...

    def types(self) -> dict[str, int]:
        """Number of every association type by name; not to be changed."""
        return self.known("types", self._read_types)

    def _read_types(self) -> dict[str, int]:
        found = list(self.items("types"))
        try:
            return {key.decode(): int.from_bytes(value, "big") for key, value in found}
        except UnicodeDecodeError as error:
            raise CorruptError(f"the name of an association type is damaged: {error}") from error

    def put_type(self, name: str, number: int) -> None:
        self.put("types", name.encode(), number.to_bytes(2, "big"))

    def has_edges(self) -> bool:
        """Whether any association has something that the log does not hold."""
        return self.known("edges", lambda: next(self.items("edges"), None) is not None)

    def edge(self, key: EdgeKey) -> dict[str, Any]:
        """What the log does not hold of an association; {} when all is at its default."""
        packed = edge_key(*key)
        value = self._get("edges", packed)
        if value is None:
            return {}
        content: dict[str, Any] = unseal(packed, value, f"the data of association {key}")
        return content

    def put_edges(self, items: Iterable[tuple[EdgeKey, dict[str, Any]]]) -> None:
        packed = sorted(((edge_key(*key), content) for key, content in items), key=itemgetter(0))
        self._put_many("edges", ((key, seal(key, content)) for key, content in packed))

    def delete_edge(self, key: EdgeKey) -> None:
        self.delete("edges", edge_key(*key))

    # Deaths of vector slots.

    def deaths(self, after: int) -> Iterator[tuple[int, NDArray[np.uint32]]]:
        """(commit, slots it retired) for every commit later than `after`, in order."""
        for key, value in self.items("deaths", commit_key(after + 1)):
            if len(key) != 8 or len(value) % 4:
                raise CorruptError("a record of retired vectors is damaged; run check")
            yield int.from_bytes(key, "big"), np.frombuffer(value, dtype="<u4")

    def put_deaths(self, commit: int, slots: Sequence[int]) -> None:
        self.put("deaths", commit_key(commit), np.asarray(slots, dtype="<u4").tobytes())
