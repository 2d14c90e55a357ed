"""Selection: rows, provenance, views, life after its snapshot."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from conftest import DIM
from quillian import selection as module
from quillian.layout import node_key


def test_rows_give_id_score_text_name_and_why(atlas: ql.Store) -> None:
    found = atlas.search(vector=np.eye(DIM)[0] + 0.1, k=2)
    row = found[0]
    assert (row.id, row.text, row.name, row.node) == ("paris", "Paris, a city", "Paris", 0)
    assert row.score == pytest.approx(1.0)
    assert "Near" in row.why
    assert "paris" in row.why
    assert found[-1].id == found[1].id
    with pytest.raises(IndexError):
        found[2]


@pytest.mark.parametrize("scores", [[0, 0, 0], [1, 2, 3]])
def test_as_rows_finds_the_row_of_each_node_in_any_order(
    atlas: ql.Store, scores: list[int]
) -> None:
    with atlas.snapshot() as view:
        ids = np.array([1, 3, 4], np.uint64)
        made = ql.Selection.everything(view).derive("x", ids, np.array(scores, np.float32))
    rows = module.as_rows(made, np.array([4, 0, 1, 5, 3, 2], np.uint64))
    places = made.ids.tolist()
    assert rows.tolist() == [places.index(4), -1, places.index(1), -1, places.index(3), -1]


def test_equal_scores_go_by_node_number(atlas: ql.Store) -> None:
    with atlas.snapshot() as view:
        start = ql.Selection.everything(view)
        made = start.derive("x", np.array([4, 1, 3], np.uint64), np.array([1, 2, 1], np.float32))
    assert made.ids.tolist() == [1, 3, 4]


def test_trail_goes_through_every_operator(atlas: ql.Store) -> None:
    plan = ql.Query(ql.Near(1), ql.Expand(), ql.Top(5))
    found = atlas.run(plan, about=np.eye(DIM)[0] + 0.1)
    row = [r.id for r in found].index("france")
    hops = found.trail(row)
    assert [hop.id for hop in hops] == ["paris", "france", "france"]
    assert [hop.operator.split("(")[0] for hop in hops] == ["Near", "Expand", "Top"]
    assert hops[1].columns["via"] == "capital_of"


def test_explain_lists_steps_with_rows_and_costs(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Near(3), ql.Expand(), ql.Top(2)), about=np.ones(DIM))
    lines = found.explain().splitlines()
    assert [line.split("(")[0] for line in lines] == ["Near", "Expand", "Top"]
    assert "all -> 3" in lines[0]
    assert "distances 5" in lines[0]
    assert "edges" in lines[1]


def test_selection_outlives_its_snapshot(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Near(2), ql.Top(1)), about=np.ones(DIM))
    atlas.forget(found[0].id)
    assert found[0].text
    assert found.trail(0)
    assert found.to_dict()["id"] == [found[0].id]


def test_rows_of_a_closed_store_are_as_they_were(path: Path) -> None:
    with ql.open(path, embedder="none", hot_bytes=1_500) as store:  # Some of them are cold.
        store.add_many([f"word {i}" for i in range(60)], ids=[f"c{i}" for i in range(60)])
        store.add("word", id="last", data={"n": 1})
        wanted = {concept.id: concept for concept in store.snapshot().concepts()}
        assert store.stats()["tiers"]["cold"]
        found = store.search("word", 61, method="words")
        before = store.stats()["tiers"]["reads"]
    assert before == 61
    assert {row.id: row.concept for row in found} == wanted
    assert found.concepts() == [wanted[id] for id in found.to_dict()["id"]]
    assert {type(x) for x in found.concepts()} == {ql.Concept}


def test_an_answer_can_be_pickled_and_copied(path: Path) -> None:
    with ql.open(path, dim=DIM) as store:
        store.add_many(["word", "word two"], ids=["a", "b"], vectors=np.eye(DIM)[:2])
        store.link("a", "b", "next")
        found = store.search("word", vector=np.ones(DIM))
        assert found.step is not None
        assert {x._reader for x in found.reached()} == {None}  # It keeps no ended snapshot.
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert again.to_dict() == found.to_dict()
        assert again.explain() == found.explain()
        assert [row.why for row in again] == [row.why for row in found]


def test_a_record_that_is_damaged_is_an_error_when_its_row_is_read(atlas: ql.Store) -> None:
    with atlas._open_directory().catalog.begin(write=True) as txn:
        key = node_key(0)
        txn.put("concepts", key, (txn._get("concepts", key) or b"")[:-1] + b"!")
        txn.commit()
    found = atlas.run(ql.Near(5), about=np.eye(DIM)[0] + 0.1)
    with pytest.raises(ql.CorruptError, match="concept number 0"):
        _ = found[0].text


def test_large_selection_says_what_to_do(atlas: ql.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DETACHED_ROWS_MAX", 2)
    found = atlas.run(ql.All())
    assert len(found) == 5
    with pytest.raises(ql.ClosedError, match="with store"):
        found.concepts()


def test_arrays_are_read_only(atlas: ql.Store) -> None:
    found = atlas.search(vector=np.ones(DIM))
    with pytest.raises(ValueError, match="read-only"):
        found.ids[0] = 9
    with pytest.raises(ValueError, match="read-only"):
        found.scores[0] = 9


def test_html_view_escapes_text(store: ql.Store) -> None:
    store.add("<script>", id="x", vector=np.ones(DIM))
    view = store.search(vector=np.ones(DIM))._repr_html_()
    assert "<script>" not in view
    assert "&lt;script&gt;" in view


def test_row_gives_its_metadata_and_the_columns_of_operators(atlas: ql.Store) -> None:
    found = atlas.run(ql.Query(ql.Near(1), ql.Expand()), about=np.ones(DIM))
    assert [row["hop"] for row in found] == found.columns["hop"].tolist()
    assert type(found[0]["via"]) is str
    assert found[0].data == found[0].concept.data
    with pytest.raises(ql.NotFoundError, match="no column 'hops'; known: hop, via, parent"):
        found[0]["hops"]
