"""Sets of node numbers as bitmaps: u64 words, bit i of word w is node 64*w + i.

The one form in which filters travel into the C core: 125 kB for a million concepts.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import memory

Bitmap = NDArray[np.uint64]


KEPT = 16


class Kept:
    """What was read of one state of a store, for all snapshots of it: its words, and what the
    last few conditions found.
    """

    def __init__(self, state: tuple[int, ...] = ()) -> None:
        self.state = state
        self.words: Any = None  # A WordView, which that file imports this one for.
        self._found: dict[str, Bitmap] = {}
        self._claim = memory.Claim()
        memory.caches[self] = None

    def get(self, condition: str) -> Bitmap | None:
        return self._found.get(condition)

    def put(self, condition: str, found: Bitmap) -> None:
        for oldest in list(self._found)[: len(self._found) - KEPT + 1]:
            self._found.pop(oldest, None)
        kept = sum(bitmap.nbytes for bitmap in list(self._found.values()))
        if self._claim.fits(kept + found.nbytes):
            self._found[condition] = found

    def clear(self) -> None:
        self._found.clear()
        self._claim.fits(0)

    shrink = clear


def of_nodes(nodes: NDArray[np.uint64], size: int) -> Bitmap:
    """The bitmap over [0, size) in which exactly `nodes` are set; nodes (n,) below size."""
    flags = np.zeros((size + 63) // 64 * 64, dtype=np.bool_)
    flags[nodes] = True
    return np.packbits(flags, bitorder="little").view(np.uint64)


def to_nodes(bitmap: Bitmap) -> NDArray[np.uint64]:
    """The set nodes in ascending order, (n,)."""
    some = np.flatnonzero(bitmap)  # Most words of a narrow filter are empty.
    bits = np.unpackbits(bitmap[some].view(np.uint8), bitorder="little")
    set_bits = np.flatnonzero(bits.view(np.bool_))  # Of one dimension and truths: the quick form.
    nodes: NDArray[np.uint64] = (some[set_bits >> 6] * 64 + (set_bits & 63)).astype(np.uint64)
    return nodes


def holds(bitmap: Bitmap, nodes: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.bool_]:
    """Which nodes are set, (n,); those beyond the bitmap are not."""
    inside = nodes < len(bitmap) * 64
    if len(bitmap) == 0:
        return inside
    safe = np.where(inside, nodes, 0)
    words = bitmap[safe // 64] >> (safe % 64).astype(np.uint64)
    found: NDArray[np.bool_] = inside & ((words & np.uint64(1)) != 0)
    return found
