"""Rules: stratified forward chaining over typed facts, each with its best derivation.

A rule reads `grandparent(x, z) :- parent(x, y), parent(y, z), not estranged(x, z)`.  Names in the
brackets are variables.  A derived fact's p is the greatest product of its premises' p over all
derivations, so that no further rule or fact, in whatever order, lowers it.  Negated premises are
of types settled in a lower stratum, and hold if there is no such fact.

The greatest products are settled best first, as Dijkstra's distances are: a fact taken from the
heap has its final p, since every product of more premises is at most as great (Knuth 1977).  Each
rule meets a settled fact at each of its premises and joins the others through indexes.
"""

import heapq
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .errors import InvalidError

_ATOM = re.compile(r"\s*(not\s+)?(\w+)\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)\s*")


class Known(NamedTuple):
    """A typed fact."""

    source: int
    type: str
    target: int


class Atom(NamedTuple):
    """A typed fact between variables."""

    source: str
    type: str
    target: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`head` holds where all of `body` does and none of `absent`."""

    head: Atom
    body: tuple[Atom, ...]
    absent: tuple[Atom, ...] = ()

    def __str__(self) -> str:
        shown = [f"{x.type}({x.source}, {x.target})" for x in (self.head, *self.body)]
        shown += [f"not {x.type}({x.source}, {x.target})" for x in self.absent]
        return f"{shown[0]} :- {', '.join(shown[1:])}"


@dataclass(frozen=True, slots=True)
class Derived:
    """A fact's p and the rule and premises of its best derivation; no rule: it was given."""

    p: float
    rule: Rule | None = None
    premises: tuple[Known, ...] = ()


def parse(text: str) -> Rule:
    """The rule that a text states; InvalidError if it states none, or a variable has no premise."""
    head, found, rest = text.partition(":-")
    atoms: list[tuple[bool, Atom]] = []
    at = 0
    while match := _ATOM.match(rest, at):
        atoms.append((bool(match[1]), Atom(match[3], match[2], match[4])))
        at = match.end()
        if rest[at : at + 1] != ",":
            break
        at += 1
    start = _ATOM.fullmatch(head)
    if not found or start is None or start[1] or not atoms or at != len(rest) or rest.endswith(","):
        raise InvalidError(f"want a rule such as 'a(x, z) :- b(x, y), c(y, z)', got {text!r}")
    rule = Rule(
        Atom(start[3], start[2], start[4]),
        tuple(atom for negated, atom in atoms if not negated),
        tuple(atom for negated, atom in atoms if negated),
    )
    bound = {x for atom in rule.body for x in (atom.source, atom.target)}
    loose = {x for atom in (rule.head, *rule.absent) for x in (atom.source, atom.target)} - bound
    if loose:
        raise InvalidError(f"want every variable in a premise, got {sorted(loose)} in {text!r}")
    return rule


def derive(given: Mapping[Known, float], rules: Sequence[Rule]) -> dict[Known, Derived]:
    """All facts that hold, given ones too, with the best derivation of each.

    given: facts with p in (0, 1].  Raises InvalidError if negation goes around in a circle.
    """
    facts = {fact: Derived(p) for fact, p in given.items()}
    levels = _strata(rules)
    for level in sorted(set(levels.values())):
        chosen = [rule for rule in rules if levels[rule.head.type] == level]
        if chosen:
            facts = _settle(facts, chosen)
    return facts


def _strata(rules: Sequence[Rule]) -> dict[str, int]:
    """Level of every type: not below its premises', above those that it negates."""
    types = {x.type for rule in rules for x in (rule.head, *rule.body, *rule.absent)}
    level = dict.fromkeys(types, 0)
    for _ in range(len(types) + 1):
        before = dict(level)
        for rule in rules:
            needs = [level[x.type] for x in rule.body] + [level[x.type] + 1 for x in rule.absent]
            level[rule.head.type] = max(level[rule.head.type], *needs)
        if level == before:
            return level
    raise InvalidError("want rules in which no type depends on its own absence")


class _Index:
    """Settled facts by type, and by type and either end."""

    def __init__(self) -> None:
        self.p: dict[Known, float] = {}
        self._of: dict[tuple[str, int | None, int | None], list[Known]] = defaultdict(list)

    def add(self, fact: Known, p: float) -> None:
        self.p[fact] = p
        for key in ((None, None), (fact.source, None), (None, fact.target)):
            self._of[fact.type, *key].append(fact)

    def matching(self, type: str, source: int | None, target: int | None) -> Sequence[Known]:
        if source is not None and target is not None:
            fact = Known(source, type, target)
            return (fact,) if fact in self.p else ()
        return self._of.get((type, source, target), ())


def _settle(facts: dict[Known, Derived], rules: Sequence[Rule]) -> dict[Known, Derived]:
    """The least fixpoint of one stratum, settled best first."""
    best = dict(facts)
    heap = [(-known.p, fact) for fact, known in facts.items()]
    heapq.heapify(heap)
    index = _Index()
    meeting: dict[str, list[tuple[Rule, int]]] = defaultdict(list)
    for rule in rules:
        for place, atom in enumerate(rule.body):
            meeting[atom.type].append((rule, place))
    while heap:
        p, fact = heapq.heappop(heap)
        if fact in index.p:
            continue
        index.add(fact, -p)
        for rule, place in meeting.get(fact.type, ()):
            for values, premises in _joined(rule, place, fact, index):
                made = Known(values[rule.head.source], rule.head.type, values[rule.head.target])
                chance = 1.0
                for premise in premises:
                    chance *= index.p[premise]
                gone = any(
                    Known(values[x.source], x.type, values[x.target]) in facts for x in rule.absent
                )
                if made not in index.p and not gone and (
                    made not in best or best[made].p < chance
                ):  # fmt: skip
                    best[made] = Derived(chance, rule, premises)
                    heapq.heappush(heap, (-chance, made))
    return best


def _joined(
    rule: Rule, place: int, fact: Known, index: _Index
) -> Iterator[tuple[dict[str, int], tuple[Known, ...]]]:
    """Every way in which settled facts are the premises of a rule, one of them given."""

    def extend(
        at: int, values: dict[str, int], premises: tuple[Known, ...]
    ) -> Iterator[tuple[dict[str, int], tuple[Known, ...]]]:
        if at == len(rule.body):
            yield values, premises
            return
        atom = rule.body[at]
        ends = values.get(atom.source), values.get(atom.target)
        found = (fact,) if at == place else index.matching(atom.type, *ends)
        for other in list(found):
            bound = _bind(atom, other, values)
            if bound is not None:
                yield from extend(at + 1, bound, (*premises, other))

    start = _bind(rule.body[place], fact, {})
    if start is not None:
        yield from extend(0, start, ())


def _bind(atom: Atom, fact: Known, values: dict[str, int]) -> dict[str, int] | None:
    """The values with an atom's variables bound to a fact; None where they differ."""
    bound = dict(values)
    for name, node in ((atom.source, fact.source), (atom.target, fact.target)):
        if bound.setdefault(name, node) != node:
            return None
    return bound
