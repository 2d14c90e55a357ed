"""Segments of words: merging equals rebuilding, and no damage goes unseen or does harm."""

import random
from pathlib import Path

import pytest
from quillian.bindings._core import lib
from quillian.bindings.kernels import crc32c
from quillian.bindings.text import WordsSegment
from quillian.errors import CorruptError, OutOfMemoryError, QuillianError
from quillian.text import SegmentInfo, WordIndex, WordsState, merge_due
from words_model import UUID, Texts, filled, index_at, sentence

# Merging.


@pytest.mark.parametrize("positions", [False, True])
def test_merge_equals_rebuild_byte_for_byte(tmp_path: Path, positions: bool) -> None:
    rng = random.Random(9)
    texts = Texts()
    index = index_at(tmp_path, positions=positions)
    state = WordsState()
    for step in range(4):
        for _ in range(200):
            texts.put(rng.randrange(400), sentence(rng) if rng.random() < 0.8 else None)
        state = texts.flush(index, state, f"{step}.words")
    names = [s.name for s in state.segments]
    merged = index.merge(names, "merged.words", keep_tombstones=False)
    index.segment("merged.words").check()
    rebuilt = index.build("rebuilt.words", sorted(texts.texts.items()))
    assert merged.documents == rebuilt.documents == len(texts.texts)
    files = [(index.folder / n).read_bytes() for n in ("merged.words", "rebuilt.words")]
    assert files[0] == files[1]


def test_partial_merge_keeps_tombstones(tmp_path: Path) -> None:
    texts = Texts()
    index = index_at(tmp_path)
    state = WordsState()
    for step, text in enumerate(("a one", "a two", None, "b")):
        texts.put(1 if text != "b" else 2, text)
        state = texts.flush(index, state, f"{step}.words")
    names = [s.name for s in state.segments]
    merged = index.merge(names[1:], "m.words", keep_tombstones=True)
    view = texts.view(index, WordsState((state.segments[0], merged), 4, 4))
    assert view.search(["a", "one", "two"]).nodes.tolist() == []
    assert view.search(["b"]).nodes.tolist() == [2]
    assert view.documents == 1


def test_build_in_parts_equals_build_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = filled(random.Random(4), 300)
    index = index_at(tmp_path)
    index.build("whole.words", texts.texts.items())
    monkeypatch.setattr("quillian.text.index.BUILD_BATCH", 64)
    monkeypatch.setattr("quillian.text.index.BUILD_BYTES_MAX", 1)
    index.build("parts.words", texts.texts.items())
    names = sorted(p.name for p in index.folder.iterdir())
    assert names == ["parts.words", "whole.words"]
    files = [(index.folder / name).read_bytes() for name in names]
    assert files[0] == files[1]


def test_merge_policy_keeps_few_segments() -> None:
    segments: list[SegmentInfo] = []
    written = 0
    for _ in range(1000):
        segments.append(SegmentInfo("s", 100, 0, 0, 0))
        start = merge_due(segments)
        if start < len(segments):
            total = sum(s.documents for s in segments[start:])
            written += total
            segments[start:] = [SegmentInfo("m", total, 0, 0, 0)]
        assert len(segments) <= 7
    assert written <= 16 * 100 * 1000
    assert merge_due([]) == 0


# Damage.


def small_segment(folder: Path) -> tuple[WordIndex, Path]:
    index = index_at(folder, positions=True)
    rng = random.Random(6)
    documents = [(i * 2, "each " + sentence(rng, 6)) for i in range(300)]
    documents[7] = (14, None)
    index.build("a.words", documents)
    return index, index.folder / "a.words"


def answers(index: WordIndex, segment: WordsSegment) -> list[object]:
    """What a damaged segment must answer unchanged, if it answers at all."""
    index._open = {segment.path.name: segment}
    index._layers = ((), ())
    info = SegmentInfo(segment.path.name, segment.documents, 0, 0, 0)
    view = index.view(WordsState((info,)), lambda a, b: [], lambda n: [])
    found = [
        view.search(["each", "w2"], 5),
        view.search(["w0", "w1"], 400),
        view.search(["each", "w0"], 5, mode="phrase"),
        view.search(["w3", "each"], 5, mode="all"),
    ]
    return [(f.nodes.tolist(), f.scores.tolist()) for f in found]


