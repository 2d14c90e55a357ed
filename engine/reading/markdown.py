"""Markdown notes as a graph: files and sections are concepts, links are associations.

| record | id | what it holds |
|---|---|---|
| document | the file's name | its title: the first heading, else the name |
| section | name#heading/subheading, "~2" behind it if that is taken | headings and paragraphs |
| `part_of` | section to document | |
| `next` | section to the one behind it | |
| `links_to` | document to document | `[text](other.md)` and `[[other]]` |

Ids say where a section stands, so an edited file read again with on_conflict="replace" changes its
concepts instead of adding new ones. Headings are those of CommonMark with `#`, but not between
fences. The fields of a block between `---` at the start of a file (front_matter.py) are metadata of
the document and of its sections.
A link leads to a file by its path from the linking one, else by its name alone (the file nearest to
the top), if need be in other case, as note takers have it; what leads out of the files that are
read stays text.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from ..bindings.limits import ID_BYTES_MAX
from .front_matter import without_front_matter
from .items import Edge, Item, OnBad
from .lines import decoded_lines

SECTION_CHARS = 2_000
"""A longer section is parted between paragraphs: an embedder sees the start of a text best."""

SLUG_CHARS = 80
"""Of the headings in an id, which has at most 511 bytes with the file's name."""

HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)$")
FENCE = re.compile(r" {0,3}(```|~~~)")
LINK = re.compile(
    r"\[[^\[\]]*\]\(<?([^)\s>]{1,1000}+)(?:[\s>][^)]{0,1000}+)?\)"
    r"|\[\[([^\[\]|#]++)(?:[|#][^\[\]]*)?\]\]"
)
"""No character may be matched by two parts, nor far from where a match began: a hostile text of
brackets would take hours."""


@dataclass(slots=True)
class _Section:
    """Paragraphs under one heading, as far as they have been read."""

    path: tuple[str, ...]
    line: int
    paragraphs: list[str] = field(default_factory=list)

    def parts(self) -> Iterator[str]:
        """The paragraphs, joined to texts of at most SECTION_CHARS (or one paragraph)."""
        part: list[str] = []
        chars = 0
        for paragraph in self.paragraphs:
            chars += len(paragraph)
            if part and chars > SECTION_CHARS:
                yield "\n".join(part)
                part, chars = [], len(paragraph)
            part.append(paragraph)
        if part:
            yield "\n".join(part)


class Documents:
    """The ids of documents that are read together, to be found by path or by name."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._ids = frozenset(ids)
        self._by_name: dict[str, str] = {}
        self._by_folded: dict[str, str] = {}
        for id in sorted(self._ids, key=lambda x: (x.count("/"), x)):
            path = PurePosixPath(id)
            for name in (path.name, path.stem):
                self._by_name.setdefault(name, id)
                self._by_folded.setdefault(name.casefold(), id)

    def targets(self, text: str, id: str) -> Iterator[str]:
        """Ids of the other documents that a text of document `id` links to."""
        for path, wiki in LINK.findall(text):
            link = (path or wiki).partition("#")[0].strip()
            if not link or re.match(r"[a-z][a-z0-9+.-]*:", link):
                continue
            place = posixpath.normpath(posixpath.join(posixpath.dirname(id), link))
            ends = (place, f"{place}.md", f"{place}.markdown")
            found = next((x for x in ends if x in self._ids), None)
            name = PurePosixPath(link).name
            found = found or self._by_name.get(name) or self._by_folded.get(name.casefold())
            if found and found != id:
                yield found


def read_markdown(
    stream: IO[bytes], name: str, id: str, source: str, documents: Documents, on_bad: OnBad
) -> Iterator[Item | Edge]:
    """The document, its sections and the edges between them.

    name: the file, for messages. id: the document's, a path with "/". documents: all that are read
    together; a link to another file is no edge.
    """
    fields: dict[str, Any] = {}
    lines = without_front_matter(decoded_lines(stream, name, on_bad), fields)
    sections = list(_sections(lines))
    headings = [section.path[-1] for section in sections if section.path]
    title = headings[0] if headings else PurePosixPath(id).stem
    yield Item(id, name=title, source=source, kind="document", data=fields, place=f"{name}:1")
    before = None
    for item in _items(sections, name, id, source, fields):
        yield item
        yield Edge(item.id, id, "part_of", place=item.place)
        if before is not None:
            yield Edge(before, item.id, "next", place=item.place)
        before = item.id
    texts = (text for section in sections for text in section.paragraphs)
    for target in dict.fromkeys(x for text in texts for x in documents.targets(text, id)):
        yield Edge(id, target, "links_to", place=f"{name}:1")


def _sections(lines: Iterator[tuple[int, str]]) -> Iterator[_Section]:
    current = _Section((), 1)
    paragraph: list[str] = []
    levels: list[tuple[int, str]] = []
    fence = ""
    for number, line in lines:
        mark = FENCE.match(line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        heading = None if fence or mark else HEADING.match(line)
        if heading or not (line.strip() or fence):
            if paragraph:
                current.paragraphs.append("\n".join(paragraph))
                paragraph = []
        else:
            paragraph.append(line.rstrip() if fence or mark else line.strip())
        if heading:
            yield current
            depth = len(heading[1])
            levels = [x for x in levels if x[0] < depth] + [(depth, _unclosed(heading[2]))]
            current = _Section(tuple(text for _, text in levels), number)
    if paragraph:
        current.paragraphs.append("\n".join(paragraph))
    yield current


def _unclosed(heading: str) -> str:
    """The text of a heading without the "#" that may close it, which stand behind a space."""
    text = heading.strip()
    opened = text.rstrip("#")
    return opened.rstrip() if not opened or opened[-1] in " \t" else text


def _items(
    sections: list[_Section], name: str, document: str, source: str, fields: dict[str, Any]
) -> Iterator[Item]:
    taken: dict[str, int] = {}
    for section in sections:
        for text in section.parts():
            id = f"{document}#{_slug(section.path, document)}"
            taken[id] = taken.get(id, 0) + 1
            if taken[id] > 1:
                id = f"{id}~{taken[id]}"
            above = " > ".join(section.path)
            yield Item(
                id,
                text=f"{above}\n{text}" if above else text,
                name=section.path[-1] if section.path else None,
                source=source,
                kind="section",
                data=fields | {"line": section.line},
                place=f"{name}:{section.line}",
            )


def _slug(path: tuple[str, ...], document: str) -> str:
    room = max(0, ID_BYTES_MAX - len(document.encode()) - len("#~9999999"))
    words = "/".join(re.sub(r"[^\w]+", "-", text.casefold()).strip("-") for text in path)
    return words[:SLUG_CHARS].encode()[:room].decode(errors="ignore")
