"""quillian.kernels against float64 numpy: scores, and top-k that no path, ISA or thread changes."""

import doctest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import pytest
import quillian.kernels
from numpy.typing import NDArray
from quillian.bindings import kernels as core
from quillian.bindings._core import lib
from quillian.bindings.matrix import Matrix as CoreMatrix
from quillian.errors import InvalidError, OutOfMemoryError
from quillian.kernels import (
    METRICS,
    Matrix,
    Metric,
    cosine,
    dot,
    l2,
    matrix,
    nearest,
    normalize,
    top_k,
)

Array = NDArray[Any]
NAMES: list[Metric] = ["dot", "cosine", "l2"]
CASES = list(product(NAMES, ["float32", "float16", "int8"]))
FUNCTIONS = {"dot": dot, "cosine": cosine, "l2": l2}


def present() -> list[str]:
    names = ("portable", "avx2", "avx512", "neon")
    found = [name for name in names if lib.ql_isa_use(name.encode()) == lib.QL_OK]
    lib.ql_isa_use(found[-1].encode())
    return found


@pytest.fixture(params=present())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = core.isa()
    core.use_isa(request.param)
    yield request.param
    core.use_isa(before)


def exact(metric: str, queries: Array, rows: Array) -> NDArray[np.float64]:
    """(m, n) scores in float64."""
    q, r = queries.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        return -((q[:, None, :] - r[None]) ** 2).sum(-1)
    if metric == "dot":
        return q @ r.T
    norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(r, axis=1)
    return np.divide(q @ r.T, norms, out=np.zeros_like(norms), where=norms > 0)


def ranked(scores: Array, k: int) -> Array:
    """Indices by score, ties by index: the plain definition."""
    order = [np.lexsort((np.arange(scores.shape[1]), -row))[:k] for row in scores]
    return np.array(order).reshape(len(scores), -1)


def sample(seed: int, n: int, d: int, kind: str = "float32") -> Array:
    random = np.random.default_rng(seed)
    if kind == "int8":
        return random.integers(-128, 128, (n, d)).astype(np.int8)
    return random.standard_normal((n, d)).astype(kind)


