"""Genomes: exact counts of real ones, each morphology against a plain loop, what is refused."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quillian.errors import InvalidError, LimitError
from quillian.genomes import Genome, GenomeWarning, read_genome
from quillian.plasticity import WindowPlasticity
from quillian.spiking import Network

GENOMES = Path(__file__).parent / "data" / "genomes"
BOX = {"cx-_n_cnt-i": 1, "nx-fire_t-f": 1, "nx-excite-f": 1, "nx-pstcr_-f": 2, "cx-pspuni-b": True}


def write(
    path: Path, areas: dict[str, dict[str, Any]], morphologies: dict[str, Any] | None = None
) -> Path:
    """A genome of areas, each given as {"size": (x, y, z), field: value}."""
    blueprint = {}
    for name, fields in areas.items():
        sides = dict(
            zip(("cx-___bbx-i", "cx-___bby-i", "cx-___bbz-i"), fields["size"], strict=True)
        )
        given = {key: value for key, value in fields.items() if key != "size"}
        for key, value in {**BOX, **sides, **given}.items():
            blueprint[f"_____10c-{name}-{key}"] = value
    document = {
        "genome_title": "small",
        "blueprint": blueprint,
        "neuron_morphologies": morphologies or {},
        "physiology": {"plasticity_queue_depth": 4},
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def mapped(
    tmp_path: Path, source: Any, target: Any, morphology: dict[str, Any], scalar: Any = (1, 1, 1)
) -> set[tuple[int, ...]]:
    """The voxel pairs (sx, sy, sz, tx, ty, tz) of one mapping between two boxes."""
    name = "projector" if morphology["type"] == "functions" else "m"
    areas = {
        "source": {"size": source, "cx-dstmap-d": {"target": [[name, list(scalar), 1]]}},
        "target": {"size": target},
    }
    genome = read_genome(write(tmp_path / "g.json", areas, {name: morphology}))
    s = np.unravel_index(genome.sources, source)
    t = np.unravel_index(genome.targets - genome.areas[1].first, target)
    pairs = [tuple(int(x) for x in row) for row in np.stack([*s, *t], axis=1)]
    assert len(pairs) == len(set(pairs))
    return set(pairs)


@pytest.mark.parametrize(
    ("name", "areas", "neurons", "synapses"),
    [("essential_genome", 24, 55_357, 1_552), ("pioneer2_basic_genome", 5, 223, 112)],
)
def test_golden_counts(name: str, areas: int, neurons: int, synapses: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GenomeWarning)
        network = Network.from_genome(GENOMES / f"{name}.json")
    assert (len(network.areas), network.neurons, network.synapses) == (areas, neurons, synapses)
    assert sum(area.count for area in network.areas) == neurons


def test_vectors_stay_inside(tmp_path: Path) -> None:
    vectors = [[1, 0, 0], [-1, 2, 0], [0, 0, 0], [0, 0, 0]]
    got = mapped(
        tmp_path,
        (3, 4, 2),
        (3, 4, 1),
        {"type": "vectors", "parameters": {"vectors": vectors}},
        (2, 1, 1),
    )
    expected = set()
    for x, y, z in np.ndindex(3, 4, 2):
        for dx, dy, dz in vectors:
            a, b, c = x + 2 * dx, y + dy, z + dz
            if 0 <= a < 3 and 0 <= b < 4 and 0 <= c < 1:
                expected.add((x, y, z, a, b, c))
    assert got == expected


def test_patterns_match_axis_by_axis(tmp_path: Path) -> None:
    patterns = [[["*", 1, "?"], ["?", "!", "*"]], [[0, "*", 1], [2, 0, "?"]]]
    got = mapped(
        tmp_path, (3, 3, 2), (3, 2, 2), {"type": "patterns", "parameters": {"patterns": patterns}}
    )
    expected = set()
    for s in np.ndindex(3, 3, 2):
        for t in np.ndindex(3, 2, 2):
            if (s[1] == 1 and t[0] == s[0] and t[1] != s[1]) or (
                s[0] == 0 and s[2] == 1 and t == (2, 0, s[2])
            ):
                expected.add((*s, *t))
    assert got == expected


@pytest.mark.parametrize(
    ("source", "target"), [((6, 2, 3), (2, 4, 3)), ((5, 1, 7), (3, 3, 2)), ((1, 1, 1), (4, 2, 3))]
)
def test_projector_scales_each_axis(tmp_path: Path, source: Any, target: Any) -> None:
    def corresponds(x: int, y: int, side: int, other: int) -> bool:
        if side > other:
            return int(np.float32(x) / (np.float32(side) / np.float32(other))) == y
        if side < other:
            return int(np.float32(y) / (np.float32(other) / np.float32(side))) == x
        return x == y

    got = mapped(tmp_path, source, target, {"type": "functions", "parameters": {}})
    expected = {
        (*s, *t)
        for s in np.ndindex(*source)
        for t in np.ndindex(*target)
        if all(map(corresponds, s, t, source, target))
    }
    assert got == expected


def test_copies_and_gradients_are_numbered_innermost(tmp_path: Path) -> None:
    areas = {"aaaaaa": {"size": (1, 2, 2), "cx-_n_cnt-i": 2, "nx-ftincy-f": 10, "nx-ftincz-f": 1}}
    genome = read_genome(write(tmp_path / "g.json", areas))
    assert genome.parameters["threshold"].tolist() == [1, 1, 2, 2, 11, 11, 12, 12]


def test_sign_and_size_of_a_multiplier(tmp_path: Path) -> None:
    mapping = {"bbbbbb": [["m", [1, 1, 1], -3, True, 2, 5, 7]]}
    areas = {"aaaaaa": {"size": (2, 1, 1), "cx-dstmap-d": mapping}, "bbbbbb": {"size": (2, 1, 1)}}
    morphologies = {"m": {"type": "vectors", "parameters": {"vectors": [[0, 0, 0]]}}}
    path = write(tmp_path / "g.json", areas, morphologies)
    network = Network.from_genome(path)
    targets, weights, psps, inhibitory = network.synapses_at(0, 2)
    assert [x.tolist() for x in (targets, weights, psps, inhibitory)] == [
        [2, 3],
        [3, 3],
        [2, 2],
        [1, 1],
    ]
    (rule,) = network.observers
    assert isinstance(rule, WindowPlasticity)
    assert (rule.grow, rule.shrink, rule.window) == (10, 14, 4)


def test_values_outside_the_range_are_told(tmp_path: Path) -> None:
    mapping = {"aaaaaa": [["m", [1, 1, 1], 300]]}
    areas = {
        "aaaaaa": {"size": (1, 1, 1), "nx-leak_c-f": 10, "nx-pstcr_-f": 500, "cx-dstmap-d": mapping}
    }
    morphologies = {"m": {"type": "vectors", "parameters": {"vectors": [[0, 0, 0]]}}}
    path = write(tmp_path / "g.json", areas, morphologies)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        genome = read_genome(path)
    assert len(told) == 3
    assert genome.parameters["leak"].tolist() == [10]
    assert (genome.weights.tolist(), genome.psps.tolist()) == ([255], [255])


def nowhere(path: Path) -> Genome:
    areas = {"aaaaaa": {"size": (1, 1, 1), "cx-dstmap-d": {"zzzzzz": [["m", [1, 1, 1], 1]]}}}
    return read_genome(write(path, areas))


def unknown_morphology(path: Path) -> Genome:
    areas = {"aaaaaa": {"size": (1, 1, 1), "cx-dstmap-d": {"aaaaaa": [["m", [1, 1, 1], 1]]}}}
    return read_genome(write(path, areas))


def unknown_function(path: Path) -> Genome:
    areas = {"aaaaaa": {"size": (1, 1, 1), "cx-dstmap-d": {"aaaaaa": [["tile", [1, 1, 1], 1]]}}}
    return read_genome(write(path, areas, {"tile": {"type": "composite"}}))


def no_size(path: Path) -> Genome:
    path.write_text('{"blueprint": {"_____10c-aaaaaa-nx-fire_t-f": 1}}', encoding="utf-8")
    return read_genome(path)


def odd_key(path: Path) -> Genome:
    path.write_text('{"blueprint": {"area": 1}}', encoding="utf-8")
    return read_genome(path)


def no_json(path: Path) -> Genome:
    path.write_text("{", encoding="utf-8")
    return read_genome(path)


def huge(path: Path) -> Genome:
    return read_genome(write(path, {"aaaaaa": {"size": (10**4, 10**4, 10)}}))


@pytest.mark.parametrize(
    "wrong", [nowhere, unknown_morphology, unknown_function, no_size, odd_key, no_json, huge]
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises((InvalidError, LimitError), match=r"want|no morphology|maps to"):
        wrong(tmp_path / "g.json")
