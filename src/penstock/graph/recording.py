"""The records of a graph's task runs: which state of a graph is which of the store's, and back.

A task run is written once, when its pipeline is over: its transitions wait in memory until then
(DESIGN 5). One that waits for a retry or a start time is written as it begins to wait.
"""

# ruff: noqa: SLF001 - `State._result` is the result object; `result` gives its value only
# pyright: reportPrivateUsage=false

from __future__ import annotations

from _blake2 import blake2b  # as in hashlib, which would load OpenSSL
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.exceptions import MissingResult
from penstock.graph import state as states
from penstock.graph.results import NoResult, Result
from penstock.graph.signals import PrefectSignal, TaskTimeoutSignal, signal_from_state
from penstock.records import TaskRun, TaskRunPolicy, TaskRunResult
from penstock.results import BaseResult
from penstock.results.fingerprint import fingerprint
from penstock.rules import Facts, has_stored_result, record, take_back
from penstock.states import State, StateDetails, StateType
from penstock.store import statements as sql
from penstock.store.encoding import task_run_row

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from penstock.context import TaskRunContext
    from penstock.engine.execution import Execution
    from penstock.graph.nodes import Node
    from penstock.graph.task import Task
    from penstock.store import Row

STORED_AS: dict[type[states.State], tuple[StateType, str]] = {
    states.State: (StateType.PENDING, "State"),
    states.Pending: (StateType.PENDING, "Pending"),
    states.Scheduled: (StateType.SCHEDULED, "Scheduled"),
    states.Paused: (StateType.PAUSED, "Paused"),
    states.Resume: (StateType.SCHEDULED, "Resume"),
    states.Retrying: (StateType.SCHEDULED, "AwaitingRetry"),
    states.Running: (StateType.RUNNING, "Running"),
    states.Cancelling: (StateType.CANCELLING, "Cancelling"),
    states.Finished: (StateType.COMPLETED, "Finished"),
    states.Looped: (StateType.SCHEDULED, "Looped"),
    states.Cancelled: (StateType.CANCELLED, "Cancelled"),
    states.Success: (StateType.COMPLETED, "Completed"),
    states.Cached: (StateType.COMPLETED, "Cached"),
    states.Mapped: (StateType.COMPLETED, "Mapped"),
    states.Skipped: (StateType.COMPLETED, "Skipped"),
    states.Failed: (StateType.FAILED, "Failed"),
    states.TimedOut: (StateType.FAILED, "TimedOut"),
    states.TriggerFailed: (StateType.FAILED, "TriggerFailed"),
    states.ValidationFailed: (StateType.FAILED, "ValidationFailed"),
    states.ClientFailed: (StateType.PENDING, "ClientFailed"),
    states.Submitted: (StateType.PENDING, "Submitted"),
    states.Queued: (StateType.PENDING, "Queued"),
}
"""The type and name under which the store has each state of a graph's run."""

READ_AS: dict[tuple[StateType, str], type[states.State]] = {
    **{stored: kind for kind, stored in STORED_AS.items()},
    # What only the flow engine makes, of tasks that are decorated with `penstock.task`.
    (StateType.PENDING, "NotReady"): states.Pending,
    (StateType.RUNNING, "Retrying"): states.Running,
}

KEPT_LOOPS = 100
"""So many turns of a task that loops are kept in its history, besides the last one.

A state's details say in `left_out` how many attempts before it are not, and how long they took.
"""

_DEFAULTS: dict[StateType, type[states.State]] = {
    StateType.SCHEDULED: states.Scheduled,
    StateType.PENDING: states.Pending,
    StateType.RUNNING: states.Running,
    StateType.COMPLETED: states.Success,
    StateType.FAILED: states.Failed,
    StateType.CANCELLED: states.Cancelled,
    StateType.CRASHED: states.Failed,
    StateType.PAUSED: states.Paused,
    StateType.CANCELLING: states.Cancelling,
}
_RUNNING = StateType.RUNNING
_stored_as = STORED_AS.get


def to_stored(state: states.State, timestamp: datetime) -> State:
    """Give the state as the store has it, without its result."""
    kind = type(state)
    stored = _stored_as(kind)
    if stored is None:
        # A user's own class: known by the nearest of ours.
        stored = next(STORED_AS[base] for base in kind.__mro__ if base in STORED_AS)
    message = state.message
    details = StateDetails()
    if stored[0] is not _RUNNING:
        _describe(state, details)
    return State(
        type=stored[0],
        name=stored[1],
        message=None if message is None else str(message),
        timestamp=timestamp,
        state_details=details,
    )


