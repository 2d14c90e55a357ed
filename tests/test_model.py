"""A store against its model: whatever is done in whatever order, all views answer as a dictionary.

A Hypothesis state machine adds, replaces, merges, forgets, links, unlinks and retypes, in
transactions that commit or abort, and in between reopens, compacts, restores a backup, optimizes
and indexes; reads run on the open transaction, on the newest snapshot and on old ones that are
still open. CI runs few, fixed examples; `python tests/test_model.py --seconds 1200` runs new ones.
"""

import argparse
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import quillian as ql
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from quillian.directory import Directory
from store_model import (
    DIM,
    Model,
    anything,
    compare_contents,
    compare_near,
    compare_walk,
    compare_words,
)

IDS = [f"c{i}" for i in range(12)]
TYPES = ["part_of", "near", "has"]
KINDS = ["a", "b"]
WORDS = ["wolf", "lake", "tree", "STRASSE", "straße", "x1"]
OPEN_VIEWS_MAX = 3
counts: Counter[str] = Counter()

ids = st.sampled_from(IDS)
types = st.sampled_from(TYPES)
numbers = st.lists(st.integers(-3, 3), min_size=DIM, max_size=DIM)
vectors = numbers.filter(any)
texts = st.none() | st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
data = st.dictionaries(st.sampled_from(["n", "m"]), st.integers(0, 3), max_size=2)
picks = st.integers(0, 1 << 16)


