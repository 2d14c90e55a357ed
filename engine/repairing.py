"""Repairing: a compaction that leaves out what is damaged, and names it.

What is derived (ids, names, words, index, counts) is written anew from the truth. What is truth and
damaged cannot be guessed: a record, vector, association or blob whose checksum fails is left out,
and the report says which. A log is read piece by piece, so damage costs only what it hit.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import blobs, namespaces
from .bindings.edges import EDGE, Edges
from .bindings.kernels import crc32c
from .bindings.limits import EDGE_DATA, EDGE_REMOVE, FORMAT
from .catalog import CatalogTransaction
from .checking import Problem, problems
from .compacting import move
from .directory import Directory
from .errors import ConflictError, CorruptError
from .extents import recovered
from .heads import Head
from .layout import (
    CATALOG,
    LOG_HEADER_BYTES,
    ROWS_HEADER_BYTES,
    SEGMENT_SLOTS,
    SLOT_BYTES,
    edge_key,
    extents_name,
    graph_name,
    id_key,
    node_key,
    node_of,
    stride,
    unseal,
)
from .pages import damages
from .records import Concept
from .salvaging import alone, salvage
from .selection import Float32
from .snapshot import Snapshot

BATCH = struct.Struct("<4sIQQII")
BATCH_MAGIC = b"QLEB"
LOG_SEED_BYTES = 32  # The checksum of every batch starts from these bytes' checksum.


def salvaged(directory: Directory, timeout: float) -> list[Problem]:
    """Write a catalog with damaged pages anew; what was wrong with it, and what is lost."""
    wrong = damages(directory.catalog.path)
    if not wrong:
        return []
    directory.pause_indexing()
    lost: list[str] = []
    with directory.writing(timeout):
        directory.durability.settle()
        if not directory.catalog.replaced(lambda path: lost.extend(salvage(path.parent))):
            raise ConflictError(
                "the catalog's pages are damaged: close all snapshots, and the store in all other "
                "processes, then repair"
            )
    found = [Problem("catalog", message, False) for message in wrong]
    return found + [Problem("catalog", message, True) for message in lost]


def rescue(path: Path, timeout: float) -> list[Problem]:
    """Repair a store that cannot be opened, for its catalog is damaged; what was wrong, and lost.

    The damaged catalog stays beside the new one under another name.  Raises ConflictError if a
    process has the store open, CorruptError if not even its number is to be found.
    """
    with alone(path, timeout):
        wrong = damages(path / CATALOG) or ["the store's own records are damaged"]
        known = [Problem("catalog", message, False) for message in wrong]
        known += [Problem("catalog", message, True) for message in salvage(path)]
    directory = Directory.acquire(path, read_only=False)
    try:
        return rebuilt(directory, timeout, known)
    finally:
        directory.release()


def repair(directory: Directory, timeout: float) -> list[Problem]:
    """Rebuild what is derived, drop what is damaged; all that was wrong, then all that is lost."""
    return rebuilt(directory, timeout, salvaged(directory, timeout))


def rebuilt(directory: Directory, timeout: float, known: list[Problem]) -> list[Problem]:
    """The same where the catalog's pages are sound, or were salvaged: `known` says of what."""
    with Snapshot(directory) as view:
        found = problems(directory, view)
    if not found and not known:
        return []
    directory.pause_indexing()
    with directory.writing(timeout):
        with directory.catalog.begin(write=True) as txn:
            head = txn.head()
            lost = [*_concepts(txn), *_blobs(txn)]
            _drop_edge_data(txn)
            rows = Rows(directory.logs.folder, directory.manifest.dim or 0)
            lost += _vectors(txn, rows, head.rows)
            edges, damage = _associations(directory, txn, head)
            head = head._replace(concepts=len(txn.nodes()), hot_bytes=None)
            move(directory, txn, head, rows.read, edges)
            lost += damage
        directory.follow()
        with directory.catalog.begin() as txn:
            head = txn.head()
        directory.drop_generations(head)
    directory.work_if_due(head)
    return known + [replace(problem, lost=False) for problem in found] + lost


# The catalog.


