"""Naming: what looks like a name in many texts, by how it is written and how often.

Two kinds.  A proper name is a run of capitalised words, "Charles Babbage"; the first word of a
sentence proves nothing by its capital, so it counts only as part of a longer run.  A noun-like name
is two or three lower-case words between common words and signs, "binary search tree".
Source of the latter: Rose et al. 2010 (RAKE), here chosen by document frequency: a name that few
texts share connects nothing, and one that stands everywhere says nothing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from .errors import InvalidError
from .extraction import singular
from .mentions import COMMON

SHARE_MAX = 0.1
_PROPER = re.compile(
    r"(?:[^\W\d_a-z][\w'\u2019-]*)(?: (?:(?:of|the|de|van|von) )*[A-Z][\w'\u2019-]*)*"
)
_PLAIN = re.compile(r"\b[a-z][a-z-]{2,}(?: [a-z][a-z-]{2,})+")
_SMALL_WORDS = (
    "also been being between both can could during each into made may more most much not only other"
    " over same some such than through two under until used using very would about after all any"
    " before because first many one out since three up while"
)
_SMALL = COMMON | frozenset(_SMALL_WORDS.split())


def names_in(texts: Iterable[str], enough: int) -> list[str]:
    """What looks like a name and stands in at least `enough` texts, in order of discovery.

    None that stands in more than a tenth of the texts, or in more than `enough` if that is more.
    """
    if enough < 2:
        raise InvalidError(f"want enough >= 2: a name in one text connects nothing; got {enough}")
    counts: Counter[str] = Counter()
    total = 0
    for text in texts:
        total += 1
        counts.update(list(dict.fromkeys([*_proper(text), *_plain(text)])))
    most = max(enough, int(SHARE_MAX * total))
    return [name for name, count in counts.items() if enough <= count <= most]


def _proper(text: str) -> Iterator[str]:
    for match in _PROPER.finditer(text):
        words = match[0].split(" ")
        before = text[max(match.start() - 3, 0) : match.start()].rstrip()[-1:]
        begins = before in ("", *'.!?:;"\u201c')
        if words[0].lower() in _SMALL:
            words, begins = words[1:], False
        while words and words[0] in ("of", "the", "de", "van", "von"):
            words = words[1:]
        name = " ".join(words).removesuffix("'s").removesuffix("\u2019s")
        if len(name) > 1 and name[0].isupper() and (len(words) > 1 or not begins):
            yield name


def _plain(text: str) -> Iterator[str]:
    for match in _PLAIN.finditer(text):
        run: list[str] = []
        for word in (*match[0].split(" "), ""):
            if word and word not in _SMALL:
                run.append(word)
                continue
            if 2 <= len(run) <= 3 and not run[-1].endswith(("ed", "ly", "ing")):
                yield " ".join([*run[:-1], singular(run[-1])])
            run = []
