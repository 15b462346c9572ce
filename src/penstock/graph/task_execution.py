"""The steps from a task's body on: calling it, keeping its result, trying again, looping."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, cast

from penstock import clock
from penstock.engine.drivers.inline import invoke
from penstock.graph.ambient import context
from penstock.graph.cache_validators import content_hash
from penstock.graph.results import Result, ResultNotImplementedError
from penstock.graph.runner import hold_interruptions
from penstock.graph.signals import ENDRUN, LOOP, SUCCESS, TaskTimeoutSignal
from penstock.graph.state import (
    Cached,
    Failed,
    Looped,
    Retrying,
    State,
    Success,
    TimedOut,
)
from penstock.graph.task_runner_base import (
    TaskSteps,
    call_state_handlers,
    raw_values,
    result_of,
    template_values,
)
from penstock.logging.printing import ensure_print_is_patched, prints_logged_by
from penstock.task_runners import Call, perform
from penstock.task_runners.waiting import is_seen_through, this_thread

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from penstock.task_runners import Outcome

    Inputs = dict[str, Result]

__all__ = ["TaskExecution"]


class TaskExecution(TaskSteps):
    """The steps of a `TaskRunner` after `Running`."""

    @call_state_handlers
    def get_task_run_state(self, state: State, inputs: Inputs) -> State:
        """Call the task's `run`, and give the state that this means.

        Args:
            state: `Running`.
            inputs: What to call it with, by name.

        Returns:
            `Success`, `Looped`, `TimedOut` or `Failed`; and, by the signals that it may raise, any
            other state.

        Raises:
            ENDRUN: The state is not `Running`, or `run` raised one.
        """
        if not state.is_running():
            raise ENDRUN(state)
        outcome = self._call_run(raw_values(inputs))
        error = outcome.error
        if outcome.timed_out or isinstance(error, TaskTimeoutSignal):
            return self._timed_out(error)
        if error is None:
            return Success(message="Task run succeeded.", result=self._kept(outcome.value, inputs))
        if isinstance(error, SUCCESS):
            succeeded = error.state
            # Without a result of its own it has the signal itself, which is nothing to be written.
            if succeeded.result is not error:
                succeeded.result = self._kept(succeeded.result, inputs)
            return succeeded
        if isinstance(error, LOOP):
            looped = error.state
            assert isinstance(looped, Looped)
            if looped.message is None:
                looped.message = f"Task {self.task.name!r} is looping ({looped.loop_count})."
            looped.result = self._kept(looped.result, inputs)
            return looped
        if not isinstance(error, Exception) or context.get("raise_on_exception"):
            raise error
        text = "Task %r: Exception encountered during task execution!"
        self.logger.error(text, self._full_name, exc_info=error)
        return Failed(message=f"Error during execution of task: {error!r}", result=error)

    @property
    def _full_name(self) -> str:
        return context.get("task_full_name", self.task.name)

    def _call_run(self, values: dict[str, Any]) -> Outcome:
        """Call the task's `run`; what it awaits is run to its end, too."""
        held = hold_interruptions()
        try:
            outcome = self._call(self.task.run, values)
            if _is_coroutine(outcome.value):
                coroutine = outcome.value
                outcome = self._call(_awaiting(coroutine), {})
                with suppress(ValueError):  # its thread could not be stopped: it still runs
                    coroutine.close()
            return outcome
        finally:
            if held is not None:
                held.leave_engine()

    def _call(self, function: Callable[..., Any], values: dict[str, Any]) -> Outcome:
        """Call a function of the task's by the engine's means, within the task's time."""
        task = self.task
        if task.log_stdout:
            ensure_print_is_patched()
            function = _printing_to(context.get("logger", task.logger), function)
        if not task.timeout:
            return perform(Call(function, (), values))
        function = _in_this_context(function)
        call = Call(function, (), values, timeout_s=task.timeout, name=self._full_name)
        # Where the call is made on another thread, the worker that waits for it is still the one
        # that is counted: its pool must not take one more in its place.
        employer, this_thread.employer = this_thread.employer, None
        try:
            return invoke(call)
        finally:
            this_thread.employer = employer

    def _timed_out(self, error: BaseException | None) -> State:
        """Give the state of a task whose time was over."""
        if isinstance(error, TaskTimeoutSignal):
            signal = error
        else:
            signal = TaskTimeoutSignal(
                f"Task {self._full_name!r} timed out during execution: it may take"
                f" {self.task.timeout} s."
            )
        if context.get("raise_on_exception"):
            raise signal
        message = str(signal) or f"Task {self._full_name!r} timed out during execution."
        self.logger.error("%s", message)
        return TimedOut(message=message, result=signal)

    def _kept(self, value: Any, inputs: Inputs) -> Result:
        """Give a value as a result: written, if results are to be, else held in memory."""
        if (
            context.get("checkpointing") is True
            and self.task.checkpoint is not False
            and value is not None
        ):
            values = template_values(inputs)
            values.pop("self", None)
            try:
                return self.result.write(value, **values)
            except ResultNotImplementedError:
                pass
        return self.result.from_value(value)

    @call_state_handlers
    def cache_result(self, state: State, inputs: Inputs) -> State:
        """Give a `Cached` state for a success that is to be kept for later runs.

        A failed state, and one that is to be tried again, is given the inputs as `cached_inputs`,
        so that another process can start from them.

        Args:
            state: The state after the body.
            inputs: The inputs.

        Returns:
            A `Cached` state if the task succeeded and has a `cache_for`, else the same.
        """
        if isinstance(state, Success):
            cache_for = self.task.cache_for
            if cache_for is None or state.is_skipped():
                return state
            return Cached(
                message=state.message,
                result=result_of(state),
                hashed_inputs={name: content_hash(each.value) for name, each in inputs.items()},
                cached_result_expiration=clock.now() + cache_for,
                cached_parameters=context.get("parameters"),
            )
        if inputs and isinstance(state, (Failed, Retrying)):
            state.cached_inputs = dict(inputs)
        return state

    @call_state_handlers
    def check_for_retry(self, state: State, inputs: Inputs) -> State:
        """Give `Retrying` for a failure that has attempts left.

        Args:
            state: The state after the body.
            inputs: The inputs.

        Returns:
            A `Retrying` state with the time of the next attempt, or the same.
        """
        if not isinstance(state, Failed):
            return state
        task = self.task
        error = state.result
        if task.retry_on and error is not None and not isinstance(error, tuple(task.retry_on)):
            self.logger.info(
                "Task %r: %s is not among its retry_on, it is not tried again",
                self._full_name,
                type(error).__name__,
            )
            return state
        run_count: int = context.get("task_run_count", 1)
        loop_count: int | None = context.get("task_loop_count")
        so_far = None
        if loop_count is not None:
            so_far = self._kept(context.get("task_loop_result"), inputs)
        if run_count > (task.max_retries or 0):
            return state
        start_time = clock.now() + (task.retry_delay or timedelta(0))
        retrying = Retrying(
            message=f"Retrying Task (after attempt {run_count} of {task.max_retries + 1})",
            start_time=start_time,
            run_count=run_count,
            cached_inputs=state.cached_inputs,
        )
        if loop_count is not None:
            retrying.context["_loop_count"] = loop_count
            retrying.result = so_far
        self.logger.info("Task %r: to be tried again at %s", self._full_name, start_time)
        return retrying


