"""Transaction: adding, linking, forgetting, conflicts, commit and abort."""

import os
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from conftest import DIM, Letters
from quillian.catalog import CatalogTransaction
from quillian.vectors import VectorLog


def ids(selection: ql.Selection) -> list[str]:
    return [row.id for row in selection]


def test_added_concept_has_what_was_given(store: ql.Store) -> None:
    with store.transaction() as txn:
        node = txn.add(
            "Paris is a city", id="paris", name="Paris", aliases=["Lutetia"], vector=np.ones(DIM),
            source="atlas", kind="city", data={"pop": 2.1, "tags": ["a", None, True]},
            since="1800-01-01", until="2200-01-01", strength=0.5, confidence=0.9,
        )  # fmt: skip
    concept = store.get("paris")
    assert (concept.node, concept.text, concept.name) == (node, "Paris is a city", "Paris")
    assert (concept.aliases, concept.source, concept.kind) == (("Lutetia",), "atlas", "city")
    assert concept.data == {"pop": 2.1, "tags": ["a", None, True]}
    assert (concept.strength, concept.confidence) == (0.5, 0.9)
    assert (concept.since or 0) < 0 < (concept.until or 0)
    assert concept.created_ns > 0


def test_writer_reads_its_own_writes_and_readers_do_not(store: ql.Store) -> None:
    with store.transaction() as txn:
        txn.add("a", id="a", vector=np.eye(DIM)[0])
        txn.add("b", id="b", vector=np.eye(DIM)[1])
        txn.link("a", "b", "likes")
        assert txn.get("a").text == "a"
        assert ids(txn.near(np.eye(DIM)[1], k=1)) == ["b"]
        assert [x.target for x in txn.neighbours("a")] == ["b"]
        with store.snapshot() as other:
            assert "a" not in other
            assert len(other.near(np.ones(DIM))) == 0
            assert len(other.all_nodes()) == 0


def test_abort_leaves_nothing(atlas: ql.Store) -> None:
    before = atlas.stats()
    with pytest.raises(RuntimeError, match="stop"), atlas.transaction() as txn:
        txn.add("x", id="x", vector=np.ones(DIM))
        txn.forget("paris")
        txn.link("rome", "france", "visits")
        txn.unlink("rome", "italy")
        raise RuntimeError("stop")
    after = atlas.stats()
    for volatile in ("size_bytes", "reclaimable_bytes", "memory"):
        before.pop(volatile), after.pop(volatile)
    for volatile in ("reads", "hit_ratio"):  # The transaction did read.
        before["tiers"].pop(volatile), after["tiers"].pop(volatile)
    assert after == before
    assert ids(atlas.search(vector=np.eye(DIM)[0] + 0.1, k=1)) == ["paris"]
    with atlas.snapshot() as view:
        assert [x.target for x in view.neighbours("rome")] == ["italy"]
        assert "x" not in view


def test_abort_then_commit_reuses_the_space_rightly(store: ql.Store) -> None:
    with pytest.raises(RuntimeError), store.transaction() as txn:
        txn.add_many(ids=[f"gone{i}" for i in range(9)], vectors=np.full((9, DIM), 9.0))
        txn.link_many([f"gone{i}" for i in range(8)], ["gone8"] * 8, "t")
        raise RuntimeError
    store.add_many(ids=["a", "b"], vectors=np.eye(2, DIM))
    store.link("a", "b", "t")
    assert ids(store.search(vector=np.eye(DIM)[0])) == ["a", "b"]
    assert store.stats()["associations"] == 1
    assert store.check() == []


def test_duplicate_id_is_a_conflict_and_nothing_is_written(atlas: ql.Store) -> None:
    with pytest.raises(ql.ConflictError, match="'paris'"):
        atlas.add_many(ids=["new", "paris"], texts=["n", "p"])
    with atlas.snapshot() as view:
        assert "new" not in view


def test_skip_keeps_the_old_concept(atlas: ql.Store) -> None:
    nodes = atlas.add_many(ids=["paris", "lyon", "lyon"], texts=["x", "y", "z"], on_conflict="skip")
    assert atlas.get("paris").text == "Paris, a city"
    assert atlas.get("lyon").text == "y"
    assert nodes[1] == nodes[2]


