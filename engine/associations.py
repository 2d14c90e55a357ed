"""The association log of one store in this process: typed, weighted edges, both directions.

Truth is the log (csrc/graph.c) up to the length in the catalog's Head; type names, and whatever of
an association is not at its default (confidence, origin, validity, data), stand in the catalog.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .bindings.graph import EDGE, Edges, Graph, GraphView
from .bindings.limits import EDGE_REMOVE
from .errors import CorruptError
from .heads import Head, Manifest


class AssociationLog:
    """The log and its adjacency. One per process and store."""

    def __init__(self, path: Path, manifest: Manifest, *, read_only: bool):
        self.damage: str | None = None  # Why associations cannot be used.
        self._opened: Graph | None = None
        self._lock = threading.Lock()
        try:
            self._opened = Graph(path, manifest.uuid, writable=not read_only)
        except CorruptError as error:
            self.damage = str(error)

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

    def flush(self, commit: int) -> int:
        """Write the pending batch behind the committed log; returns the new length in bytes."""
        return self._graph.flush(commit)

    def sync(self) -> None:
        self._graph.sync()

    def publish(self) -> None:
        """The flushed batch is committed."""
        self._graph.publish()

    def abort(self) -> None:
        """Drop the pending batch."""
        self._graph.abort()

    def check(self) -> int | None:
        """Byte offset of the first damaged batch of the committed log, or None."""
        return self._graph.check()


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