def _describe(state: states.State, details: StateDetails) -> None:
    """Put into the details what is needed to make the state again."""
    if isinstance(state, (states.Scheduled, states.Queued)):
        details.scheduled_time = state.start_time
        attempt = getattr(state, "run_count", None) or state.context.get("task_run_count")
        if attempt is not None:
            details.graph = {"run_count": attempt}
    elif isinstance(state, states.Mapped):
        details.graph = {"n_map_states": state.n_map_states}
    elif isinstance(state, states.Looped):
        details.graph = {"loop_count": state.loop_count}
    elif isinstance(state, states.Cached):
        details.cache_expiration = state.cached_result_expiration
    elif isinstance(state, states.Skipped) and isinstance(state._result.value, PrefectSignal):
        details.graph = {"signal": True}
    location = state._result.location
    if location is not None:
        details.graph = {**(details.graph or {}), "location": location}
    loop_count = state.context.get("_loop_count")
    if loop_count is not None:
        details.graph = {**(details.graph or {}), "_loop_count": loop_count}


def to_graph(run: TaskRun, task: Task | None = None) -> states.State:
    """Give the state of a graph that a recorded task run is in; may read the result's storage.

    Parameters:
        run: the task run.
        task: the task, whose `result` says how a result is read that is known by its location.
    """
    stored = run.state
    if stored is None:
        return states.Pending()
    kind = READ_AS.get((stored.type, stored.name)) or _DEFAULTS[stored.type]
    details = stored.state_details
    extra = details.graph or {}
    fields: dict[str, Any] = {"message": stored.message}
    if issubclass(kind, (states.Scheduled, states.Queued)):
        # The record counts every time that a run was Running; turns of a loop are no attempts.
        attempt = extra.get("run_count", max(run.run_count, 1))
        fields["start_time"] = details.scheduled_time
        fields["context"] = {"task_run_count": attempt}
        if issubclass(kind, states.Retrying):
            fields["run_count"] = attempt
    if issubclass(kind, states.Looped):
        fields["loop_count"] = extra.get("loop_count")
    if issubclass(kind, states.Mapped):
        fields["n_map_states"] = extra.get("n_map_states", 0)
    if issubclass(kind, states.Cached):
        fields["cached_result_expiration"] = details.cache_expiration
    state = kind(**fields)
    if "_loop_count" in extra and not stored.is_final():
        state.context["_loop_count"] = extra["_loop_count"]
    state.result = result_of(stored, state, task)
    return state


def result_of(stored: State, state: states.State, task: Task | None) -> Any:
    """Give the result that is recorded with a state, for a graph's state that is made of it."""
    extra = stored.state_details.graph or {}
    location: str | None = extra.get("location")
    maker = (None if task is None else task.result) or Result()
    data = stored.data
    if isinstance(data, BaseResult) and (data.type != "unpersisted" or _is_in_memory(data)):
        result = maker.from_value(data.get())
        result.location = location
        return result
    if location is not None:
        return maker.read(location)
    if state.is_failed() or "signal" in extra:
        return _error_of(state, stored.message)
    return NoResult


def _error_of(state: states.State, message: str | None) -> BaseException:
    """Make the error or the signal again that a task has ended with, by its state."""
    if isinstance(state, states.TimedOut):
        return TaskTimeoutSignal(message)
    try:
        return signal_from_state(state)(message)
    except (ValueError, TypeError):
        return RuntimeError(message or "the task failed")


def _is_in_memory(data: BaseResult) -> bool:
    """Tell whether a value that is not recorded is still known in this process."""
    try:
        data.get()
    except MissingResult:
        return False
    return True


def turn_of(stored: State) -> int | None:
    """Give the turn that a task which loops goes on with; none for what does not loop."""
    extra = stored.state_details.graph or {}
    if "loop_count" in extra:
        return extra["loop_count"] + 1
    return extra.get("_loop_count")


def attempt_after(stored: State) -> int:
    """Give the attempt with which a turn of a loop goes on after a state."""
    tried: int = (stored.state_details.graph or {}).get("run_count", 0)
    if stored.is_running():
        return tried or 1
    return tried + 1 if stored.is_scheduled() else 1


def has_value(run: TaskRun) -> bool:
    """Tell whether the value that a recorded run gave, or loops with, can be had again."""
    state = run.state
    if state is None or state.name == "Mapped":
        return True
    if state.name == "Skipped" and state.data is None:
        return True  # there was none, or the signal, which is made again
    if not state.is_completed() and turn_of(state) is None:
        return True
    is_recorded = isinstance(state.data, BaseResult) and state.data.type != "unpersisted"
    return is_recorded or bool((state.state_details.graph or {}).get("location"))


