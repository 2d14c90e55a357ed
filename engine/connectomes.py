"""A store's graph as a network: concepts are neurons, associations are synapses.

Read once into arrays; what learning changes is written back through a transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .associations import type_numbers
from .bindings.limits import EDGE_DATA
from .errors import InvalidError
from .genomes import Area

LEARNED = "learned"  # The type of associations that learning made.


class Readable(Protocol):
    """What is needed of a snapshot."""

    @property
    def graph(self) -> Any: ...

    def all_nodes(self) -> NDArray[np.uint64]: ...

    def type_numbers(self) -> Mapping[str, int]: ...

    def blob(self, name: str) -> bytes | None: ...


class Writable(Readable, Protocol):
    """What is needed of a transaction."""

    def keep(self, name: str, content: bytes | None) -> None: ...

    def neighbours(self, key: int, types: Any = None, direction: str = "out") -> Any: ...

    def type_name(self, number: int) -> str: ...

    def get(self, key: int) -> Any: ...

    def link(
        self,
        source: Any,
        target: Any,
        type: str,
        *,
        weight: float,
        confidence: float,
        origin: Any,
        since: Any,
        until: Any,
        data: Any,
    ) -> None: ...

    def add_many(self, *, ids: Any, kinds: Any) -> NDArray[np.uint64]: ...

    def link_many(self, sources: Any, targets: Any, types: Any, *, weights: Any) -> int: ...


class Built(Protocol):
    """What is needed of a network."""

    neurons: int
    areas: tuple[Area, ...]

    @property
    def synapses(self) -> int: ...

    def rows(self) -> NDArray[np.uint64]: ...

    def synapses_at(
        self, first: int, count: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]: ...


@dataclass(frozen=True)
class Connectome:
    """The synapses of a graph, in the order (source, target, type); local indices into `nodes`."""

    nodes: NDArray[np.uint64]  # Node number of every neuron, ascending.
    sources: NDArray[np.uint32]
    targets: NDArray[np.uint32]
    weights: NDArray[np.uint8]
    inhibitory: NDArray[np.uint8]
    negative: NDArray[np.bool_]  # The weight is below 0 in the store.
    types: NDArray[np.uint16]
    has_data: NDArray[np.bool_]
    scale: float


def read(
    snapshot: Readable, types: Sequence[str] | None, inhibitory: Sequence[str], scale: float
) -> Connectome:
    """The graph of a snapshot; a synapse weighs |weight|*scale, rounded and clamped to 0..255.

    types: association types to take, None for all.  A synapse inhibits if its weight is negative or
    its type is one of `inhibitory`.
    """
    if not scale > 0:
        raise InvalidError(f"want a scale above 0, got {scale}")
    numbers = dict(snapshot.type_numbers())
    edges = snapshot.graph.edges()
    if types is not None:
        edges = edges[np.isin(edges["type"], type_numbers(types, numbers) or [])]
    nodes = snapshot.all_nodes()
    sources, targets = (_local(edges[end], nodes) for end in ("source", "target"))
    order: Any = slice(None)
    if len(numbers) > 1:  # They come by (source, type, target); stable, so types stay in order.
        ends = sources.astype(np.uint64) << np.uint64(32) | targets
        order = np.argsort(ends, kind="stable")
    weights = edges["weight"].astype(np.float64)
    negative = weights < 0
    np.multiply(np.abs(weights, out=weights), scale, out=weights)
    np.minimum(np.rint(weights, out=weights), 255, out=weights)
    inhibits = negative
    if inhibitory:
        inhibits = negative | np.isin(edges["type"], type_numbers(inhibitory, numbers) or [])
    return Connectome(
        nodes=nodes,
        sources=sources[order],
        targets=targets[order],
        weights=weights.astype(np.uint8)[order],
        inhibitory=inhibits.astype(np.uint8)[order],
        negative=negative[order],
        types=edges["type"][order],
        has_data=((edges["flags"] & EDGE_DATA) != 0)[order],
        scale=scale,
    )


def _local(ids: NDArray[np.uint32], nodes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    if nodes.size and int(nodes[-1]) == nodes.size - 1:  # No gaps: the number is the index.
        return np.ascontiguousarray(ids)
    return np.searchsorted(nodes, ids.astype(np.uint64)).astype(np.uint32)


def write_back(
    transaction: Writable,
    before: Connectome,
    sources: NDArray[np.int64],
    targets: NDArray[np.uint32],
    weights: NDArray[np.uint8],
) -> int:
    """Set the associations whose synapses changed, make those that are new; how many.

    The columns are the network's synapses in order of position.  Confidence, times and metadata of
    an association stay.
    """
    kept = _older(before, sources, targets)
    old = np.flatnonzero(kept)
    changed = np.flatnonzero(weights[old] != before.weights)
    sign = np.where(before.negative[changed], -1.0, 1.0)
    values = sign * weights[old][changed] / before.scale
    plain = ~before.has_data[changed]
    names = np.array([transaction.type_name(int(t)) for t in before.types[changed]], dtype=object)
    starts = before.nodes[before.sources[changed]].astype(np.int64)
    ends = before.nodes[before.targets[changed]].astype(np.int64)
    if plain.any():
        columns = (starts[plain].tolist(), ends[plain].tolist(), names[plain].tolist())
        transaction.link_many(*columns, weights=values[plain].tolist())
    for k in np.flatnonzero(~plain):
        _relink(transaction, int(starts[k]), int(ends[k]), str(names[k]), float(values[k]))
    new = np.flatnonzero(~kept)
    if new.size:
        transaction.link_many(
            before.nodes[sources[new]].astype(np.int64).tolist(),
            before.nodes[targets[new]].astype(np.int64).tolist(),
            LEARNED,
            weights=(weights[new] / before.scale).tolist(),
        )
    return int(changed.size + new.size)


def add_neurons(transaction: Writable, network: Built) -> int:
    """Make a concept of every neuron and an association of every synapse; how many concepts.

    Ids are area:x,y,z, with #copy behind where a voxel holds several; the association weighs what
    its synapses weigh together, under the type "excites" or "inhibits".
    """
    ids: list[str] = []
    kinds: list[str] = []
    for area in network.areas:
        for voxel in np.ndindex(*area.size):
            name = f"{area.name}:{','.join(map(str, voxel))}"
            copies = range(area.per_voxel)
            ids += [name] if area.per_voxel == 1 else [f"{name}#{copy}" for copy in copies]
            kinds += [area.name] * area.per_voxel
    if len(ids) != network.neurons:
        raise InvalidError("want a network whose areas hold all its neurons")
    nodes = transaction.add_many(ids=ids, kinds=kinds)
    targets, weights, _, inhibitory = network.synapses_at(0, network.synapses)
    rows = network.rows().astype(np.int64)
    sources = np.repeat(np.arange(network.neurons), rows[1:] - rows[:-1])
    for kind, which in (("excites", inhibitory == 0), ("inhibits", inhibitory != 0)):
        code = sources[which] * network.neurons + targets[which]
        pairs, at = np.unique(code, return_inverse=True)
        sums = np.bincount(at, weights=weights[which], minlength=pairs.size)
        s, t = np.divmod(pairs, network.neurons)
        if pairs.size:
            ends = (nodes[s].tolist(), nodes[t].tolist())
            transaction.link_many(*ends, kind, weights=sums.tolist())
    return len(ids)


def _older(
    before: Connectome, sources: NDArray[np.int64], targets: NDArray[np.uint32]
) -> NDArray[np.bool_]:
    """Which of the synapses were there before: of parallel ones, the first ones."""
    n = max(1, before.nodes.size)
    was = before.sources.astype(np.int64) * n + before.targets
    now = sources * n + targets
    first = np.searchsorted(now, now)  # Both are sorted.
    count = np.searchsorted(was, now, side="right") - np.searchsorted(was, now)
    return np.arange(now.size) - first < count


def _relink(transaction: Writable, source: int, target: int, type: str, weight: float) -> None:
    there = transaction.get(target).id
    for found in transaction.neighbours(source, [type]):
        if found.target == there:
            transaction.link(
                source,
                target,
                type,
                weight=weight,
                confidence=found.confidence,
                origin=found.origin,
                since=found.since,
                until=found.until,
                data=found.data,
            )
