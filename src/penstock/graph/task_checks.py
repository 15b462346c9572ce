"""The steps before a task's body: whether it is to run now, and with which inputs.

Each takes a state and gives it back, gives another one, or ends the run with an `ENDRUN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.graph.ambient import context
from penstock.graph.cache_validators import content_hash
from penstock.graph.results import NoResult, Result
from penstock.graph.runner import call_user_code
from penstock.graph.signals import ENDRUN, TRIGGERFAIL, PrefectStateSignal
from penstock.graph.state import (
    Cached,
    Failed,
    Mapped,
    Pending,
    Running,
    Scheduled,
    Skipped,
    State,
    TriggerFailed,
)
from penstock.graph.task_runner_base import (
    TaskSteps,
    call_state_handlers,
    expanded,
    raw_values,
    result_of,
    template_values,
)

if TYPE_CHECKING:
    from penstock.graph.edge import Edge

    UpstreamStates = dict[Edge, State]
    Inputs = dict[str, Result]

__all__ = ["COUNTED_LIMIT", "TaskChecks", "length_of"]

COUNTED_LIMIT = 1_000_000
"""Up to so many elements are counted of what is mapped over and has no length."""


def length_of(value: Any) -> int | None:
    """Give how many elements a value has by their places; none if it cannot be mapped over.

    Args:
        value: The value. One without a length is asked for its elements one by one.
    """
    if not hasattr(value, "__getitem__"):
        return None
    if hasattr(value, "__len__"):
        length = len(value)
        return length if _has_places(value, length) else None
    for count in range(COUNTED_LIMIT):
        try:
            value[count]
        except IndexError:
            return count
    return None


def _has_places(value: Any, length: int) -> bool:
    """Tell whether a value has elements by their places, as a dictionary by names has not."""
    if isinstance(value, (list, tuple)) or not length:
        return True
    if isinstance(value, Mapping):
        return 0 in value and length - 1 in value  # asked for an element, it might make one
    try:
        _ = value[0], value[length - 1]
    except LookupError:
        return False
    return True


class TaskChecks(TaskSteps):
    """The steps of a `TaskRunner` from the first check to `Running`."""

    @call_state_handlers
    def check_task_is_ready(self, state: State) -> State:
        """Let a task through that is to run, or has a cached or mapped state to be looked at.

        Args:
            state: The state so far.

        Returns:
            The same state.

        Raises:
            ENDRUN: The task runs or is finished: nothing is done, and that state is the answer.
        """
        if isinstance(state, (Pending, Mapped, Cached)):
            return state
        self.logger.debug("%s: state %r is not to be run", self, state)
        raise ENDRUN(state)

    @call_state_handlers
    def check_task_reached_start_time(self, state: State) -> State:
        """Let a task through whose start time has come.

        Args:
            state: The state so far; only scheduled ones have a start time.

        Returns:
            The same state.

        Raises:
            ENDRUN: The start time is in the future, or there is none: the task is paused.
        """
        if isinstance(state, Scheduled) and (
            state.start_time is None or state.start_time > clock.now()
        ):
            raise ENDRUN(state)
        return state

    @call_state_handlers
    def check_upstream_finished(self, state: State, upstream_states: UpstreamStates) -> State:
        """Let a task through whose upstream tasks are finished.

        A mapped upstream task counts by its children, unless this one is mapped over it.

        Args:
            state: The state so far.
            upstream_states: The states upstream, by edge.

        Returns:
            The same state.

        Raises:
            ENDRUN: One of them is not finished.
        """
        for upstream in expanded(upstream_states):
            if upstream is None or not upstream.is_finished():
                raise ENDRUN(state)
        return state

    @call_state_handlers
    def check_upstream_skipped(self, state: State, upstream_states: UpstreamStates) -> State:
        """Skip a task if one upstream was skipped, unless `skip_on_upstream_skip` is false.

        Args:
            state: The state so far.
            upstream_states: The states upstream, by edge.

        Returns:
            The same state.

        Raises:
            ENDRUN: The task is skipped.
        """
        if upstream_states and self.task.skip_on_upstream_skip:
            for upstream in expanded(upstream_states):
                if upstream is not None and upstream.is_skipped():
                    raise ENDRUN(
                        Skipped(
                            message=(
                                f"An upstream task of {self.task.name!r} was skipped. To run it"
                                " all the same, give it `skip_on_upstream_skip=False`."
                            )
                        )
                    )
        return state

    def load_results(
        self, state: State, upstream_states: UpstreamStates
    ) -> tuple[State, UpstreamStates]:
        """Give the states with what they need to have loaded; here they come as they are.

        Args:
            state: The state so far.
            upstream_states: The states upstream, by edge.
        """
        return state, upstream_states

    def get_task_inputs(self, state: State, upstream_states: UpstreamStates) -> Inputs:
        """Give the results that are the task's inputs, by the keys of the edges they come over.

        A result that is missing upstream is taken from the inputs that an earlier attempt left on
        the state, if it did.

        Args:
            state: The state so far.
            upstream_states: The states upstream, by edge.
        """
        inputs: Inputs = {}
        for edge, upstream in upstream_states.items():
            key = edge.key
            if key is not None:
                inputs[key] = result_of(upstream)
        if state.cached_inputs and isinstance(state, Pending):
            for key, result in state.cached_inputs.items():
                if inputs.get(key, NoResult) == NoResult:
                    inputs[key] = result
        return inputs

    @call_state_handlers
    def check_task_ready_to_map(self, state: State, upstream_states: UpstreamStates) -> State:
        """End the run of a mapped task's parent: it is `Mapped` if it can be mapped.

        Args:
            state: The state so far; a `Mapped` one is of an earlier run, and stays.
            upstream_states: The states upstream, by edge.

        Raises:
            ENDRUN: Always: with `Mapped` and how many children there are to be, or with `Failed`.
        """
        if isinstance(state, Mapped):
            if not state.map_states and state.n_map_states:
                state.map_states = [None] * state.n_map_states
            state.cached_inputs = {
                edge.key: result_of(upstream)
                for edge, upstream in upstream_states.items()
                if edge.key is not None
            }
            raise ENDRUN(state)
        over = {edge: upstream for edge, upstream in upstream_states.items() if edge.mapped}
        successful = {edge: each for edge, each in over.items() if each.is_successful()}
        if upstream_states and not successful:
            raise ENDRUN(
                self._unmappable(
                    "No upstream states can be mapped over.",
                    ValueError(f"Of {self._described(over)} nothing was successful."),
                )
            )
        widths: list[int] = []
        for edge, upstream in successful.items():
            if isinstance(upstream, Mapped):
                widths.append(upstream.n_map_states)
                continue
            value = upstream.result
            width = length_of(value)
            if width is None:
                problem = (
                    f"That of {self._described({edge: upstream})} is a {type(value).__name__}:"
                    " give something with elements by their places, as a list, or mark it"
                    " `unmapped`."
                )
                raise ENDRUN(
                    self._unmappable(
                        "At least one upstream state has an unmappable result.", TypeError(problem)
                    )
                )
            widths.append(width)
        raise ENDRUN(
            Mapped(
                message="Ready to proceed with mapping.",
                n_map_states=min(widths, default=0),
            )
        )

    def _described(self, upstream_states: UpstreamStates) -> str:
        """Name edges for a message."""
        names = (
            f"{edge.upstream_task.name!r}"
            + ("" if edge.key is None else f" (its argument {edge.key!r})")
            for edge in upstream_states
        )
        return f"{' and '.join(names) or 'nothing'}, over which task {self.task.name!r} is mapped,"

    def _unmappable(self, message: str, error: Exception) -> Failed:
        """Give the state of a task that cannot be mapped: a fixed message, and what is wrong.

        Programs compare the message; people find the task and the edge in the log and the result.
        """
        self.logger.error("Task %r: %s %s", self.task.name, message, error)
        return Failed(message=message, result=error)

    def set_task_run_name(self, task_inputs: Inputs) -> None:
        """Put the task run's name into the context, if the task has a `task_run_name`.

        Args:
            task_inputs: The inputs, which the name may mention beside parameters and context.

        Raises:
            TypeError: The task's function for the name gave no string.
        """
        template = self.task.task_run_name
        if not template:
            return
        values = template_values(task_inputs)
        if isinstance(template, str):
            name: Any = template.format(**values)
        else:
            name = call_user_code(template, **values)
            if not isinstance(name, str):
                raise TypeError(
                    f"task_run_name of task {self.task.name!r} gave {name!r}: a callable for the"
                    " name must return a str."
                )
        context["task_run_name"] = self.task_run_name = name

    @call_state_handlers
    def check_target(self, state: State, inputs: Inputs) -> State:
        """Give a `Cached` state with what is at the task's target, if there is something.

        In later iterations of a loop the target is not looked at: what is there was written by an
        earlier iteration of the same task run.

        Args:
            state: The state so far.
            inputs: The inputs, which the target may mention beside parameters and context.

        Returns:
            A `Cached` state, or the same.
        """
        target: Any = self.task.target
        if not target or not self.result or context.get("task_loop_count") is not None:
            return state
        values = template_values(inputs)
        values.pop("self", None)
        if not isinstance(target, str):
            target = call_user_code(target, **values)
        if not self.result.exists(target, **values):
            return state
        location: str = target.format(**values)
        return Cached(
            message=f"Result found at task target {location}",
            result=self.result.read(location),
            hashed_inputs={name: content_hash(result.value) for name, result in inputs.items()},
            cached_result_expiration=None,
            cached_parameters=context.get("parameters"),
        )

    @call_state_handlers
    def check_task_is_cached(self, state: State, inputs: Inputs) -> State:
        """Give a `Cached` state that is still valid, if there is one.

        Args:
            state: The state so far: if it is `Cached`, the task's `cache_validator` is asked.
            inputs: The inputs, by which validators may decide.

        Returns:
            The same state; or, if the task has a `cache_for`, the first valid one of the context's
            `caches`; or `Pending` in place of a cached state that is not valid.
        """
        task = self.task
        refused = False
        if isinstance(state, Cached):
            if self._is_valid(state, inputs):
                return state
            refused = True
            state = Pending(message="The cached result is not valid: the task is to run.")
        if task.cache_for is not None:
            caches: dict[str, list[Cached]] = context.get("caches") or {}
            candidates = caches.get(task.cache_key or task.name, [])
            for candidate in candidates:
                if self._is_valid(candidate, inputs):
                    return candidate
            if candidates or refused:
                self.logger.warning(
                    "Task %r: its cached results are not valid any more, it runs", task.name
                )
        return state

    def _is_valid(self, state: Cached, inputs: Inputs) -> bool:
        return call_user_code(
            self.task.cache_validator, state, raw_values(inputs), context.get("parameters")
        )

    @call_state_handlers
    def check_task_trigger(self, state: State, upstream_states: UpstreamStates) -> State:
        """Let a task through whose trigger says so.

        Args:
            state: The state so far.
            upstream_states: The states upstream, by edge.

        Returns:
            The same state.

        Raises:
            ENDRUN: The trigger gave something false or raised: with `TriggerFailed`, or the state
                of the signal that it raised.
        """
        trigger = self.task.trigger
        try:
            if not call_user_code(trigger, upstream_states):
                name = getattr(trigger, "__name__", repr(trigger))
                raise TRIGGERFAIL(message=f'Trigger was "{name}", which gave nothing true.')
        except PrefectStateSignal as signal:
            if context.get("raise_on_exception"):
                raise
            self.logger.debug("%s: %s by its trigger", self, type(signal).__name__)
            raise ENDRUN(signal.state) from signal
        except Exception as error:
            if context.get("raise_on_exception"):
                raise
            message = f"Unexpected error while checking the trigger of {self!r}: {error!r}"
            self.logger.exception(message)
            raise ENDRUN(TriggerFailed(message=message, result=error)) from error
        return state

    @call_state_handlers
    def set_task_to_running(
        self,
        state: State,
        inputs: Inputs | None = None,  # noqa: ARG002 - for runners that look at them
    ) -> State:
        """Give `Running` for a task that is pending.

        Args:
            state: The state so far.
            inputs: The inputs.

        Returns:
            A new `Running` state.

        Raises:
            ENDRUN: The state is another one, say a cached one: then it is the answer.
        """
        if not isinstance(state, Pending):
            raise ENDRUN(state)
        return Running(message="Starting task run.")
