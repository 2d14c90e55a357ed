"""Records into a store: batches, resuming, bad records, edges before their ends, given vectors."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from numpy.typing import NDArray
from quillian.errors import BadRecordError
from quillian.ingesting import CHUNK, Ingest
from quillian.reading import Edge, Item


class Letters:
    """An embedder that counts how many texts it has seen; vectors are letter counts."""

    name, dim = "letters", 26

    def __init__(self) -> None:
        self.seen = 0

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        self.seen += len(texts)
        counts = [[text.count(chr(97 + i)) + 0.01 for i in range(26)] for text in texts]
        return np.array(counts, np.float32).reshape(-1, 26)


@pytest.fixture
def embedder() -> Letters:
    return Letters()


@pytest.fixture
def store(tmp_path: Path, embedder: Letters) -> Iterator[ql.Store]:
    with ql.open(tmp_path / "store", embedder=embedder) as opened:
        yield opened


def items(count: int, start: int = 0) -> list[Item | Edge]:
    return [Item(f"i{n}", f"text {n}", place=f"f:{n}") for n in range(start, start + count)]


def ids(store: ql.Store) -> list[str]:
    with store.snapshot() as view:
        return [concept.id for concept in view.concepts()]


def test_every_full_batch_is_one_commit(store: ql.Store) -> None:
    ingest = Ingest(store, batch=10)
    ingest.take(items(25))
    assert len(ids(store)) == 20
    ingest.finish()
    assert len(ids(store)) == 25
    assert (ingest.counts.concepts, ingest.counts.commits) == (25, 3)


def test_running_again_adds_and_embeds_nothing(store: ql.Store, embedder: Letters) -> None:
    for _ in range(2):
        ingest = Ingest(store)
        ingest.take([*items(5), Edge("i0", "i1", "next")])
        ingest.finish()
    assert embedder.seen == 5
    assert (ingest.counts.concepts, ingest.counts.known) == (0, 5)
    assert store.stats()["associations"] == 1


def test_replace_writes_and_embeds_again(store: ql.Store) -> None:
    Ingest(store).take([])
    for text in ("old", "new"):
        ingest = Ingest(store, on_conflict="replace")
        ingest.take([Item("a", text)])
        ingest.finish()
    assert store.get("a").text == "new"
    assert (ingest.counts.concepts, ingest.counts.known) == (0, 1)


def test_id_that_stands_twice_in_the_input_counts_once(store: ql.Store) -> None:
    ingest = Ingest(store)
    ingest.take([Item("a", "first"), Item("a", "second")])
    ingest.finish()
    assert store.get("a").text == "first"
    assert (ingest.counts.concepts, ingest.counts.known) == (1, 1)


def test_bad_record_rolls_its_batch_back_and_is_named(store: ql.Store) -> None:
    ingest = Ingest(store, batch=10)
    records = items(25)
    records[13] = Item("x" * 600, "an id that is too long", place="f.csv:14")
    with pytest.raises(BadRecordError, match=r"^f\.csv:14: .*id"):
        ingest.take(records)
    assert ids(store) == [f"i{n}" for n in range(10)]
    assert ingest.counts.concepts == 10


def test_bad_record_can_be_left_out_alone(store: ql.Store) -> None:
    bad: list[BadRecordError] = []
    ingest = Ingest(store, batch=10, on_bad=bad.append)
    records = items(25)
    records[13] = Item("x" * 600, "an id that is too long", place="f.csv:14")
    ingest.take(records)
    ingest.finish()
    assert [x.place for x in bad] == ["f.csv:14"]
    assert ids(store) == [f"i{n}" for n in range(25) if n != 13]
    assert (ingest.counts.concepts, ingest.counts.bad) == (24, 1)


def test_edges_may_come_before_their_ends(store: ql.Store) -> None:
    ingest = Ingest(store, batch=2)
    ingest.take([Edge("i0", "i5", "next", weight=0.5), *items(6)])
    ingest.finish()
    with store.snapshot() as view:
        found = [(x.source, x.target, x.type, x.weight) for x in view.associations()]
    assert found == [("i0", "i5", "next", 0.5)]


def test_edge_without_an_end_is_bad_or_makes_a_concept(store: ql.Store) -> None:
    ingest = Ingest(store)
    ingest.take([*items(1), Edge("i0", "nobody", "next", place="f:9")])
    with pytest.raises(BadRecordError, match=r"^f:9: no concept 'nobody'"):
        ingest.finish()
    ingest = Ingest(store, create=True)
    ingest.take([Edge("i0", "nobody", "next")])
    ingest.finish()
    assert "nobody" in ids(store)


def test_what_an_edge_says_is_kept(store: ql.Store) -> None:
    ingest = Ingest(store)
    edge = Edge("i0", "i1", "next", 0.5, 0.75, "me", since=5, until="2020-01-01", data={"a": 1})
    ingest.take([*items(2), edge])
    ingest.finish()
    with store.snapshot() as view:
        (found,) = view.neighbours("i0")
    assert (found.weight, found.confidence, found.origin) == (0.5, 0.75, "me")
    assert (found.since, found.until) == (5, 1_577_836_800_000_000_000)
    assert dict(found.data) == {"a": 1}


def test_bad_edge_is_named(store: ql.Store) -> None:
    bad: list[BadRecordError] = []
    ingest = Ingest(store, on_bad=bad.append)
    edges = [Edge("i0", "i1", "t", float("nan"), place="f:1"), Edge("i1", "i0", "t", place="f:2")]
    ingest.take([*items(2), *edges])
    ingest.finish()
    assert [x.place for x in bad] == ["f:1"]
    assert store.stats()["associations"] == 1


def test_given_vectors_belong_to_records_in_order(tmp_path: Path) -> None:
    vectors = np.eye(4, dtype=np.float16)
    bad: list[BadRecordError] = []
    with ql.open(tmp_path / "s", dim=4) as store:
        ingest = Ingest(store, batch=2, vectors=vectors, on_bad=bad.append)
        ingest.take(items(1))
        ingest.bad(BadRecordError("f:2", "unreadable"))
        ingest.take(items(2, start=2))
        ingest.finish()
        assert [row.id for row in store.search(vector=vectors[3], k=1)] == ["i3"]
        with store.snapshot() as view:
            nodes = [view.get(id).node for id in ("i0", "i2", "i3")]
            assert view.vectors(nodes).tolist() == np.eye(4)[[0, 2, 3]].tolist()


def test_record_without_a_given_vector_is_named(tmp_path: Path) -> None:
    with ql.open(tmp_path / "s", dim=4) as store:
        ingest = Ingest(store, vectors=np.eye(4, dtype=np.float32)[:1])
        with pytest.raises(BadRecordError, match="f:1: record 2, but only 1 vectors"):
            ingest.take(items(2))
            ingest.finish()


def test_stop_commits_what_is_done(store: ql.Store) -> None:
    ingest = Ingest(store, batch=4 * CHUNK)

    def stop_after_the_first_chunk(counts: object) -> None:
        ingest.stop = True

    ingest._progress = stop_after_the_first_chunk
    ingest.take([*items(3 * CHUNK), *items(3 * CHUNK, start=3 * CHUNK)])
    assert len(ids(store)) == CHUNK == ingest.counts.concepts


def test_records_without_text_are_kept_without_a_vector(store: ql.Store) -> None:
    ingest = Ingest(store)
    ingest.take([Item("a", name="A"), Item("b", "b")])
    ingest.finish()
    assert (store.stats()["concepts"], store.stats()["vectors"]) == (2, 1)


class Alone(Letters):
    """Its odd texts have no direction; it notices when two threads ask at once."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = threading.Lock()
        self.threads: set[int] = set()
        self.met = False

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        free = self.inside.acquire(blocking=False)
        self.met |= not free
        self.threads.add(threading.get_ident())
        time.sleep(0.01)  # Whoever comes meanwhile meets somebody.
        rows = super().embed(texts)
        rows[[text[-1] in "13579" for text in texts]] = 0
        if free:
            self.inside.release()
        return rows


