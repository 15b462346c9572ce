"""Flow runs that meet a record: subflows in a second execution, and runs that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock import clock
from penstock.client import transitions
from penstock.engine import inputs as run_inputs
from penstock.engine.effects import Await, Commit, Read, Sleep, Steps
from penstock.engine.flow_runs import begin_flow_run, refuse, validate
from penstock.engine.flow_transitions import propose
from penstock.engine.links import link_recorded, link_result
from penstock.engine.resting import wait_for_resume
from penstock.exceptions import PausedRun
from penstock.records import EXECUTE_AGAIN
from penstock.results import have_same_inputs
from penstock.rules import Facts, record, state_for_parent_task
from penstock.states import (
    AwaitingRetry,
    Cancelled,
    Crashed,
    Failed,
    Pending,
    State,
    StateType,
    format_exception,
)
from penstock.store import statements as sql
from penstock.store.encoding import task_run_row
from penstock.store.lease import title_of
from penstock.store.silence import Silence, confirming_s, last_sign_of_life

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from penstock.engine.execution import Execution
    from penstock.engine.flow_transitions import FlowCall
    from penstock.records import FlowRun, TaskRun

_RUNNING = StateType.RUNNING


def create_and_begin_subflow_run(call: FlowCall, inputs: run_inputs.Inputs | None) -> Steps[State]:
    """Execute a flow that is called in another flow run (section 3.6).

    A task run in the parent stands for it; by that it is found again in a later execution.

    Raises:
        UpstreamTaskError: a result among the parameters is not there.
    """
    parent, dummy, flow = call.execution.parent, call.dummy, call.flow
    assert parent is not None and dummy is not None  # noqa: PT018 - what makes it a subflow
    given = call.parameters
    if parent.rest is not None or parent.asked is not None:
        yield from _wait_for_parent(parent)
    if inputs is not None:
        if inputs.futures:
            yield Await(inputs.futures)
        call.parameters = run_inputs.resolve(given, inputs)
    dummy.fingerprint = run_inputs.fingerprint_of(given, inputs, parent.links)
    recorded = parent.take_recorded(dummy.task_key, dummy.dynamic_key)
    if recorded is not None:
        answer = yield from _meet_recorded(call, recorded)
        if answer is not None:
            if answer.is_completed():
                link_recorded(parent.links, recorded.id, answer)
            parent.note_finished(answer, counts=call.counts, is_subflow=True)
            return answer
    dummy = call.dummy
    assert dummy is not None
    facts = Facts(now=clock.now(), flow_run=parent.flow_run)
    # As of any task run that begins anew, its attempts are counted from the start.
    is_over = dummy.state is not None and dummy.state.is_final()
    record(dummy, Pending(), facts, {"run_count": 0} if is_over else None)
    call.run.parent_task_run_id = dummy.id
    store = parent.store
    if call.created:
        state = yield from _begin_within(call)
    else:
        call.run.flow_id = yield Read(lambda: store.flow_id(flow.name))
        record(call.run, Pending(), Facts(now=clock.now()))
        failed = validate(call)
        state = yield from (_begin_within(call) if failed is None else refuse(call, failed))
    state.state_details.task_run_id = dummy.id
    if state.is_completed():
        link_result(parent.links, dummy.id, state)
    parent.note_finished(state, counts=call.counts, is_subflow=True)
    return state


def _wait_for_parent(parent: Execution) -> Steps[None]:
    """Begin no subflow while its parent rests, and none at all if the parent is to leave."""
    parent.refuse_when_stopped()
    asked = parent.asked
    if not (yield from wait_for_resume(parent)):
        message = "The flow run is being suspended: its subflows begin when it is resumed."
        raise PausedRun(message, state=asked)


def _begin_within(call: FlowCall) -> Steps[State]:
    """Execute the subflow, where its parent finds it when both are to be stopped."""
    parent = call.execution.parent
    assert parent is not None
    parent.subflows.add(call)
    try:
        parent.refuse_when_stopped()
        return (yield from begin_flow_run(call))
    finally:
        parent.subflows.discard(call)
        if call.execution.left_behind:
            parent.left_behind.update(call.execution.still_running())


def _meet_recorded(call: FlowCall, recorded: TaskRun) -> Steps[State | None]:
    """Take the answer of an earlier execution, or what it left to go on with."""
    parent, dummy = call.execution.parent, call.dummy
    assert parent is not None and dummy is not None  # noqa: PT018 - as the caller
    store, state = parent.store, recorded.state
    runs: list[FlowRun] = yield Read(lambda: store.read_subflow_runs(recorded.id))
    latest = runs[0] if runs else None
    if not have_same_inputs(recorded.fingerprint, dummy.fingerprint):
        if (recorded.fingerprint or b"").startswith(EXECUTE_AGAIN):
            call.logger().info("Subflow %r is executed again, as was asked.", call.flow.name)
        else:
            call.logger().warning(
                "Subflow %r is executed again: its inputs differ from those recorded%s.",
                call.flow.name,
                run_inputs.difference_in_words(recorded.task_inputs, dummy.task_inputs),
            )
        return None
    recorded.task_inputs = dummy.task_inputs
    call.dummy = recorded
    if latest is None or latest.state is None or state is None:
        return None
    is_rerun = parent.flow_run is not None and parent.flow_run.run_count > 1
    if state.is_final() and not (is_rerun and not state.is_completed()):
        has_result = not state.is_completed() or latest.state.data is not None
        latest.state.state_details.task_run_id = recorded.id
        return latest.state if has_result else None
    if latest.state.is_completed() and latest.state.data is not None:
        # It was gone on with by itself meanwhile: its caller learns of it here.
        run = yield Read(lambda: store.read_flow_run(latest.id))
        record(recorded, state_for_parent_task(run), Facts(now=clock.now()))
        yield Commit(parent, [(sql.WRITE_TASK_RUN, task_run_row(recorded))])
        latest.state.state_details.task_run_id = recorded.id
        return latest.state
    if not latest.state.is_final() or latest.state.is_crashed():
        return (yield from _go_on_with(call, latest, recorded))
    return None


def _go_on_with(call: FlowCall, left: FlowRun, dummy: TaskRun) -> Steps[State | None]:
    """Go on with a subflow run that was left half way, from its last finished task.

    Gives its state if it is over thereby.
    """
    if not (yield from take_over(call, left)):
        return None
    state = yield from _finish_cancelling(call)
    state.state_details.task_run_id = dummy.id
    return state


def take_over(call: FlowCall, run: FlowRun) -> Steps[bool]:
    """Become the owner of a recorded run that nobody executes, to go on with it.

    Returns:
        Whether it was being cancelled, or was to be: then it is to be brought to its end.

    Raises:
        RunOwnedElsewhere: a living process executes it.
    """
    execution = call.execution
    store, ttl_s = execution.store, execution.settings.lease_ttl_s
    run_id: UUID = run.id
    silence = Silence(store.read, run_id)
    is_told = False
    while wait_s := (yield Read(silence.look)):
        if not is_told and silence.suspect is not None:
            is_told = True
            call.logger().warning(
                "The lease of %s is over: looking for %g s whether it gives a sign of life.",
                title_of(silence.suspect.owner),
                confirming_s(),
            )
        yield Sleep(clock.epoch() + wait_s)
    execution.fence = yield Read(lambda: store.claim(run_id, ttl_s, silence))
    call.run = yield Read(lambda: store.read_flow_run(run_id))
    execution.flow_run = execution.seen_flow_run = call.run
    call.created = True
    yield Read(execution.load_recorded)
    state = call.run.state
    asked = yield Read(lambda: store.read(sql.READ_FENCE, (run_id.bytes,)))
    if (asked and asked[0][1] is not None) or (state is not None and state.is_cancelling()):
        return True
    if state is not None and state.type is _RUNNING:
        owner = silence.found
        who = "" if owner is None else f": {title_of(owner.owner)}"
        message = f"The process that executed the flow run died{who}."
        found = yield Read(lambda: store.read(sql.READ_LATEST_CHANGE, (run_id.bytes,)))
        expires = None if owner is None else owner.lease_expires
        ended = clock.from_epoch(last_sign_of_life(expires, found[0][0]))
        _record_crash(call, message, ended)
    return False


def _record_crash(call: FlowCall, message: str, ended: datetime) -> None:
    """Note that a run's process has died, on the run and on what it was executing.

    That is written with what they come to next. What stands for a subflow run, or belongs to a
    graph, goes on from the state that it was left in. A run that goes on by itself comes to the
    state that recovery would have brought it to: what it was given in a pause counts.
    """
    run = call.run
    if run.parent_task_run_id is None and run.empirical_policy.on_crash == "resume":
        state = AwaitingRetry(message=message, timestamp=ended)
    else:
        state = Crashed(message=message, timestamp=ended)
    record(run, state, Facts(now=ended))
    if call.flow.is_graph:
        return
    for left in (call.execution.recorded or {}).values():
        state = left.state
        if state is not None and state.type is _RUNNING and not _stands_for_subflow(state):
            record(left, Crashed(message=message, timestamp=ended), Facts(now=ended))


def _stands_for_subflow(state: State) -> bool:
    return state.state_details.child_flow_run_id is not None


def _finish_cancelling(call: FlowCall) -> Steps[State]:
    """End a run whose process died while it was being cancelled: it cannot be gone on with."""
    call.logger().warning(
        "The flow run was being cancelled when its process died: it is Cancelled."
    )
    store, run_id = call.execution.store, call.run.id
    yield Read(lambda: transitions.cancel_what_a_run_leaves(store, run_id))
    message = "The flow run was being cancelled when the process died that executed it."
    return (yield from propose(call, Cancelled(message=message)))


def resume_recorded_flow_run(call: FlowCall) -> Steps[State]:
    """Execute a recorded flow run again: what is completed stays, the rest is executed.

    Gives the recorded state of a run that has completed.

    Raises:
        RunOwnedElsewhere: a living process executes it.
    """
    run, flow = call.run, call.flow
    if run.state is not None and run.state.is_completed():
        call.logger().info("Flow run %r has completed: there is nothing to go on with.", run.name)
        return run.state
    if (yield from take_over(call, run)):
        return (yield from _finish_cancelling(call))
    run = call.run
    policy = run.empirical_policy
    if run.state is not None and run.state.is_final():
        policy.recoveries = 0  # somebody has looked at it, and goes on with it
    if policy.retries is None:
        policy.retries, policy.retry_delay = flow.retries, flow.retry_delay_seconds
    failed = None
    try:
        call.parameters = flow.parameters_of(run)
    except Exception as error:  # noqa: BLE001 - becomes the run's Failed state
        message = f"Validation of flow parameters failed with error: {format_exception(error)}"
        failed = Failed(message=message, data=error)
    if failed is not None:
        return (yield from refuse(call, failed))
    call.logger().info("Going on with flow run %r for flow %r", run.name, flow.name)
    moved = call.execution.relocation
    if moved is not None:
        call.logger().info(
            "The run was begun from %s; its task runs are found by where their code was then.",
            moved.former,
        )
    return (yield from begin_flow_run(call))
