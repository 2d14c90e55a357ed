"""Transaction: a Snapshot that can also write, and the commit protocol.

Everything goes to its place at once, beyond what the last Head makes visible: records into the open
LMDB transaction, rows behind the committed rows, association records into the pending batch. So the
writer reads its own writes through the same code as any reader. `commit` then is: flush the
logs; make them durable, by one fdatasync per touched log or, if little was written, by the journal;
head and metadata in the one LMDB commit. When that waits for the disk says durability.py. Whatever
fails before it leaves bytes that nobody can see, and `abort` takes the memory side back. Whether a
commit that was interrupted (Ctrl-C) happened is read from the catalog, never guessed. A change that
fails half-way leaves a transaction that can only be aborted, so catching its error cannot commit a
half.

What a transaction does to concepts stands in adding.py, to associations in linking.py,
and what it learns from texts in learning.py.
"""

import os
import time
from types import TracebackType

from . import blobs, facets, folding, journal
from .associations import AssociationLog
from .bindings.graph import GraphView
from .bindings.limits import EDGE_REMOVE
from .bitmaps import Kept
from .catalog import CatalogTransaction
from .directory import Directory
from .embedders import Embedder
from .errors import ClosedError, InvalidError
from .heads import Head
from .learning import Learning
from .linking import LOOKED_UP_MAX
from .memory import Claim
from .syncing import sync
from .text import records as text_records
from .tiers import settle


