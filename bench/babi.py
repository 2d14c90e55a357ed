"""How many questions of bAbI does `ask` answer from what our own extraction learned of the stories?

    python bench/babi.py FOLDER [--questions 100]

FOLDER holds qaNN_train.jsonl (story, question, answer, support).  Every question gets a store of
its own, which learns the story up to there as one text.  A question that asks whether something is
so is answered "yes" if `ask` says so and "no" if it is silent: what is not known is false.  A list
is every candidate at one association's distance, a number its length, a way the directions of the
best path.  Nothing else is done to the text, the questions or the answers.  guess: the share of the
commonest answer of a task.  cited: of the facts that an answer needs, the share among the sentences
of its evidence, where it answers.  The rules were written with these stories in sight: this is the
training part, and no other was seen.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import machine
import quillian as ql
from quillian.questions import yes_no

NAMES = (
    "one supporting fact", "two supporting facts", "three supporting facts", "two arguments",
    "three arguments", "yes or no", "counting", "lists", "negation", "indefinite", "coreference",
    "conjunction", "several in coreference", "time", "deduction", "induction", "positions", "size",
    "path finding", "motivation",
)  # fmt: skip
NUMBERS = ("none", "one", "two", "three")
WAYS = {"north_of": "sn", "east_of": "we"}
SILENT = ""


def said(view: ql.Snapshot, answer: Any) -> str:
    """The answer in the words of the set; SILENT where there is none."""
    question = answer.question.casefold()
    if question.startswith("how do you go"):
        return way(view, answer.anchors)
    if yes_no(question):
        return "no" if answer.abstains else "yes"
    near = [x.name for x in answer.candidates if len(x.belief.paths[0].links) == 1]
    if question.startswith("how many"):
        return NUMBERS[min(len(near), 3)]
    if question.endswith("carrying?"):
        return ",".join(sorted(near)) or "nothing"
    return answer.best.name if answer.best else SILENT


def way(view: ql.Snapshot, ends: Sequence[str]) -> str:
    """The directions to walk from the first to the last of two."""
    if len(ends) != 2:
        return SILENT
    paths = view.paths(ends[0], ends[1], 1, types=tuple(WAYS), direction="both", hops=2)
    steps = [
        WAYS[link.type][link.target != after]
        for path in paths
        for link, (_, after) in zip(path.links, pairwise(path.concepts), strict=True)
    ]
    return ",".join(steps) or SILENT


def cited(view: ql.Snapshot, answer: Any, starts: Sequence[int]) -> set[int]:
    """The numbers of the sentences, from 0, that the evidence was read from."""
    spans = [
        edge.data["span"]
        for path in answer.belief.paths
        for link in path.links
        for edge in view.neighbours(link.source, (link.type,))
        if edge.target == link.target and edge.data
    ]
    return {sum(x <= start for x in starts) - 1 for start, _ in spans}


def task(rows: list[dict[str, Any]]) -> list[float]:
    """Shares in %: answered, right of all, right of the answered, cited; and the commonest's."""
    given, right, facts = 0, 0, []
    for row in rows:
        lines = [line for _, line in row["story"]]
        with ql.open(":memory:", dim=1) as store:
            store.learn(" ".join(lines))
            answer = store.ask(row["question"], k=12)
            with store.snapshot() as view:
                got = said(view, answer)
                if answer.best is not None:
                    starts = [len(" ".join(lines[:i])) + (i > 0) for i in range(len(lines))]
                    known = {row["story"][i][0] for i in cited(view, answer, starts)}
                    facts.append(len(known & set(row["support"])) / len(set(row["support"])))
        given += got != SILENT
        wanted = ",".join(sorted(row["answer"].split(",")))
        right += got in (wanted, row["answer"])
    most = Counter(row["answer"] for row in rows).most_common(1)[0][1]
    shares = given / len(rows), right / len(rows), right / max(given, 1)
    mean = sum(facts) / len(facts) if facts else float("nan")
    return [100 * x for x in (*shares, mean, most / len(rows))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--questions", type=int, default=100, help="of each task, evenly spread")
    options = parser.parse_args()
    print(machine.line("numpy"))
    print("| task | answered | right | right of answered | cited | guess |")
    for number, name in enumerate(NAMES, 1):
        file = options.folder / f"qa{number:02}_train.jsonl"
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        rows = rows[:: max(len(rows) // options.questions, 1)]
        found = " | ".join(f"{x:.0f}" for x in task(rows))
        print(f"| {number} {name}, {len(rows)} | {found} |", flush=True)


if __name__ == "__main__":
    main()
