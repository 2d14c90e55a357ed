"""Evidence: paths, beliefs and what would overturn them, with their associations named.

belief.py works on numbers; here are its answers as a reader wants them, for any view of a store.
Every path and cut cites associations of the view, so that anyone can look them up.
"""

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from . import belief
from .associations import type_numbers
from .belief import Bounds, Chain
from .bindings.edges import Edges
from .bindings.graph_view import GraphView
from .errors import InvalidError
from .facts import BUDGET_FACTS, SOURCE, Fact, Moment, Network, between, facts_of
from .records import Concept

HOPS = 4
SETS_MAX = 500


class Naming(Protocol):
    """What names concepts and types by their numbers."""

    def type_name(self, number: int) -> str: ...

    def get(self, key: int) -> Concept: ...


class View(Naming, Protocol):
    """What is needed of a snapshot."""

    @property
    def graph(self) -> GraphView: ...

    @property
    def moment(self) -> int: ...

    def details(self, edges: Edges) -> list[dict[str, Any]]: ...

    def type_numbers(self) -> dict[str, int]: ...


@dataclass(frozen=True, slots=True)
class Link:
    """An association as evidence: ids, type, and the probability that it holds."""

    source: str
    type: str
    target: str
    p: float

    def __str__(self) -> str:
        return f"{self.source} -{self.type}-> {self.target}"


@dataclass(frozen=True, slots=True)
class Path:
    """Associations from one concept to another; support: the product of their p.

    concepts: the ids on the way, one more than links.
    """

    concepts: tuple[str, ...]
    links: tuple[Link, ...]
    support: float

    def __str__(self) -> str:
        shown = [self.concepts[0]]
        for link, after in zip(self.links, self.concepts[1:], strict=True):
            forwards = link.target == after
            shown.append(f"-{link.type}-> {after}" if forwards else f"<-{link.type}- {after}")
        return " ".join(shown)


@dataclass(frozen=True, slots=True)
class Belief:
    """Bounds of the probability that associations lead from the sources to the targets.

    paths: share no association, best first.  cut: the associations on which all depends, the
    likeliest to fail together.  cases: how many were told apart to sharpen the bounds.
    partial: a budget left associations unread; the bounds hold nevertheless.
    """

    lower: float
    upper: float
    paths: tuple[Path, ...]
    cut: tuple[Link, ...]
    cases: int
    partial: bool
    facts: int

    def __str__(self) -> str:
        return f"[{self.lower:.3f}, {self.upper:.3f}] by {len(self.paths)} disjoint paths"


@dataclass(frozen=True, slots=True)
class Overturning:
    """Associations whose removal brings a belief below a threshold.

    before, after: the bounds with and without them.  possible: whether removal can do it at all:
    not when a budget left associations unread.
    """

    links: tuple[Link, ...]
    before: Bounds
    after: Bounds
    possible: bool = True


@dataclass(frozen=True, slots=True)
class Clash:
    """Two associations that cannot both hold, and the promise that one of them breaks."""

    kind: str
    first: Link
    second: Link

    def __str__(self) -> str:
        return f"{self.kind}: {self.first} and {self.second}"


def seen(
    view: View,
    sources: Sequence[int],
    targets: Sequence[int],
    *,
    types: Sequence[str] | None = None,
    hops: int = HOPS,
    direction: str = "out",
    half_life: int | None = None,
    at: int | None = None,
    budget: int = BUDGET_FACTS,
) -> Network:
    """The network of facts between two groups of nodes.

    hops: only associations on a walk of at most so many count.  direction: "out" follows them from
    the sources to the targets, "both" either way.  at: the moment in ns at which they must be
    valid, None for the view's last commit.  half_life: ns since its begin after which an
    association is half as likely.  budget: associations read at most.
    """
    if half_life is not None and half_life <= 0:
        raise InvalidError(f"want a half-life above 0 ns, got {half_life}")
    return between(
        view,
        sources,
        targets,
        hops=hops,
        moment=Moment(view.moment if at is None else at, half_life),
        types=type_numbers(types, view.type_numbers()),
        direction=direction,
        budget=budget,
    )


def networks(
    view: View, starts: Sequence[int], targets: Sequence[int], **how: Any
) -> list[Network]:
    """What leads from each start to all targets, as `seen`; nothing where there are no targets."""
    return [seen(view, [start], targets, **how) for start in starts] if targets else []


def reached(
    view: View,
    sources: Sequence[int],
    k: int,
    *,
    types: Sequence[str] | None = None,
    hops: int = HOPS,
    direction: str = "out",
    budget: int = BUDGET_FACTS,
) -> tuple[list[int], bool]:
    """The k other concepts with the best paths from the sources; whether a budget left some unseen.

    Equal supports: fewer associations, then the smaller node.  Level by level: a path is followed
    on only while one that goes on could still be among the k best, as no support rises on the way.
    """
    numbers = type_numbers(types, view.type_numbers())
    best: dict[int, tuple[float, int]] = dict.fromkeys(sources, (-1.0, 0))
    level = dict(best)
    for hop in range(1, hops + 1):
        edges = view.graph.neighbours(sorted(level), direction=direction, types=numbers)[0]
        if len(edges) > budget:
            return _best_of(best, sources, k), True
        budget -= len(edges)
        new: dict[int, tuple[float, int]] = {}
        for fact in facts_at(view, edges):
            ends = [(fact.source, fact.target), (fact.target, fact.source)]
            for tail, head in ends if direction == "both" else ends[:1]:
                key = level[tail][0] * fact.p if tail in level else 0.0, hop
                if key < min(new.get(head, (0.0, 0)), best.get(head, (0.0, 0))):
                    new[head] = key
        best |= new
        last = [best[node] for node in _best_of(best, sources, k)][k - 1 : k]
        level = {x: key for x, key in new.items() if not last or (key[0], hop + 1) <= last[0]}
    return _best_of(best, sources, k), False


