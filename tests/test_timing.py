"""Between is about recorded time, AsOf about validity; both are half-open."""

import pytest
import quillian as ql


def ids(found: ql.Selection) -> list[str]:
    return [row.id for row in found]


@pytest.fixture
def eras(store: ql.Store) -> ql.Store:
    with store.transaction() as txn:
        txn.add("x", id="always")
        txn.add("x", id="old", until=100)
        txn.add("x", id="now", since=100, until=200)
        txn.add("x", id="new", since=200)
    return store


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (0, ["always", "old"]),
        (99, ["always", "old"]),
        (100, ["always", "now"]),
        (199, ["always", "now"]),
        (200, ["always", "new"]),
        ("2020-01-01", ["always", "new"]),
    ],
)
def test_as_of_sees_what_was_valid_then(
    eras: ql.Store, time: int | str, expected: list[str]
) -> None:
    assert ids(eras.run(ql.AsOf(time))) == expected
    assert ids(eras.run(ql.Query(ql.Words(9), ql.AsOf(time)), about="x")) == expected


def test_between_is_half_open_in_recorded_time(
    store: ql.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (10, 20, 30):
        monkeypatch.setattr("time.time_ns", lambda now=now: now)
        store.add("x", id=str(now), since=now + 1000)
    assert ids(store.run(ql.Between(10, 30))) == ["10", "20"]
    assert ids(store.run(ql.Between(since=20))) == ["20", "30"]
    assert ids(store.run(ql.Between(until=20))) == ["10"]
    assert ids(store.run(ql.Between(20, 20))) == []
    assert ids(store.run(ql.Between(1000, 2000))) == []  # That is when they are valid.


def test_since_after_until_is_refused(store: ql.Store) -> None:
    with pytest.raises(ql.InvalidError, match="since <= until"):
        store.run(ql.Between(2, 1))
    with pytest.raises(ql.InvalidError, match="ISO"):
        ql.AsOf("yesterday")
