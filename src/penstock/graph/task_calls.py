"""The run of one task of a graph, as a generator: its pipeline, its record, its waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from weakref import WeakValueDictionary

from penstock import clock
from penstock.context import TaskRunContext
from penstock.engine.effects import Commit, Invoke, Save, Sleep, Steps
from penstock.engine.resting import wait_for_resume
from penstock.engine.task_transitions import broken_off_state_of
from penstock.exceptions import Abort, Pause, StoreError
from penstock.graph import recording
from penstock.graph.decorated_runs import run_decorated
from penstock.graph.results import NoResult
from penstock.graph.state import Mapped, Pending, Scheduled, State
from penstock.logging.run_loggers import task_run_logger
from penstock.results import BaseResult
from penstock.rules import Facts, record, take_back
from penstock.store.limits import limited_tags
from penstock.task_runners import Call, Outcome
from penstock.task_runners.waiting import block

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from penstock.graph.edge import Edge
    from penstock.graph.nodes import Node
    from penstock.records import TaskRun


T = TypeVar("T")


class Ran(NamedTuple):
    """What the record of a task run needs besides the state that its pipeline has given."""

    transitions: list[tuple[State, float]]
    task_run_name: str | None = None


_HELD_BACK = "It begins when the flow run is resumed."

_RAN = "_ran"
"""The attribute of a state by which a `Ran` comes from another process."""


_submitted: WeakValueDictionary[str, GraphCall] = WeakValueDictionary()
"""The task runs that executors have been handed, by their ids."""


class GraphCall:
    """One task of a graph, or one child of a mapped task, that is taken through its pipeline.

    Parameters:
        walk: the walk over the graph.
        node: the task.
        index: the child's index; none for what is no child.
        state: the state that it begins with.
        upstream: the states that it finds upstream, by edge.
        is_parent: it is the parent of a mapped task: what is to be made is its children.
        contextvars: the context variables to run in.
    """

    __slots__ = (
        "__weakref__",
        "_lock",
        "contextvars",
        "execution",
        "index",
        "is_over",
        "is_parent",
        "is_written",
        "node",
        "ran",
        "run",
        "slots",
        "state",
        "transitions",
        "upstream",
        "walk",
    )

    def __init__(
        self,
        walk: Any,  # a `Walk`: that room is above this one
        node: Node,
        index: int | None,
        state: State | None,
        upstream: dict[Edge, State],
        is_parent: bool,  # noqa: FBT001 - hot path: made by position, once for each task run
        contextvars: Context,
    ) -> None:
        self.walk = walk
        self.node = node
        self.index = index
        self.state = state
        self.upstream = upstream
        self.is_parent = is_parent
        self.contextvars = contextvars
        self.execution = walk.execution
        self.is_over = self.is_written = False
        self.slots: Any = None
        self._lock: Any = None
        self.ran: Ran | None = None
        self.run: TaskRun | None = None
        self.transitions: recording.Transitions | None = None
        if walk.recording is not None:
            self._begin_record(walk.recording)

    def _begin_record(self, made_by: recording.Recording) -> None:
        node, index = self.node, self.index
        name = node.task.name if index is None else f"{node.task.name}[{index}]"
        slug = node.context.get("task_slug", name)
        self.run = run = made_by.run_of(node, slug, index, name)
        if index is None:
            node.run_id = run.id
        elif node.is_followed:
            node.child_ids[index] = run.id
        self.transitions = recording.Transitions(self.execution, run)
        self.transitions.factory = self.execution.factory_of(node.task)

    @property
    def task(self) -> Any:
        """The task."""
        return self.node.task

    def logger(self) -> Any:
        """Give the logger of the task run."""
        execution = self.execution
        assert self.run is not None
        return task_run_logger(self.run, self.task, execution.flow_run, execution.flow)

    # -- as the event driver sees it ----------------------------------------------------------

    def set_state(self, state: State) -> None:
        """The generator is over: tell the walk, and whoever waits."""
        self.is_over = True
        if self._lock is not None:
            self._lock.release()
        self.walk.has_come(self, state)

    def done(self) -> bool:
        """Tell whether the run is over."""
        return self.is_over

    def block(self) -> None:
        """Wait in this thread until the run is over."""
        with self.walk.waiting:
            if self.is_over:
                return
            if self._lock is None:
                self._lock = threading.Lock()
                self._lock.acquire()
        block(self._lock)
        self._lock.release()

    def loop(self) -> Any:
        """Give the event loop that the task's function runs on, if it is a coroutine function."""
        decorated = getattr(self.node.task, "decorated", None)
        if decorated is None or not decorated.isasync:
            return None
        from penstock.task_runners import loops

        return loops.background_loop()

    # -- the pipeline -------------------------------------------------------------------------

    def context(self) -> dict[str, Any]:
        """Give what the task finds in the ambient context, anew for each attempt."""
        made = {**self.walk.context, **self.node.context, "map_index": self.index}
        if self.run is not None:
            made["task_run_id"] = str(self.run.id)
        return made

    def new_runner(self) -> Any:
        """Give what takes the task through its pipeline."""
        setup = self.walk.setup
        runner = setup.runner_class(
            task=self.node.task, state_handlers=setup.handlers, flow_result=setup.flow_result
        )
        if self.transitions is not None:
            runner.transitions = self.transitions
            self.transitions.runner = runner
        return runner

    def run_context(self) -> TaskRunContext | None:
        """Give the context of the task run, by which loggers and called tasks know it."""
        run = self.run
        if run is None:
            return None
        task: Any = self.node.task
        made = TaskRunContext(
            task=task,
            task_run=run,
            call=self,
            result_factory=self.execution.factory_of(task),
            log_prints=bool(task.log_stdout),
        )
        if self.transitions is not None:
            self.transitions.inside = made
        if self.state is not None and "_loop_count" in self.state.context:
            made.turn = self.state.context["_loop_count"]
        return made

    def submit_to(self, executor: Any) -> Any:
        """Have an executor that speaks the protocol take the task through its pipeline."""
        setup, task = self.walk.setup, self.node.task
        if self.run is not None:
            _submitted[str(self.run.id)] = self
        mapped = {
            edge: state.map_states
            for edge, state in self.upstream.items()
            if not edge.mapped and isinstance(state, Mapped)
        }
        context = self.context()
        return executor.submit(
            run_task,
            task=task,
            state=self.state,
            upstream_states=self.upstream,
            context=context,
            flow_result=setup.flow_result,
            task_runner_cls=setup.runner_class,
            task_runner_state_handlers=setup.handlers,
            upstream_mapped_states=mapped,
            is_mapped_parent=self.is_parent,
            extra_context={
                "task_name": task.name,
                "task_tags": task.tags,
                "task_index": self.index,
            },
        )

    def outcome_of(self, state: Any) -> Outcome:
        """Take over what an executor's call gave.

        Raises:
            TypeError: that is no state.
        """
        if not isinstance(state, State):
            message = (
                f"The executor gave {state!r} for task {self.task.name!r}, which is not a state:"
                " `wait` is to give what the submitted function has returned."
            )
            raise TypeError(message)
        ran: Ran | None = self.ran or state.__dict__.pop(_RAN, None)
        if self.transitions is not None and ran is not None:
            self.transitions.runner = ran
            for transition in ran.transitions:
                self.transitions.append(transition)
        self.ran = None
        return Outcome(state)


