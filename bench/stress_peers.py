"""How do other engines fare with what a store of stress.py holds?

    python bench/stress_peers.py STORE OUT [ENGINE ...] [--concepts N] [--ask]

OUT gets the data once (concepts that have vectors, associations among them, questions with their
exact answers), a folder for each engine of stress_engines.py and `results.json`, so that a run goes
on where the last one ended. Each engine loads in a process of its own and answers in another.
Loading is timed to the end of indexing; vectors are given, so nobody embeds. One question a call.
Recall counts an answer whose exact score reaches the tenth best.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
import stress_report
from stress_engines import ENGINES, TENTH, Batch, Engine, K
from vector_data import recombined

SEED = 1
BATCH = 20_000
LIMIT_S = 60.0  # No new question of one way after this; a process has as many minutes.
WAYS = ("near", "near_tenth", "words", "hops", "get")


class Data:
    """What every engine gets, in a folder: rows, their texts and vectors, edges and questions."""

    def __init__(self, folder: Path) -> None:
        self.vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        self.edges = np.load(folder / "edges.npy", mmap_mode="r")
        self.texts = json.loads((folder / "texts.json").read_text())
        self.questions = json.loads((folder / "questions.json").read_text())
        self.asked = np.load(folder / "asked.npy")
        self.truth = np.load(folder / "truth.npy")  # The tenth best score: of all, and of a tenth.

    def n(self) -> Any:
        return np.arange(len(self.texts)) % 1000


def dump(store: Path, folder: Path, concepts: int, queries: int) -> None:
    """Write the data of a store, once."""
    import quillian as ql
    from quillian.adjacency import to_scipy

    with ql.open(store, read_only=True) as opened, opened.snapshot() as view:
        records = view.records(view.all_nodes()[: 2 * concepts])  # Some have no vector.
        kept = [x for x in records if x.slots and x.text][:concepts]
        nodes, texts = np.array([x.node for x in kept]), [x.text or "" for x in kept]
        vectors = np.concatenate(
            [view.vectors(nodes[i : i + BATCH]) for i in range(0, len(nodes), BATCH)]
        )
        table = to_scipy(view)
        questions = recombined(random.Random(SEED).sample(texts, queries * 3), queries)
        asked = view.embed(questions)
    row_of = np.full(int(max(nodes.max(), table.nodes.max())) + 1, -1, np.int64)
    row_of[nodes] = np.arange(len(nodes))
    places = table.matrix.tocoo()
    edges = np.stack([row_of[table.nodes[places.row]], row_of[table.nodes[places.col]]], axis=1)
    edges = np.unique(edges[(edges >= 0).all(axis=1)], axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = asked / np.linalg.norm(asked, axis=1, keepdims=True) @ vectors.T
    tenth = scores[:, np.arange(len(texts)) % 1000 < TENTH]
    truth = np.stack([np.partition(x, -K, axis=1)[:, -K] for x in (scores, tenth)])
    folder.mkdir(parents=True)
    for name, block in {"edges": edges, "asked": asked, "truth": truth, "vectors": vectors}.items():
        np.save(folder / f"{name}.npy", block)
    (folder / "questions.json").write_text(json.dumps(questions))
    (folder / "texts.json").write_text(json.dumps(texts))


def load(engine: Engine, data: Data) -> dict[str, Any]:
    """Fill an empty folder; seconds to the end, peak memory, disk."""
    start, used, n = time.perf_counter(), time.process_time(), data.n()
    engine.create()
    for i in range(0, len(data.texts), engine.batch):
        rows = np.arange(i, min(i + engine.batch, len(data.texts)))
        part = slice(i, i + engine.batch)
        engine.add(Batch(rows, data.texts[part], n[part].tolist(), np.array(data.vectors[part])))
        stress_report.tell(f"  {rows[-1] + 1:,} of {len(data.texts):,}", again=True)
    for i in range(0, len(data.edges), BATCH * 5):
        engine.link(*np.array(data.edges[i : i + BATCH * 5].T))
    engine.end()
    return {
        "load_s": time.perf_counter() - start,
        "load_cpu_s": time.process_time() - used,
        "load_peak_mb": stress_report.peak_mb(),
        "disk_mb": stress_report.disk_mb(engine.folder),
    }


def ask(engine: Engine, data: Data) -> dict[str, Any]:
    """Open, and ask in every way the engine has; milliseconds, recall, peak memory."""
    start = time.perf_counter()
    engine.open()
    found: dict[str, Any] = {"open_ms": (time.perf_counter() - start) * 1e3}
    chosen = random.Random(SEED).sample(range(len(data.texts)), len(data.questions))
    asked = {"near": data.asked, "near_tenth": data.asked, "words": data.questions}
    for way in WAYS:
        call, times, answers = getattr(engine, way), [], []
        if call is None:
            continue
        limit = time.perf_counter() + LIMIT_S
        for question in asked.get(way, chosen):
            start = time.perf_counter()
            answers.append(call(question))
            times.append((time.perf_counter() - start) * 1e3)
            if time.perf_counter() > limit:
                break
        found[way] = {f"p{q}_ms": float(np.percentile(times[1:] or times, q)) for q in (50, 99)}
        found[way] |= {"first_ms": times[0], "asked": len(times)}
        if way.startswith("near"):
            found[way]["recall"] = recall(data, answers, way == "near_tenth")
        if way == "hops":
            found[way]["sum"] = int(sum(answers))  # The same for every engine.
    return found | {"ask_peak_mb": stress_report.peak_mb()}


def recall(data: Data, answers: list[list[int]], tenth: bool) -> float:
    """Share of the wanted answers whose exact score reaches the tenth best."""
    right = 0
    for i, rows in enumerate(answers):
        question = data.asked[i] / np.linalg.norm(data.asked[i])
        assert not tenth or all(row % 1000 < TENTH for row in rows), "outside of the filter"
        right += int((data.vectors[rows] @ question >= data.truth[int(tenth), i] - 1e-6).sum())
    return right / (K * len(answers))


def child(what: str, name: str, out: Path) -> None:
    """One half of one engine, in this process; its figures are the last line printed."""
    data = Data(out / "data")
    engine = ENGINES[name](out / name, data.vectors.shape[1])
    print(json.dumps((load if what == "load" else ask)(engine, data)))


def measure(name: str, out: Path, before: dict[str, Any] | None) -> dict[str, Any]:
    """Both halves of an engine, each in a process of its own; what failed is said.

    before: figures of an engine that is loaded, and only to be asked once more.
    """
    found = {} if before is None else before
    for what in ("load", "ask") if before is None else ("ask",):
        found[f"{what}_load"] = os.getloadavg()[0]
        if what == "load":
            shutil.rmtree(out / name, ignore_errors=True)
            (out / name).mkdir()
        command = [sys.executable, __file__, "--child", what, str(out), name]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S * 60)
        except subprocess.TimeoutExpired:
            return found | {"failed": f"{what}: not done in {LIMIT_S:.0f} minutes"}
        if done.returncode:
            why = (done.stderr.strip() or f"signal {-done.returncode}").splitlines()[-1]
            return found | {"failed": f"{what}: {why}"}
        found |= json.loads(done.stdout.splitlines()[-1])
    return found


def table(results: dict[str, Any]) -> str:
    """The Markdown table of all results."""
    head = ["engine", "load s (CPU)", "peak MB", "disk MB", "open ms", *WAYS, "asking, peak MB"]
    lines = [head, ["---"] * len(head)]
    for name, found in results.items():
        if "failed" in found:
            lines.append([name, found["failed"][:60], *[""] * (len(head) - 2)])
            continue
        cells = [name, f"{found['load_s']:,.0f} ({found['load_cpu_s']:,.0f})"]
        cells += [f"{found[key]:,.0f}" for key in ("load_peak_mb", "disk_mb", "open_ms")]
        cells += [_cell(found.get(way)) for way in WAYS]
        lines.append([*cells, f"{found['ask_peak_mb']:,.0f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(way: dict[str, float] | None) -> str:
    if way is None:
        return "no"
    shown = f"{way['p50_ms']:,.2f} / {way['p99_ms']:,.2f}"
    return shown + (f", {way['recall']:.3f}" if "recall" in way else "")


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[4], Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="made by stress.py")
    parser.add_argument("out", type=Path)
    parser.add_argument("engines", nargs="*", help=", ".join(ENGINES))
    parser.add_argument("--concepts", type=int, default=10**9, help="no more than these")
    parser.add_argument("--ask", action="store_true", help="only ask again what is loaded")
    parser.add_argument("--queries", type=int, default=60)
    options = parser.parse_args()
    if not (options.out / "data").is_dir():
        dump(options.store, options.out / "data", options.concepts, options.queries)
    kept = options.out / "results.json"
    results = json.loads(kept.read_text()) if kept.is_file() else {}
    for name in options.engines or ENGINES:
        stress_report.tell(name)
        before = results.get(name) if options.ask else None
        results[name] = measure(name, options.out, before)
        kept.write_text(json.dumps(results, indent=1))
    packages = [package for name in results for package in ENGINES[name].packages]
    print(machine.line(*packages), "", table(results), sep="\n")


if __name__ == "__main__":
    main()
