"""Judgement: gates, isotonic maps, trust and conflicts, by hand and against plain oracles."""

import itertools
import math

import numpy as np
import pytest
import quillian as ql
from quillian.judgement import (
    Declared,
    Thresholds,
    Triple,
    beta_below,
    conflicts,
    isotonic,
    mapped,
    overlapping,
    trust,
)


def test_gate_is_monotone_and_abstains_without_evidence() -> None:
    assert Thresholds(0.0, 0).reasons(1.0, 0)
    rng = np.random.default_rng(1)
    for _ in range(200):
        belief, disjoint = float(rng.random()), int(rng.integers(0, 4))
        strict = Thresholds(float(rng.random()), int(rng.integers(0, 4)))
        loose = Thresholds(strict.belief * float(rng.random()), max(strict.disjoint - 1, 0))
        if not strict.reasons(belief, disjoint):
            assert not loose.reasons(belief, disjoint)
    assert Thresholds(age_days=1.0).reasons(1.0, 1, 2 * 86_400 * 10**9)


def test_isotonic_beats_every_other_rising_map_on_a_grid() -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        scores = list(range(4))
        outcomes = rng.integers(0, 2, 4).astype(float).tolist()
        points = isotonic(scores, outcomes)
        values = [mapped(points, x) for x in scores]
        assert values == sorted(values)
        error = sum((a - b) ** 2 for a, b in zip(values, outcomes, strict=True))
        grid = [i / 12 for i in range(13)]
        best = min(
            sum((a - b) ** 2 for a, b in zip(some, outcomes, strict=True))
            for some in itertools.combinations_with_replacement(grid, 4)
        )
        assert error <= best + 1e-12


def test_trust_has_the_beta_quantile() -> None:
    assert trust(0, 0).mean == 0.5
    assert trust(0, 0).low == pytest.approx(0.05)  # Beta(1, 1) is uniform.
    assert trust(9, 0).low == pytest.approx(0.05**0.1)  # Beta(10, 1): x^10.
    for a, b in ((3, 2), (20, 5), (1, 9)):
        xs = (np.arange(200_000) + 0.5) / 200_000
        density = xs ** (a - 1) * (1 - xs) ** (b - 1)
        density *= math.gamma(a + b) / math.gamma(a) / math.gamma(b)
        below = density[xs < 0.4].sum() / 200_000
        assert beta_below(0.4, a, b) == pytest.approx(below, abs=1e-5)


def plain_conflicts(facts: list[Triple], declared: Declared) -> set[frozenset[Triple]]:
    """Every pair, asked every promise."""
    found = set()
    for a, b in itertools.combinations(facts, 2):
        if not overlapping(a, b):
            continue
        same = a.type == b.type
        pairs = {(a.type, b.type), (b.type, a.type)}
        if (
            (same and a.type in declared.functional and a.source == b.source)
            or (same and a.type in declared.inverse and a.target == b.target)
            or (
                same
                and a.type in declared.antisymmetric
                and (a.source, a.target) == (b.target, b.source)
            )
            or (pairs & set(declared.exclusive) and (a.source, a.target) == (b.source, b.target))
        ):
            found.add(frozenset([a, b]))
    return found


def test_conflicts_are_all_found_and_none_invented() -> None:
    rng = np.random.default_rng(3)
    declared = Declared(("f",), ("i",), ("a",), (("x", "y"),))
    for _ in range(100):
        facts = {}
        for _ in range(25):
            source, target = rng.integers(0, 5, 2).tolist()
            since = int(rng.integers(0, 5))
            type = "fiaxyz"[int(rng.integers(0, 6))]
            facts[source, type, target] = Triple(source, type, target, since, since + 3)
        found = conflicts(facts.values(), declared)
        pairs = {frozenset([x.first, x.second]) for x in found}
        assert pairs == plain_conflicts(list(facts.values()), declared)
        assert len({(x.kind, frozenset(x[1:])) for x in found}) == len(found)


