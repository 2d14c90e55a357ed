"""Recalling: Recall, the passages that search, names and their mentions lead to together."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..bindings.ranks import rank_near
from ..extraction import sentences
from ..learning import MENTIONS
from ..mentions import COMMON, StoreNames, folded, mentioned, names_of
from ..query import Operator
from ..selection import Selection, as_rows
from ..snapshot import Snapshot

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Recall(Operator[Snapshot]):
    """The k concepts with a text that the rows and the names in the question lead to.

    Personalised PageRank over passages, names and associations either way, by their weights, from
    the `seeds` best rows and from the concepts that the question names, which get the share
    `names` of the restarts (`restart` of the steps).  Without a name in the question the graph has
    nothing to go by, and the rows stand as they are.  Scores: in [0, 1], the share `search` of the
    rows' own scaled score, the rest by rank.  bridge: share of a last step: from each of the
    `passages` best, to the names in its sentence that is most like the question; 0, the
    default: no such step, its gain on other questions being noise (bench/notes/reasoning.md).
    Source: Gutierrez et al. 2024 (HippoRAG), here without a model at indexing.
    """

    k: int = 5
    restart: float = 0.5
    search: float = 0.1
    names: float = 0.5
    seeds: int = 20
    bridge: float = 0.0
    passages: int = 5

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        searched = scaled(selection.ids.tolist(), selection.scores.tolist())
        question = selection.question.text or ""
        named = mentioned(question, StoreNames(view)) if searched else []
        scores, read = searched, 0
        if named:
            walked, read = self._walked(view, searched, named)
            both = searched.keys() | walked.keys()
            scores = {
                node: self.search * searched.get(node, 0) + (1 - self.search) * walked.get(node, 0)
                for node in both
            }
            if self.bridge > 0:
                scores = self._bridged(view, scores, question, named)
        chosen: list[int] = []
        for node in sorted(scores, key=lambda x: (-scores[x], x)):
            if len(chosen) == self.k:
                break
            if view.get(node).text:
                chosen.append(node)
        nodes = np.array(chosen, np.uint64)
        return selection.derive(
            repr(self),
            nodes,
            np.array([scores[node] for node in chosen], np.float32),
            as_rows(selection, nodes),
            cost={"edges": read},
        )

    def _walked(
        self, view: Snapshot, searched: Mapping[int, float], named: Sequence[int]
    ) -> tuple[dict[int, float], int]:
        """Scaled ranks of what the seeds and names lead to, and the associations read."""
        seeds = dict(sorted(searched.items(), key=lambda x: (-x[1], x[0]))[: self.seeds])
        total = sum(seeds.values()) or 1.0
        shares = {node: (1 - self.names) * share / total for node, share in seeds.items()}
        for node in named:
            shares[node] = shares.get(node, 0.0) + self.names / len(named)
        some = {node: share for node, share in shares.items() if share > 0}
        ranks = rank_near(
            view.graph, list(some), shares=list(some.values()), alpha=self.restart, direction="both"
        )
        return scaled(ranks.nodes.tolist(), ranks.ranks.tolist()), ranks.edges_touched

    def _bridged(
        self, view: Snapshot, scores: dict[int, float], question: str, named: Sequence[int]
    ) -> dict[int, float]:
        """Scores with one step through the sentences most like the question."""
        types = [x for x in [view.type_numbers().get(MENTIONS)] if x is not None]
        asked = set(_WORD.findall(question.casefold())) - COMMON
        reached: dict[int, float] = {}
        for node in sorted(scores, key=lambda x: (-scores[x], x))[: self.passages]:
            text = view.get(node).text or ""
            told = [text[start:end] for start, end in sentences(text)]
            if not told or not asked:
                continue
            likeness = [len(asked & set(_WORD.findall(x.casefold()))) for x in told]
            best = max(range(len(told)), key=lambda i: (likeness[i], -i))
            inside = f" {folded(told[best])} "
            share = scores[node] * likeness[best] / len(asked)
            for other in view.graph.neighbours([node], types=types)[0]["target"].tolist():
                stands = any(f" {folded(x)} " in inside for x in names_of(view.get(other)))
                if stands and other not in named:
                    reached[other] = max(reached.get(other, 0.0), share)
        return {
            node: (1 - self.bridge) * scores.get(node, 0) + self.bridge * reached.get(node, 0)
            for node in scores.keys() | reached.keys()
        }


def scaled(nodes: Sequence[int], scores: Sequence[float]) -> dict[int, float]:
    """Scores between the least and the best as 0 to 1."""
    if not nodes:
        return {}
    least, best = min(scores), max(scores)
    spread = best - least
    return {n: (s - least) / spread if spread else 1.0 for n, s in zip(nodes, scores, strict=True)}
