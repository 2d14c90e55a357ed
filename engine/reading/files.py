"""Which reader reads a file: by its suffix, or by a format that is named."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ..errors import InvalidError, NotFoundError
from .fields import Fields
from .items import Edge, Item, OnBad
from .lines import read_json_lines, read_text
from .packages import read_packages
from .tables import read_sqlite, read_table

FORMATS = {
    "jsonl": (".jsonl", ".ndjson"),
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "text": (".txt", ".text", ".md", ".rst"),
    "sqlite": (".db", ".sqlite", ".sqlite3"),
    "packages": (),
}
"""Format -> the suffixes that mean it."""

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read files. by: "paragraph" or "line", for text. table: for SQLite."""

    format: str | None = None
    fields: Fields = field(default_factory=Fields)
    by: str = "paragraph"
    table: str | None = None


def format_of(name: str, format: str | None) -> str:
    """The format of a file by its name; standard input is JSON lines unless a format is named.

    Raises InvalidError naming the formats where the suffix says nothing.
    """
    if format is not None:
        return format
    if name == STDIN:
        return "jsonl"
    suffix = Path(name).suffix.lower()
    for known, suffixes in FORMATS.items():
        if suffix in suffixes:
            return known
    raise InvalidError(
        f"{name}: no format for {suffix!r}; choose with --format: {', '.join(FORMATS)}"
    )


def read_stream(
    stream: IO[bytes], name: str, layout: Layout, on_bad: OnBad
) -> Iterator[Item | Edge]:
    """Items and edges of an open file in one of the formats but sqlite."""
    format = format_of(name, layout.format)
    source = layout.fields.source or ("stdin" if name == STDIN else Path(name).name)
    fields = Fields(layout.fields.id, layout.fields.text, layout.fields.name, source)
    if format == "jsonl":
        return read_json_lines(stream, name, fields=fields, on_bad=on_bad)
    if format == "text":
        return read_text(stream, name, source=source, by=layout.by, on_bad=on_bad)
    if format == "packages":
        return read_packages(stream, name, on_bad=on_bad)
    if format in ("csv", "tsv"):
        delimiter = "," if format == "csv" else "\t"
        return read_table(stream, name, delimiter=delimiter, fields=fields, on_bad=on_bad)
    raise InvalidError(f"{name}: format {format} needs a file, not a stream")


def expect(name: str, layout: Layout) -> None:
    """Raise as `reading` would: NotFoundError without a file, InvalidError without a format."""
    path = Path(name)
    if name != STDIN and not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise NotFoundError(f"{name} {what}; want a file")
    format_of(name, layout.format)


@contextmanager
def reading(name: str, layout: Layout, on_bad: OnBad) -> Iterator[Iterator[Item | Edge]]:
    """Items and edges of the file at a path; NotFoundError where there is none."""
    path = Path(name)
    expect(name, layout)
    with ExitStack() as stack:
        if format_of(name, layout.format) == "sqlite":
            source = layout.fields.source or path.name
            fields = Fields(layout.fields.id, layout.fields.text, layout.fields.name, source)
            yield read_sqlite(path, name, table=layout.table, fields=fields, on_bad=on_bad)
        else:
            stream = stack.enter_context(path.open("rb"))
            yield read_stream(stream, name, layout, on_bad)
