"""The tail of the words: texts changed since the last segment, kept in memory and scored exactly.

The catalog keeps a log of changed nodes: one entry whenever a concept got a text, another one, or
none any more.  A snapshot sees a range of that log, and of each node in it the last entry.  Entries
are read here once per process, whichever snapshot needs them first, and never again: a later entry
of the same node supersedes an earlier one from its own place on, so older snapshots keep theirs.
"""

import threading
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptError, InvalidError
from ..memory import Claim
from .tokens import Analyser

UInt32 = NDArray[np.uint32]
Int64 = NDArray[np.int64]
Texts = Callable[[Sequence[int]], Sequence[str | None]]
"""The texts of nodes as one snapshot sees them; None for a node that has none."""

POSTING_BYTES = 16  # Of an entry and its frequency, arrays growing ahead,
WORD_BYTES = 600  # and of a word with its two arrays.

_NEVER = (1 << 63) - 1
_UNREAD = -2
_GONE = -1


@dataclass(frozen=True, slots=True)
class TailPart:
    """What one snapshot sees of a tail."""

    entries: Int64  # Of nodes that have a text, by node.
    nodes: UInt32  # Of these entries, ascending.
    lengths: Int64  # In words.
    covered: UInt32  # All nodes in its part of the log, texts or not, ascending.
    places: Int64  # Entry -> index in the arrays above; -1: not visible.


_NOTHING = TailPart(
    np.empty(0, np.int64),
    np.empty(0, np.uint32),
    np.empty(0, np.int64),
    np.empty(0, np.uint32),
    np.empty(0, np.int64),
)


class WordTail:
    """Entries of the log from `first` on. Any number of threads."""

    def __init__(self, first: int, analyser: Analyser, *, phrases: bool):
        self.first = first
        self._analyser = analyser
        self._phrases: dict[int, str] | None = {} if phrases else None
        self._lock = threading.Lock()  # Guards everything below.
        self._nodes = array("I")
        self._superseded = array("q")  # The entry that replaces this one.
        self._lengths = array("q")
        self._last: dict[int, int] = {}
        self._postings: dict[str, tuple[array[int], array[int]]] = {}
        self._claim = Claim()

    def part(
        self, until: int, changes: Callable[[int, int], Sequence[int]], texts: Texts
    ) -> TailPart:
        """What a snapshot sees whose log ends at `until`.

        changes(start, stop) gives the nodes of log entries; texts reads the snapshot's texts.
        """
        if until == self.first:
            return _NOTHING
        with self._lock:
            self._follow(until, changes)
            count = until - self.first
            nodes = np.array(self._nodes[:count], np.uint32)
            latest = np.flatnonzero(np.array(self._superseded[:count], np.int64) >= count)
            latest = latest[np.argsort(nodes[latest], kind="stable")]
            self._read(latest, nodes, texts)
            lengths = np.array(self._lengths[:count], np.int64)[latest]
        entries = latest[lengths != _GONE]
        places = np.full(count, -1, np.int64)
        places[entries] = np.arange(len(entries))
        return TailPart(entries, nodes[entries], lengths[lengths != _GONE], nodes[latest], places)

    def _follow(self, until: int, changes: Callable[[int, int], Sequence[int]]) -> None:
        known = self.first + len(self._nodes)
        if until <= known:
            return
        fresh = changes(known, until)
        if len(fresh) != until - known:
            raise CorruptError(
                f"the log of changed texts lacks entries {known} to {until}; run check"
            )
        for node in fresh:
            entry = len(self._nodes)
            before = self._last.get(node)
            if before is not None:
                self._superseded[before] = entry
            self._last[node] = entry
            self._nodes.append(node)
            self._superseded.append(_NEVER)
            self._lengths.append(_UNREAD)

    def _read(self, latest: Int64, nodes: UInt32, texts: Texts) -> None:
        unread = [int(e) for e in latest if self._lengths[e] == _UNREAD]
        if not unread:
            return
        read = texts([int(nodes[e]) for e in unread])
        for entry, text in zip(unread, read, strict=True):
            self._lengths[entry] = _GONE if text is None else self._add(entry, text)

    def _add(self, entry: int, text: str) -> int:
        words = self._analyser.words(text)
        counts = Counter(words)
        fresh = sum(word not in self._postings for word in counts)
        size = len(counts) * POSTING_BYTES + fresh * WORD_BYTES
        self._claim.more(size + len(text) * bool(self._phrases is not None), "read new texts")
        for word, frequency in counts.items():
            entries, frequencies = self._postings.setdefault(word, (array("I"), array("I")))
            entries.append(entry)
            frequencies.append(frequency)
        if self._phrases is not None:
            self._phrases[entry] = f" {' '.join(words)} "
        return len(words)

    def postings(self, word: str, part: TailPart) -> tuple[Int64, Int64]:
        """(indices into the part's arrays, frequencies) of a word's documents, ascending."""
        if len(part.places) == 0:
            return part.entries, part.entries
        with self._lock:
            found = self._postings.get(word)
            entries = np.array(found[0] if found else (), np.int64)
            frequencies = np.array(found[1] if found else (), np.int64)
        inside = entries < len(part.places)
        places = part.places[entries[inside]]
        frequencies = frequencies[inside][places >= 0]
        places = places[places >= 0]
        order = np.argsort(places)
        return places[order], frequencies[order]

    def holds(self, words: Sequence[str], part: TailPart, places: Int64) -> NDArray[np.bool_]:
        """Which of the part's documents hold these words side by side."""
        if self._phrases is None:
            raise InvalidError(
                "want a store that keeps positions of words, which phrases need; "
                "it is chosen when a store is created"
            )
        phrase = f" {' '.join(words)} "
        texts = (self._phrases[int(part.entries[place])] for place in places)
        return np.fromiter((phrase in text for text in texts), np.bool_, len(places))
