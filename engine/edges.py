"""The tables of associations in the catalog: names of types, and what the log does not hold."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, TypeVar

from .concepts import ConceptTable
from .errors import CorruptError
from .layout import edge_key, seal, unseal

EdgeKey = tuple[int, int, int]
"""(source node, type number, target node)."""


Found = TypeVar("Found")


class EdgeTable(ConceptTable):
    """The part of a CatalogTransaction that reads and writes what belongs to associations."""

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
