"""Looking at networks: counts by area, and rasters of who fired, as text, as SVG and as PNG."""

import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from .genomes import Area
from .spiking import Ids, Network

SHADES = " \u00b7\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"  # None, then more and more.
ROWS_MAX = 40
PIXELS = (900, 500)  # Of a PNG, at least; a burst and a neuron have one at least.
DOTS_MAX = 200_000  # Of an SVG: beyond, every k-th spike is drawn, and the caption says so.


def areas_of(network: Network, rows: int = ROWS_MAX) -> tuple[Area, ...]:
    """The areas of a network; one that has none is cut into up to `rows` equal ranges."""
    if network.areas:
        return network.areas
    edges = np.linspace(0, network.neurons, min(rows, network.neurons) + 1).astype(int).tolist()
    ranges = pairwise(edges)
    return tuple(
        Area(f"{a}-{b - 1}", f"{a}-{b - 1}", "", (b - a, 1, 1), 1, a, b - a) for a, b in ranges
    )


def counts(network: Network) -> dict[str, Any]:
    """Neurons and synapses, in all and by area, as plain data."""
    rows = network.rows().astype(np.int64)
    targets = network.synapses_at(0, network.synapses)[0]
    arriving = np.concatenate([[0], np.cumsum(np.bincount(targets, minlength=network.neurons))])
    listed = [
        {
            "area": area.name,
            "title": area.title,
            "group": area.group,
            "size": list(area.size),
            "neurons": area.count,
            "synapses_out": int(rows[area.first + area.count] - rows[area.first]),
            "synapses_in": int(arriving[area.first + area.count] - arriving[area.first]),
        }
        for area in network.areas
    ]
    return {
        "neurons": network.neurons,
        "synapses": network.synapses,
        "burst": network.burst,
        "areas": listed,
    }


def spikes_by_area(network: Network, fired: Sequence[Ids]) -> dict[str, int]:
    """How many spikes each area (or range) gave."""
    table = _table(areas_of(network), fired)
    sums = table.sum(axis=1).tolist()
    return {area.name: total for area, total in zip(areas_of(network), sums, strict=True)}


def text(network: Network, fired: Sequence[Ids], *, width: int = 80) -> list[str]:
    """Lines, one per area that fired: bursts from left to right, darker where more fired."""
    areas = areas_of(network)
    table = _table(areas, fired)
    columns = min(width, max(len(fired), 1))
    edges = np.linspace(0, len(fired), columns + 1).astype(int)
    lines = []
    label = max((len(area.name) for area in areas), default=0)
    for area, row in zip(areas, table, strict=True):
        if not row.any():
            continue
        cells = []
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            share = row[a:b].sum() / (area.count * max(b - a, 1))
            cells.append(SHADES[min(len(SHADES) - 1, int(np.ceil(share * (len(SHADES) - 1))))])
        lines.append(f"{area.name.ljust(label)} {''.join(cells)} {int(row.sum()):,}")
    return lines or ["(nobody fired)"]


def svg(network: Network, fired: Sequence[Ids], *, first_burst: int = 1) -> str:
    """A raster plot: a dot per spike, bursts to the right, neurons downwards, areas marked."""
    width, height, left = 900, 500, 90
    bursts = np.repeat(np.arange(len(fired)), [len(ids) for ids in fired])
    ids = np.concatenate([np.zeros(0, np.uint32), *fired])
    every = max(1, -(-ids.size // DOTS_MAX))
    x = left + (bursts[::every] + 0.5) * (width - left) / max(len(fired), 1)
    y = (ids[::every] + 0.5) * height / network.neurons
    path = "".join(f"M{a:.1f} {b:.1f}h1" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    marks = []
    for area in network.areas:
        at = area.first * height / network.neurons
        marks.append(f'<path d="M{left} {at:.1f}H{width}" stroke="#ddd"/>')
        if area.count * height / network.neurons >= 9:
            marks.append(f'<text x="2" y="{at + 9:.1f}">{escape(area.name)}</text>')
    drawn = f", every {every}th drawn" if every > 1 else ""
    caption = (
        f"{network.neurons:,} neurons, bursts {first_burst}..{first_burst + len(fired) - 1}, "
        f"{ids.size:,} spikes{drawn}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 20}" '
        f'font-family="sans-serif" font-size="9"><title>{caption}</title>'
        f'<rect width="{width}" height="{height + 20}" fill="#fff"/>{"".join(marks)}'
        f'<path d="{path}" stroke="#124" stroke-width="1.5" fill="none"/>'
        f'<text x="{left}" y="{height + 14}">{caption}</text></svg>\n'
    )


def png(network: Network, fired: Sequence[Ids]) -> bytes:
    """A raster plot in grey: bursts to the right, neurons downwards, darker where more fired.

    Up to 900 bursts and 500 neurons have pixels of their own; beyond, they share them. Light lines
    part the areas; it has no names (the SVG and the text do).
    """
    columns = max(1, min(len(fired), PIXELS[0]))
    rows = min(network.neurons, PIXELS[1])
    bursts = np.repeat(np.arange(len(fired)), [len(ids) for ids in fired])
    ids = np.concatenate([np.zeros(0, np.int64), *fired]).astype(np.int64)
    at = ids * rows // network.neurons * columns + bursts * columns // max(len(fired), 1)
    spikes = np.bincount(at, minlength=rows * columns).reshape(rows, columns)
    room = -(-network.neurons // rows) * -(-max(len(fired), 1) // columns)
    grey = np.where(spikes > 0, 150 - 150 * np.minimum(spikes / room, 1), 255).astype(np.uint8)
    wide = grey.repeat(PIXELS[1] // rows, axis=0).repeat(PIXELS[0] // columns, axis=1)
    for area in network.areas[1:]:
        line = wide[area.first * wide.shape[0] // network.neurons - 1]
        line[line == 255] = 215
    lines = np.pad(wide, ((0, 0), (1, 0)))  # Each line starts with its filter, 0: none.
    header = struct.pack(">IIBBBBB", wide.shape[1], wide.shape[0], 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _table(areas: Sequence[Area], fired: Sequence[Ids]) -> NDArray[np.int64]:
    """Spikes (areas, bursts). Areas are consecutive ranges in order."""
    edges = [area.first for area in areas] + [areas[-1].first + areas[-1].count]
    table = np.zeros((len(areas), len(fired)), np.int64)
    for burst, ids in enumerate(fired):
        table[:, burst] = np.diff(np.searchsorted(ids, edges))
    return table
