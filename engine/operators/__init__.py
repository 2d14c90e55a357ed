"""Operators: one family per file, none importing another."""

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
