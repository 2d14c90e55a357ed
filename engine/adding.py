"""Adding: what a transaction does to concepts."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np

from . import checks, namespaces
from .bindings.limits import CONCEPTS_MAX
from .drafts import Draft, drafts, fill_vectors
from .errors import ConflictError, InvalidError, LimitError
from .indexing import Progress
from .records import Concept, Time
from .selection import Float32, Nodes
from .snapshot import Snapshot
from .text import records as text_records


class Adding(Snapshot):
    """The part of a Transaction that adds, replaces and merges concepts."""

    _retired: list[int]  # Slots that die with this commit.
    _texts: dict[int, str | None]  # Words of nodes that changed.
    _broken: bool  # A change failed half-way: only to be aborted.

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Around a change of several steps, behind all checks: a half of it must not commit."""
        try:
            yield
        except BaseException:
            self._broken = True
            raise

    def _changed(self) -> None:
        """Caches of the view are stale."""
        self._matching.clear()
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
        row = drafts(
            1, texts=[text], ids=[id], names=[name], aliases=[aliases], sources=source, kinds=kind,
            data=[data], since=[since], until=[until], strengths=[strength],
            confidences=[confidence], namespaces=namespace,
        )  # fmt: skip
        vectors = None if vector is None else [vector]
        return int(self._add(row, vectors, checks.on_conflict(on_conflict), None)[0])

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
        None means "embed the text".  All rows are checked
        before any is written.  Identical texts are embedded once.
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
        rows = drafts(
            n, texts=columns["texts"], ids=columns["ids"], names=columns["names"], aliases=aliases,
            sources=sources, kinds=kinds, data=columns["data"], since=since, until=until,
            namespaces=namespaces,
        )  # fmt: skip
        if vectors is not None and len(vectors) != n:
            raise InvalidError(f"want {n} vectors, got {len(vectors)}")
        return self._add(rows, vectors, checks.on_conflict(on_conflict), progress)

    def _add(
        self, rows: list[Draft], vectors: Any, on_conflict: str, progress: Progress | None
    ) -> Nodes:
        start = self._head.next_node
        if start + len(rows) > CONCEPTS_MAX:
            raise LimitError(f"a store holds at most {CONCEPTS_MAX} concepts")
        wanted = {row.namespace for row in rows}
        namespaces.check_count(len(wanted | set(self.namespace_numbers())))
        nodes, fresh = self._resolve(rows, on_conflict)
        changed = [] if on_conflict == "skip" else [row for row in rows if row.index not in fresh]
        new = [row for row in rows if row.index in fresh]
        fill_vectors(new + changed, vectors, self, progress)
        with self._changing():
            self._write(new, changed, nodes, on_conflict)
        return np.array(nodes, dtype=np.uint64)

    def _write(
        self, new: list[Draft], changed: list[Draft], nodes: list[int], on_conflict: str
    ) -> None:
        self._append_rows(new + changed, nodes)
        now = time.time_ns()
        added = [row.concept(nodes[row.index], now) for row in new]
        settled = [self._settle(row, nodes[row.index], on_conflict, now) for row in changed]
        self._catalog.put_concepts(added, append=True)
        self._catalog.put_concepts(settled)
        numbers = self._numbers_of_namespaces(added)
        self._catalog.put_ids((x.id, numbers[x.namespace], x.node) for x in added)
        self._catalog.put_names(
            (name, concept.node)
            for concept in added + settled
            for name in (concept.name, *concept.aliases)
            if name
        )
        self._head = replace(
            self._head,
            next_node=self._head.next_node + len(new),
            concepts=self._head.concepts + len(new),
        )
        self._note_words(added, settled)
        self._changed()

    def _note_words(self, added: Sequence[Concept], settled: Sequence[Concept]) -> None:
        """The words of settled concepts may be others than before, and added ones may have some."""
        words = {concept.node: text_records.words_of(concept) for concept in added}
        words = {node: text for node, text in words.items() if text is not None}
        words |= {concept.node: text_records.words_of(concept) for concept in settled}
        self._texts.update(words)
        self._head = text_records.note(self._catalog, self._head, list(words))

    def _resolve(self, rows: list[Draft], on_conflict: str) -> tuple[list[int], set[int]]:
        """The node of every row, and the indexes of the rows that are new concepts."""
        nodes: list[int] = []
        fresh: set[int] = set()
        batch: dict[tuple[str, str], int] = {}
        node = self._head.next_node
        for row in rows:
            if row.id is None:
                row.id = self._free_id(node, batch, row.namespace)
                known = None
            else:
                known = batch.get((row.namespace, row.id))
                if known is not None and on_conflict in ("replace", "merge"):
                    raise ConflictError(f"id {row.id!r} stands twice in one batch; add it once")
                if known is None:
                    known = self._node_of_id((row.namespace, row.id))
            if known is None:
                known = node
                fresh.add(row.index)
                node += 1
            elif on_conflict == "error":
                raise ConflictError(
                    f"there is already a concept with id {row.id!r}; "
                    "pass on_conflict='skip', 'replace' or 'merge'"
                )
            batch[row.namespace, row.id] = known
            nodes.append(known)
        return nodes, fresh

    def _free_id(self, node: int, batch: Mapping[tuple[str, str], int], namespace: str) -> str:
        id = f"_:{node}"
        while (namespace, id) in batch or self._node_of_id((namespace, id)) is not None:
            id += "_"
        return id

    def _numbers_of_namespaces(self, added: Sequence[Concept]) -> dict[str, int]:
        """Number of every namespace; those of these concepts are made where they are new."""
        known = self.namespace_numbers()
        for name in dict.fromkeys(concept.namespace for concept in added):
            if name not in known:
                known[name] = namespaces.make(self._catalog, name, known)
        return known

    def _settle(self, row: Draft, node: int, on_conflict: str, now: int) -> Concept:
        """The record that an existing concept becomes; what a row replaces of it is retired."""
        old = self.get(node)
        for name in (old.name, *old.aliases):
            if name:
                self._catalog.delete_name(name, node)
        merging = on_conflict == "merge"
        if old.slots and (row.slots or not merging):
            self._retire(old.slots)
        return row.merged_into(old, now) if merging else row.concept(node, old.created_ns, now)

    def _retire(self, slots: Sequence[int]) -> None:
        self._retired.extend(slots)  # First: abort revives what stands here.
        self._logs.vectors().retire(slots, self._head.commit)
        self._head = replace(self._head, vectors=self._head.vectors - len(slots))

    def _append_rows(self, rows: list[Draft], nodes: list[int]) -> None:
        """Append the vectors of rows to the log; the rows note their slots."""
        having = [row for row in rows if row.vector is not None]
        if not having:
            return
        matrix = np.stack([cast("Float32", row.vector) for row in having])
        owners = np.array([nodes[row.index] for row in having], dtype=np.uint32)
        first = self._logs.vectors().append(matrix, owners, self._head.commit)
        for slot, row in enumerate(having, first):
            row.slots = (slot,)
        self._head = replace(
            self._head, rows=first + len(having), vectors=self._head.vectors + len(having)
        )

    def ensure_dim(self, dim: int) -> None:
        """Fix the store's dimension by its first vector, if it has none yet."""
        if self._directory.manifest.dim is None:
            self._directory.set_dim(self._catalog, dim)