def run_task(  # noqa: PLR0913, PLR0917 - the field's signature
    task: Any,
    state: State | None,
    upstream_states: dict[Edge, State],
    context: dict[str, Any],
    flow_result: Any,
    task_runner_cls: type[Any],
    task_runner_state_handlers: Any = None,
    upstream_mapped_states: dict[Edge, list[Any]] | None = None,
    is_mapped_parent: bool = False,  # noqa: FBT001, FBT002 - the field's signature
) -> State:
    """Take a task through its pipeline, wherever an executor has this called (section 6.3).

    In the process of the run what the task logs and calls belongs to its task run. In another one
    what the record needs travels back on the state.
    """
    for edge, children in (upstream_mapped_states or {}).items():
        mapped = cast("Mapped", upstream_states[edge])
        mapped.map_states = children
        mapped.result = [None if child is None else child.result for child in children]

    def run() -> tuple[State, Ran]:
        runner = task_runner_cls(
            task=task, state_handlers=task_runner_state_handlers, flow_result=flow_result
        )
        made = runner.run(
            state=state,
            upstream_states=upstream_states,
            is_mapped_parent=is_mapped_parent,
            context=context,
        )
        transitions: list[Any] = list(getattr(runner, "transitions", ()))
        return made, Ran(transitions, getattr(runner, "task_run_name", None))

    call = _submitted.get(context.get("task_run_id", ""))
    if call is not None:
        made, call.ran = call.contextvars.run(_inside, call, run)
        return made
    made, ran = run()
    if "task_run_id" in context:
        made.__dict__[_RAN] = ran
    return made


def _inside(call: GraphCall, run: Callable[[], T]) -> T:
    """Do something as the task run that a call is."""
    inside = call.run_context()
    token = None if inside is None else inside.activate()
    try:
        return run()
    finally:
        if inside is not None:
            inside.deactivate(token)


def perform_pipeline(call: GraphCall) -> State:
    """Take a task of this process's graph through its pipeline."""
    inside = call.run_context()
    token = None if inside is None else inside.activate()
    try:
        return call.new_runner().run(
            state=call.state,
            upstream_states=call.upstream,
            is_mapped_parent=call.is_parent,
            context=call.context(),
        )
    finally:
        if inside is not None:
            inside.deactivate(token)


