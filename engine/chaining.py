"""Chaining: rules applied to columns of facts until nothing rises.

Semi-naive (Bancilhon 1986): a rule is applied again only to facts that were new or rose in the
round before, each in turn at every premise, joined with all others through sorted columns.  A
fact's p is the greatest product over its derivations; since no product is above a premise, values
rise to a fixpoint and stop.  A derivation is replaced only by a strictly better one, so the
premises of every fact are settled without it: no derivation runs in a circle.

Facts of one type are sorted by key = source * nodes + target.  Joins that would be long are cut
into pieces of at most PIECE rows, which bounds the memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
PIECE = 1 << 21


class Atom(Protocol):
    """What is needed of a premise or a head."""

    @property
    def source(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def target(self) -> str: ...


class Rule(Protocol):
    """What is needed of a rule."""

    @property
    def head(self) -> Atom: ...

    @property
    def body(self) -> Sequence[Atom]: ...

    @property
    def absent(self) -> Sequence[Atom]: ...


@dataclass(slots=True)
class Table:
    """Facts of one type by key.  rule: position of the rule of the best derivation, -1 for a given
    fact; premises (m, w): the keys of its premises, in the order of the rule's body."""

    keys: Ints
    p: Floats
    rule: Ints
    premises: Ints
    _by_target: tuple[Ints, Ints] | None = field(default=None)

    @classmethod
    def given(cls, keys: Ints, p: Floats, width: int) -> "Table":
        """Facts without derivations; of equal keys the surest stays."""
        order = np.lexsort((-p, keys))
        keys, p = keys[order], p[order]
        first = _first(keys)
        n = int(first.sum())
        return cls(keys[first], p[first], np.full(n, -1), np.full((n, width), -1))

    def find(self, keys: Ints) -> Ints:
        """Where each key stands, -1 where it does not."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1)

    def by_target(self, nodes: int) -> tuple[Ints, Ints]:
        """The targets in order, and where the fact of each stands."""
        if self._by_target is None:
            targets = self.keys % nodes
            order = np.argsort(targets, kind="stable")
            self._by_target = targets[order], order
        return self._by_target

    def raised(self, keys: Ints, p: Floats, rule: int, premises: Ints) -> Ints:
        """Take in facts with distinct keys, each new or better than it was; returns the keys."""
        at = self.find(keys)
        old = at >= 0
        places = at[old]
        self.p[places], self.rule[places] = p[old], rule
        self.premises[places] = -1
        self.premises[places, : premises.shape[1]] = premises[old]
        if not old.all():
            self._insert(keys[~old], p[~old], rule, premises[~old])
        return keys

    def _insert(self, keys: Ints, p: Floats, rule: int, premises: Ints) -> None:
        wide = np.full((len(keys), self.premises.shape[1]), -1)
        wide[:, : premises.shape[1]] = premises
        at = np.searchsorted(self.keys, keys)
        self.keys = np.insert(self.keys, at, keys)
        self.p = np.insert(self.p, at, p)
        self.rule = np.insert(self.rule, at, rule)
        self.premises = np.insert(self.premises, at, wide, axis=0)
        self._by_target = None


@dataclass(slots=True)
class _Rows:
    """Partial matches of a rule: what each variable is, and the premises found so far."""

    values: dict[str, Ints]
    found: dict[int, Ints]  # Place in the body -> keys of the premise; places in tables change.

    def take(self, rows: Ints) -> "_Rows":
        return _Rows(
            {name: x[rows] for name, x in self.values.items()},
            {place: x[rows] for place, x in self.found.items()},
        )


def settle(tables: Mapping[str, Table], rules: Sequence[tuple[int, Rule]], nodes: int) -> None:
    """Raise the tables to the least fixpoint of one stratum's rules, each with its number.

    Tables of all types in the rules must be there; absent premises are looked up as they are now.
    """
    fixed = {atom.type: tables[atom.type].keys for _, rule in rules for atom in rule.absent}
    fresh = {atom.type: tables[atom.type].keys for _, rule in rules for atom in rule.body}
    while fresh:
        risen: dict[str, list[Ints]] = {}
        for number, rule in rules:
            for place, atom in enumerate(rule.body):
                if len(fresh.get(atom.type, ())):
                    for made in _applied(tables, rule, place, fresh[atom.type], nodes):
                        keys = _raise(tables, rule, number, made, fixed, nodes)
                        risen.setdefault(rule.head.type, []).append(keys)
        fresh = {type: np.unique(np.concatenate(keys)) for type, keys in risen.items()}
        fresh = {type: keys for type, keys in fresh.items() if len(keys)}


def _applied(
    tables: Mapping[str, Table], rule: Rule, place: int, fresh: Ints, nodes: int
) -> Iterator[_Rows]:
    """All matches of a rule whose premise at a place is one of some facts."""
    start = _bound(_Rows({}, {place: fresh}), rule.body[place], fresh, nodes)
    yield from _extended(tables, rule, start, _order(rule, place), nodes)


def _extended(
    tables: Mapping[str, Table], rule: Rule, rows: _Rows, left: Sequence[int], nodes: int
) -> Iterator[_Rows]:
    """Matches with the premises that are left, a piece at a time."""
    if not left:
        yield rows
        return
    for piece in _joined(tables[rule.body[left[0]].type], rows, left[0], rule, nodes):
        yield from _extended(tables, rule, piece, left[1:], nodes)


def _order(rule: Rule, first: int) -> list[int]:
    """The other premises, each sharing a variable with those before it where one does."""
    known = {rule.body[first].source, rule.body[first].target}
    left = [place for place in range(len(rule.body)) if place != first]
    found = []
    while left:
        shared = [len(known & {rule.body[x].source, rule.body[x].target}) for x in left]
        place = left.pop(shared.index(max(shared)))
        known |= {rule.body[place].source, rule.body[place].target}
        found.append(place)
    return found


def _bound(rows: _Rows, atom: Atom, keys: Ints, nodes: int) -> _Rows:
    """Rows with an atom's variables bound to facts, where they agree."""
    source, target = np.divmod(keys, nodes)
    fits = np.ones(len(keys), np.bool_)
    values = dict(rows.values)
    for name, ends in ((atom.source, source), (atom.target, target)):
        if name in values:
            fits &= values[name] == ends
        else:
            values[name] = ends
    made = _Rows(values, rows.found)
    return made if fits.all() else made.take(np.flatnonzero(fits))


