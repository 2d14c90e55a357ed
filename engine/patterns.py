"""Many literals and regular expressions in one pass over many texts, in linear time.

`PatternSet` stands on two libraries (`pip install 'quillian[patterns]'`): pyahocorasick finds all
literals in one reading (Aho and Corasick 1975); RE2 tells in one reading which expressions match
at all, and only those look for their places.  No expression can take more than linear time.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from .errors import InvalidError, LimitError
from .regular import translate


class Found(NamedTuple):
    """One place of one pattern: text[start:end]."""

    start: int
    end: int
    name: str


class PatternSet:
    """Named patterns; each finds what it would find alone.

    The spans of a literal are those of `re.finditer(re.escape(literal), text)`, those of an
    expression those of `re.finditer(expression, text, re.ASCII)`: left to right, no two of the
    same pattern overlapping.  Expressions come from the subset that `regular` describes.
    Raises InvalidError for an empty literal, a name used twice, or an expression outside it.

    >>> patterns = PatternSet({"city": "Paris"}, {"year": r"\\b[12]\\d{3}\\b"})
    >>> [tuple(found) for found in patterns.find("Paris in 1889")]
    [(0, 5, 'city'), (9, 13, 'year')]
    """

    def __init__(
        self, literals: Mapping[str, str] = {}, expressions: Mapping[str, str] = {}, /
    ) -> None:
        if both := sorted(literals.keys() & expressions.keys()):
            raise InvalidError(f"want each name once, got {both} as literal and as expression")
        self.names = (*literals, *expressions)
        self._literals = _automaton(literals)
        self._expressions = _Expressions(expressions) if expressions else None

    def find(self, text: str) -> list[Found]:
        """All places of all patterns, by start, end and name."""
        found: list[Found] = []
        if self._literals is not None:
            found += _literal_places(self._literals, text)
        if self._expressions is not None:
            found += self._expressions.places(text)
        return sorted(found)

    def find_many(self, texts: Iterable[str]) -> list[list[Found]]:
        """`find` for each text."""
        return [self.find(text) for text in texts]


class _Expressions:
    """Translated expressions, alone and as one RE2 set."""

    def __init__(self, expressions: Mapping[str, str]) -> None:
        re2 = _library("re2")
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        self._alone: list[tuple[str, Any]] = []
        self._set = re2.Set.SearchSet(options)
        try:
            for name, expression in expressions.items():
                translated = translate(expression)
                self._alone.append((name, re2.compile(translated, options)))
                self._set.Add(translated)
            # It matches every text: without it among the answers the set has run out of memory,
            # which RE2 reports as no match at all.
            self._always = self._set.Add("")
            self._set.Compile()
        except re2.error as error:
            raise InvalidError(f"want expressions that RE2 takes, got {name!r}: {error}") from None

    def places(self, text: str) -> list[Found]:
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            raise InvalidError("want texts without lone surrogates") from None
        matching = self._set.Match(encoded)
        if self._always not in matching:
            raise LimitError("the expressions are too large to be matched together: split the set")
        subject = encoded if len(encoded) == len(text) else text  # Same places, and faster.
        return [
            Found(match.start(), match.end(), name)
            for name, expression in (self._alone[i] for i in matching if i != self._always)
            for match in expression.finditer(subject)
        ]


def _automaton(literals: Mapping[str, str]) -> Any:
    """The automaton of all literals, or None; its values are (length, names)."""
    if not literals:
        return None
    names: dict[str, list[str]] = {}
    for name, literal in literals.items():
        if not literal:
            raise InvalidError(f"want literals of at least one character, got none for {name!r}")
        names.setdefault(literal, []).append(name)
    automaton = _library("ahocorasick").Automaton()
    for literal, called in names.items():
        automaton.add_word(literal, (len(literal), tuple(called)))
    automaton.make_automaton()
    return automaton


def _literal_places(automaton: Any, text: str) -> list[Found]:
    found: list[Found] = []
    ends: dict[tuple[str, ...], int] = {}
    for last, (length, names) in automaton.iter(text):
        start = last + 1 - length
        if start >= ends.get(names, 0):  # A literal does not overlap itself.
            ends[names] = last + 1
            found.extend(Found(start, last + 1, name) for name in names)
    return found


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError("PatternSet needs: pip install 'quillian[patterns]'") from error
