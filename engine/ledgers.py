"""Who fired in the last bursts: a window of bitmaps over a range of neurons.

Learning rules and memories look back over a few bursts. A ledger keeps one frame per burst,
empty ones included, so that "the last three bursts" is always three frames.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidError, NotFoundError

Bits = NDArray[np.bool_]
WINDOW = 20  # Frames kept unless told otherwise.
WINDOW_MAX = 65_536


class Ledger:
    """The frames of `count` neurons from local index `first` on, the last `window` bursts.

    An observer of a network (`network.watch(ledger)`).  Cost: count/8 bytes per frame.
    """

    def __init__(self, first: int, count: int, *, window: int = WINDOW) -> None:
        if first < 0 or count < 1 or not 1 <= window <= WINDOW_MAX:
            raise InvalidError(
                f"want first >= 0, count >= 1, window 1..{WINDOW_MAX}, got {first, count, window}"
            )
        self.first = first
        self.count = count
        self.window = window
        self._frames = np.zeros((window, (count + 7) // 8), np.uint8)
        self._bursts = np.zeros(window, np.int64)  # Which burst each frame holds; 0: none.
        self._last = 0

    def after(self, network: object, burst: int, fired: NDArray[np.uint32]) -> None:
        """Archive the frame of a burst."""
        bits = np.zeros(self.count, bool)
        low, high = np.searchsorted(fired, [self.first, self.first + self.count])
        bits[fired[low:high].astype(np.int64) - self.first] = True
        slot = burst % self.window
        self._frames[slot] = np.packbits(bits, bitorder="little")
        self._bursts[slot] = burst
        self._last = burst

    def frames(self, end: int | None = None, depth: int | None = None) -> Bits:
        """(depth, count) bool: the frames of the bursts end-depth+1 .. end, oldest first.

        end: default the last one; depth: default the window.  Raises NotFoundError if one of
        these bursts was not seen or has left the window.
        """
        end = self._last if end is None else end
        depth = self.window if depth is None else depth
        if depth < 1:
            raise InvalidError(f"want a depth of at least 1, got {depth}")
        bursts = np.arange(end - depth + 1, end + 1)
        slots = bursts % self.window
        if depth > self.window or bursts[0] < 1 or (self._bursts[slots] != bursts).any():
            raise NotFoundError(
                f"want bursts {bursts[0]}..{end}, the ledger holds {self.held()} "
                f"(window {self.window})"
            )
        rows = np.unpackbits(self._frames[slots], axis=1, count=self.count, bitorder="little")
        return rows.astype(bool)

    def held(self) -> Sequence[int]:
        """The bursts whose frames are there, ascending."""
        return sorted(int(burst) for burst in self._bursts if burst > 0)

    def all_and_any(self, window: int) -> tuple[Bits, Bits]:
        """(fired in every, fired in any) of the last `window` bursts; unseen ones are silent."""
        bursts = np.arange(self._last - window + 1, self._last + 1)
        slots = bursts % self.window
        seen = (self._bursts[slots] == bursts) & (bursts > 0)
        frames = np.where(seen[:, None], self._frames[slots], np.uint8(0))
        every = np.bitwise_and.reduce(frames, axis=0)
        some = np.bitwise_or.reduce(frames, axis=0)
        rows = [
            np.unpackbits(x, count=self.count, bitorder="little").astype(bool)
            for x in (every, some)
        ]
        return rows[0], rows[1]

    def as_data(self) -> dict[str, Any]:
        """The frames held, as plain data."""
        return {"bursts": self._bursts.astype(np.uint64), "frames": self._frames.ravel()}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Hold these frames, of a ledger of the same range and window."""
        self._bursts[:] = data["bursts"].astype(np.int64)
        self._frames[:] = data["frames"].reshape(self._frames.shape)
        self._last = int(self._bursts.max())