def awkward(seed: int, n: int, d: int) -> Array:
    """Rows that a bound could get wrong: ties, zeros, lengths over forty orders, outliers."""
    random = np.random.default_rng(seed)
    rows = random.integers(-2, 3, (n, d)).astype(np.float64)
    rows[::3] = random.standard_normal(rows[::3].shape)
    rows[1::7] *= 10.0 ** random.uniform(-20, 18, (len(rows[1::7]), 1))
    rows[2::11] = 0
    rows[3::13, 0] = 3e4
    rows[n // 2 :] = rows[: n - n // 2]
    return rows.astype(np.float32)


def test_examples_in_docstrings_run() -> None:
    result = doctest.testmod(quillian.kernels)
    assert result.attempted >= 6
    assert result.failed == 0


@pytest.mark.parametrize(("metric", "kind"), CASES)
def test_scores_are_near_float64(isa: str, metric: str, kind: str) -> None:
    for d in (1, 7, 32, 33, 100, 384, 1025):
        queries, rows = sample(1, 3, d), sample(2, 130, d, kind)
        want = exact(metric, queries, rows)
        scale = exact("dot", np.abs(queries), np.abs(rows.astype(np.float32)))
        bound = 1e-5 * {"dot": scale, "l2": np.abs(want), "cosine": 1.0}[metric]
        assert np.all(np.abs(FUNCTIONS[metric](queries, rows) - want) <= bound), d


def test_one_query_or_many_give_the_same_bits() -> None:
    queries, rows = sample(3, 5, 70), sample(4, 200, 70)
    for function in FUNCTIONS.values():
        many = function(queries, rows)
        assert many.shape == (5, 200)
        for query, scores in zip(queries, many, strict=True):
            assert function(query, rows).tobytes() == scores.tobytes()


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_narrow_rows_score_like_their_float32_copy(isa: str, kind: str) -> None:
    queries, rows = sample(5, 4, 61), sample(6, 150, 61, kind)
    for metric, function in FUNCTIONS.items():
        wide = function(queries, rows.astype(np.float32))
        assert function(queries, rows).tobytes() == wide.tobytes(), metric


def test_every_half_is_widened_exactly(isa: str) -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    for part in (halves, halves[5:12]):  # A whole number of registers, and less than one.
        column = part.reshape(-1, 1)
        assert dot([1.0], column).tolist() == [float(x) for x in part]
    assert dot(np.eye(7), halves[1000:1007][None]).ravel().tolist() == halves[1000:1007].tolist()


@pytest.mark.parametrize(("metric", "kind"), CASES)
def test_nearest_is_the_top_of_all_scores(isa: str, metric: Metric, kind: str) -> None:
    for seed, (n, d) in enumerate([(1, 1), (63, 5), (64, 8), (65, 33), (700, 48), (1000, 100)]):
        rows = sample(seed, n, d, kind)
        prepared = matrix(rows, metric=metric)
        for m in (1, 3, 40):  # One reading of the rows, and codes made on the go.
            queries = sample(seed + 100, m, d)
            scores = FUNCTIONS[metric](queries, rows)
            for k in (1, 10, n):
                want = ranked(scores, k)
                for threads in (1, 3):
                    for found in (
                        nearest(queries, rows, k, metric=metric, threads=threads),
                        prepared.nearest(queries, k, threads=threads),
                    ):
                        assert np.array_equal(found.rows, want)
                        assert (
                            found.scores.tobytes() == np.take_along_axis(scores, want, 1).tobytes()
                        )


@pytest.mark.parametrize("metric", NAMES)
def test_no_row_is_ruled_out_wrongly(isa: str, metric: Metric) -> None:
    for seed in range(12):
        n, d = 500, (1, 2, 3, 8, 17, 64)[seed % 6]
        rows, queries = awkward(seed, n, d), awkward(seed + 50, 30, d)
        if metric != "cosine":  # Scores of both extremes at once would leave float32.
            queries = np.clip(queries, -3e4, 3e4)
        scores = FUNCTIONS[metric](queries, rows)
        want = ranked(scores, 10)
        assert np.array_equal(nearest(queries, rows, 10, metric=metric).rows, want)
        assert np.array_equal(matrix(rows, metric=metric).nearest(queries, 10).rows, want)


def test_codes_rule_most_rows_out(isa: str) -> None:
    """Counted, not timed: of 5,000 random rows fewer than a tenth are scored for a top 10."""
    rows, queries = sample(7, 5000, 128), sample(8, 20, 128)
    prepared = CoreMatrix(METRICS["cosine"], rows, coded=True)
    assert prepared.top(queries, 10)[2] < 20 * 500
    assert CoreMatrix(METRICS["cosine"], rows, coded=False).top(queries[:1], 10)[2] == 5000
    assert prepared.codes_bytes == 5000 * (128 + 16)


def test_numpy_agrees_on_the_nearest() -> None:
    rows, queries = normalize(sample(9, 2000, 96)), sample(10, 25, 96)
    want = exact("cosine", queries, rows)
    found = nearest(queries, rows, 10)
    assert np.abs(np.sort(want, axis=1)[:, ::-1][:, :10] - found.scores).max() < 1e-5
    assert np.abs(np.take_along_axis(want, found.rows, 1) - found.scores).max() < 1e-5


def test_threads_may_ask_one_matrix_at_once() -> None:
    rows, queries = sample(20, 3000, 40), sample(21, 30, 40)
    prepared = matrix(rows)
    want = prepared.nearest(queries, 5)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(prepared.nearest, queries, 5, threads=t % 4 + 1) for t in range(12)]
        for found in (x.result() for x in asked):
            assert np.array_equal(found.rows, want.rows)
            assert found.scores.tobytes() == want.scores.tobytes()


def test_equal_rows_come_in_order() -> None:
    rows = np.ones((300, 20), np.float32)
    for threads in (1, 2, 5):
        assert nearest(rows[0], rows, 7, threads=threads).rows.tolist() == list(range(7))
        assert matrix(rows).nearest(rows[0], 7, threads=threads).rows.tolist() == list(range(7))


