"""Belief: bounds against every world, paths against every path, cuts against every set."""

import itertools

import numpy as np
import pytest
from quillian import belief
from quillian.facts import Fact, Network, network
from reliability import random_network, reaches, reliability, simple_paths

GRAPHS = 400
DIAMOND = [Fact(0, 0, 2, 0.9), Fact(2, 0, 1, 0.8), Fact(0, 0, 3, 0.7), Fact(3, 0, 1, 0.6)]


def networks(seed: int, count: int = GRAPHS) -> list[Network]:
    rng = np.random.default_rng(seed)
    return [random_network(rng) for _ in range(count)]


def test_diamond_by_hand() -> None:
    net = network(DIAMOND, [0], [1])
    paths = belief.disjoint_chains(net)
    assert [chain.facts for chain in paths] == [(0, 1), (2, 3)]
    assert [chain.support for chain in paths] == pytest.approx([0.72, 0.42])
    first = next(belief.improving(net))
    assert first.lower == pytest.approx(1 - 0.28 * 0.58)
    assert first.upper == pytest.approx(1 - 0.2 * 0.4)  # The two facts into the target.
    exact = belief.bounds(net)
    assert exact.lower == pytest.approx(exact.upper) == pytest.approx(1 - 0.28 * 0.58)


def test_paths_that_share_a_doubtful_fact_do_not_vote_twice() -> None:
    shared = [Fact(0, 0, 2, 0.3), *(Fact(2, 0, x, 1.0) for x in (3, 4, 5))]
    shared += [Fact(x, 0, 1, 1.0) for x in (3, 4, 5)]
    found = belief.bounds(network(shared, [0], [1]))
    assert (found.lower, found.upper) == pytest.approx((0.3, 0.3))


def test_lone_fact_is_believed_as_it_is() -> None:
    found = belief.bounds(network([Fact(0, 0, 1, 0.8)], [0], [1]))
    assert (found.lower, found.upper) == pytest.approx((0.8, 0.8))


@pytest.mark.parametrize("cases", [0, 2, 64])
def test_bounds_enclose_every_world(cases: int) -> None:
    for net in networks(cases):
        exact = reliability(net)
        found = belief.bounds(net, cases)
        best = max((chain.support for chain in belief.disjoint_chains(net)), default=0.0)
        assert best - 1e-12 <= found.lower <= exact + 1e-12
        assert exact <= found.upper + 1e-12


def test_bounds_only_improve_and_meet() -> None:
    for net in networks(7):
        steps = list(belief.improving(net, 500))
        assert all(a.lower <= b.lower for a, b in itertools.pairwise(steps))
        assert all(a.upper >= b.upper for a, b in itertools.pairwise(steps))
        assert steps[-1] == belief.bounds(net, 500)
        assert steps[-1].lower == pytest.approx(reliability(net), abs=1e-8)
        assert steps[-1].upper == pytest.approx(reliability(net), abs=1e-8)


def test_disjoint_paths_share_no_fact() -> None:
    for net in networks(8):
        used = [i for chain in belief.disjoint_chains(net) for i in chain.facts]
        assert len(used) == len(set(used))


@pytest.mark.parametrize("hops", [2, 3, 9])
def test_best_chains_equal_enumeration(hops: int) -> None:
    for net in networks(hops):
        every = sorted((-s for s, _ in simple_paths(net, hops)))
        found, partial = belief.best_chains(net, 5, hops)
        assert not partial
        assert [-chain.support for chain in found] == pytest.approx(every[:5])
        assert len({chain.facts for chain in found}) == len(found)
        assert {chain.facts for chain in found} <= {facts for _, facts in simple_paths(net, hops)}


def test_support_is_at_most_the_weakest_fact_and_no_order_changes_it() -> None:
    rng = np.random.default_rng(9)
    for net in networks(9):
        best = belief.best_chains(net, 1, 9)[0]
        facts = [net.facts[i] for i in rng.permutation(len(net.facts))]
        again = belief.best_chains(network(facts, [0], [1], both=net.both), 1, 9)[0]
        assert [x.support for x in best] == pytest.approx([x.support for x in again])
        for chain in best:
            assert chain.support <= min(net.facts[i].p for i in chain.facts) + 1e-15
        more = [*net.facts, Fact(0, 9, 1, 0.01)]  # A direct fact is found, and never hurts.
        wider = belief.best_chains(network(more, [0], [1], both=net.both), 1, 9)[0][0]
        assert wider.support >= max([0.01, *(x.support for x in best)]) - 1e-15


def smallest_cut(net: Network) -> int:
    for size in range(len(net.facts) + 1):
        for gone in itertools.combinations(range(len(net.facts)), size):
            if not reaches(net, tuple(i not in gone for i in range(len(net.facts)))):
                return size
    raise AssertionError("removing every fact leaves no path")


def test_critical_cut_parts_and_is_the_smallest() -> None:
    for net in networks(10, 200):
        for by_count in (False, True):
            cut = belief.critical_cut(net, by_count=by_count)
            assert not reaches(net, tuple(i not in cut for i in range(len(net.facts))))
        assert len(cut) == smallest_cut(net)


def test_leaks_keep_the_upper_bound_true() -> None:
    net = network([Fact(0, 0, 2, 0.5)], [0], [1], outside=([0], [1]))
    assert net.partial
    found = belief.bounds(net)
    assert (found.lower, found.upper) == (0.0, 1.0)  # Nothing at all was seen.
    net = network([Fact(0, 0, 2, 0.5), Fact(3, 0, 1, 0.9)], [0], [1], outside=([2], [3]))
    assert belief.bounds(net).upper == pytest.approx(0.5)
