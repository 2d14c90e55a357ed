"""The reference simulator against the golden values of the rule; it is the oracle of the rest."""

import numpy as np
import pytest
import spiking_cases as cases
from spiking_reference import Reference, draw, hashed


@pytest.mark.parametrize(
    ("x", "h"), [(0, 0x07BB2FE2), (1, 0xA8BEEA3C), (42, 0x48F432FF), (2**32 - 1, 0xE62A4902)]
)
def test_hash_vectors(x: int, h: int) -> None:
    assert int(hashed(x)) == h


@pytest.mark.parametrize(
    ("neuron", "burst", "value"),
    [
        (0, 1, 0.501803457736969),
        (42, 100, 0.7405372858047485),
        (42, 101, 0.43918681144714355),
        (16438, 1, 0.4538559019565582),
        (22589, 1000, 0.6699061989784241),
        (42, 100 + 2**32, 0.7405372858047485),
    ],
)
def test_draw_vectors(neuron: int, burst: int, value: float) -> None:
    assert float(draw(neuron, burst)) == value


@pytest.mark.parametrize("name", cases.SINGLE)
def test_golden_patterns(name: str) -> None:
    parameters, spikes = cases.SINGLE[name]
    assert cases.single(Reference, parameters, len(spikes)) == spikes


def test_inhibition_and_division() -> None:
    assert cases.inhibited(Reference).strip("_").startswith("1____1____1")
    assert cases.divided(Reference).strip("_").startswith("1_1_1_1")


def test_chain_fires_one_burst_later() -> None:
    network = Reference(2, threshold=1)
    network.connect(0, 1)
    network.inject(0, 1)
    assert [ids.tolist() for ids in network.run(3)] == [[0], [1], []]


def test_sheet_hash() -> None:
    assert cases.sheet(Reference, 200) == (159_135, 150022505739114)


def test_peers_hash() -> None:
    assert cases.peers(Reference, 20, 100) == (111_121, 119837641098176)


def test_forced_neurons_fire_whatever_their_state() -> None:
    network = Reference(1, threshold=100, refractory=5)
    network.force(0, 3)
    assert [ids.tolist() for ids in network.run(2)] == [[0], []]
    assert np.array_equal(network.potentials, [0])
