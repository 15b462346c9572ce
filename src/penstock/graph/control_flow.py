"""Branches in a graph: what is not taken is skipped, and `merge` goes on from what was taken.

A branch is made by a task that compares a value and skips itself, and with it all that is
downstream, where the value is another one.
"""

# Each task has a `run` with arguments of its own.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

from penstock.graph.apply_map import apply_map
from penstock.graph.resource_manager import ResourceManager, resource_manager
from penstock.graph.signals import SKIP
from penstock.graph.task import Task, tags
from penstock.graph.task_blocks import TaskBlock, first_of
from penstock.graph.triggers import all_finished, not_all_skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "CompareValue",
    "FilterTask",
    "Merge",
    "ResourceManager",
    "apply_map",
    "case",
    "ifelse",
    "merge",
    "resource_manager",
    "switch",
]


class CompareValue(Task):
    """Skips itself, and so what is downstream, unless it is given a certain value.

    Parameters:
        value: the value that lets the tasks downstream run.
        kwargs: the options of any task.

    Example:
        >>> CompareValue("a").run("a")
    """

    def __init__(self, value: Any, **kwargs: Any) -> None:
        self.value = value
        super().__init__(**kwargs)

    def run(self, value: Any) -> None:
        """Compare.

        Parameters:
            value: what to compare with the task's own value.

        Raises:
            SKIP: they differ.
        """
        if value != self.value:
            raise SKIP(f"Provided value {value!r} did not match {self.value!r}.")


class Merge(Task):
    """Gives the first value that there is, of branches of which some were skipped.

    Parameters:
        kwargs: the options of any task. The trigger is `not_all_skipped` unless another is given;
            `skip_on_upstream_skip` cannot be True, for then one skipped branch would skip it.

    Raises:
        ValueError: `skip_on_upstream_skip` is True.
    """

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.setdefault("skip_on_upstream_skip", False):
            raise ValueError(
                "Merge cannot have skip_on_upstream_skip=True: it would be skipped whenever one of"
                " its branches is, which is what it is there for. Leave the option out."
            )
        kwargs.setdefault("trigger", not_all_skipped)
        super().__init__(**kwargs)

    def run(self, **task_results: Any) -> Any:
        """Give the first value that is not None.

        Parameters:
            task_results: values by name. Their order is that of the names, numbers in them by
                their size: `task_2` comes before `task_10`.

        Returns:
            The value, or None where there is none.
        """
        for name in sorted(task_results, key=_by_number):
            value = task_results[name]
            # A task that skips itself hands its signal on as if that were a value.
            if value is not None and not isinstance(value, SKIP):
                return value
        return None


