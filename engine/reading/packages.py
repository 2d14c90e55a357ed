"""Reader of Debian's package lists: the output of `apt-cache dumpavail`, or a Packages file.

A package is a concept (its id the package's name, its text name and description), a dependency an
association: depends, pre_depends, recommends, suggests, enhances, breaks, conflicts, replaces,
provides. Of alternatives ("a | b") each gets its share of the weight. A name that is depended on
and in no stanza becomes a concept of the kind virtual-package.
"""

import re
import subprocess
from collections.abc import Iterator
from typing import IO, Any

from ..errors import BadRecordError, NotFoundError, StorageError
from .items import Edge, Item, OnBad
from .lines import decoded_lines

SOURCE = "debian"
WANTS = ("Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances", "Provides")
REFUSES = ("Breaks", "Conflicts", "Replaces")
DATA = ("Version", "Section", "Priority", "Architecture", "Homepage", "Maintainer")
TARGET = re.compile(r"[a-z0-9][a-z0-9+.-]+")

Stanza = dict[str, str]


def available() -> bytes:
    """What `apt-cache dumpavail` prints; NotFoundError where there is no apt-cache."""
    try:
        result = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True)
    except FileNotFoundError as error:
        raise NotFoundError("no apt-cache here; name a Packages file: --packages FILE") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        raise StorageError(error.returncode, f"apt-cache dumpavail failed: {reason}") from error
    return result.stdout


def read_packages(stream: IO[bytes], name: str, *, on_bad: OnBad) -> Iterator[Item | Edge]:
    """Every package as an item with its relations as edges; of several versions the first."""
    known: set[str] = set()
    wanted: dict[str, str] = {}
    for number, stanza in _stanzas(stream, name, on_bad):
        place = f"{name}:{number}"
        package = stanza.get("Package", "")
        if not package:
            on_bad(BadRecordError(place, "a stanza without Package:"))
        elif package not in known:
            known.add(package)
            yield _item(package, stanza, place)
            for edge in _edges(package, stanza, place):
                wanted.setdefault(edge.target, place)
                yield edge
    for target, place in wanted.items():
        if target not in known:
            kind = "virtual-package"
            yield Item(target, name=target, source=SOURCE, kind=kind, place=place)


def _stanzas(stream: IO[bytes], name: str, on_bad: OnBad) -> Iterator[tuple[int, Stanza]]:
    stanza: Stanza = {}
    start = field = None
    for number, line in decoded_lines(stream, name, on_bad):
        if not line.strip():
            if stanza and start:
                yield start, stanza
            stanza, start, field = {}, None, None
        elif line[0] in " \t" and field:
            stanza[field] += "\n" + line.strip()
        elif ":" in line:
            start = start or number
            field, _, value = line.partition(":")
            stanza[field] = value.strip()
        else:
            on_bad(BadRecordError(f"{name}:{number}", "want 'Field: value' or a line that goes on"))
    if stanza and start:
        yield start, stanza


def _item(package: str, stanza: Stanza, place: str) -> Item:
    summary, _, rest = stanza.get("Description", stanza.get("Description-en", "")).partition("\n")
    details = " ".join(x for x in rest.split("\n") if x not in ("", "."))
    data: dict[str, Any] = {x.lower(): stanza[x] for x in DATA if x in stanza}
    for field in ("Installed-Size", "Size"):
        if stanza.get(field, "").isdigit():
            data[field.lower().replace("-", "_")] = int(stanza[field])
    if "Tag" in stanza:
        data["tags"] = [x.strip() for x in stanza["Tag"].split(",")]
    return Item(
        id=package,
        text=f"{package}: {summary}" + (f". {details}" if details else ""),
        name=package,
        source=SOURCE,
        kind="package",
        data=data,
        place=place,
    )


def _edges(package: str, stanza: Stanza, place: str) -> Iterator[Edge]:
    for relation in WANTS + REFUSES:
        weights: dict[str, float] = {}
        for clause in stanza.get(relation, "").split(","):
            matches = [TARGET.match(x.strip()) for x in clause.split("|")]
            targets = list(dict.fromkeys(x.group() for x in matches if x))
            for target in targets:
                weights[target] = max(weights.get(target, 0.0), 1 / len(targets))
        for target, weight in weights.items():
            type = relation.lower().replace("-", "_")
            yield Edge(package, target, type, weight=weight, place=place)
