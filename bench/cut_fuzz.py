"""Does any cut differ from what another library finds? Run by `cuts.py --fuzz`.

Small weighted graphs, sparse to dense, often not connected: global cuts against igraph and
networkx, s-t cuts and cut trees against igraph, dynamic cuts against the static one after each
update and igraph after some.  Sides are added up again from the edges.
"""

from itertools import pairwise

import igraph
import networkx
import numpy as np
from quillian.bindings.csr import Csr, build
from quillian.bindings.cut import global_cut
from quillian.bindings.dynamic_cut import DynamicCut
from quillian.bindings.flow import Flow


def fuzz(count: int) -> int:
    wrong, wide = fuzz_global(count)
    print(f"global cut: {count} weighted graphs, {wide} sides above one vertex, {wrong} wrong")
    bad = wrong
    for name, run, size in (
        ("s-t cut", fuzz_pairs, count * 5),
        ("cut tree", fuzz_trees, count),
        ("dynamic cut", fuzz_dynamic, count * 5 // 2),
    ):
        wrong, done = run(size)
        bad += wrong
        print(f"{name}: {done} checked, {wrong} wrong", flush=True)
    return bad


def random_graph(rng: np.random.Generator, n_max: int, heaviest: int) -> Csr:
    n = int(rng.integers(2, n_max))
    m = int(rng.integers(n - 1, 3 * n + 2))
    ends = rng.integers(0, n, (2, m)).astype(np.uint32)
    weights = rng.integers(1, heaviest + 1, m).astype(np.float64)
    offsets, targets, sums = build(n, ends[0], ends[1], weights)
    return Csr(offsets, targets, sums.astype(np.uint32))


def edges_of(graph: Csr) -> tuple[list[tuple[int, int]], list[float]]:
    sources = np.repeat(np.arange(graph.n), np.diff(graph.offsets).astype(int))
    once = sources < graph.targets
    weights = np.ones(graph.arcs) if graph.weights is None else graph.weights.astype(float)
    pairs = zip(sources[once].tolist(), graph.targets[once].tolist(), strict=True)
    return list(pairs), weights[once].tolist()


def across(graph: Csr, side: np.ndarray) -> float:
    pairs, weights = edges_of(graph)
    return sum(w for (u, v), w in zip(pairs, weights, strict=True) if side[u] != side[v])


def fuzz_global(count: int) -> tuple[int, int]:
    """Differences to igraph (each) and networkx (every tenth), and sides above one vertex."""
    rng = np.random.default_rng(100)
    wrong = wide = 0
    for i in range(count):
        graph = random_graph(rng, 24, int(rng.choice([1, 2, 4, 299, 10**6])))
        pairs, weights = edges_of(graph)
        found = global_cut(graph, i)
        expected = igraph.Graph(graph.n, pairs).mincut(capacity=weights).value
        wrong += found.value != expected or across(graph, found.side) != expected
        wide += int(found.side.sum()) > 1
        if i % 10 == 0 and expected > 0:
            oracle = networkx.Graph()
            edges = zip(pairs, weights, strict=True)
            oracle.add_weighted_edges_from((u, v, w) for (u, v), w in edges)
            wrong += networkx.stoer_wagner(oracle)[0] != found.value
    return wrong, wide


def fuzz_pairs(count: int) -> tuple[int, int]:
    """Differences of s-t cuts to igraph; 5 pairs a graph."""
    rng = np.random.default_rng(101)
    wrong = flows = 0
    for _ in range(count // 5):
        graph = random_graph(rng, 24, int(rng.choice([1, 3, 50, 10**6])))
        pairs, weights = edges_of(graph)
        oracle, flow = igraph.Graph(graph.n, pairs), Flow(graph)
        for _ in range(5):
            s, t = (int(x) for x in rng.choice(graph.n, 2, replace=False))
            found = flow.cut(s, t)
            side = np.zeros(graph.n, bool)
            side[found.members] = True
            expected = oracle.maxflow_value(s, t, weights)
            wrong += found.value != expected or across(graph, side) != expected
            flows += 1
    return wrong, flows


def fuzz_trees(count: int) -> tuple[int, int]:
    """Differences of all pairs in a cut tree to igraph's Gomory-Hu, and of its edges to cuts."""
    rng = np.random.default_rng(102)
    wrong = 0
    for _ in range(count):
        graph = random_graph(rng, 12, int(rng.choice([1, 3, 50])))
        pairs, weights = edges_of(graph)
        oracle = igraph.Graph(graph.n, pairs)
        parents, values = Flow(graph).tree(np.arange(graph.n))
        tree = networkx.Graph()
        tree.add_node(0)
        for v in range(1, graph.n):
            tree.add_edge(v, int(parents[v]), weight=int(values[v]))
        for v in range(1, graph.n):
            edge = tree[v][int(parents[v])]["weight"]
            tree.remove_edge(v, int(parents[v]))
            side = np.zeros(graph.n, bool)
            side[list(networkx.node_connected_component(tree, v))] = True
            tree.add_edge(v, int(parents[v]), weight=edge)
            wrong += across(graph, side) != edge
            route = networkx.shortest_path(tree, 0, v)
            lightest = min(tree[a][b]["weight"] for a, b in pairwise(route))
            wrong += lightest != oracle.maxflow_value(0, v, weights)
    return wrong, count


def fuzz_dynamic(count: int) -> tuple[int, int]:
    """Differences to the static cut after each update; igraph after every twentieth."""
    rng = np.random.default_rng(103)
    wrong = done = 0
    while done < count:
        heaviest = int(rng.choice([1, 1, 3, 1000, 10**6]))
        graph = random_graph(rng, 24, heaviest)
        pairs, values = edges_of(graph)
        weights = dict(zip(pairs, (int(x) for x in values), strict=True))
        dynamic = DynamicCut(graph)
        for _ in range(200):
            if weights and rng.random() < 0.5:
                u, v = list(weights)[int(rng.integers(len(weights)))]
            else:
                u, v = sorted(int(x) for x in rng.choice(graph.n, 2, replace=False))
            weight = 0 if rng.random() < 0.45 else int(rng.integers(1, heaviest + 1))
            weights[u, v] = weight
            if not weight:
                del weights[u, v]
            found = int(dynamic.update(u, v, weight)[0])
            ends = np.array(list(weights), np.uint32).reshape(-1, 2)
            now = np.array(list(weights.values()), np.float64)
            offsets, targets, sums = build(graph.n, ends[:, 0].copy(), ends[:, 1].copy(), now)
            wrong += found != global_cut(Csr(offsets, targets, sums.astype(np.uint32))).value
            if done % 20 == 0:
                oracle = igraph.Graph(graph.n, list(weights))
                wrong += found != oracle.mincut(capacity=[float(x) for x in now]).value
            dynamic.verify()
            done += 1
    return wrong, done
