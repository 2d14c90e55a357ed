"""The associations of one fold in this process: typed, weighted edges, both directions.

Truth are the extents of the fold (csrc/extent_file.c) and the log behind them (csrc/graph.c) up to
the length in the catalog's Head; type names, and whatever of an association is not at its default
(confidence, origin, validity, data), stand in the catalog.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .bindings.graph import EDGE, Edges, Extents, Graph, GraphView
from .bindings.limits import EDGE_REMOVE
from .errors import CorruptError
from .heads import Head, Manifest
from .layout import LOG_HEADER_BYTES, extents_name, graph_name
from .syncing import sync


class AssociationLog:
    """Extents, log and adjacency of one fold. The newest one per process and store writes."""

    def __init__(self, folder: Path, head: Head, manifest: Manifest, *, read_only: bool):
        self.files = (head.generation, head.fold)
        self.path = folder / graph_name(*self.files)
        self.damage: str | None = None  # Why associations cannot be used.
        self.loading = False  # Whether what is pending goes to extents, not to the log.
        self.appended: list[Edges] = []  # Since it was loaded.
        self._extents = folder / extents_name(*self.files) if head.fold else None
        self._kept = Extents(LOG_HEADER_BYTES, *head.extents) if head.fold else None
        self._manifest = manifest
        self._opened: Graph | None = None
        self._lock = threading.Lock()
        is_new = not self.path.exists()
        try:
            self._opened = Graph(self.path, manifest.uuid, writable=not read_only)
            self._read_extents(self._opened)
        except CorruptError as error:
            self.damage = str(error)
        if is_new:
            sync(folder)

    def _read_extents(self, graph: Graph) -> None:
        if self._extents is None or self._kept is None:
            return
        if not self._extents.exists():
            raise CorruptError(f"{self._extents} is missing")
        graph.extents_read(self._extents, self._kept)

    @property
    def _graph(self) -> Graph:
        if self.damage is not None or self._opened is None:
            raise CorruptError(f"the associations are damaged: {self.damage}; run repair")
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def refresh(self, head: Head) -> None:
        """Replay the log up to `head`; damage in it shows when associations are used."""
        with self._lock:
            if self.damage is None:
                try:
                    self._graph.advance(head.log_bytes)
                except CorruptError as error:
                    self.damage = str(error)

    def cut(self, head: Head) -> None:
        """Cut the log behind `head`: the tail of a writer that died. Needs the writer's lock."""
        self.refresh(head)
        if self.damage is None:
            self._graph.truncate(head.log_bytes)

    def view(self, head: Head, *, pending: bool = False) -> GraphView:
        """The graph as of `head`, with the writer's own pending records if asked."""
        return self._graph.view(head.log_bytes, pending=pending)

    # Writing; the caller holds the writer's lock.

    def append(self, records: Edges) -> None:
        """Records join the pending batch."""
        self._graph.append(records)
        if self.loading:
            self.appended.append(records)

    def load(self, records: Edges) -> None:
        """Records become pending extents; what is appended then is for the log behind them."""
        self._graph.load(records)
        self.loading = True

    def write_extents(self, path: Path) -> Extents:
        """Write the pending load, or else the committed graph, to a new file, synced."""
        return self._graph.extents_write(path)

    def flush(self, commit: int) -> int:
        """Write the pending batch behind the committed log; returns the new length in bytes."""
        return self._graph.flush(commit)

    def written(self, offset: int, size: int) -> bytes:
        """Bytes of the log, of what was flushed too."""
        return self._graph.written(offset, size)

    def sync(self) -> None:
        self._graph.sync()

    def publish(self) -> None:
        """The flushed batch is committed."""
        self._graph.publish()

    def abort(self) -> None:
        """Drop the pending batch, or load."""
        self.loading = False
        self.appended.clear()
        self._graph.abort()

    def check(self) -> str | None:
        """What is damaged in the files, read again, or None."""
        where = self._graph.check()
        if where is not None:
            return f"the log is damaged at byte {where}"
        try:
            self._read_extents(Graph(self.path, self._manifest.uuid))
        except CorruptError as error:
            return str(error)
        return None


def records(
    sources: NDArray[np.uint32],
    targets: NDArray[np.uint32],
    types: NDArray[np.uint16],
    weights: NDArray[np.float32],
) -> Edges:
    """Log records that set associations, (n,)."""
    edges = np.zeros(len(sources), dtype=EDGE)
    edges["source"], edges["target"], edges["type"] = sources, targets, types
    edges["weight"] = weights
    return edges


def removals(edges: Edges) -> Edges:
    """Log records that remove the given associations."""
    gone = edges.copy()
    gone["flags"] = EDGE_REMOVE
    gone["weight"] = 0
    return gone


def type_numbers(types: Sequence[str] | None, known: dict[str, int]) -> list[int] | None:
    """Numbers of type names, unknown ones left out (they have no edges); None stays None."""
    if types is None:
        return None
    return [known[name] for name in types if name in known]
