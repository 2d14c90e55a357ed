"""Words: BM25 over segments and tail equals plain NumPy and bm25s; segments survive anything."""

import random
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from quillian import bitmaps
from quillian.bindings import kernels
from quillian.errors import CorruptError, InvalidError
from quillian.text import (
    Analyser,
    Bm25,
    WordsState,
    WordView,
)
from quillian.text import view as view_module
from words_model import VOCABULARY, Texts, bitmap, bm25, filled, index_at, reference_words, sentence


def agree(view: WordView, texts: Texts, rng: random.Random, rounds: int, modes: str) -> None:
    documents = texts.words()
    top = max(texts.texts, default=0) + 1
    for _ in range(rounds):
        words = rng.choices(VOCABULARY[:40] + VOCABULARY[-5:], k=rng.randint(1, 4))
        mode = rng.choice(modes.split())
        share = rng.choice([None, None, 0.5, 0.02])
        allowed = None if share is None else {n for n in range(top) if rng.random() < share}
        k = rng.choice([1, 3, 10, 1000])
        parameters = rng.choice([Bm25(), Bm25(0.9, 0.4), Bm25(0, 0.5), Bm25(2.0, 1.0)])
        expected = bm25(documents, words, k, mode, allowed, parameters.k1, parameters.b)
        found = view.search(
            words,
            k,
            mode=mode,
            allowed=None if allowed is None else bitmap(allowed, top),
            parameters=parameters,
        )
        what = f"{words} {mode} k={k} {share} {parameters}"
        scores = [score for _, score in expected]
        np.testing.assert_allclose(found.scores, scores, rtol=1e-5, err_msg=what)
        # Sums in another order may differ in the last bit, so only clear differences order nodes.
        for rank, (node, score) in enumerate(expected):
            near = [n for n, s in expected if abs(s - score) < 1e-5]
            if len(near) == 1 and rank < k - 1:
                assert found.nodes[rank] == node, what
        assert (np.diff(found.scores) <= 0).all()


# Words.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Cat, the DOG!", ["the", "cat", "the", "dog"]),
        ("Straße ﬁne \uff21\uff22 x²", ["strasse", "fine", "ab", "x2"]),
        ("a_b 007 3.14 don't", ["a_b", "007", "3", "14", "don", "t"]),
        ("日本語 Ελλάδα", ["日本語", "ελλάδα"]),
        ("", []),
        (" \t\n--", []),
    ],
)
def test_words_by_hand(text: str, words: list[str]) -> None:
    assert Analyser().words(text) == words


def test_words_of_the_core_equal_the_reference(tmp_path: Path) -> None:
    rng = random.Random(3)
    alphabet = [chr(c) for c in range(32, 127)] + list(
        "äßﬁΣσς\u0300\u00a0\u2028日本é²Ⅷ\u1e9e\x00\n_"
    )
    for _ in range(40):
        text = "".join(rng.choices(alphabet, k=rng.randint(0, 60)))
        ascii_text = text.encode("ascii", "ignore").decode()
        for t in (text, ascii_text):
            expected = reference_words(t)
            assert Analyser().words(t) == expected
            index = index_at(tmp_path)
            view = index.view(
                WordsState((index.build("one.words", [(0, t)]),)), lambda a, b: [], lambda n: []
            )
            assert view.length_mean == max(len(expected), 1)
            if expected:
                assert view.frequencies(expected).tolist() == [1] * len(expected)


def test_stemmer_meets_inflected_words(tmp_path: Path) -> None:
    pytest.importorskip("snowballstemmer")
    texts = Texts()
    texts.put(0, "the cats are running")
    texts.put(1, "a dog")
    for index, hits in ((index_at(tmp_path, stemmer="english"), [0]), (index_at(tmp_path), [])):
        state = texts.flush(index, WordsState(), "s.words")
        for s in (state, WordsState()):  # From the segment, and from the tail.
            view = texts.view(index, s)
            assert view.search(view.words("cat runs")).nodes.tolist() == hits


def test_unknown_stemmer_is_refused() -> None:
    with pytest.raises(InvalidError, match="want a stemmer among"):
        Analyser("klingon")


def test_segment_of_another_analyser_is_refused(tmp_path: Path) -> None:
    index_at(tmp_path).build("a.words", [(0, "x")])
    with pytest.raises(CorruptError):
        index_at(tmp_path, stemmer="english").segment("a.words")


# Scores.


@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512", "neon"])
def test_every_instruction_set_finds_the_same(tmp_path: Path, isa: str) -> None:
    """Gaps of every width up to some bits, conjunctions led by rare words, filters that lead."""
    rng = random.Random(17)
    texts = {
        n: ["every", *(f"w{i}" for i in range(1, 12) if not rng.randrange(1 << i))]
        for n in range(0, 20_000, 2)
    }
    info = index_at(tmp_path).build("a.words", ((n, " ".join(t)) for n, t in texts.items()))
    allowed = {n for n in range(20_000) if not rng.randrange(300)}
    before = kernels.isa()
    try:
        kernels.use_isa(isa)
    except InvalidError:
        pytest.skip(f"this CPU has no {isa}")
    try:
        view = index_at(tmp_path).view(WordsState((info,)), lambda a, b: [], lambda n: [])
        for words, mode in product((["every", "w9"], ["w2", "w7", "w1"], ["w11"]), ("any", "all")):
            for only in (None, allowed):
                found = view.search(
                    words, 20, mode=mode, allowed=None if only is None else bitmap(only, 20_000)
                )
                expected = bm25(texts, words, 20, mode, only)
                assert found.scores == pytest.approx([s for _, s in expected], rel=1e-5)
                assert found.nodes.tolist() == [n for n, _ in expected]
    finally:
        kernels.use_isa(before)


