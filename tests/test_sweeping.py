"""csrc/build.c: dead rows are swept out of the links, and copies hide nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quillian.bindings.hnsw import Hnsw
from quillian.bindings.vectors import Float32, Vectors
from test_hnsw import built, recall, rows_of


def test_churn_with_sweeps_costs_nothing_more(tmp_path: Path) -> None:
    rows, queries = rows_of(3000), rows_of(100, seed=1)
    vectors, index = built(tmp_path, rows[:1000])
    rng = np.random.default_rng(3)
    alive = np.arange(1000)
    scored = vectors.near(queries, index=index)[3].distances
    for commit in range(2, 22):
        dead = rng.permutation(len(alive))[:100]
        vectors.retire(alive[dead].astype(np.uint32), commit=commit)
        first = vectors.count
        fresh = np.arange(first, first + 100, dtype=np.uint32)
        vectors.append(rows[first : first + 100], fresh, commit=commit)
        alive = np.concatenate([np.delete(alive, dead), fresh])
        index.extend(first + 100)
        removed = index.removed
        waiting = index.sweep(commit, least=101)
        assert (waiting in (99, 100), index.removed) == (True, removed)  # Only counted.
        assert index.sweep(commit, threads=2) == waiting  # Slot 0, where all begins, may not go.
        assert index.check() == 0
    assert recall(vectors, index, queries) >= 0.98
    cost = vectors.near(queries, index=index)[3]
    assert cost.distances <= 1.2 * scored
    nodes, scores, _, _ = vectors.near(rows[alive], index=index, k=1)
    assert (scores[:, 0] >= 0.999).mean() >= 0.999
    assert np.isin(nodes, alive).all()


def swept(
    folder: Path, rows: Float32, dead: np.ndarray, threads: int = 1
) -> tuple[Vectors, Hnsw, bytes]:
    folder.mkdir()
    vectors, index = built(folder, rows, "l2")
    vectors.retire(dead.astype(np.uint32), commit=2)
    assert index.sweep(1) == 0
    index.sweep(2, threads=threads)
    index.save(str(folder / "index"))
    return vectors, index, (folder / "index").read_bytes()


@pytest.mark.parametrize("kind", ["most", "all", "oldest", "cluster"])
def test_whatever_dies_the_rest_is_reached(tmp_path: Path, kind: str) -> None:
    rows = rows_of(1500)
    dead = np.random.default_rng(0).permutation(1500)[:1350]
    if kind == "all":
        dead = np.arange(1500)
    if kind == "oldest":
        dead = np.arange(1350)
    if kind == "cluster":
        dead = np.argsort(((rows - rows[7]) ** 2).sum(axis=1))[:700]
    vectors, index, saved = swept(tmp_path / "one", rows, dead)
    assert swept(tmp_path / "three", rows, dead, threads=3)[2] == saved
    assert index.removed == len(dead) - (0 in dead)
    assert index.check() == 0
    queries = rows_of(30, seed=1)
    assert recall(vectors, index, queries) >= 0.95
    assert recall(vectors, index, queries, commit=1) == 1  # A snapshot from before: a scan.
    loaded = Hnsw.load(vectors, str(tmp_path / "one" / "index"))
    vectors.append(rows[:200] + np.float32(0.01), np.arange(1500, 1700, dtype=np.uint32), commit=3)
    for each in (index, loaded):
        each.extend(1700)
        assert each.removed == index.removed
        assert each.check() == 0
        assert recall(vectors, each, queries) >= 0.95


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("kind", ["random", "oldest", "cluster"])
def test_what_lost_its_way_in_is_linked_again_for_next_to_nothing(
    tmp_path: Path, kind: str, share: float
) -> None:
    rows = rows_of(1500)
    vectors, index = built(tmp_path, rows)
    built_for = index.scored
    assert built_for.adopting == built_for.cleaning == 0
    assert built_for.linking > 1500 * 200  # At least the beam of each.
    orders = {
        "random": np.random.default_rng(0).permutation(1500),
        "oldest": np.arange(1500),
        "cluster": np.argsort(((rows - rows[7]) ** 2).sum(axis=1)),
    }
    dead = orders[kind][: int(1500 * share)]
    vectors.retire(dead.astype(np.uint32), commit=2)
    index.sweep(2)
    assert index.check() == 0
    linking, adopting, cleaning = index.scored
    assert linking == built_for.linking
    assert 0 < cleaning < 0.3 * linking
    assert adopting < 0.001 * linking


def test_a_chain_of_equal_rows_loses_its_dead(tmp_path: Path) -> None:
    rows = rows_of(400)
    rows[100:110] = rows[50]
    rows[200:205] = rows[60]
    dead = np.array([50, 100, 103, 109, 60, 200, 201, 202, 203, 204])
    vectors, index, _ = swept(tmp_path / "rows", rows, dead)
    assert index.removed == 9  # 50 still leads to those of its chain that live.
    assert index.check() == 0
    nodes, _, _, _ = vectors.near(rows[50:51], index=index, k=6)
    assert nodes[0].tolist() == [101, 102, 104, 105, 106, 107]
    vectors.retire([101, 102, 104, 105, 106, 107, 108], commit=3)
    assert index.sweep(3) == 8
    assert index.check() == 0


def test_copies_and_a_dense_cluster_leave_the_others_as_they_were(tmp_path: Path) -> None:
    """A sixth copies, a seventh near-copies of one row: all reached, the rest found as before."""
    rows, queries = rows_of(2000), rows_of(100, seed=1)
    rng = np.random.default_rng(5)
    copies = rows[rng.integers(0, 2000, 480)]
    dense = rows[9] + np.float32(1e-3) * rng.standard_normal((400, 32), dtype=np.float32)
    crowded = np.concatenate([rows, copies, dense])[rng.permutation(2880)]
    found = []
    for name, each in (("plain", rows), ("crowded", np.ascontiguousarray(crowded))):
        (tmp_path / name).mkdir()
        vectors, index = built(tmp_path / name, each)
        assert index.check() == 0
        found.append(recall(vectors, index, queries))
    assert found[1] >= found[0] - 0.005
