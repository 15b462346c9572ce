"""Takes one task of a graph through its states: a pipeline of checks, its body, and what follows.

`PIPELINE` is the order of the steps. Each is a public method of `TaskRunner` that can be called,
tested and overridden alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import clock
from penstock.graph.ambient import context as live
from penstock.graph.runner import ENDRUN, Begun, hold_interruptions
from penstock.graph.signals import PrefectStateSignal
from penstock.graph.state import (
    Failed,
    Looped,
    Paused,
    Pending,
    Resume,
    Retrying,
    State,
)
from penstock.graph.tail_calls import RecursiveCall, is_tail_recursive, tail_recursive
from penstock.graph.task_checks import TaskChecks
from penstock.graph.task_execution import TaskExecution
from penstock.graph.task_runner_base import result_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.graph.edge import Edge
    from penstock.graph.results import Result

    UpstreamStates = dict[Edge, State]
    Inputs = dict[str, Result]

__all__ = ["CHECKS", "PIPELINE", "Checked", "TaskRunner"]

_BLANK = dict(logging.Logger("penstock.graph.child").__dict__)  # noqa: LOG001 - not to be kept
_DEBUG = logging.DEBUG
_INFO = logging.INFO


class Checked(NamedTuple):
    """What the checks before a task's body say (`TaskRunner.run_checks`).

    Attributes:
        state: The state that the task is in.
        inputs: What its body is to be called with; None if it is not: then `state` is the answer.
    """

    state: State
    inputs: Inputs | None


class _Pass:
    """What the steps of one pass through the pipeline hand on."""

    __slots__ = ("context", "inputs", "is_mapped_parent", "state", "upstream_states")

    def __init__(
        self,
        state: State,
        upstream_states: UpstreamStates,
        context: dict[str, Any],
        *,
        is_mapped_parent: bool,
    ) -> None:
        self.state = state
        self.upstream_states = upstream_states
        self.context = context
        self.is_mapped_parent = is_mapped_parent
        self.inputs: Inputs = {}


# -- what steps are called with -------------------------------------------------------------------


def _with_state(step: Callable[..., Any], run: _Pass, _runner: TaskRunner) -> None:
    run.state = step(run.state)


def _with_upstream(step: Callable[..., Any], run: _Pass, _runner: TaskRunner) -> None:
    run.state = step(run.state, run.upstream_states)


def _with_inputs(step: Callable[..., Any], run: _Pass, _runner: TaskRunner) -> None:
    run.state = step(run.state, run.inputs)


def _load(step: Callable[..., Any], run: _Pass, _runner: TaskRunner) -> None:
    run.state, run.upstream_states = step(run.state, run.upstream_states)


def _take_inputs(step: Callable[..., Any], run: _Pass, _runner: TaskRunner) -> None:
    run.inputs = step(run.state, run.upstream_states)


def _if_mapped(step: Callable[..., Any], run: _Pass, _runner: TaskRunner) -> None:
    if run.is_mapped_parent:
        run.state = step(run.state, run.upstream_states)


def _name(step: Callable[..., Any], run: _Pass, _runner: TaskRunner) -> None:
    step(run.inputs)


def _if_target(step: Callable[..., Any], run: _Pass, runner: TaskRunner) -> None:
    if runner.task.target:
        run.state = step(run.state, run.inputs)


def _if_no_target(step: Callable[..., Any], run: _Pass, runner: TaskRunner) -> None:
    if not runner.task.target:
        run.state = step(run.state, run.inputs)


def _with_all(step: Callable[..., Any], run: _Pass, _runner: TaskRunner) -> None:
    run.state = step(
        run.state, inputs=run.inputs, upstream_states=run.upstream_states, context=run.context
    )


PIPELINE: tuple[tuple[str, Callable[[Callable[..., Any], _Pass, TaskRunner], None]], ...] = (
    ("check_task_is_ready", _with_state),
    ("check_task_reached_start_time", _with_state),
    ("check_upstream_finished", _with_upstream),
    ("check_upstream_skipped", _with_upstream),
    ("load_results", _load),
    ("get_task_inputs", _take_inputs),
    ("check_task_ready_to_map", _if_mapped),
    ("set_task_run_name", _name),
    ("check_target", _if_target),
    ("check_task_is_cached", _if_no_target),
    ("check_task_trigger", _with_upstream),
    ("set_task_to_running", _with_inputs),
    ("get_task_run_state", _with_inputs),
    ("cache_result", _with_inputs),
    ("check_for_retry", _with_inputs),
    ("check_task_is_looping", _with_all),
)
"""The steps between `initialize_run` and a task's final state, in their order.

