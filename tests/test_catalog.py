"""The catalog: what a process keeps of small tables is that of the state which it looks at."""

from pathlib import Path

import pytest
import quillian as ql


def test_types_and_namespaces_of_an_aborted_transaction_are_unknown_to_others(
    tmp_path: Path,
) -> None:
    with ql.open(tmp_path / "store") as store:
        store.add("a", id="a")
        with pytest.raises(ql.InvalidError), store.transaction() as txn:
            txn.link("a", "a", "likes")
            txn.add("b", id="b", namespace="other")
            raise ql.InvalidError("stop")
        with store.snapshot() as view:
            assert (view.type_numbers(), view.namespace_numbers()) == ({}, {"": 0})
        store.link("a", "a", "knows")
        with store.snapshot() as view:
            assert view.type_numbers() == {"knows": 0}


def test_a_snapshot_from_before_keeps_its_types_and_head(tmp_path: Path) -> None:
    with ql.open(tmp_path / "store") as store:
        store.add("a", id="a")
        with store.snapshot() as before:
            store.link("a", "a", "knows")
            with store.snapshot() as after:
                assert after.type_numbers() == {"knows": 0}
            assert before.type_numbers() == {}
            assert before.catalog.head().commit == before.head.commit