@pytest.mark.parametrize("odd", [False, True])
def test_texts_are_embedded_beside_the_writing_by_one_thread_at_a_time(
    tmp_path: Path, odd: bool
) -> None:
    embedder, count = Alone(), 4 * CHUNK
    step = 1 if odd else 2
    given = [Item(f"i{n}", f"text {n}") for n in range(0, count * step, step)]
    with ql.open(tmp_path / "store", embedder=embedder) as store:
        ingest = Ingest(store, batch=count)
        ingest.take(given)
        ingest.finish()
        with store.snapshot() as view:
            kept = [x for x in view.records(view.all_nodes()) if x.slots]
            assert [x.id for x in kept] == [x.id for x in given if int(x.id[1:]) % 2 == 0]
            vectors = view.vectors([x.node for x in kept])
    assert not embedder.met
    assert len(embedder.threads) == 1 + odd  # None but the worker, or also who asks again.
    expected = Letters().embed([x.text or "" for x in kept])
    assert np.array_equal(vectors, expected)


def test_failing_embedder_leaves_the_batch_out(tmp_path: Path) -> None:
    class Failing(Letters):
        def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
            if f"text {3 * CHUNK}" in texts:
                raise OSError("no model")
            return super().embed(texts)

    with ql.open(tmp_path / "store", embedder=Failing()) as store:
        ingest = Ingest(store, batch=4 * CHUNK)
        with pytest.raises(OSError, match="no model"):
            ingest.take(items(4 * CHUNK))
        assert ids(store) == []
        assert ingest.counts.concepts == 0
