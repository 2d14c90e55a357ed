"""How many kills, and how many power losses, does a store survive?

Usage: python bench/kill.py FOLDER [--kills N] [--lanes N] [--replays N] [--seed S].  Kills writers
(tests/writer.py) with SIGKILL at random moments, in turns with each durability, inside
commits, folds, indexing, compaction and recovery, and checks after each that every acknowledged
commit is there and nothing is half there.  Lanes do so beside one another, on stores of their own.
Then replays power losses (tests/power_loss.py) with other seeds than the tests.  A lane stops at
the first store that is wrong, and leaves it.  Its count so far stands in FOLDER/lane-N/kills, so an
interrupted run goes on.
"""

import argparse
import random
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import power_loss
import quillian as ql
import test_kill
import test_power_loss
import writer
from quillian import syncpoints

KILLS_A_STORE = 50  # So that verifying all of it stays quick.
MODES = ("commit", "group", "none")

test_kill.forks.set_forkserver_preload(["__main__", *test_kill.PRELOADED])


def race(folder: Path, kills: int, lanes: int, seed: int) -> None:
    shares = [kills // lanes + (lane < kills % lanes) for lane in range(lanes)]
    processes = []
    for lane, share in enumerate(shares):
        place = folder / f"lane-{lane}"
        place.mkdir(exist_ok=True)
        # Started by the server as well: it has no store open, and never had.
        process = test_kill.forks.Process(target=kill, args=(place, share, seed + lane * kills))
        process.start()
        processes.append(process)
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("a store is wrong; it was left as it is")


def kill(folder: Path, kills: int, seed: int) -> None:
    counted = folder / "kills"
    done = int(counted.read_text()) if counted.exists() else 0
    while done < kills:
        moments = random.Random(seed + done)
        durability = MODES[done // KILLS_A_STORE % 3]
        path = folder / f"store-{done}"
        shutil.rmtree(path, ignore_errors=True)
        ql.open(path, dim=writer.DIM).close()
        acknowledged: list[int] = []
        first = 0
        for _ in range(min(KILLS_A_STORE, kills - done)):
            seconds = moments.uniform(0, test_kill.SECONDS_MAX)
            acknowledged += test_kill.run_until_killed(path, first, seconds, durability)
            with ql.open(path, dim=writer.DIM) as store:
                last = writer.verify(store, acknowledged, since=first - 3)
            first = (last // 3 + 1) * 3
            done += 1
        counted.write_text(str(done))
        print(
            f"{folder.name}: {done} kills, {len(acknowledged)} commits of the last store there",
            flush=True,
        )
        shutil.rmtree(path)


def replay(folder: Path, states: int, seed: int) -> None:
    syncpoints.boot_id = lambda: b"another boot now"
    for mode in ("commit", "group", "none"):
        place = folder / f"recorded-{mode}-{seed}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        run = list(power_loss.calls(power_loss.recorded(place, mode, test_power_loss.BATCHES)))
        rng = random.Random(seed)
        moments = set(rng.sample(range(len(run)), min(states, len(run))))
        disk = power_loss.Replay(str(place / "root"))
        for number, call in enumerate(run):
            disk.take(call)
            if number in moments:
                disk.survive(place / "state", rng.choice(power_loss.POLICIES), rng)
                test_power_loss.judge(place / "state", mode, disk.acknowledged)
                shutil.rmtree(place / "state")
        print(f"{mode}: {len(moments)} states of {len(run)} calls", flush=True)
        shutil.rmtree(place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--replays", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    folder = arguments.folder.resolve()
    race(folder, arguments.kills, arguments.lanes, arguments.seed)
    replay(folder, arguments.replays, arguments.seed)


if __name__ == "__main__":
    main()
