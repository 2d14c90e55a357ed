"""The oracle of the words: BM25 in plain NumPy, and a log of changed texts in a dictionary."""

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from quillian.text import WordIndex, WordsState, WordView

UUID = b"sixteen bytes 16"
VOCABULARY = [f"w{i}" for i in range(60)] + ["über", "straße", "日本語", "naïve", "x_1"]


def reference_words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def bm25(
    texts: dict[int, list[str]],
    words: list[str],
    k: int,
    mode: str = "any",
    allowed: set[int] | None = None,
    k1: float = 1.2,
    b: float = 0.75,
) -> list[tuple[int, float]]:
    """(node, score) of the best k, ties by node: every document, every word, no shortcut."""
    counts = {node: Counter(text) for node, text in texts.items()}
    mean = np.mean([len(text) for text in texts.values()]) if any(texts.values()) else 1.0
    holders = {word: sum(word in c for c in counts.values()) for word in words}
    ranked = []
    for node, text in texts.items():
        score = 0.0
        for word in words:
            n = holders[word]
            weight = np.log1p((len(texts) - n + 0.5) / (n + 0.5))
            if f := counts[node][word]:
                score += weight * f / (f + k1 * (1 - b + b * len(text) / mean))
        starts = range(len(text) - len(words) + 1)
        matches = {
            "any": any(word in counts[node] for word in words),
            "all": all(word in counts[node] for word in words),
            "phrase": any(text[i : i + len(words)] == words for i in starts),
        }
        if matches[mode] and (allowed is None or node in allowed):
            ranked.append((node, score))
    return sorted(ranked, key=lambda x: (-np.float32(x[1]), x[0]))[:k]


def sentence(rng: random.Random, longest: int = 40) -> str:
    """Words by Zipf's law."""
    weights = [1 / (i + 1) for i in range(len(VOCABULARY))]
    return " ".join(rng.choices(VOCABULARY, weights, k=rng.randint(0, longest)))


class Texts:
    """Texts by node and the log of their changes, as the catalog keeps them."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.log: list[int] = []

    def put(self, node: int, text: str | None) -> None:
        if text is None:
            self.texts.pop(node, None)
        else:
            self.texts[node] = text
        self.log.append(node)

    def read(self, nodes: Sequence[int]) -> list[str | None]:
        return [self.texts.get(node) for node in nodes]

    def view(self, index: WordIndex, state: WordsState) -> WordView:
        frozen = dict(self.texts)
        return index.view(
            WordsState(state.segments, state.log_start, len(self.log)),
            lambda start, stop: self.log[start:stop],
            lambda nodes: [frozen.get(node) for node in nodes],
        )

    def words(self) -> dict[int, list[str]]:
        return {node: reference_words(text) for node, text in self.texts.items()}

    def flush(self, index: WordIndex, state: WordsState, name: str) -> WordsState:
        """A segment of everything since the last one."""
        changed = sorted(set(self.log[state.log_start :]))
        info = index.build(name, ((node, self.texts.get(node)) for node in changed))
        return WordsState((*state.segments, info), len(self.log), len(self.log))


def index_at(folder: Path, **options: object) -> WordIndex:
    return WordIndex(folder / "words", UUID, **options)


def filled(rng: random.Random, count: int, step: int = 1, longest: int = 40) -> Texts:
    texts = Texts()
    for i in range(count):
        texts.put(i * step, sentence(rng, longest))
    return texts


def bitmap(nodes: set[int], size: int) -> np.ndarray:
    flags = np.zeros((size + 63) // 64 * 64, np.bool_)
    flags[[n for n in nodes if n < size]] = True
    return np.packbits(flags, bitorder="little").view(np.uint64)
