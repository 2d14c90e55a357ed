"""The package is `mypy --strict` clean, seen through the link view."""

import subprocess
import sys
from pathlib import Path

from sources import ROOT, link_view


def strict(search_path: Path, *what: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        str(ROOT / "pyproject.toml"),
    ]
    return subprocess.run(
        [*command, "--cache-dir", str(search_path / "cache"), *what],
        cwd=search_path,
        env={"MYPYPATH": str(search_path)},
        text=True,
        capture_output=True,
        check=False,
    )


def test_package_is_strictly_typed(tmp_path: Path) -> None:
    done = strict(link_view(tmp_path), "-p", "quillian")
    assert done.returncode == 0, done.stdout + done.stderr


def test_checker_sees_the_package_through_the_view(tmp_path: Path) -> None:
    """A wrong call must be found: a view that resolved to Any would pass everything."""
    user = link_view(tmp_path) / "user.py"
    user.write_text("from quillian.errors import NotFoundError\nvalue: int = NotFoundError('x')\n")
    done = strict(tmp_path, str(user))
    assert "Incompatible types in assignment" in done.stdout
