"""The folded graph on disk: opening without the log's history, damage, growth."""

import threading
from pathlib import Path

import numpy as np
import pytest
from graph_model import (
    HEADER,
    UUID,
    Model,
    assert_same,
    commit,
    commit_unsynced,
    fail_in_turn,
    put,
    random_edges,
)
from quillian.bindings.graph import Extents, Graph, edges_from
from quillian.errors import CorruptError, InvalidError, ReadOnlyError

WEIGHTS = {
    "constant": [0.5],
    "few": [0.5, 0.25, 1.0],
    "many": [i / 1000 for i in range(1000)],
}


def opened(folder: Path, extents: Extents, log_bytes: int) -> Graph:
    graph = Graph(folder / "graph.log", UUID)
    graph.extents_read(folder / "graph.dat", extents)
    graph.advance(log_bytes)
    return graph


def test_opening_replays_only_the_tail(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    model: Model = {}
    for number in range(1, 9):
        batch = random_edges(rng, 2000, 20_000)
        graph.append(batch)
        put(model, batch)
        log_bytes = commit(graph, number)
        if number % 3 == 0:
            extents = graph.extents_write(tmp_path / "graph.dat")
    damaged = bytearray((tmp_path / "graph.log").read_bytes())
    damaged[5000] ^= 1  # Before the extents' log_bytes: not read any more.
    (tmp_path / "graph.log").write_bytes(damaged)
    reader = opened(tmp_path, extents, log_bytes)
    assert_same(reader.view(log_bytes), model)
    edges, _ = reader.view(log_bytes).neighbours(np.arange(20_000), direction="in")
    assert len(edges) == len(model)
    assert reader.check() is not None  # Of the whole log.


@pytest.mark.parametrize("kinds", [1, 3, 300])
@pytest.mark.parametrize("weights", [*WEIGHTS, "random"])
def test_every_encoding_gives_back_what_was_linked(
    tmp_path: Path, weights: str, kinds: int
) -> None:
    rng = np.random.default_rng(kinds)
    batch = random_edges(rng, 9000, 5000, kinds)
    if weights != "random":
        batch["weight"] = rng.choice(WEIGHTS[weights], len(batch)).astype(np.float32)
    if kinds == 1:
        batch["flags"] = 0
    model: Model = {}
    put(model, batch)
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    graph.append(batch)
    log_bytes = commit(graph, 1)
    assert_same(graph.view(log_bytes), model)
    extents = graph.extents_write(tmp_path / "graph.dat")
    assert extents.file_bytes == (tmp_path / "graph.dat").stat().st_size
    assert_same(opened(tmp_path, extents, log_bytes).view(log_bytes), model)


def test_dense_graph_of_few_weights_takes_at_most_13_bytes_per_edge(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    batch = edges_from(
        rng.integers(0, 8192, 131_072), rng.integers(0, 8192, 131_072), 0, rng.integers(1, 1000)
    )
    batch["weight"] = rng.integers(1, 1000, len(batch)) / 1000
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    graph.append(batch)
    view = graph.view(commit(graph, 1))
    assert graph.extents_write(tmp_path / "graph.dat").file_bytes / view.count() <= 13


def test_a_batch_as_large_as_the_graph_is_loaded_past_the_log(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    model: Model = {}
    for number in range(1, 4):
        batch = random_edges(rng, 3000, 9000)
        graph.append(batch)
        put(model, batch)
        log_bytes = commit(graph, number)
    before = dict(model)
    large, more = random_edges(rng, 20_000, 9000), random_edges(rng, 500, 9000)
    graph.load(large)
    put(model, large)
    assert_same(graph.view(log_bytes, pending=True), model)
    assert_same(graph.view(log_bytes), before)
    extents = graph.extents_write(tmp_path / "graph.dat")
    assert extents.edges == len(model)
    assert_same(opened(tmp_path, extents, HEADER).view(HEADER), model)
    graph.append(more)
    put(model, more)
    assert_same(graph.view(log_bytes, pending=True), model)
    for wrong in (lambda: graph.load(more), lambda: graph.flush(9), graph.publish):
        with pytest.raises(InvalidError):
            wrong()
    graph.abort()
    assert_same(graph.view(log_bytes, pending=True), before)
    graph.append(more)
    put(before, more)
    assert_same(graph.view(commit(graph, 9)), before)


def test_a_log_that_starts_behind_the_extents_continues_their_count(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    old = Graph(tmp_path / "graph.log", UUID, writable=True)
    model: Model = {}
    views = {}
    lengths = [0]
    for number in range(1, 6):
        batch = random_edges(rng, 3000, 9000)
        old.append(batch)
        put(model, batch)
        lengths.append(commit(old, number))
        views[lengths[-1]] = dict(model)
        if number == 3:
            extents = old.extents_write(tmp_path / "graph.dat")
    tail = (tmp_path / "graph.log").read_bytes()[extents.log_bytes :]
    Graph(tmp_path / "new.log", UUID, writable=True).close()
    with (tmp_path / "new.log").open("ab") as file:
        file.write(tail)
    new = Graph(tmp_path / "new.log", UUID)
    new.extents_read(tmp_path / "graph.dat", extents._replace(log_bytes=HEADER))
    new.advance(HEADER + len(tail))
    for log_bytes in reversed(lengths[3:]):  # The newest folds the others away: from the origin.
        assert_same(new.view(log_bytes - extents.log_bytes + HEADER), views[log_bytes])
    assert new.check() is None
    with pytest.raises(CorruptError):  # Without the extents the count does not fit.
        Graph(tmp_path / "new.log", UUID).advance(HEADER + len(tail))


def test_extents_are_written_beside_a_writer(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    models: dict[int, Model] = {HEADER: {}}
    model: Model = {}
    stop = threading.Event()
    found = []

    def write_extents() -> None:
        while not stop.is_set():
            path = tmp_path / f"{len(found)}.dat"
            found.append((path, graph.extents_write(path)))

    thread = threading.Thread(target=write_extents)
    thread.start()
    for number in range(1, 30):
        batch = random_edges(rng, 700, 9000)
        graph.append(batch)
        if number % 3 == 0:
            graph.abort()
            continue
        put(model, batch)
        models[commit_unsynced(graph, number)] = dict(model)
    stop.set()
    thread.join()
    for path, extents in found[-8:]:
        reader = Graph(tmp_path / "graph.log", UUID)
        reader.extents_read(path, extents)
        assert_same(reader.view(extents.log_bytes), models[extents.log_bytes])


def test_views_and_writes_go_on_over_mapped_extents(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    model: Model = {}
    with Graph(tmp_path / "graph.log", UUID, writable=True) as graph:
        batch = random_edges(rng, 9000, 9000)
        graph.append(batch)
        put(model, batch)
        log_bytes = commit(graph, 1)
        extents = graph.extents_write(tmp_path / "graph.dat")
    with Graph(tmp_path / "graph.log", UUID, writable=True) as graph:
        graph.truncate(log_bytes)
        graph.extents_read(tmp_path / "graph.dat", extents)
        graph.advance(log_bytes)
        before = dict(model)
        view = graph.view(log_bytes)
        for number in range(2, 6):
            batch = random_edges(rng, 3000, 9000)
            graph.append(batch)
            put(model, batch)
            log_bytes = commit(graph, number)
        assert_same(view, before)
        assert_same(graph.view(log_bytes), model)
        again = graph.extents_write(tmp_path / "graph.dat")
    assert_same(opened(tmp_path, again, log_bytes).view(log_bytes), model)


def test_every_flipped_byte_of_the_extents_is_found(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    graph.append(edges_from([1, 2, 9], [2, 3, 1], [5, 6, 5], [0.5, 0.25, 1]))
    log_bytes = commit(graph, 1)
    path = tmp_path / "graph.dat"
    extents = graph.extents_write(path)
    good = path.read_bytes()
    for at in [*range(0, 4096, 41), *range(36), *range(4096, len(good))]:
        bad = bytearray(good)
        bad[at] ^= 1 << (at % 8)
        path.write_bytes(bad)
        with pytest.raises(CorruptError):
            opened(tmp_path, extents, log_bytes)
    for size in (0, 100, 4096, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(CorruptError):
            opened(tmp_path, extents, log_bytes)
    path.write_bytes(good)
    for wrong in (
        extents._replace(edges=extents.edges + 1),
        extents._replace(table_at=4096),
        extents._replace(table_at=extents.table_at + 1),
        extents._replace(table_at=2**63),
        extents._replace(file_bytes=extents.file_bytes - 24),
    ):
        with pytest.raises(CorruptError):
            opened(tmp_path, wrong, log_bytes)


def test_extents_refuse_the_wrong_moment(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    path = tmp_path / "graph.dat"
    empty = graph.extents_write(path)
    graph.append(edges_from([1], [2]))
    assert graph.extents_write(tmp_path / "same.dat") == empty  # Pending records are not in it.
    log_bytes = commit(graph, 1)
    with pytest.raises(InvalidError):
        graph.extents_read(path, empty)
    with pytest.raises(ReadOnlyError):
        Graph(tmp_path / "graph.log", UUID).extents_write(path)
    assert opened(tmp_path, empty, log_bytes).view(log_bytes).count() == 1


def test_every_failing_allocation_leaves_extents_right(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "graph.log", UUID, writable=True)
    graph.append(edges_from(np.arange(9000), np.arange(1, 9001), 0, np.arange(9000)))
    log_bytes = commit(graph, 1)
    path = tmp_path / "graph.dat"
    assert fail_in_turn(lambda: graph.extents_write(path)) > 0
    extents = graph.extents_write(path)
    assert fail_in_turn(lambda: opened(tmp_path, extents, log_bytes)) > 5
    assert opened(tmp_path, extents, log_bytes).view(log_bytes).count() == 9000
