"""The cffi build of the C core: `csrc/quillian.h` is the one cdef, `csrc/*.c` the one module.

Run by setuptools (`cffi_modules` in setup.py). Inner loop: `python setup.py build_ext --inplace`.
"""

import re
from glob import glob
from pathlib import Path

from cffi import FFI

HEADER = Path("csrc/quillian.h")
INTEGER_CONSTANT = re.compile(r"^#define \w+ -?\d+(\s+/\*.*)?$")


def cdef(header: str) -> str:
    """The header without its preprocessor lines, except integer constants."""
    lines = header.splitlines()
    return "\n".join(x for x in lines if not x.startswith("#") or INTEGER_CONSTANT.match(x))


ffi = FFI()
ffi.cdef(cdef(HEADER.read_text(encoding="utf-8")))
ffi.set_source(
    "quillian.bindings._core",
    '#include "quillian.h"',
    sources=sorted(glob("csrc/*.c")),
    depends=sorted(glob("csrc/*.h")),
    include_dirs=["csrc"],
    libraries=["m", "pthread"],
    undef_macros=["NDEBUG"],  # Python's own flags define it; our asserts stay on in releases.
    extra_compile_args=[
        "-std=c11",
        "-O3",
        "-ffp-contract=off",  # No fused multiply-add: all instruction sets give the same bits.
        "-fvisibility=hidden",
        "-Wall",
        "-Wextra",
    ],
)
