"""What a word is, and the form in which texts reach the C core.

A word is a maximal run of Unicode word characters (letters, digits, underscore: `\\w` of `re`) of
the text after NFKC and case folding. No stop words: very frequent words are cheap instead.  A store
may have a stemmer, chosen when it is created; then its words are stems, in texts and in questions.

An ASCII text needs no preparation, the C core folds and splits it by the same rule. Anything else
is normalised and folded here and handed over with spaces between its words.
"""

import importlib
import re
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import InvalidError

STEMS_MAX = 1 << 20  # Stems kept in memory per analyser; beyond, the cache starts anew.

_WORD = re.compile(r"\w+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)


def words_of(text: str) -> list[str]:
    """The words of a text in order: the definition; everything else must equal it."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True)
class Analyser:
    """How texts become words: a stemmer's language ("english", ...) or None for plain words.

    With a language, raises InvalidError if neither PyStemmer nor snowballstemmer is installed or
    neither knows it.
    """

    stemmer: str | None = None

    def __post_init__(self) -> None:
        stem = None if self.stemmer is None else _stemmer(self.stemmer)
        object.__setattr__(self, "_stem", stem)
        object.__setattr__(self, "_stems", {})

    @property
    def mark(self) -> int:
        """A number that segments carry, so that those of another analyser are refused."""
        return zlib.crc32(f"nfkc casefold \\w+ {self.stemmer or ''}".encode())

    def words(self, text: str) -> list[str]:
        """The words of a text in order, as the index knows them."""
        found = _ASCII_WORD.findall(text.lower()) if text.isascii() else words_of(text)
        return found if self.stemmer is None else self._stemmed(found)

    def prepare(self, text: str) -> bytes:
        """The text as the C core takes it: its words there equal `words(text)`."""
        if self.stemmer is None and text.isascii():
            return text.encode("ascii")
        return " ".join(self.words(text)).encode("utf-8", "surrogatepass")

    def _stemmed(self, words: Sequence[str]) -> list[str]:
        cache: dict[str, str] = self._stems  # type: ignore[attr-defined]
        stem: Callable[[str], str] = self._stem  # type: ignore[attr-defined]
        if len(cache) > STEMS_MAX:
            cache.clear()
        stems = []
        for word in words:
            known = cache.get(word)
            if known is None:
                known = cache.setdefault(word, stem(word))
            stems.append(known)
        return stems


def _stemmer(language: str) -> Callable[[str], str]:
    """A Snowball stemmer; PyStemmer's where it is installed (C, about ten times faster)."""
    for module, maker in (("Stemmer", "Stemmer"), ("snowballstemmer", "stemmer")):
        try:
            library = importlib.import_module(module)
        except ImportError:
            continue
        known = sorted(library.algorithms())
        if language not in known:
            raise InvalidError(f"want a stemmer among {', '.join(known)}; got {language!r}")
        stem: Callable[[str], str] = getattr(library, maker)(language).stemWord
        return stem
    raise InvalidError(f"the stemmer {language!r} needs a library: pip install PyStemmer")
