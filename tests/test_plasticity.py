"""Synapses that learn: both rules against plain loops over the spikes."""

import numpy as np
import pytest
from quillian.errors import InvalidError
from quillian.plasticity import PairPlasticity, WindowPlasticity
from quillian.spiking import Network

PRE, POST = (2, 6), (10, 5)


def network_of(seed: int) -> Network:
    """Neurons that do what they are told; synapses from PRE to POST and elsewhere, too weak."""
    rng = np.random.default_rng(seed)
    network = Network(20, threshold=1e6)
    ends = rng.integers(0, 20, (2, 150))
    network.connect(ends[0], ends[1], weight=rng.integers(0, 256, 150))
    return network


def told(network: Network, seed: int, bursts: int, chance: float) -> list[np.ndarray]:
    """Random neurons fire, burst by burst."""
    rng = np.random.default_rng(seed)
    fired = []
    for _ in range(bursts):
        network.force(np.flatnonzero(rng.random(20) < chance))
        fired += network.run(1)
    return fired


def table(network: Network) -> list[tuple[int, int, int]]:
    """(source, target, weight) of every synapse, in order of position."""
    targets, weights, _, _ = network.synapses_at(0, network.synapses)
    sources = np.repeat(np.arange(network.neurons), np.diff(network.rows().astype(np.int64)))
    return list(zip(sources.tolist(), targets.tolist(), weights.tolist(), strict=True))


def inside(neuron: int, ends: tuple[int, int]) -> bool:
    return ends[0] <= neuron < sum(ends)


@pytest.mark.parametrize("window", [1, 2, 4])
def test_window_rule_equals_a_loop(window: int) -> None:
    network = network_of(window)
    before = table(network)
    network.watch(WindowPlasticity(PRE, POST, window=window, k=2, ltp=3.6, ltd=2.2))
    fired = told(network, 5, 30, 0.7)
    expected = []
    for s, t, weight in before:
        for burst in range(len(fired) if inside(s, PRE) and inside(t, POST) else 0):
            frames = fired[max(0, burst - window + 1) : burst + 1]
            both = [[n in frame for frame in frames] for n in (s, t)]
            if len(frames) == window and all(both[0]) and all(both[1]):
                weight = min(255, weight + 7)
            elif any(both[0]) and any(both[1]):
                weight = max(0, weight - 4)
        expected.append((s, t, weight))
    assert table(network) == expected
    assert expected != before


def test_bidirectional_rule_connects_each_pair_once() -> None:
    network = Network(4, threshold=1)
    network.connect(0, 2, weight=9)
    rule = WindowPlasticity((0, 2), (2, 2), window=2, ltp=5, ltd=0, bidirectional=True, psp=3)
    network.watch(rule)
    for _ in range(4):
        network.force([0, 1, 3])
        network.run(1)
    # 0 and 1 fire throughout and so does 3; 2 is driven only by 0 and fires from burst 2 on.
    sources = {(s, t) for s, t, _ in table(network)}
    assert sources == {(0, 2), (0, 3), (1, 2), (1, 3)}
    assert network.synapses == 4


def test_learned_weights_act_at_the_next_burst() -> None:
    network = Network(2, threshold=[1, 5])
    network.connect(0, 1, weight=4)
    network.watch(WindowPlasticity((0, 1), (1, 1), window=1, ltp=1, ltd=0))
    network.drive(0, 1)
    network.force(1)
    fired = [ids.tolist() for ids in network.run(3)]
    # At burst 1 both fire: the weight grows to 5, which delivers in burst 2.
    assert fired == [[0, 1], [0, 1], [0, 1]]


def test_pair_rule_equals_all_pairs() -> None:
    network = network_of(9)
    before = table(network)
    rule = PairPlasticity(PRE, POST, a_plus=1.5, a_minus=1.2, tau_plus=5, tau_minus=7)
    network.watch(rule)
    fired = told(network, 6, 40, 0.2)
    got, expected = [], []
    for s, t, weight in before:
        if not (inside(s, PRE) and inside(t, POST)):
            continue
        change, value = 0.0, float(weight)
        for now in range(len(fired)):  # Clipped burst by burst, so the order counts.
            change = 0.0
            for then in range(now):
                gap = now - then
                if t in fired[now] and s in fired[then]:
                    change += 1.5 * np.exp(-gap / 5)
                if s in fired[now] and t in fired[then]:
                    change -= 1.2 * np.exp(-gap / 7)
            value = min(255.0, max(0.0, value + change))
        expected.append(value)
    assert rule.weights == pytest.approx(expected, abs=1e-9)
    got = [weight for s, t, weight in table(network) if inside(s, PRE) and inside(t, POST)]
    assert got == [int(np.floor(value + 0.5)) for value in rule.weights]


def test_pair_steps_far_below_one_add_up() -> None:
    network = Network(2, threshold=1e6)
    network.connect(0, 1, weight=100)
    rule = network.watch(PairPlasticity((0, 1), (1, 1))).observers[0]
    for burst in range(200):
        network.force(burst % 2)
        network.run(1)
    assert isinstance(rule, PairPlasticity)
    assert table(network) == [(0, 1, int(np.floor(rule.weights[0] + 0.5)))]
    assert rule.weights[0] != 100
    assert abs(rule.weights[0] - 100) > 0.5


def test_wrong_rules_are_refused() -> None:
    with pytest.raises(InvalidError):
        WindowPlasticity(PRE, POST, window=0)
    with pytest.raises(InvalidError):
        PairPlasticity(PRE, POST, tau_plus=0)
