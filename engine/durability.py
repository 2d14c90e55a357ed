"""When commits become durable: at once, every few milliseconds, or in the background.

    commit  LMDB itself waits for the disk, twice: pages, then the meta page. Small commits put what
            they wrote to the logs beside (journal.py), so nothing else has to be waited for.
    group   A commit returns when LMDB and the logs have it, in memory that outlives the process; a
            thread makes sync points, one for all commits since the last (syncpoints.py).
    none    The same, about once a second.

One environment per process serves all its handles, so the handle that opens a store first decides
whether LMDB waits. A handle that wants more waits for a sync point after its commit; one that wants
less gets more.

What each process does to the record of sync points: while it syncs every commit, nothing. Else it
takes the record over before its first write, under the writer's lock, and again whenever another
process has done so since: everything so far is synced then, and the pages of that moment pinned.
Who was taken over from lets go of its pages soon after, though it may never write again.
"""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .catalog import Catalog, CatalogTransaction
from .errors import InvalidError, QuillianError, StorageError
from .heads import Head
from .layout import SEGMENT_SLOTS, graph_name, segment_names, vectors_name
from .syncing import sync
from .syncpoints import NOBODY, SyncPoint, SyncPoints, boot_id

MODES = ("commit", "group", "none")
PAUSE_S = {"group": 0.002, "none": 1.0}  # Between a commit and the sync that covers it.
LOOK_S = 1.0  # Between looks at whether the pin is still wanted.


def check_mode(mode: str) -> str:
    """One of commit, group, none."""
    if mode not in MODES:
        raise InvalidError(f"want durability {' | '.join(MODES)}, got {mode!r}")
    return mode


