"""The tests of the C files once more, on a core built with sanitizers.

Each test file named after a C file runs under AddressSanitizer and UndefinedBehaviorSanitizer; the
tests with "thread" in their names also run under ThreadSanitizer. Python itself is not
instrumented: the runtime is preloaded, and only the core is watched.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sources import ROOT, c_files, copy_tree, link_view

pytestmark = pytest.mark.slow

COMMON = "-g -O1 -fno-omit-frame-pointer -fsanitize="
OPTIONS = {
    # Python and NumPy keep memory until the process ends, so leaks are not looked for here.
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    # Locks of modules that are not instrumented look like races of their data.
    "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:halt_on_error=1:report_signal_unsafe=0",
}


def runtime(name: str) -> str:
    """The path of a runtime library of gcc, or a skip that says what is missing."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    asked = subprocess.run(
        ["gcc", f"-print-file-name={name}"], text=True, capture_output=True, check=True
    )
    path = Path(asked.stdout.strip())
    if not path.is_absolute():
        pytest.skip(f"gcc has no {name}")
    return str(path.resolve())


def core_tests() -> list[str]:
    """The test files that stand for one C file each: tests/test_graph.py for csrc/graph.c."""
    names = [f"tests/test_{path.stem}.py" for path in c_files()]
    return [name for name in names if (ROOT / name).exists()]


def built(sanitizers: str, folder: Path) -> Path:
    """A copy of the sources with a core built under the sanitizers, and its link view."""
    tree = copy_tree(folder / "tree")
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=tree,
        env={**os.environ, "CC": "gcc", "CFLAGS": COMMON + sanitizers},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    link_view(folder / "view", tree)
    return tree


def run_tests(tree: Path, preload: list[str], *selection: str) -> None:
    """Run pytest in the copy, with the sanitizers' core, and fail with its output."""
    # Without a fixed layout of addresses: some kernels randomise more bits than the runtimes allow.
    fixed = ["setarch", platform.machine(), "-R"] if shutil.which("setarch") else []
    done = subprocess.run(
        [*fixed, sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *selection],
        cwd=tree,
        env={
            **os.environ,
            **OPTIONS,
            "LD_PRELOAD": " ".join(preload),
            "PYTHONPATH": str(tree.parent / "view"),
            "PYTHONMALLOC": "malloc",
            "OPENBLAS_NUM_THREADS": "1",
        },
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


def test_core_is_clean_under_address_and_undefined(tmp_path: Path) -> None:
    preload = [runtime("libasan.so"), runtime("libstdc++.so")]
    tree = built("address,undefined -fno-sanitize-recover=undefined", tmp_path)
    run_tests(tree, preload, "-m", "not slow", *core_tests())


def test_core_is_clean_under_thread(tmp_path: Path) -> None:
    preload = [runtime("libtsan.so")]
    tree = built("thread", tmp_path)
    run_tests(tree, preload, "-k", "thread", *core_tests())