class Recording:
    """How the task runs of one graph flow run are recorded.

    Parameters:
        execution: the flow run's execution.
        recorded: what earlier executions have recorded, by task key and dynamic key.
        kept: the tasks of which that holds: they are not run again.
    """

    def __init__(
        self,
        execution: Execution,
        recorded: dict[tuple[str, str], TaskRun] | None = None,
        kept: set[Task] | None = None,
    ) -> None:
        self.execution = execution
        self._recorded = recorded or {}
        self._kept = kept or set()

    def prepare(self, node: Node) -> None:
        """Note on a task whether it is kept, and what tells its wiring from any other."""
        node.fingerprint = fingerprint_of(node)
        node.is_kept = node.task in self._kept

    def keep(self, run: TaskRun) -> None:
        """Keep the record of a task run that rests: it may go on in this execution."""
        self._recorded[run.task_key, run.dynamic_key] = run

    def run_of(self, node: Node, slug: str, index: int | None, name: str) -> TaskRun:
        """Give the record of a task run: a new one, or that of an earlier execution."""
        key = dynamic_key(index)
        found = self._recorded.pop((slug, key), None)
        if found is not None and not _is_done(found):
            found.fingerprint = node.fingerprint
            if found.state is not None and found.state.is_final():
                found.run_count = 0  # it begins anew: its attempts are counted from the start
            return found
        task, flow_run = node.task, self.execution.flow_run
        assert flow_run is not None
        run = TaskRun(
            name=name,
            flow_run_id=flow_run.id,
            flow_run_run_count=flow_run.run_count,
            task_key=slug,
            dynamic_key=key,
            fingerprint=node.fingerprint,
        )
        if task.tags:
            run.tags = sorted(task.tags)
        if task.max_retries:
            delay = task.retry_delay
            run.empirical_policy = TaskRunPolicy(
                retries=task.max_retries,
                retry_delay=None if delay is None else delay.total_seconds(),
            )
        inputs = _inputs_of(node, index)
        if inputs:
            run.task_inputs = inputs
        now = clock.now()
        pending = State(type=StateType.PENDING, name="Pending", timestamp=now)
        record(run, pending, Facts(now=now, flow_run=flow_run))
        return run


def _is_done(run: TaskRun) -> bool:
    """Tell whether a run has come to its end for good: what is run again in its place is another.

    Its inputs are others than they were, that is.
    """
    state = run.state
    return state is not None and state.is_completed() and has_stored_result(state)


def fingerprint_of(node: Node) -> bytes:
    """Give what tells a task's inputs from others: the tasks they come from, and constants."""
    lines = [
        f"{edge.key}\0{above.context['task_slug']}\0{edge.mapped}\0{edge.flattened}"
        for edge, above in node.upstream
    ]
    wiring = "\n".join(sorted(lines)).encode("utf-8", "surrogatepass")
    if node.constants:
        values = {str(edge.key): state.result for edge, state in node.constants.items()}
        wiring += fingerprint(values)
    return blake2b(wiring, digest_size=16).digest()


def dynamic_key(index: int | None) -> str:
    """Give what tells a mapped child from its parent and from the other children."""
    return "0" if index is None else f"0.{index}"


def index_of(key: str) -> int | None:
    """Give a mapped child's index by its dynamic key; none for what is no child."""
    _parent, dot, index = key.partition(".")
    return int(index) if dot and index.isdigit() else None


def _inputs_of(node: Node, index: int | None) -> dict[str, list[TaskRunResult]]:
    """Name the task runs that the inputs come from."""
    if node.inputs is not None:
        return node.inputs  # the same for all children
    inputs: dict[str, list[TaskRunResult]] = {}
    for edge, above in node.upstream:
        run_id: UUID | None = above.run_id
        if index is not None and edge.mapped and above.is_mapped and not edge.flattened:
            run_id = above.child_ids.get(index, run_id)
        if run_id is not None:
            inputs.setdefault(edge.key or "wait_for", []).append(TaskRunResult(id=run_id))
    if index is not None and not any(above.is_followed for _edge, above in node.upstream):
        node.inputs = inputs
    return inputs


