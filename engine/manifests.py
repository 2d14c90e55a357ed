"""Manifests: what a new store is made of, and whether an old one is what the caller wants."""

import os
import time
from pathlib import Path

from .bindings.limits import DIM_MAX, FORMAT
from .bindings.vectors import METRICS
from .errors import CorruptError, EmbedderError, InvalidError
from .heads import Manifest
from .layout import CATALOG, ROWS_HEADER_BYTES, generation_of


def manifest_of(
    *,
    dim: int | None,
    metric: str,
    embedder: str | None,
    stemmer: str | None = None,
    phrases: bool = False,
) -> Manifest:
    """The manifest of a new store."""
    if metric not in METRICS:
        raise InvalidError(f"want metric {' | '.join(METRICS)}, got {metric!r}")
    if dim is not None:
        check_dim(dim)
    if stemmer is not None:
        from .text import Analyser

        Analyser(stemmer)  # Raises for one that is not installed.
    return Manifest(FORMAT, os.urandom(16), dim, metric, embedder, time.time_ns(), stemmer, phrases)


def refuse_orphans(path: Path) -> None:
    """Raise CorruptError where the logs of a store have lost their catalog: it must not be empty.

    Logs come after the commit that makes the store, so a process that dies while making it leaves
    none.
    """
    for found in path.iterdir():
        logs = generation_of(found.name) is not None
        held = any(found.iterdir()) if found.is_dir() else found.stat().st_size > ROWS_HEADER_BYTES
        if logs and held:
            raise CorruptError(
                f"{path} has {found.name}, but its {CATALOG} is missing or holds no store; "
                "restore a backup"
            )


def check_dim(dim: int) -> int:
    """A dimension within the limits."""
    if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= DIM_MAX:
        raise InvalidError(f"want a dimension 1..{DIM_MAX}, got {dim!r}")
    return dim


def checked(manifest: Manifest, path: Path) -> Manifest:
    """A manifest that this version can serve."""
    if manifest.format > FORMAT:
        raise CorruptError(
            f"{path} has format {manifest.format}, this version reads up to {FORMAT}; upgrade"
        )
    sound = manifest.metric in METRICS and len(manifest.uuid) == 16
    if not sound or not (manifest.dim is None or 1 <= manifest.dim <= DIM_MAX):
        raise CorruptError(f"{path} has a damaged manifest; restore a backup")
    return manifest


def expect(
    manifest: Manifest,
    *,
    dim: int | None,
    metric: str | None,
    embedder: str | None,
    stemmer: str | None = None,
    phrases: bool = False,
) -> None:
    """Refuse a store that was made with something else than the caller wants."""
    if stemmer is not None and stemmer != manifest.stemmer:
        raise InvalidError(
            f"want stemmer={stemmer!r}, but the store was made with {manifest.stemmer!r}"
        )
    if phrases and not manifest.phrases:
        raise InvalidError("want phrases, but the store was made without; make it with phrases")
    if dim is not None and manifest.dim is not None and dim != manifest.dim:
        raise InvalidError(f"want dim={dim}, but the store was made with dim={manifest.dim}")
    if metric is not None and metric != manifest.metric:
        raise InvalidError(f"want metric={metric}, but the store was made with {manifest.metric}")
    if embedder is not None and manifest.embedder is not None and embedder != manifest.embedder:
        raise EmbedderError(
            f"want embedder {embedder!r}, but the store was made with {manifest.embedder!r}; "
            "leave embedder out to use that one"
        )