@pytest.mark.parametrize("on_conflict", ["error", "replace", "merge"])
def test_an_id_that_stands_twice_in_a_batch_is_refused(atlas: ql.Store, on_conflict: str) -> None:
    for id in ("new", "paris"):
        with pytest.raises(ql.ConflictError):
            atlas.add_many(ids=[id, id], vectors=np.eye(2, DIM), on_conflict=on_conflict)
    assert atlas.stats()["vectors"] == 5


def test_replace_keeps_node_and_associations(atlas: ql.Store) -> None:
    old = atlas.get("paris")
    atlas.add("new text", id="paris", vector=-np.ones(DIM), on_conflict="replace")
    new = atlas.get("paris")
    assert (new.node, new.text, new.name, new.data) == (old.node, "new text", None, {})
    assert new.created_ns == old.created_ns < new.updated_ns
    with atlas.snapshot() as view:
        assert [x.target for x in view.neighbours("paris")] == ["france"]
        assert view.named("Paris") == []
    assert ids(atlas.search(vector=-np.ones(DIM), k=1)) == ["paris"]
    assert len(atlas.search(vector=np.ones(DIM), k=99)) == 5


@pytest.mark.parametrize("on_conflict", ["skip", "replace", "merge"])
@pytest.mark.parametrize("listed", [False, True])
def test_new_and_known_rows_of_a_batch_get_their_own_vectors(
    store: ql.Store, on_conflict: str, listed: bool
) -> None:
    rows = np.eye(DIM, dtype=np.float32)[:4]
    store.add_many(ids=["b", "d"], vectors=-rows[[1, 3]])
    given = [*rows[:3], None] if listed else rows
    store.add_many(ids=["a", "b", "c", "d"], vectors=given, on_conflict=on_conflict)
    expected = rows.copy()
    if on_conflict == "skip":
        expected[[1, 3]] *= -1
    elif listed:
        expected[3] *= -1
    with store.snapshot() as view:
        found = "abc" if listed and on_conflict == "replace" else "abcd"
        actual = view.vectors([view.node(id) for id in found])
    np.testing.assert_array_equal(actual, expected[: len(found)])


def test_merge_keeps_what_is_not_given(atlas: ql.Store) -> None:
    atlas.add(
        id="paris", name="Paname", data={"mayor": "A"}, aliases=["Paris"], on_conflict="merge"
    )
    merged = atlas.get("paris")
    assert (merged.text, merged.name) == ("Paris, a city", "Paname")
    assert merged.data == {"pop": 2.1, "mayor": "A"}
    assert ids(atlas.search(vector=np.eye(DIM)[0] + 0.1, k=1)) == ["paris"]
    with atlas.snapshot() as view:
        assert [c.id for c in view.named("paris")] == ["paris"]


def test_forget_removes_concept_vector_names_and_associations(atlas: ql.Store) -> None:
    atlas.forget("france")
    with atlas.snapshot() as view:
        assert "france" not in view
        assert view.named("France") == []
        assert view.neighbours("paris") == []
        assert [x.source for x in view.neighbours("europe", direction="in")] == ["italy"]
    assert "france" not in ids(atlas.search(vector=np.ones(DIM), k=9))
    assert atlas.stats()["concepts"] == 4
    assert atlas.check() == []


def test_forgotten_id_can_be_added_again_under_a_new_node(atlas: ql.Store) -> None:
    old = atlas.get("rome").node
    atlas.forget("rome")
    atlas.add("again", id="rome", vector=np.eye(DIM)[7])
    assert atlas.get("rome").node > old
    with atlas.snapshot() as view:
        assert view.neighbours("rome") == []


def test_link_replaces_the_association_of_the_same_key(atlas: ql.Store) -> None:
    atlas.link("paris", "france", "capital_of", weight=2.0)
    with atlas.snapshot() as view:
        (found,) = view.neighbours("paris")
    assert (found.weight, found.confidence, found.origin) == (2.0, 1.0, None)
    assert atlas.stats()["associations"] == 4


