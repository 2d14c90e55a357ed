"""Operators: one family per file, none importing another."""

from .cutting import Boundary, Cut, Tie
from .expanding import Expand
from .filtering import Above, Top, Where
from .finding import All, Named, Near
from .grouping import Communities
from .spiking import Spike

__all__ = [
    "Above",
    "All",
    "Boundary",
    "Communities",
    "Cut",
    "Expand",
    "Named",
    "Near",
    "Spike",
    "Tie",
    "Top",
    "Where",
]
