"""Operators: one family per file, none importing another."""

from .expanding import Expand
from .filtering import Above, Top, Where
from .finding import All, Named, Near
from .spiking import Spike

__all__ = ["Above", "All", "Expand", "Named", "Near", "Spike", "Top", "Where"]
