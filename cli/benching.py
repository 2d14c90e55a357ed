"""`quillian bench`: the benchmarks, run from the checkout or from the installed package."""

import runpy
import sys
from pathlib import Path

import click

from . import rendering
from .options import json_option

PACKAGE = Path(__file__).resolve().parent.parent
FOLDERS = (PACKAGE / "bench", PACKAGE.parent / "bench")
"""Where they are beside cli/ in a checkout, and in an installed package."""


@click.command(
    short_help="Measure it, alone or beside its peers.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("name", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@json_option
@click.pass_context
def bench(ctx: click.Context, name: str | None, arguments: tuple[str, ...], as_json: bool) -> None:
    """Run the benchmark NAME with its own ARGUMENTS; without NAME, list them.

    `quillian bench NAME --help` tells its arguments. Peers come with pip install 'quillian[bench]'.

    \b
    Example:
      quillian bench
    """
    known = benches()
    if name in (None, "--help", "-h"):
        if name:
            click.echo(ctx.get_help())
            return
        show(known, as_json=as_json)
    elif name not in known:
        raise click.UsageError(f"no benchmark {name!r}; there are {', '.join(known)}")
    else:
        path = known[str(name)]
        sys.argv = [str(path), *arguments, *(["--json"] if as_json else [])]
        sys.path.insert(0, str(path.parent))
        runpy.run_path(str(path), run_name="__main__")


def benches() -> dict[str, Path]:
    """Name -> file of every benchmark that can be run."""
    files = [path for folder in FOLDERS for path in sorted(folder.glob("*.py"))]
    return {path.stem: path for path in files if "def main(" in path.read_text(encoding="utf-8")}


def show(known: dict[str, Path], *, as_json: bool) -> None:
    """A line for each: the question that it answers."""
    for name, path in known.items():
        question = path.read_text(encoding="utf-8").removeprefix('"""').partition("\n")[0]
        if as_json:
            rendering.emit({"name": name, "question": question})
        else:
            click.echo(f"{name:<18}{question}")