class Transaction(Learning):
    """The one writer's view. Commits at the end of its `with` block, aborts on an exception."""

    _writes = True

    def __init__(
        self,
        directory: Directory,
        embedder: Embedder | None,
        lock_timeout: float,
        *,
        durability: str = "commit",
    ):
        self._ended = True  # Until the lock is held there is nothing to end.
        self._writing = directory.writing(lock_timeout)
        self._writing.__enter__()
        try:
            super().__init__(directory, embedder)
            self._kept = Kept()  # Its own: the number of its catalog will be its commit's.
        except BaseException:
            self._writing.__exit__(None, None, None)
            raise
        self._held = Claim()
        self._broken = False
        self._waits = durability == "commit"  # Else sync points may come later.
        self._dim_before = directory.manifest.dim
        self._before = self._head
        directory.beginnings.begin(self._before.commit)
        self._head = self._before._replace(commit=self._before.commit + 1)
        self._retired: list[int] = []
        self._texts: dict[int, str | None] = {}
        self._linked = False
        self._changes: list[tuple[int, int, int, int, float]] = []
        self._folded: AssociationLog | None = None
        self._ended = False

    def _begin(self) -> CatalogTransaction:
        return self._directory.catalog.begin(write=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not self._ended:
            self.commit()
        else:
            self.abort()

    @property
    def graph(self) -> GraphView:
        if self._graph is None:
            self._graph = self._edge_log.view(self._before, pending=True)
        return self._graph

    def keep(self, name: str, content: bytes | None) -> None:
        """Keep bytes under a name, in place of what was there; None forgets them."""
        blobs.check_name(name)
        with self._changing():
            if content is None:
                blobs.delete(self._catalog, name)
            else:
                blobs.write(self._catalog, name, content)

    # The end.

    def commit(self) -> None:
        """Make everything durable and visible at once; on an error nothing of it happened.

        Only an interrupt (Ctrl-C) may arrive behind the commit point: then all of it happened.
        """
        if self._directory.pid != os.getpid():
            raise ClosedError("a transaction ends in the process that began it, not in its fork")
        if self._broken:
            self.abort()
            raise InvalidError(
                "a change of this transaction failed half-way, so none of it was committed; "
                "begin another transaction"
            )
        try:
            self._commit()
            self._directory.beginnings.end(self._committed.commit)
        except BaseException:
            self._settle_failed_commit()
            raise
        self._end()
        self._directory.work_if_due(self._committed)

    def _settle_failed_commit(self) -> None:
        """Finish what the catalog holds, or else take everything back."""
        if self._ended:
            return
        try:
            self._catalog.abort()
            with self._directory.catalog.begin() as txn:  # Under our lock nobody else commits.
                committed = txn.head().commit == self._head.commit
        except BaseException:  # Nobody knows: touch no file.
            self._end()
            raise
        if not committed:
            if self._edge_log.loading:
                folding.discard(self._directory, self._head._replace(fold=self._head.fold + 1))
            self.abort()
            return
        if self._linked and self._folded is None:
            self._edge_log.publish()
        self._end()

    def _commit(self) -> None:
        head = self._head._replace(updated_ns=time.time_ns())
        if self._linked:
            head = self._write_associations(head._replace(associations=self._count()))
        head = self._make_durable(head)
        if self._retired:
            self._catalog.put_deaths(head.commit, sorted(self._retired))
        words = self._directory.words()
        head, now = text_records.settle(words, self._catalog, head, known=self._texts)
        head = facets.settle(self._catalog, head, self._before)
        tiers, number = self._directory.tiers, self._catalog.number
        head, table = settle(self._catalog, head, tiers)
        self._catalog.put_head(head)
        self._directory.publish(self._catalog, head, linked=self._linked, folded=self._folded)
        tiers.keep(table, number)
        self._committed = head
        if self._waits:
            self._directory.durability.sync()
        if now is not None:
            self._directory.durability.sync()  # Nothing may bring back who names the files below.
            text_records.sweep(words, now)

    def _count(self) -> int:
        """The associations then: counting walks all since the last fold, so few are looked up."""
        if self._edge_log.loading or len(self._changes) > LOOKED_UP_MAX:
            return self.graph.count()
        last = {(source, type, target): flags for source, target, type, flags, _ in self._changes}
        change = sum(not flags & EDGE_REMOVE for flags in last.values())
        first = self._before.next_node  # What touches a newer node was not there before.
        old = [key for key in last if key[0] < first and key[2] < first]
        if old:
            with self._edge_log.view(self._before) as before:
                change -= sum(before.find(*key) is not None for key in old)
        return self._before.associations + change

    def _write_associations(self, head: Head) -> Head:
        """Write what was linked to the log, or as the next fold; the head that names it."""
        log = self._edge_log
        if not log.loading:
            return head._replace(log_bytes=log.flush(head.commit))
        draft = folding.draft_of(self._directory.path)
        named = folding.following(head, log.write_extents(draft), self._catalog.number)
        self._folded, head = folding.place(
            self._directory.path, self._directory.manifest, named, draft, records=log.appended
        )
        self._folded.publish()
        return head

    def _make_durable(self, head: Head) -> Head:
        """What was written to the logs: into the journal, or synced; unless sync points do it."""
        if self._directory.durability.is_lazy:
            return head
        path, dim, before = self._directory.path, self.dim, self._before
        if before.journal_bytes > journal.JOURNAL_BYTES_MAX:
            head = journal.settle(self._catalog, path, dim, head)
        kept = journal.keep(self._catalog, self._logs, dim, before, head)
        if kept is head:
            if self._linked and self._folded is None:  # A fold is durable already.
                self._edge_log.sync()
            if head.rows != before.rows:
                self._logs.vectors().sync()
            if (self._linked and not before.log_bytes) or (head.rows and not before.rows):
                sync(path)  # Who made these files may have died before it synced their names.
        return kept

    def abort(self) -> None:
        """Drop everything since begin; may be called twice."""
        if self._ended:
            return
        if self._directory.pid != os.getpid():  # The files are still the parent's to write.
            self._ended = True
            return
        try:
            if self._linked:
                self._edge_log.abort()
            self._logs.roll_back(self._before.rows, self._retired)
            if self._dim_before is None:
                self._directory.unset_dim()
        finally:
            self._end()

    def _end(self) -> None:
        self._ended = True
        try:
            super().close()
        finally:
            self._writing.__exit__(None, None, None)
        self._held = Claim()  # Last: an interrupt here must not keep the writer's lock.

    def __del__(self) -> None:
        self.abort()  # Else what it left pending would join the next transaction.

    def close(self) -> None:
        """As abort, unless it was committed."""
        self.abort()
