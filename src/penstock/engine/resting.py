"""A flow run that rests in its process: paused by its own code, or because somebody asked for it.

Its process keeps it. Task runs that want to begin meanwhile wait with it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from penstock import clock
from penstock.engine import watching
from penstock.engine.effects import Await, Steps
from penstock.engine.flow_transitions import propose
from penstock.engine.heartbeat import heed_requests
from penstock.exceptions import Abort, FlowPauseTimeout, Pause
from penstock.futures import PenstockFuture
from penstock.ids import new_id
from penstock.rules import Facts, Status, decide_flow
from penstock.states import Paused, Running, StateType, Suspended
from penstock.store import requests
from penstock.store.encoding import epoch_of

if TYPE_CHECKING:
    from datetime import datetime

    from penstock.engine.execution import Execution
    from penstock.engine.flow_transitions import FlowCall
    from penstock.states import State

SUSPENDED = "Suspended"

_choosing = threading.Lock()
"""Guards who brings a run to rest, for all of them: it is held for very little."""


def rest(call: FlowCall, paused: State) -> Steps[State]:
    """Bring a run to rest, and wait here until it is resumed.

    Returns:
        The state that it is in then: RUNNING if it was resumed, or did not rest at all as this
        pause has been before; PAUSED if its time is over.

    Raises:
        RuntimeError: it cannot be paused.
        Abort: it was stopped meanwhile.
    """
    state = refusal_of(call, paused)
    if state is not None:
        return state
    execution = call.execution
    with _choosing:
        gate = execution.rest
        if gate is None:
            execution.rest = PenstockFuture(f"rest of {call.run.name}", new_id(), None)
    if gate is not None:
        yield Await([gate])
        return (yield from rest(call, paused))
    return (yield from _rest_at_gate(call, paused))


def refusal_of(call: FlowCall, paused: State) -> State | None:
    """Give the state that a run has if it does not pause now; none if it would.

    Raises:
        RuntimeError: it cannot be paused.
    """
    run = call.run
    answer = decide_flow(run, paused, Facts(now=clock.now()))
    if answer.status is Status.ACCEPT:
        return None
    if answer.status is Status.REJECT and run.state is not None and run.state.is_running():
        return run.state
    if call.execution.rest is not None and not paused.state_details.pause_reschedule:
        return None  # it rests already: this pause comes after that one
    message = f"Flow run cannot be paused: {answer.reason}"
    raise RuntimeError(message)


def _rest_at_gate(call: FlowCall, paused: State) -> Steps[State]:
    execution = call.execution
    gate = execution.rest
    assert gate is not None
    wait: watching.Wait | None = None
    try:
        asked = execution.asked
        if asked is not None and asked.is_paused():
            call.heeded = requests.encode(asked)
        state = yield from propose(call, paused)
        execution.forget_request()
        call.logger().info("%s", state.message)
        woken = PenstockFuture(f"resumption of {call.run.name}", new_id(), None)
        wait = watching.Wait(execution, woken, epoch_of(state.state_details.pause_timeout), state)
        watching.watch().add(wait)
        yield Await([woken])
        execution.refuse_when_stopped()
        if wait.control is None or requests.word_of(wait.control) is not StateType.RUNNING:
            return state
        call.heeded = wait.control
        state = yield from propose(call, Running())
        call.logger().info("Resuming flow run %r.", call.run.name)
        return state
    finally:
        if wait is not None:
            watching.watch().remove(wait)
        execution.rest = None
        gate.set_state(call.run.state or paused)


def wait_for_resume(execution: Execution) -> Steps[bool]:
    """Wait while the flow run of a task run that wants to begin rests in this process.

    If it was asked to rest from outside, it does so now.

    Returns:
        Whether the task run may ask again; if not, the flow run has left, or is to leave.
    """
    gate, call, asked = execution.rest, execution.call, execution.asked
    if gate is not None:
        yield Await([gate])
        if execution.stopped is not None:
            raise Abort(execution.stopped)
        return True
    if asked is not None and asked.is_paused():
        heed_requests(execution)  # it may have been taken back
        asked = execution.asked
    if call is None or asked is None or not asked.is_paused():
        if execution.rest is not None:  # another task run has brought it to rest meanwhile
            return (yield from wait_for_resume(execution))
        run = execution.flow_run  # it may have gone on since the task run was refused
        return run is not None and run.state is not None and run.state.is_running()
    if asked.state_details.pause_reschedule:
        return False
    details = asked.state_details
    paused = paused_state(call, details.pause_key or str(new_id()), details.pause_timeout)
    state = yield from rest(call, paused)
    return state.is_running()


def leave(call: FlowCall, suspended: State) -> Steps[State]:
    """Suspend a run: what runs of it ends, nothing begins any more, and its process gives it up.

    Returns:
        RUNNING, if this pause has been before.

    Raises:
        Pause: the run is suspended.
        RuntimeError: it cannot be.
    """
    state = refusal_of(call, suspended)
    if state is not None:
        return state
    execution = call.execution
    execution.hold_back(suspended)
    while execution.unfinished:
        yield Await(list(execution.unfinished))
    execution.refuse_when_stopped()
    state = yield from propose(call, suspended)
    run = call.run
    message = (
        f"Flow run {run.name!r} is suspended. Go on with it: penstock flow-run resume {run.id}"
    )
    raise Pause(message, state=state)


def paused_state(call: FlowCall, key: str, until: datetime | None, why: str = "") -> State:
    """Make the state in which a run rests, and have it say what it waits for."""
    limit = "" if until is None else f" until {until:%Y-%m-%d %H:%M:%S} UTC"
    message = (
        f"Paused{why}: it waits{limit} to be resumed, in its process (`penstock flow-run resume"
        f" {call.run.id}`)."
    )
    return Paused(pause_expiration_time=until, pause_key=key, message=message)


def suspended_state(
    call: FlowCall, key: str, until: datetime | None, name: str = SUSPENDED
) -> State:
    """Make the state of a run that leaves its process, and have it say what it waits for."""
    limit = "" if until is None else f" until {until:%Y-%m-%d %H:%M:%S} UTC"
    message = (
        f"{name}: it has left its process, and waits{limit} to be resumed (`penstock flow-run"
        f" resume {call.run.id}`)."
    )
    return Suspended(name=name, pause_expiration_time=until, pause_key=key, message=message)


def suspended_as_asked(call: FlowCall) -> State | None:
    """Give the state in which a run leaves its process if somebody asked for that; else none."""
    asked = call.execution.asked
    if asked is None or not asked.state_details.pause_reschedule:
        return None
    details = asked.state_details
    key = details.pause_key or str(new_id())
    state = suspended_state(call, key, details.pause_timeout, asked.name or SUSPENDED)
    if details.run_input_keyset is not None:  # whoever asked for it wants it to be given
        state.state_details.run_input_keyset = details.run_input_keyset
        state.message = f"{state.message} {asked.message}"
    return state


def never_resumed(call: FlowCall, paused: State) -> FlowPauseTimeout:
    """Make the error of a run that nobody has resumed in time."""
    return FlowPauseTimeout(
        f"Flow run {call.run.name!r} was paused and never resumed: it could be until"
        f" {paused.state_details.pause_timeout:%Y-%m-%d %H:%M:%S} UTC."
    )
