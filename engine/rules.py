"""Rules: stratified forward chaining over typed facts, each with its best derivation.

A rule reads `grandparent(x, z) :- parent(x, y), parent(y, z), not estranged(x, z)`.  Names in the
brackets are variables.  A derived fact's p is the greatest product of its premises' p over all
derivations, so that no further rule or fact, in whatever order, lowers it.  Negated premises are
of types settled in a lower stratum, and hold if there is no such fact.

Facts are columns per type, and rules are joins of them: see chaining.py.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .chaining import Table, settle
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


class Closure(Mapping[Known, Derived]):
    """Facts that hold, with the best derivation of each; columns until one is looked at."""

    def __init__(self, given: Mapping[Known, float], rules: Sequence[Rule]) -> None:
        self.rules = sorted(rules, key=str)  # So that no order decides between equal derivations.
        ends = np.array([(x.source, x.target) for x in given], np.int64).reshape(-1, 2)
        nodes, flat = np.unique(ends, return_inverse=True)
        self._nodes: list[int] = nodes.tolist()
        self._place = {node: place for place, node in enumerate(self._nodes)}
        self._count = max(len(nodes), 1)
        keys = flat.reshape(-1, 2) @ np.array([self._count, 1])
        places: dict[str, list[int]] = defaultdict(list)
        for place, fact in enumerate(given):
            places[fact.type].append(place)
        for rule in rules:
            for atom in (rule.head, *rule.body, *rule.absent):
                places[atom.type]
        p = np.array(list(given.values()), np.float64)
        width = max((len(rule.body) for rule in rules), default=0)
        self._tables = {
            type: Table.given(keys[at], p[at], width)
            for type, some in sorted(places.items())
            for at in [np.array(some, np.int64)]
        }
        levels = _strata(rules)
        for level in sorted(set(levels.values())):
            chosen = [(i, x) for i, x in enumerate(self.rules) if levels[x.head.type] == level]
            settle(self._tables, chosen, self._count)

    def __len__(self) -> int:
        return sum(len(table.keys) for table in self._tables.values())

    def __iter__(self) -> Iterator[Known]:
        for type, table in self._tables.items():
            for key in table.keys.tolist():
                yield self._known(type, key)

    def __getitem__(self, fact: Known) -> Derived:
        source, target = self._place.get(fact.source), self._place.get(fact.target)
        table = self._tables.get(fact.type)
        if table is None or source is None or target is None:
            raise KeyError(fact)
        row = int(table.find(np.array([source * self._count + target]))[0])
        if row < 0:
            raise KeyError(fact)
        premises: list[int] = table.premises[row].tolist()
        return self._derived(float(table.p[row]), int(table.rule[row]), premises)

    def derived(self) -> Iterator[tuple[Known, Derived]]:
        """The facts that were not given, or are surer than they were given."""
        for type, table in self._tables.items():
            rows = np.flatnonzero(table.rule >= 0)
            keys, chances = table.keys[rows].tolist(), table.p[rows].tolist()
            because = zip(table.rule[rows].tolist(), table.premises[rows].tolist(), strict=True)
            for key, p, (number, premises) in zip(keys, chances, because, strict=True):
                yield self._known(type, key), self._derived(p, number, premises)

    def _known(self, type: str, key: int) -> Known:
        source, target = divmod(key, self._count)
        return Known(self._nodes[source], type, self._nodes[target])

    def _derived(self, p: float, number: int, premises: Sequence[int]) -> Derived:
        if number < 0:
            return Derived(p)
        rule = self.rules[number]
        known = [self._known(x.type, key) for x, key in zip(rule.body, premises, strict=False)]
        return Derived(p, rule, tuple(known))


def derive(given: Mapping[Known, float], rules: Sequence[Rule]) -> Closure:
    """All facts that hold, given ones too, with the best derivation of each.

    given: facts with p in (0, 1].  Raises InvalidError if negation goes around in a circle.
    """
    return Closure(given, rules)


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
