"""Importing: what another library keeps, as concepts of a store."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .errors import InvalidError
from .ingesting import BATCH, Counts, Ingest
from .reading import Item, OnBad, refuse
from .reading.hnswlib import read_hnswlib
from .store import Store


def import_hnswlib(
    store: Store,
    path: Path,
    *,
    ids: Sequence[str] | None = None,
    batch: int = BATCH,
    on_conflict: str = "skip",
    on_bad: OnBad = refuse,
    progress: Callable[[Counts], None] = lambda counts: None,
) -> Counts:
    """Add every element of an index that hnswlib saved, but for the deleted ones.

    A concept's id is its label in decimal, or ids[label]; its source is the file's name. Commits in
    batches, so that running it again after it was stopped goes on.  The store decides the metric:
    hnswlib's "cosine", "ip" and "l2" are our "cosine", "dot" and "l2".
    Raises InvalidError for a file that is not such an index, or is damaged, before anything is
    written, and BadRecordError (unless on_bad returns) for a vector that a store refuses.
    """
    index = read_hnswlib(path)
    wanted = store.stats()["dim"]
    if wanted not in (None, index.rows.shape[1]):
        raise InvalidError(f"{path} has vectors of {index.rows.shape[1]}, the store of {wanted}")
    alive = ~index.deleted
    labels = index.labels[alive].tolist()
    if ids is not None:
        _expect_ids(ids, labels)
    rows = index.rows if alive.all() else index.rows[alive]
    run = Ingest(
        store, batch=batch, on_conflict=on_conflict, vectors=rows, on_bad=on_bad, progress=progress
    )
    run.take(_items(path, labels, ids))
    run.finish()
    return run.counts


def _expect_ids(ids: Sequence[str], labels: list[int]) -> None:
    beyond = [label for label in labels if label >= len(ids)]
    if beyond:
        raise InvalidError(f"want an id for label {beyond[0]}, got {len(ids)} ids")
    if len(set(ids)) != len(ids):
        raise InvalidError("want each id once, but one stands twice")


def _items(path: Path, labels: list[int], ids: Sequence[str] | None) -> Iterator[Item]:
    for label in labels:
        id = str(label) if ids is None else ids[label]
        yield Item(id, source=path.name, place=f"{path.name}: label {label}")
