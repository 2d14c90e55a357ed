"""Extraction: typed relations from plain English sentences, by patterns. No language model.

The clauses of a sentence are split into noun phrases around relation phrases ("is a", "is part of",
"causes", "is located in", "happened before", ...), in lower case.  A phrase loses its article and
case, and its last word its plural, so that "A dog" and "dogs" are one concept, dog.  What fits no
pattern yields nothing: the text itself is stored anyway.  Each relation keeps its span and the rule
that found it.

Other extractors come from the entry point group `quillian.extractors`: a callable from a text to
relations.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise, product
from operator import itemgetter
from typing import NamedTuple, cast

from .errors import InvalidError
from .plugins import plugins

ENTRY_POINTS = "quillian.extractors"
WORDS_MAX = 6


class Relation(NamedTuple):
    """`source` -type-> `target` as said at text[start:end], found by the rule named `rule`.

    holds: False where the text says that this is so no longer.
    """

    source: str
    type: str
    target: str
    start: int
    end: int
    rule: str
    holds: bool = True


Extractor = Callable[[str], list[Relation]]

# What either end may say of the other: "x is north of y", "y is south of x".
_OPPOSITES = (
    ("north of", "south of"), ("east of", "west of"), ("above", "below"), ("left of", "right of"),
    ("bigger than", "smaller than"), ("older than", "younger than"),
    ("taller than", "shorter than"),
)  # fmt: skip
ENDING = frozenset(("no longer in", "put down"))
"""Rules that say that something is so no longer."""

# The relation phrase of each rule; "swapped" ones say target before source.
RULES: tuple[tuple[str, str, bool, str], ...] = (
    *(
        (said, both[0].replace(" ", "_"), said == both[1],
         rf"(?:is|are|was|were) (?:to the )?{said}")
        for both in _OPPOSITES for said in both
    ),
    ("afraid of", "afraid_of", False, r"(?:is|are|was|were) (?:afraid|scared) of"),
    ("fits in", "fits_in", False, r"fits? (?:in|inside|into)"),
    ("no longer in", "located_in", False, r"(?:is|are|was|were) (?:no longer|not) in"),
    ("moved to", "located_in", False,
     r"(?:went|moved|travell?ed|journeyed|returned) (?:back )?to(?= the | [A-Z])"),
    ("took", "held_by", True,
     r"(?:got|took|grabbed|picked up|(?:is|are|was|were) (?:carrying|holding))(?= the )"),
    ("put down", "held_by", True, r"(?:dropped|discarded|put down|left)(?= the )"),
    ("given to", "held_by", False,
     r"(?:gave|handed|passed) (?P<given>the \w+(?: \w+){0,3}?) to"),
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

_ARTICLES = frozenset(("a", "an", "the", "all", "every", "each", "some", "most", "many"))
_NO_NAMES = (
    "it he she they this that these those there we you i one what who which his her its their my"
    " in on at by for from to of with as after before when while if because and or but is are was"
    " were be been so then also not"
)
_NO_NAME = frozenset(_NO_NAMES.split())
_BACK = frozenset(("which", "that", "who"))
_SINGLE, _SEVERAL = frozenset(("he", "she")), "they"
_THEN = frozenset(
    ["then", "after", "afterwards", "later", "next", "following", "that", "this", "and"]
)
_INNER = frozenset(("of", "and", "de", "for"))
_SENTENCE = re.compile(r"[^.!?\n]+(?:\.(?=\w)[^.!?\n]*)*")
_NEGATED = re.compile(
    r" (?:not(?! in\b)|no(?! longer in\b)|never|neither|cannot)\b|n't\b"
    r"|\s*(?:No|Neither|Never)\b"
)
# How the relation phrases begin: places are looked for by these, ten times faster than by the rest.
_BEGINNINGS = (
    "after are before belong came cause come comprise consist contain discarded dropped fit follow"
    " form gave got grabbed handed happened include is journeyed lead led left lie live make moved"
    " occurred passed picked precede put resemble result returned took travel was went were"
)
_BEGINNING = re.compile(
    " (?:"
    + "|".join(
        f"{letter}(?:{'|'.join(word[1:] for word in words)})"
        for letter, words in groupby(_BEGINNINGS.split(), itemgetter(0))
    )
    + ")"
)
_RELATION = re.compile(
    " (?:" + "|".join(f"(?P<r{i}>{rule[3]})" for i, rule in enumerate(RULES)) + r")(?![\w'-])"
)
_CLAUSE = re.compile(r"[;:]| (?:but|while|whereas|because|although|and then)\b")
_JOINT = re.compile(r",\s*(?:(?:and|or)\b)?| (?:and|or)\b")
_END = re.compile(
    r"[()\"\[\]]| (?:that|which|who|in|of|by|on|with|for|from|when|whose|where|to|at|as|is|are"
    r"|was|were|be|been|not|there|again|yesterday|today|\w+ed(?= (?:by|in|on|at|to|from)\b))\b"
)
_WORDS = re.compile(r"[^\W_][\w'\u2019-]*(?:\s+[^\W_][\w'\u2019-]*)*")


class _Phrase(NamedTuple):
    """Words that may name something, at text[start:end]."""

    words: tuple[str, ...]
    start: int
    end: int

    def like(self, other: "_Phrase") -> bool:
        """Whether both begin alike: an article, a capital, or one plural word each."""
        return self._kind() == other._kind() != ""

    def _kind(self) -> str:
        first, last = self.words[0], self.words[-1]
        if first.lower() in _ARTICLES:
            return "article"
        if first[0].isupper() and len(first) > 1 and singular(first.lower()) == first.lower():
            return "name"
        return "plural" if len(self.words) == 1 and singular(last.lower()) != last.lower() else ""


_SAME_PLURAL = ("ss", "us", "is", "ics", "as", "os")
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse",
    "geese": "goose", "feet": "foot", "teeth": "tooth", "wolves": "wolf", "lives": "life",
    "leaves": "leaf", "knives": "knife", "species": "species", "series": "series",
    "viruses": "virus", "buses": "bus", "gases": "gas", "diseases": "disease", "causes": "cause",
}  # fmt: skip


def extract(text: str) -> list[Relation]:
    """The relations that a text states, in its order; the built-in extractor.

    A sentence may state several: "A dog is a mammal and is part of a pack", "Paris is the capital
    of France, which lies in Europe", "Cats and dogs are pets".  Phrases are one list if "and" or
    "or" joins them and they begin alike.  Negated clauses, and phrases that only point back ("it",
    "this"), state none; but "he" and "she" are the one name that the sentence before speaks of, and
    "they" the several.
    """
    said = deque(_phrases(text))
    found: list[Relation] = []
    names: list[_Phrase] = []
    for start, end in sentences(text) if said else ():
        inside = []
        while said and said[0].end() <= end:
            inside.append(said.popleft())
        stated, names = _stated(text, start, end, inside, names) if inside else ([], [])
        found += stated
    return found


def _phrases(text: str) -> Iterator[re.Match[str]]:
    """The relation phrases, none overlapping another."""
    end = 0
    for beginning in _BEGINNING.finditer(text):
        start = beginning.start()
        if start >= end and (match := _RELATION.match(text, start)):
            end = match.end()
            yield match


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


def _stated(
    text: str, start: int, end: int, said: Sequence[re.Match[str]], names: list[_Phrase]
) -> tuple[list[Relation], list[_Phrase]]:
    """The relations of one sentence with these relation phrases, clause by clause, and the names
    that it speaks of; names: those of the sentence before."""
    found = []
    for first, last in _between(_CLAUSE, text, start, end):
        inside = [x for x in said if first <= x.start() and x.end() <= last]
        if inside and not _NEGATED.search(text, first, last):
            known, stated = _clause(text, first, last, inside, names)
            found += stated
            names = [x for x in known if x.words[0][0].isupper()]
    return found, names


def _spoken_of(text: str, start: int, end: int, names: list[_Phrase]) -> list[_Phrase]:
    """The names that the words before a relation phrase point back to, if they do nothing else."""
    *before, last = text[start:end].lower().replace(",", " ").split() or [""]
    wanted = len(names) == 1 if last in _SINGLE else len(names) > 1 and last == _SEVERAL
    if not wanted or not _THEN.issuperset(before):
        return []
    return [x._replace(start=end - len(last), end=end) for x in names]


def _clause(
    text: str, begin: int, last: int, said: Sequence[re.Match[str]], names: list[_Phrase]
) -> tuple[list[_Phrase], list[Relation]]:
    """What a clause first speaks of, and its relations."""
    found = []
    before = _spoken_of(text, begin, said[0].start(), names)
    if before:
        begin = said[0].start()
    first = before
    objects: list[_Phrase] = []
    for match, after in zip(said, (*said[1:], None), strict=True):
        before = _subjects(text, begin, match.start(), before, objects)
        first = first or before
        begin = match.end()
        objects = []
        if before:
            stop = _last_joint(text, begin, after.start()) if after else last
            objects = _listed(text, begin, stop)
        name, type, swapped, _ = RULES[int((match.lastgroup or "")[1:])]
        given = _phrase(text, *match.span("given")) if match["given"] else None
        for one, other in product([given] if given else before, objects):
            ends = _canonical(one.words), _canonical(other.words)
            if ends[0] != ends[1] and (name != "are" or _plural(other.words[-1])):
                source, target = ends[::-1] if swapped else ends
                span = one.start, other.end
                found.append(Relation(source, type, target, *span, name, name not in ENDING))
    return first, found


def _between(breaks: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The spans between the places of a pattern."""
    for match in breaks.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def _last_joint(text: str, start: int, end: int) -> int:
    """Where what is said between two relation phrases parts into object and next subject."""
    return max((x.start() for x in _JOINT.finditer(text, start, end)), default=end)


