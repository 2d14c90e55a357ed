"""How long does all of WordNet take, how large is it, and how quickly does it answer?

Reads an installed wordnet-base with `quillian ingest`, once with the offline embedder and, where a
folder with `ids.txt` and `vectors.f16.npy` is given, once with those vectors; then asks questions.

    python bench/wordnet.py [FOLDER] [--queries N] [--keep STORE]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
import quillian as ql
from quillian.errors import BadRecordError
from quillian.reading import read_wordnet
from quillian.reading.items import Item

SEED = 1
K = 10


def ingest(store: Path, *options: str) -> dict[str, Any]:
    """What the command reports, with its processor time and peak memory."""
    command = [sys.executable, "-m", "quillian.cli.main", "ingest", str(store), "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        report: dict[str, Any] = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"ingest failed with {process.returncode}")
    report["cpu_s"] = usage.ru_utime + usage.ru_stime
    report["peak_mb"] = usage.ru_maxrss / 1024
    return report


def ordered_vectors(folder: Path, into: Path) -> Path:
    """The given vectors as float32 in the order in which the reader yields synsets."""
    rows = {id: row for row, id in enumerate((folder / "ids.txt").read_text().split())}
    matrix = np.load(folder / "vectors.f16.npy", mmap_mode="r")
    records = read_wordnet(None, on_bad=_refuse)
    items = (record for record in records if isinstance(record, Item))
    order = [rows[f"{(item.kind or '')[:3]}{item.data['offset']:08d}"] for item in items]
    file = into / "vectors.npy"
    np.save(file, matrix[order].astype(np.float32))
    return file


def _refuse(record: BadRecordError) -> None:
    raise record


def latency(call: Callable[[Any], Any], questions: Sequence[Any]) -> str:
    """p50 and p99 of a call over questions, in microseconds of wall time after one warm-up pass."""
    times = []
    for question in questions:
        call(question)
    for question in questions:
        start = time.perf_counter()
        call(question)
        times.append((time.perf_counter() - start) * 1e6)
    return f"p50 {np.percentile(times, 50):8,.0f} us   p99 {np.percentile(times, 99):8,.0f} us"


def recall(view: ql.Snapshot, questions: Sequence[Any]) -> float:
    """Share of the exact ten best scores that the default search reaches."""
    hits = 0
    for question in questions:
        worst = view.near(question, K, recall=1).scores[-1]
        hits += int((view.near(question, K).scores >= worst).sum())
    return hits / (K * len(questions))


def questions_of(store: ql.Store, count: int) -> np.ndarray[Any, Any]:
    """Vectors between two random concepts: near the data, but none of it."""
    with store.snapshot() as view:
        nodes = np.random.default_rng(SEED).choice(view.all_nodes(), (2, count))
        nodes = nodes[:, [all(view.get(int(n)).slots for n in pair) for pair in nodes.T]]
        return (view.vectors(nodes[0]) * 2 + view.vectors(nodes[1])) / 3


def ask(store: Path, count: int) -> None:
    start = time.perf_counter()
    with ql.open(store, read_only=True) as opened, opened.snapshot() as view:
        print(f"  open and first snapshot   {(time.perf_counter() - start) * 1e3:8.1f} ms")
        vectors = questions_of(opened, count)
        texts = [view.get(int(n)).name or "" for n in view.all_nodes()[: count * 97 : 97]]
        ids = [view.get(int(n)).id for n in view.all_nodes()[: count * 89 : 89]]
        print(f"  recall@10 at the default, between concepts  {recall(view, vectors[:200]):.4f}")
        if opened.stats()["embedder"]:
            print(f"  recall@10 at the default, names as texts    {recall(view, texts[:200]):.4f}")
        rows = {
            "near, vector, k=10": (lambda q: view.near(q, K), vectors),
            "store.search, vector, k=10": (lambda q: opened.search(vector=q, k=K), vectors),
            "exact scan, vector, k=10": (lambda q: view.near(q, K, recall=1), vectors[:100]),
            "words, text": (lambda q: opened.search(q, K, method="words"), texts),
            "get by id": (view.get, ids),
            "neighbours by id": (view.neighbours, ids),
        }
        if opened.stats()["embedder"]:
            rows["fused search, text"] = (lambda q: opened.search(q, K), texts)
        for name, (call, questions) in rows.items():
            print(f"  {name:<26}{latency(call, questions)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="ids.txt and vectors.f16.npy")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="leave the first store here")
    options = parser.parse_args()
    print(machine.line("numpy", "lmdb", "wordllama"))
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        runs = {"embedder": ["--wordnet"]}
        if options.folder is not None:
            given = ordered_vectors(options.folder, work)
            runs["given vectors"] = ["--wordnet", "--vectors", str(given)]
        for title, arguments in runs.items():
            store = work / title.replace(" ", "-")
            report = ingest(store, *arguments)
            print(f"{title}: {report['store_concepts']:,} concepts x {report['dim']}, ", end="")
            print(f"{report['store_associations']:,} associations")
            print(f"  {report['seconds']:.1f} s (index {report['seconds_index']:.1f}), ", end="")
            print(f"CPU {report['cpu_s']:.1f} s, peak {report['peak_mb']:,.0f} MB, ", end="")
            print(f"{report['concepts_per_second']:,.0f} concepts/s")
            sizes = {part: f"{size / 1e6:.1f}" for part, size in report["size_bytes"].items()}
            print(f"  on disk, MB: {sizes}")
            ask(store, options.queries)
            if options.keep and title == "embedder":
                shutil.copytree(store, options.keep)


if __name__ == "__main__":
    main()
