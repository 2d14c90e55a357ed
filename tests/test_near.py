"""csrc/near.c and places.c: batches over threads, and filters that allow few nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quillian.bindings.hnsw import Hnsw
from quillian.bindings.vectors import Vectors
from quillian.errors import InvalidError


def test_threads_share_a_batch_and_change_nothing(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((3000, 16), dtype=np.float32)
    vectors = Vectors(str(tmp_path), bytes(16), 16, writable=True)
    vectors.append(rows, np.arange(3000, dtype=np.uint32), commit=1)
    index = Hnsw.create(vectors)
    index.extend(2500)
    one = vectors.near(rows[:200], index=index, k=5)
    for threads in (0, 2, 5):
        other = vectors.near(rows[:200], index=index, k=5, threads=threads)
        assert [x.tolist() for x in other[:3]] == [x.tolist() for x in one[:3]]
        assert other[3] == one[3]
    with pytest.raises(InvalidError):
        vectors.near(rows[:2], threads=65)


def test_each_query_of_a_batch_has_its_own_filter(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((1500, 16), dtype=np.float32)
    vectors = Vectors(str(tmp_path), bytes(16), 16, writable=True)
    vectors.append(rows, np.arange(1500, dtype=np.uint32), commit=1)
    index = Hnsw.create(vectors)
    index.extend(1500)
    shares = (0.0, 0.001, 0.3, 0.95, 1.0)
    chosen = np.random.default_rng(1).random((5, 24 * 64)) < np.array(shares)[:, None]
    bits = np.packbits(chosen, axis=1, bitorder="little").view(np.uint64)
    nodes, scores, found, _ = vectors.near(rows[:5], index=index, allowed=bits, threads=2)
    for i, mask in enumerate(bits):
        alone = vectors.near(rows[i : i + 1], index=index, allowed=mask)
        assert found[i] == alone[2][0] == min(10, chosen[i, :1500].sum())
        assert nodes[i, : found[i]].tolist() == alone[0][0, : found[i]].tolist()
        assert scores[i, : found[i]].tolist() == alone[1][0, : found[i]].tolist()
    with pytest.raises(InvalidError):
        vectors.near(rows[:4], allowed=bits)


def test_few_allowed_nodes_lead_to_the_slots_of_each_snapshot(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((300, 8), dtype=np.float32)
    nodes = np.arange(100, dtype=np.uint32)
    vectors = Vectors(str(tmp_path), bytes(16), 8, metric="dot", writable=True)
    allowed = np.zeros(2, np.uint64)
    allowed[0] = np.uint64(1 << 5)
    allowed[1] = np.uint64(1 << 6 | 1 << 63)

    def scores(**options: int) -> dict[int, float]:
        found = vectors.near(rows[:1], allowed=allowed, **options)
        return dict(zip(found[0][0, : found[2][0]].tolist(), found[1][0].tolist(), strict=False))

    def expected(first: int) -> dict[int, float]:
        return {node: pytest.approx(rows[0] @ rows[first + node], rel=1e-5) for node in (5, 70)}

    vectors.append(rows[:100], nodes, commit=1)
    assert scores() == expected(0)
    vectors.append(rows[100:200], nodes, commit=2)
    vectors.retire(nodes, commit=2)
    assert scores(commit=1) == expected(0)
    assert scores(commit=2) == expected(100)
    assert scores(commit=2, count=100) == {}
    vectors.truncate(100)  # As if the second commit had failed.
    vectors.retire(nodes, commit=0)
    vectors.append(rows[200:205], nodes[3:8], commit=2)
    vectors.retire(nodes[3:8], commit=2)
    mixed = {5: expected(200 - 3)[5], 70: expected(0)[70]}
    assert scores() == mixed
    vectors.append(rows[:1], np.array([2**31], np.uint32), commit=3)  # Too large for a table.
    assert scores() == mixed


def test_one_query_is_answered_as_in_a_batch(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((1200, 16), dtype=np.float32)
    vectors = Vectors(str(tmp_path), bytes(16), 16, writable=True)
    vectors.append(rows, np.arange(1200, dtype=np.uint32)[::-1].copy(), commit=1)
    index = Hnsw.create(vectors)
    index.extend(1000)
    allowed = np.zeros(19, np.uint64)
    allowed[3] = np.uint64(2**64 - 1)
    for k in (0, 1, 2, 7, 8, 9, 63, 64, 65, 1200):
        for mask in (None, allowed):
            for exact in (False, True):
                want = vectors.near(
                    rows[:1], index=index, k=k, ef=64, exact=exact, allowed=mask, commit=1
                )
                ids, scores, cost = vectors.near_one(
                    rows[0], index, k, 64, count=1200, commit=1, exact=exact, allowed=mask
                )
                assert ids.tolist() == want[0][0, : want[2][0]].tolist()
                assert scores.tolist() == want[1][0, : want[2][0]].tolist()
                assert cost == want[3]._asdict()
                assert ids.dtype == np.uint64
                assert not ids.flags.writeable
                assert not scores.flags.writeable


def test_one_query_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    vectors = Vectors(str(tmp_path), bytes(16), 4, writable=True)
    vectors.append(np.eye(4, dtype=np.float32), np.arange(4, dtype=np.uint32), commit=1)
    fitting = {"count": 4, "commit": 1, "exact": True, "allowed": None}
    for query in (np.ones(3, np.float32), np.ones(4), np.float32([1, np.nan, 0, 0])):
        with pytest.raises(InvalidError):
            vectors.near_one(query, None, 2, 2, **fitting)
