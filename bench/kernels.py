"""What do the kernels cost beside NumPy and re, and where do they lose?

    python bench/kernels.py [--vectors FILE.npy] [--runs 7] [--isa avx2] [--json FILE]

Both sides run in turns in one process on one thread; times are CPU seconds, medians of the runs,
and the ratio is the other's time over ours: above 1 we win.  Answers are compared before they are
timed.  Without --vectors the rows are random normal ones, the hardest case for the codes: nothing
is near anything.  `cold` touches 128 MB in between, so that no row is in a cache.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import machine
import numpy as np
from quillian import kernels
from quillian.bindings.kernels import crc32c, use_isa

SEED = 1
D = 384
K = 10
PATTERNS = 20

Call = Callable[[], Any]


class Case(NamedTuple):
    """One row of the table: two calls that answer the same, and whether they are to start cold."""

    name: str
    ours: Call
    theirs: Call
    equal: Callable[[Any, Any], bool]
    cold: bool = False


def close(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-3, atol=2e-4 * max(1.0, float(np.abs(b).max()))))


def same_scores(a: Any, b: Any) -> bool:
    return close(a.scores, b[1])


def rows_of(path: Path | None, count: int, queries: int) -> tuple[Any, Any]:
    """Unit rows and queries, from a file of vectors or random; queries are not among the rows."""
    generator = np.random.default_rng(SEED)
    if path is None:
        taken = generator.standard_normal((count + queries, D)).astype(np.float32)
    else:
        stored = np.load(path, mmap_mode="r")
        chosen = generator.permutation(len(stored))[: count + queries]
        taken = np.asarray(stored[np.sort(chosen)], np.float32)[generator.permutation(len(chosen))]
    unit = kernels.normalize(taken)
    return np.ascontiguousarray(unit[queries:]), np.ascontiguousarray(unit[:queries])


def numpy_cosine(queries: Any, rows: Any) -> Any:
    norms = np.linalg.norm(queries, axis=-1)[..., None] * np.linalg.norm(rows, axis=1)
    return queries @ rows.T / norms


def numpy_l2(queries: Any, rows: Any) -> Any:
    """The usual expansion; it loses digits where we do not, and is the fast way in NumPy."""
    if queries.ndim == 1:
        return -((rows - queries) ** 2).sum(axis=1)
    return 2 * queries @ rows.T - (rows**2).sum(axis=1) - (queries**2).sum(axis=1)[:, None]


def numpy_top(scores: Any) -> tuple[Any, Any]:
    best = np.argpartition(-scores, K, axis=-1)[..., :K]
    values = np.take_along_axis(scores, best, -1)
    order = np.argsort(-values, axis=-1)
    return np.take_along_axis(best, order, -1), np.take_along_axis(values, order, -1)


def score_cases(path: Path | None) -> Iterator[Case]:
    for n in (1_000, 10_000, 100_000):
        rows, (q,) = rows_of(path, n, 1)
        ours = partial(kernels.dot, q, rows)
        yield Case(f"dot, 1 query, {len(rows)} rows", ours, partial(np.matmul, rows, q), close)
    rows, queries = rows_of(path, 10_000, 100)
    for name, mine, theirs in (
        ("dot", kernels.dot, lambda q, r: q @ r.T),
        ("cosine", kernels.cosine, numpy_cosine),
        ("l2", kernels.l2, numpy_l2),
    ):
        for asked in (queries[0], queries):
            what = f"{name}, {asked.size // D} queries, 10000 rows"
            yield Case(what, partial(mine, asked, rows), partial(theirs, asked, rows), close)
    scores = queries @ rows.T
    yield Case(
        "top 10 of 100 x 10000 scores",
        partial(kernels.top_k, scores, K),
        partial(numpy_top, scores),
        same_scores,
    )


def numpy_nearest(queries: Any, rows: Any) -> tuple[Any, Any]:
    return numpy_top(queries @ rows.T)


def nearest_cases(path: Path | None) -> Iterator[Case]:
    for n in (10_000, 100_000):
        rows, queries = rows_of(path, n, 100)
        prepared = kernels.matrix(rows, metric="dot")
        for m in (1, 100):
            asked = queries[:m]
            ours = partial(kernels.nearest, asked, rows, K, metric="dot")
            theirs = partial(numpy_nearest, asked, rows)
            coded = partial(prepared.nearest, asked, K)
            name = f"top 10, {m} queries, {len(rows)} rows"
            yield Case(name, ours, theirs, same_scores)
            yield Case(f"{name}, prepared", coded, theirs, same_scores)
            if m == 1:
                yield Case(f"{name}, cold", ours, theirs, same_scores, cold=True)
                yield Case(f"{name}, prepared, cold", coded, theirs, same_scores, cold=True)
    rows, queries = rows_of(path, 10_000, 1)
    yield Case(
        "prepare 10000 rows and ask once",
        lambda: kernels.matrix(rows, metric="dot").nearest(queries, K),
        partial(numpy_nearest, queries, rows),
        same_scores,
    )


def narrow_cases(path: Path | None) -> Iterator[Case]:
    rows, queries = rows_of(path, 10_000, 1)
    steps = np.rint(rows * (127 / np.abs(rows).max()))
    for narrow in (rows.astype(np.float16), steps.astype(np.int8)):
        yield Case(
            f"top 10, 1 query, 10000 rows of {narrow.dtype}",
            partial(kernels.nearest, queries, narrow, K, metric="dot"),
            lambda narrow=narrow: numpy_nearest(queries, narrow.astype(np.float32)),
            same_scores,
        )


def other_cases() -> Iterator[Case]:
    data = np.random.default_rng(SEED).bytes(1 << 20)
    yield Case(
        "crc32c of 1 MiB (zlib's crc32)",
        lambda: crc32c(data),
        lambda: crc32(data),
        lambda a, b: a != b,
    )
    source = random.Random(SEED)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(3000)]
    literals = {f"literal {i}": source.choice(words) for i in range(PATTERNS // 2)}
    expressions = {"date": r"\b\d{4}-\d\d-\d\d\b", "mail": r"\w+@\w+\.(com|org)", "twice": r"aa+b?"}
    expressions |= {
        f"word {i}": rf"\b{w}\w*ing\b" for i, w in enumerate(words[: PATTERNS // 2 - 3])
    }
    for length in (40, 400, 20_000):
        texts = [" ".join(source.choices(words, k=length // 6)) for _ in range(400_000 // length)]
        yield pattern_case(
            f"{PATTERNS} patterns, texts of {length} signs", literals, expressions, texts
        )


def plain_jump_hash(key: int, buckets: int) -> int:
    """Lamping and Veach 2014, figure 1, word by word."""
    bucket, following = -1, 0
    while following < buckets:
        bucket = following
        key = (key * 2862933555777941757 + 1) % 2**64
        following = int((bucket + 1) * (2**31 / ((key >> 33) + 1)))
    return bucket


def plain_rolling_hash(data: bytes, window: int) -> list[int]:
    """One polynomial of Karp and Rabin, rolled byte by byte; ours are two."""
    prime, base = 2**31 - 1, 263
    power, value, found = pow(base, window - 1, prime), 0, []
    for i, byte in enumerate(data):
        if i >= window:
            value = (value - data[i - window] * power) % prime
        value = (value * base + byte) % prime
        if i >= window - 1:
            found.append(value)
    return found


def plain_pairs(signatures: Any, bands: int) -> list[tuple[int, int]]:
    """Rows that share a whole band, by a dictionary per band."""
    pairs: set[tuple[int, int]] = set()
    for band in np.split(signatures, bands, axis=1):
        alike: dict[bytes, list[int]] = {}
        for row, part in enumerate(band):
            alike.setdefault(part.tobytes(), []).append(row)
        for rows in alike.values():
            pairs |= {(a, b) for i, a in enumerate(rows) for b in rows[i + 1 :]}
    return sorted(pairs)


def plain_minhash(sets: list[list[str]]) -> list[list[int]]:
    """128 permutations (a x + b) mod p of a 32-bit hash, as libraries without NumPy do."""
    source = random.Random(SEED)
    keys = [(source.getrandbits(61), source.getrandbits(61)) for _ in range(128)]
    hashes = [[crc32(w.encode()) for w in one] for one in sets]
    return [[min((a * x + b) % (2**61 - 1) for x in one) for a, b in keys] for one in hashes]


def as_many(a: Any, b: Any) -> bool:
    """For hashes of another kind."""
    return len(a) == len(b)


def hash_cases() -> Iterator[Case]:
    """Beside what one would write without us: hashlib, NumPy's unique, loops in Python."""
    source = random.Random(SEED)
    words = [f"word{i}" for i in range(5_000)]
    texts = [" ".join(source.choices(words, k=8)) for _ in range(10_000)]
    rows = np.random.default_rng(SEED).integers(0, 4, (20_000, 8), np.uint8)
    sets = [source.sample(words, 40) for _ in range(500)] * 2
    signatures = kernels.minhash(sets)
    data = "".join(texts).encode()[:100_000]
    numbers = [source.getrandbits(64) for _ in range(20_000)]
    yield Case(
        "hash64 of 10000 texts (sha256)",
        lambda: list(map(kernels.hash64, texts)),
        lambda: [int.from_bytes(sha256(t.encode()).digest()[:8], "little") for t in texts],
        as_many,
    )
    yield Case(
        "dedupe 20000 rows of 8 bytes (unique)",
        lambda: kernels.dedupe(rows).firsts,
        lambda: np.unique(rows, axis=0, return_index=True)[1],
        lambda a, b: sorted(a) == sorted(b),
    )
    few, many = partial(kernels.minhash, sets[:50]), partial(plain_minhash, sets[:50])
    yield Case("minhash of 50 sets of 40 (loop)", few, many, as_many)
    pairs, plain = partial(kernels.lsh, signatures), partial(plain_pairs, signatures, 32)
    yield Case("lsh of 1000 signatures (dictionaries)", pairs, plain, same_pairs)
    rolling, loop = partial(kernels.rolling_hash, data, 32), partial(plain_rolling_hash, data, 32)
    yield Case("rolling_hash of 100 kB, window 32 (loop)", rolling, loop, as_many)
    yield Case(
        "jump_hash of 20000 keys (loop)",
        lambda: kernels.jump_hash(numbers, 1000),
        lambda: [plain_jump_hash(x, 1000) for x in numbers],
        lambda a, b: bool(a.tolist() == b),
    )


