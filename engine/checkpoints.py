"""A spiking network as bytes: everything that its next burst depends on, and back.

msgpack of the constructor's parameters, the synapses in order of position, the state (potentials,
rests, burst number, spikes under way) and what is put in from outside. Arrays are little-endian.
Of the observers, window plasticity and memory neurons (what genomes have) are part of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from .bindings import npu
from .errors import CorruptError, InvalidError
from .genomes import Area
from .memories import MemoryNeurons
from .plasticity import WindowPlasticity

FORMAT = 1
ARRAY = 1  # The ext type: dtype as text, 0, bytes.
SYNAPSES_AT_ONCE = 1 << 24
OBSERVERS: dict[str, Any] = {"window": WindowPlasticity, "memory": MemoryNeurons}


def pack(state: Mapping[str, Any]) -> bytes:
    """The bytes of a state of numbers, texts, lists, dictionaries and arrays (n,)."""
    packed: bytes = msgpack.packb({"format": FORMAT, **state}, default=_array)
    return packed


def unpack(content: bytes) -> dict[str, Any]:
    """The state of these bytes; CorruptError if they hold none, or one of another format."""
    try:
        state = msgpack.unpackb(content, ext_hook=_read_array, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptError(f"the saved network is damaged: {error}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CorruptError(f"want a saved network of format {FORMAT}, got something else")
    return state


def _array(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"cannot save a {type(value).__name__}")
    little = value.astype(value.dtype.newbyteorder("<"), copy=False)
    return msgpack.ExtType(ARRAY, little.dtype.str.encode() + b"\0" + little.tobytes())


def _read_array(code: int, content: bytes) -> NDArray[Any]:
    kind, _, rest = content.partition(b"\0")
    if code != ARRAY or kind not in (b"|u1", b"<u2", b"<u4", b"<u8", b"<f4"):
        raise ValueError(f"unknown array {kind[:10]!r}")
    return np.frombuffer(rest, dtype=kind.decode()).copy()


def state_of(core: npu.Npu, delay: int) -> dict[str, Any]:
    """Everything that changes in a run, and the synapses."""
    countdown, consecutive = core.rests()
    columns = ([], [], [], [])  # type: tuple[list[Any], ...]
    count = core.synapse_count
    for first in range(0, count, SYNAPSES_AT_ONCE):
        part = core.synapses(first, min(SYNAPSES_AT_ONCE, count - first))
        for column, piece in zip(columns, part, strict=True):
            column.append(piece)
    kinds = (np.uint32, np.uint8, np.uint8, np.uint8)
    targets, weights, psps, inhibitory = (
        np.concatenate([np.zeros(0, kind), *column])
        for column, kind in zip(columns, kinds, strict=True)
    )
    return {
        "burst": core.burst,
        "potentials": core.potentials(),
        "countdown": countdown,
        "consecutive": consecutive,
        "queue": [list(core.queue(age)) for age in range(delay)],
        "inputs": [list(core.inputs(which)) for which in (npu.DRIVEN, npu.STAGED, npu.FORCED)],
        "offsets": core.offsets(),
        "targets": targets,
        "weights": weights,
        "psps": psps,
        "inhibitory": inhibitory,
    }


def restore(core: npu.Npu, state: Mapping[str, Any]) -> None:
    """Give a new core, which has its parameters, the synapses and the state; checked on the way."""
    offsets = state["offsets"].astype(np.int64)
    if offsets.size != core.n + 1 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise InvalidError("the rows of synapses are not in order")
    sources = np.repeat(np.arange(core.n, dtype=np.uint32), np.diff(offsets))
    columns = [state[name] for name in ("targets", "weights", "psps", "inhibitory")]
    if any(column.size != sources.size for column in columns):
        raise InvalidError("the columns of synapses differ in length")
    core.connect(sources, *columns)
    core.set_floats(npu.POTENTIAL, state["potentials"])
    core.set_shorts(npu.COUNTDOWN, state["countdown"])
    core.set_shorts(npu.CONSECUTIVE, state["consecutive"])
    core.set_burst(state["burst"])
    for age, (ids, at) in enumerate(state["queue"]):
        core.set_queue(age, ids, at)
    put_in = (core.drive, core.inject, core.force)
    for put, (ids, amounts) in zip(put_in, state["inputs"], strict=True):
        if ids.size != amounts.size:
            raise InvalidError("the columns of inputs differ in length")
        if ids.size:
            put(ids, amounts)


def areas_as_data(areas: tuple[Area, ...]) -> list[dict[str, Any]]:
    """Areas as plain dictionaries."""
    return [asdict(area) for area in areas]


def areas_from_data(data: list[dict[str, Any]]) -> tuple[Area, ...]:
    """And back."""
    items: list[dict[str, Any]] = [
        {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
        for item in data
    ]
    return tuple(Area(**item) for item in items)


def is_kept(observer: Any) -> bool:
    """Whether a saved network holds this observer."""
    return type(observer) in OBSERVERS.values()


def observers_as_data(observers: Iterable[Any]) -> list[Any]:
    """The observers that are kept, in order, as plain data."""
    names = {kind: name for name, kind in OBSERVERS.items()}
    return [[names[type(x)], x.as_data()] for x in observers if is_kept(x)]


def observers_from_data(data: list[Any], n: int) -> list[Any]:
    """And back, for a network of n neurons."""
    for _, given in data:
        if any(first < 0 or count < 0 or first + count > n for first, count in given["ranges"]):
            raise InvalidError("an observer looks at neurons that are not there")
    return [OBSERVERS[name].from_data(given) for name, given in data]
