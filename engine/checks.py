"""What may enter a store: each check raises a clear error before anything is written.

The table of bad input in docs/guarantees.md is this file in prose.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from .bindings.limits import DATA_BYTES_MAX, ID_BYTES_MAX, NAMESPACE_BYTES_MAX, TEXT_BYTES_MAX
from .errors import InvalidError, LimitError

_CONTROL_IN_NAME = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
DATA_DEPTH_MAX = 32
CONFLICTS = ("error", "skip", "replace", "merge")


def _encoded(value: Any, what: str) -> bytes:
    if not isinstance(value, str):
        raise InvalidError(f"want {what} as str, got {type(value).__name__}")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InvalidError(f"{what} is not valid UTF-8: {error.reason}") from error


def name(value: Any, what: str = "name", bytes_max: int = ID_BYTES_MAX) -> str:
    """An id, name, alias, source or kind: 1..511 bytes of UTF-8, no control characters."""
    size = len(_encoded(value, what))
    if not size:
        raise InvalidError(f"want a non-empty {what}")
    if size > bytes_max:
        raise LimitError(f"want {what} of at most {bytes_max} bytes, got {size}")
    if _CONTROL_IN_NAME.search(value):
        raise InvalidError(f"{what} holds a control character: {value[:60]!r}")
    return str(value)


def optional_name(value: Any, what: str) -> str | None:
    """None, or as `name`."""
    return None if value is None else name(value, what)


def are_plain(
    values: Sequence[Any],
    bytes_max: int = ID_BYTES_MAX,
    *,
    lines: bool = False,
    optional: bool = True,
) -> bool:
    """Whether it is plain that all would pass `name`, or with lines=True `text`.

    None passes if optional.  Looks at all at once, in a tenth of the time; if not, look at each.
    """
    found = [value for value in values if value is not None] if optional else values
    if not set(map(type, found)) <= {str} or not all(found):
        return False
    joined = "".join(found)
    try:
        widest = 1 if joined.isascii() else len(joined.encode()) and 4
    except UnicodeEncodeError:
        return False
    control = _CONTROL_IN_TEXT if lines else _CONTROL_IN_NAME
    fits = widest * max(map(len, found), default=0) <= bytes_max
    return fits and (joined.isprintable() or not control.search(joined))


def namespace(value: Any) -> str:
    """The name of a namespace, at most 510 bytes; "" or None is the one of those that name none."""
    return "" if value in (None, "") else name(value, "namespace", NAMESPACE_BYTES_MAX)


def text(value: Any) -> str | None:
    """None, or a text of at most 16 MiB without control characters but tab and line ends."""
    if value is None:
        return None
    if isinstance(value, Mapping):  # The rows of a data frame.
        raise InvalidError(f"want text as str, got {list(value)[:5]}: pass fields as data=")
    size = len(_encoded(value, "text"))
    if size > TEXT_BYTES_MAX:
        raise LimitError(f"want a text of at most {TEXT_BYTES_MAX} bytes, got {size}")
    control = _CONTROL_IN_TEXT.search(value)
    if control:
        raise InvalidError(
            f"text holds the control character {control.group()!r} at {control.start()}; remove it"
        )
    return str(value)


def aliases(value: Any) -> tuple[str, ...]:
    """A sequence of names, in order, each once."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidError(f"want aliases as a list of str, got {value!r}")
    return tuple(dict.fromkeys(name(alias, "alias") for alias in value))


