"""engine/matched.py: sets of like degrees, and what stands out of them."""

import networkx as nx
import numpy as np
import pytest
from quillian.bindings.csr import Csr
from quillian.coherence import set_conductances
from quillian.cutting import network
from quillian.errors import InvalidError
from quillian.matched import matched_sets, z_score


def graph_of(graph: nx.Graph) -> Csr:
    ends = np.array(graph.edges()).T
    made = network(ends[0], ends[1], nodes=list(graph)).graph
    return Csr(made.offsets, made.targets)


def test_sets_are_distinct_of_like_degrees_and_the_same_for_a_seed() -> None:
    graph = graph_of(nx.barabasi_albert_graph(200, 2, seed=1))
    classes = np.floor(np.log2(np.diff(graph.offsets)))
    places = np.array([0, 1, 50, 150, 199], np.uint32)
    sets = matched_sets(graph, places, 50, seed=3)
    assert (classes[sets] == classes[places]).all()
    assert all(len(set(row)) == 5 for row in sets.tolist())
    assert np.array_equal(sets, matched_sets(graph, places, 50, seed=3))
    assert not np.array_equal(sets, matched_sets(graph, places, 50, seed=4))


def test_each_alike_is_as_likely() -> None:
    graph = graph_of(nx.cycle_graph(20))
    sets = matched_sets(graph, np.array([0, 1, 2], np.uint32), 4000)
    assert np.bincount(sets.ravel(), minlength=20) == pytest.approx(600, abs=100)


def test_a_clique_stands_out_and_the_same_degrees_anywhere_do_not() -> None:
    rng = np.random.default_rng(5)
    joined = nx.disjoint_union(nx.complete_graph(6), nx.random_regular_graph(6, 294, seed=1))
    joined.add_edges_from((i, 50 * i + 6) for i in range(6))
    graph = graph_of(joined)

    def held(rows: np.ndarray) -> np.ndarray:
        return -set_conductances(graph, rows, graph.arcs)

    assert z_score(held, graph, np.arange(6, dtype=np.uint32)) > 5
    others = [z_score(held, graph, rng.permutation(np.arange(6, 300))[:6].astype(np.uint32))
              for _ in range(40)]  # fmt: skip
    assert abs(np.mean(others)) < 1


def test_nothing_to_compare_with_is_no_surprise() -> None:
    graph = graph_of(nx.complete_graph(5))
    places = np.array([0, 1], np.uint32)
    assert z_score(lambda rows: np.full(len(rows), 2.0), graph, places) == 0
    with pytest.raises(InvalidError):
        matched_sets(graph, places, 1)
