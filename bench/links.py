"""Do mined rules predict missing associations? Filtered MRR and Hits@k, both directions.

    python bench/links.py FOLDER...      # each with train.txt and valid.txt: source, type, target

Rules are mined from a store's own associations, those of train.txt; every triple of valid.txt asks
for its target and for its source. Other right answers are left out of the ranking (filtered), and
equal scores count as the mean of their ranks.
"""

import argparse
import time
from pathlib import Path

import machine
import numpy as np
import quillian as ql
from quillian.mining import Effort, Mined

CHUNK = 64


def read(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def mine(folder: Path, effort: Effort) -> tuple[Mined, list[list[int]], float]:
    """Rules of train.txt by way of a store, valid.txt as numbers, and the seconds of mining."""
    train, valid = read(folder / "train.txt"), read(folder / "valid.txt")
    ids = list(dict.fromkeys(x for s, _, t in (*train, *valid) for x in (s, t)))
    with ql.open(":memory:", dim=2) as store:
        store.add_many(ids=ids)
        sources, types, targets = (list(x) for x in zip(*train, strict=True))
        store.link_many(sources, targets, types)
        with store.snapshot() as view:
            edges = view.graph.edges()
            numbers = view.type_numbers()
            asked = [[view.node(s), numbers[r], view.node(t)] for s, r, t in valid if r in numbers]
    start = time.perf_counter()
    columns = [edges[name].astype(np.int64) for name in ("source", "type", "target")]
    found = Mined(*columns, len(ids), len(numbers), effort)
    return found, asked, time.perf_counter() - start


def ranks(found: Mined, asked: list[list[int]]) -> np.ndarray:
    """The rank of every right answer among all concepts, the other right ones left out."""
    triples = np.array(asked)
    known = np.concatenate([np.stack([found.source, found.type, found.target], 1), triples])
    got = []
    for relation in range(2 * found.types):
        rows = triples[triples[:, 1] == relation % found.types]
        all_rows = known[known[:, 1] == relation % found.types]
        if relation >= found.types:
            rows, all_rows = rows[:, ::-1], all_rows[:, ::-1]
        for first in range(0, len(rows), CHUNK):
            some = rows[first : first + CHUNK]
            scores = found.scores(some[:, 0], relation)
            for row, (source, _, target) in zip(scores, some.tolist(), strict=True):
                others = all_rows[all_rows[:, 0] == source][:, 2]
                right = row[target]
                row[others] = -1
                above, level = (row > right).sum(), (row == right).sum()
                got.append(1 + above + level / 2)
    return np.array(got)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--length", type=int, default=Effort().length)
    parser.add_argument("--no-constants", action="store_true")
    parser.add_argument("--rules", type=int, default=Effort().rules)
    chosen = parser.parse_args()
    print(machine.line("numpy"))
    effort = Effort(length=chosen.length, rules=chosen.rules, constants=not chosen.no_constants)
    for folder in chosen.folders:
        found, asked, took = mine(folder, effort)
        start = time.perf_counter()
        rank = ranks(found, asked)
        scored = time.perf_counter() - start
        hits = " / ".join(f"{(rank <= k).mean():.3f}" for k in (1, 3, 10))
        count, left = sum(map(len, found.paths.values())), sum(found.skipped.values())
        print(
            f"| {folder.name} | {(1 / rank).mean():.4f} | {hits} | {count} paths, {left} left out "
            f"| mined in {took:.0f} s | {len(rank)} asked in {scored:.0f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