class Transitions(list[tuple[states.State, float]]):
    """Takes the transitions that a task's pipeline makes, and notes them on the task run.

    It stands where the pipeline keeps a list of them; nothing is written here.
    """

    def __init__(self, execution: Execution, run: TaskRun) -> None:
        super().__init__()
        self._execution = execution
        self._run = run
        self.last: states.State | None = None
        self.factory: Any = None
        self.runner: Any = None
        self.inside: TaskRunContext | None = None
        self._turn: tuple[dict[str, int], Any] | None = None

    def append(self, item: tuple[states.State, float]) -> None:
        """Note that the run has come to a state at a time, in seconds since the epoch."""
        state, seconds = item
        run = self._run
        if self._turn is not None and isinstance(state, states.Paused):
            # It is paused in a turn of its loop, and goes on with that.
            state.context.setdefault("_loop_count", self._turn[0]["_loop_count"])
            state.result = self._turn[1].get()
        stored = to_stored(state, clock.from_epoch(seconds))
        if stored.type is _RUNNING and run.state is not None:
            self._note_turn(run.state)
        self._take_back_final(stored)
        record(run, stored, Facts(now=stored.timestamp, flow_run=self._execution.flow_run))
        self.last = state
        if self.runner is not None and self.runner.task_run_name is not None:
            run.name = self.runner.task_run_name
        if stored.type is _RUNNING:
            if self._turn is not None:
                # Whoever writes that it runs, or has crashed, must not lose what it goes on from.
                stored.state_details.graph, stored.data = self._turn
            self._execution.in_flight.add(run)
        elif isinstance(state, states.Looped):
            self._has_looped(state, stored)

    def _take_back_final(self, stored: State) -> None:
        """Take a final state back that another one follows: it has not been written.

        A failure that is tried again, and a success that is kept for later runs, are one state of
        the record: a run does not leave a final state.
        """
        run, last = self._run, self.last
        if last is None or run.state is None or not run.state.is_final():
            return
        failure = run.state.message if stored.is_scheduled() and last.is_failed() else None
        take_back(run, run.history[-2])
        if failure:
            stored.message = f"{stored.message}: {failure}" if stored.message else failure

    def _has_looped(self, state: states.Looped, stored: State) -> None:
        """Write a turn of a loop, so that a run that is killed goes on from there."""
        run, factory = self._run, self.factory
        if self.inside is not None:
            self.inside.turn = state.loop_count + 1
            self.inside.dynamic_keys = None
        _shorten(run.history)
        if factory is None:
            return
        value = state.result
        data = factory.inline(value)
        if data is None:
            # It is large, and in the middle of the pipeline nobody else is there to write it.
            flow_run = self._execution.flow_run
            context: dict[str, Any] = {
                "parameters": {},
                "flow_run": flow_run,
                "task_run": run,
            }
            data = factory.create(value, context)
        if data.type != "unpersisted":
            stored.data = data
            self._execution.commit(rows_of(run))

    def _note_turn(self, former: State) -> None:
        """Note in which turn of a loop a run is after a state, and what the last one gave."""
        turn = turn_of(former)
        if turn is not None and isinstance(former.data, BaseResult):
            attempt = attempt_after(former)
            self._turn = {"_loop_count": turn, "run_count": attempt}, former.data

    def extend_to(self, state: states.State, given: states.State | None) -> bool:
        """Note the state in which the pipeline has ended; tell whether there is any to write."""
        if self.last is not state:
            is_new = self.last is not None or type(state) is not states.Pending
            if state is given or not is_new:
                return False
            self.append((state, clock.epoch()))
        return True


def _shorten(history: list[State]) -> None:
    """Take attempts out of the middle of a long history: a task may loop for days.

    What stays is how it began, and the last turn.
    """
    details = history[-1].state_details
    count, took_s = 0, 0.0
    while len(history) > 2 * KEPT_LOOPS + 2:
        running, ended = history[-4:-2]
        if running.type is not _RUNNING or ended.type is _RUNNING:
            break
        earlier = (ended.state_details.graph or {}).get("left_out") or (0, 0.0)
        count += 1 + earlier[0]
        took_s += (ended.timestamp - running.timestamp).total_seconds() + earlier[1]
        del history[-4:-2]
    if count:
        details.graph = {**(details.graph or {}), "left_out": [count, took_s]}


def rows_of(run: TaskRun) -> list[Row]:
    """Give what is written of a task run."""
    return [(sql.WRITE_TASK_RUN, task_run_row(run))]


def value_to_record(state: states.State) -> Any:
    """Give what of a state's result the record is to have; `NoResult` for nothing."""
    if type(state) is states.Mapped:
        return NoResult
    if not state.is_finished() and "_loop_count" not in state.context:
        return NoResult
    result = state._result
    if result == NoResult:
        return None if state.is_successful() and not state.is_skipped() else NoResult
    value = state.result
    # A signal is made again from the state; pickled, it would hold the state that holds it.
    return NoResult if isinstance(value, PrefectSignal) else value
