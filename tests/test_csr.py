"""csrc/csr.c: what is refused, and what an edge list becomes."""

import numpy as np
import pytest
from quillian.bindings._core import lib
from quillian.bindings.csr import Csr, build
from quillian.errors import InvalidError, OutOfMemoryError


def u32(*values: int) -> np.ndarray:
    return np.array(values, np.uint32)


def u64(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def test_build_merges_parallel_edges_and_drops_loops() -> None:
    offsets, targets, sums = build(3, u32(0, 1, 0, 2), u32(1, 0, 2, 2), np.array([1.0, 2, 3, 4]))
    assert offsets.tolist() == [0, 2, 3, 4]
    assert targets.tolist() == [1, 2, 0, 0]
    assert sums.tolist() == [3, 3, 3, 3]


def test_build_equals_scipy_free_dictionary() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        n = int(rng.integers(1, 30))
        ends = rng.integers(0, n, (2, 60)).astype(np.uint32)
        weights = rng.integers(1, 9, 60).astype(float)
        expected: dict[tuple[int, int], float] = {}
        for a, b, w in zip(*ends.tolist(), weights.tolist(), strict=True):
            if a != b:
                expected[a, b] = expected.get((a, b), 0) + w
                expected[b, a] = expected.get((b, a), 0) + w
        offsets, targets, sums = build(n, ends[0], ends[1], weights)
        rows = np.repeat(np.arange(n), np.diff(offsets).astype(int))
        found = dict(zip(zip(rows.tolist(), targets.tolist(), strict=True), sums, strict=True))
        assert found == expected
        assert Csr(offsets, targets).ordered


@pytest.mark.parametrize(
    ("offsets", "targets"),
    [
        (u64(0, 1, 3), u32(1, 0)),  # rows leave the array
        (u64(0, 2, 1), u32(1)),  # rows go backward
        (u64(1, 1, 2), u32(1, 0)),  # the first row starts late
        (u64(0, 1, 2), u32(1, 2)),  # a target that is no row
        (u64(0, 1, 1), u32(1)),  # an arc without its reverse
    ],
)
def test_broken_rows_are_refused(offsets: np.ndarray, targets: np.ndarray) -> None:
    with pytest.raises(InvalidError):
        Csr(offsets, targets)


def test_unequal_weights_of_one_edge_are_refused() -> None:
    with pytest.raises(InvalidError, match="undirected"):
        Csr(u64(0, 1, 2), u32(1, 0), u32(5, 6))


def test_unsorted_rows_are_told() -> None:
    assert not Csr(u64(0, 2, 3, 4), u32(2, 1, 0, 0)).ordered


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf])
def test_build_refuses_weights_that_are_not_positive(weight: float) -> None:
    with pytest.raises(InvalidError):
        build(2, u32(0), u32(1), np.array([weight]))


def test_build_survives_each_failed_allocation() -> None:
    for nth in range(1, 6):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError):
            build(2, u32(0), u32(1))
    lib.ql_alloc_fail_at(0)
    assert build(2, u32(0), u32(1))[1].tolist() == [1, 0]
