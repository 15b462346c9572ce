"""`FlowRunner`: takes the tasks of a graph through one pass, and says how the flow has done (6.1).

`Flow.run` uses one for each run, and lets it wait for retries; on its own a flow runner makes one
pass and gives what came of it, records nothing and waits for nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from penstock import clock
from penstock.engine.bursts import BURST, Burst
from penstock.engine.execution import Execution
from penstock.graph.ambient import context as ambient
from penstock.graph.configuration import find_class
from penstock.graph.dates import moment_of
from penstock.graph.executors import TaskRunnerExecutor, executor_for
from penstock.graph.nodes import Node, nodes_of
from penstock.graph.runner import ENDRUN, Runner, call_state_handlers
from penstock.graph.signals import PAUSE
from penstock.graph.state import Failed, Mapped, Pending, Running, State, Success
from penstock.graph.task_runner import TaskRunner
from penstock.graph.walk import Setup, Walk
from penstock.task_runners import ConcurrentTaskRunner

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from penstock.graph.executors import Executor
    from penstock.graph.recording import Recording
    from penstock.graph.task import Task
    from penstock.task_runners import BaseTaskRunner

_logger = logging.getLogger("penstock.graph.FlowRunner")


class BegunFlow(NamedTuple):
    """What a flow's run begins with (`FlowRunner.initialize_run`)."""

    state: State
    task_states: dict[Task, State]
    context: dict[str, Any]
    task_contexts: dict[Task, dict[str, Any]]


