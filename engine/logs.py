"""The logs of one generation in this process: associations, vectors and the index over them.

A generation is written whole by compacting and named by the catalog's head; from then on commits
append to it. Snapshots hold the logs of the generation that they saw, so a newer one leaves them as
they are. A log that cannot be read is damaged, and says so when it is used; the rest is served.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

from .associations import AssociationLog
from .catalog import CatalogTransaction
from .heads import Head, Manifest
from .layout import vectors_name
from .syncing import sync
from .vectors import VectorLog


class Logs:
    """Both logs of one generation. One per process, store and generation."""

    def __init__(self, path: Path, head: Head, manifest: Manifest, *, read_only: bool):
        self.generation = head.generation
        self.manifest = manifest  # Its dimension may be set later.
        self.path = path
        self.folder = path / vectors_name(head.generation)
        self.read_only = read_only
        self.associations = AssociationLog(path, head, manifest, read_only=read_only)
        self._vectors: VectorLog | None = None
        self._lock = threading.Lock()

    def vectors(self) -> VectorLog:
        """The vector log; InvalidError while the store has no dimension."""
        if self._vectors is None:
            with self._lock:
                if self._vectors is None:
                    is_new = not self.folder.exists()
                    made = VectorLog(self.folder, self.manifest, read_only=self.read_only)
                    if is_new:
                        sync(self.folder.parent)
                    self._vectors = made
        return self._vectors

    @property
    def linked_rows(self) -> int:
        """Rows that this process has linked."""
        return 0 if self._vectors is None else self._vectors.index.covered

    @property
    def index_progress(self) -> tuple[int, int]:
        """The generation of the index that this process has seen, and the rows it has linked."""
        index = None if self._vectors is None else self._vectors.index
        return (0, 0) if index is None else (index.generation, index.covered)

    @property
    def damage(self) -> dict[str, str | None]:
        """Why a part cannot be used; None where it can."""
        vectors = None if self._vectors is None else self._vectors.damage
        return {"associations": self.associations.damage, "vectors": vectors}

    def refresh(self, txn: CatalogTransaction, head: Head) -> None:
        """Make everything up to a head of this generation readable."""
        if head.fold > self.associations.files[1]:
            self.associations = AssociationLog(
                self.path, head, self.manifest, read_only=self.read_only
            )
        if head.fold == self.associations.files[1]:
            self.associations.refresh(head)
        if self.manifest.dim is not None:
            self.vectors().refresh(txn, head)

    def associations_of(self, head: Head) -> AssociationLog:
        """The associations of a head that this process has followed; it may be of an older fold."""
        newest = self.associations
        if newest.files[1] == head.fold:
            return newest
        older = AssociationLog(self.path, head, self.manifest, read_only=True)
        older.refresh(head)
        return older

    def cut(self, head: Head) -> None:
        """Cut what no commit covers. Needs the writer's lock."""
        self.associations.cut(head)
        if self.manifest.dim is not None:
            self.vectors().cut(head)
            self.vectors().index.drop_orphans()

    def roll_back(self, rows: int, retired: Sequence[int]) -> None:
        """Undo what a failed transaction did to the rows, if it did anything."""
        log = self._vectors
        if log is not None and log.damage is None and (log.count != rows or retired):
            log.rollback(rows, retired)

    def unset_dim(self, manifest: Manifest) -> None:
        """The transaction that set the dimension failed."""
        self.manifest = manifest
        if self._vectors is not None:
            self._vectors.close()
            self._vectors = None

    def close(self) -> None:
        self.associations.close()
        if self._vectors is not None:
            self._vectors.close()
