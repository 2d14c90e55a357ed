"""The source tree as the structural tests see it: where things are, and the link view.

An import package exists only through `package_dir`, so a tool that reads sources (a type checker,
a build with sanitizers) gets a folder `quillian` of links instead of an installation.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"engine": "quillian", "bindings": "quillian.bindings", "cli": "quillian.cli"}
PYTHON_FOLDERS = ("engine", "bindings", "cli", "tests", "bench", "docs")
LEFT_BEHIND = ("build", "dist", "__pycache__", "_core.c")


def python_files(*folders: str) -> list[Path]:
    """Every Python source below the folders (all of them by default), and setup.py."""
    found = [path for folder in folders or PYTHON_FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return sorted(found if folders else [*found, ROOT / "setup.py"])


def c_files() -> list[Path]:
    return sorted((ROOT / "csrc").glob("*.c"))


def module_name(path: Path) -> str:
    """engine/operators/finding.py -> quillian.operators.finding"""
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([PACKAGES[folder], *(part for part in rest if part != "__init__")])


def package_modules() -> Iterator[tuple[str, Path]]:
    """Every module of the import package with its file."""
    for path in python_files(*PACKAGES):
        yield module_name(path), path


def link_view(folder: Path, root: Path = ROOT) -> Path:
    """Make folder/quillian out of links to the sources of root; return folder for a search path."""
    package = folder / "quillian"
    package.mkdir(parents=True)
    for entry in (root / "engine").iterdir():
        if entry.name != "__pycache__":
            os.symlink(entry, package / entry.name)
    for name in ("bindings", "cli"):
        os.symlink(root / name, package / name)
    return folder


def copy_tree(folder: Path) -> Path:
    """Copy what a build or a test run needs, with nothing that an earlier build left behind."""
    ignore = shutil.ignore_patterns(*LEFT_BEHIND, "*.so", "*.o", "*.egg-info")
    for name in (*PACKAGES, "bench", "csrc", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder
