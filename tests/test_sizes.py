"""One file fits one head, one function one screen; names are whole and comments are done."""

import ast
import re
from pathlib import Path

import pytest
from sources import ROOT, c_files, python_files

FILE_LINES = {".py": 400, ".c": 900, ".h": 900}
C_COLUMNS = 100  # Of Python the formatter sees to it.
FUNCTION_LINES = {".py": 50, ".c": 70}
SUFFIX = re.compile(r"_(?:v\d+|new|old|fixed|real|final|tmp|temp)$")
LATER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
C_FUNCTION = re.compile(r"^(?!typedef\b)\w[\w \*]*[ \*](\w+)\(")
C_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)

SOURCES = [*python_files(), *c_files(), *sorted((ROOT / "csrc").glob("*.h"))]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def python_functions(path: Path) -> list[tuple[str, int, int]]:
    """(name, first line, lines) of every function and method, its docstring not counted."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None and first.end_lineno is not None:
                lines -= first.end_lineno - first.lineno + 1
            found.append((node.name, node.lineno, lines))
    return found


def c_functions(path: Path) -> list[tuple[str, int, int]]:
    """(name, line, lines) of every function, from its first line to the brace in column 1."""
    found: list[tuple[str, int, int]] = []
    name, head, opened = "", 0, False
    text = C_COMMENT.sub(lambda match: "\n" * match[0].count("\n"), path.read_text("utf-8"))
    for number, line in enumerate(text.splitlines(), 1):
        if not name and (match := C_FUNCTION.match(line)):
            name, head, opened = match[1], number, False
        if name and not opened:
            opened = "{" in line
            if line.rstrip().endswith(";"):  # A prototype.
                name = ""
        if name and opened and line.rstrip().endswith("}") and not line.startswith((" ", "\t")):
            found.append((name, head, number - head + 1))
            name = ""
    return found


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_file_fits_one_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES[path.suffix]


@pytest.mark.parametrize("path", [x for x in SOURCES if x.suffix != ".py"], ids=shown)
def test_c_lines_fit_one_window(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > C_COLUMNS] == []


@pytest.mark.parametrize("path", [x for x in SOURCES if x.suffix == ".py"], ids=shown)
def test_python_function_fits_one_screen(path: Path) -> None:
    limit = FUNCTION_LINES[".py"]
    assert [found for found in python_functions(path) if found[2] > limit] == []


@pytest.mark.parametrize("path", c_files(), ids=shown)
def test_c_function_fits_one_screen(path: Path) -> None:
    found = c_functions(path)
    assert found or re.search(r"const \w+_kernels", path.read_text(encoding="utf-8"))
    assert [function for function in found if function[2] > FUNCTION_LINES[".c"]] == []


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_nothing_is_left_for_later(path: Path) -> None:
    if path == Path(__file__):
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if LATER.search(line)] == []


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_names_do_not_remember_versions(path: Path) -> None:
    assert not SUFFIX.search(path.stem)
    if path.suffix == ".py":
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names = [
            node.name
            for node in tree
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        ]
    else:
        names = [name for name, _, _ in c_functions(path)]
    assert [name for name in names if SUFFIX.search(name)] == []


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_file_opens_by_saying_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        assert ast.get_docstring(ast.parse(text))
    else:
        assert text.startswith(f"/* {path.name}")


def test_c_functions_are_measured_rightly(tmp_path: Path) -> None:
    source = tmp_path / "sample.c"
    source.write_text(
        "static const int table[] = {\n    1,\n};\n"
        "int ql_declared(int a,\n                int b);\n"
        "/* not a function(\n{\n} */\n"
        "static int wrapped(int a,\n                   int b)\n{\n    return a + b;\n}\n\n"
        "int ql_short(void) { return 0; }\n"
    )
    assert c_functions(source) == [("wrapped", 9, 5), ("ql_short", 15, 1)]