def attacks(content: bytes, step: int) -> list[bytes]:
    flipped = []
    for i in range(0, len(content), step):
        if any(content[max(0, i - 32) : i + 32]):  # Long runs of padding are tried at their ends.
            flipped.append(content[:i] + bytes([content[i] ^ (1 << i % 8)]) + content[i + 1 :])
    cuts = [content[:i] for i in range(0, len(content), 31 * step)]
    return flipped + cuts + [content + b"\0", content + bytes(4096)]


@pytest.mark.parametrize("step", [29, pytest.param(1, marks=pytest.mark.slow)])
def test_every_flipped_byte_is_an_error_or_no_matter(tmp_path: Path, step: int) -> None:
    index, path = small_segment(tmp_path)
    expected = answers(index, index.segment("a.words"))
    content = path.read_bytes()
    errors = 0
    for attack in attacks(content, step):
        bad = tmp_path / "bad.words"
        bad.write_bytes(attack)
        try:
            segment = WordsSegment(bad, UUID, index.analyser.mark)
            with pytest.raises(CorruptError):
                segment.check()
            assert answers(index, segment) == expected
        except CorruptError:
            errors += 1
    assert errors > 1000 / step


def sealed(content: bytearray) -> bytes:
    """The file with all its checksums made right, as an attacker would."""
    checksums = int.from_bytes(content[104:112], "little")
    if 8192 <= checksums <= len(content) and checksums % 4096 == 0:
        pages = range(4096, checksums, 4096)
        sums = b"".join(crc32c(bytes(content[p : p + 4096])).to_bytes(4, "little") for p in pages)
        content[checksums:] = sums
        content[112:116] = crc32c(sums).to_bytes(4, "little")
    content[116:120] = bytes(4)
    content[116:120] = crc32c(bytes(content[:4096])).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize("rounds", [200, pytest.param(6000, marks=pytest.mark.slow)])
def test_hostile_segments_with_right_checksums_never_crash(tmp_path: Path, rounds: int) -> None:
    index, path = small_segment(tmp_path)
    content = path.read_bytes()
    assert sealed(bytearray(content)) == content  # The offsets used above are right.
    rng = random.Random(12)
    interesting = [i for i in range(len(content)) if any(content[max(0, i - 8) : i + 8])]
    for _ in range(rounds):
        attack = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 8])):
            attack[rng.choice(interesting)] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        bad = tmp_path / "bad.words"
        bad.write_bytes(sealed(attack))
        try:
            segment = WordsSegment(bad, UUID, index.analyser.mark)
            answers(index, segment)
            segment.check()
        except (QuillianError, IndexError):
            continue


def test_missing_segment_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="could not open"):
        index_at(tmp_path).segment("none.words")


def test_every_allocation_may_fail(tmp_path: Path) -> None:
    index = index_at(tmp_path, positions=True)
    texts = filled(random.Random(8), 400)

    def work() -> None:
        info = index.build("a.words", texts.texts.items())
        other = index.build("b.words", [(5, "w1 new"), (900, None)])
        merged = index.merge(["a.words", "b.words"], "c.words", keep_tombstones=False)
        index.view(WordsState((info, other)), lambda a, b: [], lambda n: []).search(["w1", "w2"])
        view = index.view(WordsState((merged,)), lambda a, b: [], lambda n: [])
        view.search(["w1", "w2"], mode="phrase")
        index.segment("c.words").check()
        index._layers, index._open = ((), ()), {}

    before = lib.ql_alloc_count()
    work()
    failures = 0
    for nth in range(1, lib.ql_alloc_count() - before + 1):
        lib.ql_alloc_fail_at(nth)
        try:
            work()
        except OutOfMemoryError:
            failures += 1
            index._layers, index._open = ((), ()), {}
        finally:
            lib.ql_alloc_fail_at(0)
    assert failures > 30
    assert not list(index.folder.glob("*.part*"))
