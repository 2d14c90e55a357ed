"""Operator and Query: what turns a Selection into a Selection, and several of them in order.

Operators are frozen dataclasses whose fields are parameters; the question travels in the Selection.
So repr, equality and hashing come free, and JSON is the fields under the class's name. The type
parameter says what an operator needs: `Operator[Snapshot]` reads, `Operator[Transaction]` writes.
"""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar, cast

from .errors import InvalidError
from .selection import Selection
from .snapshot import Snapshot

CONDITIONS = ("condition", "where")
"""Fields of operators that hold conditions: metadata may have a field that is named "operator"."""

View = TypeVar("View", bound=Snapshot, contravariant=True)


class Operator(ABC, Generic[View]):
    """Turns a Selection into a Selection, as a pure function of the view and its own fields.

    Every operator looks only inside the selection it is given; a query starts with everything.
    """

    _registry: ClassVar[dict[str, type["Operator[Any]"]]] = {}
    loaders: ClassVar[list[Callable[[], None]]] = []
    """Each imports operators that nobody has used yet."""
    reserved: ClassVar[dict[str, str]] = {}
    """The module of each that is built in: queries in JSON mean that one by its name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name, home = cls.__name__, Operator.reserved.get(cls.__name__)
        if home is not None and cls.__module__ != home:
            raise InvalidError(f"want another name than that of a built-in operator, got {name!r}")
        if not name.startswith("_"):  # What several share is not one itself.
            Operator._registry[name] = cls
        cls.__repr__ = Operator.__repr__  # type: ignore[method-assign]  # Before dataclass sets its.

    @staticmethod
    def known() -> dict[str, type["Operator[Any]"]]:
        """All operators by name."""
        for load in Operator.loaders:
            load()
        return Operator._registry

    def __repr__(self) -> str:
        """The call that makes it, without what is left at its default."""
        told: str | None = self.__dict__.get("_told")
        if told is None:  # Once: every step of every answer names its operator.
            told = self.__dict__["_told"] = self._call()
        return told

    def _call(self) -> str:
        shown: list[str] = []
        for field in fields(cast(Any, self)):
            value = getattr(self, field.name)
            if field.default is MISSING and isinstance(value, tuple) and not self._takes_names():
                shown += map(repr, value)
            elif value != field.default:
                shown.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def _takes_names(self) -> bool:
        """Whether the constructor is the dataclass's, not one with *values."""
        return bool(cast(Any, self).__dataclass_params__.init)

    @abstractmethod
    def apply(self, view: View, selection: Selection) -> Selection:
        """The new selection; `selection` is left as it is."""

    def __call__(self, view: View, selection: Selection) -> Selection:
        """Apply, and note the time."""
        start = time.perf_counter()
        return self.apply(view, selection).timed(time.perf_counter() - start)

    def to_dict(self) -> dict[str, Any]:
        """The operator as JSON-able data: {"operator": name, field: value, ...}."""
        parameters = {f.name: getattr(self, f.name) for f in fields(cast(Any, self))}
        return {"operator": type(self).__name__} | {k: _plain(v) for k, v in parameters.items()}

    def to_json(self) -> str:
        """The operator as JSON text, which from_json reads back."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @staticmethod
    def from_dict(content: dict[str, Any]) -> "Operator[Any]":
        """The operator that to_dict described; InvalidError for an unknown or malformed one."""
        name = content.get("operator")
        kind = Operator._registry.get(str(name)) or Operator.known().get(str(name))
        if kind is None:
            raise InvalidError(f"unknown operator {name!r}; known: {', '.join(Operator._registry)}")
        parameters = {
            key: value if key in CONDITIONS else _rich(value)
            for key, value in content.items()
            if key != "operator"
        }
        try:
            return kind.build(parameters)
        except TypeError as error:
            raise InvalidError(f"malformed {name}: {error}") from error

    @classmethod
    def build(cls, parameters: dict[str, Any]) -> "Operator[Any]":
        """The operator with these field values."""
        return cls(**parameters)

    @staticmethod
    def from_json(text: str) -> "Operator[Any]":
        """The operator that to_json wrote."""
        content = json.loads(text)
        if not isinstance(content, dict):
            raise InvalidError(f"want a JSON object, got {text[:60]!r}")
        return Operator.from_dict(content)


@dataclass(frozen=True, init=False)
class Query(Operator[View]):
    """Operators in order; itself an Operator.

    Scores and columns are those of the last operator.
    """

    operators: tuple[Operator[View], ...]

    def __init__(self, *operators: Operator[View]):
        object.__setattr__(self, "operators", operators)

    def apply(self, view: View, selection: Selection) -> Selection:
        for operator in self.operators:
            selection = operator(view, selection)
        return selection

    def __call__(self, view: View, selection: Selection) -> Selection:
        return self.apply(view, selection)  # Each operator notes its own time.

    @classmethod
    def build(cls, parameters: dict[str, Any]) -> "Operator[Any]":
        return cls(*parameters["operators"])


def set_tuples(operator: object, *names: str) -> None:
    """Make these fields of a frozen operator tuples; a key given alone is a tuple of one.

    JSON and users have lists; hashing wants tuples.  None stays None.
    """
    for name in names:
        value = getattr(operator, name)
        if value is not None:
            alone = isinstance(value, str | int)
            object.__setattr__(operator, name, (value,) if alone else tuple(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Operator):
        return value.to_dict()
    if isinstance(value, tuple | list):
        return [_plain(x) for x in value]
    return value


def _rich(value: Any) -> Any:
    if isinstance(value, dict) and "operator" in value:
        return Operator.from_dict(value)
    if isinstance(value, list):
        return tuple(_rich(x) for x in value)
    return value
