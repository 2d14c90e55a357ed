"""Deriving: Derive, what rules make of the associations of a selection."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..associations import type_numbers
from ..evidence import facts_at
from ..query import Operator
from ..rules import Known, derive, parse
from ..selection import Selection
from ..snapshot import Snapshot


@dataclass(frozen=True)
class Derive(Operator[Snapshot]):
    """The rows of which rules derive something new from the associations among the rows.

    rules: such as "grandparent(x, z) :- parent(x, y), parent(y, z)"; premises may be negated with
    `not` where no type depends on its own absence; see quillian.rules.  Only associations valid at
    the view's last commit count.  Nothing is written.  Scores: the probability of the surest fact
    derived of the row, the product of its premises', in (0, 1].  Columns: `derived` (a line per
    fact that starts at the row, the surest first, with its premises).
    """

    rules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules))
        for rule in self.rules:
            parse(rule)

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        rules = [parse(rule) for rule in self.rules]
        used = sorted({atom.type for rule in rules for atom in (*rule.body, *rule.absent)})
        types = type_numbers(used, view.type_numbers())
        edges = view.graph.neighbours(selection.ids, types=types)[0]
        edges = edges[np.isin(edges["target"], selection.ids)]
        given = {
            Known(fact.source, view.type_name(fact.type), fact.target): fact.p
            for fact in facts_at(view, edges)
            if fact.p > 0
        }
        lines: dict[int, list[tuple[float, str]]] = {}
        ids = {concept.node: concept.id for concept in selection.concepts()}
        for fact, derived in derive(given, rules).derived():
            because = ", ".join(_shown(ids, x) for x in derived.premises)
            line = f"{_shown(ids, fact)} ({derived.p:.3f}) because {because}"
            lines.setdefault(fact.source, []).append((-derived.p, line))
        rows = np.flatnonzero(np.isin(selection.ids, list(lines)))
        told = [sorted(lines[int(node)]) for node in selection.ids[rows]]
        return selection.derive(
            repr(self),
            selection.ids[rows],
            np.array([-found[0][0] for found in told], np.float32),
            rows.astype(np.int64),
            columns={
                "derived": np.array(["\n".join(line for _, line in x) for x in told], np.str_)
            },
            cost={"facts": len(given)},
        )


def _shown(ids: Mapping[int, str], fact: Known) -> str:
    return f"{ids[fact.source]} -{fact.type}-> {ids[fact.target]}"
