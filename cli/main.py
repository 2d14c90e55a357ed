"""`quillian`: the group of all commands, its exit codes, and errors as one clear line.

The modules of the commands import nothing of the engine before they run, so that help and
completion answer at once.
"""

import difflib
import importlib
import sys
from typing import Any

import click

from ..errors import CorruptError, LockTimeout, NotFoundError, QuillianError

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_CORRUPT = 4
EXIT_LOCKED = 5
EXIT_INTERRUPTED = 130

EXIT_CODES = {
    EXIT_OK: "done",
    EXIT_ERROR: "an error: bad input, an embedder that is missing, a full disk",
    EXIT_USAGE: "the command line itself is wrong",
    EXIT_NOT_FOUND: "no such store, file or concept",
    EXIT_CORRUPT: "a file of the store is damaged, or `check` found problems",
    EXIT_LOCKED: "another process kept on writing for longer than the lock timeout",
    EXIT_INTERRUPTED: "stopped by Ctrl-C; what was committed stays",
}

COMMANDS = {
    "ingest": "ingesting",
    "import-hnswlib": "importing",
    "query": "querying",
    "ask": "asking",
    "get": "inspecting",
    "link": "linking",
    "stats": "inspecting",
    "namespaces": "namespaces",
    "export": "exporting",
    "check": "inspecting",
    "repair": "keeping",
    "compact": "keeping",
    "backup": "keeping",
    "restore": "keeping",
    "npu": "spiking",
    "demo": "demonstrating",
    "doctor": "diagnosing",
    "bench": "benching",
}
"""Command -> module of this package that holds it, in the order of the help."""

OF_CLASS = (
    (NotFoundError, EXIT_NOT_FOUND),
    (CorruptError, EXIT_CORRUPT),
    (LockTimeout, EXIT_LOCKED),
)


class Commands(click.Group):
    """The group: loads a command's module when it is asked for, and turns errors into codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f".{COMMANDS[name]}", __package__)
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and near:
            ctx.fail(f"No such command {args[0]!r}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\ninterrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            raise  # The reader of our output has gone; click ends quietly.
        except (QuillianError, OSError, MemoryError) as error:
            click.echo(f"error: {one_line(error)}", err=True)
            ctx.exit(next((code for kind, code in OF_CLASS if isinstance(error, kind)), EXIT_ERROR))


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:  # Without the number of the error.
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(text.split())


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="quillian", prog_name="quillian")
def main() -> None:
    """A graph and vector database in a directory.

    \b
    Try it:        quillian demo
    Fill a store:  quillian ingest STORE FILE...
    Ask it:        quillian query STORE TEXT
    """


if __name__ == "__main__":
    sys.exit(main())
