"""`quillian backup`, `restore`: copies of a store."""

from pathlib import Path

import click

from . import rendering
from .options import json_option, store_argument


@click.command(short_help="Copy a store that may be in use.")
@store_argument
@click.argument("target", type=click.Path(path_type=Path))
@json_option
def backup(store: Path, target: Path, as_json: bool) -> None:
    """Copy STORE as it is now to the new folder TARGET, which is a store itself.

    Readers and writers go on meanwhile, and the copy shows one moment of the store.

    \b
    Example:
      quillian backup brain brain.backup
    """
    from ..store import open

    with open(store, read_only=True) as opened:
        opened.backup(target)
    _report(target, as_json)


@click.command(short_help="Check a backup and put it in place.")
@click.argument("backup", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@json_option
def restore(backup: Path, target: Path, as_json: bool) -> None:
    """Check all of BACKUP and copy it to the new folder TARGET; exit code 4 if it is damaged.

    Nothing is ever overwritten: TARGET must not exist.

    \b
    Example:
      quillian restore brain.backup brain.restored
    """
    from ..keeping import restore

    restore(backup, target)
    _report(target, as_json)


def _report(target: Path, as_json: bool) -> None:
    if as_json:
        rendering.emit({"written": str(target)})
    else:
        click.echo(f"wrote {target}")
