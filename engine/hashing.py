"""Hashes that stay: the same numbers on every machine, in every process, in every version.

`hash64` and `hash128` name contents, `dedupe` finds equal ones, `minhash` and `lsh` similar ones,
`rolling_hash` all windows of a text, `jump_hash` a place among n.  None is a secret: whoever
chooses the input can make collisions in `rolling_hash` and `minhash`.  A change of any number
would be a new HASH_VERSION, for they are stored.
"""

from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidError, LimitError

HASH_VERSION = 1
PAIRS_MAX = 20_000_000  # What lsh hands out at most: 320 MB.
PERSON = b"quillian-%d" % HASH_VERSION
PRIMES = (2**31 - 1, 2**31 - 19)  # Two moduli, so that products fit uint64 and hashes 62 bits.
BASES = (1_000_003, 998_244_353)

UInt64 = NDArray[np.uint64]
Int64 = NDArray[np.int64]


class Deduped(NamedTuple):
    """`firsts`: the first of each kind, in order. `group`: for every item its place in there."""

    firsts: Int64
    group: Int64


def hash64(data: str | bytes) -> int:
    """A number below 2^64 for the content; text counts as its UTF-8.

    Source: BLAKE2b (RFC 7693), 8 bytes, personalised with the version.

    >>> hash64("quillian") == hash64(b"quillian")
    True
    """
    return int.from_bytes(_digest(data, 8), "little")


def hash128(data: str | bytes) -> int:
    """A number below 2^128 for the content: no accidental collisions among 10^15 contents."""
    return int.from_bytes(_digest(data, 16), "little")


def dedupe(items: Sequence[Hashable] | NDArray[np.generic]) -> Deduped:
    """Which items are equal: texts, bytes or other hashables, or the rows (n, d) of an array.

    Rows are equal if their bytes are, so 0.0 and -0.0 differ.

    >>> dedupe(["a", "b", "a"])
    Deduped(firsts=array([0, 1]), group=array([0, 1, 0]))
    """
    keys: Iterable[Hashable] = items
    if isinstance(items, np.ndarray):
        keys = (np.ascontiguousarray(row).tobytes() for row in items)
    seen: dict[Hashable, int] = {}
    firsts: list[int] = []
    group = np.empty(len(items), np.int64)
    for i, key in enumerate(keys):
        place = seen.setdefault(key, len(firsts))
        if place == len(firsts):
            firsts.append(i)
        group[i] = place
    return Deduped(np.array(firsts, np.int64), group)


def minhash(
    sets: Sequence[Iterable[str | bytes]], *, permutations: int = 128, seed: int = 0
) -> UInt64:
    """A signature of each set (of words, shingles): (n, permutations).

    The part of equal places in two signatures estimates the Jaccard similarity of the sets, with
    standard error sqrt(J(1-J)/permutations).  An empty set has only the largest number.
    Source: Broder 1997; each permutation is splitmix64 (Steele et al. 2014) of hash xor key.

    >>> a, b = minhash([["x", "y", "z"], ["z", "y", "x", "x"]])
    >>> bool((a == b).all())
    True
    """
    if permutations < 1:
        raise InvalidError(f"want at least 1 permutation, got {permutations}")
    keys = _mixed(np.arange(1, permutations + 1, dtype=np.uint64) + _mixed(_one(seed)))
    signatures = np.full((len(sets), permutations), np.iinfo(np.uint64).max, np.uint64)
    known: dict[str | bytes, int] = {}
    for row, members in zip(signatures, sets, strict=True):
        hashes = [known.get(x) or known.setdefault(x, hash64(x)) for x in set(members)]
        column = np.array(hashes, np.uint64)[:, None]
        for start in range(0, len(column), 4096):
            np.minimum(row, _mixed(column[start : start + 4096] ^ keys).min(axis=0), out=row)
    return signatures


def lsh(signatures: UInt64, *, bands: int = 32) -> Int64:
    """Pairs of rows that agree in a whole band: (p, 2), first < second, sorted, each once.

    With r = permutations/bands numbers in a band, sets of Jaccard similarity J become a pair with
    probability 1 - (1 - J^r)^bands: half of them near J = (1/bands)^(1/r).
    Raises LimitError beyond PAIRS_MAX pairs in a band: many equal sets, which `dedupe` finds.
    """
    n, permutations = signatures.shape
    if bands < 1 or permutations % bands:
        raise InvalidError(f"want bands that divide {permutations} permutations, got {bands}")
    found = np.empty(0, np.uint64)
    for band in np.split(signatures, bands, axis=1):
        names = np.zeros(n, np.uint64)
        for column in band.T:
            names = _mixed(names ^ column)
        found = np.union1d(found, _pairs_of_equal(names))
    return np.stack([found >> np.uint64(32), found & np.uint64(2**32 - 1)], axis=1).astype(np.int64)


