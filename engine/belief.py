"""Belief: how likely the sources of a network of facts lead to its targets. Pure functions.

A path's support is the product of its facts' probabilities: never above its weakest fact, never
raised by a further one, and never lowered by a fact elsewhere.  The best path is the shortest one
under -ln p.

Bounds of the probability that some path holds (two-terminal reliability, #P-complete exactly):
  - below: paths that share no fact hold independently, so 1 - prod(1 - support) over any such
    paths is at most the truth ("noisy or", here over paths chosen greedily, best first);
  - above: if the targets are reached, some fact of every cut holds, so 1 - prod(1 - p) over any cut
    is at least the truth.  The least of these is a minimum cut under -ln(1 - p).
Then both are sharpened by cases (Dotson and Gobien 1979): given what is known to hold and not to
hold, take the best path.  Either all of it holds: a success.  Or its first i - 1 facts hold and the
i-th does not: a smaller case.  A case without a path is a failure.  All cases are disjoint, so the
successes so far are a lower bound, and one less the failures an upper one.  Each case counts with
its own noisy-or and cut, the most likely open case is split next, and of all bounds so far the best
stand: lower never falls, upper never rises, and they meet when no case is left.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .facts import SOURCE, TARGET, Network
from .severing import UNCUTTABLE, source_side

Arcs = list[list[tuple[int, int]]]
CASES = 64
CLOSE_ENOUGH = 1e-9


@dataclass(frozen=True, slots=True)
class Chain:
    """A path: its facts in order (positions in `facts`), and the product of their p."""

    facts: tuple[int, ...]
    support: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of the probability after some cases; exact when lower == upper."""

    lower: float
    upper: float
    cases: int


ALWAYS = Bounds(1.0, 1.0, 0)


def costs(net: Network) -> list[float]:
    """-ln p of every fact."""
    return [max(-math.log(fact.p), 0.0) for fact in net.facts]


def support(net: Network, facts: Sequence[int]) -> float:
    """The product of the probabilities of some facts."""
    return math.prod(net.facts[i].p for i in facts)


def either(chances: Sequence[float]) -> float:
    """The probability that at least one of independent things holds."""
    return -math.expm1(sum(math.log1p(-p) for p in chances)) if max(chances, default=0) < 1 else 1.0


def best_chain(arcs: Arcs, length: Sequence[float]) -> tuple[int, ...] | None:
    """The facts of a shortest path, None if there is none; an infinite length is no way.

    Equal lengths: fewer facts, then the order of discovery.
    """
    before: dict[int, tuple[int, int]] = {}
    least = {SOURCE: (0.0, 0)}
    heap = [(0.0, 0, SOURCE)]
    done = set()
    while heap:
        far, hops, at = heapq.heappop(heap)
        if at == TARGET:
            facts = []
            while at != SOURCE:
                at, fact = before[at]
                facts.append(fact)
            return tuple(facts[::-1])
        if at in done:
            continue
        done.add(at)
        for fact, head in arcs[at]:
            key = far + length[fact], hops + 1
            if key[0] < math.inf and head not in done and key < least.get(head, (math.inf, 0)):
                least[head] = key
                before[head] = at, fact
                heapq.heappush(heap, (*key, head))
    return None


def disjoint_chains(
    net: Network, arcs: Arcs | None = None, length: Sequence[float] | None = None
) -> list[Chain]:
    """Paths that share no fact, each the best one that is left."""
    arcs = net.arcs() if arcs is None else arcs
    left = list(costs(net) if length is None else length)
    found = []
    while (chain := best_chain(arcs, left)) is not None:
        found.append(Chain(chain, math.exp(-sum(left[i] for i in chain))))
        certain = all(left[i] == 0 for i in chain)
        for i in chain:
            left[i] = math.inf
        if certain and length is not None:  # Only bounds are asked for: nothing can be added.
            break
    return found