def _concepts(txn: CatalogTransaction) -> list[Problem]:
    """Drop damaged records, and write ids and names anew from the others."""
    ids = {value: key[2:].decode("utf-8", "replace") for key, value in txn.items("ids")}
    lost = []
    for key, value in list(txn.items("concepts")):
        try:
            txn.decoded(node_of(key)[0] if len(key) == 4 else -1, value)
        except CorruptError:
            txn.delete("concepts", key)
            name = ids.get(key, f"number {int.from_bytes(key, 'big')}")
            lost.append(Problem("catalog", f"concept {name!r} is lost", True))
    for table in ("ids", "names", "namespaces"):
        for key, _ in list(txn.items(table)):
            txn.delete(table, key)
    numbers = {namespaces.DEFAULT: 0}
    for concept in list(txn.concepts()):
        if concept.namespace not in numbers:
            number = namespaces.make(txn, concept.namespace, numbers)
            numbers[concept.namespace] = number
        key = id_key(concept.id, numbers[concept.namespace])
        txn.put("ids", key, node_key(concept.node))
        names = [name for name in (concept.name, *concept.aliases) if name]
        txn.put_names((name, concept.node) for name in names)
    return lost


def _drop_edge_data(txn: CatalogTransaction) -> None:
    """Drop what is damaged of associations' data; it is named with those that lack it then."""
    for key, value in list(txn.items("edges")):
        try:
            unseal(key, value, "")
        except CorruptError:
            txn.delete("edges", key)


def _blobs(txn: CatalogTransaction) -> list[Problem]:
    lost = []
    for name in blobs.names(txn):
        try:
            blobs.read(txn, name)
        except CorruptError:
            blobs.delete(txn, name)
            lost.append(Problem("catalog", f"what was kept as {name!r} is lost", True))
    return lost


# Vectors.


class Rows:
    """Single rows of a vector log, read without the headers of its files."""

    def __init__(self, folder: Path, dim: int):
        self.folder = folder
        self.dim = dim
        self._segments: dict[int, tuple[bytes, bytes]] = {}

    def row(self, slot: int, node: int) -> Float32 | None:
        """The row of a slot, if it is there, is the node's and fits its checksum."""
        segment, place = divmod(slot, SEGMENT_SLOTS)
        rows, metas = self._segment(segment)
        start = ROWS_HEADER_BYTES + place * stride(self.dim)
        row = rows[start : start + 4 * self.dim]
        start = ROWS_HEADER_BYTES + place * SLOT_BYTES
        meta = metas[start : start + SLOT_BYTES]
        if len(row) < 4 * self.dim or len(meta) < SLOT_BYTES:
            return None
        owner, checksum = struct.unpack_from("<II", meta)
        if owner != node or crc32c(meta[:4] + meta[8:], crc32c(row)) != checksum:
            return None
        return np.frombuffer(row, dtype=np.float32)

    def read(self, slots: Sequence[int]) -> Float32:
        """The rows of slots that are known to be sound, (n, dim)."""
        found = []
        for slot in slots:
            segment, place = divmod(slot, SEGMENT_SLOTS)
            start = ROWS_HEADER_BYTES + place * stride(self.dim)
            rows = self._segment(segment)[0]
            found.append(np.frombuffer(rows[start : start + 4 * self.dim], dtype=np.float32))
        return np.stack(found)

    def _segment(self, segment: int) -> tuple[bytes, bytes]:
        if segment not in self._segments:
            self._segments[segment] = (
                _content(self.folder / f"rows-{segment:03d}.f32"),
                _content(self.folder / f"meta-{segment:03d}.slots"),
            )
        return self._segments[segment]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _vectors(txn: CatalogTransaction, rows: Rows, count: int) -> list[Problem]:
    """Let concepts forget vectors that cannot be read."""
    changed: list[Concept] = []
    for concept in txn.concepts():
        sound = tuple(
            slot
            for slot in concept.slots
            if slot < count and rows.row(slot, concept.node) is not None
        )
        if sound != concept.slots:
            changed.append(replace(concept, slots=sound))
    txn.put_concepts(changed, stay=True)
    return [Problem("vectors", f"the vector of {x.id!r} is lost", True) for x in changed]


# Associations.


