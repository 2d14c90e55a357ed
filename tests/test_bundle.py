"""What the package carries: a connected piece of WordNet, its licence, and its words' vectors."""

from collections import Counter

import networkx as nx
import numpy as np
from quillian import embedders
from quillian.bundle import licence, read_corpus
from quillian.reading import POINTERS, Edge, Item
from sources import ROOT


def test_corpus_is_one_connected_piece() -> None:
    records = list(read_corpus())
    items = {x.id for x in records if isinstance(x, Item)}
    edges = [x for x in records if isinstance(x, Edge)]
    graph = nx.Graph((x.source, x.target) for x in edges)
    assert len(items) == 2321
    assert set(graph.nodes) == items
    assert nx.is_connected(graph)
    assert {x.type for x in edges} <= set(POINTERS.values())
    assert Counter(x.kind for x in records if isinstance(x, Item)).keys() >= {"noun", "verb"}


def test_bundle_stays_small_and_has_its_licence() -> None:
    sizes = [path.stat().st_size for path in (ROOT / "engine/bundled").iterdir()]
    assert sum(sizes) <= 700_000
    assert "Princeton University" in licence()
    assert "WordNet 3.0 Copyright 2006" in licence()


def test_bundled_words_find_what_means_the_same() -> None:
    bundled = embedders.load("bundled")
    violin, fiddle, rain = bundled.embed(["an instrument with a bow", "violin", "heavy rain"])
    assert violin @ fiddle > violin @ rain


def test_bundled_words_give_unit_vectors_and_zero_for_nothing_known() -> None:
    vectors = embedders.load("bundled").embed(["dog", "", "qqqq", "Dog!"])
    assert np.linalg.norm(vectors, axis=1).round(5).tolist() == [1, 0, 0, 1]
    assert np.array_equal(vectors[0], vectors[3])
    assert vectors.dtype == np.float32
