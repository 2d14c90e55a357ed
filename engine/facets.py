"""Facets: which values the fields of concepts have, so that a condition need not read records.

Derived from the records, in the catalog beside them, and so part of the same transactions: every
snapshot sees the facets of its own state, and nothing is left to recover, copy or name. PAGE node
numbers make a page, and of each field that occurs there the catalog has one value: the distinct
values, sorted, and for every node a code: 0 none, 1 ask the record (its value is long), 2 and on
the place in the list. A condition is decided for the distinct values by the same comparisons that
decide it for a record, numbers and texts by bisection, and then for all nodes by one lookup.

A commit writes the pages that became full, unless a record there is damaged. Nodes behind the pages
are read as records; so are those that were changed since their page was written, which its header
names, until there are STALE_MAX of them and the page is written anew. `optimize` writes everything.
What was weighed instead: keys
(field, value, node) in the catalog's tree cost a random insertion for every value of every
concept, and half a million matches are as many keys to walk; a page costs one append for 4,096
concepts and is decided in microseconds, also for `$ne`, `$not` and `$contains`.

Fields are all of metadata, dots going into dictionaries, and OWN. Conditions on others (texts, ids,
aliases) ask the records that the rest of the condition leaves. A page keeps its FIELDS_MAX most
frequent metadata fields; if that is not all, it says so, and for others its nodes are asked.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from operator import attrgetter
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from .catalog import CatalogTransaction
from .coding import ASK, Content, coded, metadata
from .errors import CorruptError
from .filters import COMPARISONS, OWN_FIELDS, Condition, Reading, compile, read
from .heads import Head
from .layout import facet_key, seal, unseal
from .records import Concept, Draft

PAGE = 4_096
STALE_MAX = 256  # Of a page: reading so many records takes as long as deciding 20 pages.
CATCH_UP = 4  # Pages that a commit writes beside those that it filled.
HEADER = ""
OWN = (
    "name", "kind", "source", "namespace", "created_ns", "updated_ns", "strength", "confidence",
    "since", "until",
)  # fmt: skip

Flags = NDArray[np.bool_]
Decided = tuple[Flags, Flags]
"""For each node of a page: whether a condition holds, and whether its record must be asked."""


@dataclass
class Header:
    """Of a page: its fields, whether those are all, which nodes live (bits), which are stale."""

    fields: list[str]
    complete: bool
    alive: bytes
    stale: list[int]


class Page:
    """A page as a condition reads it: the nodes [first, first + count)."""

    def __init__(self, txn: CatalogTransaction, number: int, covered: int):
        self._txn = txn
        self._number = number
        self.first = number * PAGE
        self.count = min(PAGE, covered - self.first)
        self.header = header(txn, number)

    def all(self, value: bool) -> Flags:
        return np.full(self.count, value)

    def codes(self, field: str) -> tuple[NDArray[np.integer[Any]], Content]:
        """For every node the code of its value, and the content of the field's page."""
        content = _load(self._txn, field, self._number)
        packed = content[0] if content else b""
        kinds = {1: np.uint8, self.count: np.uint8, 2 * self.count: np.uint16}
        if len(packed) not in kinds:
            raise CorruptError(f"facets of {field!r} are damaged; run repair")
        codes = np.frombuffer(packed, dtype=kinds[len(packed)])
        return np.broadcast_to(codes, self.count), content


# Reading.


