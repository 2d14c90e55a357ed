"""Building, opening, merging and searching segments of words, over csrc/text.c and bm25.c."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .status import check

UInt32 = NDArray[np.uint32]
UInt64 = NDArray[np.uint64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

ANY: int = lib.QL_WORDS_ANY
ALL: int = lib.QL_WORDS_ALL
PHRASE: int = lib.QL_WORDS_PHRASE
GONE: int = lib.QL_WORDS_GONE
WORDS_MAX: int = lib.QL_QUERY_WORDS_MAX
NONE: int = lib.QL_NONE


class Packed:
    """Several byte strings as C reads them: one block, and where each starts (n + 1,)."""

    def __init__(self, items: Sequence[bytes], dtype: type = np.uint32):
        self.offsets: NDArray[Any] = np.zeros(len(items) + 1, dtype)
        np.cumsum([len(x) for x in items], out=self.offsets[1:], dtype=dtype)
        self.bytes = b"".join(items)


def pointer(kind: str, array: NDArray[Any] | bytes, *, writable: bool = False) -> Any:
    """The memory of an array as `kind`, alive as long as the result is."""
    return ffi.from_buffer(kind, array, require_writable=writable)


class WordsBuilder:
    """Collects prepared texts and writes them as one segment."""

    def __init__(self, *, positions: bool):
        handle = ffi.new("ql_words_builder **")
        check(lib.ql_words_builder_create(positions, handle), "make a builder of words")
        self._handle = ffi.gc(handle[0], lib.ql_words_builder_close)

    def add(self, nodes: UInt32, texts: Sequence[bytes], gone: Bool | None = None) -> None:
        """Add prepared texts of ascending nodes; `gone` marks nodes that have no text any more."""
        packed = Packed(texts, np.uint64)
        check(
            lib.ql_words_builder_add(
                self._handle,
                pointer("uint32_t[]", nodes),
                pointer("uint8_t[]", packed.bytes),
                pointer("uint64_t[]", packed.offsets),
                ffi.NULL if gone is None else pointer("uint8_t[]", gone.view(np.uint8)),
                len(nodes),
            ),
            f"index the words of {len(nodes)} texts: nodes must ascend",
        )

    @property
    def size_bytes(self) -> int:
        """Memory it holds."""
        return int(lib.ql_words_builder_bytes(self._handle))

    def write(self, path: Path, uuid: bytes, analyser: int) -> None:
        """Write the segment (temporary name, fsync, rename), and start anew."""
        status = lib.ql_words_builder_write(self._handle, str(path).encode(), uuid, analyser)
        check(status, f"write {path}")


class WordsSegment:
    """An open segment. Any number of threads may read it; its arrays keep it alive."""

    def __init__(self, path: Path, uuid: bytes, analyser: int):
        handle = ffi.new("ql_words **")
        status = lib.ql_words_open(str(path).encode(), uuid, analyser, handle)
        check(status, f"open {path}: it must be a sound segment of words of this store")
        self.handle = ffi.gc(handle[0], lib.ql_words_close)
        self.path = path
        self.documents = int(lib.ql_words_documents(self.handle))
        self.terms = int(lib.ql_words_terms(self.handle))
        self.size_bytes = int(lib.ql_words_size(self.handle))
        self.positions = bool(lib.ql_words_has_positions(self.handle))

    def _column(self, start: Any) -> UInt32:
        keeper = ffi.gc(start, lambda _, handle=self.handle: None)
        column: UInt32 = np.frombuffer(ffi.buffer(keeper, self.documents * 4), np.uint32)
        return column

    @property
    def nodes(self) -> UInt32:
        """Nodes of the documents, ascending, (documents,), read-only."""
        return self._column(lib.ql_words_nodes(self.handle))

    @property
    def lengths(self) -> UInt32:
        """Words of each document, GONE for a tombstone, (documents,), read-only."""
        return self._column(lib.ql_words_lengths(self.handle))

    def frequencies(self, words: Sequence[bytes], dead: UInt32) -> UInt32:
        """Documents that hold each word, without the ordinals in `dead`, which ascend."""
        packed = Packed(words)
        counts = np.zeros(len(words), np.uint32)
        check(
            lib.ql_words_frequencies(
                self.handle,
                pointer("uint8_t[]", packed.bytes),
                pointer("uint32_t[]", packed.offsets),
                len(words),
                pointer("uint32_t[]", dead),
                len(dead),
                pointer("uint32_t[]", counts, writable=True),
            ),
            f"count words in {self.path}",
        )
        return counts

    def check(self) -> None:
        """Raise CorruptError unless every checksum and every posting is right."""
        check(lib.ql_words_check(self.handle), f"verify {self.path}")


def merge(
    segments: Sequence[WordsSegment],
    maps: Sequence[UInt32],
    nodes: UInt32,
    lengths: UInt32,
    path: Path,
    uuid: bytes,
    analyser: int,
) -> None:
    """Write one segment of several; maps[i] gives each document's new ordinal, NONE drops it."""
    for segment, places in zip(segments, maps, strict=True):
        if places.shape != (segment.documents,) or places.dtype != np.uint32:
            raise InvalidError(f"want a map of {segment.documents} uint32, got {places.shape}")
    pointers = [pointer("uint32_t[]", places) for places in maps]
    status = lib.ql_words_merge(
        [s.handle for s in segments],
        pointers,
        len(segments),
        pointer("uint32_t[]", nodes),
        pointer("uint32_t[]", lengths),
        len(nodes),
        str(path).encode(),
        uuid,
        analyser,
    )
    check(status, f"merge {len(segments)} segments of words into {path}")


