"""Names, keys and values on disk. `docs/format.md` shows the same in tables.

A store directory
-----------------
catalog.mdb, catalog.mdb-lock   LMDB: all metadata and the one commit point (catalog.py)
catalog.mdb-sync                what is on the disk, where LMDB does not sync (syncpoints.py)
catalog.mdb.damaged             what a repair has written anew (salvaging.py)
writer.lock                     held by the writing process; its content is that process's number
vectors/rows-NNN.f32            segments of the vector log (csrc/vectors.c)
vectors/meta-NNN.slots          node, birth, scale and checksum of each row (csrc/vectors.c)
vectors/index-NNNNNN.hnsw       generations of the index over a prefix of the rows (csrc/hnsw.c)
vectors/index-draft-PID.tmp     one that process PID is writing; nobody else looks at it
graph.log                       the log of associations (csrc/graph.c)
vectors-NNNNNN/, graph-NNNNNN.log   the same of generation N: what compacting wrote, and since
graph-NNNNNN-MMMMMM.dat         fold M of generation N: associations as extents (csrc/extent_file.c)
graph-NNNNNN-MMMMMM.log         and the log of those linked since
graph-draft-THREAD-PID.tmp      a fold that process PID is writing; nobody else looks at it
words/words-NNNNNN.post         segments of postings (csrc/postings.c)

Tables of catalog.mdb: one LMDB tree, the first byte of a key is its table
---------------------------------------------------------------------------
S store      "store" -> Manifest; "head" -> Head: the state that a commit makes visible;
             "dictionary-N" -> what cold records share (tiers.py);
             "words" -> the segments of words (text/records.py)
c concepts   u32 node -> concept record
I ids        u16 namespace, id (see id_key) -> u32 node
N names      casefolded name or alias (see name_key), 0, u32 node -> nothing
M namespaces name -> u16 number
T types      name of an association type -> u16 number
E edges      u32 source, u16 type, u32 target -> what the log does not hold of an association
D deaths     u64 commit -> u32 slots (little-endian) that this commit retired
F facets     field, 0, u32 page of nodes -> the values of that field there (facets.py)
B blobs      name, 0, u32 part -> a piece of bytes that one feature keeps (a saved network)
J journal    u64 commit -> what it wrote to the logs, until those are synced (journal.py)
W words      u64 position in the log of changed texts -> u32 nodes (little-endian) from there on

Integers in keys are big-endian, so that byte order is number order. LMDB's own named tables would
need a write transaction to open, which waits for another process's writer; this way readers never
wait. Concepts come last, so that new ones append at the end of the tree.

Every value of store, concepts, edges, facets, blobs and journal is *sealed*: u32 little-endian
crc32 over key and payload, then the payload, which is msgpack. LMDB has no checksums of its own; a
seal also notices a value that stands under another key.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import msgpack

from .errors import CorruptError
from .records import Concept, Draft, concept_of

CATALOG: Final = "catalog.mdb"
DAMAGED: Final = "catalog.mdb.damaged"
WRITER_LOCK: Final = "writer.lock"
SYNC_POINTS: Final = "catalog.mdb-sync"
VECTORS: Final = "vectors"
GRAPH_LOG: Final = "graph.log"
WORDS: Final = "words"

TABLES: Final = {
    "store": b"S",
    "concepts": b"c",
    "ids": b"I",
    "names": b"N",
    "namespaces": b"M",
    "types": b"T",
    "edges": b"E",
    "deaths": b"D",
    "blobs": b"B",
    "words": b"W",
    "facets": b"F",
    "journal": b"J",
}
STORE_KEY: Final = b"store"
HEAD_KEY: Final = b"head"
COLD_MARK: Final = 0xC1  # First byte of a cold record's payload; msgpack never writes it.
COLD_WINDOW: Final = -13  # Raw deflate over 8 KiB, as large as the dictionary: starting is quick.
DICTIONARY_BYTES_MAX: Final = 8_192
RECORD_BYTES_MAX: Final = 1 << 25  # A text, metadata and names at their limits, and more.
WORDS_KEY: Final = b"words"

LOG_HEADER_BYTES: Final = 4_096  # Of the log of associations, see csrc/graph_log.c.
INDEX_MAGIC: Final = b"QLHNSW\0\3"  # Its last byte is its own version, see csrc/index_file.c.
SEGMENT_SLOTS: Final = 65_536  # Of the vector log, see csrc/vectors.c.
ROWS_HEADER_BYTES: Final = 4_096
SLOT_BYTES: Final = 24
EDGE_BYTES: Final = 16

KEY_BYTES_MAX: Final = 505  # LMDB's 511 less table, terminator and node.
_HASH_BYTES: Final = 32
BLOB_PART_BYTES: Final = 1 << 18
BLOB_NAME_BYTES_MAX: Final = 255

namespace_key = struct.Struct(">H").pack
node_key = struct.Struct(">I").pack
concept_key = struct.Struct(">cI").pack  # With the table's byte in front.
commit_key = struct.Struct(">Q").pack
edge_key = struct.Struct(">IHI").pack
_node_of = struct.Struct(">I").unpack
_edge_of = struct.Struct(">IHI").unpack


def node_of(key: bytes | memoryview) -> tuple[int]:
    """What node_key packed; CorruptError if it is not as long."""
    try:
        return cast("tuple[int]", _node_of(key))
    except struct.error as error:
        raise CorruptError(f"a node number is damaged: {error}; run check") from error


def edge_of(key: bytes) -> tuple[int, int, int]:
    """What edge_key packed; CorruptError if it is not as long."""
    try:
        return cast("tuple[int, int, int]", _edge_of(key))
    except struct.error as error:
        raise CorruptError(f"the key of an association is damaged: {error}; run check") from error


def index_name(generation: int) -> str:
    """File name of a generation of the vector index."""
    return f"index-{generation:06d}.hnsw"


def draft_index_name(process: int) -> str:
    """File name of an index that a process is writing and nobody reads yet."""
    return f"index-draft-{process}.tmp"


def vectors_name(generation: int) -> str:
    """Folder of a generation's vectors and their index."""
    return f"{VECTORS}-{generation:06d}" if generation else VECTORS


