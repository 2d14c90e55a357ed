"""`quillian repair`, `compact`, `backup`, `restore`: care for a store."""

from dataclasses import asdict
from pathlib import Path

import click

from . import rendering
from .options import existing_store_argument, json_option, timeout_option


@click.command(short_help="Rebuild what can be, and name what is lost.")
@existing_store_argument
@timeout_option
@json_option
def repair(store: Path, lock_timeout: float, as_json: bool) -> None:
    """Rebuild what is derived in STORE, drop what is damaged, and name what is lost.

    Back up the files first if anything of them might still be wanted. A damaged catalog is written
    anew from what holds of it, and stays beside as catalog.mdb.damaged. With --json each problem is
    one line, and a sound store gives none.

    \b
    Example:
      quillian repair brain
    """
    from ..errors import CorruptError
    from ..repairing import rescue
    from ..store import open

    try:
        with open(store, lock_timeout=lock_timeout) as opened:
            found = opened.repair()
    except CorruptError:  # Not even its catalog can be trusted.
        found = rescue(store, lock_timeout)
    rendering.problems(found, ("lost", "was wrong"), as_json)


@click.command(short_help="Give the space of what was deleted back.")
@existing_store_argument
@timeout_option
@json_option
def compact(store: Path, lock_timeout: float, as_json: bool) -> None:
    """Write everything that lives in STORE anew, and remove the rest.

    Readers go on meanwhile and see no change; files that they may still open are kept until
    the next open or compact.

    \b
    Example:
      quillian compact brain
    """
    from ..store import open

    with open(store, lock_timeout=lock_timeout) as opened:
        done = opened.compact()
    if as_json:
        rendering.emit(asdict(done))
        return
    click.echo(f"{rendering.size(done.before_bytes)} -> {rendering.size(done.after_bytes)}")
    if not done.old_files_removed:
        click.echo("an open snapshot keeps the old files; they go with the next open or compact")
    if not done.catalog_shrunk:
        click.echo("the catalog keeps its free pages: another process has the store open")


@click.command(short_help="Copy a store that may be in use.")
@existing_store_argument
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
