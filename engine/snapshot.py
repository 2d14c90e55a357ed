"""Snapshot: a frozen, consistent view of everything, and the only door that operators use.

A Snapshot is an LMDB read transaction and the Head that it sees: visible are concepts of that
transaction, rows and log records below the lengths in that Head, minus those that had died by then.
It costs microseconds to open, never blocks and is never blocked.
"""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import bitmaps, blobs
from .addressing import Key as Key
from .associations import type_numbers
from .bindings.graph import Edges, GraphView
from .bindings.limits import EDGE_DATA
from .catalog import CatalogTransaction
from .directory import Directory
from .embedders import Embedder
from .errors import NotFoundError
from .filters import Condition
from .heads import Head
from .layout import decode, is_cold
from .nearness import Nearness
from .records import Association, Concept
from .selection import Float32, Nodes

if TYPE_CHECKING:  # Imported where it is used: to open and read a store takes none of it.
    from . import cutting, evidence
    from .text import WordView


READ_AT_ONCE = 256  # Associations whose ends are read in one go.


class Snapshot(Nearness):
    """A frozen view of the store; close it when done, best with `with`."""

    _writes = False  # A Transaction sees what may yet be undone.

    def __init__(self, directory: Directory, embedder: Embedder | None = None):
        self._directory = directory
        self._embedder = embedder
        self._graph: GraphView | None = None
        self._words: WordView | None = None
        self._types: dict[str, int] | None = None
        self._namespaces: dict[str, int] | None = None
        self._type_names: dict[int, str] = {}
        self._catalog = self._begin()
        try:
            self._head = self._catalog.head()
            self._logs = directory.refresh(self._catalog, self._head)
            self._edge_log = self._logs.associations_of(self._head)
            state = (self._catalog.number, self._head.commit, self._head.generation)
            self._kept = directory.kept  # Read once: another thread may put its state's there.
            if self._kept.state != state:
                self._kept = directory.kept = bitmaps.Kept(state)
        except BaseException:
            self._catalog.abort()
            raise

    def _begin(self) -> CatalogTransaction:
        return self._directory.catalog.begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the view; may be called twice."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None
        self._catalog.abort()

    @property
    def head(self) -> Head:
        """Lengths and counts as of this view."""
        return self._head

    @property
    def catalog(self) -> CatalogTransaction:
        """The catalog's transaction; for the store's own reports."""
        return self._catalog

    @property
    def damage(self) -> dict[str, str | None]:
        """Why vectors or associations cannot be used, by part; None where they can."""
        return {**self._logs.damage, "associations": self._edge_log.damage}

    @property
    def index_state(self) -> tuple[int, int, int]:
        """What an approximate answer depends on beside this view: the index as it is here now."""
        return (self._logs.generation, *self._logs.index_progress)

    @property
    def version(self) -> int:
        """Number of the last commit that this view sees."""
        return self._head.commit

    def __len__(self) -> int:
        return self._head.concepts

    # Concepts.

    def get(self, key: Key) -> Concept:
        """The concept of an id, (namespace, id) or node number; NotFoundError if there is none."""
        node = self.node(key)
        found = self._catalog.record(node) if 0 <= node < self._head.next_node else None
        if found is None:
            raise NotFoundError(f"there is no concept {key!r}")
        self._directory.tiers.note(node, found[1])
        return found[0]

    def named(self, name: str) -> list[Concept]:
        """Concepts with this name or alias; case and white space do not matter."""
        return self.records(self._catalog.named(name))

    def starts_name(self, *starts: str) -> bool:
        """Whether a name or alias starts with one of these, in lower case, with single spaces."""
        return self._catalog.starts_name(*starts)

    def concepts(self, where: Condition | None = None) -> Iterator[Concept]:
        """All concepts that satisfy a condition (see filters.py), in node order."""
        if where is None:
            return self._catalog.concepts()
        found = map(self._catalog.concept, bitmaps.to_nodes(self.matching(where)).tolist())
        return (concept for concept in found if concept is not None)

    def records(self, nodes: Sequence[int] | Nodes) -> list[Concept]:
        """The concepts of node numbers, in the order given."""
        numbers = nodes.tolist() if isinstance(nodes, np.ndarray) else list(map(int, nodes))
        return [
            decode(node, value) if isinstance(value, bytes) else value
            for node, value in zip(numbers, self.unread(numbers), strict=True)
        ]

    def unread(self, nodes: Sequence[int]) -> list[bytes | Concept]:
        """The records of node numbers as they stand where they are hot, else the concepts."""
        end = self._head.next_node  # No concept has this number.
        within = [node if 0 <= node < end else end for node in nodes]
        found: list[Any] = self._catalog.values(within)
        if None in found:
            raise NotFoundError(f"there is no concept {nodes[found.index(None)]!r}")
        tiers = self._directory.tiers
        cold = [i for i, value in enumerate(found) if is_cold(value)]
        for i in cold:
            tiers.note(within[i], True)
            found[i] = self._catalog.decoded(within[i], found[i])
        if cold:
            within = [n for n, value in zip(within, found, strict=True) if type(value) is bytes]
        tiers.note_hot(within)
        return found

    def all_nodes(self) -> Nodes:
        """Node numbers of all concepts, ascending."""
        return self._catalog.nodes()

    def matching(self, where: Condition) -> bitmaps.Bitmap:
        """The concepts that satisfy a condition, as a bitmap over node numbers."""
        found = self.matched(where)
        if found is None:
            from . import facets

            nodes = facets.matching(self._catalog, self._head, where)
            found = bitmaps.of_nodes(nodes, self._head.next_node)
            self._kept.put(repr(where), found)
        return found

    def matched(self, where: Condition) -> bitmaps.Bitmap | None:
        """The same where this view has looked already."""
        return self._kept.get(repr(where))

    def vectors(self, nodes: Sequence[int] | Nodes) -> Float32:
        """The vector of each concept, (n, dim); NotFoundError if one has none."""
        slots = []
        for concept in self.records(nodes):
            if not concept.slots:
                raise NotFoundError(f"concept {concept.id!r} has no vector")
            slots.append(concept.slots[0])
        return self._logs.vectors().read(slots)

    # Bytes that a feature keeps, and words.

    def blob(self, name: str) -> bytes | None:
        """The bytes that a transaction kept under this name, or None."""
        return blobs.read(self._catalog, name)

    @property
    def words(self) -> "WordView":
        """The words of all concepts as this view sees them; for operators."""
        if self._words is None:
            self._words = None if self._writes else self._kept.words
        if self._words is None:
            from .text import records as text_records

            index = self._directory.words()
            self._words = text_records.view(index, self._catalog, self._head, pending=self._writes)
            self._kept.words = self._words
        return self._words

    # Associations.

    @property
    def graph(self) -> GraphView:
        """The frozen adjacency; for operators."""
        if self._graph is None:
            self._graph = self._edge_log.view(self._head)
        return self._graph

    def type_numbers(self) -> dict[str, int]:
        """Number of every association type by name."""
        if self._types is None:
            self._types = self._catalog.types()
            self._type_names = {number: name for name, number in self._types.items()}
        return self._types

    def type_name(self, number: int) -> str:
        """Name of an association type."""
        self.type_numbers()
        return self._type_names.get(number, f"type {number}")

    def types(self) -> dict[str, int]:
        """How many associations there are of every type."""
        counts = np.bincount(self.graph.edges()["type"], minlength=len(self.type_numbers()))
        return {name: int(counts[i]) for name, i in self.type_numbers().items() if counts[i]}

    def neighbours(
        self, key: Key, types: Sequence[str] | None = None, direction: str = "out"
    ) -> list[Association]:
        """The associations that leave ("out"), enter ("in") or touch ("both") a concept."""
        numbers = type_numbers(types, self.type_numbers())
        edges = self.graph.neighbours([self.existing(key)], direction=direction, types=numbers)[0]
        return list(self._associations(edges))

    def associations(self) -> Iterator[Association]:
        """All associations, by source node, type and target node."""
        return self._associations(self.graph.edges())

    def _associations(self, edges: Edges) -> Iterator[Association]:
        ids: dict[int, tuple[str, str]] = {}
        for at in range(0, len(edges), READ_AT_ONCE):
            rows = edges[at : at + READ_AT_ONCE].tolist()
            new = list({node for row in rows for node in row[:2]} - ids.keys())
            for concept in self.records(new):
                ids[concept.node] = concept.id, concept.namespace
            for source, target, type, flags, weight in rows:
                data = self._catalog.edge((source, type, target)) if flags & EDGE_DATA else {}
                (start, here), (end, there) = ids[source], ids[target]
                yield Association(
                    start, end, self.type_name(type), weight,
                    source_namespace=here, target_namespace=there, **data,
                )  # fmt: skip

    def details(self, edges: Edges) -> list[dict[str, Any]]:
        """What the log does not hold of each association: confidence, origin, times, data."""
        return [
            self._catalog.edge((source, type, target)) if flags & EDGE_DATA else {}
            for source, target, type, flags, _ in edges.tolist()
        ]

    # Reasoning.

    @property
    def moment(self) -> int:
        """The time of this view's last commit, in ns: what is valid is asked of this moment."""
        return self._head.updated_ns

    def paths(self, source: Key, target: Key, k: int = 5, **how: Any) -> "list[evidence.Path]":
        """The k best paths of associations from one concept to another; see evidence.paths."""
        from . import evidence

        return evidence.paths(self, [self.existing(source)], [self.existing(target)], k, **how)[0]

    def believe(
        self, source: Key, target: Key, types: Sequence[str] | None = None, **how: Any
    ) -> "evidence.Belief":
        """How far associations that hold lead from one concept to another.

        Bounds of the probability, the disjoint paths, and the cut; see evidence.believe.
        """
        from . import evidence

        ends = [self.existing(source)], [self.existing(target)]
        return evidence.believe(self, *ends, types=types, **how)

    def min_cut(
        self,
        ids: Sequence[Key] | None = None,
        source: Key | None = None,
        target: Key | None = None,
    ) -> "cutting.Cut":
        """The lightest cut among some concepts, or all: what must go for them to fall apart.

        Weights of both directions and all types add up; exact.  source, target: the cut between
        these two.  The cut of a raw knowledge graph is usually one leaf: say which concepts.
        """
        from . import cutting

        nodes = self.all_nodes() if ids is None else [self.get(key).node for key in ids]
        ends = [None if key is None else self.get(key).node for key in (source, target)]
        return cutting.lightest_cut(cutting.network_of(self.graph, nodes), *ends)
