"""Salvaging: a catalog of what still holds in one whose pages are damaged.

Its entries are read without LMDB (pages.py) and written to a new file. Kept is what the tree leads
to, and of pages that damage cut off what has a seal that fits: those are in use, for they are not
free. The store's own records are made anew from the logs where they are gone, as far as those tell.
Ids, names, namespaces, words and facets are derived: the repair that follows writes them again.
"""

import fcntl
import mmap
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .environment import write_anew
from .errors import ConflictError, CorruptError
from .heads import Head, Manifest, read
from .layout import (
    CATALOG,
    DAMAGED,
    HEAD_KEY,
    LOG_HEADER_BYTES,
    ROWS_HEADER_BYTES,
    SEGMENT_SLOTS,
    SLOT_BYTES,
    STORE_KEY,
    SYNC_POINTS,
    TABLES,
    WRITER_LOCK,
    extents_name,
    generation_of,
    graph_name,
    node_of,
    payload_of,
    seal,
    vectors_name,
)
from .locking import WriterLock
from .manifests import checked
from .pages import Pages, Pair

SEALED = {TABLES[name] for name in ("store", "concepts", "edges", "blobs", "journal")}
NAMED = {TABLES[name] for name in ("concepts", "edges", "blobs")}  # By the repair, if damaged.
ROWS_HEADER = struct.Struct("<8sIIII16s")
GRAPH_HEADER = struct.Struct("<8sII16s")
METRICS = ("dot", "l2", "cosine")


