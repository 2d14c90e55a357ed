"""Every instruction set of this CPU: the same bits as the portable one, and near float64."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from quillian.bindings import kernels
from quillian.bindings._core import ffi, lib
from quillian.errors import InvalidError

Array = NDArray[np.float32]
METRICS = {"dot": kernels.DOT, "l2": kernels.L2, "cosine": kernels.COSINE}
DIMS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 96, 127, 128, 129]
DIMS += [191, 255, 256, 257, 383, 384, 385, 511, 513, 640, 767, 768, 769, 1000, 1023, 1024, 1025]
DIMS += [1087, 1100]
EPSILON = 2.0**-24


def present() -> list[str]:
    names = ("portable", "avx2", "avx512", "neon")
    found = [name for name in names if lib.ql_isa_use(name.encode()) == lib.QL_OK]
    lib.ql_isa_use(found[-1].encode())
    return found


@pytest.fixture(params=present())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = kernels.isa()
    kernels.use_isa(request.param)
    yield request.param
    kernels.use_isa(before)


def portable(metric: int, query: Array, rows: Array) -> Array:
    before = kernels.isa()
    kernels.use_isa("portable")
    try:
        return kernels.score_rows(metric, query, rows)
    finally:
        kernels.use_isa(before)


def exact(metric: int, query: Array, rows: Array) -> tuple[NDArray[np.float64], float]:
    """The float64 scores, and the bound of kernels_portable.c on their float32 error."""
    q, r = query.astype(np.float64), rows.astype(np.float64)
    steps = len(query) / 32 + 6
    if metric == kernels.DOT:
        return r @ q, steps * EPSILON * float((np.abs(r) @ np.abs(q)).max(initial=0))
    if metric == kernels.L2:
        scores = -((r - q) ** 2).sum(axis=1)
        return scores, (steps + 3) * EPSILON * float(np.abs(scores).max(initial=0))
    norms = np.linalg.norm(r, axis=1) * np.linalg.norm(q)
    scores = np.divide(r @ q, norms, out=np.zeros(len(r)), where=norms > 0)
    return scores, (2 * steps + 2) * EPSILON


def sample(seed: int, n: int, d: int) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    return (
        random.standard_normal(d).astype(np.float32),
        random.standard_normal((n, d)).astype(np.float32),
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_scores_are_near_float64_and_the_same_bits_everywhere(isa: str, metric: int) -> None:
    for d in DIMS:
        query, rows = sample(d, 7, d)
        scores = kernels.score_rows(metric, query, rows)
        want, bound = exact(metric, query, rows)
        assert bound <= 1e-5 * max(1, np.abs(query * rows).sum(1).max(), np.abs(want).max())
        assert np.abs(scores - want).max() <= bound, d
        assert scores.tobytes() == portable(metric, query, rows).tobytes(), d


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_number_and_place_of_rows_change_no_bit(isa: str, metric: int) -> None:
    query, rows = sample(3, 201, 77)
    scores = kernels.score_rows(metric, query, rows)
    index = np.random.default_rng(4).integers(0, 201, 333, dtype=np.uint32)
    assert kernels.score_gather(metric, query, rows, index).tobytes() == scores[index].tobytes()
    for n in (0, 1, 2, 3, 4, 5, 63, 64, 65):
        assert kernels.score_rows(metric, query, rows[:n]).tobytes() == scores[:n].tobytes()


def test_rows_may_start_at_any_float_and_stand_apart(isa: str) -> None:
    random = np.random.default_rng(5)
    d, stride, n = 45, 61, 6
    for offset in range(17):
        memory = random.standard_normal(offset + n * stride).astype(np.float32)
        apart = memory[offset:].reshape(n, stride)
        query = random.standard_normal(d + 17).astype(np.float32)[offset : offset + d]
        scores = np.empty(n, np.float32)
        status = lib.ql_score_rows(
            kernels.DOT,
            ffi.from_buffer("float[]", query),
            d,
            ffi.from_buffer("float[]", apart),
            stride,
            n,
            ffi.from_buffer("float[]", scores),
        )
        assert status == lib.QL_OK
        want = portable(kernels.DOT, query, np.ascontiguousarray(apart[:, :d]))
        assert scores.tobytes() == want.tobytes()


def test_nothing_past_the_last_component_counts(isa: str) -> None:
    """The padding of a short last block must come from zeros, not from the memory behind it."""
    for d in range(1, 70):
        memory = np.full(d + 64, np.nan, np.float32)
        memory[:d] = 1
        assert kernels.score_rows(kernels.DOT, memory[:d], memory[None, :d]).tolist() == [d]


def test_zero_norm_gives_cosine_zero(isa: str) -> None:
    rows = np.zeros((3, 40), np.float32)
    rows[1] = 1
    assert kernels.score_rows(kernels.COSINE, rows[1], rows).tolist() == [0, 1, 0]
    assert kernels.score_rows(kernels.COSINE, rows[0], rows).tolist() == [0, 0, 0]


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-30, 1e-20, 1e20, 1e30, 1e36])
def test_cosine_of_tiny_and_huge_vectors(isa: str, scale: float) -> None:
    query, rows = sample(6, 9, 50)
    rows = (rows * np.float64(scale)).astype(np.float32)
    rows[0] = 0
    want, bound = exact(kernels.COSINE, query, rows)
    assert np.abs(kernels.score_rows(kernels.COSINE, query, rows) - want).max() <= bound


def test_denormal_components_count(isa: str) -> None:
    query = np.full(33, 1e-42, np.float32)
    rows = np.full((2, 33), 1000, np.float32)
    want, bound = exact(kernels.DOT, query, rows)
    scores = kernels.score_rows(kernels.DOT, query, rows)
    assert scores[0] > 0
    assert np.abs(scores - want).max() <= bound + 33 * 2.0**-149


def test_cosine_stays_within_one(isa: str) -> None:
    _, rows = sample(7, 400, 3)
    for row in rows:
        scores = kernels.score_rows(kernels.COSINE, row, np.stack([row, -row, row * 3]))
        assert np.abs(scores).max() <= 1
        assert np.allclose(scores, [1, -1, 1], atol=1e-6)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused(isa: str, metric: int, value: float) -> None:
    query, rows = sample(8, 70, 19)
    for place in (0, 17, 18):
        bad = rows.copy()
        bad[69, place] = value
        with pytest.raises(InvalidError, match="finite"):
            kernels.score_rows(metric, query, bad)
        with pytest.raises(InvalidError, match="finite"):
            kernels.score_rows(metric, bad[69], rows)


def test_score_beyond_float32_is_refused(isa: str) -> None:
    huge = np.full((1, 4), 3e38, np.float32)
    for metric in (kernels.DOT, kernels.L2):
        with pytest.raises(InvalidError, match="finite"):
            kernels.score_rows(metric, -huge[0], huge)


def test_arguments_are_checked() -> None:
    query, rows = sample(9, 5, 6)
    index = np.array([0, 4], np.uint32)
    with pytest.raises(InvalidError, match="float32"):
        kernels.score_rows(kernels.DOT, query.astype(np.float64), rows)  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match="dimensions"):
        kernels.score_rows(kernels.DOT, query, rows[0])
    with pytest.raises(InvalidError, match="C order"):
        kernels.score_rows(kernels.DOT, query, np.asfortranarray(rows))
    with pytest.raises(InvalidError, match=r"query \(6,\)"):
        kernels.score_rows(kernels.DOT, query[:5].copy(), rows)
    with pytest.raises(InvalidError, match="below 5"):
        kernels.score_gather(kernels.DOT, query, rows, index + np.uint32(1))
    with pytest.raises(InvalidError, match="score"):
        kernels.score_rows(17, query, rows)
    wide = np.zeros((1, lib.QL_DIM_MAX + 1), np.float32)
    with pytest.raises(InvalidError, match="score"):
        kernels.score_rows(kernels.DOT, wide[0], wide)


def bitwise_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_crc32c_of_known_bytes(isa: str, data: bytes, crc: int) -> None:
    """RFC 3720, appendix B.4, and the check value of the CRC catalogue."""
    assert kernels.crc32c(data) == crc


def test_crc32c_equals_the_bitwise_definition(isa: str) -> None:
    data = np.random.default_rng(10).bytes(400)
    for size in [*range(40), 63, 64, 65, 127, 128, 129, 399]:
        for start in (0, 1, 7):
            part = data[start : start + size]
            assert kernels.crc32c(part) == bitwise_crc32c(part)


def test_crc32c_goes_on_where_it_stopped(isa: str) -> None:
    data = np.random.default_rng(11).bytes(200)
    for cut in range(0, 200, 7):
        assert kernels.crc32c(data[cut:], kernels.crc32c(data[:cut])) == kernels.crc32c(data)


def test_crc32c_reads_any_buffer() -> None:
    array = np.arange(6, dtype=np.float32)
    assert kernels.crc32c(array) == kernels.crc32c(array.tobytes())
