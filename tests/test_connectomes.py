"""Networks and stores: reading a graph, writing back what was learned, saving and resuming."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import quillian as ql
import spiking_cases as cases
from quillian import checkpoints
from quillian.plasticity import WindowPlasticity
from quillian.spiking import Network
from spiking_reference import Reference


def table(network: Network) -> list[tuple[int, int, int, int]]:
    """(source, target, weight, inhibitory) of every synapse."""
    targets, weights, _, inhibitory = network.synapses_at(0, network.synapses)
    sources = np.repeat(np.arange(network.neurons), np.diff(network.rows().astype(np.int64)))
    columns = (sources, targets, weights, inhibitory)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.fixture
def graph(store: ql.Store) -> ql.Store:
    """Concepts a..f, one forgotten, and five associations."""
    with store.transaction() as txn:
        txn.add_many(ids=list("abcdef"), vectors=np.eye(6, 8, dtype=np.float32))
        txn.forget("b")
        txn.link("a", "c", "likes", weight=2.4)
        txn.link("a", "c", "knows", weight=300, confidence=0.5, origin="x", data={"k": 1})
        txn.link("c", "f", "likes", weight=-3)
        txn.link("f", "a", "fears", weight=5)
        txn.link("d", "e", "knows", weight=1)
    return store


def test_a_graph_becomes_synapses(graph: ql.Store) -> None:
    with graph.snapshot() as snapshot:
        network = Network.from_snapshot(snapshot, inhibitory=["fears"], threshold=1)
    assert network.connectome is not None
    assert network.connectome.nodes.tolist() == [0, 2, 3, 4, 5]
    # Indices: a 0, c 1, d 2, e 3, f 4.
    assert table(network) == [
        (0, 1, 2, 0),
        (0, 1, 255, 0),
        (1, 4, 3, 1),
        (2, 3, 1, 0),
        (4, 0, 5, 1),
    ]


def test_types_and_scale(graph: ql.Store) -> None:
    with graph.snapshot() as snapshot:
        network = Network.from_snapshot(snapshot, types=["likes", "none"], scale=10)
    assert table(network) == [(0, 1, 24, 0), (1, 4, 30, 1)]


def test_an_empty_store_is_refused(store: ql.Store) -> None:
    with store.snapshot() as snapshot, pytest.raises(ql.InvalidError):
        Network.from_snapshot(snapshot)


def test_what_is_learned_is_written_back_and_nothing_else(graph: ql.Store) -> None:
    with graph.snapshot() as snapshot:
        network = Network.from_snapshot(snapshot, scale=10, inhibitory=["fears"], threshold=1e6)
        before = {(a.source, a.type, a.target): a for a in snapshot.associations()}
    rule = WindowPlasticity((0, 5), (0, 5), window=1, ltp=50, ltd=0, bidirectional=True)
    network.watch(rule)
    network.force([0, 1])  # a and c: both associations a -> c grow; a -> a, c -> a, c -> c are new.
    network.run(1)
    with graph.transaction() as txn:
        assert network.write_back(txn) == 4
    with graph.snapshot() as snapshot:
        after = {(a.source, a.type, a.target): a for a in snapshot.associations()}
    new = {key for key in after if key not in before}
    assert new == {("a", "learned", "a"), ("c", "learned", "a"), ("c", "learned", "c")}
    assert all(after[key].weight == 5 for key in new)
    changed = {key for key in before if before[key] != after[key]}
    # The other one stands at 255 already, so it stays as it is, with its confidence.
    assert changed == {("a", "likes", "c")}
    assert after["a", "likes", "c"].weight == pytest.approx(7.4)


def test_writing_back_keeps_confidence_and_data(graph: ql.Store) -> None:
    with graph.snapshot() as snapshot:
        network = Network.from_snapshot(snapshot, inhibitory=["fears"])
    network.reweigh([1, 4], [100, 7])
    with graph.transaction() as txn:
        assert network.write_back(txn) == 2
    with graph.snapshot() as snapshot:
        (known,) = snapshot.neighbours("a", ["knows"])
        (feared,) = snapshot.neighbours("f")
    assert (known.weight, known.confidence, known.origin) == (100, 0.5, "x")
    assert known.data == {"k": 1}
    assert feared.weight == 7  # The type inhibits; its weight stays positive.
    with pytest.raises(ql.InvalidError), graph.transaction() as txn:
        Network(2, threshold=1).write_back(txn)


def busy(make: Any) -> Any:
    """A network with every kind of state."""
    rng = np.random.default_rng(4)
    network = make(
        200, threshold=rng.uniform(1, 9, 200), leak=0.2, refractory=rng.integers(0, 4, 200),
        fire_limit=3, snooze=2, excitability=0.7, mp_driven=rng.random(200) < 0.3,
        uniform=rng.random(200) < 0.8, first_id=11, syn_delay=3, neg_input="signed",
    )  # fmt: skip
    ends = rng.integers(0, 200, (2, 2000))
    network.connect(
        ends[0], ends[1], weight=rng.integers(1, 5, 2000), inhibitory=rng.random(2000) < 0.3
    )
    network.drive(rng.integers(0, 200, 90), 1.7)
    return network


def put_in(network: Any) -> None:
    network.inject([3, 3, 8], [1.5, 2, 30])
    network.force([6], 4)


def test_resuming_gives_the_same_spikes(store: ql.Store) -> None:
    straight, reference, stopped = busy(Network), busy(Reference), busy(Network)
    first = [simulator.run(17) for simulator in (straight, reference, stopped)]
    for simulator in (straight, reference, stopped):
        put_in(simulator)
    with store.transaction() as txn:
        stopped.save(txn, "one")
    with store.snapshot() as snapshot:
        resumed = Network(1, threshold=1).load(snapshot, "one")
        again = Network.saved(snapshot, "one")
    assert (resumed.neurons, resumed.synapses, resumed.burst) == (200, 2000, 18)
    tallies = {
        cases.tally(simulator.run(40), 0) for simulator in (straight, reference, resumed, again)
    }
    assert len(tallies) == 1
    assert len({cases.tally(fired, 0) for fired in first}) == 1
    assert np.array_equal(resumed.potentials, reference.potentials)


RESUME = """
import sys
import quillian as ql
from quillian.spiking import Network
with ql.open(sys.argv[1]) as store, store.transaction() as txn:
    network = Network.saved(txn)
    print([ids.tolist() for ids in network.run(15)])
    network.save(txn)