def test_verify_by_hand(atlas: ql.Store) -> None:
    claims = ql.Query(ql.Named("paris", "rome", "france", "europe"), ql.Verify(
        "capital_of", "france", functional=True, inverse=True))  # fmt: skip
    found = atlas.run(claims)
    rows = {row.id: found.columns["verdict"][i] for i, row in enumerate(found)}
    assert rows == {
        "paris": "SUPPORTED", "rome": "REFUTED", "france": "REFUTED", "europe": "REFUTED"
    }  # fmt: skip
    assert dict(zip((row.id for row in found), found.scores, strict=True))[
        "paris"
    ] == pytest.approx(0.98)
    loose = atlas.run(ql.Query(ql.Named("europe", "rome"), ql.Verify("capital_of", "france")))
    assert loose.columns["verdict"].tolist() == ["UNKNOWN", "UNKNOWN"]
    assert loose.scores.tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(6))
def test_verdicts_equal_plain_ones(store: ql.Store, seed: int) -> None:
    rng = np.random.default_rng(seed)
    store.add_many(ids=list("abcdef"))
    facts: dict[tuple[int, str, int], float] = {}
    for _ in range(9):
        source, target = (int(x) for x in rng.choice(6, 2, replace=False))
        facts[source, "tuv"[int(rng.integers(3))], target] = float(rng.uniform(0.1, 1))
    for (source, type, target), p in facts.items():
        store.link(source, target, type, confidence=p)

    def plain(claim: ql.Verify, source: int, target: int) -> tuple[str, float]:
        if (source, claim.type, target) in facts:
            return "SUPPORTED", facts[source, claim.type, target]
        denying = [
            p
            for (s, type, t), p in facts.items()
            if (type == claim.type and claim.functional and s == source and t != target)
            or (type == claim.type and claim.inverse and t == target and s != source)
            or (type == claim.type and claim.antisymmetric and (s, t) == (target, source))
            or (type in claim.exclusive and (s, t) == (source, target))
        ]
        return ("REFUTED", max(denying)) if denying else ("UNKNOWN", 0.0)

    for flags in itertools.product((False, True), repeat=4):
        for target in range(6):
            claim = ql.Verify(
                "t", target, False, *flags[:3], exclusive=("u", "v") if flags[3] else ()
            )
            found = store.run(claim)
            for row, verdict, score in zip(
                found.ids.tolist(), found.columns["verdict"], found.scores, strict=True
            ):
                if row != target:
                    assert (verdict, pytest.approx(score)) == plain(claim, row, target)


def test_verify_follows_chains_of_a_transitive_type(store: ql.Store) -> None:
    store.learn("A dog is a mammal. Mammals are animals.")
    named = ql.Query(ql.Named("dog"), ql.Verify("is_a", "animal", transitive=True))
    found = store.run(named)
    assert found.columns["verdict"].tolist() == ["SUPPORTED"]
    assert found.columns["because"].tolist() == ["dog -is_a-> mammal -is_a-> animal"]
    assert found.scores[0] == pytest.approx(0.81)


def test_conflicts_operator_names_both(atlas: ql.Store) -> None:
    atlas.link("paris", "italy", "capital_of")
    found = atlas.run(ql.Conflicts(functional=("capital_of",), inverse=("capital_of",)))
    assert sorted(row.id for row in found) == ["france", "italy", "paris", "rome"]
    paris = [row.id for row in found].index("paris")
    assert found.scores[paris] == 2


def test_one_path_is_no_consensus(atlas: ql.Store) -> None:
    atlas.link("paris", "europe", "in")
    found = atlas.run(ql.Query(ql.Named("paris", "italy"), ql.Consensus(to=("europe",))))
    rows = {row.id: bool(found.columns["agreed"][i]) for i, row in enumerate(found)}
    assert rows == {"paris": True, "italy": False}
    passed = atlas.run(ql.Query(
        ql.Named("paris", "italy"), ql.Consensus(to=("europe",)), ql.Gate(0.5, 2)))  # fmt: skip
    assert [row.id for row in passed] == ["paris"]


def test_trust_and_calibration_change_scores(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Named("paris"), ql.Trust((("atlas", 2, 0), ("atlas", 1, 1)))))
    assert found.scores[0] == pytest.approx(4 / 6)
    again = atlas.run(ql.Query(ql.Named("paris"), ql.Calibrated(((0.0, 0.1), (0.9, 0.7)))))
    assert again.scores[0] == pytest.approx(0.7)
    with pytest.raises(ql.InvalidError):
        ql.Calibrated(((1.0, 0.0), (0.0, 1.0)))
