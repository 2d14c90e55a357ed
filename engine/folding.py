"""Folding: the committed associations as extents, and a log that starts behind them.

Opening maps the extents (csrc/extent_file.c) and replays only the log behind them, so that log is
kept short: when it has grown by an eighth of the extents, a thread writes new ones beside the
commits that go on, and then, under the writer's lock, the records that came meanwhile to the start
of a new log. One LMDB transaction names both as the next fold, so a crash leaves the old pair or
the new one. The old files go as those of an old generation do: when no snapshot of any process may
open them.

A batch about as large as the graph does not go through the log at all: it is folded with what there
is into the next fold, at once.
"""

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from .associations import AssociationLog
from .bindings.graph import Edges, Extents
from .catalog import Catalog, CatalogTransaction
from .errors import CorruptError, QuillianError
from .heads import Head, Manifest
from .layout import EDGE_BYTES, LOG_HEADER_BYTES, draft_extents_name, extents_name, graph_name
from .logs import Logs
from .syncing import sync

FOLD_RECORDS_MIN = 65_536  # Shorter logs are replayed in 10 ms.
FOLD_SHARE = 8
FINISH_RECORDS_MIN = 4_096  # So few are left in the log even by who finishes all work.
LOAD_RECORDS_MIN = 131_072  # Smaller batches go through the log.


class Folder(Protocol):
    """What folding needs of a Directory."""

    path: Path
    catalog: Catalog
    manifest: Manifest

    def refresh(self, txn: CatalogTransaction, head: Head) -> Logs: ...

    def writing(self, timeout: float) -> AbstractContextManager[None]: ...

    def publish(
        self, txn: CatalogTransaction, *, linked: bool = False, folded: AssociationLog | None = None
    ) -> None: ...

    def drop_generations(self, head: Head) -> bool: ...


def waiting(head: Head) -> int:
    """About how many records stand in the log behind the extents."""
    return max(head.log_bytes - LOG_HEADER_BYTES, 0) // EDGE_BYTES


def superseded(head: Head) -> int:
    """About how many records a compaction would not write again."""
    return max(_folded(head) + waiting(head) - head.associations, 0)


def state(head: Head, failure: QuillianError | None) -> dict[str, Any]:
    """Associations in the extents, records in the log behind them, and what went wrong."""
    return {
        "fold": head.fold,
        "associations": _folded(head),
        "records_behind": waiting(head),
        "failure": None if failure is None else str(failure),
    }


def is_due(head: Head) -> bool:
    """Whether the log is long enough to be folded."""
    return waiting(head) > max(FOLD_RECORDS_MIN, _folded(head) // FOLD_SHARE)


def is_load(head: Head, records: int) -> bool:
    """Whether a batch is so large that folding it at once costs less than logging it."""
    return records >= max(LOAD_RECORDS_MIN, (_folded(head) + waiting(head)) // 2)


def _folded(head: Head) -> int:
    return head.extents[2] if head.fold else 0


def finish(directory: Folder, timeout: float) -> None:
    """Fold unless few records wait for it."""
    with directory.catalog.begin() as txn:
        head = txn.head()
    if waiting(head) > FINISH_RECORDS_MIN:
        fold(directory, timeout)


def fold(directory: Folder, timeout: float) -> None:
    """Write the next fold; commits wait only while the records that came meanwhile are copied."""
    with directory.catalog.begin() as txn:
        seen = txn.head()
        log = directory.refresh(txn, seen).associations_of(seen)
        draft = draft_of(directory.path)
        extents = log.write_extents(draft)
    try:
        with directory.writing(timeout):
            try:
                _publish(directory, seen, log, draft, extents)
            except BaseException:
                discard(directory, seen._replace(fold=seen.fold + 1))
                raise
    finally:
        draft.unlink(missing_ok=True)


def draft_of(folder: Path) -> Path:
    """Where this thread writes extents: others of the process may fold or compact meanwhile."""
    return folder / draft_extents_name(threading.get_ident(), os.getpid())


def _publish(
    directory: Folder, seen: Head, log: AssociationLog, draft: Path, extents: Extents
) -> None:
    with directory.catalog.begin(write=True) as txn:
        head = txn.head()
        if (head.generation, head.fold) != (seen.generation, seen.fold):
            return  # Compacted or folded by others meanwhile.
        with log.path.open("rb") as file:
            file.seek(extents.log_bytes)
            tail = file.read(head.log_bytes - extents.log_bytes)
        named = following(head, extents, txn.number)
        made, named = place(directory.path, directory.manifest, named, draft, tail)
        txn.put_head(named)
        directory.publish(txn, folded=made)
    directory.drop_generations(named)


def following(head: Head, extents: Extents, txn: int) -> Head:
    """The head whose fold comes next, as written in this LMDB transaction."""
    kept = (extents.file_bytes, extents.table_at, extents.edges)
    return head._replace(fold=head.fold + 1, extents=kept, generation_txn=txn)


def place(
    folder: Path,
    manifest: Manifest,
    head: Head,
    draft: Path,
    tail: bytes = b"",
    records: Sequence[Edges] = (),
) -> tuple[AssociationLog, Head]:
    """Give a draft its name, and a log: batches `tail` as they are, or records as one batch.

    All is durable then, and checked in full by being opened; and the head, with the log's length.
    """
    files = (head.generation, head.fold)
    draft.rename(folder / extents_name(*files))
    log = folder / graph_name(*files)
    log.unlink(missing_ok=True)  # Of a process that died.
    made = AssociationLog(folder, head, manifest, read_only=False)
    if tail:
        with log.open("r+b") as file:
            file.seek(LOG_HEADER_BYTES)
            file.write(tail)
    named = head._replace(log_bytes=LOG_HEADER_BYTES + len(tail))
    made.refresh(named)
    for batch in records:
        made.append(batch)
    if records:
        named = named._replace(log_bytes=made.flush(head.commit))
    made.sync()
    sync(folder)
    if made.damage is not None:
        raise CorruptError(made.damage)
    return made, named


def discard(directory: Folder, head: Head) -> None:
    """Remove the files of a fold unless the catalog names them; needs the writer's lock."""
    with directory.catalog.begin() as txn:
        found = txn.head()
    if (found.generation, found.fold) != (head.generation, head.fold):
        for name in (extents_name, graph_name):
            (directory.path / name(head.generation, head.fold)).unlink(missing_ok=True)
