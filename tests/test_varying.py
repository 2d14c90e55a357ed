"""Distinct by hand; Diverse by the definition of maximal marginal relevance."""

import numpy as np
import pytest
import quillian as ql
from conftest import DIM

QUESTION = np.linspace(1, 2, DIM, dtype=np.float32)


def test_distinct_keeps_the_best_of_equal_ones(store: ql.Store) -> None:
    rows = np.eye(4, DIM, dtype=np.float32) + 0.1
    store.add_many(
        texts=["x", "y", "x", None],
        vectors=rows,
        data=[{"pop": 1}, {"pop": True}, {"pop": 1}, {}],
    )
    ranked = store.run(ql.Near(4), about=QUESTION).ids.tolist()
    by_text = store.run(ql.Query(ql.Near(4), ql.Distinct()), about=QUESTION).ids.tolist()
    assert by_text == [n for n in ranked if n != max(0, 2, key=ranked.index)]
    by_data = store.run(ql.Query(ql.Near(4), ql.Distinct("pop")), about=QUESTION).ids.tolist()
    assert by_data == by_text  # 1 and True differ; a missing value equals nothing.


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.7, 1.0])
def test_diverse_by_definition(store: ql.Store, balance: float) -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(40, DIM)).astype(np.float32)
    store.add_many(vectors=rows)
    ranked = store.run(ql.Near(25, exact=True), about=QUESTION)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    span = float(ranked.scores[0] - ranked.scores[-1])
    relevance = {
        int(n): (float(s) - float(ranked.scores[-1])) / span
        for n, s in zip(ranked.ids, ranked.scores, strict=True)
    }
    taken: list[int] = []
    while len(taken) < 8:
        best = max(
            (n for n in relevance if n not in taken),
            key=lambda n: (
                balance * relevance[n]
                - (1 - balance) * max((float(units[n] @ units[m]) for m in taken), default=0.0),
                -n,
            ),
        )
        taken.append(best)
    query = ql.Query(ql.Near(25, exact=True), ql.Diverse(8, balance))
    found = store.run(query, about=QUESTION)
    order = np.argsort(found.columns["taken"])
    assert found.ids[order].tolist() == taken


def test_diverse_takes_concepts_without_vectors(store: ql.Store) -> None:
    store.add("only words", id="a")
    store.add("only words too", id="b")
    found = store.run(ql.Query(ql.Words(5), ql.Diverse(5)), about="words")
    assert len(found) == 2


@pytest.mark.parametrize("wrong", [ql.Diverse(-1), ql.Diverse(3, 1.5)], ids=repr)
def test_bad_parameters_are_refused(store: ql.Store, wrong: ql.Diverse) -> None:
    with pytest.raises(ql.InvalidError):
        store.run(wrong)
