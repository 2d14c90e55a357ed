"""Disputing: Conflicts and Verify. What cannot all hold, and whether a claim does."""

from dataclasses import dataclass

import numpy as np

from .. import belief, evidence
from ..bindings.edges import Edges
from ..judgement import Declared, Triple, conflicts
from ..query import Operator
from ..selection import Selection
from ..snapshot import Key, Snapshot

VERDICTS = ("UNKNOWN", "SUPPORTED", "REFUTED")


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
        edges = view.graph.neighbours(selection.ids, direction="both")[0]
        facts = _triples(view, edges)
        lines: dict[int, list[str]] = {}
        for found in conflicts(set(facts), promises):
            shown = [
                f"{view.get(x.source).id} -{x.type}-> {view.get(x.target).id}" for x in found[1:]
            ]
            line = f"{found.kind}: {shown[0]} and {shown[1]}"
            for node in {x for fact in found[1:] for x in (fact.source, fact.target)}:
                lines.setdefault(node, []).append(line)
        rows = np.flatnonzero(np.isin(selection.ids, list(lines)))
        nodes = selection.ids[rows]
        told = [lines[int(node)] for node in nodes]
        return selection.derive(
            repr(self),
            nodes,
            np.array([len(x) for x in told], np.float32),
            rows.astype(np.int64),
            columns={"conflicts": np.array(["\n".join(x) for x in told], np.str_)},
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
        found = [self._verdict(view, node, target) for node in selection.ids.tolist()]
        return selection.derive(
            repr(self),
            selection.ids,
            np.array([score for _, score, _ in found], np.float32),
            np.arange(len(selection), dtype=np.int64),
            columns={
                **selection.columns,
                "verdict": np.array([verdict for verdict, _, _ in found], np.str_),
                "because": np.array([because for _, _, because in found], np.str_),
            },
        )

    def _verdict(self, view: Snapshot, source: int, target: int) -> tuple[str, float, str]:
        hops = evidence.HOPS if self.transitive else 1
        net = evidence.seen(view, [source], [target], types=(self.type,), hops=hops)
        if net.facts:
            chains, _ = belief.best_chains(net, 1, hops)
            if chains:
                because = str(evidence.as_path(view, net, chains[0]))
                return "SUPPORTED", belief.bounds(net).lower, because
        edges = view.graph.neighbours([source, target], direction="both")[0]
        valid = [x for x in _facts(view, edges) if self._denies(x, source, target)]
        if not valid:
            return "UNKNOWN", 0.0, ""
        first = max(valid, key=lambda x: (x[1], -x[0].source, -x[0].target))
        shown = f"{view.get(first[0].source).id} -{first[0].type}-> {view.get(first[0].target).id}"
        return "REFUTED", first[1], shown

    def _denies(self, given: tuple[Triple, float], source: int, target: int) -> bool:
        """Whether a fact and the claim cannot both hold."""
        fact, p = given
        if p <= 0:
            return False
        if fact.type == self.type:
            return (
                (self.functional and fact.source == source and fact.target != target)
                or (self.inverse and fact.target == target and fact.source != source)
                or (self.antisymmetric and (fact.source, fact.target) == (target, source))
            )
        return fact.type in self.exclusive and (fact.source, fact.target) == (source, target)


def _triples(view: Snapshot, edges: Edges) -> list[Triple]:
    return [
        Triple(source, view.type_name(type), target, details.get("since"), details.get("until"))
        for (source, target, type, _, _), details in zip(
            edges.tolist(), view.details(edges), strict=True
        )
    ]


def _facts(view: Snapshot, edges: Edges) -> list[tuple[Triple, float]]:
    """Triples with the probability that they hold at the view's moment."""
    chances = [fact.p for fact in evidence.facts_at(view, edges)]
    return list(zip(_triples(view, edges), chances, strict=True))
