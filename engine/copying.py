"""Copying: a backup of a store that is in use, and putting one back.

A backup is itself a store. The catalog is copied as one read transaction sees it; that transaction
keeps every file that its head names from being removed, and below the lengths in that head the logs
never change, whatever writers do meanwhile. Files of an index are derived and leave sooner: they
are opened before they are copied, and a head whose index is gone by then is taken anew.

Both ways write a folder beside the target, sync all of it, and rename it: a target exists whole or
not at all.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from .catalog import CatalogTransaction
from .checking import Problem, problems
from .directory import Directory
from .errors import ConflictError, CorruptError, StorageError
from .heads import Head, Manifest
from .layout import CATALOG, WORDS, extents_name, graph_name, index_name, row_files, vectors_name
from .snapshot import Snapshot
from .syncing import sync
from .text import records as text_records

TRIES_MAX = 100  # Of finding a head whose derived files are still there.


def backup(directory: Directory, target: Path) -> None:
    """Copy the store as it is now to a new folder; readers and writers go on meanwhile."""
    with _made(target) as folder:
        _copy(directory, folder)


def restore(source: Path, target: Path) -> None:
    """Copy a backup to a new folder if nothing in it is damaged; CorruptError names what is."""
    with _made(target) as folder:
        directory = Directory.acquire(source, read_only=True)
        try:
            _copy(directory, folder)
        finally:
            directory.release()
        found = _problems(folder)
        lost = [problem for problem in found if problem.lost] or found
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            raise CorruptError(f"{source} is damaged: {lost[0].message}{more}; nothing was written")


def _problems(folder: Path) -> list[Problem]:
    directory = Directory.acquire(folder, read_only=True)
    try:
        with Snapshot(directory) as view:
            return problems(directory, view)
    finally:
        directory.release()


@contextmanager
def _made(target: Path) -> Iterator[Path]:
    """A new folder that becomes `target`, durably, if the block succeeds."""
    if target.exists():
        raise ConflictError(f"{target} exists: remove it or name another folder")
    folder = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        yield folder
        for file in (*folder.rglob("*"), folder):
            sync(file)
        folder.rename(target)
        sync(target.parent)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and type(error).__module__ == "builtins":
            raise StorageError(error.errno, f"could not write {target}: {error}") from error
        raise


def _copy(directory: Directory, folder: Path) -> None:
    for _ in range(TRIES_MAX):
        with directory.catalog.begin() as txn, ExitStack() as stack:
            head = txn.head()
            try:
                derived = _opened(directory, txn, head, stack)
            except FileNotFoundError:
                continue  # A newer index has replaced it.
            _copy_logs(directory.path, directory.manifest, head, folder)
            for name, file in derived.items():
                (folder / name).parent.mkdir(exist_ok=True)
                with (folder / name).open("wb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
            directory.catalog.copy(txn, folder / CATALOG)
            return
    raise CorruptError(f"{directory.path} names derived files that do not exist; run repair")


def _opened(
    directory: Directory, txn: CatalogTransaction, head: Head, stack: ExitStack
) -> dict[str, BinaryIO]:
    """The immutable files that a head names, opened, by their names in a store."""
    names = [f"{WORDS}/{info.name}" for info in text_records.segments(txn).current]
    if head.fold:
        names.append(extents_name(head.generation, head.fold))
    if head.index_rows:
        names.append(f"{vectors_name(head.generation)}/{index_name(head.index_generation)}")
    return {name: stack.enter_context((directory.path / name).open("rb")) for name in names}


def _copy_logs(path: Path, manifest: Manifest, head: Head, folder: Path) -> None:
    sizes = {graph_name(head.generation, head.fold): head.log_bytes}
    if manifest.dim is not None:
        files = row_files(head.rows, manifest.dim)
        sizes |= {f"{vectors_name(head.generation)}/{name}": size for name, size in files.items()}
    for name, size in sizes.items():
        if size:
            (folder / name).parent.mkdir(exist_ok=True)
            _copy_start(path / name, folder / name, size)


def _copy_start(source: Path, target: Path, size: int) -> None:
    """Copy the first `size` bytes of a file; CorruptError if it has fewer."""
    short = CorruptError(f"{source} is shorter than the catalog says; run repair")
    if not source.exists():
        raise short
    with source.open("rb") as reading, target.open("wb") as writing:
        while size:
            piece = reading.read(min(size, 1 << 20))
            if not piece:
                raise short
            writing.write(piece)
            size -= len(piece)
