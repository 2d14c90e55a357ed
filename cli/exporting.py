"""`quillian export`: a store as JSON lines or GraphML."""

import os
from collections.abc import Iterable
from pathlib import Path

import click

from . import rendering
from .options import existing_store_argument, json_option


@click.command(short_help="Write a store as JSON lines or GraphML.")
@existing_store_argument
@click.option(
    "--format",
    "format",
    type=click.Choice(["jsonl", "graphml"]),
    default="jsonl",
    show_default=True,
    help="JSON lines, which ingest reads back, or GraphML for graph tools.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Default: standard output.",
)
@click.option("--no-vectors", is_flag=True, help="Leave vectors out of JSON lines.")
@json_option
def export(store: Path, format: str, output: Path | None, no_vectors: bool, as_json: bool) -> None:
    """Write all concepts and associations of STORE.

    The file appears when it is complete. --json prints a summary when there is a FILE.

    \b
    Example:
      quillian export brain -o brain.jsonl
    """
    from ..exporting import graphml, json_lines
    from ..store import open

    with open(store, read_only=True) as opened, opened.snapshot() as view:
        lines = graphml(view) if format == "graphml" else json_lines(view, vectors=not no_vectors)
        if output is None:
            for line in lines:
                click.echo(line)
            return
        count = write(output, lines)
    if as_json:
        rendering.emit({"file": str(output), "format": format, "lines": count})
    else:
        rendering.note(f"{output}: {count:,} lines, {rendering.size(output.stat().st_size)}")


def write(path: Path, lines: Iterable[str]) -> int:
    """Write lines beside the path and move them there when all are written; returns how many."""
    partial = path.with_name(path.name + ".partial")
    count = 0
    try:
        with partial.open("w", encoding="utf-8") as file:
            for line in lines:
                file.write(line + "\n")
                count += 1
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return count
