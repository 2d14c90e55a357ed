"""Results: the selections of queries that were asked before, in this process, within a budget.

A query is a pure function of a snapshot, so its answer may be kept under plan, question and
snapshot. Any commit makes another snapshot, so a write that could change an answer makes it miss;
so does any progress of the vector index, on which approximate answers depend. What comes back is a
copy whose ids, scores, columns, concepts and trail are, byte for byte, what computing it anew would
give; only the times in its steps are those of the first run. The least recently used leave first.
"""

import copy
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import memory
from .layout import encode
from .query import Operator
from .records import Concept
from .selection import Question, Selection
from .snapshot import Snapshot

ENTRY_SHARE = 8  # No answer may take more than 1/8 of the budget.
ENTRY_BYTES = 2_000  # Of objects around the arrays, for each step of an answer,
CONCEPT_BYTES = 1_000  # and for each concept, whose record counts thrice besides.

Key = tuple[Any, ...]


class Results:
    """Answers of one store handle, up to `size_max` bytes and `seconds` old. Shared by threads."""

    def __init__(self, size_max: int = 0, seconds: float | None = None):
        self.size_max = size_max
        self.seconds = seconds
        self._kept: OrderedDict[Key, tuple[Selection, int, float]] = OrderedDict()
        self._size = 0
        self._hits = 0
        self._misses = 0
        self._lock = threading.Lock()
        self._claim = memory.Claim()
        memory.caches[self] = None

    def answer(
        self,
        view: Snapshot,
        plan: Operator[Snapshot],
        question: Question,
        compute: Callable[[], Selection],
    ) -> Selection:
        """The kept answer of a plan to a question on a view, or the computed one, which is kept."""
        key = self._key(view, plan, question) if self.size_max else None
        if key is None:
            return compute()
        kept = self._find(key)
        if kept is not None:
            return _copied(kept)
        made = compute()
        if self._key(view, plan, question) == key:  # The index did not grow meanwhile.
            self._keep(key, _copied(made))
        return made

    def _key(self, view: Snapshot, plan: Operator[Snapshot], question: Question) -> Key | None:
        try:
            told = plan.to_json()
        except TypeError:  # A condition may hold what JSON cannot say.
            return None
        vector = question.vector
        asked = None
        if vector is not None:
            given = np.asarray(vector)
            if given.dtype.hasobject:
                return None
            asked = (given.dtype.str, given.shape, given.tobytes())
        return (type(plan), told, question.text, asked, view.version, view.index_state)

    def _find(self, key: Key) -> Selection | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None or self._is_stale(found[2]):
                if found is not None:
                    self._drop(key)
                self._misses += 1
                return None
            self._hits += 1
            self._kept.move_to_end(key)
            return found[0]

    def _is_stale(self, since: float) -> bool:
        return self.seconds is not None and time.monotonic() - since > self.seconds

    def _keep(self, key: Key, made: Selection) -> None:
        size = _size_of(made) + sum(len(part) for part in key if isinstance(part, str))
        if size * ENTRY_SHARE > self.size_max:
            return
        with self._lock:
            if key in self._kept:  # Another thread computed the same.
                self._drop(key)
            self._kept[key] = (made, size, time.monotonic())
            self._size += size
            while self._size > self.size_max or not self._claim.fits(self._size):
                self._drop(next(iter(self._kept)))

    def shrink(self) -> None:
        """Forget all answers."""
        if self._lock.acquire(blocking=False):
            self._kept.clear()
            self._size = 0
            self._claim.fits(0)
            self._lock.release()

    def _drop(self, key: Key) -> None:
        self._size -= self._kept.pop(key)[1]

    def stats(self) -> dict[str, Any]:
        """Sizes and counts for people."""
        asked = self._hits + self._misses
        return {
            "entries": len(self._kept),
            "bytes": self._size,
            "bytes_max": self.size_max,
            "hits": self._hits,
            "misses": self._misses,
            "hit_ratio": self._hits / asked if asked else None,
        }


def _copied(selection: Selection) -> Selection:
    """A copy that shares nothing which its owner could change, and no snapshot."""
    made = copy.copy(selection)
    made._reader = None
    made.columns = {name: _own(array) for name, array in made.columns.items()}
    made._kept = {node: _own_concept(x) for node, x in made._kept.items()}
    vector = made.question.vector
    if vector is not None:
        made.question = replace(made.question, vector=_locked(np.array(vector)))
    if made.step is not None:
        step = made.step
        made.step = step._replace(
            source=None if step.source is None else _copied(step.source),
            parents=None if step.parents is None else _locked(step.parents),
            cost=dict(step.cost),
            inputs=tuple(_copied(part) for part in step.inputs),
        )
    return made


def _own(array: NDArray[Any]) -> NDArray[Any]:
    return _locked(copy.deepcopy(array)) if array.dtype.hasobject else array


def _own_concept(concept: bytes | Concept) -> bytes | Concept:
    if isinstance(concept, bytes) or not concept.data:
        return concept
    return replace(concept, data=copy.deepcopy(concept.data))


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _size_of(selection: Selection) -> int:
    size = 0
    for made in selection.reached():
        parts = [made._ids, made._scores, *made.columns.values(), made.question.vector]
        parts.append(None if made.step is None else made.step.parents)
        size += ENTRY_BYTES + sum(x.nbytes for x in parts if isinstance(x, np.ndarray))
        records = (x if isinstance(x, bytes) else encode(x) for x in made._kept.values())
        size += sum(CONCEPT_BYTES + 3 * len(x) for x in records)
    return size
