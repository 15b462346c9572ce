"""`Flow.run`: the runs of a graph, one or by a schedule, each recorded from its beginning (6.6).

Each run is a flow run of the engine's, whose function makes passes over the graph with a flow
runner: mostly one, as it waits for retries itself; one more after somebody has let a paused task
go on.
"""

from __future__ import annotations

import copy
import inspect
import logging
import threading
import warnings
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from penstock import clock
from penstock.context import FlowRunContext, PenstockObjectRegistry, TaskRunContext
from penstock.engine import enter_flow_run_engine_from_flow_call, resume_flow_run_here
from penstock.exceptions import PausedRun
from penstock.graph.ambient import context as ambient
from penstock.graph.configuration import find_class
from penstock.graph.executors import executor_for
from penstock.graph.flow_runner import FlowRunner
from penstock.graph.nodes import nodes_of
from penstock.graph.pausing import (
    held_back,
    may_resume,
    not_begun,
    places,
    put,
    resting,
    start_time_of,
)
from penstock.graph.recorded_flow import RecordedFlow
from penstock.graph.recording import Recording, to_stored
from penstock.graph.resuming import left_by, take_recorded
from penstock.graph.schedules import events, wait_until
from penstock.graph.signals import PAUSE
from penstock.graph.state import (
    Failed,
    Mapped,
    Paused,
    Pending,
    Resume,
    Scheduled,
    State,
)
from penstock.graph.task_calls import GraphCall
from penstock.states import StateType

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from penstock.engine.execution import Execution
    from penstock.graph.task import Task
    from penstock.records import FlowRun
    from penstock.states import State as StoredState

_logger = logging.getLogger("penstock.graph.flow")
_OF_ONE_TASK = ("resume", "task_loop_count", "task_loop_result", "task_run_name", "task_tags")

_OWN_OPTIONS = frozenset(("flow_run_id", "flow_run_name"))
"""Keywords of `Flow.run` that no flow runner is given."""


def run_flow(
    flow: Any,
    parameters: Mapping[str, Any] | None = None,
    run_on_schedule: bool | None = None,  # noqa: FBT001 - the field's signature
    runner_cls: type[Any] | None = None,
    kwargs: dict[str, Any] | None = None,
) -> State | None:
    """Run a graph, once or as often as its schedule says; give the last run's state.

    Parameters:
        flow: the graph.
        parameters: values of its parameters, by name.
        run_on_schedule: wait for the times of the schedule, if there is one; by default
            `PENSTOCK_GRAPH_RUN_ON_SCHEDULE`.
        runner_cls: the class of the flow runner.
        kwargs: more parameters by name, and arguments of the flow runner.

    Returns:
        The state; its result has the state of every task, by task.

    Raises:
        RuntimeError: this is inside of the flow's own `with` block.
        ValueError: parameters are missing or unknown; the schedule has no more events.
        TypeError: there are other keywords; what was given as an executor is none.
    """
    if ambient.get("flow") is flow:
        message = f"Flow {flow.name!r} cannot run inside of its own `with` block: do it after it."
        raise RuntimeError(message)
    if ambient.get("loading_flow"):
        warnings.warn(
            f"Flow {flow.name!r} was run while it is being loaded: the call does nothing. Put it"
            ' under `if __name__ == "__main__":`.',
            stacklevel=3,
        )
        return None
    if PenstockObjectRegistry.blocks():
        _logger.warning("Flow %r is not run while its script is being loaded.", flow.name)
        return None
    options = dict(kwargs or {})
    if "return_tasks" in options:
        message = "Flow.run takes no return_tasks: the states of all tasks are returned."
        raise ValueError(message)
    given = _parameters(flow, parameters, options)
    runner_class = _runner_class(runner_cls)
    _check_options(flow, runner_class, options)
    is_scheduled = run_on_schedule
    if is_scheduled is None:
        is_scheduled = bool(ambient.config.flows.run_on_schedule)
    last: State | None = None
    for start_time, defaults in events(flow, is_scheduled=is_scheduled):
        values = {**given, **defaults}
        _check_nothing_is_missing(flow, values, options.get("context") or {})
        if start_time is not None:
            wait_until(start_time)
        last = _Run(flow, values, runner_class, options, start_time).call()
    return last


