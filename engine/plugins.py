"""Plugins: what other packages offer under a group of entry points, by name, not yet loaded."""

from typing import Protocol, cast


class Plugin(Protocol):
    """An entry point."""

    def load(self) -> object: ...


def plugins(group: str) -> dict[str, Plugin]:
    """Name -> plugin of a group."""
    from importlib.metadata import entry_points  # Slow to import, and rarely wanted.

    return {point.name: cast(Plugin, point) for point in entry_points(group=group)}
