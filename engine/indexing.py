"""The vector index of one store in this process: links over a prefix of the rows.

Derived and replaceable. It grows in memory while searches go on; now and then it is written out as
an immutable generation, which the catalog's Head names and other processes map. Rows behind what it
covers are scanned exactly, so a search is right however far it has come.
"""

import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

from . import memory
from .bindings.hnsw import COUNT_ONLY, Hnsw
from .bindings.vectors import Vectors
from .calibration import Curve, measure
from .errors import ClosedError, CorruptError, LimitError
from .heads import Head
from .layout import INDEX_MAGIC, draft_index_name, index_name
from .syncing import sync

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) now and then; may raise to stop."""

INDEX_ROWS_MIN = 10_000  # Below this an exact scan is as quick as a walk, and always right.
INDEX_TAIL_ROWS = 20_000  # A generation is due when the tail behind the last one passes this many
INDEX_TAIL_SHARE = 0.05  # rows and this share of all.
INDEX_DEAD_SHARE = 0.05  # Dead rows are taken out of the links when they are this share of them;
INDEX_DEAD_ROWS = 1_000  # they alone make a generation due when they are this many, too.
INDEX_STEP_ROWS = 2_048  # Between two steps progress is told and Ctrl-C is heard.
INDEX_DEGREE = 32
LINKED_BYTES = 74  # Of a row beside its links and a byte for each component: about so many.
INDEX_EF_CONSTRUCTION = 200
INDEX_SEED = 7


class VectorIndex:
    """The links that this process searches, and their generations on disk."""

    def __init__(self, rows: Vectors, folder: Path):
        self._rows = rows
        self._folder = folder
        self.generation = 0
        self._growing = threading.Lock()  # The core wants one thread at a time to extend or save.
        self._mapped: Hnsw | None = None  # Perhaps not checked yet.
        self.curve: Curve = ()  # Of the last generation: which width gives which recall.
        self.damage: str | None = None  # Why the last generation cannot be used.
        self._kept = 0  # Dead rows that a sweep left or would leave, when they were last counted.
        memory.caches[self] = None

    def _fits(self, rows: int) -> bool:
        """Whether the links of so many rows leave enough of the memory to others."""
        limit = memory.limit()
        size = rows * (self._rows.dim + 4 * INDEX_DEGREE + LINKED_BYTES)
        return limit is None or size <= limit * memory.INDEX_SHARE

    def shrink(self) -> None:
        """Give back the links that were made here: the last generation is a map of its file."""
        if memory.limit() is None or not self._growing.acquire(blocking=False):
            return
        try:
            self._map_again()
        finally:
            self._growing.release()

    def _map_again(self) -> None:
        path = self._folder / index_name(self.generation)
        if self._mapped is None or not (self.generation and path.exists()):
            return
        try:
            self._mapped = Hnsw.open(self._rows, str(path))
        except (ClosedError, CorruptError, LimitError):
            # A store that was closed has nothing to give back; damage is found by whoever opens it.
            return

    def close(self) -> None:
        if self._mapped is not None:
            self._mapped.close()

    @property
    def covered(self) -> int:
        """Rows that are linked."""
        return 0 if self._mapped is None else self._mapped.covered

    @property
    def current(self) -> Hnsw | None:
        """The links, every byte checked before they are used first; None if there are none."""
        mapped = self._mapped
        if mapped is not None:
            try:
                mapped.verify()
            except CorruptError as error:
                self._drop(mapped, error)
                return None
        return mapped

    def _owned(self) -> Hnsw | None:
        """The same for whoever wants to change them, and relies on more than a search does."""
        index = self.current
        if index is not None:
            try:
                index.extend(index.covered)
            except CorruptError as error:
                self._drop(index, error)
                return None
        return index

    def _drop(self, index: Hnsw, error: CorruptError) -> None:
        if self._mapped is index:  # Else another thread was first.
            self._mapped = None
            self._distrust(index_name(self.generation), error)

    def _distrust(self, name: str, error: CorruptError) -> None:
        """Derived data: scan instead, say so, and build it again."""
        if _is_older(self._folder / name):  # Nothing is wrong with it: no word of damage.
            self.damage = f"{name} is of an older format: searches scan until optimize()"
            return
        self.damage = str(error)
        what = f"{name} is damaged or of another version"
        warnings.warn(f"{what}: searches scan all rows until optimize()", stacklevel=3)

    def adopt(self, head: Head) -> None:
        """Map the generation that `head` names, if it is newer and covers no less than ours."""
        if head.index_generation <= self.generation or not self._growing.acquire(blocking=False):
            return
        try:
            path = self._folder / index_name(head.index_generation)
            if head.index_rows >= self.covered and path.exists():  # Else a newer one replaced it.
                self._mapped, self.damage, self._kept = Hnsw.open(self._rows, str(path)), None, 0
        except CorruptError as error:
            if not path.exists():  # Replaced just now, as above.
                return
            self._distrust(path.name, error)
        finally:
            self.generation = head.index_generation
            self.curve = head.index_curve
            self._growing.release()

    def is_due(self, head: Head) -> bool:
        """Whether so many rows came or died since the last generation that a new one pays."""
        tail = head.rows - head.index_rows
        enough = max(INDEX_TAIL_ROWS, int(head.rows * INDEX_TAIL_SHARE))
        needed = tail > enough or not head.index_curve or self.damage is not None
        if head.rows < INDEX_ROWS_MIN or not self._fits(head.rows):
            return False
        return needed or self._is_sweep_due(head)

    def is_behind(self, head: Head) -> bool:
        """Whether any row lies behind the last generation, or too many dead ones are in it."""
        damaged = self._owned() is None and self.damage is not None
        complete = head.index_rows >= head.rows and bool(head.index_curve) and not damaged
        return head.rows >= INDEX_ROWS_MIN and (not complete or self._is_sweep_due(head))

    def _is_sweep_due(self, head: Head) -> bool:
        """Whether a sweep would take out enough dead rows to be worth a generation.

        The difference of two counts tells of most commits that it would not. It also holds rows
        that every sweep keeps, so the core counts when it is large enough, and is believed.
        """
        dead = head.rows - head.vectors
        if dead < max(INDEX_DEAD_ROWS, int(self.covered * INDEX_DEAD_SHARE)):
            return False  # Known without checking an index that was not used yet.
        index = self.current
        if index is None or not self._growing.acquire(blocking=False):
            return False  # Whoever is growing it sweeps it, too.
        try:
            enough = max(INDEX_DEAD_ROWS, _dead_enough(index))
            dead -= index.removed
            if dead - self._kept < enough:
                return False
            waiting = index.sweep(head.commit, least=COUNT_ONLY)
            self._kept = dead - waiting
            return waiting >= enough
        finally:
            self._growing.release()

    def gained(self, head: Head) -> bool:
        """Whether this process has linked all rows, or enough, or may sweep out enough of them."""
        more = self.covered - (0 if self.damage else head.index_rows)
        if more == 0:  # Whoever wrote it may have been stopped before its curve was measured.
            return self.covered > 0 and (not head.index_curve or self._is_sweep_due(head))
        return more > 0 and (self.covered >= head.rows or more >= INDEX_ROWS_MIN)

    def grow(self, rows: int, threads: int, progress: Progress | None) -> None:
        """Link rows up to `rows`; searches go on meanwhile, and stopping keeps what was linked."""
        if not self._fits(rows):
            raise LimitError(
                f"the links of {rows:,} rows take more than {memory.INDEX_SHARE:.0%} of "
                "memory_limit; searches scan what is not linked: open with a larger one, "
                "then optimize"
            )
        with self._growing:
            index = self._owned()
            if index is None:
                index = self._mapped = Hnsw.create(
                    self._rows,
                    degree=INDEX_DEGREE,
                    ef_construction=INDEX_EF_CONSTRUCTION,
                    seed=INDEX_SEED,
                )
            while index.covered < rows:
                index.extend(min(index.covered + INDEX_STEP_ROWS, rows), threads=threads)
                if progress is not None:
                    progress("index", index.covered, rows)

    def write(self, commit: int, stopped: Callable[[], bool]) -> tuple[Path, int, Curve]:
        """Write the links under a name of this process: its path, rows covered and curve.

        stopped: whether the store is being closed, which must not wait for the curve.
        """
        with self._growing:
            index = self.current
            assert index is not None
            path = self._folder / draft_index_name(os.getpid())
            index.sweep(commit, least=_dead_enough(index))
            index.save(str(path))
            curve = measure(self._rows, index, commit, stopped)
            return path, index.covered, curve

    def publish(self, draft: Path, generation: int, curve: Curve) -> None:
        """Give a written index its generation's name. The caller holds the writer's lock."""
        draft.rename(self._folder / index_name(generation))
        sync(self._folder)
        self.generation = generation
        self.curve = curve
        self.damage = None
        self.shrink()

    def drop_others(self, generation: int) -> None:
        """Remove the files of all other generations; maps of them stay valid."""
        for path in self._folder.glob("index-*.hnsw"):
            if path.name != index_name(generation):
                path.unlink(missing_ok=True)

    def drop_orphans(self) -> None:
        """Remove the unfinished indexes of processes that are no more."""
        drop_orphans(self._folder, "index-draft-*.tmp")

    def check(self) -> int:
        """How many linked rows no search can reach; CorruptError on broken links."""
        with self._growing:
            index = self.current
            if self.damage is not None:
                raise CorruptError(self.damage)
            return 0 if index is None else index.check()


def _dead_enough(index: Hnsw) -> int:
    """How many dead rows a sweep takes out at least."""
    return max(1, int((index.covered - index.removed) * INDEX_DEAD_SHARE))


def _is_older(path: Path) -> bool:
    """Whether a file is an index as earlier versions wrote it."""
    try:
        with path.open("rb") as file:
            start = file.read(len(INDEX_MAGIC))
    except OSError:
        return False
    return start[:-1] == INDEX_MAGIC[:-1] and 0 < start[-1] < INDEX_MAGIC[-1]


def drop_orphans(folder: Path, drafts: str) -> None:
    """Remove drafts, whose names end in the number of the writing process, of dead processes."""
    for draft in folder.glob(drafts):
        process = draft.stem.rpartition("-")[2]
        if not (process.isdecimal() and len(process) < 10):
            continue  # Not ours.
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            draft.unlink(missing_ok=True)
        except PermissionError:
            pass  # Alive, under another user.
