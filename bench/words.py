"""How long does BM25 take for rare and very common words, filtered and not, beside its peers?

    python bench/words.py [--wordnet /usr/share/wordnet] [--count 1000000] [--seconds 2]
        [--only "quillian tantivy"] [--json FILE]

Texts: every WordNet synset as "words: gloss" (117,659), recombined to --count by gluing halves of
two of them, each ending in the word "everyword", which so stands in every text. One thread, one
query per Python call, k = 10, k1 = 1.2, b = 0.75, no stop words, no stemming. Microseconds are of
processor time (other programs share the machine), per question the best of 5, per class the median
of the up to 20 questions that fit `--seconds`, at least one. Peers that are not installed have no
rows. Every peer's best score must equal ours to 1e-4 where it uses the same formula (bm25s does;
tantivy and FTS5 keep lengths or idf in another form, their overlap of the 10 best is printed
instead).
"""

import argparse
import importlib.metadata
import importlib.util
import json
import random
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
import quillian as ql
from quillian.text import WordIndex, WordsState

K = 10
SEED = 1
REPEATS = 5
FILTERS = {"all": 1, "1 in 10": 10, "1 in 1000": 1000}


def glosses(folder: Path) -> list[str]:
    """Every synset as "words: gloss"."""
    texts = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            head, _, gloss = line.partition(" | ")
            fields = head.split(" ")
            words = [fields[4 + 2 * i].replace("_", " ") for i in range(int(fields[3], 16))]
            texts.append(f"{', '.join(words)}: {gloss.strip()}")
    return texts


