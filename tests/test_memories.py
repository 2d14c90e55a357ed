"""Memory neurons: patterns by hash, lifespans by hand, firing and replay by burst."""

import struct

import numpy as np
import pytest
from quillian.bindings.npu import xxh64
from quillian.errors import InvalidError
from quillian.memories import MemoryNeurons, pattern_hash
from quillian.spiking import Network

SENTENCE = b"Nobody inspects the spammish repetition"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (SENTENCE, 0xFBCEA83C8A378BF1),
    ],
)
def test_published_hashes(data: bytes, value: int) -> None:
    assert xxh64(data) == value


def test_pattern_hash_is_over_counts_and_sorted_numbers() -> None:
    frames = (np.array([9, 4], np.uint32), np.array([], np.uint32))
    plain = struct.pack("<IIII", 2, 14, 19, 0)
    assert pattern_hash(frames, first_id=10) == xxh64(plain)


def step(network: Network, ids: list[int]) -> list[int]:
    """Let these fire at the next burst; who fired."""
    network.force(ids)
    return network.run(1)[0].tolist()


def quiet() -> Network:
    return Network(20, threshold=1e6)


def test_a_pattern_gets_a_neuron_that_fires_at_the_next_burst() -> None:
    network = quiet()
    memories = MemoryNeurons((0, 8), (10, 3))
    network.watch(memories)
    fired = [step(network, ids) for ids in ([1, 2], [3], [1, 2, 15], [], [])]
    # The same upstream pattern finds its own neuron again; neurons outside do not matter.
    assert fired == [[1, 2], [3, 10], [1, 2, 11, 15], [10], []]


def test_lifespans_by_hand() -> None:
    network = quiet()
    memories = MemoryNeurons((0, 8), (10, 1), lifespan=3, growth=3, long_term=6)
    network.watch(memories)
    spans = []
    for ids in ([1], [], [1], [1], [], [], [], [], [], [2], []):
        step(network, ids)
        spans.append([memory.lifespan for memory in memories.memories.values()])
    # 3; 2; 2-1+3; 4-1+3 = 6: for good, so the pattern [2] finds no free neuron.
    assert spans == [[3], [2], [4], [6], [6], [6], [6], [6], [6], [6], [6]]
    assert memories.forgotten == 1


def test_the_dead_leave_their_neuron() -> None:
    network = quiet()
    memories = MemoryNeurons((0, 8), (10, 1), lifespan=2)
    network.watch(memories)
    for ids in ([1], [], [], [5]):
        step(network, ids)
    (memory,) = memories.memories.values()
    assert (memory.neuron, [x.tolist() for x in memory.frames]) == (10, [[5]])
    assert memories.forgotten == 0


def test_patterns_span_frames_and_replay_them_in_order() -> None:
    network = Network(20, threshold=1)
    memories = MemoryNeurons((0, 4), (10, 9), depth=2, replay=(4, 2.0))
    network.watch(memories)
    fired = [step(network, ids) for ids in ([0], [1, 3], [], [], [])]
    # Burst 2 completes ([0], [1, 3]): neuron 10 at burst 3, frame 0 at 3, frame 1 at 4.
    assert fired[:2] == [[0], [1, 3]]
    assert fired[2] == [4, 10]
    # Burst 3 completes ([1, 3], []): neuron 11 at 4, and its own frame 0 at 4.
    assert fired[3] == [5, 7, 11]
    assert fired[4] == []


def test_wrong_memories_are_refused() -> None:
    with pytest.raises(InvalidError):
        MemoryNeurons((0, 8), (10, 3), depth=0)