def graph_name(generation: int, fold: int) -> str:
    """File name of the log of associations behind a fold of a generation."""
    if fold:
        return f"graph-{generation:06d}-{fold:06d}.log"
    return f"graph-{generation:06d}.log" if generation else GRAPH_LOG


def extents_name(generation: int, fold: int) -> str:
    """File name of a fold's extents."""
    return f"graph-{generation:06d}-{fold:06d}.dat"


def draft_extents_name(thread: int, process: int) -> str:
    """File name of extents that a thread of a process is writing and nobody reads yet."""
    return f"graph-draft-{thread}-{process}.tmp"


def generation_of(name: str) -> tuple[int, int | None] | None:
    """(generation, fold) that a file belongs to, fold None for vectors; None for other names."""
    if name in (VECTORS, GRAPH_LOG):
        return 0, 0 if name == GRAPH_LOG else None
    match = re.fullmatch(rf"{VECTORS}-(\d{{6,}})", name)
    if match:
        return int(match[1]), None
    match = re.fullmatch(r"graph-(\d{6,})\.log|graph-(\d{6,})-(\d{6,})\.(?:log|dat)", name)
    return (int(match[1] or match[2]), int(match[3] or 0)) if match else None


def stride(dim: int) -> int:
    """Bytes from one row of vectors to the next."""
    return (4 * dim + 63) // 64 * 64


def segment_names(segment: int) -> tuple[str, str]:
    """File names of a segment's rows and of their slots."""
    return f"rows-{segment:03d}.f32", f"meta-{segment:03d}.slots"


