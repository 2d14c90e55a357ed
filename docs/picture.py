"""Writes demo.svg: what `quillian demo` shows on a terminal, drawn by rich.

Run `python docs/picture.py` after changing the demo (pip install 'quillian[rich]').
"""

import io
from pathlib import Path

from quillian.cli import rendering
from quillian.cli.demonstrating import demo
from rich.console import Console

WIDTH = 104


def main() -> None:
    terminal = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    rendering.console = lambda: terminal
    terminal.print("[bold]$ quillian demo[/bold]")
    demo.main([], standalone_mode=False)
    target = Path(__file__).resolve().parent / "demo.svg"
    target.write_text(terminal.export_svg(title="quillian demo", unique_id="demo"), "utf-8")


if __name__ == "__main__":
    main()
