"""What does a kill lose, who may read and write beside a writer, what does durability cost?

    python bench/durability.py FOLDER [--only NAME]... [--parts probes|rates]

The same for quillian and every embedded store of durability_peers.py that is installed; each step
is a process of its own.  A commit is one concept (text of 100 bytes, 384-d vector, two links where
the store has links); killed writers commit three concepts at a time, so that a half commit shows.
"sync pairs" is what the disk allows in the same process: two writes of 4 KiB, each with fdatasync.
Syncs a commit are counted by strace (fsync, fdatasync, msync; LMDB's writes to its meta page, which
wait as well, are not among them).  What a store cannot do is said in its own words.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import machine
import numpy as np
from durability_peers import DIM, PEERS, Peer, Vectors

BATCH = 3
KILLS = 6
COMMIT_S = 3.0
BULK_ROWS = 20_000
COLD_READS = 30
ERROR_BYTES = 90
TIMEOUT_S = 60


def texts(ids: list[str]) -> list[str]:
    return [f"{id} ".ljust(100, "x") for id in ids]


def rows(count: int, seed: int = 1) -> Vectors:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


# Roles: each runs in a process of its own and prints a line of JSON.


def write(peer: Peer, first: str) -> None:
    """Commit batches until killed, each acknowledged by a line."""
    values = rows(BATCH)
    for batch in range(int(first), 10**9):
        ids = [f"{batch}/{row}" for row in range(BATCH)]
        peer.write(ids, texts(ids), values, [(ids[0], ids[1]), (ids[1], ids[2])])
        print(json.dumps(batch), flush=True)


def look(peer: Peer) -> list[str]:
    return peer.ids()


def live(peer: Peer) -> dict[str, Any]:
    """Whether one handle sees what another process commits."""
    before = len(peer.ids())
    time.sleep(1)
    return {"before": before, "after": len(peer.ids())}


def second(peer: Peer) -> bool:
    """Whether a second writer's commit is there for itself."""
    peer.write(["second"], texts(["second"]), rows(1), [])
    return "second" in peer.ids()


def commits(peer: Peer, seconds: str, linked: str = "2") -> dict[str, float]:
    """Commits of one concept a second, and microseconds of processor time of each."""
    until, values = time.monotonic() + float(seconds), rows(1)
    begun, busy, done = time.monotonic(), time.process_time(), 0
    while time.monotonic() < until:
        id = f"one/{done}"
        links = [(id, f"one/{done - back}") for back in range(1, min(done, int(linked)) + 1)]
        peer.write([id], texts([id]), values, links)
        done += 1
    cpu_us = (time.process_time() - busy) / done * 1e6
    return {"rate": done / (time.monotonic() - begun), "cpu_us": cpu_us}


def bulk(peer: Peer) -> float:
    """Rows a second, one call."""
    ids = [f"bulk/{row}" for row in range(BULK_ROWS)]
    words, values = texts(ids), rows(BULK_ROWS)
    begun = time.monotonic()
    peer.bulk(ids, words, values)
    return BULK_ROWS / (time.monotonic() - begun)


