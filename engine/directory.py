"""One open store directory in this process: the catalog and the logs, shared by every handle.

LMDB allows one environment per file and process, so handles of one path share a Directory, kept
in a registry by real path. After fork the child opens its own and never touches the parent's.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from . import folding, journal, memory
from .associations import AssociationLog
from .background import Indexer
from .beginnings import Beginnings
from .bitmaps import Kept
from .catalog import Catalog, CatalogTransaction
from .durability import Durability, lazy
from .errors import CorruptError, LockTimeout, NotFoundError, ReadOnlyError
from .heads import Head, Manifest
from .indexing import Progress, VectorIndex, drop_orphans
from .layout import CATALOG, SYNC_POINTS, WORDS, WRITER_LOCK, generation_of
from .locking import WriterLock
from .logs import Logs
from .manifests import check_dim, checked, refuse_orphans
from .mounts import refuse_network
from .syncing import make_folder, remove
from .syncpoints import SyncPoints, recover
from .tiers import Tiers
from .vectors import VectorLog

if TYPE_CHECKING:  # Imported where words are asked for: to open a store takes none of it.
    from .text import WordIndex

CREATE_TIMEOUT_S = 10.0
INDEX_LOCK_TIMEOUT_S = 5.0
NewManifest = Callable[[], Manifest]
"""Makes the manifest of a store that does not exist yet; called only then."""


class Directory:
    """Catalog, vector log, association log and writer's lock of one path in this process."""

    _open: ClassVar[dict[Path, "Directory"]] = {}
    _registry_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self, path: Path, *, read_only: bool, new: NewManifest | None, durability: str = "commit"
    ):
        self.path = path
        self.pid = os.getpid()
        self.read_only = read_only
        self._handles = 0
        self.tiers = Tiers()
        self.kept, self.beginnings = Kept(), Beginnings()
        self._words: WordIndex | None = None
        self._seen, self._index_seen = -1, 0  # The last commit and index generation followed.
        self._lock = threading.RLock()
        self._indexer = Indexer(self._index_in_background)
        self.folder = Indexer(lambda _: folding.fold(self, INDEX_LOCK_TIMEOUT_S))
        self._indexing = threading.Lock()  # Two would write one draft.
        self.writer = None if read_only else WriterLock(path / WRITER_LOCK)
        self._points = SyncPoints(path / SYNC_POINTS, read_only=read_only)
        try:
            recover(self._points, path / CATALOG, self.writer)
            self.catalog = Catalog(path / CATALOG, read_only=read_only, synced=not lazy(durability))
        except BaseException:
            self._close_locks()
            raise
        self.durability = Durability(path, self._points, self.catalog, durability)
        try:
            self.manifest = checked(self._found_or_made(new), path)
            with self.catalog.begin() as txn:
                self.logs = self._open_logs(txn.head())
        except BaseException:  # One environment per file and process: leave none behind.
            self.catalog.close()
            self._close_locks()
            raise

    def _close_locks(self) -> None:
        self._points.close()
        if self.writer is not None:
            self.writer.close()

    def _found_or_made(self, new: NewManifest | None) -> Manifest:
        """The store's manifest, made once even if several processes try: the lock decides."""
        with self.catalog.begin() as txn:
            found = txn.manifest()
        if found is not None:
            return found
        if new is None:
            raise CorruptError(f"{self.path / CATALOG} holds no store; restore a backup")
        made = new()
        with self.writing(CREATE_TIMEOUT_S), self.catalog.begin(write=True) as txn:
            found = txn.manifest()
            if found is None:
                refuse_orphans(self.path)
                found = made
                txn.put_manifest(made)
                txn.put_head(Head(updated_ns=made.created_ns, hot_bytes=0))
                txn.commit()
                self.durability.sync()  # Files made from now on carry its uuid.
        return found

    # The registry.

    @classmethod
    def acquire(
        cls,
        path: Path,
        *,
        read_only: bool,
        new: NewManifest | None = None,
        durability: str = "commit",
    ) -> "Directory":
        """The Directory of a store, opened or shared; `release` it when done.

        new: makes the manifest where there is no store; None raises NotFoundError then.
        """
        real = path.resolve()
        with cls._registry_lock:
            if real not in cls._open:
                refuse_network(real)
            if not (real / CATALOG).is_file():
                if new is None:
                    raise NotFoundError(
                        f"there is no store at {path}; open it for writing to create it"
                    )
                make_folder(real)
            shared = cls._open.get(real)
            if shared is None or (shared.read_only and not read_only):
                only = read_only and not os.access(real, os.W_OK)
                if shared is not None:
                    raise ReadOnlyError(f"{path} is open read-only on a read-only folder here")
                shared = cls(real, read_only=only, new=new, durability=durability)
                try:
                    shared._cut_tails()
                except BaseException:
                    shared._close()
                    raise
                cls._open[real] = shared
            shared.durability.hurry(durability)
            shared._handles += 1
            return shared

    def release(self) -> None:
        """One handle less; the last one closes everything."""
        if self._handles == 1 and self.pid == os.getpid():
            self._indexer.stop()  # Here, so that nobody who opens another store waits for it.
        with self._registry_lock:
            self._handles -= 1
            if self._handles == 0 and self.pid == os.getpid():
                self._open.pop(self.path, None)
                self._close()

    def _close(self) -> None:
        self.pause_indexing()
        try:
            self.durability.close()
        finally:
            self.logs.close()
            self.catalog.close()
            self._close_locks()

    def _cut_tails(self) -> None:
        """Cut what no commit covers, if no writer is at work; else that writer has done it.

        What a power loss took from the logs and the journal holds is written there again first.
        """
        if self.writer is None:
            return
        with self.catalog.begin() as txn:
            missing = journal.missing(txn, self.path, self.manifest.dim)
        try:
            self.writer.acquire(CREATE_TIMEOUT_S if missing else 0)
        except LockTimeout:
            return
        try:
            with self.catalog.begin() as txn:
                head = txn.head()
                journal.write(self.path, journal.missing(txn, self.path, self.manifest.dim))
                if head.generation != self.logs.generation:  # Compacted a moment ago.
                    self.refresh(txn, head)
                self.logs.cut(head)
            self.drop_generations(head)
            drop_orphans(self.path, "graph-draft-*.tmp")
        finally:
            self.writer.release()

    # Following the catalog.

    def refresh(self, txn: CatalogTransaction, head: Head) -> Logs:
        """Bring this process up to a head that `txn` sees; the logs that it speaks of."""
        logs = self.logs
        known = head.commit <= self._seen and head.index_generation == self._index_seen
        if known and (head.generation, head.fold) == logs.associations.files:
            return logs
        with self._lock:
            if self.manifest.dim is None:
                found = txn.manifest()
                assert found is not None
                self.manifest = self.logs.manifest = found
            if head.generation < self.logs.generation:  # A snapshot from before a compaction.
                logs = self._open_logs(head, read_only=True)
                logs.refresh(txn, head)
                return logs
            if head.generation > self.logs.generation:  # The old go with their last snapshot.
                self.logs = self._open_logs(head)
            self.logs.refresh(txn, head)
            self._seen = max(self._seen, head.commit)
            self._index_seen = head.index_generation
            return self.logs

    def _open_logs(self, head: Head, *, read_only: bool = False) -> Logs:
        return Logs(self.path, head, self.manifest, read_only=read_only or self.read_only)

    def vectors(self) -> VectorLog:
        """The vector log of the newest generation known here."""
        return self.logs.vectors()

    def follow(self) -> None:
        """Bring this process up to the last commit."""
        with self.catalog.begin() as txn:
            self.refresh(txn, txn.head())

    def drop_generation(self, generation: int) -> None:
        """Remove what a process that died left of a generation that no head names."""
        for path in self._logs_on_disk():
            if generation_of(path.name)[0] == generation:  # type: ignore[index]
                remove(path)

    def _logs_on_disk(self) -> list[Path]:
        return [path for path in self.path.iterdir() if generation_of(path.name) is not None]

    def drop_generations(self, head: Head) -> bool:
        """Remove logs of other generations and folds than the head's; needs the writer's lock.

        False if a reader of some process may still open them: then they stay until next time.
        """
        named = ((head.generation, None), (head.generation, head.fold))
        others = [path for path in self._logs_on_disk() if generation_of(path.name) not in named]
        oldest = self.catalog.oldest_reader() if others else None
        if oldest is not None and oldest < head.generation_txn:
            return False
        if others:  # A power loss must not bring back a head that names them.
            self.durability.begin()
        for path in others:
            remove(path)
        return True

    def words(self) -> "WordIndex":
        """The words of this store."""
        with self._lock:
            if self._words is None:
                from .text import WordIndex

                kind = self.manifest
                self._words = WordIndex(
                    self.path / WORDS, kind.uuid, stemmer=kind.stemmer, positions=kind.phrases
                )
        return self._words

    def set_dim(self, txn: CatalogTransaction, dim: int) -> None:
        """Fix the dimension by the first vector, in the writer's transaction."""
        self.manifest = self.logs.manifest = replace(self.manifest, dim=check_dim(dim))
        txn.put_manifest(self.manifest)
        self.logs.vectors().cut(txn.head())  # A writer that died may have fixed another one.

    def unset_dim(self) -> None:
        """Undo set_dim: its transaction failed."""
        self.manifest = replace(self.manifest, dim=None)
        self.logs.unset_dim(self.manifest)

    @contextmanager
    def writing(self, timeout: float) -> Iterator[None]:
        """Hold the writer's lock."""
        if self.writer is None:
            raise ReadOnlyError(f"{self.path} cannot be written: the folder is read-only")
        self.writer.acquire(timeout)
        try:
            memory.make_room()
            self.durability.begin()
            yield
        finally:
            self.writer.release()

    def publish(
        self,
        txn: CatalogTransaction,
        head: Head | None = None,
        *,
        linked: bool = False,
        folded: AssociationLog | None = None,
    ) -> None:
        """The commit point. No snapshot may replay the log between LMDB's commit and ours.

        head: what the commit makes visible, where this process wrote all that is new in the logs.
        """
        with self._lock:
            self.durability.commit(txn)
            if folded is not None:
                self.logs.associations = folded
            elif linked:
                self.logs.associations.publish()
            if head is not None and self._seen == head.commit - 1:
                self._seen = head.commit  # Its rows, deaths and records are here already.

    def index(
        self,
        *,
        timeout: float,
        threads: int,
        progress: Progress | None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Link all committed rows and publish a new generation; writers wait only at the end."""
        with self._indexing:
            with self.catalog.begin() as txn:
                head = txn.head()
                index = self.refresh(txn, head).vectors().index
            try:
                index.grow(head.rows, threads, progress)
            finally:  # Whoever stops it keeps what was linked, if that is worth a file.
                if index.gained(head):
                    self._publish_index(index, head, timeout, stopped)

    def _publish_index(
        self, index: VectorIndex, seen: Head, timeout: float, stopped: Callable[[], bool]
    ) -> None:
        draft, covered, curve = index.write(seen.commit, stopped)
        with self.writing(timeout), self.catalog.begin(write=True) as txn:
            head = txn.head()
            if head.generation != seen.generation:  # Compacted meanwhile: of rows that are gone.
                draft.unlink(missing_ok=True)
                return
            generation = head.index_generation + 1
            index.publish(draft, generation, curve)
            named = head._replace(
                index_generation=generation, index_rows=covered, index_curve=curve
            )
            txn.put_head(named)
            txn.commit()
            self.durability.sync()  # A power loss must not bring back who names the files below.
            index.drop_others(generation)

    def pause_indexing(self) -> None:
        """Stop the background work; the next commit that leaves enough to do starts it again."""
        self._indexer.stop()
        self.folder.stop()

    def finish_index(self, *, timeout: float, threads: int, progress: Progress | None) -> None:
        """Link and publish every row of a store that is large enough for an index."""
        self._indexer.stop()
        with self.catalog.begin() as txn:
            head = txn.head()
            self.refresh(txn, head)
        if self.manifest.dim is not None and self.vectors().index.is_behind(head):
            self.index(timeout=timeout, threads=threads, progress=progress)

    def index_state(self, head: Head) -> dict[str, Any]:
        """Rows that the last generation and this process have linked, and what went wrong."""
        linked = self.logs.linked_rows
        failure = self._indexer.failure
        return {
            "generation": head.index_generation,
            "rows": head.index_rows,
            "rows_linked_here": linked,
            "rows_behind": head.rows - max(head.index_rows, linked),
            "recall": [{"k": k, "ef": ef, "recall": r} for k, ef, r in head.index_curve],
            "failure": None if failure is None else str(failure),
        }

    def work_if_due(self, head: Head) -> None:
        """Start linking rows, or folding associations, in the background where enough wait."""
        if folding.is_due(head):
            self.folder.start()
        if self.manifest.dim is not None and self.vectors().index.is_due(head):
            self._indexer.start()

    def _index_in_background(self, progress: Progress) -> None:
        self.index(
            timeout=INDEX_LOCK_TIMEOUT_S,
            threads=1,
            progress=progress,
            stopped=lambda: self._indexer.is_stopping,
        )


def _after_fork() -> None:
    """In a forked child: the parent's directories are not ours, nor is the state of its locks."""
    _inherited.extend(Directory._open.values())
    Directory._open.clear()
    Directory._registry_lock = threading.Lock()


_inherited: list[Directory] = []  # Never used nor freed.
os.register_at_fork(after_in_child=_after_fork)
