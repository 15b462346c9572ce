"""What the steps of a task runner share: the task, its result, and what they read of both."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

from penstock.graph.ambient import context
from penstock.graph.results import Result
from penstock.graph.runner import Runner, call_state_handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from penstock.graph.edge import Edge
    from penstock.graph.state import Mapped, State
    from penstock.graph.task import Task

__all__ = [
    "TaskSteps",
    "call_state_handlers",
    "expanded",
    "raw_values",
    "result_of",
    "template_values",
]


class TaskSteps(Runner):
    """The base of the classes that a `TaskRunner` has its steps from.

    Args:
        task: The task.
        state_handlers: Functions `f(runner, old_state, new_state)`, see `Runner`.
        flow_result: The flow's `result`, for a task that has none of its own.
    """

    def __init__(
        self,
        task: Task,
        state_handlers: Sequence[Callable[[Any, State, State], State | None]] | None = None,
        flow_result: Result | None = None,
    ) -> None:
        super().__init__(state_handlers)
        self.task = task
        if task.result is not None:
            self.result = task.result
        else:
            self.result = Result() if flow_result is None else copy.copy(flow_result)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.task.name}>"


def expanded(upstream_states: Mapping[Edge, State]) -> Iterator[State | None]:
    """Give the states that a task depends on.

    A mapped upstream counts by its children, unless the task is mapped over it, too: then each
    child decides for itself. A child whose state is not known is none.

    Args:
        upstream_states: The states by edge.
    """
    for edge, state in upstream_states.items():
        if state.is_mapped() and not edge.mapped:
            yield from cast("Mapped", state).map_states
        else:
            yield state


def result_of(state: State) -> Result:
    """Give a state's result, and not only its value.

    Args:
        state: The state.
    """
    return state._result  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - nothing public has it


def raw_values(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values of a task's inputs, by name.

    Args:
        inputs: The inputs as results.
    """
    return {name: result.value for name, result in inputs.items()}


def template_values(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give what names, targets and locations may mention: parameters, context and inputs.

    What comes later wins.

    Args:
        inputs: The inputs as results.
    """
    parameters: dict[str, Any] = context.get("parameters") or {}
    return {**parameters, "config": context.config, **context.flat(), **raw_values(inputs)}
