"""Readers of lines: JSON lines and plain text, by line or by paragraph.

Lines are decoded one by one, so that a byte that is not UTF-8 spoils one line with a number.
"""

import json
from collections.abc import Iterator
from typing import IO, Any, NoReturn

from ..errors import BadRecordError
from .fields import Fields, edge_from, item_from
from .items import Edge, Item, OnBad, stable_id

LINE_BYTES_MAX = 1 << 26
"""64 MiB: a text of the largest size, escaped, with its vector; a longer line is a bad record."""


def decoded_lines(stream: IO[bytes], name: str, on_bad: OnBad) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of every line of UTF-8, a byte order mark dropped."""
    number = 0
    while line := stream.readline(LINE_BYTES_MAX):
        number += 1
        if len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = stream.readline(LINE_BYTES_MAX)
            on_bad(
                BadRecordError(
                    f"{name}:{number}", f"the line is longer than {LINE_BYTES_MAX} bytes"
                )
            )
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            reason = f"not UTF-8: byte 0x{line[error.start]:02x} at column {error.start + 1}"
            on_bad(BadRecordError(f"{name}:{number}", reason))
            continue
        yield number, text.rstrip("\r\n")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parse(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(record, dict):
        raise ValueError(f"want a JSON object, got {type(record).__name__}")
    return record


def read_json_lines(
    stream: IO[bytes], name: str, *, fields: Fields, on_bad: OnBad
) -> Iterator[Item | Edge]:
    """Items and edges of JSON lines: one object per line, blank lines skipped.

    An object with the key `association` (its value is the type) is an edge from `source` to
    `target`; every other object is an item, see `fields.item_from`.
    """
    for number, line in decoded_lines(stream, name, on_bad):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            record = _parse(line)
            if "association" in record:
                yield edge_from({**record, "type": record["association"]}, place)
            else:
                yield item_from(record, fields, place)
        except ValueError as error:
            on_bad(BadRecordError(place, str(error)))


def read_text(
    stream: IO[bytes], name: str, *, source: str, by: str, on_bad: OnBad
) -> Iterator[Item]:
    """Items of plain text, one per line or per paragraph (blank lines between), never an empty one.

    by: "line" or "paragraph". Their ids are hashes of source and text, so a repeated text is one.
    """
    paragraph: list[str] = []
    start = 0
    for number, line in decoded_lines(stream, name, on_bad):
        text = line.strip()
        if text and by == "line":
            yield _text_item(text, source, name, number)
        elif text:
            start = number if not paragraph else start
            paragraph.append(text)
        elif paragraph:
            yield _text_item(" ".join(paragraph), source, name, start)
            paragraph = []
    if paragraph:
        yield _text_item(" ".join(paragraph), source, name, start)


def _text_item(text: str, source: str, name: str, number: int) -> Item:
    return Item(
        id=stable_id(source, text),
        text=text,
        source=source,
        data={"line": number},
        place=f"{name}:{number}",
    )
