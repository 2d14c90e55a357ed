"""CSV, TSV and SQLite rows become items; a table of ends and types becomes edges."""

import io
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from quillian.errors import BadRecordError, InvalidError
from quillian.reading import Edge, Fields, Layout, reading, refuse
from quillian.reading.fields import typed
from quillian.reading.tables import read_table

told: list[str] = []


def rows(content: str, delimiter: str = ",", **fields: str) -> tuple[list[Any], list[str]]:
    bad: list[BadRecordError] = []
    stream = io.BytesIO(content.encode())
    fields_ = Fields(**fields)
    found = list(
        read_table(
            stream,
            "f.csv",
            delimiter=delimiter,
            fields=fields_,
            on_bad=bad.append,
            tell=told.append,
        )
    )
    return found, [str(x) for x in bad]


def test_row_becomes_an_item_with_typed_metadata() -> None:
    found, bad = rows("id,text,pop,zip,note\n7,Paris,2.1,007,\n")
    assert bad == []
    assert (found[0].id, found[0].text, found[0].data) == ("7", "Paris", {"pop": 2.1, "zip": "007"})


def test_quoted_cell_may_span_lines_and_the_row_is_named_by_its_first() -> None:
    found, bad = rows('id,text\n1,"two\nlines"\n2,b,c\n3,d\n')
    assert [(x.text, x.place) for x in found] == [("two\nlines", "f.csv:2"), ("d", "f.csv:5")]
    assert bad == ["f.csv:4: want 2 columns, got 3"]


def test_faulty_quotes_are_a_bad_record() -> None:
    found, bad = rows('id,text\n1,"a"b\n2,c\n')
    assert [x.id for x in found] == ["2"]
    assert len(bad) == 1
    assert bad[0].startswith("f.csv:2: ")


def test_semicolons_and_tabs_part_columns_too() -> None:
    assert rows("id;text\n1;a,b\n")[0][0].text == "a,b"
    assert rows("id\ttext\n1\ta,b\n", "\t")[0][0].text == "a,b"


def test_aliases_are_parted_by_bars() -> None:
    assert rows("name,aliases\na,b | c\n")[0][0].aliases == ("b", "c")


def test_table_of_ends_and_types_holds_edges() -> None:
    found, _ = rows("source,target,type,weight\na,b,likes,0.5\n")
    assert found == [Edge("a", "b", "likes", weight=0.5, place="f.csv:2")]


def test_table_without_a_text_is_findable_and_says_by_what() -> None:
    told.clear()
    found, _ = rows("id,name,age,kind\n1,Ann,34,p\n2,,,p\n")
    assert [(x.text, x.name, x.data) for x in found] == [
        ("name: Ann, age: 34", "Ann", {"age": 34}),
        (None, None, {}),
    ]
    assert told == ["f.csv: no column 'text': texts are made of name, age; see --text-field"]


def test_text_can_be_made_of_chosen_columns() -> None:
    found, _ = rows("a,b,c\n1,x,y\n", text="c,b")
    assert (found[0].text, found[0].data) == ("c: y, b: x", {"a": 1, "b": "x", "c": "y"})
    with pytest.raises(InvalidError, match="no column 'd', but a, b, c"):
        rows("a,b,c\n1,x,y\n", text="c,d")


def test_header_with_a_column_twice_is_refused() -> None:
    with pytest.raises(InvalidError, match="twice"):
        rows("text,text\n1,2\n")


@pytest.mark.parametrize(
    ("cell", "value"),
    [("", None), ("7", 7), ("-7", -7), ("007", "007"), ("2.50", 2.5), ("1e3", "1e3"), (" 7", " 7")],
)
def test_cell_is_a_number_only_if_it_plainly_is_one(cell: str, value: Any) -> None:
    assert typed(cell) == value
    assert type(typed(cell)) is type(value)


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "1_000", "Infinity", "9" * 30])
def test_words_that_python_takes_for_numbers_stay_texts(cell: str) -> None:
    assert typed(cell) == cell


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "d.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE city (code TEXT PRIMARY KEY, text TEXT, pop REAL);"
            "INSERT INTO city VALUES ('par', 'Paris', 2.1), ('rom', 'Rome', NULL);"
            "CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('hello');"
            "CREATE TABLE photo (text TEXT, image BLOB); INSERT INTO photo VALUES ('x', x'00ff');"
        )
    connection.close()
    return path


def sqlite_items(path: Path, table: str | None, **fields: str) -> list[Any]:
    pytest.importorskip("sqlite_utils")
    with reading(str(path), Layout(table=table, fields=Fields(**fields)), refuse) as found:
        return list(found)


def test_sqlite_row_takes_its_id_from_the_primary_key(database: Path) -> None:
    found = sqlite_items(database, "city")
    assert [(x.id, x.text) for x in found] == [("city:par", "Paris"), ("city:rom", "Rome")]
    assert [x.data for x in found] == [{"code": "par", "pop": 2.1}, {"code": "rom"}]


def test_sqlite_table_without_a_key_counts_by_rowid(database: Path) -> None:
    assert [(x.id, x.text, x.data) for x in sqlite_items(database, "note")] == [
        ("note:1", "hello", {})
    ]


def test_sqlite_id_field_can_be_chosen(database: Path) -> None:
    assert [x.id for x in sqlite_items(database, "city", id="code")] == ["par", "rom"]


def test_sqlite_asks_which_table(database: Path) -> None:
    with pytest.raises(InvalidError, match="--table among city, note, photo"):
        sqlite_items(database, None)
    with pytest.raises(InvalidError, match="no table 'town'"):
        sqlite_items(database, "town")


def test_sqlite_bytes_are_a_bad_record(database: Path) -> None:
    with pytest.raises(BadRecordError, match="column 'image' holds bytes"):
        sqlite_items(database, "photo")


def test_file_that_is_not_sqlite_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("this is a text and no database " * 9)
    with pytest.raises(InvalidError, match="not a database"):
        sqlite_items(path, "city")
