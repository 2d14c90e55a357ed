"""csrc/quillian.h is the cdef, and every name in it is defined in C and used from Python."""

import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from cffi import FFI
from sources import ROOT, c_files, python_files

HEADER = ROOT / "csrc/quillian.h"
C_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DECLARED = re.compile(r"\b(ql_\w+)\s*\(")
CONSTANT = re.compile(r"^#define (\w+) (-?\d+)", re.MULTILINE)


@cache
def header() -> str:
    return C_COMMENT.sub("", HEADER.read_text(encoding="utf-8"))


def declared() -> set[str]:
    return set(DECLARED.findall(header()))


def build_module() -> ModuleType:
    """bindings/build.py, which runs in the root of the sources and is in no installation."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "bindings/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cdef(monkeypatch: pytest.MonkeyPatch) -> FFI:
    """The header, parsed by cffi as the build does it."""
    monkeypatch.chdir(ROOT)
    ffi = FFI()
    ffi.cdef(build_module().cdef(HEADER.read_text(encoding="utf-8")))
    return ffi


def test_header_is_a_cdef(cdef: FFI) -> None:
    assert cdef.sizeof("ql_cost") == 32


def test_header_has_no_macros_but_integers() -> None:
    allowed = re.compile(r"#(?:ifndef QUILLIAN_H|define QUILLIAN_H|endif|include <stdint\.h>)$")
    lines = [line.rstrip() for line in header().splitlines() if line.startswith("#")]
    assert [x for x in lines if not CONSTANT.match(x) and not allowed.match(x)] == []


def test_every_constant_has_its_value_in_python() -> None:
    from quillian.bindings._core import lib

    found = CONSTANT.findall(header())
    assert {name: getattr(lib, name) for name, _ in found} == {x: int(y) for x, y in found}


def test_every_function_is_defined_under_its_name() -> None:
    text = "\n".join(C_COMMENT.sub("", path.read_text("utf-8")) for path in c_files())
    defined = re.findall(r"^[a-z][\w \*]*?\b(ql_\w+)\((?:[^;{}()]|\([^()]*\))*\)\s*\{", text, re.M)
    assert declared() - set(defined) == set()
    assert sorted({name for name in defined if defined.count(name) > 1}) == []


def test_every_function_is_called_from_python() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in python_files("bindings", "tests"))
    assert {name for name in declared() if f"lib.{name}" not in text} == set()


def test_bindings_call_only_what_is_declared() -> None:
    for path in python_files("bindings"):
        called = set(re.findall(r"\blib\.(ql_\w+)", path.read_text(encoding="utf-8")))
        assert called - declared() == set(), path.name


def test_every_function_is_documented() -> None:
    """A declaration has a comment on its line, or above it or the first of its group."""
    bare = []
    commented = False
    for line in HEADER.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            commented = False
        if "/*" in line or "*/" in line:
            commented = True
        if (match := re.match(r"\w.*?\b(ql_\w+)\(", line)) and not commented:
            bare.append(match[1])
    assert bare == []


@pytest.mark.parametrize("path", c_files(), ids=lambda path: path.name)
def test_file_structs_have_static_asserts(path: Path) -> None:
    """A C file that writes structs to disk pins their sizes at compile time."""
    text = C_COMMENT.sub("", path.read_text(encoding="utf-8"))
    if path.name != "file.c" and "ql_file_write(" in text:
        assert "_Static_assert(sizeof(" in text