# -- around the body ------------------------------------------------------------------------------


def _printing_to(logger: logging.Logger, run: Callable[..., Any]) -> Callable[..., Any]:
    """Give `run` such that what it prints is logged by `logger`."""

    @is_seen_through
    def call(**values: Any) -> Any:
        with prints_logged_by(logger):
            return _to_its_end(run(**values))

    return call


def _in_this_context(run: Callable[..., Any]) -> Callable[..., Any]:
    """Give `run` such that it finds the present ambient context on another thread, too."""
    here = threading.get_ident()
    found = context.flat()

    @is_seen_through
    def call(**values: Any) -> Any:
        if threading.get_ident() == here:
            return run(**values)
        with context(found):
            return _to_its_end(run(**values))

    return call


def _is_coroutine(value: Any) -> bool:
    return type(value) is CoroutineType


def _awaiting(coroutine: CoroutineType[Any, Any, Any]) -> Callable[[], Any]:
    """Give a function that runs a coroutine to its end, on a thread and a loop of its own.

    The ambient context belongs to a thread: on a loop that it shares with others, a task would
    find theirs.
    """
    found = context.flat()

    async def in_this_context() -> Any:
        with context(found):
            return await coroutine

    def call() -> Any:
        from penstock.task_runners import loops  # brings asyncio

        return loops.run_in_own_loop(in_this_context)

    return call


@is_seen_through
def _to_its_end(value: Any) -> Any:
    """Run a generator here, where its code finds what was set up for it."""
    return list(cast("Iterator[Any]", value)) if isinstance(value, GeneratorType) else value
