"""What the catalog keeps of words: the log of changed texts, and the segments that cover its start.

The words of a concept are those of its name, its aliases and its text.  The log has an entry for a
node whenever one of them changed, in commits' order; positions only grow.  Settling turns the tail
of that log into a segment and merges what the policy wants merged, all in the writer's transaction:
the new files exist before its commit, and become visible by it.
"""

import errno
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..catalog import CatalogTransaction
from ..errors import CorruptError, StorageError
from ..heads import Head
from ..layout import WORDS_KEY, commit_key, seal, unseal, words_name
from ..records import Concept, Draft
from .index import SegmentInfo, WordIndex, WordsState, merge_due
from .view import WordView

MERGE_AT_COMMIT_MAX = 65_536  # Documents; a commit leaves larger merges to optimize().


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of a store, oldest first, the next file number, and the files of before."""

    current: tuple[SegmentInfo, ...] = ()
    number: int = 1
    previous: tuple[str, ...] = ()  # Kept for one more change: snapshots may open them still.


def words_of(concept: Concept | Draft | None) -> str | None:
    """What a concept is found by: its name, its aliases and its text; None if it has none."""
    if concept is None:
        return None
    parts = [part for part in (concept.name, *concept.aliases, concept.text) if part]
    return "\n".join(parts) if parts else None


# The log.


def note(txn: CatalogTransaction, head: Head, nodes: Sequence[int]) -> Head:
    """Note that the words of these nodes changed; the head that says so."""
    if not nodes:
        return head
    value = struct.pack(f"<{len(nodes)}I", *nodes)
    txn.put("words", commit_key(head.words_end), value)
    return head._replace(words_end=head.words_end + len(nodes))


def changes(txn: CatalogTransaction, start: int, stop: int) -> Sequence[int]:
    """The nodes of log entries [start, stop); start is where a commit's entries begin."""
    found: list[NDArray[np.uint32]] = []
    at = start
    for key, value in txn.items("words", commit_key(start)):
        if at >= stop or int.from_bytes(key, "big") != at or len(value) % 4:
            break
        found.append(np.frombuffer(value, dtype="<u4"))
        at += len(value) // 4
    return np.concatenate(found)[: stop - start].tolist() if found else []


def _drop_changes(txn: CatalogTransaction, stop: int) -> None:
    for key, _ in list(txn.items("words")):
        if int.from_bytes(key, "big") >= stop:
            break
        txn.delete("words", key)


# The segments.


def segments(txn: CatalogTransaction) -> Segments:
    """The segments that a transaction sees."""
    return txn.known(WORDS_KEY, lambda: _read_segments(txn))


def _read_segments(txn: CatalogTransaction) -> Segments:
    value = txn._get("store", WORDS_KEY)
    if value is None:
        return Segments()
    content = unseal(WORDS_KEY, value, "the list of segments of words")
    try:
        current = tuple(SegmentInfo(**x) for x in content["current"])
        return Segments(current, content["number"], tuple(content["previous"]))
    except (KeyError, TypeError) as error:
        raise CorruptError(f"the list of segments of words is damaged: {error}") from error


def _texts(txn: CatalogTransaction) -> Callable[[Sequence[int]], list[str | None]]:
    return lambda nodes: [words_of(txn.concept(node)) for node in nodes]


def view(index: WordIndex, txn: CatalogTransaction, head: Head, *, pending: bool) -> WordView:
    """The words that a transaction sees; pending: it is the writer's, and may yet be undone.

    A reader older than two changes of the segments may find its files gone: then it reads all its
    texts again, which is slow and right. A file of the newest list that is gone is damage.
    """
    state = WordsState(segments(txn).current, head.words_start, head.words_end)
    try:
        return index.view(
            state, lambda start, stop: changes(txn, start, stop), _texts(txn), private=pending
        )
    except StorageError as error:
        if error.errno != errno.ENOENT:
            raise
        with txn.newest() as newest:
            if segments(newest).current == state.segments:
                raise CorruptError(f"a segment of words is missing: {error}; run repair") from error
    nodes = txn.nodes().tolist()
    state = WordsState((), 0, len(nodes))
    return index.view(state, lambda start, stop: nodes[start:stop], _texts(txn), private=True)


