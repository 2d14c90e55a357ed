"""Spiking: Spike, spreading activation with thresholds, inhibition and rests."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..query import Operator, set_tuples
from ..selection import Selection
from ..snapshot import Snapshot
from ..spiking import Ids, Network


@dataclass(frozen=True)
class Spike(Operator[Snapshot]):
    """Inject a potential into the rows, run bursts, and return the concepts that fired.

    Concepts are neurons and associations synapses (see quillian.spiking): one of weight 1 adds 1 to
    the potential of its target, in steps of 1/resolution and at most 255 of them, one burst after
    its source fired.  Scores: how often a concept fired.  Columns: `first` (burst of its first
    firing; the rows are injected into burst 1), `via` (node from which the strongest synapse came
    that made it fire first; the node itself where none did), `strength` (what that synapse sent, 0
    where none did).  A row's trail leads along `via` to the row it came from.

    types: association types to follow, None for all.  inhibitory: types that inhibit; so do
    negative weights.  potential: what each row gets.  threshold, leak, refractory, fire_limit,
    snooze, excitability: as of quillian.spiking.Network.  seed: of the draws of excitability.
    """

    bursts: int = 10
    types: tuple[str, ...] | None = None
    inhibitory: tuple[str, ...] = ()
    potential: float = 1.0
    threshold: float = 0.5
    leak: float = 0.1
    refractory: int = 1
    fire_limit: int = 0
    snooze: int = 0
    excitability: float = 1.0
    resolution: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        set_tuples(self, "types", "inhibitory")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        if len(selection) == 0:
            return selection.derive(repr(self), selection.ids, selection.scores)
        network = Network.from_snapshot(
            view,
            types=self.types,
            inhibitory=self.inhibitory,
            scale=self.resolution,
            threshold=self.threshold * self.resolution,
            leak=self.leak,
            refractory=self.refractory,
            fire_limit=self.fire_limit,
            snooze=self.snooze,
            excitability=self.excitability,
        )
        assert network.connectome is not None
        nodes = network.connectome.nodes
        starts = np.searchsorted(nodes, selection.ids)
        network.inject(starts, self.potential * self.resolution)
        fired = network.run(self.bursts, start=self.seed + 1)
        count, first = _counted(fired, network.neurons)
        via, sent = _strongest(network, fired, first)
        found = np.flatnonzero(count)
        return selection.derive(
            repr(self),
            nodes[found],
            count[found].astype(np.float32),
            _rows(starts, via, first)[found],
            columns={
                "first": first[found],
                "via": nodes[via[found]],
                "strength": sent[found].astype(np.float32) / np.float32(self.resolution),
            },
            cost={"edges": network.deliveries, "bursts": self.bursts},
        )


Indices = NDArray[np.int64]


def _counted(fired: list[Ids], n: int) -> tuple[Indices, Indices]:
    """(firings, first burst or 0) of every neuron."""
    count, first = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for burst, ids in enumerate(fired, start=1):
        first[ids[count[ids] == 0]] = burst
        count[ids] += 1
    return count, first


def _strongest(network: Network, fired: list[Ids], first: Indices) -> tuple[Indices, Indices]:
    """Per neuron, which one's synapse was the strongest into its first firing, and what it sent."""
    via, sent = np.arange(network.neurons), np.zeros(network.neurons, np.int64)
    rows = network.rows().astype(np.int64)
    targets, weights, _, inhibitory = network.synapses_at(0, network.synapses)
    for burst in range(2, len(fired) + 1):
        sources = fired[burst - 2].astype(np.int64)
        lengths = rows[sources + 1] - rows[sources]
        starts = np.repeat(rows[sources] - np.cumsum(lengths) + lengths, lengths)
        at = starts + np.arange(starts.size)
        at = at[(first[targets[at]] == burst) & (inhibitory[at] == 0) & (weights[at] > 0)]
        source = np.searchsorted(rows, at, side="right") - 1
        order = np.lexsort((-source, weights[at]))  # The last one wins: strongest, then smallest.
        via[targets[at[order]]] = source[order]
        sent[targets[at[order]]] = weights[at[order]]
    return via, sent


def _rows(starts: Indices, via: Indices, first: Indices) -> Indices:
    """Per neuron, the row of the selection to which its trail leads."""
    row = np.full(via.size, -1, np.int64)
    row[starts] = np.arange(starts.size)
    for burst in range(2, int(first.max(initial=0)) + 1):
        new = np.flatnonzero((first == burst) & (via != np.arange(via.size)))
        row[new] = row[via[new]]
    return row
