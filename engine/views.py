"""Views of a Selection: tables with bars, drawings of trails, plans as they ran, data frames.

Whatever stands in a store is escaped: an id or a text is shown, never run.  pyarrow and pandas are
asked for only when one of their tables is wanted.
"""

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from .errors import InvalidError

ROWS_MAX = 50  # Of a table in a notebook; the rest is counted.
TEXT_MAX = 300
LABEL_MAX = 26
BAR_PX = 80
LEFT = "<td style='text-align:left;vertical-align:top'>"  # Notebooks put text at the right.
BOX_WIDTH, BOX_HEIGHT, GAP, MARGIN = 190, 44, 110, 6

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Hop(Protocol):
    """What is drawn of one station of a trail."""

    @property
    def operator(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def columns(self) -> Mapping[str, Any]: ...


class Selection(Protocol):
    """What is shown of a Selection; that file imports this one."""

    @property
    def scores(self) -> Any: ...
    @property
    def step(self) -> Any: ...
    @property
    def columns(self) -> dict[str, Any]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def trail(self, row: int) -> Sequence[Hop]: ...
    def concepts(self) -> Sequence[Any]: ...
    def steps(self) -> Sequence[Any]: ...
    def chain(self) -> Sequence[Any]: ...


def escaped(text: str | None, most: int = TEXT_MAX) -> str:
    """The text, cut and safe inside HTML, SVG and their attributes."""
    from html import escape  # Its table of entities is long.

    text = _UNPRINTABLE.sub("\ufffd", text or "")
    return escape(text if len(text) <= most else text[: most - 3] + "...")


def table(selection: Selection) -> str:
    """A Selection as an HTML table, best rows first, with the trail of the best below it."""
    shown = list(zip(range(min(len(selection), ROWS_MAX)), selection, strict=False))
    best = max((abs(row.score) for _, row in shown), default=0.0) or 1.0
    rows = "".join(
        f"<tr>{LEFT}{escaped(row.name or row.id)}</td>"
        f"<td style='white-space:nowrap;text-align:right;font-variant-numeric:tabular-nums'>"
        f"{row.score:.3f} <div style='width:{BAR_PX}px;display:inline-block;text-align:left'>"
        f"<div style='width:{BAR_PX * abs(row.score) / best:.0f}px;height:.7em;"
        f"background:#4c78a8;display:inline-block'></div></div></td>"
        f"{LEFT}{escaped(row.text)}</td></tr>"
        for _, row in shown
    )
    more = len(selection) - len(shown)
    rest = f"<tr><td colspan='3'>and {more:,} more</td></tr>" if more else ""
    drawn = f"<div>{drawing(selection.trail(0))}</div>" if shown and selection.step else ""
    head = "".join(f"<th style='text-align:left'>{x}</th>" for x in ("concept", "score", "text"))
    return f"<table><tr>{head}</tr>{rows}{rest}</table>{drawn}"


def drawing(hops: Sequence[Hop]) -> str:
    """A trail as SVG: a box for each concept on it, and on the arrows what led from one to next."""
    stations: list[list[Hop]] = []
    for hop in hops:
        if stations and stations[-1][-1].id == hop.id:
            stations[-1].append(hop)
        else:
            stations.append([hop])
    parts = [_box(place, station) for place, station in enumerate(stations)]
    width = len(stations) * (BOX_WIDTH + GAP) + 2 * MARGIN
    height = BOX_HEIGHT + 2 * MARGIN
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' "
        f"height='{height}' font-family='sans-serif' font-size='11' fill='currentColor'>"
        f"{''.join(parts)}</svg>"
    )


def _box(place: int, station: Sequence[Hop]) -> str:
    """One concept, what led to it on the arrow, and its last score; all steps as its title."""
    left = MARGIN + place * (BOX_WIDTH + GAP)
    middle = MARGIN + BOX_HEIGHT / 2
    start, x, last = left + GAP - 8, left + GAP, station[-1]
    led = str(station[0].columns.get("via") or station[0].operator.split("(")[0])
    steps = " > ".join(hop.operator.split("(")[0] for hop in station)
    return (
        f"<g><title>{escaped(steps)}</title>"
        f"<line x1='{left}' y1='{middle}' x2='{start}' y2='{middle}' stroke='currentColor'/>"
        f"<path d='M{start} {middle - 4}L{x} {middle}L{start} {middle + 4}Z'/>"
        f"<text x='{left + (GAP - 8) / 2}' y='{middle - 6}' text-anchor='middle'>"
        f"{escaped(led, 16)}</text>"
        f"<rect x='{x}' y='{MARGIN}' width='{BOX_WIDTH - 6}' height='{BOX_HEIGHT}' rx='6' "
        f"fill='#4c78a8' fill-opacity='.15' stroke='#4c78a8'/>"
        f"<text x='{x + 8}' y='{MARGIN + 18}' font-weight='bold'>"
        f"{escaped(last.id, LABEL_MAX)}</text>"
        f"<text x='{x + 8}' y='{MARGIN + 34}'>{last.score:.3f}</text></g>"
    )


def told(selection: Selection, since: Selection | None, indent: str) -> list[str]:
    """A line for each step after `since`, those of sub-queries before it and further in."""
    lines: list[str] = []
    for made in selection.chain()[0 if since is None else len(since.steps()) :]:
        step = made.step
        for leg in step.inputs:
            lines += told(leg, step.source, indent + "  ")
        cost = "  ".join(f"{name} {value:,}" for name, value in step.cost.items() if value)
        source = step.source
        rows_in = "all" if source is None or source.step is None else str(len(source))
        lines.append(
            f"{indent + step.operator:<44} {f'{rows_in} -> {len(made)}':>16}"
            f" {step.seconds * 1e3:9.3f} ms  {cost}{'  partial' if step.partial else ''}"
        )
    return lines


def arrow(selection: Selection) -> Any:
    """A Selection as a pyarrow.Table: id, score, name, text and the operators' columns."""
    pyarrow = _library("pyarrow")
    text = pyarrow.string()
    arrays = {
        name: pyarrow.array(column, text) if name in ("id", "name", "text") else column
        for name, column in columns(selection).items()
    }
    return pyarrow.table(arrays)


def frame(selection: Selection) -> Any:
    """A Selection as a pandas.DataFrame with the same columns."""
    return _library("pandas").DataFrame(columns(selection))


def columns(selection: Selection) -> dict[str, Any]:
    """Lists and arrays by name: id, score, name, text and the operators' own."""
    concepts = selection.concepts()
    own: dict[str, Any] = {
        "id": [concept.id for concept in concepts],
        "score": selection.scores,
        "name": [concept.name for concept in concepts],
        "text": [concept.text for concept in concepts],
    }
    return own | selection.columns


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InvalidError(f"this wants {name}: pip install {name}") from error
