"""Reader of WordNet's data files: synsets as concepts, pointers as typed associations.

Reads a folder with data.* and index.* (Debian's wordnet-base puts them in /usr/share/wordnet).
A synset's id is word.pos.sense ("dog.n.01"): its first word, n v a s or r, and which sense of that
word it is, counted by the index files; the same names as NLTK's. The text is "words: gloss", the
name its first word, the aliases the others, kind its part of speech, and data holds
`topic` (the lexicographer's file, "animal") and `offset`.

A pointer from `dog.n.01` to `canine.n.02` with symbol @ reads "a hypernym of dog is canine" and
becomes the association (dog.n.01, canine.n.02, "hypernym"). Pointers between single words of two
synsets (antonyms, derivations) become associations between the synsets.
Source: the man pages wndb(5WN), wninput(5WN), lexnames(5WN) of WordNet 3.0.
"""

from collections.abc import Iterator
from pathlib import Path

from ..errors import BadRecordError, NotFoundError
from .items import Edge, Item, OnBad

FOLDER = Path("/usr/share/wordnet")
SOURCE = "wordnet"
FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
KINDS = {"n": "noun", "v": "verb", "a": "adjective", "s": "adjective", "r": "adverb"}

POINTERS = {
    "!": "antonym",
    "@": "hypernym",
    "@i": "instance_hypernym",
    "~": "hyponym",
    "~i": "instance_hyponym",
    "#m": "member_holonym",
    "#s": "substance_holonym",
    "#p": "part_holonym",
    "%m": "member_meronym",
    "%s": "substance_meronym",
    "%p": "part_meronym",
    "=": "attribute",
    "+": "derivationally_related",
    "*": "entailment",
    ">": "cause",
    "^": "also_see",
    "$": "verb_group",
    "&": "similar_to",
    "<": "participle_of",
    "\\": "pertainym",
    ";c": "topic_domain",
    "-c": "topic_member",
    ";r": "region_domain",
    "-r": "region_member",
    ";u": "usage_domain",
    "-u": "usage_member",
}

_TOPICS = (
    "adjective relation adverb tops act animal artifact attribute body cognition communication "
    "event feeling food group location motive object person phenomenon plant possession process "
    "quantity relation shape state substance time body change cognition communication competition "
    "consumption contact creation emotion motion perception possession social stative weather "
    "participle"
)
TOPICS = _TOPICS.split()
"""What the lexicographers' files 00 to 44 are about: "noun.animal" is animal."""

Names = dict[tuple[str, int], str]
"""Part of speech (n v a r) and byte offset of a synset -> its id."""


def find_folder(folder: Path | None) -> Path:
    """The folder of WordNet's files; NotFoundError says what is missing and how to get it."""
    place = folder or FOLDER
    for part in FILES.values():
        for file in (place / f"data.{part}", place / f"index.{part}"):
            if not file.is_file():
                hint = "install Debian's wordnet-base or name a folder: --wordnet FOLDER"
                raise NotFoundError(f"no WordNet in {place}: {file.name} is missing; {hint}")
    return place


def read_wordnet(folder: Path | None = None, *, on_bad: OnBad) -> Iterator[Item | Edge]:
    """Every synset as an item, followed by its pointers as edges."""
    place = find_folder(folder)
    names: Names = {}
    for pos, part in FILES.items():
        names.update(_names(place, pos, part))
    for pos, part in FILES.items():
        for number, line in _data_lines(place / f"data.{part}"):
            where = f"data.{part}:{number}"
            try:
                yield from _synset(line, pos, names, where, on_bad)
            except KeyError:
                on_bad(BadRecordError(where, f"index.{part} does not list this synset"))
            except (ValueError, IndexError) as error:
                on_bad(BadRecordError(where, f"not a synset: {error}"))


def _data_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines behind the licence, which is indented by two spaces."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.startswith("  "):
                yield number, line


def _names(folder: Path, pos: str, part: str) -> Names:
    senses: dict[str, list[int]] = {}
    for _, line in _data_lines(folder / f"index.{part}"):
        columns = line.split()
        count = int(columns[2])
        senses[columns[0]] = [int(x) for x in columns[-count:]]
    names: Names = {}
    for _, line in _data_lines(folder / f"data.{part}"):
        columns = line.split(" ", 5)
        if len(columns) == 6 and columns[0].isdigit():  # The reader names the lines that are not.
            offset, mark, lemma = int(columns[0]), columns[2], _bare(columns[4]).lower()
            if offset in senses.get(lemma, ()):
                names[pos, offset] = f"{lemma}.{mark}.{senses[lemma].index(offset) + 1:02d}"
    return names


def _bare(word: str) -> str:
    """A word without its syntactic marker: "galore(ip)" is galore."""
    return word.partition("(")[0]


def _synset(line: str, pos: str, names: Names, where: str, on_bad: OnBad) -> Iterator[Item | Edge]:
    head, _, gloss = line.partition(" | ")
    columns = head.split()
    offset, topic, mark, word_count = int(columns[0]), int(columns[1]), columns[2], columns[3]
    pointers_at = 4 + 2 * int(word_count, 16)
    words = [_bare(x).replace("_", " ") for x in columns[4:pointers_at:2]]
    id = names[pos, offset]
    yield Item(
        id=id,
        text=f"{', '.join(words)}: {gloss.strip()}",
        name=words[0],
        aliases=tuple(dict.fromkeys(words[1:])),
        source=SOURCE,
        kind=KINDS[mark],
        data={"topic": TOPICS[topic], "offset": offset},
        place=where,
    )
    seen: set[tuple[str, str]] = set()
    for index in range(int(columns[pointers_at])):
        at = pointers_at + 1 + 4 * index
        symbol, target, part = columns[at], int(columns[at + 1]), columns[at + 2]
        target_id = names.get((part.replace("s", "a"), target))
        if symbol not in POINTERS or target_id is None:
            on_bad(
                BadRecordError(where, f"pointer {symbol} leads to no synset: {part} {target:08d}")
            )
        elif (target_id, symbol) not in seen:  # Two pairs of their words, one association.
            seen.add((target_id, symbol))
            yield Edge(id, target_id, POINTERS[symbol], place=where)
