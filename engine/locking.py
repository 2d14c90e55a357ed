"""The writer's lock: one writing transaction at a time, among threads and processes.

A POSIX record lock on a small file: the system drops it when its process dies, a forked child does
not inherit it, and the file's content names the holder. Threads of one process share record locks,
so a thread lock stands in front. Record locks die when *any* descriptor of the file is closed by
the process: only this class opens the file, once per process and store.
"""

import fcntl
import os
import threading
import time
from pathlib import Path

from .errors import LockTimeout, StorageError

POLL_S_MIN = 0.0005
POLL_S_MAX = 0.02


class WriterLock:
    """The right to write one store directory."""

    def __init__(self, path: Path):
        self.path = path
        self._thread = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def acquire(self, timeout: float) -> None:
        """Wait up to `timeout` seconds; LockTimeout names the process that holds on."""
        deadline = time.monotonic() + timeout
        if not self._thread.acquire(timeout=max(timeout, 0)):
            raise LockTimeout(self._message(os.getpid(), timeout, "another thread of this process"))
        try:
            self._acquire_process(deadline, timeout)
        except BaseException:
            self._thread.release()
            raise

    def _acquire_process(self, deadline: float, timeout: float) -> None:
        pause = POLL_S_MIN
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                pass
            else:
                self._sign()
                return
            left = deadline - time.monotonic()
            if left <= 0:
                holder = os.pread(self._file, 21, 0).decode("ascii", "replace").strip() or "unknown"
                raise LockTimeout(self._message(holder, timeout, "another process"))
            time.sleep(min(pause, left))
            pause = min(pause * 2, POLL_S_MAX)

    def _sign(self) -> None:
        """Say who holds on; without that nobody does."""
        try:
            os.pwrite(self._file, f"{os.getpid():<20d}\n".encode(), 0)
        except OSError as error:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
            raise StorageError(
                error.errno, f"could not write {self.path}: {error.strerror}"
            ) from error

    def release(self) -> None:
        """Let the next writer in."""
        try:
            if self._file >= 0:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        finally:
            self._thread.release()

    def close(self) -> None:
        """Close the file; a lock still held ends with it."""
        os.close(self._file)
        self._file = -1  # The number may soon be another file's.

    def _message(self, holder: int | str, timeout: float, whose: str) -> str:
        return (
            f"want to write {self.path.parent}, but {whose} (pid {holder}) has been writing for "
            f"longer than lock_timeout={timeout:g} s; wait, or open with a longer lock_timeout"
        )
