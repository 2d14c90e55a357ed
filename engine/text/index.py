"""The words of one store: segments of postings, the tail behind them, and what a snapshot sees.

Truth is the concepts' texts in the catalog, and there a log of changed nodes.  A segment (csrc/
postings.c) covers a range of that log: it holds the documents of its nodes, or a tombstone where a
node has no text any more.  What a commit records is a WordsState: the segments in order and the
range of the log they do not cover.  The newest word on a node wins: the tail over all segments, a
later segment over an earlier one.  So segments never change, a snapshot sees its own texts and no
others, and all statistics are exactly those of the snapshot.

This file writes segments and never publishes them: the caller commits their names, and drops files
that no snapshot can see any more.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import memory
from ..bindings.text import NONE, WordsBuilder, WordsSegment, merge
from ..errors import InvalidError
from ..syncing import sync
from .tail import Texts, WordTail
from .tokens import Analyser
from .view import Layer, WordView

UInt32 = NDArray[np.uint32]

BUILD_BYTES_MAX = 256 << 20  # Memory of a builder; beyond, it writes a part and starts anew.
BUILD_BATCH = 4_096  # Texts handed to the C core at once.
MERGE_BYTES = 48  # Of columns for each document, while segments are merged.
TAIL_MAX = 8_192  # Changed texts that are worth a segment.
MERGE_RATIO = 4  # A segment is merged with the later ones when it is not this much larger.


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """What the catalog records of a segment."""

    name: str
    documents: int  # Tombstones included.
    node_first: int
    node_last: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class WordsState:
    """What a commit records: segments, oldest first, and the part of the log behind them."""

    segments: tuple[SegmentInfo, ...] = ()
    log_start: int = 0
    log_end: int = 0

    @property
    def due(self) -> bool:
        """Whether the tail is long enough for a segment of its own."""
        return self.log_end - self.log_start >= TAIL_MAX


def merge_due(segments: Sequence[SegmentInfo]) -> int:
    """From which segment on they should become one; len(segments) when none should.

    Sizes fall by MERGE_RATIO from each to the next, so there are at most log4(n) + 1 of them and
    each document is rewritten a few times per level.
    """
    start = len(segments) - 1
    together = segments[start].documents if segments else 0
    while start > 0 and segments[start - 1].documents < MERGE_RATIO * together:
        start -= 1
        together += segments[start].documents
    return start if start < len(segments) - 1 else len(segments)


class WordIndex:
    """The words of one store in this process. Any number of threads; one of them may write."""

    def __init__(
        self, folder: Path, uuid: bytes, *, stemmer: str | None = None, positions: bool = False
    ):
        self.folder = folder
        self.analyser = Analyser(stemmer)
        self.positions = positions
        self._uuid = uuid
        self._lock = threading.Lock()  # Guards the caches below.
        self._open: dict[str, WordsSegment] = {}
        self._layers: tuple[tuple[str, ...], tuple[Layer, ...]] = ((), ())
        self._tail = WordTail(0, self.analyser, phrases=positions)
        memory.caches[self] = None

    def shrink(self) -> None:
        """Forget what was read of the tail; views that use it keep theirs."""
        if self._lock.acquire(blocking=False):
            self._tail = WordTail(self._tail.first, self.analyser, phrases=self.positions)
            self._lock.release()

    # Reading.

    def view(
        self,
        state: WordsState,
        changes: Callable[[int, int], Sequence[int]],
        texts: Texts,
        *,
        private: bool = False,
    ) -> WordView:
        """What a snapshot of `state` sees.

        changes(start, stop) gives the nodes of log entries, texts(nodes) their texts there.
        private: the log's end may yet be undone, so what is read of it must not be shared.
        Raises CorruptError for a damaged segment, StorageError for a missing one.
        """
        with self._lock:
            names = tuple(s.name for s in state.segments)
            if self._layers[0] != names:
                self._layers = (names, self._stack(names))
                self._open = {x.segment.path.name: x.segment for x in self._layers[1]}
            layers = self._layers[1]
            tail = self._tail
            if private or tail.first != state.log_start:
                tail = WordTail(state.log_start, self.analyser, phrases=self.positions)
                if (
                    tail.first > self._tail.first and not private
                ):  # An older snapshot keeps its tail to itself.
                    self._tail = tail
        return WordView(self.analyser, layers, tail, tail.part(state.log_end, changes, texts))

    def segment(self, name: str) -> WordsSegment:
        """An open segment of this store."""
        known = self._open.get(name)
        return known or WordsSegment(self.folder / name, self._uuid, self.analyser.mark)

    def _stack(self, names: Sequence[str]) -> tuple[Layer, ...]:
        """The segments with the documents that later ones replace taken out."""
        later = np.empty(0, np.uint32)
        layers: list[Layer] = []
        for name in reversed(names):
            segment = self.segment(name)
            layer = Layer.whole(segment).without(later)
            layers.append(layer)
            later = np.union1d(later, segment.nodes)
        return tuple(reversed(layers))

    # Writing; the caller holds the writer's lock and publishes.

    def build(self, name: str, documents: Iterable[tuple[int, str | None]]) -> SegmentInfo:
        """Write a segment of (node, text) with ascending nodes; None is a tombstone."""
        self.folder.mkdir(exist_ok=True)
        builder = WordsBuilder(positions=self.positions)
        parts: list[Path] = []
        size_max = min(BUILD_BYTES_MAX, (memory.limit() or 1 << 62) // memory.BUILD_SHARE)
        batch: list[tuple[int, bytes | None]] = []
        for node, text in documents:
            batch.append((node, None if text is None else self.analyser.prepare(text)))
            if len(batch) == BUILD_BATCH:
                self._feed(builder, batch)
                batch.clear()
                if builder.size_bytes > size_max:
                    parts.append(self._write_part(builder, name, len(parts)))
        self._feed(builder, batch)
        path = self.folder / name
        if not parts:
            builder.write(path, self._uuid, self.analyser.mark)
            return self._publishable(path)
        parts.append(self._write_part(builder, name, len(parts)))
        try:
            return self.merge([p.name for p in parts], name, keep_tombstones=True)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)

    @staticmethod
    def _feed(builder: WordsBuilder, batch: Sequence[tuple[int, bytes | None]]) -> None:
        nodes = np.array([node for node, _ in batch], np.uint32)
        gone = np.array([text is None for _, text in batch], np.bool_)
        builder.add(nodes, [text or b"" for _, text in batch], gone)

    def _write_part(self, builder: WordsBuilder, name: str, number: int) -> Path:
        path = self.folder / f"{name}.part{number}"
        builder.write(path, self._uuid, self.analyser.mark)
        return path

    def merge(self, names: Sequence[str], name: str, *, keep_tombstones: bool) -> SegmentInfo:
        """Write one segment of several, oldest first; replaced documents are left out.

        Tombstones may go when no segment older than these remains.
        """
        if not names:
            raise InvalidError("want at least one segment to merge, got none")
        layers = self._stack(names)
        claim = memory.Claim()
        documents = sum(x.segment.documents for x in layers)
        claim.to(documents * MERGE_BYTES, f"merge the words of {documents} concepts")
        kept = [x.kept(keep_tombstones) for x in layers]
        nodes = np.concatenate([x.segment.nodes[k] for x, k in zip(layers, kept, strict=True)])
        lengths = np.concatenate([x.segment.lengths[k] for x, k in zip(layers, kept, strict=True)])
        order = np.argsort(nodes, kind="stable")
        ordinals = np.empty(len(order), np.uint32)
        ordinals[order] = np.arange(len(order), dtype=np.uint32)
        maps, start = [], 0
        for layer, keep in zip(layers, kept, strict=True):
            places = np.full(layer.segment.documents, NONE, np.uint32)
            places[keep] = ordinals[start : start + len(keep)]
            start += len(keep)
            maps.append(places)
        path = self.folder / name
        segments = [x.segment for x in layers]
        merge(segments, maps, nodes[order], lengths[order], path, self._uuid, self.analyser.mark)
        return self._publishable(path)

    def _publishable(self, path: Path) -> SegmentInfo:
        """Make the name durable; what the catalog records of the file."""
        sync(self.folder)
        sync(self.folder.parent)  # Where the folder may be new.
        segment = self.segment(path.name)
        nodes = segment.nodes
        first, last = (int(nodes[0]), int(nodes[-1])) if len(nodes) else (0, 0)
        return SegmentInfo(path.name, segment.documents, first, last, segment.size_bytes)
