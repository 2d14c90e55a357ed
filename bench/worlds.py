"""Are answers right, silent where nothing is known, and as sure as they say, in worlds known whole?

    python bench/worlds.py [--worlds 30]

Families, maps and package dependencies are generated from a seed: true facts, of which four sources
state some, and wrong ones, according to how reliable each is.  A few labelled claims give every
source its Trust; an association's confidence is that of its sources together.  Questions are
answered by Derive and gated at 0.5; half of the worlds teach the map of Calibrated, the other half
is judged.  Truth reaches the engine only through those labels.
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import machine
import numpy as np
import quillian as ql
from quillian import belief
from quillian.evidence import facts_at
from quillian.judgement import isotonic, mapped, trust
from quillian.rules import Known, derive, parse
from reasoning import random_network, reliability

GATE = 0.5
STATED = 0.6  # Chance that a source states a fact.
LABELLED = 0.3  # Share of claims whose truth is known.
RELIABLE = {"atlas": 0.98, "almanac": 0.9, "forum": 0.75, "rumour": 0.5}
Fact = tuple[str, str, str]


@dataclass(frozen=True)
class World:
    """What is true, and what is asked: `query` of a subject, by rules."""

    facts: list[Fact]
    rules: tuple[str, ...]
    query: str
    subjects: list[str]
    truth: set[Fact]  # Of the query.
    functional: tuple[str, ...] = ()


def _drawn(
    rng: np.random.Generator, pairs: Iterable[tuple[list[str], list[str]]]
) -> list[tuple[str, str]]:
    """For each pair of layers, everything of the first with two of the second."""
    return [
        (one, str(other))
        for layer, following in pairs
        for one in layer
        for other in rng.choice(following, 2, replace=False)
    ]


def _below(facts: list[Fact]) -> dict[str, set[str]]:
    """What the facts lead to from each subject."""
    below: dict[str, set[str]] = defaultdict(set)
    for source, _, target in facts:
        below[source].add(target)
    return below


def family(rng: np.random.Generator) -> World:
    """Four generations; who is a grandparent of whom?"""
    people = [[f"p{level}.{i}" for i in range(15)] for level in range(4)]
    younger_older = ((younger, older) for older, younger in itertools.pairwise(people))
    facts = [(parent, "parent", child) for child, parent in _drawn(rng, younger_older)]
    below = _below(facts)
    truth = {(a, "grandparent", c) for a in list(below) for b in below[a] for c in below[b]}
    rule = "grandparent(x, z) :- parent(x, y), parent(y, z)"
    return World(facts, (rule,), "grandparent", [x for level in people for x in level], truth)


def geography(rng: np.random.Generator) -> World:
    """Cities in countries on continents; where is a city? Nothing is in two places."""
    continent = {f"country{i}": f"continent{rng.integers(3)}" for i in range(12)}
    country = {f"city{i}": f"country{rng.integers(12)}" for i in range(80)}
    facts = [(a, "in", b) for a, b in (country | continent).items()]
    truth = {(city, "on", continent[home]) for city, home in country.items()}
    rule = "on(x, z) :- in(x, y), in(y, z)"
    return World(facts, (rule,), "on", [*country, *continent], truth, ("in",))


def packages(rng: np.random.Generator) -> World:
    """Layers of packages; what does an application need in the end?"""
    layers = [[f"{name}{i}" for i in range(12)] for name in ("app", "tool", "library", "base")]
    facts = [(x, "depends", other) for x, other in _drawn(rng, itertools.pairwise(layers))]
    below = _below(facts)
    tools = {(a, c) for a in layers[0] for b in below[a] for c in below[b]}
    truth = {(a, "needs", c) for a, c in tools}
    truth |= {(a, "needs", d) for a, c in tools for d in below[c]}
    rules = (
        "needs(x, z) :- depends(x, y), depends(y, z)",
        "needs(x, z) :- needs(x, y), depends(y, z)",
    )
    return World(facts, rules, "needs", [*layers[0], *layers[3]], truth)


WORLDS: dict[str, Callable[[np.random.Generator], World]] = {
    "family": family,
    "geography": geography,
    "packages": packages,
}


def claims(world: World, rng: np.random.Generator) -> dict[Fact, list[str]]:
    """Who states what; a wrong claim names another target of the same kind."""
    kinds = defaultdict(set)
    for _, _, target in world.facts:
        kinds[target.rstrip("0123456789")].add(target)
    stated: dict[Fact, list[str]] = defaultdict(list)
    for source, type, target in world.facts:
        for origin, right in RELIABLE.items():
            if rng.random() < STATED * right:
                stated[source, type, target].append(origin)
            if rng.random() < STATED * (1 - right):
                others = sorted(kinds[target.rstrip("0123456789")] - {target, source})
                stated[source, type, str(rng.choice(others))].append(origin)
    return stated


def confidences(
    world: World, stated: dict[Fact, list[str]], rng: np.random.Generator
) -> list[float]:
    """Of every stated fact: at least one source is right, each as reliable as its labels say."""
    true = set(world.facts)
    counts = {origin: [0, 0] for origin in RELIABLE}
    for fact, origins in stated.items():
        for origin in origins:
            if rng.random() < LABELLED:
                counts[origin][fact not in true] += 1
    means = {origin: trust(*count).mean for origin, count in counts.items()}
    return [belief.either([means[origin] for origin in origins]) for origins in stated.values()]


@dataclass(frozen=True)
class Outcome:
    """Of one world: answers as (said or not, right, answerable, by what was stated); beliefs;
    conflicts."""

    answers: list[tuple[bool, bool, bool, bool]]
    scores: list[float]
    outcomes: list[float]
    planted: int
    found: int


def lived(kind: str, seed: int) -> Outcome:
    """One world, stored, asked and checked for conflicts."""
    rng = np.random.default_rng([seed, sorted(WORLDS).index(kind)])
    world = WORLDS[kind](rng)
    stated = claims(world, rng)
    chances = confidences(world, stated, rng)
    with ql.open(":memory:", dim=2) as store:
        ids = sorted(
            {id for s, _, t in (*stated, *world.facts) for id in (s, t)} | set(world.subjects)
        )
        store.add_many(ids=ids)
        columns = [list(x) for x in zip(*stated, strict=True)]
        store.link_many(columns[0], columns[2], columns[1], confidences=chances)
        with store.snapshot() as view:
            given = {
                Known(x.source, view.type_name(x.type), x.target): x.p
                for x in facts_at(view, view.graph.edges())
            }
            derived = derive(given, [parse(rule) for rule in world.rules])
            made = {
                (view.get(fact.source).id, view.get(fact.target).id): known.p
                for fact, known in derived.items()
                if fact.type == world.query
            }
            clashes = ql.Conflicts(world.functional)(view, ql.Selection.everything(view))
        lines = {x for told in clashes.columns["conflicts"].tolist() for x in told.split("\n")}
    by_source = defaultdict(set)
    for source, type, target in stated:
        if type in world.functional:
            by_source[source].add(target)
    planted = sum(len(x) * (len(x) - 1) // 2 for x in by_source.values())
    backwards = world.query == "grandparent"  # Who is a grandparent of the subject?
    answers = []
    for subject in world.subjects:
        place = 1 if backwards else 0
        some = {pair: p for pair, p in made.items() if pair[place] == subject}
        best = max(some, key=lambda x: (some[x], x), default=None)
        said = best is not None and some[best] >= GATE
        right = best is not None and (best[0], world.query, best[1]) in world.truth
        known = any((fact[2] if backwards else fact[0]) == subject for fact in world.truth)
        told = any((a, world.query, b) in world.truth for a, b in some)
        answers.append((said, right, known, told))
    outcomes = [float((a, world.query, b) in world.truth) for a, b in made]
    return Outcome(answers, list(made.values()), outcomes, planted, len(lines))


def calibration_error(scores: Iterable[float], outcomes: Iterable[float], bins: int = 10) -> float:
    """Expected calibration error over bins of equal width."""
    p, y = np.array(list(scores)), np.array(list(outcomes))
    place = np.minimum((p * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(p[place == i].mean() - y[place == i].mean()) * (place == i).mean()
            for i in np.unique(place)
        )
    )


def brier(scores: Iterable[float], outcomes: Iterable[float]) -> float:
    """Mean squared error."""
    return float(np.mean((np.array(list(scores)) - np.array(list(outcomes))) ** 2))


def judge(kind: str, count: int) -> None:
    """Print the row of one kind of world; the first half of the worlds teaches the map."""
    all_worlds = [lived(kind, seed) for seed in range(count)]
    taught, held = all_worlds[: count // 2], all_worlds[count // 2 :]
    points = isotonic(
        [p for x in taught for p in x.scores], [y for x in taught for y in x.outcomes]
    )
    raw = [p for x in held for p in x.scores]
    truth = [y for x in held for y in x.outcomes]
    after = [mapped(points, p) for p in raw]
    answers = [answer for x in held for answer in x.answers]
    said = [right for spoken, right, *_ in answers if spoken]
    silent = [not known for spoken, _, known, _ in answers if not spoken]
    unstated = [not told for spoken, *_, told in answers if not spoken]
    print(
        f"| {kind} | {len(answers)} | {100 * len(said) / len(answers):.1f} "
        f"| {100 * np.mean(said):.1f} "
        f"| {100 * np.mean(silent):.1f}, {100 * np.mean(unstated):.1f} "
        f"| {calibration_error(raw, truth):.3f} -> {calibration_error(after, truth):.3f} "
        f"| {brier(raw, truth):.3f} -> {brier(after, truth):.3f} "
        f"| {sum(x.found for x in held)} of {sum(x.planted for x in held)} |"
    )


def agreement(count: int) -> None:
    """Print how often Consensus orders two answers as exact reliability does."""
    rng = np.random.default_rng(1)
    nets = [random_network(rng, 10) for _ in range(count)]
    exact = [reliability(net) for net in nets]
    for cases in (0, belief.CASES):
        lower = [belief.bounds(net, cases).lower for net in nets]
        order = [
            (lower[i] - lower[j]) * (exact[i] - exact[j]) > 0
            for i in range(count)
            for j in range(i)
            if abs(exact[i] - exact[j]) > 1e-9
        ]
        print(
            f"consensus, {cases} cases: {100 * np.mean(order):.2f} % of {len(order)} pairs in order"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=30)
    chosen = parser.parse_args()
    print(machine.line("numpy"))
    print(
        "| world | asked | said % | right of said % | silent: nothing is true %, nothing true"
        " follows from what was stated % | ECE | Brier | conflicts |"
    )
    for kind in WORLDS:
        judge(kind, chosen.worlds)
    agreement(300)


if __name__ == "__main__":
    main()
