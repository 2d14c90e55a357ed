"""The log of associations as a file: reopening, following, damage, refusals."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from graph_model import (
    HEADER,
    NONE,
    UUID,
    Model,
    assert_same,
    commit,
    commit_unsynced,
    fail_in_turn,
    put,
    random_edges,
)
from quillian.bindings._core import lib
from quillian.bindings.graph import EDGE, Graph, GraphView, edges_from
from quillian.errors import (
    CorruptError,
    InvalidError,
    OutOfMemoryError,
    ReadOnlyError,
    StorageError,
)


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    with Graph(tmp_path / "graph.log", UUID, writable=True) as opened:
        yield opened


def test_reopened_graph_is_the_committed_one(tmp_path: Path) -> None:
    path = tmp_path / "graph.log"
    with Graph(path, UUID, writable=True) as graph:
        graph.append(edges_from([1, 2], [2, 3]))
        log_bytes = commit(graph, 1)
        graph.append(edges_from([3], [4]))
        graph.flush(2)  # Written, never committed.
    with Graph(path, UUID, writable=True) as graph:
        graph.truncate(log_bytes)
        assert path.stat().st_size == log_bytes
        graph.advance(log_bytes)
        assert graph.view(log_bytes).count() == 2
        graph.append(edges_from([4], [5]))
        log_bytes = commit(graph, 3)
    with Graph(path, UUID) as reader:
        reader.advance(log_bytes)
        assert reader.view(log_bytes).edges()["source"].tolist() == [1, 2, 4]
        assert reader.check() is None


def test_written_bytes_are_those_of_the_file(graph: Graph, tmp_path: Path) -> None:
    graph.append(edges_from([1, 2], [3, 4]))
    end = graph.flush(1)
    assert graph.written(HEADER, end - HEADER) == (tmp_path / "graph.log").read_bytes()[HEADER:end]
    with pytest.raises(CorruptError):
        graph.written(HEADER, end)  # There is less.


def test_reader_follows_a_writer_through_the_file(tmp_path: Path) -> None:
    path = tmp_path / "graph.log"
    rng = np.random.default_rng(11)
    writer = Graph(path, UUID, writable=True)
    reader = Graph(path, UUID)
    model: Model = {}
    views: list[tuple[GraphView, Model]] = []
    for number in range(1, 20):
        batch = random_edges(rng, 900, 80)
        writer.append(batch)
        put(model, batch)
        log_bytes = commit(writer, number)
        reader.advance(log_bytes)
        if number % 4 == 0:
            views.append((reader.view(log_bytes), dict(model)))
        writer.append(random_edges(rng, 50, 80))
        writer.flush(number)
        writer.abort()
    for view, then in views:
        assert_same(view, then)


def test_every_flipped_byte_of_the_log_is_found(tmp_path: Path) -> None:
    path = tmp_path / "graph.log"
    with Graph(path, UUID, writable=True) as graph:
        graph.append(edges_from([1, 2], [2, 3], 5))
        commit(graph, 1)
        graph.append(edges_from([3], [4], 6))
        log_bytes = commit(graph, 2)
        graph.append(edges_from([5], [6]))
        graph.flush(3)
    good = path.read_bytes()
    assert len(good) > log_bytes
    for at in [*range(0, HEADER, 37), *range(36), *range(HEADER, len(good))]:
        bad = bytearray(good)
        bad[at] ^= 1 << (at % 8)
        path.write_bytes(bad)
        if at >= log_bytes:
            reader = Graph(path, UUID)
            reader.advance(log_bytes)
            assert reader.view(log_bytes).count() == 3
            continue
        with pytest.raises(CorruptError):
            Graph(path, UUID).advance(log_bytes)


def test_check_names_the_first_bad_batch(tmp_path: Path) -> None:
    path = tmp_path / "graph.log"
    graph = Graph(path, UUID, writable=True)
    graph.append(edges_from([1, 2], [2, 3], 5))
    first = commit(graph, 1)
    graph.append(edges_from([3], [4], 6))
    commit(graph, 2)
    with path.open("r+b") as file:
        file.seek(first + 40)
        file.write(b"\xff")
    assert graph.check() == first
    with path.open("r+b") as file:
        file.seek(20)
        file.write(b"\xff")
    assert graph.check() == 0


@pytest.mark.parametrize("short_by", [1, 16, 48])
def test_truncated_log_is_corrupt_and_keeps_what_is_whole(tmp_path: Path, short_by: int) -> None:
    path = tmp_path / "graph.log"
    with Graph(path, UUID, writable=True) as graph:
        graph.append(edges_from([1], [2]))
        first = commit(graph, 1)
        graph.append(edges_from([2], [3]))
        log_bytes = commit(graph, 2)
    with path.open("r+b") as file:
        file.truncate(log_bytes - short_by)
    with Graph(path, UUID, writable=True) as graph:
        with pytest.raises(CorruptError):
            graph.truncate(log_bytes)
        with pytest.raises(CorruptError):
            graph.advance(log_bytes)
        assert graph.view(first).count() == 1


def test_hostile_records_are_refused(tmp_path: Path) -> None:
    """A record with a right checksum but outside its ranges, written through the crc itself."""
    path = tmp_path / "graph.log"
    with Graph(path, UUID, writable=True) as graph:
        graph.append(edges_from([1], [2]))
        log_bytes = commit(graph, 1)
    good = path.read_bytes()
    for at, value in ((4, b"\xff" * 4), (8, b"\xff\x0f"), (10, b"\x04\x00"), (12, b"\0\0\xc0\x7f")):
        bad = bytearray(good)
        start = HEADER + 32
        bad[start + at : start + at + len(value)] = value
        bad[HEADER + 24 : HEADER + 28] = b"\0\0\0\0"
        seed = int.from_bytes(bad[32:36], "little")
        sum_ = lib.ql_crc32c(seed, bytes(bad[HEADER:log_bytes]), log_bytes - HEADER)
        bad[HEADER + 24 : HEADER + 28] = sum_.to_bytes(4, "little")
        path.write_bytes(bad)
        with pytest.raises(CorruptError):
            Graph(path, UUID).advance(log_bytes)


def test_another_stores_file_is_refused(tmp_path: Path) -> None:
    Graph(tmp_path / "graph.log", UUID, writable=True).close()
    with pytest.raises(CorruptError):
        Graph(tmp_path / "graph.log", bytes(16))
    with pytest.raises(StorageError):
        Graph(tmp_path / "missing", UUID)
    (tmp_path / "short").write_bytes(b"QL")
    with pytest.raises(CorruptError):
        Graph(tmp_path / "short", UUID)
    assert Graph(tmp_path / "short", UUID, writable=True).view(0).count() == 0


def test_bad_columns_are_refused() -> None:
    for wrong in (
        {"sources": [NONE]},
        {"sources": [-1]},
        {"targets": [NONE]},
        {"types": [lib.QL_TYPES_MAX]},
        {"flags": [4]},
        {"weights": [np.nan]},
        {"weights": [1e300]},
        {"sources": [0.5]},
        {"sources": 1, "targets": 2},
    ):
        with pytest.raises(InvalidError):
            edges_from(**{"sources": [1], "targets": [2], **wrong})


def test_bad_arguments_are_refused_before_anything_changes(graph: Graph, tmp_path: Path) -> None:
    broken = edges_from([1, 1], [2, 3])
    broken["weight"][1] = np.inf
    for records in (broken, np.zeros((2, 2), EDGE), np.zeros(3)):
        with pytest.raises(InvalidError):
            graph.append(records)
    view = graph.view(0, pending=True)
    assert view.count() == 0
    for call in (
        lambda: view.neighbours([NONE]),
        lambda: view.neighbours([[1]]),
        lambda: view.neighbours([1], direction="up"),
        lambda: view.neighbours([1], types=[4095]),
        lambda: view.expand([1, 1]),
        lambda: view.expand([1], scores=[np.nan]),
        lambda: view.expand([1], hops=65536),
        lambda: view.expand([1], discount=np.inf),
        lambda: view.find(1, 4095, 1),
        lambda: view.find(-1, 0, 1),
        lambda: Graph(tmp_path / "other", b"short", writable=True),
    ):
        with pytest.raises(InvalidError):
            call()
    graph.append(edges_from([1], [2]))
    for early in (graph.publish, lambda: graph.truncate(0)):  # Pending, and not flushed.
        with pytest.raises(InvalidError):
            early()


def test_read_only_graph_refuses_to_write(graph: Graph, tmp_path: Path) -> None:
    reader = Graph(tmp_path / "graph.log", UUID)
    for write in (
        lambda: reader.append(edges_from([1], [2])),
        lambda: reader.flush(1),
        reader.sync,
        reader.publish,
        reader.abort,
        lambda: reader.truncate(0),
    ):
        with pytest.raises(ReadOnlyError):
            write()


def test_every_failing_allocation_leaves_writer_and_reader_usable(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    batches = [random_edges(rng, 2500, 9000) for _ in range(2)]  # The second commit folds.
    model: Model = {}
    for batch in batches:
        put(model, batch)
    made: list[tuple[Graph, int]] = []

    def write() -> None:
        path = tmp_path / f"{len(made)}.log"
        graph = Graph(path, UUID, writable=True)
        try:
            append_both(graph)
        except OutOfMemoryError:
            lib.ql_alloc_fail_at(0)
            graph.abort()
            if graph.flush(9) == HEADER:
                append_both(graph)
            else:
                graph.append(batches[1])
                commit_unsynced(graph, 2)
            made.append((graph, graph.flush(9)))
            raise
        made.append((graph, graph.flush(9)))

    def append_both(graph: Graph) -> None:
        for batch in batches:
            graph.append(batch)
            commit_unsynced(graph, 1)

    assert fail_in_turn(write) > 40
    assert len({log_bytes for _, log_bytes in made}) == 1
    for graph, log_bytes in made:
        assert_same(graph.view(log_bytes), model)

    reader = Graph(tmp_path / "0.log", UUID)
    assert fail_in_turn(lambda: reader.advance(made[0][1])) > 5
    assert_same(reader.view(made[0][1]), model)
