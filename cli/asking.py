"""`quillian ask`: an answer with its paths, bounds and what would overturn it, or why not."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import rendering
from .options import existing_store_argument, json_option

if TYPE_CHECKING:
    from ..asking import Answer
    from ..evidence import Belief, Link
    from ..store import Store

BAR = 30
LABEL_MAX = 40


@click.command(short_help="Answer a question, with paths and bounds.")
@existing_store_argument
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
        labels = {} if as_json else labels_of(opened, found)
    if as_json:
        rendering.emit(plain(found))
    else:
        show(found, labels)


def plain(found: "Answer") -> dict[str, Any]:
    """The answer as data for JSON."""
    from dataclasses import asdict

    content = asdict(found)
    content["answer"] = found.best.id if found.best else None
    return content


def labels_of(store: "Store", found: "Answer") -> dict[str, str]:
    """What to call the concepts of paths and conflicts whose ids were made up: name or text."""
    links: list[Link] = [x for clash in found.conflicts for x in (clash.first, clash.second)]
    links += [x for path in (found.belief.paths if found.belief else ()) for x in path.links]
    links += found.overturn.links if found.overturn else ()
    labels = {}
    for id in dict.fromkeys(id for x in links for id in (x.source, x.target)):
        if id.startswith("_:"):
            concept = store.get(id)
            words = " ".join((concept.name or concept.text or id).split())
            labels[id] = textwrap.shorten(words, LABEL_MAX, placeholder="\u2026")
    return labels


def show(found: "Answer", labels: Mapping[str, str]) -> None:
    """Answer, bounds, paths, what would overturn it; or the reasons of abstaining."""
    if found.best is not None:
        rendering.heading(found.best.name)
    else:
        rendering.heading("no answer")
        for reason in found.reasons:
            click.echo(f"  - {reason}")
    if found.belief is not None:
        click.echo(f"  {bar(found.belief.lower, found.belief.upper)}")
        for line in tree(found.belief, labels):
            click.echo(f"  {line}")
    if found.overturn is not None:
        click.echo()
        rendering.heading("would be overturned without")
        for link in found.overturn.links:
            for line in folded(steps_of(link, labels), f"({link.p:.2f})", "  x ", "    "):
                click.echo(line)
    for clash in found.conflicts:
        steps = [*steps_of(clash.first, labels), "and", *steps_of(clash.second, labels)]
        for line in folded(steps, "", f"  conflict, {clash.kind}: ", "    "):
            click.echo(line)
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


def tree(belief: "Belief", labels: Mapping[str, str]) -> Iterator[str]:
    """The independent paths, as a tree under the answer."""
    for number, path in enumerate(belief.paths, 1):
        last = number == len(belief.paths)
        steps = [labels.get(path.concepts[0], path.concepts[0])]
        for link, after in zip(path.links, path.concepts[1:], strict=True):
            arrow = f"-{link.type}->" if link.target == after else f"<-{link.type}-"
            steps.append(f"{arrow} {labels.get(after, after)}")
        first, rest = ("\u2514\u2500 ", "     ") if last else ("\u251c\u2500 ", "\u2502    ")
        yield from folded(steps, f"({path.support:.3f})", first, rest)


def steps_of(link: "Link", labels: Mapping[str, str]) -> list[str]:
    """An association as what stays together on a line."""
    source, target = (labels.get(id, id) for id in (link.source, link.target))
    return [source, f"-{link.type}-> {target}"]


def folded(steps: list[str], end: str, first: str, rest: str) -> Iterator[str]:
    """Steps as lines that fit the width, the end two blanks behind the last; only what is longer
    than a line goes on in the next one, further in."""
    line, width = first + steps[0], max(rendering.width() - 2, 2 * len(rest) + 8)
    for step in [*steps[1:], *([f" {end}"] if end else [])]:
        if len(line) + 1 + len(step) > width:
            yield from _broken(line, rest, width)
            line = rest + step.lstrip()
        else:
            line += f" {step}"
    yield from _broken(line, rest, width)


def _broken(line: str, rest: str, width: int) -> Iterator[str]:
    """A line in pieces of the width."""
    while len(line) > width:
        yield line[:width]
        line = f"{rest}  {line[width:]}"
    yield line