def same_pairs(a: Any, b: Any) -> bool:
    return [tuple(pair) for pair in a] == b


def pattern_case(name: str, literals: Any, expressions: Any, texts: list[str]) -> Case:
    patterns = kernels.PatternSet(literals, expressions)
    alone = [(name, re.compile(re.escape(x))) for name, x in literals.items()]
    alone += [(name, re.compile(x, re.ASCII)) for name, x in expressions.items()]

    def by_re() -> list[list[tuple[int, int, str]]]:
        return [
            sorted((m.start(), m.end(), name) for name, one in alone for m in one.finditer(text))
            for text in texts
        ]

    return Case(name, lambda: patterns.find_many(texts), by_re, lambda a, b: a == b)


def measured(case: Case, runs: int) -> dict[str, Any]:
    """Medians of both sides, run in turns, after a first run that is compared."""
    assert case.equal(case.ours(), case.theirs()), f"{case.name}: the answers differ"
    evictor = np.zeros(1 << 24)
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(runs):
        for side, call in (("ours", case.ours), ("theirs", case.theirs)):
            if case.cold:
                evictor += 1
            start = time.process_time()
            call()
            times[side].append((time.process_time() - start) * 1e3)
    ours, theirs = (statistics.median(times[side]) for side in ("ours", "theirs"))
    spread = max(times["ours"]) / min(times["ours"])
    return {"case": case.name, "ours_ms": ours, "theirs_ms": theirs, "spread": spread}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--isa")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.isa:
        use_isa(options.isa)
    data = options.vectors.name if options.vectors else "random"
    facts = machine.facts("numpy", seed=SEED, vectors=data)
    print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    print(f"{'':52}{'ours ms':>10}{'other ms':>10}{'ratio':>8}{'max/min':>9}")
    results = []
    for group in (score_cases, nearest_cases, narrow_cases):
        results += [shown(measured(case, options.runs)) for case in group(options.vectors)]
    for cases in (other_cases(), hash_cases()):
        results += [shown(measured(case, options.runs)) for case in cases]
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "results": results}, indent=1))


def shown(row: dict[str, Any]) -> dict[str, Any]:
    ratio = row["theirs_ms"] / row["ours_ms"]
    print(
        f"{row['case']:52}{row['ours_ms']:10.3f}{row['theirs_ms']:10.3f}"
        f"{ratio:8.2f}{row['spread']:9.1f}",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