"""


def test_resuming_in_other_processes_gives_the_same_spikes(tmp_path: Path) -> None:
    straight = busy(Network)
    expected = straight.run(5)
    put_in(straight)
    expected += straight.run(30)
    stopped = busy(Network)
    fired = [ids.tolist() for ids in stopped.run(5)]
    put_in(stopped)
    with ql.open(tmp_path / "s") as store, store.transaction() as txn:
        stopped.save(txn)
    for _ in range(2):
        command = [sys.executable, "-c", RESUME, str(tmp_path / "s")]
        done = subprocess.run(command, text=True, capture_output=True, check=True)
        fired += json.loads(done.stdout)
    assert fired == [ids.tolist() for ids in expected]


def test_names_keep_networks_apart(store: ql.Store) -> None:
    with store.transaction() as txn:
        Network(3, threshold=1).save(txn)
        Network(4, threshold=1).save(txn, "other")
    with store.snapshot() as snapshot:
        assert Network.saved(snapshot).neurons == 3
        assert Network.saved(snapshot, "other").neurons == 4
        with pytest.raises(ql.NotFoundError, match="'third'"):
            Network.saved(snapshot, "third")


def test_a_hostile_state_is_refused(store: ql.Store) -> None:
    with store.transaction() as txn:
        Network(3, threshold=1).save(txn)
        good = txn.blob("npu:network")
    assert good is not None
    state = checkpoints.unpack(good)
    wrong: list[dict[str, Any]] = [
        {"neurons": -1},
        {"neurons": 4},
        {"offsets": np.array([0, 2, 1, 1], np.uint64)},
        {"offsets": np.array([0, 1, 1, 1], np.uint64)},
        {"queue": [[np.array([7], np.uint32), np.array([1], np.float32)]]},
        {"burst": 0},
        {"potentials": np.array([np.nan] * 3, np.float32)},
        {"constructed": {"threshold": 1, "unknown": 2}},
        {"inputs": []},
        {"observers": [["other", {"ranges": []}]]},
        {"observers": [["window", {"ranges": [[0, 2], [1, 3]], "given": {}, "ledgers": []}]]},
        {"observers": [["window", {"ranges": [[0, 2], [1, 2]], "given": {}, "ledgers": []}]]},
        {"observers": [["window", {"ranges": [[0, 2], [1, 2]], "given": {"window": 2**60}}]]},
        {
            "observers": [
                ["memory", {"ranges": [[0, 2], [2, 1]], "given": {}, "memories": [[1, 9]]}]
            ]
        },
        {"observers": [["memory", {"ranges": [[0, 2], [2, 1]], "given": {"depth": 2**63}}]]},
    ]
    contents = [checkpoints.pack(state | change) for change in wrong]
    contents += [b"", good[:-5], msgpack.packb({"format": 99}), msgpack.packb([1])]
    for content in contents:
        with store.transaction() as txn:
            txn.keep("npu:network", content)
            with pytest.raises(ql.CorruptError):
                Network.saved(txn)
