"""Tiers: every record is hot or cold, reads do not tell the difference, and budgets hold."""

import random
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from conftest import DIM
from quillian import tiers
from quillian.catalog import CatalogTransaction
from quillian.layout import is_cold, node_key
from quillian.tiers import Tiers, dictionary_of

TEXT = "The quick brown fox number {} jumps over the lazy dog of house {}."
ROWS = 300
BUDGET = 20_000


def fill(store: ql.Store, start: int = 0, rows: int = ROWS) -> None:
    numbers = range(start, start + rows)
    store.add_many(
        [TEXT.format(i, i % 7) for i in numbers],
        ids=[f"c{i}" for i in numbers],
        data=[{"n": i, "even": i % 2 == 0} for i in numbers],
        vectors=np.random.default_rng(start).normal(size=(rows, DIM)),
    )


def values(store: ql.Store) -> dict[int, bytes]:
    with store._open_directory().catalog.begin() as txn:
        found = {int.from_bytes(key, "big"): value for key, value in txn.items("concepts")}
    return found


def hot(store: ql.Store) -> list[int]:
    return [node for node, value in values(store).items() if not is_cold(value)]


@pytest.fixture
def small(path: Path) -> Iterator[ql.Store]:
    """A store whose hot tier holds about a third of its records."""
    with ql.open(path, dim=DIM, hot_bytes=BUDGET) as store:
        fill(store)
        yield store


def sizes_are_right(store: ql.Store) -> None:
    tiers, found = store.stats()["tiers"], values(store)
    cold = [len(value) for value in found.values() if is_cold(value)]
    assert (tiers["cold"], tiers["cold_bytes"]) == (len(cold), sum(cold))
    assert tiers["hot_bytes"] == sum(map(len, found.values())) - sum(cold)
    assert tiers["hot_bytes"] <= tiers["hot_bytes_max"]


def test_records_beyond_the_budget_are_cold_and_smaller(small: ql.Store) -> None:
    sizes_are_right(small)
    tiers = small.stats()["tiers"]
    assert 0 < tiers["cold"] < ROWS
    assert tiers["hot_bytes"] >= 0.9 * BUDGET - 200
    with small._open_directory().catalog.begin() as txn:
        plain = sum(len(txn_plain(txn, node)) for node in txn.nodes().tolist())
    assert tiers["cold_bytes"] < 0.6 * (plain - tiers["hot_bytes"])


def txn_plain(txn: CatalogTransaction, node: int) -> bytes:
    from quillian.layout import encode

    concept = txn.concept(node)
    assert concept is not None
    return encode(concept)


def test_reads_do_not_tell_the_tier(small: ql.Store, tmp_path: Path) -> None:
    with ql.open(tmp_path / "other", dim=DIM) as plain:
        fill(plain)
        assert plain.stats()["tiers"]["cold"] == 0
        for a, b in zip(small.snapshot().concepts(), plain.snapshot().concepts(), strict=True):
            assert replace(a, created_ns=0) == replace(b, created_ns=0)
        for store in (small, plain):
            assert store.search("house 3 fox", method="words", k=5).names
        found = [list(x.search("number 7", method="words", k=9).ids) for x in (small, plain)]
        assert found[0] == found[1]
        where = {"even": True, "n": {"$gt": 250}}
        found = [list(x.run(ql.Where(where)).ids) for x in (small, plain)]
        assert found[0] == found[1]
    assert small.check() == []


def test_cold_records_that_are_read_are_promoted_in_the_next_write(small: ql.Store) -> None:
    cold = sorted(set(values(small)) - set(hot(small)))[:10]
    for _ in range(3):
        for node in cold:
            assert small.get(node).id == f"c{node}"
    assert set(cold).isdisjoint(hot(small))  # Reading writes nothing.
    before = small.stats()["tiers"]
    assert before["reads"] == 30
    assert before["hit_ratio"] == 0
    small.add(id="more")
    assert set(cold) <= set(hot(small))
    assert small.stats()["tiers"]["promoted"] == 10
    sizes_are_right(small)
    fill(small, start=1000, rows=100)  # Whatever comes, what was read thrice stays.
    assert set(cold) <= set(hot(small))
    sizes_are_right(small)


