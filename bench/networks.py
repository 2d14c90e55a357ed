"""Undirected graphs to measure on: WordNet, Debian's package relations, generators, their cores.

Real graphs are read from the installed system (package `wordnet-base`, `apt-cache dumpavail`);
a graph that is not there is None, and its rows stay empty.  All generators are seeded.
"""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quillian.bindings.components import components
from quillian.bindings.csr import Csr, build

WORDNET = Path("/usr/share/wordnet")
RELATIONS = ("Depends", "Pre-Depends", "Recommends", "Suggests", "Provides", "Breaks", "Conflicts")


def simple(n: int, sources: NDArray[np.integer], targets: NDArray[np.integer]) -> Csr:
    """The simple undirected graph of these edges: each once, weight 1."""
    offsets, rows, _ = build(n, sources.astype(np.uint32), targets.astype(np.uint32))
    return Csr(offsets, rows)


def ends_of(graph: Csr) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Each edge once: sources below targets."""
    sources = np.repeat(np.arange(graph.n, dtype=np.uint32), np.diff(graph.offsets).astype(int))
    once = sources < graph.targets
    return sources[once], graph.targets[once]


def induced(graph: Csr, keep: NDArray[np.bool_]) -> Csr:
    """The graph between the vertices kept, numbered anew."""
    number = np.cumsum(keep) - 1
    sources, targets = ends_of(graph)
    inside = keep[sources] & keep[targets]
    return simple(int(keep.sum()), number[sources[inside]], number[targets[inside]])


def largest_component(graph: Csr) -> Csr:
    count, labels = components(graph)
    if count <= 1:
        return graph
    return induced(graph, labels == np.bincount(labels).argmax())


def core(graph: Csr, k: int) -> Csr:
    """The largest component of what is left when vertices of degree below k are removed."""
    while True:
        keep = np.diff(graph.offsets) >= k
        if keep.all():
            return largest_component(graph)
        graph = induced(graph, keep)


def wordnet() -> Csr | None:
    """Synsets and their pointers, as one undirected graph."""
    if not WORDNET.exists():
        return None
    numbers: dict[tuple[str, str], int] = {}
    pointers: list[tuple[tuple[str, str], tuple[str, str]]] = []
    for part, kind in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
        for line in (WORDNET / f"data.{part}").read_text("utf-8").splitlines():
            if line.startswith("  "):
                continue
            fields = line.partition("|")[0].split()
            key = (kind, fields[0])
            numbers[key] = len(numbers)
            at = 4 + 2 * int(fields[3], 16)
            for i in range(int(fields[at])):
                offset, target_kind = fields[at + 4 * i + 2], fields[at + 4 * i + 3]
                pointers.append((key, (target_kind, offset)))
    pairs = np.array([(numbers[a], numbers[b]) for a, b in pointers])
    return simple(len(numbers), pairs[:, 0], pairs[:, 1])


def debian() -> Csr | None:
    """Package names and every relation between them, as one undirected graph."""
    if shutil.which("apt-cache") is None:
        return None
    command = ["apt-cache", "dumpavail"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    for block in text.split("\n\n"):
        fields = dict(x.split(": ", 1) for x in block.split("\n") if re.match(r"[\w-]+: ", x))
        if "Package" not in fields:
            continue
        source = names.setdefault(fields["Package"], len(names))
        for relation in RELATIONS:
            for name in re.split(r"[,|]", fields.get(relation, "")):
                if name := re.split(r"[\s(:]", name.strip())[0]:
                    pairs.append((source, names.setdefault(name, len(names))))
    if not pairs:
        return None
    ends = np.array(pairs)
    return simple(len(names), ends[:, 0], ends[:, 1])


def triples(path: Path) -> Csr:
    """A knowledge graph from lines `head relation tail`, as one undirected graph."""
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    numbers: dict[str, int] = {}
    for head, _, tail in rows:
        numbers.setdefault(head, len(numbers))
        numbers.setdefault(tail, len(numbers))
    ends = np.array([(numbers[head], numbers[tail]) for head, _, tail in rows])
    return simple(len(numbers), ends[:, 0], ends[:, 1])


def barabasi_albert(n: int, m: int, seed: int) -> Csr:
    """Each new vertex brings m edges to ends of earlier ones (preferential attachment)."""
    rng = np.random.default_rng(seed)
    sources = np.repeat(np.arange(m, n), m)
    picks = rng.random(len(sources))
    ends = np.empty(2 * len(sources), np.int64)
    ends[0::2] = sources
    ends[1 : 2 * m : 2] = np.arange(m)
    for v in range(1, n - m):  # All earlier ends are equally likely: an end is in by its degree.
        ends[2 * m * v + 1 : 2 * m * (v + 1) : 2] = ends[
            (picks[m * v : m * (v + 1)] * 2 * m * v).astype(np.int64)
        ]
    return simple(n, sources, ends[1::2])


def rmat(scale: int, degree: int, seed: int) -> Csr:
    """The Graph 500 generator (a, b, c = .57, .19, .19), largest component."""
    rng = np.random.default_rng(seed)
    m = degree << scale >> 1
    sources, targets = np.zeros(m, np.int64), np.zeros(m, np.int64)
    for _ in range(scale):
        down = rng.random(m) > 0.76
        right = rng.random(m) > np.where(down, 0.19 / 0.24, 0.57 / 0.76)
        sources, targets = 2 * sources + down, 2 * targets + right
    return largest_component(simple(1 << scale, sources, targets))


def ring_of_communities(communities: int, size: int, degree: int, seed: int) -> Csr:
    """Random groups in a circle, two edges between neighbours: cuts that are not one vertex."""
    rng = np.random.default_rng(seed)
    m = size * degree // 2
    starts = np.repeat(np.arange(communities), m) * size
    inner = starts + rng.integers(0, size, (2, len(starts)))
    loop = starts + np.tile(np.arange(m) % size, communities)  # Keeps each group connected.
    firsts = np.repeat(np.arange(communities), 2)
    outer = rng.integers(0, size, (2, len(firsts)))
    outer += np.stack([firsts, (firsts + 1) % communities]) * size
    after = np.where((loop + 1) % size == 0, loop + 1 - size, loop + 1)
    return simple(
        communities * size,
        np.concatenate([inner[0], loop, outer[0]]),
        np.concatenate([inner[1], after, outer[1]]),
    )


def block_model(n: int, blocks: int, degree: int, outside: float, seed: int) -> Csr:
    """n vertices in equal blocks; a share `outside` of the edges leads anywhere."""
    rng = np.random.default_rng(seed)
    size = n // blocks
    m = n * degree // 2
    sources = rng.integers(0, blocks * size, m)
    inner = sources // size * size + rng.integers(0, size, m)
    targets = np.where(rng.random(m) < outside, rng.integers(0, blocks * size, m), inner)
    return largest_component(simple(blocks * size, sources, targets))


def grid(width: int, height: int) -> Csr:
    """A road-like grid with a few diagonals missing: every inner vertex has four neighbours."""
    at = np.arange(width * height).reshape(height, width)
    sources = np.concatenate([at[:, :-1].ravel(), at[:-1].ravel()])
    targets = np.concatenate([at[:, 1:].ravel(), at[1:].ravel()])
    return simple(width * height, sources, targets)
