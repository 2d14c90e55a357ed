"""Mining: rules that the associations of a store follow themselves, to predict what is missing.

Two kinds, both of the form "what starts like this ends like that":
  - closed paths, h(x, y) :- b1(x, a), b2(a, b), b3(b, y) with up to three premises, each along an
    association or against it; these are candidates for Derive;
  - constants, h(x, c) :- e(x, d), and h(x, c) :- e(x, anything).
A rule's confidence is the share of what it says that is so, over concepts x that have an h at all
(whoever asks for h of x knows that x has one), shrunk by DOUBT predictions more.  Closed paths are
taken from paths that join the ends of sampled facts, and judged on sampled concepts; on a path no
concept comes twice.  Predictions are ordered by their BEST rules, a noisy-or in which each counts
for DECAY of what the one before does: rules correlate, and as a plain noisy-or would count the same
evidence twice; the best rule alone leaves too many equal (bench/links.py, where both lose).
Source: Meilicke et al. 2019 (AnyBURL), here with joins of columns for random walks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .rules import Atom, Rule

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
DOUBT = 5
BEST = 6  # Rules per prediction that order it.
DECAY = 0.3
_CERTAIN = 1 - 1e-6


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is looked at: facts and concepts sampled per type and direction, rules kept.

    at_once: associations that one step of many paths may follow; in_all: those that judging may, an
    equal share for each type and direction.  What needs more is left out, and counted in `skipped`.
    """

    facts: int = 200
    concepts: int = 200
    rules: int = 400
    length: int = 3
    constants: bool = True
    seed: int = 1
    at_once: int = 1_000_000
    in_all: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Path:
    """A closed-path rule: relations to follow, a number of types or more meaning backwards."""

    body: tuple[int, ...]
    confidence: float


@dataclass(slots=True)
class _Constants:
    """Rules of one head by feature: what each predicts, and how surely."""

    features: Ints
    targets: Ints
    confidences: Floats


