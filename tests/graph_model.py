"""A graph as a dictionary: what the tests of csrc/graph.c compare with."""

from collections.abc import Callable

import networkx as nx
import numpy as np
from quillian.bindings._core import lib
from quillian.bindings.graph import EDGE, Graph, GraphView
from quillian.errors import OutOfMemoryError

UUID = bytes(range(16))
HEADER = 4096
NONE = lib.QL_NONE
Key = tuple[int, int, int]  # source, type, target
Model = dict[Key, tuple[float, int]]  # weight, flags


def put(model: Model, edges: np.ndarray) -> None:
    for source, target, kind, flags, weight in edges.tolist():
        if flags & lib.QL_EDGE_REMOVE:
            model.pop((source, kind, target), None)
        else:
            model[source, kind, target] = (weight, flags)


def rows(model: Model) -> list[tuple[int, int, int, int, float]]:
    return [(s, d, t, model[s, t, d][1], model[s, t, d][0]) for s, t, d in sorted(model)]


def touching(model: Model, node: int, direction: str, types: set[int] | None) -> list[object]:
    kept = [
        (t, d, s)
        for s, t, d in model
        if (types is None or t in types)
        and ((direction != "in" and s == node) or (direction != "out" and d == node))
    ]
    return [(s, d, t, model[s, t, d][1], model[s, t, d][0]) for t, d, s in sorted(kept)]


def expected_reach(
    model: Model, seeds: dict[int, float], hops: int, direction: str, discount: float
) -> list[tuple[int, np.float32, int, int, int]]:
    """Level by level over a networkx multigraph, as quillian.h words it."""
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(seeds)
    for (s, t, d), (weight, _) in model.items():
        graph.add_edge(s, d, key=t, weight=np.float32(weight))
    found = [(node, np.float32(score), 0, NONE, 0) for node, score in seeds.items()]
    seen = dict.fromkeys(seeds, 0)
    level = range(len(found))
    for hop in range(1, hops + 1):
        best: dict[int, tuple[np.float32, int, int]] = {}
        for parent in level:
            node, score = found[parent][:2]
            out, into = (
                graph.out_edges(node, True, keys=True),
                graph.in_edges(node, True, keys=True),
            )
            leaving = [(t, d, data["weight"]) for _, d, t, data in out]
            entering = [(t, s, data["weight"]) for s, _, t, data in into]
            steps = sorted(leaving) if direction != "in" else []
            steps += sorted(entering) if direction != "out" else []
            for kind, other, weight in steps:
                new = score * weight * np.float32(discount)
                if other not in seen and (other not in best or new > best[other][0]):
                    best[other] = (new, parent, kind)
        level = range(len(found), len(found) + len(best))
        found += [(node, best[node][0], hop, *best[node][1:]) for node in sorted(best)]
        seen |= dict.fromkeys(best, hop)
    return found


def commit(graph: Graph, number: int) -> int:
    log_bytes = graph.flush(number)
    graph.sync()
    graph.publish()
    return log_bytes


def commit_unsynced(graph: Graph, number: int) -> int:
    log_bytes = graph.flush(number)
    graph.publish()
    return log_bytes


def random_edges(rng: np.random.Generator, n: int, nodes: int, types: int = 3) -> np.ndarray:
    edges = np.empty(n, EDGE)
    edges["source"] = rng.integers(0, nodes, n)
    edges["target"] = rng.integers(0, nodes, n)
    edges["type"] = rng.integers(0, types, n)
    edges["flags"] = rng.choice([0, 0, 0, lib.QL_EDGE_DATA, lib.QL_EDGE_REMOVE], n)
    edges["weight"] = rng.random(n, np.float32)
    return edges


def assert_same(view: GraphView, model: Model) -> None:
    assert view.edges().tolist() == rows(model)
    assert view.count() == len(model)


def fail_in_turn(call: Callable[[], object]) -> int:
    """Call with the 1st, 2nd, ... allocation failing until none does; how often it raised."""
    nth, failed, reached = 0, 0, True
    while reached:
        nth += 1
        before = lib.ql_alloc_count()
        lib.ql_alloc_fail_at(nth)
        try:
            call()
        except OutOfMemoryError:
            failed += 1
        finally:
            lib.ql_alloc_fail_at(0)
        reached = lib.ql_alloc_count() - before >= nth
    return failed
