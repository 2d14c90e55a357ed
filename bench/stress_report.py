"""How is a run of stress.py shown and kept? A table, a chart as SVG, rows in a SQLite file."""

import html
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Phase:
    """One phase: seconds of wall and processor time, peak MB within it, disk MB after it.

    peak_mb: resident, mapped files included; own_mb: without what the kernel may drop, files.
    count: how many of `what` it worked through; times: seconds of each call, if calls were timed.
    """

    name: str
    what: str = ""
    count: int = 0
    times: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    own_mb: float = 0.0
    disk_mb: float = 0.0
    load: float = 0.0
    note: str = ""

    def summary(self) -> dict[str, float]:
        """Rate per second, and p50 and p99 in milliseconds where calls were timed."""
        found = {
            "rate": (self.count or len(self.times)) / max(sum(self.times) or self.seconds, 1e-9)
        }
        if self.times:
            found |= {f"p{q}_ms": float(np.percentile(self.times, q)) * 1e3 for q in (50, 99)}
        return found

    def line(self) -> str:
        """The phase in one line."""
        return "  ".join(x.strip() for x in cells(self) if x.strip())


def tell(text: str, *, again: bool = False) -> None:
    """A remark on standard error; `again` overwrites the line on a terminal, else is left out."""
    if not again:
        print(text, file=sys.stderr, flush=True)
    elif sys.stderr.isatty():
        print(f"\r\033[K{text}", end="\r", file=sys.stderr, flush=True)


def reset_peak() -> None:
    """Begin a new peak of resident memory (Linux); elsewhere the peak is that of the process."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mb() -> float:
    """Peak of resident memory, mapped files included, in MB."""
    return _status_mb("VmHWM")


def _status_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {field} in /proc/self/status")


class OwnMemory:
    """Peak of the resident memory that is in no file, so nothing of it can be dropped; sampled."""

    INTERVAL_S = 0.1

    def __init__(self) -> None:
        self._most = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while True:
            self._most = max(self._most, _status_mb("RssAnon"))
            if self._done.wait(self.INTERVAL_S):
                return

    def peak(self) -> float:
        """MB; ends the watch."""
        self._done.set()
        self._thread.join()
        return self._most


def disk_mb(folder: Path) -> float:
    """Blocks that the files of a folder take, in MB."""
    return sum(x.stat().st_blocks * 512 for x in folder.rglob("*") if x.is_file()) / 1e6


HEADER = (
    "phase",
    "seconds",
    "CPU s",
    "count",
    "rate/s",
    "p50 ms",
    "p99 ms",
    "peak MB",
    "own MB",
    "disk MB",
)


def cells(phase: Phase) -> list[str]:
    """The cells of a phase's row, under HEADER."""
    found = phase.summary()
    count = phase.count or len(phase.times)
    return [
        phase.name + (f" ({phase.note})" if phase.note else ""),
        f"{phase.seconds:,.1f}",
        f"{phase.cpu_seconds:,.1f}",
        f"{count:,} {phase.what}",
        f"{found['rate']:,.0f}",
        f"{found['p50_ms']:,.2f}" if phase.times else "",
        f"{found['p99_ms']:,.2f}" if phase.times else "",
        f"{phase.peak_mb:,.0f}",
        f"{phase.own_mb:,.0f}",
        f"{phase.disk_mb:,.0f}",
    ]


def table(phases: Sequence[Phase], facts: dict[str, Any]) -> str:
    """A Markdown table with the facts of the machine above it."""
    shown = ", ".join(f"{name} {value}" for name, value in facts.items())
    rows = [HEADER, ["---"] * len(HEADER), *map(cells, phases)]
    return "\n".join([shown, "", *("| " + " | ".join(row) + " |" for row in rows)])


def chart(phases: Sequence[Phase], facts: dict[str, Any]) -> str:
    """Bars as SVG: seconds of the phases that make, and p50 to p99 of those that ask, in ms."""
    made = [(x.name, x.seconds, x.seconds, f"{x.seconds:,.1f} s") for x in phases if not x.times]
    asked = [
        (x.name, y["p50_ms"], y["p99_ms"], f"{y['p50_ms']:,.2f} / {y['p99_ms']:,.2f} ms")
        for x in phases
        if x.times and (y := x.summary())
    ]
    title = f"{facts.get('concepts', 0):,} concepts, {facts.get('associations', 0):,} associations"
    height = 70 + 22 * (len(made) + len(asked) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="16" y="26" font-size="16">{html.escape(title)}</text>',
    ]
    y = 52
    for head, rows in (("seconds", made), ("milliseconds, p50 and p99", asked)):
        parts.append(f'<text x="16" y="{y}" fill="#666">{head}, log scale</text>')
        y += 8
        for name, low, high, label in rows:
            parts += _bar(name, _width(low, rows), _width(high, rows), label, y)
            y += 22
        y += 20
    return "\n".join([*parts, "</svg>"]) + "\n"


def _width(value: float, rows: Sequence[tuple[str, float, float, str]]) -> float:
    least = min(row[1] for row in rows) / 2
    return 280 * float(np.log(max(value, least) / least) / np.log(max(r[2] for r in rows) / least))


def _bar(name: str, low: float, high: float, label: str, y: int) -> list[str]:
    return [
        f'<text x="230" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>',
        f'<rect x="240" y="{y + 3}" width="{high:.1f}" height="14" fill="#bcd4e6"/>',
        f'<rect x="240" y="{y + 3}" width="{low:.1f}" height="14" fill="#3b7ea1"/>',
        f'<text x="{248 + high:.1f}" y="{y + 14}" fill="#333">{html.escape(label)}</text>',
    ]


def keep(path: Path, phases: Sequence[Phase], facts: dict[str, Any]) -> None:
    """Add a run and its phases to a SQLite file."""
    import sqlite_utils

    database = sqlite_utils.Database(path)
    plain = {name: x if isinstance(x, str | int) else json.dumps(x) for name, x in facts.items()}
    run = database["runs"].insert({"at": time.time_ns(), **plain}, alter=True).last_pk
    rows = [{"run": run, **asdict(x), **x.summary()} for x in phases]
    for row in rows:
        row["times"] = json.dumps(row["times"])
    database["phases"].insert_all(rows, alter=True)
