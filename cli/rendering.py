"""What commands print: JSON, tables by rich on a terminal, plain columns otherwise.

Results go to standard output, progress and remarks to standard error. Rich honours NO_COLOR.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from ..checking import Problem

PLAIN_WIDTH = 100
COLUMN_WIDTH_MAX = 36
PROGRESS_S = 2.0


def emit(content: Any) -> None:
    """One line of JSON on standard output."""
    click.echo(json.dumps(content, ensure_ascii=False, default=str))


def note(text: str) -> None:
    """A remark on standard error."""
    click.echo(text, err=True)


def console() -> "Console | None":
    """A rich console for standard output; None where rich is missing or nobody looks."""
    if not sys.stdout.isatty() or find_spec("rich") is None:
        return None
    from rich.console import Console

    return Console(highlight=False)


def width() -> int:
    """Columns of a line: the terminal's, or PLAIN_WIDTH where nobody looks."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PLAIN_WIDTH


def heading(text: str) -> None:
    """A line that opens a part of the output."""
    rich = console()
    if rich is None:
        click.echo(text)
    else:
        rich.print(f"[bold]{_escaped(text)}[/bold]")


def problems(found: "Sequence[Problem]", words: tuple[str, str], as_json: bool) -> None:
    """What check and repair found, a line each; words: what a loss is called, and the rest."""
    for problem in found:
        if as_json:
            emit(asdict(problem))
        else:
            click.echo(f"{problem.part}: {problem.message} ({words[not problem.lost]})")
    if not found and not as_json:
        click.echo("sound")


def blank() -> None:
    """An empty line."""
    rich = console()
    if rich is None:
        click.echo()
    else:
        rich.print()


def code(text: str) -> None:
    """The Python that does what is shown."""
    rich = console()
    if rich is None:
        click.echo(f"  {text}")
    else:
        rich.print(f"[dim]  {_escaped(text)}[/dim]")


def table(columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under columns; a column's style is "id", "score", "name", "text" or "dim"."""
    rich = console()
    if rich is None:
        for line in plain_table(list(columns), rows):
            click.echo(line)
        return
    rich.print(rich_table(columns, rows))


STYLES = {"id": "cyan", "score": "green", "name": "bold", "dim": "dim", "text": ""}


def rich_table(columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> Any:
    """The table as rich draws it; long texts are cut to one line."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", expand=True)
    most = min(COLUMN_WIDTH_MAX, width() * 2 // 5)  # The last column keeps its share.
    for index, (name, style) in enumerate(columns.items()):
        needed = max(len(name), *(len(row[index]) for row in rows))
        last = index == len(columns) - 1
        made.add_column(
            name,
            style=STYLES[style],
            justify="right" if style == "score" else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=None if last else min(needed, most),
            ratio=1 if last else None,
        )
    for row in rows:
        made.add_row(*map(_escaped, row))
    return made


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of aligned columns, the last one cut so that a line fits PLAIN_WIDTH."""
    lines = [[" ".join(cell.split()) for cell in row] for row in [columns, *rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    rest = max(PLAIN_WIDTH - sum(widths[:-1]) - 2 * (len(columns) - 1), 20)
    shown = []
    for line in lines:
        last = line[-1] if len(line[-1]) <= rest else line[-1][: rest - 1] + "\u2026"
        cells = [cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=False)]
        shown.append("  ".join([*cells, last]).rstrip())
    return shown


def facts(content: Mapping[str, Any], indent: str = "") -> None:
    """Nested facts as lines of "name: value"."""
    width = max((len(str(name)) for name in content), default=0)
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            click.echo(f"{indent}{name}")
            facts(value, indent + "  ")
        else:
            click.echo(f"{indent}{str(name).ljust(width)}  {shown(value, str(name))}")


def shown(value: Any, name: str = "") -> str:
    """A value for people: sizes with units, counts with commas, nothing as a dash."""
    if value is None or value in ({}, []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith(("_bytes", "size")):
        return size(value)
    if isinstance(value, int) and name.endswith("_ns"):
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value / 1e9)) if value else "-"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def size(count: int) -> str:
    """Bytes with a unit: 1536 is "1.5 kB"."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


class Meter:
    """Progress on standard error: a line that moves on a terminal with rich, else a line at times.

    With quiet=True it says nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._quiet = quiet
        self._start = time.monotonic()
        self._said = self._start

    def open(self) -> None:
        if self._quiet or not sys.stderr.isatty() or find_spec("rich") is None:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30))
        err = Console(stderr=True)
        self._bar = Progress(*columns, TimeElapsedColumn(), console=err, transient=True)
        self._bar.start()
        self._task = self._bar.add_task("reading", total=None)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def tell(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Say how far it is; at most every PROGRESS_S seconds where lines do not move."""
        if self._bar is not None:
            self._bar.update(self._task, description=text, completed=done, total=total)
            return
        now = time.monotonic()
        if not self._quiet and now - self._said >= PROGRESS_S:
            self._said = now
            share = f" {done / total:.0%}" if done is not None and total else ""
            note(f"{text}{share} ({now - self._start:.0f} s)")


@contextmanager
def meter(*, quiet: bool) -> Iterator[Meter]:
    """A Meter for the time of a `with` block."""
    made = Meter(quiet)
    made.open()
    try:
        yield made
    finally:
        made.close()
