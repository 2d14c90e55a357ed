"""Which rows are vectors searched among? Embeddings of real texts, made once and kept in a folder.

    python bench/vector_data.py OUT [--rows 1000000] [--dictd FOLDER]

OUT gets `vectors.f16.npy` (rows, 256), `queries.f16.npy` and `facts.json`: wordllama's vectors of
WordNet's glosses, of the descriptions of Debian's packages and of the paragraphs of the
dictionaries in FOLDER (`*.dict.dz` with their `*.index`: Debian's dict-gcide, dict-foldoc,
dict-jargon, dict-vera, dict-devil). Queries are texts held out of all that. Where the texts do not
suffice, the rest is recombined: the first half of one text and the second half of another.
`bench/vectors.py` reads such a folder; without `queries.f16.npy` it holds out rows itself.
"""

import argparse
import gzip
import json
import random
import re
import string
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from quillian.embedders import load
from quillian.errors import BadRecordError
from quillian.reading import Item
from quillian.reading.packages import available, read_packages
from quillian.reading.wordnet import read_wordnet

SEED = 1
CHUNK = 20_000
LENGTH_MIN = 20  # Shorter paragraphs are headings.
DIGITS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"


def ignore(_: BadRecordError) -> None:
    """A bad record is no text."""


def number(digits: str) -> int:
    """A position in a dictd index: base 64, most significant digit first."""
    value = 0
    for digit in digits:
        value = 64 * value + DIGITS.index(digit)
    return value


def paragraphs(dictionary: Path) -> Iterator[str]:
    """The paragraphs of every article of a dictd dictionary, spaces folded."""
    content = gzip.decompress(dictionary.read_bytes())
    index = dictionary.name.replace(".dict.dz", ".index")
    spans = set()
    for line in (dictionary.parent / index).read_text(errors="replace").splitlines():
        head, start, size = line.split("\t")[:3]
        if not head.startswith("00"):  # About the dictionary itself.
            spans.add((number(start), number(size)))
    for start, size in sorted(spans):
        article = content[start : start + size].decode(errors="replace")
        for paragraph in re.split(r"\n\s*\n", article):
            text = " ".join(paragraph.split())
            if len(text) >= LENGTH_MIN:
                yield text


def real_texts(dictd: Path | None) -> dict[str, list[str]]:
    """Source -> its texts, each text once, in the order of the source."""
    packages = read_packages(BytesIO(available()), "packages", on_bad=ignore)
    sources: dict[str, Iterator[str | None]] = {
        "wordnet": (x.text for x in read_wordnet(on_bad=ignore) if isinstance(x, Item)),
        "packages": (x.text for x in packages if isinstance(x, Item)),
    }
    for dictionary in sorted(dictd.glob("*.dict.dz")) if dictd else ():
        sources[dictionary.name.partition(".")[0]] = paragraphs(dictionary)
    seen: set[str] = set()
    found: dict[str, list[str]] = {}
    for name, texts in sources.items():
        found[name] = [x for x in dict.fromkeys(texts) if x and x not in seen]
        seen.update(found[name])
    return found


def recombined(texts: list[str], count: int) -> list[str]:
    """Count texts that are not among `texts`: halves of two of them.

    Raises ValueError where so few texts have not so many halves.
    """
    chance = random.Random(SEED)
    known, made = set(texts), []
    for _ in range(20 * count):
        if len(made) == count:
            break
        first, second = chance.choice(texts).split(), chance.choice(texts).split()
        text = " ".join(first[: (len(first) + 1) // 2] + second[len(second) // 2 :])
        if text not in known:
            known.add(text)
            made.append(text)
    if len(made) < count:
        raise ValueError(f"want {count} recombined texts, but {len(texts)} gave {len(made)}")
    return made


def embedded(texts: list[str], path: Path) -> int:
    """Write the texts' vectors to path; returns how many differ."""
    embedder = load("wordllama")
    rows = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float16, shape=(len(texts), embedder.dim)
    )
    for start in range(0, len(texts), CHUNK):
        rows[start : start + CHUNK] = embedder.embed(texts[start : start + CHUNK])
        print(f"{path.name}: {start + CHUNK:,} of {len(texts):,}", flush=True)
    return len(np.unique(rows.view(np.dtype((np.void, rows.itemsize * embedder.dim)))))


def make(out: Path, count: int, queries: int, dictd: Path | None) -> dict[str, Any]:
    """Write the folder; returns its facts."""
    out.mkdir(parents=True, exist_ok=True)
    sources = real_texts(dictd)
    texts = [text for part in sources.values() for text in part]
    random.Random(SEED).shuffle(texts)
    asked, texts = texts[:queries], texts[queries : queries + count]
    real = len(texts)
    texts += recombined(texts, count - real)
    random.Random(SEED).shuffle(texts)
    facts = {
        "sources": {name: len(part) for name, part in sources.items()},
        "real": real,
        "recombined": count - real,
        "distinct_vectors": embedded(texts, out / "vectors.f16.npy"),
        "queries": embedded(asked, out / "queries.f16.npy"),
        "seed": SEED,
    }
    (out / "facts.json").write_text(json.dumps(facts, indent=1))
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--dictd", type=Path, help="folder of dictionaries")
    options = parser.parse_args()
    print(json.dumps(make(options.out, options.rows, options.queries, options.dictd)))


if __name__ == "__main__":
    main()
