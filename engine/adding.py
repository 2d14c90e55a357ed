"""Adding: what a transaction does to concepts."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import checks, facets, namespaces
from .bindings.limits import CONCEPTS_MAX
from .drafts import draft, drafts, fill_vectors
from .errors import ConflictError, InvalidError, LimitError
from .indexing import Progress
from .memory import Claim
from .records import Concept, Draft, Time
from .selection import Float32, Nodes
from .snapshot import Snapshot
from .text import records as text_records

DRAFT_BYTES = 2_000  # Of a row on its way into the store, its values not counted,
NOTED_BYTES = 200  # and of what stays of it until the commit.


class _Change:
    """Around a change: an error breaks the transaction. A class, as generators take 2 us."""

    __slots__ = ("_txn",)

    def __init__(self, txn: "Adding"):
        self._txn = txn

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._txn._broken = True


class Adding(Snapshot):
    """The part of a Transaction that adds, replaces and merges concepts."""

    _retired: list[int]  # Slots that die with this commit.
    _texts: dict[int, str | None]  # Words of nodes that changed.
    _held: Claim  # Of what stays until the commit.
    _broken: bool  # A change failed half-way: only to be aborted.

    def _changing(self) -> "_Change":
        """Around a change of several steps, behind all checks: a half of it must not commit."""
        return _Change(self)

    def _changed(self) -> None:
        """Caches of the view are stale."""
        self._kept.clear()
        self._words = None
        if self._graph is not None:
            self._graph.close()
            self._graph = None

    def add(
        self,
        text: str | None = None,
        *,
        id: str | None = None,
        name: str | None = None,
        aliases: Sequence[str] = (),
        vector: Any = None,
        source: str | None = None,
        kind: str | None = None,
        data: Mapping[str, Any] | None = None,
        since: Time | None = None,
        until: Time | None = None,
        strength: float = 1.0,
        confidence: float = 1.0,
        namespace: str = "",
        on_conflict: str = "error",
    ) -> int:
        """Add a concept; returns its node number.

        A text is embedded if the store has an embedder; a given vector always wins.
        namespace: where its id is unique; made when it is new.
        on_conflict: what to do when the id exists: "error", "skip" (keep the old), "replace" (all
        fields; node and associations stay) or "merge" (only given fields; data keys united).
        """
        row = draft(
            text=text, id=id, name=name, aliases=aliases, source=source, kind=kind, data=data,
            since=since, until=until, strength=strength, confidence=confidence, namespace=namespace,
        )  # fmt: skip
        vectors = None if vector is None else checks.one_row(vector)
        self._add([row], vectors, checks.on_conflict(on_conflict), None)
        return row.node

    def add_many(
        self,
        texts: Any = None,
        *,
        ids: Any = None,
        names: Any = None,
        aliases: Any = None,
        vectors: Any = None,
        sources: Any = None,
        kinds: Any = None,
        data: Any = None,
        since: Any = None,
        until: Any = None,
        namespaces: Any = "",
        on_conflict: str = "error",
        progress: Progress | None = None,
    ) -> Nodes:
        """Add n concepts from columns; returns their node numbers (n,) uint64.

        Columns are lists, NumPy or Arrow arrays, pandas Series, or iterators; data may be a data
        frame, whose rows become metadata; sources, kinds and namespaces may be one str.
        vectors (n, dim) of any kind of number (also bfloat16 of ml_dtypes), or a list in which
        None means "embed the text".  All rows are checked before any is written.  Of every 1,024
        texts, identical ones are embedded once.
        """
        columns = {"texts": texts, "ids": ids, "names": names, "data": data, "vectors": vectors}
        for what in ("texts", "ids", "names", "data"):
            if columns[what] is not None:
                columns[what] = checks.listed(columns[what])
        if vectors is not None:
            columns["vectors"] = vectors = checks.rows(vectors)
        given = [column for column in columns.values() if column is not None]
        if not given:
            raise InvalidError("want at least one of texts, ids, names, data or vectors")
        n = len(given[0])
        drafted = Claim()
        drafted.to(n * DRAFT_BYTES, f"add {n:,} concepts at once")
        rows = drafts(
            n, texts=columns["texts"], ids=columns["ids"], names=columns["names"], aliases=aliases,
            sources=sources, kinds=kinds, data=columns["data"], since=since, until=until,
            namespaces=namespaces,
        )  # fmt: skip
        if vectors is not None and len(vectors) != n:
            raise InvalidError(f"want {n} vectors, got {len(vectors)}")
        self._add(rows, vectors, checks.on_conflict(on_conflict), progress)
        return np.array([row.node for row in rows], dtype=np.uint64)

    def _add(
        self, rows: list[Draft], vectors: Any, on_conflict: str, progress: Progress | None
    ) -> None:
        start = self._head.next_node
        if start + len(rows) > CONCEPTS_MAX:
            raise LimitError(f"a store holds at most {CONCEPTS_MAX} concepts")
        namespaces.check_count(
            len({row.namespace for row in rows} | self.namespace_numbers().keys())
        )
        new, changed = self._resolve(rows, on_conflict)
        copied = Claim()
        if vectors is not None or self.has_embedder:
            copied.to(8 * len(rows) * (self.dim or 0), f"add {len(rows):,} vectors at once")
        matrix = fill_vectors(new + changed, vectors, self, progress)
        with self._changing():
            self._write(new, changed, matrix, on_conflict)

    def _write(
        self, new: list[Draft], changed: list[Draft], matrix: Float32 | None, on_conflict: str
    ) -> None:
        if matrix is not None:
            self._append_rows([row for row in new + changed if row.vector is not None], matrix)
        now = time.time_ns()
        for row in new:
            row.created_ns = now
        settled = [self._settle(row, on_conflict, now) for row in changed]
        self._catalog.add_concepts(new)
        if settled:
            self._catalog.put_concepts(settled)
        self._put_ids(new)
        every: list[Draft | Concept] = [*new, *settled]
        named = [(name, row.node) for row in every for name in (row.name, *row.aliases) if name]
        if named:
            self._catalog.put_names(named)
            self._directory.beginnings.add(name for name, _ in named)
        self._head = self._head._replace(
            next_node=self._head.next_node + len(new),
            concepts=self._head.concepts + len(new),
        )
        self._head = facets.append(self._catalog, self._head, new)
        self._note_words(new, settled)
        self._changed()

    def _note_words(self, added: Sequence[Draft], settled: Sequence[Concept]) -> None:
        """The words of settled concepts may be others than before, and added ones may have some."""
        read = text_records.words_of
        words = {row.node: read(row) for row in added if row.text or row.name or row.aliases}
        words |= {concept.node: read(concept) for concept in settled}
        size = sum(map(len, filter(None, words.values())))
        self._held.more(size + NOTED_BYTES * len(words), f"add {len(added):,} concepts")
        self._texts.update(words)
        self._head = text_records.note(self._catalog, self._head, list(words))

    def _resolve(self, rows: list[Draft], on_conflict: str) -> tuple[list[Draft], list[Draft]]:
        """Give every row its node, and an id if it has none; the new rows, and those that change.

        With on_conflict "skip" none changes.
        """
        taken = self._taken(rows)
        new: list[Draft] = []
        changed: list[Draft] = []
        replaced: set[int] = set()
        node = self._head.next_node
        for row in rows:
            mine = taken[row.namespace]
            if row.id and (known := mine.get(row.id)) is not None:
                again = known >= self._head.next_node or known in replaced
                if again and on_conflict in ("replace", "merge"):
                    raise ConflictError(f"id {row.id!r} stands twice in one batch; add it once")
                if on_conflict == "error":
                    raise ConflictError(
                        f"there is already a concept with id {row.id!r}; "
                        "pass on_conflict='skip', 'replace' or 'merge'"
                    )
                row.node = known
                if on_conflict != "skip":
                    replaced.add(known)
                    changed.append(row)
                continue
            row.node = node
            node += 1
            new.append(row)
            if row.id:
                mine[row.id] = row.node
        self._give_ids([row for row in new if not row.id], taken)
        return new, changed

    def _taken(self, rows: list[Draft]) -> dict[str, dict[str, int]]:
        """By namespace, the nodes of the rows' ids that exist."""
        wanted: dict[str, set[str]] = {name: set() for name in {row.namespace for row in rows}}
        for row in rows:
            if row.id:
                wanted[row.namespace].add(row.id)
        numbers = self.namespace_numbers()
        return {
            name: self._catalog.nodes_of(ids, numbers[name]) if name in numbers else {}
            for name, ids in wanted.items()
        }

    def _give_ids(self, rows: list[Draft], taken: dict[str, dict[str, int]]) -> None:
        """Give ids to new rows without one, where others have taken theirs."""
        ending = ""
        while rows:
            for row in rows:
                row.id = f"_:{row.node}{ending}"
            there = self._taken(rows)
            rows = [r for r in rows if r.id in there[r.namespace] or r.id in taken[r.namespace]]
            ending += "_"

    def _put_ids(self, rows: list[Draft]) -> None:
        """Write the ids of new rows; namespaces are made where they are new."""
        known = self.namespace_numbers()
        by_name: dict[str, dict[str, int]] = {}
        for row in rows:
            by_name.setdefault(row.namespace, {})[row.id] = row.node
        for name, nodes in by_name.items():
            if name not in known:
                number = namespaces.make(self._catalog, name, known)
                known = self._namespaces = {**known, name: number}  # What others know stays.
            self._catalog.put_ids(nodes.keys(), nodes.values(), known[name])

    def _settle(self, row: Draft, on_conflict: str, now: int) -> Concept:
        """The record that an existing concept becomes; what a row replaces of it is retired."""
        old = self.get(row.node)
        for name in (old.name, *old.aliases):
            if name:
                self._catalog.delete_name(name, row.node)
        merging = on_conflict == "merge"
        if old.slots and (row.slots or not merging):
            self._retire(old.slots)
        return row.merged_into(old, now) if merging else row.replacing(old, now)

    def _retire(self, slots: Sequence[int]) -> None:
        self._retired.extend(slots)  # First: abort revives what stands here.
        self._logs.vectors().retire(slots, self._head.commit)
        self._head = self._head._replace(vectors=self._head.vectors - len(slots))

    def _append_rows(self, rows: list[Draft], matrix: Float32) -> None:
        """Append the vectors of rows to the log; the rows note their slots."""
        owners = np.array([row.node for row in rows], dtype=np.uint32)
        order = [row.vector for row in rows]
        if order != list(range(len(matrix))):
            matrix = matrix[np.array(order)]
        first = self._logs.vectors().append(matrix, owners, self._head.commit)
        for slot, row in enumerate(rows, first):
            row.slots = (slot,)
        self._head = self._head._replace(
            rows=first + len(rows), vectors=self._head.vectors + len(rows)
        )

    def ensure_dim(self, dim: int) -> None:
        """Fix the store's dimension by its first vector, if it has none yet."""
        if self._directory.manifest.dim is None:
            self._directory.set_dim(self._catalog, dim)
