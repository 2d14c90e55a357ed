"""Tiers: which concepts' records are kept plain (hot) and which compressed (cold), and the moving.

A record is in exactly one tier, because its tier is the form of its one value in the catalog
(layout.py). Reads are counted in memory; the next write promotes the cold records that were read,
and when the hot ones pass their budget it moves those of the lowest score out, down to LOW_SHARE of
the budget. Both are part of that write's LMDB transaction, so a crash leaves all of it or nothing.

The score of a record (LRFU: Lee et al. 2001, eq. 2, weighed as in GreedyDual-Size) is

    strength / size_bytes * sum over accesses at t of 2 ** ((t - now) / half-life)

where being written is the first access. `now` is the same factor for all, so log2 of the score
without it is kept: it never ages, and a sum does not depend on the order in which accesses came.
A scan reads each record once, which outweighs nothing that was read twice lately. Reads of other
processes are not known here; what is forgotten at close is only what was read, not what is kept.
"""

import threading
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from . import memory
from .catalog import CatalogTransaction
from .concepts import HotRows
from .heads import Head
from .layout import DICTIONARY_BYTES_MAX, dictionary_key, is_cold, node_key, node_of, seal

HOT_BYTES = 100_000_000
LOW_SHARE = 0.9  # Of the budget: moving out sorts all records, so it must not come every time.
HALF_LIFE_NS = 3600 * 10**9
STRENGTH_MIN = 2.0**-20
PROMOTED_MAX = 4_096  # Records of one write.
PROMOTED_SHARE = 0.5  # Of the budget.
TRACKED_MAX = 1 << 18  # Nodes whose reads are remembered.
TRACKED_BYTES = 160  # Of one of them, here and in the set of cold ones.
PENDING_MAX = 4_096  # Reads between two foldings.
SAMPLES = 512  # Records that a dictionary is made of,
SAMPLE_BYTES = 2_048  # and how much of each: every byte is the start of a piece that is counted.


def added(a: float, b: float) -> float:
    """log2(2**a + 2**b), for any order of many the same but for rounding."""
    return float(np.logaddexp2(a, b))


def _columns() -> list["array[Any]"]:
    """Of nodes, strengths, times and sizes, as HotRows has them."""
    return [array(kind) for kind in "IdqI"]


class HotTable:
    """What the scores of all hot records need, as one LMDB transaction left them.

    Without it an overflow reads every record. An empty store's is empty, the first overflow makes
    that of another, each write notes in it what it changed; if somebody else has written, it goes.
    """

    def __init__(self) -> None:
        self.number = 0  # LMDB's, of the commit that it describes.
        self._columns = _columns()

    def note(self, parts: Sequence[HotRows]) -> None:
        """Take what was written since; the last row of a node counts."""
        for part in parts:
            for column, values in zip(self._columns, part, strict=True):
                column.extend(values)

    def add(self, row: tuple[int, float, int, int]) -> None:
        """Take one row, as the columns of HotRows have it."""
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)

    @property
    def size_bytes(self) -> int:
        """Bytes that it takes."""
        return sum(column.itemsize * len(column) for column in self._columns)

    def rows(self) -> tuple[NDArray[Any], ...]:
        """The hot records, by node: nodes, strengths, times written, sizes."""
        columns = [np.array(column) for column in self._columns]
        _, places = np.unique(columns[0][::-1], return_index=True)
        last = len(columns[0]) - 1 - places
        last = last[columns[3][last] > 0]
        return tuple(column[last] for column in columns)

    def lowest(self, tiers: "Tiers", excess: int) -> list[int]:
        """Nodes of the lowest scores whose records fill `excess` bytes; ties by node.

        What is not hot any more is left out from now on.
        """
        nodes, strengths, written_ns, sizes = rows = self.rows()
        self._columns = _columns()
        for column, values in zip(self._columns, rows, strict=True):
            column.frombytes(values.tobytes())
        order = np.argsort(tiers.scores(nodes, strengths, written_ns, sizes), kind="stable")
        filled = np.cumsum(sizes[order], dtype=np.int64)
        picked: list[int] = nodes[order[: int(np.searchsorted(filled, excess)) + 1]].tolist()
        return sorted(picked)


@dataclass
class Counts:
    """What happened in this process since the store was opened."""

    hot_reads: int = 0
    cold_reads: int = 0
    promoted: int = 0
    demoted: int = 0


