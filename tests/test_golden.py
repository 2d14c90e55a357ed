"""Stores of every released version open, check, answer and go on; a newer format is refused.

How they are made: tests/golden/make.py.
"""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quillian as ql
from quillian import indexing
from quillian.catalog import Catalog
from quillian.exporting import json_lines
from quillian.layout import INDEX_MAGIC
from sources import ROOT

GOLDEN = sorted((ROOT / "tests/golden").glob("*.zip"))
SIZE_BYTES_MAX = 200_000


@pytest.fixture(params=GOLDEN, ids=lambda path: str(path.stem))
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Any]]:
    """A golden store, unpacked, and what its version exported."""
    assert request.param.stat().st_size <= SIZE_BYTES_MAX
    with zipfile.ZipFile(request.param) as packed:
        packed.extractall(tmp_path)
    lines = (tmp_path / "export.jsonl").read_text(encoding="utf-8").splitlines()
    return tmp_path / "store", [json.loads(line) for line in lines]


def exported(store: ql.Store) -> list[Any]:
    with store.snapshot() as view:
        return [json.loads(line) for line in json_lines(view)]


def test_there_is_a_golden_store() -> None:
    assert "0.1.0" in [path.stem for path in GOLDEN]


@pytest.mark.parametrize("read_only", [True, False])
def test_it_opens_and_nothing_is_lost(golden: tuple[Path, list[Any]], read_only: bool) -> None:
    path, lines = golden
    with ql.open(path, read_only=read_only) as store:
        assert [problem for problem in store.check() if problem.lost] == []
        assert exported(store) == lines
        with store.snapshot() as view:
            assert view.blob("kept") == bytes(range(256)) * 8


def test_it_answers(golden: tuple[Path, list[Any]]) -> None:
    path, lines = golden
    with ql.open(path) as store:
        having = [line for line in lines if "vector" in line]
        rows = np.array([line["vector"] for line in having])
        question = rows[3] + rows[9]
        cosines = rows @ question / np.linalg.norm(rows, axis=1) / np.linalg.norm(question)
        best = [having[i]["id"] for i in np.argsort(-cosines)[:10]]
        assert store.run(ql.Near(10, exact=True), about=question).names == [
            line.get("name", line["id"]) for i in best for line in having if line["id"] == i
        ]
        assert store.search("replaced", method="words", k=3)[0].id == "c07"
        assert store.search("STRASSE", method="words", k=3)[0].id.startswith("long")
        assert [x.target for x in store.snapshot().neighbours("c20")] == []
        assert {x.target for x in store.snapshot().neighbours("c03")} == {"c04", "c30"}
        assert [x.id for x in store.snapshot().named("ALIAS 15")] == ["c15"]


def test_it_goes_on(golden: tuple[Path, list[Any]]) -> None:
    path, lines = golden
    with ql.open(path) as store:
        store.add("new", id="new", vector=np.ones(8))
        store.link("new", "c00", "next")
        store.compact()
        assert store.check() == []
        found = exported(store)
        assert [line for line in found if "new" not in line.values()] == lines


def test_a_newer_format_is_refused(golden: tuple[Path, list[Any]]) -> None:
    path, _ = golden
    catalog = Catalog(path / "catalog.mdb", read_only=False)
    with catalog.begin(write=True) as txn:
        manifest = txn.manifest()
        assert manifest is not None
        txn.put_manifest(replace(manifest, format=manifest.format + 1))
        txn.commit()
    catalog.close()
    before = {file: file.read_bytes() for file in path.rglob("*") if file.suffix != ".mdb-lock"
              if file.is_file()}  # fmt: skip
    for read_only in (True, False):
        with pytest.raises(ql.CorruptError, match="this version reads up to"):
            ql.open(path, read_only=read_only)
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.filterwarnings("error")
def test_an_index_of_an_older_format_is_old_and_not_damaged(
    golden: tuple[Path, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lines = golden
    rows = sum("vector" in line for line in lines)
    monkeypatch.setattr(indexing, "INDEX_ROWS_MIN", rows)
    with ql.open(path) as store:  # Without a warning.
        (problem,) = [problem for problem in store.check() if problem.part == "index"]
        assert "is of an older format" in problem.message
        assert not problem.lost
        store.optimize()
        assert store.check() == []
        assert store.stats()["index"]["rows"] >= rows
    (made,) = path.glob("vectors*/index-*.hnsw")
    assert made.read_bytes()[:8] == INDEX_MAGIC
