"""Networks and genomes: the observers that a genome asks for, and a network written as a genome.

What is written reads back as the same network, neuron by neuron and synapse by synapse: areas as
they are, synapses as mappings of equal weight and sign between two areas, by vectors where an
offset holds for a whole area and else pair by pair. What a genome cannot say is an InvalidError.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .connectomes import Built
from .errors import InvalidError
from .genomes import PARAMETERS, Area, Genome, thresholds
from .memories import MemoryNeurons
from .plasticity import WindowPlasticity

Indices = NDArray[np.int64]
SUFFIXES = {np.float32: "f", np.uint16: "i", np.uint8: "b"}


class Exported(Built, Protocol):
    """What is needed of a network."""

    @property
    def parameters(self) -> dict[str, NDArray[Any]]: ...

    @property
    def observers(self) -> Sequence[Any]: ...


def observers_of(genome: Genome) -> list[Any]:
    """Window plasticity of plastic mappings, and the neurons of memory areas."""
    ranges = {area.name: (area.first, area.count) for area in genome.areas}
    found: list[Any] = [
        WindowPlasticity(
            ranges[rule.source],
            ranges[rule.target],
            window=genome.window,
            k=rule.k,
            ltp=rule.ltp,
            ltd=rule.ltd,
            bidirectional=rule.bidirectional,
            psp=rule.psp,
        )
        for rule in genome.rules
    ]
    for memory in genome.memories:
        upstream, *also = (ranges[name] for name in memory.upstream)
        replay = memory.replay
        found.append(
            MemoryNeurons(
                upstream,
                ranges[memory.area],
                also=also,
                depth=memory.depth,
                lifespan=memory.lifespan,
                growth=memory.growth,
                long_term=memory.long_term,
                replay=None if replay is None else (ranges[replay[0]][0], replay[1]),
            )
        )
    return found


def write_genome(network: Exported, path: str | Path, *, title: str = "") -> None:
    """Write a network that has areas as a genome (flat JSON 2.x).

    Raises InvalidError and writes nothing if a genome cannot say it: neurons of an area that differ
    in more than a gradient of thresholds, synapses of a source area with several psp or of a voxel
    that differ by copy, plasticity between ranges that are no areas.
    """
    Path(path).write_text(json.dumps(_Writer(network).document(title)), encoding="utf-8")


class _Writer:
    """Collects the blueprint and the morphologies of one network."""

    def __init__(self, network: Exported) -> None:
        if sum(area.count for area in network.areas) != network.neurons:
            raise InvalidError("want a network whose areas hold all its neurons")
        self.network = network
        self.fields: dict[str, dict[str, Any]] = {}
        self.maps: dict[str, dict[str, list[Any]]] = {area.name: {} for area in network.areas}
        self.morphologies: dict[str, Any] = {
            "nothing": {"type": "vectors", "parameters": {"vectors": []}},
            "memory": {"type": "functions", "parameters": {}},
            "bi_directional_stdp": {"type": "functions", "parameters": {}},
        }
        self.window = 3

    def document(self, title: str) -> dict[str, Any]:
        for area in self.network.areas:
            self.fields[area.name] = self.area(area)
        self.mappings()
        self.watch()
        blueprint: dict[str, Any] = {}
        for name, fields in self.fields.items():
            fields["cx-dstmap-d"] = self.maps[name]
            blueprint |= {f"_____10c-{name}-{key}": value for key, value in fields.items()}
        return {
            "genome_title": title,
            "version": "2.1",
            "physiology": {"plasticity_queue_depth": self.window},
            "neuron_morphologies": self.morphologies,
            "blueprint": blueprint,
        }

    def area(self, area: Area) -> dict[str, Any]:
        if len(area.name) != 6:
            raise InvalidError(f"want names of six characters for areas, got {area.name!r}")
        given = self.values("threshold", area)
        if not np.array_equal(given, thresholds(area)):
            raise InvalidError(f"area {area.name}: thresholds are not those of its gradient")
        fields: dict[str, Any] = {
            "cx-__name-t": area.title,
            "cx-_group-t": area.group,
            "cx-_n_cnt-i": area.per_voxel,
            "cx-memory-b": area.memory,
        }
        fields |= {f"cx-___bb{axis}-i": side for axis, side in zip("xyz", area.size, strict=True)}
        names = ("fire_t", "ftincx", "ftincy", "ftincz")
        fields |= {f"nx-{x}-f": v for x, v in zip(names, area.threshold, strict=True)}
        for name, (field_name, missing, dtype) in PARAMETERS.items():
            values = self.values(name, area)
            if values.size and (values != values[0]).any():
                raise InvalidError(f"area {area.name}: want one {name} for all of its neurons")
            value = values[0].item() if values.size else missing
            fields[f"nx-{field_name}-{SUFFIXES[dtype]}"] = value
        return fields

    def values(self, name: str, area: Area) -> NDArray[Any]:
        column = self.network.parameters[name]
        whole = np.broadcast_to(column, (self.network.neurons,))
        return whole[area.first : area.first + area.count]

    def mappings(self) -> None:
        """Synapses by source area, target area, weight and sign."""
        network = self.network
        targets, weights, psps, inhibitory = network.synapses_at(0, network.synapses)
        rows = network.rows().astype(np.int64)
        if (inhibitory[weights == 0] != 0).any():
            raise InvalidError("an inhibitory synapse of weight 0 has no multiplier")
        signed = weights.astype(np.int64) * np.where(inhibitory, -1, 1)
        for source in network.areas:
            part = slice(rows[source.first], rows[source.first + source.count])
            if np.unique(psps[part]).size > 1:
                raise InvalidError(f"area {source.name}: want one psp for all of its synapses")
            psp = int(psps[part][0]) if psps[part].size else 1
            self.fields[source.name]["nx-pstcr_-f"] = psp
            counts = np.diff(rows[source.first : source.first + source.count + 1])
            s, t = np.repeat(np.arange(source.count), counts), targets[part].astype(np.int64)
            for target in network.areas:
                here = (t >= target.first) & (t < target.first + target.count)
                for weight in np.unique(signed[part][here]).tolist():
                    chosen = here & (signed[part] == weight)
                    for pairs in _layers(source, target, s[chosen], t[chosen] - target.first):
                        name = self.morphology(source, target, pairs)
                        self.map(source, target, name, weight)

    def map(self, source: Area, target: Area, morphology: str, multiplier: float) -> None:
        entry = [morphology, [1, 1, 1], multiplier, False, 1, 1, 1]
        self.maps[source.name].setdefault(target.name, []).append(entry)

    def morphology(self, source: Area, target: Area, pairs: Indices) -> str:
        """A new morphology that connects these voxels, (n, 6), and no others; its name."""
        steps, which = np.unique(pairs[:, 3:] - pairs[:, :3], axis=0, return_inverse=True)
        full = [
            int(
                np.prod(
                    [_overlap(*axis) for axis in zip(source.size, target.size, step, strict=True)]
                )
            )
            for step in steps.tolist()
        ]
        found = np.bincount(which.ravel(), minlength=len(steps))
        name = f"{source.name}-{target.name}-{len(self.morphologies)}"
        if (found == full).all():
            kind, given = "vectors", steps.tolist()
        else:
            kind, given = "patterns", [[row[:3], row[3:]] for row in pairs.tolist()]
        self.morphologies[name] = {"type": kind, "parameters": {kind: given}}
        return name

    def watch(self) -> None:
        """Plasticity and memories of the network, as mappings and fields."""
        areas = {(area.first, area.count): area for area in self.network.areas if area.count}
        windows = set()
        for observer in self.network.observers:
            try:
                if isinstance(observer, WindowPlasticity):
                    windows.add(observer.window)
                    self.learn(
                        observer,
                        *(areas[ledger.first, ledger.count] for ledger in observer.ledgers),
                    )
                elif isinstance(observer, MemoryNeurons):
                    self.remember(observer, areas)
            except KeyError as error:
                raise InvalidError(f"an observer looks at {error}, which is no area") from error
        if len(windows) > 1:
            raise InvalidError(f"a genome has one window of plasticity, got {sorted(windows)}")
        self.window = max(windows, default=self.window)

    def learn(self, rule: WindowPlasticity, source: Area, target: Area) -> None:
        """Mark a mapping of these areas as plastic, or add one that connects nothing."""
        if rule.bidirectional and rule.psp != self.fields[source.name]["nx-pstcr_-f"]:
            raise InvalidError(f"area {source.name}: want its psp for what is learned from it")
        entries = self.maps[source.name].get(target.name, [])
        free = [entry for entry in entries if not entry[3] and entry[0] != "memory"]
        if rule.bidirectional or not free:
            self.map(source, target, "bi_directional_stdp" if rule.bidirectional else "nothing", 1)
            free = self.maps[source.name][target.name][-1:]
        free[0][3:] = [True, *rule.factors]

    def remember(self, memory: MemoryNeurons, areas: dict[tuple[int, int], Area]) -> None:
        area = areas[memory.range]
        if not area.memory or memory.potential != 1:
            raise InvalidError(f"area {area.name}: want a memory area that fires with potential 1")
        fields = {
            "cx-tmpdpt-i": memory.depth,
            "cx-mem_ls-i": memory.lifespan,
            "cx-mem_gr-i": memory.growth,
            "cx-mem__t-i": memory.long_term,
        }
        self.fields[area.name] |= fields
        for ends in (memory.upstream, *memory.also):
            self.map(areas[ends], area, "memory", 1)
        if memory.replay is not None:
            self.map(area, areas[memory.replay[0], memory.upstream[1]], "memory", memory.replay[1])


def _layers(source: Area, target: Area, s: Indices, t: Indices) -> Iterator[Indices]:
    """Voxel pairs (n, 6) of synapses; parallel ones in further layers."""
    pairs, counts = np.unique(s * target.count + t, return_counts=True)
    for layer in range(1, int(counts.max()) + 1):
        a, b = np.divmod(pairs[counts >= layer], target.count)
        voxels = int(np.prod(target.size))
        code = a // source.per_voxel * voxels + b // target.per_voxel
        found, copies = np.unique(code, return_counts=True)
        if (copies != source.per_voxel * target.per_voxel).any():
            raise InvalidError(
                f"{source.name} to {target.name}: want the same synapses for all neurons of a voxel"
            )
        ends = np.divmod(found, voxels)
        axes = [np.unravel_index(x, y.size) for x, y in zip(ends, (source, target), strict=True)]
        yield np.stack([*axes[0], *axes[1]], axis=1).astype(np.int64)


def _overlap(side: int, other: int, step: int) -> int:
    """How many coordinates of one side stay inside the other when moved by step."""
    return max(0, min(side, other - step) - max(0, -step))
