"""Learning from texts: patterns by hand, names in texts, and what a transaction makes of both."""

import pytest
import quillian as ql
from quillian.extraction import canonical, extract, extractor, singular
from quillian.mentions import Names, mentioned
from quillian.naming import names_in
from quillian.records import Concept, to_ns

STATED = {
    "A dog is a mammal.": ("dog", "is_a", "mammal"),
    "Mammals are animals.": ("mammal", "is_a", "animal"),
    "The wheel is part of the car.": ("wheel", "part_of", "car"),
    "Cars contain engines.": ("engine", "part_of", "car"),
    "Smoking causes cancer.": ("smoking", "causes", "cancer"),
    "Floods are caused by rain.": ("rain", "causes", "flood"),
    "Paris is located in France.": ("paris", "located_in", "france"),
    "Paris is the capital of France.": ("paris", "capital_of", "france"),
    "Breakfast happened before lunch.": ("breakfast", "before", "lunch"),
    "Dinner comes after lunch.": ("lunch", "before", "dinner"),
    "Dinner came after lunch.": ("lunch", "before", "dinner"),
    "Wolves are similar to dogs.": ("wolf", "similar_to", "dog"),
    "An oak is a kind of tree.": ("oak", "is_a", "tree"),
    "The park is south of the mill.": ("mill", "north_of", "park"),
    "The blue box is to the right of the door.": ("door", "left_of", "blue box"),
    "Cats are bigger than mice.": ("cat", "bigger_than", "mouse"),
    "Mice are afraid of cats.": ("mouse", "afraid_of", "cat"),
    "Ann went back to the park yesterday.": ("ann", "located_in", "park"),
    "Ann picked up the ball there.": ("ball", "held_by", "ann"),
    "Ann gave the red ball to Bob.": ("red ball", "held_by", "bob"),
    "The trial took place.": None,
    "A whale is not a fish.": None,
    "It is a mammal.": None,
    "Run quickly!": None,
}


@pytest.mark.parametrize("text", STATED)
def test_pattern_by_hand(text: str) -> None:
    found = extract(text)
    wanted = STATED[text]
    assert [x[:3] for x in found] == ([] if wanted is None else [wanted])
    for relation in found:
        assert text.startswith(text[relation.start : relation.end], relation.start)
        assert relation.rule


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A dog is a mammal and is part of a pack.",
         [("dog", "is_a", "mammal"), ("dog", "part_of", "pack")]),
        ("Paris is the capital of France, which lies in Europe.",
         [("paris", "capital_of", "france"), ("france", "located_in", "europe")]),
        ("Cats and dogs are pets.", [("cat", "is_a", "pet"), ("dog", "is_a", "pet")]),
        ("Cars contain engines, wheels and doors.",
         [("engine", "part_of", "car"), ("wheel", "part_of", "car"), ("door", "part_of", "car")]),
        ("Paris is the capital of France and Berlin is the capital of Germany.",
         [("paris", "capital_of", "france"), ("berlin", "capital_of", "germany")]),
        ("A dog is a mammal and barks loudly.", [("dog", "is_a", "mammal")]),
        ("Tom says a dog is a mammal.", [("dog", "is_a", "mammal")]),
        ("A whale is not a fish, but a cat is a mammal.", [("cat", "is_a", "mammal")]),
    ],
)  # fmt: skip
def test_a_sentence_may_state_several(text: str, wanted: list[tuple[str, str, str]]) -> None:
    assert [x[:3] for x in extract(text)] == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Ann went to the park. Then she took the ball.", [("ann", "park"), ("ball", "ann")]),
        ("Ann and Bob went to the park. Afterwards they returned to the mill.",
         [("ann", "park"), ("bob", "park"), ("ann", "mill"), ("bob", "mill")]),
        ("Ann and Bob went to the park. She took the ball.", [("ann", "park"), ("bob", "park")]),
        ("Ann went to the park. It rained. She took the ball.", [("ann", "park")]),
        ("She took the ball.", []),
    ],
)  # fmt: skip
def test_pronouns_are_the_names_before(text: str, wanted: list[tuple[str, str]]) -> None:
    assert [(x.source, x.target) for x in extract(text)] == wanted


@pytest.mark.parametrize(
    ("text", "thing", "where"),
    [
        ("Ann went to the park. Ann went to the mill.", "ann", ["mill"]),
        ("Ann took the ball. Ann went to the park.", "ball", ["park"]),
        ("Ann took the ball. Ann went to the park. Ann dropped the ball. Ann went to the mill.",
         "ball", ["park"]),
        ("Bob went to the mill. Ann went to the park. Ann took the ball. Ann gave the ball to Bob.",
         "ball", ["mill"]),
        ("Ann went to the park. Ann is no longer in the park.", "ann", []),
        ("Ann went to the park. Ann left the park.", "ann", []),
        ("Rome is in Italy. Rome is in Europe.", "rome", ["italy", "europe"]),
        ("Ann went to the park. Ann is in Rome.", "ann", ["rome"]),
    ],
)  # fmt: skip
def test_what_happened_ends_what_was(
    store: ql.Store, text: str, thing: str, where: list[str]
) -> None:
    store.learn(text)
    found = store.ask(f"Where is {thing}?")
    assert {x.name for x in found.candidates if "located_in" in x.cues} == set(where)


