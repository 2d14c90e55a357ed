"""Reading connectomes that are given as genomes: flat JSON 2.x of the FEAGI project.

A genome lists areas (boxes of voxels with neurons and their parameters) and mappings between
areas, each by a morphology: vectors (target = source + v*scalar), patterns ("*" any, "?" same
coordinate, "!" other, or a number), or the function `projector`, which scales each axis.
A mapping by the function `memory` into a memory area shows it what it remembers; out of one, it
replays that there, at its multiplier as potential.
Neurons are numbered area by area in the order of the genome, then x outer, y, z, copies inner.

Raw numbers are taken as they are; what lies outside the range of the simulation is clamped if
it must be and always told, as a GenomeWarning.
"""

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidError, LimitError

KEY = re.compile(r"_____10c-(.{6})-(?:cx|nx)-(.{6})-\w")
NEURONS_MAX = 100_000_000  # of one genome: more is a typing error in a box's size
PAIRS_MAX = 1_000_000_000  # of one mapping
MEMORY = {"memory", "episodic_memory"}  # Functions that connect nothing,
BIDIRECTIONAL = {"bi_directional_stdp", "associative_memory"}  # or only what is learned.
Axis = tuple[NDArray[np.int64], NDArray[np.int64]]  # Coordinates that belong together.


class GenomeWarning(UserWarning):
    """A value of a genome lies outside the range of the simulation."""


@dataclass(frozen=True)
class Area:
    """A box of neurons: local indices first .. first + count - 1."""

    name: str
    title: str
    group: str
    size: tuple[int, int, int]
    per_voxel: int
    first: int
    count: int
    memory: bool = False
    threshold: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # And its step by x, y, z.


@dataclass(frozen=True)
class Rule:
    """A mapping that learns: window plasticity between two areas."""

    source: str
    target: str
    k: float
    ltp: float
    ltd: float
    bidirectional: bool = False
    psp: int = 1


@dataclass(frozen=True)
class Remembered:
    """A memory area: what it looks at, and as which area it replays that (None: none)."""

    area: str
    upstream: tuple[str, ...]
    depth: int
    lifespan: int
    growth: int
    long_term: int
    replay: tuple[str, float] | None  # With the potential that is injected.


@dataclass(frozen=True)
class Genome:
    """What a genome builds, as plain arrays over neurons and synapses."""

    title: str
    areas: tuple[Area, ...]
    parameters: Mapping[str, NDArray[Any]]  # Each (n,).
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.uint8]
    psps: NDArray[np.uint8]
    inhibitory: NDArray[np.bool_]
    rules: tuple[Rule, ...]
    window: int  # Bursts that window plasticity looks at.
    memories: tuple[Remembered, ...] = ()
    notes: tuple[str, ...] = field(default=())


