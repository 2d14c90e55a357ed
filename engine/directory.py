"""One open store directory in this process: the catalog and the logs, shared by every handle.

LMDB allows one environment per file and process, so handles of one path share a Directory, kept
in a registry by process and real path. After fork the child opens its own: the parent's is never
touched there.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from .associations import AssociationLog
from .background import Indexer
from .bindings.limits import DIM_MAX, FORMAT
from .bindings.vectors import METRICS
from .catalog import Catalog, CatalogTransaction, Head, Manifest
from .errors import (
    CorruptError,
    EmbedderError,
    InvalidError,
    LockTimeout,
    NotFoundError,
    ReadOnlyError,
    StorageError,
)
from .indexing import Progress
from .layout import CATALOG, GRAPH_LOG, VECTORS, WORDS, WRITER_LOCK
from .locking import WriterLock
from .text import Analyser, WordIndex
from .vectors import VectorLog

CREATE_TIMEOUT_S = 10.0
INDEX_LOCK_TIMEOUT_S = 5.0


NewManifest = Callable[[], Manifest]
"""Makes the manifest of a store that does not exist yet; called only then."""


class Directory:
    """Catalog, vector log, association log and writer's lock of one path in this process."""

    _open: ClassVar[dict[Path, "Directory"]] = {}
    _registry_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path, *, read_only: bool, new: NewManifest | None):
        self.path = path
        self.pid = os.getpid()
        self.read_only = read_only
        self._handles = 0
        self._vectors: VectorLog | None = None
        self._words: WordIndex | None = None
        self._seen = -1
        self._lock = threading.RLock()
        self._indexer = Indexer(self._index_in_background)
        self._indexing = threading.Lock()  # Two would write one draft.
        self.writer: WriterLock | None = None
        self.catalog = Catalog(path / CATALOG, read_only=read_only)
        try:
            self.writer = None if read_only else WriterLock(path / WRITER_LOCK)
            self.manifest = checked(self._found_or_made(new), path)
            self.associations = AssociationLog(path / GRAPH_LOG, self.manifest, read_only=read_only)
        except BaseException:  # One environment per file and process: leave none behind.
            self.catalog.close()
            if self.writer is not None:
                self.writer.close()
            raise

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
                found = made
                txn.put_manifest(made)
                txn.put_head(Head(updated_ns=made.created_ns))
                txn.commit()
        return found

    # The registry.

    @classmethod
    def acquire(cls, path: Path, *, read_only: bool, new: NewManifest | None = None) -> "Directory":
        """The Directory of a store, opened or shared; `release` it when done.

        new: makes the manifest where there is no store; None raises NotFoundError then.
        """
        real = path.resolve()
        with cls._registry_lock:
            if not (real / CATALOG).is_file():
                if new is None:
                    raise NotFoundError(
                        f"there is no store at {path}; open it for writing to create it"
                    )
                _make_folder(real)
            shared = cls._open.get(real)
            if shared is None or (shared.read_only and not read_only):
                only = read_only and not os.access(real, os.W_OK)
                if shared is not None:
                    raise ReadOnlyError(f"{path} is open read-only on a read-only folder here")
                shared = cls(real, read_only=only, new=new)
                try:
                    shared._cut_tails()
                except BaseException:
                    shared._close()
                    raise
                cls._open[real] = shared
            shared._handles += 1
            return shared

    def release(self) -> None:
        """One handle less; the last one closes everything."""
        with self._registry_lock:
            self._handles -= 1
            if self._handles == 0 and self.pid == os.getpid():
                self._open.pop(self.path, None)
                self._close()

    def _close(self) -> None:
        self._indexer.stop()
        self.associations.close()
        if self._vectors is not None:
            self._vectors.close()
        self.catalog.close()
        if self.writer is not None:
            self.writer.close()

    def _cut_tails(self) -> None:
        """Cut what no commit covers, if no writer is at work; else that writer has done it."""
        if self.writer is None:
            return
        try:
            self.writer.acquire(0)
        except LockTimeout:
            return
        try:
            with self.catalog.begin() as txn:
                head = txn.head()
                self.associations.cut(head)
                if self.manifest.dim is not None:
                    self.vectors().cut(head)
                    self.vectors().index.drop_orphans()
        finally:
            self.writer.release()

    # Following the catalog.

    def refresh(self, txn: CatalogTransaction, head: Head) -> None:
        """Bring the logs of this process up to a head that `txn` sees."""
        if head.commit <= self._seen and head.index_generation == self._generation_seen:
            return
        with self._lock:
            if self.manifest.dim is None:
                found = txn.manifest()
                assert found is not None
                self.manifest = found
            self.associations.refresh(head)
            if self.manifest.dim is not None:
                self.vectors().refresh(txn, head)
            self._seen = max(self._seen, head.commit)
            self._generation_seen = head.index_generation

    _generation_seen = 0

    def vectors(self) -> VectorLog:
        """The vector log; InvalidError while the store has no dimension."""
        if self._vectors is None:
            with self._lock:
                if self._vectors is None:
                    self._vectors = VectorLog(
                        self.path / VECTORS, self.manifest, read_only=self.read_only
                    )
        return self._vectors

    def words(self) -> WordIndex:
        """The words of this store."""
        with self._lock:
            if self._words is None:
                self._words = WordIndex(
                    self.path / WORDS,
                    self.manifest.uuid,
                    stemmer=self.manifest.stemmer,
                    positions=self.manifest.phrases,
                )
        return self._words

    def set_dim(self, txn: CatalogTransaction, dim: int) -> None:
        """Fix the dimension by the first vector, in the writer's transaction."""
        self.manifest = replace(self.manifest, dim=check_dim(dim))
        txn.put_manifest(self.manifest)
        self.vectors().cut(txn.head())  # A writer that died may have fixed another one.

    def roll_back(self, rows: int, retired: Sequence[int]) -> None:
        """Undo what a failed transaction did to the rows, if it did anything."""
        log = self._vectors
        if log is not None and (log.count != rows or retired):
            log.rollback(rows, retired)

    def unset_dim(self) -> None:
        """Undo set_dim: its transaction failed."""
        self.manifest = replace(self.manifest, dim=None)
        if self._vectors is not None:
            self._vectors.close()
            self._vectors = None

    @contextmanager
    def writing(self, timeout: float) -> Iterator[None]:
        """Hold the writer's lock."""
        if self.writer is None:
            raise ReadOnlyError(f"{self.path} cannot be written: the folder is read-only")
        self.writer.acquire(timeout)
        try:
            yield
        finally:
            self.writer.release()

    def publish(self, txn: CatalogTransaction, *, linked: bool) -> None:
        """The commit point. No snapshot may replay the log between LMDB's commit and ours."""
        with self._lock:
            txn.commit()
            if linked:
                self.associations.publish()

    def index(self, *, timeout: float, threads: int, progress: Progress | None) -> None:
        """Link all committed rows and publish a new generation; writers wait only at the end."""
        with self._indexing:
            with self.catalog.begin() as txn:
                head = txn.head()
                self.refresh(txn, head)
            index = self.vectors().index
            try:
                index.grow(head.rows, threads, progress)
            finally:  # Whoever stops it keeps what was linked, if that is worth a file.
                if index.gained(head):
                    self._publish_index(head.commit, timeout)

    def _publish_index(self, commit: int, timeout: float) -> None:
        index = self.vectors().index
        draft, covered, curve = index.write(commit)
        with self.writing(timeout), self.catalog.begin(write=True) as txn:
            head = txn.head()
            generation = head.index_generation + 1
            index.publish(draft, generation, curve)
            named = replace(
                head, index_generation=generation, index_rows=covered, index_curve=curve
            )
            txn.put_head(named)
            txn.commit()
            index.drop_others(generation)

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
        linked = 0 if self._vectors is None else self._vectors.index.covered
        failure = self._indexer.failure
        return {
            "generation": head.index_generation,
            "rows": head.index_rows,
            "rows_linked_here": linked,
            "rows_behind": head.rows - max(head.index_rows, linked),
            "recall": [{"k": k, "ef": ef, "recall": r} for k, ef, r in head.index_curve],
            "failure": None if failure is None else str(failure),
        }

    def index_if_due(self, head: Head) -> None:
        """Start linking in the background when enough rows wait for it."""
        if self.manifest.dim is not None and self.vectors().index.is_due(head):
            self._indexer.start()

    def _index_in_background(self, progress: Progress) -> None:
        self.index(timeout=INDEX_LOCK_TIMEOUT_S, threads=1, progress=progress)

    def size_bytes(self) -> dict[str, int]:
        """Bytes that the files of each part occupy on disk."""
        sizes = {"catalog": 0, "vectors": 0, "index": 0, "associations": 0, "words": 0}
        for file in self.path.rglob("*"):
            if not file.is_file():
                continue
            part = "catalog" if file.name.startswith(CATALOG) else None
            part = "associations" if file.name.startswith("graph") else part
            part = "words" if file.parent.name == WORDS else part
            if file.parent.name == VECTORS:
                part = "index" if file.name.startswith("index") else "vectors"
            if part is not None:
                sizes[part] += file.stat().st_blocks * 512
        return sizes


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(error.errno, f"could not create {path}: {error.strerror}") from error


