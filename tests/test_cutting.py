"""engine/cutting.py: node numbers in, node numbers out, weights as given."""

import numpy as np
import pytest
from quillian.cutting import cut_between, cut_of, cut_tree, min_cut, network, quantised, tie
from quillian.errors import InvalidError


def test_cut_names_its_side_and_its_edges() -> None:
    net = network([10, 10, 20, 40, 40, 50], [20, 30, 30, 50, 60, 60])
    joined = network([10, 10, 20, 40, 40, 50, 30], [20, 30, 30, 50, 60, 60, 40], nodes=net.nodes)
    cut = min_cut(joined)
    assert cut.value == 1.0
    assert sorted(cut.side.tolist()) in ([10, 20, 30], [40, 50, 60])
    assert sorted(cut.edges[0].tolist()) == [30, 40]


def test_value_is_the_sum_of_the_weights_given() -> None:
    net = network([1, 2, 3, 1], [2, 3, 1, 4], [0.3, 0.4, 0.5, 0.9])
    assert min_cut(net).value == pytest.approx(0.7)


def test_both_directions_and_parallel_edges_add_up() -> None:
    assert min_cut(network([7, 9, 7], [9, 7, 9], [1, 2, 3])).value == 6


def test_nodes_without_an_edge_make_the_cut_zero() -> None:
    cut = min_cut(network([1], [2], nodes=[1, 2, 3]))
    assert (cut.value, cut.side.tolist(), len(cut.edges)) == (0.0, [3], 0)


def test_edges_that_leave_the_nodes_are_dropped() -> None:
    assert min_cut(network([1, 2], [2, 9], nodes=[1, 2])).value == 1


def test_quantised_keeps_integers_and_binary_fractions_exact() -> None:
    for weights in ([1, 2, 3], [6, 9], [0.5, 0.25, 4], [2.0**30, 2.0**30 - 1]):
        units, quantum = quantised(np.array(weights, float))
        assert (units * quantum).tolist() == weights
    assert quantised(np.array([6.0, 9.0]))[0].tolist() == [2, 3]


def test_quantised_loses_at_most_half_a_unit() -> None:
    weights = np.random.default_rng(5).random(1000) + 1e-6
    units, quantum = quantised(weights)
    assert np.abs(units * quantum - weights).max() <= quantum / 2
    assert quantum <= weights.max() / 2**29


def test_cut_of_counts_from_the_smaller_side() -> None:
    net = network([0, 1, 2, 3], [1, 2, 3, 4])
    cut = cut_of(net, np.array([True, True, True, True, False]))
    assert (cut.side.tolist(), cut.edges.tolist()) == ([4], [[4, 3]])


def test_strangers_and_bad_weights_are_refused() -> None:
    net = network([1], [2])
    with pytest.raises(InvalidError):
        net.positions([1, 3])
    with pytest.raises(InvalidError):
        network([1], [2], [0.0])
    with pytest.raises(InvalidError):
        network([1, 2], [2])


def test_cut_between_groups_names_the_edges() -> None:
    net = network([1, 1, 2, 3, 4], [2, 3, 4, 4, 5], [0.5, 0.25, 1, 1, 9])
    cut = cut_between(net, [1], [4, 5])
    assert cut.value == 0.75
    assert cut.side.tolist() == [1]
    assert sorted(map(sorted, cut.edges.tolist())) == [[1, 2], [1, 3]]


def test_tie_is_one_inside_a_pair_and_zero_across_a_gap() -> None:
    net = network([1, 3, 3], [2, 4, 5], [2.5, 1, 1])
    assert tie(net, [1], [2]) == 1.0
    assert tie(net, [1], [3]) == 0.0
    assert tie(net, [3], [4]) == 1.0


def test_tie_of_two_ends_of_a_path_of_different_weights() -> None:
    assert tie(network([1, 2], [2, 3], [4, 1]), [1], [3]) == 1.0
    assert tie(network([1, 2, 3], [2, 3, 4], [4, 1, 4]), [1], [4]) == 0.25


def test_tie_of_a_node_without_edges_is_zero() -> None:
    assert tie(network([1], [2], nodes=[1, 2, 3]), [3], [1]) == 0.0


def test_cut_tree_of_a_path_is_its_edges() -> None:
    tree = cut_tree(network([10, 20, 30], [20, 30, 40], [3, 1, 2]), [10, 20, 30, 40])
    assert sorted(weight for _, _, weight in tree) == [1, 2, 3]
    assert {node for node, _, _ in tree} == {20, 30, 40}
