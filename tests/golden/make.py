"""Make the golden store of this version: `python tests/golden/make.py 0.1.0` writes 0.1.0.zip here.

A golden store is made once, by the version that it is named after, and never again: later versions
add one of their own and go on opening the old ones (tests/test_golden.py). Beside the store's files
the zip holds `export.jsonl`, what that version read out of it.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import quillian as ql
from quillian.directory import Directory
from quillian.exporting import json_lines

HERE = Path(__file__).parent
DIM = 8
SEED = 20
CONCEPTS = 40
MOMENT = (1980, 1, 1, 0, 0, 0)  # Of every file in the zip, so that its bytes repeat.


def fill(store: ql.Store) -> None:
    """Everything that the format has: logs with deaths, words, an index, names, data, a blob."""
    vectors = np.random.default_rng(SEED).normal(size=(CONCEPTS, DIM)).astype(np.float32)
    ids = [f"c{i:02}" for i in range(CONCEPTS)]
    with store.transaction() as txn:
        txn.add_many(
            [f"text number {i} of {'odd' if i % 2 else 'even'} ones" for i in range(CONCEPTS)],
            ids=ids,
            names=[f"Name {i}" for i in range(CONCEPTS)],
            aliases=[(f"alias {i}",) if i % 5 == 0 else () for i in range(CONCEPTS)],
            vectors=vectors,
            kinds=["odd" if i % 2 else "even" for i in range(CONCEPTS)],
            data=[{"n": i, "nested": {"half": i / 2}} for i in range(CONCEPTS)],
            sources="golden",
        )
        txn.link_many(ids[:-1], ids[1:], "next", weights=np.linspace(0.5, 1, CONCEPTS - 1))
        txn.link("c03", "c30", "far", confidence=0.7, origin="golden", since=5, until=9)
        txn.keep("kept", bytes(range(256)) * 8)
    store.compact()  # A generation beyond the first,
    with store.transaction() as txn:  # and on it replaced, forgotten and unlinked things.
        txn.add("replaced text", id="c07", vector=-vectors[7], on_conflict="replace")
        txn.forget("c11")
        txn.unlink("c20", "c21", "next")
        txn.add("Straße, naïve, 東京", id="long" * 127, since="2020-01-01", until=2**62)
        txn.add(id="bare")
    store.optimize()
    directory = Directory.acquire(store.path, read_only=False)
    directory.index(timeout=10, threads=1, progress=None)  # So few rows get none by themselves.
    directory.release()
    store.add("behind the index", id="tail", vector=vectors[0] + 1)


def make(path: Path) -> None:
    """Write the zip."""
    with tempfile.TemporaryDirectory() as folder:
        with ql.open(Path(folder) / "made", dim=DIM) as store:
            fill(store)
            store.backup(Path(folder) / "store")
            with store.snapshot() as view:
                export = "\n".join(json_lines(view)) + "\n"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(zipfile.ZipInfo("export.jsonl", MOMENT), export)
            for file in sorted(Path(folder).rglob("store/**/*")):
                if file.is_file():
                    name = file.relative_to(folder).as_posix()
                    info = zipfile.ZipInfo(name, MOMENT)
                    packed.writestr(info, file.read_bytes(), zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    make(HERE / f"{sys.argv[1]}.zip")
