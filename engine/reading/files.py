"""Which reader reads a file: by its suffix, or by a format that is named."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from ..errors import InvalidError, NotFoundError
from .fields import Fields
from .items import Edge, Item, OnBad
from .lines import read_json_lines, read_text
from .markdown import Documents, read_markdown
from .packages import read_packages
from .tables import read_sqlite, read_table

FORMATS = {
    "jsonl": (".jsonl", ".ndjson"),
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "markdown": (".md", ".markdown"),
    "text": (".txt", ".text", ".rst"),
    "sqlite": (".db", ".sqlite", ".sqlite3"),
    "packages": (),
}
"""Format -> the suffixes that mean it."""

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read files. by: "paragraph" or "line", for text. table: for SQLite. documents: all
    Markdown files that are read, for the links between them. tell: hears what is assumed.
    """

    format: str | None = None
    fields: Fields = field(default_factory=Fields)
    by: str = "paragraph"
    table: str | None = None
    documents: Documents = field(default_factory=Documents)
    tell: Callable[[str], None] = lambda message: None


def inputs(names: Iterable[str], layout: Layout) -> list[tuple[str, str]]:
    """(path, source) of every file that the names mean: files, "-", and what is in folders.

    A folder gives the files of a known format in it and below, in order; hidden ones and links to
    folders are left out. The source is the file's name, in a folder with the path from it on.
    Raises NotFoundError where there is no such file or nothing to read in a folder, InvalidError
    where a suffix means no format.
    """
    found: list[tuple[str, str]] = []
    for name in names:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            expect(name, layout)
            found.append((name, "stdin" if name == STDIN else path.name))
            continue
        inside = list(_files_in(path, layout))
        if not inside:
            raise NotFoundError(f"{name} holds no file of a known format; see --format")
        top = path.resolve()
        found += [(str(x), f"{top.name}/{x.relative_to(path).as_posix()}") for x in inside]
    return found


def _files_in(folder: Path, layout: Layout) -> Iterator[Path]:
    known = {suffix for suffixes in FORMATS.values() for suffix in suffixes}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files_in(path, layout)
        elif path.is_file() and (layout.format or path.suffix.lower() in known):
            yield path


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
    stream: IO[bytes], name: str, layout: Layout, on_bad: OnBad, *, called: str | None = None
) -> Iterator[Item | Edge]:
    """Items and edges of an open file in one of the formats but sqlite.

    name: for messages. called: the source of its records, and a document's id; default: the file's
    name without its folder.
    """
    format = format_of(name, layout.format)
    called = called or ("stdin" if name == STDIN else Path(name).name)
    source = layout.fields.source or called
    fields = replace(layout.fields, source=source)
    if format == "jsonl":
        return read_json_lines(stream, name, fields=fields, on_bad=on_bad)
    if format == "markdown":
        return read_markdown(stream, name, called, source, layout.documents, on_bad)
    if format == "text":
        return read_text(stream, name, source=source, by=layout.by, on_bad=on_bad)
    if format == "packages":
        return read_packages(stream, name, on_bad=on_bad)
    if format in ("csv", "tsv"):
        delimiter = "," if format == "csv" else "\t"
        return read_table(
            stream, name, delimiter=delimiter, fields=fields, on_bad=on_bad, tell=layout.tell
        )
    raise InvalidError(f"{name}: format {format} needs a file, not a stream")


def expect(name: str, layout: Layout) -> None:
    """Raise as `reading` would: NotFoundError without a file, InvalidError without a format."""
    path = Path(name)
    if name != STDIN and not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise NotFoundError(f"{name} {what}; want a file")
    format_of(name, layout.format)


@contextmanager
def reading(
    name: str, layout: Layout, on_bad: OnBad, *, called: str | None = None
) -> Iterator[Iterator[Item | Edge]]:
    """Items and edges of the file at a path; NotFoundError where there is none."""
    path = Path(name)
    expect(name, layout)
    with ExitStack() as stack:
        if format_of(name, layout.format) == "sqlite":
            source = layout.fields.source or called or path.name
            fields = replace(layout.fields, source=source)
            yield read_sqlite(
                path, name, table=layout.table, fields=fields, on_bad=on_bad, tell=layout.tell
            )
        else:
            stream = stack.enter_context(path.open("rb"))
            yield read_stream(stream, name, layout, on_bad, called=called)