def recombined(texts: list[str], count: int) -> list[str]:
    rng = random.Random(SEED)
    made = list(texts[:count])
    while len(made) < count:
        left, right = rng.choice(texts).split(), rng.choice(texts).split()
        made.append(" ".join(left[: len(left) // 2 + 1] + right[len(right) // 2 :]))
    return [f"{text} everyword" for text in made]


class Quillian:
    name, package, same_formula = "quillian", "quillian", True

    def build(self, texts: list[str], folder: Path) -> None:
        self.folder = folder / "quillian"
        index = WordIndex(self.folder, bytes(16))
        info = index.build("a.words", enumerate(texts))
        self.view = index.view(WordsState((info,)), lambda a, b: [], lambda n: [])
        self.allowed = {}
        for every in FILTERS.values():
            flags = np.zeros((len(texts) + 63) // 64 * 64, np.bool_)
            flags[: len(texts) : every] = True
            self.allowed[every] = np.packbits(flags, bitorder="little").view(np.uint64)

    def search(self, words: list[str], every: int, mode: str) -> tuple[Any, Any]:
        allowed = None if every == 1 else self.allowed[every]
        found = self.view.search(words, K, mode=mode, allowed=allowed)
        self.cost = found.cost
        return found.nodes, found.scores


class Stored:
    """The same in a store: `store.search`, and with a filter a plan in a snapshot that stays."""

    name, package, same_formula = "store", "quillian", True

    def build(self, texts: list[str], folder: Path) -> None:
        self.folder = folder / "store"
        self.store = ql.open(self.folder, embedder="none")
        data = [{f"every{e}": i % e == 0 for e in FILTERS.values()} for i in range(len(texts))]
        self.store.add_many(texts=texts, data=data)
        self.store.optimize()
        self.view = self.store.snapshot()

    def search(self, words: list[str], every: int, mode: str) -> tuple[Any, Any]:
        text = " ".join(words)
        if every == 1 and mode == "any":
            found = self.store.search(text, K, method="words")
        else:
            start = () if every == 1 else (ql.Where({f"every{every}": True}),)
            plan = ql.Query(*start, ql.Words(K, mode=mode))
            found = plan(self.view, ql.Selection.everything(self.view, ql.Question(text=text)))
        return found.ids, found.scores


class Bm25s:
    name, package, same_formula = "bm25s (numpy)", "bm25s", True
    backend = "numpy"

    def build(self, texts: list[str], folder: Path) -> None:
        import bm25s

        self.folder = folder / self.backend
        self.index = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend=self.backend)
        tokens = bm25s.tokenize(
            texts, stopwords=None, token_pattern=r"\w+", show_progress=False, return_ids=True
        )
        self.index.index(tokens, show_progress=False)
        self.index.save(self.folder, show_progress=False)
        self.masks = {}
        for every in FILTERS.values():
            self.masks[every] = np.zeros(len(texts), np.float32)
            self.masks[every][::every] = 1

    def search(self, words: list[str], every: int, mode: str) -> tuple[Any, Any] | None:
        if mode != "any":
            return None
        known = [w for w in words if w in self.index.vocab_dict]
        mask = None if every == 1 else self.masks[every]
        ids, scores = self.index.retrieve(
            [known], k=K, show_progress=False, n_threads=0, weight_mask=mask
        )
        return ids[0], scores[0]


class Bm25sNumba(Bm25s):
    name, package = "bm25s (numba)", "numba"
    backend = "numba"


class Tantivy:
    name, package, same_formula = "tantivy", "tantivy", False

    def build(self, texts: list[str], folder: Path) -> None:
        import tantivy

        self.library = tantivy
        self.folder = folder / "tantivy"
        self.folder.mkdir()
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("body", stored=False, tokenizer_name="default")
        builder.add_unsigned_field("node", stored=True, fast=True)
        for every in FILTERS.values():
            builder.add_unsigned_field(f"every{every}", indexed=True)
        self.schema = builder.build()
        self.index = tantivy.Index(self.schema, path=str(self.folder))
        writer = self.index.writer(256_000_000, num_threads=1)
        for node, text in enumerate(texts):
            document = tantivy.Document(body=text)
            document.add_unsigned("node", node)
            for every in FILTERS.values():
                document.add_unsigned(f"every{every}", int(node % every == 0))
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        self.index.reload()
        self.searcher = self.index.searcher()

    def search(self, words: list[str], every: int, mode: str) -> tuple[Any, Any]:
        query, occur = self.library.Query, self.library.Occur
        term = occur.Must if mode == "all" else occur.Should
        asked = query.boolean_query(
            [(term, query.term_query(self.schema, "body", word)) for word in words]
        )
        if every != 1:
            only = query.term_query(self.schema, f"every{every}", 1)
            only = query.boost_query(query.const_score_query(only, 1.0), 0.0)
            asked = query.boolean_query([(occur.Must, asked), (occur.Must, only)])
        hits = self.searcher.search(asked, K, count=False).hits
        nodes = [self.searcher.doc(address)["node"][0] for _, address in hits]
        return np.array(nodes), np.array([score for score, _ in hits])


class Fts5:
    name, package, same_formula = "SQLite FTS5", "", False

    def build(self, texts: list[str], folder: Path) -> None:
        self.folder = folder / "fts5"
        self.folder.mkdir()
        self.base = sqlite3.connect(self.folder / "words.db")
        self.base.execute(
            "CREATE VIRTUAL TABLE t USING fts5(body, content='', tokenize='unicode61')"
        )
        rows = ((i + 1, text) for i, text in enumerate(texts))
        self.base.executemany("INSERT INTO t(rowid, body) VALUES (?, ?)", rows)
        self.base.execute("INSERT INTO t(t) VALUES ('optimize')")
        self.base.commit()

    def search(self, words: list[str], every: int, mode: str) -> tuple[Any, Any]:
        joined = (" AND " if mode == "all" else " OR ").join(f'"{w}"' for w in words)
        found = self.base.execute(
            "SELECT rowid - 1, -rank FROM t WHERE t MATCH ? AND (rowid - 1) % ? = 0"
            " ORDER BY rank LIMIT ?",
            (joined, every, K),
        ).fetchall()
        return np.array([x for x, _ in found]), np.array([x for _, x in found])


PEERS = (Quillian, Stored, Bm25s, Bm25sNumba, Tantivy, Fts5)


def questions(texts: list[str]) -> dict[str, list[tuple[list[str], str]]]:
    """Classes of questions: words by how many of the texts hold them, alone and together."""
    counts: dict[str, int] = {}
    for text in texts:
        for word in set(text.lower().split()):
            if word.isalpha() and word.isascii():
                counts[word] = counts.get(word, 0) + 1
    n = len(texts)
    rng = random.Random(SEED)

    def pick(low: float, high: float) -> list[str]:
        fit = sorted(w for w, c in counts.items() if low <= c <= high and w != "everyword")
        return rng.sample(fit, min(20, len(fit)))

    rare, middle, common = pick(2, 12), pick(n / 1500, n / 500), pick(n / 20, n)
    pairs = list(zip(rare, (common * 20)[: len(rare)], strict=True))
    often = (common[::-1] * 20)[: len(middle)]
    long = [[*two, b, c] for two, b, c in zip(pairs, middle, often, strict=False)]
    return {
        "rare word": [([w], "any") for w in rare],
        "middling word": [([w], "any") for w in middle],
        "common word": [([w], "any") for w in common],
        "word in every text": [(["everyword"], "any")],
        "rare + common": [(list(p), "any") for p in pairs],
        "four words": [(words, "any") for words in long],
        "common + everyword": [([w, "everyword"], "any") for w in common],
        "middling AND common": [
            ([a, b], "all") for a, b in zip(middle, (common * 20)[:20], strict=False)
        ],
    }


def median_us(
    peer: Any, asked: list[tuple[list[str], str]], every: int, seconds: float
) -> float | None:
    """Median over the questions that fit the time, at least one; None: it cannot ask so."""
    times: list[float] = []
    end = time.monotonic() + seconds
    for words, mode in asked:
        if times and time.monotonic() > end:
            break
        runs: list[float] = []
        while len(runs) <= REPEATS and not (runs and time.monotonic() > end):
            start = time.process_time_ns()
            if peer.search(words, every, mode) is None:
                return None
            runs.append((time.process_time_ns() - start) / 1e3)
        times.append(min(runs))
    return statistics.median(times)


def compare(
    ours: Any, peer: Any, asked: dict[str, list[tuple[list[str], str]]], seconds: float
) -> float:
    """The share of our 10 best that the peer has too; where the formula is ours, scores agree."""
    shares: list[float] = []
    end = time.monotonic() + seconds * len(asked)
    for word_mode in (group[i] for i in range(5) for group in asked.values() if i < len(group)):
        if len(shares) >= len(asked) and time.monotonic() > end:
            break
        found = peer.search(word_mode[0], 1, word_mode[1])
        if found is None:
            continue
        nodes, scores = ours.search(word_mode[0], 1, word_mode[1])
        if peer.same_formula:
            np.testing.assert_allclose(found[1][: len(scores)], scores, rtol=1e-4)
        shares.append(len(set(nodes.tolist()) & set(found[0].tolist())) / max(len(nodes), 1))
    return statistics.mean(shares)


def installed(package: str) -> bool:
    return not package or importlib.util.find_spec(package) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--count", type=int, default=117_659)
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=5.0, help="for one cell of the table")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    texts = recombined(glosses(options.wordnet), options.count)
    asked = questions(texts)
    results: dict[str, Any] = {
        "texts": len(texts),
        "seed": SEED,
        "machine": machine.facts(*(p.package for p in PEERS if p.package)),
        "sqlite": sqlite3.sqlite_version,
    }
    print(json.dumps(results))
    print("| " + " | ".join(["", "build s", "MB", "10 best", *asked]) + " |")
    print("|" + "---|" * (4 + len(asked)))
    ours: Any = None
    with tempfile.TemporaryDirectory() as folder:
        for kind in PEERS:
            if not installed(kind.package) or (options.only and kind.name not in options.only):
                continue
            peer: Any = kind()
            start = time.process_time()
            peer.build(texts, Path(folder))
            seconds = time.process_time() - start
            size = sum(p.stat().st_size for p in peer.folder.rglob("*") if p.is_file()) / 1e6
            ours = ours or peer
            share = compare(ours, peer, asked, options.seconds)
            for name, every in FILTERS.items():
                row = {
                    group: median_us(peer, asked[group], every, options.seconds) for group in asked
                }
                results.setdefault(peer.name, {})[name] = row
                cells = ["-" if x is None else f"{x:,.0f}" for x in row.values()]
                label = f"{peer.name}, {name}"
                print(f"| {label} | {seconds:.1f} | {size:.1f} | {share:.2f} | ", end="")
                print(" | ".join(cells) + " |", flush=True)
            results[peer.name] |= {"build_s": seconds, "size_mb": size, "overlap": share}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
