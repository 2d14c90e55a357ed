"""Vectors of any number, layout and dimension give what NumPy computes, or a clear error."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quillian as ql
from conftest import DIM
from numpy.typing import NDArray
from quillian import kernels
from quillian.bindings.limits import DIM_MAX

Array = NDArray[Any]
ROWS = 40
WHOLE = np.random.default_rng(3).integers(-9, 10, (ROWS, DIM)).astype(np.float32) + 0.5


def small(name: str) -> Any:
    """A dtype of ml_dtypes; the tests that want one need it."""
    return np.dtype(getattr(pytest.importorskip("ml_dtypes"), name))


def readonly(rows: Array) -> Array:
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


class Arrow:
    """What pyarrow's fixed-size lists look like from outside."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        found = np.empty(len(self.rows), object)
        found[:] = list(self.rows)
        return found

    def to_pylist(self) -> list[list[float]]:
        found: list[list[float]] = self.rows.tolist()
        return found


GIVEN: dict[str, Callable[[Array], Any]] = {
    "float16": lambda rows: rows.astype(np.float16),
    "float64": lambda rows: rows.astype(np.float64),
    "longdouble": lambda rows: rows.astype(np.longdouble),
    "bfloat16": lambda rows: rows.astype(small("bfloat16")),
    "big-endian": lambda rows: rows.astype(">f4"),
    "big-endian float64": lambda rows: rows.astype(">f8"),
    "Fortran order": np.asfortranarray,
    "every second column": lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    "negative strides": lambda rows: rows[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": readonly,
    "unaligned": lambda rows: np.frombuffer(b"x" + rows.tobytes(), np.float32, offset=1).reshape(
        rows.shape
    ),
    "unmasked": np.ma.array,
    "lists": lambda rows: rows.tolist(),
    "rows of several kinds": lambda rows: [rows[0].tolist(), *rows[1:].astype(np.float16)],
    "iterator": iter,
    "object column": lambda rows: Arrow(rows).__array__(),
    "Arrow column": Arrow,
}
INTEGERS = {"int8": np.int8, "uint8": np.uint8, "int64": np.int64, "bool": np.bool_}
REFUSED: dict[str, Callable[[Array], Any]] = {
    "complex": lambda rows: rows.astype(np.complex64),
    "dates": lambda rows: rows.astype("datetime64[s]"),
    "text": lambda rows: rows.astype(str),
    "bytes": lambda rows: rows.view("V4"),
    "records": lambda rows: rows.view([("x", np.float32)]),
    "masked": lambda rows: np.ma.array(rows, mask=rows < 0),
    "ragged": lambda rows: [*rows[:-1].tolist(), [1.0]],
    "a number": lambda rows: 5.0,
    "NaN of float16": lambda rows: np.full_like(rows, np.nan, dtype=np.float16),
    "infinity of bfloat16": lambda rows: np.full_like(rows, np.inf).astype(small("bfloat16")),
    "beyond float32": lambda rows: np.full_like(rows, 1e300, dtype=np.float64),
}


def kept(store: ql.Store) -> Array:
    with store.snapshot() as view:
        return view.vectors(view.all_nodes())


@pytest.mark.parametrize("given", GIVEN)
def test_every_layout_and_float_is_kept_as_the_same_float32(store: ql.Store, given: str) -> None:
    assert store.add_many(vectors=GIVEN[given](WHOLE)).tolist() == list(range(ROWS))
    assert kept(store).tobytes() == WHOLE.tobytes()


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_are_numbers(store: ql.Store, kind: str) -> None:
    rows = np.random.default_rng(1).integers(1, 100, (ROWS, DIM)).astype(INTEGERS[kind])
    store.add_many(vectors=rows)
    assert np.array_equal(kept(store), rows.astype(np.float32))
    assert store.search(vector=rows[7], k=1)[0].score == pytest.approx(1)


@pytest.mark.parametrize("refused", REFUSED)
def test_what_is_no_number_is_refused_everywhere(store: ql.Store, refused: str) -> None:
    wrong = REFUSED[refused](WHOLE)
    with pytest.raises(ql.InvalidError, match="want"):
        store.add_many(vectors=wrong)
    one = wrong[-1] if isinstance(wrong, np.ndarray) else wrong
    with pytest.raises(ql.InvalidError, match="want"):
        store.add("x", vector=one)
    with store.snapshot() as view, pytest.raises(ql.InvalidError, match="want"):
        view.near(one)
    with pytest.raises(ql.InvalidError):
        kernels.nearest(WHOLE[0], wrong, 3)
    assert store.stats()["concepts"] == 0


@pytest.mark.parametrize(
    "given", ["float16", "bfloat16", "big-endian", "negative strides", "read-only", "unaligned"]
)
def test_questions_and_kernels_take_the_same_layouts(store: ql.Store, given: str) -> None:
    store.add_many(vectors=WHOLE)
    rows = GIVEN[given](WHOLE)
    with store.snapshot() as view:
        expected = view.near(WHOLE[5], k=4)
        found = view.near(rows[5], k=4)
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.scores.tobytes() == expected.scores.tobytes()
    ranked, plain = kernels.nearest(rows[5], rows, 4), kernels.nearest(WHOLE[5], WHOLE, 4)
    assert ranked.rows.tolist() == plain.rows.tolist()
    assert ranked.scores.tobytes() == plain.scores.tobytes()


def scores_of(metric: str, rows: Array, query: Array) -> NDArray[np.float64]:
    """The definition, in float64."""
    wide, asked = rows.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return -((wide - asked) ** 2).sum(axis=1)
    dots = wide @ asked
    norms = np.linalg.norm(wide, axis=1) * np.linalg.norm(asked)
    return dots / norms if metric == "cosine" else dots


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("dim", [1, 2, 3, 17, 384, DIM_MAX])
def test_any_dimension_and_metric_is_what_numpy_computes(
    tmp_path: Path, dim: int, metric: str
) -> None:
    rows = np.random.default_rng(dim).normal(size=(30, dim)).astype(np.float32)
    query = np.random.default_rng(dim + 1).normal(size=dim).astype(np.float32)
    expected = scores_of(metric, rows, query)
    with ql.open(tmp_path / "store", dim=dim, metric=metric) as store:
        store.add_many(vectors=rows)
        with store.snapshot() as view:
            found = view.near(query, k=10, exact=True)
    best = np.sort(expected)[::-1][:10]
    bound = 1e-5 * max(1.0, float(np.abs(best).max()))
    assert np.abs(found.scores - best).max() <= bound
    assert np.abs(expected[found.ids.astype(np.int64)] - best).max() <= bound


def test_a_dimension_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    for dim in (0, DIM_MAX + 1):
        with pytest.raises(ql.InvalidError, match=f"1..{DIM_MAX}"):
            ql.open(tmp_path / "store", dim=dim)
    with ql.open(tmp_path / "other", embedder="none") as store:
        with pytest.raises(ql.InvalidError, match=f"1..{DIM_MAX}"):
            store.add("x", vector=np.ones(DIM_MAX + 1))
        store.add("x", vector=np.ones(3))
        assert store.stats()["dim"] == 3