def row_files(rows: int, dim: int) -> dict[str, int]:
    """Names of the files that hold this many vectors of a dimension, and the bytes that they fill.

    As csrc/vectors.c lays them out.
    """
    sizes: dict[str, int] = {}
    for segment in range(-(-rows // SEGMENT_SLOTS)):
        slots = min(SEGMENT_SLOTS, rows - segment * SEGMENT_SLOTS)
        names = segment_names(segment)
        sizes[names[0]] = ROWS_HEADER_BYTES + slots * stride(dim)
        sizes[names[1]] = ROWS_HEADER_BYTES + slots * SLOT_BYTES
    return sizes


def words_name(number: int) -> str:
    """File name of a segment of words."""
    return f"words-{number:06d}.post"


def _bounded(key: bytes) -> bytes:
    if len(key) <= KEY_BYTES_MAX:
        return key
    from hashlib import blake2b  # OpenSSL's, which opening a store does not need.

    return key[: KEY_BYTES_MAX - _HASH_BYTES] + blake2b(key, digest_size=_HASH_BYTES).digest()


def id_key(id: str, namespace: int = 0) -> bytes:
    """Key of an id: exact up to 503 bytes; two longer ids share a key only if blake2b collides."""
    return _bounded(namespace_key(namespace) + id.encode())


def id_keys(ids: Iterable[str], namespace: int = 0) -> list[bytes]:
    """The key of each id."""
    start = namespace_key(namespace)
    keys = [start + id.encode() for id in ids]
    longest = max(map(len, keys), default=0)
    return keys if longest <= KEY_BYTES_MAX else list(map(_bounded, keys))


def name_key(name: str) -> bytes:
    """What the keys of a name start with: white space folded, case folded, and a terminator."""
    return _bounded(" ".join(name.split()).casefold().encode()) + b"\0"


def dictionary_key(number: int) -> bytes:
    """Key of a dictionary of cold records."""
    return b"dictionary-%d" % number


def facet_key(field: str, page: int) -> bytes:
    """Key of a page of a field's values."""
    return _bounded(field.encode()) + b"\0" + node_key(page)


def blob_key(name: str) -> bytes:
    """What the keys of a blob's parts start with."""
    return name.encode() + b"\0"


_packer = msgpack.Packer(use_bin_type=True)  # Making one costs as much as packing a record.


def seal(key: bytes, content: Any) -> bytes:
    """The bytes that stand under `key` for a msgpack-able content."""
    payload: bytes = _packer.pack(content)
    return zlib.crc32(payload, zlib.crc32(key)).to_bytes(4, "little") + payload


def payload_of(key: bytes, value: bytes, what: str) -> bytes:
    """What was sealed under `key`, as bytes; CorruptError naming `what` if a bit differs."""
    payload: bytes = value[4:]
    seal = zlib.crc32(payload, zlib.crc32(key)).to_bytes(4, "little")
    if len(value) < 5 or value[:4] != seal:
        raise CorruptError(f"{what} is damaged: its checksum does not match; run check")
    return payload


def unseal(key: bytes, value: bytes, what: str) -> Any:
    """The content that was sealed under `key`; CorruptError naming `what` if a bit differs."""
    payload = payload_of(key, value, what)
    try:
        return msgpack.unpackb(payload, raw=False, strict_map_key=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptError(f"{what} is damaged: {error}; run check") from error


def encode(concept: Concept | Draft) -> bytes:
    """The sealed record of a concept; fields at their defaults are left out.

    Written out field by field: a loop over field names was 4 us slower, of 10 us for an `add`.
    """
    record: dict[str, Any] = {"i": concept.id, "c": concept.created_ns}
    if concept.text is not None:
        record["t"] = concept.text
    if concept.name is not None:
        record["n"] = concept.name
    if concept.aliases:
        record["a"] = concept.aliases
    if concept.source is not None:
        record["s"] = concept.source
    if concept.kind is not None:
        record["k"] = concept.kind
    if concept.data:
        record["d"] = concept.data
    if concept.updated_ns:
        record["u"] = concept.updated_ns
    if concept.strength != 1:
        record["w"] = concept.strength
    if concept.confidence != 1:
        record["f"] = concept.confidence
    if concept.since is not None:
        record["b"] = concept.since
    if concept.until is not None:
        record["e"] = concept.until
    if concept.slots:
        record["v"] = concept.slots
    if concept.namespace:
        record["o"] = concept.namespace
    return seal(node_key(concept.node), record)


def decode(node: int, value: bytes) -> Concept:
    """The concept of a sealed record; CorruptError if it is damaged."""
    record = unseal(node_key(node), value, f"concept number {node}")
    try:
        field = record.get
        return concept_of(
            node, record["i"], field("t"), field("n"), tuple(field("a", ())), field("s"),
            field("k"), field("d", {}), record["c"], field("u", 0), field("w", 1.0),
            field("f", 1.0), field("b"), field("e"), tuple(field("v", ())),
            field("o", ""),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError) as error:
        raise CorruptError(f"concept number {node} is damaged: {error}; run check") from error


# Cold records: COLD_MARK, u8 number of the dictionary, the hot payload as raw deflate.


def is_cold(value: bytes) -> bool:
    """Whether a concept's value is that of a cold record."""
    return len(value) > 4 and value[4] == COLD_MARK


def primed(dictionary: bytes) -> Any:
    """A compressor to copy for each record: it has read the dictionary, which takes longest."""
    return zlib.compressobj(6, zlib.DEFLATED, COLD_WINDOW, 5, zdict=dictionary)


def frozen(node: int, value: bytes, number: int, compressor: Any) -> bytes:
    """A hot value as a cold one; `compressor`: see primed."""
    press = compressor.copy()
    payload: bytes = bytes((COLD_MARK, number)) + press.compress(value[4:]) + press.flush()
    return zlib.crc32(payload, zlib.crc32(node_key(node))).to_bytes(4, "little") + payload


def thawed(node: int, value: bytes, dictionary: Callable[[int], bytes]) -> bytes:
    """A cold value as the hot one; CorruptError if it is damaged or larger than a record may be."""
    what = f"concept number {node}"
    payload = payload_of(node_key(node), value, what)
    try:
        reading = zlib.decompressobj(COLD_WINDOW, zdict=dictionary(payload[1]))
        plain = reading.decompress(payload[2:], RECORD_BYTES_MAX)
    except (zlib.error, IndexError) as error:
        raise CorruptError(f"{what} is damaged: {error}; run check") from error
    if not reading.eof or reading.unused_data:
        raise CorruptError(f"{what} is damaged: it does not unpack; run check")
    return zlib.crc32(plain, zlib.crc32(node_key(node))).to_bytes(4, "little") + plain