def test_top_k_breaks_ties_by_index() -> None:
    random = np.random.default_rng(11)
    for n, k in [(1, 1), (10, 3), (1000, 10), (1000, 1000), (5000, 64)]:
        scores = random.integers(0, 50, (4, n)).astype(np.float32)
        scores[0, ::3] = -np.inf
        scores[1, : n // 2] = np.inf
        found = top_k(scores, k)
        assert np.array_equal(found.rows, ranked(scores, k))
        assert np.array_equal(found.scores, np.take_along_axis(scores, found.rows, 1))


def test_k_beyond_n_gives_n_and_zero_gives_none() -> None:
    assert top_k([1.0, 3.0, 2.0], 9).rows.tolist() == [1, 2, 0]
    assert top_k(np.zeros((2, 0)), 4).rows.shape == (2, 0)
    rows = sample(12, 5, 3)
    assert nearest(rows, rows, 9).rows.shape == (5, 5)
    assert nearest(rows[0], rows, 0).rows.shape == (0,)
    assert nearest(rows[:0], rows, 2).scores.shape == (0, 2)
    assert nearest(rows[0], rows[:0], 2).rows.shape == (0,)
    assert dot(rows[0], rows[:0]).shape == (0,)
    with pytest.raises(InvalidError, match="k of at least 0"):
        top_k([1.0], -1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused_on_every_path(isa: str, value: float) -> None:
    rows, many = sample(13, 200, 20), sample(14, 40, 20)
    bad = rows.copy()
    bad[199, 19] = value
    for metric in NAMES:
        with pytest.raises(InvalidError, match="finite"):
            matrix(bad, metric=metric)
        for queries in (many[:1], many):
            with pytest.raises(InvalidError, match="finite"):
                nearest(queries, bad, 3, metric=metric)
            with pytest.raises(InvalidError, match="finite"):
                nearest(np.vstack([queries, bad[-1:]]), rows, 3, metric=metric)
        with pytest.raises(InvalidError, match="finite"):
            FUNCTIONS[metric](many, bad)
    with pytest.raises(InvalidError, match="finite"):
        normalize(bad)
    with pytest.raises(InvalidError, match="no NaN"):
        top_k([0.0, np.nan], 1)


def test_zero_norms_give_zero() -> None:
    rows = np.zeros((100, 9), np.float32)
    rows[50] = 1
    assert cosine(rows[0], rows).tolist() == [0] * 100
    found = matrix(rows).nearest(rows[50], 2)
    assert found.rows.tolist() == [50, 0]
    assert found.scores.tolist() == [1, 0]
    assert matrix(rows, metric="l2").nearest(rows[0], 1).scores.tolist() == [0]
    assert normalize(rows)[0].tolist() == [0] * 9


@pytest.mark.parametrize("scale", [1e-40, 1e-20, 1.0, 1e20, 3e38])
def test_normalize_gives_norm_one_at_every_scale(scale: float) -> None:
    rows = (sample(15, 4100, 6) / 5 * np.float64(scale)).clip(-3.4e38, 3.4e38).astype(np.float32)
    unit = normalize(rows)
    assert unit.dtype == np.float32
    norms = np.linalg.norm(unit.astype(np.float64), axis=1)
    assert np.abs(norms[rows.any(axis=1)] - 1).max() < 1e-6
    assert normalize(rows[1]).tobytes() == unit[1].tobytes()


def test_any_real_array_is_taken() -> None:
    rows = sample(16, 30, 12)
    query = rows[3]
    want = dot(query, rows).tobytes()
    assert dot(query.astype(np.float64), np.asfortranarray(rows)).tobytes() == want
    assert dot(query.tolist(), rows.astype(">f4")).tobytes() == want
    assert dot(query, np.repeat(rows, 2, axis=0)[::2]).tobytes() == want
    frozen = rows.copy()
    frozen.flags.writeable = False
    assert matrix(frozen).nearest(query, 1).rows.tolist() == [3]
    assert dot([True + 1, 2], np.array([[3, 4]], np.uint16)).tolist() == [14]


def test_wrong_arguments_say_what_was_wanted() -> None:
    rows = sample(17, 4, 6)
    for queries, bad_rows, message in [
        (rows[0], rows[0], r"want rows \(n, d\), got \(6,\)"),
        (rows[0, :5], rows, r"want queries \(m, 6\) like the rows, got \(1, 5\)"),
        (rows[None], rows, r"want queries \(d,\) or \(m, d\)"),
        (["a"], rows, "real numbers"),
        (rows[0] * 1j, rows, "real numbers"),
        (rows[:, :0], rows[:, :0], "1 to 16384 columns"),
    ]:
        with pytest.raises(InvalidError, match=message):
            dot(queries, bad_rows)
    with pytest.raises(InvalidError, match="metric of dot, cosine, l2"):
        Matrix(rows, metric="manhattan")  # type: ignore[arg-type]
    for threads in (0, lib.QL_THREADS_MAX + 1):
        with pytest.raises(InvalidError, match="threads"):
            nearest(rows, rows, 1, threads=threads)


def test_each_failing_allocation_is_an_exception() -> None:
    rows, queries = sample(18, 200, 10, "float16"), sample(19, 15, 10)

    def work() -> None:
        nearest(queries, rows, 3, threads=2)
        matrix(rows).nearest(queries, 3)
        dot(queries, rows)
        top_k(queries, 2)

    before = lib.ql_alloc_count()
    work()
    attempts = lib.ql_alloc_count() - before
    assert attempts > 30
    for nth in range(1, attempts + 1):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError):
            work()
    lib.ql_alloc_fail_at(0)
    work()