def similarity(signatures: UInt64, pairs: Int64) -> NDArray[np.float64]:
    """The estimated Jaccard similarity of each pair (p, 2): (p,)."""
    return np.asarray((signatures[pairs[:, 0]] == signatures[pairs[:, 1]]).mean(axis=1), np.float64)


def rolling_hash(data: str | bytes, window: int) -> UInt64:
    """The hash of every window of bytes: (n - window + 1,), empty if the data are shorter.

    Equal windows have equal hashes wherever they stand.  Two polynomials modulo primes near 2^31
    (Karp and Rabin 1987); a modulus of 2^64 would collide on Thue-Morse words.
    Cost: O(n log window): a hash of 2w bytes is made of two of w.

    >>> a = rolling_hash("abcabc", 3)
    >>> bool(a[0] == a[3])
    True
    """
    if window < 1:
        raise InvalidError(f"want a window of at least 1 byte, got {window}")
    values = np.frombuffer(_as_bytes(data), np.uint8).astype(np.uint64) + np.uint64(1)
    if len(values) < window:
        return np.empty(0, np.uint64)
    parts = [_windows(values, window, b, p) for b, p in zip(BASES, PRIMES, strict=True)]
    return parts[0] << np.uint64(31) | parts[1]


@overload
def jump_hash(keys: int, buckets: int) -> int: ...
@overload
def jump_hash(keys: ArrayLike, buckets: int) -> Int64: ...
def jump_hash(keys: int | ArrayLike, buckets: int) -> int | Int64:
    """The bucket of each key below 2^64; one more bucket moves only 1/(buckets+1) of the keys.

    Source: Lamping and Veach 2014, figure 1.

    >>> jump_hash(256, 1024)
    520
    """
    if buckets < 1:
        raise InvalidError(f"want at least 1 bucket, got {buckets}")
    single = isinstance(keys, int)
    state = np.array([keys], np.uint64) if single else np.array(keys, np.uint64)
    bucket = np.zeros(state.shape, np.int64)
    jump = np.zeros(state.shape, np.int64)
    while (moving := jump < buckets).any():
        bucket[moving] = jump[moving]
        state[moving] = state[moving] * np.uint64(2862933555777941757) + np.uint64(1)
        width = ((state[moving] >> np.uint64(33)) + np.uint64(1)).astype(np.float64)
        jump[moving] = ((bucket[moving] + 1) * (2.0**31 / width)).astype(np.int64)
    return int(bucket[0]) if single else bucket


def _as_bytes(data: str | bytes) -> bytes:
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)


def _digest(data: str | bytes, size_bytes: int) -> bytes:
    return blake2b(_as_bytes(data), digest_size=size_bytes, person=PERSON).digest()


def _one(seed: int) -> UInt64:
    return np.array([seed % 2**64], np.uint64)


def _mixed(values: UInt64) -> UInt64:
    """splitmix64: a permutation of the 64-bit numbers that looks random."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _pairs_of_equal(names: UInt64) -> UInt64:
    """first << 32 | second for all pairs of equal names."""
    order = np.argsort(names, kind="stable")
    ordered = names[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(names)))
    if (count := int((sizes * (sizes - 1) // 2).sum())) > PAIRS_MAX:
        raise LimitError(f"want at most {PAIRS_MAX} pairs in a band, got {count}: dedupe first")
    found = [np.empty(0, np.uint64)]
    for size in np.unique(sizes[sizes > 1]):
        groups = order[starts[sizes == size][:, None] + np.arange(size)].astype(np.uint64)
        first, second = np.triu_indices(int(size), 1)
        found.append((groups[:, first] << np.uint64(32) | groups[:, second]).ravel())
    return np.concatenate(found)


def _windows(values: UInt64, window: int, base: int, prime: int) -> UInt64:
    """sum(values[i+j] * base^(window-1-j)) mod prime for every i."""
    modulus = np.uint64(prime)
    length = 1
    hashes = values % modulus
    for bit in bin(window)[3:]:  # The bits of window after the first, as in fast powers.
        power = np.uint64(pow(base, length, prime))
        hashes = (hashes[:-length] * power + hashes[length:]) % modulus
        length *= 2
        if bit == "1":
            hashes = (
                hashes[:-1] * np.uint64(base) + values[length : length + len(hashes) - 1]
            ) % modulus
            length += 1
    return hashes
