"""`quillian ingest`: files into a store."""

import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from . import rendering
from .options import conflict_option, json_option, store_argument, timeout_option

if TYPE_CHECKING:
    from ..errors import BadRecordError
    from ..ingesting import Counts, Ingest
    from ..store import Store

FORMATS = ("jsonl", "csv", "tsv", "markdown", "text", "sqlite", "packages")
BAD_SHOWN = 10
DEFAULT_PLACE = ""


@click.command(short_help="Read files into a store.")
@store_argument
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--format", "format", type=click.Choice(FORMATS), help="Instead of by the suffix.")
@click.option(
    "--wordnet",
    is_flag=False,
    flag_value=DEFAULT_PLACE,
    metavar="[FOLDER]",
    help="Read WordNet's files, by default those of Debian's wordnet-base.",
)
@click.option(
    "--packages",
    is_flag=False,
    flag_value=DEFAULT_PLACE,
    metavar="[FILE]",
    help="Read Debian's package list, by default from apt-cache dumpavail.",
)
@click.option("--id-field", default="id", show_default=True, help="Field that is the id.")
@click.option(
    "--text-field",
    default="text",
    show_default=True,
    help="Field that is the text, or fields parted by commas that make it.",
)
@click.option("--name-field", default="name", show_default=True, help="Field that is the name.")
@click.option("--source", help="Source of all records that name none; default: the file's name.")
@click.option(
    "--by",
    type=click.Choice(["paragraph", "line"]),
    default="paragraph",
    show_default=True,
    help="What is a record of plain text.",
)
@click.option("--table", help="Table or view of a SQLite file.")
@click.option("--skip-bad", is_flag=True, help="Leave bad records out instead of stopping.")
@click.option("--create", is_flag=True, help="Create concepts that only associations name.")
@click.option("--namespace", default="", help="Namespace of records that name none.")
@conflict_option
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=8192,
    show_default=True,
    metavar="N",
    help="Records per commit.",
)
@click.option("--embedder", help="Embedder of a new store; see `quillian doctor`.")
@click.option("--no-embed", is_flag=True, help="Give texts no vectors.")
@click.option(
    "--vectors",
    type=click.Path(path_type=Path),
    metavar="FILE.npy",
    help="Vectors (n, d), one per record in order, instead of an embedder.",
)
@timeout_option
@json_option
def ingest(
    store: Path, files: tuple[str, ...], as_json: bool, lock_timeout: float, **options: Any
) -> None:
    """Read FILES and folders (- is standard input) into STORE, which is created if it is missing.

    Formats by suffix: .jsonl, .csv, .tsv, .md, .txt, .db and .sqlite. Records are committed in
    batches; Ctrl-C commits what is done, and running it again goes on where it stopped. A bad
    record is named by file and line, and its batch is not written; --skip-bad leaves it out.

    \b
    Example:
      quillian ingest brain notes.txt people.csv --source atlas
    """
    if not files and options["wordnet"] is None and options["packages"] is None:
        raise click.UsageError("want FILES, --wordnet or --packages")
    if options["no_embed"] and (options["embedder"] or options["vectors"]):
        raise click.UsageError("--no-embed goes with neither --embedder nor --vectors")
    start = time.monotonic()
    vectors = load_vectors(options.pop("vectors"))
    named = expect_inputs(files, options)  # Before a store is created.
    with (
        all_or_no_store(store),
        open_store(store, vectors, lock_timeout, **options) as opened,
    ):
        if not as_json:
            rendering.note(embedder_line(opened, vectors, options["no_embed"]))
        run = Run(opened, vectors, quiet=as_json, start=start, options=options)
        interrupted = run.read(named)
        report = run.report(interrupted)
    if as_json:
        rendering.emit(report)
    else:
        show(report)
    if interrupted:
        click.get_current_context().exit(130)


@contextmanager
def all_or_no_store(store: Path) -> Iterator[None]:
    """Around what may make a store: where it fails before its first commit, none is left."""
    from ..errors import QuillianError
    from ..store import open

    is_new = not store.exists()
    try:
        yield
    except QuillianError:
        if is_new and store.exists():
            with open(store, read_only=True) as opened:
                is_empty = opened.stats()["version"] == 0
            if is_empty:
                shutil.rmtree(store)
        raise


