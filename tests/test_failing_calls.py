"""Every call that changes a store's files fails in turn: a typed error, and nothing is lost.

Run as a program, under disk_shim.c, this file is the process whose calls fail.
"""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import power_loss
import pytest
import quillian as ql
import writer

SHORT = 0  # Half of what was asked is written.
CODES = (errno.ENOSPC, errno.EIO, errno.EINTR, SHORT)


def work(path: Path, mode: str, code: int) -> None:
    """Commit while the n-th call fails, for all n; whoever cannot go on opens the store again."""
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.shim_fail.argtypes = [ctypes.c_long, ctypes.c_int]
    store = ql.open(path, dim=writer.DIM, durability=mode)
    done = []
    refused = batch = nth = 0
    while nth < 24:  # About twice as many as a commit makes.
        nth += batch > 2
        shim.shim_fail(nth, code)
        try:
            writer.write(store, batch)
            store.sync()
            done.append(batch)
        except ql.StorageError:
            refused += 1
        shim.shim_fail(0, 0)
        if mode != "commit":  # A failed sync is for good: nobody knows what the disk has.
            try:
                store.close()
            except ql.StorageError:
                refused += 1
            store = ql.open(path, durability=mode)
        assert store.check() == []
        with store.snapshot() as view:
            last = max(int(concept.id.split("/")[0]) for concept in view.concepts())
        batch = last + 1
    writer.verify(store, done)
    store.close()
    with ql.open(path) as store:
        assert writer.verify(store, done) == batch - 1
    assert refused or code == errno.EINTR, "nothing failed"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("mode", ["commit", "group"])
def test_a_failing_call_is_an_error_and_loses_nothing(tmp_path: Path, mode: str) -> None:
    shim = {"LD_PRELOAD": str(power_loss.compiled(tmp_path)), "QL_SHIM_ROOT": str(tmp_path)}
    for code in CODES:
        path = tmp_path / f"store-{code}"
        command = [sys.executable, __file__, str(path), mode, str(code)]
        subprocess.run(command, check=True, env={**os.environ, **shim}, timeout=120)


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
