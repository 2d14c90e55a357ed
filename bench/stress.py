"""What does the whole engine do at a million concepts, how fast, and how large is it?

    python bench/stress.py STORE [--concepts 1000000] [--associations 5000000] [--dictd FOLDER]
    quillian bench stress STORE --concepts 200000 --associations 1000000

Concepts are real texts (WordNet, Debian's packages, the dictionaries of FOLDER, see vector_data.py;
181,000 without those, so ask for more), then recombined ones up to the number, embedded offline.
Associations are WordNet's and Debian's own, `mentions` of WordNet's words, and `near`: the nearest
concepts of others. The phases run in one process, except for the one that is killed and for the
texts, which wait in a file so that the memory measured is the engine's. It ends with a table, an
SVG chart beside the store, and a row per phase in a SQLite file (--results).
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import machine
import numpy as np
import quillian as ql
import stress_report
import vector_data
from quillian.ingesting import Counts, Ingest
from quillian.operators import Expand, Near, Spike, Top
from quillian.reading import Item, read_packages, read_wordnet
from quillian.reading.packages import available
from stress_report import Phase

SEED = 1
BATCH = 20_000
K = 10
MENTIONS = 5  # At most, of one text.
LINKED = 3  # Nearest neighbours that a concept is linked to.
CHURN = 0.1
READ = ("wordnet", "packages")  # Sources that are ingested as concepts of their own.
PHASES = ("make", "ask", "change")
WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass
class Plan:
    """What is to be made, and where."""

    store: Path
    concepts: int
    associations: int
    queries: int
    dictd: Path | None
    embedder: str

    @property
    def texts(self) -> Path:
        """The file of texts, one a line."""
        return self.store.with_suffix(".texts")


class Run:
    """The phases one after another, each noted with its time, memory and disk."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.phases: list[Phase] = []
        self.facts: dict[str, Any] = {}
        self.chance = random.Random(SEED)
        self.texts = 0  # How many concepts "text 0", "text 1", ... there are.
        self.words: dict[str, str] = {}  # Word -> the id of its first synset.

    @contextmanager
    def phase(self, name: str, what: str = "") -> Iterator[Phase]:
        """A phase; the block sets `count` (of what) or `times` (in seconds)."""
        stress_report.tell(f"{name} ...")
        stress_report.reset_peak()
        own = stress_report.OwnMemory()
        phase, wall, used = Phase(name, what), time.perf_counter(), time.process_time()
        yield phase
        phase.seconds = time.perf_counter() - wall
        phase.cpu_seconds = time.process_time() - used
        phase.peak_mb, phase.own_mb = stress_report.peak_mb(), own.peak()
        phase.disk_mb = stress_report.disk_mb(self.plan.store)
        phase.load = os.getloadavg()[0]
        self.phases.append(phase)
        stress_report.tell(phase.line())

    # Making.

    def make(self) -> None:
        """Ingest, mention, index and link."""
        with self.phase("texts", "texts") as phase:
            self.facts |= _in_a_child(write_texts, self.plan)
            phase.count = self.facts["real_texts"]
        with ql.open(self.plan.store, embedder=self.plan.embedder) as store:
            with self.phase("ingest", "concepts") as phase:
                self._ingest(store)
                phase.count = store.stats()["concepts"]
            with self.phase("mentions", "associations") as phase:
                phase.count = self._mention(store)
            with self.phase("index", "vectors") as phase:
                store.optimize(_progress)
                phase.count = store.stats()["vectors"]
            with self.phase("near", "associations") as phase:
                phase.count = self._link_near(store)

    def _ingest(self, store: ql.Store) -> None:
        def told(counts: Counts) -> None:
            stress_report.tell(f"  {counts.concepts:,} concepts", again=True)

        ingest = Ingest(store, batch=BATCH, create=True, on_bad=lambda _: None, progress=told)
        for records in (read_wordnet(on_bad=vector_data.ignore), _packages()):
            ingest.take(records)
        ingest.finish()
        self.texts = max(0, self.plan.concepts - store.stats()["concepts"])
        self.facts["recombined_texts"] = max(0, self.texts - self.facts["own_texts"])
        ingest.take(
            Item(f"text {i}", text, kind="text", data={"n": i % 1000})
            for i, text in enumerate(self._read_texts())
        )
        ingest.finish()

    def _read_texts(self) -> Iterator[str]:
        with self.plan.texts.open() as lines:
            yield from map(json.loads, itertools.islice(lines, self.texts))

    def _mention(self, store: ql.Store) -> int:
        """Link texts to the synsets whose words they hold, as far as there is room."""
        self._read_words()
        room = (self.plan.associations - store.stats()["associations"]) * 3 // 4
        return self._link(store, self._mentions(), "mentions", room)

    def _read_words(self) -> None:
        for item in read_wordnet(on_bad=vector_data.ignore):
            if isinstance(item, Item):
                for name in (item.name, *item.aliases):
                    self.words.setdefault((name or "").casefold(), item.id)

    def _mentions(self) -> Iterator[tuple[str, str]]:
        for number, text in enumerate(self._read_texts()):
            found = (self.words.get(word) for word in WORD.findall(text.casefold()))
            for target in list(dict.fromkeys(x for x in found if x))[:MENTIONS]:
                yield f"text {number}", target

    def _link_near(self, store: ql.Store) -> int:
        room = self.plan.associations - store.stats()["associations"]
        with store.snapshot() as view:
            return self._link(store, self._nearest(view), "near", room)

    def _nearest(self, view: ql.Snapshot) -> Iterator[tuple[str, str]]:
        nodes = view.all_nodes()
        chosen = np.random.default_rng(SEED).permutation(nodes)
        for start in range(0, len(chosen), BATCH):
            records = [x for x in view.records(chosen[start : start + BATCH]) if x.slots]
            for record, vector in zip(
                records, view.vectors([x.node for x in records]), strict=True
            ):
                for row in view.near(vector, LINKED + 1):
                    if row.id != record.id:
                        yield record.id, row.id

    def _link(self, store: ql.Store, pairs: Iterable[tuple[str, str]], type: str, room: int) -> int:
        done, batch = 0, list[tuple[str, str]]()
        for pair in pairs:
            batch.append(pair)
            if len(batch) == BATCH * 5 or done + len(batch) == room:
                store.link_many([a for a, _ in batch], [b for _, b in batch], type)
                done += len(batch)
                batch = []
                stress_report.tell(f"  {done:,} of {room:,} {type}")
            if done >= room:
                return done
        if batch:
            store.link_many([a for a, _ in batch], [b for _, b in batch], type)
        return done + len(batch)

    def recollect(self) -> None:
        """What asking and changing need to know of a store that an earlier run made."""
        self._read_words()
        with ql.open(self.plan.store, read_only=True) as store, store.snapshot() as view:
            self.texts = len(view.matching({"kind": "text"}))

    # Asking.

    def ask(self) -> None:
        """Open again and ask in every way."""
        with self.phase("reopen", "opens") as phase:
            start = time.perf_counter()
            store = ql.open(self.plan.store, read_only=True)
            with store.snapshot() as view:
                view.types()  # Reads the associations.
            phase.times = [time.perf_counter() - start]
        with store, store.snapshot() as view:
            self.facts |= {key: store.stats()[key] for key in ("concepts", "associations", "types")}
            texts = self._questions(view)
            vectors = list(view.embed(texts))
            self._ask_all(store, view, texts, vectors)
            with self.phase("recall", "questions") as phase:
                phase.count = min(100, len(vectors))
                phase.note = f"recall@10 {_recall(view, vectors[:100]):.4f}"

    def _questions(self, view: ql.Snapshot) -> list[str]:
        """Halves of two texts each: near what is stored, but none of it."""
        nodes = self.chance.sample(view.all_nodes().tolist(), self.plan.queries * 3)
        texts = [x.text for x in view.records(nodes) if x.text and len(x.text.split()) > 3]
        return vector_data.recombined(texts, self.plan.queries)

    def _ask_all(
        self, store: ql.Store, view: ql.Snapshot, texts: list[str], vectors: list[Any]
    ) -> None:
        noun, tenth = {"kind": "noun"}, {"n": {"$lt": 100}}
        near, expand = Near(K), Expand(2, direction="both", budget=100_000)
        few = max(10, self.plan.queries // 10)
        names = [
            f"What is related to {word}?" for word in self.chance.sample(sorted(self.words), few)
        ]
        ways: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]] = {
            "search vectors": (lambda q: view.near(q, K), vectors),
            "search vectors, kind=noun": (lambda q: view.near(q, K, where=noun), vectors),
            "search vectors, n<100": (lambda q: view.near(q, K, where=tenth), vectors),
            "search words": (lambda q: store.search(q, K, method="words"), texts),
            "search words, kind=noun": (
                lambda q: store.search(q, K, method="words", where=noun),
                texts,
            ),
            "search fused": (lambda q: store.search(q, K), texts),
            "expand 2 hops": (
                lambda q: store.run(ql.Query(near, expand, Top(K)), about=q),
                vectors,
            ),
            "spike 10 bursts": (lambda q: store.run(ql.Query(near, Spike()), about=q), vectors[:3]),
            "ask": (store.ask, names),
            "get": (view.get, [f"text {i}" for i in range(min(self.texts, self.plan.queries))]),
        }
        if hasattr(ql, "Spread"):
            spread = ql.Spread()
            ways["spread"] = (lambda q: store.run(ql.Query(near, spread, Top(K)), about=q), vectors)
        for name, (call, questions) in ways.items():
            with self.phase(name, "questions") as phase:
                call(questions[0])
                phase.times = _timed(call, questions)

    # Changing.

    def change(self) -> None:
        """Replace a tenth, compact, kill a writer, open again."""
        count = int(self.plan.concepts * CHURN)
        numbers = self.chance.sample(range(self.texts), min(count, self.texts))
        with ql.open(self.plan.store) as store:
            with self.phase("churn", "concepts") as phase:
                phase.count = len(numbers)
                for start in range(0, len(numbers), BATCH):
                    self._replace(store, numbers[start : start + BATCH])
            with self.phase("index after churn", "vectors") as phase:
                phase.count = len(numbers)
                store.optimize(_progress)
            with self.phase("compact", "concepts") as phase:
                store.compact()
                phase.count = store.stats()["concepts"]
        with self.phase("kill and reopen", "opens") as phase:
            acknowledged = self._killed()
            start = time.perf_counter()
            with ql.open(self.plan.store) as store, store.snapshot() as view:
                phase.times = [time.perf_counter() - start]
                lost = [id for id in acknowledged if id not in view]
            phase.note = f"{len(acknowledged)} acknowledged commits, {len(lost)} lost"
            assert not lost, lost

    def _replace(self, store: ql.Store, numbers: list[int]) -> None:
        with store.snapshot() as view:
            old = [view.get(f"text {number}").text or "" for number in numbers]
        texts = vector_data.recombined(old, len(numbers))
        with store.transaction() as txn:
            for number in numbers:
                txn.forget(f"text {number}")
            txn.add_many(texts, ids=[f"new text {number}" for number in numbers], kinds="text")
        stress_report.tell(f"  {len(numbers):,} replaced")

    def _killed(self) -> list[str]:
        """Ids that a writer acknowledged before it was killed in the midst of its work."""
        code = (
            "import sys, quillian as ql\n"
            "with ql.open(sys.argv[1]) as store:\n"
            "    for n in range(10**9):\n"
            "        store.add(f'killed writer {n}', id=f'k{n}')\n"
            "        print(f'k{n}', flush=True)\n"
        )
        command = [sys.executable, "-c", code, str(self.plan.store)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            heard = [process.stdout.readline().strip() for _ in range(20)]
            process.send_signal(signal.SIGKILL)
            heard += [line.strip() for line in process.stdout if line.endswith("\n")]
        return [id for id in heard if id]


def write_texts(plan: Plan) -> dict[str, int]:
    """Write the texts that are no WordNet or packages, then recombined ones; how many are real."""
    sources = vector_data.real_texts(plan.dictd)
    every = [x for part in sources.values() for x in part]
    own = [x for name, part in sources.items() if name not in READ for x in part]
    texts = own + vector_data.recombined(every, max(0, plan.concepts - len(own)))
    with plan.texts.open("w") as lines:
        lines.writelines(json.dumps(text) + "\n" for text in texts)
    return {"real_texts": len(every), "own_texts": len(own)}


def _in_a_child(call: Callable[[Plan], dict[str, int]], plan: Plan) -> dict[str, int]:
    """What call(plan) returns, from a process whose memory ends with it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, (plan,))


def _packages() -> Iterator[Any]:
    return read_packages(BytesIO(available()), "apt-cache", on_bad=vector_data.ignore)


def _progress(what: str, done: int, total: int) -> None:
    stress_report.tell(f"  {what}: {done:,} of {total:,}", again=True)


def _timed(call: Callable[[Any], Any], questions: Sequence[Any]) -> list[float]:
    times = []
    for question in questions:
        start = time.perf_counter()
        call(question)
        times.append(time.perf_counter() - start)
    return times


def _recall(view: ql.Snapshot, questions: Sequence[Any]) -> float:
    """Share of the exact ten best scores that the default search reaches."""
    hits = 0
    for question in questions:
        worst = view.near(question, K, recall=1).scores[-1]
        hits += int((view.near(question, K).scores >= worst).sum())
    return hits / (K * len(questions))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="made anew; must not exist, or --again")
    parser.add_argument("--concepts", type=int, default=1_000_000)
    parser.add_argument("--associations", type=int, default=5_000_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--dictd", type=Path, help="folder of dictionaries")
    parser.add_argument("--embedder", default="wordllama")
    parser.add_argument("--results", type=Path, help="SQLite file that the run is added to")
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=PHASES)
    parser.add_argument("--again", action="store_true", help="remove an old store first")
    parser.add_argument("--json", action="store_true", help="the phases as JSON lines")
    options = parser.parse_args()
    if options.again:
        shutil.rmtree(options.store, ignore_errors=True)
    if options.store.exists() == ("make" in options.phases):
        raise SystemExit(
            f"{options.store}: want a new folder (or --again) to make, else a made one"
        )
    plan = Plan(*(getattr(options, name) for name in Plan.__dataclass_fields__))
    run = Run(plan)
    try:
        if "make" not in options.phases:
            run.recollect()
        for phase in options.phases:
            getattr(run, phase)()
    except KeyboardInterrupt:
        stress_report.tell("stopped; the phases that were done:")
    facts = machine.facts("numpy", "lmdb", plan.embedder) | run.facts
    if options.json:
        for phase in run.phases:
            print(json.dumps(asdict(phase) | phase.summary()))
    else:
        print(stress_report.table(run.phases, facts))
    chart = options.store.with_suffix(".svg")
    chart.write_text(stress_report.chart(run.phases, facts))
    stress_report.tell(f"chart: {chart}")
    if options.results:
        stress_report.keep(options.results, run.phases, facts)


if __name__ == "__main__":
    main()
