"""Power losses, replayed from a recorded run: the store opens, and keeps what was promised."""

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import power_loss
import pytest
import quillian as ql
import writer
from quillian import syncpoints

STATES = 40
BATCHES = 22


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one: these stores live for a moment."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def judge(folder: Path, mode: str, acknowledged: int) -> None:
    """What was acknowledged is there, of the rest a prefix, and the store can be written."""
    if not (folder / "store/catalog.mdb").exists():
        assert acknowledged < 0
        return
    with ql.open(folder / "store", dim=writer.DIM) as store:
        assert store.check() == []
        promised = range(acknowledged + 1)
        last = writer.verify(store, list(promised))
        writer.verify(store, list(range(last + 1)))
        writer.write(store, 3 * (last // 3 + 1))
    with ql.open(folder / "store") as store:
        assert store.check() == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("mode", ["commit", "group", "none"])
def test_a_power_loss_at_any_moment_keeps_what_was_promised(
    tmp_path: Path, scratch: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = list(power_loss.calls(power_loss.recorded(tmp_path, mode, BATCHES)))
    monkeypatch.setattr(syncpoints, "boot_id", lambda: b"another boot now")
    rng = random.Random(7)
    moments = sorted(rng.sample(range(len(run)), min(STATES, len(run))))
    replay = power_loss.Replay(str(tmp_path / "root"))
    for place, call in enumerate(run):
        replay.take(call)
        if place in moments:
            policy = rng.choice(power_loss.POLICIES)
            folder = scratch / str(place)
            replay.survive(folder, policy, rng)
            try:
                judge(folder, mode, replay.acknowledged)
            except BaseException as error:
                error.add_note(f"call {place} of {len(run)}, policy {policy}, seed 7")
                raise
            shutil.rmtree(folder)
    assert replay.acknowledged >= BATCHES - power_loss.SYNC_EVERY
