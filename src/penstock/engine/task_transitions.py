"""A task run's call, and what every stage does with it: transitions and hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from penstock import clock
from penstock.engine.effects import Commit, Read, Sleep, Steps
from penstock.engine.hooks import call_hook
from penstock.engine.resting import wait_for_resume
from penstock.exceptions import Abort, Pause
from penstock.logging.loggers import task_run_logger
from penstock.results import BaseResult
from penstock.rules import Facts, Status, decide_task, record, take_back
from penstock.states import Cancelled, State, StateType, exception_to_crashed_state
from penstock.store import statements as sql
from penstock.store.encoding import epoch_of, task_run_row
from penstock.store.limits import limited_tags

if TYPE_CHECKING:
    from contextvars import Context
    from datetime import datetime

    from penstock.context import TaskRunContext
    from penstock.engine.execution import Execution
    from penstock.engine.inputs import Inputs
    from penstock.records import TaskRun
    from penstock.rules.answers import Answer
    from penstock.store import Row

_COMPLETED = StateType.COMPLETED
_RUNNING = StateType.RUNNING


class TaskCall(msgspec.Struct, eq=False):
    """One call of a task: what it was given, and the run that it becomes."""

    task: Any
    run: TaskRun
    execution: Execution
    parameters: dict[str, Any]
    inputs: Inputs | None
    wait_for: Any
    counts: bool
    log_prints: bool
    context: Context | None = None
    crash: BaseException | None = None
    slots: Any = None
    """What it has of the limits of its tags, or wants (`engine.slots`)."""

    def logger(self) -> Any:
        """Give the logger of the run."""
        execution = self.execution
        return task_run_logger(self.run, self.task, execution.flow_run, execution.flow)


def propose(call: TaskCall, proposed: State, *, force: bool = False) -> Steps[State]:
    """Ask the rules, write what they say, and give the state that holds (section 3.15).

    Raises:
        Abort: the run may not go on here.
        Pause: the flow run is paused.
    """
    run, execution = call.run, call.execution
    cached = None
    details = proposed.state_details
    if proposed.type is _RUNNING and details.cache_key is not None and not details.refresh_cache:
        key, store = details.cache_key, execution.store
        cached = yield Read(lambda: store.cached_state(key, clock.epoch()))
    is_begin = proposed.type is _RUNNING and not force
    if is_begin and run.tags and (tags := limited_tags(execution.store, run.tags)):
        deciding: Steps[tuple[Answer, Facts]] = _slots().decide_with_slots(
            call, proposed, cached, tags
        )
        answer, facts = yield from deciding
    else:
        while True:
            facts = Facts(now=proposed.timestamp, flow_run=execution.seen_flow_run, cached=cached)
            answer = decide_task(run, proposed, facts, force=force)
            if answer.status is not Status.WAIT:
                break
            yield Sleep(clock.epoch() + (answer.delay_s or 0.0))
            proposed.timestamp = clock.now()
    status = answer.status
    state = answer.state
    if status is Status.ABORT or state is None:
        return (yield from _stay(call, answer))
    former = run.state
    record(run, state, facts, answer.changes)
    if state.type is not _RUNNING and (
        state.type is not StateType.PENDING or state.name != "Pending"
    ):
        try:
            yield Commit(execution, rows_of(run, state))
        except (Exception, Abort):
            take_back(run, former)
            raise
    if call.slots is not None and (state.type is not _RUNNING or not call.slots.taken):
        yield from _slots().give_back(call)
    if status is Status.REJECT and state.is_paused():
        return (yield from _propose_when_resumed(call, proposed, state, answer.reason))
    return state


def _stay(call: TaskCall, answer: Answer) -> Steps[State]:
    """Give the state that a run stays in, which may have no slots then."""
    if call.slots is not None:
        yield from _slots().give_back(call)
    state = call.run.state
    if answer.status is Status.ABORT or state is None:
        raise Abort(answer.reason)
    return state


def _slots() -> Any:
    # Loaded with the first task run that has a limited tag.
    from penstock.engine import slots

    return slots


def let_go(call: TaskCall) -> None:
    """Give back what a task run has of the limits of its tags, without waiting for it."""
    _slots().let_go(call)


def _propose_when_resumed(
    call: TaskCall, proposed: State, paused: State, reason: str | None
) -> Steps[State]:
    """Propose again when the flow run goes on, if it rests in this process."""
    if not (yield from wait_for_resume(call.execution)):
        raise Pause(reason, state=_held_back_state(call, paused))
    return (yield from propose(call, proposed.copy()))


def _held_back_state(call: TaskCall, paused: State) -> State:
    """Give what the caller of a task sees that may not begin: the state its flow run comes to."""
    asked = call.execution.asked
    if asked is None or not asked.state_details.pause_reschedule:
        return paused
    given = asked.state_details
    details = paused.state_details.copy()
    details.pause_key, details.pause_timeout = given.pause_key, given.pause_timeout
    return State(
        type=StateType.PAUSED,
        name=asked.name,
        message=paused.message,
        state_details=details,
        timestamp=paused.timestamp,
    )


def rows_of(run: TaskRun, state: State) -> list[Row]:
    """Give what a transition writes: the run, and its cache entry if it makes one."""
    row = task_run_row(run)
    rows: list[Row] = [(sql.WRITE_TASK_RUN, row)]
    key = state.state_details.cache_key
    if key is not None and state.type is _COMPLETED and state.name != "Cached":
        data = state.data
        if isinstance(data, BaseResult) and data.type != "unpersisted":
            expires: datetime | None = state.state_details.cache_expiration
            rows.append((sql.WRITE_CACHE_ENTRY, (key, row[0], row[1], epoch_of(expires))))
    return rows


def broken_off_state_of(run: TaskRun, error: BaseException, execution: Execution) -> State:
    """Give the state of a run that broke, or was broken off as its flow run is cancelled.

    It keeps what the run would go on from. That is, of a graph's task that loops, which turn it
    is in and what the last one gave.
    """
    former = run.state
    if execution.is_cancelling():
        is_begun = former is not None and former.type is _RUNNING
        what = "Interrupted" if is_begun else "Not started"
        broken_off = Cancelled(message=f"{what}: the flow run was cancelled.")
    else:
        broken_off = exception_to_crashed_state(error)
    if former is not None and former.state_details.graph is not None:
        details = broken_off.state_details
        details.graph, broken_off.data = former.state_details.graph, former.data
    return broken_off


def run_hooks(call: TaskCall, context: TaskRunContext, state: State) -> Steps[None]:
    """Call the hooks of a final state, one after the other (section 8)."""
    task = call.task
    if state.type is _COMPLETED:
        hooks = task.on_completion
    elif state.type is StateType.FAILED:
        hooks = task.on_failure
    else:
        hooks = None
    for hook in hooks or ():
        yield from call_hook(
            hook, {"task": task, "task_run": call.run, "state": state}, call.logger(), context
        )
