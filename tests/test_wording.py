"""Words in a store: every snapshot its own, through commits, aborts, segments and processes."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from quillian.text import records
from words_model import VOCABULARY, bm25, reference_words, sentence


def ids(found: ql.Selection) -> list[str]:
    return [row.id for row in found]


def words_of(view: ql.Snapshot) -> dict[int, list[str]]:
    return {c.node: reference_words(records.words_of(c) or "") for c in view.concepts()}


def agree(store: ql.Store, rng: random.Random, rounds: int) -> None:
    with store.snapshot() as view:
        documents = {node: words for node, words in words_of(view).items() if words}
        for _ in range(rounds):
            words = rng.choices(VOCABULARY[:40], k=rng.randint(1, 3))
            mode = rng.choice(["any", "all"])
            some = {n for n in documents if rng.random() < 0.5}
            chosen = np.array(sorted(some), np.uint64)
            for allowed in (None, some):
                start = ql.Selection.everything(view, ql.Question(text=" ".join(words)))
                if allowed is not None:
                    start = start.derive("some", chosen, np.zeros(len(chosen), np.float32))
                found = ql.Words(5, mode=mode)(view, start)
                expected = bm25(documents, words, 5, mode, allowed)
                assert found.scores == pytest.approx([s for _, s in expected], rel=1e-5)


@pytest.fixture
def small_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments after every 40 changes, so that merges happen too."""
    monkeypatch.setattr("quillian.text.index.TAIL_MAX", 40)


def test_words_of_a_store_equal_the_reference(store: ql.Store, small_tail: None) -> None:
    rng = random.Random(1)
    for step in range(25):
        with store.transaction() as txn:
            for _ in range(rng.randint(1, 25)):
                txn.add(
                    sentence(rng, 12) or None,
                    id=str(rng.randrange(150)),
                    name=rng.choice([None, "w3 named"]),
                    on_conflict="replace",
                )
            for key in [str(rng.randrange(150)) for _ in range(3)]:
                if key in txn:
                    txn.forget(key)
        if step % 6 == 5:
            store.optimize()
        agree(store, rng, 4)
    stats = store.stats()["words"]
    assert stats["segments"] >= 1
    assert stats["tail"] < 40
    assert not store.check()


def test_snapshot_keeps_its_words_while_segments_change(path: Path, small_tail: None) -> None:
    with ql.open(path, dim=8) as store:
        store.add("alpha", id="a")
        with store.snapshot() as early, store.snapshot() as unread:
            question = ql.Question(text="alpha omega")
            assert ids(ql.Words()(early, ql.Selection.everything(early, question))) == ["a"]
            store.add("omega", id="a", on_conflict="replace")
            for round in range(5):  # Enough changes that the files of before are gone.
                store.add_many(texts=["filler"] * 50, ids=[f"{round}-{i}" for i in range(50)])
                store.optimize()
            for view in (early, unread):
                found = ql.Words()(view, ql.Selection.everything(view, question))
                assert ids(found) == ["a"]
                assert found[0].text == "alpha"
        assert ids(store.search("alpha omega", method="words")) == ["a"]
        assert store.search("omega", method="words")[0].text == "omega"


def test_writer_reads_its_own_words_and_an_abort_forgets_them(store: ql.Store) -> None:
    store.add("alpha", id="a")

    def seen(view: ql.Snapshot) -> list[str]:
        start = ql.Selection.everything(view, ql.Question(text="alpha beta"))
        return ids(ql.Words()(view, start))

    with pytest.raises(RuntimeError), store.transaction() as txn:
        txn.add("beta", id="b")
        assert seen(txn) == ["a", "b"]
        txn.forget("a")
        assert seen(txn) == ["b"]
        raise RuntimeError
    store.add("gamma", id="c")  # Takes the places in the log that the aborted ones had.
    with store.snapshot() as view:
        assert seen(view) == ["a"]
    assert ids(store.search("gamma", method="words")) == ["c"]


