"""The association graph of the C core: one log and its adjacency, over csrc/graph.c.

Edges travel as structured arrays of dtype `EDGE`, the log's own 16-byte record.
"""

from os import PathLike, fsencode
from types import TracebackType
from typing import Any, NamedTuple

from ..errors import ClosedError, InvalidError
from ._core import ffi, lib
from .edges import EDGE, Edges, edge_records, edges_from
from .graph_view import GraphView, Reached, Table
from .status import check

__all__ = ["EDGE", "Edges", "Extents", "Graph", "GraphView", "Reached", "Table", "edges_from"]


class Extents(NamedTuple):
    """What the catalog keeps about the file of extents."""

    log_bytes: int
    file_bytes: int
    table_at: int
    edges: int


class Graph:
    """The log of associations in one file, and its adjacency in memory.

    One writer, any number of readers; every method may be called from any thread.
    """

    def __init__(self, path: str | PathLike[str], uuid: bytes, *, writable: bool = False) -> None:
        """Open the log, and make it if it is missing and writable.

        uuid: 16 bytes, the store's.  Raises StorageError, CorruptError (another store's file).
        """
        if len(uuid) != 16:
            raise InvalidError(f"want a uuid of 16 bytes, got {len(uuid)}")
        handle = ffi.new("ql_graph **")
        status = lib.ql_graph_open(fsencode(path), uuid, int(writable), handle)
        check(status, f"open the graph {str(path)!r}")
        self._handle: Any = ffi.gc(handle[0], lib.ql_graph_close)

    @property
    def handle(self) -> Any:
        if self._handle is None:
            raise ClosedError("the graph is closed")
        return self._handle

    def append(self, edges: Edges) -> None:
        """Add records (n,) of dtype EDGE to the pending batch; all or none."""
        records = edge_records(edges)
        data = ffi.from_buffer("ql_edge[]", records)
        check(lib.ql_graph_append(self.handle, data, len(records)), f"append {len(records)} edges")

    def flush(self, commit: int) -> int:
        """Write the pending batch behind the committed log; the length the log then has."""
        log_bytes = ffi.new("uint64_t *")
        check(lib.ql_graph_flush(self.handle, commit, log_bytes), "write the batch of edges")
        return int(log_bytes[0])

    def written(self, offset: int, size: int) -> bytes:
        """Bytes of the log's file, of what was flushed too."""
        content = bytearray(size)
        into = ffi.from_buffer(content)
        check(lib.ql_graph_written(self.handle, offset, size, into), f"read {size} bytes of a log")
        return bytes(content)

    def sync(self) -> None:
        """Make what was flushed durable."""
        check(lib.ql_graph_sync(self.handle), "sync the graph's log")

    def publish(self) -> None:
        """Make the flushed batch the committed graph; raises InvalidError if it is not flushed."""
        check(lib.ql_graph_publish(self.handle), "publish edges that were not flushed")

    def abort(self) -> None:
        """Drop the pending batch, flushed or not."""
        check(lib.ql_graph_abort(self.handle), "drop the pending edges")

    def advance(self, log_bytes: int) -> None:
        """Read the log up to a length that somebody committed; 0: nothing was."""
        status = lib.ql_graph_advance(self.handle, log_bytes)
        check(status, f"read the graph's log up to byte {log_bytes}")

    def truncate(self, log_bytes: int) -> None:
        """Cut the file behind the committed length, when it is opened for writing."""
        check(lib.ql_graph_truncate(self.handle, log_bytes), f"cut the log at byte {log_bytes}")

    def load(self, edges: Edges) -> None:
        """Fold records (n,) of dtype EDGE into a pending graph; for batches as large as the graph.

        `extents_write` writes it; it cannot be flushed.  InvalidError if anything is pending.
        """
        records = edge_records(edges)
        data = ffi.from_buffer("ql_edge[]", records)
        check(lib.ql_graph_load(self.handle, data, len(records)), f"load {len(records)} edges")

    def extents_write(self, path: str | PathLike[str]) -> Extents:
        """Write the pending load, or else the committed graph, to a new file, synced.

        Commits go on meanwhile; what the catalog is to keep.
        """
        made = ffi.new("ql_graph_extents *")
        status = lib.ql_graph_extents_write(self.handle, fsencode(path), made)
        check(status, f"write the graph's extents to {str(path)!r}")
        return Extents(made.log_bytes, made.file_bytes, made.table_at, made.edges)

    def extents_read(self, path: str | PathLike[str], extents: Extents) -> None:
        """Start from the file of extents instead of the whole log; before `advance`."""
        kept = ffi.new("ql_graph_extents *", tuple(extents))
        status = lib.ql_graph_extents_read(self.handle, fsencode(path), kept)
        check(status, f"read the graph's extents from {str(path)!r}")

    def view(self, log_bytes: int, *, pending: bool = False) -> "GraphView":
        """The graph as of a committed length, with the pending batch if asked."""
        return GraphView(self.handle, log_bytes, pending)

    def check(self) -> int | None:
        """The byte at which the first bad batch of the committed log starts; None: all is well."""
        where = ffi.new("uint64_t *")
        status = lib.ql_graph_check(self.handle, where)
        if status == lib.QL_E_CORRUPT:
            return int(where[0])
        check(status, "check the graph's log")
        return None

    def close(self) -> None:
        """Forget the handle; the log is closed with the last view. May be called twice."""
        self._handle = None

    def __enter__(self) -> "Graph":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