def test_weak_records_go_first(path: Path) -> None:
    with ql.open(path, hot_bytes=9_000) as store, store.transaction() as txn:
        for i in range(ROWS):
            txn.add(TEXT.format(i, i), id=f"c{i}", strength=1.0 if i % 3 == 0 else 0.1)
    with ql.open(path) as store:
        assert {node % 3 for node in hot(store)} == {0}


def test_an_abort_and_a_snapshot_keep_the_tiers_of_their_time(small: ql.Store) -> None:
    before, stats = values(small), small.stats()["tiers"]
    for node in sorted(set(before) - set(hot(small)))[:5]:
        small.get(node)
    view = small.snapshot()
    with pytest.raises(RuntimeError), small.transaction() as txn:
        txn.add(id="x")
        raise RuntimeError
    assert values(small) == before
    assert small.stats()["tiers"]["cold_bytes"] == stats["cold_bytes"]
    fill(small, start=500)
    assert [x.data["n"] for x in view.concepts()] == list(range(ROWS))


def test_replaced_forgotten_compacted_and_repaired_records_are_counted(small: ql.Store) -> None:
    cold = sorted(set(values(small)) - set(hot(small)))
    small.add("new", id=f"c{cold[0]}", on_conflict="replace")
    small.forget(f"c{cold[1]}")
    sizes_are_right(small)
    kept = set(values(small)) - set(hot(small))
    small.compact()
    assert set(values(small)) - set(hot(small)) == kept
    sizes_are_right(small)
    with small._open_directory().catalog.begin(write=True) as txn:
        txn.put("concepts", node_key(cold[2]), values(small)[cold[2]][:-1] + b"!")
        txn.commit()
    with pytest.raises(ql.CorruptError, match=f"concept number {cold[2]}"):
        small.get(cold[2])
    assert any(problem.lost for problem in small.check())
    small.repair()
    assert small.check() == []
    sizes_are_right(small)


def test_a_store_of_before_there_were_tiers_is_counted(small: ql.Store) -> None:
    with small._open_directory().catalog.begin(write=True) as txn:
        txn.put_head(txn.head()._replace(hot_bytes=None, cold=0, cold_bytes=0))
        txn.commit()
    small.add(id="more")
    sizes_are_right(small)


def test_a_smaller_budget_holds_from_the_next_write_on(path: Path) -> None:
    with ql.open(path, dim=DIM) as store:
        fill(store)
    with ql.open(path, hot_bytes=0) as store:
        store.add(id="more")
        assert hot(store) == []
        assert store.get("c5").data["n"] == 5
        assert store.check() == []
    with pytest.raises(ql.InvalidError, match="hot_bytes"):
        ql.open(path, hot_bytes=-1)


def test_the_order_of_reads_does_not_matter() -> None:
    reads = [(1, 10**18), (1, 10**18 + 7200 * 10**9), (2, 10**18), (1, 10**18 + 5)]
    found = []
    for order in permutations(reads):
        tiers = Tiers()
        for node, moment in order:
            tiers.note(node, cold=False)
            tiers.fold(moment)
        rows = np.arange(1, 4), np.full(3, 0.5), np.full(3, 10**18 - 9), np.full(3, 300)
        found.append(tiers.scores(*rows).tolist())
    np.testing.assert_allclose(found, [found[0]] * len(found), rtol=0, atol=1e-9)
    now = 10**18 + 7200 * 10**9  # The formula of the docstring, at one moment.
    times = [10**18 - 9, 10**18, now, 10**18 + 5]
    score = 0.5 / 300 * sum(2 ** ((t - now) / tiers.half_life_ns) for t in times)
    assert 2 ** (found[0][0] - now / tiers.half_life_ns) == pytest.approx(score, rel=1e-6)


