"""JSON lines and plain text become items; what cannot be read is named by file and line."""

import io
from typing import Any

import pytest
from quillian.errors import BadRecordError
from quillian.reading import Edge, Fields, Item, refuse
from quillian.reading.lines import LINE_BYTES_MAX, decoded_lines, read_json_lines, read_text


def json_lines(content: str | bytes, **fields: str) -> tuple[list[Any], list[str]]:
    bad: list[BadRecordError] = []
    stream = io.BytesIO(content.encode() if isinstance(content, str) else content)
    found = list(read_json_lines(stream, "f.jsonl", fields=Fields(**fields), on_bad=bad.append))
    return found, [str(x) for x in bad]


def test_object_becomes_an_item_with_its_other_fields_as_metadata() -> None:
    line = '{"id": 7, "text": "a", "name": "b", "aliases": ["c"], "kind": "k", "pop": 2.5}\n'
    found, bad = json_lines(line)
    item = Item("7", "a", "b", ("c",), kind="k", data={"pop": 2.5}, place="f.jsonl:1")
    assert (found, bad) == ([item], [])


def test_fields_may_have_other_names() -> None:
    found, _ = json_lines(
        '{"_id": "x", "title": "t", "body": "b"}', id="_id", text="body", name="title"
    )
    assert [(x.id, x.text, x.name, x.data) for x in found] == [("x", "b", "t", {})]


def test_data_field_and_other_fields_unite() -> None:
    found, _ = json_lines('{"id": "x", "data": {"a": 1, "b": 2}, "a": 0, "c": 3}')
    assert found[0].data == {"a": 1, "b": 2, "c": 3}


def test_item_without_id_gets_the_same_one_every_time() -> None:
    first, _ = json_lines('{"text": "a"}\n{"text": "b"}')
    again, _ = json_lines('\n{"text": "a"}')
    assert first[0].id == again[0].id != first[1].id


def test_object_with_association_becomes_an_edge() -> None:
    line = '{"association": "t", "source": "a", "target": "b", "weight": 2, "since": "2020-01-01"}'
    found, _ = json_lines(line)
    assert found == [Edge("a", "b", "t", weight=2.0, since="2020-01-01", place="f.jsonl:1")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "want a JSON object, got list"),
        ('{"id": "a", "text": NaN}', "NaN is not JSON"),
        ('{"id": "a", "text": 5}', "want a text in field 'text', got int"),
        ('{"id": true}', "want a text in field 'id', got bool"),
        ('{"x": 1}', "want a field 'id', 'text' or 'name'"),
        ('{"id": "a", "data": 3}', "want an object in field 'data', got int"),
        ('{"id": "a", "aliases": 3}', "want a list of texts in field 'aliases', got int"),
        ('{"id": "a", "vector": ["x"]}', "want a list of numbers in field 'vector'"),
        ('{"id": "\\ud800"}', "half of a surrogate pair"),
        ('{"association": "t", "source": "a"}', "an association needs a field 'target'"),
        ('{"association": "t", "source": "a", "target": "b", "weight": "1"}', "number in field"),
        ('{"association": "t", "source": "a", "target": "b", "since": 1.5}', "nanoseconds or ISO"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_line_is_named_and_costs_one_line(line: str, reason: str) -> None:
    found, bad = json_lines('{"id": "first"}\n' + line + '\n{"id": "last"}\n')
    assert [x.id for x in found] == ["first", "last"]
    assert len(bad) == 1
    assert bad[0].startswith("f.jsonl:2: ")
    assert reason in bad[0]


def test_strict_reading_raises_at_the_bad_line() -> None:
    rows = read_json_lines(io.BytesIO(b'{"id": "a"}\n!\n'), "f", fields=Fields(), on_bad=refuse)
    assert next(rows)
    with pytest.raises(BadRecordError, match=r"^f:2: not JSON"):
        next(rows)


def test_byte_that_is_not_utf8_is_named_with_its_column() -> None:
    found, bad = json_lines(b'{"id": "a"}\n{"id": "\xff"}\n{"id": "b"}')
    assert [x.id for x in found] == ["a", "b"]
    assert bad == ["f.jsonl:2: not UTF-8: byte 0xff at column 9"]


def test_byte_order_mark_and_windows_line_ends_are_dropped() -> None:
    lines = decoded_lines(io.BytesIO(b"\xef\xbb\xbfa\r\nb"), "f", refuse)
    assert list(lines) == [(1, "a"), (2, "b")]


def test_line_beyond_the_limit_is_a_bad_record(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LINE_BYTES_MAX > 16 * 1024 * 1024
    monkeypatch.setattr("quillian.reading.lines.LINE_BYTES_MAX", 8)
    bad: list[BadRecordError] = []
    lines = decoded_lines(io.BytesIO(b"a\n" + b"x" * 20 + b"\nb\n"), "f", bad.append)
    assert list(lines) == [(1, "a"), (3, "b")]
    assert [x.place for x in bad] == ["f:2"]


def text_items(text: str, by: str) -> list[tuple[str | None, Any]]:
    found = read_text(io.BytesIO(text.encode()), "f", source="s", by=by, on_bad=refuse)
    return [(x.text, x.data["line"]) for x in found]


def test_paragraphs_are_parted_by_blank_lines() -> None:
    assert text_items("\none\ntwo\n\n \nthree\n", "paragraph") == [("one two", 2), ("three", 6)]


def test_lines_are_items_and_blank_ones_are_not() -> None:
    assert text_items("one\n\n two \n", "line") == [("one", 1), ("two", 3)]