class Durability:
    """What makes the commits of one Directory durable."""

    def __init__(self, folder: Path, points: SyncPoints, catalog: Catalog, mode: str):
        self._folder = folder
        self._points = points
        self._catalog = catalog
        self._pause_s = PAUSE_S.get(mode, 0.0)
        self.is_lazy = not catalog.synced  # Whether commits return before the disk has them.
        self._owner = os.urandom(16)
        self._publishing = threading.Lock()  # Held around LMDB's commit, for a moment after it.
        self._syncing = threading.Lock()
        self._pin: CatalogTransaction | None = None
        self._point = SyncPoint()
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self.failure: StorageError | None = None  # A sync failed: nobody knows what the disk has.

    def hurry(self, mode: str) -> None:
        """Sync as soon after a commit as a further handle with this mode wants."""
        self._pause_s = min(self._pause_s, PAUSE_S.get(mode, self._pause_s))

    def begin(self) -> None:
        """Before anything is written, under the writer's lock: build only on what is safe."""
        if self.failure is not None:
            raise StorageError(
                self.failure.errno, f"{self.failure}; commits since then may be lost: open again"
            )
        owner = self._points.newest().owner
        if owner == (self._owner if self.is_lazy else NOBODY):
            return
        with self._syncing, self._typed(), self._points.held() as point:
            self._catalog.begin(write=True).abort()  # LMDB mends what a killed commit left.
            pin, meta = self._pinned()
            try:
                if point.owner != NOBODY:
                    self._sync_files(point.rows, pin.head())
                elif pin.number == 0:  # A new catalog, whose first pages nobody has synced.
                    self._catalog.sync()
                    sync(self._folder)
                if self.is_lazy:
                    self._move(point, pin, meta)
                else:
                    self._points.put(SyncPoint(point.sequence + 1))
            finally:
                if pin is not self._pin:
                    pin.abort()
        if self.is_lazy:
            self._wake()  # It looks after the pin, even if no commit follows.

    def commit(self, txn: CatalogTransaction) -> None:
        """LMDB's commit, and word to the thread that syncs."""
        with self._publishing:
            txn.commit()
        if self.is_lazy:
            self._wake()

    def sync(self) -> None:
        """Wait until every commit of this moment is durable."""
        if not self.is_lazy:
            return
        with self._syncing:
            if self._points.newest().owner != self._owner:
                return  # Nothing was written, or somebody took over, and synced all before.
            pin, meta = self._pinned()
            try:
                if pin.number > self._point.txn:
                    self._sync_files(self._point.rows, pin.head())
                    with self._points.held() as point:
                        if point.owner == self._owner:
                            self._move(point, pin, meta)
                            return
                        # Somebody took over meanwhile.
            except OSError as error:
                self.failure = StorageError(error.errno, f"could not sync {self._folder}: {error}")
                raise self.failure from error
            finally:
                if pin is not self._pin:
                    pin.abort()

    def settle(self) -> None:
        """Make everything durable and let LMDB's own meta pages count again; pins nothing then.

        Needs the writer's lock, or that nobody here writes any more.
        """
        if not self.is_lazy:
            return
        self.sync()
        with self._syncing, self._typed(), self._points.held() as point:
            if point.owner == self._owner:
                self._points.put(SyncPoint(point.sequence + 1))
            if self._pin is not None:
                self._pin.abort()
                self._pin = None
            self._point = SyncPoint()

    def close(self) -> None:
        """Stop the thread, and make everything durable unless a sync has failed before."""
        self._ending.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        if self.failure is None:
            self.settle()
        elif self._pin is not None:
            self._pin.abort()

    @property
    def pin(self) -> CatalogTransaction | None:
        """The transaction that keeps the last sync point's pages."""
        return self._pin

    # Inside.

    @contextmanager
    def _typed(self) -> Iterator[None]:
        """The system's errors as ours."""
        try:
            yield
        except OSError as error:
            if isinstance(error, QuillianError):
                raise
            text = f"could not sync {self._folder}: {error.strerror}"
            raise StorageError(error.errno, text) from error

    def _pinned(self) -> tuple[CatalogTransaction, bytes]:
        """A read transaction of the last commit, and that commit's meta page."""
        while True:
            with self._publishing:
                pin = self._catalog.begin()
                meta = self._catalog.meta(pin.number)
            if meta is not None:
                return pin, meta
            pin.abort()  # Another process has committed in between.

    def _sync_files(self, rows: int, head: Head) -> None:
        """Sync the logs from a number of rows on, up to a head, and all pages of the catalog."""
        vectors = self._folder / vectors_name(head.generation)
        first, last = max(rows - 1, 0) // SEGMENT_SLOTS, (head.rows - 1) // SEGMENT_SLOTS
        if head.rows != rows:
            for segment in range(min(first, last), last + 1):
                for name in segment_names(segment):
                    _sync_data(vectors / name)
        if head.rows and (rows == 0 or first != last):  # New files, whose names are to last too.
            sync(vectors)
        if head.log_bytes:
            _sync_data(self._folder / graph_name(head.generation, head.fold))
        if rows == 0:
            sync(self._folder)
        self._catalog.sync()

    def _move(self, point: SyncPoint, pin: CatalogTransaction, meta: bytes) -> None:
        """Replace the record by one that names `pin`; then the pin before it has done its duty."""
        moved = SyncPoint(
            point.sequence + 1, self._owner, boot_id() or NOBODY, self._catalog.page_bytes,
            pin.number, pin.head().rows, meta,
        )  # fmt: skip
        self._points.put(moved)
        before, self._pin, self._point = self._pin, pin, moved
        if before is not None:
            before.abort()

    def _wake(self) -> None:
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="quillian-sync", daemon=True)
            self._thread.start()

    def _let_go(self) -> None:
        """End the pin if somebody has taken over: else it keeps all pages of the future in use."""
        with self._syncing:
            if self._pin is not None and self._points.newest().owner != self._owner:
                self._pin.abort()
                self._pin, self._point = None, SyncPoint()

    def _run(self) -> None:
        while True:
            if not self._wanted.wait(None if self._pin is None else LOOK_S):
                self._let_go()
                continue
            if self._ending.wait(self._pause_s):
                return
            self._wanted.clear()
            if self._ending.is_set():  # Set before `_wanted`, whose word was just cleared.
                return
            try:
                self.sync()
            except QuillianError as error:
                if self.failure is None:
                    self.failure = StorageError(errno.EIO, f"could not sync: {error}")
                return  # The next transaction says so.


def _sync_data(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(file)
    finally:
        os.close(file)


def lazy(mode: str) -> bool:
    """Whether a process that opens a store in this mode lets LMDB commit without waiting.

    Where the system does not tell its boots apart, every commit waits.
    """
    return mode != "commit" and boot_id() is not None
