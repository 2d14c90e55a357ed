"""Believing: Paths, Believe, Overturn. What leads to an answer, how surely, what it hangs on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import belief, evidence
from ..belief import Bounds
from ..bounding import Bounding
from ..errors import InvalidError
from ..facts import Network
from ..query import Operator, set_tuples
from ..selection import Selection, as_rows
from ..snapshot import Key, Snapshot

UNSHAKEN = 1 << 24
"""Score of what no removal can overturn."""


@dataclass(frozen=True)
class Paths(Operator[Snapshot]):
    """The concepts `to` (ids or node numbers), by the best path that leads there from the rows.

    Without `to`: the k concepts that the rows lead to best.
    Scores: the support of the best simple path of at most `hops` associations, the product of their
    probabilities (confidence x freshness), in (0, 1]; concepts that no path reaches are left out,
    and 1 for one that is itself a row.  Columns: `paths` (how many, at most k), `best` and `others`
    (as text, the others a line each), `length` (associations of the best).
    types: names to follow, None for all.  direction: "out", or "both" for either way.
    """

    to: tuple[Key, ...] = ()
    k: int = 5
    hops: int = evidence.HOPS
    types: tuple[str, ...] | None = None
    direction: str = "out"

    def __post_init__(self) -> None:
        set_tuples(self, "to", "types")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        starts = selection.ids.tolist()
        rows, scores, shown, partial, read = [], [], [], False, 0
        targets = sorted({view.existing(key) for key in self.to}) if starts else []
        if starts and not targets:
            targets, partial = evidence.reached(
                view, starts, self.k, hops=self.hops, types=self.types, direction=self.direction
            )
        for target in targets:
            if target in set(starts):
                rows.append((target, target))
                scores.append(1.0)
                shown.append((0, "", "", 0))
                continue
            net = evidence.seen(
                view,
                starts,
                [target],
                hops=self.hops,
                types=self.types,
                direction=self.direction,
            )
            chains, stopped = belief.best_chains(net, self.k, self.hops)
            partial, read = partial or stopped, read + len(net.facts)
            if chains:
                paths = [evidence.as_path(view, net, chain) for chain in chains]
                rows.append((target, view.node(paths[0].concepts[0])))
                scores.append(paths[0].support)
                others = "\n".join(map(str, paths[1:]))
                shown.append((len(paths), str(paths[0]), others, len(paths[0].links)))
        columns = list(zip(*shown, strict=True)) or [()] * 4
        return selection.derive(
            repr(self),
            np.array([node for node, _ in rows], np.uint64),
            np.array(scores, np.float32),
            as_rows(selection, np.array([start for _, start in rows], np.uint64)),
            columns={
                "paths": np.array(columns[0], np.int64),
                "best": np.array(columns[1], np.str_),
                "others": np.array(columns[2], np.str_),
                "length": np.array(columns[3], np.int64),
            },
            cost={"facts": read},
            partial=partial,
        )


@dataclass(frozen=True)
class Believe(Bounding, Operator[Snapshot]):
    """The rows, by how surely associations that hold lead from each to the concepts `to`.

    Scores: a lower bound of the probability, in [0, 1].  Columns: those of the rows, `upper` (an
    upper bound), `support` (of the best path), `paths` (how many share no association), `cut` (on
    how many associations all depends).  Bounds: see quillian.belief.  cases: effort to sharpen
    them; `improve` yields the answer as they sharpen.  direction: "out" follows associations from
    the rows, "both" either way.
    """

    to: tuple[Key, ...] = ()
    hops: int = evidence.HOPS
    types: tuple[str, ...] | None = None
    direction: str = "out"
    cases: int = belief.CASES

    def _answer(
        self, selection: Selection, nets: Sequence[Network], limits: Sequence[Bounds]
    ) -> Selection:
        n = len(selection)
        found = {x: np.zeros(n) for x in ("lower", "upper", "support", "paths", "cut", "facts")}
        for row, (net, bounds) in enumerate(zip(nets, limits, strict=True)):
            chains = belief.disjoint_chains(net)
            best = 1.0 if net.joined else chains[0].support if chains else 0.0
            found["lower"][row], found["upper"][row] = bounds.lower, bounds.upper
            found["support"][row], found["paths"][row] = best, len(chains)
            found["cut"][row], found["facts"][row] = len(belief.critical_cut(net)), len(net.facts)
        return selection.derive(
            repr(self),
            selection.ids,
            found["lower"].astype(np.float32),
            np.arange(n, dtype=np.int64),
            columns={
                **selection.columns,
                "upper": found["upper"],
                "support": found["support"],
                "paths": found["paths"].astype(np.int64),
                "cut": found["cut"].astype(np.int64),
            },
            cost={"facts": int(found["facts"].sum())},
            partial=any(net.partial for net in nets),
        )


@dataclass(frozen=True)
class Overturn(Operator[Snapshot]):
    """The rows, by how many associations must go before each is no longer believed to lead `to`.

    Scores: the size of the set whose removal brings the upper bound to `threshold` or below (0: no
    path is left); 0 for what is there already, 2^24 for what no removal can do.  Columns: those of
    the rows, `overturn` (the set, one association a line), `left` (the upper bound without it).
    by: "count" for the fewest associations, "doubt" for the set likeliest to be false.
    """

    to: tuple[Key, ...] = ()
    threshold: float = 0.0
    by: str = "count"
    hops: int = evidence.HOPS
    types: tuple[str, ...] | None = None
    direction: str = "out"

    def __post_init__(self) -> None:
        set_tuples(self, "to", "types")
        if self.by not in ("count", "doubt"):
            raise InvalidError(f"want by 'count' or 'doubt', got {self.by!r}")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        n = len(selection)
        sizes, left, facts = np.zeros(n, np.float32), np.zeros(n), 0
        sets = [""] * n
        nets = evidence.networks(
            view,
            selection.ids.tolist(),
            sorted({view.existing(key) for key in self.to}),
            hops=self.hops,
            types=self.types,
            direction=self.direction,
        )
        for row, net in enumerate(nets):
            found = evidence.overturn(view, net, threshold=self.threshold, by=self.by)
            facts += len(net.facts)
            sizes[row] = len(found.links) if found.possible else UNSHAKEN
            sets[row] = "\n".join(map(str, found.links))
            left[row] = found.after.upper
        return selection.derive(
            repr(self),
            selection.ids,
            sizes,
            np.arange(n, dtype=np.int64),
            columns={
                **selection.columns,
                "overturn": np.array(sets, np.str_),
                "left": left,
            },
            cost={"facts": facts},
        )
