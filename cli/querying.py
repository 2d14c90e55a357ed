"""`quillian query`: the concepts that fit a text or a vector, and what surrounds them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import rendering
from .options import existing_store_argument, json_option, where_option

if TYPE_CHECKING:
    from ..query import Operator
    from ..selection import Selection
    from ..store import Store


@click.command(short_help="Find the concepts that fit a text or a vector.")
@existing_store_argument
@click.argument("text", required=False)
@click.option(
    "--vector",
    type=click.Path(path_type=Path),
    metavar="FILE.npy",
    help="The question as a vector (d,), or row 0 of (n, d).",
)
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="How many to find.")
@where_option
@click.option(
    "--expand", type=click.IntRange(1), metavar="HOPS", help="Add what is linked to them."
)
@click.option("--spread", is_flag=True, help="Rank what a walk from them along links meets.")
@click.option("--types", help="Association types to follow, parted by commas; default: all.")
@click.option(
    "--direction",
    type=click.Choice(["out", "in", "both"]),
    default="out",
    show_default=True,
    help="Which way to follow them.",
)
@click.option("--top", type=click.IntRange(1), default=30, show_default=True, help="Rows at most.")
@click.option("--exact", is_flag=True, help="Score every vector instead of using the index.")
@click.option("--explain", is_flag=True, help="Show the plan with rows, times and costs.")
@json_option
def query(
    store: Path, text: str | None, vector: Path | None, as_json: bool, **options: Any
) -> None:
    """Find the concepts of STORE that fit TEXT best; without it, all that --where leaves.

    Higher scores are better. With --json each row is one line.

    \b
    Example:
      quillian query brain "a young dog" -k 5 --where kind=noun --expand 1 --types hypernym
    """
    if (text is None) == (vector is None) and (text or not options["terms"]):
        raise click.UsageError("want either TEXT or --vector FILE.npy, or only --where")
    if options["types"] and not (options["expand"] or options["spread"]):
        raise click.UsageError("--types goes with --expand or --spread")
    if options["expand"] and options["spread"]:
        raise click.UsageError("want either --expand or --spread")
    from ..store import open

    with open(store, read_only=True) as opened:
        about = question_vector(vector) if vector is not None else text
        selection = run(opened, about, **options)
        show(selection, as_json=as_json, explain=options["explain"])


def question_vector(path: Path | None) -> Any:
    from .ingesting import load_array

    array = load_array(path)
    return array[0] if array.ndim == 2 else array


def run(
    store: "Store",
    about: Any,
    *,
    k: int,
    terms: tuple[str, ...],
    expand: int | None,
    spread: bool,
    types: str | None,
    direction: str,
    top: int,
    exact: bool,
    **_: Any,
) -> "Selection":
    """Search, or where more is asked for, the query that says so."""
    from ..conditions import parse_conditions
    from ..errors import InvalidError
    from ..operators import Above, Expand, Spread, Top, Where
    from ..query import Operator, Query

    try:
        where = parse_conditions(terms)
    except InvalidError as error:
        raise click.UsageError(f"--where: {error}") from None
    if not (expand or spread or exact) and about is not None:
        if isinstance(about, str):
            return store.search(about, k, where=where)
        return store.search(k=k, vector=about, where=where)
    steps: list[Operator[Any]] = [Where(where)] if where else []
    steps.append(_first(store, about, k, exact))
    names = tuple(x.strip() for x in types.split(",")) if types else None
    if spread:
        steps += [Above(0.0), Spread(types=names, direction=direction), Top(top)]
    if expand:
        steps += [Expand(expand, types=names, direction=direction), Top(top)]
    return store.run(Query(*steps), about=about)


def _first(store: "Store", about: Any, k: int, exact: bool) -> "Operator[Any]":
    """What finds the rows that more is asked of; words, where nothing embeds the text."""
    from ..operators import Near, Top, Words

    if about is None:
        return Top(k)
    with store.snapshot() as view:
        wordy = isinstance(about, str) and not (exact or view.has_embedder)
    return Words(k) if wordy else Near(k, exact=exact)


def show(selection: "Selection", *, as_json: bool, explain: bool) -> None:
    rows = rows_of(selection)
    if as_json:
        for row in rows:
            rendering.emit(row)
        if explain:
            rendering.emit({"explain": selection.explain().splitlines()})
        return
    if not rows:
        rendering.note("nothing found")
    else:
        rendering.table(*columns_of(rows))
    if explain:
        rendering.heading("plan")
        click.echo(selection.explain())


def rows_of(selection: "Selection") -> list[dict[str, Any]]:
    """The rows as plain data, with the columns that operators added."""
    columns = {name: column.tolist() for name, column in selection.columns.items()}
    return [
        {"id": row.id, "score": round(row.score, 6), "name": row.name, "text": row.text}
        | {name: column[index] for name, column in columns.items()}
        | {"why": row.why}
        for index, row in enumerate(selection)
    ]


def columns_of(rows: list[dict[str, Any]]) -> tuple[dict[str, str], list[list[str]]]:
    """Columns with their styles, and the cells, for a table."""
    expanded = "via" in rows[0]
    columns = (
        {"score": "score", "id": "id"} | ({"via": "dim"} if expanded else {}) | {"text": "text"}
    )
    cells = []
    for row in rows:
        middle = [f"{row['hop']} {row['via']}".strip() if row["hop"] else ""] if expanded else []
        text = row["text"] or row["name"] or ""
        cells.append([f"{row['score']:.3f}", row["id"], *middle, text])
    return columns, cells