def graph_task_run(call: GraphCall) -> Steps[State]:
    """Take a task through its states until it is over, or rests; record each time it does.

    It does not begin while the flow run rests, nor at all if that is to leave its process.

    What breaks the pipeline itself (not the task's function) breaks the walk, too.
    """
    walk, execution = call.walk, call.execution
    try:
        if execution.stopped is not None:
            raise Abort(execution.stopped)
        while True:
            if execution.asked is not None or execution.rest is not None:
                may_begin = yield from wait_for_resume(execution)
                if not may_begin:
                    return call.state or Pending(message=_HELD_BACK)
            state = yield from (_limited_attempt if _is_limited(call) else _attempt)(call)
            if state is None:
                continue
            until = _waits_until(walk, state)
            if until is None:
                return state
            yield from _sleep(call, until)
            call.state = state
    except GeneratorExit:
        raise
    except Pause:
        return Pending(message=_HELD_BACK)
    except BaseException as error:  # noqa: BLE001 - raised by whoever runs the walk
        yield from _report_crash(call, error)
        walk.fail(error)
        return Pending(message=f"Broken off: {error!r}")


def _is_limited(call: GraphCall) -> bool:
    """Tell whether a task needs slots before its pipeline; a decorated one takes its own in it."""
    run = call.run
    if run is None or not run.tags or call.is_parent or call.node.is_decorated:
        return False
    return bool(limited_tags(call.execution.store, run.tags))


def _limited_attempt(call: GraphCall) -> Steps[State | None]:
    """Take a task through its pipeline with the slots that it needs; none if it is to ask again.

    Meanwhile it may have been asked of the flow run to rest.
    """
    # Loaded with the first task that has a limited tag.
    from penstock.graph import slots

    execution = call.execution
    try:
        refused = yield from slots.wait_for_slots(call)
        if refused is not None:
            assert call.transitions is not None
            call.logger().error("%s", refused.message)
            call.transitions.append((refused, clock.epoch()))
            yield from write(call, refused)
            return refused
        if call.slots is None and (execution.asked is not None or execution.rest is not None):
            return None
        state = yield from _attempt(call)
        if call.slots is not None:
            yield from slots.give_back(call)
        return state
    finally:
        if call.slots is not None:  # it was broken off
            slots.let_go(call)


def _attempt(call: GraphCall) -> Steps[State]:
    """Take a task through its pipeline once, and record what it came to."""
    turn = None if call.state is None else call.state.context.get("_loop_count")
    if call.run is not None and call.node.is_decorated and not call.is_parent:
        state = yield from run_decorated(call)
    else:
        outcome: Outcome = yield Invoke(
            Call(perform_pipeline, (call,), {}, context=call.contextvars)
        )
        if outcome.error is not None:
            raise outcome.error
        state = outcome.value
    if (
        call.transitions is not None
        and not call.is_written
        and call.transitions.extend_to(state, call.state)
    ):
        yield from write(call, state)
    if turn is not None and state is call.state:
        # It was too early: the pipeline has taken the turn, and gives back the same state.
        state.context["_loop_count"] = turn
    return state


def _waits_until(walk: Any, state: State) -> float | None:
    """Give when a state's time comes, for one that has such a time, and a walk that waits."""
    if not walk.waits or not isinstance(state, Scheduled) or state.start_time is None:
        return None
    return state.start_time.timestamp()


def _sleep(call: GraphCall, until: float) -> Steps[None]:
    walk = call.walk
    walk.falls_asleep()
    try:
        yield Sleep(until)
    finally:
        walk.wakes_up()


def write(call: GraphCall, state: State) -> Steps[None]:
    """Record a task run in the state that it has come to, with its result."""
    run, execution = call.run, call.execution
    assert run is not None and run.state is not None  # noqa: PT018 - a recorded run has a state
    stored = run.state
    value = recording.value_to_record(state)
    if value is not NoResult and not isinstance(stored.data, BaseResult):
        factory = execution.factory_of(call.node.task)
        data = factory.inline(value)
        if data is None:
            data = yield Save(factory, value, {}, call.run_context())
        stored.data = data
    try:
        yield Commit(execution, recording.rows_of(run))
    except (Exception, Abort):
        take_back(run, run.history[-2])  # what could not be written has not happened
        raise
    execution.in_flight.discard(run)
    execution.note_finished(stored, counts=stored.is_final())
    if stored.is_final():
        # It is recorded, and nothing follows it in this execution.
        run.history = []
    else:
        call.walk.recording.keep(run)


def _report_crash(call: GraphCall, error: BaseException) -> Steps[None]:
    """Record that a task run broke outside of its own code, or was stopped."""
    run, execution = call.run, call.execution
    if run is not None and isinstance(error, StoreError):
        # Not the flow's failure: its run goes on from here when the store is there again.
        execution.crash = error
    if run is None or run not in execution.in_flight or isinstance(error, Abort):
        return
    execution.in_flight.discard(run)
    record(run, broken_off_state_of(run, error, execution), Facts(now=clock.now()))
    try:
        yield Commit(execution, recording.rows_of(run))
    except (Exception, Abort):  # noqa: BLE001 - the crash itself is raised, and matters more
        return
