"""The package is `mypy --strict` clean, seen through the link view."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sources import ROOT, link_view


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link_view(tmp_path_factory.mktemp("view"))


def strict(view: Path, *what: str) -> subprocess.CompletedProcess[str]:
    config = str(ROOT / "pyproject.toml")
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", config, *what],
        cwd=view,
        env={**os.environ, "MYPYPATH": str(view), "MYPY_CACHE_DIR": str(view / "cache")},
        text=True,
        capture_output=True,
        check=False,
    )


def test_package_is_strictly_typed(view: Path) -> None:
    done = strict(view, "-p", "quillian")
    assert done.returncode == 0, done.stdout + done.stderr


def test_checker_sees_the_package_through_the_view(view: Path) -> None:
    """A wrong use must be found: a view that resolved to Any would pass everything."""
    user = view / "user.py"
    user.write_text("from quillian.errors import NotFoundError\nvalue: int = NotFoundError('x')\n")
    assert "Incompatible types in assignment" in strict(view, str(user)).stdout
