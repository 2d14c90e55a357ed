"""Asking: answers by hand, abstention, overturning verified by removal, and the command line."""

import io
import json
from pathlib import Path

import pytest
import quillian as ql
from click.testing import CliRunner
from conftest import DIM
from quillian.cli import asking, rendering
from quillian.cli.main import main

CAPITAL = "Which country's capital is Paris?"


def family(path: Path) -> ql.Store:
    store = ql.open(path, dim=DIM)
    with store.transaction() as txn:
        for id in ("ann", "bob", "cem", "dee", "eve"):
            txn.add(f"{id.title()} lives here.", id=id, name=id.title())
        txn.link("ann", "bob", "mother_of", confidence=0.9)
        txn.link("bob", "cem", "father_of", confidence=0.8)
        txn.link("ann", "cem", "godmother_of", confidence=0.6)
        txn.link("dee", "eve", "sister_of", confidence=0.3)
    return store


def test_an_answer_prints_as_its_evidence_or_its_reasons(atlas: ql.Store) -> None:
    found = atlas.ask(CAPITAL)
    assert str(found) == found.explain().text()
    assert str(found).startswith("France: belief 0.980")
    assert str(atlas.ask("Where is Mars?")).startswith("no answer: ")


def test_answer_follows_the_type_that_the_question_speaks_of(atlas: ql.Store) -> None:
    found = atlas.ask(CAPITAL)
    assert found.best is not None
    assert found.best.id == "france"
    assert found.best.cues == ("capital_of",)
    assert found.anchors == ("paris",)
    assert found.belief is not None
    assert found.belief.lower == pytest.approx(0.98)
    assert [str(x) for x in found.belief.paths] == ["paris -capital_of-> france"]
    assert found.overturn is not None
    assert [str(x) for x in found.overturn.links] == ["paris -capital_of-> france"]
    assert found.passages[0].id == "paris"


def test_learned_chain_answers(store: ql.Store) -> None:
    store.learn("A dog is a mammal. Mammals are animals.")
    found = store.ask("Is a dog an animal?")
    assert found.best is not None
    assert found.best.name == "animal"
    assert found.belief is not None
    assert str(found.belief.paths[0]) == "dog -is_a-> mammal -is_a-> animal"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is a dog an animal?", "animal"),
        ("Is an animal a dog?", None),
        ("What is north of the mill?", "park"),
        ("What is south of the mill?", "pond"),
        ("What is the mill north of?", "pond"),
        ("What is the pond south of?", "mill"),
        ("Is the mill to the north of the pond?", "pond"),
        ("Is the mill south of the pond?", None),
        ("Is the mill in the pond?", None),
        ("Does the mill fit in the pond?", None),
        ("What is a dog?", "mammal"),
        ("What are mammals?", "animal"),
        ("What is a kind of mammal?", "dog"),
        ("What did the mill give to the pond?", None),
        ("What color is a dog?", None),
    ],
)
def test_question_is_a_statement_with_a_hole(
    store: ql.Store, question: str, answer: str | None
) -> None:
    store.learn("A dog is a mammal. Mammals are animals.")
    store.learn("The park is north of the mill. The mill is north of the pond.")
    best = store.ask(question).best
    assert (best and best.name) == answer


def test_question_knows_other_names_of_a_type(store: ql.Store) -> None:
    with store.transaction() as txn:
        for name in ("dog", "animal", "paw"):
            txn.add(id=name, name=name)
        txn.link("dog", "animal", "hypernym")
        txn.link("paw", "dog", "part_holonym")
    found = store.ask("Is a dog an animal?").best
    assert found is not None
    assert found.cues == ("hypernym",)
    assert store.ask("Is an animal a dog?").abstains
    best = store.ask("What is part of a dog?").best
    assert (best and best.id) == "paw"


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("What is the meaning of life?", "no concept is named"),
        ("Who is the sister of Dee?", "belief"),
        ("Whom did Ann meet?", "speaks of no type"),
        ("Who is the sister of Ann?", "no association of a type"),
    ],
)
def test_abstains_with_a_reason(path: Path, question: str, reason: str) -> None:
    with family(path) as store:
        found = store.ask(question)
        assert found.abstains
        assert found.best is None
        assert reason in found.reasons[0]
        assert found.overturn is None


def test_gate_is_the_caller_s(path: Path) -> None:
    with family(path) as store:
        assert store.ask("Who is Dee's sister?", gate=ql.Thresholds(0.2)).best is not None
        loose = store.ask("Who is the mother of Bob?")
        assert loose.best is not None
        assert loose.best.id == "ann"
        strict = store.ask("Who is the mother of Bob?", gate=ql.Thresholds(0.2, 3))
        assert "disjoint paths" in strict.reasons[0]


