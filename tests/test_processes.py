"""Several processes at once: commits are seen whole and live, writers queue, nothing is lost."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
import writer


def start(path: Path, first: int, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, writer.__file__, str(path), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_reader_sees_each_commit_of_another_process_whole(path: Path) -> None:
    with ql.open(path, dim=writer.DIM) as reader, start(path, 0, 40) as process:
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged = int(line.split()[1])
            with reader.snapshot() as view:
                concepts = len(view)
                batches = {concept.id.split("/")[0] for concept in view.concepts()}
                assert str(acknowledged) in batches
                last = max(map(int, batches))
                assert concepts == 3 * (last + 1) - (last + 1) // 3
                assert len(view.near(np.ones(writer.DIM), k=999)) == concepts
        assert process.wait() == 0
        writer.verify(reader, list(range(40)))


def test_two_writers_queue_and_lose_nothing(path: Path) -> None:
    ql.open(path, dim=writer.DIM).close()
    processes = [start(path, first, 33) for first in (0, 99)]
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert output.count("ack") == 33
    with ql.open(path) as store:
        writer.verify(store, [*range(33), *range(99, 132)])


def test_a_snapshot_stays_frozen_while_another_process_writes(path: Path) -> None:
    with ql.open(path, dim=writer.DIM) as store:
        writer.write(store, 0)
        with store.snapshot() as old:
            before = old.near(np.ones(writer.DIM), k=99).ids.tolist()
            with start(path, 1, 5) as process:
                process.communicate()
            with store.snapshot() as new:
                assert len(new) > len(old)
            assert old.near(np.ones(writer.DIM), k=99).ids.tolist() == before
            assert "3/0" not in old
            assert [x.target for x in old.neighbours("0/0")] == ["0/1"]


def test_lock_timeout_names_the_other_process(path: Path) -> None:
    hold = (
        "import sys, quillian as ql\n"
        "with ql.open(sys.argv[1], dim=4) as s, s.transaction():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        with ql.open(path, lock_timeout=0.05) as store:
            with pytest.raises(ql.LockTimeout, match=str(process.pid)):
                store.add("x")
            process.kill()
            process.wait()
            store.lock_timeout = 10
            store.add("x", id="x")  # The dead process left no lock behind.
            assert store.get("x").text == "x"