class FlowRunner(Runner):
    """Runs the tasks of a flow, each as soon as what it depends on is there.

    Parameters:
        flow: the flow.
        task_runner_cls: takes one task through its pipeline; by default the class that
            `PENSTOCK_GRAPH_TASK_RUNNER` names.
        state_handlers: called as `f(runner, old, new)` for each state that the flow comes to.

    Example:
        >>> FlowRunner(flow).run(return_tasks=flow.tasks).is_successful()  # doctest: +SKIP
        True
    """

    def __init__(
        self,
        flow: Any,
        task_runner_cls: type[Any] | None = None,
        state_handlers: Sequence[Any] | None = None,
    ) -> None:
        self.flow = flow
        self.task_runner_cls: type[Any] = task_runner_cls or find_class(
            ambient.config.engine.task_runner.default_class, TaskRunner
        )
        super().__init__(state_handlers=state_handlers)
        self.recording: Recording | None = None
        """How the run is recorded: `Flow.run` sets it; alone a flow runner records nothing."""

    def __repr__(self) -> str:
        """Give the flow's name."""
        return f"<{type(self).__name__}: {self.flow.name}>"

    def call_runner_target_handlers(self, old_state: State, new_state: State) -> State:
        """Call the flow's own state handlers, as `f(flow, old, new)`, and give what they leave."""
        if _logger.isEnabledFor(logging.DEBUG):
            _logger.debug(
                "Flow %r: Handling state change from %s to %s",
                self.flow.name,
                type(old_state).__name__,
                type(new_state).__name__,
            )
        for handler in self.flow.state_handlers or ():
            new_state = self._state_after(handler, self.flow, old_state, new_state)
        return new_state

    # -- the run ------------------------------------------------------------------------------

    def run(
        self,
        state: State | None = None,
        task_states: Mapping[Task, State] | None = None,
        return_tasks: Iterable[Task] | None = None,
        parameters: Mapping[str, Any] | None = None,
        task_runner_state_handlers: Iterable[Any] | None = None,
        executor: Any = None,
        context: Mapping[str, Any] | None = None,
        task_contexts: Mapping[Task, Mapping[str, Any]] | None = None,
    ) -> State:
        """Take the flow's tasks through one pass, and give the flow's state.

        Parameters:
            state: the state that the flow begins in; Pending by default.
            task_states: states that tasks have already.
            return_tasks: whose states the result has, by task.
            parameters: values of the flow's parameters, by name.
            task_runner_state_handlers: for the task runners.
            executor: where tasks run; by default the flow's, else `PENSTOCK_GRAPH_EXECUTOR`.
            context: what tasks find in `penstock.graph.context`, besides what is there.
            task_contexts: what single tasks find there.

        Returns:
            The flow's state; its result is a dictionary of states by task. One in which tasks
            have not finished is Running.
        """
        _logger.debug("Beginning flow run for flow %r", self.flow.name)
        run_context = {**ambient.copy(), **(context or {})}
        former = state or Pending()
        try:
            former, states, run_context, contexts = self.initialize_run(
                state, dict(task_states or {}), run_context, dict(task_contexts or {}), parameters
            )
            with ambient(run_context):
                made = self.check_flow_is_pending_or_running(former)
                made = self.check_flow_reached_start_time(made)
                made = self.set_flow_to_running(made)
                with self.check_for_cancellation():
                    made = self.get_flow_run_state(
                        made,
                        states,
                        contexts,
                        return_tasks,
                        task_runner_state_handlers,
                        executor_for(self.flow, executor),
                    )
        except (ENDRUN, PAUSE) as end:
            made = end.state
        except Exception as error:
            if run_context.get("raise_on_exception"):
                raise
            made = self._failed(former, error)
        _logger.debug("Flow %r: finished in state %s", self.flow.name, type(made).__name__)
        return made

    def _failed(self, former: State, error: Exception) -> State:
        """Give the state of a run that broke outside of its steps; handlers are told of it."""
        _logger.error("Unexpected error while running flow %r", self.flow.name, exc_info=error)
        message = f"Unexpected error while running flow {self.flow.name!r}: {error!r}"
        try:
            return self.handle_state_change(former, Failed(message=message, result=error))
        except (ENDRUN, PAUSE) as end:
            return end.state

    def initialize_run(  # type: ignore[override] - section 6.1 gives it arguments of its own
        self,
        state: State | None,
        task_states: dict[Task, State],
        context: dict[str, Any],
        task_contexts: dict[Task, Any],
        parameters: Mapping[str, Any] | None = None,
    ) -> BegunFlow:
        """Fill the run's context: parameters, names, dates (section 6.1).

        Parameters:
            state: the state that the flow begins in.
            task_states: states that tasks have already.
            context: the run's context; it is filled.
            task_contexts: what single tasks find in theirs.
            parameters: values of parameters; they win over those of the context and defaults.

        Returns:
            The state without what it was wrapped in, the states of tasks, the run's context, and
            the contexts of tasks.
        """
        given = context["parameters"] = dict(context.get("parameters") or {})
        for parameter in self.flow.parameters():
            if not parameter.required and parameter.name not in given:
                given[parameter.name] = parameter.default
        given.update(parameters or {})
        context["flow_name"] = self.flow.name
        context.setdefault("scheduled_start_time", clock.now())
        _fill_dates(context)
        contexts = {
            task: {"task_name": task.name, "task_slug": slug, "task_id": slug}
            for task, slug in self.flow.slugs.items()
        }
        for task, more in task_contexts.items():
            contexts[task] = {**contexts.get(task, {}), **more}
        made, context = super().initialize_run(state, context)
        return BegunFlow(made, task_states, context, contexts)

    @call_state_handlers
    def check_flow_is_pending_or_running(self, state: State) -> State:
        """Refuse to run what has finished, or is in no state that a run begins in.

        Raises:
            ENDRUN: it is.
        """
        if state.is_finished() or not (state.is_pending() or state.is_running()):
            raise ENDRUN(state)
        return state

    @call_state_handlers
    def check_flow_reached_start_time(self, state: State) -> State:
        """Refuse to begin before the start time.

        Raises:
            ENDRUN: it is in the future.
        """
        if state.is_scheduled():
            start_time: dt.datetime | None = getattr(state, "start_time", None)
            if start_time is not None and start_time > clock.now():
                _logger.debug("Flow %r: start_time has not been reached", self.flow.name)
                raise ENDRUN(state)
        return state

    @call_state_handlers
    def set_flow_to_running(self, state: State) -> State:
        """Give a Running state for a pending one.

        Raises:
            ENDRUN: it is neither pending nor running.
        """
        if state.is_pending():
            return Running(message="Running flow.")
        if state.is_running():
            return state
        raise ENDRUN(state)

    @contextmanager
    def check_for_cancellation(self) -> Generator[None]:
        """Watch, around the run of the tasks, whether the run is to be cancelled: override it.

        Nothing has to be done here: a recorded run's process learns it with each commit.
        """
        yield

    @call_state_handlers
    def get_flow_run_state(
        self,
        state: State,
        task_states: dict[Task, State],
        task_contexts: dict[Task, dict[str, Any]],
        return_tasks: Iterable[Task] | None,
        task_runner_state_handlers: Iterable[Any] | None,
        executor: Executor,
    ) -> State:
        """Run the tasks, and give the state that theirs make the flow's (6.2, 6.5).

        Raises:
            ENDRUN: the state is not Running.
            ValueError: a task whose state is to be returned is not in the flow.
        """
        if not state.is_running():
            raise ENDRUN(state)
        wanted = list(return_tasks or ())
        unknown = [task for task in wanted if task not in self.flow.tasks]
        if unknown:
            names = ", ".join(repr(task.name) for task in unknown)
            message = f"Some tasks in return_tasks are not in flow {self.flow.name!r}: {names}."
            raise ValueError(message)
        burst = Burst()
        if len(self.flow.tasks) >= BURST:
            burst.set_aside()
        try:
            nodes = nodes_of(self.flow)
            self._prepare(nodes, task_states, task_contexts)
            with executor.start() as started:
                self._walk(nodes, task_runner_state_handlers, executor, started)
            return self._state_of(state, nodes, wanted)
        finally:
            burst.end()

    def _prepare(
        self,
        nodes: list[Node],
        task_states: dict[Task, State],
        task_contexts: dict[Task, dict[str, Any]],
    ) -> None:
        for node in nodes:
            task = node.task
            given = task_states.get(task)
            runs_again = getattr(task, "always_runs_again", False)
            if runs_again and given is not None and given.is_finished() and not given.is_cached():
                # What it made is gone with the process that had it: a resource, a secret.
                given = Pending()
            node.given = given
            node.context = task_contexts.get(task) or {
                "task_name": task.name,
                "task_slug": self.flow.slugs[task],
            }
            if self.recording is not None:
                self.recording.prepare(node)

    def _walk(
        self,
        nodes: list[Node],
        handlers: Iterable[Any] | None,
        executor: Executor,
        started: Any,
    ) -> None:
        recording = self.recording
        execution = Execution(None) if recording is None else recording.execution  # type: ignore[arg-type]
        runner = _runner_of(executor, started)
        if runner is not None and recording is not None:
            assert execution.runner is not None
            runner = execution.runner
        setup = Setup(
            context=ambient.copy(),
            runner_class=self.task_runner_cls,
            handlers=handlers,
            flow_result=self.flow.result,
            recording=recording,
            waits=recording is not None,
        )
        Walk(nodes, execution, executor, runner, setup).run()

    def _state_of(self, state: State, nodes: list[Node], wanted: list[Task]) -> State:
        by_task = {node.task: node.state or Pending() for node in nodes}
        terminal = set(self.flow.terminal_tasks())
        reference = set(self.flow.reference_tasks())
        final = _decisive(by_task, terminal)
        key_states = set(_decisive(by_task, reference))
        return_states = {task: by_task[task] for task in wanted}
        made = self.determine_final_state(
            state=state,
            key_states=key_states,
            return_states=return_states,
            terminal_states=set(final),
        )
        handler = getattr(self.flow, "terminal_state_handler", None)
        if handler is not None:
            replaced = handler(self.flow, made, key_states)
            if replaced is not None:
                return _checked(replaced, self.flow)
        return made

    def determine_final_state(
        self,
        state: State,
        key_states: set[State],
        return_states: dict[Task, State],
        terminal_states: set[State],
    ) -> State:
        """Give the flow's state by those of its tasks (section 6.5). Override it to decide else.

        Parameters:
            state: the Running state.
            key_states: those of the reference tasks; of a mapped one, its children's.
            return_states: the states that the result is to have, by task.
            terminal_states: those of the tasks that nothing comes after.
        """
        if not all(one.is_finished() for one in terminal_states):
            _logger.debug("Flow run RUNNING: terminal tasks are incomplete.")
            state.result = return_states
            return state
        if any(one.is_failed() for one in key_states):
            _logger.debug("Flow run FAILED: some reference tasks failed.")
            return Failed(message="Some reference tasks failed.", result=return_states)
        if all(one.is_successful() for one in key_states):
            return Success(message="All reference tasks succeeded.", result=return_states)
        return Success(message="No reference tasks failed.", result=return_states)