def critical_cut(
    net: Network, chances: Sequence[float] | None = None, *, by_count: bool = False
) -> list[int]:
    """The facts whose absence is the likeliest way to fail; by_count: the fewest facts instead.

    Every path holds one of them.  chances: used instead of the facts' own p.
    """
    given = [fact.p for fact in net.facts] if chances is None else chances
    arcs = []
    for i, p in enumerate(given):
        room = 1.0 if by_count else UNCUTTABLE if p >= 1 else -math.log1p(-p)
        if p > 0:
            arcs.append((net.tails[i], net.heads[i], room, room if net.both else 0.0))
    if net.partial:  # One more position, through which unseen paths go.
        arcs += [(place, net.count, UNCUTTABLE, 0.0) for place in net.leaks[0]]
        arcs += [(net.count, place, UNCUTTABLE, 0.0) for place in net.leaks[1]]
    side = source_side(net.count + 1, arcs, SOURCE, TARGET)
    return [
        i
        for i, p in enumerate(given)
        if p > 0 and side[net.tails[i]] != side[net.heads[i]] and (net.both or side[net.tails[i]])
    ]


def leaking(net: Network, cut: Sequence[int]) -> bool:
    """Whether unseen paths may lead around a cut."""
    if not net.partial:
        return False
    reached = _reach(net, set(cut))
    return not reached.isdisjoint(net.leaks[0]) and TARGET in reached


def _reach(net: Network, gone: set[int]) -> set[int]:
    """Positions that may be reached without some facts, through leaks too."""
    arcs, reached, waiting = net.arcs(), {SOURCE}, [SOURCE]
    while waiting:
        at = waiting.pop()
        heads = [head for fact, head in arcs[at] if fact not in gone]
        if at in net.leaks[0]:
            heads += net.leaks[1]
        new = set(heads) - reached
        reached |= new
        waiting.extend(new)
    return reached


def without(net: Network, gone: Sequence[int]) -> Network:
    """The network less some facts."""
    kept = [i for i in range(len(net.facts)) if i not in set(gone)]
    return Network(
        facts=tuple(net.facts[i] for i in kept),
        tails=tuple(net.tails[i] for i in kept),
        heads=tuple(net.heads[i] for i in kept),
        count=net.count,
        both=net.both,
        leaks=net.leaks,
        joined=net.joined,
    )


def bounds(net: Network, cases: int = CASES) -> Bounds:
    """The best bounds after at most so many cases."""
    *_, last = improving(net, cases)
    return last


def at_most(net: Network, threshold: float, cases: int = CASES) -> bool:
    """Whether the upper bound is at most this; stops as soon as the lower one is above it."""
    for step in improving(net, cases):
        if step.upper <= threshold or step.lower > threshold:
            break
    return step.upper <= threshold


def improving(net: Network, cases: int = CASES) -> Iterator[Bounds]:
    """Bounds, each at least as good as the one before; the first are noisy-or and cut."""
    if net.joined:
        yield ALWAYS
        return
    work = _Cases(net)
    lower, upper = work.bounds()
    yield Bounds(lower, upper, 0)
    for done in range(1, cases + 1):
        if upper - lower <= CLOSE_ENOUGH or not work.open or net.partial:
            return
        work.split()
        low, high = work.bounds()
        lower, upper = max(lower, low), min(upper, high)
        yield Bounds(lower, upper, done)


def rounds(nets: Sequence[Network], cases: int = CASES) -> Iterator[list[Bounds]]:
    """The bounds of several networks, each round with about twice the cases of the one before.

    Lower ones never fall, upper ones never rise, and the last are those of `bounds`, bit for bit.
    """
    steps = [improving(net, cases) for net in nets]
    found = [next(step) for step in steps]
    yield list(found)
    effort, going = 1, set(range(len(nets)))
    while going:
        before = list(found)
        for i in sorted(going):
            while found[i].cases < effort:
                after = next(steps[i], None)
                if after is None:
                    going.discard(i)
                    break
                found[i] = after
        if found != before:
            yield list(found)
        effort *= 2


