"""Mentions: which known names stand in a text, longest first, never overlapping.

A name of a capitalised word must be capitalised in the text too, so that a film called "Her" is not
mentioned by every "her".  A name's last word may stand in the plural.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from .beginnings import Beginnings
from .extraction import singular
from .records import Concept

NAME_WORDS_MAX = 10
_WORD = re.compile(r"[^\W_]+(?:(?:['\u2019](?!s\b)|-)[^\W_]+)*")
_ASIDE = re.compile(r"\s*\([^()]*\)\s*$")
_COMMON_WORDS = (
    "a an and are as at be but by did do does for from had has have he her his how i if in into is"
    " it its no not of on or she so than that the their them then there these they this to was we"
    " were what when where which who whose will with you your"
)
COMMON = frozenset(_COMMON_WORDS.split())

Lookup = Callable[[str, str], Iterable[tuple[int, bool]]]
"""Folded words, one space apart, and as written -> (node, whether it must be capitalised)."""


class View(Protocol):
    """What is needed of a snapshot."""

    def named(self, name: str) -> list[Concept]: ...

    def starts_name(self, *starts: str) -> bool: ...


def folded(text: str) -> str:
    """A text as its words, folded, one space apart."""
    return " ".join(_WORD.findall(text.casefold()))


def names_of(concept: Concept) -> list[str]:
    """What a concept is called: its name and aliases, also without "(film)" and the like."""
    given = [x for x in (concept.name, *concept.aliases) if x]
    return list(dict.fromkeys([*given, *map(without_aside, given)]))


def without_aside(name: str) -> str:
    """A name without "(film)" and the like at its end."""
    return _ASIDE.sub("", name)


def must_be_capital(name: str) -> bool:
    """Whether a name is a proper one."""
    return name[:1].isupper()


class Names:
    """The names of many concepts, for looking them up in many texts."""

    def __init__(self, concepts: Iterable[Concept]) -> None:
        self._nodes: dict[str, list[tuple[int, bool]]] = {}
        self._longest: dict[str, int] = {}
        for concept in concepts:
            for name in names_of(concept):
                key = folded(name)
                if key and key not in COMMON:
                    entry = concept.node, must_be_capital(name)
                    if entry not in self._nodes.setdefault(key, []):
                        self._nodes[key].append(entry)
                    first, count = key.split(" ", 1)[0], key.count(" ") + 1
                    self._longest[first] = max(self._longest.get(first, 0), count)

    def __call__(self, words: str, written: str) -> Iterable[tuple[int, bool]]:
        return self._nodes.get(words, ())

    def longest(self, words: Sequence[str]) -> int:
        """Words of the longest name that starts with the first of these."""
        first = words[0]
        return max(self._longest.get(first, 0), self._longest.get(singular(first), 0))


class StoreNames:
    """A lookup in a store's own names, as they are written and as words.

    known: what is known of them already; it is added to, and must hold for the view.
    """

    def __init__(self, view: View, known: Beginnings | None = None) -> None:
        self._view = view
        self._known = known or Beginnings()

    def __call__(self, words: str, written: str) -> list[tuple[int, bool]]:
        names = {" ".join(written.casefold().split()), words} - self._known.absent
        concepts: dict[int, Concept] = {}
        for name in sorted(names):
            found = self._view.named(name)
            concepts |= {x.node: x for x in found}
            if not found:
                self._known.absent.add(name)
        return [(x.node, all(map(must_be_capital, names_of(x)))) for x in concepts.values()]

    def longest(self, words: Sequence[str]) -> int:
        """How many of these words a name that starts with the first may have; 0 if none does."""
        start = words[0]
        if not self._starts(start):
            one = singular(start)
            return int(one != start and self._starts(one))
        count = 1
        while count < len(words) and self._starts(start, Beginnings.ENDED):
            start, count = f"{start} {words[count]}", count + 1
        return count

    def _starts(self, start: str, end: str = "") -> bool:
        """Whether a name begins so; end: with another word behind it."""
        known = self._known.starts.get(start + end)
        if known is None:
            asked = [start + sign for sign in " -,."] if end else [start]
            known = self._known.starts[start + end] = self._view.starts_name(*asked)
        return known


def mentioned(
    text: str, lookup: Lookup, longest: Callable[[Sequence[str]], int] = lambda _: NAME_WORDS_MAX
) -> list[int]:
    """The nodes whose names stand in a text, in its order, each once.

    longest: how many of the next words a name may have that starts with the first.
    """
    places = [match.span() for match in _WORD.finditer(text)]
    words = [text[start:end].casefold() for start, end in places]
    found: dict[int, None] = {}
    at = 0
    while at < len(words):
        ahead = words[at : at + NAME_WORDS_MAX]
        for count in range(min(longest(ahead), len(words) - at), 0, -1):
            some = words[at : at + count]
            if count == 1 and some[0] in COMMON:
                continue
            keys = {" ".join(some), " ".join([*some[:-1], singular(some[-1])])}
            written = text[places[at][0] : places[at + count - 1][1]]
            capital = written[0].isupper()
            hits = [
                node
                for key in sorted(keys)
                for node, must in lookup(key, written)
                if capital or not must
            ]
            if hits:
                found |= dict.fromkeys(hits)
                at += count - 1
                break
        at += 1
    return list(found)
