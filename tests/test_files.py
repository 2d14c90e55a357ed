"""The suffix chooses the reader, a named format overrides it."""

import io
from pathlib import Path

import pytest
from quillian.errors import InvalidError, NotFoundError
from quillian.reading import Fields, Layout, format_of, inputs, read_stream, reading, refuse


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jsonl", "jsonl"),
        ("a.CSV", "csv"),
        ("a.tsv", "tsv"),
        ("a.md", "markdown"),
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


def test_folder_gives_its_files_of_known_formats_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a.md", "sub/c.csv", "sub/.hidden.txt", ".git/d.txt", "e.bin"):
        path = tmp_path / "notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    found = inputs([str(tmp_path / "notes"), "-"], Layout())
    assert [source for _, source in found] == [
        "notes/a.md",
        "notes/b.txt",
        "notes/sub/c.csv",
        "stdin",
    ]
    assert all(Path(path).is_file() for path, _ in found[:-1])


def test_folder_with_nothing_to_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "e.bin").write_text("x")
    with pytest.raises(NotFoundError, match="holds no file of a known format"):
        inputs([str(tmp_path)], Layout())