@dataclass(slots=True)
class _Case:
    """Disjoint from all others: its probability, what each fact's is in it, and its bounds."""

    probability: float
    chances: list[float]
    chain: tuple[int, ...]
    lower: float
    upper: float


class _Cases:
    """The open cases, and what the closed ones add up to."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.arcs = net.arcs()
        self.won = 0.0
        self.lost = 0.0
        self.open: list[tuple[float, int, _Case]] = []
        self._made = 0
        self._add(1.0, [fact.p for fact in net.facts])

    def bounds(self) -> tuple[float, float]:
        lower = self.won + math.fsum(x.probability * x.lower for _, _, x in self.open)
        upper = 1 - self.lost - math.fsum(x.probability * (1 - x.upper) for _, _, x in self.open)
        return min(lower, 1.0), max(min(upper, 1.0), min(lower, 1.0))

    def split(self) -> None:
        """Replace the open case whose bounds leave most to know."""
        case = heapq.heappop(self.open)[2]
        holding = case.probability
        chances = list(case.chances)
        for i in case.chain:
            p = chances[i]
            if p < 1:
                self._add(holding * (1 - p), [*chances[:i], 0.0, *chances[i + 1 :]])
            holding *= p
            chances[i] = 1.0
        self.won += holding

    def _add(self, probability: float, chances: list[float]) -> None:
        length = [max(-math.log(p), 0.0) if p > 0 else math.inf for p in chances]
        chains = disjoint_chains(self.net, self.arcs, length)
        if not chains and not self.net.partial:
            self.lost += probability
            return
        lower = either([chain.support for chain in chains])
        cut = critical_cut(self.net, chances)
        upper = either([chances[i] for i in cut])
        if self.net.partial and leaking(self.net, cut):
            upper = 1.0
        first = chains[0].facts if chains else ()
        case = _Case(probability, chances, first, lower, max(lower, upper))
        unknown = probability * (case.upper - case.lower)
        heapq.heappush(self.open, (-unknown, self._made, case))
        self._made += 1


def best_chains(net: Network, k: int, hops: int, budget: int = 100_000) -> tuple[list[Chain], bool]:
    """The k best simple paths of at most `hops` facts, best first, and whether a budget stopped it.

    Equal supports: fewer facts, then smaller positions.  A partial path is extended in the order of
    its length plus the least that any walk still needs with the hops that are left (A*), so nearly
    every one that is taken up belongs to the answer.
    """
    arcs, length = net.arcs(), costs(net)
    needed = _least_left(net, length, hops)
    heap: list[tuple[float, int, tuple[int, ...], tuple[int, ...], float]]
    heap = [(needed[hops][SOURCE], 0, (), (SOURCE,), 0.0)]
    found: list[Chain] = []
    while heap and len(found) < k and needed[hops][SOURCE] < math.inf:
        _, count, facts, path, far = heapq.heappop(heap)
        if path[-1] == TARGET:
            found.append(Chain(facts, support(net, facts)))
            continue
        budget -= len(arcs[path[-1]])
        if budget < 0:
            return found, True
        if count == hops:
            continue
        for fact, head in arcs[path[-1]]:
            rest = needed[hops - count - 1][head]
            if rest < math.inf and head not in path:
                ahead = far + length[fact]
                item = (ahead + rest, count + 1, (*facts, fact), (*path, head), ahead)
                heapq.heappush(heap, item)
    return found, net.partial


def _least_left(net: Network, length: Sequence[float], hops: int) -> list[list[float]]:
    """Per number of hops left and position: the length of the shortest walk to the targets."""
    rounds = [[math.inf] * net.count]
    rounds[0][TARGET] = 0.0
    ways = list(zip(net.tails, net.heads, length, strict=True))
    if net.both:
        ways += list(zip(net.heads, net.tails, length, strict=True))
    for _ in range(hops):
        last = rounds[-1]
        now = list(last)
        for tail, head, far in ways:
            if far + last[head] < now[tail]:
                now[tail] = far + last[head]
        rounds.append(now)
    return rounds
