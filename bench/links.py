"""Do mined rules predict missing associations? Filtered MRR and Hits@k, both directions.

    python bench/links.py FOLDER...      # each with train.txt and valid.txt: source, type, target

Rules are mined from a store's own associations, those of train.txt; every triple of valid.txt asks
for its target and for its source. Other right answers are left out of the ranking (filtered), and
equal scores count as the mean of their ranks. Triples of a test set are not at hand, so that those
right answers count as wrong; --left-out shows what that costs, by leaving out of the ranking only
a share of the other triples of valid.txt. perfect: about what a ranking would get that puts all
right answers before all others, if a test set as large as valid.txt stands in the way as valid.txt
itself would. --plain ranks by counting instead (small sets only).
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import machine
import numpy as np
import quillian as ql
from quillian.mining import BEST, DOUBT, Effort, Mined, combined

CHUNK = 64


class Counted:
    """Every closed path of length 1 and 2, counted in dense matrices: the oracle of Mined."""

    def __init__(self, found: Mined) -> None:
        self.source, self.type, self.target = found.source, found.type, found.target
        self.types, self.nodes = found.types, found.nodes
        steps = np.zeros((2 * self.types, self.nodes, self.nodes), np.float32)
        steps[self.type, self.source, self.target] = 1
        steps[self.type + self.types, self.target, self.source] = 1
        other = ~np.eye(self.nodes, dtype=bool)
        self._known = steps > 0
        pairs = ((a @ b > 0) & other for a in steps for b in steps)
        self._paths = np.array([*(self._known & other), *(x for x in pairs if x.any())])
        self._sure: dict[int, np.ndarray] = {}

    def scores(self, concepts: np.ndarray, relation: int) -> np.ndarray:
        """As those of Mined, without constants."""
        if relation not in self._sure:
            asked = self._known[relation].any(axis=1)
            said = self._paths[:, asked].sum(axis=(1, 2))
            right = (self._paths[:, asked] & self._known[relation, asked]).sum(axis=(1, 2))
            self._sure[relation] = (right / (said + DOUBT)).astype(np.float32)
            self._sure[relation][relation] = 0  # What is asked, itself.
        sure = self._sure[relation]
        rules = np.flatnonzero(sure)
        told = self._paths[rules][:, concepts] * sure[rules, None, None]
        best = -np.sort(-told, axis=0)[:BEST].reshape(-1, len(concepts) * self.nodes)
        return combined(best).reshape(len(concepts), self.nodes)


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


def ranks(
    found: Mined | Counted, asked: list[list[int]], share: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The rank of every right answer among all concepts, the other right ones left out, those of
    `asked` but for a share; and whether it is of the half to choose by."""
    rng = np.random.default_rng(1)
    triples = np.array(asked)
    chosen, kept = rng.random(len(triples)) < 0.5, rng.random(len(triples)) < share
    triples = np.column_stack([triples, chosen])
    given = np.column_stack([found.source, found.type, found.target, found.type])
    known = np.concatenate([given, triples[kept]])
    got = []
    for relation in range(2 * found.types):
        rows = triples[triples[:, 1] == relation % found.types]
        all_rows = known[known[:, 1] == relation % found.types]
        if relation >= found.types:
            rows, all_rows = rows[:, [2, 1, 0, 3]], all_rows[:, [2, 1, 0, 3]]
        for first in range(0, len(rows), CHUNK):
            some = rows[first : first + CHUNK]
            scores = found.scores(some[:, 0], relation)
            for row, (source, _, target, half) in zip(scores, some.tolist(), strict=True):
                others = all_rows[all_rows[:, 0] == source][:, 2]
                right = row[target]
                row[others] = row[target] = -1
                above, level = (row > right).sum(), (row == right).sum()
                got.append((1 + above + level / 2, half))
    rank, halves = np.array(got).T
    return rank, halves > 0


def perfect(asked: list[list[int]]) -> float:
    """The MRR of right answers first, in any order, where none of these is left out."""
    groups = [Counter((triple[end], triple[1]) for triple in asked) for end in (0, 2)]
    return float(
        sum(1 / rank for counts in groups for n in counts.values() for rank in range(1, n + 1))
        / (2 * len(asked))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--length", type=int, default=Effort().length)
    parser.add_argument("--no-constants", action="store_true")
    parser.add_argument("--rules", type=int, default=Effort().rules)
    parser.add_argument("--sample", type=int, default=Effort().facts, help="facts and concepts")
    parser.add_argument("--plain", action="store_true", help="count all paths of length 1 and 2")
    parser.add_argument("--left-out", type=float, nargs="+", default=[1.0], help="shares")
    chosen = parser.parse_args()
    print(machine.line("numpy"))
    effort = Effort(
        facts=chosen.sample,
        concepts=chosen.sample,
        length=chosen.length,
        rules=chosen.rules,
        constants=not chosen.no_constants,
    )
    print("| set | MRR: all, half to choose by, other half | Hits@1/3/10 | rules | time |")
    for folder in chosen.folders:
        mined, asked, took = mine(folder, effort)
        count, left = sum(map(len, mined.paths.values())), sum(mined.skipped.values())
        found = Counted(mined) if chosen.plain else mined
        most = perfect(asked)
        for share in chosen.left_out:
            start = time.perf_counter()
            rank, halves = ranks(found, asked, share)
            scored = time.perf_counter() - start
            mrr = " / ".join(f"{(1 / x).mean():.4f}" for x in (rank, rank[halves], rank[~halves]))
            hits = " / ".join(f"{(rank <= k).mean():.3f}" for k in (1, 3, 10))
            print(
                f"| {folder.name}, {share:g} of valid.txt left out | {mrr}, perfect {most:.3f} "
                f"| {hits} "
                f"| {count} paths, {left} left out "
                f"| mined in {took:.0f} s, {len(rank)} asked in {scored:.0f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
