"""The NetworkX backend: `nx.pagerank(G, backend="quillian")` runs on the C core.

NetworkX finds `backend` through the entry point `networkx.backends`, converts a graph once (and
caches the conversion), and calls the method of the function's name.  What cannot be answered just
as NetworkX would raises NotImplementedError, and NetworkX goes on with the next backend or its own
code: directed cuts, infinite or fractional capacities, negative weights, other start vectors.
Cut trees are not unique: ours may have other edges than NetworkX's, and gives the same cuts.
"""

from collections.abc import Hashable, Iterable, Iterator
from random import Random
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from .bindings.communities import leiden
from .bindings.components import components
from .bindings.csr import Csr, build
from .bindings.cut import global_cut
from .bindings.flow import Flow
from .bindings.measures import core_numbers, pagerank, triangles
from .cutting import quantised

Node = Hashable
Float64 = NDArray[np.float64]


class CoreGraph:
    """A NetworkX graph as columns: nodes in their order, edges as positions, wanted attributes."""

    __networkx_backend__ = "quillian"

    def __init__(self, graph: nx.Graph, edge_attrs: dict[str, Any] | None) -> None:
        self.nodes: list[Node] = list(graph)
        self.index = {node: i for i, node in enumerate(self.nodes)}
        self.directed: bool = graph.is_directed()
        self.multigraph: bool = graph.is_multigraph()
        edges = list(graph.edges(data=True))
        self.sources = np.array([self.index[u] for u, _, _ in edges], np.uint32)
        self.targets = np.array([self.index[v] for _, v, _ in edges], np.uint32)
        self.columns = {
            name: [data.get(name, default) for _, _, data in edges]
            for name, default in (edge_attrs or {}).items()
        }

    def is_directed(self) -> bool:
        return self.directed

    def is_multigraph(self) -> bool:
        return self.multigraph

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __contains__(self, node: object) -> bool:
        try:
            return node in self.index
        except TypeError:
            return False

    def undirected(self, weights: Float64 | None = None) -> tuple[Csr, Float64]:
        """Rows without loops, and their summed weights (ones add up too, in a multigraph)."""
        if self.directed:
            raise NotImplementedError("directed graphs")
        offsets, targets, sums = build(len(self), self.sources, self.targets, weights)
        return Csr(offsets, targets), sums

    def integers(self, name: str | None) -> Csr:
        """Rows with integer weights, exact or not at all."""
        values = self.floats(name)
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            raise NotImplementedError("capacities that are not finite integers")
        graph, sums = self.undirected(values)
        if len(sums) and sums.max() >= 2**31:
            raise NotImplementedError("capacities from 2^31")
        return Csr(graph.offsets, graph.targets, sums.astype(np.uint32))

    def floats(self, name: str | None) -> Float64:
        """A weight per edge, above 0."""
        if name is None:
            return np.ones(len(self.sources))
        try:
            values = np.array(self.columns[name], np.float64)
        except (TypeError, ValueError) as error:
            raise NotImplementedError(f"weights that are not numbers: {error}") from error
        if not (values > 0).all():
            raise NotImplementedError("weights of 0 or less")
        return values


def convert_from_nx(
    graph: nx.Graph, edge_attrs: dict[str, Any] | None = None, **_: Any
) -> CoreGraph:
    """The columns of a NetworkX graph."""
    return CoreGraph(graph, edge_attrs)


def convert_to_nx(result: Any, **_: Any) -> Any:
    """A graph back as NetworkX's; any other result as it is."""
    if not isinstance(result, CoreGraph):
        return result
    kinds = {
        (False, False): nx.Graph,
        (False, True): nx.MultiGraph,
        (True, False): nx.DiGraph,
        (True, True): nx.MultiDiGraph,
    }
    graph = kinds[result.directed, result.multigraph]()
    graph.add_nodes_from(result.nodes)
    for i, (u, v) in enumerate(zip(result.sources.tolist(), result.targets.tolist(), strict=True)):
        data = {name: column[i] for name, column in result.columns.items()}
        graph.add_edge(result.nodes[u], result.nodes[v], **data)
    return graph


# Components.


def _components(G: CoreGraph) -> tuple[int, NDArray[np.uint32]]:  # noqa: N803 - NetworkX's name
    return components(G.undirected()[0])


def connected_components(G: CoreGraph) -> Iterator[set[Node]]:  # noqa: N803
    count, labels = _components(G)
    groups: list[set[Node]] = [set() for _ in range(count)]
    for node, label in zip(G.nodes, labels.tolist(), strict=True):
        groups[label].add(node)
    return iter(groups)


def number_connected_components(G: CoreGraph) -> int:  # noqa: N803
    return _components(G)[0]


