"""The spiking simulation against the reference and the golden values, whatever way it takes."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spiking_cases as cases
from quillian.bindings._core import lib
from quillian.errors import InvalidError
from quillian.spiking import Network, fired_counts
from sources import ROOT
from spiking_reference import Reference

ISAS = ["portable", "avx2", "avx512", "neon"]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that this CPU has."""
    from quillian.bindings._core import ffi

    before = ffi.string(lib.ql_isa())
    if lib.ql_isa_use(request.param.encode()) != lib.QL_OK:
        pytest.skip(f"this CPU has no {request.param}")
    yield request.param
    lib.ql_isa_use(before)


def parameters(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Random parameters, every flag in play, some given once and some per neuron."""

    def pick(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    return {
        "threshold": pick(3.0, rng.uniform(-2, 12, n)),
        "leak": pick(0.0, 0.25, rng.uniform(0, 1, n)),
        "refractory": pick(0, 2, rng.integers(0, 4, n)),
        "fire_limit": pick(0, 65535, 2, rng.integers(0, 4, n)),
        "snooze": pick(0, 3, rng.integers(0, 3, n)),
        "excitability": pick(1.0, 0.6, rng.uniform(-0.1, 1.1, n)),
        "accumulate": pick(True, False, rng.random(n) < 0.7),
        "limit": pick(0.0, 20.0, np.where(rng.random(n) < 0.5, 0, 15)),
        "uniform": pick(True, True, False, rng.random(n) < 0.5),
        "mp_driven": pick(False, False, rng.random(n) < 0.5, True),
        "neg_input": pick("clamp", "signed"),
        "first_id": pick(0, 7, 2**32 - 50),
        "syn_delay": pick(1, 1, 2, 3),
    }


def fill(network: Any, seed: int) -> None:
    """The same synapses, potentials and inputs for both simulators."""
    rng = np.random.default_rng(seed)
    n = 300
    for _ in range(3):
        size = int(rng.integers(1, 900))
        ends = rng.integers(0, n, (2, size))
        weight = rng.integers(0, 256, size) if rng.random() < 0.2 else rng.integers(1, 4, size)
        psp = rng.integers(0, 256, size) if rng.random() < 0.2 else 3
        network.connect(ends[0], ends[1], weight=weight, psp=psp, inhibitory=rng.random(size) < 0.3)
    network.potentials = rng.uniform(-3, 3, n).astype(np.float32)
    if rng.random() < 0.7:
        network.drive(rng.integers(0, n, int(rng.integers(1, 60))), 2.3)
    if rng.random() < 0.3:
        network.drive(None, 0.7)


def both(seed: int, **how: Any) -> tuple[list[list[int]], list[list[int]]]:
    """Who fired in 40 bursts: (simulator, reference); inputs and forced neurons on the way."""
    rng = np.random.default_rng(seed)
    given = parameters(rng, 300)
    network, reference = Network(300, **given), Reference(300, **given)
    ours, theirs = [], []
    for simulator in (network, reference):
        fill(simulator, seed)
    for part in range(4):
        ids, amounts = rng.integers(0, 300, 20), rng.uniform(-2, 9, 20).astype(np.float32)
        for simulator in (network, reference):
            simulator.inject(ids, amounts)
            if part == 2:
                simulator.force([5, 17, 5], 4.4)
        ours += network.run(10, **how)
        theirs += reference.run(10)
        assert np.array_equal(network.potentials, reference.potentials)
    return [x.tolist() for x in ours], [x.tolist() for x in theirs]


@pytest.mark.parametrize("name", cases.SINGLE)
def test_golden_patterns(name: str) -> None:
    given, spikes = cases.SINGLE[name]
    assert cases.single(Network, given, len(spikes)) == spikes


def test_inhibition_and_division() -> None:
    assert cases.inhibited(Network) == cases.inhibited(Reference)
    assert cases.divided(Network) == cases.divided(Reference)


def test_sheet_hash() -> None:
    assert cases.sheet(Network, 200) == (159_135, 150022505739114)


def test_peers_hash() -> None:
    assert cases.peers(Network, 20, 100) == (111_121, 119837641098176)


@pytest.mark.parametrize("seed", range(60))
def test_random_networks_equal_the_reference(seed: int) -> None:
    ours, theirs = both(seed)
    assert ours == theirs


@pytest.mark.parametrize("method", ["push", "blocked", "pull"])
@pytest.mark.parametrize("threads", [1, 2])
def test_ways_and_threads_give_the_same_spikes(method: str, threads: int, isa: str) -> None:
    for seed in range(0, 60, 5):
        ours, theirs = both(seed, method=method, threads=threads)
        assert ours == theirs


def test_blocks_and_pages_beyond_one() -> None:
    # More than one block of 65,536 targets and batches that fill, against plain push.
    n, degree = 150_000, 8
    rng = np.random.default_rng(1)
    targets = rng.integers(0, n, n * degree)
    tallies = set()
    for method, threads in [("push", 1), ("blocked", 1), ("blocked", 2), ("pull", 2), ("auto", 2)]:
        network = Network(n, threshold=6, neg_input="signed", refractory=1)
        network.connect(np.repeat(np.arange(n), degree), targets, psp=2)
        network.drive(None, 1)
        tallies.add(cases.tally(network.run(20, method=method, threads=threads), 0))
    assert len(tallies) == 1


def test_thresholds_of_few_and_many_candidates_agree() -> None:
    # A wave that grows from one neuron passes from list mode to dense mode.
    rng = np.random.default_rng(3)
    ends = rng.integers(0, 20_000, (2, 120_000))
    tallies = []
    for make in (Network, Reference):
        network = make(20_000, threshold=[1.0] * 20_000, refractory=3, leak=0.1, excitability=0.9)
        network.connect(ends[0], ends[1])
        network.inject(4, 1)
        tallies.append(cases.tally(network.run(16), 0))
    assert tallies[0] == tallies[1]
    assert tallies[0][0] > 20_000


@pytest.mark.slow
def test_arm_gives_the_golden_sheet(tmp_path: Path) -> None:
    if not (shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64")):
        pytest.skip("aarch64-linux-gnu-gcc or qemu-aarch64 is not installed")
    names = ["npu*", "kernels_*", "memory", "dispatch", "crc32c", "score", "codes", "screen"]
    sources = [path for name in names for path in (ROOT / "csrc").glob(f"{name}.c")]
    flags = ["-std=c11", "-O2", "-ffp-contract=off", "-static", "-I", ROOT / "csrc"]
    program = tmp_path / "check"
    command = ["aarch64-linux-gnu-gcc", *flags, ROOT / "tests/npu_check.c", *sources]
    subprocess.run([*command, "-lm", "-pthread", "-o", program], check=True)
    done = subprocess.run(["qemu-aarch64", program], text=True, capture_output=True, check=True)
    assert done.stdout.splitlines() == ["portable 8 of 8 equal", "neon 8 of 8 equal"]


def test_start_sets_the_burst_of_the_draw() -> None:
    given = {"threshold": 1, "excitability": 0.5}
    network, reference = Network(500, **given), Reference(500, **given)
    for simulator in (network, reference):
        simulator.drive(None, 2)
    ours = network.run(3, start=2**33 + 5)
    theirs = reference.run(3, start=2**33 + 5)
    assert [x.tolist() for x in ours] == [x.tolist() for x in theirs]
    assert network.burst == 2**33 + 8


def test_start_keeps_spikes_under_way() -> None:
    network = Network(2, threshold=1, syn_delay=3)
    network.connect(0, 1)
    network.inject(0, 1)
    assert [x.tolist() for x in network.run(2)] == [[0], []]
    assert [x.tolist() for x in network.run(3, start=100)] == [[], [1], []]


def test_counts_rows_and_weights() -> None:
    network = Network(4, threshold=1)
    network.connect([2, 0, 2], [1, 3, 0], weight=[5, 6, 7], psp=2, inhibitory=[True, False, False])
    assert (network.neurons, network.synapses) == (4, 3)
    assert network.rows().tolist() == [0, 1, 1, 3, 3]
    packed = [column.tolist() for column in network.synapses_at(0, 3)]
    assert packed == [[3, 0, 1], [6, 7, 5], [2, 2, 2], [0, 0, 1]]
    network.reweigh([1], 255)
    wide = [column.tolist() for column in network.synapses_at(0, 3)]
    assert wide == [[3, 0, 1], [6, 255, 5], [2, 2, 2], [0, 0, 1]]


def test_reweighing_takes_effect_at_the_next_burst() -> None:
    network = Network(2, threshold=[1, 9])
    network.connect(0, 1)
    network.drive(0, 1)
    assert fired_counts(network.run(5), 2).tolist() == [5, 0]
    network.reweigh(0, 9)
    assert [x.tolist() for x in network.run(2)] == [[0, 1], [0, 1]]


def test_connecting_later_keeps_age_and_weights() -> None:
    network, reference = Network(50, threshold=2), Reference(50, threshold=2)
    rng = np.random.default_rng(0)
    fired = []
    for simulator in (network, reference):
        simulator.drive(None, 1)
    for _ in range(5):
        ends, weight = rng.integers(0, 50, (2, 40)), rng.integers(0, 9, 40)
        for simulator in (network, reference):
            simulator.connect(ends[0], ends[1], weight=weight)
            fired.append([x.tolist() for x in simulator.run(4)])
    assert fired[0::2] == fired[1::2]


def test_drive_adds_up_and_stops() -> None:
    network = Network(2, threshold=3)
    network.drive(0, 1)
    network.drive([0, 0], 1)
    assert fired_counts(network.run(4), 2).tolist() == [4, 0]
    network.drive_stop()
    assert fired_counts(network.run(4), 2).tolist() == [0, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": np.nan},
        {"threshold": [1, 2]},
        {"threshold": 1, "refractory": -1},
        {"threshold": 1, "fire_limit": 65536},
        {"threshold": 1, "snooze": 40000, "refractory": 40000},
        {"threshold": 1, "neg_input": "none"},
        {"threshold": 1, "syn_delay": 0},
        {"threshold": 1, "first_id": 2**32},
        {"threshold": 1, "refractory": 0.5},
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Network(3, **wrong)


def test_wrong_calls_are_refused_and_change_nothing() -> None:
    network = Network(3, threshold=1)
    for call in (
        lambda: network.connect(3, 0),
        lambda: network.connect([0, 1], [0, 1, 2]),
        lambda: network.connect(0, 1, weight=256),
        lambda: network.connect(0, 1, psp=1.5),
        lambda: network.inject(-1, 1),
        lambda: network.inject([0, 1], [1, 2, 3]),
        lambda: network.drive(0, np.inf),
        lambda: network.run(-1),
        lambda: network.run(1, start=0),
        lambda: network.run(1, method="other"),
        lambda: network.run(1, threads=3),
        lambda: network.reweigh([0], 1),
    ):
        with pytest.raises(InvalidError):
            call()
    assert network.synapses == 0
    assert [x.tolist() for x in network.run(2)] == [[], []]


def test_every_failed_allocation_is_an_error() -> None:
    def whole() -> list[list[int]]:
        network = Network(200, threshold=1, mp_driven=np.arange(200) % 2)
        network.connect(np.arange(199), np.arange(1, 200))
        network.inject([0], 1)
        network.drive([5], 1)
        network.force([9], 2)
        return [x.tolist() for x in network.run(4, threads=2)]

    expected = whole()
    for nth in range(1, 400):
        lib.ql_alloc_fail_at(nth)
        try:
            got = whole()
        except MemoryError:
            continue
        finally:
            lib.ql_alloc_fail_at(0)
        assert got == expected
        return
    raise AssertionError("every run failed")
