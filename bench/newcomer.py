"""How long does a newcomer wait for the install, the import and the first answer?

    python bench/newcomer.py [--runs 15]

Clones this repository, installs it into a fresh environment as the README says, runs the demo,
and measures imports there. Needs git, a C compiler, and a package index for the dependencies.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

ROOT = Path(__file__).resolve().parent.parent
TOOLS = {"pip", "setuptools", "wheel"}


def run(*command: str | Path, folder: Path | None = None) -> str:
    """Run to the end; returns standard output."""
    done = subprocess.run(
        [str(x) for x in command], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def seconds(*command: str | Path, folder: Path | None = None) -> float:
    """How long a command takes."""
    start = time.perf_counter()
    run(*command, folder=folder)
    return time.perf_counter() - start


def import_ms(python: Path, module: str, runs: int) -> float:
    """Median milliseconds of processor time that a fresh interpreter spends importing it."""
    code = f"import time; s = time.process_time(); import {module}; print(time.process_time() - s)"
    return statistics.median(float(run(python, "-c", code)) * 1e3 for _ in range(runs))


def beside_numpy_ms(python: Path, module: str, runs: int) -> float:
    """The same where numpy has been imported before."""
    code = (
        "import time, numpy; s = time.process_time(); "
        f"import {module}; print(time.process_time() - s)"
    )
    return statistics.median(float(run(python, "-c", code)) * 1e3 for _ in range(runs))


def megabytes(folder: Path) -> float:
    """Bytes of the files below a folder, in MB."""
    return sum(x.stat().st_size for x in folder.rglob("*") if x.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    print(machine.line())
    with tempfile.TemporaryDirectory() as name:
        clone, venv = Path(name) / "quillian", Path(name) / "venv"
        python = venv / "bin/python"
        rows: list[tuple[str, str]] = []
        spent = [seconds("git", "clone", "-q", ROOT, clone)]
        spent.append(seconds(sys.executable, "-m", "venv", venv))
        spent.append(seconds(python, "-m", "pip", "install", "-q", ".[rich]", folder=clone))
        rows.append(("clone, environment, install", " + ".join(f"{x:.1f} s" for x in spent)))
        spent.append(seconds(venv / "bin/quillian", "demo"))
        rows.append(("demo", f"{spent[-1]:.1f} s"))
        rows.append(("clone to first answers", f"{sum(spent):.1f} s"))
        (site,) = venv.glob("lib/python3*/site-packages")
        listed = run(python, "-m", "pip", "list", "--format", "freeze").split()
        names = [x.partition("==")[0] for x in listed if x.partition("==")[0] not in TOOLS]
        rows.append(("installed packages", f"{len(names)}: {', '.join(names)}"))
        rows.append(("quillian on disk", f"{megabytes(site / 'quillian'):.1f} MB"))
        tools = sum(megabytes(x) for tool in TOOLS for x in site.glob(f"{tool}*"))
        rows.append(("with its dependencies", f"{megabytes(site) - tools:.1f} MB"))
        for module in ("quillian", "quillian.store", "quillian.cli.main"):
            alone = import_ms(python, module, options.runs)
            beside = beside_numpy_ms(python, module, options.runs)
            rows.append((f"import {module}", f"{alone:.0f} ms, {beside:.0f} ms beside numpy's"))
        help_s = statistics.median(
            seconds(venv / "bin/quillian", "--help") for _ in range(options.runs)
        )
        rows.append(("quillian --help", f"{help_s * 1e3:.0f} ms"))
    for what, value in rows:
        print(f"{what:<30}{value}")


if __name__ == "__main__":
    main()