def test_paths_exist_and_removing_the_overturning_set_changes_the_answer(path: Path) -> None:
    with family(path) as store:
        for question in ("Who is the mother of Bob?", "Who is the father of Cem?"):
            found = store.ask(question)
            assert found.best is not None
            assert found.overturn is not None
            with store.transaction() as txn:
                for way in found.best.belief.paths:
                    for link in way.links:
                        assert [x for x in txn.neighbours(link.source) if x.target == link.target]
                for link in found.overturn.links:
                    txn.unlink(link.source, link.target, link.type)
            again = store.ask(question)
            assert again.best is None or again.best.id != found.best.id


def test_only_what_the_question_speaks_of_counts(path: Path) -> None:
    with family(path) as store:
        found = store.ask("Who is the mother of Bob?")
        assert found.belief is not None
        assert found.belief.lower == pytest.approx(0.9)  # Not by way of the godmother.


def test_conflicts_on_the_way_are_reported(atlas: ql.Store) -> None:
    atlas.link("paris", "italy", "capital_of", confidence=0.5)
    found = atlas.ask(CAPITAL, declared=ql.Declared(functional=("capital_of",)))
    assert [x.kind for x in found.conflicts] == ["functional"]
    assert atlas.ask(CAPITAL).conflicts == ()


def test_same_question_same_answer(atlas: ql.Store) -> None:
    assert atlas.ask(CAPITAL) == atlas.ask(CAPITAL)


def test_plan_is_an_ordinary_query_that_can_be_changed(atlas: ql.Store) -> None:
    plan = atlas.ask_plan(CAPITAL, k=3)
    assert ql.Operator.from_json(plan.to_json()) == plan
    assert isinstance(plan.operators[-1], ql.Recall)
    with_plan = atlas.ask(CAPITAL, k=3, plan=plan)
    assert with_plan == atlas.ask(CAPITAL, k=3)
    words = ql.Query(ql.Words(5), ql.Recall(1))
    assert len(atlas.ask(CAPITAL, plan=words).passages) == 1


def test_bridge_leads_through_the_sentence_most_like_the_question(store: ql.Store) -> None:
    with store.transaction() as txn:
        for name in ("Ada", "Byron", "Lovelace", "Kirkby"):
            txn.add(f"All of {name}.", id=name.lower(), name=name)
        txn.add("Ada married Lovelace. Ada was born in Kirkby.", id="life", name="Life")
        txn.mention()
    question = "Where was the child of Life born?"

    def found(bridge: float) -> list[str]:
        return [
            x.id for x in store.run(ql.Query(ql.Words(9), ql.Recall(9, bridge=bridge)), question)
        ]

    order = found(0.9)
    assert order.index("kirkby") < order.index("lovelace")  # Both are mentioned once.
    assert set(order) == set(found(0.0))


def test_consensus_decides_between_like_candidates(store: ql.Store) -> None:
    with store.transaction() as txn:
        for id in ("ann", "bob", "cem", "dee", "eve"):
            txn.add(f"{id.title()} lives here.", id=id, name=id.title())
        txn.link("ann", "bob", "knows", confidence=0.7)
        txn.link("ann", "cem", "knows", confidence=0.6)
        txn.link("cem", "ann", "knows", confidence=0.6)
    best = store.ask("Whom knows Ann?").best
    assert best is not None
    assert best.id == "cem"  # Two ways that share nothing: 1 - 0.4 * 0.4 = 0.84.
    assert best.belief.lower == pytest.approx(0.84)


def test_empty_store_abstains(store: ql.Store) -> None:
    found = store.ask("Who?")
    assert found.abstains
    assert found.passages == ()


def test_command_shows_tree_and_overturning(atlas: ql.Store) -> None:
    store = str(atlas.path)
    shown = CliRunner().invoke(main, ["ask", store, CAPITAL])
    assert shown.exit_code == 0, shown.output
    for part in ("France", "belief 0.980", "paris -capital_of-> france", "overturned"):
        assert part in shown.output
    plain = CliRunner().invoke(main, ["ask", store, CAPITAL, "--json"])
    content = json.loads(plain.output)
    assert content["answer"] == "france"
    assert content["belief"]["lower"] == pytest.approx(0.98)
    silent = CliRunner().invoke(main, ["ask", store, "Why?", "--json"])
    assert json.loads(silent.output)["answer"] is None
    said = CliRunner().invoke(main, ["ask", store, "Why?"])
    assert "no concept is named" in said.output


def test_what_is_longer_than_a_line_goes_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "width", lambda: 30)
    name = "the-kingdom-of-a-very-long-name-indeed"
    lines = list(asking.folded(["paris", f"-in-> {name}"], "(0.9)", "  - ", "    "))
    assert max(map(len, lines)) <= 28
    assert lines[0] == "  - paris"
    assert name in "".join(line.strip() for line in lines)


def test_a_narrow_table_shows_some_of_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    console = pytest.importorskip("rich.console")
    monkeypatch.setattr(rendering, "width", lambda: 40)
    shown = console.Console(width=40, file=io.StringIO())
    shown.print(rendering.rich_table({"id": "id", "text": "text"}, [["i" * 60, "what it says"]]))
    assert "what it" in shown.file.getvalue()
