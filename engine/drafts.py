"""Drafts: the rows of an `add` between the caller's columns and the store's records.

Checking and embedding happen here, before anything is written.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from . import checks
from .bindings.limits import TEXT_BYTES_MAX
from .indexing import Progress
from .records import Draft, to_ns
from .vectors import Float32, as_vectors

CHECK_ROWS = 1_024  # Values of a column that are looked at together.
EMBED_ROWS = 1_024  # Texts per call of the embedder; progress is told between calls.


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
    plain_texts = partial(checks.are_plain, bytes_max=TEXT_BYTES_MAX, lines=True)
    plain_keys = partial(checks.are_plain, optional=False)
    _fill(rows, "text", texts, checks.text, plain_texts)
    _fill(rows, "id", ids, lambda value: checks.optional_name(value, "id") or "", plain_keys)
    for name, values in (("name", names), ("source", sources), ("kind", kinds)):
        _fill(rows, name, values, partial(checks.optional_name, what=name), checks.are_plain)
    _fill(rows, "aliases", aliases, checks.aliases)
    _fill(rows, "data", data, checks.data)
    _fill(rows, "strength", strengths, checks.strength)
    _fill(rows, "confidence", confidences, checks.confidence)
    _fill(rows, "since", since, to_ns)
    _fill(rows, "until", until, to_ns)
    if not isinstance(namespaces, str) or namespaces:
        _fill(rows, "namespace", namespaces, checks.namespace)
    if since is not None and until is not None:
        for row in rows:
            checks.interval(row.since, row.until)
    return rows


def draft(
    *,
    text: Any,
    id: Any,
    name: Any,
    aliases: Any,
    source: Any,
    kind: Any,
    data: Any,
    since: Any,
    until: Any,
    strength: Any,
    confidence: Any,
    namespace: Any,
) -> Draft:
    """One checked draft: as the first of `drafts`, in a fifth of the time."""
    row = Draft(
        0,
        "" if id is None else checks.name(id, "id"),
        checks.text(text),
        None if name is None else checks.name(name, "name"),
        checks.aliases(aliases) if aliases != () else (),
        None if source is None else checks.name(source, "source"),
        None if kind is None else checks.name(kind, "kind"),
        checks.data(data),
        to_ns(since),
        to_ns(until),
        checks.strength(strength),
        checks.confidence(confidence),
        checks.namespace(namespace) if namespace != "" else "",
    )
    checks.interval(row.since, row.until)
    return row


def _fill(
    rows: list[Draft],
    name: str,
    values: Any,
    check: Callable[[Any], Any],
    are_plain: Callable[[Sequence[Any]], bool] | None = None,
) -> None:
    """Put a checked column into the rows; an error names the row of a batch.

    are_plain: whether all of many values pass the check, and may stay as they are.
    """
    if values is None:
        return
    column = checks.column(values, len(rows), name)
    for start in range(0, len(rows), CHECK_ROWS):
        chunk = column[start : start + CHECK_ROWS]
        plain = are_plain is not None and are_plain(chunk)
        for row, value in zip(rows[start : start + CHECK_ROWS], chunk, strict=True):
            try:
                setattr(row, name, value if plain else check(value))
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
) -> Float32 | None:
    """All vectors to append, of which each row notes its own; None where there are none.

    A row's vector is the caller's (indexed by row), else its text's by the embedder.
    """
    parts = [] if vectors is None else _given(rows, vectors, store)
    if store.has_embedder:
        parts += _embedded(rows, store, progress, sum(map(len, parts)))
    return np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else None


def _embedded(
    rows: list[Draft], store: Vectorizer, progress: Progress | None, first: int
) -> list[Float32]:
    waiting = [row for row in rows if row.vector is None and row.text and not row.text.isspace()]
    parts = []
    for start in range(0, len(waiting), EMBED_ROWS):
        chunk = waiting[start : start + EMBED_ROWS]
        embedded = store.embed([row.text or "" for row in chunk])
        store.ensure_dim(embedded.shape[1])
        # A text of unknown words has no direction.
        kept = np.flatnonzero(embedded.any(axis=1) | (store.metric != "cosine"))
        for at, vector in enumerate(kept.tolist(), first):
            chunk[vector].vector = at
        first += len(kept)
        parts.append(embedded[kept])
        if progress is not None:
            progress("embed", start + len(chunk), len(waiting))
    return parts


def _given(rows: list[Draft], vectors: Any, store: Vectorizer) -> list[Float32]:
    partly = isinstance(vectors, list | tuple) and any(vector is None for vector in vectors)
    given = [row for row in rows if not partly or vectors[row.index] is not None]
    if not given:
        return []
    picked = [vectors[row.index] for row in given] if partly else vectors
    matrix = as_vectors(picked, store.dim, store.metric)
    store.ensure_dim(matrix.shape[1])
    for at, row in enumerate(given):
        row.vector = at if partly else row.index
    return [matrix]
