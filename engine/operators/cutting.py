"""Cutting: Boundary, Cut, Tie. Where a selection ends, where it breaks, what it hangs on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..associations import type_numbers
from ..bindings.flow import Flow
from ..bindings.measures import strengths
from ..cutting import Network, lightest_cut, network_of
from ..errors import InvalidError
from ..query import Operator, set_tuples
from ..selection import Selection
from ..snapshot import Key, Snapshot


@dataclass(frozen=True)
class Boundary(Operator[Snapshot]):
    """The concepts just outside the selection, by how much of it they touch.

    Scores: the sum of the weights of the associations between the concept and the rows, both
    directions; above 0.  Columns: `touching` (how many of those associations), `inside` (node
    number of the row tied to it most).  types: names to look at, None for all.
    """

    types: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        set_tuples(self, "types")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        types = type_numbers(self.types, view.type_numbers())
        edges = view.graph.neighbours(selection.ids, direction="both", types=types)[0]
        out = np.isin(edges["source"], selection.ids)
        crossing = (out != np.isin(edges["target"], selection.ids)) & (edges["weight"] > 0)
        edges, out = edges[crossing], out[crossing]
        inside = np.where(out, edges["source"], edges["target"]).astype(np.uint64)
        outside = np.where(out, edges["target"], edges["source"]).astype(np.uint64)
        nodes, place = np.unique(outside, return_inverse=True)
        weights = edges["weight"].astype(np.float64)
        best = np.lexsort((-inside.astype(np.int64), weights, place))  # Last of each group wins.
        nearest = np.zeros(len(nodes), dtype=np.uint64)
        nearest[place[best]] = inside[best]
        order = np.argsort(selection.ids)
        rows = order[np.searchsorted(selection.ids, nearest, sorter=order)]
        return selection.derive(
            repr(self),
            nodes,
            np.bincount(place, weights, minlength=len(nodes)).astype(np.float32),
            rows.astype(np.int64),
            columns={
                "touching": np.bincount(place, minlength=len(nodes)),
                "inside": nearest,
            },
            cost={"edges": len(crossing)},
        )


@dataclass(frozen=True)
class Cut(Operator[Snapshot]):
    """The rows, with the lightest cut between them: where the selection falls in two.

    The cut is that of the associations among the rows, between `source` and `target` (ids or node
    numbers, both among the rows) if they are given.  Exact.  Scores: the weight of the cut's
    associations at the row, 0 away from it; they sum to twice the value.  Columns: `side` (1 for
    the smaller part, 0 for the other).  Fewer than two rows have no cut: all 0.
    """

    source: Key | None = None
    target: Key | None = None

    def __post_init__(self) -> None:
        if (self.source is None) != (self.target is None):
            raise InvalidError("want a source and a target, or neither")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        ids = selection.ids
        weights, side = np.zeros(len(ids)), np.zeros(len(ids), dtype=np.uint8)
        edges = 0
        if len(ids) > 1:
            net = network_of(view.graph, ids)
            edges = net.graph.arcs
            ends = [None if key is None else view.node(key) for key in (self.source, self.target)]
            cut = lightest_cut(net, *ends)
            side[:] = np.isin(ids, cut.side)
            weights = _weights_at(net, np.isin(net.nodes, cut.side))
            weights = weights[np.searchsorted(net.nodes, ids)]
        rows = np.arange(len(ids), dtype=np.int64)
        return selection.derive(
            repr(self),
            ids,
            weights.astype(np.float32),
            rows,
            columns={"side": side},
            cost={"edges": edges},
        )


@dataclass(frozen=True)
class Tie(Operator[Snapshot]):
    """The rows, by how strongly each is tied to some concepts through the selection.

    Scores: the weight of the lightest cut between the row and the concepts `to` (ids or node
    numbers), over the weight at the lighter of the two; in [0, 1], 1 for the concepts themselves.
    Paths run among the rows and `to` only.  Cost: one flow per row.
    """

    to: tuple[Key, ...] = ()

    def __post_init__(self) -> None:
        set_tuples(self, "to")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        ids = selection.ids
        scores = np.zeros(len(ids))
        edges = 0
        if len(ids) and self.to:
            anchors = np.unique(np.array([view.get(key).node for key in self.to], dtype=np.uint64))
            net = network_of(view.graph, np.union1d(ids, anchors))
            flow = Flow(net.graph)
            goals = net.positions(anchors)
            volumes = strengths(net.graph)
            whole = volumes[goals].sum()
            for i, place in enumerate(np.searchsorted(net.nodes, ids).tolist()):
                lighter = min(volumes[place], whole)
                if place in goals:
                    scores[i] = 1.0
                elif lighter > 0:
                    found = flow.cut(place, goals)
                    scores[i] = min(found.value / lighter, 1.0)
                    edges += found.edges
        rows = np.arange(len(ids), dtype=np.int64)
        return selection.derive(
            repr(self), ids, scores.astype(np.float32), rows, cost={"edges": edges}
        )


def _weights_at(net: Network, side: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Per position the weight of its edges that cross a cut, (n,)."""
    sources = np.repeat(np.arange(net.graph.n), np.diff(net.graph.offsets).astype(np.int64))
    across = side[sources] != side[net.graph.targets]
    sums = np.bincount(sources[across], net.strengths[across], minlength=net.graph.n)
    return np.asarray(sums, np.float64)
