"""The catalog: concepts, ids, names, types and the commit point, in one LMDB environment.

LMDB is the only commit authority: what a transaction here commits is what exists; rows and log
records beyond the lengths in its Head do not. Environments are opened once per process and path
(directory.py keeps the registry) and never used across fork.
"""

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import lmdb

from . import environment
from .concepts import HotRows
from .dirty import Dirty
from .edges import EdgeTable, Found
from .environment import lmdb_errors, translated
from .errors import ClosedError
from .heads import Head, Manifest, read
from .layout import (
    HEAD_KEY,
    STORE_KEY,
    TABLES,
    id_key,
    id_keys,
    name_key,
    node_key,
    node_of,
    seal,
)


class Known(NamedTuple):
    """What this process has read of small tables as one LMDB transaction left them."""

    number: int
    found: dict[str | bytes, Any]


class Catalog:
    """The open LMDB environment of one store."""

    def __init__(self, path: Path, *, read_only: bool, synced: bool = True):
        self.path = path
        self.read_only = read_only
        self.synced = synced  # Whether commits wait for the disk; if not, see durability.py.
        self._switching = threading.Lock()  # Held while the environment is exchanged.
        self._lock_file: int | None = None  # See shrink.
        self.known = Known(-1, {})  # Of the newest state that was looked at.
        with lmdb_errors(f"open {path}"):
            self._env = self._opened()
            _open_catalogs.add(self)
            self._env.reader_check()  # Slots of dead processes.

    def begin(self, *, write: bool = False) -> "CatalogTransaction":
        """A consistent view of all tables; to write, the caller must hold the writer's lock."""
        with self._switching:
            try:
                return CatalogTransaction(self, self._env.begin(write=write), write=write)
            except lmdb.Error as error:
                if not isinstance(error, lmdb.PanicError) or self._has_open():
                    raise translated(error, "begin a transaction") from error
            with lmdb_errors("begin a transaction"):  # It could not write its meta page.
                self._env.close()
                self._env = self._opened()
                return CatalogTransaction(self, self._env.begin(write=write), write=write)

    def _has_open(self) -> bool:
        return any(txn._catalog is self for txn in _still_open())

    def _opened(self) -> lmdb.Environment:
        self.known = Known(-1, {})  # A file written anew counts its transactions anew.
        return environment.open_environment(self.path, read_only=self.read_only, synced=self.synced)

    def sync(self) -> None:
        """Make all pages of all commits durable; not their order, see syncpoints.py."""
        with lmdb_errors("sync the catalog"):
            self._env.sync(True)

    @property
    def page_bytes(self) -> int:
        """Size of LMDB's pages."""
        return int(self._env.stat()["psize"])

    def meta(self, txn: int) -> bytes | None:
        """LMDB's meta page of the last commit if `txn` is its number, else None."""
        meta = environment.meta_read(self.path, self.page_bytes, txn)
        return meta if self._env.info()["last_txnid"] == txn else None  # Nobody overwrote it.

    def replaced(self, write: Callable[[Path], None]) -> bool:
        """Let `write` put another file in place, if nobody else has it open; whether it did.

        Every value goes through a new environment, so no byte of a deleted one can follow it. The
        lock that keeps others from opening the old file is LMDB's own: closing any descriptor of
        its file would drop it, so ours stays open as long as the catalog.
        """
        with self._switching:
            if self._has_open():
                return False
            self._env.close()
            try:
                if self._lock_file is None:
                    self._lock_file = os.open(f"{self.path}-lock", os.O_RDWR | os.O_CLOEXEC)
                fcntl.lockf(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
                write(self.path)
            except (BlockingIOError, PermissionError):  # Somebody else has it open.
                return False
            finally:
                self._env = self._opened()
        return True

    def copy(self, txn: "CatalogTransaction", target: Path) -> None:
        """Write what a reading transaction sees to a new file, without what LMDB keeps free."""
        with lmdb_errors(f"copy the catalog to {target}"), target.open("xb") as file:
            self._env.copyfd(file.fileno(), compact=True, txn=txn.txn)

    def readers(self) -> list[tuple[int, int]]:
        """(process, LMDB transaction that it reads) of every open snapshot, dead ones cleared."""
        self._env.reader_check()
        rows = [line.split() for line in str(self._env.readers()).splitlines()[1:]]
        return [(int(row[0]), int(row[-1])) for row in rows if row[-1].isdigit()]

    def readers_behind(self, txn: "CatalogTransaction") -> list[dict[str, int]]:
        """How many transactions every open snapshot but this one is behind it, oldest first."""
        others = self.readers()
        own = (os.getpid(), txn.number)
        if own in others:  # Where the folder is read-only LMDB keeps no table.
            others.remove(own)
        found = [{"process": pid, "behind": txn.number - number} for pid, number in others]
        return sorted(found, key=lambda reader: -reader["behind"])

    def oldest_s(self, besides: "CatalogTransaction") -> float:
        """Seconds since the oldest other open snapshot of this process began; 0: there is none."""
        others = [x for x in _still_open() if x._catalog is self]
        now = time.monotonic()
        return max((now - x.began for x in others if x is not besides), default=0.0)

    def free_bytes(self) -> int:
        """Bytes of the file that hold nothing that the last commit sees."""
        with lmdb_errors("read the catalog's size"):
            stat, info = self._env.stat(), self._env.info()
        used = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return max(0, info["last_pgno"] - 1 - used) * int(stat["psize"])  # Two hold the metas.

    def oldest_reader(self) -> int | None:
        """The LMDB transaction that the oldest open snapshot of any process reads."""
        return min((number for _, number in self.readers()), default=None)

    def close(self) -> None:
        """Close the environment; open transactions of it become invalid."""
        self._env.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


class CatalogTransaction(EdgeTable):
    """One LMDB transaction over all tables. Not shared between threads when writing."""

    def __init__(self, catalog: Catalog, txn: lmdb.Transaction, *, write: bool = False):
        self._catalog = catalog
        self._txn: lmdb.Transaction | None = txn
        self._dictionaries: dict[int, bytes] = {}
        self.found_at = int(txn.id()) - write  # LMDB's number of the commit that it builds on.
        self._written: set[str | bytes] = set()  # Tables, and keys of "store".
        self._new_head: Head | None = None
        self.changed: set[int] = set()
        self.noted: list[HotRows] = []
        self.began = time.monotonic()
        self._entry = weakref.ref(self, _open_transactions.discard)
        _open_transactions.add(self._entry)
        self._dirty = Dirty(catalog.path)

    @property
    def txn(self) -> lmdb.Transaction:
        if self._txn is None:
            raise ClosedError("this snapshot or transaction has ended; open another one")
        return self._txn

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self._txn is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.abort()

    @property
    def number(self) -> int:
        """LMDB's number of this transaction, or of the one whose commit it reads."""
        return int(self.txn.id())

    def newest(self) -> "CatalogTransaction":
        """A new view of the same catalog, of its last commit."""
        return self._catalog.begin()

    def abort(self) -> None:
        """Forget everything since begin; for a reader, end it."""
        if self._txn is not None:
            self._txn.abort()
            self._txn = None
            _open_transactions.discard(self._entry)
            self._dirty.end()

    def commit(self) -> None:
        """Make it visible and, by LMDB's syncs, durable; on failure nothing of it happened."""
        txn, number = self.txn, self.number
        try:
            with lmdb_errors("commit"):
                txn.commit()
        finally:
            self._txn = None
            _open_transactions.discard(self._entry)
            self._dirty.end()
        if self._new_head is not None:  # Of what it did not write, what was known stays right.
            found = self._found()
            kept = {what: found[what] for what in found.keys() - self._written}
            self._catalog.known = Known(number, {**kept, HEAD_KEY: self._new_head})

    def known(self, what: str | bytes, read: Callable[[], Found]) -> Found:
        """What `read` makes of a table, or of one key of "store": made once for every state.

        All who ask share it, so it is not to be changed.
        """
        if what in self._written:
            return read()
        found = self._found()
        if what not in found:
            found[what] = read()
        return cast("Found", found[what])

    def _found(self) -> dict[str | bytes, Any]:
        known = self._catalog.known
        if known.number < self.found_at:
            known = self._catalog.known = Known(self.found_at, {})
        return known.found if known.number == self.found_at else {}

    def _get(self, table: str, key: bytes) -> bytes | None:
        try:
            return cast("bytes | None", self.txn.get(TABLES[table] + key))
        except lmdb.Error as error:
            raise translated(error, f"read {table}") from error

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Write one sealed value."""
        self._written.add(key if table == "store" else table)
        self._dirty.count(1, len(key) + len(value))
        with lmdb_errors(f"write {table}"):
            self.txn.put(TABLES[table] + key, value)

    def _put_many(
        self, table: str, items: Iterable[tuple[bytes, bytes]], *, append: bool = False
    ) -> None:
        prefix = TABLES[table]
        self._written.add(table)
        with lmdb_errors(f"write {table}"):
            pairs = [(prefix + key, value) for key, value in items]
            self._dirty.count_pairs(pairs)
            self.txn.cursor().putmulti(pairs, append=append)

    def delete(self, table: str, key: bytes) -> bool:
        """Remove one value; whether there was one."""
        self._written.add(key if table == "store" else table)
        self._dirty.count(1, 0)
        with lmdb_errors(f"write {table}"):
            return bool(self.txn.delete(TABLES[table] + key))

    def items(self, table: str, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of a table in key order, from the first key >= start."""
        prefix = TABLES[table]
        with lmdb_errors(f"read {table}"):
            cursor = self.txn.cursor()
            if cursor.set_range(prefix + start):
                for key, value in cast("Iterator[tuple[bytes, bytes]]", iter(cursor)):
                    if not key.startswith(prefix):
                        return
                    yield key[1:], value

    # The store and its head.

    def manifest(self) -> Manifest | None:
        """The store's manifest; None where no store was created yet."""
        value = self._get("store", STORE_KEY)
        return None if value is None else read(Manifest, STORE_KEY, value)

    def put_manifest(self, manifest: Manifest) -> None:
        self.put("store", STORE_KEY, seal(STORE_KEY, asdict(manifest)))

    def head(self) -> Head:
        """What the last commit made visible."""
        return self.known(HEAD_KEY, self._read_head)

    def _read_head(self) -> Head:
        value = self._get("store", HEAD_KEY)
        return Head() if value is None else read(Head, HEAD_KEY, value)

    def put_head(self, head: Head) -> None:
        self._new_head = head
        self.put("store", HEAD_KEY, seal(HEAD_KEY, head._asdict()))

    # Ids and names.

    def node(self, id: str, namespace: int = 0) -> int | None:
        """The node number of an id in the namespace of a number, or None."""
        value = self._get("ids", id_key(id, namespace))
        return None if value is None else int(node_of(value)[0])

    def nodes_of(self, ids: Iterable[str], namespace: int = 0) -> dict[str, int]:
        """The node number of each of these ids that there is in a namespace."""
        prefix = TABLES["ids"]
        ids = list(ids)
        keys = [prefix + key for key in id_keys(ids, namespace)]
        if not keys:
            return {}
        with lmdb_errors("read ids"):
            cursor = self.txn.cursor()
            if not cursor.set_range(min(keys)) or bytes(cursor.key()) > max(keys):
                return {}  # All are new and stand together, as those of most batches do.
            by_key = dict(zip(keys, ids, strict=True))
            found = cursor.getmulti(sorted(keys))
        return {by_key[bytes(key)]: int(node_of(value)[0]) for key, value in found}

    def put_ids(self, ids: Iterable[str], nodes: Iterable[int], namespace: int) -> None:
        """Write the nodes of ids in the namespace of a number."""
        keys = id_keys(ids, namespace)
        self._put_many("ids", sorted(zip(keys, map(node_key, nodes), strict=True)))

    def delete_id(self, id: str, namespace: int = 0) -> None:
        self.delete("ids", id_key(id, namespace))

    def starts_name(self, *starts: str) -> bool:
        """Whether a name or alias, folded as in its key, starts with one of these."""
        with lmdb_errors("read names"):
            cursor = self.txn.cursor()
            for start in starts:
                key = TABLES["names"] + start.encode()
                if cursor.set_range(key) and bytes(cursor.key()).startswith(key):
                    return True
        return False

    def named(self, name: str) -> list[int]:
        """Node numbers of the concepts with this name or alias, ascending."""
        start = name_key(name)
        found = []
        for key, _ in self.items("names", start):
            if not key.startswith(start):
                break
            found.append(int(node_of(key[len(start) :])[0]))
        return found

    def put_names(self, pairs: Iterable[tuple[str, int]]) -> None:
        self._put_many(
            "names", sorted((name_key(name) + node_key(node), b"") for name, node in pairs)
        )

    def delete_name(self, name: str, node: int) -> None:
        self.delete("names", name_key(name) + node_key(node))


_open_transactions: "set[weakref.ref[CatalogTransaction]]" = set()  # A WeakSet took 2 us of 5.
_open_catalogs: "weakref.WeakSet[Catalog]" = weakref.WeakSet()


def _still_open() -> list[CatalogTransaction]:
    return [txn for entry in list(_open_transactions) if (txn := entry()) is not None]


def _after_fork() -> None:
    """In a forked child: forget the parent's environments, so that the child may open its own.

    Their destructor would abort the parent's read transactions in the shared reader table, so those
    environments are leaked, and so are the transactions, for the same reason.
    """
    for txn in _still_open():
        environment.leak(txn._txn)
        txn._txn = None
    for catalog in _open_catalogs:
        environment.leak(catalog._env)
    _open_catalogs.clear()
    environment.forget_files()


os.register_at_fork(after_in_child=_after_fork)