class Tiers:
    """Reads of one store in this process, and what the hot tier may hold. Shared by threads."""

    def __init__(self, hot_bytes: int = HOT_BYTES, half_life_ns: int = HALF_LIFE_NS):
        self.hot_bytes = hot_bytes
        self.half_life_ns = half_life_ns
        self.counts = Counts()
        self._pending: list[int] = []
        self._read: dict[int, float] = {}  # log2 of the decayed count of reads, by node.
        self._cold: dict[int, None] = {}  # Cold nodes that were read.
        self._table: HotTable | None = None  # Only a writer has it, under the writer's lock.
        self._lock = threading.Lock()
        self._claim = memory.Claim()
        self._table_claim = memory.Claim()
        memory.caches[self] = None

    def shrink(self) -> None:
        """Forget which records were read, and what their scores need."""
        self._table = None
        self._table_claim.fits(0)
        if self._lock.acquire(blocking=False):
            self._read, self._cold = {}, {}
            self._claim.fits(0)
            self._lock.release()

    def note(self, node: int, cold: bool) -> None:
        """A record was read."""
        if cold:
            self.counts.cold_reads += 1
            if len(self._cold) < TRACKED_MAX:  # A process that never writes never empties it.
                self._cold[node] = None
        else:
            self.counts.hot_reads += 1
        self._pending.append(node)
        if len(self._pending) >= PENDING_MAX:
            self.fold(time.time_ns())

    def note_hot(self, nodes: Sequence[int]) -> None:
        """Hot records were read."""
        self.counts.hot_reads += len(nodes)
        self._pending += nodes
        if len(self._pending) >= PENDING_MAX:
            self.fold(time.time_ns())

    def fold(self, now_ns: int) -> None:
        """Take the pending reads into the scores, as of now."""
        if not self._pending:
            return
        with self._lock:
            pending, self._pending = self._pending, []
            for node, count in Counter(pending).items():
                weight = now_ns / self.half_life_ns + log2(count)
                old = self._read.get(node)
                self._read[node] = weight if old is None else added(old, weight)
            if len(self._read) > TRACKED_MAX:
                best = sorted(self._read.items(), key=lambda item: -item[1])
                self._read = dict(best[: TRACKED_MAX // 2])
            if not self._claim.fits(TRACKED_BYTES * (len(self._read) + len(self._cold))):
                self._read, self._cold = {}, {}

    def scores(
        self,
        nodes: NDArray[Any],
        strengths: NDArray[Any],
        written_ns: NDArray[Any],
        sizes: NDArray[Any],
    ) -> NDArray[np.float64]:
        """log2 of the scores of records by node, but for the age that all have in common."""
        totals: NDArray[np.float64] = written_ns / self.half_life_ns
        with self._lock:
            read = dict(self._read)
        known = np.fromiter(read.keys(), np.int64, len(read))
        weights = np.fromiter(read.values(), np.float64, len(read))
        inside = np.isin(known, nodes)
        places = np.searchsorted(nodes, known[inside])
        totals[places] = np.logaddexp2(totals[places], weights[inside])
        totals += np.log2(np.maximum(strengths, STRENGTH_MIN)) - np.log2(sizes)
        return totals

    def take(self, number: int, *, is_empty: bool) -> HotTable | None:
        """The table as commit `number` left it, until `keep` gives it back; None: there is none."""
        table, self._table = self._table, None
        if table is not None and table.number == number:
            return table
        return HotTable() if is_empty else None

    def keep(self, table: HotTable | None, number: int) -> None:
        """Commit `number` has happened, and left the table so."""
        if table is not None and self._table_claim.fits(table.size_bytes):
            table.number = number
            self._table = table

    def wanted(self) -> list[int]:
        """Cold nodes that were read since the last write, the most read first; forgets them."""
        if not self._cold:
            return []
        with self._lock:
            nodes, self._cold = list(self._cold), {}
        return sorted(nodes, key=lambda node: -self._read.get(node, 0.0))[:PROMOTED_MAX]

    def stats(self, head: Head) -> dict[str, Any]:
        """Sizes and counts for people."""
        counts = self.counts
        reads = counts.hot_reads + counts.cold_reads
        return {
            "hot_bytes": head.hot_bytes,
            "hot_bytes_max": self.hot_bytes,
            "cold": head.cold,
            "cold_bytes": head.cold_bytes,
            "reads": reads,
            "hit_ratio": counts.hot_reads / reads if reads else None,
            "promoted": counts.promoted,
            "demoted": counts.demoted,
        }


def counted(txn: CatalogTransaction, head: Head) -> Head:
    """A head with the sizes of the tiers as this writing transaction leaves them."""
    if head.hot_bytes is None:  # Of a store from before there were tiers, or repaired.
        hot = cold = cold_bytes = 0
        for _, value in txn.items("concepts"):
            frozen = is_cold(value)
            cold += frozen
            hot, cold_bytes = hot + len(value) * (not frozen), cold_bytes + len(value) * frozen
    else:
        hot = head.hot_bytes + txn.hot_change
        cold = head.cold + txn.cold_change
        cold_bytes = head.cold_bytes + txn.cold_bytes_change
    txn.hot_change = txn.cold_change = txn.cold_bytes_change = 0
    return head._replace(hot_bytes=hot, cold=cold, cold_bytes=cold_bytes)


def settle(txn: CatalogTransaction, head: Head, tiers: Tiers) -> tuple[Head, HotTable | None]:
    """Promote what was read, move out what is too much.

    Returns the head that says so, and the table to `keep` after the commit.
    """
    tiers.fold(time.time_ns())
    table = tiers.take(txn.found_at, is_empty=head.hot_bytes == 0)
    room = int(tiers.hot_bytes * PROMOTED_SHARE)
    for node in tiers.wanted():
        size = txn.promote(node, room)
        room -= size
        tiers.counts.promoted += size > 0
    head = counted(txn, head)
    assert head.hot_bytes is not None
    if head.hot_bytes > tiers.hot_bytes:
        excess = head.hot_bytes - int(tiers.hot_bytes * LOW_SHARE)
        if table is None:
            table = _scanned(txn)
        else:
            table.note(txn.noted)
        txn.noted.clear()
        nodes = table.lowest(tiers, excess)
        number = _dictionary(txn)
        txn.demote(nodes, number)
        tiers.counts.demoted += len(nodes)
        head = counted(txn, head)
    if table is not None:
        table.note(txn.noted)
    return head, table


def _scanned(txn: CatalogTransaction) -> HotTable:
    """The table of what a transaction has written and found."""
    table = HotTable()
    for key, value in txn.items("concepts"):
        if not is_cold(value):
            record = msgpack.unpackb(value[4:], raw=False, strict_map_key=False)
            written = max(record.get("c", 0), record.get("u", 0))
            table.add((node_of(key)[0], record.get("w", 1.0), written, len(value)))
    return table


# The dictionary.


def _dictionary(txn: CatalogTransaction) -> int:
    """The number of the dictionary that cold records share; it is made where there is none."""
    number = 1
    key = dictionary_key(number)
    if not txn.has_dictionary(number):
        txn.put("store", key, seal(key, dictionary_of(_samples(txn))))
    return number


def _samples(txn: CatalogTransaction) -> list[bytes]:
    """Payloads of hot records, spread evenly over the node numbers."""
    nodes = txn.nodes()
    picked = nodes[:: max(1, len(nodes) // SAMPLES)].tolist()
    found = (txn._get("concepts", node_key(node)) for node in picked)
    ends = 4 + SAMPLE_BYTES
    return [value[4:ends] for value in found if value is not None and not is_cold(value)]


def dictionary_of(samples: Sequence[bytes]) -> bytes:
    """A preset dictionary for deflate: pieces of records that repeat in others, best ones last.

    Pieces of 16 bytes are ranked by how many records hold their 8-byte starts, each start once, and
    stand in the order of their rank: deflate codes near matches in fewer bits.
    Source: the COVER algorithm of zstd's trainer (Liao et al. 2016), without its epochs.
    """
    counts: Counter[bytes] = Counter()
    for sample in samples:
        counts.update({sample[i : i + 8] for i in range(len(sample) - 7)})
    taken: set[bytes] = set()
    pieces: list[tuple[int, bytes]] = []
    for sample in samples:
        at = 0
        while at + 8 <= len(sample):
            start = sample[at : at + 8]
            if counts[start] < 2 or start in taken:
                at += 1
                continue
            end = at + 8
            while end < len(sample) and counts[sample[end - 7 : end + 1]] >= 2 and end < at + 64:
                end += 1
            taken.update(sample[i : i + 8] for i in range(at, end - 7))
            pieces.append((counts[start], sample[at:end]))
            at = end
    pieces.sort(key=lambda piece: piece[0])
    return b"".join(piece for _, piece in pieces)[-DICTIONARY_BYTES_MAX:]