@pytest.mark.parametrize(
    ("since", "until", "ends"),
    [(None, "2200-01-01", True), ("2200-01-01", None, False), (None, "2001-01-01", False)],
)
def test_what_happened_ends_only_what_was_so_then(
    store: ql.Store, since: str | None, until: str | None, ends: bool
) -> None:
    store.learn("Ann is a woman. The park is a place.")
    store.link("ann", "park", "located_in", since=since, until=until)
    store.learn("Ann went to the mill.")
    with store.snapshot() as view:
        (park,) = [x for x in view.neighbours("ann", ["located_in"]) if x.target == "park"]
    assert park.since == to_ns(since)
    assert (park.until != to_ns(until)) == ends


def test_spans_point_into_the_text() -> None:
    text = "Hello there. A dog is a mammal. Mammals are animals."
    spans = [text[x.start : x.end] for x in extract(text)]
    assert spans == ["A dog is a mammal", "Mammals are animals"]


@pytest.mark.parametrize(
    ("word", "wanted"),
    [("dogs", "dog"), ("cities", "city"), ("boxes", "box"), ("bus", "bus"), ("glass", "glass"),
     ("men", "man"), ("physics", "physics"), ("gas", "gas"), ("classes", "class")],
)  # fmt: skip
def test_singular(word: str, wanted: str) -> None:
    assert singular(word) == wanted


def test_canonical_drops_article_case_and_plural() -> None:
    assert canonical("The Big Dogs") == "big dogs"  # A proper name keeps its last word.
    assert canonical("the big dogs") == "big dog"


def test_unknown_extractor_is_refused() -> None:
    with pytest.raises(ql.InvalidError, match="patterns"):
        extractor("nope")


def test_names_are_found_longest_first_and_by_their_case() -> None:
    names = Names([
        Concept(1, "a", name="New York"), Concept(2, "b", name="York"),
        Concept(3, "c", name="Her (film)"), Concept(4, "d", name="dog"),
    ])  # fmt: skip
    assert mentioned("He saw her in New York with dogs", names, names.longest) == [1, 4]
    assert mentioned("Her was shown in York", names, names.longest) == [2]  # A common word.
    assert mentioned("Her (film) in York", names, names.longest) == [3, 2]


def test_learning_makes_a_chain(store: ql.Store) -> None:
    node = store.learn("A dog is a mammal. Mammals are animals.", id="note")
    with store.snapshot() as view:
        dog, animal = view.named("dog")[0], view.named("animal")[0]
        assert view.get("note").node == node
        assert view.get("note").text == "A dog is a mammal. Mammals are animals."
        (link,) = view.neighbours(dog.id, types=["is_a"])
        assert link.origin == "note"
        assert link.data == {"rule": "is a", "span": [0, 17]}
        found = view.believe(dog.node, animal.node)
        assert found.lower == pytest.approx(0.81)
        assert len(view.neighbours("note", types=["mentions"])) == 3


def test_learning_again_makes_no_second_concept(store: ql.Store) -> None:
    store.learn("A dog is a mammal.")
    store.learn("Dogs are pets.")
    with store.snapshot() as view:
        assert len(view.named("dog")) == 1
        targets = {view.get(x.target).name for x in view.neighbours(view.named("dog")[0].id)}
        assert targets == {"mammal", "pet"}


def test_text_is_kept_whatever_is_found(store: ql.Store) -> None:
    node = store.learn("???", id="odd")
    assert store.get(node).text == "???"
    with pytest.raises(ql.InvalidError):
        store.learn("  ")


def test_mention_links_texts_to_names_added_later(store: ql.Store) -> None:
    with store.transaction() as txn:
        txn.add("Ada wrote to Charles Babbage.", id="letter")
        txn.add("An engineer.", id="cb", name="Charles Babbage")
        assert txn.mention() == 1
        assert [x.target for x in txn.neighbours("letter")] == ["cb"]


def test_new_names_need_enough_texts_but_not_all(store: ql.Store) -> None:
    told = [
        "We met Ada Lovelace near a binary search tree.",
        "Then Ada Lovelace drew two binary search trees.",
        "Once Charles Babbage drew.",
    ]
    assert names_in(told, 2) == ["Ada Lovelace", "binary search tree"]
    assert names_in(told * 10, 2) == []  # Each stands in too large a share.
    with pytest.raises(ql.InvalidError, match="enough >= 2"):
        names_in(told, 1)
    with store.transaction() as txn:
        txn.add_many(told, ids=["a", "b", "c"])
        assert txn.mention(enough=2) == 4
        assert {x.target for x in txn.neighbours("a")} == {"Ada Lovelace", "binary search tree"}


def test_a_passage_follows_another(store: ql.Store) -> None:
    store.learn("One thing.", id="first")
    store.learn("Another.", id="second", after="first")
    with store.snapshot() as view:
        assert [x.target for x in view.neighbours("first", types=["next"])] == ["second"]
    with pytest.raises(ql.NotFoundError):
        store.learn("A third.", id="third", after="nothing")
    assert store.get("first").text == "One thing."
