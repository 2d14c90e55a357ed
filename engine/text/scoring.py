"""BM25 as quillian computes it: parameters, the weight of a word, and the tail's scores in NumPy.

score(document) = sum over words of weight * f / (f + k1 (1 - b + b length / mean length)),
weight = ln(1 + (N - n + 0.5) / (n + 0.5)) * occurrences of the word in the question (Lucene's form;
Robertson and Zaragoza 2009, Kamphuis et al. 2020).  N, n and the mean are those of the snapshot,
exactly: replaced and forgotten texts do not count.  The operations stand in the same order as in
csrc/bm25.c, so a text scores the same bits in the tail and in a segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p
from operator import mul

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from .tail import TailPart, WordTail

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bm25:
    """k1 saturates the frequency, b normalises the length; the defaults are Lucene's."""

    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        if not (0 <= self.k1 < float("inf") and 0 <= self.b <= 1):
            raise InvalidError(f"want k1 >= 0 and 0 <= b <= 1, got k1={self.k1}, b={self.b}")


STANDARD = Bm25()


def weights(
    documents: int, frequencies: Sequence[int], occurrences: Sequence[int]
) -> tuple[float, ...]:
    """Weight of each word of a question; frequencies: documents that hold it."""
    logs = [log1p((documents - n + 0.5) / (n + 0.5)) for n in frequencies]
    return tuple(map(mul, logs, occurrences))


def tail_scores(
    tail: WordTail,
    part: TailPart,
    words: Sequence[str],
    weight: Sequence[float],
    parameters: Bm25,
    length_mean: float,
) -> tuple[Float64, NDArray[np.int64]]:
    """(score, how many of the words it holds) of each document of the tail, (n,) each."""
    sums = np.zeros(len(part.nodes))
    held = np.zeros(len(part.nodes), np.int64)
    c0 = parameters.k1 * (1 - parameters.b)
    c1 = parameters.k1 * parameters.b / length_mean
    for word, factor in zip(words, weight, strict=True):
        places, frequencies = tail.postings(word, part)
        f = frequencies.astype(np.float64)
        sums[places] += factor * (f / (f + (c0 + c1 * part.lengths[places])))
        held[places] += 1
    return sums, held
