"""Explaining: Explain, the evidence of each row as a tree, with a receipt to compute it again."""

from dataclasses import dataclass

import numpy as np

from .. import belief, evidence, receipts
from ..explanations import explained
from ..query import Operator, set_tuples
from ..selection import Selection
from ..snapshot import Key, Snapshot


@dataclass(frozen=True)
class Explain(Operator[Snapshot]):
    """The rows, each with why it is believed to lead to the concepts `to`.

    Scores: as they were.  Columns: those of the rows, `explanation` (a tree of paths and of what
    all depends on, citing every association), `receipt` (JSON: what the belief was computed from;
    `Receipt.from_json(...)` computes it again, alone or on a view of the same snapshot number).
    Fields: as for Believe.
    """

    to: tuple[Key, ...] = ()
    hops: int = evidence.HOPS
    types: tuple[str, ...] | None = None
    direction: str = "out"
    cases: int = belief.CASES

    def __post_init__(self) -> None:
        set_tuples(self, "to", "types")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        n = len(selection)
        targets = sorted({view.existing(key) for key in self.to})
        shown, kept, facts = [""] * n, [""] * n, 0
        for row, node in enumerate(selection.ids.tolist() if targets else ()):
            made = receipts.receipt(
                view,
                [node],
                targets,
                types=self.types,
                hops=self.hops,
                direction=self.direction,
                cases=self.cases,
            )
            title = f"{made.sources[0]} leads to {', '.join(made.targets)}"
            shown[row] = explained(title, made.recompute(), receipt=made).text()
            kept[row] = made.to_json()
            facts += len(made.associations)
        return selection.derive(
            repr(self),
            selection.ids,
            selection.scores,
            np.arange(n, dtype=np.int64),
            columns={
                **selection.columns,
                "explanation": np.array(shown, np.str_),
                "receipt": np.array(kept, np.str_),
            },
            cost={"facts": facts},
            in_order=True,
        )