def test_association_keeps_confidence_origin_times_and_data(atlas: ql.Store) -> None:
    atlas.link(
        "rome", "europe", "in", weight=-0.25, confidence=0.3, origin="me",
        since=5, until=7, data={"page": 3},
    )  # fmt: skip
    with atlas.snapshot() as view:
        (found,) = view.neighbours("rome", types=["in"])
    expected = ql.Association("rome", "europe", "in", -0.25, 0.3, "me", 5, 7, {"page": 3})
    assert found == expected


def test_unlink_removes_one_type_or_all(atlas: ql.Store) -> None:
    atlas.link("paris", "france", "in")
    with atlas.transaction() as txn:
        assert txn.unlink("paris", "france", "in") == 1
        txn.link("paris", "france", "in")
        assert txn.unlink("paris", "france") == 2
    with pytest.raises(ql.NotFoundError), atlas.transaction() as txn:
        txn.unlink("paris", "france")
    assert atlas.stats()["associations"] == 3


def test_links_to_unknown_ids_are_refused_unless_created(atlas: ql.Store) -> None:
    with pytest.raises(ql.NotFoundError, match="'lyon'"):
        atlas.link("lyon", "france", "in")
    with atlas.transaction() as txn:
        txn.link("lyon", "france", "in", create=True)
    assert atlas.get("lyon").text is None


def test_link_many_takes_node_numbers(atlas: ql.Store) -> None:
    nodes = np.array([atlas.get(x).node for x in ("paris", "rome", "europe")], dtype=np.uint64)
    with atlas.transaction() as txn:
        assert (
            txn.link_many(nodes[:2], nodes[[2, 2]], ["a", "b"], weights=np.array([1.5, 2.5])) == 2
        )
    with atlas.snapshot() as view:
        found = {(x.source, x.type): x.weight for x in view.neighbours("europe", ["a", "b"], "in")}
    assert found == {("paris", "a"): 1.5, ("rome", "b"): 2.5}
    with pytest.raises(ql.NotFoundError):
        atlas.link_many([0], [99], "t")


def test_texts_are_embedded_and_given_vectors_win(path: Path, letters: Letters) -> None:
    with ql.open(path, embedder=letters) as store:
        store.add_many(
            texts=["aa", "aa", "zz", "bb"], ids=["a", "b", "z", "v"],
            vectors=[None, None, None, np.eye(DIM)[7]],
        )  # fmt: skip
        assert store.get("z").slots == ()  # No letter that this embedder knows: no direction.
        with store.snapshot() as view:
            assert (view.vectors([0, 1]) == letters.embed(["aa", "aa"])).all()
            assert (view.vectors([3]) == np.eye(DIM)[7]).all()


def test_ids_are_made_when_not_given_and_never_collide(store: ql.Store) -> None:
    store.add("mine", id="_:1")
    nodes = store.add_many(texts=["a", "b"])
    assert len({store.get(int(node)).id for node in nodes} | {"_:1"}) == 3


def test_second_transaction_of_the_process_waits_then_names_the_holder(path: Path) -> None:
    blocked = pytest.raises(ql.LockTimeout, match=f"pid {os.getpid()}")
    with ql.open(path, dim=2, lock_timeout=0.05) as store, store.transaction(), blocked:
        store.transaction()


def test_ended_transaction_refuses_further_use(store: ql.Store) -> None:
    with store.transaction() as txn:
        txn.add("a", id="a")
    with pytest.raises(ql.ClosedError):
        txn.add("b")
    txn.close()


def test_long_and_odd_ids_are_found(store: ql.Store) -> None:
    odd = ["x" * 511, "x" * 510 + "y", "\u00fc" * 255, " spaced ", "_", "日本"]
    store.add_many(ids=odd, texts=odd)
    assert [store.get(id).text for id in odd] == odd
    with pytest.raises(ql.LimitError, match="511"):
        store.add("x", id="x" * 512)


def test_an_interrupt_behind_the_commit_point_finishes_the_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: CatalogTransaction) -> None:
        commit(self)
        raise KeyboardInterrupt

    commit = CatalogTransaction.commit
    store = ql.open(path, dim=DIM)
    store.add("b", id="b", vector=np.eye(DIM)[1])
    monkeypatch.setattr(CatalogTransaction, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt), store.transaction() as txn:
        txn.add("a", id="a", vector=np.eye(DIM)[0])
        txn.link("a", "b", "t")
    monkeypatch.undo()
    for _ in range(2):
        assert ids(store.search(vector=np.eye(DIM)[0])) == ["a", "b"]
        assert store.stats()["associations"] == 1
        assert store.check() == []
        store.close()
        store = ql.open(path)
    store.close()


