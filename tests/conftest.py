"""Fixtures: small stores with known contents, and an embedder that needs nothing installed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import quillian as ql
from numpy.typing import NDArray

DIM = 8


class Letters:
    """An embedder for tests: counts of the letters a..p in eight pairs. Deterministic, offline."""

    name = "letters"
    dim = DIM

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), DIM), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.casefold():
                if "a" <= letter <= "p":
                    row[(ord(letter) - ord("a")) // 2] += 1
        return rows


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[ql.Store]:
    """An empty store with vectors of eight components."""
    with ql.open(path, dim=DIM) as opened:
        yield opened


@pytest.fixture
def atlas(path: Path) -> Iterator[ql.Store]:
    """Five places with vectors, metadata and typed associations."""
    with ql.open(path, dim=DIM) as opened:
        with opened.transaction() as txn:
            txn.add_many(
                texts=[
                    "Paris, a city",
                    "France, a country",
                    "Rome, a city",
                    "Italy, a country",
                    "Europe",
                ],
                ids=["paris", "france", "rome", "italy", "europe"],
                names=["Paris", "France", "Rome", "Italy", "Europe"],
                vectors=np.eye(5, DIM, dtype=np.float32) + 0.1,
                kinds=["city", "country", "city", "country", "continent"],
                data=[{"pop": 2.1}, {"pop": 68}, {"pop": 2.8}, {"pop": 59}, None],
                sources="atlas",
            )
            txn.link("paris", "france", "capital_of", confidence=0.98, origin="atlas")
            txn.link("rome", "italy", "capital_of", weight=0.5)
            txn.link_many(["france", "italy"], ["europe", "europe"], "part_of")
        yield opened
