"""Explanations: the evidence of a belief for people, as a tree: in text, JSON and a picture.

Every line cites the concepts and associations that it speaks of.  Nothing is computed here but
where things stand.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

from .evidence import Belief, Clash, Link, Overturning, Path
from .receipts import Receipt

LETTER = 7.2  # Width of a character of the picture, in its units; as are those below.
BOX_HEIGHT, ROW, ARROW_MIN, MARGIN = 28, 64, 60, 16
INK, PALE, CUT, PAPER = "#24292f", "#6e7781", "#cf222e", "#ffffff"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a tree: what it says, the ids and associations that it cites, what is below."""

    says: str
    concepts: tuple[str, ...] = ()
    associations: tuple[Link, ...] = ()
    below: tuple["Line", ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Explanation:
    """A tree of lines over a belief, and the receipt that it can be computed from again."""

    tree: Line
    belief: Belief
    overturn: Overturning | None
    receipt: Receipt | None

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """The tree as lines of text."""
        return "\n".join([self.tree.says, *_drawn(self.tree.below, "")])

    def to_dict(self) -> dict[str, Any]:
        """The tree and the receipt as data for JSON."""
        return {
            "tree": asdict(self.tree),
            "receipt": None if self.receipt is None else asdict(self.receipt),
        }

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def svg(self) -> str:
        """A picture: one row per independent path; what would overturn it all is dashed and red."""
        gone = self.belief.cut if self.overturn is None else self.overturn.links
        return _picture(self.tree.says, self.belief.paths, set(gone))


def explained(
    title: str,
    belief: Belief,
    overturn: Overturning | None = None,
    conflicts: Sequence[Clash] = (),
    receipt: Receipt | None = None,
) -> Explanation:
    """The evidence of a belief as a tree under a title."""
    ends = () if receipt is None else tuple(dict.fromkeys((*receipt.sources, *receipt.targets)))
    version = "" if receipt is None else f", as of snapshot {receipt.version}"
    below = [_path(number, path) for number, path in enumerate(belief.paths, 1)]
    if not below:
        below.append(Line("no path leads there", ends))
    if overturn is not None and overturn.links:
        left = f"{overturn.before.lower:.3f} falls to {overturn.after.upper:.3f} at most"
        below.append(_links(f"would be overturned without ({left})", overturn.links))
    elif belief.cut:
        below.append(_links("all depends on one of", belief.cut))
    below += [_links(f"cannot both hold ({x.kind})", (x.first, x.second)) for x in conflicts]
    partial = ", some associations unread" if belief.partial else ""
    says = f"{title}: belief {belief.lower:.3f} to {belief.upper:.3f}{version}{partial}"
    return Explanation(Line(says, ends, (), tuple(below)), belief, overturn, receipt)


def _path(number: int, path: Path) -> Line:
    steps = [
        Line(f"{link} ({link.p:.3f})", (link.source, link.target), (link,)) for link in path.links
    ]
    says = f"path {number}, support {path.support:.3f}"
    return Line(says, path.concepts, path.links, tuple(steps))


def _links(says: str, links: Sequence[Link]) -> Line:
    below = [Line(f"{x} ({x.p:.3f})", (x.source, x.target), (x,)) for x in links]
    ids = tuple(dict.fromkeys(id for x in links for id in (x.source, x.target)))
    return Line(says, ids, tuple(links), tuple(below))


def _drawn(lines: Sequence[Line], indent: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        last = number == len(lines)
        branch = "\u2514\u2500" if last else "\u251c\u2500"
        yield f"{indent}{branch} {line.says}"
        yield from _drawn(line.below, indent + ("   " if last else "\u2502  "))


def _picture(title: str, paths: Sequence[Path], gone: set[Link]) -> str:
    parts: list[str] = []
    width = len(title) * LETTER + 2 * MARGIN
    for row, path in enumerate(paths):
        x, middle = float(MARGIN), MARGIN + 40 + row * ROW + BOX_HEIGHT / 2
        for place, id in enumerate(path.concepts):
            if place:
                link = path.links[place - 1]
                x = _arrow(parts, x, middle, link, link.target == id, link in gone)
            x = _box(parts, x, middle, id)
        parts.append(_words(x + 10, middle + 4, f"{path.support:.3f}", PALE))
        width = max(width, x + 10 + 6 * LETTER + MARGIN)
    height = MARGIN + 40 + max(len(paths), 1) * ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="monospace" font-size="12">'
        f'<rect width="100%" height="100%" fill="{PAPER}"/>'
        + _words(MARGIN, MARGIN + 12, title, INK, "bold")
        + "".join(parts)
        + "</svg>"
    )


def _box(parts: list[str], x: float, middle: float, says: str) -> float:
    """Draw a concept; returns where it ends."""
    width = len(says) * LETTER + 16
    parts.append(
        f'<rect x="{x:.1f}" y="{middle - BOX_HEIGHT / 2:.1f}" width="{width:.1f}" '
        f'height="{BOX_HEIGHT}" rx="6" fill="{PAPER}" stroke="{INK}"/>'
    )
    parts.append(_words(x + 8, middle + 4, says, INK))
    return x + width


def _arrow(
    parts: list[str], x: float, middle: float, link: Link, forwards: bool, gone: bool
) -> float:
    """Draw an association from x on; returns where it ends."""
    says = f"{link.type} {link.p:.2f}"
    width = max(len(says) * LETTER + 16, ARROW_MIN)
    colour = CUT if gone else PALE
    dashes = ' stroke-dasharray="5 3"' if gone else ""
    end = x + width
    tip, back = (end, end - 8) if forwards else (x, x + 8)
    parts.append(
        f'<path d="M{x:.1f} {middle:.1f}H{end:.1f}" stroke="{colour}" fill="none"{dashes}/>'
        f'<path d="M{tip:.1f} {middle:.1f}L{back:.1f} {middle - 4:.1f}V{middle + 4:.1f}Z" '
        f'fill="{colour}"/>'
    )
    parts.append(_words(x + 8, middle - 8, says, colour))
    return end


def _words(x: float, y: float, says: str, colour: str, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-weight="{weight}" '
        f'textLength="{len(says) * LETTER:.1f}">{escape(says)}</text>'
    )
