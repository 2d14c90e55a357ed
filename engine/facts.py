"""Facts: the associations on short walks between two groups of concepts, as a random network.

An association is true with probability p = confidence x freshness, independent of the others.
Freshness is 0 outside of the validity interval, and halves every half-life since its begin if a
half-life is asked for.  Weight is strength, for spreading; it plays no part here.

All sources are one position of the network, all targets another; what lies between them is found by
csrc/walks.c.  Where its budget ends, every path that was not seen leaves through a concept of one
level and comes back through one of another: these `leaks` keep upper bounds true.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from .bindings.edges import Edges
from .bindings.graph_view import GraphView
from .bindings.walks import walks
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
    found = walks(
        view.graph, sources, targets, hops, both=direction == "both", types=types, budget=budget
    )
    return network(
        facts_of(view, found.edges, moment),
        sources,
        targets,
        both=direction == "both",
        outside=(found.leaving.tolist(), found.entering.tolist()),
    )
