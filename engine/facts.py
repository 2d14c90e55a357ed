"""Facts: the associations on short walks between two groups of concepts, as a random network.

An association is true with probability p = confidence x freshness, independent of the others.
Freshness is 0 outside of the validity interval, and halves every half-life since its begin if a
half-life is asked for.  Weight is strength, for spreading; it plays no part here.

All sources are one position of the network, all targets another; both searches go level by level,
the one with fewer concepts first.  An association u -> v is on a walk of at most h hops from the
sources to the targets only if u is within a hops of the sources or v within h - a of the targets;
so `a` levels of one and `h - a` of the other see every one of them.  Where the budget stops the
searches, every path that was not seen leaves through a concept of the one outer level and comes
back through one of the other: these `leaks` keep upper bounds true.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .bindings.edges import EDGE, Edges
from .bindings.graph_view import GraphView
from .errors import InvalidError

SOURCE, TARGET = 0, 1
BUDGET_FACTS = 20_000


class Fact(NamedTuple):
    """An association as evidence: node numbers, type number, probability."""

    source: int
    type: int
    target: int
    p: float


@dataclass(frozen=True, slots=True)
class Moment:
    """When facts are looked at, in ns, and how fast they age; None: not at all."""

    at: int
    half_life: int | None = None

    def freshness(self, since: int | None, until: int | None) -> float:
        """Factor of belief in [0, 1] for a validity interval [since, until)."""
        if (since is not None and self.at < since) or (until is not None and self.at >= until):
            return 0.0
        if self.half_life is None or since is None:
            return 1.0
        return float(2.0 ** (-(self.at - since) / self.half_life))


class View(Protocol):
    """What is needed of a snapshot."""

    @property
    def graph(self) -> GraphView: ...

    def details(self, edges: Edges) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Network:
    """Facts between positions: 0 is every source, 1 every target, `nodes` the others' numbers.

    Fact i leads from tails[i] to heads[i], and back if `both`.  leaks: positions through which
    unseen paths may leave and come back; empty unless a budget stopped the search.
    """

    facts: tuple[Fact, ...]
    tails: tuple[int, ...]
    heads: tuple[int, ...]
    count: int
    both: bool = False
    leaks: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    joined: bool = False  # A concept is source and target at once.

    @property
    def partial(self) -> bool:
        """Whether facts were left unseen."""
        return bool(self.leaks[0])

    def arcs(self) -> list[list[tuple[int, int]]]:
        """Per position the (fact, position) that it leads to; nothing leaves the targets."""
        found: list[list[tuple[int, int]]] = [[] for _ in range(self.count)]
        for i, (tail, head) in enumerate(zip(self.tails, self.heads, strict=True)):
            found[tail].append((i, head))
            if self.both:
                found[head].append((i, tail))
        return found


def network(
    facts: Sequence[Fact],
    sources: Sequence[int],
    targets: Sequence[int],
    *,
    both: bool = False,
    outside: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Network:
    """The network of given facts; those inside a group, and without chance, are left out.

    outside: nodes through which unseen paths may leave, and come back.
    """
    places = dict.fromkeys(targets, TARGET) | dict.fromkeys(sources, SOURCE)
    count = 2
    kept: list[tuple[Fact, int, int]] = []
    ends = [x for fact in facts for x in (fact.source, fact.target)]
    for node in (*ends, *outside[0], *outside[1]):
        if node not in places:
            places[node] = count
            count += 1
    for fact in facts:
        tail, head = places[fact.source], places[fact.target]
        useless = not both and (head == SOURCE or tail == TARGET)
        if fact.p > 0 and tail != head and not useless:
            kept.append((fact, tail, head))
    leaks = tuple(places[x] for x in outside[0]), tuple(places[x] for x in outside[1])
    return Network(
        facts=tuple(fact for fact, _, _ in kept),
        tails=tuple(tail for _, tail, _ in kept),
        heads=tuple(head for _, _, head in kept),
        count=count,
        both=both,
        leaks=leaks,
        joined=not set(sources).isdisjoint(targets),
    )


def facts_of(view: View, edges: Edges, moment: Moment) -> list[Fact]:
    """Associations as facts at a moment, in the order given."""
    found = []
    for (source, target, type, _, _), details in zip(
        edges.tolist(), view.details(edges), strict=True
    ):
        fresh = moment.freshness(details.get("since"), details.get("until"))
        found.append(Fact(source, type, target, details.get("confidence", 1.0) * fresh))
    return found


class _Front:
    """One of the two searches: what it has reached, and the associations it has read."""

    def __init__(self, starts: Sequence[int], direction: str) -> None:
        self.direction = direction
        self.outer = np.unique(np.asarray(starts, np.uint64))
        self.reached = self.outer
        self.edges: list[Edges] = []

    def grow(self, graph: GraphView, types: list[int] | None, budget: int) -> int:
        """Read the associations of the outer level unless over budget; returns their number."""
        edges = graph.neighbours(self.outer, direction=self.direction, types=types)[0]
        if len(edges) > budget:
            return -1
        ends = [edges["target"]] if self.direction == "out" else [edges["source"]]
        if self.direction == "both":
            ends.append(edges["target"])
        found = np.unique(np.concatenate(ends).astype(np.uint64))
        self.outer = np.setdiff1d(found, self.reached, assume_unique=True)
        self.reached = np.union1d(self.reached, self.outer)
        self.edges.append(edges)
        return len(edges)


def between(
    view: View,
    sources: Sequence[int],
    targets: Sequence[int],
    *,
    hops: int,
    moment: Moment,
    types: list[int] | None = None,
    direction: str = "out",
    budget: int = BUDGET_FACTS,
) -> Network:
    """The facts on walks of at most `hops` associations from sources to targets.

    direction: "out" follows associations from sources to targets, "both" either way.
    budget: associations read at most; then the network has leaks.
    """
    if direction not in ("out", "both"):
        raise InvalidError(f"want direction 'out' or 'both', got {direction!r}")
    if hops < 1:
        raise InvalidError(f"want hops >= 1, got {hops}")
    first = _Front(sources, direction)
    last = _Front(targets, "in" if direction == "out" else "both")
    stopped = False
    for _ in range(hops):
        front = min((first, last), key=lambda x: len(x.outer))
        if len(front.outer) == 0:
            break
        read = front.grow(view.graph, types, budget)
        if read < 0:
            stopped = True
            break
        budget -= read
    edges = _distinct([*first.edges, *last.edges])
    if not stopped:
        edges = _on_walks(edges, sources, targets, direction == "both", hops)
    facts = facts_of(view, edges, moment)
    outside = (first.outer.tolist(), last.outer.tolist()) if stopped else ([], [])
    return network(facts, sources, targets, both=direction == "both", outside=outside)


def _distinct(parts: list[Edges]) -> Edges:
    edges = np.concatenate(parts) if parts else np.empty(0, EDGE)
    order = np.lexsort((edges["target"], edges["type"], edges["source"]))
    edges = edges[order]
    again = np.zeros(len(edges), np.bool_)
    again[1:] = True
    for name in ("source", "type", "target"):
        again[1:] &= edges[name][1:] == edges[name][:-1]
    kept: Edges = edges[~again]
    return kept


def _on_walks(
    edges: Edges, sources: Sequence[int], targets: Sequence[int], both: bool, hops: int
) -> Edges:
    """Those on a walk of at most `hops` of them from the sources to the targets."""
    nodes = np.unique(np.concatenate([edges["source"], edges["target"]]))
    tails = np.searchsorted(nodes, edges["source"])
    heads = np.searchsorted(nodes, edges["target"])
    if both:
        tails, heads = np.concatenate([tails, heads]), np.concatenate([heads, tails])
    away = _levels(tails, heads, np.isin(nodes, sources), hops)
    left = _levels(heads, tails, np.isin(nodes, targets), hops)
    useful = away[tails] + 1 + left[heads] <= hops
    if both:
        useful = useful[: len(edges)] | useful[len(edges) :]
    kept: Edges = edges[useful]
    return kept


def _levels(
    tails: NDArray[np.int64], heads: NDArray[np.int64], starts: NDArray[np.bool_], hops: int
) -> NDArray[np.int64]:
    """Fewest hops from the starts to each position; hops + 1 for further away."""
    levels = np.where(starts, 0, hops + 1).astype(np.int64)
    for level in range(hops):
        reached = heads[levels[tails] == level]
        levels[reached[levels[reached] > level]] = level + 1
    return levels
