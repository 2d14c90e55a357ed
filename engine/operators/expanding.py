"""Expanding: Expand, the neighbourhood of a selection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..associations import type_numbers
from ..bindings.limits import NONE
from ..errors import InvalidError
from ..query import Operator, set_tuples
from ..selection import Selection
from ..snapshot import Snapshot

BUDGET_EDGES = 10_000_000


@dataclass(frozen=True)
class Expand(Operator[Snapshot]):
    """The rows and everything within `hops` associations of them, each concept once.

    Visited-set semantics: a concept is reached at its smallest hop.  Scores: the row's own for the
    rows themselves; else the best, over shortest-hop paths, of the start's score times weight times
    `discount` per hop.  Columns: `hop` (0 for the rows themselves), `via` (name of the association
    type taken, "" for them), `parent` (node it was reached from; the node itself for them).
    types: names to follow, None for all.  direction: out | in | both.  budget: associations touched
    before it stops and says that it is partial.  where: a condition as in `Where`; concepts that do
    not satisfy it are not entered, so nothing is reached through them either; the rows stay.
    (A `Where` after it filters what was reached, whatever lies between.)
    """

    hops: int = 1
    types: tuple[str, ...] | None = None
    direction: str = "out"
    discount: float = 0.5
    budget: int = BUDGET_EDGES
    where: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        set_tuples(self, "types")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        if not 0 < self.discount <= 1:
            raise InvalidError(f"want a discount in (0, 1], got {self.discount}")
        reached = view.graph.expand(
            selection.ids,
            scores=selection.scores,
            hops=self.hops,
            direction=self.direction,
            types=type_numbers(self.types, view.type_numbers()),
            allowed=None if self.where is None else view.matching(self.where),
            discount=self.discount,
            budget_edges=self.budget,
        )
        starts = len(selection)
        positions = np.arange(len(reached.nodes), dtype=np.int64)
        parents = np.where(reached.parents == NONE, positions, reached.parents).astype(np.int64)
        rows = parents
        for _ in range(1, self.hops):  # From parent to parent, until all stand at their start.
            rows = parents[rows]
        via = [view.type_name(number) for number in reached.types[starts:].tolist()]
        return selection.derive(
            repr(self),
            reached.nodes.astype(np.uint64),
            reached.scores,
            rows,
            columns={
                "hop": reached.hops,
                "via": np.array([""] * starts + via, dtype=np.str_),
                "parent": reached.nodes[parents].astype(np.uint64),
            },
            cost={"edges": reached.edges_touched},
            partial=reached.partial,
        )
