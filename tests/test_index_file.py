"""csrc/index_file.c: what a damaged or a hostile index file can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from quillian.bindings._core import lib
from quillian.bindings.hnsw import Hnsw
from quillian.bindings.kernels import crc32c
from quillian.errors import CorruptError
from test_hnsw import built, rows_of


def test_every_flipped_byte_of_an_index_is_found(tmp_path: Path) -> None:
    rows = rows_of(300)
    rows[100:110] = rows[50]
    vectors, index = built(tmp_path, rows)
    path = tmp_path / "index"
    index.save(str(path))
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in [*range(0, 88), *rng.integers(88, len(data), 300).tolist(), len(data) - 1]:
        changed = bytearray(data)
        changed[at] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        with pytest.raises(CorruptError):
            Hnsw.load(vectors, str(path))
    for size in (0, 1, 4095, 4096, len(data) - 4096, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(CorruptError):
            Hnsw.load(vectors, str(path))
    path.write_bytes(data + b"\0")
    with pytest.raises(CorruptError):
        Hnsw.load(vectors, str(path))
    with pytest.raises(CorruptError):
        Hnsw.load(vectors, str(tmp_path / "missing"))


def test_an_opened_index_is_checked_by_whatever_uses_it_first(tmp_path: Path) -> None:
    rows = rows_of(300)
    vectors, index = built(tmp_path, rows)
    path = tmp_path / "index"
    index.save(str(path))
    changed = bytearray(path.read_bytes())
    changed[-4096] ^= 1  # In the codes.
    path.write_bytes(changed)
    vectors.append(rows_of(10, seed=5), np.arange(300, 310, dtype=np.uint32), commit=2)
    uses: list[Callable[[Hnsw], object]] = [
        lambda opened: vectors.near(rows[:1], index=opened, k=5),
        lambda opened: opened.extend(310),
        lambda opened: opened.sweep(2),
        lambda opened: opened.save(str(tmp_path / "other")),
        lambda opened: opened.check(),
    ]
    for use in uses:
        opened = Hnsw.open(vectors, str(path))
        assert opened.covered == 300
        for _ in range(2):  # Whoever comes later is refused, too.
            with pytest.raises(CorruptError):
                use(opened)
        vectors.near(rows[:1], index=opened, k=5, exact=True)


def test_links_and_codes_are_mapped_where_huge_pages_fit(tmp_path: Path) -> None:
    vectors, index = built(tmp_path, rows_of(300))
    path = tmp_path / "index"
    index.save(str(path))
    opened = Hnsw.open(vectors, str(path))
    lines = Path("/proc/self/maps").read_text().splitlines()
    parts = [line.split() for line in lines if line.endswith(str(path))]
    starts = {int(part[2], 16): int(part[0].partition("-")[0], 16) for part in parts}
    for offset in (min(starts), max(starts)):  # The links come first, the codes last.
        assert (starts[offset] - offset) % 2**21 == 0
    assert opened.covered == 300


@pytest.mark.parametrize("width", [0, 2**16 + 1, 2**32 - 16, 2**32 - 1])
def test_a_width_that_no_index_is_made_with_is_damage(tmp_path: Path, width: int) -> None:
    """Each row that is linked would fill a beam of it: gigabytes, or few places after 2**32."""
    vectors, index = built(tmp_path, rows_of(300))
    path = tmp_path / "index"
    index.save(str(path))
    data = bytearray(path.read_bytes())
    data[24:28] = width.to_bytes(4, "little")
    data[80:84] = crc32c(bytes(data[:80])).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(CorruptError):
        Hnsw.open(vectors, str(path))


def test_a_hostile_index_with_right_checksums_cannot_leave_its_arrays(tmp_path: Path) -> None:
    rows = rows_of(300)
    rows[100:110] = rows[50]
    vectors, index = built(tmp_path, rows)
    path = tmp_path / "index"
    index.save(str(path))
    data = path.read_bytes()
    more = np.arange(300, 400, dtype=np.uint32)
    vectors.append(rows_of(100, seed=5), more, commit=2)
    sections = (300 * 32 * 4, 300 * 4, 300 * 4)
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(200):
        words = np.frombuffer(bytearray(data), np.uint32)
        for _ in range(int(rng.integers(1, 5))):
            start = 4096
            for size in sections:
                if rng.integers(0, 2):
                    at = (start + 4 * int(rng.integers(0, size // 4))) // 4
                    words[at] = rng.choice(
                        [0, 1, 299, 300, 2**31, 2**32 - 1, 2**32 - 2, 2**32 - 3, 105, 50]
                    )
                start += (size + 4095) // 4096 * 4096
        start = 4096
        changed = bytearray(words.tobytes())
        for section, size in enumerate(sections):
            crc = lib.ql_crc32c(0, bytes(changed[start : start + size]), size)
            changed[64 + 4 * section : 68 + 4 * section] = int(crc).to_bytes(4, "little")
            start += (size + 4095) // 4096 * 4096
        changed[80:84] = int(lib.ql_crc32c(0, bytes(changed[:80]), 80)).to_bytes(4, "little")
        path.write_bytes(changed)
        try:
            hostile = Hnsw.load(vectors, str(path))
            passed += 1
            vectors.near(rows, index=hostile, k=5, ef=20)
            hostile.extend(400)
            hostile.check()
        except CorruptError:
            continue
    assert 0 < passed < 200