def data(value: Any) -> dict[str, Any]:
    """Metadata: a dictionary of JSON values (str keys, finite numbers), at most 1 MiB packed.

    Dates and times become ISO 8601 texts, which compare as they do.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidError(f"want data as a dictionary, got {type(value).__name__}")
    plain: dict[str, Any] = {str(key): _json(item, DATA_DEPTH_MAX) for key, item in value.items()}
    if any(not isinstance(key, str) for key in value):
        raise InvalidError(f"want data with str keys, got {list(value)[:5]}")
    try:
        size = len(msgpack.packb(plain))
    except (OverflowError, ValueError) as error:
        raise InvalidError(
            f"data holds a number beyond 64 bits or a broken text: {error}"
        ) from error
    if size > DATA_BYTES_MAX:
        raise LimitError(f"want data of at most {DATA_BYTES_MAX} bytes, got {size}")
    return plain


def _json(value: Any, depth: int) -> Any:
    if depth == 0:
        raise LimitError(f"want data nested at most {DATA_DEPTH_MAX} deep")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidError(f"want finite numbers in data, got {value}")
        return value
    if isinstance(value, list | tuple):
        return [_json(item, depth - 1) for item in value]
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) for key in value):
            raise InvalidError(f"want data with str keys, got {list(value)[:5]}")
        return {key: _json(item, depth - 1) for key, item in value.items()}
    if isinstance(value, date):  # Also a datetime, and a Timestamp of pandas.
        return value.isoformat()
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # A NumPy scalar.
        return _json(value.item(), depth)
    raise InvalidError(f"want JSON values in data, got {type(value).__name__}")


def weight(value: Any) -> float:
    """A finite number that float32 can hold."""
    number = _number(value, "weight")
    if not math.isfinite(number) or abs(number) > 3.4028234e38:
        raise InvalidError(f"want a finite weight within float32, got {value}")
    return number


def confidence(value: Any) -> float:
    """A number in (0, 1]."""
    number = _number(value, "confidence")
    if not 0 < number <= 1:
        raise InvalidError(f"want a confidence in (0, 1], got {value}")
    return number


def strength(value: Any) -> float:
    """A number in [0, 1]."""
    number = _number(value, "strength")
    if not 0 <= number <= 1:
        raise InvalidError(f"want a strength in [0, 1], got {value}")
    return number


def weights(values: Any, n: int) -> NDArray[np.float32]:
    """n finite weights; None means 1."""
    return np.ones(n, np.float32) if values is None else _floats(values, n)


def confidences(values: Any, n: int) -> list[float] | None:
    """n confidences in (0, 1]; None means 1."""
    if values is None:
        return None
    return [confidence(x) for x in column(values, n, "confidences")]


def _floats(values: Any, n: int) -> NDArray[np.float32]:
    """A column of n weights: an array in one step, anything else one by one."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu" and values.shape == (n,):
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float32)
        for wrong in values[~np.isfinite(narrow)][:1]:
            weight(wrong)
        return narrow
    return np.array([weight(x) for x in column(values, n, "weights")], dtype=np.float32)


def _number(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InvalidError(f"want {what} as a number, got {value!r}") from error


def interval(since: int | None, until: int | None) -> None:
    """A validity [since, until) that is not empty backwards."""
    if since is not None and until is not None and since > until:
        raise InvalidError(f"want since <= until, got since={since} until={until}")


def on_conflict(value: str) -> str:
    """One of error, skip, replace, merge."""
    if value not in CONFLICTS:
        raise InvalidError(f"want on_conflict {' | '.join(CONFLICTS)}, got {value!r}")
    return value


def column(values: Any, n: int, what: str) -> list[Any]:
    """A column of n values from a list, an array, Arrow, an iterator, or one str for all rows."""
    if values is None or isinstance(values, str):
        return [values] * n
    found = listed(values)
    if len(found) != n:
        raise InvalidError(f"want {n} {what}, got {len(found)}")
    return found


def one_row(value: Any) -> Any:
    """One vector as the only row of what `rows` gives."""
    return value[None] if type(value) is np.ndarray else [value]


def rows(values: Any) -> Any:
    """Vectors as an array or a list of one each: an iterator, an Arrow or an object column too."""
    if isinstance(values, list | tuple):
        return values
    if hasattr(values, "__array__") and np.asarray(values).dtype != object:
        return values
    try:
        return listed(values)
    except TypeError as error:
        raise InvalidError(f"want vectors as an array or a list: {error}") from error


def listed(values: Any) -> list[Any]:
    """Any column-like thing as a list; a data frame as its rows, without what is missing."""
    if hasattr(values, "to_pylist"):  # Arrow.
        return list(values.to_pylist())
    if hasattr(values, "notna"):  # pandas.
        plain = values.astype(object).where(values.notna(), None)
        if not hasattr(plain, "columns"):
            return list(plain.tolist())
        rows = plain.to_dict("records")
        return [{k: v for k, v in row.items() if v is not None} for row in rows]
    return list(values.tolist() if hasattr(values, "tolist") else values)
