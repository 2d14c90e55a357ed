"""Operators: one family per file, none importing another."""

from .believing import Believe, Overturn, Paths
from .cutting import Boundary, Cut, Tie
from .expanding import Expand
from .filtering import Above, Top, Where
from .finding import All, Named, Near
from .fusing import Fuse, Intersect, Subtract
from .grouping import Communities
from .packing import Pack
from .spiking import Spike
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
    "Communities",
    "Cut",
    "Distinct",
    "Diverse",
    "Expand",
    "Fuse",
    "Intersect",
    "Named",
    "Near",
    "Overturn",
    "Pack",
    "Paths",
    "Spike",
    "Subtract",
    "Tie",
    "Top",
    "Where",
    "Words",
]
