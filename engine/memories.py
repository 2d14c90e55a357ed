"""Memory neurons: one neuron per pattern that an area showed over its last bursts.

A pattern is named by its hash: XXH64 over, per frame, [count u32 LE, sorted neuron numbers u32 LE].
The first time it appears it gets a neuron with a lifespan; every burst costs 1, every time it
appears again adds some, at 0 the neuron is free again, and from `long_term` on it is kept for good.
The neuron fires one burst after its pattern; replayed, frame k is injected k + 1 bursts after.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bindings.npu import xxh64
from .errors import InvalidError
from .ledgers import WINDOW_MAX

Ids = NDArray[np.uint32]


class Remembering(Protocol):
    """What memory neurons need of a network."""

    first_id: int

    def force(self, ids: ArrayLike, potential: ArrayLike = 1.0) -> None: ...

    def inject(self, ids: ArrayLike, potential: ArrayLike = 1.0) -> None: ...


@dataclass
class Memory:
    """One remembered pattern."""

    neuron: int  # Local index.
    lifespan: int
    frames: tuple[Ids, ...]  # Local indices, oldest frame first.


def pattern_hash(frames: tuple[Ids, ...], first_id: int = 0) -> int:
    """The name of a pattern of frames (local indices; first_id makes them neuron numbers)."""
    parts: list[bytes] = []
    for ids in frames:
        numbers = np.sort(ids.astype(np.uint32)) + np.uint32(first_id)
        parts += [np.uint32(numbers.size).astype("<u4").tobytes(), numbers.astype("<u4").tobytes()]
    return xxh64(b"".join(parts))


class MemoryNeurons:
    """Gives the patterns of one range of neurons to the neurons of another (both (first, count)).

    also: further ranges that the patterns span.  depth: frames per pattern; a pattern without any
    spike is none.  When all memory neurons are taken, new patterns are not remembered until one
    dies (`forgotten` counts them).
    replay: (first of a range, potential): inject the frames there, or None.
    """

    def __init__(
        self,
        upstream: tuple[int, int],
        memories: tuple[int, int],
        *,
        depth: int = 1,
        lifespan: int = 20,
        growth: int = 3,
        long_term: int = 100,
        potential: float = 1.0,
        replay: tuple[int, float] | None = None,
        also: Sequence[tuple[int, int]] = (),
    ) -> None:
        if lifespan < 1 or upstream[1] < 1 or memories[1] < 1 or not 1 <= depth <= WINDOW_MAX:
            raise InvalidError(f"want a lifespan and ranges >= 1, depth 1..{WINDOW_MAX}")
        self.upstream = upstream
        self.also = tuple(also)
        self.range = memories
        self.depth = depth
        self.lifespan = lifespan
        self.growth = growth
        self.long_term = long_term
        self.potential = potential
        self.replay = replay
        self.memories: dict[int, Memory] = {}  # By hash.
        self.forgotten = 0
        self._free = list(range(sum(memories) - 1, memories[0] - 1, -1))  # Lowest is taken first.
        self._window: deque[Ids] = deque(maxlen=depth)
        self._due: dict[int, list[Ids]] = {}  # Burst: what to inject into it.

    def after(self, network: Remembering, burst: int, fired: Ids) -> None:
        """Age, recognise or learn the pattern that ends with this burst."""
        self._age()
        ranges = (self.upstream, *self.also)
        self._window.append(np.concatenate([_inside(fired, ends) for ends in ranges]))
        if len(self._window) == self.depth and any(ids.size for ids in self._window):
            self._recall(network, burst, tuple(self._window))
        for ids in self._due.pop(burst + 1, []):
            shown = np.sort(_inside(ids, self.upstream)).astype(np.int64)
            if self.replay is not None and shown.size:
                network.inject(shown - self.upstream[0] + self.replay[0], self.replay[1])

    def _age(self) -> None:
        for name, memory in list(self.memories.items()):
            if memory.lifespan >= self.long_term:
                continue
            memory.lifespan -= 1
            if memory.lifespan <= 0:
                self._free.append(memory.neuron)
                del self.memories[name]

    def _recall(self, network: Remembering, burst: int, frames: tuple[Ids, ...]) -> None:
        name = pattern_hash(frames, network.first_id)
        memory = self.memories.get(name)
        if memory is not None:
            memory.lifespan += self.growth
        elif self._free:
            memory = Memory(self._free.pop(), self.lifespan, frames)
            self.memories[name] = memory
        else:
            self.forgotten += 1
            return
        network.force(memory.neuron, self.potential)
        for k, ids in enumerate(memory.frames):
            self._due.setdefault(burst + k + 1, []).append(ids)

    def as_data(self) -> dict[str, Any]:
        """What is remembered and under way, as plain data."""
        return {
            "ranges": [list(self.upstream), list(self.range), *map(list, self.also)],
            "given": {
                "depth": self.depth,
                "lifespan": self.lifespan,
                "growth": self.growth,
                "long_term": self.long_term,
                "potential": self.potential,
                "replay": None if self.replay is None else list(self.replay),
            },
            "memories": [
                [h, m.neuron, m.lifespan, list(m.frames)] for h, m in self.memories.items()
            ],
            "free": self._free,
            "frames": list(self._window),
            "due": [[burst, frames] for burst, frames in self._due.items()],
            "forgotten": self.forgotten,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """And back."""
        upstream, memories, *also = ((int(first), int(count)) for first, count in data["ranges"])
        found = cls(upstream, memories, also=also, **data["given"])
        inside = range(memories[0], sum(memories))
        for name, neuron, lifespan, frames in data["memories"]:
            found.memories[int(name)] = Memory(int(neuron), int(lifespan), tuple(map(_ids, frames)))
        found._free = [int(neuron) for neuron in data["free"]]
        if any(
            i not in inside for i in [*found._free, *(m.neuron for m in found.memories.values())]
        ):
            raise InvalidError("a memory lies outside the memory neurons")
        found._window.extend(map(_ids, data["frames"]))
        found._due = {int(burst): list(map(_ids, frames)) for burst, frames in data["due"]}
        found.forgotten = int(data["forgotten"])
        return found


def _inside(fired: Ids, ends: tuple[int, int]) -> Ids:
    """Those that fired in a range."""
    low, high = np.searchsorted(fired, [ends[0], sum(ends)])
    return fired[low:high].copy()


def _ids(values: Any) -> Ids:
    if not isinstance(values, np.ndarray) or values.dtype != np.uint32:
        raise InvalidError("a frame is not a list of neurons")
    return values
