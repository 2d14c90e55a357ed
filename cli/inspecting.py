"""`quillian get`, `stats`, `check`: what is in a store, and whether it is sound."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import rendering
from .options import existing_store_argument, json_option

if TYPE_CHECKING:
    from ..snapshot import Snapshot

EXIT_CORRUPT = 4


@click.command(short_help="Show concepts and their associations.")
@existing_store_argument
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option(
    "--neighbours", type=click.IntRange(0), default=20, show_default=True, help="Shown at most."
)
@json_option
def get(store: Path, ids: tuple[str, ...], neighbours: int, as_json: bool) -> None:
    """Show concepts of STORE with the associations that leave and enter them.

    \b
    Example:
      quillian get brain paris
    """
    from ..store import open

    with open(store, read_only=True) as opened, opened.snapshot() as view:
        for id in ids:
            found = described(view, id)
            if as_json:
                rendering.emit(found)
            else:
                show_concept(found, neighbours)


def described(view: "Snapshot", id: str) -> dict[str, Any]:
    """A concept with its associations as plain data."""
    from ..exporting import association_fields, concept_fields

    concept = view.get(id)
    around = {way: view.neighbours(id, direction=way) for way in ("out", "in")}
    return concept_fields(concept) | {
        "node": concept.node,
        "created_ns": concept.created_ns,
        "updated_ns": concept.updated_ns,
        "vectors": len(concept.slots),
        **{way: [association_fields(edge) for edge in edges] for way, edges in around.items()},
    }


def show_concept(found: dict[str, Any], limit: int) -> None:
    rendering.heading(str(found["id"]))
    around = {"out", "in", "id", "node"}
    rendering.facts({k: v for k, v in found.items() if k not in around}, "  ")
    rows = [
        [arrow, edge["association"], f"{edge.get('weight', 1.0):g}", edge[end]]
        for way, arrow, end in (("out", "->", "target"), ("in", "<-", "source"))
        for edge in found[way]
    ]
    if rows:
        columns = {"": "dim", "type": "name", "weight": "score", "concept": "id"}
        rendering.table(columns, rows[:limit])
    if len(rows) > limit:
        rendering.note(f"{len(rows) - limit:,} more; see --neighbours")


@click.command(short_help="Show counts, types and sizes of a store.")
@existing_store_argument
@json_option
def stats(store: Path, as_json: bool) -> None:
    """Show what STORE holds: counts, association types, index, sizes on disk.

    \b
    Example:
      quillian stats brain
    """
    from ..store import open

    with open(store, read_only=True) as opened:
        found = opened.stats()
    if as_json:
        rendering.emit(found)
        return
    by_count = sorted(found["types"].items(), key=lambda pair: -pair[1])
    sizes = found["size_bytes"]
    found["types"] = dict(by_count)
    if isinstance(sizes, dict):
        total = {"total": sum(sizes.values())}
        found["size_bytes"] = {k: rendering.size(v) for k, v in (sizes | total).items()}
    rendering.facts(found)


@click.command(short_help="Read everything and name what is damaged.")
@existing_store_argument
@json_option
@click.pass_context
def check(ctx: click.Context, store: Path, as_json: bool) -> None:
    """Read all of STORE and name everything that is damaged; exit code 4 if anything is.

    With --json each problem is one line, and a sound store gives none.

    \b
    Example:
      quillian check brain
    """
    from ..store import open

    with open(store, read_only=True) as opened:
        problems = opened.check()
    rendering.problems(problems, ("data lost", "can be rebuilt"), as_json)
    if problems:
        ctx.exit(EXIT_CORRUPT)
