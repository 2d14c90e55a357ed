"""Memory neurons: one neuron per pattern that an area showed over its last bursts.

A pattern is named by its hash: XXH64 over, per frame, [count u32 LE, sorted neuron numbers u32 LE].
The first time it appears it gets a neuron with a lifespan; every burst costs 1, every time it
appears again adds some, at 0 the neuron is free again, and from `long_term` on it is kept for good.
The neuron fires one burst after its pattern; replayed, frame k is injected k + 1 bursts after.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bindings.npu import xxh64
from .errors import InvalidError

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

    depth: frames per pattern; a pattern without any spike is none.  When all memory neurons are
    taken, new patterns are not remembered until one dies (`forgotten` counts them).
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
    ) -> None:
        if depth < 1 or lifespan < 1 or upstream[1] < 1 or memories[1] < 1:
            raise InvalidError("want a depth, a lifespan and ranges of at least 1")
        self.upstream = upstream
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
        low, high = np.searchsorted(fired, [self.upstream[0], sum(self.upstream)])
        self._window.append(fired[low:high].copy())
        if len(self._window) == self.depth and any(ids.size for ids in self._window):
            self._recall(network, burst, tuple(self._window))
        for ids in self._due.pop(burst + 1, []):
            if self.replay is not None and ids.size:
                network.inject(ids - self.upstream[0] + self.replay[0], self.replay[1])

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
