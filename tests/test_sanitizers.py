"""The tests of the C files once more, on a core built with sanitizers.

Every test file that imports the bindings runs under AddressSanitizer and
UndefinedBehaviorSanitizer; the tests with "thread" in their names also run under ThreadSanitizer.
Python itself is not instrumented: the runtime is preloaded, and only the core is watched. Each run
starts with a crime that the sanitizer must see, so a core built or loaded wrongly cannot pass.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sources import ROOT, copy_tree, link_view

pytestmark = pytest.mark.slow

CORE_TEST = re.compile(r"^from quillian\.bindings", re.MULTILINE)
COMMON = "-g -O1 -fno-omit-frame-pointer -fsanitize="
OPTIONS = {
    # Python and NumPy keep memory until the process ends: leaks are not looked for here. hnswlib's
    # binding frees an array as one object; the core is C and has no such pairs.
    "ASAN_OPTIONS": "detect_leaks=0:alloc_dealloc_mismatch=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    # Locks of modules that are not instrumented look like races of their data.
    "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:halt_on_error=1:report_signal_unsafe=0",
}

OVERFLOW = """
import quillian.bindings._core as core
core.lib.ql_crc32c(0, core.ffi.new("char[16]"), 64)
"""
RACE = """
import threading
import quillian.bindings._core as core
rows, scores = core.ffi.new("float[]", 1 << 20), core.ffi.new("float[]", 1 << 16)
together = threading.Barrier(4)


def score():
    together.wait()
    for _ in range(50):  # Once could be over before the next thread has a core.
        core.lib.ql_score_rows(core.lib.QL_DOT, rows, 16, rows, 16, 1 << 16, scores)


threads = [threading.Thread(target=score) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


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
    """The test files that import the bindings themselves, and so are about the core."""
    return [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        if CORE_TEST.search(path.read_text(encoding="utf-8"))
    ]


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


def watched(tree: Path, preload: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, with the sanitizers' core."""
    # Without a fixed layout of addresses: some kernels randomise more bits than the runtimes allow.
    fixed = ["setarch", platform.machine(), "-R"] if shutil.which("setarch") else []
    return subprocess.run(
        [*fixed, sys.executable, *arguments],
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


def run_tests(tree: Path, preload: list[str], *selection: str) -> None:
    """Run pytest in the copy, with the sanitizers' core, and fail with its output."""
    done = watched(tree, preload, "-m", "pytest", "-qx", "--capture=sys", *selection)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


def test_core_is_clean_under_address_and_undefined(tmp_path: Path) -> None:
    preload = [runtime("libasan.so"), runtime("libstdc++.so")]
    tree = built("address,undefined -fno-sanitize-recover=undefined", tmp_path)
    assert "heap-buffer-overflow" in watched(tree, preload, "-c", OVERFLOW).stderr
    run_tests(tree, preload, "-m", "not slow", *core_tests())


def test_core_is_clean_under_thread(tmp_path: Path) -> None:
    preload = [runtime("libtsan.so")]
    tree = built("thread", tmp_path)
    assert "data race" in watched(tree, preload, "-c", RACE).stderr
    run_tests(tree, preload, "-m", "not slow", "-k", "thread", *core_tests())
