"""Disputing: Conflicts and Verify. What cannot all hold, and whether a claim does."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .. import belief, evidence
from ..associations import type_numbers
from ..bindings.edges import Edges
from ..facts import Fact
from ..judgement import Declared, Triple, overlapping, rivals
from ..query import Operator
from ..selection import Selection
from ..snapshot import Key, Snapshot

Verdict = tuple[str, float, str]
"""UNKNOWN, SUPPORTED or REFUTED; a lower bound of what decides; and what that is."""


@dataclass(frozen=True)
class Conflicts(Operator[Snapshot]):
    """The concepts of the selection whose associations cannot all hold.

    functional: types with one target per source; inverse: one source per target; antisymmetric:
    never both ways; exclusive: pairs of types that never hold between the same two.  Only
    associations that leave or enter a row count, and only while both are valid.  Scores: how many
    conflicts the row has a part in.  Columns: `conflicts` (a line each).
    """

    functional: tuple[str, ...] = ()
    inverse: tuple[str, ...] = ()
    antisymmetric: tuple[str, ...] = ()
    exclusive: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("functional", "inverse", "antisymmetric"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "exclusive", tuple((a, b) for a, b in self.exclusive))

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        promises = Declared(self.functional, self.inverse, self.antisymmetric, self.exclusive)
        names = {*self.functional, *self.inverse, *self.antisymmetric, *sum(self.exclusive, ())}
        types = type_numbers(sorted(names), view.type_numbers())
        edges = np.unique(view.graph.neighbours(selection.ids, direction="both", types=types)[0])
        source, type, target = (edges[x].astype(np.int64) for x in ("source", "type", "target"))
        pairs = rivals(source, type, target, view.type_numbers(), promises)
        used = sorted({row for _, first, second in pairs for row in (first, second)})
        facts = dict(zip(used, _triples(view, edges[used]), strict=True))
        ends = {node for fact in facts.values() for node in (fact.source, fact.target)}
        ids = {node: view.get(node).id for node in sorted(ends)}
        told: dict[int, list[str]] = {}
        for kind, first, second in pairs:
            one, other = facts[first], facts[second]
            if overlapping(one, other):
                line = f"{kind}: {_shown(ids, one)} and {_shown(ids, other)}"
                for node in {one.source, one.target, other.source, other.target}:
                    told.setdefault(node, []).append(line)
        rows = np.flatnonzero(np.isin(selection.ids, list(told)))
        nodes = selection.ids[rows]
        lines = [told[node] for node in nodes.tolist()]
        return selection.derive(
            repr(self),
            nodes,
            np.array([len(x) for x in lines], np.float32),
            rows.astype(np.int64),
            columns={"conflicts": np.array(["\n".join(x) for x in lines], np.str_)},
            cost={"edges": len(edges)},
        )


@dataclass(frozen=True)
class Verify(Operator[Snapshot]):
    """The rows, with a verdict on the claim that each has an association of `type` to `target`.

    SUPPORTED: it is there, or, if the type is transitive, a chain of it is.  REFUTED: what is there
    and valid cannot hold together with it, as functional, inverse, antisymmetric and exclusive
    say.  UNKNOWN else.  Scores: a lower bound of the probability that what decides holds, 0 for
    UNKNOWN.  Columns: those of the rows, `verdict`, `because` (the association or path).
    """

    type: str
    target: Key
    transitive: bool = False
    functional: bool = False
    inverse: bool = False
    antisymmetric: bool = False
    exclusive: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclusive", tuple(self.exclusive))

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        target = view.existing(self.target)
        found = self._supported(view, selection, target)
        left = [node for node in selection.ids.tolist() if node not in found]
        found |= self._refuted(view, left, target)
        told = [found.get(node, ("UNKNOWN", 0.0, "")) for node in selection.ids.tolist()]
        return selection.derive(
            repr(self),
            selection.ids,
            np.array([score for _, score, _ in told], np.float32),
            np.arange(len(selection), dtype=np.int64),
            columns={
                **selection.columns,
                "verdict": np.array([verdict for verdict, _, _ in told], np.str_),
                "because": np.array([because for _, _, because in told], np.str_),
            },
        )

    def _supported(self, view: Snapshot, selection: Selection, target: int) -> dict[int, Verdict]:
        """The rows that a path leads from; only those within reach are looked at one by one."""
        hops = evidence.HOPS if self.transitive else 1
        types = type_numbers((self.type,), view.type_numbers())
        near = view.graph.expand([target], hops=hops, direction="in", types=types).nodes
        found: dict[int, Verdict] = {}
        for node in selection.ids[np.isin(selection.ids, near)].tolist():
            net = evidence.seen(view, [node], [target], types=(self.type,), hops=hops)
            chains, _ = belief.best_chains(net, 1, hops)
            if chains and chains[0].facts:
                because = str(evidence.as_path(view, net, chains[0]))
                found[node] = "SUPPORTED", belief.bounds(net).lower, because
        return found

    def _refuted(self, view: Snapshot, nodes: list[int], target: int) -> dict[int, Verdict]:
        """The rows that a valid association denies, by the surest one."""
        types = type_numbers((self.type, *self.exclusive), view.type_numbers())
        leaving = view.graph.neighbours([*nodes, target], types=types)[0]
        entering = view.graph.neighbours([target], direction="in", types=types)[0]
        facts = evidence.facts_at(view, np.unique(np.concatenate([leaving, entering])))
        surest = sorted(facts, key=lambda x: (-x.p, x.source, x.target))
        own, inverse = view.type_numbers().get(self.type, -1), []
        best: dict[int, Fact] = {}
        for fact in (x for x in surest if x.p > 0):
            if fact.type != own:
                denies = fact.target == target
            else:
                denies = self.functional and fact.target != target
                if self.inverse and fact.target == target:
                    inverse.append(fact)
                if self.antisymmetric and fact.source == target:
                    best.setdefault(fact.target, fact)
            if denies:
                best.setdefault(fact.source, fact)
        found: dict[int, Verdict] = {}
        shown: dict[Fact, str] = {}
        for node in nodes:
            rivals_of = [x for x in inverse[:2] if x.source != node][:1]
            known = [x for x in (best.get(node), *rivals_of) if x is not None]
            if known:
                fact = min(known, key=lambda x: (-x.p, x.source, x.target))
                if fact not in shown:
                    shown[fact] = str(evidence.as_link(view, fact))
                found[node] = "REFUTED", fact.p, shown[fact]
        return found


def _triples(view: Snapshot, edges: Edges) -> list[Triple]:
    return [
        Triple(source, view.type_name(type), target, details.get("since"), details.get("until"))
        for (source, target, type, _, _), details in zip(
            edges.tolist(), view.details(edges), strict=True
        )
    ]


def _shown(ids: Mapping[int, str], fact: Triple) -> str:
    return f"{ids[fact.source]} -{fact.type}-> {ids[fact.target]}"