class StoreMachine(RuleBasedStateMachine):
    """A store, its model, and open views with the models of their moments."""

    def __init__(self) -> None:
        super().__init__()
        memory = (
            "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        )  # Syncs are not the subject.
        self.folder = Path(tempfile.mkdtemp(prefix="quillian-model-", dir=memory))
        self.path = self.folder / "store"
        self.store: ql.Store | None = None
        self.txn: ql.Transaction | None = None
        self.views: list[tuple[ql.Snapshot, Model]] = []

    @initialize(
        metric=st.sampled_from(["dot", "l2", "cosine"]),
        phrases=st.booleans(),
        hot=st.sampled_from([0, 1_000, 10**6]),
    )
    def create(self, metric: str, phrases: bool, hot: int) -> None:
        self.hot = hot
        self.store = ql.open(
            self.path, dim=DIM, metric=metric, embedder="none", phrases=phrases, hot_bytes=hot
        )
        self.committed = Model(metric)
        self.model = self.committed.copy()  # As the open transaction sees it.

    def teardown(self) -> None:
        if self.store is not None:
            self.end_views()
            if self.txn is not None:
                self.txn.abort()
            with self.store.snapshot() as view:
                compare_contents(view, self.committed)
            assert self.store.check() == []
            self.store.close()
        shutil.rmtree(self.folder)

    def end_views(self) -> None:
        for view, model in self.views:
            compare_contents(view, model)
            view.close()
        self.views.clear()

    def writing(self) -> ql.Transaction:
        assert self.store is not None
        if self.txn is None:
            self.txn = self.store.transaction()
        return self.txn

    def count(self, name: str) -> None:
        counts[name] += 1

    # Writing.

    @rule(
        id=ids,
        text=texts,
        kind=st.none() | st.sampled_from(KINDS),
        data=data,
        vector=st.none() | vectors,
        how=st.sampled_from(["skip", "replace", "merge", "error"]),
    )
    def add(self, id: str, text: str | None, kind: str | None, data: dict[str, int],
            vector: list[int] | None, how: str) -> None:  # fmt: skip
        self.count("add")
        txn = self.writing()
        fields = {"text": text, "kind": kind, "data": data}
        try:
            txn.add(id=id, vector=vector, on_conflict=how, **fields)  # type: ignore[arg-type]
        except ql.ConflictError:
            assert how == "error"
            assert id in self.model.concepts
            return
        assert how != "error" or id not in self.model.concepts
        placed = None if vector is None else tuple(map(float, vector))
        self.model.add(id, how, {**fields, "vector": placed})

    @rule(rows=st.lists(st.tuples(texts, vectors), min_size=1, max_size=20), at=picks)
    def add_many(self, rows: list[tuple[str | None, list[int]]], at: int) -> None:
        self.count("add_many")
        names = [f"m{(at + i) % 60}" for i in range(len(rows))]
        found, matrix = [row[0] for row in rows], np.array([row[1] for row in rows], np.float32)
        self.writing().add_many(found, ids=names, vectors=matrix, on_conflict="replace")
        for name, (text, vector) in zip(names, rows, strict=True):
            fields = {"text": text, "kind": None, "data": {}, "vector": tuple(map(float, vector))}
            self.model.add(name, "replace", fields)

    @precondition(lambda self: self.model.concepts)
    @rule(at=picks)
    def forget(self, at: int) -> None:
        self.count("forget")
        id = self.pick(at)
        self.writing().forget(id)
        self.model.forget(id)

    @precondition(lambda self: self.model.concepts)
    @rule(
        a=picks,
        b=picks,
        type=types,
        weight=st.sampled_from([1.0, 0.5, 2.0]),
        confidence=st.sampled_from([1.0, 0.5]),
    )
    def link(self, a: int, b: int, type: str, weight: float, confidence: float) -> None:
        self.count("link")
        source, target = self.pick(a), self.pick(b)
        self.writing().link(source, target, type, weight=weight, confidence=confidence)
        self.model.links[source, target, type] = (weight, confidence)

    @precondition(lambda self: self.model.links)
    @rule(at=picks, all_types=st.booleans())
    def unlink(self, at: int, all_types: bool) -> None:
        self.count("unlink")
        source, target, type = sorted(self.model.links)[at % len(self.model.links)]
        gone = [x for x in self.model.links if x[:2] == (source, target)]
        gone = gone if all_types else [(source, target, type)]
        found = self.writing().unlink(source, target, None if all_types else type)
        assert found == len(gone)
        for key in gone:
            del self.model.links[key]

    @precondition(lambda self: self.model.links)
    @rule(at=picks, type=types)
    def retype(self, at: int, type: str) -> None:
        self.count("retype")
        source, target, old = sorted(self.model.links)[at % len(self.model.links)]
        weight, confidence = self.model.links.pop((source, target, old))
        txn = self.writing()
        txn.unlink(source, target, old)
        txn.link(source, target, type, weight=weight, confidence=confidence)
        self.model.links[source, target, type] = (weight, confidence)

    @precondition(lambda self: self.txn is not None)
    @rule()
    def commit(self) -> None:
        self.count("commit")
        assert self.txn is not None
        self.txn.commit()
        self.txn = None
        self.committed = self.model.copy()

    @precondition(lambda self: self.txn is not None)
    @rule()
    def abort(self) -> None:
        self.count("abort")
        assert self.txn is not None
        self.txn.abort()
        self.txn = None
        self.model = self.committed.copy()

    # Keeping; a transaction that is open holds the writer's lock.

    @precondition(lambda self: self.txn is None)
    @rule(read_only=st.booleans())
    def reopen(self, read_only: bool) -> None:
        self.count("reopen")
        assert self.store is not None
        self.end_views()
        self.store.close()
        if read_only:
            with ql.open(self.path, read_only=True) as store, store.snapshot() as view:
                compare_contents(view, self.committed)
        self.store = ql.open(self.path, hot_bytes=self.hot)

    @precondition(lambda self: self.txn is None)
    @rule()
    def compact(self) -> None:
        self.count("compact")
        assert self.store is not None
        self.store.compact()

    @precondition(lambda self: self.txn is None)
    @rule()
    def optimize(self) -> None:
        self.count("optimize")
        assert self.store is not None
        self.store.optimize()

    @precondition(lambda self: self.txn is None)
    @rule()
    def index(self) -> None:
        """As optimize does to a large store: link all rows and write the index."""
        self.count("index")
        directory = Directory.acquire(self.path, read_only=False)
        directory.index(timeout=10, threads=1, progress=None)
        directory.release()

    @rule()
    def go_on_from_a_backup(self) -> None:
        """What was committed; an open transaction, of which it must hold nothing, is aborted."""
        self.count("backup")
        assert self.store is not None
        for name in ("backup", "restored"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.store.backup(self.folder / "backup")
        if self.txn is not None:
            self.abort()
        self.end_views()
        self.store.close()
        ql.restore(self.folder / "backup", self.folder / "restored")
        shutil.rmtree(self.path)
        (self.folder / "restored").rename(self.path)
        self.store = ql.open(self.path, hot_bytes=self.hot)

    @precondition(lambda self: self.txn is None)
    @rule()
    def check_and_repair(self) -> None:
        self.count("repair")
        assert self.store is not None
        assert self.store.check() == []
        assert self.store.repair() == []

    # Reading.

    @precondition(lambda self: len(self.views) < OPEN_VIEWS_MAX)
    @rule()
    def keep_a_view(self) -> None:
        self.count("view")
        assert self.store is not None
        self.views.append((self.store.snapshot(), self.committed.copy()))

    def view(self, at: int) -> tuple[ql.Snapshot, Model]:
        """The open transaction, an old view or a new one, with its model."""
        assert self.store is not None
        choices: list[Any] = [*self.views, *([(self.txn, self.model)] if self.txn else [None])]
        choice: tuple[ql.Snapshot, Model] | None = choices[at % len(choices)]
        if choice is None:
            if len(self.views) >= OPEN_VIEWS_MAX:
                self.views.pop(0)[0].close()
            choice = (self.store.snapshot(), self.committed.copy())
            self.views.append(choice)
        return choice

    def pick(self, at: int) -> str:
        return sorted(self.model.concepts)[at % len(self.model.concepts)]

    @rule(at=picks)
    def read_all(self, at: int) -> None:
        self.count("read")
        compare_contents(*self.view(at))

    @rule(
        at=picks,
        question=vectors,
        k=st.sampled_from([1, 3, 100]),
        exact=st.booleans(),
        kind=st.none() | st.sampled_from(KINDS),
        least=st.none() | st.integers(0, 3),
    )
    def near(self, at: int, question: list[int], k: int, exact: bool,
             kind: str | None, least: int | None) -> None:  # fmt: skip
        self.count("near")
        where: dict[str, Any] = {} if kind is None else {"kind": kind}
        where |= {} if least is None else {"n": {"$gte": least}}
        compare_near(
            *self.view(at),
            question,
            k,
            exact=exact,
            where=where or None,
            allowed=lambda _, x: (
                (kind is None or x.kind == kind) and (least is None or x.data.get("n", -1) >= least)
            ),
        )

    @rule(at=picks, question=vectors)
    def near_anything(self, at: int, question: list[int]) -> None:
        self.count("near")
        view, model = self.view(at)
        compare_near(view, model, question, 10, exact=True, where=None, allowed=anything)

    @rule(
        at=picks,
        text=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
        k=st.sampled_from([1, 5, 100]),
    )
    def words(self, at: int, text: str, k: int) -> None:
        self.count("words")
        compare_words(*self.view(at), text, k)

    @rule(
        at=picks,
        start=picks,
        hops=st.integers(1, 3),
        direction=st.sampled_from(["out", "in", "both"]),
    )
    def walk(self, at: int, start: int, hops: int, direction: str) -> None:
        self.count("walk")
        view, model = self.view(at)
        if model.concepts:
            id = sorted(model.concepts)[start % len(model.concepts)]
            compare_walk(view, model, id, hops, direction)


def of(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def test_a_store_is_its_model() -> None:
    run_state_machine_as_test(seed(20)(StoreMachine), settings=of(10, 40))  # type: ignore[no-untyped-call]


def main() -> None:
    """New examples until the time is over."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=1200)
    stop = time.monotonic() + parser.parse_args().seconds
    while time.monotonic() < stop:
        number = random.SystemRandom().randrange(1 << 32)
        print(f"seed {number}: {sum(counts.values())} steps so far", flush=True)
        machine = type("Machine", (StoreMachine,), {})
        run_state_machine_as_test(seed(number)(machine), settings=of(20, 80))  # type: ignore[no-untyped-call]
    print(f"{sum(counts.values())} steps: {dict(counts)}")


if __name__ == "__main__":
    main()
