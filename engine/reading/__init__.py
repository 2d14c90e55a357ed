"""Readers: from files to plain records (Items and Edges). They know nothing of a store."""

from ..errors import BadRecordError
from .fields import Fields
from .files import FORMATS, STDIN, Layout, expect, format_of, inputs, read_stream, reading
from .items import Edge, Item, OnBad, refuse, stable_id
from .lines import read_json_lines
from .markdown import Documents
from .packages import available, read_packages
from .wordnet import POINTERS, find_folder, read_wordnet

__all__ = [
    "FORMATS",
    "POINTERS",
    "STDIN",
    "BadRecordError",
    "Documents",
    "Edge",
    "Fields",
    "Item",
    "Layout",
    "OnBad",
    "available",
    "expect",
    "find_folder",
    "format_of",
    "inputs",
    "read_json_lines",
    "read_packages",
    "read_stream",
    "read_wordnet",
    "reading",
    "refuse",
    "stable_id",
]
