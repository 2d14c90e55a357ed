"""engine/adjacency.py: the same graph in SciPy and in Arrow, on the memory of the core."""

import sys

import numpy as np
import pyarrow
import pytest
import quillian as ql
from quillian.adjacency import to_arrow, to_scipy
from quillian.bindings.graph_view import GraphView, Table
from scipy.sparse import coo_array, csgraph

TYPES = ("likes", "knows", "cites")


@pytest.fixture
def linked(store: ql.Store) -> ql.Store:
    """Sixty concepts, three hundred random associations of three types; some pairs have several."""
    rng = np.random.default_rng(1)
    store.add_many(ids=[f"c{i}" for i in range(60)])
    with store.transaction() as txn:
        for a, b, kind in rng.integers(0, (50, 50, 3), (300, 3)).tolist():
            txn.link(f"c{a}", f"c{b}", TYPES[kind], weight=float(rng.integers(1, 9)) / 4)
    return store


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[Table]:
    """What the core gave, to see whose memory an export is."""
    made: list[Table] = []
    plain = GraphView.table

    def kept(self: GraphView, **how) -> Table:
        made.append(plain(self, **how))
        return made[-1]

    monkeypatch.setattr(GraphView, "table", kept)
    return made


def expected(view: ql.Snapshot, types: tuple[str, ...], n: int = 60) -> np.ndarray:
    """The summed weights by node number, from the associations one by one."""
    dense = np.zeros((n, n))
    for one in view.associations():
        if one.type in types:
            dense[view.node(one.source), view.node(one.target)] += one.weight
    return dense


@pytest.mark.parametrize("types", [None, ("likes",), ("likes", "cites")])
def test_scipy_holds_every_association(linked: ql.Store, types: tuple[str, ...] | None) -> None:
    with linked.snapshot() as view:
        dense = expected(view, types or TYPES)
        for direction, want in (("out", dense), ("in", dense.T), ("both", dense + dense.T)):
            matrix, nodes = to_scipy(view, types=types, direction=direction)
            assert np.array_equal(matrix.toarray(), want[np.ix_(nodes, nodes)])
            assert dense.sum() == want[np.ix_(nodes, nodes)].sum() / (1 + (direction == "both"))


def test_scipy_computes_on_it(linked: ql.Store) -> None:
    with linked.snapshot() as view:
        matrix, nodes = to_scipy(view)
        dense = expected(view, TYPES)[np.ix_(nodes, nodes)]
    ones = np.ones(len(nodes))
    assert np.allclose(matrix @ ones, dense @ ones)
    assert np.allclose((matrix @ matrix).toarray(), dense @ dense)
    parts = csgraph.connected_components(matrix, directed=False)
    assert parts[0] == csgraph.connected_components(coo_array(dense), directed=False)[0]


def test_scipy_shares_the_memory_of_the_core(linked: ql.Store, tables: list[Table]) -> None:
    with linked.snapshot() as view:
        matrix, nodes = to_scipy(view)
    assert matrix.data.ctypes.data == tables[0].weights.ctypes.data
    assert matrix.indices.ctypes.data == tables[0].targets.ctypes.data
    assert nodes.ctypes.data == tables[0].nodes.ctypes.data
    with pytest.raises(ValueError, match="read-only"):
        matrix.data[0] = 2.0


def test_arrow_holds_every_association(linked: ql.Store) -> None:
    with linked.snapshot() as view:
        table = to_arrow(view)
        nodes = table["node"].to_pylist()
        found = {
            (node, entry["type"], nodes[entry["row"]], entry["weight"])
            for node, entries in zip(nodes, table["associations"].to_pylist(), strict=True)
            for entry in entries
        }
        assert found == {
            (view.node(one.source), one.type, view.node(one.target), one.weight)
            for one in view.associations()
        }


def test_arrow_shares_the_memory_of_the_core(linked: ql.Store, tables: list[Table]) -> None:
    with linked.snapshot() as view:
        table = to_arrow(view)
    lists = table["associations"].chunk(0)
    shared = {
        "nodes": table["node"].chunk(0),
        "targets": lists.values.field("row"),
        "types": lists.values.field("type").indices,
        "weights": lists.values.field("weight"),
    }
    for name, array in shared.items():
        assert array.buffers()[1].address == getattr(tables[0], name).ctypes.data, name
    assert lists.buffers()[1].address == tables[0].offsets.ctypes.data
    table.validate(full=True)


def test_exports_outlive_the_store(path, tmp_path) -> None:
    with ql.open(path) as store:
        store.add_many(ids=["a", "b"])
        with store.transaction() as txn:
            txn.link("a", "b", "t", weight=0.5)
        with store.snapshot() as view:
            matrix, _ = to_scipy(view)
            table = to_arrow(view)
    assert matrix.toarray().tolist() == [[0.0, 0.5], [0.0, 0.0]]
    entries = pyarrow.table(table)["associations"].to_pylist()
    assert entries == [[{"row": 1, "type": "t", "weight": 0.5}], []]


def test_unknown_types_have_no_associations(linked: ql.Store) -> None:
    with linked.snapshot() as view:
        assert to_scipy(view, types=("unknown",)).matrix.nnz == 0


def test_an_empty_store_is_an_empty_graph(store: ql.Store) -> None:
    with store.snapshot() as view:
        assert to_scipy(view).matrix.shape == (0, 0)
        assert to_arrow(view).num_rows == 0


def test_a_missing_library_is_named(linked: ql.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with linked.snapshot() as view:
        for module, export in (("scipy.sparse", to_scipy), ("pyarrow", to_arrow)):
            monkeypatch.setitem(sys.modules, module, None)
            with pytest.raises(ql.InvalidError, match=f"pip install {module.partition('.')[0]}"):
                export(view)
