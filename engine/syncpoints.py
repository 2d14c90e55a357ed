"""Sync points: up to which commit everything is on the disk, while LMDB is not told to sync.

With durability "group" and "none", LMDB commits without a sync (MDB_NOSYNC): readers of all
processes see the commit at once, and a process may die at any moment, because the pages are the
system's. A power loss is another matter: it may keep LMDB's newest meta page and not the pages that
it names. So after one, LMDB's own choice of meta page is not trusted. Instead this file says which
commit was the last whose pages, and whose logs, were all synced, and holds its meta page:

    1. A read transaction pins commit T: from now on no writer of any process reuses its pages.
    2. fdatasync of the logs below T's lengths, then of catalog.mdb, all of whose pages T names.
    3. T's meta page is written here and synced. Only then the pin of the sync point before ends.

Commits go on meanwhile. What a power loss leaves is T of the newest record that is whole, so a
prefix of the commits. Whether there was one is told by the boot id: on the boot that wrote the
record the page cache holds everything, and LMDB is right; on another one `recover` puts T's meta
page back.

Layout: two slots of 4,096 bytes, written in turns, the higher sequence counts: magic "QLSYNC\\0\\1"
(8), format u32, page size u32, sequence u64, boot id (16), owner (16), LMDB transaction u64, its
commit's rows u64, MDB_meta (136), crc32 u32 of all before; zeros.
Owner names the Directory that pins T; zeros: nobody, all is synced, LMDB's meta pages are right.
A writer that finds another owner, alive or not, takes over: under the writer's lock it syncs all
there is before it writes anything, for the pin may have died with its process.
"""

import errno
import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .bindings.limits import FORMAT
from .environment import META_BYTES, meta_write
from .errors import StorageError
from .locking import WriterLock

MAGIC = b"QLSYNC\0\1"
SLOT = 4_096
RECORD = struct.Struct(f"<8sIIQ16s16sQQ{META_BYTES}s")
NOBODY = bytes(16)
RECOVER_TIMEOUT_S = 10.0
BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> bytes | None:
    """16 bytes that change with every start of the system; None where it does not tell."""
    try:
        return bytes.fromhex(BOOT.read_text(encoding="ascii").strip().replace("-", ""))
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class SyncPoint:
    """The last commit known to be on the disk, whole, and who keeps its pages from being reused."""

    sequence: int = 0
    owner: bytes = NOBODY
    boot: bytes = bytes(16)
    page_bytes: int = 4_096
    txn: int = 0  # LMDB's number of the commit.
    rows: int = 0  # Of the vector log, synced.
    meta: bytes = bytes(META_BYTES)

    def packed(self) -> bytes:
        """The record with its checksum."""
        record = RECORD.pack(
            MAGIC, FORMAT, self.page_bytes, self.sequence, self.boot, self.owner, self.txn,
            self.rows, self.meta,
        )  # fmt: skip
        return record + zlib.crc32(record).to_bytes(4, "little")


def _unpacked(slot: bytes) -> SyncPoint:
    record = slot[: RECORD.size]
    checksum = int.from_bytes(slot[RECORD.size : RECORD.size + 4], "little")
    if len(record) < RECORD.size or zlib.crc32(record) != checksum:
        return SyncPoint()  # Torn, or never written: the other slot counts.
    magic, _, page, sequence, boot, owner, txn, rows, meta = RECORD.unpack(record)
    return (
        SyncPoint(sequence, owner, boot, page, txn, rows, meta) if magic == MAGIC else SyncPoint()
    )


class SyncPoints:
    """The file of sync points. Open once per process and store: closing any descriptor of it in a
    process drops that process's lock on it."""

    def __init__(self, path: Path, *, read_only: bool):
        self._file = -1
        self._thread = threading.Lock()
        self._known = b"", SyncPoint()  # What was read last, and what it says.
        if not read_only:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        elif path.exists():
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    @property
    def is_foreign(self) -> bool:
        """Whether a process was writing when the system went down, so that LMDB may be wrong."""
        point = self.newest()
        return point.owner != NOBODY and point.boot != boot_id()

    def newest(self) -> SyncPoint:
        """The record that counts; sequence 0: there never was one."""
        if self._file < 0:
            return SyncPoint()
        content = os.pread(self._file, SLOT + RECORD.size + 4, 0)
        known = self._known
        if content != known[0]:  # Every commit looks, and seldom something has changed.
            slots = _unpacked(content[:SLOT]), _unpacked(content[SLOT:])
            known = self._known = content, max(slots, key=lambda point: point.sequence)
        return known[1]

    @contextmanager
    def held(self) -> Iterator[SyncPoint]:
        """Around reading and replacing the record: the newest."""
        with self._thread:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield self.newest()
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def put(self, point: SyncPoint) -> None:
        """Write a record durably; the caller holds the file."""
        self._write(point)
        os.fdatasync(self._file)
        if point.owner == NOBODY:  # An older record in the other slot must never count again.
            self._write(point)

    def _write(self, point: SyncPoint) -> None:
        slot = point.packed()
        at = SLOT * ((point.sequence + (self.newest().sequence == point.sequence)) % 2)
        if os.pwrite(self._file, slot, at) != len(slot):
            raise StorageError(errno.ENOSPC, "could not write a sync point: disk full")


def recover(points: SyncPoints, catalog: Path, writer: WriterLock | None) -> None:
    """After a power loss, put the last sync point's meta page back, before LMDB looks.

    writer: None where nothing can be written; then a store that needs it is refused.
    """
    if not points.is_foreign:
        return
    if writer is None:
        raise StorageError(
            errno.EROFS, f"{catalog.parent} was in use when power was lost; open it for writing"
        )
    writer.acquire(RECOVER_TIMEOUT_S)
    try:
        with points.held() as point:
            if points.is_foreign:  # Else somebody else has just done it, and may be writing.
                meta_write(catalog, point.page_bytes, point.txn, point.meta)
                points.put(SyncPoint(point.sequence + 1))
    finally:
        writer.release()