class FilterTask(Task):
    """Keeps those of many results that are of use, for example of a mapped task's children.

    It runs whatever happened upstream.

    Parameters:
        filter_func: tells of a result whether to keep it. The default drops None and exceptions
            (what failed and skipped tasks have as results).
        log_func: gives for a result that is dropped a line for the log; the default logs nothing.
        kwargs: the options of any task.

    Example:
        >>> FilterTask().run([1, None, ValueError("bad"), 2])
        [1, 2]
    """

    def __init__(
        self,
        filter_func: Callable[[Any], bool] | None = None,
        log_func: Callable[[Any], str] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("skip_on_upstream_skip", False)
        kwargs.setdefault("trigger", all_finished)
        self.filter_func = filter_func or _is_of_use
        self.log_func = log_func
        super().__init__(**kwargs)

    def run(self, task_results: Iterable[Any]) -> list[Any]:
        """Filter.

        Parameters:
            task_results: the results.

        Returns:
            Those to keep, in order.
        """
        kept: list[Any] = []
        for result in task_results:
            if self.filter_func(result):
                kept.append(result)
            elif self.log_func is not None:
                self.logger.info(self.log_func(result))
        return kept


class AsBool(Task):
    """Gives whether a value is true."""

    def run(self, value: Any) -> bool:
        """Give whether a value is true."""
        return bool(value)


def switch(condition: Any, cases: Mapping[Any, Any], *, mapped: bool = False) -> None:
    """Run, of several tasks, the one whose value the condition gives; the others are skipped.

    Parameters:
        condition: a task, or a value.
        cases: tasks of the active flow by the value for which they run.
        mapped: whether condition and tasks are mapped: each child decides for itself.

    Raises:
        ValueError: no flow is active.

    Example:
        >>> from penstock.graph import Flow, Parameter, task
        >>> @task
        ... def north(): ...
        >>> @task
        ... def south(): ...
        >>> with Flow("ways") as flow:
        ...     switch(Parameter("way"), {"n": north(), "s": south()})
    """
    with tags("switch"):
        for value, task in cases.items():
            compare = CompareValue(value, name=f"CompareValue: {value!r}")
            compare.bind(value=condition, mapped=mapped)
            task.set_dependencies(upstream_tasks=[compare], mapped=mapped)


def ifelse(condition: Any, true_task: Any, false_task: Any, *, mapped: bool = False) -> None:
    """Run one of two tasks; the other is skipped.

    Parameters:
        condition: a task, or a value, whose truth decides.
        true_task: what runs where it is true; None for nothing.
        false_task: what runs where it is false; None for nothing.
        mapped: whether condition and tasks are mapped: each child decides for itself.

    Raises:
        ValueError: no flow is active.
    """
    branches = {True: true_task, False: false_task}
    truth = AsBool(name="as_bool").bind(value=condition, mapped=mapped)
    cases = {value: task for value, task in branches.items() if task is not None}
    switch(truth, cases, mapped=mapped)


def merge(*tasks: Any, flow: Any = None, mapped: bool = False, **task_kwargs: Any) -> Any:
    """Come together again after branches.

    Parameters:
        tasks: the last tasks of the branches, of which those not taken are skipped.
        flow: where to put it; the active flow unless given.
        mapped: whether the branches are mapped: each child takes from its own branches.
        task_kwargs: the options of any task, for the task that is made.

    Returns:
        A task that gives the first value, in the order of the arguments, that there is.

    Raises:
        ValueError: no flow is active or given; or `skip_on_upstream_skip` is True.
    """
    branches = {f"task_{number}": task for number, task in enumerate(tasks, 1)}
    return Merge(**task_kwargs).bind(**branches, flow=flow, mapped=mapped)


class case(TaskBlock):  # noqa: N801 - it is used like a statement
    """A block whose tasks run only if a task gives a certain value; else they are skipped.

    Parameters:
        task: the condition: a task, or a value.
        value: the value for which the block's tasks run; no task.

    Raises:
        TypeError: `value` is a task.

    Example:
        >>> from penstock.graph import Flow, Parameter, task
        >>> @task
        ... def cheap(): ...
        >>> @task
        ... def thorough(): ...
        >>> with Flow("checks") as flow:
        ...     how = Parameter("how", default="cheap")
        ...     with case(how, "cheap"):
        ...         one = cheap()
        ...     with case(how, "thorough"):
        ...         other = thorough()
        ...     checked = merge(one, other)
    """

    context_key = "case"

    def __init__(self, task: Any, value: Any) -> None:
        if isinstance(value, Task):
            raise TypeError(
                f"The value of a case cannot be a task, and {value.name!r} is one: a case compares"
                " with a value known beforehand. Use case(a.is_equal(b), True)."
            )
        super().__init__()
        self.task = task
        self.value = value

    def __repr__(self) -> str:
        """Show it as it was written."""
        return f"case({getattr(self.task, 'name', self.task)!r}, {self.value!r})"

    def __enter__(self) -> Self:
        """Open the block."""
        self.open()
        return self

    def close(self, tasks: list[Task], flow: Any) -> None:
        """Let the comparison be upstream of the block's first tasks."""
        first = first_of(tasks, flow)
        compare = CompareValue(self.value, name=f"case({self.value})")
        compare.bind(value=self.task, flow=flow)
        for task in first:
            task.set_upstream(compare, flow=flow)


def _is_of_use(result: Any) -> bool:
    # Signals are no Exceptions, so that a task's `except Exception` does not catch them.
    return result is not None and not isinstance(result, BaseException)


def _by_number(name: str) -> tuple[tuple[int, int, str], ...]:
    """Give a key by which names are sorted, the numbers in them by their size."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