def test_names_and_aliases_are_words_too(store: ql.Store) -> None:
    store.add("a river", id="x", name="Rhône", aliases=["Rhodanus"])
    assert ids(store.search("RHÔNE", method="words")) == ["x"]
    assert ids(store.search("rhodanus", method="words")) == ["x"]
    assert ids(store.search("river", method="words")) == ["x"]


def test_phrases_and_stemmer_are_chosen_at_creation(path: Path) -> None:
    with ql.open(path, dim=8, phrases=True) as store:
        store.add_many(texts=["to be or not to be", "be not to or be to"], ids=["x", "y"])
        query = ql.Words(mode="phrase")
        assert ids(store.run(query, about="not to be")) == ["x"]
        store.optimize()
        assert ids(store.run(query, about="not to be")) == ["x"]
    with pytest.raises(ql.InvalidError, match="stemmer"):
        ql.open(path, stemmer="english")
    with ql.open(path.with_name("other"), dim=8) as store:
        store.add("some words")
        with pytest.raises(ql.InvalidError, match="phrases"):
            store.run(query, about="some words")
    with pytest.raises(ql.InvalidError, match="without"):
        ql.open(path.with_name("other"), phrases=True)


def test_stemmed_store(path: Path) -> None:
    pytest.importorskip("snowballstemmer")
    with ql.open(path, dim=8, stemmer="english") as store:
        store.add("the cats are running", id="x")
        assert ids(store.search("cat runs", method="words")) == ["x"]
    with ql.open(path) as store:
        store.optimize()
        assert ids(store.search("cat runs", method="words")) == ["x"]


def test_words_live_through_reopening_and_read_only(path: Path, small_tail: None) -> None:
    with ql.open(path, dim=8) as store:
        store.add_many(texts=[f"number n{i}" for i in range(100)])
        store.add("number last", id="last")
    with ql.open(path, read_only=True) as store:
        assert ids(store.search("last n7", method="words")) == ["_:7", "last"]
        assert store.stats()["words"]["segments"] == 1


def test_another_process_finds_what_this_one_wrote(path: Path) -> None:
    with ql.open(path, dim=8) as store:
        store.add_many(texts=[f"number n{i}" for i in range(10)])
        code = (
            "import sys, quillian as ql\n"
            "with ql.open(sys.argv[1]) as store:\n"
            "    store.optimize()\n"
            "    store.add('n3 again', id='new')\n"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        assert ids(store.search("n3 again", method="words")) == ["new", "_:3"]


def test_missing_and_damaged_segments_are_named(path: Path) -> None:
    with ql.open(path, dim=8) as store:
        store.add_many(texts=["some words"] * 10)
        store.optimize()
        file = next((path / "words").iterdir())
    content = bytearray(file.read_bytes())
    content[4100] ^= 1
    file.write_bytes(content)
    with ql.open(path) as store:
        assert {p.part for p in store.check()} == {"words"}
        with pytest.raises(ql.CorruptError):
            store.search("words", method="words")
    file.unlink()
    with ql.open(path) as store:
        assert {p.part for p in store.check()} == {"words"}
        with pytest.raises(ql.CorruptError, match="missing"):
            store.search("words", method="words")


def test_words_without_text_are_refused(atlas: ql.Store) -> None:
    with pytest.raises(ql.InvalidError, match="text"):
        atlas.run(ql.Words(), about=np.ones(8))
    with pytest.raises(ql.InvalidError, match="k >= 1"):
        atlas.run(ql.Words(0), about="city")


def test_search_methods(path: Path, letters: object) -> None:
    with ql.open(path, embedder=letters) as store:
        store.add_many(texts=["aa bb", "bb cc", "pp"], ids=["a", "b", "p"])
        assert ids(store.search("pp", method="words")) == ["p"]
        assert len(store.search("pp", method="vectors")) == 3
        both = store.search("pp")
        assert ids(both)[0] == "p"
        assert both.columns["rank_1"][0] == both.columns["rank_2"][0] == 1
        assert ids(store.search("bb", where={"id": "b"})) == ["b"]
        with pytest.raises(ql.InvalidError, match="method"):
            store.search("pp", method="magic")
