"""Mapping over a part of a graph: a function builds it once, and all of it is mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from penstock.graph.ambient import context
from penstock.graph.annotations import annotated
from penstock.graph.flow import Flow
from penstock.graph.parameter import Parameter
from penstock.graph.task import Task
from penstock.graph.wrapping import Constant, as_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.graph.edge import Edge

__all__ = ["apply_map"]


def apply_map(
    func: Callable[..., Any], *args: Any, flow: Flow | None = None, **kwargs: Any
) -> Any:
    """Map everything that a function builds: calls, operators, branches, blocks of resources.

    The function is called once, with tasks for arguments, to build one child's part of the graph.
    Every task of it is then mapped over the arguments, of which each child gets its element.

    Parameters:
        func: builds a part of a graph from tasks, without mapping anything itself.
        args: tasks or sequences to map over; `unmapped(x)` gives each child the whole of `x`,
            `flatten(x)` maps over the elements of the elements.
        flow: where to put the tasks; the active flow unless given.
        kwargs: the same, by name.

    Returns:
        What the function returns: the mapped tasks.

    Raises:
        TypeError: an argument is neither a task nor a sequence, nor unmapped.
        ValueError: no flow is active or given, or the function maps something itself.

    Example:
        >>> from penstock.graph import Flow, Parameter, case, merge, task
        >>> @task
        ... def halve(n):
        ...     return n // 2
        >>> @task
        ... def is_even(n):
        ...     return n % 2 == 0
        >>> def collatz(n):
        ...     with case(is_even(n), True):
        ...         half = halve(n)
        ...     with case(is_even(n), False):
        ...         more = 3 * n + 1
        ...     return merge(half, more)
        >>> with Flow("steps") as flow:
        ...     numbers = Parameter("numbers", default=[1, 2, 3])
        ...     steps = apply_map(collatz, numbers)
    """
    flow = flow or context.get("flow")
    if flow is None:
        raise ValueError(
            "apply_map needs a flow to put its tasks into, and no flow is active. Call it in"
            " `with Flow(...):`, or give it flow=..."
        )
    arguments = [_Argument(value, flow, place) for place, value in enumerate(args)]
    by_name = {name: _Argument(value, flow, name) for name, value in kwargs.items()}
    body = _Body(flow)
    everything = [*arguments, *by_name.values()]
    with context(mapped=True, case=None, resource=None), body:
        for argument in everything:
            argument.stand_in_for(body)
        result = func(
            *(argument.stand_in for argument in arguments),
            **{name: argument.stand_in for name, argument in by_name.items()},
        )
    _Copy(body, flow, everything).make()
    return _with_real_tasks(result, {each.stand_in: each.task for each in everything})


class _Argument:
    """One argument: what the function gets for it, and how edges from it are mapped.

    Attributes:
        task: what it is in the flow.
        stand_in: what the function gets. It is the task itself, but for sequences given as they
            are (edges from constants are no edges, and could not be mapped) and for a task that is
            given twice, mapped and unmapped perhaps.
    """

    __slots__ = ("is_constant", "is_flattened", "is_mapped", "stand_in", "task")

    def __init__(self, given: Any, flow: Flow, place: int | str) -> None:
        value, annotations = annotated(given)
        self.is_mapped = bool(annotations.get("mapped", True))
        self.is_flattened = bool(annotations.get("flattened", False))
        if self.is_mapped and not isinstance(value, Task) and not hasattr(value, "__getitem__"):
            which = f"argument {place + 1}" if isinstance(place, int) else f"argument {place!r}"
            raise TypeError(
                f"apply_map cannot map over its {which}, which is a {type(value).__name__}: it has"
                " no elements by place. Give a list, or unmapped(...) for what is the same for"
                " each child."
            )
        self.task: Task = as_task(value, flow=flow)
        self.is_constant = isinstance(self.task, Constant)
        self.stand_in = self.task

    def stand_in_for(self, body: Flow) -> None:
        """Put what stands for the argument into the flow of the function's part."""
        if (self.is_constant and self.is_mapped) or self.stand_in in body.slugs:
            self.stand_in = _StandIn(name=self.task.name)
        body.add_task(self.stand_in)


class _StandIn(Task):
    """Stands, while a function builds its part, for a sequence that is mapped over."""

    def run(self) -> None:
        """Do nothing: it never comes into a flow that runs."""


class _Body(Flow):
    """What the function builds. Tasks of the flow around come in as they are, into no block."""

    def __init__(self, around: Flow) -> None:
        self._around = around
        super().__init__(name=f"apply_map in {around.name}")

    def add_task(self, task: Task) -> Task:
        """Add a task."""
        if task in self._around.slugs:
            with context(case=None, resource=None):
                return super().add_task(task)
        return super().add_task(task)


class _Copy:
    """Puts what the function built into the flow, mapped."""

    def __init__(self, body: Flow, flow: Flow, arguments: list[_Argument]) -> None:
        self.body = body
        self.flow = flow
        self.arguments = {argument.stand_in: argument for argument in arguments}
        known = flow.slugs
        self.new = [
            task for task in body.slugs if task not in known and task not in self.arguments
        ]

    def make(self) -> None:
        """Add the tasks, their edges and constants, and what gives all of them one width."""
        roots = self._roots()
        for argument in self.arguments.values():
            if argument.stand_in is argument.task and not argument.is_constant:
                self.flow.add_task(argument.task)
        for task in self.new:
            self.flow.add_task(task)
        for edge in self.body.edges:
            self._add(edge)
        for task, constants in self.body.constants.items():
            for key, value in constants.items():
                self.flow.add_edge(Constant(value), task, key=key)
        for task in roots:
            self._widen(task)

    def _roots(self) -> list[Task]:
        """Give the new tasks that come after no other new task."""
        new = set(self.new)
        return [
            task
            for task in self.new
            if not isinstance(task, Parameter | Constant)
            and new.isdisjoint(self.body.upstream_tasks(task))
        ]

    def _add(self, edge: Edge) -> None:
        argument = self.arguments.get(edge.upstream_task)
        upstream, mapped, flattened = edge.upstream_task, True, edge.flattened
        if argument is not None:
            upstream, mapped = argument.task, argument.is_mapped
            flattened = flattened or argument.is_flattened
        elif isinstance(upstream, Constant):
            mapped = False
        self.flow.add_edge(
            upstream, edge.downstream_task, key=edge.key, mapped=mapped, flattened=flattened
        )

    def _widen(self, task: Task) -> None:
        """Let a task come after all arguments, so that all tasks have as many children."""
        for argument in self.arguments.values():
            if argument.is_constant and not argument.is_mapped:
                continue
            if argument.task not in self.flow.upstream_tasks(task):
                self.flow.add_edge(
                    argument.task,
                    task,
                    mapped=argument.is_mapped,
                    flattened=argument.is_flattened,
                )


def _with_real_tasks(result: Any, tasks: dict[Task, Task]) -> Any:
    """Give a result with the tasks of the flow in it, at any depth of plain collections."""
    if isinstance(result, Task):
        return tasks.get(result, result)
    if type(result) in (list, tuple, set):
        return type(result)(_with_real_tasks(each, tasks) for each in result)
    if type(result) is dict:
        pairs = cast("dict[Any, Any]", result)
        return {key: _with_real_tasks(each, tasks) for key, each in pairs.items()}
    return result
