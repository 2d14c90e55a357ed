"""Every allocation can fail, and does here: sizes are checked, and failure is an exception."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from quillian.bindings._core import ffi, lib
from quillian.bindings.status import check
from quillian.errors import OutOfMemoryError
from sources import ROOT


def open_vectors(folder: Path) -> Any:
    handle = ffi.new("ql_vectors **")
    check(
        lib.ql_vectors_open(str(folder).encode(), bytes(16), 8, lib.QL_DOT, 1, handle),
        "open the vectors",
    )
    return handle[0]


def test_what_the_core_relies_on(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    program = tmp_path / "check"
    sources = [ROOT / "tests/memory_check.c", ROOT / "csrc/memory.c"]
    flags = ["-std=c11", "-Wno-alloc-size-larger-than", "-I", str(ROOT / "csrc")]
    subprocess.run(["cc", *flags, *sources, "-lpthread", "-o", program], check=True)
    done = subprocess.run([program], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_each_failing_allocation_is_an_exception_and_leaves_the_call_repeatable(
    tmp_path: Path,
) -> None:
    before = lib.ql_alloc_count()
    lib.ql_vectors_close(open_vectors(tmp_path))
    attempts = lib.ql_alloc_count() - before
    assert attempts > 0
    for nth in range(1, attempts + 1):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError, match="could not open the vectors"):
            open_vectors(tmp_path)
    lib.ql_alloc_fail_at(0)
    lib.ql_vectors_close(open_vectors(tmp_path))


def test_out_of_memory_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        check(lib.QL_E_MEMORY, "try")
