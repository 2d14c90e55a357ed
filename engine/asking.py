"""Asking: from a question to an answer with its paths, bounds, and what would overturn it.

1. Passages: search, then Recall; an ordinary query, `store.ask_plan`, to print, keep and change.
2. Anchors: the concepts *named* in the question.
3. Candidates: concepts that typed associations lead to from the named ones, on a path with a type
   that the question speaks of: what merely stands next to a name is no answer.  First those whose
   path uses more such types, then the shorter path; among these consensus decides, the lower bound
   by all independent evidence together.  Where the question can be read as a statement with a hole
   (questions.py) and the store has its type, only that one counts, and only in its direction.
4. Belief bounds each candidate; the gate lets the best pass, or says why not; `overturn` is the
   smallest set of associations without which it would not have passed.

A pure function of the snapshot, the question and what search found. No language model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import evidence
from .errors import InvalidError
from .evidence import Belief, Clash, Link, Overturning
from .explanations import Explanation, explained
from .extraction import singular
from .facts import BUDGET_FACTS
from .judgement import Declared, Thresholds, Triple, conflicts
from .learning import MENTIONS, NEXT
from .mentions import StoreNames, mentioned
from .questions import Asked, asked, yes_no
from .receipts import Receipt, receipt
from .selection import Selection
from .snapshot import Snapshot

CANDIDATE_HOPS = 2
CANDIDATES_MAX = 12
_SILENT = frozenset(("of", "in", "to", "is", "a", "the", "by", "at", "on", "has", "as"))
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A concept with a text that speaks of the question; score in [0, 1], higher is better."""

    id: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A concept that may be the answer, and how surely the named concepts lead to it."""

    id: str
    name: str
    belief: Belief
    cues: tuple[str, ...]  # Types of its best path that the question speaks of, one at least.
    types: tuple[str, ...]  # What counts as evidence: the cues, if they lead there by themselves.


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a question, as of one snapshot.

    candidates, passages: best first.  anchors: ids of the concepts that the question names.
    belief: that of the first candidate.  overturn: what must go for it to be no answer.
    conflicts: associations on its paths that cannot all hold.  reasons: why to abstain; empty: the
    first candidate is the answer.  cost: associations read.  version: the snapshot's number.
    receipt: what the belief was computed from.
    """

    question: str
    candidates: tuple[Candidate, ...]
    passages: tuple[Passage, ...]
    anchors: tuple[str, ...]
    belief: Belief | None
    overturn: Overturning | None
    conflicts: tuple[Clash, ...]
    reasons: tuple[str, ...]
    cost: dict[str, int]
    version: int
    receipt: Receipt | None

    def explain(self) -> Explanation:
        """The evidence of the first candidate: `text()`, `to_json()`, `svg()`, and the receipt that
        it can be computed from again.  InvalidError where there is no candidate."""
        if not self.candidates or self.belief is None:
            raise InvalidError(f"there is nothing to explain: {'; '.join(self.reasons)}")
        name = self.candidates[0].name
        title = f"not said ({'; '.join(self.reasons)}): {name}" if self.reasons else name
        return explained(title, self.belief, self.overturn, self.conflicts, self.receipt)

    def __str__(self) -> str:
        """The evidence of the first candidate as text, or why there is none."""
        known = self.candidates and self.belief is not None
        return self.explain().text() if known else f"no answer: {'; '.join(self.reasons)}"

    @property
    def abstains(self) -> bool:
        """Whether no candidate may be said."""
        return bool(self.reasons)

    @property
    def best(self) -> Candidate | None:
        """The answer; None where it abstains."""
        return None if self.reasons else self.candidates[0]


def answer(
    view: Snapshot,
    found: Selection,
    k: int,
    gate: Thresholds | None = None,
    declared: Declared | None = None,
) -> Answer:
    """The answer to the question of a selection of passages, as `Recall` makes it."""
    gate, declared = gate or Thresholds(), declared or Declared()
    question = found.question.text or ""
    anchors = named_in(view, question)
    passages = [Passage(row.id, row.text or "", float(row.score)) for row in found]
    ranked = 0 if found.step is None else found.step.cost.get("edges", 0)
    way = _way(view, question, anchors)
    candidates, read = _candidates(view, question, anchors, way, k)
    belief = candidates[0].belief if candidates else None
    reasons = _reasons(anchors, way, candidates, gate)
    overturn = kept = None
    if candidates:
        how: dict[str, Any] = {
            "types": candidates[0].types,
            "hops": CANDIDATE_HOPS,
            "direction": way.direction,
        }
        ends = way.ends(view.node(candidates[0].id))
        kept = receipt(view, *ends, **how)
        if not reasons:
            net = evidence.seen(view, *ends, **how)
            overturn = evidence.overturn(view, net, threshold=gate.belief * (1 - 1e-9))
    return Answer(
        question,
        tuple(candidates),
        tuple(passages),
        tuple(view.get(x).id for x in anchors),
        belief,
        overturn,
        _conflicts(view, belief, declared),
        tuple(reasons),
        {"ranked": ranked, "facts": read},
        view.version,
        kept,
    )


def named_in(view: Snapshot, question: str) -> list[int]:
    """The concepts that a question names, in its order."""
    return mentioned(question, StoreNames(view))


def _typed(view: Snapshot) -> list[str]:
    return [name for name in view.type_numbers() if name not in (MENTIONS, NEXT)]


