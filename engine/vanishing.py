"""Vanishing: the folder of a ":memory:" store.

It is a store directory like any other, so all laws hold in it, but in a new folder of /dev/shm that
nobody else may enter: memory (and swap), never a disk; where the system has no such place, among
its temporary files. Its size is limited by what is mounted there. It is removed when the store is
closed or its process ends. A killed process can remove nothing, but the lock that marks its folder
as alive ends with it: whoever makes the next memory store removes what the dead ones left.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
PREFIX = "quillian-memory-"
ALIVE = "alive"  # The name of the lock file, beside the store.


class VanishingFolder:
    """A new folder, at `path`, until `remove`."""

    def __init__(self) -> None:
        usable = os.access(SHARED_MEMORY, os.W_OK)
        place = SHARED_MEMORY if usable else Path(tempfile.gettempdir())
        remove_dead(place)
        draft = Path(tempfile.mkdtemp(prefix="quillian-draft-", dir=place))
        self._alive = os.open(draft / ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        # Locked before it has the name that others look for: none can take it for a dead one.
        self._folder = draft.rename(place / draft.name.replace("quillian-draft-", PREFIX))
        self.path = self._folder / "store"
        self._owner = os.getpid()
        atexit.register(self.remove)

    @property
    def is_ours(self) -> bool:
        """Whether this process made it; a forked child did not."""
        return os.getpid() == self._owner

    def remove(self) -> None:
        """Remove the folder; a forked child leaves its parent's alone. May be called twice."""
        atexit.unregister(self.remove)
        if self._alive >= 0 and self.is_ours:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._alive)
            self._alive = -1


def remove_dead(place: Path) -> None:
    """Remove the folders of this user whose processes have ended without doing so."""
    for folder in place.glob(f"{PREFIX}*"):
        try:
            if folder.lstat().st_uid != os.getuid():
                continue
            alive = os.open(folder / ALIVE, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # Half removed, or being removed.
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # Its process lives.
        finally:
            os.close(alive)
