"""The spiking simulation of csrc/npu.c: statuses as exceptions, arrays in and out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidError
from ._core import ffi, lib
from .status import check

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
F32 = NDArray[np.float32]

THRESHOLD: int = lib.QL_NPU_THRESHOLD
LIMIT: int = lib.QL_NPU_LIMIT
LEAK: int = lib.QL_NPU_LEAK
EXCITABILITY: int = lib.QL_NPU_EXCITABILITY
POTENTIAL: int = lib.QL_NPU_POTENTIAL
REFRACTORY: int = lib.QL_NPU_REFRACTORY
FIRE_LIMIT: int = lib.QL_NPU_FIRE_LIMIT
SNOOZE: int = lib.QL_NPU_SNOOZE
COUNTDOWN: int = lib.QL_NPU_COUNTDOWN
CONSECUTIVE: int = lib.QL_NPU_CONSECUTIVE
UNIFORM: int = lib.QL_NPU_UNIFORM
MP_DRIVEN: int = lib.QL_NPU_MP_DRIVEN
ACCUMULATE: int = lib.QL_NPU_ACCUMULATE
DRIVEN: int = lib.QL_NPU_DRIVEN
STAGED: int = lib.QL_NPU_STAGED
FORCED: int = lib.QL_NPU_FORCED
METHODS: dict[str, int] = {
    "auto": lib.QL_NPU_AUTO,
    "push": lib.QL_NPU_PUSH,
    "blocked": lib.QL_NPU_BLOCKED,
    "pull": lib.QL_NPU_PULL,
}
NEURONS_MAX: int = lib.QL_NPU_NEURONS_MAX
DELAY_MAX: int = lib.QL_NPU_DELAY_MAX
THREADS_MAX = 2


def xxh64(data: bytes) -> int:
    """The XXH64 of the bytes, seed 0."""
    return int(lib.ql_xxh64(data, len(data)))


def _pointer(kind: str, array: NDArray[Any]) -> Any:
    return ffi.from_buffer(kind, array)


class Npu:
    """One network in C; arrays must have the dtypes named here and lie in one piece."""

    def __init__(self, n: int, first_id: int, delay: int, *, signed_input: bool) -> None:
        handle = ffi.new("ql_npu **")
        check(lib.ql_npu_open(n, first_id, delay, signed_input, handle), f"open {n} neurons")
        self.n = n
        self._npu = ffi.gc(handle[0], lib.ql_npu_close, size=32 * n)

    def set_floats(self, column: int, values: F32) -> None:
        status = lib.ql_npu_set_floats(self._npu, column, _pointer("float[]", values), values.size)
        check(status, "set a parameter: want 1 or n finite values")

    def set_shorts(self, column: int, values: U16) -> None:
        status = lib.ql_npu_set_shorts(
            self._npu, column, _pointer("uint16_t[]", values), values.size
        )
        check(status, "set a parameter: want 1 or n values")

    def set_flags(self, values: U8) -> None:
        status = lib.ql_npu_set_flags(self._npu, _pointer("uint8_t[]", values), values.size)
        check(status, "set flags: want 1 or n values, before the first synapse")

    def potentials(self) -> F32:
        values = np.empty(self.n, np.float32)
        check(lib.ql_npu_potentials(self._npu, _pointer("float[]", values)), "read potentials")
        return values

    def rests(self) -> tuple[U16, U16]:
        """(countdown, consecutive) per neuron."""
        countdown = np.empty(self.n, np.uint16)
        consecutive = np.empty(self.n, np.uint16)
        status = lib.ql_npu_rests(
            self._npu,
            _pointer("uint16_t[]", countdown),
            _pointer("uint16_t[]", consecutive),
        )
        check(status, "read rests")
        return countdown, consecutive

    def connect(self, sources: U32, targets: U32, weights: U8, psps: U8, inhibitory: U8) -> None:
        """Each column holds n values, or one for all."""
        sizes = [sources.size, targets.size, weights.size, psps.size, inhibitory.size]
        several = {size for size in sizes if size != 1}
        if len(several) > 1:
            raise InvalidError(f"want columns of one length, or of 1, got {sizes}")
        n = several.pop() if several else 1
        each = sum(1 << bit for bit, size in enumerate(sizes) if size == n and n != 1)
        status = lib.ql_npu_connect(
            self._npu,
            _pointer("uint32_t[]", sources),
            _pointer("uint32_t[]", targets),
            _pointer("uint8_t[]", weights),
            _pointer("uint8_t[]", psps),
            _pointer("uint8_t[]", inhibitory),
            n,
            each,
        )
        check(status, f"connect {n} synapses: neurons are numbered 0..{self.n - 1}")

    def compile(self) -> None:
        check(lib.ql_npu_compile(self._npu), "compile the synapses")

    @property
    def synapse_count(self) -> int:
        return int(lib.ql_npu_synapse_count(self._npu))

    def offsets(self) -> U64:
        values = np.empty(self.n + 1, np.uint64)
        check(lib.ql_npu_offsets(self._npu, _pointer("uint64_t[]", values)), "read rows")
        return values

    def synapses(self, first: int, n: int) -> tuple[U32, U8, U8, U8]:
        """(targets, weights, psps, inhibitory) of positions [first, first + n)."""
        targets = np.empty(n, np.uint32)
        weights, psps, inhibitory = (np.empty(n, np.uint8) for _ in range(3))
        status = lib.ql_npu_synapses(
            self._npu,
            first,
            n,
            _pointer("uint32_t[]", targets),
            _pointer("uint8_t[]", weights),
            _pointer("uint8_t[]", psps),
            _pointer("uint8_t[]", inhibitory),
        )
        check(status, f"read {n} synapses from {first}")
        return targets, weights, psps, inhibitory

    def reweigh(self, positions: U64, weights: U8) -> None:
        status = lib.ql_npu_reweigh(
            self._npu,
            _pointer("uint64_t[]", positions),
            _pointer("uint8_t[]", weights),
            positions.size,
        )
        check(status, f"change {positions.size} weights")

    def drive(self, ids: U32 | None, amounts: F32) -> None:
        count = self.n if ids is None else ids.size
        pointer = ffi.NULL if ids is None else _pointer("uint32_t[]", ids)
        each = amounts.size == count and count > 1
        status = lib.ql_npu_drive(self._npu, pointer, _pointer("float[]", amounts), count, each)
        check(status, f"drive {count} neurons")

    def drive_stop(self) -> None:
        check(lib.ql_npu_drive_stop(self._npu), "stop the drive")

    def inject(self, ids: U32, amounts: F32) -> None:
        each = amounts.size == ids.size and ids.size > 1
        status = lib.ql_npu_inject(
            self._npu,
            _pointer("uint32_t[]", ids),
            _pointer("float[]", amounts),
            ids.size,
            each,
        )
        check(status, f"inject into {ids.size} neurons")

    def force(self, ids: U32, amounts: F32) -> None:
        each = amounts.size == ids.size and ids.size > 1
        status = lib.ql_npu_force(
            self._npu,
            _pointer("uint32_t[]", ids),
            _pointer("float[]", amounts),
            ids.size,
            each,
        )
        check(status, f"force {ids.size} neurons")

    def run(self, bursts: int, start: int, threads: int, method: int) -> tuple[U64, U32, int]:
        """(offsets (bursts + 1,), ids of who fired, synaptic deliveries)."""
        handle = ffi.new("ql_spikes **")
        check(
            lib.ql_npu_run(self._npu, bursts, start, threads, method, handle),
            f"run {bursts} bursts",
        )
        spikes = ffi.gc(handle[0], lib.ql_spikes_free)
        buffer = ffi.buffer(spikes.offsets, 8 * (bursts + 1))
        offsets = np.frombuffer(buffer, np.uint64).copy()
        count = int(offsets[-1])
        ids = np.empty(count, np.uint32)
        if count:
            ids[:] = np.frombuffer(ffi.buffer(spikes.ids, 4 * count), np.uint32)
        return offsets, ids, int(spikes.events)

    def inputs(self, which: int) -> tuple[U32, F32]:
        """What is put in from outside: DRIVEN, STAGED or FORCED neurons and their amounts."""
        count = ffi.new("uint32_t *")
        status = lib.ql_npu_inputs(self._npu, which, ffi.NULL, ffi.NULL, count)
        check(status, "count the inputs")
        ids = np.empty(count[0], np.uint32)
        amounts = np.empty(count[0], np.float32)
        status = lib.ql_npu_inputs(
            self._npu, which, _pointer("uint32_t[]", ids), _pointer("float[]", amounts), count
        )
        check(status, "read the inputs")
        return ids, amounts

    @property
    def burst(self) -> int:
        return int(lib.ql_npu_burst(self._npu))

    def set_burst(self, burst: int) -> None:
        check(lib.ql_npu_burst_set(self._npu, burst), f"set the burst to {burst}")

    def queue(self, age: int) -> tuple[U32, F32]:
        """The fired list delivered `age` bursts from the next: ids and potentials at firing."""
        count = ffi.new("uint32_t *")
        check(lib.ql_npu_queue_count(self._npu, age, count), f"read the queue at {age}")
        ids = np.empty(count[0], np.uint32)
        at = np.empty(count[0], np.float32)
        status = lib.ql_npu_queue(
            self._npu, age, _pointer("uint32_t[]", ids), _pointer("float[]", at)
        )
        check(status, f"read the queue at {age}")
        return ids, at

    def set_queue(self, age: int, ids: U32, at: F32) -> None:
        status = lib.ql_npu_queue_set(
            self._npu, age, _pointer("uint32_t[]", ids), _pointer("float[]", at), ids.size
        )
        check(status, f"set the queue at {age}: want ascending neurons")
