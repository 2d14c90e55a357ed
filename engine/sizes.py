"""Sizes: what each part of a store takes on disk, and what compacting would give back of it."""

import stat
from pathlib import Path

from .catalog import Catalog
from .folding import superseded
from .heads import Head
from .layout import (
    CATALOG,
    EDGE_BYTES,
    SLOT_BYTES,
    VECTORS,
    WORDS,
    stride,
)


def size_bytes(path: Path) -> dict[str, int]:
    """Bytes that the files of each part occupy on disk."""
    sizes = {"catalog": 0, "vectors": 0, "index": 0, "associations": 0, "words": 0}
    for file in path.rglob("*"):
        try:
            status = file.stat()
        except FileNotFoundError:  # Another process has removed it meanwhile.
            continue
        if not stat.S_ISREG(status.st_mode):
            continue
        part = "catalog" if file.name.startswith(CATALOG) else None
        part = "associations" if file.name.startswith("graph") else part
        part = "words" if file.parent.name == WORDS else part
        if file.parent.name.startswith(VECTORS):
            part = "index" if file.name.startswith("index") else "vectors"
        if part is not None:
            sizes[part] += status.st_blocks * 512
    return sizes


def reclaimable_bytes(catalog: Catalog, head: Head, dim: int | None) -> dict[str, int]:
    """Bytes of each part that a compaction would not write again."""
    row = stride(dim or 0) + SLOT_BYTES
    return {
        "catalog": catalog.free_bytes(),
        "vectors": (head.rows - head.vectors) * row,
        "associations": superseded(head) * EDGE_BYTES,
    }
