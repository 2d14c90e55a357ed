"""`quillian doctor`: versions, processor, embedders, and the disk under a store."""

from pathlib import Path

import click

from . import rendering
from .options import json_option


@click.command(short_help="Show versions, processor, embedders and disk.")
@click.argument("store", type=click.Path(path_type=Path), required=False)
@json_option
def doctor(store: Path | None, as_json: bool) -> None:
    """Show what this installation runs on; with STORE also its disk and who writes to it.

    \b
    Example:
      quillian doctor brain
    """
    from ..diagnosing import advice, disk, machine, writer

    found = machine()
    place = disk(store) if store is not None else None
    report = found | {"advice": advice(found, place)}
    if store is not None and place is not None:
        report |= {"disk": place, "lock": writer(store)}
    if as_json:
        rendering.emit(report)
        return
    hints = report.pop("advice")
    rendering.facts(report)
    for hint in hints:
        click.echo(f"! {hint}")
    if not hints:
        click.echo("all well")
