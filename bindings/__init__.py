"""The border to the C core: one thin module per C file, statuses as exceptions, no copies."""

import os

from ..errors import InvalidError
from ._core import lib

if lib.ql_isa_check() != lib.QL_OK:
    # Here and not at first use: somebody asked for one path and would get results of another.
    raise InvalidError(
        f"want QUILLIAN_ISA to name an instruction set of this CPU (portable, avx2, avx512, neon), "
        f"got {os.environ.get('QUILLIAN_ISA')!r}; unset it to let the CPU decide"
    )