@dataclass(slots=True)
class Mined:
    """What was mined of n facts between `nodes` concepts: source, type, target (n,) of numbers."""

    source: Ints
    type: Ints
    target: Ints
    nodes: int
    types: int
    effort: Effort = field(default_factory=Effort)
    paths: dict[int, list[Path]] = field(default_factory=dict)
    skipped: dict[int, int] = field(
        default_factory=dict
    )  # By head: paths, and samples of 20 facts, left out.
    _constants: dict[int, _Constants] = field(default_factory=dict)
    _relation: Ints = field(init=False)
    _other: Ints = field(init=False)
    _starts: Ints = field(init=False)
    _branches: NDArray[np.float64] = field(init=False)
    _known: dict[int, Ints] = field(default_factory=dict)

    def __post_init__(self) -> None:
        relation = np.concatenate([self.type, self.type + self.types])
        tail = np.concatenate([self.source, self.target])
        head = np.concatenate([self.target, self.source])
        keep = tail != head
        order = np.lexsort((head[keep], relation[keep], tail[keep]))
        self._relation, self._other = relation[keep][order], head[keep][order]
        key = tail[keep][order] * (2 * self.types) + self._relation
        self._starts = np.searchsorted(key, np.arange(self.nodes * 2 * self.types + 1))
        have = (np.diff(self._starts).reshape(self.nodes, -1) > 0).sum(axis=0)
        self._branches = np.bincount(self._relation, minlength=2 * self.types) / np.maximum(have, 1)
        for number in range(2 * self.types):
            self._mine(number)

    def inverse(self, relation: int) -> int:
        """The same relation in the other direction."""
        return (relation + self.types) % (2 * self.types)

    def rules(self, names: Sequence[str], least: float = 0.5) -> list[Rule]:
        """The closed paths of a confidence, as rules for Derive; names: of the types."""
        found = []
        for head, paths in self.paths.items():
            if head < self.types:
                for path in paths:
                    if path.confidence >= least:
                        ends = "xabz"[: len(path.body)] + "z"
                        body = [
                            Atom(x, names[e], y)
                            if e < self.types
                            else Atom(y, names[e - self.types], x)
                            for e, x, y in zip(path.body, ends, ends[1:], strict=False)
                        ]
                        found.append(Rule(Atom("x", names[head], "z"), tuple(body)))
        return found

    def scores(self, concepts: Ints, relation: int) -> NDArray[np.float64]:
        """How surely each concept is related to every other, (n, nodes); 0: nothing says so.

        Only the order within a row means anything.
        """
        best = np.zeros((BEST, len(concepts) * self.nodes), np.float32)
        for path in self.paths.get(relation, ()):
            row, end = self._followed(concepts, path.body)
            _take(best, row * self.nodes + end, np.float32(path.confidence))
        if relation in self._constants:
            self._take_constants(best, concepts, self._constants[relation])
        return combined(best).reshape(len(concepts), self.nodes)

    def _take_constants(self, best: Floats, concepts: Ints, known: _Constants) -> None:
        row, feature = self._features(concepts)
        first = np.searchsorted(known.features, feature)
        count = np.searchsorted(known.features, feature, side="right") - first
        rule = _runs(first, count)
        key = np.repeat(row, count) * self.nodes + known.targets[rule]
        sure = known.confidences[rule]
        order = np.lexsort((-sure, key))
        key, sure = key[order], sure[order]
        place = np.arange(len(key)) - np.searchsorted(key, key)
        for i in range(BEST):
            _take(best, key[place == i], sure[place == i])

    def _sources(self, relation: int) -> Ints:
        return self.source if relation < self.types else self.target

    def _mine(self, head: int) -> None:
        rng = np.random.default_rng([self.effort.seed, head])
        rows = np.flatnonzero(self.type == head % self.types)
        if not len(rows):
            return
        source, target = self._sources(head)[rows], self._sources(self.inverse(head))[rows]
        self._known[head] = np.sort(source * self.nodes + target)
        some = rng.permutation(len(rows))[: self.effort.facts]
        bodies = self._bodies(source[some], target[some], head)
        concepts = rng.permutation(np.unique(source))[: self.effort.concepts]
        paths = [x for x in self._all_judged(concepts, head, bodies) if x.confidence > 0]
        self.paths[head] = sorted(paths, key=lambda x: (-x.confidence, x.body))
        if self.effort.constants:
            self._constants[head] = self._constant_rules(source, target, head)

    def _all_judged(
        self, concepts: Ints, head: int, bodies: Sequence[tuple[int, ...]]
    ) -> Iterator[Path]:
        """The paths that can be judged with the effort that is left, in their order."""
        left = self.effort.in_all // (2 * self.types)
        for body in bodies:
            needed = self._needed(concepts, body)
            if needed > min(left, self.effort.at_once):
                self.skipped[head] = self.skipped.get(head, 0) + 1
                continue
            left -= needed
            yield self._judged(concepts, head, body)

    def _needed(self, concepts: Ints, body: Sequence[int]) -> int:
        """Associations that following a path takes, if every end branches as the average does."""
        key = concepts * 2 * self.types + body[0]
        ends = float((self._starts[key + 1] - self._starts[key]).sum())
        total = ends
        for relation in body[1:]:
            ends *= self._branches[relation]
            total += ends
        return int(total)

    def _judged(self, concepts: Ints, head: int, body: tuple[int, ...]) -> Path:
        row, end = self._followed(concepts, body)
        known = self._known[head]
        keys = concepts[row] * self.nodes + end
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return Path(body, float((known[at] == keys).sum() / (len(keys) + DOUBT)))

    def _followed(self, concepts: Ints, body: Sequence[int]) -> tuple[Ints, Ints]:
        """(row, concept) at the ends of all paths from some concepts, each pair once."""
        row = np.arange(len(concepts))
        at, before = concepts, concepts
        for place, relation in enumerate(body):
            first = self._starts[at * 2 * self.types + relation]
            count = self._starts[at * 2 * self.types + relation + 1] - first
            end = self._other[_runs(first, count)]
            row, back = np.repeat(row, count), np.repeat(before, count)
            keep = (end != concepts[row]) & (end != back)
            row, before, at = row[keep], np.repeat(at, count)[keep], end[keep]
            turns = place + 2 == len(body) and body[-1] == self.inverse(relation)
            if not turns:  # Then the last step must not go back to where this one came from.
                pair = np.unique(row * self.nodes + at)
                row, at = np.divmod(pair, self.nodes)
                before = at
        return row, at

    def _all(self, concepts: Ints) -> tuple[Ints, Ints, Ints]:
        """(row, relation, other) of everything that touches some concepts."""
        first = self._starts[concepts * 2 * self.types]
        count = self._starts[(concepts + 1) * 2 * self.types] - first
        place = _runs(first, count)
        return np.repeat(np.arange(len(concepts)), count), self._relation[place], self._other[place]

    def _touching(self, concepts: Ints) -> int:
        """How many associations touch some concepts, each as often as it is named."""
        ends = self._starts[(concepts + 1) * 2 * self.types]
        return int((ends - self._starts[concepts * 2 * self.types]).sum())

    def _bodies(self, source: Ints, target: Ints, head: int) -> list[tuple[int, ...]]:
        """The relations on paths between the ends of facts, as they look best: how often they were
        met for how many ends they have, if each relation branches as it does on average."""
        width = 2 * self.types + 1
        counts: dict[int, int] = {}
        for first in range(0, len(source), 20):
            x, y = source[first : first + 20], target[first : first + 20]
            for code in self._codes(x, y, head, width):
                counts[code] = counts.get(code, 0) + 1
        looks: list[tuple[float, tuple[int, ...]]] = []
        for code, count in counts.items():
            parts = [code // width**2, code // width % width, code % width]
            body = tuple(x - 1 for x in parts if x)
            ends = min(float(np.prod(self._branches[list(body)])), self.nodes)
            looks.append((-count / (ends + DOUBT), body))
        return [body for _, body in sorted(looks)[: self.effort.rules]]

    def _codes(self, x: Ints, y: Ints, head: int, width: int) -> list[int]:
        """One code per fact and kind of path between its ends."""
        row, one, at = self._all(x)
        near, last, before = self._all(y)
        last = (last + self.types) % (2 * self.types) + 1
        one = one + 1
        direct = (at == y[row]) & (one != head + 1)
        codes, rows = [one[direct]], [row[direct]]
        inside = at != y[row]
        row, one, at = row[inside], one[inside], at[inside]
        keep = before != x[near]
        near, last, before = near[keep], last[keep], before[keep]
        order = np.argsort(near * self.nodes + before, kind="stable")
        meeting, last = (near * self.nodes + before)[order], last[order]
        for length in range(2, self.effort.length + 1):
            if length == 3:
                if self._touching(at) > self.effort.at_once:
                    self.skipped[head] = self.skipped.get(head, 0) + 1
                    break
                more, two, end = self._all(at)
                keep = (end != x[row[more]]) & (end != y[row[more]])
                more = more[keep]
                row, one, at = row[more], one[more] * width + two[keep] + 1, end[keep]
            key = row * self.nodes + at
            first = np.searchsorted(meeting, key)
            count = np.searchsorted(meeting, key, side="right") - first
            if count.sum() > self.effort.at_once:
                self.skipped[head] = self.skipped.get(head, 0) + 1
                break
            codes.append(np.repeat(one, count) * width + last[_runs(first, count)])
            rows.append(np.repeat(row, count))
        code, fact = np.concatenate(codes), np.concatenate(rows)
        found: list[int] = (np.unique(code * len(x) + fact) // len(x)).tolist()
        return found

    def _features(self, concepts: Ints) -> tuple[Ints, Ints]:
        """(row, feature): e(x, d) as 1 + d, e(x, anything) as 0, per relation e."""
        row, relation, other = self._all(concepts)
        some = np.unique(row * 2 * self.types + relation)
        anything = some % (2 * self.types) * (self.nodes + 1)
        feature = relation * (self.nodes + 1) + 1 + other
        return (
            np.concatenate([row, some // (2 * self.types)]),
            np.concatenate([feature, anything]),
        )

    def _constant_rules(self, source: Ints, target: Ints, head: int) -> _Constants:
        concepts = np.unique(source)
        row, feature = self._features(concepts)
        order = np.argsort(source, kind="stable")
        first = np.searchsorted(source[order], concepts[row])
        count = np.searchsorted(source[order], concepts[row], side="right") - first
        says, truth = np.repeat(feature, count), target[order][_runs(first, count)]
        itself = says == head * (self.nodes + 1) + 1 + truth
        pair, hits = np.unique((says * self.nodes + truth)[~itself], return_counts=True)
        pair, hits = pair[hits > 1], hits[hits > 1]
        all_features, times = np.unique(feature, return_counts=True)
        of = pair // self.nodes
        sure = hits / (times[np.searchsorted(all_features, of)] + DOUBT)
        return _Constants(of, pair % self.nodes, sure.astype(np.float32))


def combined(best: Floats) -> NDArray[np.float64]:
    """What confidences are worth together: (BEST, n), each column falling -> (n,)."""
    total = np.zeros(best.shape[1])
    for place, sure in enumerate(best):
        total -= DECAY**place * np.log1p(-np.minimum(sure.astype(np.float64), _CERTAIN))
    return total


def _runs(first: Ints, count: Ints) -> Ints:
    """first[0], first[0] + 1, ... count[0] of them, then those of first[1], and so on."""
    ahead = np.cumsum(count) - count
    return np.arange(int(count.sum())) - np.repeat(ahead - first, count)


def _take(best: Floats, places: Ints, sure: Floats | np.float32) -> None:
    """Put confidences among the best of their places, each place once."""
    for level in best:
        old = level[places]
        level[places] = np.maximum(old, sure)
        sure = np.minimum(old, sure)
