"""Columns of pandas go in as they are: frames as metadata, what is missing as not given."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import quillian as ql


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ql.Store]:
    with ql.open(tmp_path / "store", dim=3) as opened:
        yield opened


def test_frame_becomes_concepts_and_their_metadata(store: ql.Store) -> None:
    frame = pd.DataFrame(
        {
            "id": ["a", "b", None],
            "text": ["red", "green", None],
            "pop": [1, 2, float("nan")],
            "at": pd.to_datetime(["2020-01-01T00:00", None, "2020-01-03T04:05"]),
        }
    )
    with store.transaction() as txn:
        nodes = txn.add_many(frame["text"], ids=frame["id"], data=frame[["pop", "at"]])
        txn.link_many(frame["id"][:1], frame["id"][1:2], "likes", weights=pd.Series([2.5]))
    with store.snapshot() as view:
        found = [view.get(int(node)) for node in nodes]
        assert [x.text for x in found] == ["red", "green", None]
        assert [x.id for x in found][:2] == ["a", "b"]
        assert [x.data for x in found] == [
            {"pop": 1.0, "at": "2020-01-01T00:00:00"},
            {"pop": 2.0},
            {"at": "2020-01-03T04:05:00"},
        ]
        late = view.concepts(where={"at": {"$gte": "2020-01-02"}})
        assert [x.node for x in late] == [nodes[2]]
        assert [x.weight for x in view.neighbours("a")] == [2.5]


def test_frame_in_the_place_of_texts_is_told_where_it_goes(store: ql.Store) -> None:
    with pytest.raises(ql.InvalidError, match=r"got \['price'\]: pass fields as data="):
        store.add_many(pd.DataFrame({"price": [1.5]}))
