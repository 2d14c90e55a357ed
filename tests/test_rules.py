"""Rules: forward chaining against a naive evaluator, stratified negation, and by hand."""

import itertools

import numpy as np
import pytest
import quillian as ql
from quillian import chaining
from quillian.rules import Known, Rule, derive, parse

RULES = [
    "ancestor(x, y) :- parent(x, y)",
    "ancestor(x, z) :- ancestor(x, y), parent(y, z)",
    "related(x, y) :- ancestor(z, x), ancestor(z, y)",
    "stranger(x, y) :- met(x, y), not related(x, y)",
    "friend(x, y) :- met(x, y), met(y, x), not stranger(y, x)",
]


def naive(given: dict[Known, float], rules: list[Rule], nodes: int) -> dict[Known, float]:
    """Every rule with every assignment until nothing rises, lower strata first."""
    best = dict(given)
    order = [{"ancestor"}, {"related"}, {"stranger"}, {"friend"}]
    for heads in order:
        below = dict(best)
        changed = True
        while changed:
            changed = False
            for rule in (x for x in rules if x.head.type in heads):
                names = sorted({n for a in rule.body for n in (a.source, a.target)})
                for picked in itertools.product(range(nodes), repeat=len(names)):
                    at = dict(zip(names, picked, strict=True))
                    body = [Known(at[a.source], a.type, at[a.target]) for a in rule.body]
                    absent = [Known(at[a.source], a.type, at[a.target]) for a in rule.absent]
                    if any(x not in best for x in body) or any(x in below for x in absent):
                        continue
                    p = float(np.prod([best[x] for x in body]))
                    made = Known(at[rule.head.source], rule.head.type, at[rule.head.target])
                    if p > best.get(made, 0) + 1e-15:
                        best[made] = p
                        changed = True
    return best


def world(rng: np.random.Generator, nodes: int) -> dict[Known, float]:
    facts = {}
    for _ in range(9):
        source, target = rng.integers(0, nodes, 2).tolist()
        type = "parent" if rng.random() < 0.5 else "met"
        facts[Known(source, type, target)] = float(rng.uniform(0.1, 1))
    return facts


@pytest.mark.parametrize("piece", [1, 1 << 21])
def test_fixpoint_equals_the_naive_one_in_any_order_of_rules(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaining, "PIECE", piece)
    rng = np.random.default_rng(1)
    rules = [parse(text) for text in RULES]
    for _ in range(40):
        given = world(rng, 4)
        found = {fact: x.p for fact, x in derive(given, rules).items()}
        assert found == pytest.approx(naive(given, rules, 4))
        mixed = [rules[i] for i in rng.permutation(len(rules))]
        assert dict(derive(given, mixed)) == dict(derive(given, rules))


def test_premises_multiply_to_the_conclusion() -> None:
    rng = np.random.default_rng(2)
    rules = [parse(text) for text in RULES]
    for _ in range(40):
        found = derive(world(rng, 5), rules)
        for known in found.values():
            if known.rule is not None:
                p = np.prod([found[premise].p for premise in known.premises])
                assert known.p == pytest.approx(float(p))


def test_derivations_run_in_no_circle() -> None:
    rng = np.random.default_rng(3)
    rules = [parse("a(x, y) :- b(x, y)"), parse("b(x, y) :- a(x, y)"), parse("a(y, x) :- a(x, y)")]
    for _ in range(20):
        given = {
            Known(*rng.integers(0, 4, 1).tolist(), "ab"[rng.integers(2)], int(rng.integers(4))): 1.0
            for _ in range(3)
        }
        found = derive(given, rules)
        grounded = {fact for fact, x in found.items() if x.rule is None}
        while more := {f for f, x in found.items() if set(x.premises) <= grounded} - grounded:
            grounded |= more
        assert grounded == set(found)


def test_closure_knows_only_what_holds() -> None:
    found = derive({Known(5, "a", 7): 0.5}, [parse("b(y, x) :- a(x, y)")])
    assert found[Known(7, "b", 5)].p == 0.5
    for fact in (Known(5, "b", 7), Known(5, "a", 6), Known(5, "c", 7)):
        assert fact not in found
    assert len(derive({}, [parse("b(y, x) :- a(x, y)")])) == 0


def test_rule_reads_as_it_was_written() -> None:
    for text in RULES:
        assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "a(x, y)", "a(x, y) :- ", "a(x, z) :- b(x, y)", "a(x, y) :- b(x, y) c(x, y)",
     "not a(x, y) :- b(x, y)", "a(x, y) :- b(x, y), not c(y, z)", "a(x, y) :- b(x, y),"],
)  # fmt: skip
def test_malformed_rule_is_refused(text: str) -> None:
    with pytest.raises(ql.InvalidError):
        parse(text)


def test_negation_in_a_circle_is_refused() -> None:
    rules = [parse("a(x, y) :- c(x, y), not b(x, y)"), parse("b(x, y) :- a(x, y)")]
    with pytest.raises(ql.InvalidError, match="absence"):
        derive({}, rules)


def test_derive_by_hand(atlas: ql.Store) -> None:
    rule = "in(x, z) :- capital_of(x, y), part_of(y, z)"
    found = atlas.run(ql.Query(ql.All(), ql.Derive((rule,))))
    assert [row.id for row in found] == ["rome", "paris"]
    assert found.scores[1] == pytest.approx(0.98)
    assert found.columns["derived"][1] == (
        "paris -in-> europe (0.980) because paris -capital_of-> france, france -part_of-> europe"
    )
    few = atlas.run(ql.Query(ql.Named("paris", "france"), ql.Derive((rule,))))
    assert len(few) == 0  # Europe is not among the rows.