def _subjects(
    text: str, start: int, end: int, before: list[_Phrase], objects: list[_Phrase]
) -> list[_Phrase]:
    """What a relation phrase that starts at `end` speaks of: the list of phrases right before it,
    the last objects if it points back to them, the last subjects if nothing stands between."""
    pieces = list(_between(_JOINT, text, start, end))[-1 if before else 0 :]
    spoken = [text[a:b].split() for a, b in pieces]
    parted = pieces[0][0] > start  # A joint ends what the relation before speaks of.
    if objects and spoken[-1] and spoken[-1][-1].lower() in _BACK:
        return objects[-1:]
    if before and not spoken[-1]:
        return before
    if before and not parted:
        return []
    phrases: list[_Phrase] = []
    for place, (a, b) in enumerate(reversed(pieces)):
        phrase = _phrase(text, a, b)
        joint = text[pieces[-1 - place][1] : pieces[-place][0]] if place else ""
        listed = place == 0 or (phrase is not None and phrase.like(phrases[0]))
        if phrase is None or not listed or (place == 1 and not joint.strip(" ,")):
            break
        phrases.insert(0, phrase)
    return phrases


def _listed(text: str, start: int, end: int) -> list[_Phrase]:
    """The phrases that begin a text: one, or a list of them."""
    phrases: list[_Phrase] = []
    pieces = list(_between(_JOINT, text, start, end))
    for a, b in pieces:
        cut = _END.search(text, a, b)
        phrase = _phrase(text, a, cut.start() if cut else b)
        if phrase is None or (phrases and not phrase.like(phrases[0])):
            break
        phrases.append(phrase)
        if cut:
            break
    joints = [text[a[1] : b[0]].strip(" ,") for a, b in pairwise(pieces[: len(phrases)])]
    return phrases if joints and joints[-1] else phrases[:1]


def _phrase(text: str, start: int, end: int) -> _Phrase | None:
    """The words of a span, from their last article on, if they may name something."""
    match = _WORDS.search(text, start, end)
    if match is None or text[start : match.start()].strip() or text[match.end() : end].strip():
        return None
    words = match[0].split()
    begin = match.start()
    for at in range(len(words) - 1, 0, -1):
        if words[at] in ("a", "an", "the") and words[at - 1] not in _INNER:
            begin = match.end() - len(match[0].split(None, at)[at])
            words = words[at:]
            break
    bare = words[1:] if words[0].lower() in _ARTICLES and len(words) > 1 else words
    if not 1 <= len(bare) <= WORDS_MAX or bare[0].lower() in _NO_NAME | _ARTICLES:
        return None
    if not _BACK.isdisjoint(bare):
        return None
    return _Phrase(tuple(words), begin, match.end())


def _plural(word: str) -> bool:
    return singular(word.lower()) != word.lower() or word in ("fish", "sheep", "deer", "species")


def _canonical(words: tuple[str, ...]) -> str:
    bare = words[1:] if len(words) > 1 and words[0].lower() in _ARTICLES else words
    return canonical(" ".join(bare))