def test_the_table_of_scores_is_what_a_scan_finds(path: Path) -> None:
    rng = random.Random(5)
    with ql.open(path, hot_bytes=6_000) as store:
        seen = store._open_directory().tiers
        for step in range(40):
            ids = [f"{step}/{row}" for row in range(5)]
            with store.transaction() as txn:
                txn.add_many(["some words " * rng.randrange(1, 9)] * 5, ids=ids)
                if step:
                    old = f"{step - 1}/{rng.randrange(5)}"
                    txn.add("again", id=old, strength=rng.random(), on_conflict="replace")
                if step % 7 == 6:
                    txn.forget(f"{step - 1}/4")
            store.get(f"{rng.randrange(step + 1)}/{rng.randrange(4)}")
            if step == 20:  # Somebody else writes: the next overflow reads all records again.
                seen._table = None
            with store.snapshot() as view:
                wanted = tiers._scanned(view.catalog).rows()
            if seen._table is not None:
                assert all(map(np.array_equal, seen._table.rows(), wanted))
        assert seen._table is not None
        assert seen.counts.demoted > 100
        assert seen.counts.promoted > 0


def test_a_table_of_a_commit_that_did_not_happen_is_not_used(path: Path) -> None:
    with ql.open(path, hot_bytes=6_000) as store:
        store.add("one")
        seen = store._open_directory().tiers
        assert seen._table is not None
        with pytest.raises(ql.InvalidError), store.transaction() as txn:
            txn.add("two")
            assert seen.take(txn.catalog.found_at, is_empty=False) is not None
            raise ql.InvalidError("stop")
        store.add("three")
        assert seen._table is None


def zipf(rng: random.Random, n: int, count: int) -> list[int]:
    return rng.choices(range(n), [1 / (i + 1) for i in range(n)], k=count)


def lru_ratio(trace: list[int], capacity: int, skip: int) -> float:
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for at, node in enumerate(trace):
        hits += at >= skip and node in kept
        kept[node] = None
        kept.move_to_end(node)
        if len(kept) > capacity:
            kept.popitem(last=False)
    return hits / (len(trace) - skip)


def test_hits_are_as_many_as_lru_has_on_zipf_and_under_scans(path: Path) -> None:
    n, reads, write_every = 1_000, 8_000, 200
    rng = random.Random(5)
    names = list(range(n))
    rng.shuffle(names)  # What is read often was not written last.
    skewed = [names[i] for i in zipf(rng, n, reads)]
    scanned = [x for at, x in enumerate(skewed) for x in ((x, at // 2 % n) if at % 2 else (x,))]
    with ql.open(path / "a", dim=DIM) as store:
        fill(store, rows=n)
        size = store.stats()["tiers"]["hot_bytes"] // n
    for name, trace in (("zipf", skewed), ("scans", scanned)):
        with ql.open(path / name, dim=DIM, hot_bytes=size * n // 10) as store:
            fill(store, rows=n)
            store.optimize()
            skip = len(trace) // 4
            for at, node in enumerate(trace):
                if at == skip:
                    before = store.stats()["tiers"]
                if at % write_every == 0:
                    store.add(id="tick", on_conflict="replace")
                    view = store.snapshot()
                view.get(node)
            after = store.stats()["tiers"]
            assert after["hot_bytes"] <= after["hot_bytes_max"]
        hits = after["hit_ratio"] * after["reads"] - (before["hit_ratio"] or 0) * before["reads"]
        ratio = hits / (after["reads"] - before["reads"])
        print(name, ratio, lru_ratio(trace, n // 10, skip))
        assert ratio >= lru_ratio(trace, n // 10, skip)
        if name == "zipf":
            assert ratio >= 0.6  # 0.7 of 10,000 records: bench/tiers.py.


def test_a_dictionary_holds_what_records_share() -> None:
    samples = [
        b"\x85aaa" + bytes([i]) + b"a common piece of text" + bytes([i, 7]) for i in range(9)
    ]
    made = dictionary_of(samples)
    assert b"a common piece of text" in made
    assert len(made) < 200
    assert dictionary_of([]) == b""
    assert dictionary_of([b"short"]) == b""


def test_samples_of_long_texts_are_short(store: ql.Store) -> None:
    """Every byte of a sample is counted: whole texts of megabytes would need all memory."""
    store.add_many(["word " * 20_000] * 3)
    with store._open_directory().catalog.begin() as txn:
        assert [len(x) for x in tiers._samples(txn)] == [tiers.SAMPLE_BYTES] * 3


def test_a_process_that_only_reads_remembers_a_limited_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiers, "TRACKED_MAX", 10)
    seen = Tiers()
    for node in range(100):
        seen.note(node, cold=True)
    assert seen.wanted() == list(range(10))
