"""Connected components, over csrc/components.c."""

import numpy as np
from numpy.typing import NDArray

from ._core import ffi, lib
from .csr import Csr


def components(graph: Csr) -> tuple[int, NDArray[np.uint32]]:
    """How many components there are, and each vertex's number, in order of smallest vertices."""
    labels = np.empty(graph.n, np.uint32)
    count, cost = ffi.new("uint32_t *"), ffi.new("ql_cost *")
    lib.ql_components(graph.struct, ffi.from_buffer("uint32_t[]", labels), count, cost)
    return int(count[0]), labels
