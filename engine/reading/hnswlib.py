"""Reader of the index files of hnswlib: vectors, labels and marks of deletion, never the links.

`Index.save_index` writes, little-endian and without a magic number or a checksum:

    header   u64 start of the elements (0), u64 capacity, u64 elements, u64 bytes of an element,
             u64 offset of the label, u64 offset of the vector, i32 highest level, u32 entry point,
             u64 links of a level, u64 links of level 0 (L), u64 M, f64 factor of the levels, u64 ef
    elements u16 count of links, u8 1 if deleted, u8 0, u32 link * L, f32 vector * d, u64 label
    links    for each element: u32 bytes, then as many bytes: its lists on the levels above 0

So d follows from the offsets, and the file's length from its content: all of that must agree before
anything is believed. The metric is not in the file, nor is it known whether vectors were normalised
(hnswlib's "cosine" does so).
Source: hnswalg.h of hnswlib 0.8, saveIndex.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bindings.limits import CONCEPTS_MAX, DIM_MAX
from ..errors import InvalidError, NotFoundError

HEADER = struct.Struct("<6QiI3QdQ")
COUNT_BYTES, LINK_BYTES, FLOAT_BYTES, LABEL_BYTES = 4, 4, 4, 8
LINKS_MAX = 0xFFFF  # Their count is a u16.
LEVEL_MAX = 64  # Levels are logarithms of 32-bit numbers.


@dataclass(frozen=True)
class HnswlibIndex:
    """The elements of a file, mapped: rows (n, d), labels and marks of deletion (n,)."""

    rows: NDArray[np.float32]
    labels: NDArray[np.uint64]
    deleted: NDArray[np.bool_]


def read_hnswlib(path: Path) -> HnswlibIndex:
    """The elements of the index at `path`.

    Raises InvalidError, saying what does not fit, for any other or damaged file, NotFoundError for
    none.  Cost: one pass over the counts, labels and lengths; rows are read when they are used.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    size = path.stat().st_size
    if size < HEADER.size:
        raise _refusal(path, f"{size} bytes are shorter than the header of {HEADER.size}")
    content = np.memmap(path, np.uint8, mode="r")
    header = HEADER.unpack(content[: HEADER.size].tobytes())
    count, links, links0 = header[2], header[8], header[9]
    layout = _layout(path, header)
    end = HEADER.size + count * layout.itemsize
    if end + count * COUNT_BYTES > size:
        raise _refusal(path, f"{size} bytes are too short for {count} of {layout.itemsize} bytes")
    _expect_links(path, content[end:], count, COUNT_BYTES + LINK_BYTES * links)
    found = content[HEADER.size : end].view(layout)
    if count and int(found["links"].max()) > links0:
        raise _refusal(path, f"an element has more than {links0} links")
    if count and int(found["deleted"].max()) > 1:
        raise _refusal(path, "a mark of deletion is neither 0 nor 1")
    labels = np.ascontiguousarray(found["label"])
    if len(np.unique(labels)) != count:
        raise _refusal(path, "a label stands twice")
    return HnswlibIndex(found["row"], labels, found["deleted"] == 1)


def _layout(path: Path, header: tuple[Any, ...]) -> np.dtype[Any]:
    """How an element lies, from a header that is checked."""
    start, capacity, count, stride, label_at, row_at, level, entry, links, links0, *_ = header
    if start != 0 or not count <= capacity or count > CONCEPTS_MAX:
        raise _refusal(path, f"{count} elements at {start}, room for {capacity}")
    if not 1 <= links0 <= LINKS_MAX or not 1 <= links <= LINKS_MAX:
        raise _refusal(path, f"{links} and {links0} links")
    dim, rest = divmod(label_at - row_at, FLOAT_BYTES)
    fits = row_at == COUNT_BYTES + LINK_BYTES * links0 and stride == label_at + LABEL_BYTES
    if rest or not fits or not 1 <= dim <= DIM_MAX:
        raise _refusal(path, f"a vector at {row_at} and a label at {label_at} of {stride} bytes")
    if count and not (0 <= level <= LEVEL_MAX and entry < count):
        raise _refusal(path, f"entry point {entry} on level {level} of {count} elements")
    fields: Any = {
        "names": ["links", "deleted", "row", "label"],
        "formats": ["<u2", "u1", ("<f4", (dim,)), "<u8"],
        "offsets": [0, 2, row_at, label_at],
        "itemsize": stride,
    }
    layout: np.dtype[Any] = np.dtype(fields)
    return layout


def _expect_links(path: Path, content: NDArray[np.uint8], count: int, step: int) -> None:
    """The lists of the levels above 0 must fill the rest of the file."""
    view, at = memoryview(content.data), 0
    for element in range(count):
        if at + COUNT_BYTES > len(view):
            raise _refusal(path, f"it ends before the links of element {element}")
        size = int.from_bytes(view[at : at + COUNT_BYTES], "little")
        if size % step:
            raise _refusal(path, f"element {element} has {size} bytes of links, not {step} a level")
        at += COUNT_BYTES + size
    if at != len(view):
        raise _refusal(path, f"the links end {at - len(view):+} bytes from the end of the file")


def _refusal(path: Path, what: str) -> InvalidError:
    return InvalidError(f"{path} is no index of hnswlib, or a damaged one: {what}")
