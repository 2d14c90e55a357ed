"""The table of concepts in the catalog: records by node number, each in the hot or the cold tier.

Which record belongs where is decided in tiers.py; here a record is read from either tier, and the
sizes of the tiers are counted as they change.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .environment import lmdb_errors
from .errors import CorruptError
from .layout import (
    TABLES,
    concept_key,
    decode,
    dictionary_key,
    encode,
    frozen,
    is_cold,
    node_key,
    node_of,
    primed,
    thawed,
    unseal,
)
from .records import Concept, Draft


class HotRows(NamedTuple):
    """Columns of hot records, for the scores of tiers.py; of size 0: not hot any more."""

    nodes: Sequence[int]
    strengths: Sequence[float]
    written_ns: Sequence[int]
    sizes: Sequence[int]


def hot_rows(rows: Sequence[Concept | Draft], values: Sequence[bytes]) -> HotRows:
    """Of records as they are written."""
    return HotRows(
        [row.node for row in rows],
        [row.strength for row in rows],
        [row.updated_ns or row.created_ns for row in rows],
        [0 if is_cold(value) else len(value) for value in values],
    )


def gone(nodes: Sequence[int]) -> HotRows:
    """Of nodes whose records are not hot any more."""
    return HotRows(nodes, [1.0] * len(nodes), [0] * len(nodes), [0] * len(nodes))


class ConceptTable(ABC):
    """The part of a CatalogTransaction that reads and writes concepts."""

    hot_change = 0  # Bytes that this transaction has added to the hot tier so far;
    cold_change = 0  # records, and
    cold_bytes_change = 0  # bytes, that it has added to the cold one.
    changed: set[int]  # Nodes whose records it has replaced or removed.
    noted: list["HotRows"]  # What became hot, or ceased to be, in order.
    _dictionaries: dict[int, bytes]

    @property
    @abstractmethod
    def txn(self) -> Any: ...

    @abstractmethod
    def _get(self, table: str, key: bytes) -> bytes | None: ...

    @abstractmethod
    def _put_many(
        self, table: str, items: Iterable[tuple[bytes, bytes]], *, append: bool = False
    ) -> None: ...

    @abstractmethod
    def delete(self, table: str, key: bytes) -> bool: ...

    @abstractmethod
    def items(self, table: str, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]: ...

    # Reading.

    def decoded(self, node: int, value: bytes) -> Concept:
        """The concept of a record of either tier; CorruptError if it is damaged."""
        if is_cold(value):
            value = thawed(node, value, self._dictionary)
        return decode(node, value)

    def record(self, node: int) -> tuple[Concept, bool] | None:
        """The concept of a node number, and whether it was cold; or None."""
        value = self._get("concepts", node_key(node))
        return None if value is None else (self.decoded(node, value), is_cold(value))

    def concept(self, node: int) -> Concept | None:
        """The concept of a node number, or None."""
        value = self._get("concepts", node_key(node))
        return None if value is None else self.decoded(node, value)

    def concepts(self, start: int = 0) -> Iterator[Concept]:
        """All concepts from a node number on, in node order."""
        for key, value in self.items("concepts", node_key(start)):
            yield self.decoded(node_of(key)[0], value)

    def values(self, nodes: Sequence[int]) -> list[bytes | None]:
        """What stands under each node number: a record of either tier, or None."""
        prefix = TABLES["concepts"]
        with lmdb_errors("read concepts"):
            return list(map(self.txn.get, [concept_key(prefix, node) for node in nodes]))

    def has(self, node: int) -> bool:
        """Whether there is a concept of this number."""
        return self._get("concepts", node_key(node)) is not None

    def nodes(self) -> NDArray[np.uint64]:
        """Node numbers of all concepts, ascending, (n,)."""
        prefix = TABLES["concepts"]
        with lmdb_errors("read concepts"):
            cursor = self.txn.cursor()
            if not cursor.set_range(prefix):
                return np.empty(0, dtype=np.uint64)
            keys = b"".join(cursor.iternext(values=False))  # The last table: to the end.
        if len(keys) % 5:
            raise CorruptError("a key of a concept is damaged; run check")
        numbers = np.frombuffer(keys, dtype=[("table", "S1"), ("node", ">u4")])["node"]
        return numbers.astype(np.uint64)

    def has_dictionary(self, number: int) -> bool:
        """Whether cold records can be written with this dictionary."""
        return self._get("store", dictionary_key(number)) is not None

    def _dictionary(self, number: int) -> bytes:
        if number not in self._dictionaries:
            key = dictionary_key(number)
            value = self._get("store", key)
            if value is None:
                raise CorruptError(f"the dictionary {number} of cold records is missing; run check")
            content = unseal(key, value, f"the dictionary {number} of cold records")
            self._dictionaries[number] = bytes(content)
        return self._dictionaries[number]

    # Writing.

    def put_concepts(self, concepts: Sequence[Concept], *, stay: bool = False) -> None:
        """Write records into the hot tier, or with stay=True into the one where they are."""
        pairs = []
        for concept in concepts:
            key = node_key(concept.node)
            value = encode(concept)
            old = self._get("concepts", key)
            if stay and old is not None and is_cold(old):
                number = old[5]
                value = frozen(concept.node, value, number, primed(self._dictionary(number)))
            self._count(old, value)
            pairs.append((key, value))
        self._put_many("concepts", pairs)
        self.noted.append(hot_rows(concepts, [value for _, value in pairs]))
        self.changed.update(concept.node for concept in concepts)

    def add_concepts(self, drafts: Sequence[Draft]) -> None:
        """Write records of ascending nodes, all beyond those in the table, into the hot tier."""
        values = list(map(encode, drafts))
        self.hot_change += sum(map(len, values))
        self.noted.append(hot_rows(drafts, values))
        keys = (node_key(draft.node) for draft in drafts)
        self._put_many("concepts", zip(keys, values, strict=True), append=True)

    def delete_concept(self, node: int) -> None:
        """Remove a record, if it is there."""
        key = node_key(node)
        self._count(self._get("concepts", key), None)
        self.delete("concepts", key)
        self.noted.append(gone([node]))
        self.changed.add(node)

    def promote(self, node: int, room: int) -> int:
        """Make a cold record of at most `room` bytes hot; its bytes, or 0 if it was left."""
        key = node_key(node)
        value = self._get("concepts", key)
        if value is None or not is_cold(value):
            return 0
        plain = thawed(node, value, self._dictionary)
        if len(plain) > room:
            return 0
        self._count(value, plain)
        self._put_many("concepts", [(key, plain)])
        self.noted.append(hot_rows([decode(node, plain)], [plain]))
        return len(plain)

    def demote(self, nodes: Sequence[int], number: int) -> None:
        """Make hot records cold, with the dictionary of a number."""
        compressor = primed(self._dictionary(number))
        pairs = []
        for node in nodes:
            key = node_key(node)
            value = self._get("concepts", key)
            assert value is not None
            packed = frozen(node, value, number, compressor)
            self._count(value, packed)
            pairs.append((key, packed))
        self._put_many("concepts", pairs)
        self.noted.append(gone(nodes))

    def _count(self, old: bytes | None, new: bytes | None) -> None:
        """A value takes the place of another one."""
        for value, sign in ((old, -1), (new, 1)):
            if value is None:
                continue
            if is_cold(value):
                self.cold_change += sign
                self.cold_bytes_change += sign * len(value)
            else:
                self.hot_change += sign * len(value)
