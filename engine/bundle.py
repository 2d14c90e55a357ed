"""What the package carries for its demo: a piece of WordNet, and an embedder that knows its words.

The corpus is about 2,000 connected synsets in quillian's JSON lines. The embedder `bundled` sums
64-d vectors of some 8,600 words: enough for the demo's questions with nothing installed, too few
words for other texts. Both are made by bench/make_bundle.py; the vectors were fitted to
all-MiniLM-L6-v2 (Apache-2.0) on WordNet's glosses, whose licence is LICENSE.wordnet.txt.
"""

import gzip
import io
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from .reading import Edge, Fields, Item, read_json_lines, refuse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = re.compile(r"[a-z0-9]+")
_FOLDER = files(__package__) / "bundled"


def read_corpus() -> Iterator[Item | Edge]:
    """The bundled synsets as items, then their pointers as edges; see reading/wordnet.py."""
    with (_FOLDER / "corpus.jsonl.gz").open("rb") as packed, gzip.open(packed) as stream:
        lines = io.BufferedReader(stream)
        yield from read_json_lines(lines, "bundled", fields=Fields(), on_bad=refuse)


def licence() -> str:
    """The licence of WordNet, which the corpus comes under."""
    return (_FOLDER / "LICENSE.wordnet.txt").read_text(encoding="utf-8")


class BundledWords:
    """Sum of word vectors, unit length; a text without a known word gets the zero vector."""

    name = "bundled"
    dim = 64

    def __init__(self) -> None:
        import numpy as np

        with (_FOLDER / "words.npz").open("rb") as file, np.load(file) as table:
            self._rows = table["rows"].astype(np.float32) * table["scales"][:, None]
            names = table["names"].tobytes().decode().split("\n")
        self._index = {name: row for row, name in enumerate(names)}

    def embed(self, texts: Sequence[str], /) -> "NDArray[np.float32]":
        """Vectors (n, 64) float32 of the texts."""
        import numpy as np

        sums = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            known = [self._index[x] for x in WORD.findall(text.lower()) if x in self._index]
            sums[row] = self._rows[known].sum(axis=0)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        sums /= np.where(norms > 0, norms, np.float32(1))
        return sums
