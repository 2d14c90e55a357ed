"""The suffix chooses the reader, a named format overrides it."""

import io
from pathlib import Path

import pytest
from quillian.errors import InvalidError, NotFoundError
from quillian.reading import Fields, Layout, format_of, read_stream, reading, refuse


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jsonl", "jsonl"),
        ("a.CSV", "csv"),
        ("a.tsv", "tsv"),
        ("a.md", "text"),
        ("a.db", "sqlite"),
    ],
)
def test_suffix_means_a_format(name: str, format: str) -> None:
    assert format_of(name, None) == format


def test_named_format_wins_and_standard_input_is_json_lines() -> None:
    assert format_of("a.csv", "text") == "text"
    assert format_of("-", None) == "jsonl"


def test_unknown_suffix_names_the_choices() -> None:
    with pytest.raises(InvalidError, match=r"no format for '.xyz'; choose with --format: jsonl"):
        format_of("a.xyz", None)


def test_missing_file_and_folder_are_not_found(tmp_path: Path) -> None:
    with (
        pytest.raises(NotFoundError, match="does not exist"),
        reading(str(tmp_path / "no.csv"), Layout(), refuse),
    ):
        pass
    with (
        pytest.raises(NotFoundError, match="is a folder"),
        reading(str(tmp_path), Layout(), refuse),
    ):
        pass


def test_source_is_the_file_without_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("hello")
    with reading(str(path), Layout(), refuse) as found:
        assert [x.source for x in found] == ["a.txt"]  # type: ignore[union-attr]


def test_source_can_be_given() -> None:
    layout = Layout(format="text", fields=Fields(source="mine"))
    assert next(iter(read_stream(io.BytesIO(b"x"), "-", layout, refuse))).source == "mine"


def test_sqlite_cannot_come_from_standard_input() -> None:
    with pytest.raises(InvalidError, match="needs a file"):
        read_stream(io.BytesIO(b""), "-", Layout(format="sqlite"), refuse)
