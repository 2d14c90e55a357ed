"""Store: an open directory. `open` it, take snapshots and transactions, run queries, close it.

Reading verbs open a snapshot for one call; writing verbs are transactions of one step. Anything
longer belongs inside `with store.snapshot()` or `with store.transaction()`.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from . import embedders, memory
from .budgets import Budgets
from .directory import Directory, NewManifest
from .durability import check_mode
from .embedders import Embedder
from .errors import ClosedError, ConflictError, InvalidError, ReadOnlyError
from .filters import Condition
from .heads import Manifest
from .keeping import Keeping
from .layout import DAMAGED
from .manifests import expect, manifest_of
from .planning import asking, plan_of, question_of
from .query import Operator, Query
from .records import Concept
from .results import Results
from .selection import Nodes, Question, Selection
from .snapshot import Key, Snapshot

if TYPE_CHECKING:
    from .asking import Answer
    from .evidence import Belief
    from .judgement import Declared, Thresholds
    from .transaction import Transaction
    from .vanishing import VanishingFolder

MEMORY = ":memory:"
LOCK_TIMEOUT_S = 10.0
DEFAULTS = Budgets()


def open(
    path: str | os.PathLike[str],
    *,
    dim: int | None = None,
    metric: str | None = None,
    embedder: str | Embedder | None = None,
    read_only: bool = False,
    durability: str = "commit",
    lock_timeout: float = LOCK_TIMEOUT_S,
    stemmer: str | None = None,
    phrases: bool = False,
    hot_bytes: int | None = None,
    cache_bytes: int = 0,
    cache_seconds: float | None = None,
    memory_limit: int | None = None,
) -> "Store":
    """The store at a path, created if there is none.

    ":memory:" is a new one, never on a disk (see vanishing.py), which ends with its handle or its
    process, however that ends; other processes and forked children cannot use it.
    dim, metric ("cosine", "dot", "l2"): wanted only to create; later, another one is an error.
    A store made without one takes the first that it is opened with, or its first vector's.
    embedder: a name ("wordllama", "minilm", an entry point of `quillian.embedders`), an object with
    `name`, `dim` and `embed`, "auto" for the best installed one, or "none": texts get no vectors
    through this handle. None: the one that the store was made with; for a new store without dim,
    the best installed one, if any.
    stemmer ("english", ...: words become stems), phrases (positions of words are kept, for
    `Words(mode="phrase")`): wanted only to create.
    durability: what a commit waits for. "commit": the disk. "group": nothing; the disk follows some
    milliseconds behind, and a power loss takes a suffix of the commits at most. "none": nothing;
    the disk follows about a second behind.  Killing the process loses nothing in any of them.
    lock_timeout: seconds that a transaction waits for another writer before LockTimeout.
    hot_bytes: of concept records that are kept plain, see tiers.py; None: 100 MB.
    cache_bytes: of results of `run` and `search` that are kept for cache_seconds (None: until they
    fall out), see results.py.
    memory_limit: bytes of its own memory that this process may hold for its stores, see memory.py.
    """
    return Store(
        path,
        dim=dim,
        metric=metric,
        embedder=embedder,
        read_only=read_only,
        durability=durability,
        lock_timeout=lock_timeout,
        stemmer=stemmer,
        phrases=phrases,
        budgets=Budgets(hot_bytes, cache_bytes, cache_seconds, memory_limit),
    )


class Store(Keeping):
    """One handle of an open store directory; usable from any thread, reopens itself after fork."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dim: int | None = None,
        metric: str | None = None,
        embedder: str | Embedder | None = None,
        read_only: bool = False,
        durability: str = "commit",
        lock_timeout: float = LOCK_TIMEOUT_S,
        stemmer: str | None = None,
        phrases: bool = False,
        budgets: Budgets = DEFAULTS,
    ):
        _check_opening(path, lock_timeout, read_only)
        self._vanishing = _new_folder() if str(path) == MEMORY else None
        self.path = Path(path) if self._vanishing is None else self._vanishing.path
        self.read_only = read_only
        self.lock_timeout = lock_timeout
        self.durability = check_mode(durability)
        self._closed = False
        self._embedder: Embedder | None = None
        self._budgets = budgets
        self._results = Results(budgets.cache_bytes, budgets.cache_seconds)
        given = None if embedder is None else embedders.name_of(embedder, dim)
        wanted: dict[str, Any] = {
            "dim": dim, "metric": metric, "stemmer": stemmer, "phrases": phrases
        }  # fmt: skip

        def new() -> Manifest:
            name = embedders.name_of(embedder, dim)  # Looks at all that is installed: slow.
            made_dim = embedders.loaded(embedder, name).dim if name and dim is None else dim
            made = {**wanted, "dim": made_dim, "metric": metric or "cosine"}
            return manifest_of(embedder=name, **made)

        try:
            self._directory = self._acquire(None if read_only else new)
        except BaseException:
            self._vanish()
            raise
        try:
            expect(self._directory.manifest, embedder=given, **wanted)
            self._fix_dim(dim)
            self._embedder = self._embedder_of(embedder)
        except BaseException:
            self.close()
            raise

    def _acquire(self, new: NewManifest | None) -> Directory:
        """The directory; given budgets are those of all handles of this process from now on."""
        memory.set_limit(self, self._budgets.memory_limit)
        directory = Directory.acquire(
            self.path, read_only=self.read_only, new=new, durability=self.durability
        )
        if self._budgets.hot_bytes is not None:
            directory.tiers.hot_bytes = self._budgets.hot_bytes
        return directory

    def _fix_dim(self, dim: int | None) -> None:
        """Record the dimension of a store that was made without one and has no vectors yet."""
        if dim is None or self._directory.manifest.dim is not None:
            return
        if self.read_only:
            raise InvalidError(f"want dim={dim}, but the store has none yet; open it for writing")
        with self.transaction() as txn:
            if txn.dim is not None and txn.dim != dim:  # Another process was faster.
                raise InvalidError(f"want dim={dim}, but the store was made with dim={txn.dim}")
            txn.ensure_dim(dim)

    def _embedder_of(self, given: str | Embedder | None) -> Embedder | None:
        manifest = self._directory.manifest
        if given == embedders.NO_EMBEDDER:
            return None
        if given is not None and not isinstance(given, str):
            return given
        if manifest.embedder is None or manifest.dim is None:
            return None
        return embedders.Lazy(manifest.embedder, manifest.dim)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}{', closed' if self._closed else ''})"

    def close(self) -> None:
        """Give the directory back; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._directory.release()
        self._vanish()

    def _vanish(self) -> None:
        memory.set_limit(self, None)
        if self._vanishing is not None:
            self._vanishing.remove()

    def _open_directory(self) -> Directory:
        if self._closed:
            raise ClosedError(f"the store {self.path} is closed; open it again")
        if self._vanishing is not None and not self._vanishing.is_ours:
            raise ClosedError('a ":memory:" store is its process\'s own; this one is a fork of it')
        if self._directory.pid != os.getpid():  # After fork: the parent's must not be touched.
            self._directory = self._acquire(None)
        return self._directory

    # Views.

    def snapshot(self) -> Snapshot:
        """A frozen view; use it in a `with` block."""
        return Snapshot(self._open_directory(), self._embedder)

    def transaction(self) -> "Transaction":
        """The writer's view: commits at the end of its `with` block, aborts on an exception.

        Waits up to lock_timeout for another writer; LockTimeout names its process.
        """
        if self.read_only:
            raise ReadOnlyError(f"the store {self.path} was opened read-only; open it for writing")
        from .transaction import Transaction  # Here, as all that writes: readers take none of it.

        return Transaction(
            self._open_directory(), self._embedder, self.lock_timeout, durability=self.durability
        )

    # Reading.

    def run(self, query: Operator[Snapshot], about: Any = None) -> Selection:
        """Run a reading query on a new snapshot.

        about: the question, a text, a vector (dim,), or a `Question` with both.
        """
        with self.snapshot() as view:
            return self._answer(view, query, question_of(about))

    def search(
        self,
        text: str | None = None,
        k: int = 10,
        *,
        vector: Any = None,
        where: Condition | None = None,
        method: str | None = None,
        namespace: str | None = None,
    ) -> Selection:
        """The k concepts that fit a text, a vector or both best, among those that satisfy `where`.

        method: "vectors", "words", or None: both, fused, where the question and the store have
        both, and with what a walk from the best of them meets, where there are associations
        (see `plan_of`; `explain()` of what is found shows it).
        namespace: only its concepts; "" has those that name none.
        """
        with self.snapshot() as view:
            question = Question(text=text, vector=vector)
            if namespace is not None:
                where = {"namespace": namespace, "$and": [where or {}]}
            plan = plan_of(view, question, k, where, method)
            return self._answer(view, plan, question)

    def _answer(self, view: Snapshot, plan: Operator[Snapshot], question: Question) -> Selection:
        def compute() -> Selection:
            return plan(view, Selection.everything(view, question)).detach()

        return self._results.answer(view, plan, question, lambda: memory.retried(compute))

    def get(self, key: Key) -> Concept:
        """The concept of an id or node number; NotFoundError if there is none."""
        with self.snapshot() as view:
            return view.get(key)

    def believe(
        self, source: Key, target: Key, types: Sequence[str] | None = None, **how: Any
    ) -> "Belief":
        """How far associations that hold lead from one concept to another; see evidence.believe."""
        with self.snapshot() as view:
            return view.believe(source, target, types, **how)

    def ask(
        self,
        question: str,
        *,
        vector: Any = None,
        k: int = 5,
        gate: "Thresholds | None" = None,
        declared: "Declared | None" = None,
        plan: Operator[Snapshot] | None = None,
    ) -> "Answer":
        """Answer a question with paths, bounds, what would overturn it; or abstain with reasons.

        vector: the question's, where the store has no embedder.  k: candidates and passages at
        most.  gate: what an answer needs.  declared: what types promise, for conflicts.
        plan: what finds the passages, that of `ask_plan` changed by hand.
        """
        from .asking import answer  # Here, with all it needs: to open a store takes none of it.

        asked = Question(text=question, vector=vector)
        with self.snapshot() as view:
            plan = plan or asking(view, asked, k)
            found = plan(view, Selection.everything(view, asked))
            return answer(view, found, k, gate, declared)

    def ask_plan(self, question: str, *, vector: Any = None, k: int = 5) -> Query[Snapshot]:
        """The plan by which `ask` finds passages: a query to print, change and give back to it."""
        with self.snapshot() as view:
            return asking(view, Question(text=question, vector=vector), k)

    # Writing, one step each.

    def add(self, text: str | None = None, **fields: Any) -> int:
        """Add one concept in a transaction of its own; see Transaction.add."""
        with self.transaction() as txn:
            return txn.add(text, **fields)

    def add_many(self, texts: Any = None, **columns: Any) -> Nodes:
        """Add concepts from columns in a transaction of their own; see Transaction.add_many."""
        with self.transaction() as txn:
            return txn.add_many(texts, **columns)

    def learn(self, text: str, **fields: Any) -> int:
        """Learn from a text in a transaction of its own; see Transaction.learn."""
        with self.transaction() as txn:
            return txn.learn(text, **fields)

    def link(self, source: Key, target: Key, type: str, **fields: Any) -> None:
        """Set one association in a transaction of its own; see Transaction.link."""
        with self.transaction() as txn:
            txn.link(source, target, type, **fields)

    def link_many(
        self, sources: Sequence[Key], targets: Sequence[Key], types: Any, **columns: Any
    ) -> int:
        """Set associations from columns in one transaction; see Transaction.link_many."""
        with self.transaction() as txn:
            return txn.link_many(sources, targets, types, **columns)

    def forget(self, key: Key, *, secure: bool = False) -> None:
        """Remove a concept in a transaction of its own; see Transaction.forget.

        secure: and compact, so that no byte of it is left in any file.  Raises ConflictError if
        other processes or open snapshots kept that from being done; the concept is gone all the
        same, and `compact` does the rest later.
        """
        with self.transaction() as txn:
            txn.forget(key)
        if secure:
            (self.path / DAMAGED).unlink(missing_ok=True)
            done = self.compact()
            if not (done.old_files_removed and done.catalog_shrunk):
                raise ConflictError(
                    f"{key!r} is forgotten, but its bytes are still in files that a snapshot or "
                    "another process has open: close those, then call compact"
                )


def _check_opening(path: object, lock_timeout: float, read_only: bool) -> None:
    if not isinstance(path, str | os.PathLike):
        raise InvalidError(f'want the path of a folder, or ":memory:", got {path!r}')
    if not 0 <= lock_timeout <= threading.TIMEOUT_MAX:
        raise InvalidError(f"want lock_timeout in seconds, 0 or more, got {lock_timeout}")
    if str(path) == MEMORY and read_only:
        raise InvalidError('a ":memory:" store is new and empty: it cannot be read-only')


def _new_folder() -> "VanishingFolder":
    from .vanishing import VanishingFolder

    return VanishingFolder()
