"""How fast are components, cores, triangles, PageRank and communities beside other libraries?

    python bench/graph_algorithms.py [--runs 5] [--only WordNet]

WordNet, Debian's package relations and generators as simple undirected graphs; every library gets
its own built graph, and only the algorithm is timed: processor time of all its threads, median of
the runs, milliseconds.  Beside the time stands what was found (components, largest core, triangles,
modularity), which must agree where it is not a matter of taste.  networkx runs once, on graphs of
up to 200,000 edges.  A missing library has no row.
"""

import argparse
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import machine
import networks
import numpy as np
from quillian.bindings.communities import label_propagation, leiden
from quillian.bindings.components import components
from quillian.bindings.conductance import spectral_gap, sweep
from quillian.bindings.csr import Csr
from quillian.bindings.measures import core_numbers, pagerank, triangles

Runs = dict[str, Callable[[], Any]]
ALGORITHMS = ("components", "k-core", "triangles", "PageRank", "Leiden", "label propagation")
NETWORKX_EDGES_MAX = 200_000


def quillian(graph: Csr) -> Runs:
    return {
        "components": lambda: components(graph)[0],
        "k-core": lambda: int(core_numbers(graph).max()),
        "triangles": lambda: triangles(graph)[0],
        "PageRank": lambda: pagerank(graph, tolerance=1e-6).ranks.max(),
        "Leiden": lambda: leiden(graph).quality,
        "label propagation": lambda: label_propagation(graph)[1],
    }


def igraph(graph: Csr) -> Runs:
    import igraph

    sources, targets = networks.ends_of(graph)
    peer = igraph.Graph(graph.n, np.stack([sources, targets], axis=1).tolist())
    return {
        "components": lambda: len(peer.connected_components()),
        "k-core": lambda: max(peer.coreness()),
        "triangles": lambda: len(peer.list_triangles()),
        "PageRank": lambda: max(peer.pagerank()),
        "Leiden": lambda: peer.community_leiden("modularity", n_iterations=2).modularity,
        "label propagation": lambda: len(peer.community_label_propagation()),
    }


def networkit(graph: Csr) -> Runs:
    import networkit

    networkit.setNumberOfThreads(1)
    sources, targets = networks.ends_of(graph)
    peer = networkit.GraphFromCoo(
        (sources.astype(np.uint64), targets.astype(np.uint64)), n=graph.n, directed=False
    )
    peer.sortEdges()
    peer.indexEdges()

    def communities(kind: Any) -> float:
        found = kind(peer).run().getPartition()
        return networkit.community.Modularity().getQuality(found, peer)

    return {
        "components": lambda: (
            networkit.components.ConnectedComponents(peer).run().numberOfComponents()
        ),
        "k-core": lambda: networkit.centrality.CoreDecomposition(peer).run().maxCoreNumber(),
        "triangles": lambda: (
            sum(networkit.sparsification.TriangleEdgeScore(peer).run().scores()) // 3
        ),
        "PageRank": lambda: max(networkit.centrality.PageRank(peer, tol=1e-6).run().scores()),
        "Leiden": lambda: communities(networkit.community.ParallelLeiden),
        "label propagation": lambda: (
            networkit.community.PLP(peer).run().getPartition().numberOfSubsets()
        ),
    }


def rustworkx(graph: Csr) -> Runs:
    import rustworkx

    peer = rustworkx.PyGraph(multigraph=False)
    peer.add_nodes_from(range(graph.n))
    sources, targets = networks.ends_of(graph)
    peer.add_edges_from_no_data(list(zip(sources.tolist(), targets.tolist(), strict=True)))
    directed = peer.to_directed()
    return {
        "components": lambda: len(rustworkx.connected_components(peer)),
        "k-core": lambda: max(rustworkx.core_number(peer).values()),
        "PageRank": lambda: max(rustworkx.pagerank(directed).values()),
    }


def networkx(graph: Csr) -> Runs:
    import networkx

    if graph.arcs // 2 > NETWORKX_EDGES_MAX:
        return {}
    peer = networkx.Graph()
    peer.add_nodes_from(range(graph.n))
    sources, targets = networks.ends_of(graph)
    peer.add_edges_from(zip(sources.tolist(), targets.tolist(), strict=True))
    return {
        "components": lambda: networkx.number_connected_components(peer),
        "k-core": lambda: max(networkx.core_number(peer).values()),
        "triangles": lambda: sum(networkx.triangles(peer).values()) // 3,
        "PageRank": lambda: max(networkx.pagerank(peer).values()),
    }


LIBRARIES = {
    "quillian": quillian,
    "igraph": igraph,
    "networkit": networkit,
    "rustworkx": rustworkx,
    "networkx": networkx,
}


def timed(run: Callable[[], Any], runs: int) -> tuple[float, Any]:
    times, answer = [], None
    for _ in range(runs):
        start = time.process_time()
        answer = run()
        times.append((time.process_time() - start) * 1e3)
    return float(np.median(times)), answer


def shown(answer: Any) -> str:
    return f"{answer:.4f}" if isinstance(answer, float | np.floating) else str(answer)


def compare(name: str, graph: Csr, runs: int) -> None:
    print(f"\n{name}: {graph.n} vertices, {graph.arcs // 2} edges; ms (found)")
    print("| |" + "".join(f" {x} |" for x in ALGORITHMS))
    print("|" + "---|" * (1 + len(ALGORITHMS)))
    for library, prepare in LIBRARIES.items():
        if importlib.util.find_spec(library) is None:
            continue
        prepared, cells = prepare(graph), []
        for algorithm in ALGORITHMS:
            if algorithm not in prepared:
                cells.append("-")
                continue
            ms, answer = timed(prepared[algorithm], 1 if library == "networkx" else runs)
            cells.append(f"{ms:,.1f} ({shown(answer)})")
        print(f"| {library} | {' | '.join(cells)} |", flush=True)


def local(name: str, graph: Csr) -> None:
    """Sweeps around random seeds: microseconds by epsilon; and the spectral gap."""
    rng = np.random.default_rng(0)
    seeds = rng.integers(0, graph.n, 200)
    cells = []
    for epsilon in (1e-3, 1e-4, 1e-5):
        times = [timed(lambda s=s, e=epsilon: sweep(graph, s, epsilon=e), 1)[0] for s in seeds]
        quantiles = np.percentile(times, [50, 99]) * 1e3
        cells.append(f"eps {epsilon:g}: p50 {quantiles[0]:.0f} us, p99 {quantiles[1]:.0f} us")
    ms, gap = timed(lambda: spectral_gap(graph), 1)
    print(f"{name} sweeps: {'; '.join(cells)}; lambda2 in 30 steps {ms:.0f} ms ({gap:.4f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print(machine.line("numpy", *LIBRARIES))
    graphs: dict[str, Callable[[], Csr | None]] = {
        "WordNet": networks.wordnet,
        "Debian": networks.debian,
        "R-MAT 2^16": lambda: networks.rmat(16, 16, 0),
        "ring of 1024": lambda: networks.ring_of_communities(1024, 64, 14, 0),
    }
    for name, make in graphs.items():
        graph = make() if options.only in name else None
        if graph is not None:
            compare(name, graph, options.runs)
            local(name, graph)


if __name__ == "__main__":
    main()
