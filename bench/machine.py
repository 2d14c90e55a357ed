"""On what was it measured? The facts that every bench prints with its figures."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from quillian.bindings.kernels import isa


def facts(*packages: str, **more: object) -> dict[str, str]:
    """Commit, processor, instruction set, cores, load, versions (empty where not installed)."""
    found = {
        "commit": _commit(),
        "cpu": processor(),
        "isa": isa(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
    }
    versions = {name: _version(name) for name in packages}
    return found | versions | {name: str(value) for name, value in more.items()}


def line(*packages: str, **more: object) -> str:
    """The facts in one line."""
    return ", ".join(f"{name} {value}" for name, value in facts(*packages, **more).items())


def processor() -> str:
    """The processor's name, as the system tells it."""
    if (info := Path("/proc/cpuinfo")).is_file():
        for entry in info.read_text().splitlines():
            if entry.startswith("model name"):
                return entry.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
