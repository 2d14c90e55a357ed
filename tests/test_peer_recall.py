"""The index beside hnswlib: the same rows, the same settings, no worse recall.

Apart from test_hnsw.py because that one runs under sanitizers, which do not like hnswlib.
"""

from pathlib import Path

import hnswlib
import numpy as np
import pytest
from test_hnsw import built, recall, rows_of


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_recall_is_that_of_hnswlib(tmp_path: Path, metric: str) -> None:
    rows, queries = rows_of(3000), rows_of(100, seed=1)
    vectors, index = built(tmp_path, rows, metric)
    peer = hnswlib.Index({"cosine": "cosine", "dot": "ip", "l2": "l2"}[metric], 32)
    peer.init_index(3000, M=16, ef_construction=200, random_seed=1)
    peer.add_items(rows, num_threads=1)
    peer.set_ef(64)
    theirs, _ = peer.knn_query(queries, k=10, num_threads=1)
    exact = vectors.near(queries, k=10, exact=True)[0]
    their_recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(theirs, exact, strict=True)])
    assert recall(vectors, index, queries) >= their_recall - 0.01
