"""Oracles of belief: random networks of facts, and reliability by trying every world."""

import itertools
import math

import numpy as np
from quillian.facts import SOURCE, TARGET, Fact, Network, network


def random_network(rng: np.random.Generator, facts_max: int = 11) -> Network:
    """A few facts among a few concepts, directed or not, some certain, parallel ones too."""
    nodes = int(rng.integers(2, 8))
    facts = {}
    for _ in range(int(rng.integers(1, facts_max + 1))):
        source, target = rng.integers(0, nodes, 2).tolist()
        p = 1.0 if rng.random() < 0.05 else float(rng.uniform(0.02, 1))
        facts[source, int(rng.integers(0, 2)), target] = p
    made = [Fact(s, t, o, p) for (s, t, o), p in sorted(facts.items())]
    return network(made, [0], [1], both=bool(rng.random() < 0.5))


def reaches(net: Network, holding: tuple[bool, ...]) -> bool:
    """Whether the sources lead to the targets by the facts that hold."""
    reached = {SOURCE}
    while True:
        more = set(reached)
        for i, holds in enumerate(holding):
            if holds and net.tails[i] in reached:
                more.add(net.heads[i])
            if holds and net.both and net.heads[i] in reached:
                more.add(net.tails[i])
        if more == reached:
            return TARGET in reached
        reached = more


def reliability(net: Network) -> float:
    """The exact probability, summed over all worlds."""
    worlds = itertools.product((False, True), repeat=len(net.facts))
    return math.fsum(
        math.prod(f.p if holds else 1 - f.p for f, holds in zip(net.facts, world, strict=True))
        for world in worlds
        if reaches(net, world)
    )


def simple_paths(net: Network, hops: int) -> list[tuple[float, tuple[int, ...]]]:
    """(support, facts) of every simple path of at most `hops` facts, by depth-first search."""
    arcs = net.arcs()
    found = []

    def walk(at: int, seen: frozenset[int], facts: tuple[int, ...]) -> None:
        if at == TARGET:
            found.append((math.prod(net.facts[i].p for i in facts), facts))
            return
        if len(facts) < hops:
            for fact, head in arcs[at]:
                if head not in seen:
                    walk(head, seen | {head}, (*facts, fact))

    walk(SOURCE, frozenset({SOURCE}), ())
    return found
