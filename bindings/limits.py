"""The limits of csrc/quillian.h, under their Python names: `QL_DIM_MAX` is `DIM_MAX`."""

from typing import Final

from ._core import lib

DIM_MAX: Final[int] = lib.QL_DIM_MAX
CONCEPTS_MAX: Final[int] = lib.QL_CONCEPTS_MAX
ASSOCIATIONS_MAX: Final[int] = lib.QL_ASSOCIATIONS_MAX
TYPES_MAX: Final[int] = lib.QL_TYPES_MAX
NAMESPACES_MAX: Final[int] = lib.QL_NAMESPACES_MAX
NAMESPACE_BYTES_MAX: Final[int] = lib.QL_NAMESPACE_BYTES_MAX
ID_BYTES_MAX: Final[int] = lib.QL_ID_BYTES_MAX
TYPE_BYTES_MAX: Final[int] = lib.QL_TYPE_BYTES_MAX
TEXT_BYTES_MAX: Final[int] = lib.QL_TEXT_BYTES_MAX
DATA_BYTES_MAX: Final[int] = lib.QL_DATA_BYTES_MAX
MEMORY_BYTES_MIN: Final[int] = lib.QL_MEMORY_BYTES_MIN
FORMAT: Final[int] = lib.QL_FORMAT
NONE: Final[int] = lib.QL_NONE
EDGE_REMOVE: Final[int] = lib.QL_EDGE_REMOVE
EDGE_DATA: Final[int] = lib.QL_EDGE_DATA
