"""Severing: the lightest cut of a small directed network of floats, by Dinic's blocking flows.

csrc/flow.c is for large undirected graphs of integers.  Evidence is small and mostly directed, and
a cut that is not quite the lightest still is a true upper bound, so floats do no harm here.
Source: Dinic 1970.  Not for large networks: plain Python, about 1 us per arc and phase.
"""

from collections.abc import Sequence
from dataclasses import dataclass

UNCUTTABLE = 1e6
EPSILON = 1e-12


@dataclass(slots=True)
class _Residual:
    """Arcs in pairs: arc i ^ 1 is the way back of arc i."""

    heads: list[int]
    room: list[float]
    arcs: list[list[int]]

    def add(self, tail: int, head: int, forwards: float, backwards: float) -> None:
        self.arcs[tail].append(len(self.heads))
        self.arcs[head].append(len(self.heads) + 1)
        self.heads += [head, tail]
        self.room += [forwards, backwards]

    def levels(self, source: int) -> list[int]:
        """Hops from the source along arcs with room; -1 where none leads."""
        level = [-1] * len(self.arcs)
        level[source] = 0
        queue = [source]
        for at in queue:
            for arc in self.arcs[at]:
                head = self.heads[arc]
                if level[head] < 0 and self.room[arc] > EPSILON:
                    level[head] = level[at] + 1
                    queue.append(head)
        return level

    def block(self, source: int, target: int, level: list[int]) -> None:
        """Push along shortest paths until each has an arc without room."""
        tried = [0] * len(self.arcs)
        path: list[int] = []
        at = source
        while True:
            if at == target:
                pushed = min(self.room[arc] for arc in path)
                for arc in path:
                    self.room[arc] -= pushed
                    self.room[arc ^ 1] += pushed
                path, at = [], source
                continue
            while tried[at] < len(self.arcs[at]):
                arc = self.arcs[at][tried[at]]
                head = self.heads[arc]
                if self.room[arc] > EPSILON and level[head] == level[at] + 1:
                    path.append(arc)
                    at = head
                    break
                tried[at] += 1
            else:
                if not path:
                    return
                at = self.heads[path.pop() ^ 1]
                tried[at] += 1


def source_side(
    count: int,
    arcs: Sequence[tuple[int, int, float, float]],
    source: int,
    target: int,
) -> list[bool]:
    """Per position whether it is on the source's side of a lightest cut.

    arcs: (tail, head, what the arc may carry, what it may carry back); UNCUTTABLE stays whole if
    anything lighter can be cut.
    """
    flow = _Residual([], [], [[] for _ in range(count)])
    for tail, head, forwards, backwards in arcs:
        flow.add(tail, head, forwards, backwards)
    while True:
        level = flow.levels(source)
        if level[target] < 0:
            return [x >= 0 for x in level]
        flow.block(source, target, level)
