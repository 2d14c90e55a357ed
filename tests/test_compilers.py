"""The C core is silent under gcc and clang, and wide registers stay in the kernels' files."""

import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sources import ROOT, c_files

pytestmark = pytest.mark.slow

STRICT = ("-std=c11", "-O3", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-warning-option")
WIDE_FILE = re.compile(r"_(avx2|avx512)\.c$")


def compiled(compiler: str, source: Path, folder: Path) -> tuple[Path, str]:
    """The object file of a source, and what the compiler said about it."""
    target = folder / f"{source.stem}.o"
    command = [compiler, *STRICT, "-Icsrc", "-c", str(source), "-o", str(target)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    return target, done.stderr


@pytest.fixture(scope="module", params=["gcc", "clang"])
def objects(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[Path, tuple[Path, str]]:
    compiler: str = request.param
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folder = tmp_path_factory.mktemp(compiler)
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda source: compiled(compiler, source, folder), c_files())
    return dict(zip(c_files(), results, strict=True))


def test_compiler_is_silent(objects: dict[Path, tuple[Path, str]]) -> None:
    assert "".join(said for _, said in objects.values()) == ""


def test_wide_registers_stay_in_the_kernels(objects: dict[Path, tuple[Path, str]]) -> None:
    """A baseline file that used ymm or zmm would die on the machines it claims to run on."""
    if platform.machine() != "x86_64" or shutil.which("objdump") is None:
        pytest.skip("needs x86-64 and objdump")
    wide = set()
    for source, (target, _) in objects.items():
        listing = subprocess.run(
            ["objdump", "-d", "--no-show-raw-insn", str(target)],
            text=True,
            capture_output=True,
            check=True,
        ).stdout
        if re.search(r"%[yz]mm\d", listing):
            wide.add(source.name)
    assert wide == {source.name for source in objects if WIDE_FILE.search(source.name)}