@pytest.mark.parametrize("place", ["segment", "tail", "both", "many"])
def test_search_equals_the_reference(tmp_path: Path, place: str) -> None:
    rng = random.Random(7)
    texts = filled(rng, 700, step=3)
    index = index_at(tmp_path, positions=True)
    state = WordsState()
    if place == "segment":
        state = texts.flush(index, state, "a.words")
    if place == "both":
        state = texts.flush(index, state, "a.words")
        for i in range(0, 900, 7):  # New ones, replaced ones, forgotten ones.
            texts.put(i, sentence(rng) if i % 2 else None)
    if place == "many":
        for step in range(4):
            for _ in range(150):
                texts.put(rng.randrange(900), sentence(rng) if rng.random() < 0.8 else None)
            state = texts.flush(index, state, f"{step}.words")
    agree(texts.view(index, state), texts, rng, 30, "any any all phrase")


def test_blocks_and_groups_are_skipped_rightly(tmp_path: Path) -> None:
    """Enough documents for several groups of 64 blocks; few words, so that ties abound."""
    rng = np.random.default_rng(11)
    n = 30_000
    words = np.array([f"w{i}" for i in range(8)])
    share = 1 / np.arange(1, 9) ** 2
    picks = rng.choice(words, (n, 6), p=share / share.sum())
    lengths = rng.integers(1, 7, n)
    docs = [picks[i, : lengths[i]].tolist() for i in range(n)]
    index = index_at(tmp_path)
    info = index.build("a.words", ((i, " ".join(d)) for i, d in enumerate(docs)))
    view = index.view(WordsState((info,)), lambda a, b: [], lambda n: [])
    dense = np.array([[d.count(w) for w in words] for d in docs], np.float64)
    k_of = 1.2 * (0.25 + 0.75 * dense.sum(axis=1) / view.length_mean)
    df = (dense > 0).sum(axis=0)
    part = np.log1p((n - df + 0.5) / (df + 0.5)) * dense / (dense + k_of[:, None])
    for chosen in ([0], [1], [7], [0, 1], [0, 7], [0, 1, 2, 3, 4, 5, 6, 7]):
        for k in (1, 10, 300):
            scores = part[:, chosen].sum(axis=1).astype(np.float32)
            best = np.lexsort((np.arange(n), -scores))[:k]
            found = view.search(words[chosen].tolist(), k)
            np.testing.assert_allclose(found.scores, scores[best], rtol=1e-6)
            if len(chosen) < 3:  # Two addends have one order, so the bits are equal.
                assert found.nodes.tolist() == best.tolist()
    assert view.search(["w0"], 10).cost["distances"] < n // 4


def test_narrow_filters_find_their_documents_among_gaps(tmp_path: Path) -> None:
    """Runs of nodes and gaps between them; filters with nodes that no document has."""
    rng = random.Random(5)
    nodes = [n for n in range(6000) if n % 1000 < 400 or n % 7 == 0]
    texts = {n: [f"w{rng.randrange(3)}" for _ in range(rng.randint(1, 5))] for n in nodes}
    index = index_at(tmp_path)
    info = index.build("a.words", ((n, " ".join(texts[n])) for n in nodes))
    view = index.view(WordsState((info,)), lambda a, b: [], lambda n: [])
    for count in (1, 5, 40, 150):
        for first in (0, 399, 5990):
            allowed = {rng.randrange(first, 6100) for _ in range(count)} | {first}
            bitmap = bitmaps.of_nodes(np.array(sorted(allowed), np.uint64), 6100)
            for words, mode in ((["w0"], "any"), (["w1", "w2"], "any"), (["w0", "w2"], "all")):
                found = view.search(words, 10, mode=mode, allowed=bitmap)
                expected = bm25(texts, words, 10, mode, allowed)
                assert found.nodes.tolist() == [node for node, _ in expected]
                assert found.scores == pytest.approx([score for _, score in expected], rel=1e-5)


def test_scores_equal_bm25s(tmp_path: Path) -> None:
    bm25s = pytest.importorskip("bm25s")
    rng = random.Random(5)
    texts = filled(rng, 500)
    index = index_at(tmp_path)
    view = texts.view(index, texts.flush(index, WordsState(), "a.words"))
    peer = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    peer.index(list(texts.words().values()), show_progress=False)
    for words in (["w0"], ["w3", "w20"], ["w1", "straße".casefold(), "x_1"]):
        expected = peer.get_scores(words)
        found = view.search(words, 500)
        np.testing.assert_allclose(found.scores, expected[found.nodes], rtol=1e-5)
        assert len(found.nodes) == (expected > 0).sum()


