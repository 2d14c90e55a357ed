"""What the documents say is so: pages are current, examples run, links lead somewhere."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from sources import ROOT

PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
MARKDOWN = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("bench/notes/*.md")]
    if not path.relative_to(ROOT).parts[0].startswith(".")
)


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def links(path: Path) -> set[Path]:
    """The files of this repository that a page links to."""
    found = [a or b for a, b in LINK.findall(path.read_text(encoding="utf-8"))]
    local = [x.partition("#")[0] for x in found if not re.match(r"[a-z]+:", x)]
    return {(path.parent / x).resolve() for x in local if x}


@pytest.mark.parametrize("name", ["operators.md", "commands.md", "limits.md"])
def test_page_is_current(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == generator().PAGES[name](), "run: python docs/generate.py"


def test_every_operator_says_what_its_scores_mean() -> None:
    silent = [
        node.name
        for _, node in generator().operator_classes()
        if "score" not in (ast.get_docstring(node) or "").lower()
    ]
    assert silent == []


def test_every_command_shows_an_example() -> None:
    from quillian.cli.main import main

    commands = generator().command_tree("quillian", main)
    assert [x for x, command in commands if not re.search(rf"\b{x}\b", command.help or "")] == []


def test_every_option_has_a_help() -> None:
    from quillian.cli.main import main

    silent = [
        f"{name} {option.name}"
        for name, command in generator().command_tree("quillian", main)
        for option in command.params
        if option.param_type_name == "option" and not option.help
    ]
    assert silent == []


def test_every_command_takes_json() -> None:
    from quillian.cli.main import main

    commands = generator().command_tree("quillian", main)
    assert len(commands) >= 9
    silent = [
        x for x, command in commands if "--json" not in [o for p in command.params for o in p.opts]
    ]
    assert silent == []


def test_every_limit_says_what_it_limits() -> None:
    header = (ROOT / "csrc/quillian.h").read_text(encoding="utf-8").split("/* ---- Statuses")[0]
    constants = generator().CONSTANT.findall(header)
    assert len(constants) >= 9
    assert [name for name, _, told in constants if not told] == []


def test_tree_of_errors_is_complete() -> None:
    tree = ast.parse((ROOT / "engine/errors.py").read_text(encoding="utf-8"))
    told = re.findall(r"^ *(\w+)(?: \((\w+)\))?", ast.get_docstring(tree) or "", re.MULTILINE)
    classes = [
        (node.name, ast.unparse(node.bases[1]) if len(node.bases) > 1 else "")
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    ]
    assert [x for x in classes if x not in told] == []


@pytest.mark.parametrize("path", MARKDOWN, ids=shown)
def test_links_lead_somewhere(path: Path) -> None:
    assert [str(target) for target in links(path) if not target.exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = {ROOT / "README.md"}
    while waiting:
        path = waiting.pop()
        reached.add(path)
        waiting |= {x for x in links(path) if x.suffix == ".md" and x.exists()} - reached
    assert [shown(path) for path in set(MARKDOWN) - reached] == []


@pytest.mark.parametrize("folder", ["engine", "csrc", "bindings", "cli", "bench"])
def test_map_of_a_folder_names_every_file(folder: str) -> None:
    page = ROOT / folder / "README.md"
    files = [x for x in (ROOT / folder).iterdir() if x.suffix in (".py", ".c", ".h")]
    known = links(page) | {ROOT / "bindings/__init__.py", ROOT / "cli/__init__.py"}
    missing = [x.name for x in sorted(files) if x.resolve() not in known]
    assert missing == [], f"{folder}/README.md is the map of its folder: add a row for these"


def test_format_names_every_table_field_and_file() -> None:
    from quillian import heads, layout

    text = (ROOT / "docs/format.md").read_text(encoding="utf-8")
    words = {f"`{key.decode()}` {table} |" for table, key in layout.TABLES.items()}
    for record in (heads.Manifest, heads.Head):
        words |= {f"`{field}`" for field in record.__match_args__}
    words |= {layout.CATALOG, layout.WRITER_LOCK, layout.GRAPH_LOG, f"{layout.VECTORS}/rows-"}
    assert sorted(word for word in words if word not in text) == []


def test_format_has_the_sizes_of_the_core() -> None:
    from quillian.bindings._core import ffi, lib

    text = (ROOT / "docs/format.md").read_text(encoding="utf-8")
    assert f"| 32 | {ffi.sizeof('ql_edge')} each | records |" in text
    assert f"Version {lib.QL_FORMAT} (`QL_FORMAT`" in text


@pytest.mark.parametrize("path", MARKDOWN, ids=shown)
def test_python_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of one page run in order, in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in PYTHON.findall(path.read_text(encoding="utf-8")):
        exec(compile(block, shown(path), "exec"), names)


def test_readme_has_its_example_and_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = PYTHON.findall(text)
    assert len(example.splitlines()) <= 12
    demo, tests = SHELL.findall(text)
    assert "quillian demo" in demo
    assert "pytest" in tests
    assert all("venv" in command for command in (demo, tests))
