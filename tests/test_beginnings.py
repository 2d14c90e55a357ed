"""What is kept of how names begin: never another answer than the catalog's, whoever adds names."""

import random
from pathlib import Path

import pytest
import quillian as ql
from conftest import DIM
from quillian.beginnings import Beginnings
from quillian.mentions import StoreNames, mentioned

MET = "We met Ada Lovelace in New York."


def mentions(store: ql.Store, text: str) -> set[str]:
    """The ids that a text is linked to once it was learned."""
    node = store.learn(text)
    with store.snapshot() as view:
        return {x.target for x in view.neighbours(node, types=["mentions"])}


def test_a_name_added_between_two_texts_is_mentioned_by_the_second(store: ql.Store) -> None:
    assert mentions(store, MET) == set()
    with store.transaction() as txn:
        txn.add(id="ada", name="Ada Lovelace")
        txn.add(id="town", aliases=("new  york",))
    assert mentions(store, MET) == {"ada", "town"}


def test_a_name_added_within_a_transaction_is_mentioned_by_the_next_text(store: ql.Store) -> None:
    with store.transaction() as txn:
        txn.learn(MET)
        txn.add(id="ada", name="Ada Lovelace")
        node = txn.learn(MET, id="again")
        assert [x.target for x in txn.neighbours(node, types=["mentions"])] == ["ada"]


def test_a_name_that_was_replaced_is_mentioned_by_its_new_one(store: ql.Store) -> None:
    store.add("A town.", id="town", name="Old York")
    assert mentions(store, MET) == set()
    store.add("A town.", id="town", name="New York", on_conflict="replace")
    assert mentions(store, MET) == {"town"}
    assert mentions(store, "We met in Old York.") == set()


def test_what_was_undone_or_added_elsewhere_is_not_taken_for_known(path: Path) -> None:
    with ql.open(path, dim=DIM) as store:
        assert mentions(store, MET) == set()
        directory = store.snapshot()._directory
        with pytest.raises(RuntimeError), store.transaction() as txn:
            txn.add(id="ada", name="Ada Lovelace")
            txn.learn(MET)
            raise RuntimeError
        assert directory.beginnings.starts  # Of what was undone, and not of any commit.
        another = Beginnings()
        directory.beginnings, kept = another, directory.beginnings
        store.add(id="ada", name="Ada Lovelace")  # As another process would.
        directory.beginnings = kept
        assert mentions(store, MET) == {"ada"}


def test_forgets_what_is_of_another_commit() -> None:
    known = Beginnings()
    for commit, left in ((3, True), (4, False)):
        known.begin(3)
        known.starts["ada"] = False
        known.absent.add("ada")
        known.end(3)
        known.begin(commit)
        assert bool(known.starts) == bool(known.absent) == left
        known.begin(3)  # One that did not end leaves nothing.
        assert not known.starts


def test_mentions_equal_those_without_anything_kept(store: ql.Store) -> None:
    rng = random.Random(1)
    words = ["Ada", "ada", "New", "York", "Yorks", "cat", "cats", "U.S.", "Jean-Luc", "in", "of"]
    known = Beginnings()
    with store.transaction() as txn:
        for number in range(60):
            text = " ".join(rng.choices(words, k=12))
            names = StoreNames(txn, known)
            found = mentioned(text, names, names.longest)
            assert found == mentioned(text, StoreNames(txn))
            name = " ".join(rng.choices(words, k=rng.randint(1, 3)))
            txn.add(id=str(number), name=name)
            known.add([name])