def _associations(
    directory: Directory, txn: CatalogTransaction, head: Head
) -> tuple[Edges, list[Problem]]:
    """The associations that sound blocks and batches leave, between concepts that exist, and what
    is lost."""
    pieces = []
    lost = []
    if head.fold:
        content = _content(directory.path / extents_name(head.generation, head.fold))
        pieces.append(recovered(content))
        missing = head.extents[2] - len(pieces[0])
        if missing > 0:
            lost.append(Problem("associations", f"{missing} associations are lost", True))
    content = _content(directory.path / graph_name(head.generation, head.fold))
    seed = crc32c(_log_seed(directory.manifest.uuid))
    for start, stop, batch in _batches(content[: head.log_bytes], head.log_bytes, seed):
        if batch is None:
            message = f"the associations in bytes {start} to {stop} of the log are lost"
            lost.append(Problem("associations", message, True))
        else:
            pieces.append(batch)
    edges = _newest(np.concatenate(pieces) if pieces else np.empty(0, dtype=EDGE))
    lost += _types(txn, edges)
    nodes = txn.nodes()
    known = np.isin(edges["source"], nodes) & np.isin(edges["target"], nodes)
    return edges[known], lost + _without_data(txn, edges, known)


def _without_data(txn: CatalogTransaction, edges: Edges, known: NDArray[np.bool_]) -> list[Problem]:
    """Let associations forget that they have data where there is none any more."""
    lost = []
    for place in np.flatnonzero(known & (edges["flags"] & EDGE_DATA != 0)).tolist():
        source, target, type, flags, _ = edges[place].tolist()
        if txn._get("edges", edge_key(source, type, target)) is None:
            edges["flags"][place] = flags - EDGE_DATA
            message = f"the data of an association from {source} to {target} is lost"
            lost.append(Problem("catalog", message, True))
    return lost


def _types(txn: CatalogTransaction, edges: Edges) -> list[Problem]:
    """Give types whose names are gone names that tell so; numbers stay without gaps."""
    known = set(txn.types().values())
    count = max([*known, *edges["type"].tolist()], default=-1) + 1
    gone = sorted(set(range(count)) - known)
    for number in gone:
        txn.put_type(f"type {number}", number)
    what = "the name of an association type is lost: it is called"
    return [Problem("catalog", f"{what} 'type {number}' now", True) for number in gone]


def _newest(edges: Edges) -> Edges:
    """The last record of each association, less those that were removed."""
    order = np.lexsort((edges["target"], edges["type"], edges["source"]))  # Stable.
    edges = edges[order]
    keys = [edges[name] for name in ("source", "type", "target")]
    last = np.ones(len(edges), np.bool_)
    last[:-1] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    kept: Edges = edges[last & (edges["flags"] & EDGE_REMOVE == 0)]
    return kept


def _log_seed(uuid: bytes) -> bytes:
    return b"QLGRAPH\0" + struct.pack("<II", FORMAT, EDGE.itemsize) + uuid


def _batches(content: bytes, length: int, seed: int) -> Iterator[tuple[int, int, Edges | None]]:
    """(start, stop, records) of every piece of a log; None for a piece that no batch fits."""
    at = LOG_HEADER_BYTES
    while at < length:
        batch = _batch(content, at, seed)
        if batch is not None:
            stop = at + BATCH.size + batch.nbytes
            yield at, stop, batch
        else:
            stop = content.find(BATCH_MAGIC, at + 1)
            while stop >= 0 and _batch(content, stop, seed) is None:
                stop = content.find(BATCH_MAGIC, stop + 1)
            stop = length if stop < 0 else stop
            yield at, stop, None
        at = stop


def _batch(content: bytes, at: int, seed: int) -> Edges | None:
    """The records of the batch at an offset, if there is a sound one."""
    if len(content) < at + BATCH.size:
        return None
    magic, count, commit, sequence, checksum, zero = BATCH.unpack_from(content, at)
    start = at + BATCH.size
    records = content[start : start + count * EDGE.itemsize]
    if magic != BATCH_MAGIC or not count or zero or len(records) < count * EDGE.itemsize:
        return None
    plain = BATCH.pack(magic, count, commit, sequence, 0, 0)
    if crc32c(records, crc32c(plain, seed)) != checksum:
        return None
    return np.frombuffer(records, dtype=EDGE)
