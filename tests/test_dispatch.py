"""Which instruction set is in use: chosen by the CPU, overridden by name, never by accident."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from quillian.bindings import kernels
from quillian.bindings._core import lib
from quillian.errors import InvalidError
from sources import ROOT

FLAGS = ["-std=c11", "-O2", "-ffp-contract=off", "-I", str(ROOT / "csrc")]
CHECKED = ["memory", "dispatch", "crc32c", "score", "codes", "screen"]
PRINT_ISA = "from quillian.bindings import kernels; print(kernels.isa())"


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def python_under(isa: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRINT_ISA],
        env={**os.environ, "QUILLIAN_ISA": isa},
        text=True,
        capture_output=True,
        check=False,
    )


def compiled_check(compiler: str, program: Path) -> Path:
    """kernels_check.c with the kernels, for the compiler's machine."""
    sources = [ROOT / "csrc" / f"{name}.c" for name in CHECKED]
    sources += (ROOT / "csrc").glob("kernels_*.c")
    command = [compiler, *FLAGS, "-static", ROOT / "tests/kernels_check.c", *sources]
    subprocess.run([*command, "-lm", "-o", program], check=True)
    return program


def lines_of(*command: object) -> list[str]:
    done = subprocess.run([str(x) for x in command], text=True, capture_output=True, check=True)
    return done.stdout.splitlines()


def test_environment_names_the_instruction_set() -> None:
    assert python_under("portable").stdout == "portable\n"


def test_empty_name_leaves_the_choice_to_the_cpu() -> None:
    assert python_under("").stdout == python_under(kernels.isa()).stdout


@pytest.mark.parametrize("name", ["avx1024", "PORTABLE", "avx", "neon avx2"])
def test_unknown_name_is_an_error_at_import(name: str) -> None:
    done = python_under(name)
    assert done.returncode != 0
    assert "InvalidError: want QUILLIAN_ISA to name an instruction set" in done.stderr
    assert f"got '{name}'" in done.stderr


def test_use_isa_refuses_what_is_not_there() -> None:
    before = kernels.isa()
    with pytest.raises(InvalidError, match="avx1024"):
        kernels.use_isa("avx1024")
    absent = "avx2" if before == "neon" else "neon"
    with pytest.raises(InvalidError, match=absent):
        kernels.use_isa(absent)
    assert kernels.isa() == before


def test_table_carries_its_own_name() -> None:
    before = kernels.isa()
    for name in ("portable", "avx2", "avx512", "neon"):
        if lib.ql_isa_use(name.encode()) == lib.QL_OK:
            assert kernels.isa() == name
    kernels.use_isa(before)


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "isa"), [("Nehalem", "portable"), ("Haswell", "avx2")])
def test_older_x86_runs_what_it_has(tmp_path: Path, cpu: str, isa: str) -> None:
    """A CPU without AVX2 must take the portable table, not die of an illegal instruction."""
    need("qemu-x86_64", "x86_64-linux-gnu-gcc")
    program = compiled_check("x86_64-linux-gnu-gcc", tmp_path / "check")
    lines = lines_of("qemu-x86_64", "-cpu", cpu, program)
    assert lines[0] == f"chosen {isa}"
    assert f"{isa} equal" in lines
    assert "avx512 absent" in lines


@pytest.mark.slow
def test_neon_gives_the_bits_of_portable(tmp_path: Path) -> None:
    need("qemu-aarch64", "aarch64-linux-gnu-gcc")
    program = compiled_check("aarch64-linux-gnu-gcc", tmp_path / "check")
    lines = lines_of("qemu-aarch64", program)
    assert lines == [
        "chosen neon",
        "portable equal",
        "avx2 absent",
        "avx512 absent",
        "neon equal",
    ]
