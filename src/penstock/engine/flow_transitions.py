"""A flow run's call, and what every stage does with it: transitions, hooks, last words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.context import FlowRunContext
from penstock.engine.debugging import state_for_log
from penstock.engine.effects import Commit, Sleep, Steps
from penstock.engine.hooks import call_hook
from penstock.exceptions import Abort
from penstock.logging import log_flow_run
from penstock.logging.loggers import flow_run_logger
from penstock.rules import (
    Facts,
    Status,
    decide_flow,
    record,
    state_for_parent_task,
    take_back,
)
from penstock.states import (
    State,
    StateType,
)
from penstock.store import Fence
from penstock.store import statements as sql
from penstock.store.encoding import (
    flow_run_insert_row,
    flow_run_update_row,
    task_run_row,
)
from penstock.store.lease import this_process

if TYPE_CHECKING:
    from penstock.engine.execution import Execution
    from penstock.records import FlowRun, TaskRun
    from penstock.store import Row

_RUNNING = StateType.RUNNING


class FlowCall:
    """One call of a flow: what it was given, and the run that it becomes."""

    __slots__ = (
        "counts",
        "created",
        "dummy",
        "execution",
        "flow",
        "has_finished",
        "heeded",
        "is_released",
        "parameters",
        "run",
        "wait_for",
    )

    def __init__(
        self,
        flow: Any,
        run: FlowRun,
        execution: Execution,
        parameters: dict[str, Any],
        *,
        wait_for: Any = None,
        dummy: TaskRun | None = None,
        counts: bool = True,
    ) -> None:
        self.flow = flow
        self.run = run
        self.execution = execution
        self.parameters = parameters
        self.wait_for = wait_for
        self.dummy = dummy
        self.counts = counts
        self.created = False
        self.has_finished = False
        self.heeded: str | None = None
        self.is_released = False

    def logger(self) -> Any:
        """Give the logger of the run."""
        return flow_run_logger(self.run, self.flow)


def log_finish(call: FlowCall, state: State) -> None:
    """Say how a flow run ended, once."""
    if call.has_finished:
        return
    call.has_finished = True
    if state.is_paused():
        until = state.state_details.pause_timeout
        hint = (
            "" if until is None else f" Resume before {until:%Y-%m-%d %H:%M:%S} UTC to finish it."
        )
        call.logger().info("Currently paused and suspending execution.%s", hint)
    else:
        level = logging.INFO if state.is_completed() else logging.ERROR
        ended = state_for_log(state, call.execution.settings)
        log_flow_run(call.run, level, f"Finished in state {ended}", call.flow)


def run_hooks(call: FlowCall, state: State) -> Steps[None]:
    """Call the hooks of a state, one after the other (section 8)."""
    flow = call.flow
    hooks = _hooks_of(flow, state)
    if not hooks:
        return
    context = FlowRunContext(
        flow=flow,
        flow_run=call.run,
        task_runner=call.execution.runner,
        execution=call.execution,
        parameters=call.parameters,
        is_over=state.is_final(),
    )
    kwargs = {"flow": flow, "flow_run": call.run, "state": state}
    for hook in hooks:
        yield from call_hook(hook, kwargs, call.logger(), context)


def _hooks_of(flow: Any, state: State) -> Any:
    kind = state.type
    if kind in (StateType.CANCELLING, StateType.CRASHED) and not _may_run_crash_hooks():
        return None
    name = _HOOKS.get(kind)
    return None if name is None else getattr(flow, name)


_HOOKS = {
    StateType.RUNNING: "on_running",
    StateType.COMPLETED: "on_completion",
    StateType.FAILED: "on_failure",
    StateType.CANCELLING: "on_cancellation",
    StateType.CRASHED: "on_crashed",
}


def _may_run_crash_hooks() -> bool:
    import os

    name = "PENSTOCK__ENABLE_CANCELLATION_AND_CRASHED_HOOKS"
    return os.environ.get(name, "true").lower() != "false"


def propose(call: FlowCall, proposed: State, *, force: bool = False) -> Steps[State]:
    """Ask the rules, write what they say, and give the state that holds (section 3.15).

    Raises:
        Abort: the run may not go on here.
    """
    run = call.run
    while True:
        facts = Facts(now=clock.now())
        answer = decide_flow(run, proposed, facts, force=force)
        if answer.status is not Status.WAIT:
            break
        yield Sleep(clock.epoch() + (answer.delay_s or 0.0))
    if answer.status is Status.ABORT:
        raise Abort(answer.reason)
    state = answer.state
    if state is None:
        if run.state is None:
            raise Abort(answer.reason)
        return run.state
    yield from _write(call, state, facts, answer.changes)
    return state


def _write(
    call: FlowCall, state: State, facts: Facts, changes: dict[str, Any] | None
) -> Steps[None]:
    """Bring a run into a state and record it; what could not be recorded has not happened."""
    run = call.run
    former, dummy = run.state, call.dummy
    dummy_state = None if dummy is None else dummy.state
    record(run, state, facts, changes)
    if state.is_completed() and not call.flow.on_completion:
        # What is said last of the run goes into its last commit, unless hooks come in between.
        log_finish(call, state)
    parent = call.execution.parent
    # What stands for a subflow run is a record of its parent's, and so is that it exists.
    behind = None if dummy is None or parent is None else parent.fence
    try:
        yield Commit(call.execution, _rows_of(call, state, facts), behind)
    except (Exception, Abort):
        _take_back(call, former, dummy_state)
        raise
    call.heeded = None
    if not call.created:
        call.created = True
        if not state.is_final():
            call.execution.fence = Fence(run.id.bytes, 1)
            _log_beginning(call)


def _take_back(call: FlowCall, former: State | None, dummy_state: State | None) -> None:
    """Make the call what it was before a transition that could not be written."""
    take_back(call.run, former)
    if call.dummy is not None:
        take_back(call.dummy, dummy_state)
    call.is_released = call.has_finished = False


def _log_beginning(call: FlowCall) -> None:
    run = call.run
    beginning = f"Beginning flow run {run.name!r} for flow {call.flow.name!r}"
    log_flow_run(run, logging.INFO, beginning, call.flow)
    if page := call.execution.settings.ui_url:
        call.logger().info("View at %s/flow-runs/flow-run/%s", page.rstrip("/"), run.id)


def _rows_of(call: FlowCall, state: State, facts: Facts) -> list[Row]:
    run, execution = call.run, call.execution
    # A run that rests in its process is still this process's.
    is_over = state.is_final() or (state.is_paused() and execution.rest is None)
    rows: list[Row] = []
    if call.created:
        rows.append((sql.UPDATE_FLOW_RUN, flow_run_update_row(run)))
        if call.heeded is not None and execution.fence is not None:
            rows.append((sql.HEED_REQUEST, (*execution.fence, call.heeded)))
        if is_over and execution.fence is not None:
            ended = sql.FINISH_FLOW_RUN if state.is_final() else sql.RELEASE_FLOW_RUN
            rows.append((ended, tuple(execution.fence)))
            call.is_released = True
    elif is_over:
        rows.append(_flow_row(run))
        rows.append((sql.INSERT_FLOW_RUN, flow_run_insert_row(run)))
    else:
        rows.append(_flow_row(run))
        expires = clock.epoch() + execution.settings.lease_ttl_s
        row = flow_run_insert_row(run, this_process(), 1, expires)
        rows.append((sql.INSERT_FLOW_RUN, row))
    dummy = call.dummy
    if dummy is not None:
        record(dummy, state_for_parent_task(run), facts)
        rows.append((sql.WRITE_TASK_RUN, task_run_row(dummy)))
    return rows


def _flow_row(run: FlowRun) -> Row:
    """Give the row of the run's flow: it is there, unless somebody deleted it meanwhile."""
    assert run.flow_id is not None
    return sql.INSERT_FLOW, (run.flow_id.bytes, run.flow_name, None, clock.epoch())
