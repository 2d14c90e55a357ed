"""Receipts: a belief with all that it was computed from, so that anyone can compute it again.

A receipt holds every association that was weighed, with its probability and where it stands in the
network, as of one snapshot number.  `recompute` needs nothing else, no store either, and gives the
same belief bit for bit; `replay` reads the associations anew from a view of that number.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol, Self

from . import evidence
from .belief import CASES, bounds
from .errors import ConflictError, InvalidError
from .evidence import HOPS, Belief
from .facts import Fact, Network
from .records import Concept


class Weighed(NamedTuple):
    """An association of a receipt: ids, type, probability, and the two positions that it joins."""

    source: str
    type: str
    target: str
    p: float
    tail: int
    head: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a belief between concepts was computed from, and its bounds.

    version: the snapshot's number.  types, hops, direction, cases: as for `evidence.believe`.
    count, leaks, joined: as of a Network.
    """

    version: int
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    types: tuple[str, ...] | None
    hops: int
    direction: str
    cases: int
    associations: tuple[Weighed, ...]
    count: int
    leaks: tuple[tuple[int, ...], tuple[int, ...]]
    joined: bool
    lower: float
    upper: float

    def recompute(self) -> Belief:
        """The belief from this receipt alone; ConflictError if its bounds are not those here."""
        names = _Names(self.associations)
        net = Network(
            names.facts,
            tuple(x.tail for x in self.associations),
            tuple(x.head for x in self.associations),
            self.count,
            self.direction == "both",
            self.leaks,
            self.joined,
        )
        found = evidence.belief_of(names, net, self.cases)
        if (found.lower, found.upper) != (self.lower, self.upper):
            raise ConflictError(
                f"the receipt says [{self.lower}, {self.upper}], but what it holds gives "
                f"[{found.lower}, {found.upper}]: it was changed"
            )
        return found

    def replay(self, view: "View") -> Belief:
        """The belief, read anew; ConflictError if the view is another, or says otherwise."""
        if view.version != self.version:
            raise ConflictError(f"want a view of snapshot {self.version}, got {view.version}")
        ends = [[view.existing(x) for x in ids] for ids in (self.sources, self.targets)]
        again = receipt(
            view,
            *ends,
            types=self.types,
            hops=self.hops,
            direction=self.direction,
            cases=self.cases,
        )
        if again != self:
            raise ConflictError(f"snapshot {self.version} of this store has other associations")
        return self.recompute()

    def to_json(self) -> str:
        """The receipt as JSON text, which from_json reads back."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The receipt that to_json wrote; InvalidError for anything else."""
        try:
            content = json.loads(text)
            content["associations"] = tuple(Weighed(*x) for x in content["associations"])
            content["leaks"] = tuple(map(tuple, content["leaks"]))
            for name in ("sources", "targets", "types"):
                content[name] = None if content[name] is None else tuple(content[name])
            return cls(**content)
        except (TypeError, KeyError, ValueError) as error:
            raise InvalidError(f"want a receipt as to_json writes it: {error}") from error


class View(evidence.View, Protocol):
    """What is needed of a snapshot."""

    @property
    def version(self) -> int: ...

    def existing(self, key: str) -> int: ...


def receipt(
    view: View,
    sources: Sequence[int],
    targets: Sequence[int],
    *,
    types: Sequence[str] | None = None,
    hops: int = HOPS,
    direction: str = "out",
    cases: int = CASES,
) -> Receipt:
    """The receipt of `evidence.believe` with the same arguments."""
    net = evidence.seen(view, sources, targets, types=types, hops=hops, direction=direction)
    limits = bounds(net, cases)
    links = [evidence.as_link(view, fact) for fact in net.facts]
    return Receipt(
        view.version,
        tuple(view.get(x).id for x in sources),
        tuple(view.get(x).id for x in targets),
        None if types is None else tuple(types),
        hops,
        direction,
        cases,
        tuple(
            Weighed(link.source, link.type, link.target, link.p, tail, head)
            for link, tail, head in zip(links, net.tails, net.heads, strict=True)
        ),
        net.count,
        net.leaks,
        net.joined,
        limits.lower,
        limits.upper,
    )


class _Names:
    """Names the concepts and types of a receipt by the numbers that it gives them."""

    def __init__(self, associations: Sequence[Weighed]) -> None:
        self.ids = list(dict.fromkeys(id for x in associations for id in (x.source, x.target)))
        self.types = list(dict.fromkeys(x.type for x in associations))
        node = {id: number for number, id in enumerate(self.ids)}
        type = {name: number for number, name in enumerate(self.types)}
        self.facts = tuple(
            Fact(node[x.source], type[x.type], node[x.target], x.p) for x in associations
        )

    def get(self, key: int) -> Concept:
        return Concept(key, self.ids[key])

    def type_name(self, number: int) -> str:
        return self.types[number]
