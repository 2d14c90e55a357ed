"""LMDB environments: opening one, writing one anew, and its errors as ours."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from .errors import ClosedError, CorruptError, LimitError, QuillianError, StorageError
from .syncing import sync

MAP_SIZES = (1 << 40, 1 << 36, 1 << 32, 1 << 30)  # Address space, not disk: the first that fits.
READERS_MAX = 2048


def translated(error: lmdb.Error, what: str) -> QuillianError:
    """One of LMDB's errors as ours; `what` says what was tried."""
    if isinstance(error, lmdb.CorruptedError | lmdb.PageNotFoundError | lmdb.InvalidError):
        return CorruptError(f"could not {what}: {error}; run check or restore a backup")
    if isinstance(error, lmdb.VersionMismatchError):
        return CorruptError(f"could not {what}: another LMDB format: {error}")
    if isinstance(error, lmdb.MapFullError | lmdb.ReadersFullError | lmdb.TxnFullError):
        return LimitError(f"could not {what}: {error}")
    if str(error).endswith("closed/deleted/dropped object."):  # While it was being iterated.
        return ClosedError(f"could not {what}: the snapshot or store has ended; open another one")
    full = str(error).endswith(("No space left on device", "Disk quota exceeded"))
    return StorageError(errno.ENOSPC if full else errno.EIO, f"could not {what}: {error}")


@contextmanager
def lmdb_errors(what: str) -> Iterator[None]:
    """LMDB's errors as ours, for blocks that are not hot."""
    try:
        yield
    except lmdb.Error as error:
        raise translated(error, what) from error


def open_environment(path: Path, *, read_only: bool) -> lmdb.Environment:
    """The environment in a file, created unless read-only."""
    while True:
        before = _identity(path)
        environment = _open(str(path), read_only)
        if not read_only or _identity(path) == before:
            return environment
        environment.close()  # Written anew between LMDB's opening of the file and its locking.


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _open(path: str, read_only: bool) -> lmdb.Environment:
    for size in MAP_SIZES:
        try:
            return lmdb.open(
                path,
                subdir=False,
                map_size=size,
                readonly=read_only,
                max_readers=READERS_MAX,
                create=not read_only,
            )
        except (lmdb.MemoryError, MemoryError):  # Address space is limited here: ask for less.
            if size == MAP_SIZES[-1]:
                raise
    raise AssertionError("unreachable")


def rewrite(path: Path) -> None:
    """Write all values of an environment that nobody has open to a new file in its place."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    size = max(4 * path.stat().st_size, MAP_SIZES[-1])
    with (
        lmdb_errors("write the catalog anew"),
        lmdb.open(str(path), subdir=False, readonly=True, lock=False) as old,
        lmdb.open(str(draft), subdir=False, map_size=size, lock=False) as new,
        old.begin() as reading,
        new.begin(write=True) as writing,
    ):
        writing.cursor().putmulti(iter(reading.cursor()), append=True)
    draft.rename(path)
    sync(path.parent)
