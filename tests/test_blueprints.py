"""Genomes written from networks: the same network again, its rules and memories, and refusals."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quillian as ql
from quillian.blueprints import write_genome
from quillian.errors import InvalidError
from quillian.genomes import Area, GenomeWarning
from quillian.memories import MemoryNeurons
from quillian.plasticity import WindowPlasticity
from quillian.spiking import Network
from test_genomes import GENOMES, write

HERE = {"m": {"type": "vectors", "parameters": {"vectors": [[0, 0, 0]]}}}
SHOWN = {"memory": {"type": "functions", "parameters": {}}}


def read(path: Path) -> Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GenomeWarning)
        return Network.from_genome(path)


def synapses(network: Network) -> list[tuple[int, ...]]:
    """(source, target, weight, psp, inhibitory) of each, sorted."""
    sources = np.repeat(np.arange(network.neurons), np.diff(network.rows().astype(np.int64)))
    columns = [sources, *network.synapses_at(0, network.synapses)]
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def assert_same(one: Network, other: Network) -> None:
    assert one.areas == other.areas
    assert synapses(one) == synapses(other)
    for name, column in one.parameters.items():
        n = one.neurons
        same = np.broadcast_to(column, (n,)), np.broadcast_to(other.parameters[name], (n,))
        assert np.array_equal(*same), name
    assert [type(x) for x in one.observers] == [type(x) for x in other.observers]


@pytest.mark.parametrize("name", ["essential_genome", "pioneer2_basic_genome"])
def test_real_genomes_come_back_the_same(name: str, tmp_path: Path) -> None:
    first = read(GENOMES / f"{name}.json")
    write_genome(first, tmp_path / "again.json")
    assert_same(first, read(tmp_path / "again.json"))


def test_copies_gradients_and_random_mappings_come_back_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    pairs = [[rng.integers(0, 3, 3).tolist(), rng.integers(0, 3, 3).tolist()] for _ in range(30)]
    morphologies = {
        **HERE,
        "some": {"type": "patterns", "parameters": {"patterns": pairs}},
        "all": {"type": "patterns", "parameters": {"patterns": [[["*"] * 3, ["*"] * 3]]}},
    }
    mapping = {
        "aaaaaa": [["m", [1, 1, 1], 2], ["some", [1, 1, 1], -3], ["some", [1, 1, 1], 2]],
        "bbbbbb": [["all", [1, 1, 1], 255], ["some", [1, 1, 1], 0]],
    }
    parameters = {
        "nx-ftincx-f": 0.013, "nx-fire_t-f": 0.1, "nx-leak_c-f": 0.1, "nx-refrac-i": 3,
        "nx-excite-f": 0.5, "nx-mp_psp-b": True, "nx-mp_acc-b": False, "nx-fthlim-f": 7.7,
    }  # fmt: skip
    areas = {
        "aaaaaa": {"size": (3, 2, 3), "cx-_n_cnt-i": 2, "cx-dstmap-d": mapping, **parameters},
        "empty_": {"size": (0, 1, 1)},
        "bbbbbb": {"size": (2, 3, 3), "cx-dstmap-d": {"aaaaaa": [["some", [1, 1, 1], 1]]}},
    }
    first = read(write(tmp_path / "g.json", areas, morphologies))
    assert first.synapses > 100
    write_genome(first, tmp_path / "again.json", title="again")
    assert_same(first, read(tmp_path / "again.json"))
    assert json.loads((tmp_path / "again.json").read_text())["genome_title"] == "again"


def learning(tmp_path: Path) -> Network:
    """a learns towards b, by window and in both directions; c remembers a, and d shows it again."""
    plastic = [True, 2, 5, 7]
    both = {"bi_directional_stdp": {"type": "functions", "parameters": {}}}
    areas = {
        "aaaaaa": {
            "size": (4, 1, 1),
            "cx-dstmap-d": {
                "bbbbbb": [["m", [1, 1, 1], 3, *plastic], ["bi_directional_stdp", 1, 1, *plastic]],
                "cccccc": [["memory", [1, 1, 1], 1]],
            },
        },
        "bbbbbb": {"size": (4, 1, 1), "nx-fire_t-f": 100},
        "cccccc": {
            "size": (2, 1, 1), "cx-memory-b": True, "cx-mem_ls-i": 9, "cx-mem_gr-i": 4,
            "cx-mem__t-i": 50, "cx-tmpdpt-i": 2, "cx-dstmap-d": {"dddddd": [["memory", 1, 2.5]]},
        },
        "dddddd": {"size": (4, 1, 1)},
    }  # fmt: skip
    return read(write(tmp_path / "g.json", areas, HERE | SHOWN | both))


def test_memory_areas_and_plastic_mappings_are_wired(tmp_path: Path) -> None:
    network = learning(tmp_path)
    window, both, memory = network.observers
    assert isinstance(window, WindowPlasticity)
    assert isinstance(both, WindowPlasticity)
    assert isinstance(memory, MemoryNeurons)
    assert (window.factors, window.bidirectional, both.bidirectional) == ((2, 5, 7), False, True)
    assert (both.psp, window.window) == (2, 4)
    assert (memory.upstream, memory.range, memory.replay) == ((0, 4), (8, 2), (10, 2.5))
    assert (memory.depth, memory.lifespan, memory.growth, memory.long_term) == (2, 9, 4, 50)
    fired = []
    for ids in ([0], [1, 3], [], []):
        network.force(ids)
        fired.append(network.run(1)[0].tolist())
    # Frames of bursts 1 and 2 make neuron 8 fire at 3, and are shown again at 3 and 4.
    assert fired == [[0], [1, 3], [8, 10], [9, 11, 13]]


def test_what_learns_comes_back_the_same(tmp_path: Path) -> None:
    first = learning(tmp_path)
    write_genome(first, tmp_path / "again.json")
    second = read(tmp_path / "again.json")
    assert_same(first, second)
    for one, other in zip(first.observers, second.observers, strict=True):
        assert one.as_data().keys() == other.as_data().keys()
        assert (one.as_data()["ranges"], one.as_data()["given"]) == (
            other.as_data()["ranges"],
            other.as_data()["given"],
        )


def test_what_learns_resumes_from_a_store(tmp_path: Path, store: ql.Store) -> None:
    straight, stopped = learning(tmp_path), learning(tmp_path)
    rng = np.random.default_rng(3)
    told = [np.flatnonzero(rng.random(8) < 0.6) for _ in range(24)]
    spikes: list[list[list[int]]] = [[], []]
    for burst, ids in enumerate(told):
        if burst == 11:
            with store.transaction() as txn:
                stopped.save(txn)
            with store.snapshot() as snapshot:
                stopped = Network.saved(snapshot)
        for network, found in zip((straight, stopped), spikes, strict=True):
            network.force(ids)
            found.append(network.run(1)[0].tolist())
    assert spikes[0] == spikes[1]
    assert synapses(straight) == synapses(stopped)
    assert synapses(straight) != synapses(learning(tmp_path))
    assert straight.observers[2].memories.keys() == stopped.observers[2].memories.keys()


def area(count: int, name: str = "aaaaaa", per_voxel: int = 1) -> Area:
    return Area(name, name, "", (count // per_voxel, 1, 1), per_voxel, 0, count)


def several_psp(network: Network) -> None:
    network.connect([0, 0], [1, 2], psp=[1, 2])


def zero_inhibits(network: Network) -> None:
    network.connect(0, 1, weight=0, inhibitory=True)


def no_area(network: Network) -> None:
    network.watch(WindowPlasticity((0, 2), (0, 4)))


def by_copy(network: Network) -> None:
    network.areas = (area(4, per_voxel=2),)
    network.connect(0, 2)


def short_name(network: Network) -> None:
    network.areas = (area(4, name="a"),)


def no_areas(network: Network) -> None:
    network.areas = ()


@pytest.mark.parametrize(
    ("change", "given"),
    [
        (several_psp, {}),
        (zero_inhibits, {}),
        (no_area, {}),
        (by_copy, {}),
        (short_name, {}),
        (no_areas, {}),
        (lambda _: None, {"leak": [0, 0, 0, 0.5]}),
        (lambda _: None, {"threshold": [1, 1, 1, 2]}),
    ],
)
def test_what_a_genome_cannot_say_is_refused(
    tmp_path: Path, change: Any, given: dict[str, Any]
) -> None:
    network = Network(4, **{"threshold": 1, **given})
    network.areas = (area(4),)
    change(network)
    with pytest.raises(InvalidError, match=r"want|has|no area|thresholds"):
        write_genome(network, tmp_path / "g.json")
    assert not (tmp_path / "g.json").exists()
