"""SIGKILL at random moments: every acknowledged commit is present, nothing is half there."""

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import quillian as ql
import writer


def run_until_killed(path: Path, first: int, seconds: float) -> list[int]:
    """Start a writer, kill it after so many seconds of writing; the batches it acknowledged."""
    command = [sys.executable, writer.__file__, str(path), str(first), "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        alarm = threading.Timer(seconds, process.send_signal, [signal.SIGKILL])
        alarm.start()
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return [int(line.split()[1]) for line in lines if line.endswith("\n")]


@pytest.mark.parametrize("seed", range(10))
def test_every_acknowledged_commit_survives_sigkill(path: Path, seed: int) -> None:
    moments = random.Random(seed)
    acknowledged: list[int] = []
    first = 0
    for _ in range(3):
        acknowledged += run_until_killed(path, first, moments.uniform(0.0, 0.15))
        with ql.open(path) as store:
            writer.verify(store, acknowledged)
            with store.snapshot() as view:  # The batch in flight may have been committed.
                seen = max(int(concept.id.split("/")[0]) for concept in view.concepts())
        first = (seen // 3 + 1) * 3
    assert len(acknowledged) > 3
