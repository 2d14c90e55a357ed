"""csrc/components.c against networkx."""

import networkx as nx
import numpy as np
from graphs import edges_of, graph_of, random_graph
from quillian.bindings.components import components


def test_components_equal_networkx() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        graph = random_graph(rng, 60)
        oracle = nx.Graph(edges_of(graph).pairs())
        oracle.add_nodes_from(range(graph.n))
        expected = sorted(sorted(x) for x in nx.connected_components(oracle))
        count, labels = components(graph)
        found = [np.flatnonzero(labels == i).tolist() for i in range(count)]
        assert found == expected


def test_no_vertices_are_no_components() -> None:
    assert components(graph_of(0, []))[0] == 0


def test_a_big_path_against_the_order_of_rows_is_one_component() -> None:
    n = 5000
    order = np.random.default_rng(3).permutation(n)
    pairs = list(zip(order[:-1].tolist(), order[1:].tolist(), strict=True))
    count, labels = components(graph_of(n, pairs))
    assert count == 1
    assert not labels.any()
