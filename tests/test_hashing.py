"""quillian.hashing: numbers that must never change, and the laws of each hash."""

import doctest
from hashlib import blake2b

import numpy as np
import pytest
import quillian.hashing
from quillian.errors import InvalidError, LimitError
from quillian.hashing import (
    BASES,
    PRIMES,
    dedupe,
    hash64,
    hash128,
    jump_hash,
    lsh,
    minhash,
    rolling_hash,
    similarity,
)


def test_examples_in_docstrings_run() -> None:
    result = doctest.testmod(quillian.hashing)
    assert result.attempted >= 6
    assert result.failed == 0


def test_stored_numbers_stand() -> None:
    """Version 1 for ever: a change here breaks what users have stored."""
    assert hash64("") == 0x706CA021E4DBA65E
    assert hash64("quillian") == 0xD12F63B3B57E5576
    assert hash128("quillian") == 0x5F36715472A32C70BBFEAD2CDCA2A387
    signature = minhash([["a", "b"]], permutations=2, seed=5)
    assert signature.tolist() == [[1270616268656830488, 5658163964902548154]]
    assert rolling_hash("quillian", 7).tolist() == [3177058905987888351, 3961202475943129895]


def test_hashes_are_blake2b_with_the_version() -> None:
    for data in (b"", b"x", bytes(range(256)) * 9):
        for function, size in ((hash64, 8), (hash128, 16)):
            digest = blake2b(data, digest_size=size, person=b"quillian-1").digest()
            assert function(data) == int.from_bytes(digest, "little")


def test_text_hashes_as_its_utf8() -> None:
    assert hash64("größe") == hash64("größe".encode())
    assert hash64("\ud800") != hash64("\ud801")  # A lone surrogate is still a content.


@pytest.mark.parametrize(
    ("key", "buckets", "bucket"),
    [(1, 1, 0), (42, 57, 43), (0xDEAD10CC, 1, 0), (0xDEAD10CC, 666, 361), (256, 1024, 520)],
)
def test_jump_hash_gives_the_published_buckets(key: int, buckets: int, bucket: int) -> None:
    assert jump_hash(key, buckets) == bucket


def test_jump_hash_moves_keys_only_to_the_new_bucket() -> None:
    keys = np.random.default_rng(1).integers(0, 2**64, 20_000, dtype=np.uint64)
    before = jump_hash(keys, 1)
    for buckets in range(2, 40):
        after = jump_hash(keys, buckets)
        moved = before != after
        assert (after[moved] == buckets - 1).all()
        assert abs(moved.mean() - 1 / buckets) < 0.02
        before = after
    assert np.bincount(before, minlength=39).max() < 1.3 * 20_000 / 39
    assert [jump_hash(int(key), 39) for key in keys[:50]] == before[:50].tolist()


def test_jump_hash_of_the_extremes() -> None:
    assert jump_hash(0, 10**9) < 10**9
    assert 0 <= jump_hash(2**64 - 1, 2**31) < 2**31
    with pytest.raises(InvalidError, match="bucket"):
        jump_hash(1, 0)


def test_dedupe_numbers_the_kinds_in_order() -> None:
    items = np.random.default_rng(2).integers(0, 30, 500).astype(str).tolist()
    firsts, group = dedupe(items)
    assert [items[firsts[g]] for g in group] == items
    assert len(firsts) == len(set(items))
    assert all(items.index(items[i]) == i for i in firsts)
    assert (np.diff(firsts) > 0).all()


def test_dedupe_of_rows_compares_bytes() -> None:
    rows = np.random.default_rng(3).integers(0, 2, (60, 4)).astype(np.float32)
    firsts, group = dedupe(rows)
    unique, first = np.unique(rows, axis=0, return_index=True)
    assert sorted(firsts.tolist()) == sorted(first.tolist())
    assert (rows[firsts[group]] == rows).all()
    assert len(unique) == len(firsts)
    assert len(dedupe(np.array([[0.0], [-0.0]])).firsts) == 2
    assert len(dedupe(np.asfortranarray(rows)).firsts) == len(firsts)


def test_dedupe_of_nothing() -> None:
    assert [len(part) for part in dedupe([])] == [0, 0]


