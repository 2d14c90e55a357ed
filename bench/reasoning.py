"""Are belief's bounds true and how tight, and does asking find passages that search does not?

    python bench/reasoning.py --bounds 10000     # beside exact reliability; exits 1 if any fails
    python bench/reasoning.py --overturn 10000   # every set removed; exits 1 if any fails
    python bench/reasoning.py FOLDER...          # Recall@2/@5 of ask beside search, per folder

A folder holds corpus.jsonl (id, title, text), queries.jsonl (text, gold) and MiniLM embeddings of
both in file order.  Titles become names; nothing of the gold reaches the engine but to be counted.
"""

import argparse
import itertools
import json
import math
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import quillian as ql
from quillian import belief
from quillian.facts import SOURCE, TARGET, Fact, Network, network
from quillian.mentions import without_aside

SEED = 1
FACTS_MAX = 10


def random_network(rng: np.random.Generator) -> Network:
    """A few facts among up to seven concepts, half of the networks undirected."""
    nodes = int(rng.integers(2, 8))
    facts = {}
    for _ in range(int(rng.integers(1, FACTS_MAX + 1))):
        source, target = rng.integers(0, nodes, 2).tolist()
        facts[source, target] = float(rng.uniform(0.02, 1))
    made = [Fact(s, 0, t, p) for (s, t), p in sorted(facts.items())]
    return network(made, [0], [1], both=bool(rng.random() < 0.5))


def reaches(net: Network, world: tuple[bool, ...]) -> bool:
    """Whether the sources lead to the targets by the facts that hold."""
    reached = {SOURCE}
    while True:
        more = set(reached)
        for i, holds in enumerate(world):
            if holds and net.tails[i] in reached:
                more.add(net.heads[i])
            if holds and net.both and net.heads[i] in reached:
                more.add(net.tails[i])
        if more == reached:
            return TARGET in reached
        reached = more


def reliability(net: Network) -> float:
    """The exact probability, over all worlds."""
    return math.fsum(
        math.prod(f.p if holds else 1 - f.p for f, holds in zip(net.facts, world, strict=True))
        for world in itertools.product((False, True), repeat=len(net.facts))
        if reaches(net, world)
    )


def bounds(count: int) -> int:
    """Print violations, and mean and largest gaps by effort; returns the violations."""
    rng = np.random.default_rng(SEED)
    gaps: dict[int, list[float]] = {0: [], 4: [], belief.CASES: []}
    wrong = connected = 0
    for _ in range(count):
        net = random_network(rng)
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
        net = random_network(rng)
        if not belief.disjoint_chains(net):
            continue
        for by_count in (False, True):
            cut = belief.critical_cut(net, by_count=by_count)
            left += reaches(net, tuple(i not in cut for i in range(len(net.facts))))
        done += 1
    print(f"{count} answers, two cuts each, seed {SEED}: {left} not overturned")
    return left


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def retrieval(folder: Path, named: bool = True) -> None:
    """Print a row per method; named=False: only ask's, in a store whose concepts have no names."""
    corpus, queries = read(folder / "corpus.jsonl"), read(folder / "queries.jsonl")
    vectors = np.load(folder / "corpus.minilm.f16.npy").astype(np.float32)
    questions = np.load(folder / "queries.minilm.f16.npy").astype(np.float32)
    ids = [str(row["id"]) for row in corpus]
    titles = {id: row["title"] for id, row in zip(ids, corpus, strict=True)}
    with tempfile.TemporaryDirectory() as place, ql.open(place, dim=vectors.shape[1]) as store:
        start = time.process_time()
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
            linked = txn.mention()
        made = time.process_time() - start
        print(f"{folder.name}: {len(ids)} texts, {linked} mentions, {made:.1f} s of processor time")
        methods = {
            "dense": lambda q, v: [x.id for x in store.search(k=5, vector=v)],
            "BM25": lambda q, v: [x.id for x in store.search(q, 5, method="words")],
            "fused": lambda q, v: [x.id for x in store.search(q, 5, vector=v)],
            "ask": lambda q, v: [x.id for x in store.ask(q, vector=v, k=5).passages],
        }
        for name, method in methods.items() if named else [("ask, no names", methods["ask"])]:
            recalls, times = [], []
            for row, vector in zip(queries, questions, strict=True):
                start = time.process_time()
                found = method(row["text"], vector)
                times.append(time.process_time() - start)
                gold = set(row["gold"])
                recalls.append([_recall(found[:k], gold, titles) for k in (2, 5)])
            two, five = 100 * np.mean(recalls, axis=0)
            ms = 1e3 * float(np.median(times))
            print(f"| {folder.name} | {name} | {two:.1f} | {five:.1f} | {ms:.1f} ms |")


def _recall(found: list[str], gold: set[str], titles: dict[str, str]) -> float:
    """Share of the gold ids or titles that were found."""
    return len(gold & {x for id in found for x in (id, titles[id])}) / len(gold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bounds", type=int, metavar="N")
    parser.add_argument("--overturn", type=int, metavar="N")
    parser.add_argument("folders", nargs="*", type=Path)
    chosen = parser.parse_args()
    print(f"quillian {ql.__name__}, Python {platform.python_version()}, {platform.machine()}")
    wrong = bounds(chosen.bounds) if chosen.bounds else 0
    wrong += overturned(chosen.overturn) if chosen.overturn else 0
    for folder in chosen.folders:
        retrieval(folder)
        retrieval(folder, named=False)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
