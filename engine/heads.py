"""Manifest and Head: what is fixed for a store, and what its last commit made visible."""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from .errors import CorruptError
from .layout import unseal


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is fixed when a store is created, except `dim`, which its first vector may set."""

    format: int
    uuid: bytes
    dim: int | None
    metric: str
    embedder: str | None
    created_ns: int
    stemmer: str | None = None  # How texts become words, and
    phrases: bool = False  # whether their positions are kept.


class Head(NamedTuple):
    """What the last commit made visible. A tuple: one of ten copies a commit took 10 us."""

    commit: int = 0
    next_node: int = 0
    rows: int = 0  # Of the vector log.
    log_bytes: int = 0  # Of the association log.
    concepts: int = 0
    vectors: int = 0
    associations: int = 0
    generation: int = 0  # Of both logs; compacting writes a new one.
    fold: int = 0  # Of the associations within it: extents and the log behind them; 0: only a log.
    extents: tuple[int, ...] = ()  # Of that fold's file: length, place of its table, associations.
    generation_txn: int = 0  # The LMDB transaction that made generation and fold so.
    index_generation: int = 0  # 0: no index has been written.
    index_rows: int = 0
    index_curve: tuple[tuple[int, int, float], ...] = ()  # See calibration.py.
    words_start: int = 0  # The log of changed texts that no segment of words covers:
    words_end: int = 0  # [words_start, words_end).
    facets: int = 0  # Nodes below this number stand in pages of facets.
    journal_bytes: int = 0  # Of the logs, which the journal holds (journal.py).
    hot_bytes: int | None = None  # Of concept records in the hot tier; None: not counted yet.
    cold: int = 0  # Concept records in the cold tier, and
    cold_bytes: int = 0  # their bytes.
    updated_ns: int = 0


Fixed = TypeVar("Fixed", Manifest, Head)


def read(kind: type[Fixed], key: bytes, value: bytes) -> Fixed:
    """What was sealed under a key; fields that it lacks are at their defaults."""
    content = unseal(key, value, f"the store's {key.decode()} record")
    known = kind.__match_args__
    try:
        return kind(**{name: content[name] for name in known if name in content})
    except TypeError as error:
        raise CorruptError(f"the store's {key.decode()} record is damaged: {error}") from error