def overlapping(shared: int, own: int, name: str) -> tuple[list[str], list[str]]:
    both = [f"{name} shared {i}" for i in range(shared)]
    return both + [f"{name} a {i}" for i in range(own)], both + [
        f"{name} b {i}" for i in range(own)
    ]


def test_equal_places_estimate_the_jaccard_similarity() -> None:
    for shared, own in [(0, 50), (10, 45), (50, 25), (90, 5), (6000, 2000)]:
        signatures = minhash(overlapping(shared, own, "x"), permutations=1024, seed=7)
        truth = shared / (shared + 2 * own)
        error = np.sqrt(truth * (1 - truth) / 1024)
        assert abs(similarity(signatures, np.array([[0, 1]]))[0] - truth) <= 4 * error


def test_minhash_sees_sets() -> None:
    signatures = minhash([["b", "a", "a"], ["a", "b"], [b"a", "b"], []])
    assert (signatures[0] == signatures[1]).all()
    assert (signatures[0] == signatures[2]).all()
    assert (signatures[3] == 2**64 - 1).all()
    assert (minhash([["a"]], seed=1) != minhash([["a"]], seed=2)).all()
    with pytest.raises(InvalidError, match="permutation"):
        minhash([], permutations=0)


def test_lsh_finds_the_similar_and_few_others() -> None:
    sets = [side for i in range(60) for side in overlapping(90, 5, f"pair {i}")]
    sets += [side for i in range(60) for side in overlapping(2, 50, f"stranger {i}")]
    signatures = minhash(sets, permutations=128, seed=3)
    pairs = lsh(signatures, bands=16)
    found = {tuple(pair) for pair in pairs.tolist()}
    assert len(found) == len(pairs)
    assert sorted(found) == [tuple(pair) for pair in pairs.tolist()]
    assert len(found & {(2 * i, 2 * i + 1) for i in range(60)}) >= 59  # J = 0.9: 0.9999 each.
    assert len(found) <= 62


def test_lsh_pairs_are_those_with_an_equal_band() -> None:
    signatures = np.random.default_rng(5).integers(0, 3, (40, 12), dtype=np.uint64)
    for bands in (1, 2, 3, 4, 6, 12):
        cut = signatures.reshape(40, bands, -1)
        want = [
            [i, j]
            for i in range(40)
            for j in range(i + 1, 40)
            if (cut[i] == cut[j]).all(axis=1).any()
        ]
        assert lsh(signatures, bands=bands).tolist() == want


def test_lsh_refuses_what_would_not_fit() -> None:
    with pytest.raises(InvalidError, match="divide 128"):
        lsh(minhash([["a"]]), bands=30)
    with pytest.raises(LimitError, match="dedupe first"):
        lsh(np.zeros((7000, 4), np.uint64), bands=2)
    assert lsh(minhash([]), bands=4).shape == (0, 2)


def test_rolling_hash_is_the_polynomial_of_each_window() -> None:
    data = np.random.default_rng(6).bytes(80)
    for window in [*range(1, 20), 31, 32, 33, 63, 64, 79, 80]:
        want = []
        for start in range(len(data) - window + 1):
            parts = [0, 0]
            for byte in data[start : start + window]:
                for i in range(2):
                    parts[i] = (parts[i] * BASES[i] + byte + 1) % PRIMES[i]
            want.append(parts[0] << 31 | parts[1])
        assert rolling_hash(data, window).tolist() == want


def test_rolling_hash_tells_thue_morse_words_apart() -> None:
    """Modulo 2^64 these collide for every odd base."""
    word = "a"
    for _ in range(11):
        word += word.translate(str.maketrans("ab", "ba"))
    other = word.translate(str.maketrans("ab", "ba"))
    assert rolling_hash(word, len(word))[0] != rolling_hash(other, len(other))[0]


def test_rolling_hash_of_short_data_is_empty() -> None:
    assert rolling_hash("ab", 3).shape == (0,)
    assert rolling_hash(b"", 1).shape == (0,)
    with pytest.raises(InvalidError, match="window"):
        rolling_hash("abc", 0)


def test_primes_are_prime() -> None:
    for prime in PRIMES:
        assert all(prime % i for i in range(2, int(prime**0.5) + 1))
