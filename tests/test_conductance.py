"""csrc/conductance.c against dense numpy: masses, prefixes, eigenvalues."""

import numpy as np
import pytest
from graphs import graph_of, random_graph, ring_of_communities
from quillian.bindings._core import lib
from quillian.bindings.conductance import spectral_gap, sweep
from quillian.bindings.csr import Csr
from quillian.errors import InvalidError, OutOfMemoryError


def floats(graph: Csr) -> Csr:
    return Csr(graph.offsets, graph.targets, graph.weights.astype(np.float32))


def dense(graph: Csr) -> np.ndarray:
    matrix = np.zeros((graph.n, graph.n))
    sources = np.repeat(np.arange(graph.n), np.diff(graph.offsets).astype(int))
    matrix[sources, graph.targets] = 1 if graph.weights is None else graph.weights
    return matrix


def exact_mass(matrix: np.ndarray, seed: int, alpha: float) -> np.ndarray:
    """p = alpha e + (1 - alpha) W p with the lazy walk W = (I + A D^-1) / 2, solved directly."""
    n = len(matrix)
    degrees = matrix.sum(axis=0)
    walk = (np.eye(n) + matrix / np.where(degrees > 0, degrees, 1)) / 2
    return np.linalg.solve(np.eye(n) - (1 - alpha) * walk, alpha * np.eye(n)[seed])


def graphs(rng: np.random.Generator, count: int) -> list[Csr]:
    made = [floats(random_graph(rng, 40, 5)) for _ in range(count)]
    return [graph for graph in made if graph.offsets[1] > 0]  # The seed, 0, has an edge.


def test_mass_is_within_epsilon_times_strength() -> None:
    for graph in graphs(np.random.default_rng(60), 60):
        matrix = dense(graph)
        exact = exact_mass(matrix, 0, 0.15)
        for epsilon in (1e-2, 1e-4):
            found = sweep(graph, 0, epsilon=epsilon)
            mass = np.zeros(graph.n)
            mass[found.vertices] = found.scores
            assert (mass <= exact + 1e-9).all()
            assert (exact - mass <= epsilon * matrix.sum(axis=0) + 1e-9).all()


def test_prefixes_have_their_volume_and_conductance() -> None:
    for graph in graphs(np.random.default_rng(61), 60):
        matrix = dense(graph)
        volume = matrix.sum()
        found = sweep(graph, 0)
        density = found.scores / matrix.sum(axis=0)[found.vertices]
        assert (np.diff(density) <= 1e-12).all()
        for i in range(len(found.vertices)):
            inside = np.isin(np.arange(graph.n), found.vertices[: i + 1])
            own = matrix[inside].sum()
            across = matrix[inside][:, ~inside].sum()
            smaller = min(own, volume - own)
            expected = across / smaller if smaller > 1e-9 else 1.0
            assert found.volumes[i] == pytest.approx(own)
            assert found.conductances[i] == pytest.approx(expected)


def test_a_sweep_finds_the_community_of_its_seed() -> None:
    graph = ring_of_communities(np.random.default_rng(62), 12, 40)
    found = sweep(Csr(graph.offsets, graph.targets), [85], epsilon=1e-5)
    best = int(np.argmin(found.conductances[:60]))
    assert sorted(found.vertices[: best + 1].tolist()) == list(range(80, 120))


def test_a_sweep_costs_the_same_in_a_graph_ten_times_as_large() -> None:
    costs = []
    for communities in (20, 200):
        graph = ring_of_communities(np.random.default_rng(63), communities, 40)
        costs.append(sweep(Csr(graph.offsets, graph.targets), [5], epsilon=1e-3).edges)
    assert costs[1] < 2 * costs[0] < 2 * 4 / (0.15 * 1e-3)


def normalised_second_eigenvalue(matrix: np.ndarray) -> float:
    keep = matrix.sum(axis=0) > 0
    matrix = matrix[keep][:, keep]
    scale = 1 / np.sqrt(matrix.sum(axis=0))
    laplacian = np.eye(len(matrix)) - scale[:, None] * matrix * scale
    return float(np.linalg.eigvalsh(laplacian)[1])


def test_gap_equals_numpy() -> None:
    for graph in graphs(np.random.default_rng(64), 80):
        expected = normalised_second_eigenvalue(dense(graph))
        assert spectral_gap(graph, steps=40) == pytest.approx(expected, abs=1e-6)


def test_gap_after_few_steps_is_an_upper_bound() -> None:
    graph = ring_of_communities(np.random.default_rng(65), 10, 20)
    graph = Csr(graph.offsets, graph.targets)
    exact = normalised_second_eigenvalue(dense(graph))
    bounds = [spectral_gap(graph, steps=steps) for steps in (5, 10, 30, 60)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] == pytest.approx(exact, rel=0.01)
    assert bounds[-1] >= exact - 1e-9


def test_gap_of_two_components_is_zero() -> None:
    graph = graph_of(6, [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)])
    assert spectral_gap(floats(graph)) == pytest.approx(0, abs=1e-9)
    assert spectral_gap(Csr(np.zeros(3, np.uint64), np.zeros(0, np.uint32))) == 0


def test_bad_seeds_and_parameters_are_refused() -> None:
    graph = floats(graph_of(3, [(0, 1), (1, 2)]))
    for seeds in ([], [3]):
        with pytest.raises(InvalidError):
            sweep(graph, np.array(seeds, np.uint32))
    for parameters in ({"alpha": 0.0}, {"alpha": 1.0}, {"epsilon": 0.0}, {"epsilon": np.nan}):
        with pytest.raises(InvalidError):
            sweep(graph, [0], **parameters)
    with pytest.raises(InvalidError):
        spectral_gap(graph, steps=0)


def test_a_seed_without_edges_is_alone() -> None:
    found = sweep(floats(graph_of(3, [(1, 2)])), [0])
    assert found.vertices.tolist() == []


@pytest.mark.parametrize("method", [lambda g: sweep(g, [0], epsilon=1e-6), spectral_gap])
def test_each_failed_allocation_is_reported(method) -> None:
    graph = ring_of_communities(np.random.default_rng(66), 20, 30)
    graph = Csr(graph.offsets, graph.targets)
    before = lib.ql_alloc_count()
    method(graph)
    for nth in range(1, lib.ql_alloc_count() - before + 1):
        lib.ql_alloc_fail_at(nth)
        with pytest.raises(OutOfMemoryError):
            method(graph)
    lib.ql_alloc_fail_at(0)
