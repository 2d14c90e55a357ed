"""Spreading: Spread, the concepts that a walk from the selection meets most."""

from dataclasses import dataclass

import numpy as np

from ..associations import type_numbers
from ..bindings.ranks import rank_near
from ..errors import InvalidError
from ..query import Operator, set_tuples
from ..selection import Selection, as_rows
from ..snapshot import Snapshot

BUDGET_EDGES = 10_000_000


@dataclass(frozen=True)
class Spread(Operator[Snapshot]):
    """The rows and what a walk that restarts at them meets, by how often: personalised PageRank.

    The walk restarts with probability `alpha`, at a row by its score (at all alike where all are
    0), and else follows an association by its weight; where there are none it restarts, or `stays`.
    Scores: ranks in (0, 1], none above the true one, all of them together at most 1.  Column
    `short`: what all ranks together lack (the same in every row), so no rank lacks more.  A concept
    is left alone once what waits there is at most `eps` times its associations: with direction
    "both" and equal weights its rank lacks at most that.
    types: names to follow, None for all.  direction: out | in | both.  budget: associations touched
    before it stops and says that it is partial.  Cost: at most 1 / (alpha * eps) associations.
    Raises InvalidError for a score or a weight below 0, and for alpha or eps outside (0, 1].
    Source: Andersen, Chung and Lang 2006.
    """

    alpha: float = 0.15
    eps: float = 1e-4
    types: tuple[str, ...] | None = None
    direction: str = "out"
    stays: bool = False
    budget: int = BUDGET_EDGES

    def __post_init__(self) -> None:
        set_tuples(self, "types")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        shares = selection.scores
        if len(shares) and shares[-1] < 0:
            raise InvalidError("Spread wants scores of at least 0; put Above(0) in front")
        found = rank_near(
            view.graph,
            selection.ids,
            shares=shares if len(shares) and shares[0] > 0 else None,
            alpha=self.alpha,
            epsilon=self.eps,
            stays=self.stays,
            direction=self.direction,
            types=type_numbers(self.types, view.type_numbers()),
            budget_edges=self.budget,
        )
        ids = found.nodes.astype(np.uint64)
        return selection.derive(
            repr(self),
            ids,
            found.ranks,
            as_rows(selection, ids),
            columns={"short": np.full(len(ids), found.residual, np.float32)},
            cost={"edges": found.edges_touched},
            partial=found.partial,
            scale=(0.0, 1.0),
        )