def _after_fork() -> None:
    """In a forked child: the parent's directories are not ours, nor is the state of its locks."""
    _inherited.extend(Directory._open.values())
    Directory._open.clear()
    Directory._registry_lock = threading.Lock()


_inherited: list[Directory] = []  # Never used nor freed.
os.register_at_fork(after_in_child=_after_fork)


def manifest_of(
    *,
    dim: int | None,
    metric: str,
    embedder: str | None,
    stemmer: str | None = None,
    phrases: bool = False,
) -> Manifest:
    """The manifest of a new store."""
    if metric not in METRICS:
        raise InvalidError(f"want metric {' | '.join(METRICS)}, got {metric!r}")
    if dim is not None:
        check_dim(dim)
    Analyser(stemmer)  # Raises for one that is not installed.
    return Manifest(
        FORMAT, uuid.uuid4().bytes, dim, metric, embedder, time.time_ns(), stemmer, phrases
    )


def check_dim(dim: int) -> int:
    """A dimension within the limits."""
    if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= DIM_MAX:
        raise InvalidError(f"want a dimension 1..{DIM_MAX}, got {dim!r}")
    return dim


def checked(manifest: Manifest, path: Path) -> Manifest:
    """A manifest that this version can serve."""
    if manifest.format > FORMAT:
        raise CorruptError(
            f"{path} has format {manifest.format}, this version reads up to {FORMAT}; upgrade"
        )
    sound = manifest.metric in METRICS and len(manifest.uuid) == 16
    if not sound or not (manifest.dim is None or 1 <= manifest.dim <= DIM_MAX):
        raise CorruptError(f"{path} has a damaged manifest; restore a backup")
    return manifest


def expect(
    manifest: Manifest,
    *,
    dim: int | None,
    metric: str | None,
    embedder: str | None,
    stemmer: str | None = None,
    phrases: bool = False,
) -> None:
    """Refuse a store that was made with something else than the caller wants."""
    if stemmer is not None and stemmer != manifest.stemmer:
        raise InvalidError(
            f"want stemmer={stemmer!r}, but the store was made with {manifest.stemmer!r}"
        )
    if phrases and not manifest.phrases:
        raise InvalidError("want phrases, but the store was made without; make it with phrases")
    if dim is not None and manifest.dim is not None and dim != manifest.dim:
        raise InvalidError(f"want dim={dim}, but the store was made with dim={manifest.dim}")
    if metric is not None and metric != manifest.metric:
        raise InvalidError(f"want metric={metric}, but the store was made with {manifest.metric}")
    if embedder is not None and manifest.embedder is not None and embedder != manifest.embedder:
        raise EmbedderError(
            f"want embedder {embedder!r}, but the store was made with {manifest.embedder!r}; "
            "leave embedder out to use that one"
        )
