"""Making files and names durable: a new file's name is not, before its folder is synced."""

import os
from pathlib import Path

from .errors import StorageError


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; a crash may bring it back."""
    if path.is_dir():
        import shutil  # Half of what this file would take to import.

        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it; its name is durable then."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        sync(path.parent)
    except OSError as error:
        why = f"{error.strerror}; a store is a folder" if path.is_file() else error.strerror
        raise StorageError(error.errno, f"could not create {path}: {why}") from error
