"""Checking: read everything once and name what is damaged.

Values in the catalog carry seals, rows and log batches carry crc32c, the index its own checksums;
beyond those, what refers to something must find it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from . import blobs, facets, namespaces
from .associations import AssociationLog
from .catalog import CatalogTransaction
from .directory import Directory
from .errors import CorruptError, StorageError
from .heads import Head
from .layout import edge_of, is_cold, node_of, unseal
from .memory import Claim, make_room
from .pages import damages
from .snapshot import Snapshot
from .text import records as text_records
from .vectors import VectorLog

CONCEPT_BYTES = 500  # Of a concept, and of an association, in what is compared.
EDGES_BYTES = 48


@dataclass(frozen=True, slots=True)
class Problem:
    """One damaged thing: which part of the store, what is wrong, and whether user data is lost."""

    part: str
    message: str
    lost: bool


class Address(NamedTuple):
    """What names a concept to people."""

    namespace: str
    id: str


def problems(directory: Directory, view: Snapshot) -> list[Problem]:
    """All problems as of a snapshot; an empty list means sound."""
    found: list[Problem] = []
    make_room()
    columns = Claim()
    with directory.catalog.begin() as txn:
        wrong = damages(directory.catalog.path, txn.number)
        if wrong:  # LMDB must not walk these: it trusts them.
            return [Problem("catalog", message, True) for message in wrong]
        head = txn.head()
        columns.to(CONCEPT_BYTES * head.concepts + EDGES_BYTES * head.associations, "check")
        nodes: dict[int, Address] = {}
        owners: dict[int, int] = {}
        found.extend(_concepts(txn, head.next_node, head.rows, nodes, owners))
        found.extend(_ids(txn, nodes))
        found.extend(_edges(txn))
        found.extend(_blobs(txn))
        found.extend(_tiers(txn, head))
        found.extend(Problem("catalog", damage, False) for damage in facets.damages(txn, head))
        if head.concepts != len(nodes):
            message = f"the head counts {head.concepts} concepts, the table holds {len(nodes)}"
            found.append(Problem("catalog", message, False))
        logs = directory.refresh(txn, head)
        if head.rows:
            found.extend(_vectors(logs.vectors(), head.rows, owners, nodes))
        found.extend(_words(directory, txn))
    found.extend(_associations(logs.associations_of(head), view, nodes))
    return found


def _concepts(
    txn: CatalogTransaction,
    next_node: int,
    rows: int,
    nodes: dict[int, Address],
    owners: dict[int, int],
) -> Iterator[Problem]:
    for key, value in txn.items("concepts"):
        node = node_of(key)[0] if len(key) == 4 else -1
        try:
            concept = txn.decoded(node, value)
        except CorruptError as error:
            yield Problem("catalog", str(error), True)
            continue
        nodes[node] = Address(concept.namespace, concept.id)
        if node >= next_node:
            yield Problem("catalog", f"concept number {node} lies beyond the head", False)
        for slot in concept.slots:
            if slot >= rows or slot in owners:
                yield Problem(
                    "catalog", f"concept {concept.id!r} names vector slot {slot} wrongly", True
                )
            owners[slot] = node


def _tiers(txn: CatalogTransaction, head: Head) -> Iterator[Problem]:
    """The sizes that the head counts are those of the records."""
    sizes = [0, 0]
    for _, value in txn.items("concepts"):
        sizes[is_cold(value)] += len(value)
    if head.hot_bytes is not None and sizes != [head.hot_bytes, head.cold_bytes]:
        yield Problem("catalog", "the head counts other sizes of the tiers than there are", False)


def _ids(txn: CatalogTransaction, nodes: dict[int, Address]) -> Iterator[Problem]:
    try:
        numbers = namespaces.numbers(txn)
    except CorruptError as error:
        yield Problem("catalog", str(error), False)
        return
    if len(set(numbers.values())) < len(numbers):
        yield Problem("catalog", "two namespaces have one number", False)
    for _, value in txn.items("ids"):
        node = node_of(value)[0] if len(value) == 4 else -1
        if node not in nodes:
            yield Problem(
                "catalog", f"an id leads to concept number {node}, which is missing", False
            )
    for node, (namespace, id) in nodes.items():
        if namespace not in numbers or txn.node(id, numbers[namespace]) != node:
            yield Problem("catalog", f"the id {id!r} does not lead to its concept", False)


def _edges(txn: CatalogTransaction) -> Iterator[Problem]:
    for key, value in txn.items("edges"):
        try:
            unseal(key, value, f"the data of association {edge_of(key)}")
        except CorruptError as error:
            yield Problem("catalog", str(error), True)


def _blobs(txn: CatalogTransaction) -> Iterator[Problem]:
    try:
        for name in blobs.names(txn):
            blobs.read(txn, name)
    except CorruptError as error:
        yield Problem("catalog", str(error), True)


def _vectors(
    log: VectorLog, rows: int, owners: dict[int, int], nodes: dict[int, Address]
) -> Iterator[Problem]:
    try:
        bad = log.check(rows).tolist()
    except CorruptError as error:
        yield Problem("vectors", str(error), True)
        return
    for slot in bad:
        owner = owners.get(slot)
        if owner is None:
            yield Problem("vectors", f"row {slot} of a retired vector is damaged", False)
        else:
            message = f"the vector of concept {nodes[owner].id!r} is damaged"
            yield Problem("vectors", message, True)
    try:
        unreachable = log.index.check()
    except CorruptError as error:
        yield Problem("index", str(error), False)
    else:
        if unreachable:
            yield Problem("index", f"{unreachable} rows cannot be reached", False)


def _words(directory: Directory, txn: CatalogTransaction) -> Iterator[Problem]:
    for info in text_records.segments(txn).current:
        try:
            directory.words().segment(info.name).check()
        except (CorruptError, StorageError) as error:
            yield Problem("words", str(error), False)
    head = txn.head()
    changed = text_records.changes(txn, head.words_start, head.words_end)
    if len(changed) != head.words_end - head.words_start:
        yield Problem("words", "the log of changed texts lacks entries", False)
    elif any(node >= head.next_node for node in changed):
        yield Problem("words", "the log of changed texts names nodes that never were", False)


def _associations(
    log: AssociationLog, view: Snapshot, nodes: dict[int, Address]
) -> Iterator[Problem]:
    try:
        damage = log.check()
    except CorruptError as error:
        damage = str(error)
    if damage is not None:
        yield Problem("associations", damage, True)
        return
    if view.graph.scan(direction="out") != view.graph.scan(direction="in"):
        yield Problem("associations", "sources and targets hold different associations", True)
    edges = view.graph.edges()
    known = np.fromiter(nodes, dtype=np.uint32, count=len(nodes))
    for end in ("source", "target"):
        for node in np.setdiff1d(edges[end], known).tolist():
            yield Problem("associations", f"an association touches missing concept {node}", False)
    types = view.type_numbers()
    for number in np.setdiff1d(edges["type"], list(types.values())).tolist():
        yield Problem("associations", f"an association has unknown type number {number}", True)
