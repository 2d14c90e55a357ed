"""Fuzzers of the C core's readers of files run for a short while: the long runs are by hand."""

import re
import shutil
import subprocess
import sys

import pytest
from sources import ROOT

sys.path.insert(0, str(ROOT / "tests/fuzz"))
from run import TARGETS

SECONDS = 20


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("clang") is None, reason="libFuzzer comes with clang")
@pytest.mark.parametrize("target", TARGETS)
def test_a_reader_withstands_hostile_files(target: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/fuzz/run.py"), "--seconds", str(SECONDS), target],
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    found = re.search(r"executions=(\d+)", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) > 0
