"""A store as JSON lines that read back the same, and as GraphML that networkx reads."""

import io
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import quillian as ql
from quillian.exporting import graphml, json_lines
from quillian.ingesting import Ingest
from quillian.reading import Fields, read_json_lines, refuse


@pytest.fixture
def store(tmp_path: Path) -> ql.Store:
    store = ql.open(tmp_path / "store", dim=3)
    vectors = np.random.default_rng(5).standard_normal((2, 3)).astype(np.float32)
    with store.transaction() as txn:
        txn.add(
            "Paris, <capital> & \uffffbell",
            id="paris",
            name="Paris",
            aliases=["City of Light"],
            vector=vectors[0],
            source="atlas",
            kind="city",
            data={"pop": 2.1, "tags": ["a"]},
            since=5,
        )
        txn.add("France", id="france", vector=vectors[1])
        txn.add(id="bare")
        txn.link("paris", "france", "capital_of", weight=0.1, confidence=0.98, origin="atlas")
        txn.link("paris", "france", "in", data={"x": 1}, until=7)
        txn.link("france", "bare", "knows")
    return store


def test_json_lines_read_back_the_same(store: ql.Store, tmp_path: Path) -> None:
    with store.snapshot() as view:
        lines = list(json_lines(view))
    stream = io.BytesIO("\n".join(lines).encode())
    with ql.open(tmp_path / "again", dim=3) as again:
        ingest = Ingest(again)
        ingest.take(read_json_lines(stream, "f", fields=Fields(), on_bad=refuse))
        ingest.finish()
        with again.snapshot() as view, store.snapshot() as first:
            assert list(json_lines(view)) == lines
            ids = ["paris", "france"]
            rows = [s.vectors([s.get(id).node for id in ids]) for s in (first, view)]
    assert np.array_equal(rows[0], rows[1])
    store.close()


def test_vectors_can_be_left_out(store: ql.Store) -> None:
    with store.snapshot() as view:
        assert not [line for line in json_lines(view, vectors=False) if "vector" in line]
    store.close()


def test_graphml_is_what_networkx_reads(store: ql.Store, tmp_path: Path) -> None:
    path = tmp_path / "g.graphml"
    with store.snapshot() as view:
        path.write_text("\n".join(graphml(view)), encoding="utf-8")
    graph = nx.read_graphml(path, force_multigraph=True)
    assert set(graph.nodes) == {"paris", "france", "bare"}
    assert graph.nodes["paris"]["text"] == "Paris, <capital> & \ufffdbell"
    assert graph.nodes["paris"]["data"] == '{"pop": 2.1, "tags": ["a"]}'
    edges = {(a, x["type"], b): x for a, b, x in graph.edges(data=True)}
    assert set(edges) == {
        ("paris", "capital_of", "france"),
        ("paris", "in", "france"),
        ("france", "knows", "bare"),
    }
    assert edges["paris", "capital_of", "france"]["weight"] == pytest.approx(0.1)
    store.close()
