"""Bytes kept under a name: whole or absent, as old as the snapshot, and sealed."""

import lmdb
import numpy as np
import pytest
import quillian as ql

SIZES = [0, 1, 262_143, 262_144, 262_145, 1_000_000]


def content(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_kept_comes_back(store: ql.Store, size: int) -> None:
    with store.transaction() as txn:
        txn.keep("a", content(size))
        assert txn.blob("a") == content(size)
    with store.snapshot() as snapshot:
        assert snapshot.blob("a") == content(size)
        assert snapshot.blob("b") is None
    assert store.check() == []


def test_a_shorter_one_replaces_a_longer_one_whole(store: ql.Store) -> None:
    with store.transaction() as txn:
        txn.keep("a", content(1_000_000))
        txn.keep("ab", b"other")
    with store.snapshot() as before, store.transaction() as txn:
        txn.keep("a", b"short")
        assert before.blob("a") == content(1_000_000)
    with store.snapshot() as after:
        assert (after.blob("a"), after.blob("ab")) == (b"short", b"other")


def test_an_aborted_one_never_was_and_none_forgets(store: ql.Store) -> None:
    with pytest.raises(RuntimeError), store.transaction() as txn:
        txn.keep("a", b"x")
        raise RuntimeError
    with store.snapshot() as snapshot:
        assert snapshot.blob("a") is None
    with store.transaction() as txn:
        txn.keep("a", b"x")
        txn.keep("a", None)
        assert txn.blob("a") is None


@pytest.mark.parametrize("name", ["", "x" * 256, "a\0b"])
def test_wrong_names_are_refused(store: ql.Store, name: str) -> None:
    with store.transaction() as txn, pytest.raises(ql.InvalidError):
        txn.keep(name, b"x")


@pytest.mark.parametrize("damage", ["flip", "lose", "cut"])
def test_damage_is_noticed_and_named(store: ql.Store, damage: str) -> None:
    with store.transaction() as txn:
        txn.keep("net", content(600_000))
    path = store.path
    store.close()
    with lmdb.open(str(path / "catalog.mdb"), subdir=False) as env, env.begin(write=True) as txn:
        keys = [b"Bnet\0" + part.to_bytes(4, "big") for part in range(3)]
        value = bytearray(txn.get(keys[1]))
        value[1000] ^= 1
        if damage == "flip":
            txn.put(keys[1], bytes(value))
        else:
            txn.delete(keys[1] if damage == "lose" else keys[2])
    with ql.open(path) as store:
        with store.snapshot() as snapshot, pytest.raises(ql.CorruptError, match="'net'"):
            snapshot.blob("net")
        assert [p for p in store.check() if p.lost and "'net'" in p.message]
