"""Imports go down, and three kinds of knowledge stay where they belong: lmdb, CPUs, intrinsics."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from sources import ROOT, c_files, package_modules

# From the bottom up. A module may import its own layer (without circles) and the ones before it.
LAYERS = (
    "errors records layout plugins locking heads syncing environment pages mounts concepts edges",
    "bindings",
    "kernels hashing regular patterns",
    "memory dirty vectors associations extents text catalog tiers selection rows views"
    " spiking filters bitmaps"
    " coding facets bundle reading cutting coherence calibration indexing background checks drafts"
    " budgets embedders columns ledgers plasticity memories genomes blobs"
    " checkpoints connectomes blueprints rasters namespaces addressing"
    " matched facts severing belief evidence receipts explanations judgement extraction mentions"
    " beginnings questions naming chaining rules mining syncpoints",
    "logs manifests folding journal durability sizes",
    "directory",
    "snapshot nearness",
    "query results bounding adding linking changing learning transaction checking copying"
    " compacting salvaging repairing adjacency",
    "operators planning asking",
    "store keeping vanishing",
    "asynchronous ingesting importing exporting conditions diagnosing"  # Jobs on a store.
    " networkx_backend",
    "__init__",  # The package itself: its public names.
    "cli",
)
LMDB_ONLY = {"quillian.catalog", "quillian.environment", "quillian.tiers"}
CPU_QUESTION = re.compile(
    r"cpuid|xgetbv|__builtin_cpu_|getauxval|HWCAP|QUILLIAN_ISA|sysctlbyname", re.IGNORECASE
)
INTRINSIC = re.compile(r"immintrin\.h|arm_neon\.h|\b_mm\d*_|\b__m(128|256|512)|QL_TARGET_BEGIN\(")
ISA_FILE = re.compile(r"_(sse4|avx2|avx512|neon)\.c$")


def layer(name: str) -> int:
    """The layer of a module: quillian.operators.finding stands where operators does."""
    part = name.removeprefix("quillian").lstrip(".").split(".")[0] or "__init__"
    for level, names in enumerate(LAYERS):
        if part in names.split():
            return level
    raise AssertionError(f"{name} has no layer: say in {Path(__file__).name} where it belongs")


def imports(name: str, path: Path, modules: set[str]) -> set[str]:
    """The absolute names of what a module imports, wherever in the file it does so."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base] if base else up)
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {child if child in modules else base for child in names}
    return found


def graph() -> dict[str, set[str]]:
    modules = dict(package_modules())
    return {name: imports(name, path, set(modules)) for name, path in modules.items()}


def ours(names: set[str]) -> set[str]:
    """Those of our own package; the compiled module counts as its wrapper's layer."""
    return {x for x in names if x.split(".")[0] == "quillian" and not x.endswith("._core")}


def test_imports_go_down() -> None:
    upward = [
        f"{name} imports {other}"
        for name, found in graph().items()
        for other in sorted(ours(found))
        if layer(other) > layer(name)
    ]
    assert upward == []


def test_imports_have_no_circles() -> None:
    try:
        TopologicalSorter({name: ours(found) for name, found in graph().items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_operators_do_not_import_each_other() -> None:
    crossing = [
        f"{name} imports {other}"
        for name, found in graph().items()
        if name.startswith("quillian.operators.")
        for other in sorted(found)
        if other.startswith("quillian.operators")
    ]
    assert crossing == []


def test_package_imports_itself_by_relative_name() -> None:
    absolute = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for _, path in package_modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").split(".")[0] == "quillian"
            and not node.level
        )
        or (
            isinstance(node, ast.Import)
            and any(alias.name.split(".")[0] == "quillian" for alias in node.names)
        )
    ]
    assert absolute == []


def test_only_the_catalog_imports_lmdb() -> None:
    users = {
        name for name, found in graph().items() if any(x.split(".")[0] == "lmdb" for x in found)
    }
    assert users - LMDB_ONLY == set()


def test_nothing_imports_pickle_or_the_network() -> None:
    banned = {"pickle", "marshal", "shelve", "socket", "urllib", "http", "requests", "ftplib"}
    users = [
        f"{name} imports {other}"
        for name, found in graph().items()
        for other in sorted(found)
        if other.split(".")[0] in banned
    ]
    assert users == []


def test_only_dispatch_asks_the_cpu() -> None:
    asking = {path.name for path in c_files() if CPU_QUESTION.search(path.read_text("utf-8"))}
    assert asking == {"dispatch.c"}


def test_intrinsics_stay_in_files_named_after_their_isa() -> None:
    users = {path.name for path in c_files() if INTRINSIC.search(path.read_text("utf-8"))}
    assert {name for name in users if not ISA_FILE.search(name)} == set()


def test_build_names_no_instruction_set() -> None:
    for path in (ROOT / "setup.py", ROOT / "bindings/build.py"):
        assert re.findall(r"-m(?:arch|tune|avx|sse|cpu|fpu)\S*", path.read_text("utf-8")) == []