def expect_inputs(files: tuple[str, ...], options: dict[str, Any]) -> list[tuple[str, str]]:
    """(path, source) of every file; raises where an input is missing or has no format."""
    from .. import reading

    named = reading.inputs(files, reading.Layout(options["format"]))
    if options["wordnet"] is not None:
        reading.find_folder(Path(options["wordnet"]) if options["wordnet"] else None)
    if options["packages"]:
        reading.expect(options["packages"], reading.Layout("packages"))
    return named


def load_vectors(path: Path | None) -> Any:
    """The (n, d) floats of a .npy file; None without a path."""
    from ..errors import InvalidError

    array = load_array(path)
    if array is not None and array.ndim != 2:
        raise InvalidError(f"{path}: want vectors (n, d), got shape {array.shape}")
    return array


def load_array(path: Path | None) -> Any:
    """The floats of a .npy file, mapped rather than read; None without a path."""
    if path is None:
        return None
    import numpy as np

    from ..errors import InvalidError, NotFoundError

    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; want a .npy file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InvalidError(f"{path} is no .npy file of numbers") from error
    if array.dtype.kind != "f":
        raise InvalidError(f"{path}: want floats, got {array.dtype}")
    return array


def open_store(
    path: Path,
    vectors: Any,
    lock_timeout: float,
    *,
    embedder: str | None,
    no_embed: bool,
    **_: Any,
) -> "Store":
    from ..store import open

    if no_embed:
        embedder = "none"
    dim = None if vectors is None or embedder else int(vectors.shape[1])
    return open(path, dim=dim, embedder=embedder, lock_timeout=lock_timeout)


def embedder_line(store: "Store", vectors: Any, no_embed: bool) -> str:
    name, dim = store.stats()["embedder"], store.stats()["dim"]
    if vectors is not None:
        return f"vectors: given, {vectors.shape[0]:,} x {vectors.shape[1]}"
    if no_embed or name is None:
        return "vectors: none, for the store has no embedder" if not no_embed else "vectors: none"
    return f"vectors: by the embedder {name} ({dim}-d)"