def resume_flow(flow: Any, flow_run_id: UUID | str) -> State:
    """Go on with a recorded run of a graph: what is finished stays, the rest is run.

    A run that rests because tasks are paused goes on with these resumed.

    Parameters:
        flow: the graph.
        flow_run_id: the run's id.

    Returns:
        The run's state; its result has the state of every task, by task.

    Raises:
        ObjectNotFound: there is no such run.
        ValueError: this is no id, or that of a run of another flow.
        RunOwnedElsewhere: a living process executes it.
    """
    try:
        run_id = flow_run_id if isinstance(flow_run_id, UUID) else UUID(str(flow_run_id))
    except ValueError:
        message = (
            f"{flow_run_id!r} is not the id of a flow run. Give one such as"
            " 01a20480-3334-7aa3-8186-a049104944c6: see `penstock flow-run ls`."
        )
        raise ValueError(message) from None
    return _Run(flow, {}, _runner_class(None), {}, None).resume(run_id)


def _parameters(
    flow: Any, parameters: Mapping[str, Any] | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Take the values of parameters, those among the keywords, too; check that they are known."""
    known = {parameter.name: parameter for parameter in flow.parameters()}
    given = dict(parameters or {})
    for name in [name for name in options if name in known]:
        given[name] = options.pop(name)
    unknown = sorted(name for name in given if name not in known)
    if unknown:
        message = (
            f"Flow {flow.name!r} received unknown parameters: {', '.join(unknown)}. It has:"
            f" {', '.join(sorted(known)) or 'none'}."
        )
        raise ValueError(message)
    return given


def _check_nothing_is_missing(
    flow: Any, given: dict[str, Any], context: Mapping[str, Any]
) -> None:
    around: dict[str, Any] = context.get("parameters") or ambient.get("parameters") or {}
    missing = sorted(
        parameter.name
        for parameter in flow.parameters()
        if parameter.required and parameter.name not in given and parameter.name not in around
    )
    if missing:
        message = (
            f"Flow {flow.name!r} did not receive the following required parameters:"
            f" {', '.join(missing)}"
        )
        raise ValueError(message)


def _runner_class(given: type[Any] | None) -> type[Any]:
    return given or find_class(ambient.config.engine.flow_runner.default_class, FlowRunner)


def _check_options(flow: Any, runner_class: type[Any], options: dict[str, Any]) -> None:
    """Refuse keywords that are neither parameters nor arguments of the flow runner."""
    others = sorted(name for name in options if name not in _OWN_OPTIONS)
    if not others:
        return
    taken = inspect.signature(runner_class.run).parameters
    if any(one.kind is one.VAR_KEYWORD for one in taken.values()):
        return
    unknown = [name for name in others if name not in taken]
    if unknown:
        message = (
            f"Flow.run() of flow {flow.name!r} got unexpected keyword arguments:"
            f" {', '.join(unknown)}. They are neither parameters of the flow"
            f" ({', '.join(sorted(one.name for one in flow.parameters())) or 'it has none'}) nor"
            f" arguments of {runner_class.__name__}.run()."
        )
        raise TypeError(message)


class _Run:
    """One run of a graph, from its call to its state."""

    def __init__(
        self,
        flow: Any,
        parameters: dict[str, Any],
        runner_class: type[Any],
        options: dict[str, Any],
        start_time: dt.datetime | None,
    ) -> None:
        self.flow = flow
        self.parameters = parameters
        self.options = dict(options)
        self.executor = executor_for(flow, self.options.pop("executor", None))
        self.runner_class = runner_class
        self.start_time = start_time
        self.flow_run_id = self.options.pop("flow_run_id", None)
        self.flow_run_name = self.options.pop("flow_run_name", None)
        self.recorded = RecordedFlow(flow, self.executor, self._walk_as_called)
        self.recorded.flow_run_name = self.flow_run_name
        self.state: State | None = None
        self.error: Exception | None = None
        self.is_in_task = TaskRunContext.variable.get() is not None
        self.caches: dict[str, list[State]] = ambient.setdefault("caches", {})
        self.context = ambient.flat()
        self.thread = threading.get_ident()

    def call(self) -> State:
        """Make a new run, or one within the flow run that this is called in."""
        given_id = None
        try:
            given_id = None if self.flow_run_id is None else UUID(str(self.flow_run_id))
        except ValueError:
            given_id = None  # any name does for the context; the record has an id of its own
        stored = enter_flow_run_engine_from_flow_call(
            self.recorded, self.parameters, None, "state", given_id
        )
        state = self._answer(stored)
        if stored.is_paused():
            _let_caller_rest(stored)
        return state

    def resume(self, run_id: UUID) -> State:
        """Go on with a recorded run."""
        return self._answer(resume_flow_run_here(self.recorded, run_id, "state"))

    def _answer(self, stored: StoredState) -> State:
        if self.error is not None:
            raise self.error
        state = self.state
        if state is None:
            # It had come to its end before: what it did is in the records.
            state = self._recorded_state(stored)
        elif stored.is_failed() and state.is_running():
            # It rested, and nobody has resumed it in time.
            state = Failed(message=stored.message, result=state.result)
        result = state.result
        if isinstance(result, dict):
            states = cast("dict[Task, State]", result)
            state.result = {
                task: states.get(task) or Pending() for task in self.flow.sorted_tasks()
            }
            if not state.is_scheduled():
                self._fill_caches(states)
        return state

    def _recorded_state(self, stored: StoredState) -> State:
        from penstock.graph.recording import READ_AS
        from penstock.graph.resuming import recorded_states
        from penstock.graph.state import Failed, Success

        default = Success if stored.is_completed() else Failed
        kind = READ_AS.get((stored.type, stored.name), default)
        run_id = stored.state_details.flow_run_id
        state = kind(message=stored.message)
        if run_id is not None:
            state.result = recorded_states(self.flow, run_id)
        return state

    # -- in the engine's flow run -------------------------------------------------------------

    def _walk_as_called(self, parameters: dict[str, Any]) -> StoredState:
        """Walk in the context of the code that called the flow: async code leaves its thread."""
        if threading.get_ident() == self.thread:
            return self._walk(parameters)
        with ambient(self.context):
            return self._walk(parameters)

    def _walk(self, parameters: dict[str, Any]) -> StoredState:
        """Make passes until the flow has finished, or nothing can be done; give its state."""
        run_context = FlowRunContext.variable.get()
        assert run_context is not None
        assert run_context.flow_run is not None
        flow_run = run_context.flow_run
        context = self._context(flow_run)
        recording, states = self._begin_recording(run_context.execution, flow_run)
        state: State = self.options.pop("state", None) or Scheduled(
            start_time=self.start_time, result={}
        )
        former: Any = state.result
        if not isinstance(former, dict):
            former = {}
        given: dict[Task, State] = self.options.pop("task_states", None) or {}
        states = {**cast("dict[Task, State]", former), **given, **states}
        state = copy.copy(state)
        state.result = states
        while not state.is_finished():
            state = self._make_pass(state, states, recording, context, parameters)
            result: Any = state.result
            if not isinstance(result, dict) or state.is_scheduled() or state.is_finished():
                break
            states = cast("dict[Task, State]", result)
            asked = run_context.execution.asked
            if flow_run.state is not None and flow_run.state.is_paused():
                asked = flow_run.state  # nobody has resumed it in time
            if asked is not None and asked.is_paused():
                self.state = state
                raise held_back(self.flow)
            if not self._go_on(states):
                self.state = state
                raise resting(self.flow, states)
        self.state = state
        if state.is_scheduled():
            raise not_begun(self.flow, state)
        return to_stored(state, clock.now())

    def _make_pass(
        self,
        state: State,
        states: dict[Task, State],
        recording: Recording,
        context: dict[str, Any],
        parameters: dict[str, Any],
    ) -> State:
        runner = self.runner_class(flow=self.flow)
        runner.recording = recording
        options = {
            key: value
            for key, value in self.options.items()
            if key not in ("context", "task_contexts")
        }
        try:
            return runner.run(
                parameters=parameters,
                state=state,
                task_states=states,
                return_tasks=self.flow.tasks,
                context=context,
                task_contexts=self.options.get("task_contexts"),
                executor=self.executor,
                **options,
            )
        except Exception as error:
            # The record has it as a failure; who called the flow is to have it as it is.
            self.error = error
            raise

    def _context(self, flow_run: FlowRun) -> dict[str, Any]:
        context = dict(self.options.get("context") or {})
        if self.is_in_task:
            # What the task that calls the flow is at is nothing to the flow's own tasks.
            context = {**dict.fromkeys(_OF_ONE_TASK), **context}
        context["flow_id"] = self.flow.name
        run_id = self.flow_run_id or context.get("flow_run_id") or flow_run.id
        context["flow_run_id"] = str(run_id)
        context["flow_run_name"] = (
            self.flow_run_name or context.get("flow_run_name") or flow_run.name
        )
        context["scheduled_start_time"] = self.start_time or flow_run.expected_start_time
        return context

    def _begin_recording(
        self, execution: Execution, flow_run: FlowRun
    ) -> tuple[Recording, dict[Task, State]]:
        """Take what earlier executions of the flow run have recorded of its tasks."""
        ours = take_recorded(self.flow, execution.recorded or {})
        if not ours:
            return Recording(execution), {}
        nodes = nodes_of(self.flow)
        for node in nodes:
            node.context = {"task_slug": self.flow.slugs[node.task]}
        left = left_by(
            nodes,
            ours,
            has_failed=_former_state(flow_run) is StateType.FAILED,
            rested_at=_rested_at(flow_run),
        )
        return Recording(execution, ours, left.kept), left.states

    # -- what paused --------------------------------------------------------------------------

    def _go_on(self, states: dict[Task, State]) -> bool:
        """Let tasks go on that somebody says may, or whose time comes; tell whether any does."""
        resumed = False
        for task, index in places(states, Paused):
            if not may_resume(task, index):
                continue
            resumed = True
            put(states, (task, index), Resume())
        if resumed:
            return True
        times = [
            time
            for place in places(states, Scheduled)
            if (time := start_time_of(states, place)) is not None
        ]
        if not times:
            return False
        clock.sleep(max((min(times) - clock.now()).total_seconds(), 0.0))
        return True

    def _fill_caches(self, states: dict[Task, State]) -> None:
        """Keep this run's Cached states for the next ones in this process (6.6)."""
        caches = self.caches
        for task in self.flow.sorted_tasks():
            state = states.get(task)
            if state is None:
                continue
            found = [state] if state.is_cached() else []
            if isinstance(state, Mapped):
                found = [child for child in state.map_states if child and child.is_cached()]
            key = task.cache_key or task.name
            if found or key in caches:
                now = clock.now()
                known = {id(one): one for one in (*caches.get(key, ()), *found)}
                caches[key] = [
                    one
                    for one in known.values()
                    if (until := getattr(one, "cached_result_expiration", None)) and until > now
                ]


def _let_caller_rest(stored: StoredState) -> None:
    """Have what has called a graph rest with it, if that is part of a run itself.

    A graph that waits for somebody has not done what it was called for: nothing that comes after
    the call may go on.

    Raises:
        PausedRun: a flow, or a task that is decorated, has called it.
        PAUSE: a task of a graph has.
    """
    around = FlowRunContext.variable.get()
    if around is None or around.flow_run is None or around.is_over:
        return
    task = TaskRunContext.variable.get()
    if task is not None and isinstance(task.call, GraphCall):
        raise PAUSE(stored.message)
    raise PausedRun(f"{stored.message}", state=stored)


def _former_state(flow_run: FlowRun) -> StateType | None:
    """Give the type of the state that a flow run had come to before it was begun again."""
    for state in reversed(flow_run.history[:-1]):
        if state.type not in (StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED):
            return state.type
    return None


def _rested_at(flow_run: FlowRun) -> dt.datetime | None:
    """Give when a flow run last rested for paused tasks, which go on with it; none if never."""
    for state in reversed(flow_run.history[:-1]):
        details = state.state_details
        # Pauses that code or somebody asked for have a key: their end approves of nothing.
        if state.is_paused() and details.pause_key is None and not details.pause_reschedule:
            return state.timestamp
    return None
