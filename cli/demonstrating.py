"""`quillian demo`: the bundled piece of WordNet in a store, and three questions to it."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import rendering
from .options import json_option

if TYPE_CHECKING:
    from ..store import Store

NEAREST = "an instrument with strings played with a bow"
FILTERED = "something sour and yellow"
FILTER = {"topic": "food"}
START = "happiness.n.02"
NEIGHBOURS = 8


@click.command(short_help="See it work, with nothing but the package.")
@click.argument("store", type=click.Path(path_type=Path), required=False)
@json_option
def demo(store: Path | None, as_json: bool) -> None:
    """Fill a store with 2,321 concepts of WordNet that come with the package, and ask it.

    Without STORE it is a temporary one. Nothing else is needed, and nothing is downloaded. Answers
    come from a small embedder that knows the words of this corpus.

    \b
    Example:
      quillian demo
    """
    with place(store) as path:
        opened, report = filled(path)
        with opened:
            answers = [nearest(opened), filtered(opened), neighbours(opened)]
    if as_json:
        for answer in [report, *answers]:
            rendering.emit(answer)
        return
    show(report, answers, store)


@contextmanager
def place(store: Path | None) -> Iterator[Path]:
    """The given path, or one that ends with the `with` block."""
    if store is not None:
        yield store
        return
    with tempfile.TemporaryDirectory(prefix="quillian-demo-") as folder:
        yield Path(folder) / "store"


def filled(path: Path) -> tuple["Store", dict[str, Any]]:
    from ..bundle import read_corpus
    from ..ingesting import Ingest
    from ..store import open

    start = time.perf_counter()
    store = open(path, embedder="bundled")
    ingest = Ingest(store)
    ingest.take(read_corpus())
    ingest.finish()
    store.optimize()
    stats = store.stats()
    return store, {
        "store": str(path),
        "concepts": stats["concepts"],
        "associations": stats["associations"],
        "types": len(stats["types"]),
        "dim": stats["dim"],
        "seconds": round(time.perf_counter() - start, 3),
    }


def nearest(store: "Store") -> dict[str, Any]:
    found = store.search(NEAREST, 5)
    return {
        "question": NEAREST,
        "python": f'store.search("{NEAREST}", k=5)',
        "rows": [[f"{row.score:.3f}", row.id, row.text or ""] for row in found],
    }


def filtered(store: "Store") -> dict[str, Any]:
    found = store.search(FILTERED, 5, where=FILTER)
    return {
        "question": f"{FILTERED}, among food",
        "python": f'store.search("{FILTERED}", k=5, where={FILTER})',
        "rows": [[f"{row.score:.3f}", row.id, row.text or ""] for row in found],
    }


def neighbours(store: "Store") -> dict[str, Any]:
    with store.snapshot() as view:
        edges = view.neighbours(START)
        rows = [
            [edge.type, edge.target, view.get(edge.target).text or ""]
            for edge in edges[:NEIGHBOURS]
        ]
    return {
        "question": f"what {START} is linked to",
        "python": f'snapshot.neighbours("{START}")',
        "rows": rows,
    }


def show(report: dict[str, Any], answers: list[dict[str, Any]], store: Path | None) -> None:
    rendering.heading(
        f"{report['concepts']:,} concepts and {report['associations']:,} associations of "
        f"{report['types']} types from WordNet 3.0, in {report['seconds']:.1f} s"
    )
    scored = {"score": "score", "concept": "id", "text": "text"}
    linked = {"association": "name", "concept": "id", "text": "text"}
    for answer, columns in zip(answers, (scored, scored, linked), strict=True):
        rendering.blank()
        rendering.heading(answer["question"])
        rendering.code(answer["python"])
        rendering.table(columns, answer["rows"])
    rendering.blank()
    if store is None:
        rendering.note("keep the store:  quillian demo STORE")
    else:
        rendering.note(f'ask it yourself: quillian query {store} "a hot drink"')
