"""Operators: one family per file, none importing another.

A family loads when one of its names is first used (PEP 562), all of them when a query is read from
JSON: most processes need a few, and all together take longer to import than a store to open.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import InvalidError
from ..query import Operator

if TYPE_CHECKING:
    from .believing import Believe, Overturn, Paths
    from .cutting import Boundary, Cut, Tie
    from .deriving import Derive
    from .disputing import Conflicts, Verify
    from .expanding import Expand
    from .explaining import Explain
    from .filtering import Above, Top, Where
    from .finding import All, Named, Near
    from .fusing import Fuse, Intersect, Subtract
    from .grouping import Communities
    from .judging import Calibrated, Consensus, Gate, Trust
    from .packing import Pack
    from .recalling import Recall
    from .spiking import Spike
    from .spreading import Spread
    from .timing import AsOf, Between
    from .varying import Distinct, Diverse
    from .wording import Words

__all__ = [
    "Above",
    "All",
    "AsOf",
    "Believe",
    "Between",
    "Boundary",
    "Calibrated",
    "Communities",
    "Conflicts",
    "Consensus",
    "Cut",
    "Derive",
    "Distinct",
    "Diverse",
    "Expand",
    "Explain",
    "Fuse",
    "Gate",
    "Intersect",
    "Named",
    "Near",
    "Overturn",
    "Pack",
    "Paths",
    "Recall",
    "Spike",
    "Spread",
    "Subtract",
    "Tie",
    "Top",
    "Trust",
    "Verify",
    "Where",
    "Words",
]

_HOMES = {
    "believing": "Believe Overturn Paths",
    "cutting": "Boundary Cut Tie",
    "deriving": "Derive",
    "disputing": "Conflicts Verify",
    "expanding": "Expand",
    "explaining": "Explain",
    "filtering": "Above Top Where",
    "finding": "All Named Near",
    "fusing": "Fuse Intersect Subtract",
    "grouping": "Communities",
    "judging": "Calibrated Consensus Gate Trust",
    "packing": "Pack",
    "recalling": "Recall",
    "spiking": "Spike",
    "spreading": "Spread",
    "timing": "AsOf Between",
    "varying": "Distinct Diverse",
    "wording": "Words",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _load() -> None:
    for home in _HOMES:
        import_module(f".{home}", __name__)


Operator.loaders.append(_load)
Operator.reserved |= {name: f"{__name__}.{home}" for name, home in _HOME_OF.items()}
for _name in _HOME_OF.keys() & Operator._registry.keys():  # Defined before anything was opened.
    raise InvalidError(f"want another name than that of a built-in operator, got {_name!r}")
