"""The catalog's file read without LMDB, which trusts every page: what is wrong, what still holds.

LMDB 0.9 follows page numbers and offsets as they stand, so a damaged one may end the process. Here
each is compared first: a page names itself, is of the kind that its place in the tree wants, is
reached once, its nodes fill it without a gap, its keys ascend within what the branch above says.

A page, little-endian: number u64, pad u16, flags u16, lower u16, upper u16; then offsets u16 of the
nodes up to `lower`, free space, and the nodes from `upper` to the end. A page of an overflow has
the count of its pages u32 in place of the two. A node: low u16, high u16, flags u16, bytes of the
key u16, key, value. Of a leaf, low and high are the bytes of the value, which flag 1 replaces by
the number u64 of its overflow; of a branch, with the flags as third part, the page below.
Pages that no tree reaches stand in the free tree, by the transaction that freed them: count u64 and
numbers u64. Meta pages: see environment.py.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from .errors import CorruptError

PAGE = 4_096
HEADER = 16
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
BIG = 1
NODE = struct.Struct("<HHHH")
HEADS = struct.Struct("<QHHHH")
TREE = struct.Struct("<IHHQQQQQ")
META_HEAD = struct.Struct("<II16xIHHQQQQQIHHQQQQQQQ")
NONE = (1 << 64) - 1
MAGIC, VERSION = 0xBEEFC0DE, 1
DEPTH_MAX = 32
PAGES_AT_OPEN = 16
TRIES = 5

Pair = tuple[bytes, bytes]


class Root(NamedTuple):
    """A tree as a meta page names it."""

    depth: int
    page: int
    entries: int


class Meta(NamedTuple):
    """What a meta page says: the transaction, its last page, the free tree and the main one."""

    txn: int
    last: int
    free: Root
    main: Root


class Pages:
    """The file as bytes or a map of it; damage is collected in `faults`, never raised."""

    def __init__(self, content: "bytes | mmap.mmap", pages_max: int | None = None):
        self.content = content
        self._pages_max = pages_max
        self.faults: list[str] = []
        self.reached: set[int] = set()
        self.free: set[int] | None = None  # None: not known, the free tree is damaged.
        self.last = 1

    def metas(self) -> list[Meta]:
        """The metas that can be read, newest first."""
        found = []
        for number in (0, 1):
            start = number * PAGE
            if len(self.content) < start + 168:
                continue
            head = HEADS.unpack_from(self.content, start)
            meta = META_HEAD.unpack_from(self.content, start + HEADER)
            if head[2] & META == 0 or meta[:2] != (MAGIC, VERSION) or meta[2] != PAGE:
                continue
            free, main = Root(meta[4], meta[9], meta[8]), Root(meta[12], meta[17], meta[16])
            found.append(Meta(meta[19], meta[18], free, main))
        return sorted(found, key=lambda meta: -meta.txn)

    def pairs(self, meta: Meta) -> Iterator[Pair]:
        """(key, value) of the main tree in order, but for what stands behind damage."""
        self.last = meta.last
        self.free = self._freed(meta)
        entries = 0
        for pair in self._tree(meta.main, numbers=False):
            entries += 1
            yield pair
        if entries != meta.main.entries and not self.faults and self._pages_max is None:
            self._fault(f"the catalog holds {entries} entries, not {meta.main.entries}")
        both = self.reached & (self.free or set())
        if both:
            self._fault(f"page {min(both)} of the catalog is free and in use")

    def stray(self, meta: Meta) -> Iterator[Pair]:
        """(key, value) of pages that are in use and were not reached: those behind damage.

        Nothing where the free tree is damaged: nobody could tell them from what was deleted.
        """
        if self.free is None:
            return
        for number in range(2, meta.last + 1):
            if number in self.reached or number in self.free:
                continue
            page = self.content[number * PAGE : (number + 1) * PAGE]
            if len(page) == PAGE and HEADS.unpack_from(page)[2] == LEAF:
                yield from self._loose(page)

    def _freed(self, meta: Meta) -> set[int] | None:
        before = len(self.faults)
        found: set[int] = set()
        for _, value in self._tree(meta.free, numbers=True):
            count = int.from_bytes(value[:8], "little")
            if len(value) < 8 or len(value) < 8 * (count + 1):
                self._fault("a list of free pages of the catalog is damaged")
                break
            found.update(struct.unpack_from(f"<{count}Q", value, 8))
        if found and not (min(found) >= 2 and max(found) <= meta.last):
            self._fault("a list of free pages of the catalog is damaged")
        return found if len(self.faults) == before else None

    def _fault(self, message: str) -> None:
        self.faults.append(message)

    def _tree(self, root: Root, *, numbers: bool) -> Iterator[Pair]:
        if root.page == NONE:
            return
        if not 0 < root.depth <= DEPTH_MAX:
            self._fault("the catalog's tree is of no depth that there is")
            return
        self._numbers = numbers
        yield from self._below(root.page, root.depth, b"", None)

    def _below(self, number: int, depth: int, low: bytes, high: bytes | None) -> Iterator[Pair]:
        if self._pages_max is not None and len(self.reached) >= self._pages_max:
            return
        page = self._page(number, LEAF if depth == 1 else BRANCH)
        nodes = None if page is None else _nodes(page)
        if page is None or nodes is None or not self._ascend(nodes, depth, low, high):
            self._fault(f"page {number} of the catalog is damaged")
            if page is not None and depth == 1:
                self.reached.discard(number)  # What of it holds may be found as stray.
            return
        for place, (key, first, second, flags, start) in enumerate(nodes):
            if depth == 1:
                value = self._value(page, first | second << 16, flags, start)
                if value is None:
                    self._fault(f"a value of page {number} of the catalog is damaged")
                else:
                    yield key, value
                continue
            end = nodes[place + 1][0] if place + 1 < len(nodes) else high
            child = first | second << 16 | flags << 32
            yield from self._below(child, depth - 1, key if place else low, end)

    def _page(self, number: int, kind: int) -> bytes | None:
        if not 2 <= number <= self.last or number in self.reached:
            return None
        page = self.content[number * PAGE : (number + 1) * PAGE]
        if len(page) < PAGE:
            return None
        named, _, flags, _, _ = HEADS.unpack_from(page)
        if named != number or flags != kind:
            return None
        self.reached.add(number)
        return page

    def _value(self, page: bytes, size: int, flags: int, start: int) -> bytes | None:
        if flags == 0:
            return page[start : start + size]
        if flags != BIG:
            return None
        number = int.from_bytes(page[start : start + 8], "little")
        first = self._page(number, OVERFLOW)
        if first is None:
            return None
        count = int.from_bytes(first[12:16], "little")
        start = number * PAGE + HEADER
        if count != -(-(HEADER + size) // PAGE) or number + count - 1 > self.last:
            return None
        rest = range(number + 1, number + count)
        if not self.reached.isdisjoint(rest) or len(self.content) < (number + count) * PAGE:
            return None
        self.reached.update(rest)
        return self.content[start : start + size]

    def _ascend(self, nodes: "list[Node]", depth: int, low: bytes, high: bytes | None) -> bool:
        keys = [node[0] for node in nodes]
        if depth > 1:
            keys[0] = low  # LMDB never reads the first one of a branch.
        if self._numbers:
            keys = [key[::-1] for key in keys]
            low, high = low[::-1], None if high is None else high[::-1]
        ascends = all(a < b for a, b in pairwise(keys))
        return keys[0] >= low and ascends and (high is None or keys[-1] < high)

    def _loose(self, page: bytes) -> Iterator[Pair]:
        """The nodes of a leaf that fit it, whatever the others are; the caller checks seals."""
        lower = int.from_bytes(page[12:14], "little")
        for at in range(HEADER, min(lower, PAGE) - 1, 2):
            start = int.from_bytes(page[at : at + 2], "little")
            node = _node(page, start)
            if node is None or node[3] not in (0, BIG):
                continue
            key, first, second, flags, place = node
            if flags == 0 and place + (first | second << 16) > PAGE:
                continue
            value = self._value(page, first | second << 16, flags, place)
            if value is not None:
                yield key, value


Node = tuple[bytes, int, int, int, int]
"""Key, low, high, flags, and where the value starts."""


def _node(page: bytes, start: int) -> Node | None:
    if start < HEADER or start + NODE.size > PAGE:
        return None
    low, high, flags, size = NODE.unpack_from(page, start)
    place = start + NODE.size + size
    return None if place > PAGE else (page[start + NODE.size : place], low, high, flags, place)


def _nodes(page: bytes) -> list[Node] | None:
    """The nodes of a page in order, if they fill it without gap or overlap."""
    _, _, kind, lower, upper = HEADS.unpack_from(page)
    count = (lower - HEADER) // 2
    if not HEADER < lower <= upper <= PAGE or lower % 2 or count < 1:
        return None
    found: list[Node] = []
    spans = []
    for start in struct.unpack_from(f"<{count}H", page, HEADER):
        node = _node(page, start)
        if node is None:
            return None
        _, low, high, flags, place = node
        size = 0 if kind == BRANCH else 8 if flags & BIG else low | high << 16
        end = place + size
        spans.append((start, end + end % 2))
        found.append(node)
    spans.sort()
    starts = [start for start, _ in spans]
    return found if [upper, *(end for _, end in spans)] == [*starts, PAGE] else None


def damages(path: Path, txn: int | None = None, pages_max: int | None = None) -> list[str] | None:
    """What is wrong with the pages that a transaction of LMDB sees; [] where they are sound.

    txn: one that reads now, so that nobody changes its pages; None is the last commit.
    pages_max: look at so many pages at most, from the roots down.  None: the file has moved on.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return []  # LMDB has yet to make it.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _damages(Pages(content, pages_max), txn)


def _damages(pages: Pages, txn: int | None) -> list[str] | None:
    metas = pages.metas()
    if not metas:
        return ["both meta pages of the catalog are damaged"]
    if len(metas) == 1:
        return ["a meta page of the catalog is damaged"]
    if metas[0].txn - metas[1].txn > 1:
        return ["the meta pages of the catalog do not fit each other"]
    meta = next((meta for meta in metas if txn in (None, meta.txn)), None)
    if meta is None:
        return None
    for _ in pages.pairs(meta):
        pass
    if txn is None and pages.faults and pages.metas()[:1] != [meta]:
        return None
    return pages.faults


def expect_sound(path: Path) -> None:
    """Look at the first pages of a catalog before LMDB does; CorruptError if one is damaged."""
    for _ in range(TRIES):
        try:
            found = damages(path, pages_max=PAGES_AT_OPEN)
        except FileNotFoundError:
            return
        if not found and found is not None:
            return
    if found:
        raise CorruptError(f"{found[0]}; run repair (quillian repair) or restore a backup")
