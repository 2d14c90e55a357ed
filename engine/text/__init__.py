"""Words: tokens, BM25 over postings segments and an exact tail, as a snapshot sees them."""

from .index import SegmentInfo, WordIndex, WordsState, merge_due
from .scoring import Bm25
from .tokens import Analyser
from .view import Found, WordView

__all__ = [
    "Analyser",
    "Bm25",
    "Found",
    "SegmentInfo",
    "WordIndex",
    "WordView",
    "WordsState",
    "merge_due",
]
