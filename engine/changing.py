"""Changing: what a text says has happened ends what was so before.

Where something is and who holds it change.  Who went somewhere is not where he was; what someone
took is held by nobody else, and is where he is: that follows, and need not be stated.  What is put
down stays where its holder was.  Nothing is removed: what is so no longer gets an end, `until`, so
that evidence does not count it any more.
"""

import time
from typing import TYPE_CHECKING, Any

from .linking import Linking

if TYPE_CHECKING:
    from .extraction import Relation

PLACE, HOLDER = "located_in", "held_by"
MOVING = ("moved to", "put down")
"""Rules that place something for a while only."""


class Changing(Linking):
    """The part of a Transaction that ends what a text says is so no longer."""

    def _change(self, relation: "Relation", source: int, target: int) -> bool:
        """End what a relation changes; whether it is left to be set."""
        if not relation.holds:
            if self._cease(source, relation.type, only=target):
                if relation.type == HOLDER:
                    self._stay(source, target)
            elif relation.type == HOLDER:  # He left a place, not a thing.
                self._cease(target, PLACE, only=source)
            return False
        if relation.type == HOLDER:
            self._cease(source, HOLDER, but=target)
            self._cease(source, PLACE)
        elif relation.type == PLACE:
            self._cease(source, PLACE, but=target, passing=relation.rule not in MOVING)
        return True

    def _cease(
        self,
        source: int,
        type: str,
        *,
        only: int | None = None,
        but: int | None = None,
        passing: bool = False,
    ) -> int:
        """End what is so of a source: all, one target, all but one; returns how many.

        passing: only what moving made so.
        """
        ended = 0
        for target, weight, details in self._lasting(source, type):
            moved = details.get("data", {}).get("rule") in MOVING
            if only not in (None, target) or target == but or (passing and not moved):
                continue
            self.link(
                source,
                target,
                type,
                weight=weight,
                confidence=details.get("confidence", 1.0),
                origin=details.get("origin"),
                since=details.get("since"),
                until=time.time_ns(),
                data=details.get("data"),
            )
            ended += 1
        return ended

    def _stay(self, thing: int, holder: int) -> None:
        """Place a thing where its holder is."""
        for place, weight, details in self._lasting(holder, PLACE):
            data = {**details.get("data", {}), "rule": "put down"}
            chance = details.get("confidence", 1.0)
            origin = details.get("origin")
            self.link(
                thing, place, PLACE, weight=weight, confidence=chance, origin=origin, data=data
            )

    def _lasting(self, source: int, type: str) -> list[tuple[int, float, dict[str, Any]]]:
        """(target, weight, details) of a source's associations of a type that are so now."""
        number, now = self.type_numbers().get(type), time.time_ns()
        if number is None:
            return []
        edges = self.graph.neighbours([source], types=[number])[0]
        return [
            (edge["target"].item(), edge["weight"].item(), details)
            for edge, details in zip(edges, self.details(edges), strict=True)
            if details.get("since", now) <= now < details.get("until", now + 1)
        ]
