"""Reading a damaged file of extents: what its sound blocks hold, without trusting anything else.

Every association stands in two blocks, one of its source's group and one of its target's, each with
its own place and checksum (csrc/extent.c). Blocks lie at multiples of 64 bytes and name themselves,
so neither the table nor the other blocks are needed, and damage loses an association only if it hit
both of its blocks.
"""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bindings.edges import EDGE, Edges
from .bindings.kernels import crc32c
from .bindings.limits import EDGE_DATA
from .layout import LOG_HEADER_BYTES

BLOCK = struct.Struct("<4sIBBBBIIIIIQI20x")
BLOCK_MAGIC = b"QLEX"
ALIGNMENT = 64
CHECKSUM_AT = 40
GROUP_ROWS = 4_096
TYPE_MASK, TYPE_DATA = 0x0FFF, 0x8000


def recovered(content: bytes) -> Edges:
    """The associations that any sound block holds, each once, in no particular order."""
    blocks = list(_blocks(content))
    edges = np.concatenate(blocks) if blocks else np.empty(0, EDGE)
    keys = np.stack([edges["source"], edges["type"].astype(np.uint32), edges["target"]], axis=1)
    return edges[np.unique(keys, axis=0, return_index=True)[1]] if len(edges) else edges


def _blocks(content: bytes) -> Iterator[Edges]:
    at = LOG_HEADER_BYTES
    while (at := content.find(BLOCK_MAGIC, at)) >= 0:
        found = _block(content, at) if at % ALIGNMENT == 0 else None
        if found is not None:
            yield found
        at += 4


def _block(content: bytes, at: int) -> Edges | None:
    """The edges of the block at an offset, if it is sound."""
    if len(content) < at + BLOCK.size:
        return None
    header = BLOCK.unpack_from(content, at)
    _, group, side, weight_width, type_width, _, first, rows, count, weights, types, size, sum = (
        header
    )
    block = content[at : at + size]
    if size < BLOCK.size or len(block) < size:
        return None
    zeroed = block[:CHECKSUM_AT] + bytes(4) + block[CHECKSUM_AT + 4 : BLOCK.size]
    if crc32c(block[BLOCK.size :], crc32c(zeroed)) != sum:
        return None
    reader = _Columns(block)
    offsets = reader.take("<u4", rows + 1)
    edges = np.zeros(count, EDGE)
    others = reader.take("<u4", count)
    edges["weight"] = reader.coded("<f4", weights, weight_width, count)
    bits = reader.coded("<u2", types, type_width, count)
    counts = offsets[1:].astype(np.int64) - offsets[:-1].astype(np.int64)
    own = np.repeat(np.arange(rows, dtype=np.uint32), counts)
    own += np.uint32(group * GROUP_ROWS + first)
    edges["source"], edges["target"] = (others, own) if side else (own, others)
    edges["type"] = bits & TYPE_MASK
    edges["flags"] = np.where(bits & TYPE_DATA, EDGE_DATA, 0)
    return edges


class _Columns:
    """The columns of a block, one after the other, each at a multiple of 4."""

    def __init__(self, block: bytes):
        self.block = block
        self.at = BLOCK.size

    def take(self, kind: str, count: int) -> NDArray[Any]:
        """The next column."""
        column = np.frombuffer(self.block, kind, count, self.at)
        self.at += (column.nbytes + 3) // 4 * 4
        return column

    def coded(self, kind: str, distinct: int, width: int, count: int) -> NDArray[Any]:
        """A column of values behind the table of distinct ones, or plain."""
        values = self.take(kind, distinct)
        if width == np.dtype(kind).itemsize:
            return self.take(kind, count)
        if width == 0:
            return np.full(count, values[0])
        decoded: NDArray[Any] = values[self.take(f"<u{width}", count)]
        return decoded
