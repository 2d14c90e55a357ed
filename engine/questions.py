"""Questions as sentences with a hole: "What is north of the park?" asks who "is north of the park".

The question is turned into statements with a word for the hole, and read by the same patterns as
any text, so that it is answered in the same types and the same direction.  What cannot be turned so
asks nothing definite.  "What is a dog?" asks for no dog, but for what a dog is.
"""

import re
from typing import NamedTuple

from .extraction import RULES, canonical, extract

HOLE = "something"
_DO = frozenset(("do", "does", "did"))
_BE = frozenset(("is", "are", "was", "were"))
_WHERE = re.compile(r"where (is|are|was|were) (.+?)(?: located| situated)?", re.I)
_ASKED = re.compile(r"(?:what|who|whom|which|how many)(?: \w+)?? (is|are|was|were) (.+)", re.I)
_LOOSE = re.compile(r".+ (?:of|than|carrying|holding)", re.I)


# What stores that did not learn from texts call the same, in the same direction.
ALSO = {
    "is_a": ("hypernym", "instance_hypernym", "instance_of", "subclass_of"),
    "part_of": ("part_holonym", "member_holonym", "substance_holonym"),
    "causes": ("cause",),
}


class Asked(NamedTuple):
    """What a question asks for: `source` -type-> `target`, one of them perhaps HOLE.

    forwards: whether what the question names first is the source.
    """

    source: str
    type: str
    target: str
    forwards: bool

    @property
    def types(self) -> tuple[str, ...]:
        """The type, under all of its names."""
        return (self.type, *ALSO.get(self.type, ()))


def asked(question: str) -> Asked | None:
    """What a question asks; None where no pattern fits."""
    said = " ".join(question.strip().rstrip("?").split())
    for statement in _statements(said):
        found = extract(statement)
        if len(found) == 1 and found[0].holds:
            source, type, target, *_, rule, _ = found[0]
            if source == HOLE and rule in ("is a", "are"):
                whole = canonical(said.split(" ", 2)[2]) == target  # Not "the mother of Bob".
                return Asked(target, type, HOLE, True) if whole else None
            swapped = next(x[2] for x in RULES if x[0] == rule)
            return Asked(source, type, target, target == HOLE or (source != HOLE and not swapped))
    return None


def yes_no(question: str) -> bool:
    """Whether a question asks if something is so."""
    return question.strip().casefold().partition(" ")[0] in _BE | _DO


def _statements(said: str) -> list[str]:
    hole = f"the {HOLE}"
    if match := _WHERE.fullmatch(said):
        return [f"{match[2]} {match[1]} in {hole}."]
    if match := _ASKED.fullmatch(said):
        if _LOOSE.fullmatch(match[2]):  # "What is it afraid of?"
            words = match[2].rsplit(" ", 2 if match[2].endswith((" of", " than")) else 1)
            return [f"{words[0]} {match[1]} {' '.join(words[1:])} {hole}."]
        return [f"{hole} {match[1]} {match[2]}."]
    if yes_no(said):
        verb, *words = said.split(" ")
        if verb.lower() in _DO:
            return [" ".join(words) + "."]
        verb = verb.lower()
        return [" ".join([*words[:i], verb, *words[i:]]) + "." for i in range(1, len(words))]
    return []