class WordsQuery(NamedTuple):
    """What is asked: distinct words with their weights, and how they count."""

    words: tuple[bytes, ...]
    weights: tuple[float, ...]
    mode: int
    phrase: tuple[int, ...]  # For PHRASE: which of the words stands at each place.
    k: int
    k1: float
    b: float
    length_mean: float


class WordsFound:
    """The best k so far: nodes, scores, and the cost of finding them."""

    def __init__(self, k: int, nodes: UInt32 | None = None, scores: Float32 | None = None):
        self.count = 0
        self._nodes = np.empty(max(k, 1), np.uint32)
        self._scores = np.empty(max(k, 1), np.float32)
        if nodes is not None and scores is not None:
            self.count = len(nodes)
            self._nodes[: self.count] = nodes
            self._scores[: self.count] = scores
        self.cost = {"distances": 0, "hops": 0, "bytes": 0}

    @property
    def nodes(self) -> UInt32:
        return self._nodes[: self.count]

    @property
    def scores(self) -> Float32:
        return self._scores[: self.count]

    def search(
        self,
        segments: Sequence[WordsSegment],
        live: Sequence[UInt64 | None],
        query: WordsQuery,
        allowed: UInt64 | None,
    ) -> Self:
        """Let the documents of segments compete; live[i]: bit per ordinal, None for all."""
        # Small things are made by cffi and all at once: a quick search is mostly this function.
        kept = {
            "texts": pointer("uint8_t[]", b"".join(query.words)),
            "offsets": ffi.new("uint32_t[]", [0, *accumulate(map(len, query.words))]),
            "weights": ffi.new("double[]", query.weights),
            "phrase": ffi.new("uint32_t[]", query.phrase),
            "allowed": ffi.NULL if allowed is None else pointer("uint64_t[]", allowed),
        }
        numbers = {
            "n": len(query.words),
            "mode": query.mode,
            "phrase_count": len(query.phrase),
            "k": query.k,
            "k1": query.k1,
            "b": query.b,
            "length_mean": query.length_mean,
            "allowed_nodes": 0 if allowed is None else len(allowed) * 64,
        }
        asked = ffi.new("ql_words_query *", kept | numbers)
        bitmaps = [ffi.NULL if bits is None else pointer("uint64_t[]", bits) for bits in live]
        found = ffi.new("uint32_t *", self.count)
        cost = ffi.new("ql_cost *")
        status = lib.ql_words_search(
            [s.handle for s in segments],
            bitmaps,
            len(segments),
            asked,
            pointer("uint32_t[]", self._nodes),
            pointer("float[]", self._scores),
            found,
            cost,
        )
        check(status, f"search {len(segments)} segments for {len(query.words)} words")
        self.count = found[0]
        self.cost["distances"] += cost.distances
        self.cost["hops"] += cost.hops
        self.cost["bytes"] += cost.bytes
        return self