def _cues(types: Sequence[str], question: str) -> list[str]:
    """The types that share a word with the question, but for endings."""
    words = {_stem(x) for x in _WORD.findall(question.casefold())}
    return [
        name
        for name in types
        if any(_stem(x) in words for x in re.split(r"[\W_]+", name.casefold()) if x not in _SILENT)
    ]


def _stem(word: str) -> str:
    word = singular(word)
    return next((word[: -len(x)] for x in ("ed", "ing", "e") if word.endswith(x)), word)


@dataclass(frozen=True, slots=True)
class _Way:
    """Where evidence starts, and which way it leads to a goal.

    asked: what the question states, if it can be read.  types: those of the view that mean it.
    spoken: the types that count: these, else those that the question names.
    """

    starts: Sequence[int]
    asked: Asked | None
    types: frozenset[str]
    spoken: frozenset[str]

    def ends(self, goal: int) -> tuple[Sequence[int], Sequence[int]]:
        """From where to where evidence leads."""
        backwards = self.asked is not None and self.types and not self.asked.forwards
        return ([goal], self.starts) if backwards else (self.starts, [goal])

    @property
    def direction(self) -> str:
        return "out" if self.types else "both"


def _way(view: Snapshot, question: str, anchors: Sequence[int]) -> _Way:
    """From all that is named, or from the first if the question is whether the rest is so."""
    starts = anchors[:1] if yes_no(question) and len(anchors) > 1 else anchors
    found = asked(question)
    types = frozenset(found.types if found else ()).intersection(view.type_numbers())
    return _Way(starts, found, types, types or frozenset(_cues(_typed(view), question)))


_Ranked = tuple[int, tuple[int, int], tuple[str, ...], tuple[str, ...]]
"""Goal, rank, cues and the types that count as evidence."""


def _candidates(
    view: Snapshot, question: str, anchors: Sequence[int], way: _Way, k: int
) -> tuple[list[Candidate], int]:
    if not anchors or not way.spoken:
        return [], 0
    types = _typed(view)
    numbers = [view.type_numbers()[name] for name in types]
    goals = list(anchors[1:])
    read = 0
    if not (yes_no(question) and (goals or way.asked)):
        reached = view.graph.expand(
            np.unique(np.array(anchors, np.uint64)),
            hops=CANDIDATE_HOPS,
            direction="both",
            types=numbers,
            budget_edges=BUDGET_FACTS,
        )
        read += reached.edges_touched
        goals = [x for x in reached.nodes.tolist() if x not in anchors]
        goals = goals[: 8 * CANDIDATES_MAX]
    candidates: list[tuple[tuple[int, int], float, int, Candidate]] = []
    ranked = _ranked(view, types, way, goals)
    for goal, rank, cues, counting in ranked[: min(k, CANDIDATES_MAX)]:
        belief = evidence.believe(
            view, *way.ends(goal), types=counting, hops=CANDIDATE_HOPS, direction=way.direction
        )
        read += belief.facts
        concept = view.get(goal)
        name = concept.name or concept.id
        found = Candidate(concept.id, name, belief, cues, counting)
        candidates.append((rank, -belief.lower, len(candidates), found))
    return [candidate for *_, candidate in sorted(candidates, key=lambda x: x[:3])], read


def _ranked(view: Snapshot, types: list[str], way: _Way, goals: Sequence[int]) -> list[_Ranked]:
    """The goals that a path leads to, those first whose best path the question speaks of most."""
    found = []
    for goal in goals:
        sources, targets = way.ends(goal)
        paths, _ = evidence.paths(
            view, sources, targets, 3, types=types, hops=CANDIDATE_HOPS, direction=way.direction
        )
        for path in paths:
            used = {link.type for link in path.links}
            cues = tuple(sorted(used & way.spoken))
            if cues:
                key = (-len(cues), len(path.links), -path.support, goal)
                found.append((key, cues, cues if used == set(cues) else tuple(types)))
    best: dict[int, _Ranked] = {}
    for key, cues, counting in sorted(found):
        best.setdefault(key[-1], (key[-1], key[:2], cues, counting))
    return list(best.values())


def _reasons(
    anchors: Sequence[int], way: _Way, candidates: Sequence[Candidate], gate: Thresholds
) -> list[str]:
    if not anchors:
        return ["no concept is named in the question"]
    if not way.spoken:
        return ["the question speaks of no type of association that the store has"]
    if not candidates:
        return ["no association of a type that the question speaks of leads from what it names"]
    belief = candidates[0].belief
    return gate.reasons(belief.lower, len(belief.paths))


def _conflicts(view: Snapshot, belief: Belief | None, declared: Declared) -> tuple[Clash, ...]:
    """Conflicts among the associations at the concepts of the answer's paths."""
    nodes = sorted(
        {view.node(x) for path in (belief.paths if belief else ()) for x in path.concepts}
    )
    edges = view.graph.neighbours(nodes, direction="both")[0]
    known: dict[Triple, Link] = {}
    for fact, details in zip(evidence.facts_at(view, edges), view.details(edges), strict=True):
        link = evidence.as_link(view, fact)
        triple = Triple(
            fact.source, link.type, fact.target, details.get("since"), details.get("until")
        )
        known[triple] = link
    return tuple(Clash(x.kind, known[x.first], known[x.second]) for x in conflicts(known, declared))
