"""Blocks whose tasks get edges when they end: what `case` and resource managers have in common.

A flow hands every task that is added to it to the blocks that are open then, which it finds in the
context as `case` and `resource`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from penstock.graph.ambient import context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from penstock.graph.task import Task

__all__ = ["TaskBlock", "first_of", "last_of"]


class TaskBlock:
    """Collects the tasks that are added to a flow while it is open.

    Attributes:
        context_key: under which the block stands in the context while it is open.
    """

    context_key: ClassVar[str]

    def __init__(self) -> None:
        self._tasks: dict[Task, None] = {}
        self._flow: Any | None = None
        self._outer: Any = None

    def add_task(self, task: Task, flow: Any) -> None:
        """Take a task that was added to a flow while the block is open.

        Parameters:
            task: the task.
            flow: the flow it was added to.

        Raises:
            ValueError: a task of the block was added to another flow.
        """
        if self._flow is None:
            self._flow = flow
        elif self._flow is not flow:
            raise ValueError(
                f"{self!r} has tasks of flow {self._flow.name!r} already, so that task"
                f" {task.name!r} cannot be added to flow {flow.name!r} in it. Open a block for"
                " each flow."
            )
        self._tasks[task] = None

    def open(self) -> None:
        """Stand in the context from now on, in the place of the block around."""
        self._outer = context.get(self.context_key)
        context[self.context_key] = self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the block; add its edges, unless building it failed."""
        if self._outer is None:
            context.pop(self.context_key, None)
        else:
            context[self.context_key] = self._outer
        tasks, flow = self._tasks, self._flow
        self._tasks, self._flow, self._outer = {}, None, None
        if kind is None and tasks and flow is not None:
            self.close(list(tasks), flow)

    def close(self, tasks: list[Task], flow: Any) -> None:
        """Add the block's edges.

        Parameters:
            tasks: what was added to the flow in the block, in order; never empty.
            flow: that flow.
        """
        raise NotImplementedError


def first_of(tasks: Sequence[Task], flow: Any) -> list[Task]:
    """Give the tasks that have no upstream task among them."""
    inside = set(tasks)
    return [task for task in tasks if inside.isdisjoint(flow.upstream_tasks(task))]


def last_of(tasks: Sequence[Task], flow: Any) -> list[Task]:
    """Give the tasks that have no downstream task among them."""
    inside = set(tasks)
    return [task for task in tasks if inside.isdisjoint(flow.downstream_tasks(task))]
