"""`quillian import-hnswlib`: the index of another library becomes a store."""

from pathlib import Path

import click

from . import rendering
from .options import conflict_option, json_option, store_argument, timeout_option

METRICS = {"cosine": "cosine", "ip": "dot", "l2": "l2"}


@click.command("import-hnswlib", short_help="Read an index that hnswlib saved.")
@store_argument
@click.argument("index", type=click.Path(path_type=Path))
@click.option(
    "--metric",
    type=click.Choice(list(METRICS)),
    required=True,
    help="The space that the index was made with; the file does not say.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ids, one per line; label 0 has the first. Without it a label is its concept's id.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out vectors that are not finite or zero.")
@conflict_option
@timeout_option
@json_option
def import_hnswlib(
    store: Path,
    index: Path,
    metric: str,
    labels: Path | None,
    skip_bad: bool,
    on_conflict: str,
    lock_timeout: float,
    as_json: bool,
) -> None:
    """Read INDEX, a file of hnswlib's save_index, into STORE, which is created if it is missing.

    Its vectors become concepts and are linked anew; elements marked deleted are left out. They are
    committed in batches: run it again to go on where it was stopped.

    \b
    Example:
      quillian import-hnswlib brain index.bin --metric cosine
    """
    from ..errors import BadRecordError, NotFoundError
    from ..importing import import_hnswlib
    from ..ingesting import Counts
    from ..reading.hnswlib import read_hnswlib
    from ..store import open

    if labels is not None and not labels.is_file():
        raise NotFoundError(f"there is no file {labels}")
    ids = None if labels is None else labels.read_text(encoding="utf-8").splitlines()
    found = read_hnswlib(index)  # Before a store is created.

    def on_bad(record: BadRecordError) -> None:
        if not skip_bad:
            raise record
        rendering.note(f"skipped: {record}")

    dim, total = found.rows.shape[1], len(found.labels)
    with (
        open(store, dim=dim, metric=METRICS[metric], lock_timeout=lock_timeout) as opened,
        rendering.meter(quiet=as_json) as meter,
    ):

        def tell(counts: Counts) -> None:
            meter.tell("vectors", counts.concepts + counts.known + counts.bad, total)

        counts = import_hnswlib(
            opened, index, ids=ids, on_conflict=on_conflict, on_bad=on_bad, progress=tell
        )
        opened.optimize(meter.tell)
    report = {
        "added": counts.concepts,
        "known": counts.known,
        "deleted": int(found.deleted.sum()),
        "skipped": counts.bad,
        "dim": dim,
    }
    if as_json:
        rendering.emit(report)
    else:
        rendering.facts(report)
