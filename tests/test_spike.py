"""Spike: a wave by hand, its trail, inhibition, and the reference on a random graph."""

import numpy as np
import pytest
import quillian as ql
from spiking_reference import Reference


@pytest.fixture
def chain(store: ql.Store) -> ql.Store:
    """a -> b -> c and a -> d -> c, d stronger; e holds c back when it fires; f stands apart."""
    with store.transaction() as txn:
        txn.add_many(ids=list("abcdef"), vectors=np.eye(6, 8, dtype=np.float32))
        txn.link("a", "b", "next", weight=1)
        txn.link("a", "d", "next", weight=0.8)
        txn.link("b", "c", "next", weight=0.6)
        txn.link("d", "c", "next", weight=0.9)
        txn.link("e", "c", "stops", weight=2)
        txn.link("e", "d", "next", weight=-1)
    return store


def rows(found: ql.Selection) -> dict[str, tuple[float, int, str, float]]:
    """id: (score, first, via, strength)."""
    ids = "abcdef"
    return {
        ids[int(node)]: (float(score), int(first), ids[int(via)], round(float(strength), 6))
        for node, score, first, via, strength in zip(
            found.ids, found.scores, *(found.columns[c] for c in ("first", "via", "strength")),
            strict=True,
        )
    }  # fmt: skip


def test_a_wave_by_hand(chain: ql.Store) -> None:
    found = chain.run(ql.Query(ql.Named("a"), ql.Spike(4)))
    assert rows(found) == {
        "a": (1, 1, "a", 0),
        "b": (1, 2, "a", 1),
        "d": (1, 2, "a", 0.8),
        "c": (1, 3, "d", 0.9),
    }


def test_the_trail_leads_to_the_row(chain: ql.Store) -> None:
    found = chain.run(ql.Query(ql.Near(1, exact=True), ql.Spike(4)), about=np.eye(8)[0])
    at = found.ids.tolist().index(2)
    assert [hop.id for hop in found.trail(at)] == ["a", "c"]
    assert found.trail(at)[-1].columns["via"] == 3


def test_types_inhibit_and_weights_below_zero_do(chain: ql.Store) -> None:
    both = np.eye(8)[0] + np.eye(8)[4]
    query = ql.Query(ql.Near(2, exact=True), ql.Spike(4, inhibitory=("stops",)))
    # e takes from d what a gives it, and c is inhibited at burst 2, before b reaches it.
    assert rows(chain.run(query, about=both)) == {
        "a": (1, 1, "a", 0),
        "e": (1, 1, "e", 0),
        "b": (1, 2, "a", 1),
        "c": (1, 3, "b", 0.6),
    }
    only = ql.Query(ql.Near(2, exact=True), ql.Spike(4, types=("stops",)))
    assert set(rows(chain.run(only, about=both))) == {"a", "e", "c"}


def test_a_threshold_above_the_potential_fires_nothing(chain: ql.Store) -> None:
    assert len(chain.run(ql.Spike(4, threshold=1.5))) == 0


def test_random_graph_equals_the_reference(store: ql.Store) -> None:
    rng = np.random.default_rng(8)
    n = 60
    ends = np.unique(rng.integers(0, n, (300, 2)), axis=0)
    weights = np.round(rng.uniform(-0.5, 1, len(ends)), 2)
    with store.transaction() as txn:
        txn.add_many(ids=[f"n{i}" for i in range(n)], vectors=rng.normal(size=(n, 8)))
        txn.link_many(ends[:, 0].tolist(), ends[:, 1].tolist(), "r", weights=weights.tolist())
    reference = Reference(
        n, threshold=40, leak=0.2, refractory=2, fire_limit=2, snooze=1, excitability=0.8
    )
    size = np.rint(np.abs(np.float32(weights)) * 100).astype(int)
    reference.connect(ends[:, 0], ends[:, 1], weight=size, inhibitory=weights < 0)
    reference.inject(np.arange(n), 70)
    fired = reference.run(12, start=10)
    spike = ql.Spike(
        12, threshold=0.4, potential=0.7, leak=0.2, refractory=2, fire_limit=2, snooze=1,
        excitability=0.8, seed=9,
    )  # fmt: skip
    found = store.run(spike)
    counts = np.bincount(np.concatenate(fired), minlength=n)
    assert {int(i): int(s) for i, s in zip(found.ids, found.scores, strict=True)} == {
        i: int(counts[i]) for i in range(n) if counts[i]
    }
    for node, first in zip(found.ids.tolist(), found.columns["first"].tolist(), strict=True):
        assert first == next(b for b, ids in enumerate(fired, start=1) if node in ids)
