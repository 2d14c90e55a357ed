"""The journal: what small commits wrote to the logs, kept in the catalog until the logs are synced.

A commit that syncs each log that it touched, and then LMDB twice, waits five times for the disk. A
small one therefore puts the bytes that it wrote to the logs into its LMDB transaction as well, and
syncs no log: LMDB's own two syncs make everything durable at once. The logs themselves are written
as always, so all reading is as always; after a power loss they may lack what the journal holds, and
whoever opens the store first writes it there again. That is physical: the same bytes to the same
place, which no commit ever changes, so it may be done twice, or stopped half-way and repeated.

Entries go when they pass JOURNAL_BYTES_MAX together: the next commit writes all of them to the logs
once more (a sync that failed may have dropped a page that looks clean), syncs those files and then
deletes the entries in its own transaction. A damaged entry is skipped: what it would repair has
checksums of its own, and `check` names it.

An entry stands under its commit: [generation, fold, first row, bytes of rows, bytes of their slots,
byte of the log of associations, bytes from there]. It never makes or cuts a file: a commit that
begins a segment of rows, or a log, syncs what it wrote.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .catalog import CatalogTransaction
from .errors import CorruptError, StorageError
from .heads import Head
from .layout import (
    LOG_HEADER_BYTES,
    ROWS_HEADER_BYTES,
    SEGMENT_SLOTS,
    SLOT_BYTES,
    commit_key,
    graph_name,
    seal,
    segment_names,
    stride,
    unseal,
    vectors_name,
)
from .logs import Logs

COMMIT_BYTES_MAX = 1 << 16  # Of one commit: beyond, writing twice costs more than syncing.
JOURNAL_BYTES_MAX = 1 << 20  # Of all entries: what the first open after a power loss may write.


class Piece(NamedTuple):
    """Bytes of a log: the file below the store's folder, where, and what stands there."""

    name: str
    offset: int
    content: bytes


def keep(txn: CatalogTransaction, logs: Logs, dim: int | None, old: Head, new: Head) -> Head:
    """Put what the commit from `old` to `new` wrote to the logs into its transaction.

    Returns the new head; unchanged, with no entry, if the logs are to be synced instead.
    """
    count, begin = new.rows - old.rows, max(old.log_bytes, LOG_HEADER_BYTES)
    linked = new.log_bytes - begin if new.log_bytes != old.log_bytes else 0
    total = count * (stride(dim or 0) + SLOT_BYTES) + linked
    if not 0 < total <= COMMIT_BYTES_MAX:
        return new
    place = old.rows % SEGMENT_SLOTS
    begins = count and (place == 0 or place + count > SEGMENT_SLOTS)
    if begins or new.fold != old.fold or (new.log_bytes != old.log_bytes and old.log_bytes == 0):
        return new
    rows, slots = logs.vectors().written(old.rows, count) if count else (b"", b"")
    log = logs.associations.written(begin, linked) if linked else b""
    key = commit_key(new.commit)
    entry = new.generation, new.fold, old.rows, rows, slots, old.log_bytes, log
    txn.put("journal", key, seal(key, entry))
    return new._replace(journal_bytes=new.journal_bytes + total)


def _names(head: Head, row: int) -> tuple[str, str, str]:
    vectors = vectors_name(head.generation)
    rows, slots = segment_names(row // SEGMENT_SLOTS)
    return f"{vectors}/{rows}", f"{vectors}/{slots}", graph_name(head.generation, head.fold)


def _read(path: Path, offset: int, size: int) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(file, size, offset)
    finally:
        os.close(file)


def _pieces(txn: CatalogTransaction, head: Head, dim: int | None) -> Iterator[Piece]:
    """What the entries say of logs that count, below the lengths of a head."""
    limits = (head.rows * stride(dim or 0), head.rows * SLOT_BYTES, head.log_bytes)
    for key, value in txn.items("journal"):
        try:
            entry = unseal(key, value, "an entry of the journal")
            generation, fold, row, rows, slots, byte, log = entry
        except (CorruptError, TypeError, ValueError):
            continue
        if generation != head.generation:
            continue
        if fold != head.fold:  # The log of this one was written whole, and synced.
            log = b""
        names = _names(head, row)
        place = row % SEGMENT_SLOTS
        ends = (row * stride(dim or 0) + len(rows), row * SLOT_BYTES + len(slots), byte + len(log))
        starts = (
            ROWS_HEADER_BYTES + place * stride(dim or 0),
            ROWS_HEADER_BYTES + place * SLOT_BYTES,
            byte,
        )
        for name, start, end, limit, content in zip(
            names, starts, ends, limits, (rows, slots, log), strict=True
        ):
            if content and end <= limit:
                yield Piece(name, start, content)


def missing(txn: CatalogTransaction, folder: Path, dim: int | None) -> list[Piece]:
    """Pieces that the logs do not hold: after a power loss, never else."""
    found = []
    for piece in _pieces(txn, txn.head(), dim):
        try:
            there = _read(folder / piece.name, piece.offset, len(piece.content))
        except FileNotFoundError:  # Damage, which is found where the log is opened.
            continue
        if there != piece.content:
            found.append(piece)
    return found


def write(folder: Path, pieces: list[Piece], *, durable: bool = False) -> None:
    """Write pieces to their logs, whose files exist; the caller holds the writer's lock."""
    try:
        for name in sorted({piece.name for piece in pieces}):
            file = os.open(folder / name, os.O_RDWR | os.O_CLOEXEC)
            try:
                for piece in pieces:
                    if piece.name == name:
                        _write(file, piece)
                if durable:
                    os.fdatasync(file)
            finally:
                os.close(file)
    except OSError as error:
        raise StorageError(error.errno, f"could not write the logs: {error.strerror}") from error


def _write(file: int, piece: Piece) -> None:
    done = 0
    while done < len(piece.content):
        done += os.pwrite(file, piece.content[done:], piece.offset + done)


def settle(txn: CatalogTransaction, folder: Path, dim: int | None, head: Head) -> Head:
    """Make the logs durable and drop all entries, in a writer's transaction; the new head."""
    write(folder, list(_pieces(txn, txn.head(), dim)), durable=True)
    return drop(txn, head)


def drop(txn: CatalogTransaction, head: Head) -> Head:
    """Delete all entries, for whom the logs are durable already; the new head."""
    for key, _ in list(txn.items("journal")):
        txn.delete("journal", key)
    return head._replace(journal_bytes=0)
