"""A spiking simulation: neurons that charge, fire and rest, and synapses that deliver later.

The rule and its speed live in csrc/npu.c; here are the names, the checks and the arrays. A network
stands on its own (`Network`, `connect`), comes from a store (`Network.from_snapshot`) or from a
genome (`Network.from_genome`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import blueprints, checkpoints, connectomes
from .bindings import npu
from .columns import floats, once, whole
from .connectomes import Connectome, Readable, Writable
from .errors import CorruptError, InvalidError, NotFoundError
from .genomes import Area, read_genome

Ids = NDArray[np.uint32]
WIDE_ENOUGH = 262_144  # neurons from which a second thread pays

FLOATS = {
    "threshold": npu.THRESHOLD,
    "limit": npu.LIMIT,
    "leak": npu.LEAK,
    "excitability": npu.EXCITABILITY,
}
SHORTS = {
    "refractory": npu.REFRACTORY,
    "fire_limit": npu.FIRE_LIMIT,
    "snooze": npu.SNOOZE,
}
FLAGS = {"uniform": npu.UNIFORM, "mp_driven": npu.MP_DRIVEN, "accumulate": npu.ACCUMULATE}


class Observer(Protocol):
    """What wants to see every burst: a ledger, a learning rule, memory neurons."""

    def after(self, network: Network, burst: int, fired: Ids) -> None:
        """Called once per burst, in the order in which observers were added; may change weights,
        add synapses, inject and force: all of that takes effect at the next burst."""


class Network:
    """n spiking neurons and their synapses; local indices 0..n-1 everywhere.

    Every parameter is a scalar or an array of n.  threshold..limit: the window of potentials in
    which a neuron fires, limit 0 meaning none; leak: share lost by a neuron that got input and did
    not fire; refractory, snooze: bursts of rest after a firing, and after fire_limit firings in a
    row (0: no limit); excitability: chance to fire; accumulate: keep the potential between
    bursts; uniform: synapses are not divided by their number; mp_driven: they send the potential
    at firing, not psp.  neg_input: "clamp" or "signed"; first_id: the number of neuron 0 in draws;
    syn_delay: bursts until a synapse delivers.

    >>> network = Network(2, threshold=1.0)
    >>> network.connect(0, 1)
    >>> network.inject(0, 1.0)
    >>> [ids.tolist() for ids in network.run(3)]
    [[0], [1], []]
    """

    def __init__(
        self,
        n: int,
        *,
        threshold: ArrayLike,
        leak: ArrayLike = 0.0,
        refractory: ArrayLike = 0,
        fire_limit: ArrayLike = 0,
        snooze: ArrayLike = 0,
        excitability: ArrayLike = 1.0,
        accumulate: ArrayLike = True,
        limit: ArrayLike = 0.0,
        uniform: ArrayLike = True,
        mp_driven: ArrayLike = False,
        neg_input: str = "clamp",
        first_id: int = 0,
        syn_delay: int = 1,
    ) -> None:
        if not 1 <= n <= npu.NEURONS_MAX:
            raise InvalidError(f"want 1..{npu.NEURONS_MAX} neurons, got {n}")
        if neg_input not in ("clamp", "signed"):
            raise InvalidError(f'want neg_input "clamp" or "signed", got {neg_input!r}')
        if not 1 <= syn_delay <= npu.DELAY_MAX:
            raise InvalidError(f"want syn_delay 1..{npu.DELAY_MAX}, got {syn_delay}")
        if not 0 <= first_id < 2**32:
            raise InvalidError(f"want first_id below 2^32, got {first_id}")
        self.neurons = n
        self.neg_input = neg_input
        self.first_id = first_id
        self.syn_delay = syn_delay
        self.deliveries = 0
        self.observers: list[Observer] = []
        self.areas: tuple[Area, ...] = ()
        self.connectome: Connectome | None = None
        self._npu = npu.Npu(n, first_id, syn_delay, signed_input=neg_input == "signed")
        self.parameters = {
            "threshold": floats("threshold", threshold, n),
            "leak": floats("leak", leak, n),
            "excitability": floats("excitability", excitability, n),
            "limit": floats("limit", limit, n),
            "refractory": whole("refractory", refractory, n, np.uint16),
            "fire_limit": whole("fire_limit", fire_limit, n, np.uint16),
            "snooze": whole("snooze", snooze, n, np.uint16),
            "uniform": whole("uniform", uniform, n, np.uint8, 1),
            "mp_driven": whole("mp_driven", mp_driven, n, np.uint8, 1),
            "accumulate": whole("accumulate", accumulate, n, np.uint8, 1),
        }
        self._set_parameters()

    @classmethod
    def from_genome(cls, path: str | Path, *, neg_input: str = "clamp", syn_delay: int = 1) -> Self:
        """The network of a genome: its `areas`, plastic mappings and memories as observers.

        Warns (GenomeWarning) of values outside the range of the simulation.
        """
        genome = read_genome(path)
        alike: dict[str, Any] = {name: once(values) for name, values in genome.parameters.items()}
        count = sum(area.count for area in genome.areas)
        network = cls(count, neg_input=neg_input, syn_delay=syn_delay, **alike)
        network.areas = genome.areas
        network.connect(
            genome.sources,
            genome.targets,
            weight=genome.weights,
            psp=genome.psps,
            inhibitory=genome.inhibitory,
        )
        network.observers += blueprints.observers_of(genome)
        return network

    @classmethod
    def from_snapshot(
        cls,
        snapshot: Readable,
        *,
        types: Sequence[str] | None = None,
        inhibitory: Sequence[str] = (),
        scale: float = 1.0,
        threshold: ArrayLike = 1.0,
        **parameters: Any,
    ) -> Self:
        """The graph of a store as a network: neuron i is concept `connectome.nodes[i]`.

        An association of these types (None: all) becomes a synapse of weight |weight|*scale,
        rounded and clamped to 0..255; it inhibits if its weight is negative or its type is one of
        `inhibitory`.
        parameters: those of the constructor.  Raises InvalidError if the store holds no concept.
        """
        graph = connectomes.read(snapshot, types, inhibitory, scale)
        network = cls(graph.nodes.size, threshold=threshold, **parameters)
        network.connect(
            graph.sources, graph.targets, weight=graph.weights, inhibitory=graph.inhibitory
        )
        network.connectome = graph
        return network

    def write_back(self, transaction: Writable) -> int:
        """Set what was learned in the store that the network was read from; how many changed.

        Changed weights become those of their associations, over the scale they were read with; new
        synapses become associations of the type "learned".
        """
        if self.connectome is None:
            raise InvalidError("want a network from from_snapshot: others have no associations")
        rows = self.rows().astype(np.int64)
        sources = np.repeat(np.arange(self.neurons), np.diff(rows))
        targets, weights, _, _ = self.synapses_at(0, self.synapses)
        return connectomes.write_back(transaction, self.connectome, sources, targets, weights)

    def save(self, transaction: Writable, name: str = "network") -> None:
        """Keep everything that the next burst depends on in the store.

        Of the observers, window plasticity and memory neurons are part of it; others are not.
        """
        constructed = {"neg_input": self.neg_input, "first_id": self.first_id}
        state = {
            "neurons": self.neurons,
            "constructed": constructed | {"syn_delay": self.syn_delay} | self.parameters,
            "areas": checkpoints.areas_as_data(self.areas),
            "observers": checkpoints.observers_as_data(self.observers),
            **checkpoints.state_of(self._npu, self.syn_delay),
        }
        transaction.keep(f"npu:{name}", checkpoints.pack(state))

    def load(self, snapshot: Readable, name: str = "network") -> Self:
        """Become the network that was saved: parameters, synapses, state and observers.

        Observers that are not saved stay.  Resumed, it gives the spikes that the saved one would
        have given.  Raises NotFoundError, or
        CorruptError if what is there cannot be a network.
        """
        content = snapshot.blob(f"npu:{name}")
        if content is None:
            raise NotFoundError(f"the store holds no network {name!r}")
        state = checkpoints.unpack(content)
        try:
            loaded = Network(state["neurons"], **state["constructed"])
            checkpoints.restore(loaded._npu, state)
            loaded.areas = checkpoints.areas_from_data(state["areas"])
            kept = checkpoints.observers_from_data(state.get("observers", []), loaded.neurons)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptError(f"the saved network {name!r} is damaged: {error}") from error
        loaded.observers = kept + [x for x in self.observers if not checkpoints.is_kept(x)]
        self.__dict__.update(loaded.__dict__)
        return self

    @classmethod
    def saved(cls, snapshot: Readable, name: str = "network") -> Self:
        """The network that was saved under this name."""
        return cls(1, threshold=1.0).load(snapshot, name)

    def _set_parameters(self) -> None:
        given = self.parameters
        rests = given["refractory"].astype(np.uint32) + given["snooze"]
        if rests.max() > 65535:
            raise InvalidError(f"want refractory + snooze up to 65535, got {rests.max()}")
        for name, column in FLOATS.items():
            self._npu.set_floats(column, given[name])
        for name, column in SHORTS.items():
            self._npu.set_shorts(column, given[name])
        flags = np.zeros(1, np.uint8)
        for name, bit in FLAGS.items():
            flags = flags | (given[name] * np.uint8(bit))
        self._npu.set_flags(flags)

    @property
    def synapses(self) -> int:
        """How many synapses there are."""
        return self._npu.synapse_count

    @property
    def burst(self) -> int:
        """The number of the next burst; the first one is 1."""
        return self._npu.burst

    @property
    def potentials(self) -> NDArray[np.float32]:
        """The potential of every neuron, (n,) float32; a copy. Assign to set them."""
        return self._npu.potentials()

    @potentials.setter
    def potentials(self, values: ArrayLike) -> None:
        self._npu.set_floats(npu.POTENTIAL, floats("potentials", values, self.neurons))

    def connect(
        self,
        sources: ArrayLike,
        targets: ArrayLike,
        *,
        weight: ArrayLike = 1,
        psp: ArrayLike = 1,
        inhibitory: ArrayLike = False,
    ) -> None:
        """Add synapses, each argument a scalar or an array; parallel synapses stay apart.

        weight, psp: 0..255; what arrives is weight*psp, negative where inhibitory.
        Raises InvalidError and adds none if a value or a length does not fit.
        """
        top = self.neurons - 1
        self._npu.connect(
            whole("sources", sources, None, np.uint32, top),
            whole("targets", targets, None, np.uint32, top),
            whole("weight", weight, None, np.uint8),
            whole("psp", psp, None, np.uint8),
            whole("inhibitory", inhibitory, None, np.uint8, 1),
        )

    def drive(self, ids: ArrayLike | None = None, potential: ArrayLike = 1.0) -> None:
        """Put a potential into the neurons (None: all) at every burst from now on.

        Repeated calls add up; `drive_stop` ends them all.
        """
        chosen = None if ids is None else whole("ids", ids, None, np.uint32, self.neurons - 1)
        count = self.neurons if chosen is None else chosen.size
        self._npu.drive(chosen, floats("potential", potential, count))

    def drive_stop(self) -> None:
        """End every drive."""
        self._npu.drive_stop()

    def inject(self, ids: ArrayLike, potential: ArrayLike = 1.0) -> None:
        """Put a potential into the neurons at the next burst; repeated ones add up."""
        chosen = whole("ids", ids, None, np.uint32, self.neurons - 1)
        self._npu.inject(chosen, floats("potential", potential, chosen.size))

    def force(self, ids: ArrayLike, potential: ArrayLike = 1.0) -> None:
        """Let the neurons fire at the next burst with this potential, whatever their state."""
        chosen = whole("ids", ids, None, np.uint32, self.neurons - 1)
        self._npu.force(chosen, floats("potential", potential, chosen.size))

    def watch(self, observer: Observer) -> Self:
        """Show every burst from now on to an observer; returns the network."""
        self.observers.append(observer)
        return self

    def run(
        self,
        bursts: int,
        start: int | None = None,
        *,
        threads: int | None = None,
        method: str = "auto",
    ) -> list[Ids]:
        """Run bursts; returns who fired in each, as ascending local indices.

        start: the number of the first one (default: go on counting).  threads: 1, 2, or None to
        choose; method: "auto", "push", "blocked" or "pull". Neither changes any spike.
        """
        if bursts < 0 or (start is not None and start < 1):
            raise InvalidError(f"want bursts >= 0 and start >= 1, got {bursts} and {start}")
        if method not in npu.METHODS:
            raise InvalidError(f"want one of {list(npu.METHODS)}, got {method!r}")
        if threads is None:
            wide = self.neurons >= WIDE_ENOUGH and (os.cpu_count() or 1) > 1
            threads = 2 if wide else 1
        if not self.observers:
            return self._run(bursts, start or 0, threads, npu.METHODS[method])
        fired: list[Ids] = []
        for k in range(bursts):
            burst = self.burst if start is None else start + k
            fired += self._run(1, burst, threads, npu.METHODS[method])
            for observer in self.observers:
                observer.after(self, burst, fired[-1])
        return fired

    def _run(self, bursts: int, start: int, threads: int, method: int) -> list[Ids]:
        offsets, ids, deliveries = self._npu.run(bursts, start, threads, method)
        self.deliveries += deliveries
        ids.flags.writeable = False
        ends = offsets.tolist()
        return [ids[ends[k] : ends[k + 1]] for k in range(bursts)]

    def rows(self) -> NDArray[np.uint64]:
        """Offsets (n + 1,): the synapses of neuron i have the positions [rows[i], rows[i + 1])."""
        return self._npu.offsets()

    def synapses_at(
        self, first: int, count: int
    ) -> tuple[Ids, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """(targets, weights, psps, inhibitory) of positions; rows are sorted by target."""
        return self._npu.synapses(first, count)

    def reweigh(self, positions: ArrayLike, weights: ArrayLike) -> None:
        """Set the weights of synapses by position; positions change when synapses are added."""
        chosen = whole("positions", positions, None, np.uint64, self.synapses - 1)
        given = whole("weights", weights, chosen.size, np.uint8)
        self._npu.reweigh(chosen, np.broadcast_to(given, chosen.shape).copy())


def fired_counts(fired: Sequence[Ids], n: int) -> NDArray[np.int64]:
    """How often each of n neurons fired in the bursts given."""
    together = np.concatenate([*fired, np.zeros(0, np.uint32)])
    return np.bincount(together, minlength=n)