def test_repeated_word_counts_twice(tmp_path: Path) -> None:
    texts = filled(random.Random(1), 50)
    view = texts.view(index_at(tmp_path), WordsState())
    once, twice = view.search(["w2"], 5), view.search(["w2", "w2"], 5)
    np.testing.assert_allclose(twice.scores, 2 * once.scores, rtol=1e-6)


def test_ties_go_to_the_smaller_node(tmp_path: Path) -> None:
    texts = Texts()
    for node in range(2000):
        texts.put(node, "same words here")
    index = index_at(tmp_path)
    state = texts.flush(index, WordsState(), "a.words")
    for node in (5, 3, 1000):
        texts.put(node, "same words here")
    for s in (WordsState(), state, texts.flush(index, state, "b.words")):
        found = texts.view(index, s).search(["same", "here"], 7)
        assert found.nodes.tolist() == [0, 1, 2, 3, 4, 5, 6]


# Modes and filters.


def test_unknown_word_leaves_all_empty_and_any_as_it_is(tmp_path: Path) -> None:
    texts = filled(random.Random(2), 100)
    view = texts.view(index_at(tmp_path), WordsState())
    assert len(view.search(["w0", "unheard"], mode="all").nodes) == 0
    assert len(view.search(["w0", "unheard"], mode="phrase").nodes) == 0
    expected = view.search(["w0"]).nodes.tolist()
    assert view.search(["w0", "unheard"]).nodes.tolist() == expected


def test_word_in_every_document_still_ranks(tmp_path: Path) -> None:
    texts = Texts()
    for node in range(300):
        texts.put(node, "every " + "other " * node)
    index = index_at(tmp_path)
    found = texts.view(index, texts.flush(index, WordsState(), "a.words")).search(["every"], 300)
    assert found.nodes.tolist() == list(range(300))
    assert (found.scores > 0).all()


def test_empty_questions_stores_and_texts(tmp_path: Path) -> None:
    index = index_at(tmp_path)
    empty = Texts()
    view = empty.view(index, WordsState())
    assert len(view.search(["w0"]).nodes) == 0
    assert len(view.search([]).nodes) == 0
    empty.put(4, "")
    state = empty.flush(index, WordsState(), "a.words")
    assert len(empty.view(index, state).search(["w0"]).nodes) == 0
    assert empty.view(index, state).documents == 1


def test_phrase_needs_positions(tmp_path: Path) -> None:
    texts = filled(random.Random(2), 10)
    index = index_at(tmp_path)
    state = texts.flush(index, WordsState(), "a.words")
    with pytest.raises(InvalidError):
        texts.view(index, state).search(["w0", "w1"], mode="phrase")


def test_unknown_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="want mode any, all, phrase"):
        Texts().view(index_at(tmp_path), WordsState()).search(["w0"], mode="some")


# Snapshots.


def test_snapshots_see_their_own_texts(tmp_path: Path) -> None:
    texts = Texts()
    for node in range(20):
        texts.put(node, f"first n{node}")
    index = index_at(tmp_path)
    state = texts.flush(index, WordsState(), "a.words")
    before = texts.view(index, state)
    texts.put(3, "second")
    texts.put(4, None)
    after = texts.view(index, state)
    assert before.search(["n3", "n4"]).nodes.tolist() == [3, 4]
    assert after.search(["n3", "n4"]).nodes.tolist() == []
    assert after.search(["second"]).nodes.tolist() == [3]
    assert before.search(["second"]).nodes.tolist() == []
    assert (before.documents, after.documents) == (20, 19)
    assert after.frequencies(["first"]).tolist() == [18]


def test_old_snapshot_reads_its_tail_after_newer_ones(tmp_path: Path) -> None:
    texts = Texts()
    index = index_at(tmp_path)
    texts.put(0, "old")
    old = dict(texts.texts)
    texts.put(0, "new")
    assert texts.view(index, WordsState()).search(["new"]).nodes.tolist() == [0]
    state = texts.flush(index, WordsState(), "a.words")
    assert texts.view(index, state).search(["new"]).nodes.tolist() == [0]
    late = index.view(
        WordsState((), 0, 1), lambda a, b: texts.log[a:b], lambda nodes: [old[n] for n in nodes]
    )
    assert late.search(["old"]).nodes.tolist() == [0]
    assert late.search(["new"]).nodes.tolist() == []


def test_short_log_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="lacks entries 0 to 3"):
        index_at(tmp_path).view(WordsState((), 0, 3), lambda a, b: [1], lambda n: ["x"])


def test_frequencies_that_are_forgotten_are_counted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "COUNTS_MAX", 1)
    texts = Texts()
    for node in range(6):
        texts.put(node, f"all n{node} m{node % 2}")
    view = texts.view(index_at(tmp_path), WordsState())
    for _ in range(2):
        assert view.frequencies(["all", "n3", "none"]).tolist() == [6, 1, 0]
        assert view.frequencies(["m1", "n3"]).tolist() == [3, 1]
    assert len(view._counts) <= 2
