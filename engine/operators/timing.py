"""Timing: Between and AsOf. Recorded time is not validity time: one filter for each."""

from dataclasses import dataclass

import numpy as np

from ..errors import InvalidError
from ..query import Operator
from ..records import Concept, Time, to_ns
from ..selection import Selection
from ..snapshot import Snapshot


@dataclass(frozen=True)
class Between(Operator[Snapshot]):
    """The concepts recorded in [since, until): by when they were created. None is open.

    Times: integer nanoseconds, ISO text or datetime (kept as nanoseconds).  Scores: as they were.
    Raises InvalidError if since > until.
    """

    since: Time | None = None
    until: Time | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "since", to_ns(self.since))
        object.__setattr__(self, "until", to_ns(self.until))

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        since, until = to_ns(self.since), to_ns(self.until)
        if since is not None and until is not None and since > until:
            raise InvalidError(f"want since <= until, got {since} > {until}")
        kept = [
            (since is None or since <= concept.created_ns)
            and (until is None or concept.created_ns < until)
            for concept in selection.concepts()
        ]
        return _keep(repr(self), selection, kept)


@dataclass(frozen=True)
class AsOf(Operator[Snapshot]):
    """The concepts that are valid at a time: since <= time < until, where None is open.

    time: as in Between.  Scores: as they were.
    """

    time: Time

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", to_ns(self.time))

    def apply(self, view: Snapshot, selection: Selection) -> Selection:
        time = to_ns(self.time)
        if time is None:
            raise InvalidError("AsOf wants a time, got None")
        return _keep(repr(self), selection, [_valid(c, time) for c in selection.concepts()])


def _valid(concept: Concept, time: int) -> bool:
    started = concept.since is None or concept.since <= time
    return started and (concept.until is None or time < concept.until)


def _keep(operator: str, selection: Selection, kept: list[bool]) -> Selection:
    rows = np.flatnonzero(np.array(kept, np.bool_))
    if selection.is_everything:
        return selection.derive(operator, selection.ids[rows], selection.scores[rows])
    return selection.take(operator, rows)