def matching(txn: CatalogTransaction, head: Head, condition: Condition) -> NDArray[np.uint64]:
    """The nodes that satisfy a condition, ascending, as a transaction sees them."""
    holds, decide = compile(condition), read(condition, DECISIONS)
    found = np.zeros(head.next_node, np.bool_)
    pages = -(-head.facets // PAGE)
    changed = np.zeros(pages * PAGE, np.bool_)
    changed[[node for node in txn.changed if node < head.facets]] = True
    for number in range(pages):
        page = Page(txn, number, head.facets)
        end = page.first + page.count
        stale = changed[page.first : end]
        stale[page.header.stale] = True
        yes, ask = decide(page)
        bits = np.frombuffer(page.header.alive, np.uint8)
        alive = np.unpackbits(bits, count=page.count).view(np.bool_)
        found[page.first : end] = yes & alive & ~stale
        for place in np.flatnonzero((ask & alive) | stale).tolist():
            concept = txn.concept(page.first + place)
            found[page.first + place] = concept is not None and holds(concept)
    for concept in txn.concepts(head.facets):
        found[concept.node] = holds(concept)
    return np.flatnonzero(found).astype(np.uint64)


def _comparison(field: str, word: str, operand: Any) -> Callable[[Page], Decided]:
    own = field in OWN_FIELDS
    name = field if own else "data." + field.removeprefix("data.")
    decide = _decision(word, operand)
    nothing = COMPARISONS[word](None, operand)

    def compared(page: Page) -> Decided:
        if name not in page.header.fields:
            unknown = own or not page.header.complete
            return page.all(nothing and not unknown), page.all(unknown)
        codes, (_, numbers, texts, others) = page.codes(name)
        parts = [nothing, False], decide(numbers), decide(texts), [test(x) for x in others]
        table = np.concatenate([np.asarray(part, np.bool_) for part in parts])
        if codes.max(initial=0) >= len(table):
            raise CorruptError(f"facets of {field!r} are damaged; run repair")
        return table[codes], codes == ASK

    def test(packed: bytes) -> bool:
        return COMPARISONS[word](_unpacked(packed), operand)

    return compared


def _decision(word: str, operand: Any) -> Callable[[Sequence[Any]], Sequence[bool] | Flags]:
    """For ascending values that are all numbers (no bool, no NaN) or all texts: who satisfies."""
    test = COMPARISONS[word]
    if word in ("$in", "$nin"):
        plain = {x for x in operand if _is_plain(x)}
        others = [x for x in operand if not _is_plain(x)]
        wanted = word == "$in"
        among = COMPARISONS["$in"]
        return lambda values: [
            (x in plain or (bool(others) and among(x, others))) == wanted for x in values
        ]
    if not _is_plain(operand) or word in ("$contains", "$exists"):
        return lambda values: [test(x, operand) for x in values]

    def between(values: Sequence[Any]) -> Flags:
        flags = np.full(len(values), word == "$ne")
        if values and isinstance(values[0], str) == isinstance(operand, str):
            left, right = bisect_left(values, operand), bisect_right(values, operand)
            if word in ("$eq", "$ne"):
                flags[left:right] = word == "$eq"
            elif word in ("$gt", "$gte"):
                flags[left if word == "$gte" else right :] = True
            else:
                flags[: right if word == "$lte" else left] = True
        return flags

    return between


def _is_plain(value: Any) -> bool:
    """Whether it is a number or text that compares with others as all of them do."""
    return type(value) in (int, float, str) and value == value


def _every(parts: list[Callable[[Page], Decided]]) -> Callable[[Page], Decided]:
    def joined(page: Page) -> Decided:
        yes, ask = page.all(True), page.all(False)
        for part in parts:
            sure, open_ = part(page)
            ask = (yes & open_) | (ask & (sure | open_))
            yes &= sure
        return yes, ask

    return parts[0] if len(parts) == 1 else joined


def _some(parts: list[Callable[[Page], Decided]]) -> Callable[[Page], Decided]:
    return _inverse(_every([_inverse(part) for part in parts]))


def _inverse(part: Callable[[Page], Decided]) -> Callable[[Page], Decided]:
    def inverted(page: Page) -> Decided:
        yes, ask = part(page)
        return ~(yes | ask), ask

    return inverted


DECISIONS: Reading[Callable[[Page], Decided]] = Reading(_comparison, _every, _some, _inverse)


def _load(txn: CatalogTransaction, field: str, page: int) -> Any:
    key = facet_key(field, page)
    value = txn._get("facets", key)
    return None if value is None else unseal(key, value, f"facets of {field!r}")


def header(txn: CatalogTransaction, page: int) -> Header:
    """The header of a page that the head covers."""
    content = _load(txn, HEADER, page)
    if content is None:
        raise CorruptError(f"page {page} of facets is missing; run repair")
    return Header(*content)


def _unpacked(packed: bytes) -> Any:
    return msgpack.unpackb(packed, raw=False, strict_map_key=False)


# Writing; in the writer's transaction.


def append(txn: CatalogTransaction, head: Head, added: Sequence[Concept | Draft]) -> Head:
    """Write the pages that these concepts, which this head already counts, fill.

    They are at hand here: reading them again at the commit costs as much as the pages themselves.
    """
    if head.next_node // PAGE * PAGE - PAGE < head.next_node - len(added):
        return head  # No page is all theirs: left to the commit.
    return _extended(txn, head, _limit(head, len(added)), added)


def settle(txn: CatalogTransaction, head: Head, before: Head) -> Head:
    """Take what this transaction changed into the pages; the head that says how far they go."""
    touched: dict[int, set[int]] = {}
    for node in txn.changed:
        if node < head.facets:
            touched.setdefault(node // PAGE, set()).add(node % PAGE)
    for page, places in touched.items():
        known = header(txn, page)
        known.stale = sorted(places.union(known.stale))
        if len(known.stale) <= STALE_MAX or not _written(txn, page, head.facets):
            _put(txn, HEADER, page, _told(known))
    return _extended(txn, head, _limit(head, head.next_node - before.next_node))


def _limit(head: Head, added: int) -> int:
    """Where the pages of a commit may end: all that are full, unless many are old ones."""
    most = head.facets // PAGE + CATCH_UP + added // PAGE
    return min(head.next_node // PAGE, most) * PAGE


def _extended(
    txn: CatalogTransaction, head: Head, end: int, added: Sequence[Concept | Draft] = ()
) -> Head:
    start = head.next_node - len(added)
    for page in range(head.facets // PAGE, -(-end // PAGE)):
        first = page * PAGE - start
        if not _written(txn, page, end, added[first : first + PAGE] if first >= 0 else ()):
            end = page * PAGE
            break
    return head._replace(facets=max(head.facets, end))


def finish(txn: CatalogTransaction, head: Head) -> Head:
    """Write what pages there are to write; the head that says so."""
    for page in range(-(-head.facets // PAGE)):
        if header(txn, page).stale:
            _written(txn, page, head.facets)
    return _extended(txn, head, head.next_node)


def renew(txn: CatalogTransaction, head: Head) -> Head:
    """Forget all pages and write them from the records; the head that says so."""
    for key, _ in list(txn.items("facets")):
        txn.delete("facets", key)
    return _extended(txn, head._replace(facets=0), head.next_node)


def _written(
    txn: CatalogTransaction, page: int, covered: int, concepts: Sequence[Concept | Draft] = ()
) -> bool:
    """Write a page; False if a record is damaged: who reads that one is told, not who commits."""
    old = _load(txn, HEADER, page)
    try:
        made = pages_of(txn, page, covered, concepts)
    except CorruptError:
        return False
    for field in set(old[0] if old else ()) - set(made):
        txn.delete("facets", facet_key(field, page))
    for field, content in made.items():
        _put(txn, field, page, content)
    return True


def _put(txn: CatalogTransaction, field: str, page: int, content: Any) -> None:
    key = facet_key(field, page)
    txn.put("facets", key, seal(key, content))


def _told(known: Header) -> tuple[Any, ...]:
    return known.fields, known.complete, known.alive, known.stale


def pages_of(
    txn: CatalogTransaction, page: int, covered: int, concepts: Sequence[Concept | Draft] = ()
) -> dict[str, Any]:
    """What the catalog is to hold of a page that ends at `covered` or is full, by field.

    concepts: all of the page, where they are known.
    """
    first = page * PAGE
    count = min(PAGE, covered - first)
    if not concepts:
        concepts = list(takewhile(lambda x: x.node < first + count, txn.concepts(first)))
    places = np.array([concept.node - first for concept in concepts], np.intp)
    columns = {name: list(map(attrgetter(name), concepts)) for name in OWN}
    paths, complete = metadata([concept.data for concept in concepts])
    made: dict[str, Any] = {}
    for name, column in chain(columns.items(), paths):
        made[name] = coded(column, places, count)
    alive = np.zeros(count, np.bool_)
    alive[places] = True
    made[HEADER] = _told(Header(sorted(made), complete, np.packbits(alive).tobytes(), []))
    return made


# Checking.


def damages(txn: CatalogTransaction, head: Head) -> Iterator[str]:
    """What is wrong with the pages: seals, missing ones, values that are not the records'."""
    expected = 0
    for page in range(-(-head.facets // PAGE)):
        try:
            known = header(txn, page)
            expected += 1 + len(known.fields)
            stored = {field: _load(txn, field, page) for field in (*known.fields, HEADER)}
            made = {} if known.stale else pages_of(txn, page, head.facets)
        except CorruptError as error:
            yield str(error)
            continue
        if made and stored != {field: list(content) for field, content in made.items()}:
            yield f"page {page} of facets differs from the records"
    if expected != sum(1 for _ in txn.items("facets")):
        yield "there are facets that no page names"
