"""`quillian ask`: an answer with its paths, bounds and what would overturn it, or why not."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import rendering
from .options import json_option, store_argument

if TYPE_CHECKING:
    from ..asking import Answer

BAR = 30


@click.command(short_help="Answer a question, with paths and bounds.")
@store_argument
@click.argument("question")
@click.option("-k", type=click.IntRange(1), default=5, show_default=True, help="How many of each.")
@click.option(
    "--belief",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Lower bound below which it abstains.",
)
@click.option(
    "--disjoint",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Independent paths that an answer needs.",
)
@json_option
def ask(store: Path, question: str, k: int, belief: float, disjoint: int, as_json: bool) -> None:
    """Answer QUESTION from what is linked in STORE, or abstain and say why.

    The question must name concepts of the store. No language model is asked.

    \b
    Example:
      quillian ask brain "Which country's capital is Paris?"
    """
    from ..judgement import Thresholds
    from ..store import open

    with open(store, read_only=True) as opened:
        found = opened.ask(question, k=k, gate=Thresholds(belief, disjoint))
    if as_json:
        rendering.emit(plain(found))
    else:
        show(found)


def plain(found: "Answer") -> dict[str, Any]:
    """The answer as data for JSON."""
    from dataclasses import asdict

    content = asdict(found)
    content["answer"] = found.best.id if found.best else None
    return content


def show(found: "Answer") -> None:
    """Answer, bounds, paths, what would overturn it; or the reasons of abstaining."""
    if found.best is not None:
        rendering.heading(found.best.name)
    else:
        rendering.heading("no answer")
        for reason in found.reasons:
            click.echo(f"  - {reason}")
    if found.belief is not None:
        click.echo(f"  {bar(found.belief.lower, found.belief.upper)}")
        for line in tree(found):
            click.echo(f"  {line}")
    if found.overturn is not None:
        click.echo()
        rendering.heading("would be overturned without")
        for link in found.overturn.links:
            click.echo(f"  x {link}  ({link.p:.2f})")
    for conflict in found.conflicts:
        click.echo(f"  conflict, {conflict}")
    if len(found.candidates) > 1:
        click.echo()
        rendering.heading("other candidates")
        cells = [[f"{x.belief.lower:.3f}", x.id, x.name] for x in found.candidates[1:]]
        rendering.table({"belief": "score", "id": "id", "name": "text"}, cells)
    if found.passages:
        click.echo()
        rendering.heading("passages")
        rows = [[f"{x.score:.3f}", x.id, x.text] for x in found.passages]
        rendering.table({"score": "score", "id": "id", "text": "text"}, rows)


def bar(lower: float, upper: float) -> str:
    """Bounds as a line: full up to the lower one, open up to the upper one."""
    full, known = round(lower * BAR), round(upper * BAR)
    drawn = "\u2588" * full + "\u2591" * (known - full) + "\u00b7" * (BAR - known)
    if upper - lower < 0.0005:
        return f"{drawn}  belief {lower:.3f}"
    return f"{drawn}  belief {lower:.3f} to {upper:.3f}"


def tree(found: "Answer") -> list[str]:
    """The independent paths, as a tree under the answer."""
    paths = found.belief.paths if found.belief else ()
    lines = []
    for number, path in enumerate(paths, 1):
        branch = "\u2514\u2500" if number == len(paths) else "\u251c\u2500"
        lines.append(f"{branch} {path}  ({path.support:.3f})")
    return lines
