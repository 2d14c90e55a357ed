"""Work in the background: one thread per store and process that links rows into the index.

It starts when a commit leaves enough rows waiting and ends when none are left. Stopping loses only
time: what it had linked but not written out is linked again by the next one.
"""

import errno
import threading
from collections.abc import Callable

from .errors import QuillianError, StorageError
from .indexing import Progress


class Stopped(Exception):  # noqa: N818 - a message between two threads, not an error
    """The store is being closed."""


class Indexer:
    """Runs `work(progress)` in a thread of its own, at most one at a time."""

    def __init__(self, work: Callable[[Progress], None]):
        self._work = work
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.failure: QuillianError | None = None  # Why the last run ended early, for stats().

    def start(self) -> None:
        """Start unless it runs already."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="quillian-indexer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # No more threads here: stats() tells, the next commit tries.
            self.failure = StorageError(errno.EAGAIN, f"could not start a thread: {error}")

    def wait(self) -> None:
        """Wait until it has nothing left to do."""
        if self._thread is not None:
            self._thread.join()

    @property
    def is_stopping(self) -> bool:
        """Whether the work is to end at its next step."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ask it to stop at the next step, and wait until it has."""
        self._stopping.set()
        self.wait()

    def _run(self) -> None:
        try:
            self._work(self._progress)
            self.failure = None
        except Stopped:
            pass
        except QuillianError as error:  # A long writer or a full disk: searches go on, the next
            self.failure = error  # commit starts another run, and stats() tells.

    def _progress(self, what: str, done: int, total: int) -> None:
        if self._stopping.is_set():
            raise Stopped
