"""Damage of files: bytes are flipped, zeroed, cut off or added.

Each damaged copy is opened, checked, searched and repaired in a process of its own, so that a crash
is seen as one. An answer is the sound store's, or a typed error, or `check` names the damage.
"""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quillian as ql
from conftest import DIM
from quillian.repairing import rescue

SEED = 11
QUESTION = np.linspace(-1, 1, DIM)
KINDS = ("flip", "zero", "cut", "grow")


def made(path: Path) -> None:
    """A store with both logs, words and a second generation."""
    with ql.open(path, dim=DIM, embedder="none") as store:
        vectors = np.random.default_rng(SEED).normal(size=(40, DIM))
        store.add_many([f"text {i} wolf" for i in range(40)],
                       ids=[f"c{i}" for i in range(40)], vectors=vectors)  # fmt: skip
        store.link_many([f"c{i}" for i in range(39)], [f"c{i + 1}" for i in range(39)], "next")
        store.compact()
        store.optimize()
        store.forget("c7")


def answers(store: ql.Store) -> dict[str, Any]:
    """What a store says, part by part, or the name of its typed error."""
    asked = {
        "concepts": lambda view: [(x.id, x.text) for x in view.concepts()],
        "edges": lambda view: [(x.source, x.target, x.weight) for x in view.associations()],
        "near": lambda view: [
            (row.id, round(row.score, 5)) for row in view.near(QUESTION, 9, exact=True)
        ],
        "words": lambda view: sorted(
            row.id
            for row in ql.Words(99)(
                view, ql.Selection.everything(view, ql.Question(text="wolf"))
            )
        ),
    }  # fmt: skip
    found: dict[str, Any] = {}
    with store.snapshot() as view:
        for name, ask in asked.items():
            try:
                found[name] = ask(view)
            except ql.QuillianError as error:
                found[name] = type(error).__name__
    return found


def examined(path: Path) -> dict[str, Any]:
    """What became of a damaged copy: answers, damage, and answers after a repair."""
    warnings.simplefilter("ignore")
    try:
        with ql.open(path) as store:
            found: dict[str, Any] = {"said": answers(store)}
            found["damage"] = [problem.message for problem in store.check()]
            found["lost"] = [x.message for x in store.repair() if x.lost]
            found["left"] = [problem.message for problem in store.check()]
            found["after"] = answers(store)
            return found
    except ql.CorruptError as error:
        found = {"said": {}, "damage": [str(error)]}
    except ql.QuillianError as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    try:
        found["lost"] = [x.message for x in rescue(path, 1) if x.lost]
    except ql.CorruptError as error:
        return {"refused": str(error)}
    with ql.open(path) as store:
        found["left"] = [problem.message for problem in store.check()]
        found["after"] = answers(store)
    return found


def spoil(file: Path, kind: str, rng: random.Random, used: int) -> str:
    """Damage some of the first `used` bytes, or the end of the file; says what was done."""
    content = bytearray(file.read_bytes())
    at = rng.randrange(used)
    if kind == "flip":
        content[at] ^= 1 << rng.randrange(8)
    elif kind == "zero":
        size = rng.choice((1, 16, 512))
        content[at : min(at + size, used)] = bytes(min(at + size, used) - at)
    elif kind == "cut":
        del content[at:]
    else:
        content += rng.randbytes(rng.choice((1, 100, 5000)))
    file.write_bytes(content)
    return f"{kind} {file.name} at {at}"


def rounds(sound: Path, folder: Path, pattern: str, count: int, seed: int) -> None:
    """Damage copies and examine them; prints each as a line of JSON before and after."""
    rng = random.Random(seed)
    with ql.open(sound) as store:
        wanted = json.loads(json.dumps(answers(store)))
    for number in range(count):
        path = folder / str(number)
        shutil.copytree(sound, path)
        files = sorted(x for x in path.rglob(pattern) if x.is_file())
        file = rng.choice(files)
        done = spoil(file, rng.choice(KINDS), rng, file.stat().st_size)
        print(json.dumps({"number": number, "done": done}), flush=True)
        found = json.loads(json.dumps(examined(path)))
        print(json.dumps({"done": done, **judged(found, wanted)}), flush=True)
        shutil.rmtree(path)


def judged(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with how a damaged store behaved; empty where nothing is."""
    if "refused" in found:
        return {}
    wrong = [
        name
        for name, said in found["said"].items()
        if said != wanted[name] and not isinstance(said, str) and not found["damage"]
    ]
    if found["left"]:
        wrong.append(f"repair left {found['left']}")
    if not found["lost"] and found["after"] != wanted:
        wrong.append("repair lost something and named nothing")
    return {"wrong": wrong, "damage": found["damage"][:3]} if wrong else {}


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("rows-*", 8),
        ("meta-*", 8),
        ("graph*", 8),
        ("words-*", 6),
        ("catalog.mdb", 20),
        pytest.param("catalog.mdb", 600, marks=pytest.mark.slow),
    ],
)
def test_damage_is_an_error_or_is_named(tmp_path: Path, pattern: str, count: int) -> None:
    made(tmp_path / "sound")
    (tmp_path / "copies").mkdir()
    arguments = [str(tmp_path / "sound"), str(tmp_path / "copies"), pattern, str(count), str(SEED)]
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2 * count
    assert [line for line in lines if "wrong" in line] == []


def test_a_cut_catalog_is_refused_and_never_a_crash(tmp_path: Path) -> None:
    made(tmp_path / "sound")
    size = (tmp_path / "sound/catalog.mdb").stat().st_size
    with ql.open(tmp_path / "sound") as store:
        wanted = answers(store)
    for at in (0, 100, 4096, 8192, 9000, size // 2, size - 4096, size - 1):
        path = tmp_path / str(at)
        shutil.copytree(tmp_path / "sound", path)
        with (path / "catalog.mdb").open("r+b") as file:
            file.truncate(at)
        try:  # A crash would end this process.
            with ql.open(path) as store:
                assert store.check() or answers(store) == wanted  # Zeros were all that was lost.
        except ql.CorruptError:
            continue
        assert at > 8192


def test_a_disk_too_full_to_open_a_cut_catalog_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "sound")
    catalog = tmp_path / "sound/catalog.mdb"
    os.truncate(catalog, catalog.stat().st_size - 4096)
    cut = catalog.read_bytes()

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ql.StorageError, match="could not fill up"):
        ql.open(tmp_path / "sound")
    assert catalog.read_bytes() == cut


def test_a_missing_catalog_is_not_a_new_store(tmp_path: Path) -> None:
    made(tmp_path / "sound")
    (tmp_path / "sound/catalog.mdb").unlink()
    with pytest.raises(ql.CorruptError, match="restore a backup"):
        ql.open(tmp_path / "sound")


if __name__ == "__main__":
    sound, copies, pattern, count, seed = sys.argv[1:]
    rounds(Path(sound), Path(copies), pattern, int(count), int(seed))