def _checked(state: Any, flow: Any) -> State:
    if isinstance(state, State):
        return state
    message = (
        f"The terminal_state_handler of flow {flow.name!r} gave {state!r}, which is not a state."
        " It returns the state to go on with, or None to leave it as it is."
    )
    raise TypeError(message)


def _decisive(by_task: Mapping[Task, State], tasks: Iterable[Task]) -> list[State]:
    """Give the states of tasks; in the place of a mapped one's, those of its children."""
    states: list[State] = []
    for task in tasks:
        state = by_task[task]
        if isinstance(state, Mapped):
            states += [child or Pending() for child in cast("Sequence[Any]", state.map_states)]
        else:
            states.append(state)
    return states


def _runner_of(executor: Executor, started: Any) -> BaseTaskRunner | None:
    """Give the task runner to drive task runs on; none where calls are made one by one.

    Parameters:
        executor: the executor.
        started: what its `start` has given.
    """
    if not isinstance(executor, TaskRunnerExecutor):
        return None
    is_ours = type(executor).submit is TaskRunnerExecutor.submit
    runner = executor.started if started is None else started
    return runner if is_ours and isinstance(runner, ConcurrentTaskRunner) else None


def _fill_dates(context: dict[str, Any]) -> None:
    """Put the date of the run, and of the days around it, into a context (section 6.1)."""
    given = context.get("date")
    try:
        moment = clock.now() if given is None else moment_of(given)
    except (TypeError, ValueError):
        _logger.warning(
            "The context's date %r is neither a datetime nor an ISO 8601 text: it is kept, and"
            " the other dates of the run are taken from now.",
            given,
        )
        moment = clock.now()
    else:
        context["date"] = moment
    for name, days in (("today", 0), ("yesterday", -1), ("tomorrow", 1)):
        day = moment + dt.timedelta(days=days)
        context.setdefault(name, f"{day:%Y-%m-%d}")
        context.setdefault(f"{name}_nodash", f"{day:%Y%m%d}")
