"""How well do words, vectors, their fusion and a walk find what a question asks for?

    python bench/retrieval.py FOLDER [--stemmer english] [--json FILE]

FOLDER holds evaluation sets, each a folder with corpus.jsonl (id, title, text), queries.jsonl (id,
text, gold or grades) and MiniLM embeddings of both (float16 .npy, in file order).  Every set is a
store of "title, newline, text", and again one of texts with titles as names and the mentions of
names as associations (`txn.mention()`), where a search walks too; every question is a query of the
public API.
Recall@2/5/10 of gold titles or ids, nDCG@10 where there are grades, in percent; processor time per
question, the median. Every configuration that was tried is a row.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import quillian as ql
from quillian.planning import plan_of

DEPTH = 100
NEAR, WORDS = ql.Near(DEPTH, exact=True), ql.Words(DEPTH)
PLANS: dict[str, ql.Operator[ql.Snapshot]] = {
    "words": WORDS,
    "vectors": NEAR,
    "rrf": ql.Fuse(NEAR, WORDS),
    "linear .5 .5": ql.Fuse(NEAR, WORDS, method="linear", weights=(0.5, 0.5)),
    "linear .6 .4": ql.Fuse(NEAR, WORDS, method="linear", weights=(0.6, 0.4)),
    "share .4 .6": ql.Fuse(NEAR, WORDS, method="share", weights=(0.4, 0.6)),
    "share .5 .5": ql.Fuse(NEAR, WORDS, method="share", weights=(0.5, 0.5)),
    "share .6 .4": ql.Fuse(NEAR, WORDS, method="share", weights=(0.6, 0.4)),
}
LINKED = "search, with names and mentions"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def recalls(question: dict[str, Any], found: list[tuple[str, str]]) -> list[float]:
    shares = []
    for k in (2, 5, 10):
        seen = {name for pair in found[:k] for name in pair}
        shares.append(statistics.mean(gold in seen for gold in question["gold"]))
    return shares


def ndcg(question: dict[str, Any], found: list[tuple[str, str]]) -> list[float]:
    grades = {id: float(grade) for id, grade in question["grades"].items()}
    gains = [grades.get(id, 0.0) for id, _ in found[:10]]
    ideal = sorted(grades.values(), reverse=True)[:10]
    discount = 1 / np.log2(np.arange(2, 12))
    best = float((np.array(ideal) * discount[: len(ideal)]).sum())
    return [float((np.array(gains) * discount[: len(gains)]).sum()) / best]


def evaluate(folder: Path, stemmer: str | None) -> dict[str, dict[str, Any]]:
    corpus, questions = lines(folder / "corpus.jsonl"), lines(folder / "queries.jsonl")
    vectors = np.load(folder / "corpus.minilm.f16.npy").astype(np.float32)
    asked = np.load(folder / "queries.minilm.f16.npy").astype(np.float32)
    names = [(row["id"], row["title"]) for row in corpus]
    texts = [f"{row['title']}\n{row['text']}" for row in corpus]
    score = ndcg if "grades" in questions[0] else recalls

    def row_of(view: ql.Snapshot, plan_for: Callable[[ql.Question], Any]) -> dict[str, Any]:
        scores, times = [], []
        for question, vector in zip(questions, asked, strict=True):
            about = ql.Question(text=question["text"], vector=vector)
            start = time.process_time()
            found = plan_for(about)(view, ql.Selection.everything(view, about)).ids
            times.append(time.process_time() - start)
            scores.append(score(question, [names[int(n)] for n in found[:10]]))
        return {
            "scores": (np.mean(scores, axis=0) * 100).round(1).tolist(),
            "ms": statistics.median(times) * 1e3,
        }

    rows: dict[str, dict[str, Any]] = {}
    with (
        tempfile.TemporaryDirectory() as path,
        ql.open(path, dim=vectors.shape[1], embedder="none", stemmer=stemmer) as store,
    ):
        store.add_many(texts=texts, vectors=vectors)
        store.optimize()
        with store.snapshot() as view:
            for name, plan in PLANS.items():
                rows[name] = row_of(view, lambda _, plan=plan: plan)
    with (
        tempfile.TemporaryDirectory() as path,
        ql.open(path, dim=vectors.shape[1], embedder="none", stemmer=stemmer) as store,
    ):
        with store.transaction() as txn:
            titles = [row["title"] or None for row in corpus]
            txn.add_many(texts=[row["text"] for row in corpus], names=titles, vectors=vectors)
            txn.mention()
        store.optimize()
        with store.snapshot() as view:
            rows[LINKED] = row_of(view, lambda about: plan_of(view, about, 10))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stemmer")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {"stemmer": options.stemmer}
    for folder in sorted(p.parent for p in options.folder.glob("*/queries.jsonl")):
        if not (folder / "corpus.minilm.f16.npy").exists():
            continue
        results[folder.name] = evaluate(folder, options.stemmer)
        print(f"\n{folder.name}, stemmer {options.stemmer}\n\n| plan | % | ms |\n|---|---|---|")
        for name, row in results[folder.name].items():
            print(f"| {name} | {' / '.join(map(str, row['scores']))} | {row['ms']:.2f} |")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
