"""`quillian namespaces`: list the namespaces of a store, or drop one."""

from pathlib import Path

import click

from . import rendering
from .options import existing_store_argument, json_option


@click.command(short_help="List namespaces, or drop one with its concepts.")
@existing_store_argument
@click.option("--drop", metavar="NAME", help="Remove this one with all of its concepts.")
@json_option
def namespaces(store: Path, drop: str | None, as_json: bool) -> None:
    """List the namespaces of STORE and how many concepts each has.

    The one without a name holds what names none. With --json each is one line.

    \b
    Example:
      quillian namespaces brain
    """
    from ..store import open

    with open(store, read_only=drop is None) as opened:
        if drop is not None:
            with opened.transaction() as txn:
                dropped = txn.drop_namespace(drop)
            rows = [{"dropped": drop, "concepts": dropped}]
        else:
            with opened.snapshot() as view:
                rows = [{"namespace": x, "concepts": n} for x, n in view.namespaces().items()]
    if as_json:
        for row in rows:
            rendering.emit(row)
    elif drop is not None:
        click.echo(f"{drop}: {dropped:,} concepts dropped")
    else:
        rendering.table(
            {"namespace": "name", "concepts": "score"},
            [[str(row["namespace"]) or "(none)", f"{row['concepts']:,}"] for row in rows],
        )