def is_connected(G: CoreGraph) -> bool:  # noqa: N803
    if len(G) == 0:
        raise nx.NetworkXPointlessConcept("Connectivity is undefined for the null graph.")
    return _components(G)[0] == 1


def node_connected_component(G: CoreGraph, n: Node) -> set[Node]:  # noqa: N803
    if n not in G:
        raise KeyError(n)
    labels = _components(G)[1]
    return {G.nodes[i] for i in np.flatnonzero(labels == labels[G.index[n]])}


# Measures.


def core_number(G: CoreGraph) -> dict[Node, int]:  # noqa: N803
    if (G.sources == G.targets).any():
        raise nx.NetworkXNotImplemented(
            "Input graph has self loops which is not permitted; "
            "Consider using G.remove_edges_from(nx.selfloop_edges(G))."
        )
    cores = core_numbers(G.undirected()[0])
    return dict(zip(G.nodes, cores.tolist(), strict=True))


def _triangles(G: CoreGraph) -> tuple[list[int], list[int]]:  # noqa: N803
    """Triangles and degrees per node."""
    graph = G.undirected()[0]
    return triangles(graph)[1].tolist(), np.diff(graph.offsets).tolist()


def _chosen(G: CoreGraph, values: list[Any], nodes: Any) -> Any:  # noqa: N803
    """The values of one node, of some, or of all, as NetworkX returns them."""
    if nodes is None:
        return dict(zip(G.nodes, values, strict=True))
    if nodes in G:
        return values[G.index[nodes]]
    if not isinstance(nodes, Iterable):
        raise nx.NetworkXError(f"Node {nodes} is not in the graph.")
    return {node: values[G.index[node]] for node in nodes if node in G}


def nx_triangles(G: CoreGraph, nodes: Any = None) -> Any:  # noqa: N803
    return _chosen(G, _triangles(G)[0], nodes)


def clustering(G: CoreGraph, nodes: Any = None, weight: str | None = None) -> Any:  # noqa: N803
    if weight is not None:
        raise NotImplementedError("weighted clustering")
    counts, degrees = _triangles(G)
    pairs = zip(counts, degrees, strict=True)
    values = [2 * t / (d * (d - 1)) if t else 0 for t, d in pairs]
    return _chosen(G, values, nodes)


def average_clustering(
    G: CoreGraph,  # noqa: N803
    nodes: Any = None,
    weight: str | None = None,
    count_zeros: bool = True,
) -> float:
    values = clustering(G, nodes, weight)
    kept = [x for x in values.values() if count_zeros or abs(x) > 0]
    return float(sum(kept) / len(kept))


def transitivity(G: CoreGraph) -> float:  # noqa: N803
    counts, degrees = _triangles(G)
    closed, pairs = 2 * sum(counts), sum(d * (d - 1) for d in degrees)
    return closed / pairs if closed else 0


def nx_pagerank(
    G: CoreGraph,  # noqa: N803
    alpha: float = 0.85,
    personalization: dict[Node, float] | None = None,
    max_iter: int = 100,
    tol: float = 1.0e-6,
    nstart: dict[Node, float] | None = None,
    weight: str | None = "weight",
    dangling: dict[Node, float] | None = None,
) -> dict[Node, float]:
    if nstart is not None or dangling is not None:
        raise NotImplementedError("start vectors and dangling weights of their own")
    n = len(G)
    if n == 0:
        return {}
    start = None
    if personalization is not None:
        start = np.array([personalization.get(node, 0) for node in G.nodes], np.float64)
        if start.sum() == 0:
            raise ZeroDivisionError
        start /= start.sum()
    weights = G.floats(weight).astype(np.float32)
    sources, targets = G.sources, G.targets
    if not G.directed:  # Both arcs of an edge, but a loop once.
        back = sources != targets
        sources = np.concatenate([sources, targets[back]])
        targets = np.concatenate([targets, G.sources[back]])
        weights = np.concatenate([weights, weights[back]])
    order = np.lexsort((sources, targets))
    offsets = np.searchsorted(targets[order], np.arange(n + 1)).astype(np.uint64)
    incoming = Csr(offsets, sources[order], weights[order], directed=True)
    found = pagerank(
        incoming,
        np.bincount(sources, weights, minlength=n).astype(np.float64),
        start=start,
        damping=alpha,
        tolerance=n * tol,
        iterations_max=max_iter,
    )
    if not found.converged:
        raise nx.PowerIterationFailedConvergence(max_iter)
    return dict(zip(G.nodes, found.ranks.tolist(), strict=True))


# Cuts.


