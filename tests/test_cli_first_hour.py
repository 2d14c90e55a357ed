"""The command line as a newcomer meets it: own notes, filters alone, a slip of the keys."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import quillian as ql
from click.testing import CliRunner, Result
from quillian.cli.main import main


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def lines(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_folder_of_notes_becomes_a_graph() -> None:
    Path("notes/sub").mkdir(parents=True)
    Path("notes/a.md").write_text("# Trip\n\nParis. See [work](sub/b.md).\n")
    Path("notes/sub/b.md").write_text("# Work\n\nMonday.\n")
    assert run("ingest", "new", "notes", "--no-embed").exit_code == 0
    (found,) = lines(run("get", "new", "notes/a.md", "--json"))
    assert [(x["association"], x["target"]) for x in found["out"]] == [
        ("links_to", "notes/sub/b.md")
    ]


def test_fields_of_notes_can_be_filtered_on() -> None:
    Path("a.md").write_text("---\ntags: [trip, sea]\n---\n# Rome\n\nIt is warm.\n")
    Path("b.md").write_text("# Oslo\n\nIt is cold.\n")
    assert run("ingest", "brain", "a.md", "b.md", "--no-embed").exit_code == 0
    found = lines(run("query", "brain", "it is", "--where", "tags~sea", "--json"))
    assert [row["id"] for row in found] == ["a.md#rome"]


def test_name_in_the_place_of_an_id_is_told_whose_it_is() -> None:
    Path("a.csv").write_text("id,name\nb7,Anna\nc9,Anna\n")
    assert run("ingest", "brain", "a.csv", "--no-embed").exit_code == 0
    result = run("get", "brain", "anna")
    assert result.exit_code == 3
    assert "no concept with id 'anna'; that is a name of 'b7', 'c9'" in result.stderr
    assert "name of" not in run("get", "brain", "berta").stderr


def test_file_in_the_place_of_a_store_is_told() -> None:
    Path("a.csv").write_text("id,name\nb7,Anna\n")
    result = run("ingest", "a.csv", "a.csv", "--no-embed")
    assert result.exit_code != 0
    assert "a store is a folder" in result.stderr


def test_query_by_a_filter_alone_lists_what_passes() -> None:
    Path("cities.csv").write_text("id,name,pop\nparis,Paris,2.1\nrome,Rome,2.8\noslo,Oslo,0.7\n")
    assert run("ingest", "brain", "cities.csv", "--no-embed").exit_code == 0
    found = lines(run("query", "brain", "--where", "pop>=2.1", "--json"))
    assert {row["id"] for row in found} == {"paris", "rome"}
    assert {row["score"] for row in found} == {0.0}


def test_query_expands_from_words_where_nothing_embeds() -> None:
    Path("notes").mkdir()
    Path("notes/a.md").write_text("Trip to Paris. See [work](b.md).\n")
    Path("notes/b.md").write_text("Monday.\n")
    assert run("ingest", "brain", "notes", "--no-embed").exit_code == 0
    found = lines(run("query", "brain", "Paris", "--expand", "1", "--json"))
    assert {row["id"] for row in found} == {"notes/a.md#", "notes/a.md"}


def test_mistyped_command_is_guessed() -> None:
    result = run("qurey", "brain", "x")
    assert result.exit_code == 2
    assert "did you mean query?" in result.stderr


def test_bench_lists_what_it_can_run_and_by_which_question() -> None:
    listed = {row["name"]: row["question"] for row in lines(run("bench", "--json"))}
    assert listed["stress"].endswith("?")
    assert "machine" not in listed


def test_bench_hands_its_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [])
    result = run("bench", "stress", "--help")
    assert result.exit_code == 0
    assert "--associations" in result.output


def test_unknown_bench_is_named_with_the_known_ones() -> None:
    result = run("bench", "sterss")
    assert result.exit_code == 2
    assert "stress" in result.stderr


def test_a_link_between_notes_answers_only_who_asks_for_links() -> None:
    Path("notes").mkdir()
    Path("notes/ben.md").write_text("# Ben\n\nKnows [Anna](anna.md).\n")
    Path("notes/anna.md").write_text("# Anna\n\nPaints.\n")
    assert run("ingest", "brain", "notes", "--no-embed").exit_code == 0
    (linked,) = lines(run("ask", "brain", "What does Ben link to?", "--json"))
    assert linked["candidates"][0]["name"] == "Anna"
    assert linked["reasons"] == []
    (asked,) = lines(run("ask", "brain", "Where does Ben live?", "--json"))
    assert "Anna" not in [candidate["name"] for candidate in asked["candidates"]]


def test_ask_names_made_up_ids_and_folds_long_paths() -> None:
    with ql.open("brain") as store, store.transaction() as txn:
        start = txn.add("a long text of Alexander", name="Alexander von Humboldt")
        academy = txn.add("The Royal Prussian Academy of Sciences, which is in the city of Berlin")
        end = txn.add("Berlin is a city", name="Berlin")
        txn.link(start, academy, "member_of", confidence=0.9)
        txn.link(academy, end, "located_in", confidence=0.8)
    shown = run("ask", "brain", "Where is Alexander von Humboldt located?").stdout.splitlines()
    assert "_:" not in "".join(shown[: shown.index("passages")])
    start_shown = "  \u2514\u2500 Alexander von Humboldt -member_of-> The Royal Prussian Academy"
    assert shown[2] == f"{start_shown} of Sciences,\u2026"
    assert shown[3] == "       -located_in-> Berlin  (0.720)"
    assert "  x Alexander von Humboldt" in "\n".join(shown)


def test_a_refused_ingest_leaves_no_store_and_keeps_one_that_was_there() -> None:
    Path("bad.jsonl").write_text('{"id": "a", "text": "one"}\nnot json\n', encoding="utf-8")
    store = Path("store")
    refused = run("ingest", "store", "bad.jsonl", "--no-embed")
    assert refused.exit_code != 0
    assert not store.exists()
    refused = run("ingest", "store", "bad.jsonl", "--no-embed", "--batch", "1")  # One is committed.
    assert refused.exit_code != 0
    assert lines(run("stats", "store", "--json"))[0]["concepts"] == 1
    ql.open(Path("empty"), dim=8).close()
    assert run("ingest", "empty", "bad.jsonl", "--no-embed").exit_code != 0
    assert Path("empty").exists()


@pytest.mark.parametrize(
    "command",
    [
        "query STORE x", "ask STORE x", "get STORE x", "stats STORE", "check STORE", "repair STORE",
        "compact STORE", "export STORE", "link STORE a b c", "backup STORE copy",
        "namespaces STORE", "namespaces STORE --drop x", "npu run STORE --save",
    ],
)  # fmt: skip
def test_a_missing_store_is_named_and_not_created(tmp_path: Path, command: str) -> None:
    words = command.replace("copy", str(tmp_path / "copy")).split()
    result = run(*(str(tmp_path / "none") if word == "STORE" else word for word in words))
    assert result.exit_code == 3
    said = r"error: there is no store at .*; create it with quillian ingest"
    assert re.match(said, result.stderr)
    assert not (tmp_path / "none").exists()
