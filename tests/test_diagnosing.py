"""The doctor's facts: what is here, and what to change."""

import subprocess
import sys
from pathlib import Path

import quillian as ql
from quillian import diagnosing


def test_machine_names_versions_processor_and_embedders() -> None:
    found = diagnosing.machine()
    assert found["packages"]["numpy"]
    assert found["isa"] in ("portable", "sse4", "avx2", "avx512", "neon")
    assert "bundled" in found["embedders"]


def test_disk_is_described_also_where_the_store_is_yet_to_be(tmp_path: Path) -> None:
    found = diagnosing.disk(tmp_path / "not" / "yet")
    assert found["free_bytes"] > 0
    assert found["writable"] is True
    if sys.platform == "linux":
        assert found["file_system"]
        assert found["network"] is False


def test_advice_names_what_to_change() -> None:
    machine = {"embedder_default": None, "isa": "portable"}
    disk = {"network": True, "file_system": "nfs4", "writable": False, "path": "x"}
    texts = diagnosing.advice(machine, disk)
    assert [text.split()[0] for text in texts] == ["No", "The", "nfs4", "x"]
    assert diagnosing.advice({"embedder_default": "wordllama", "isa": "avx2"}) == []


def test_writer_at_work_is_named(tmp_path: Path) -> None:
    code = "from quillian import diagnosing; import sys; from pathlib import Path;"
    code += "print(diagnosing.writer(Path(sys.argv[1]))['writer_pid'])"

    def ask() -> str:
        command = [sys.executable, "-c", code, str(tmp_path / "s")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert diagnosing.writer(tmp_path / "s") == {"store": False, "writer_pid": None}
    import os

    with ql.open(tmp_path / "s", dim=2) as store:
        with store.transaction():
            assert ask() == str(os.getpid())
        assert ask() == "None"
