"""Associations as arrays: the log's own 16-byte record as a dtype, and the checks at the border."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .columns import FEW

EDGE = np.dtype(
    [("source", "<u4"), ("target", "<u4"), ("type", "<u2"), ("flags", "<u2"), ("weight", "<f4")]
)
Edges = NDArray[np.void]
DIRECTIONS = {"out": lib.QL_OUT, "in": lib.QL_IN, "both": lib.QL_BOTH}


def edges_from(
    sources: ArrayLike,
    targets: ArrayLike,
    types: ArrayLike = 0,
    weights: ArrayLike = 1.0,
    flags: ArrayLike = 0,
) -> Edges:
    """Columns as one array of records; scalars are repeated."""
    columns = (sources, targets, types, flags, weights)
    shape = np.broadcast_shapes(*(np.shape(column) for column in columns))
    if len(shape) != 1:
        raise InvalidError(f"want columns (n,), got shapes that make {shape}")
    edges = np.empty(shape, EDGE)
    limits = (lib.QL_CONCEPTS_MAX, lib.QL_CONCEPTS_MAX, lib.QL_TYPES_MAX - 1, 3)
    names = ("source", "target", "type", "flags")
    for name, column, limit in zip(names, columns, limits, strict=False):
        edges[name] = integers(column, name, limit)
    with np.errstate(over="ignore"):
        edges["weight"] = weights
    if not np.isfinite(edges["weight"]).all():
        raise InvalidError("want finite float32 weights, got NaN or infinity")
    return edges


def integers(values: ArrayLike, name: str, limit: int) -> NDArray[Any]:
    column = np.asarray(values)
    if column.size and column.dtype.kind not in "iu":
        raise InvalidError(f"want integers as {name}, got {column.dtype}")
    if column.size:
        few = column.ravel().tolist() if column.size <= FEW else None
        low, high = (min(few), max(few)) if few else (column.min(), column.max())
        if not 0 <= low <= high <= limit:
            raise InvalidError(f"want {name} 0..{limit}, got {low}..{high}")
    return column


def node_numbers(values: ArrayLike, name: str) -> NDArray[np.uint32]:
    column = integers(values, name, lib.QL_CONCEPTS_MAX)
    if column.ndim != 1:
        raise InvalidError(f"want {name} (n,), got shape {column.shape}")
    return np.ascontiguousarray(column, np.uint32)


def edge_records(edges: Edges) -> Edges:
    if edges.dtype != EDGE or edges.ndim != 1:
        raise InvalidError(f"want edges (n,) of dtype EDGE, got {edges.shape} {edges.dtype}")
    return np.ascontiguousarray(edges)


def type_filter(types: Sequence[int] | None) -> tuple[Any, int]:
    """As C wants them: NULL means all."""
    if types is None:
        return ffi.NULL, 0
    column = integers(types, "types", lib.QL_TYPES_MAX - 1)
    if len(column) == 0:
        return ffi.new("uint16_t[1]"), 0  # Not NULL: no type at all.
    return ffi.from_buffer("uint16_t[]", np.ascontiguousarray(column, np.uint16)), len(column)


def direction_number(direction: str) -> int:
    if direction not in DIRECTIONS:
        raise InvalidError(f"want direction out, in or both, got {direction!r}")
    return int(DIRECTIONS[direction])
