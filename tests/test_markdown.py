"""Markdown notes become documents, sections and the links between them."""

import io
from itertools import pairwise

from quillian.reading import Documents, Edge, Item, refuse
from quillian.reading.markdown import SECTION_CHARS, read_markdown

NOTE = """---
tags: [x]
---
Before any heading.

# Trip #

Paris is lovely.
So is Rome.

## Food ##

See [work](sub/b.md#top), [[b]], [the web](https://example.org) and [gone](no.md).

```sh
# not a heading
```

## Food

Again.
"""


def read(text: str, id: str = "a.md", others: tuple[str, ...] = ()) -> list[Item | Edge]:
    documents = Documents([id, *others])
    return list(read_markdown(io.BytesIO(text.encode()), id, id, "s", documents, refuse))


def sections(found: list[Item | Edge]) -> dict[str, str | None]:
    return {x.id: x.text for x in found if isinstance(x, Item) and x.kind == "section"}


def edges(found: list[Item | Edge], type: str) -> list[tuple[str, str]]:
    return [(x.source, x.target) for x in found if isinstance(x, Edge) and x.type == type]


def test_sections_stand_under_their_headings() -> None:
    assert sections(read(NOTE)) == {
        "a.md#": "Before any heading.",
        "a.md#trip": "Trip\nParis is lovely.\nSo is Rome.",
        "a.md#trip/food": "Trip > Food\nSee [work](sub/b.md#top), [[b]], [the web]"
        "(https://example.org) and [gone](no.md).\n```sh\n# not a heading\n```",
        "a.md#trip/food~2": "Trip > Food\nAgain.",
    }


def test_document_is_named_by_its_first_heading_else_its_file() -> None:
    assert read(NOTE)[0] == Item(
        "a.md", name="Trip", source="s", kind="document", data={"tags": ["x"]}, place="a.md:1"
    )
    assert read("words", "notes/my note.md")[0].name == "my note"  # type: ignore[union-attr]


def test_sections_are_parts_and_follow_each_other() -> None:
    found = read(NOTE)
    order = list(sections(found))
    assert edges(found, "part_of") == [(id, "a.md") for id in order]
    assert edges(found, "next") == list(pairwise(order))


def test_links_join_documents_that_are_read_together_once() -> None:
    assert edges(read(NOTE, others=("sub/b.md",)), "links_to") == [("a.md", "sub/b.md")]
    assert edges(read(NOTE), "links_to") == []
    found = read("[up](../a.md) and [[b]] itself", "sub/b.md", ("a.md",))
    assert edges(found, "links_to") == [("sub/b.md", "a.md")]


def test_name_alone_leads_to_the_document_nearest_to_the_top() -> None:
    found = read("[[b]]", others=("x/y/b.md", "x/b.md"))
    assert edges(found, "links_to") == [("a.md", "x/b.md")]


def test_name_in_other_case_leads_there_if_none_is_written_so() -> None:
    found = read("[[Anna Smith]]", others=("people/anna smith.md",))
    assert edges(found, "links_to") == [("a.md", "people/anna smith.md")]
    found = read("[[B]]", others=("b.md", "x/B.md"))
    assert edges(found, "links_to") == [("a.md", "x/B.md")]


def test_long_section_is_parted_between_paragraphs() -> None:
    paragraph = "word " * (SECTION_CHARS // 15)
    found = sections(read("# T\n\n" + "\n\n".join([paragraph] * 5)))
    assert list(found) == ["a.md#t", "a.md#t~2"]
    assert all(len(text or "") <= SECTION_CHARS + len("T\n") for text in found.values())
    assert "".join(x or "" for x in found.values()).count("word") == 5 * (SECTION_CHARS // 15)


def test_flat_fields_of_the_front_matter_are_metadata_of_document_and_sections() -> None:
    block = """---
title: "Trip: to Rome"
year: 2024 # of the trip
draft: true
code: 007
tags: [food, 'far away']
people:
  - Ann
  - "Bob"
nested:
  deep: 1
long: |
  line
empty: []
date: 2024-05-01
- stray
---
# Trip

Words.
"""
    expected = {
        "title": "Trip: to Rome", "year": 2024, "draft": True, "code": "007", "date": "2024-05-01",
        "tags": ["food", "far away"], "people": ["Ann", "Bob"],
    }  # fmt: skip
    document, section = (x for x in read(block) if isinstance(x, Item))
    assert document.data == expected
    assert section.data == expected | {"line": 18}


def test_block_at_the_start_that_never_ends_is_text() -> None:
    assert sections(read("---\nkey: value\n")) == {"a.md#": "---\nkey: value"}


def test_empty_file_is_a_document_without_sections() -> None:
    assert [type(x) for x in read("")] == [Item]


def test_headings_of_any_length_make_ids_that_fit() -> None:
    found = read("\n".join(f"{'#' * n} {'ä' * 300}\n\ntext {n}" for n in range(1, 7)))
    assert max(len(id.encode()) for id in sections(found)) <= 200
    assert len(sections(found)) == 6


def test_brackets_that_never_close_take_no_time() -> None:
    """Tried at every place to every end, each of these would run for hours."""
    for text in ("[", "[[a", "[](", "[](a ", "# # "):
        assert len(read("# " + text * 20_000 + "x")) == 1
        assert len(read(text * 20_000)) < 5


def test_a_heading_keeps_a_hash_that_belongs_to_its_last_word() -> None:
    names = [x.name for x in read("# C#\n\n## F # ##\nx\n# #\n") if isinstance(x, Item)]
    assert names == ["C#", "F #"]


def test_ids_fit_under_any_file_name() -> None:
    found = read("# " + "漢" * 300 + "\nx", "d/" * 200 + "a.md")
    assert all(len(x.id.encode()) <= 511 for x in found if isinstance(x, Item))
