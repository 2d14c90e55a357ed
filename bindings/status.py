"""Statuses of the C core as exceptions."""

import os

from ..errors import (
    CorruptError,
    InvalidError,
    LimitError,
    OutOfMemoryError,
    QuillianError,
    ReadOnlyError,
    StorageError,
)
from ._core import ffi, lib
from .memory import refusal

ERRORS: dict[int, type[QuillianError]] = {
    lib.QL_E_INVALID: InvalidError,
    lib.QL_E_MEMORY: OutOfMemoryError,
    lib.QL_E_CORRUPT: CorruptError,
    lib.QL_E_LIMIT: LimitError,
    lib.QL_E_READONLY: ReadOnlyError,
}


def check(status: int, what: str) -> None:
    """Raise the exception of a failed status; `what` says what was tried: "append 5 rows"."""
    if status == lib.QL_OK:
        return
    if status == lib.QL_E_IO:
        code = ffi.errno
        raise StorageError(code, f"could not {what}: {os.strerror(code)}")
    refused = int(lib.ql_memory_refused()) if status == lib.QL_E_MEMORY else 0
    if refused:
        raise LimitError(f"could not {what}: {refusal(refused)}")
    raise ERRORS[status](f"could not {what}")
