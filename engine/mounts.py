"""Mounts: on which file system a path lies, and whether a store may live there.

Locks and memory maps of several machines do not meet on a network file system: two writers would
both hold the lock, and a reader would see pages of different commits. So a store there is refused
when it is opened, and not after it has lost something.
"""

import errno
from pathlib import Path

from .errors import StorageError

NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre")
) | {"fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs"}
TABLE = Path("/proc/self/mountinfo")


def file_system(place: Path) -> tuple[str | None, str | None]:
    """Type and mount point, by the longest mount point above the path; None where unknown."""
    best: tuple[str | None, str | None] = (None, None)
    if not TABLE.exists():
        return best
    for line in TABLE.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        if place.is_relative_to(point) and len(point) >= len(best[1] or ""):
            best = (right.split()[0], point)
    return best


def refuse_network(path: Path) -> None:
    """Raise StorageError for a path on a network file system."""
    kind, point = file_system(path)
    if kind in NETWORK:
        raise StorageError(
            errno.EOPNOTSUPP,
            f"{path} lies on a network file system ({kind} at {point}), where locks and memory "
            "maps do not hold: put the store on a local disk and copy it with backup",
        )
