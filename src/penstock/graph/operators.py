"""The tasks that Python's operators on tasks make, and `GetItem` and `GetAttr` with a default.

`a + b` is `Add()(a, b)`, and so on; `penstock.graph.operator_methods` says which operator makes
which task.
"""

# Each task has a `run` with arguments of its own.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

from functools import reduce
from typing import Any

from penstock.graph.operator_methods import TaskOperators
from penstock.graph.task import Task

__all__ = [
    "Add",
    "And",
    "Div",
    "Equal",
    "FloorDiv",
    "GetAttr",
    "GetItem",
    "GreaterThan",
    "GreaterThanOrEqual",
    "LessThan",
    "LessThanOrEqual",
    "Mod",
    "Mul",
    "Not",
    "NotEqual",
    "Or",
    "Pow",
    "Sub",
    "TaskOperators",
]


class _NoDefault:
    """Stands for a default that nobody gave; the same one after pickling."""

    def __repr__(self) -> str:
        return "<no default>"

    def __reduce__(self) -> str:
        return "_NO_DEFAULT"


_NO_DEFAULT = _NoDefault()


class GetItem(Task):
    """Takes an item out of a value, as `value[key]` does.

    Parameters:
        default: what it gives where there is no such item; none: it fails.
        kwargs: the options of any task.

    Example:
        >>> GetItem(default=0).run({"a": 1}, "b")
        0
    """

    def __init__(self, *, default: Any = _NO_DEFAULT, **kwargs: Any) -> None:
        self.default = default
        super().__init__(**kwargs)

    def run(self, task_result: Any, key: Any, default: Any = _NO_DEFAULT) -> Any:
        """Give the item.

        Parameters:
            task_result: what it is in.
            key: which one.
            default: what to give where there is none; otherwise the task's own default.

        Returns:
            The item, or the default.

        Raises:
            LookupError: there is no such item, and no default.
        """
        try:
            return task_result[key]
        except LookupError:
            if default is _NO_DEFAULT:
                default = self.default
            if default is _NO_DEFAULT:
                raise
            return default


class GetAttr(Task):
    """Takes an attribute of a value, or by a dotted path one of its attribute, and so on.

    Parameters:
        default: what it gives where there is no such attribute; none: it fails.
        kwargs: the options of any task.

    Example:
        >>> GetAttr().run(3 + 4j, "real")
        3.0
    """

    def __init__(self, *, default: Any = _NO_DEFAULT, **kwargs: Any) -> None:
        self.default = default
        super().__init__(**kwargs)

    def run(self, task_result: Any, attr: str, default: Any = _NO_DEFAULT) -> Any:
        """Give the attribute.

        Parameters:
            task_result: what has it.
            attr: its name, or names with dots between.
            default: what to give where there is none; otherwise the task's own default.

        Returns:
            The attribute's value, or the default.

        Raises:
            AttributeError: there is no such attribute, and no default.
        """
        try:
            return reduce(getattr, attr.split("."), task_result)
        except AttributeError:
            if default is _NO_DEFAULT:
                default = self.default
            if default is _NO_DEFAULT:
                raise
            return default


class Add(Task):
    """Gives `x + y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x + y`."""
        return x + y


class Sub(Task):
    """Gives `x - y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x - y`."""
        return x - y


class Mul(Task):
    """Gives `x * y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x * y`."""
        return x * y


class Div(Task):
    """Gives `x / y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x / y`."""
        return x / y


class FloorDiv(Task):
    """Gives `x // y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x // y`."""
        return x // y


class Mod(Task):
    """Gives `x % y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x % y`."""
        return x % y


class Pow(Task):
    """Gives `x ** y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x ** y`."""
        return x**y


class And(Task):
    """Gives `x and y`: `x` if it is false, else `y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x and y`."""
        return x and y


class Or(Task):
    """Gives `x or y`: `x` if it is true, else `y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x or y`."""
        return x or y


class Not(Task):
    """Gives `not x`."""

    def run(self, x: Any) -> bool:
        """Give `not x`."""
        return not x


class Equal(Task):
    """Gives `x == y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x == y`."""
        return x == y


class NotEqual(Task):
    """Gives `x != y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x != y`."""
        return x != y


class GreaterThan(Task):
    """Gives `x > y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x > y`."""
        return x > y


class GreaterThanOrEqual(Task):
    """Gives `x >= y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x >= y`."""
        return x >= y


class LessThan(Task):
    """Gives `x < y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x < y`."""
        return x < y


class LessThanOrEqual(Task):
    """Gives `x <= y`."""

    def run(self, x: Any, y: Any) -> Any:
        """Give `x <= y`."""
        return x <= y