def settle(
    index: WordIndex,
    txn: CatalogTransaction,
    head: Head,
    *,
    known: Mapping[int, str | None],
    finish: bool = False,
) -> tuple[Head, Segments | None]:
    """Turn the tail into a segment if it is long (or, to finish, at all), and merge.

    known: texts of nodes that need not be read again.  finish also does large merges.
    Returns the new head, and the new list if there is one: `sweep` by it after the commit.
    """
    tail = head.words_end - head.words_start
    due = WordsState((), head.words_start, head.words_end).due
    if not due and not finish:
        return head, None  # Without a new segment none is to be merged.
    before = segments(txn)
    current = list(before.current)
    number = before.number
    if due or tail:
        nodes = sorted(set(changes(txn, head.words_start, head.words_end)))
        texts = ((n, known[n] if n in known else words_of(txn.concept(n))) for n in nodes)
        current.append(index.build(words_name(number), texts))
        number += 1
        head = head._replace(words_start=head.words_end)
        _drop_changes(txn, head.words_end)
    start = merge_due(current)
    together = sum(x.documents for x in current[start:])
    if together and (finish or together <= MERGE_AT_COMMIT_MAX):
        names = [x.name for x in current[start:]]
        merged = index.merge(names, words_name(number), keep_tombstones=start > 0)
        current[start:] = [merged]
        number += 1
    if number == before.number:
        return head, None
    now = Segments(tuple(current), number, tuple(x.name for x in before.current))
    txn.put("store", WORDS_KEY, seal(WORDS_KEY, asdict(now)))
    return head, now


def renew(index: WordIndex, txn: CatalogTransaction, head: Head) -> tuple[Head, Segments]:
    """Write all words into one new segment, whatever the list of segments says.

    Returns the new head and list; `sweep` by it after the commit.
    """
    for key, _ in list(txn.items("words")):
        txn.delete("words", key)
    words = ((node, words_of(txn.concept(node))) for node in txn.nodes().tolist())
    documents = ((node, text) for node, text in words if text is not None)
    first = next(documents, None)
    names = [path.stem.removeprefix("words-") for path in index.folder.glob("words-*.post")]
    number = max((int(name) for name in names if name.isdigit()), default=0) + 1
    made = chain((first,), documents) if first else None
    current = (index.build(words_name(number), made),) if made else ()
    now = Segments(current, number + 1)
    txn.put("store", WORDS_KEY, seal(WORDS_KEY, asdict(now)))
    return head._replace(words_start=head.words_end), now


def finish(index: WordIndex, txn: CatalogTransaction, durable: Callable[[], None]) -> None:
    """Settle everything in a transaction of its own, which this commits.

    durable: waits until that is on the disk, for then the files of before go.
    """
    head, now = settle(index, txn, txn.head(), known={}, finish=True)
    if now is not None:
        txn.put_head(head)
        txn.commit()
        durable()
        sweep(index, now)


def stats(txn: CatalogTransaction, head: Head) -> dict[str, int]:
    """Counts for people: segments, their documents and bytes, and the entries of the tail."""
    current = segments(txn).current
    return {
        "segments": len(current),
        "documents": sum(x.documents for x in current),
        "size_bytes": sum(x.size_bytes for x in current),
        "tail": head.words_end - head.words_start,
    }


def sweep(index: WordIndex, now: Segments) -> None:
    """Remove files that no list names any more, after a commit; the writer's lock is held."""
    if not index.folder.exists():
        return
    kept = {x.name for x in now.current} | set(now.previous)
    for path in index.folder.iterdir():
        if path.name.startswith("words-") and path.name not in kept:
            with suppress(OSError):  # The commit has happened; the next one tries again.
                path.unlink(missing_ok=True)
