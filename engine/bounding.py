"""Bounding: what the operators share that bound how surely each row leads to some concepts.

They answer at once, or yield answers that get better while more cases are told apart (anytime).
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from . import belief, evidence
from .belief import Bounds
from .facts import Network
from .query import set_tuples
from .selection import Selection
from .snapshot import Key, Snapshot


class Bounding:
    """A part of an operator with these fields: the last four are those of `evidence.seen`."""

    to: tuple[Key, ...]
    hops: int
    types: tuple[str, ...] | None
    direction: str
    cases: int

    def __post_init__(self) -> None:
        set_tuples(self, "to", "types")

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        """The answer with all cases."""
        nets = self._networks(view, selection)
        return self._answer(selection, nets, [belief.bounds(net, self.cases) for net in nets])

    def improve(self, view: Snapshot, selection: Selection) -> Iterator[Selection]:
        """Answers that get better: lower bounds never fall, upper ones never rise; the last is
        `apply`'s, bit for bit."""
        nets = self._networks(view, selection)
        for limits in belief.rounds(nets, self.cases):
            yield self._answer(selection, nets, limits)

    def _networks(self, view: Snapshot, selection: Selection) -> list[Network]:
        targets = sorted({view.existing(key) for key in self.to})
        return evidence.networks(
            view,
            selection.ids.tolist(),
            targets,
            hops=self.hops,
            types=self.types,
            direction=self.direction,
        )

    @abstractmethod
    def _answer(
        self, selection: Selection, nets: Sequence[Network], limits: Sequence[Bounds]
    ) -> Selection:
        """The rows with these bounds; no networks at all where there is nothing to lead to."""
