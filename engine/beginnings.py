"""Beginnings: what was found out about how a store's names begin, kept from text to text.

Reading a text word by word asks again and again whether a name begins there, mostly in vain.  The
answers stay right for as long as no name is added; only the one writer keeps them, from one of this
process's commits to the next one.  A name that is gone may still be said to be there: whoever then
looks it up does not find it.  The oracle is the catalog itself.
"""

from collections.abc import Iterable

KEPT_MAX = 200_000


class Beginnings:
    """Which starts of names and which whole names there are; for the holder of the writer's lock.

    starts: whether a name begins so, by folded start; with ENDED behind it, at the end of a word.
    absent: folded names that no concept has.
    """

    ENDED = "\n"  # In no folded name.

    def __init__(self) -> None:
        self.starts: dict[str, bool] = {}
        self.absent: set[str] = set()
        self._commit = -1

    def begin(self, commit: int) -> None:
        """Forget all, unless it was left at this commit, or there is too much of it."""
        if self._commit != commit or len(self.starts) + len(self.absent) > KEPT_MAX:
            self.starts.clear()
            self.absent.clear()
        self._commit = -1

    def end(self, commit: int) -> None:
        """What is known holds as of a commit; one that fails does not come here."""
        self._commit = commit

    def add(self, names: Iterable[str]) -> None:
        """Take back what new names make wrong."""
        if not self.starts and not self.absent:
            return
        for name in names:
            folded = " ".join(name.split()).casefold()
            self.absent.discard(folded)
            for end in range(1, len(folded) + 1):
                self.starts.pop(folded[:end], None)
                self.starts.pop(folded[:end] + self.ENDED, None)
