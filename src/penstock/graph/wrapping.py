"""Values as tasks: constants, and collections with tasks inside (section 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from penstock.graph.ambient import context
from penstock.graph.annotations import EdgeAnnotation, annotated
from penstock.graph.results import ConstantResult
from penstock.graph.task import Task
from penstock.graph.task_options import is_decorated
from penstock.utilities.annotations import BaseAnnotation, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Constant", "Dict", "List", "Set", "Tuple", "as_task"]

_SHORT = 8
_COLLECTIONS = frozenset({str, bytes, list, tuple, set, frozenset, dict})


class Constant(Task):
    """Gives a value that is known beforehand.

    Parameters:
        value: the value.
        name: by default the value's repr, if that is short, else its type.
        kwargs: the options of any task.
    """

    def __init__(self, value: Any, name: str | None = None, **kwargs: Any) -> None:
        self.value = value
        if name is None:
            name = _shown(value) or f"Constant[{type(value).__name__}]"
        kwargs.setdefault("result", ConstantResult(value=value))
        super().__init__(name=name, **kwargs)

    def run(self) -> Any:
        """Give the value."""
        return self.value


def _shown(value: Any) -> str | None:
    """Give what a value looks like, if that is short; how a large one does is not worked out."""
    if type(value) in _COLLECTIONS and len(value) > _SHORT:
        return None
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - its name matters less than the value
        return None
    return shown if len(shown) <= _SHORT else None


class _Sequence(Task):
    """Puts what it is given as `arg_1`, `arg_2` ... into a collection, in this order."""

    def _in_order(self, items: dict[str, Any]) -> list[Any]:
        return [items[key] for key in sorted(items, key=_number)]


def _number(key: str) -> int:
    return int(key.rpartition("_")[2])


class List(_Sequence):
    """Puts what it is given into a list."""

    def run(self, **task_results: Any) -> list[Any]:
        """Give the list."""
        return self._in_order(task_results)


class Tuple(_Sequence):
    """Puts what it is given into a tuple."""

    def run(self, **task_results: Any) -> tuple[Any, ...]:
        """Give the tuple."""
        return tuple(self._in_order(task_results))


class Set(_Sequence):
    """Puts what it is given into a set."""

    def run(self, **task_results: Any) -> set[Any]:
        """Give the set."""
        return set(task_results.values())


class Dict(Task):
    """Makes a dictionary of keys and values."""

    def run(self, keys: list[Any], values: list[Any]) -> dict[Any, Any]:  # pyright: ignore[reportIncompatibleMethodOverride] - each task takes its own
        """Give the dictionary.

        Raises:
            ValueError: there are not as many keys as values.
        """
        if len(keys) != len(values):
            message = (
                f"Task {self.name!r} makes a dictionary, which needs as many keys as values:"
                f" {len(keys)} and {len(values)}."
            )
            raise ValueError(message)
        return dict(zip(keys, values, strict=True))


def as_task(value: Any, flow: Any = None) -> Any:
    """Give a value as a task.

    Parameters:
        value: a task, or one of `penstock.task`; an annotated one; a list, tuple, set or
            dictionary with tasks among its values, at any depth; or any other value, which
            becomes a `Constant`, as does what is quoted, without a look into it.
        flow: the flow that tasks which are made for it are bound into; the active one by default.

    Example:
        >>> as_task([1, 2]).run()
        [1, 2]
    """
    value, _annotations = annotated(value)
    if isinstance(value, Task):
        return value
    if isinstance(value, quote):
        return _generated(Constant(cast("quote[Any]", value).unquote()))
    if is_decorated(value):
        return _adopted(value, context.get("flow") if flow is None else flow)
    if not _has_task(value):
        return _generated(Constant(value))
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value)
        values = as_task_list(list(pairs.values()), flow)
        return _generated(Dict()).bind(keys=list(pairs), values=values, flow=flow)
    kind = List if isinstance(value, list) else Tuple if isinstance(value, tuple) else Set
    return _bound(kind, cast("list[Any]", value), flow)


def as_task_list(values: list[Any], flow: Any) -> Task:
    """Give a list of values as one task, whether there are tasks in it or not."""
    return _bound(List, values, flow)


def _bound(kind: type[Task], values: Any, flow: Any) -> Any:
    items = {f"arg_{number}": value for number, value in enumerate(values, start=1)}
    return _generated(kind()).bind(flow=flow, **items)


def _generated(task: Any) -> Any:
    task.auto_generated = True
    return task


def _adopted(value: Any, flow: Any) -> Any:
    """Give a task of `penstock.task` as a task of the graph; in one flow, always the same."""
    from penstock.graph.decorated import adopt  # that room is above this one

    if flow is None:
        return adopt(value)
    found = flow.adopted.get(id(value))
    if found is None or found.decorated is not value:
        found = flow.adopted[id(value)] = adopt(value)
    return found


def _has_task(value: Any) -> bool:
    """Tell whether a value is a collection with a task or an annotation among its values."""
    if isinstance(value, dict):
        parts: Iterator[Any] = iter(cast("dict[Any, Any]", value).values())
    elif isinstance(value, (list, tuple, set)):
        parts = iter(cast("list[Any]", value))
    else:
        return False
    return any(
        isinstance(part, (Task, EdgeAnnotation, BaseAnnotation))
        or is_decorated(part)
        or _has_task(part)
        for part in parts
    )