def read_genome(path: str | Path) -> Genome:
    """Read and build a genome. Raises InvalidError for what it cannot mean, warns of the rest."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(document, dict) or not isinstance(document.get("blueprint"), dict):
            raise InvalidError(f"want a genome with a blueprint, got {path}")
        genome = _Builder(document).build()
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidError(f"want a genome as JSON, got {path}: {error}") from error
    for note in genome.notes:
        warnings.warn(note, GenomeWarning, stacklevel=2)
    return genome


# Parameter of a neuron: (field of the genome, what it is when missing, dtype).
PARAMETERS: dict[str, tuple[str, float, type[Any]]] = {
    "leak": ("leak_c", 0, np.float32),
    "excitability": ("excite", 1, np.float32),
    "limit": ("fthlim", 0, np.float32),
    "refractory": ("refrac", 0, np.uint16),
    "fire_limit": ("c_fr_c", 0, np.uint16),
    "snooze": ("snooze", 0, np.uint16),
    "uniform": ("pspuni", 0, np.uint8),
    "mp_driven": ("mp_psp", 0, np.uint8),
    "accumulate": ("mp_acc", 1, np.uint8),
}
UNIT_RANGE = ("leak", "excitability")


def thresholds(area: Area) -> NDArray[np.float32]:
    """The threshold of each neuron of an area: base + x*step, and so on."""
    base, *steps = area.threshold
    x, y, z = np.indices(area.size)
    values = (base + x * steps[0] + y * steps[1] + z * steps[2]).astype(np.float32)
    return np.repeat(values.ravel(), area.per_voxel)


class _Builder:
    """Turns one document into a Genome, collecting what it had to say on the way."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.notes: dict[str, list[str]] = {}
        self.fields: dict[str, dict[str, Any]] = {}
        for key, value in document["blueprint"].items():
            match = KEY.fullmatch(key)
            if match is None:
                raise InvalidError(
                    f"want blueprint keys like _____10c-AREA01-cx-___bbx-i, got {key}"
                )
            self.fields.setdefault(match[1], {})[match[2]] = value
        self.areas: dict[str, Area] = {}

    def build(self) -> Genome:
        first = 0
        for name in self.fields:
            area = self.area(name, first)
            self.areas[name] = area
            first += area.count
            if first > NEURONS_MAX:
                raise LimitError(f"want up to {NEURONS_MAX} neurons, area {name} passes that")
        parts = [self.mapping(*found) for found in self.mappings()]
        empty = np.zeros(0, np.int64)
        columns = [np.concatenate([empty, *(part[c] for part in parts)]) for c in range(5)]
        physiology = self.document.get("physiology") or {}
        return Genome(
            title=str(self.document.get("genome_title", "")),
            areas=tuple(self.areas.values()),
            parameters=self.parameters(),
            sources=columns[0],
            targets=columns[1],
            weights=columns[2].astype(np.uint8),
            psps=columns[3].astype(np.uint8),
            inhibitory=columns[4].astype(bool),
            rules=tuple(self.rules()),
            window=max(1, int(physiology.get("plasticity_queue_depth", 3))),
            memories=tuple(self.memories()),
            notes=tuple(f"{text}: {', '.join(where)}" for text, where in self.notes.items()),
        )

    def note(self, text: str, where: str) -> None:
        self.notes.setdefault(text, []).append(where)

    def number(self, name: str, field_name: str, missing: float | None) -> float:
        value = self.fields[name].get(field_name, missing)
        if not isinstance(value, (int, float)) or not np.isfinite(value):
            raise InvalidError(f"area {name}: want a number as {field_name}, got {value!r}")
        return float(value)

    def area(self, name: str, first: int) -> Area:
        sides = [self.number(name, f"___bb{axis}", None) for axis in "xyz"]
        copies = self.number(name, "_n_cnt", 1)
        if any(side != int(side) or side < 0 for side in (*sides, copies)):
            raise InvalidError(f"area {name}: want whole sizes, got {sides} x {copies}")
        x, y, z = (int(side) for side in sides)
        return Area(
            name=name,
            title=str(self.fields[name].get("__name", name)),
            group=str(self.fields[name].get("_group", "")),
            size=(x, y, z),
            per_voxel=int(copies),
            first=first,
            count=x * y * z * int(copies),
            memory=bool(self.fields[name].get("memory", False)),
            threshold=(
                self.number(name, "fire_t", 1),
                self.number(name, "ftincx", 0),
                self.number(name, "ftincy", 0),
                self.number(name, "ftincz", 0),
            ),
        )

    def parameters(self) -> dict[str, NDArray[Any]]:
        columns: dict[str, list[NDArray[Any]]] = {"threshold": []}
        for area in self.areas.values():
            columns["threshold"].append(thresholds(area))
            for parameter, (field_name, missing, dtype) in PARAMETERS.items():
                value = self.number(area.name, field_name, missing)
                if np.issubdtype(dtype, np.integer):
                    value = self.whole(value, int(np.iinfo(dtype).max), field_name, area.name)
                elif parameter in UNIT_RANGE and not 0 <= value <= 1:
                    self.note(f"{field_name} outside 0..1, taken as it is", area.name)
                columns.setdefault(parameter, []).append(np.full(area.count, value, dtype))
        return {name: np.concatenate(column) for name, column in columns.items()}

    def whole(self, value: float, top: int, what: str, where: str) -> int:
        fitting = int(min(max(np.floor(value + 0.5), 0), top))
        if fitting != value:
            self.note(f"{what} not a whole number in 0..{top}, rounded or clamped", where)
        return fitting

    def mappings(self) -> Iterable[tuple[Area, Area, list[Any]]]:
        for name, fields in self.fields.items():
            for target, entries in (fields.get("dstmap") or {}).items():
                if target not in self.areas:
                    raise InvalidError(f"area {name}: maps to {target}, which does not exist")
                for entry in entries:
                    if not isinstance(entry, list) or len(entry) < 3:
                        raise InvalidError(
                            f"area {name}: want [morphology, scalar, ...], got {entry}"
                        )
                    yield self.areas[name], self.areas[target], entry

    def rules(self) -> Iterable[Rule]:
        for source, target, entry in self.mappings():
            if len(entry) > 6 and entry[3] is True:
                k, ltp, ltd = (float(x) for x in entry[4:7])
                psp = self.psp(source)
                yield Rule(source.name, target.name, k, ltp, ltd, entry[0] in BIDIRECTIONAL, psp)

    def memories(self) -> Iterable[Remembered]:
        """The memory areas that look at something."""
        shown = [x for x in self.mappings() if x[2][0] in MEMORY]
        for area in self.areas.values():
            upstream = tuple(s.name for s, t, _ in shown if t is area)
            if not area.memory or not upstream or not area.count:
                continue
            replays = [(t, abs(float(entry[2]))) for s, t, entry in shown if s is area]
            if len(replays) > 1 or (replays and len(upstream) > 1):
                raise InvalidError(f"memory area {area.name}: want one area to replay, and as one")
            if replays and replays[0][0].count != self.areas[upstream[0]].count:
                raise InvalidError(f"memory area {area.name}: want to replay as the same size")
            depth, lifespan, growth, long_term = (
                self.whole(self.number(area.name, name, missing), 2**31 - 1, name, area.name)
                for name, missing in (("tmpdpt", 1), ("mem_ls", 20), ("mem_gr", 3), ("mem__t", 100))
            )
            if not depth or not lifespan:
                raise InvalidError(f"memory area {area.name}: want tmpdpt and mem_ls of at least 1")
            replay = (replays[0][0].name, replays[0][1]) if replays else None
            yield Remembered(area.name, upstream, depth, lifespan, growth, long_term, replay)

    def psp(self, source: Area) -> int:
        return self.whole(self.number(source.name, "pstcr_", 1), 255, "pstcr_", source.name)

    def mapping(self, source: Area, target: Area, entry: list[Any]) -> list[NDArray[np.int64]]:
        """(sources, targets, weights, psps, inhibitory) of one mapping, each pair once."""
        where = f"{source.name} to {target.name}"
        pairs = self.voxels(source, target, str(entry[0]), entry[1])
        weight = self.whole(abs(float(entry[2])), 255, "|multiplier|", where)
        copies = source.per_voxel * target.per_voxel
        if pairs.size * copies > PAIRS_MAX:
            raise LimitError(f"{where}: {pairs.size * copies} synapses, want up to {PAIRS_MAX}")
        voxels = target.size[0] * target.size[1] * target.size[2]
        s, t = np.divmod(pairs, max(voxels, 1))
        offsets = np.indices((source.per_voxel, target.per_voxel)).reshape(2, 1, -1)
        sources = (s[:, None] * source.per_voxel + offsets[0]).ravel() + source.first
        targets = (t[:, None] * target.per_voxel + offsets[1]).ravel() + target.first
        psp = self.psp(source) if sources.size else 0
        inhibitory = int(float(entry[2]) < 0)
        return [sources, targets, *(np.full(sources.size, v) for v in (weight, psp, inhibitory))]

    def voxels(self, source: Area, target: Area, morphology: str, scalar: Any) -> NDArray[np.int64]:
        """The connected voxels of two areas as source*voxels(target) + target, each once."""
        known = self.document.get("neuron_morphologies") or {}
        if morphology not in known:
            raise InvalidError(f"{source.name} to {target.name}: no morphology {morphology!r}")
        kind = known[morphology].get("type")
        parameters = known[morphology].get("parameters") or {}
        if kind == "vectors":
            found = _by_vectors(source.size, target.size, parameters["vectors"], scalar)
        elif kind == "patterns":
            found = _by_patterns(source.size, target.size, parameters["patterns"])
        elif kind == "functions" and morphology == "projector":
            found = [tuple(map(_projected, source.size, target.size))]
        elif kind == "functions" and morphology in MEMORY | BIDIRECTIONAL:
            found = []
        else:
            raise InvalidError(
                f"{source.name} to {target.name}: want vectors, patterns or the functions "
                f"projector and memory, got {morphology!r} ({kind})"
            )
        codes = [_joined(axes, source.size, target.size) for axes in found]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *codes]))


