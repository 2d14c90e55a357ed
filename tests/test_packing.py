"""Pack: never over budget, and at least (1 - 1/e) of the best set, found by brute force."""

import itertools
import math
import random

import numpy as np
import pytest
import quillian as ql
from quillian.operators.packing import best_set, tokens_of, worth


@pytest.mark.parametrize("seed", range(30))
def test_set_is_worth_its_share_of_the_best_one(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.randint(1, 9)
    words = [{f"w{rng.randrange(12)}" for _ in range(rng.randint(0, 6))} for _ in range(n)]
    scores = np.array(sorted((rng.random() for _ in range(n)), reverse=True))
    sizes = np.array([rng.randint(1, 20) for _ in range(n)])
    budget = rng.randint(1, 50)
    best = max(
        worth(words, scores, rows)
        for count in range(n + 1)
        for rows in itertools.combinations(range(n), count)
        if sizes[list(rows)].sum() <= budget
    )
    found = best_set(words, scores, sizes, budget)
    assert sizes[found].sum() <= budget
    assert worth(words, scores, found.tolist()) >= (1 - 1 / math.e) * best - 1e-12


def test_repetition_gains_nothing(store: ql.Store) -> None:
    store.add_many(texts=["red fox", "red fox", "blue whale fox"], ids=["a", "again", "other"])
    found = store.run(ql.Query(ql.Words(9), ql.Pack(1000)), about="fox red")
    assert [row.id for row in found] == ["a", "other"]
    assert found.columns["cite"].tolist() == [1, 2]
    assert found.columns["tokens"].tolist() == [tokens_of("red fox"), tokens_of("blue whale fox")]


@pytest.mark.parametrize("tokens", [0, 1, 3, 10, 50, 400])
def test_budget_holds_on_many_rows(store: ql.Store, tokens: int) -> None:
    rng = random.Random(tokens)
    texts = [
        " ".join(f"w{rng.randrange(50)}" for _ in range(rng.randint(1, 30))) for _ in range(80)
    ]
    store.add_many(texts=["the " + text for text in texts])
    found = store.run(ql.Query(ql.Words(80), ql.Pack(tokens)), about="the w1 w2")
    assert sum(tokens_of(row.text or "") for row in found) <= tokens


def test_bad_input_is_refused(store: ql.Store) -> None:
    store.add("x", vector=np.ones(8))
    with pytest.raises(ql.InvalidError, match="tokens"):
        store.run(ql.Pack(-1))
    with pytest.raises(ql.InvalidError, match="Above"):
        store.run(ql.Query(ql.Near(1), ql.Pack(9)), about=-np.ones(8))