@contextmanager
def alone(folder: Path, timeout: float) -> Iterator[None]:
    """Keep all others from opening or writing a store; ConflictError if one has it open."""
    writer = WriterLock(folder / WRITER_LOCK)
    lock = os.open(folder / f"{CATALOG}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        writer.acquire(timeout)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except BlockingIOError as error:
            raise ConflictError(f"{folder} is open in a process; close it, then repair") from error
        (folder / SYNC_POINTS).unlink(missing_ok=True)  # Of the catalog as it was.
        yield
    finally:
        os.close(lock)
        writer.close()


class Found:
    """What was kept, and what the damage cost."""

    def __init__(self) -> None:
        self.manifest = self.head = False
        self.nodes: set[int] = set()
        self.ids: dict[int, str] = {}
        self.lost: list[str] = []


def salvage(folder: Path) -> list[str]:
    """Write the catalog anew from what holds; what is lost by that. Nobody may have it open.

    The damaged one stays beside it under another name.  Raises CorruptError where not even the
    store's number is to be found.
    """
    path, found = folder / CATALOG, Found()
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise CorruptError(f"{path} is empty; restore a backup")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            kept = path.with_name(DAMAGED)
            write_anew(path, _records(Pages(content), folder, found), keep=kept)
    return found.lost


def _records(pages: Pages, folder: Path, found: Found) -> Iterator[Pair]:
    """Every pair of the new catalog; of one key the first counts."""
    head = Head()
    for key, value in _pairs(pages, found):
        if key == TABLES["store"] + HEAD_KEY:
            head, found.head = read(Head, HEAD_KEY, value), True
            continue
        if key == TABLES["store"] + STORE_KEY:
            checked(read(Manifest, STORE_KEY, value), folder)  # A newer format is left alone.
            found.manifest = True
        if key[:1] == TABLES["concepts"] and len(key) == 5:
            found.nodes.add(node_of(key[1:])[0])
        yield key, value
    manifest = None if found.manifest else _manifest(folder)
    if manifest is not None:
        yield TABLES["store"] + STORE_KEY, seal(STORE_KEY, asdict(manifest))
        found.lost.append("the name of the store's embedder, its stemmer and its age are lost")
    gone = sorted(found.ids.keys() - found.nodes)
    found.lost += [f"concept {found.ids[node]!r} is lost" for node in gone]
    unnamed = head.concepts - len(found.nodes) - len(gone)
    if found.head and unnamed > 0:
        found.lost.append(f"{unnamed} more concepts are lost, and their ids")
    if not found.head:
        head = _head_of(folder, max(found.nodes | set(found.ids), default=-1) + 1)
        found.lost.append("what the last commit covered is lost: the logs are taken as they are")
    head = head._replace(concepts=len(found.nodes), facets=0, hot_bytes=None,
                         words_start=head.words_end)  # fmt: skip
    yield TABLES["store"] + HEAD_KEY, seal(HEAD_KEY, head._asdict())


def _pairs(pages: Pages, found: Found) -> Iterator[Pair]:
    """What is there: behind the newest meta page that leads somewhere, then cut off from it."""
    metas = pages.metas()
    if len(metas) == 1:  # LMDB writes them in turns: nobody knows which of them was the newer.
        found.lost.append("the last commit may be lost: one of the two meta pages is damaged")
    for meta in metas:
        entries = 0
        for reached, source in ((True, pages.pairs(meta)), (False, pages.stray(meta))):
            for key, value in source:
                entries += 1
                if key[:1] == TABLES["ids"] and len(value) == 4:
                    found.ids.setdefault(node_of(value)[0], key[3:].decode("utf-8", "replace"))
                elif (reached and key[:1] in NAMED) or _holds(key, value, reached=reached):
                    yield key, value
        if entries:
            gone = meta.main.entries - entries
            if gone > 0:
                found.lost.append(
                    f"{gone} entries of the catalog are lost; beside concepts they may have been "
                    "data of associations, or bytes that were kept"
                )
            return
        found.lost.append("the last commit is lost: what the one before it left is taken")
    raise CorruptError("no meta page of the catalog leads to anything; restore a backup")


def _holds(key: bytes, value: bytes, *, reached: bool) -> bool:
    """Whether it may be kept; what no tree leads to needs a seal."""
    table, key = key[:1], key[1:]
    if table == TABLES["types"]:
        return reached and len(value) == 2
    if table == TABLES["deaths"]:
        return reached and len(key) == 8 and len(value) % 4 == 0
    if table not in SEALED or (table == TABLES["concepts"] and len(key) != 4):
        return False
    try:
        payload_of(key, value, "")
    except CorruptError:
        return False
    return True


def _manifest(folder: Path) -> Manifest:
    """What the headers of the logs say of the store."""
    dim, metric, uuid = None, "cosine", b""
    for file in sorted(folder.glob("vectors*/rows-*.f32")):
        head = file.read_bytes()[: ROWS_HEADER.size]
        if len(head) == ROWS_HEADER.size and head[:6] == b"QLROWS":
            _, _, dim, number, _, uuid = ROWS_HEADER.unpack(head)
            metric = METRICS[number % len(METRICS)]
    for file in sorted(folder.glob("graph*.log")):
        head = file.read_bytes()[: GRAPH_HEADER.size]
        if not uuid and len(head) == GRAPH_HEADER.size and head[:7] == b"QLGRAPH":
            uuid = GRAPH_HEADER.unpack(head)[3]
    if not uuid:
        raise CorruptError(f"{folder}: no file tells which store this was; restore a backup")
    return Manifest(1, uuid, dim, metric, None, 0)


def _head_of(folder: Path, next_node: int) -> Head:
    """The head that fits the newest logs as they are."""
    names = [x for x in map(generation_of, os.listdir(folder)) if x is not None]
    generation = max((number for number, _ in names), default=0)
    fold = max((fold or 0 for number, fold in names if number == generation), default=0)
    log = folder / graph_name(generation, fold)
    extents = folder / extents_name(generation, fold)
    commit = rows = 0
    for file in sorted((folder / vectors_name(generation)).glob("meta-*.slots")):
        entries = np.frombuffer(file.read_bytes()[ROWS_HEADER_BYTES:][: SLOT_BYTES * SEGMENT_SLOTS],
                                dtype="<u4,<u4,<u8,<f4,<u4")  # fmt: skip
        born = np.flatnonzero(entries["f2"])
        if len(born):
            segment = int(re.sub(r"\D", "", file.stem))
            rows = max(rows, segment * SEGMENT_SLOTS + int(born[-1]) + 1)
            commit = max(commit, int(entries["f2"].max()))
    return Head(
        commit=commit + 1,
        next_node=next_node,
        rows=rows,
        vectors=rows,
        log_bytes=log.stat().st_size if log.exists() else 0,
        generation=generation,
        fold=fold,
        extents=(extents.stat().st_size, LOG_HEADER_BYTES, 0) if extents.exists() else (),
    )
