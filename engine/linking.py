"""Linking: what a transaction does to associations, and to the concepts that it forgets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import checks, folding, namespaces
from .adding import Adding
from .associations import records, removals
from .bindings.graph import EDGE, Edges
from .bindings.limits import EDGE_DATA, TYPE_BYTES_MAX, TYPES_MAX
from .errors import InvalidError, LimitError, NotFoundError
from .memory import Claim
from .records import Concept, Time, to_ns
from .snapshot import Key
from .text import records as text_records

COLUMNS_BYTES = 300  # Of an association in the columns that are checked,
PENDING_BYTES = 32  # and of its record until the commit.
LOOKED_UP_MAX = 64  # Changed associations whose count is found one by one.


class Linking(Adding):
    """The part of a Transaction that sets and removes associations."""

    _linked: bool  # Whether records are pending.
    _changes: list[tuple[int, int, int, int, float]]  # These, while there are few.

    def link(
        self,
        source: Key,
        target: Key,
        type: str,
        *,
        weight: float = 1.0,
        confidence: float = 1.0,
        origin: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        data: Mapping[str, Any] | None = None,
        create: bool = False,
    ) -> None:
        """Set the association (source, type, target), replacing one that exists.

        create=True adds endpoints that are missing; else they raise NotFoundError.
        """
        content: dict[str, Any] = {"since": to_ns(since), "until": to_ns(until)}
        checks.interval(content["since"], content["until"])
        content["origin"] = checks.optional_name(origin, "origin")
        content["data"] = checks.data(data) or None
        belief = checks.confidence(confidence)
        content["confidence"] = None if belief == 1 else belief
        content = {key: value for key, value in content.items() if value is not None}
        weight = checks.weight(weight)
        if not isinstance(type, str) or type not in self.type_numbers():
            self._check_types([type])
        if create:
            self._create_missing([[source], [target]])
        start, end = self.existing(source), self.existing(target)
        with self._changing():
            if type not in self.type_numbers():
                self._numbers_of_types([type])
            edges = np.array([(start, end, self.type_numbers()[type], 0, weight)], EDGE)
            if content or self._catalog.has_edges():
                self._put_contents(edges, [content])
            self._append(edges)

    def link_many(
        self,
        sources: Any,
        targets: Any,
        types: Any,
        *,
        weights: Any = None,
        confidences: Any = None,
        create: bool = False,
    ) -> int:
        """Set n associations from columns; returns n.

        sources, targets: ids or node numbers; types: one name or n; weights: finite; confidences in
        (0, 1].  All are checked before any is written.
        """
        columns = [_column(sources), _column(targets)]
        n = len(columns[0])
        if len(columns[1]) != n:
            raise InvalidError(f"want {n} targets, got {len(columns[1])}")
        weight = checks.weights(weights, n)
        confidence = checks.confidences(confidences, n)
        names = checks.column(types, n, "types")
        self._check_types(names)
        columned = Claim()
        columned.to(n * COLUMNS_BYTES, f"link {n:,} associations at once")
        if create:
            self._create_missing(columns)
        source, target = (self._ends(column) for column in columns)
        with self._changing():
            edges = records(source, target, self._numbers_of_types(names), weight)
            if confidence or self._catalog.has_edges():
                beliefs = confidence or [1.0] * n
                contents = [{} if belief == 1 else {"confidence": belief} for belief in beliefs]
                self._put_contents(edges, contents)
            self._append(edges)
        return n

    def _put_contents(self, edges: Edges, contents: list[dict[str, Any]]) -> None:
        """Write what the log does not hold; what a replaced association had must not come back."""
        edges["flags"] = np.where([bool(content) for content in contents], EDGE_DATA, 0)
        keys = [(s, t, o) for s, o, t, _, _ in edges.tolist()]
        last = dict(zip(keys, contents, strict=True))  # Of one named twice, as in the log.
        for key, content in last.items():
            if not content:
                self._catalog.delete_edge(key)
        pairs = {key: content for key, content in last.items() if content}
        if pairs:
            self._catalog.put_edges(pairs.items())

    def _create_missing(self, columns: list[list[Key] | NDArray[Any]]) -> None:
        """Add the ids that do not exist, once every other key is known to be right."""
        missing: dict[tuple[str, str], None] = {}
        for keys in columns:
            if isinstance(keys, np.ndarray):
                self._ends(keys)
                continue
            for key in dict.fromkeys(keys):
                if not isinstance(key, str | tuple):
                    self.existing(key)
                elif key not in self:
                    missing[("", key) if isinstance(key, str) else key] = None
        if missing:
            ids, spaces = [id for _, id in missing], [space for space, _ in missing]
            self.add_many(ids=ids, namespaces=spaces)

    def _ends(self, keys: list[Key] | NDArray[Any]) -> NDArray[np.uint32]:
        """Node numbers of a column of ids or node numbers, all of which exist."""
        if isinstance(keys, np.ndarray):
            unknown = np.setdiff1d(keys, self.all_nodes())
            if len(unknown):
                raise NotFoundError(f"there is no concept number {unknown[0]}")
            return keys.astype(np.uint32)
        found = {key: self.existing(key) for key in dict.fromkeys(keys)}
        return np.array([found[key] for key in keys], dtype=np.uint32)

    def _check_types(self, names: list[str]) -> None:
        known = self.type_numbers()
        try:
            fresh = [name for name in dict.fromkeys(names) if name not in known]
        except TypeError as error:
            raise InvalidError(f"want each association type as str, {error}") from error
        for name in fresh:
            checks.name(name, "association type", TYPE_BYTES_MAX)
        if len(known) + len(fresh) > TYPES_MAX:
            raise LimitError(
                f"a store has at most {TYPES_MAX} association types, got {fresh[-1]!r}"
            )

    def _numbers_of_types(self, names: list[str]) -> NDArray[np.uint16]:
        known = self.type_numbers()
        for name in dict.fromkeys(names):
            if name in known:
                continue
            number = len(known)
            self._catalog.put_type(name, number)
            known = self._types = {**known, name: number}  # What others know stays.
            self._type_names[number] = name
        if len(set(names)) == 1:
            return np.full(len(names), known[names[0]], dtype=np.uint16)
        return np.array([known[name] for name in names], dtype=np.uint16)

    def unlink(self, source: Key, target: Key, type: str | None = None) -> int:
        """Remove the association of a type, or of all types, from source to target.

        Returns how many there were; NotFoundError if none.
        """
        start, end = self.get(source).node, self.get(target).node
        edges = self.graph.neighbours([start], direction="out")[0]
        edges = edges[edges["target"] == end]
        if type is not None:
            edges = edges[edges["type"] == self.type_numbers().get(type, TYPES_MAX)]
        if not len(edges):
            raise NotFoundError(
                f"there is no association {type or ''} from {source!r} to {target!r}"
            )
        with self._changing():
            self._remove(edges)
        return len(edges)

    def _remove(self, edges: Edges) -> None:
        for source, target, type, flags, _ in edges.tolist():
            if flags & EDGE_DATA:
                self._catalog.delete_edge((source, type, target))
        self._append(removals(edges))

    def _append(self, edges: Edges) -> None:
        if len(edges):
            if len(self._changes) <= LOOKED_UP_MAX:
                self._changes += edges[: LOOKED_UP_MAX + 1].tolist()
            self._held.more(len(edges) * PENDING_BYTES, f"link {len(edges):,} associations")
            first = not self._linked
            self._linked = True  # First: abort drops what is pending then.
            if first and folding.is_load(self._head, len(edges)):
                self._edge_log.load(edges)
            else:
                self._edge_log.append(edges)
            self._changed()

    def forget(self, key: Key) -> None:
        """Remove a concept with its vectors and all associations that touch it."""
        concept = self.get(key)
        edges = self.graph.neighbours([concept.node], direction="both")[0]
        with self._changing():
            self._remove_concept(concept, edges)

    def drop_namespace(self, name: str) -> int:
        """Remove a namespace with all of its concepts; returns how many there were.

        The namespace "" loses its concepts and stays.  NotFoundError if there is none.
        """
        number = self.namespace_numbers().get(name)
        if number is None:
            raise NotFoundError(f"there is no namespace {name!r}")
        nodes = namespaces.nodes(self._catalog, number)
        with self._changing():
            for node in nodes.tolist():
                self.forget(node)
            if number:
                self._catalog.delete("namespaces", name.encode())
                self._namespaces = {x: n for x, n in self.namespace_numbers().items() if x != name}
        return len(nodes)

    def _remove_concept(self, concept: Concept, edges: Edges) -> None:
        self._remove(edges)
        if concept.slots:
            self._retire(concept.slots)
        for name in (concept.name, *concept.aliases):
            if name:
                self._catalog.delete_name(name, concept.node)
        self._catalog.delete_id(concept.id, self.namespace_numbers()[concept.namespace])
        self._catalog.delete_concept(concept.node)
        if text_records.words_of(concept):
            self._texts[concept.node] = None
            self._head = text_records.note(self._catalog, self._head, [concept.node])
        self._head = self._head._replace(concepts=self._head.concepts - 1)
        self._changed()


def _column(values: Any) -> list[Key] | NDArray[Any]:
    """A column of keys: an array of node numbers as it is, anything else as a list."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu" and values.ndim == 1:
        return values
    return checks.listed(values)
