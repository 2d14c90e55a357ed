"""The NetworkX backend, by NetworkX's own tests and by answers compared one by one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

SUITES = (
    "algorithms/components/tests/test_connected.py",
    "algorithms/tests/test_core.py",
    "algorithms/tests/test_cluster.py",
    "algorithms/link_analysis/tests/test_pagerank.py",
    "algorithms/connectivity/tests/test_stoer_wagner.py",
    "algorithms/community/tests/test_leiden.py",
)
COUNTER = """
from quillian import networkx_backend

reached = set()
current = [None]


def counted(name, function):
    def call(*args, **kwargs):
        reached.add(current[0])
        return function(*args, **kwargs)

    setattr(networkx_backend.Backend, name, staticmethod(call))


def pytest_configure():
    for name, function in list(vars(networkx_backend.Backend).items()):
        if isinstance(function, staticmethod) and not name.startswith("convert"):
            counted(name, function.__func__)


def pytest_runtest_setup(item):
    current[0] = item.nodeid


def pytest_sessionfinish():
    print(f"\\n{len(reached)} tests reached the backend")
"""


def random_graph(seed: int) -> nx.Graph:
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(30, 0.15, seed=seed)
    for _, _, data in graph.edges(data=True):
        data["weight"] = data["capacity"] = int(rng.integers(1, 9))
    return graph


@pytest.mark.slow
def test_networkx_own_tests_pass_on_the_backend(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(COUNTER)
    folder = Path(nx.__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "counting", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", os.devnull, *(str(folder / suite) for suite in SUITES)],
        cwd=tmp_path,
        env={
            **os.environ,
            "NETWORKX_TEST_BACKEND": "quillian",
            "NETWORKX_FALLBACK_TO_NX": "True",
            "PYTHONPATH": str(tmp_path),
        },
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reached = re.search(r"(\d+) tests reached the backend", done.stdout)
    assert reached is not None
    assert int(reached[1]) > 60


@pytest.mark.parametrize("seed", range(5))
def test_answers_equal_networkx(seed: int) -> None:
    graph = random_graph(seed)
    for function in (nx.core_number, nx.triangles, nx.clustering, nx.transitivity, nx.is_connected):
        assert function(graph, backend="quillian") == function(graph)
    groups = [sorted(x) for x in nx.connected_components(graph, backend="quillian")]
    assert groups == [sorted(x) for x in nx.connected_components(graph)]
    ranks, expected = nx.pagerank(graph, backend="quillian"), nx.pagerank(graph)
    assert ranks == pytest.approx(expected, abs=1e-5)
    component = graph.subgraph(max(nx.connected_components(graph), key=len)).copy()
    assert nx.stoer_wagner(component, backend="quillian")[0] == nx.stoer_wagner(component)[0]


@pytest.mark.parametrize("seed", range(5))
def test_minimum_cuts_separate_and_weigh_the_same(seed: int) -> None:
    graph = random_graph(seed)
    value, (near, far) = nx.minimum_cut(graph, 0, 1, backend="quillian")
    assert value == nx.minimum_cut_value(graph, 0, 1)
    assert value == nx.cut_size(graph, near, far, weight="weight")
    assert 0 in near
    assert 1 in far


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_tree_gives_every_minimum_cut(seed: int) -> None:
    """NetworkX's own suite would compare the edges of two trees, which may differ."""
    graph = random_graph(seed)  # Some are not connected: then the tree has edges of weight 0.
    tree = nx.gomory_hu_tree(graph, backend="quillian")
    assert nx.is_tree(tree)
    assert set(tree) == set(graph)
    for a in range(0, 30, 4):
        for b in range(1, 30, 5):
            path = nx.shortest_path(tree, a, b)
            lightest = min((tree[u][v]["weight"] for u, v in nx.utils.pairwise(path)), default=None)
            if a != b:
                assert lightest == nx.minimum_cut_value(graph, a, b)


def test_what_is_not_exact_is_left_to_networkx() -> None:
    graph = nx.Graph([(0, 1), (1, 2)])  # No capacities: infinite.
    with pytest.raises(NotImplementedError):
        nx.minimum_cut_value(graph, 0, 2, backend="quillian")
    with pytest.raises(NotImplementedError):
        nx.pagerank(graph, nstart={0: 1, 1: 0, 2: 0}, backend="quillian")


def test_leiden_finds_two_cliques() -> None:
    found = nx.community.leiden_communities(nx.barbell_graph(6, 0), backend="quillian")
    assert sorted(map(sorted, found)) == [list(range(6)), list(range(6, 12))]
