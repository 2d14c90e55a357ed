"""What a user installs: sdist -> wheel -> import, complete and without leftovers."""

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from sources import ROOT, copy_tree, module_name, python_files

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packaging")]

STALE = "build/lib/quillian/renamed.py"


def run(*command: str, folder: Path) -> str:
    """Run to the end and return what it printed; its output is in the failure."""
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of a clean copy and the wheel built from that sdist alone."""
    tree = copy_tree(tmp_path_factory.mktemp("tree"))
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder))
    run(*build, "--sdist", str(tree), folder=tree)
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    stale = source / STALE
    stale.parent.mkdir(parents=True)
    stale.write_text("raise ImportError\n")
    run(*build, "--wheel", str(source), folder=source)
    return folder


def wheel_names(dist: Path) -> set[str]:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_sdist_holds_every_source(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    core = {f"csrc/{path.name}" for path in (ROOT / "csrc").glob("*.[ch]")}
    modules = {str(path.relative_to(ROOT)) for path in python_files("engine", "bindings", "cli")}
    assert (core | modules | {"setup.py", "pyproject.toml", "LICENSE"}) - names == set()


def test_wheel_is_abi3(dist: Path) -> None:
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("free-threaded Python has no abi3 before 3.15")
    (wheel,) = dist.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name
    assert any(name.startswith("quillian/bindings/_core.abi3.") for name in wheel_names(dist))


def test_wheel_holds_every_module_and_nothing_stale(dist: Path) -> None:
    names = wheel_names(dist)
    wanted = {
        f"{module_name(path).replace('.', '/')}{'/__init__' * (path.stem == '__init__')}.py"
        for path in python_files("engine", "bindings", "cli")
    } - {"quillian/bindings/build.py"}
    wanted |= {f"quillian/bench/{path.name}" for path in python_files("bench")}
    assert {name for name in names if name.endswith(".py")} == wanted
    assert {"quillian/py.typed", "quillian/bindings/_core.pyi"} - names == set()


def test_wheel_holds_the_bundled_files(dist: Path) -> None:
    bundled = {f"quillian/bundled/{path.name}" for path in (ROOT / "engine/bundled").glob("*")}
    assert bundled - wheel_names(dist) == set()


def test_installed_wheel_imports_whole(dist: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps")
    run(*pip, "--target", str(target), str(next(dist.glob("*.whl"))), folder=tmp_path)
    script = (
        "import importlib, pkgutil, sys; sys.path.insert(0, sys.argv[1]); import quillian\n"
        "assert quillian.__file__.startswith(sys.argv[1]), quillian.__file__\n"
        "for module in pkgutil.walk_packages(quillian.__path__, 'quillian.'):\n"
        "    importlib.import_module(module.name); print(module.name)\n"
    )
    printed = run(sys.executable, "-I", "-c", script, str(target), folder=tmp_path).split()
    expected = {module_name(path) for path in python_files("engine", "bindings", "cli")}
    assert set(printed) - {"quillian.bindings._core"} == expected - {
        "quillian",
        "quillian.bindings.build",
    }
