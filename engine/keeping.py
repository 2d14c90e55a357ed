"""Keeping: what a store does for itself: finish its indexes, check, back up, and say how it is."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import folding, memory
from .directory import Directory
from .errors import ReadOnlyError
from .heads import Head
from .indexing import Progress
from .results import Results
from .sizes import reclaimable_bytes, size_bytes
from .snapshot import Snapshot

if TYPE_CHECKING:  # Each is imported by the one method that needs it.
    from .checking import Problem
    from .compacting import Compaction


def restore(backup: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Put a backup in place as the store at a new path, after everything in it was checked.

    Raises CorruptError, naming what is damaged, and ConflictError if the path exists; then nothing
    was written.
    """
    from . import copying

    copying.restore(Path(backup), Path(path))


class Keeping:
    """The part of a Store that looks after it."""

    path: Path
    read_only: bool
    lock_timeout: float
    _results: Results

    def _open_directory(self) -> Directory:
        raise NotImplementedError

    def snapshot(self) -> Snapshot:
        raise NotImplementedError

    def _writable_directory(self) -> Directory:
        if self.read_only:
            raise ReadOnlyError(f"the store {self.path} was opened read-only; open it for writing")
        return self._open_directory()

    def optimize(self, progress: Progress | None = None, threads: int | None = None) -> None:
        """Finish all index work: words into segments, facets, extents, rows into the index.

        Readers and writers go on meanwhile.  May be stopped (Ctrl-C) and called again.
        threads: None means up to two.
        """
        from . import facets
        from .text import records as text_records

        directory = self._writable_directory()
        with directory.writing(self.lock_timeout), directory.catalog.begin(write=True) as txn:
            text_records.finish(directory.words(), txn, directory.durability.sync)
        with directory.writing(self.lock_timeout), directory.catalog.begin(write=True) as txn:
            head = txn.head()
            txn.put_head(facets.finish(txn, head))
            txn.commit()
            directory.durability.sync()
        directory.folder.stop()
        folding.finish(directory, self.lock_timeout)
        directory.finish_index(
            timeout=self.lock_timeout,
            threads=threads or min(2, os.cpu_count() or 1),
            progress=progress,
        )

    def sync(self) -> None:
        """Wait until every commit so far is on the disk; at once with durability="commit"."""
        self._writable_directory().durability.sync()

    def check(self) -> "list[Problem]":
        """Everything that is damaged, checked in full against checksums and cross references."""
        from .checking import problems

        with self.snapshot() as view:
            return problems(self._open_directory(), view)

    def repair(self) -> "list[Problem]":
        """Rebuild what is derived and drop what is damaged; what was wrong, and what is lost.

        A sound store is left as it is, and the list is empty.
        """
        from .repairing import repair

        return repair(self._writable_directory(), self.lock_timeout)

    def compact(self) -> "Compaction":
        """Write everything that lives anew and give the rest of the space back; what that gave.

        Snapshots of all processes stay right; files that they may open go with the next
        open or compact.  The catalog shrinks only while no other process has the store open.
        """
        from .compacting import compact

        return compact(self._writable_directory(), self.lock_timeout)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the store as it is now to a new folder, which is a store itself; see `restore`.

        Readers and writers of all processes go on meanwhile.  Raises ConflictError if it exists.
        """
        from . import copying

        copying.backup(self._open_directory(), Path(path))

    def stats(self) -> dict[str, Any]:
        """Counts, sizes on disk and state, as plain data.

        readers: of every other open snapshot, its process and how many transactions it is behind.
        oldest_reader_s: how long the oldest other one of this process has been open.
        reclaimable_bytes: what compact would give back of each part.
        """
        from .text import records as text_records

        with self.snapshot() as view:
            head: Head = view.head
            manifest = self._open_directory().manifest
            damage = view.damage
            return {
                "path": str(self.path),
                "version": head.commit,
                "concepts": head.concepts,
                "vectors": head.vectors,
                "associations": head.associations,
                "namespaces": len(view.namespace_numbers()),
                "types": {} if damage["associations"] else view.types(),
                "damage": [text for text in damage.values() if text],
                "dim": manifest.dim,
                "metric": manifest.metric,
                "embedder": manifest.embedder,
                "index": self._open_directory().index_state(head),
                "extents": folding.state(head, self._open_directory().folder.failure),
                "words": text_records.stats(view.catalog, head),
                "rows": {"live": head.vectors, "retired": head.rows - head.vectors},
                "readers": self._open_directory().catalog.readers_behind(view.catalog),
                "oldest_reader_s": self._open_directory().catalog.oldest_s(view.catalog),
                "cache": self._results.stats(),
                "memory": memory.stats(),
                "tiers": self._open_directory().tiers.stats(head),
                "size_bytes": size_bytes(self.path.resolve()),
                "reclaimable_bytes": reclaimable_bytes(
                    self._open_directory().catalog, head, manifest.dim
                ),
                "created_ns": manifest.created_ns,
                "updated_ns": head.updated_ns,
                "format": manifest.format,
            }
