"""The model of a store: dictionaries and NumPy, and the comparison of a view with it."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import quillian as ql
from words_model import bm25, reference_words

DIM = 4
SCORE_ERROR = 2e-5


@dataclass
class Known:
    """One concept as the model knows it."""

    node: int
    text: str | None = None
    kind: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    vector: tuple[float, ...] | None = None


@dataclass
class Model:
    """What a store must hold: concepts by id, (weight, confidence) by (source, target, type)."""

    metric: str
    concepts: dict[str, Known] = field(default_factory=dict)
    links: dict[tuple[str, str, str], tuple[float, float]] = field(default_factory=dict)
    next_node: int = 0

    def copy(self) -> "Model":
        return deepcopy(self)

    def add(self, id: str, on_conflict: str, fields: Mapping[str, Any]) -> None:
        """As Transaction.add; the caller keeps "error" away from ids that exist."""
        old = self.concepts.get(id)
        if old is None:
            self.concepts[id] = Known(self.next_node, **fields)
            self.next_node += 1
        elif on_conflict == "replace":
            self.concepts[id] = Known(old.node, **fields)
        elif on_conflict == "merge":
            given = {name: value for name, value in fields.items() if value is not None}
            given["data"] = {**old.data, **fields["data"]}
            self.concepts[id] = replace(old, **given)

    def forget(self, id: str) -> None:
        del self.concepts[id]
        self.links = {key: x for key, x in self.links.items() if id not in key[:2]}

    def score(self, question: Any, vector: Any) -> float:
        q, v = np.asarray(question, float), np.asarray(vector, float)
        if self.metric == "dot":
            return float(q @ v)
        if self.metric == "l2":
            return -float(((q - v) ** 2).sum())
        return float(q @ v / np.linalg.norm(q) / np.linalg.norm(v)) if q.any() else 0.0

    def scores(self, question: Any, allowed: Callable[[str, Known], bool]) -> dict[str, float]:
        """Score of every allowed concept that has a vector."""
        return {
            id: self.score(question, x.vector)
            for id, x in self.concepts.items()
            if x.vector is not None and allowed(id, x)
        }


def anything(id: str, known: Known) -> bool:
    return True


def compare_contents(view: ql.Snapshot, model: Model) -> None:
    """Every concept, vector and association, and nothing else."""
    found = {concept.id: concept for concept in view.concepts()}
    assert sorted(found) == sorted(model.concepts)
    assert len(view) == len(model.concepts)
    for id, known in model.concepts.items():
        concept = view.get(id)
        assert concept == found[id]
        assert (concept.node, concept.text, concept.kind) == (known.node, known.text, known.kind)
        assert concept.data == known.data
        assert bool(concept.slots) == (known.vector is not None)
        if known.vector is not None:
            assert view.vectors([known.node])[0].tolist() == list(known.vector)
    links = {(x.source, x.target, x.type): (x.weight, x.confidence) for x in view.associations()}
    assert links == model.links
    counts = (view.head.concepts, view.head.vectors, view.graph.count())
    vectors = sum(x.vector is not None for x in model.concepts.values())
    assert counts == (len(model.concepts), vectors, len(model.links))


def compare_near(
    view: ql.Snapshot,
    model: Model,
    question: list[int],
    k: int,
    *,
    exact: bool,
    where: dict[str, Any] | None,
    allowed: Callable[[str, Known], bool],
) -> None:
    """Exact: the very scores, and under whole numbers the very rows.  Else: rows that may be found,
    with their right scores, and as many as there are."""
    wanted = model.scores(question, allowed)
    steps = [] if where is None else [ql.Where(where)]
    query = ql.Query(*steps, ql.Near(k, exact=exact, ef=None if exact else 16))
    start = ql.Selection.everything(view, ql.Question(vector=np.array(question, np.float32)))
    found = query(view, start)
    ids = [row.id for row in found]
    assert len(ids) == len(set(ids)) == min(k, len(wanted))
    assert set(ids) <= set(wanted)
    np.testing.assert_allclose(
        found.scores, [wanted[id] for id in ids], rtol=SCORE_ERROR, atol=SCORE_ERROR
    )
    assert (np.diff(found.scores) <= 0).all()
    if exact:
        best = sorted(wanted, key=lambda id: (-wanted[id], model.concepts[id].node))[:k]
        np.testing.assert_allclose(
            found.scores, [wanted[id] for id in best], rtol=SCORE_ERROR, atol=SCORE_ERROR
        )
        if model.metric != "cosine":
            assert ids == best


def compare_words(view: ql.Snapshot, model: Model, text: str, k: int) -> None:
    """BM25 as a loop over all texts gives it."""
    nodes = {x.node: id for id, x in model.concepts.items()}
    texts = {x.node: reference_words(x.text) for x in model.concepts.values() if x.text}
    every = dict(bm25(texts, reference_words(text), len(texts) + 1))
    start = ql.Selection.everything(view, ql.Question(text=text))
    found = ql.Words(k)(view, start)
    assert len(found) == min(k, len(every))
    for row, node in zip(found, found.ids.tolist(), strict=True):
        assert row.id == nodes[node]
        assert abs(row.score - every[node]) <= SCORE_ERROR * max(1, every[node])
    best = sorted(every.values(), reverse=True)[:k]
    np.testing.assert_allclose(found.scores, best, rtol=SCORE_ERROR, atol=SCORE_ERROR)


def compare_walk(view: ql.Snapshot, model: Model, id: str, hops: int, direction: str) -> None:
    """What lies within some hops, and the associations that touch a concept."""
    steps: dict[str, list[tuple[str, tuple[str, str, str]]]] = {}
    for key in model.links:
        if direction in ("out", "both"):
            steps.setdefault(key[0], []).append((key[1], key))
        if direction in ("in", "both"):
            steps.setdefault(key[1], []).append((key[0], key))
    reached = {id}
    for _ in range(hops):
        reached |= {to for at in reached for to, _ in steps.get(at, [])}
    query = ql.Query(ql.Named(id), ql.Expand(hops, direction=direction))
    found = query(view, ql.Selection.everything(view))
    assert {row.id for row in found} == reached
    touching = [(x.source, x.target, x.type) for x in view.neighbours(id, direction=direction)]
    assert sorted(set(touching)) == sorted({key for _, key in steps.get(id, [])})
