"""Extraction: typed relations from plain English sentences, by patterns. No language model.

A sentence is split into noun phrases around a relation phrase ("is a", "is part of", "causes", "is
located in", "happened before", ...).  A phrase loses its article and case, and its last word its
plural, so that "A dog" and "dogs" are one concept, dog.  What fits no pattern yields nothing: the
text itself is stored anyway.  Each relation keeps its span and the rule that found it.

Other extractors come from the entry point group `quillian.extractors`: a callable from a text to
relations.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple, cast

from .errors import InvalidError
from .plugins import plugins

ENTRY_POINTS = "quillian.extractors"
WORDS_MAX = 6


class Relation(NamedTuple):
    """`source` -type-> `target` as said at text[start:end], found by the rule named `rule`."""

    source: str
    type: str
    target: str
    start: int
    end: int
    rule: str


Extractor = Callable[[str], list[Relation]]

# The relation phrase of each rule; "swapped" ones say target before source.
RULES: tuple[tuple[str, str, bool, str], ...] = (
    ("part of", "part_of", False, r"(?:is|are|was|were|forms?|makes? up) (?:an? )?parts? of"),
    ("belongs to", "part_of", False, r"belongs? to"),
    ("consists of", "part_of", True, r"consists? of|contains?|includes?|comprises?"),
    ("located in", "located_in", False,
     r"(?:is|are|was|were) (?:located |situated |found )?(?:in|inside|within)|lies? in|lives? in"),
    ("capital of", "capital_of", False, r"(?:is|was) (?:the )?capital(?: city)? of"),
    ("causes", "causes", False, r"causes?|caused|leads? to|led to|results? in|resulted in"),
    ("caused by", "causes", True,
     r"(?:is|are|was|were) (?:caused by|due to|(?:a|the) results? of)|results? from"),
    ("before", "before", False,
     r"(?:(?:is|are|was|were|happened|occurred|comes?|came) )?before|precedes?"),
    ("after", "before", True,
     r"(?:(?:is|are|was|were|happened|occurred|comes?|came) )?after|follows?"),
    ("similar to", "similar_to", False, r"(?:is|are) (?:similar to|like)|resembles?"),
    ("kind of", "is_a", False,
     r"(?:is|are) (?:an? |the )?(?:kinds?|types?|sorts?|forms?|species) of"),
    ("is a", "is_a", False, r"(?:is|was) (?:an?|the)"),
    ("are", "is_a", False, r"are|were"),
)  # fmt: skip
"""(name, association type, whether swapped, expression), the more specific first."""

_ARTICLE = r"(?:(?:an?|the|all|every|each|some|most|many)\s+)?"
_WORD = r"(?!(?:is|are|was|were|be|been|by|not)\b)[^\W_][\w'\u2019-]*"
_PHRASE = rf"{_ARTICLE}(?P<%s>{_WORD}(?:\s+{_WORD}){{0,{WORDS_MAX - 1}}}?)"
_SENTENCE = re.compile(r"[^.!?\n]+(?:\.(?=\w)[^.!?\n]*)*")
_NEGATED = re.compile(r"\b(?:not|never|no|neither|cannot)\b|n't\b", re.IGNORECASE)
_NO_NAME = re.compile(
    r"(?:it|he|she|they|this|that|these|those|there|we|you|i|one|what|who|which|his|her|its|their"
    r"|my)$",
    re.IGNORECASE,
)


@cache
def _expressions() -> list[tuple[str, str, bool, re.Pattern[str]]]:
    """The rules with their expressions, which take long to compile: only when something is read."""
    return [
        (name, type, swapped, re.compile(
            rf"^\s*{_PHRASE % 'first'}\s+(?:{phrase})\s+{_PHRASE % 'second'}"
            rf"(?=\s*(?:$|[,;:()]|\s(?:and|or|but|that|which|who|in|of|by|on|with|for|from|because"
            rf"|when|while|whose|where|to|at|as)\b))",
            re.IGNORECASE,
        ))
        for name, type, swapped, phrase in RULES
    ]  # fmt: skip


_SAME_PLURAL = ("ss", "us", "is", "ics", "as", "os")
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse",
    "geese": "goose", "feet": "foot", "teeth": "tooth", "wolves": "wolf", "lives": "life",
    "leaves": "leaf", "knives": "knife", "species": "species", "series": "series",
    "viruses": "virus", "buses": "bus", "gases": "gas", "diseases": "disease", "causes": "cause",
}  # fmt: skip


def extract(text: str) -> list[Relation]:
    """The relations that a text states, in its order; the built-in extractor.

    Negated sentences, and phrases that only point back ("it", "this"), state none.
    """
    found = []
    for start, end in sentences(text):
        sentence = text[start:end]
        if _NEGATED.search(sentence):
            continue
        relation = _relation(sentence, start)
        if relation is not None:
            found.append(relation)
    return found


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of every sentence, without its full stop."""
    return (match.span() for match in _SENTENCE.finditer(text) if match[0].strip())


def canonical(phrase: str) -> str:
    """The name of a phrase: lower case, no article, its last word in the singular.

    A phrase of capitalised words after its first keeps its last word: "United States".
    """
    words = phrase.replace("\u2019", "'").split()
    if len(words) > 1 and words[0].casefold() in ("a", "an", "the", "all", "every", "each"):
        words = words[1:]
    proper = len(words) > 1 and words[-1][:1].isupper()
    folded = [word.casefold() for word in words]
    if not proper:
        folded[-1] = singular(folded[-1])
    return " ".join(folded)


def singular(word: str) -> str:
    """A lower-case English noun in the singular, by the regular endings and a few known words."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or word.endswith(_SAME_PLURAL) or not word.endswith("s"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word[:-1]


def extractor(name: str = "patterns") -> Extractor:
    """The built-in extractor "patterns", or one of the entry points `quillian.extractors`."""
    if name == "patterns":
        return extract
    others = plugins(ENTRY_POINTS)
    if name in others:
        return cast(Extractor, others[name].load())
    known = sorted({"patterns", *others})
    raise InvalidError(f"want an extractor of {', '.join(known)}; got {name!r}")


def _relation(sentence: str, offset: int) -> Relation | None:
    for name, type, swapped, expression in _expressions():
        match = expression.match(sentence)
        if match is None:
            continue
        if any(_NO_NAME.match(x) for x in (match["first"].split()[0], match["second"])):
            return None
        ends = canonical(match["first"]), canonical(match["second"])
        source, target = ends[::-1] if swapped else ends
        if source == target:
            return None
        start = offset + match.start("first")
        return Relation(source, type, target, start, offset + match.end("second"), name)
    return None
