"""Namespaces: an id is unique within one, and everything else goes across."""

import json
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from click.testing import CliRunner
from conftest import DIM
from quillian.cli.main import main
from quillian.exporting import graphml, json_lines
from quillian.ingesting import Ingest
from quillian.layout import namespace_key
from quillian.reading import Fields, read_json_lines, refuse


@pytest.fixture
def spaces(store: ql.Store) -> ql.Store:
    """A "wolf" in each of three namespaces, linked across them."""
    with store.transaction() as txn:
        txn.add("a wolf", id="wolf", vector=np.eye(DIM)[0])
        txn.add("a wolf of the lab", id="wolf", namespace="lab", vector=np.eye(DIM)[1])
        txn.add_many(["zoo wolf", "zoo fox"], ids=["wolf", "fox"], namespaces="zoo")
        txn.link("wolf", ("lab", "wolf"), "like", weight=0.5)
        txn.link(("lab", "wolf"), ("zoo", "fox"), "near")
    return store


def test_an_id_is_unique_within_its_namespace(spaces: ql.Store) -> None:
    with spaces.snapshot() as view:
        assert view.get("wolf").text == "a wolf"
        assert view.get(("", "wolf")) == view.get("wolf")
        assert view.get(("lab", "wolf")).text == "a wolf of the lab"
        assert view.get(("lab", "wolf")).key == ("lab", "wolf")
        assert view.namespaces() == {"": 1, "lab": 1, "zoo": 2}
        assert ("zoo", "wolf") in view
        assert ("lab", "fox") not in view
        assert ("nowhere", "wolf") not in view
        assert view.known([("lab", "fox"), "wolf"]).tolist() == [False, True]
        for key in (("lab", "fox"), ("nowhere", "wolf")):
            with pytest.raises(ql.NotFoundError, match=key[1]):
                view.get(key)
    with pytest.raises(ql.ConflictError):
        spaces.add(id="wolf", namespace="lab")
    assert spaces.add("other", id="wolf", namespace="lab", on_conflict="replace") == 1
    assert spaces.get("wolf").text == "a wolf"
    assert spaces.check() == []


@pytest.mark.parametrize("key", [("lab",), ("lab", 5), ("a", "b", "c"), 2.5, True])
def test_a_malformed_key_is_refused(spaces: ql.Store, key: object) -> None:
    with pytest.raises(ql.InvalidError, match="namespace, id"):
        spaces.get(key)  # type: ignore[arg-type]


def test_a_search_keeps_to_its_namespace(spaces: ql.Store) -> None:
    def found(**how: object) -> set[tuple[str, str]]:
        rows = spaces.search("wolf", method="words", **how)  # type: ignore[arg-type]
        return {(row.concept.namespace, row.id) for row in rows}

    assert found() == {("", "wolf"), ("lab", "wolf"), ("zoo", "wolf")}
    assert found(namespace="lab") == {("lab", "wolf")}
    assert found(namespace="") == {("", "wolf")}
    assert found(namespace="nowhere") == set()
    assert found(where={"namespace": {"$in": ["", "zoo"]}}) == {("", "wolf"), ("zoo", "wolf")}
    assert found(namespace="zoo", where={"text": "zoo fox"}) == set()
    near = spaces.run(ql.Query(ql.Where(namespace="lab"), ql.Near(5)), about=np.eye(DIM)[0])
    assert [row.concept.key for row in near] == [("lab", "wolf")]


def test_associations_go_across_and_say_where(spaces: ql.Store) -> None:
    with spaces.snapshot() as view:
        (edge,) = view.neighbours("wolf")
        assert (edge.source, edge.source_namespace) == ("wolf", "")
        assert (edge.target, edge.target_namespace) == ("wolf", "lab")
    with spaces.transaction() as txn:
        assert txn.unlink("wolf", ("lab", "wolf")) == 1
        txn.link(("new", "a"), ("lab", "b"), "like", create=True)
        assert ("new", "a") in txn
    assert spaces.check() == []


