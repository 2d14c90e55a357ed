"""Manifests: what a new store is made of, and whether an old one is what the caller wants."""

import time
import uuid
from pathlib import Path

from .bindings.limits import DIM_MAX, FORMAT
from .bindings.vectors import METRICS
from .errors import CorruptError, EmbedderError, InvalidError
from .heads import Manifest
from .text import Analyser


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
    Analyser(stemmer)  # Raises for one that is not installed.
    return Manifest(
        FORMAT, uuid.uuid4().bytes, dim, metric, embedder, time.time_ns(), stemmer, phrases
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
