"""Bytes that one feature keeps in the catalog under a name: a saved network, say.

They live and die with the transaction like everything else in the catalog, are cut into parts that
LMDB can place, and every part is sealed. The last part says so: a missing end is noticed.
"""

from collections.abc import Iterator

from .catalog import CatalogTransaction
from .errors import CorruptError, InvalidError
from .layout import BLOB_NAME_BYTES_MAX, BLOB_PART_BYTES, blob_key, node_key, seal, unseal


def read(txn: CatalogTransaction, name: str) -> bytes | None:
    """The bytes kept under a name, or None; CorruptError if a part is damaged or missing."""
    start = blob_key(name)
    parts: list[bytes] = []
    for key, value in _items(txn, start):
        last, part = unseal(key, value, f"the blob {name!r}")
        if key != start + node_key(len(parts)):
            break
        parts.append(part)
        if last:
            return b"".join(parts)
    if parts:
        raise CorruptError(f"the blob {name!r} misses part {len(parts)}; run check")
    return None


def check_name(name: str) -> None:
    """InvalidError unless something can be kept under this name."""
    if not 0 < len(name.encode()) <= BLOB_NAME_BYTES_MAX or "\0" in name:
        raise InvalidError(f"want a name of 1..{BLOB_NAME_BYTES_MAX} bytes, got {name[:60]!r}")


def write(txn: CatalogTransaction, name: str, content: bytes) -> None:
    """Keep bytes under a checked name, in place of what was there."""
    delete(txn, name)
    count = max(1, -(-len(content) // BLOB_PART_BYTES))
    for part in range(count):
        piece = content[part * BLOB_PART_BYTES : (part + 1) * BLOB_PART_BYTES]
        key = blob_key(name) + node_key(part)
        txn.put("blobs", key, seal(key, (part == count - 1, piece)))


def delete(txn: CatalogTransaction, name: str) -> bool:
    """Forget the bytes kept under a name; whether there were any."""
    keys = [key for key, _ in _items(txn, blob_key(name))]
    for key in keys:
        txn.delete("blobs", key)
    return bool(keys)


def names(txn: CatalogTransaction) -> list[str]:
    """The names under which something is kept, ascending."""
    return sorted({key[:-5].decode() for key, _ in txn.items("blobs")})


def _items(txn: CatalogTransaction, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    for key, value in txn.items("blobs", start):
        if not key.startswith(start):
            return
        yield key, value