def hot(peer: Peer, seconds: str) -> dict[str, float]:
    """Microseconds of one read by id, after a round of warming up."""
    choose, times = random.Random(3), []
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        id = f"bulk/{choose.randrange(BULK_ROWS)}"
        begun = time.perf_counter()
        found = peer.read(id)
        times.append(time.perf_counter() - begun)
        assert found is not None
    late = times[len(times) // 5 :]
    return {"p50": float(np.median(late) * 1e6), "p99": float(np.percentile(late, 99) * 1e6)}


def cold(peer: Peer) -> float:
    """Median microseconds of the first reads of a process, the files not in the page cache."""
    choose, times = random.Random(4), []
    for _ in range(COLD_READS):
        id = f"bulk/{choose.randrange(BULK_ROWS)}"
        begun = time.perf_counter()
        assert peer.read(id) is not None
        times.append(time.perf_counter() - begun)
    return float(np.median(times) * 1e6)


ROLES = {role.__name__: role for role in (write, look, live, second, commits, bulk, hot, cold)}


def play(role: str, name: str, path: Path, arguments: list[str]) -> None:
    begun = time.monotonic()
    try:
        peer = PEERS[name](path)
        opened = time.monotonic() - begun
        said = ROLES[role](peer, *arguments)  # type: ignore[operator]
        print(json.dumps({"said": said, "opened": opened}), flush=True)
        peer.close()
    except Exception as error:  # Whatever a peer raises is its answer.
        what = str(error).replace("\n", " ")
        print(json.dumps({"error": f"{type(error).__name__}: {what[:ERROR_BYTES]}"}), flush=True)


# The probes.


def command(role: str, name: str, path: Path, *arguments: object) -> list[str]:
    return [sys.executable, __file__, str(path), "--role", role, "--only", name,
            *[f"--argument={x}" for x in arguments]]  # fmt: skip


def run(role: str, name: str, path: Path, *arguments: object) -> dict[str, Any]:
    """What a role said, or its error, or how it ended."""
    try:
        done = subprocess.run(
            command(role, name, path, *arguments), capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {TIMEOUT_S} s"}
    lines = done.stdout.splitlines()
    if not lines or done.returncode:
        return {"error": f"status {done.returncode}: {done.stderr[-ERROR_BYTES:]}"}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


class Writer:
    """A writing process, from its first acknowledgement until it is killed."""

    def __init__(self, name: str, path: Path, first: int) -> None:
        self.process = subprocess.Popen(
            command("write", name, path, first), stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.start = json.loads(self.process.stdout.readline())

    def kill(self) -> list[int]:
        """The batches that it acknowledged."""
        self.process.kill()
        rest, _ = self.process.communicate()
        return [self.start, *(json.loads(x) for x in rest.splitlines() if x.strip().isdigit())]


def kills(name: str, path: Path) -> dict[str, Any]:
    moments, acknowledged, first, slowest = random.Random(5), list[int](), 0, 0.0
    for _ in range(KILLS):
        writer = Writer(name, path, first)
        if isinstance(writer.start, dict):
            return {"kills": writer.start["error"]}
        time.sleep(moments.uniform(0.05, 0.5))
        acknowledged += writer.kill()
        said = run("look", name, path)
        if "error" in said:
            return {"kills": f"did not open after a kill: {said['error']}"}
        found = Counter(int(id.split("/")[0]) for id in said["said"])
        slowest = max(slowest, said["opened"])
        first = max(found) + 1
    lost = len(set(acknowledged) - set(found))
    half = sum(count != BATCH for count in found.values())
    return {
        "kills": f"{lost} of {len(acknowledged)} commits lost, {half} half",
        "reopen ms": round(slowest * 1e3),
    }


def beside(name: str, path: Path) -> dict[str, Any]:
    """What another process may do while one writes."""
    writer = Writer(name, path, 10**6)
    said, other = run("live", name, path), run("second", name, path)
    acknowledged = writer.kill()
    answers = {"reads beside a writer": said.get("error", ""), "second writer": other.get("error")}
    if "said" in said:
        saw = said["said"]
        answers["reads beside a writer"] = "live" if saw["after"] > saw["before"] else "stale"
    if "said" in other:
        answers["second writer"] = "takes turns" if other["said"] else "its row is not there"
        kept = run("look", name, path)
        wanted = {"second", *(f"{batch}/0" for batch in acknowledged)}
        if lost := len(wanted - set(kept.get("said", []))):
            wrong = kept.get("error", "")
            answers["second writer"] = f"{lost} of {len(wanted)} commits lost {wrong}"
    return answers


def syncs(name: str, path: Path) -> float | str:
    """fsync, fdatasync and msync calls a commit."""
    if shutil.which("strace") is None:
        return "no strace"
    counts = []
    for seconds in (0.01, 2):  # What opening and closing cost is taken off.
        calls = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,msync", "-o", f"{path}.calls"]
        role = command("commits", name, path.with_name(f"{path.name}-{seconds}"), seconds)
        done = subprocess.run([*calls, *role], capture_output=True, text=True, timeout=TIMEOUT_S)
        said = json.loads(done.stdout.splitlines()[-1])
        if "error" in said:
            return str(said["error"])
        called = sum("(" in x for x in Path(f"{path}.calls").read_text().splitlines())
        counts.append((called, said["said"]["rate"] * seconds))
    return round((counts[1][0] - counts[0][0]) / max(1.0, counts[1][1] - counts[0][1]), 1)


def pairs(folder: Path, seconds: float = 1.0) -> float:
    """Two writes, each with fdatasync, a second."""
    done, begun = 0, time.monotonic()
    with (folder / "pairs").open("wb") as file:
        while time.monotonic() - begun < seconds:
            for _ in range(2):
                file.write(bytes(4096))
                file.flush()
                os.fdatasync(file.fileno())
            done += 1
    return done / (time.monotonic() - begun)


def evict(path: Path) -> None:
    """Take a store's files out of the page cache."""
    for file in (x for x in path.rglob("*") if x.is_file()):
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def number(said: dict[str, Any], key: str | None = None) -> Any:
    """A rounded figure of what a role said, or its error."""
    if "error" in said:
        return said["error"]
    value = said["said"] if key is None else said["said"][key]
    return round(value, 1) if value < 100 else round(value)


def rates(name: str, path: Path) -> dict[str, Any]:
    before = pairs(path.parent)
    single = run("commits", name, path.with_name(f"{path.name}-single"), COMMIT_S)
    allowed = (before + pairs(path.parent)) / 2
    found = {"commits/s": number(single, "rate"), "sync pairs/s": round(allowed)}
    alone = run("commits", name, path.with_name(f"{path.name}-alone"), COMMIT_S, 0)
    found |= {"cpu us": number(single, "cpu_us"), "without links/s": number(alone, "rate")}
    found["bulk rows/s"] = number(run("bulk", name, path))
    size = sum(x.stat().st_blocks * 512 for x in path.rglob("*") if x.is_file())
    found["disk / raw"] = round(size / (BULK_ROWS * (4 * DIM + 100)), 2)
    idle = run("hot", name, path, 2)
    evict(path)
    chilly = run("cold", name, path)
    found |= {"hot us": number(idle, "p50"), "cold us": number(chilly)}
    found["p99 idle us"] = number(idle, "p99")
    writer = Writer(name, path, 2 * 10**6)
    found["p99 beside a writer us"] = number(run("hot", name, path, 3), "p99")
    writer.kill()
    return found


def examine(name: str, folder: Path, parts: list[str]) -> dict[str, Any]:
    path = folder / name.replace(", ", "-")
    found: dict[str, Any] = {}
    for old in folder.glob(f"{path.name}*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    if "probes" in parts:
        found |= kills(name, path)
        if "reopen ms" in found:
            found |= beside(name, path)
        found["syncs a commit"] = syncs(name, path.with_name(f"{path.name}-syncs"))
    if "rates" in parts:
        found |= rates(name, path.with_name(f"{path.name}-rates"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", choices=list(PEERS))
    parser.add_argument("--parts", action="append", choices=["probes", "rates"])
    parser.add_argument("--role", choices=list(ROLES), help=argparse.SUPPRESS)
    parser.add_argument("--argument", action="append", default=[], help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.only or list(PEERS)
    if given.role:
        play(given.role, names[0], given.folder, given.argument)
        return
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print(machine.line(*sorted({peer.package for peer in PEERS.values()} - {"sqlite3"})))
    for name in names:
        found = examine(name, folder, given.parts or ["probes", "rates"])
        print(f"{name}: {json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main()
