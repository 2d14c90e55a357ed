"""Ingesting: Items and Edges from any reader into a store, in batches that are one commit each.

Running the same input again resumes: an id that the store knows is neither embedded nor written
again, and an association that exists is set to what it is. A batch is written whole or not at all;
a record that cannot be stored is named by its place in the file and, when `on_bad` returns instead
of raising, left out alone.

Edges may come before their ends. Those whose ends are not known yet wait in memory until `finish`.

Texts are embedded by a thread of their own, one chunk ahead of what is being written.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import checks
from .errors import (
    BadRecordError,
    ConflictError,
    InvalidError,
    LimitError,
    NotFoundError,
)
from .reading import Edge, Item, OnBad, refuse
from .store import Store
from .transaction import Transaction

BATCH = 8_192
"""Records per commit."""

CHUNK = 512
"""Records per call of the embedder; between two calls a stop is heard and progress is told."""

Numbered = list[tuple[int, Item]]
"""Items with their numbers in the order of reading."""

Embedded = dict[int, NDArray[np.float32]]
"""Vectors of texts by the number of their item; a text without a direction has none."""

UNFIT = (InvalidError, LimitError, ConflictError, NotFoundError)
"""What a store says of one record that it cannot take."""


@dataclass(slots=True)
class Counts:
    """What an ingest has done so far. known: concepts that the store had already."""

    concepts: int = 0
    known: int = 0
    associations: int = 0
    bad: int = 0
    commits: int = 0


class Ingest:
    """One run over any number of readers: `take` each, then `finish`.

    vectors: (n, d), row i for the i-th item that is read, bad ones counted. on_conflict: what to do
    with an id that the store has: "skip", "replace", "merge" or "error". create: make a concept for
    an end of an edge that nobody described. namespace: of records that name none. stop: set it
    (from a signal handler) to end the batch that is being written early; what is done then is
    committed.
    """

    def __init__(
        self,
        store: Store,
        *,
        batch: int = BATCH,
        on_conflict: str = "skip",
        create: bool = False,
        namespace: str = "",
        vectors: NDArray[Any] | None = None,
        on_bad: OnBad = refuse,
        progress: Callable[[Counts], None] = lambda counts: None,
    ) -> None:
        self.counts = Counts()
        self.stop = False
        self.writing = False
        self._store = store
        self._batch = batch
        self._on_conflict = on_conflict
        self._create = create
        self._namespace = checks.namespace(namespace)
        self._vectors = vectors
        self._on_bad = on_bad
        self._progress = progress
        self._rows = 0
        self._items: Numbered = []
        self._edges: list[Edge] = []
        self._waiting: list[Edge] = []

    def bad(self, record: BadRecordError) -> None:
        """Count a bad record and hand it to `on_bad`; pass this to the readers."""
        self._rows += 1
        self._refuse(record)

    def take(self, records: Iterable[Item | Edge]) -> None:
        """Read and write records, a commit per full batch, until they end or `stop` is set."""
        for record in records:
            if self._namespace:
                record = record.within(self._namespace)
            if isinstance(record, Item):
                self._items.append((self._rows, record))
                self._rows += 1
            else:
                self._edges.append(record)
            if len(self._items) + len(self._edges) >= self._batch:
                self.flush()
            if self.stop:
                return

    def flush(self) -> None:
        """Commit what has been read; edges without their ends go on waiting."""
        self._commit(self._edges, last=False)
        self._edges = []

    def finish(self) -> None:
        """Commit what has been read, and what was waiting.

        An edge whose end nobody described makes a concept (create) or is a bad record; not after a
        `stop`, for then its end may only be unread.
        """
        self.flush()
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), self._batch):
            self._commit(waiting[start : start + self._batch], last=True)

    @property
    def rows(self) -> int:
        """Items read so far, bad ones counted."""
        return self._rows

    def _refuse(self, record: BadRecordError) -> None:
        self.counts.bad += 1
        self._on_bad(record)

    def _commit(self, edges: list[Edge], *, last: bool) -> None:
        items, self._items = self._items, []
        if not items and not edges:
            return
        self.writing = True
        before = Counts(**{name: getattr(self.counts, name) for name in Counts.__slots__})
        try:
            with self._store.transaction() as txn, ThreadPoolExecutor(1) as worker:
                for chunk, embedded in self._chunks(txn, items, worker):
                    self._add(txn, chunk, embedded)
                    self._progress(self.counts)
                    if self.stop:
                        break
                self._link(txn, edges, last=last)
            self.counts.commits += 1
        except BaseException:
            bad, self.counts = self.counts.bad, before  # The batch was rolled back.
            self.counts.bad = bad
            raise
        finally:
            self.writing = False
        self._progress(self.counts)

    # Concepts.

    def _chunks(
        self, txn: Transaction, items: Numbered, worker: Executor
    ) -> Iterator[tuple[Numbered, Embedded]]:
        """Chunks and the vectors of their texts; the next one is embedded while one is written.

        What the store knows and keeps is not embedded. The embedder is never asked by two threads:
        a text without a direction is asked for again while a chunk is written, so the worker rests.
        """
        embeds = self._vectors is None and txn.has_embedder
        before: tuple[Numbered, Future[tuple[Embedded, bool]]] | None = None
        for start in range(0, len(items), CHUNK):
            chunk = items[start : start + CHUNK]
            future = worker.submit(_embed, txn, self._unknown(txn, chunk) if embeds else [])
            if before is not None:
                embedded, complete = before[1].result()
                if not complete:
                    wait([future])
                yield before[0], embedded
            before = chunk, future
        if before is not None:
            yield before[0], before[1].result()[0]

    def _unknown(self, txn: Transaction, numbered: Numbered) -> Numbered:
        """Those that will be written: all, unless what the store knows is skipped."""
        if self._on_conflict != "skip":
            return numbered
        known = txn.known([item.key for _, item in numbered]).tolist()
        return [x for x, there in zip(numbered, known, strict=True) if not there]

    def _add(self, txn: Transaction, numbered: Numbered, embedded: Embedded) -> None:
        known = dict(
            zip(
                (item.key for _, item in numbered),
                txn.known([item.key for _, item in numbered]).tolist(),
                strict=True,
            )
        )
        self.counts.known += sum(known.values())
        if self._on_conflict == "skip":
            numbered = [(row, item) for row, item in numbered if not known[item.key]]
        unique = {item.key: (row, item) for row, item in reversed(numbered)}
        self.counts.known += len(numbered) - len(unique)
        chosen = list(reversed(unique.values()))
        if not chosen:
            return
        try:
            self._add_many(txn, chosen, embedded)
        except UNFIT:
            for row, item in chosen:  # Nothing of the chunk was written: find who spoilt it.
                try:
                    self._add_many(txn, [(row, item)], embedded)
                except UNFIT as error:
                    self._refuse(BadRecordError(item.place, str(error)))
                    continue
                self.counts.concepts += not known[item.key]
            return
        self.counts.concepts += sum(not known[item.key] for _, item in chosen)

    def _add_many(self, txn: Transaction, numbered: Numbered, embedded: Embedded) -> None:
        items = [item for _, item in numbered]
        txn.add_many(
            [item.text for item in items],
            ids=[item.id for item in items],
            names=[item.name for item in items],
            aliases=[item.aliases for item in items],
            sources=[item.source for item in items],
            kinds=[item.kind for item in items],
            data=[item.data for item in items],
            since=[item.since for item in items],
            until=[item.until for item in items],
            namespaces=[item.namespace for item in items],
            vectors=self._vectors_of(numbered, embedded),
            on_conflict=self._on_conflict,
        )

    def _vectors_of(self, numbered: Numbered, embedded: Embedded) -> Any:
        if self._vectors is None:
            given = [
                embedded.get(row) if item.vector is None else item.vector for row, item in numbered
            ]
            return given if any(vector is not None for vector in given) else None
        for row, item in numbered:
            if row >= len(self._vectors):
                count = len(self._vectors)
                raise BadRecordError(item.place, f"record {row + 1}, but only {count} vectors")
        return np.asarray(self._vectors[[row for row, _ in numbered]], np.float32)

    # Associations.

    def _link(self, txn: Transaction, edges: list[Edge], *, last: bool) -> None:
        if not edges:
            return
        ends = list(dict.fromkeys(end for edge in edges for end in edge.ends))
        known = dict(zip(ends, txn.known(ends).tolist(), strict=True))
        ready = [edge for edge in edges if all(known[end] for end in edge.ends)]
        unready = [edge for edge in edges if not all(known[end] for end in edge.ends)]
        if not last:
            self._waiting.extend(unready)
        elif self._create:
            ready = edges
        elif not self.stop:
            for edge in unready:
                missing = next(end for end in edge.ends if not known[end])[1]
                reason = f"no concept {missing!r} for an association; describe it or use create"
                self._refuse(BadRecordError(edge.place, reason))
        plain = [edge for edge in ready if not edge.has_content]
        try:
            self._link_many(txn, plain)
        except UNFIT:
            for edge in plain:
                self._link_one(txn, edge)
        for edge in ready:
            if edge.has_content:
                self._link_one(txn, edge)

    def _link_many(self, txn: Transaction, edges: list[Edge]) -> None:
        if not edges:
            return
        self.counts.associations += txn.link_many(
            [edge.ends[0] for edge in edges],
            [edge.ends[1] for edge in edges],
            [edge.type for edge in edges],
            weights=[edge.weight for edge in edges],
            confidences=[edge.confidence for edge in edges],
            create=self._create,
        )

    def _link_one(self, txn: Transaction, edge: Edge) -> None:
        try:
            txn.link(
                *edge.ends,
                edge.type,
                weight=edge.weight,
                confidence=edge.confidence,
                origin=edge.origin,
                since=edge.since,
                until=edge.until,
                data=edge.data,
                create=self._create,
            )
        except UNFIT as error:
            self._refuse(BadRecordError(edge.place, str(error)))
            return
        self.counts.associations += 1


def _embed(txn: Transaction, numbered: Numbered) -> tuple[Embedded, bool]:
    """Vectors of the texts that bring none, and whether every such text has one."""
    texts = {
        row: item.text
        for row, item in numbered
        if item.vector is None and item.text and not item.text.isspace()
    }
    vectors = txn.embed(list(texts.values())) if texts else ()
    embedded = {row: x for row, x in zip(texts, vectors, strict=True) if x.any()}
    return embedded, len(embedded) == len(texts)
