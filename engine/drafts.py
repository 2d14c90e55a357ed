"""Drafts: the rows of an `add` between the caller's columns and the store's records.

Checking and embedding happen here, before anything is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import checks
from .indexing import Progress
from .records import Concept, to_ns
from .vectors import Float32, as_vectors

EMBED_ROWS = 1_024  # Texts per call of the embedder; progress is told between calls.


@dataclass(slots=True)
class Draft:
    """One row to add; None means "not given"."""

    index: int
    id: str | None = None
    text: str | None = None
    name: str | None = None
    aliases: tuple[str, ...] = ()
    source: str | None = None
    kind: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    since: int | None = None
    until: int | None = None
    strength: float = 1.0
    confidence: float = 1.0
    vector: NDArray[np.float32] | None = None
    namespace: str = ""
    slots: tuple[int, ...] = ()  # Where the vector went.

    def concept(self, node: int, created_ns: int, updated_ns: int = 0) -> Concept:
        """The record of this row."""
        assert self.id is not None
        return Concept(
            node, self.id, self.text, self.name, self.aliases, self.source, self.kind, self.data,
            created_ns, updated_ns, self.strength, self.confidence, self.since, self.until,
            self.slots, self.namespace,
        )  # fmt: skip

    def merged_into(self, old: Concept, updated_ns: int) -> Concept:
        """`old` with the given fields of this row; metadata and aliases united."""
        return replace(
            old,
            updated_ns=updated_ns,
            slots=self.slots or old.slots,
            text=old.text if self.text is None else self.text,
            name=old.name if self.name is None else self.name,
            aliases=tuple(dict.fromkeys((*old.aliases, *self.aliases))),
            source=old.source if self.source is None else self.source,
            kind=old.kind if self.kind is None else self.kind,
            data={**old.data, **self.data},
            since=old.since if self.since is None else self.since,
            until=old.until if self.until is None else self.until,
            strength=old.strength if self.strength == 1.0 else self.strength,
            confidence=old.confidence if self.confidence == 1.0 else self.confidence,
        )


def drafts(
    n: int,
    *,
    texts: Any = None,
    ids: Any = None,
    names: Any = None,
    aliases: Any = None,
    sources: Any = None,
    kinds: Any = None,
    data: Any = None,
    strengths: Any = None,
    confidences: Any = None,
    since: Any = None,
    until: Any = None,
    namespaces: Any = None,
) -> list[Draft]:
    """n checked drafts from columns."""
    rows = [Draft(index) for index in range(n)]
    _fill(rows, "text", texts, checks.text)
    _fill(rows, "id", ids, lambda value: checks.optional_name(value, "id"))
    _fill(rows, "name", names, lambda value: checks.optional_name(value, "name"))
    _fill(rows, "aliases", aliases, checks.aliases)
    _fill(rows, "source", sources, lambda value: checks.optional_name(value, "source"))
    _fill(rows, "kind", kinds, lambda value: checks.optional_name(value, "kind"))
    _fill(rows, "data", data, checks.data)
    _fill(rows, "strength", strengths, checks.strength)
    _fill(rows, "confidence", confidences, checks.confidence)
    _fill(rows, "since", since, to_ns)
    _fill(rows, "until", until, to_ns)
    _fill(rows, "namespace", namespaces, checks.namespace)
    if since is not None and until is not None:
        for row in rows:
            checks.interval(row.since, row.until)
    return rows


def _fill(rows: list[Draft], name: str, values: Any, check: Any) -> None:
    """Put a checked column into the rows; an error names the row of a batch."""
    if values is None:
        return
    for row, value in zip(rows, checks.column(values, len(rows), name), strict=True):
        try:
            setattr(row, name, check(value))
        except ValueError as error:
            if len(rows) > 1:
                error.args = (f"row {row.index}: {error.args[0]}", *error.args[1:])
            raise


class Vectorizer(Protocol):
    """What fill_vectors needs of a transaction."""

    def embed(self, texts: Sequence[str]) -> Float32: ...

    def ensure_dim(self, dim: int) -> None: ...

    @property
    def has_embedder(self) -> bool: ...

    @property
    def dim(self) -> int | None: ...

    @property
    def metric(self) -> str: ...


def fill_vectors(
    rows: list[Draft], vectors: Any, store: Vectorizer, progress: Progress | None
) -> None:
    """Give each row its vector: the caller's (indexed by row), else its text's by the embedder."""
    if vectors is not None:
        _take_given(rows, vectors, store)
    if not store.has_embedder:
        return
    waiting = [row for row in rows if row.vector is None and row.text and not row.text.isspace()]
    for start in range(0, len(waiting), EMBED_ROWS):
        chunk = waiting[start : start + EMBED_ROWS]
        embedded = store.embed([row.text or "" for row in chunk])
        store.ensure_dim(embedded.shape[1])
        for row, vector in zip(chunk, embedded, strict=True):
            if (
                vector.any() or store.metric != "cosine"
            ):  # A text of unknown words has no direction.
                row.vector = vector
        if progress is not None:
            progress("embed", start + len(chunk), len(waiting))


def _take_given(rows: list[Draft], vectors: Any, store: Vectorizer) -> None:
    partly = isinstance(vectors, list | tuple) and any(vector is None for vector in vectors)
    given = [row for row in rows if not partly or vectors[row.index] is not None]
    if not given:
        return
    picked = [vectors[row.index] for row in given] if partly else vectors
    matrix = as_vectors(picked, store.dim, store.metric)
    store.ensure_dim(matrix.shape[1])
    if partly:
        for row, vector in zip(given, matrix, strict=True):
            row.vector = vector
    else:
        for row in given:
            row.vector = matrix[row.index]