def test_an_interrupt_before_the_commit_point_leaves_nothing(
    store: ql.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: CatalogTransaction) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CatalogTransaction, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.add("a", id="a", vector=np.eye(DIM)[0])
    monkeypatch.undo()
    store.add("b", id="b", vector=np.eye(DIM)[1])
    assert ids(store.search(vector=np.eye(DIM)[0])) == ["b"]
    assert store.stats()["rows"] == {"live": 1, "retired": 0}


def test_an_interrupt_while_rows_are_appended_leaves_none(
    store: ql.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> int:
        append(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    append = VectorLog.append
    monkeypatch.setattr(VectorLog, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.add("a", id="a", vector=np.eye(DIM)[0])
    monkeypatch.undo()
    store.add("b", id="b", vector=np.eye(DIM)[1])
    assert store.stats()["rows"] == {"live": 1, "retired": 0}


def test_a_change_that_failed_half_way_cannot_be_committed(
    store: ql.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object) -> None:
        raise OSError("disk")

    with pytest.raises(ql.InvalidError, match="half-way"), store.transaction() as txn:
        txn.add("a", id="a")
        monkeypatch.setattr(CatalogTransaction, "put_ids", failing)
        with pytest.raises(OSError, match="disk"):
            txn.add("b", id="b", vector=np.eye(DIM)[0])
        monkeypatch.undo()
    assert store.stats()["concepts"] == 0
    store.add("b", id="b", vector=np.eye(DIM)[0])
    assert store.check() == []


def test_a_refused_link_creates_no_concept_and_no_type(store: ql.Store) -> None:
    with store.transaction() as txn:
        with pytest.raises(ql.NotFoundError):
            txn.link("a", 99, "t", create=True)
        with pytest.raises(ql.InvalidError):
            txn.link_many(["a", ""], ["b", "c"], "t", create=True)
        with pytest.raises(ql.InvalidError):
            txn.link_many(["a", "a"], ["b", "b"], ["t", ""], create=True)
        assert txn.type_numbers() == {}
    assert store.stats()["concepts"] == 0


def test_a_transaction_that_is_dropped_leaves_nothing(store: ql.Store) -> None:
    store.add_many(["a", "b"], ids=["a", "b"])
    txn = store.transaction()
    txn.link("a", "b", "t")
    txn.add("c", id="c", vector=np.eye(DIM)[0])
    del txn
    with store.transaction() as txn:
        txn.link("b", "a", "t")
        txn.add("d", id="d", vector=np.eye(DIM)[1])
    assert store.stats()["associations"] == 1
    assert store.stats()["rows"] == {"live": 1, "retired": 0}


@pytest.mark.parametrize("end", ["commit", "abort", "close", "__del__"])
def test_a_forked_child_cannot_end_its_parents_transaction(atlas: ql.Store, end: str) -> None:
    with atlas.transaction() as txn:
        txn.add("x", id="x", vector=np.ones(DIM))
        txn.link("x", "paris", "t")
        child = os.fork()
        if child == 0:
            try:
                getattr(txn, end)()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert "x" not in ids(atlas.search(vector=np.ones(DIM)))
    assert atlas.check() == []
    assert "x" in ids(atlas.search(vector=np.ones(DIM)))


def test_associations_are_counted_rightly_whatever_a_commit_does_to_them(store: ql.Store) -> None:
    random = np.random.default_rng(5)
    store.add_many(ids=[str(i) for i in range(12)])
    for _ in range(40):
        with store.transaction() as txn:
            for source, target, type in random.integers(0, (12, 12, 2), (6, 3)):
                known = {(x.source, x.target, x.type) for x in txn.neighbours(str(source))}
                key = (str(source), str(target), str(type))
                if key in known and random.random() < 0.6:
                    txn.unlink(*key)
                elif random.random() < 0.8:
                    txn.link(*key, weight=2.0)
        with store.snapshot() as view:
            assert view.head.associations == view.graph.count()
