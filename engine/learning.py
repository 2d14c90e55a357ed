"""Learning: what a transaction adds for a text: a passage, the names in it, and what it states."""

from collections import Counter
from math import log
from typing import TYPE_CHECKING, Any

from .changing import Changing
from .errors import InvalidError
from .snapshot import Key

if TYPE_CHECKING:  # Imported where texts are read: most transactions read none.
    from .extraction import Relation

PASSAGE, ENTITY = "passage", "entity"
MENTIONS, NEXT = "mentions", "next"
CONFIDENCE = 0.9


class Learning(Changing):
    """The part of a Transaction that learns from texts."""

    def learn(
        self,
        text: str,
        *,
        id: str | None = None,
        name: str | None = None,
        vector: Any = None,
        source: str | None = None,
        after: Key | None = None,
        extractor_name: str = "patterns",
    ) -> int:
        """Add a text as a concept, with the relations it states and the names it mentions.

        name: what the text is about; other texts mention it by this name.  Relations become
        associations between concepts found or made by name, of confidence 0.9 (a pattern may
        misread), with the sentence's span, rule and passage as their data.  The passage is linked
        to them, and to concepts known by a name that it holds, by "mentions".  No concept is made
        of a name alone: `mention` does that, once it can count.
        after: the passage that this one follows; it gets an association "next" to this one.
        Returns the passage's node number; its text is kept whatever is found in it.
        """
        from .extraction import extractor
        from .mentions import StoreNames, mentioned, without_aside

        if not isinstance(text, str) or not text.strip():
            raise InvalidError(f"want a text to learn from, got {text!r}")
        before = None if after is None else self.existing(after)
        relations = extractor(extractor_name)(text)
        short = without_aside(name) if name else ""
        aliases = [short] if short and short != name else []
        node = self.add(
            text, id=id, name=name, aliases=aliases, vector=vector, source=source, kind=PASSAGE
        )
        passage = self.get(node).id
        ends = {x: self._entity(x) for r in relations for x in (r.source, r.target)}
        for relation in relations:
            self._state(relation, ends, passage)
        names = StoreNames(self, self._directory.beginnings)
        known = mentioned(text, names, names.longest)
        others = sorted({*ends.values(), *known} - {node})
        self.link_many([node] * len(others), others, MENTIONS)
        if before is not None:
            self.link(before, node, NEXT)
        return node

    def mention(self, *, enough: int | None = None) -> int:
        """Link every concept with a text to all concepts whose names stand in it; returns how many.

        enough: first make a concept of each new name that stands in at least so many texts (>= 2)
        and in no more than a tenth of them, or `enough` if that is more: see naming.py for what
        looks like a name.

        After texts were added in bulk, or before the names that they mention.  The weight of a
        mention is the name's inverse document frequency, log(1 + texts / texts with the name), so
        that a name which stands everywhere says little.
        """
        from .mentions import Names, mentioned

        if enough is not None:
            self._name(enough)
        names = Names(self.concepts())
        pairs: list[tuple[int, int]] = []
        texts = 0
        for concept in self.concepts():
            if concept.text:
                texts += 1
                found = mentioned(concept.text, names, names.longest)
                pairs += [(concept.node, other) for other in found if other != concept.node]
        counts = Counter(other for _, other in pairs)
        if pairs:
            self.link_many(
                [source for source, _ in pairs],
                [target for _, target in pairs],
                MENTIONS,
                weights=[log(1 + texts / counts[target]) for _, target in pairs],
            )
        return len(pairs)

    def _name(self, enough: int) -> None:
        """Make the concepts of new names."""
        from .naming import names_in

        texts = (concept.text for concept in self.concepts() if concept.text)
        names = [x for x in names_in(texts, enough) if not self.named(x)]
        ids = [None if name in self else name for name in names]
        self.add_many(ids=ids, names=names, kinds=ENTITY)

    def _entity(self, name: str) -> int:
        """The concept of a canonical name, made where there is none."""
        known = [x for x in self.named(name) if x.kind == ENTITY] or self.named(name)
        if known:
            return known[0].node
        return self.add(id=None if name in self else name, name=name, kind=ENTITY)

    def _state(self, relation: "Relation", ends: dict[str, int], passage: str) -> None:
        """Set an association that a sentence states, and end what it changes; the latest passage is
        its origin."""
        source, target = ends[relation.source], ends[relation.target]
        if not self._change(relation, source, target):
            return
        self.link(
            source,
            target,
            relation.type,
            confidence=CONFIDENCE,
            origin=passage,
            data={"rule": relation.rule, "span": [relation.start, relation.end]},
        )
