"""Readers of tables: CSV, TSV, and one table or view of a SQLite file.

Columns that are not id, text, name or another field of a concept become its metadata. A CSV table
with the columns source, target and type, and no text, holds associations.
"""

import csv
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from ..errors import BadRecordError, InvalidError
from .fields import EDGE_COLUMNS, Fields, edge_from, item_from, typed
from .items import Edge, Item, OnBad
from .lines import LINE_BYTES_MAX, decoded_lines

NO_TEXT = {"aliases", "data", "kind", "since", "source", "until", "vector"}
"""Columns that mean something else to a store."""


def read_table(
    stream: IO[bytes],
    name: str,
    *,
    delimiter: str,
    fields: Fields,
    on_bad: OnBad,
    tell: Callable[[str], None],
) -> Iterator[Item | Edge]:
    """Items or edges of a table with a header line.

    delimiter: "," means "," or, where the header has none, ";". tell: hears what texts are made of
    where no column is the text. Raises InvalidError on a header that names a column twice.
    """
    numbered = decoded_lines(stream, name, on_bad)
    _, header = next(numbered, (0, ""))
    if delimiter == "," and "," not in header and ";" in header:
        delimiter = ";"
    columns = next(csv.reader([header], delimiter=delimiter), [])
    edges = fields.text not in columns and set(columns) >= EDGE_COLUMNS
    if not edges:
        fields = _with_text(columns, fields, name, tell)
    rows = _Rows(numbered, delimiter)
    for row in rows:
        place = f"{name}:{rows.start}"
        if not row:
            continue
        if isinstance(row, csv.Error) or len(row) != len(columns):
            want = f"want {len(columns)} columns, got {len(row)}" if isinstance(row, list) else row
            on_bad(BadRecordError(place, str(want)))
            continue
        try:
            yield _record(dict(zip(columns, row, strict=True)), edges, fields, place)
        except ValueError as error:
            on_bad(BadRecordError(place, str(error)))


def _record(cells: dict[str, str], edges: bool, fields: Fields, place: str) -> Item | Edge:
    texts = {"id", "source", "kind", "target", "type", fields.id, fields.text, fields.name}
    record: dict[str, Any] = {k: v if k in texts else typed(v) for k, v in cells.items() if v != ""}
    if edges:
        return edge_from(record, place)
    if "aliases" in record:
        record["aliases"] = [x.strip() for x in cells["aliases"].split("|")]
    return item_from(record, fields, place)


def _with_text(
    columns: list[str], fields: Fields, name: str, tell: Callable[[str], None]
) -> Fields:
    """The fields, with a text made of all columns where none is the text: nothing is unfindable."""
    if len(set(columns)) != len(columns):
        raise InvalidError(f"{name}: a column name stands twice in the header")
    wanted = fields.text.split(",")
    if set(wanted) <= set(columns):
        return fields
    if wanted != ["text"]:
        missing = next(x for x in wanted if x not in columns)
        raise InvalidError(f"{name}: no column {missing!r}, but {', '.join(columns)}")
    rest = [x for x in columns if x != fields.id and x not in NO_TEXT]
    if not rest:
        return fields
    tell(f"{name}: no column 'text': texts are made of {', '.join(rest)}; see --text-field")
    return replace(fields, text=",".join([*rest, ""]))


class _Rows:
    """Rows of the csv module, each with the line it starts at; a faulty row comes as its error."""

    def __init__(self, numbered: Iterator[tuple[int, str]], delimiter: str) -> None:
        csv.field_size_limit(LINE_BYTES_MAX)
        self.start = 1
        self._last = 1
        self._reader = csv.reader(self._feed(numbered), delimiter=delimiter, strict=True)

    def _feed(self, numbered: Iterator[tuple[int, str]]) -> Iterator[str]:
        for number, line in numbered:
            if not self._within:
                self.start, self._within = number, True
            yield line + "\n"

    _within = False

    def __iter__(self) -> Iterator[list[str] | csv.Error]:
        while True:
            self._within = False
            try:
                yield next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield error


def read_sqlite(
    path: Path,
    name: str,
    *,
    table: str | None,
    fields: Fields,
    on_bad: OnBad,
    tell: Callable[[str], None],
) -> Iterator[Item]:
    """Items of one table or view of a SQLite file, opened read-only; the only one if table is None.

    Without a column for the id, the id is "table:primary key".
    Raises InvalidError naming the tables when the choice is open or wrong.
    """
    try:
        import sqlite_utils
    except ImportError as error:
        raise InvalidError(
            "SQLite files need sqlite-utils: pip install 'quillian[sqlite]'"
        ) from error
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        database = sqlite_utils.Database(connection)
        names = [x for x in database.table_names() + database.view_names() if "sqlite_" not in x]
        chosen = _choose_table(names, table, name)
        rows = database[chosen]
        columns = [column.name for column in rows.columns]
        fields = _with_text(columns, fields, f"{name} table {chosen}", tell)
        keys = [] if fields.id in columns else list(getattr(rows, "pks", []))
        select = ", ".join(["rowid"] * (keys == ["rowid"]) + ["*"])
        for number, row in enumerate(rows.rows_where(select=select), start=1):
            yield from _sqlite_item(row, keys, chosen, fields, f"{name}:{chosen}:{number}", on_bad)
    except sqlite3.DatabaseError as error:
        raise InvalidError(f"{name}: {error}") from error
    finally:
        connection.close()


def _sqlite_item(
    row: dict[str, Any], keys: list[str], table: str, fields: Fields, place: str, on_bad: OnBad
) -> Iterator[Item]:
    try:
        bytes_in = [column for column, value in row.items() if isinstance(value, bytes)]
        if bytes_in:
            raise ValueError(f"column {bytes_in[0]!r} holds bytes; leave it out with a view")
        identity = ":".join([table, *(str(row[key]) for key in keys)]) if keys else None
        hidden = {"rowid"} if keys == ["rowid"] else set()
        item = item_from({k: v for k, v in row.items() if k not in hidden}, fields, place)
        yield replace(item, id=identity) if identity else item
    except ValueError as error:
        on_bad(BadRecordError(place, str(error)))


def _choose_table(names: list[str], table: str | None, name: str) -> str:
    if table is None and len(names) == 1:
        return names[0]
    if table in names:
        return str(table)
    want = f"no table {table!r}" if table else "more than one table"
    raise InvalidError(f"{name}: {want}; choose with --table among {', '.join(names) or 'none'}")