def test_dropping_one_removes_its_concepts_only(spaces: ql.Store) -> None:
    before = spaces.snapshot()
    with spaces.transaction() as txn:
        assert txn.drop_namespace("zoo") == 2
        assert txn.namespaces() == {"": 1, "lab": 1}
        with pytest.raises(ql.NotFoundError):
            txn.drop_namespace("zoo")
    with spaces.snapshot() as view:
        assert len(view) == 2
        assert view.neighbours(("lab", "wolf")) == []
        assert before.namespaces()["zoo"] == 2
    spaces.add(id="fox", namespace="third")  # Takes the number that is free.
    assert spaces.snapshot().namespaces() == {"": 1, "lab": 1, "third": 1}
    assert spaces.check() == []


def test_an_abort_takes_a_new_namespace_back(spaces: ql.Store) -> None:
    with spaces.transaction() as txn:
        txn.add(id="x", namespace="new")
        txn.abort()
    assert "new" not in spaces.snapshot().namespaces()


def test_names_and_their_number_are_limited(store: ql.Store) -> None:
    with pytest.raises(ql.LimitError, match="510"):
        store.add(namespace="x" * 511)
    with pytest.raises(ql.InvalidError, match="control"):
        store.add(namespace="a\nb")
    store.add(id="x", namespace="x" * 510)
    with store._open_directory().catalog.begin(write=True) as txn:
        for number in range(2, 65_535):  # As 65,533 calls of add would.
            txn.put("namespaces", b"%d" % number, namespace_key(number))
        txn.commit()
    with pytest.raises(ql.LimitError, match="at most 65535 namespaces"):
        store.add(id="x", namespace="one too many")
    with pytest.raises(ql.LimitError, match="at most 65535 namespaces"):
        store.add_many(ids=["a", "b"], namespaces=["7", "one too many"])
    store.add(id="x", namespace="65534")
    with store.transaction() as txn:
        txn.drop_namespace("77")
        txn.add(id="x", namespace="one more")
    assert store.check() == []


def test_repair_rebuilds_ids_and_names_of_namespaces(spaces: ql.Store) -> None:
    with spaces._open_directory().catalog.begin(write=True) as txn:
        txn.delete("namespaces", b"zoo")
        txn.put("namespaces", b"lob", namespace_key(9))
        txn.commit()
    assert [x for x in spaces.check() if "fox" in x.message]
    assert [x for x in spaces.repair() if x.lost] == []
    assert spaces.check() == []
    assert spaces.snapshot().namespaces() == {"": 1, "lab": 1, "zoo": 2}
    assert spaces.get(("zoo", "fox")).text == "zoo fox"


def test_a_backup_and_an_export_keep_them(spaces: ql.Store, tmp_path: Path) -> None:
    spaces.compact()
    spaces.backup(tmp_path / "backup")
    with spaces.snapshot() as view:
        lines = list(json_lines(view))
        assert 'id="lab:wolf"' in "".join(graphml(view))
    with ql.open(tmp_path / "backup") as store, store.snapshot() as view:
        assert list(json_lines(view)) == lines
    (tmp_path / "lines").write_text("\n".join(lines))
    with ql.open(tmp_path / "read", dim=DIM) as store:
        with (tmp_path / "lines").open("rb") as file:
            ingest = Ingest(store)
            ingest.take(read_json_lines(file, "lines", fields=Fields(), on_bad=refuse))
            ingest.finish()
        with store.snapshot() as view:
            assert list(json_lines(view)) == lines


def test_the_command_line_has_them(tmp_path: Path) -> None:
    lines = [
        {"id": "wolf", "text": "a wolf"},
        {"id": "fox", "text": "a fox", "namespace": "zoo"},
        {"association": "near", "source": "wolf", "target": "fox", "target_namespace": "zoo"},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    store = str(tmp_path / "store")

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    run("ingest", store, str(tmp_path / "in.jsonl"), "--namespace", "lab", "--embedder", "none")
    listed = [json.loads(line) for line in run("namespaces", store, "--json").splitlines()]
    assert {x["namespace"]: x["concepts"] for x in listed} == {"": 0, "lab": 1, "zoo": 1}
    found = run("query", store, "--where", "namespace=lab", "--json")
    assert [json.loads(line)["id"] for line in found.splitlines()] == ["wolf"]
    assert "1 concepts dropped" in run("namespaces", store, "--drop", "zoo")
    assert json.loads(run("stats", store, "--json"))["namespaces"] == 2