def stoer_wagner(
    G: CoreGraph,  # noqa: N803
    weight: str = "weight",
    heap: Any = None,
) -> tuple[float, tuple[list[Node], list[Node]]]:
    if len(G) < 2:
        raise nx.NetworkXError("graph has less than two nodes.")
    if not is_connected(G):
        raise nx.NetworkXError("graph is not connected.")
    if any(value < 0 for value in G.columns.get(weight, ())):
        raise nx.NetworkXError("graph has a negative-weighted edge.")
    graph, sums = G.undirected(G.floats(weight))
    units, quantum = quantised(sums)
    if (units * quantum != sums).any():
        raise NotImplementedError("weights that are not exact in 31 bits")
    found = global_cut(Csr(graph.offsets, graph.targets, units))
    sides: tuple[list[Node], list[Node]] = ([], [])
    for node, inside in zip(G.nodes, found.side.tolist(), strict=True):
        sides[not inside].append(node)
    value = found.value * quantum
    return (int(value) if value == int(value) else value), sides


def minimum_cut(
    flowG: CoreGraph,  # noqa: N803
    _s: Node,
    _t: Node,
    capacity: str = "capacity",
    flow_func: Any = None,
    **kwargs: Any,
) -> tuple[int, tuple[set[Node], set[Node]]]:
    if flow_func is not None or kwargs:
        raise NotImplementedError("a flow function of the caller's")
    for name, node in (("source", _s), ("sink", _t)):
        if node not in flowG:
            raise nx.NetworkXError(f"node {node} not in graph ({name})")
    if _s == _t:
        raise nx.NetworkXError("source and sink are the same node")
    found = Flow(flowG.integers(capacity)).cut(flowG.index[_s], flowG.index[_t])
    members = {flowG.nodes[i] for i in found.members.tolist()}
    rest = set(flowG.nodes) - members
    return found.value, ((members, rest) if found.source_side else (rest, members))


def minimum_cut_value(flowG: CoreGraph, *args: Any, **kwargs: Any) -> int:  # noqa: N803
    return minimum_cut(flowG, *args, **kwargs)[0]


def gomory_hu_tree(
    G: CoreGraph,  # noqa: N803
    capacity: str = "capacity",
    flow_func: Any = None,
) -> nx.Graph:
    if flow_func is not None:
        raise NotImplementedError("a flow function of the caller's")
    if G.directed:
        raise nx.NetworkXNotImplemented("not implemented for directed type")
    if len(G) == 0:
        raise nx.NetworkXError("Empty Graph does not have a Gomory-Hu tree representation")
    tree = nx.Graph()
    tree.add_nodes_from(G.nodes)
    if len(G) > 1:
        parents, weights = Flow(G.integers(capacity)).tree(np.arange(len(G), dtype=np.uint32))
        for i, (parent, weight) in enumerate(zip(parents.tolist(), weights.tolist(), strict=True)):
            if i:
                tree.add_edge(G.nodes[i], G.nodes[parent], weight=weight)
    return tree


# Communities.


def leiden_communities(
    G: CoreGraph,  # noqa: N803
    weight: str | None = "weight",
    resolution: float = 1,
    max_level: int | None = None,
    seed: Any = None,
) -> list[set[Node]]:
    if max_level is not None:
        raise NotImplementedError("a number of levels")
    number = seed.getrandbits(32) if isinstance(seed, Random) else seed or 0
    graph, sums = G.undirected(G.floats(weight))
    weighted = Csr(graph.offsets, graph.targets, sums.astype(np.float32))
    found = leiden(weighted, resolution=resolution, iterations=0, seed=number)
    groups: list[set[Node]] = [set() for _ in range(found.groups)]
    for node, label in zip(G.nodes, found.labels.tolist(), strict=True):
        groups[label].add(node)
    return groups


class Backend:
    """What NetworkX loads: conversions, and a function for every name it may ask for."""

    convert_from_nx = staticmethod(convert_from_nx)
    convert_to_nx = staticmethod(convert_to_nx)
    connected_components = staticmethod(connected_components)
    number_connected_components = staticmethod(number_connected_components)
    is_connected = staticmethod(is_connected)
    node_connected_component = staticmethod(node_connected_component)
    core_number = staticmethod(core_number)
    triangles = staticmethod(nx_triangles)
    clustering = staticmethod(clustering)
    average_clustering = staticmethod(average_clustering)
    transitivity = staticmethod(transitivity)
    pagerank = staticmethod(nx_pagerank)
    stoer_wagner = staticmethod(stoer_wagner)
    minimum_cut = staticmethod(minimum_cut)
    minimum_cut_value = staticmethod(minimum_cut_value)
    maximum_flow_value = staticmethod(minimum_cut_value)
    gomory_hu_tree = staticmethod(gomory_hu_tree)
    leiden_communities = staticmethod(leiden_communities)


backend = Backend()
