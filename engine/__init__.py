"""quillian: an embedded graph/vector database engine.

Open a directory, add concepts with texts and vectors, associate them, and ask.
"""

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
from .operators import Above, All, Expand, Named, Near, Top, Where
from .query import Operator, Query
from .records import Association, Concept
from .selection import Question, Selection
from .snapshot import Snapshot
from .store import Store, open
from .transaction import Transaction

__all__ = [
    "Above",
    "All",
    "Association",
    "ClosedError",
    "Concept",
    "ConflictError",
    "CorruptError",
    "EmbedderError",
    "Expand",
    "InvalidError",
    "LimitError",
    "LockTimeout",
    "Named",
    "Near",
    "NotFoundError",
    "Operator",
    "OutOfMemoryError",
    "Query",
    "Question",
    "QuillianError",
    "ReadOnlyError",
    "Selection",
    "Snapshot",
    "StorageError",
    "Store",
    "Top",
    "Transaction",
    "Where",
    "open",
]
