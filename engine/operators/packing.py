"""Packing: Pack, the best texts that fit a budget, for a reader with a limited window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from ..query import Operator
from ..selection import Selection
from ..snapshot import Snapshot

LETTERS_PER_TOKEN = 4  # English text, byte-pair encodings: a rule of thumb, on the safe side.
EXHAUSTIVE = 3  # Every start of this many texts is completed greedily, which gives the bound,
EXHAUSTIVE_ROWS_MAX = 24  # up to so many rows; beyond, starts of one text.


@dataclass(frozen=True)
class Pack(Operator[Snapshot]):
    """The rows whose texts say the most about the question and fit into `tokens` together.

    What a set is worth: for every word that the texts of the selection hold, the score of the best
    row in the set that holds it, words being equal; so a text that repeats what another one said
    adds little (a monotone submodular function).  Scores must be at least 0.  Taken greedily by
    gain per token, and completed from every start of three texts (of one, beyond 24 rows): at least
    (1 - 1/e) of the best possible set.  A token is four letters, at least one per word.
    Scores: as they were.  Columns: tokens, and cite, the number that a reader may cite, from 1.
    Source: Sviridenko 2004; Lin and Bilmes 2011.
    """

    tokens: int = 1000

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        if self.tokens < 0:
            raise InvalidError(f"want tokens >= 0, got {self.tokens}")
        if len(selection) and selection.scores[-1] < 0:
            raise InvalidError("Pack wants scores of at least 0; put Above(0) in front")
        texts = [concept.text or "" for concept in selection.concepts()]
        sizes = np.array([tokens_of(text) for text in texts], np.int64)
        words = [set(view.words.words(text)) for text in texts]
        rows = best_set(words, selection.scores.astype(np.float64), sizes, self.tokens)
        parents = np.full(len(rows), -1, np.int64) if selection.is_everything else rows
        return selection.derive(
            repr(self),
            selection.ids[rows],
            selection.scores[rows],
            parents,
            columns={
                **{name: column[rows] for name, column in selection.columns.items()},
                "tokens": sizes[rows],
                "cite": np.arange(1, len(rows) + 1),
            },
        )


def tokens_of(text: str) -> int:
    """An estimate from above of how many tokens a text has; 0 for none."""
    return max(-(-len(text) // LETTERS_PER_TOKEN), len(text.split()))


def worth(words: Sequence[set[str]], scores: NDArray[np.float64], rows: Sequence[int]) -> float:
    """What a set of rows is worth: for every word the best score of a row that holds it."""
    best: dict[str, float] = {}
    for row in rows:
        for word in words[row]:
            best[word] = max(best.get(word, 0.0), float(scores[row]))
    return sum(best.values())


def best_set(
    words: Sequence[set[str]], scores: NDArray[np.float64], sizes: NDArray[np.int64], budget: int
) -> NDArray[np.int64]:
    """Rows of a set within the budget, worth at least (1 - 1/e) of the best, ascending."""
    vocabulary = {word: i for i, word in enumerate(sorted(set().union(*words)))}
    holds = np.zeros((len(words), len(vocabulary)))
    for row, found in enumerate(words):
        holds[row, [vocabulary[word] for word in found]] = scores[row]
    usable = [row for row in range(len(words)) if words[row] and sizes[row] <= budget]
    best, most = [], -1.0
    for start in _starts(usable, sizes, budget):
        rows = _complete(start, usable, holds, sizes, budget)
        value = float(holds[rows].max(axis=0, initial=0).sum()) if rows else 0.0
        if value > most:
            best, most = rows, value
    return np.array(sorted(best), np.int64)


def _starts(usable: Sequence[int], sizes: NDArray[np.int64], budget: int) -> list[list[int]]:
    found: list[list[int]] = [[]]
    depth = EXHAUSTIVE if len(usable) <= EXHAUSTIVE_ROWS_MAX else 1
    level: list[list[int]] = [[]]
    for _ in range(depth):
        level = [
            [*start, row]
            for start in level
            for row in usable
            if (not start or row > start[-1]) and sizes[[*start, row]].sum() <= budget
        ]
        found += level
    return found


def _complete(
    start: list[int],
    usable: Sequence[int],
    holds: NDArray[np.float64],
    sizes: NDArray[np.int64],
    budget: int,
) -> list[int]:
    """Add rows by gain per token, as long as one fits and gains."""
    rows = list(start)
    left = budget - int(sizes[rows].sum()) if rows else budget
    covered = holds[rows].max(axis=0, initial=0) if rows else np.zeros(holds.shape[1])
    open_rows = np.array([row for row in usable if row not in start], np.int64)
    while len(open_rows := open_rows[sizes[open_rows] <= left]):
        gains = np.maximum(holds[open_rows] - covered, 0).sum(axis=1) / sizes[open_rows]
        at = int(np.argmax(gains))
        if gains[at] <= 0:
            break
        row = int(open_rows[at])
        rows.append(row)
        left -= int(sizes[row])
        covered = np.maximum(covered, holds[row])
        open_rows = np.delete(open_rows, at)
    return rows
