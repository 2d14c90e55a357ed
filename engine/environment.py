"""LMDB environments: opening one, writing one anew, its meta pages, and its errors as ours.

LMDB's file starts with two meta pages; a commit of transaction T writes page T & 1. Behind a page
header of 16 bytes stands its MDB_meta (LMDB 0.9): magic u32, version u32, address u64, size of the
map u64, two trees of 48 bytes, last page u64, transaction u64.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import lmdb
import lmdb._envid

from .errors import ClosedError, CorruptError, LimitError, QuillianError, StorageError
from .pages import expect_sound
from .syncing import sync

MAP_SIZES = (1 << 40, 1 << 36, 1 << 32, 1 << 30)  # Address space, not disk: the first that fits.
READERS_MAX = 2048
FILL_BYTES_MAX = 1 << 34  # More is no cut file but a damaged number.
REWRITTEN_PAIRS = 4_096  # In one transaction of a rewriting.
META_AT = 16
META_BYTES = 136
META_MAGIC = 0xBEEFC0DE
_META_LAST_PAGE = slice(120, 128)
_META_TXN = slice(128, 136)


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


class lmdb_errors:  # noqa: N801, as contextlib names its own.
    """LMDB's errors as ours, around a block. A class: a generator took 2 us, twenty a commit."""

    __slots__ = ("_what",)

    def __init__(self, what: str):
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, lmdb.Error):
            raise translated(error, self._what) from error


def open_environment(path: Path, *, read_only: bool, synced: bool = True) -> lmdb.Environment:
    """The environment in a file, created unless read-only.

    synced: whether a commit waits for the disk; if not, see syncpoints.py.
    """
    while True:
        before = _identity(path)
        _fill_up(path)
        expect_sound(path)
        environment = _open(str(path), read_only, synced)
        if not read_only or _identity(path) == before:
            return environment
        environment.close()  # Written anew between LMDB's opening of the file and its locking.


def _fill_up(path: Path) -> None:
    """Allocate what a cut file lacks of its last page, so that reading it is no SIGBUS.

    LMDB never compares the file with the last page that its meta pages name, and maps it. Pages of
    zeros are none of its kinds, so it refuses them. Nothing is ever made shorter, and a file that
    ends early rightly (behind freed pages that were never written) stays right.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # No file yet, or one of somebody else: as it is.
        return
    try:
        wanted, page_bytes = 0, os.sysconf("SC_PAGE_SIZE")  # LMDB's page is the system's.
        for page in (0, 1):
            meta = os.pread(file, META_BYTES, page * page_bytes + META_AT)
            if len(meta) == META_BYTES and struct.unpack_from("<I", meta)[0] == META_MAGIC:
                last = int.from_bytes(meta[_META_LAST_PAGE], "little")
                wanted = max(wanted, (last + 1) * page_bytes)
        size = os.fstat(file).st_size
        if size < wanted <= size + FILL_BYTES_MAX:
            os.posix_fallocate(file, wanted - 1, 1)
    except OSError as error:
        raise StorageError(error.errno, f"could not fill up {path}: {error.strerror}") from error
    finally:
        os.close(file)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _open(path: str, read_only: bool, synced: bool) -> lmdb.Environment:
    for size in MAP_SIZES:
        try:
            return lmdb.open(
                path,
                subdir=False,
                map_size=size,
                readonly=read_only,
                max_readers=READERS_MAX,
                sync=synced,
                create=not read_only,
            )
        except (lmdb.MemoryError, MemoryError):  # Address space is limited here: ask for less.
            if size == MAP_SIZES[-1]:
                raise
    raise AssertionError("unreachable")


def rewrite(path: Path) -> None:
    """Write all values of an environment that nobody has open to a new file in its place."""
    with (
        lmdb_errors("write the catalog anew"),
        lmdb.open(str(path), subdir=False, readonly=True, lock=False) as old,
        old.begin() as reading,
    ):
        write_anew(path, iter(reading.cursor()), append=True)


def write_anew(
    path: Path,
    pairs: Iterable[tuple[bytes, bytes]],
    *,
    append: bool = False,
    keep: Path | None = None,
) -> None:
    """Put a new environment with these values in the place of one that nobody has open.

    append: they are in order.  Of one key the first counts.  keep: a name for the old file.
    """
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    size = max(4 * path.stat().st_size, MAP_SIZES[-1])
    with (
        lmdb_errors("write the catalog anew"),
        lmdb.open(str(draft), subdir=False, map_size=size, lock=False, sync=False) as new,
    ):
        waiting = iter(pairs)
        while piece := list(islice(waiting, REWRITTEN_PAIRS)):  # One of all would be in memory.
            with new.begin(write=True) as writing:
                writing.cursor().putmulti(piece, append=append, overwrite=append)
        new.sync(True)
    if keep is not None:
        keep.unlink(missing_ok=True)
        os.link(path, keep)
    draft.rename(path)
    sync(path.parent)


def meta_read(path: Path, page_bytes: int, txn: int) -> bytes | None:
    """The MDB_meta that commit `txn` wrote; None if a later one stands in its place."""
    with path.open("rb") as file:
        meta = os.pread(file.fileno(), META_BYTES, page_bytes * (txn & 1) + META_AT)
    if len(meta) < META_BYTES or struct.unpack_from("<I", meta)[0] != META_MAGIC:
        raise CorruptError(f"{path} is not laid out as LMDB 0.9 does; use durability='commit'")
    return meta if int.from_bytes(meta[_META_TXN], "little") == txn else None


def meta_write(path: Path, page_bytes: int, txn: int, meta: bytes) -> None:
    """Make `txn` the last commit of an environment that nobody has open, durably."""
    if int.from_bytes(meta[_META_TXN], "little") != txn or path.stat().st_size < 2 * page_bytes:
        raise CorruptError(f"{path} does not fit its sync point; restore a backup")
    with path.open("r+b") as file:
        for page in (0, 1):
            os.pwrite(file.fileno(), meta, page * page_bytes + META_AT)
        os.fsync(file.fileno())


# Forks.

_env_keys = lmdb._envid.env_keys


def leak(thing: object) -> None:
    """Never free it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def forget_files() -> None:
    """In a forked child: let it open the files that its parent has open.

    py-lmdb refuses a file that it has open and does not notice that this was in the parent; so the
    keys under which it remembers files get this process's number.
    """
    process = os.getpid()
    lmdb._envid.env_keys = lambda path, subdir: tuple(
        (process, *key)
        for key in _env_keys(path, subdir)  # type: ignore[no-untyped-call]
    )
