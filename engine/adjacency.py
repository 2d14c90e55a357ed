"""The association graph as a SciPy matrix or an Arrow table, over the memory of the C core.

Both stand on one compressed table of a snapshot's graph (`GraphView.table`): making it reads every
association once, and the exports add no copy of a column as long as the associations.  Arrays are
read-only and outlive the snapshot.  scipy and pyarrow are asked for only when theirs is wanted.
"""

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .associations import type_numbers
from .bindings.graph_view import Table
from .errors import InvalidError
from .snapshot import Snapshot

INT32_MAX = 2**31 - 1


class Adjacency(NamedTuple):
    """A square scipy.sparse.csr_array, and the node number that each of its rows stands for."""

    matrix: Any
    nodes: NDArray[np.uint32]


def to_scipy(
    view: Snapshot, *, types: Sequence[str] | None = None, direction: str = "out"
) -> Adjacency:
    """The weights as a CSR array over the concepts that have associations; row i is nodes[i].

    Shared with the core: `data` (float32 weights) and `indices` (uint32 read as int32).
    Converted: `indptr`, n + 1 numbers from uint64 to int32; from 2^31 associations or rows on
    SciPy wants int64 for both, and `indices` is a copy too.
    A pair with several types has an entry for each, and SciPy adds entries of one place up; one
    type gives at most one.  direction: "out", "in" (the transpose) or "both".  Read-only:
    `matrix.copy()` for what sorts or changes in place.
    Unknown types have none.  Raises InvalidError without scipy.  Cost: O(n + m).
    """
    sparse = _library("scipy.sparse")
    table = _table(view, types, direction)
    n, arcs = len(table.nodes), len(table.targets)
    small = max(n, arcs) <= INT32_MAX
    indices = table.targets.view(np.int32) if small else table.targets.astype(np.int64)
    indptr = table.offsets.astype(np.int32 if small else np.int64)
    return Adjacency(sparse.csr_array((table.weights, indices, indptr), (n, n)), table.nodes)


def to_arrow(view: Snapshot, *, types: Sequence[str] | None = None, direction: str = "out") -> Any:
    """A pyarrow.Table, a row per concept that has associations: `node` and its `associations`.

    node uint32; associations large_list<struct<row uint32, type dictionary<uint16, string>,
    weight float>>, where row is the place of the other concept in this table.  Shared with the
    core: all of it but the dictionary of type names.
    Unknown types have none.  Raises InvalidError without pyarrow.  Cost: O(n + m).
    """
    arrow = _library("pyarrow")
    table = _table(view, types, direction)
    numbers = {number: name for name, number in view.type_numbers().items()}
    names = [numbers.get(number) for number in range(max(numbers, default=-1) + 1)]
    kinds = arrow.DictionaryArray.from_arrays(
        arrow.array(table.types), arrow.array(names, arrow.string())
    )
    ends, weights = arrow.array(table.targets), arrow.array(table.weights)
    entries = arrow.StructArray.from_arrays([ends, kinds, weights], ["row", "type", "weight"])
    offsets = arrow.array(table.offsets.view(np.int64))
    lists = arrow.LargeListArray.from_arrays(offsets, entries)
    return arrow.table({"node": arrow.array(table.nodes), "associations": lists})


def _table(view: Snapshot, types: Sequence[str] | None, direction: str) -> Table:
    wanted = type_numbers(None if types is None else tuple(types), view.type_numbers())
    return view.graph.table(direction=direction, types=wanted)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise InvalidError(f"this wants {package}: pip install {package}") from error
