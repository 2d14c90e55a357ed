"""Every error that quillian raises, as one tree.

QuillianError
    InvalidError (ValueError)        an argument is outside its documented range
        BadRecordError               a record of a file cannot be read or stored
    NotFoundError (KeyError)         no such concept, association, type or store
    ConflictError (ValueError)       an id exists already, or two writers want different things
    LimitError (ValueError)          a limit of csrc/quillian.h, or memory_limit, would be passed
    ClosedError (ValueError)         the store, snapshot or transaction has ended
    ReadOnlyError (PermissionError)  a write on a read-only handle
    LockTimeout (TimeoutError)       another process or thread kept the writer's lock
    CorruptError (OSError)           a file does not hold what it must
    StorageError (OSError)           the operating system refused: disk full, permission, I/O
    OutOfMemoryError (MemoryError)   an allocation in the C core failed; nothing changed
    EmbedderError (RuntimeError)     text needs an embedder that is missing, or another one

Each also derives from the matching builtin, so that code which never heard of quillian catches it.
"""


class QuillianError(Exception):
    """The root: `except quillian.QuillianError` catches all of ours and nothing else."""


class InvalidError(QuillianError, ValueError):
    """An argument is outside its documented range."""


class BadRecordError(InvalidError):
    """A record of a file cannot be read or stored: where it stands ("file:line"), and why."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class NotFoundError(QuillianError, KeyError):
    """No such concept, association, type or store."""

    def __str__(self) -> str:  # KeyError would print the repr of the message.
        return str(self.args[0]) if self.args else ""


class ConflictError(QuillianError, ValueError):
    """An id exists already, or two writers want different things."""


class LimitError(QuillianError, ValueError):
    """A limit of csrc/quillian.h, or the memory_limit of an open store, would be passed."""


class ClosedError(QuillianError, ValueError):
    """The store, snapshot or transaction has ended."""


class ReadOnlyError(QuillianError, PermissionError):
    """A write on a read-only handle."""


class LockTimeout(QuillianError, TimeoutError):  # noqa: N818 - the design's name for it
    """Another process or thread kept the writer's lock."""


class CorruptError(QuillianError, OSError):
    """A file does not hold what it must."""


class StorageError(QuillianError, OSError):
    """The operating system refused: disk full, permission, I/O."""


class OutOfMemoryError(QuillianError, MemoryError):
    """An allocation in the C core failed; nothing changed."""


class EmbedderError(QuillianError, RuntimeError):
    """Text needs an embedder that is missing, or the store was made with another one."""
