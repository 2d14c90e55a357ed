"""quillian: an embedded graph/vector database engine.

Open a directory, add concepts with texts and vectors, associate them, and ask.

Names load when they are first used (PEP 562), so that the command line answers `--help` without
NumPy and LMDB.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asking import Answer
    from .asynchronous import AsyncStore
    from .errors import (
        ClosedError,
        ConflictError,
        CorruptError,
        EmbedderError,
        InvalidError,
        LimitError,
        LockTimeout,
        NotFoundError,
        OutOfMemoryError,
        QuillianError,
        ReadOnlyError,
        StorageError,
    )
    from .evidence import Belief
    from .explanations import Explanation
    from .judgement import Declared, Thresholds
    from .keeping import restore
    from .operators import (
        Above,
        All,
        AsOf,
        Believe,
        Between,
        Boundary,
        Calibrated,
        Communities,
        Conflicts,
        Consensus,
        Cut,
        Derive,
        Distinct,
        Diverse,
        Expand,
        Explain,
        Fuse,
        Gate,
        Intersect,
        Named,
        Near,
        Overturn,
        Pack,
        Paths,
        Recall,
        Spike,
        Spread,
        Subtract,
        Tie,
        Top,
        Trust,
        Verify,
        Where,
        Words,
    )
    from .query import Operator, Query
    from .receipts import Receipt
    from .records import Association, Concept
    from .selection import Question, Selection
    from .snapshot import Snapshot
    from .store import Store, open
    from .transaction import Transaction

__all__ = [
    "Above",
    "All",
    "Answer",
    "AsOf",
    "Association",
    "AsyncStore",
    "Belief",
    "Believe",
    "Between",
    "Boundary",
    "Calibrated",
    "ClosedError",
    "Communities",
    "Concept",
    "ConflictError",
    "Conflicts",
    "Consensus",
    "CorruptError",
    "Cut",
    "Declared",
    "Derive",
    "Distinct",
    "Diverse",
    "EmbedderError",
    "Expand",
    "Explain",
    "Explanation",
    "Fuse",
    "Gate",
    "Intersect",
    "InvalidError",
    "LimitError",
    "LockTimeout",
    "Named",
    "Near",
    "NotFoundError",
    "Operator",
    "OutOfMemoryError",
    "Overturn",
    "Pack",
    "Paths",
    "Query",
    "Question",
    "QuillianError",
    "ReadOnlyError",
    "Recall",
    "Receipt",
    "Selection",
    "Snapshot",
    "Spike",
    "Spread",
    "StorageError",
    "Store",
    "Subtract",
    "Thresholds",
    "Tie",
    "Top",
    "Transaction",
    "Trust",
    "Verify",
    "Where",
    "Words",
    "open",
    "restore",
]

_HOMES = {
    "asking": "Answer",
    "asynchronous": "AsyncStore",
    "evidence": "Belief",
    "explanations": "Explanation",
    "judgement": "Declared Thresholds",
    "keeping": "restore",
    "operators": "Above All AsOf Believe Between Boundary Calibrated Communities Conflicts "
    "Consensus Cut Derive Distinct Diverse Expand Explain Fuse Gate Intersect Named Near "
    "Overturn Pack Paths Recall Spike Spread Subtract Tie Top Trust Verify Where Words",
    "query": "Operator Query",
    "receipts": "Receipt",
    "records": "Association Concept",
    "selection": "Question Selection",
    "snapshot": "Snapshot",
    "store": "Store open",
    "transaction": "Transaction",
}
_HOME_OF = dict.fromkeys(__all__, "errors")
_HOME_OF |= {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