Size = tuple[int, int, int]


def _joined(axes: tuple[Axis, ...], source: Size, target: Size) -> NDArray[np.int64]:
    """All combinations of the pairs of three axes, as voxel codes."""
    total = int(np.prod([axis[0].size for axis in axes]))
    if total > PAIRS_MAX:
        raise LimitError(f"{total} pairs of voxels in one mapping, want up to {PAIRS_MAX}")
    (sx, tx), (sy, ty), (sz, tz) = axes
    s = (sx[:, None, None] * source[1] + sy[:, None]) * source[2] + sz
    t = (tx[:, None, None] * target[1] + ty[:, None]) * target[2] + tz
    return (s * int(np.prod(target)) + t).ravel()


def _by_vectors(
    source: Size, target: Size, vectors: list[list[float]], scalar: Any
) -> list[tuple[Axis, ...]]:
    scales = scalar if isinstance(scalar, list) else [scalar] * 3
    found = []
    for vector in vectors:
        axes: list[Axis] = []
        for side, other, step, scale in zip(source, target, vector, scales, strict=True):
            here = np.arange(side)
            there = here + int(step * scale)
            inside = (there >= 0) & (there < other)
            axes.append((here[inside], there[inside]))
        found.append(tuple(axes))
    return found


def _by_patterns(source: Size, target: Size, patterns: list[Any]) -> list[tuple[Axis, ...]]:
    return [
        tuple(_matched(*axis) for axis in zip(source, target, *pattern, strict=True))
        for pattern in patterns
    ]


