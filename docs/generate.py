"""Writes the pages that repeat what the code says: operators.md, commands.md, limits.md.

Run `python docs/generate.py` after changing an operator's docstring, a command, a limit of
csrc/quillian.h or an error; tests/test_docs.py fails until the pages are current.
"""

import ast
import inspect
import re
from pathlib import Path

import click

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
MADE = "<!-- Made by docs/generate.py: change the code, then run it. -->"
CONSTANT = re.compile(r"^#define (QL_\w+) (-?\d+)\s*(?:/\* (.*?) \*/)?$", re.MULTILINE)


def field(node: ast.AnnAssign) -> str:
    """`k: int = 10` of a frozen dataclass as it is written in a call."""
    default = f" = {ast.unparse(node.value)}" if node.value else ""
    return f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}{default}"


def signature(path: Path, node: ast.ClassDef) -> str:
    """The call that makes an operator: the arguments of its constructor, or its fields."""
    bases = {ast.unparse(x) for x in node.bases}
    shared = [x for x in classes(path) if x.name.startswith("_") and x.name in bases]
    for method in [line for x in (node, *shared) for line in x.body]:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            arguments = ast.unparse(method.args)
            return f"{node.name}({arguments.removeprefix('self, ').replace('/, ', '')})"
    fields = [field(x) for x in node.body if isinstance(x, ast.AnnAssign)]
    return f"{node.name}({', '.join(x for x in fields if 'ClassVar' not in x)})"


def classes(path: Path) -> list[ast.ClassDef]:
    """The classes of a file in the order written."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [node for node in body if isinstance(node, ast.ClassDef)]


def operator_classes() -> list[tuple[Path, ast.ClassDef]]:
    """Every public class of the operators' files, by file and in the order written."""
    return [
        (path, node)
        for path in sorted((ROOT / "engine/operators").glob("[a-z]*.py"))
        for node in classes(path)
        if not node.name.startswith("_")
    ]


def operators() -> str:
    """The page of operators: one section each, from its fields and its docstring."""
    lines = [
        MADE,
        "# Operators",
        "",
        "An operator turns a Selection into a Selection; a `Query` runs several in order and is",
        "itself an operator. Fields are parameters; the question travels in the Selection.",
    ]
    for path, node in operator_classes():
        source = path.relative_to(ROOT)
        lines += ["", f"## {node.name}", "", "```text", signature(path, node), "```"]
        lines += ["", ast.get_docstring(node) or "", "", f"In [{source}](../{source})."]
    return "\n".join(lines) + "\n"


def argument_shown(argument: click.Argument) -> str:
    """STORE, FILE... or [FILE]: as click shows it in a usage line."""
    shown = argument.human_readable_name
    if argument.nargs != 1 and not shown.endswith("..."):
        shown += "..."
    return shown if argument.required or shown.startswith("[") else f"[{shown}]"


def help_text(command: click.Command) -> list[str]:
    """The help of a command; paragraphs that click must not wrap become blocks of code."""
    lines: list[str] = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines += ["```text", *paragraph.splitlines()[1:], "```", ""]
        else:
            lines += [*paragraph.splitlines(), ""]
    return lines


def command_section(name: str, command: click.Command) -> list[str]:
    """One command: how it is called, its help, and every option."""
    arguments = [x for x in command.params if isinstance(x, click.Argument)]
    usage = " ".join([name, *(argument_shown(x) for x in arguments)])
    lines = ["", f"## {name}", "", "```text", usage, "```", "", *help_text(command)]
    lines += ["| option | |", "|---|---|"]
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            names = ", ".join([*option.opts, *option.secondary_opts])
            lines.append(f"| `{names}` | {(option.help or '').replace('|', '&#124;')} |")
    return lines


def command_tree(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    """Every command that runs something, under its full name."""
    if not isinstance(command, click.Group):
        return [(name, command)]
    context = click.Context(command)
    children = [(x, command.get_command(context, x)) for x in command.list_commands(context)]
    return [found for x, child in children if child for found in command_tree(f"{name} {x}", child)]


def commands() -> str:
    """The page of commands, from click's own tree, and of exit codes."""
    from quillian.cli.main import EXIT_CODES, main

    lines = [MADE, "# Commands", "", "Data goes to standard output, everything else to standard"]
    lines += ["error. Every command takes `--json` and answers `--help`."]
    for name, command in command_tree("quillian", main):
        lines += command_section(name, command)
    lines += ["", "# Exit codes", "", "| code | |", "|---|---|"]
    lines += [f"| {code} | {told} |" for code, told in EXIT_CODES.items()]
    return "\n".join(lines) + "\n"


def limits() -> str:
    """The page of limits, statuses and errors, from the C header and the tree of errors."""
    header = (ROOT / "csrc/quillian.h").read_text(encoding="utf-8")
    head = header.split("/* ---- Statuses")[0]
    lines = [
        MADE,
        "# Limits",
        "",
        "Each has one name, in `csrc/quillian.h`; Python reads the same.",
    ]
    lines += ["", "| name | value | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {int(n):,} | {told} |" for name, n, told in CONSTANT.findall(head)]
    lines += ["", "# Statuses of the C core", "", "| name | value | meaning |", "|---|---|---|"]
    statuses = [x for x in CONSTANT.findall(header) if x[0] == "QL_OK" or x[0].startswith("QL_E_")]
    lines += [f"| `{name}` | {n} | {told or 'done'} |" for name, n, told in statuses]
    errors = ast.parse((ROOT / "engine/errors.py").read_text(encoding="utf-8"))
    lines += ["", "# Errors", "", "```", ast.get_docstring(errors) or "", "```"]
    return "\n".join(lines) + "\n"


PAGES = {"operators.md": operators, "commands.md": commands, "limits.md": limits}


def main() -> None:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
