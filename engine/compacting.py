"""Compacting: write the logs anew, without what has died, and give the space back.

The new generation holds the vectors of living concepts, in their order, and all associations as
extents. One LMDB transaction names it in the head and gives every concept its new slots, so a
reader sees either all of the old or all of the new. The old files go when no snapshot of any
process may open them. The catalog shrinks by being written anew too, which needs that nobody else
has it open; else it keeps its free pages for later commits, and the report says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from . import facets, journal
from .bindings.graph import EDGE, Edges
from .catalog import CatalogTransaction
from .directory import Directory
from .environment import rewrite
from .folding import draft_of, following, place
from .heads import Head
from .logs import Logs
from .memory import Claim
from .records import Concept
from .selection import Float32
from .sizes import size_bytes
from .text import records as text_records
from .tiers import counted

EDGES_BYTES = 48  # Of an association, while all are copied.
CHUNK = 4_096  # Concepts read, moved and written at once.

Read = Callable[[Sequence[int]], Float32]


@dataclass(frozen=True, slots=True)
class Compaction:
    """What compacting did; `old_files` and `catalog` say whether their space could be given back.

    A reader keeps the old files until the next open or compact removes them.
    """

    before_bytes: int
    after_bytes: int
    old_files_removed: bool
    catalog_shrunk: bool


def compact(directory: Directory, timeout: float) -> Compaction:
    """Write everything that lives anew, and remove the rest where nobody sees it any more."""
    before = sum(size_bytes(directory.path).values())
    directory.pause_indexing()
    with directory.writing(timeout):
        with directory.catalog.begin(write=True) as txn:
            head = txn.head()
            logs = directory.refresh(txn, head)
            columns = Claim()
            columns.to(head.associations * EDGES_BYTES, "compact")
            with logs.associations.view(head) as graph:
                edges = graph.edges()
            move(directory, txn, head, logs.vectors().read if head.rows else None, edges)
        directory.follow()
        with directory.catalog.begin() as txn:
            head = txn.head()
        removed = directory.drop_generations(head)
        directory.durability.settle()  # Its pin and its page numbers are of the file as it was.
        shrunk = directory.catalog.replaced(rewrite)
    directory.work_if_due(head)
    return Compaction(before, sum(size_bytes(directory.path).values()), removed, shrunk)


def move(
    directory: Directory, txn: CatalogTransaction, head: Head, read: Read | None, edges: Edges
) -> None:
    """Write a new generation with these associations and all concepts' vectors, and commit it."""
    now = head._replace(
        commit=head.commit + 1,
        generation=head.generation + 1,
        fold=0,
        extents=(),
        log_bytes=0,
        generation_txn=txn.number,
        associations=len(edges),
        index_rows=0,
        index_curve=(),
    )
    directory.drop_generation(now.generation)
    directory.tiers.take(txn.found_at, is_empty=False)  # A catalog written anew counts anew.
    logs = Logs(directory.path, now, directory.manifest, read_only=False)
    words = directory.words()
    try:
        rows = 0 if read is None else _move_vectors(txn, logs, read, now.commit)
        now = _write_edges(directory, logs, edges, now)._replace(rows=rows, vectors=rows)
        for key, _ in list(txn.items("deaths")):
            txn.delete("deaths", key)
        now = journal.drop(txn, now)
        now, segments = text_records.renew(words, txn, now)
        now = facets.renew(txn, counted(txn, now))
        txn.put_head(now)
        txn.commit()
        directory.durability.sync()  # The files of before go now: nothing may bring them back.
    except BaseException:
        directory.drop_generation(now.generation)
        raise
    finally:
        logs.close()
    text_records.sweep(words, segments)


def _write_edges(directory: Directory, logs: Logs, edges: Edges, now: Head) -> Head:
    """Write all associations as the first fold of the generation, behind which its log is empty."""
    log = logs.associations
    if not len(edges):
        return now
    log.load(np.ascontiguousarray(edges, dtype=EDGE))
    draft = draft_of(directory.path)
    named = following(now, log.write_extents(draft), now.generation_txn)
    log.abort()
    log.path.unlink()
    made, named = place(directory.path, directory.manifest, named, draft)
    made.close()
    return named


def _move_vectors(txn: CatalogTransaction, logs: Logs, read: Read, commit: int) -> int:
    """Append the vectors of all concepts in their order and give the concepts their new slots."""
    start = count = 0
    while chunk := list(islice(txn.concepts(start), CHUNK)):
        start = chunk[-1].node + 1
        having = [concept for concept in chunk if concept.slots]
        if having:
            count += _move_chunk(txn, logs, read, commit, having)
    if count:
        logs.vectors().fit()
        logs.vectors().sync()
    return count


def _move_chunk(
    txn: CatalogTransaction, logs: Logs, read: Read, commit: int, having: list[Concept]
) -> int:
    slots = [slot for concept in having for slot in concept.slots]
    owners = [concept.node for concept in having for _ in concept.slots]
    first = logs.vectors().append(read(slots), np.array(owners, dtype=np.uint32), commit)
    moved = []
    for concept in having:
        after = first + len(concept.slots)
        moved.append(replace(concept, slots=tuple(range(first, after))))
        first = after
    txn.put_concepts(moved, stay=True)
    return len(slots)