def _matched(side: int, other: int, here: Any, there: Any) -> Axis:
    """Pairs of one axis: `here` filters sources (only a number does), `there` picks targets."""
    if not isinstance(here, str) and not isinstance(there, str):  # One pair or none.
        inside = 0 <= int(here) < side and 0 <= int(there) < other
        return np.full(int(inside), int(here)), np.full(int(inside), int(there))
    s, t = (grid.ravel() for grid in np.indices((side, other)))
    keep = np.ones(s.size, bool) if isinstance(here, str) else s == int(here)
    match there:
        case "*":
            pass
        case "?":
            keep &= s == t
        case "!":
            keep &= s != t
        case int() | float():
            keep &= t == int(there)
        case _:
            raise InvalidError(f'want "*", "?", "!" or a number in a pattern, got {there!r}')
    return s[keep], t[keep]


def _projected(side: int, other: int) -> Axis:
    """Pairs of one axis whose coordinates correspond when one side is scaled to the other."""
    if side >= other:
        s = np.arange(side)
        return s, s if side == other else _shrunk(s, side, other)
    t = np.arange(other)
    return _shrunk(t, other, side), t


def _shrunk(x: NDArray[np.int64], long: int, short: int) -> NDArray[np.int64]:
    """int(x / (long/short)) in float32, the arithmetic of the original."""
    ratio = np.float32(long) / np.float32(short)
    return np.minimum((x.astype(np.float32) / ratio).astype(np.int64), short - 1)