With each: how it is called. A step may end the run by raising `ENDRUN`.
"""

CHECKS = PIPELINE[: [name for name, _ in PIPELINE].index("set_task_to_running")]
"""The steps before a task is `Running`."""


class TaskRunner(TaskChecks, TaskExecution):
    """Takes a task through its states.

    Args:
        task: The task.
        state_handlers: Functions `f(runner, old_state, new_state)` that are told of each change of
            state after the task's own handlers, and may give another state to go on with.
        flow_result: The flow's `result`, for a task that has none of its own.

    Attributes:
        result: Where the task's results are kept.
        transitions: The states that the runs of this runner came to, with their times.
        task_run_name: The name that the task's `task_run_name` made, if there is one.

    Raises:
        TypeError: `state_handlers` is not a sequence.

    Example:
        >>> from penstock.graph import task
        >>> @task
        ... def one():
        ...     return 1
        >>> TaskRunner(one).run().result
        1
    """

    task_run_name: str | None = None

    @tail_recursive
    def run(
        self,
        state: State | None = None,
        upstream_states: UpstreamStates | None = None,
        context: dict[str, Any] | None = None,
        is_mapped_parent: bool = False,  # noqa: FBT001, FBT002 - the field's signature
    ) -> State:
        """Take the task through the pipeline.

        Args:
            state: The state to begin with; none is `Pending`.
            upstream_states: The states of the tasks upstream, by edge.
            context: What the task finds in `penstock.graph.context`; none for what is in there.
            is_mapped_parent: Do not run the task, but give the `Mapped` state for its children.

        Returns:
            The state that the task came to. It may be one that is not finished: `Retrying`,
            `Paused` and other `Scheduled` states are to be run again at their time.

        Raises:
            BaseException: What is no failure of the task's: an interruption of the run,
                KeyboardInterrupt; and, in `raise_on_exception()`, its failures, too.
        """
        final, _ = self._go_through(PIPELINE, state, upstream_states, context, is_mapped_parent)
        if self.logger.isEnabledFor(_INFO) and live.get("task_loop_count") is None:
            index = (context or live).get("map_index")
            name = self.task.name
            self.logger.log(
                _DEBUG if final.is_successful() else _INFO,
                "Task %r: Finished task run for task with final state: %r",
                name if index is None else f"{name}[{index}]",
                type(final).__name__,
            )
        return final

    def run_checks(
        self,
        state: State | None = None,
        upstream_states: UpstreamStates | None = None,
        context: dict[str, Any] | None = None,
        is_mapped_parent: bool = False,  # noqa: FBT001, FBT002 - as for `run`
    ) -> Checked:
        """Take the task through the steps before it is running; for who runs its body itself.

        Args:
            state: As for `run`.
            upstream_states: As for `run`.
            context: As for `run`.
            is_mapped_parent: As for `run`.

        Returns:
            The task's state, and the inputs for its body. Without inputs the state is the answer;
            so is one that is not pending, e.g. a cached one.
        """
        checked = self._go_through(CHECKS, state, upstream_states, context, is_mapped_parent)
        if checked.inputs is not None and not isinstance(checked.state, Pending):
            return Checked(checked.state, None)
        return checked

    def _go_through(
        self,
        steps: tuple[tuple[str, Callable[..., None]], ...],
        state: State | None,
        upstream_states: UpstreamStates | None,
        context: dict[str, Any] | None,
        is_mapped_parent: bool,  # noqa: FBT001 - handed on
    ) -> Checked:
        """Take the task through some of the steps; what ends them early becomes its state."""
        context = dict(context) if context else live.flat()
        map_index = context.setdefault("map_index", None)
        name = self.task.name
        context["task_full_name"] = name if map_index is None else f"{name}[{map_index}]"
        held = hold_interruptions()
        begun: State | None = state
        try:
            begun, context = self.initialize_run(state, context)
            run = _Pass(begun, upstream_states or {}, context, is_mapped_parent=is_mapped_parent)
            with live(context):
                if self.logger.isEnabledFor(_DEBUG) and context.get("task_loop_count") is None:
                    self.logger.debug("Task %r: Starting task run...", context["task_full_name"])
                for step, call in steps:
                    call(getattr(self, step), run, self)
            return Checked(run.state, run.inputs)
        except (ENDRUN, PrefectStateSignal) as end:
            final = end.state
        except Exception as error:
            if context.get("raise_on_exception") or live.get("raise_on_exception"):
                raise
            message = f"Unexpected error while running {self!r}: {error!r}"
            self.logger.exception(message)
            final = Failed(message=message, result=error)
        finally:
            if held is not None:
                held.leave_engine()
        if final is not begun:
            self.note(final)
        return Checked(final, None)

    def initialize_run(self, state: State | None, context: dict[str, Any]) -> Begun:
        """Give the state and the context that a run begins with.

        Args:
            state: The state so far. What a meta state wraps is taken out of it; none is `Pending`.
            context: What the run is to find in the ambient context; it is added to: the number of
                this attempt, the task's name, tags and logger, whether results are written, and
                what the last iteration of a loop left.

        Returns:
            The state, and the context.
        """
        state, context = super().initialize_run(state, context)
        task = self.task
        if isinstance(state, Retrying):
            run_count = state.run_count + 1
        else:
            run_count = state.context.get("task_run_count", 1)
        if isinstance(state, Resume) or (
            isinstance(state, Paused)
            and state.start_time is not None
            and state.start_time <= clock.now()
        ):
            context["resume"] = True
        if "_loop_count" in state.context:
            context["task_loop_count"] = state.context.pop("_loop_count")
            so_far = result_of(state)
            if so_far.value is None and so_far.location is not None:
                so_far = self.result.read(so_far.location)
            context["task_loop_result"] = so_far.value
        context["task_run_count"] = run_count
        context["task_name"] = task.name
        context["task_tags"] = set(task.tags)
        if "checkpointing" not in context:
            context["checkpointing"] = _checkpointing(context.get("config"))
        context["logger"] = self._logger_for(context)
        if task.target:
            self.result.location = task.target
        return Begun(state, context)

    def _logger_for(self, context: dict[str, Any]) -> logging.Logger:
        """Give the task's logger; for a child one of its own name."""
        own = self.task.logger
        full_name = context.get("task_full_name")
        if not isinstance(context.get("map_index"), int) or full_name is None:
            return own
        name = f"penstock.graph.{full_name}"
        known = own.manager.loggerDict.get(name)
        if isinstance(known, logging.Logger):
            return known
        # Not by getLogger, which would keep one for each child as long as the process lives; and
        # not by its constructor, which costs more than all the rest of a child's context.
        logger = logging.Logger.__new__(logging.Logger)
        logger.__dict__.update(_BLANK, name=name, parent=own, handlers=[], filters=[], _cache={})
        return logger

    def call_runner_target_handlers(self, old_state: State, new_state: State) -> State:
        """Tell the task's own handlers of a change of state, in their order.

        Args:
            old_state: The state before.
            new_state: The state after.

        Returns:
            The state to go on with.
        """
        if self.logger.isEnabledFor(_DEBUG):
            self.logger.debug(
                "Task %r: Handling state change from %s to %s",
                live.get("task_full_name", self.task.name),
                type(old_state).__name__,
                type(new_state).__name__,
            )
        for handler in self.task.state_handlers:
            new_state = self._state_after(handler, self.task, old_state, new_state)
        return new_state

    def check_task_is_looping(
        self,
        state: State,
        inputs: Inputs | None = None,  # noqa: ARG002 - as for the other steps
        upstream_states: UpstreamStates | None = None,
        context: dict[str, Any] | None = None,
    ) -> State:
        """Ask for the next iteration of a task that loops.

        Args:
            state: The state after the body.
            inputs: The inputs.
            upstream_states: The states upstream, by edge.
            context: The run's context, which is given the iteration's number and the result of the
                last one.

        Returns:
            The same state, if the task does not loop.

        Raises:
            RecursiveCall: The task loops: `run` is to be called again.
        """
        if not isinstance(state, Looped):
            return state
        context = {} if context is None else context
        context["task_loop_result"] = state.result
        context["task_loop_count"] = state.loop_count + 1
        version = live.get("task_run_version")
        if version is not None:
            context["task_run_version"] = version
        # A subclass may have put a `run` of its own around this one; if it does not make calls in
        # its own place, this one does.
        run = type(self).run
        raise RecursiveCall(
            run if is_tail_recursive(run) else TaskRunner.run,
            self,
            state=Pending(message="The task loops: its next iteration."),
            upstream_states=upstream_states,
            context=context,
        )


def _checkpointing(config: Any) -> Any:
    """Tell whether results are written, as a run's own configuration or the process's says."""
    if config is not None:
        try:
            return config["flows"]["checkpointing"]
        except (KeyError, TypeError):
            pass
    return live.config.flows.checkpointing
