"""Mined rules: paths and confidences by hand and by enumeration, constants, predictions, Derive."""

import itertools

import numpy as np
import pytest
from quillian.mining import BEST, DECAY, DOUBT, Effort, Mined, _take, combined
from quillian.rules import Known, derive

PARENT, GRANDPARENT, LIVES = range(3)


def family() -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Chains of three generations; of the last one it is not said who the grandparent is."""
    facts, missing = [], []
    for i in range(12):
        old, middle, young = 3 * i, 3 * i + 1, 3 * i + 2
        facts += [(old, PARENT, middle), (middle, PARENT, young), (old, LIVES, 36 + i % 2)]
        (facts if i < 11 else missing).append((old, GRANDPARENT, young))
    return np.array(facts).T, missing


def mined(columns: np.ndarray, **effort: int | bool) -> Mined:
    return Mined(*columns, 38, 3, Effort(**effort))


def test_path_of_two_is_found_and_becomes_a_rule() -> None:
    columns, ((old, _, young),) = family()
    found = mined(columns)
    best = found.paths[GRANDPARENT][0]
    assert best.body == (PARENT, PARENT)
    assert best.confidence == pytest.approx(11 / (11 + DOUBT))
    rules = found.rules(["parent", "grandparent", "lives"])
    assert "grandparent(x, z) :- parent(x, a), parent(a, z)" in map(str, rules)
    given = {
        Known(s, ("parent", "grandparent", "lives")[t], o): 1.0 for s, t, o in columns.T.tolist()
    }
    assert Known(old, "grandparent", young) in derive(given, rules)


def test_what_takes_too_much_is_left_out_and_counted() -> None:
    columns, _ = family()
    assert not mined(columns).skipped
    for short in (mined(columns, in_all=0), mined(columns, at_once=1)):
        assert not any(path for paths in short.paths.values() for path in paths)
        assert sum(short.skipped.values()) > 0


@pytest.mark.parametrize("relation", [GRANDPARENT, GRANDPARENT + 3])
def test_missing_fact_ranks_first_in_both_directions(relation: int) -> None:
    columns, ((old, _, young),) = family()
    ends = (old, young) if relation == GRANDPARENT else (young, old)
    scores = mined(columns).scores(np.array([ends[0]]), relation)[0]
    assert scores.argmax() == ends[1]


def test_confidence_equals_enumeration() -> None:
    rng = np.random.default_rng(1)
    facts = {tuple(rng.integers(0, (6, 2, 6)).tolist()) for _ in range(16)}
    facts = {(s, t, o) for s, t, o in facts if s != o}
    found = Mined(*np.array(sorted(facts)).T, 6, 2, Effort(rules=30))
    steps = facts | {(o, t + 2, s) for s, t, o in facts}
    assert any(len(path.body) == 3 for path in found.paths[0])
    for head in range(4):
        sources = {s for s, t, _ in steps if t == head}
        for path in found.paths[head]:
            told = set()
            for walk in itertools.product(range(6), repeat=len(path.body) + 1):
                turned = len(path.body) == 3 and walk[1] == walk[3]
                twice = walk[0] in walk[1:] or any(a == b for a, b in itertools.pairwise(walk))
                bad = turned and path.body[2] == found.inverse(path.body[1])
                if walk[0] in sources and not twice and not bad and all(
                    (a, t, b) in steps
                    for t, (a, b) in zip(path.body, itertools.pairwise(walk), strict=True)
                ):  # fmt: skip
                    told.add((walk[0], walk[-1]))
            right = sum((s, head, o) in steps for s, o in told)
            assert path.confidence == pytest.approx(right / (len(told) + DOUBT))


def test_constants_predict_what_is_common() -> None:
    columns, _ = family()
    found = mined(columns, length=1)
    scores = found.scores(np.array([1]), LIVES)[0]  # Nobody said where a child lives.
    assert set(np.flatnonzero(scores).tolist()) <= {36, 37}
    assert not mined(columns, length=1, constants=False).scores(np.array([1]), LIVES).any()


def test_best_rules_order_predictions() -> None:
    best = np.zeros((BEST, 2), np.float32)
    all_sure = [0.2, 0.9, 0.5, 0.1, 0.4, 0.3, 0.8, 0.05]
    for sure in all_sure:
        _take(best, np.array([1]), np.float32(sure))
    assert best[:, 1].tolist() == pytest.approx(sorted(all_sure, reverse=True)[:BEST])
    assert not best[:, 0].any()


def test_a_second_rule_decides_between_equal_ones_and_adds_less_than_alone() -> None:
    sure = np.zeros((BEST, 4), np.float32)
    sure[0] = 0.5, 0.5, 0.6, 1.0
    sure[1, 1] = 0.1
    none, second, best, certain = combined(sure)
    assert none == pytest.approx(np.log(2))
    assert second == pytest.approx(np.log(2) - DECAY * np.log(0.9))
    assert none < second < best < certain < np.inf