def _best_of(keys: dict[int, tuple[float, int]], sources: Sequence[int], k: int) -> list[int]:
    known = set(sources)
    return heapq.nsmallest(k, (x for x in keys if x not in known), key=lambda x: (keys[x], x))


def facts_at(view: View, edges: Edges) -> list[Fact]:
    """Associations as facts, with the probability that they hold at the view's moment."""
    return facts_of(view, edges, Moment(view.moment))


def paths(
    view: View,
    sources: Sequence[int],
    targets: Sequence[int],
    k: int = 5,
    *,
    hops: int = HOPS,
    **how: Any,
) -> tuple[list[Path], bool]:
    """The k best simple paths, best support first, and whether a budget left some unseen.

    Paths that differ in one association are two.  how: as in `seen`.
    """
    if k < 1:
        raise InvalidError(f"want k >= 1, got {k}")
    net = seen(view, sources, targets, hops=hops, **how)
    found, partial = belief.best_chains(net, k, hops)
    return [as_path(view, net, chain) for chain in found], partial


def believe(
    view: View,
    sources: Sequence[int],
    targets: Sequence[int],
    *,
    cases: int = belief.CASES,
    **how: Any,
) -> Belief:
    """How far associations that hold lead from any source to any target; how: as in `seen`."""
    if cases < 0:
        raise InvalidError(f"want cases >= 0, got {cases}")
    return belief_of(view, seen(view, sources, targets, **how), cases)


def belief_of(view: Naming, net: Network, cases: int = belief.CASES) -> Belief:
    """The belief in a network, with its paths and its cut named."""
    limits = belief.bounds(net, cases)
    cut = belief.critical_cut(net)
    return Belief(
        limits.lower,
        limits.upper,
        tuple(as_path(view, net, chain) for chain in belief.disjoint_chains(net)),
        tuple(as_link(view, net.facts[i]) for i in cut),
        limits.cases,
        net.partial,
        len(net.facts),
    )


def overturn(
    view: Naming, net: Network, *, threshold: float = 0.0, by: str = "count"
) -> Overturning:
    """What to remove for an upper bound at or below the threshold; at 0, no path is left.

    by: the fewest associations ("count"), or the most doubtful ("doubt"): the set likeliest to be
    all false, the greatest prod(1 - p).  At threshold 0 this is a minimum cut.  Above it, the
    fewest are searched for exactly while there are few sets to try; else what the cut does not need
    is put back one by one.  None of those given could be left out.
    """
    if by not in ("count", "doubt"):
        raise InvalidError(f"want by 'count' or 'doubt', got {by!r}")
    if not 0 <= threshold < 1:
        raise InvalidError(f"want a threshold in [0, 1), got {threshold}")
    before = belief.bounds(net)
    if before.upper <= threshold:
        return Overturning((), before, before)
    cut = belief.critical_cut(net, by_count=by == "count")
    if net.joined or belief.bounds(belief.without(net, cut)).upper > threshold:
        return Overturning((), before, before, possible=False)
    if threshold > 0:
        cut = _fewer(net, cut, threshold, by)
    after = belief.bounds(belief.without(net, cut))
    return Overturning(tuple(as_link(view, net.facts[i]) for i in cut), before, after)


def _fewer(net: Network, cut: list[int], threshold: float, by: str) -> list[int]:
    """A smaller set than a whole cut that keeps the upper bound at or below a threshold above 0."""
    if by == "count":
        sizes = (itertools.combinations(range(len(net.facts)), n) for n in range(1, len(cut)))
        for some in itertools.islice(itertools.chain.from_iterable(sizes), SETS_MAX):
            if belief.at_most(belief.without(net, some), threshold):
                return list(some)
    for i in sorted(cut, key=lambda i: -net.facts[i].p):  # The surest is spared first.
        rest = [j for j in cut if j != i]
        if belief.at_most(belief.without(net, rest), threshold):
            cut = rest
    return cut


def as_link(view: Naming, fact: Fact) -> Link:
    """A fact with names."""
    ends = view.get(fact.source).id, view.get(fact.target).id
    return Link(ends[0], view.type_name(fact.type), ends[1], fact.p)


def as_path(view: Naming, net: Network, chain: Chain) -> Path:
    """A chain of facts with names."""
    links = tuple(as_link(view, net.facts[i]) for i in chain.facts)
    at, names = SOURCE, []
    for i, link in zip(chain.facts, links, strict=True):
        forwards = net.tails[i] == at
        names.append(link.source if forwards else link.target)
        at = net.heads[i] if forwards else net.tails[i]
        last = link.target if forwards else link.source
    return Path((*names, last), links, chain.support) if links else Path((), (), chain.support)