class Run:
    """One run of the command: the ingest, its progress, and Ctrl-C."""

    def __init__(
        self, store: "Store", vectors: Any, *, quiet: bool, start: float, options: dict[str, Any]
    ) -> None:
        from ..ingesting import Ingest

        self.store = store
        self.start = start
        self.options = options
        self.shown_bad = 0
        self.vectors = vectors
        self.quiet = quiet
        self.phases: dict[str, float] = {}
        self.ingest = Ingest(
            store,
            batch=options["batch"],
            on_conflict=options["on_conflict"],
            create=options["create"],
            namespace=options["namespace"],
            vectors=vectors,
            on_bad=self.bad,
            progress=self.progress,
        )
        self.meter = rendering.Meter(quiet)

    def bad(self, record: "BadRecordError") -> None:
        if not self.options["skip_bad"]:
            raise record
        self.shown_bad += 1
        if self.shown_bad <= BAD_SHOWN:
            rendering.note(f"skipped: {record}")
        if self.shown_bad == BAD_SHOWN:
            rendering.note("further bad records are only counted")

    def progress(self, counts: "Counts") -> None:
        seconds = max(time.monotonic() - self.start, 1e-9)
        done = counts.concepts + counts.known
        rate = done / seconds
        self.meter.tell(
            f"{done:,} concepts, {counts.associations:,} associations, {rate:,.0f} concepts/s"
        )

    def read(self, files: list[tuple[str, str]]) -> bool:
        """Read everything and build the index; returns whether Ctrl-C ended it early."""
        self.meter.open()
        try:
            with interruptible(self.ingest):
                interrupted = self._take_all(files)
                self.phases["reading"] = time.monotonic() - self.start
                if not interrupted:
                    self.store.optimize(self._index_progress)
                    self.phases["index"] = time.monotonic() - self.start - self.phases["reading"]
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self.meter.close()
        return interrupted

    def _take_all(self, files: list[tuple[str, str]]) -> bool:
        try:
            for records in self._sources(files):
                self.ingest.take(records)
                if self.ingest.stop:
                    break
        except KeyboardInterrupt:
            self.ingest.flush()
            return True
        if not self.ingest.stop:
            self.ingest.finish()
            self._leftover()
        return self.ingest.stop

    def _sources(self, files: list[tuple[str, str]]) -> Iterator[Any]:
        from .. import reading

        fields = reading.Fields(
            self.options["id_field"],
            self.options["text_field"],
            self.options["name_field"],
            self.options["source"],
        )
        format, by, table = (self.options[key] for key in ("format", "by", "table"))
        documents = reading.Documents(called for _, called in files)
        layout = reading.Layout(format, fields, by, table, documents, rendering.note)
        on_bad = self.ingest.bad
        for name, called in files:
            if name == reading.STDIN:
                yield reading.read_stream(sys.stdin.buffer, name, layout, on_bad)
            else:
                with reading.reading(name, layout, on_bad, called=called) as records:
                    yield records
        if (folder := self.options["wordnet"]) is not None:
            yield reading.read_wordnet(Path(folder) if folder else None, on_bad=on_bad)
        if (name := self.options["packages"]) is not None:
            yield from self._packages(name)

    def _packages(self, name: str) -> Iterator[Any]:
        import io

        from .. import reading

        if not name:
            content = io.BytesIO(reading.available())
            yield reading.read_packages(content, "apt-cache", on_bad=self.ingest.bad)
            return
        with reading.reading(name, reading.Layout("packages"), self.ingest.bad) as records:
            yield records

    def _leftover(self) -> None:
        if self.vectors is not None and len(self.vectors) > self.ingest.rows:
            unused = len(self.vectors) - self.ingest.rows
            rendering.note(f"warning: {unused:,} vectors beyond the last record were not used")

    def _index_progress(self, what: str, done: int, total: int) -> None:
        self.meter.tell(f"index: {done:,} of {total:,} vectors", done, total)

    def report(self, interrupted: bool) -> dict[str, Any]:
        counts, stats = self.ingest.counts, self.store.stats()
        seconds = time.monotonic() - self.start
        return {
            "store": str(self.store.path),
            "embedder": stats["embedder"],
            "dim": stats["dim"],
            "added": counts.concepts,
            "known": counts.known,
            "associations": counts.associations,
            "bad": counts.bad,
            "interrupted": interrupted,
            "seconds": round(seconds, 3),
            "seconds_reading": round(self.phases.get("reading", seconds), 3),
            "seconds_index": round(self.phases.get("index", 0.0), 3),
            "concepts_per_second": round((counts.concepts + counts.known) / max(seconds, 1e-9), 1),
            "store_concepts": stats["concepts"],
            "store_associations": stats["associations"],
            "size_bytes": stats["size_bytes"],
        }


@contextmanager
def interruptible(ingest: "Ingest") -> Iterator[None]:
    """Ctrl-C while a batch is written ends that batch early; while reading it ends the reading.

    A third one while writing gives the batch up.
    """
    heard = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        heard += 1
        if not ingest.writing or heard > 2:
            raise KeyboardInterrupt
        ingest.stop = True
        rendering.note("stopping: committing what is done")

    try:
        before = signal.signal(signal.SIGINT, handle)
    except ValueError:  # Not the main thread: Ctrl-C goes elsewhere.
        yield
        return
    try:
        yield
    finally:
        with suppress(TypeError):
            signal.signal(signal.SIGINT, before)


def show(report: dict[str, Any]) -> None:
    """The summary for people, on standard output."""
    if report["interrupted"]:
        rendering.note("interrupted: what is done is committed; run it again to go on")
    sizes = report["size_bytes"]
    total = sum(sizes.values()) if isinstance(sizes, dict) else sizes
    lines = {
        "concepts": f"{report['added']:,} added, {report['known']:,} known already",
        "associations": f"{report['associations']:,} set",
        "skipped": f"{report['bad']:,} bad records",
        "time": f"{report['seconds']:.1f} s (index {report['seconds_index']:.1f} s), "
        f"{report['concepts_per_second']:,.0f} concepts/s",
        "store": f"{report['store_concepts']:,} concepts, {report['store_associations']:,} "
        f"associations, {rendering.size(total)} in {report['store']}",
    }
    if not report["bad"]:
        del lines["skipped"]
    rendering.facts(lines)
