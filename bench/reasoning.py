"""Are belief's bounds true and how tight, and does asking find passages that search does not?

    python bench/reasoning.py --bounds 10000     # beside exact reliability; exits 1 if any fails
    python bench/reasoning.py --overturn 10000   # every set removed; exits 1 if any fails
    python bench/reasoning.py --speed            # every operator at the size that its goal names
    python bench/reasoning.py --ask STORE        # latency of asking one, as of wordnet.py --keep
    python bench/reasoning.py --learn FOLDER     # extraction in MB/s, learned texts a second
    python bench/reasoning.py --choose FOLDER... # settings of Recall on half of the questions
    python bench/reasoning.py FOLDER...          # Recall@2/@5 on the other half, beside search

A folder holds corpus.jsonl (id, title, text), queries.jsonl (text, gold) and MiniLM embeddings of
both in file order.  Titles become names; nothing of the gold reaches the engine but to be counted.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import machine
import numpy as np
import quillian as ql
from quillian import belief
from quillian.extraction import extract
from quillian.mentions import without_aside
from quillian.rules import Known, derive, parse

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from reliability import random_network, reaches, reliability

SEED = 1
FACTS_MAX = 10


def bounds(count: int) -> int:
    """Print violations, and mean and largest gaps by effort; returns the violations."""
    rng = np.random.default_rng(SEED)
    gaps: dict[int, list[float]] = {0: [], 4: [], belief.CASES: []}
    wrong = connected = 0
    for _ in range(count):
        net = random_network(rng, FACTS_MAX)
        exact = reliability(net)
        connected += exact > 0
        best = max((x.support for x in belief.disjoint_chains(net)), default=0.0)
        for cases, found in gaps.items():
            limits = belief.bounds(net, cases)
            true = best - 1e-12 <= limits.lower <= exact + 1e-12
            wrong += not (true and exact <= limits.upper + 1e-12)
            if exact > 0:
                found.append(limits.upper - limits.lower)
    print(f"{count} networks, {connected} connected, seed {SEED}: {wrong} violations")
    for cases, found in gaps.items():
        print(f"| {cases} cases | mean gap {np.mean(found):.6f} | largest {max(found):.6f} |")
    return wrong


def overturned(count: int) -> int:
    """Remove every minimum cut from its network; returns after how many a path was left."""
    rng = np.random.default_rng(SEED)
    left = done = 0
    while done < count:
        net = random_network(rng, FACTS_MAX)
        if not belief.disjoint_chains(net):
            continue
        for by_count in (False, True):
            cut = belief.critical_cut(net, by_count=by_count)
            left += reaches(net, tuple(i not in cut for i in range(len(net.facts))))
        done += 1
    print(f"{count} answers, two cuts each, seed {SEED}: {left} not overturned")
    return left


def speed() -> None:
    """Print the time of every operator at the size that its goal names."""
    deriving()
    with random_store(10_000, 100_000) as store, store.snapshot() as view:
        everything = ql.Selection.everything(view)
        for name, operator in (
            ("Verify, 10,000 claims", ql.Verify("t0", 7, functional=True, inverse=True)),
            ("Verify, transitive", ql.Verify("t0", 7, transitive=True)),
            ("Conflicts, 100,000 associations", ql.Conflicts(("t0",), ("t1",), ("t2",))),
        ):
            start = time.perf_counter()
            found = operator(view, everything)
            took = time.perf_counter() - start
            print(f"| {name} | {took:.2f} s | {len(found)} rows |")
        pairs = "Believe, between two of 10,000"
        percentiles(pairs, view, lambda a, b: believed(view, a, b, ql.Believe((b,))))
    with random_store(100_000, 1_000_000) as store, store.snapshot() as view:
        for name, operator in (
            ("Paths, k=5, 5 hops", lambda b: ql.Paths((b,), k=5, hops=5)),
            ("Paths to whatever is reached", lambda b: ql.Paths(k=5, hops=5)),
            ("Believe, 4 hops", lambda b: ql.Believe((b,))),
        ):
            percentiles(name, view, lambda a, b, made=operator: believed(view, a, b, made(b)))


def asking(folder: Path, count: int = 100) -> None:
    """Print the latency of `ask` over names of a store, and of operators between two concepts."""
    rng = np.random.default_rng(SEED)
    with ql.open(folder, read_only=True) as store, store.snapshot() as view:
        some = view.records(rng.permutation(view.all_nodes())[: 4 * count])
        names = [x.name for x in some if x.name]
        asked = [f"What is a kind of {x}?" for x in names[:count]]
        asked += [f"Is {a} a {b}?" for a, b in zip(names[count:], names[2 * count :], strict=False)]
        asked = [*asked[: 2 * count], "What is a dog?", "Is a dog an animal?", "What is a wheel?"]
        store.ask(asked[-1])
        times, said = [], 0
        for question in asked:
            start = time.perf_counter()
            said += store.ask(question).best is not None
            times.append(1e3 * (time.perf_counter() - start))
        half, most, worst = np.percentile(times, [50, 95, 99])
        print(
            f"| ask, {len(asked)} questions, {len(view)} concepts | p50 {half:.1f}, mean "
            f"{np.mean(times):.1f}, p95 {most:.1f}, p99 {worst:.1f} ms | {said} answered |"
        )
        for name, operator in (
            ("Believe", lambda b: ql.Believe((b,))),
            ("Paths, k=5, 5 hops", lambda b: ql.Paths((b,), k=5, hops=5)),
            ("Paths to whatever is reached", lambda b: ql.Paths(k=5, hops=5)),
        ):
            percentiles(name, view, lambda a, b, made=operator: believed(view, a, b, made(b)))


def learning(folder: Path, count: int = 300) -> None:
    """Print how fast relations are extracted, and texts learned with their vectors given."""
    corpus = read(folder / "corpus.jsonl")
    vectors = np.load(folder / "corpus.minilm.f16.npy").astype(np.float32)
    start = time.process_time()
    found = sum(len(extract(row["text"])) for row in corpus)
    took = time.process_time() - start
    size = sum(len(row["text"].encode()) for row in corpus)
    print(f"| extraction | {size / took / 1e6:.2f} MB/s of processor time | {found} relations |")
    with (
        tempfile.TemporaryDirectory() as place,
        ql.open(place, dim=vectors.shape[1], durability="group") as store,
    ):
        texts = list(zip(corpus, vectors, strict=True))
        for name, some in (("each a commit", texts[:count]), ("one commit", texts[count:][:count])):
            clocks = time.perf_counter(), time.process_time()
            with store.transaction() if name == "one commit" else nullcontext(store) as to:
                for row, vector in some:
                    to.learn(row["text"], name=row["title"], vector=vector)
            wall, own = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
            rates = f"{len(some) / wall:.0f}/s, {len(some) / own:.0f}/s of processor time"
            print(f"| learn, {len(some)} texts, {name} | {rates} |")


def believed(view: ql.Snapshot, source: int, target: int, operator: Any) -> ql.Selection:
    """The operator on one row."""
    one = np.array([source], np.uint64)
    found: ql.Selection = operator(
        view, ql.Selection.everything(view).derive("one", one, np.ones(1, np.float32))
    )
    return found


def percentiles(
    name: str, view: ql.Snapshot, call: Callable[[int, int], ql.Selection], count: int = 300
) -> None:
    """Print the median and the 95th percentile of a call between two random concepts."""
    rng = np.random.default_rng(SEED)
    times, partial = [], 0
    for source, target in rng.integers(0, len(view), (count, 2)).tolist():
        start = time.perf_counter()
        found = call(source, target)
        times.append(1e3 * (time.perf_counter() - start))
        partial += found.step is not None and found.step.partial
    half, most = np.percentile(times, [50, 95])
    print(f"| {name} | p50 {half:.2f}, p95 {most:.2f} ms | {partial} of {count} partial |")


@contextmanager
def random_store(concepts: int, links: int) -> Iterator[ql.Store]:
    """A store of random associations of eight types, their confidences from 0.3 to 1."""
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as place, ql.open(place, dim=2) as store:
        store.add_many(ids=[f"c{i}" for i in range(concepts)])
        with store.transaction() as txn:
            for _ in range(0, links, 100_000):
                ends = rng.integers(0, concepts, (2, 100_000)).astype(np.uint64)
                types = [f"t{x}" for x in rng.integers(0, 8, 100_000)]
                chances = rng.uniform(0.3, 1, 100_000).tolist()
                txn.link_many(*ends, types, confidences=chances)
        yield store


def deriving(count: int = 100_000) -> None:
    """Print the time of 50 rules, half of them recursive, on so many facts."""
    rng = np.random.default_rng(SEED)
    given: dict[Known, float] = {}
    while len(given) < count:
        source, target = rng.integers(0, count // 5, 2).tolist()
        given[Known(source, f"t{rng.integers(0, 20)}", target)] = float(rng.uniform(0.3, 1))
    rules = []
    for number in range(50):
        first, second = rng.integers(0, 20, 2)
        last = f"t{second}" if number % 2 else f"d{(number + 1) % 25}"
        rules.append(parse(f"d{number % 25}(x, z) :- t{first}(x, y), {last}(y, z)"))
    start = time.perf_counter()
    found = derive(given, rules)
    took = time.perf_counter() - start
    print(f"| Derive, {count} facts, 50 rules | {took:.2f} s | {len(found) - count} derived |")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@dataclass(frozen=True)
class Asked:
    """A folder as a store, and its questions: text, vector, gold titles or ids."""

    store: ql.Store
    titles: dict[str, str]
    questions: list[tuple[str, Any, set[str]]]

    def recalls(self, plan: Callable[[str, Any], Any], rows: list[int]) -> list[float]:
        """Recall@2 and @5 in %, and the median ms of processor time, of some questions."""
        found, times = [], []
        for text, vector, gold in (self.questions[row] for row in rows):
            start = time.process_time()
            ids = [x.id for x in plan(text, vector)]
            times.append(1e3 * (time.process_time() - start))
            found.append([_recall(ids[:k], gold, self.titles) for k in (2, 5)])
        two, five = 100 * np.mean(found, axis=0)
        return [float(two), float(five), float(np.median(times))]

    def halves(self) -> tuple[list[int], list[int]]:
        """Questions to choose settings on, and those to report."""
        order = np.random.default_rng(SEED).permutation(len(self.questions)).tolist()
        return order[::2], order[1::2]


@contextmanager
def asked(folder: Path, named: bool = True) -> Iterator[Asked]:
    """The folder as a store; named=False: its concepts have no names."""
    corpus, queries = read(folder / "corpus.jsonl"), read(folder / "queries.jsonl")
    vectors = np.load(folder / "corpus.minilm.f16.npy").astype(np.float32)
    questions = np.load(folder / "queries.minilm.f16.npy").astype(np.float32)
    ids = [str(row["id"]) for row in corpus]
    with tempfile.TemporaryDirectory() as place, ql.open(place, dim=vectors.shape[1]) as store:
        with store.transaction() as txn:
            names = [row["title"] if named else None for row in corpus]
            short = [without_aside(name or "") for name in names]
            txn.add_many(
                [row["text"] for row in corpus],
                ids=ids,
                names=names,
                aliases=[
                    [x] if x and x != name else [] for x, name in zip(short, names, strict=True)
                ],
                vectors=vectors,
            )
            txn.mention()
        yield Asked(
            store,
            {id: row["title"] for id, row in zip(ids, corpus, strict=True)},
            [
                (row["text"], vector, set(row["gold"]))
                for row, vector in zip(queries, questions, strict=True)
            ],
        )


def recalled(world: Asked, change: dict[str, float]) -> Callable[[str, Any], Any]:
    """What `ask` calls passages, with changed settings of Recall."""

    def run(text: str, vector: Any) -> Any:
        *search, last = world.store.ask_plan(text, vector=vector).operators
        plan = ql.Query(*search, replace(last, **change))
        return world.store.run(plan, ql.Question(text=text, vector=vector))

    return run


def choose(folders: list[Path]) -> None:
    """Print Recall@5 of every setting tried, on one half of the questions of each folder."""
    steps: dict[str, tuple[float, ...]] = {
        "bridge": (0.0, 0.1, 0.2, 0.3, 0.45),
        "restart": (0.3, 0.4, 0.5),
        "search": (0.05, 0.1, 0.2),
        "names": (0.4, 0.5, 0.6),
    }
    with ExitStack() as stack:
        worlds = [stack.enter_context(asked(folder)) for folder in folders]
        best: dict[str, float] = {}
        for name, values in steps.items():
            tried = []
            for value in values:
                got = [x.recalls(recalled(x, best | {name: value}), x.halves()[0]) for x in worlds]
                tried.append((sum(two + five for two, five, _ in got), -value, value))
                shown = ", ".join(f"{two:.1f} / {five:.1f}" for two, five, _ in got)
                print(f"| {name} {value} | {shown} |", flush=True)
            best[name] = max(tried)[2]
        print(f"chosen on half of the questions, seed {SEED}: {best}")


def retrieval(folder: Path, named: bool = True) -> None:
    """Print a row per method, on the half of the questions that no setting was chosen on."""
    with asked(folder, named) as world:
        store = world.store
        methods: dict[str, Callable[[str, Any], Any]] = {
            "dense": lambda q, v: store.search(k=5, vector=v),
            "BM25": lambda q, v: store.search(q, 5, method="words"),
            "fused": lambda q, v: store.search(q, 5, vector=v),
            "ask": lambda q, v: store.ask(q, vector=v, k=5).passages,
            "ask, bridge 0.3": recalled(world, {"bridge": 0.3}),
        }
        for name, method in methods.items() if named else [("ask, no names", methods["ask"])]:
            two, five, ms = world.recalls(method, world.halves()[1])
            print(f"| {folder.name} | {name} | {two:.1f} | {five:.1f} | {ms:.1f} ms |", flush=True)


def _recall(found: list[str], gold: set[str], titles: dict[str, str]) -> float:
    """Share of the gold ids or titles that were found."""
    return len(gold & {x for id in found for x in (id, titles[id])}) / len(gold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bounds", type=int, metavar="N")
    parser.add_argument("--overturn", type=int, metavar="N")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--ask", type=Path, metavar="STORE")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--learn", action="store_true")
    parser.add_argument("folders", nargs="*", type=Path)
    chosen = parser.parse_args()
    print(machine.line("numpy", seed=SEED))
    wrong = bounds(chosen.bounds) if chosen.bounds else 0
    wrong += overturned(chosen.overturn) if chosen.overturn else 0
    if chosen.speed:
        speed()
    if chosen.ask:
        asking(chosen.ask)
    if chosen.choose:
        choose(chosen.folders)
        return
    for folder in chosen.folders:
        if chosen.learn:
            learning(folder)
            continue
        retrieval(folder)
        retrieval(folder, named=False)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
