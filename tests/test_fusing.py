"""Fuse by its formulas; Intersect and Subtract by sets."""

import numpy as np
import pytest
import quillian as ql
from conftest import DIM

QUESTION = ql.Question(text="a city in France", vector=np.linspace(1, 2, DIM, dtype=np.float32))
NEAR, WORDS = ql.Near(4), ql.Words(4)


def ranks(found: ql.Selection) -> dict[int, int]:
    return {int(node): rank for rank, node in enumerate(found.ids, 1)}


@pytest.mark.parametrize(("k", "weights"), [(60, None), (0, (2.0, 0.5)), (10, (0.0, 1.0))])
def test_rrf_by_formula(atlas: ql.Store, k: int, weights: tuple[float, float] | None) -> None:
    legs = [ranks(atlas.run(query, about=QUESTION)) for query in (NEAR, WORDS)]
    found = atlas.run(ql.Fuse(NEAR, WORDS, k=k, weights=weights), about=QUESTION)
    expected = {}
    for node in set(legs[0]) | set(legs[1]):
        pairs = zip(weights or (1.0, 1.0), legs, strict=True)
        expected[node] = sum(w / (k + leg[node]) for w, leg in pairs if node in leg)
    got = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
    assert got == pytest.approx(expected)
    for name, leg in zip(("rank_1", "rank_2"), legs, strict=True):
        assert found.columns[name].tolist() == [leg.get(int(node), 0) for node in found.ids]


def test_linear_by_formula(atlas: ql.Store) -> None:
    parts = [atlas.run(query, about=QUESTION) for query in (NEAR, WORDS)]
    found = atlas.run(ql.Fuse(NEAR, WORDS, method="linear", weights=(0.5, 2)), about=QUESTION)
    expected: dict[int, float] = {}
    for weight, part in zip((0.5, 2), parts, strict=True):
        scaled = (part.scores - part.scores[-1]) / (part.scores[0] - part.scores[-1])
        for node, score in zip(part.ids.tolist(), scaled.tolist(), strict=True):
            expected[node] = expected.get(node, 0) + weight * score
    got = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
    assert got == pytest.approx(expected, abs=1e-6)


def test_share_by_formula(atlas: ql.Store) -> None:
    near = atlas.run(ql.Near(3), about=QUESTION)
    words = atlas.run(ql.Words(5), about=QUESTION)
    assert (len(near), len(words)) == (3, 4)  # Near was cut off, words were not.
    holding = np.array([4, 2, 1])  # Texts with "a", "city", "france"; "in" has none of 5.
    weight = np.log1p((5 - holding + 0.5) / (holding + 0.5)).sum()
    expected = dict.fromkeys({*near.ids.tolist(), *words.ids.tolist()}, 0.0)
    for node, score in zip(near.ids.tolist(), near.scores.tolist(), strict=True):
        expected[node] += 0.25 * (score - near.scores[-1])
    for node, score in zip(words.ids.tolist(), words.scores.tolist(), strict=True):
        expected[node] += 0.75 * score / weight
    share = ql.Fuse(ql.Near(3), ql.Words(5), method="share", weights=(0.25, 0.75))
    found = atlas.run(share, about=QUESTION)
    got = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
    assert got == pytest.approx(expected, abs=1e-6)


def test_share_of_an_unknown_scale_is_linear(atlas: ql.Store) -> None:
    queries = (ql.Query(ql.Near(3), ql.Expand()), WORDS)
    shares, linear = (
        atlas.run(ql.Fuse(*queries, method=method), about=QUESTION)
        for method in ("share", "linear")
    )
    assert shares.scores.tolist() == linear.scores.tolist()


def test_cost_of_earlier_steps_is_not_counted_again(atlas: ql.Store) -> None:
    once = atlas.run(NEAR, about=QUESTION).steps()[-1].cost["distances"]
    plan = ql.Query(NEAR, ql.Fuse(ql.All(), ql.Top(2)), ql.Fuse(ql.Top(3), NEAR))
    costs = [step.cost.get("distances", 0) for step in atlas.run(plan, about=QUESTION).steps()]
    assert costs == [once, 0, 4]  # The four rows that the first left.


def test_linear_of_equal_scores_is_one(atlas: ql.Store) -> None:
    found = atlas.run(ql.Fuse(ql.Named("paris", "rome"), method="linear"))
    assert found.scores.tolist() == [1, 1]


def test_fused_rows_keep_their_trail_and_cost(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Where(kind="city"), ql.Fuse(NEAR, WORDS)), about=QUESTION)
    assert [hop.operator.split("(")[0] for hop in found.trail(0)] == ["Where", "Fuse"]
    assert found.steps()[-1].cost["distances"] > 0
    assert "rank_1" in found[0].why


def test_intersect_and_subtract_are_sets(atlas: ql.Store) -> None:
    near, words = ranks(atlas.run(NEAR, about=QUESTION)), ranks(atlas.run(WORDS, about=QUESTION))
    both = atlas.run(ql.Intersect(NEAR, WORDS), about=QUESTION)
    assert set(both.ids.tolist()) == set(near) & set(words)
    assert both.ids.tolist() == [n for n in near if n in words]
    rest = atlas.run(ql.Query(NEAR, ql.Subtract(WORDS)), about=QUESTION)
    assert rest.ids.tolist() == [n for n in near if n not in words]
    everything = atlas.run(ql.Subtract(NEAR), about=QUESTION)
    assert set(everything.ids.tolist()) == set(range(5)) - set(near)


@pytest.mark.parametrize(
    "wrong",
    [
        ql.Fuse(NEAR, method="magic"),
        ql.Fuse(NEAR, weights=(1, 2)),
        ql.Fuse(NEAR, weights=(-1,)),
        ql.Fuse(NEAR, k=-1),
        ql.Intersect(),
    ],
    ids=repr,
)
def test_bad_parameters_are_refused(atlas: ql.Store, wrong: ql.Operator[ql.Snapshot]) -> None:
    with pytest.raises(ql.InvalidError):
        atlas.run(wrong, about=QUESTION)
