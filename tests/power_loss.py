"""Power losses replayed: what a disk may hold after one, made from a recorded run.

Usage: python power_loss.py ROOT MODE BATCHES writes a store below ROOT with durability MODE; run it
under disk_shim.c, which records every change.  `Replay` walks such a record and writes what the
disk may hold at a moment: all that was synced, and of the rest any part, torn at sectors.
Names of each folder survive as a prefix, at least up to its last sync.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import quillian as ql
import writer
from quillian import folding, indexing, journal

SECTOR = 512
SYNC_EVERY = 4  # Batches, where commits do not wait.
POLICIES = ("none", "all", "some", "torn", "last")


def record(root: Path, mode: str, batches: int) -> None:
    """Write batches, acknowledging in a file what must survive; compact and index in between."""
    indexing.INDEX_ROWS_MIN = indexing.INDEX_TAIL_ROWS = 16
    indexing.INDEX_STEP_ROWS = 8
    folding.FOLD_RECORDS_MIN = 24
    journal.JOURNAL_BYTES_MAX = 1_500
    acknowledged = os.open(root / "acknowledged", os.O_CREAT | os.O_WRONLY, 0o644)
    with ql.open(root / "store", dim=writer.DIM, durability=mode) as store:
        for batch in range(batches):
            writer.write(store, batch)
            if batch % 9 == 8:
                store.compact()
            if batch % 7 == 6:
                store.optimize()
            if mode == "commit" or batch % SYNC_EVERY == SYNC_EVERY - 1:
                store.sync()
                os.write(acknowledged, f"{batch}\n".encode())


def compiled(folder: Path) -> Path:
    """The shim as a library."""
    library = folder / "disk_shim.so"
    source = Path(__file__).with_name("disk_shim.c")
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


def recorded(folder: Path, mode: str, batches: int) -> bytes:
    """The record of a run."""
    root, log = folder / "root", folder / "log"
    root.mkdir()
    shim = {"LD_PRELOAD": str(compiled(folder)), "QL_SHIM_ROOT": str(root), "QL_SHIM_LOG": str(log)}
    command = [sys.executable, __file__, str(root), mode, str(batches)]
    subprocess.run(command, check=True, env={**os.environ, **shim})
    return log.read_bytes()


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded call."""

    op: str
    inode: int
    offset: int
    data: bytes
    path: str


def calls(log: bytes) -> Iterator[Call]:
    """The calls of a record in their order."""
    at = 0
    while at < len(log):
        end = log.index(b"\n", at)
        op, inode, offset, size, path = log[at:end].decode().split(" ", 4)
        at = end + 1 + int(size)
        yield Call(op, int(inode), int(offset), log[end + 1 : at], path)


@dataclass(slots=True)
class File:
    """What is on the disk of a file, and what may or may not be."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)
    begun: int = 0  # How much of pending a sync in progress covers.

    def sync(self) -> None:
        for call in self.pending[: self.begun]:
            apply(self.durable, call)
        del self.pending[: self.begun]
        self.begun = 0

    def survivor(self, policy: str, rng: random.Random) -> bytes:
        """The content after a power loss."""
        content = bytearray(self.durable)
        for place, call in enumerate(self.pending):
            kept = {"none": False, "all": True, "last": place == len(self.pending) - 1}
            if call.op == "P" or kept.get(policy, rng.random() < 0.5):
                torn = policy == "torn" and call.op == "W"
                for part in sectors(call, rng) if torn else [call]:
                    apply(content, part)
        return bytes(content)


def sectors(call: Call, rng: random.Random) -> Iterator[Call]:
    """Some of the sectors of a write."""
    at = call.offset
    stop = at + len(call.data)
    while at < stop:
        end = min((at // SECTOR + 1) * SECTOR, stop)
        if rng.random() < 0.5:
            yield Call("W", 0, at, call.data[at - call.offset : end - call.offset], "")
        at = end


def apply(content: bytearray, call: Call) -> None:
    size = call.offset + len(call.data)
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    if call.op == "T":
        del content[call.offset :]
    elif call.op != "A":
        content[call.offset : size] = call.data


@dataclass(slots=True)
class Folder:
    """Changes of the names in a folder, and how many of them are durable."""

    changes: list[tuple[str, str, int]] = field(default_factory=list)  # (op, name, file)
    durable: int = 0

    def names(self, kept: int) -> dict[str, int]:
        """File numbers by name after the first `kept` changes; -1 is a folder."""
        found: dict[str, int] = {}
        for op, name, file in self.changes[:kept]:
            if op == "U":
                found.pop(name, None)
            else:
                found[name] = file
        return found


class Replay:
    """The disk while a record is walked."""

    def __init__(self, root: str):
        self.root = root
        self.files: list[File] = []
        self.inodes: dict[int, int] = {}
        self.folders: dict[str, Folder] = {root: Folder()}
        self.acknowledged = -1

    def take(self, call: Call) -> None:
        """One call happened."""
        folder, _, name = call.path.rpartition("/")
        if call.op == "C":
            self.inodes[call.inode] = len(self.files)
            self.files.append(File())
            self.folders[folder].changes.append(("C", name, len(self.files) - 1))
        elif call.op == "D":
            self.folders[call.path] = Folder()
            self.folders[folder].changes.append(("C", name, -1))
        elif call.op == "U":
            self.folders[folder].changes.append(("U", name, 0))
        elif call.op == "R":
            changes = self.folders[folder].changes
            file = self.folders[folder].names(len(changes))[name]
            changes.append(("U", name, 0))
            changes.append(("C", call.data.decode().rpartition("/")[2], file))
        elif call.op == "F":
            self.folders[call.path].durable = len(self.folders[call.path].changes)
        else:
            self._content(self.files[self.inodes[call.inode]], call)

    def _content(self, file: File, call: Call) -> None:
        if call.op == "B":
            file.begun = len(file.pending)
        elif call.op == "S":
            file.sync()
        else:
            file.pending.append(call)
        acknowledging = self.folders[self.root].names(9).get("acknowledged")
        if call.op == "W" and file is self.files[acknowledging or 0]:
            self.acknowledged = int(call.data)

    def survive(self, target: Path, policy: str, rng: random.Random) -> None:
        """Write what may be left to a folder."""
        self._survive(self.root, target, policy, rng)

    def _survive(self, path: str, target: Path, policy: str, rng: random.Random) -> None:
        target.mkdir()
        folder = self.folders[path]
        least, most = folder.durable, len(folder.changes)
        kept = {"none": least, "all": most}.get(policy, rng.randint(least, most))
        for name, file in folder.names(kept).items():
            if file < 0:
                self._survive(f"{path}/{name}", target / name, policy, rng)
            else:
                (target / name).write_bytes(self.files[file].survivor(policy, rng))


if __name__ == "__main__":
    record(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
