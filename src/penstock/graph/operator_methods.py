"""The operators of tasks: `a + b`, `a > 1`, `a["key"]`, `a | b` put tasks and edges into the flow.

`Task` inherits from this. The operators' own tasks are in `penstock.graph.operators`, which is
above `Task` and therefore loaded when the first operator is used.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.graph.ambient import context

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TaskOperators"]


class TaskOperators:
    """Python's operators on tasks, each of which makes a task that is bound into the active flow.

    `==`, `!=`, `not` and `or` mean what they mean for any object: tasks are compared, not what
    they will give. For values there are `is_equal`, `is_not_equal`, `not_` and `or_`.

    Example:
        >>> from penstock.graph import Flow, Parameter
        >>> with Flow("sums") as flow:
        ...     x = Parameter("x")
        ...     total = (x + 1) * 2
        >>> len(flow.tasks)
        3
    """

    name: Any
    nout: Any
    checkpoint: Any
    result: Any

    def __or__(self, other: object) -> Any:
        """Let `other` run after this task; give `other`, as a task."""
        return _run_after(self, other).downstream_task

    def __ror__(self, other: object) -> Any:
        """Let this task run after `other`; give this task."""
        return _run_after(other, self).downstream_task

    def __add__(self, other: object) -> Any:
        return _operate("Add", self, other)

    def __radd__(self, other: object) -> Any:
        return _operate("Add", other, self)

    def __sub__(self, other: object) -> Any:
        return _operate("Sub", self, other)

    def __rsub__(self, other: object) -> Any:
        return _operate("Sub", other, self)

    def __mul__(self, other: object) -> Any:
        return _operate("Mul", self, other)

    def __rmul__(self, other: object) -> Any:
        return _operate("Mul", other, self)

    def __truediv__(self, other: object) -> Any:
        return _operate("Div", self, other)

    def __rtruediv__(self, other: object) -> Any:
        return _operate("Div", other, self)

    def __floordiv__(self, other: object) -> Any:
        return _operate("FloorDiv", self, other)

    def __rfloordiv__(self, other: object) -> Any:
        return _operate("FloorDiv", other, self)

    def __mod__(self, other: object) -> Any:
        return _operate("Mod", self, other)

    def __rmod__(self, other: object) -> Any:
        return _operate("Mod", other, self)

    def __pow__(self, other: object) -> Any:
        return _operate("Pow", self, other)

    def __rpow__(self, other: object) -> Any:
        return _operate("Pow", other, self)

    def __and__(self, other: object) -> Any:
        """Give a task that gives `this and other`, as Python's `and` does."""
        return _operate("And", self, other)

    def __rand__(self, other: object) -> Any:
        return _operate("And", other, self)

    def __gt__(self, other: object) -> Any:
        return _operate("GreaterThan", self, other)

    def __ge__(self, other: object) -> Any:
        return _operate("GreaterThanOrEqual", self, other)

    def __lt__(self, other: object) -> Any:
        return _operate("LessThan", self, other)

    def __le__(self, other: object) -> Any:
        return _operate("LessThanOrEqual", self, other)

    def is_equal(self, other: object) -> Any:
        """Compare what this task gives with another value.

        Parameters:
            other: a task or a value.

        Returns:
            A task of the active flow that gives whether they are equal.

        Raises:
            ValueError: no flow is active.
        """
        return _operate("Equal", self, other)

    def is_not_equal(self, other: object) -> Any:
        """Compare what this task gives with another value.

        Parameters:
            other: a task or a value.

        Returns:
            A task of the active flow that gives whether they are not equal.

        Raises:
            ValueError: no flow is active.
        """
        return _operate("NotEqual", self, other)

    def not_(self) -> Any:
        """Negate what this task gives.

        Returns:
            A task of the active flow that gives the opposite truth.

        Raises:
            ValueError: no flow is active.
        """
        return _operate("Not", self)

    def or_(self, other: object) -> Any:
        """Take what this task gives or, where that is false, another value.

        Parameters:
            other: a task or a value; it runs in any case.

        Returns:
            A task of the active flow that gives `this or other`, as Python's `or` does.

        Raises:
            ValueError: no flow is active.
        """
        return _operate("Or", self, other)

    def __getitem__(self, key: Any) -> Any:
        """Give a task that takes an item out of what this task gives; `key` may be a task."""
        shown = key.name if isinstance(key, TaskOperators) else repr(key)
        make = _operator("GetItem")
        result = None if self.result is None else self.result.apart()
        get = make(name=f"{self.name}[{shown}]", checkpoint=self.checkpoint, result=result)
        return get.bind(self, key)

    def __iter__(self) -> Iterator[Any]:
        """Give a task for each of the `nout` items of what this task gives."""
        if self.nout is None:
            message = (
                f"Task is not iterable: {self.name!r} does not say how many values it gives, which"
                " is known only when it runs. Give it nout=..., or a return annotation such as"
                " tuple[int, str], to unpack it; to run a task for each value, use .map()."
            )
            raise TypeError(message)
        return (self[index] for index in range(self.nout))


def _operate(operator: str, *operands: object) -> Any:
    return _operator(operator)().bind(*operands)


@cache
def _operator(name: str) -> Any:
    return getattr(import_module("penstock.graph.operators"), name)


def _run_after(upstream: Any, downstream: Any) -> Any:
    """Add the edge of a pipe to the active flow."""
    flow: Any = context.get("flow")
    if flow is None:
        raise ValueError(
            "No Flow was passed, and none is active: `a | b` adds an edge to the flow whose block"
            " it is in. Write it inside of `with Flow(...):`."
        )
    return flow.add_edge(upstream_task=upstream, downstream_task=downstream)
