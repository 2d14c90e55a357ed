"""Grouping: Communities, the parts of a selection that hold together."""

from dataclasses import dataclass

import numpy as np

from ..bindings.communities import leiden
from ..bindings.csr import Csr
from ..cutting import network_of
from ..errors import InvalidError
from ..query import Operator
from ..selection import Selection
from ..snapshot import Snapshot


@dataclass(frozen=True)
class Communities(Operator[Snapshot]):
    """The rows, with the community of each among the associations between them (Leiden).

    Scores: as they were.  Columns: those of the rows, and `community`, from 0 in order of the
    smallest node number in each; every community is connected.  resolution above 0: higher gives
    smaller ones.  Cost: linear in the associations among the rows.
    """

    resolution: float = 1.0
    seed: int = 0

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        if not self.resolution > 0:
            raise InvalidError(f"want a resolution above 0, got {self.resolution}")
        ids = selection.ids
        labels = np.zeros(len(ids), dtype=np.uint32)
        edges = 0
        if len(ids):
            net = network_of(view.graph, ids)
            weights = net.strengths.astype(np.float32)
            graph = Csr(net.graph.offsets, net.graph.targets, weights)
            found = leiden(graph, resolution=self.resolution, seed=self.seed)
            labels = found.labels[np.searchsorted(net.nodes, ids)]
            edges = graph.arcs
        return selection.derive(
            repr(self),
            ids,
            selection.scores,
            np.arange(len(ids), dtype=np.int64),
            columns={**selection.columns, "community": labels},
            cost={"edges": edges},
        )
