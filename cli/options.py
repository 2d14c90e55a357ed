"""Arguments and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

store_argument: Decorator = click.argument("store", type=click.Path(path_type=Path))

existing_store_argument: Decorator = click.argument(
    "store", type=click.Path(path_type=Path), callback=lambda ctx, param, value: _existing(value)
)

json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="JSON on standard output and nothing else."
)

where_option: Decorator = click.option(
    "--where",
    "terms",
    multiple=True,
    metavar="'FIELD=VALUE'",
    help="Only concepts that satisfy this; = != > >= < <= ~ (contains); may be given again.",
)

timeout_option: Decorator = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another writer.",
)

conflict_option: Decorator = click.option(
    "--on-conflict",
    type=click.Choice(["skip", "replace", "merge", "error"]),
    default="skip",
    show_default=True,
    help="What to do with an id that the store has.",
)


def _existing(store: Path) -> Path:
    """The path of a store that there is; NotFoundError otherwise: opening would create one."""
    from ..errors import NotFoundError
    from ..layout import CATALOG

    if not (store / CATALOG).is_file():
        raise NotFoundError(f"there is no store at {store}; create it with quillian ingest")
    return store
