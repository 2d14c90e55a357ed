"""`quillian link`: one association."""

from pathlib import Path
from typing import Any

import click

from . import rendering
from .options import existing_store_argument, json_option, timeout_option


@click.command(short_help="Set one association between two concepts.")
@existing_store_argument
@click.argument("source")
@click.argument("target")
@click.argument("type")
@click.option("--weight", type=float, default=1.0, show_default=True, help="For spreading; finite.")
@click.option("--confidence", type=float, default=1.0, show_default=True, help="In (0, 1].")
@click.option("--origin", help="Who says so.")
@click.option("--since", metavar="TIME", help="Valid from this ISO 8601 time on.")
@click.option("--until", metavar="TIME", help="Valid before this ISO 8601 time.")
@click.option("--create", is_flag=True, help="Create the concepts that are missing.")
@timeout_option
@json_option
def link(
    store: Path,
    source: str,
    target: str,
    type: str,
    as_json: bool,
    lock_timeout: float,
    **fields: Any,
) -> None:
    """Associate SOURCE with TARGET by TYPE in STORE; one that exists is replaced.

    \b
    Example:
      quillian link brain paris france capital_of --confidence 0.98 --origin atlas
    """
    from ..store import open

    with open(store, lock_timeout=lock_timeout) as opened:
        opened.link(source, target, type, **fields)
    if as_json:
        rendering.emit({"association": type, "source": source, "target": target, **fields})
    else:
        click.echo(f"{source} --{type}--> {target}")