def _joined(table: Table, rows: _Rows, place: int, rule: Rule, nodes: int) -> Iterator[_Rows]:
    """Rows with one more premise, in pieces; the table may grow between them."""
    atom = rule.body[place]
    source, target = rows.values.get(atom.source), rows.values.get(atom.target)
    if source is not None and target is not None:
        wanted = source * nodes + target
        kept = np.flatnonzero(table.find(wanted) >= 0)
        yield _Rows(rows.values, {**rows.found, place: wanted}).take(kept)
        return
    keys = table.keys
    if source is not None:
        start = np.searchsorted(keys, source * nodes)
        count = np.searchsorted(keys, (source + 1) * nodes) - start
    elif target is not None:
        ends, places = table.by_target(nodes)
        keys = keys[places]
        start = np.searchsorted(ends, target)
        count = np.searchsorted(ends, target, side="right") - start
    else:
        n = len(next(iter(rows.values.values())))
        start, count = np.zeros(n, np.int64), np.full(n, len(keys))
    for piece in _pieces(count):
        repeated = np.repeat(piece, count[piece])
        ahead = np.cumsum(count[piece]) - count[piece]
        found = keys[np.arange(len(repeated)) - np.repeat(ahead - start[piece], count[piece])]
        more = rows.take(repeated)
        more.found[place] = found
        yield _bound(more, atom, found, nodes)


def _pieces(count: Ints) -> Iterator[Ints]:
    """Rows in runs that become at most PIECE rows each, or one row."""
    ends = np.cumsum(count)
    first = 0
    while first < len(count):
        before = int(ends[first - 1]) if first else 0
        after = max(int(np.searchsorted(ends, before + PIECE, side="right")), first + 1)
        yield np.arange(first, after)
        first = after


def _raise(
    tables: Mapping[str, Table],
    rule: Rule,
    number: int,
    rows: _Rows,
    fixed: Mapping[str, Ints],
    nodes: int,
) -> Ints:
    """Take in what matches say, where it is new or surer; returns the keys of that."""
    head = tables[rule.head.type]
    keys = rows.values[rule.head.source] * nodes + rows.values[rule.head.target]
    p = np.ones(len(keys))
    for place, atom in enumerate(rule.body):
        p *= tables[atom.type].p[tables[atom.type].find(rows.found[place])]
    at = head.find(keys)
    better = p > (np.where(at >= 0, head.p[at], 0.0) if len(head.keys) else 0.0)
    for atom in rule.absent:
        gone = rows.values[atom.source] * nodes + rows.values[atom.target]
        better &= ~np.isin(gone, fixed[atom.type])
    chosen = np.flatnonzero(better)
    chosen = chosen[np.lexsort((-p[chosen], keys[chosen]))]
    chosen = chosen[_first(keys[chosen])]
    premises = np.stack([rows.found[i][chosen] for i in range(len(rule.body))], axis=1)
    return head.raised(keys[chosen], p[chosen], number, premises)


def _first(keys: Ints) -> NDArray[np.bool_]:
    """Which of sorted keys are the first of their kind."""
    first = np.ones(len(keys), np.bool_)
    first[1:] = keys[1:] != keys[:-1]
    return first
