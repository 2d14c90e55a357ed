"""The words of one snapshot: which documents of each segment count, and the search over all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..bindings.text import (
    ALL,
    ANY,
    GONE,
    PHRASE,
    WORDS_MAX,
    WordsFound,
    WordsQuery,
    WordsSegment,
)
from ..bitmaps import holds
from ..errors import InvalidError, LimitError
from .scoring import STANDARD, Bm25, tail_scores, weights
from .tail import TailPart, WordTail
from .tokens import Analyser

UInt32 = NDArray[np.uint32]
UInt64 = NDArray[np.uint64]
Int64 = NDArray[np.int64]

COUNTS_MAX = 65_536  # Words whose frequencies are remembered.
MODES = {"any": ANY, "all": ALL, "phrase": PHRASE}


@dataclass(frozen=True, slots=True)
class Layer:
    """A segment and which of its documents count."""

    segment: WordsSegment
    live: UInt64 | None  # Bit per ordinal; None for all but tombstones.
    dead: UInt32  # Ordinals replaced later, ascending; tombstones are not among them.
    documents: int  # That count.
    words: int  # The sum of their lengths.

    @classmethod
    def whole(cls, segment: WordsSegment) -> Self:
        """All documents of a segment."""
        lengths = segment.lengths
        real = lengths[lengths != GONE]
        dead = np.empty(0, np.uint32)
        return cls(segment, None, dead, len(real), int(real.sum(dtype=np.uint64)))

    def without(self, nodes: UInt32) -> "Layer":
        """The same without the documents of these nodes, which ascend."""
        there = self.segment.nodes
        if len(nodes) == 0 or len(there) == 0 or nodes[0] > there[-1] or nodes[-1] < there[0]:
            return self
        nodes = nodes[np.searchsorted(nodes, there[0]) : np.searchsorted(nodes, there[-1], "right")]
        places = np.searchsorted(there, nodes)
        places = places[there[places] == nodes].astype(np.uint32)
        lost = places[self.segment.lengths[places] != GONE]
        lost = np.setdiff1d(lost, self.dead, assume_unique=True)
        if len(lost) == 0:
            return self
        dead = np.union1d(self.dead, lost)
        flags = np.zeros((self.segment.documents + 63) // 64 * 64, np.bool_)
        flags[: self.segment.documents] = True
        flags[dead] = False
        live = np.packbits(flags, bitorder="little").view(np.uint64)
        words = self.words - int(self.segment.lengths[lost].sum(dtype=np.uint64))
        return Layer(self.segment, live, dead, self.documents - len(lost), words)

    def kept(self, tombstones: bool) -> Int64:
        """Ordinals that a merge takes over; tombstones that were replaced go like documents."""
        lengths = self.segment.lengths
        keep = np.ones(self.segment.documents, np.bool_)
        keep[self.dead] = False
        if not tombstones:
            keep &= lengths != GONE
        return np.flatnonzero(keep)


class Found(NamedTuple):
    """Documents by score, ties by node, and what finding them cost."""

    nodes: UInt32
    scores: NDArray[np.float32]
    cost: dict[str, int]
    ceiling: float = 1.0  # No text scores more: what endless repetition of every word would.


class WordView:
    """The words of one snapshot; frozen, any number of threads."""

    def __init__(self, analyser: Analyser, layers: Sequence[Layer], tail: WordTail, part: TailPart):
        self._analyser = analyser
        self._layers = [layer.without(part.covered) for layer in layers]
        self._tail = tail
        self._part = part
        self._counts: dict[str, int] = {}
        self.documents = len(part.nodes) + sum(x.documents for x in self._layers)
        words = int(part.lengths.sum()) + sum(x.words for x in self._layers)
        self.length_mean = words / self.documents if words else 1.0

    def words(self, text: str) -> list[str]:
        """The words of a question, in order, as this store knows them."""
        return self._analyser.words(text)

    def frequencies(self, words: Sequence[str]) -> Int64:
        """In how many documents each word stands, exactly, (n,)."""
        return np.array(self._held_by(words), np.int64)

    def _held_by(self, words: Sequence[str]) -> list[int]:
        if len(self._counts) > COUNTS_MAX:
            self._counts = {}
        known = self._counts  # Another thread may start anew meanwhile.
        new = [word for word in words if word not in known]
        if new:
            packed = [word.encode("utf-8", "surrogatepass") for word in new]
            counts = np.array([len(self._tail.postings(w, self._part)[0]) for w in new])
            for layer in self._layers:
                counts += layer.segment.frequencies(packed, layer.dead)
            known.update(zip(new, counts.tolist(), strict=True))
        return [known[word] for word in words]

    def search(
        self,
        words: Sequence[str],
        k: int = 10,
        *,
        mode: str = "any",
        allowed: UInt64 | None = None,
        parameters: Bm25 = STANDARD,
    ) -> Found:
        """The best k documents for words in the order of the question.

        mode: "any" of the words, "all" of them, or the "phrase".  allowed: bitmap of nodes, None
        for all.  Scores are sums of BM25 over distinct words, above 0; a phrase only filters.
        Raises InvalidError for another mode, or a phrase without positions in this store.
        """
        if mode not in MODES:
            raise InvalidError(f"want mode {', '.join(MODES)}; got {mode!r}")
        if k < 0 or len(words) > WORDS_MAX:
            raise LimitError(f"want k >= 0 and at most {WORDS_MAX} words, got {k}, {len(words)}")
        occurrences: dict[str, int] = {}
        for word in words:
            occurrences[word] = occurrences.get(word, 0) + 1
        counts = self._held_by(list(occurrences))
        known = [w for w, n in zip(occurrences, counts, strict=True) if n]
        if not known or k == 0 or (mode != "any" and len(known) < len(occurrences)):
            empty = np.empty(0, np.uint32), np.empty(0, np.float32)
            return Found(*empty, {"distances": 0, "hops": 0, "bytes": 0})
        query = WordsQuery(
            words=tuple(w.encode("utf-8", "surrogatepass") for w in known),
            weights=weights(
                self.documents, [n for n in counts if n], [occurrences[w] for w in known]
            ),
            mode=MODES[mode],
            phrase=tuple(known.index(w) for w in words) if mode == "phrase" else (),
            k=min(k, self.documents),
            k1=parameters.k1,
            b=parameters.b,
            length_mean=self.length_mean,
        )
        found = self._search_tail(known, words, query, allowed, parameters)
        found.search(
            [x.segment for x in self._layers], [x.live for x in self._layers], query, allowed
        )
        return Found(found.nodes, found.scores, found.cost, sum(query.weights))

    def _search_tail(
        self,
        known: Sequence[str],
        words: Sequence[str],
        query: WordsQuery,
        allowed: UInt64 | None,
        parameters: Bm25,
    ) -> WordsFound:
        part = self._part
        if len(part.nodes) == 0:
            return WordsFound(query.k)
        sums, held = tail_scores(
            self._tail, part, known, query.weights, parameters, query.length_mean
        )
        scores = sums.astype(np.float32)
        wanted = held == len(known) if query.mode != ANY else held > 0
        if allowed is not None:
            wanted &= holds(allowed, part.nodes)
        places = np.flatnonzero(wanted)
        if query.mode == PHRASE:
            places = places[self._tail.holds(words, part, places)]
        if len(places) > query.k:  # Keep the best k and all that equal the last of them.
            least = np.partition(scores[places], -query.k)[-query.k]
            places = places[scores[places] >= least]
        best = places[np.lexsort((part.nodes[places], -scores[places]))][: query.k]
        found = WordsFound(query.k, part.nodes[best], scores[best])
        found.cost["distances"] += int((held > 0).sum())
        return found
