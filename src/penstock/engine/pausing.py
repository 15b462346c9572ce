"""`pause_flow_run`, `suspend_flow_run`, `resume_flow_run`, as programs call them (section 9)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.client import transitions
from penstock.client.awaiting import here_or_awaitable, in_thread
from penstock.context import FlowRunContext, TaskRunContext, current_caller
from penstock.engine.cancelling import attendant
from penstock.engine.drivers import choosing, inline
from penstock.engine.effects import Commit
from penstock.engine.heartbeat import heed_requests
from penstock.engine.resting import (
    SUSPENDED,
    leave,
    never_resumed,
    paused_state,
    refusal_of,
    rest,
    suspended_state,
)
from penstock.exceptions import FlowPauseTimeout
from penstock.ids import new_id
from penstock.rules import Status
from penstock.states import Paused, StateType, Suspended
from penstock.store import get_store, requests
from penstock.store import statements as sql

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from penstock.engine.effects import Steps
    from penstock.engine.flow_transitions import FlowCall
    from penstock.input.wanting import Wanted
    from penstock.states import State
    from penstock.store import Store

NOTICE_TIMEOUT_S = 5.0
"""How long a resumption waits at most for the paused run's process to take note of it."""

_NOTICE_INTERVAL_S = 0.01


def pause_flow_run(
    wait_for_input: Any = None,
    flow_run_id: UUID | str | None = None,
    timeout: float | None = 3600,
    poll_interval: float = 10,
    reschedule: bool = False,  # noqa: FBT001, FBT002 - as programs give it
    key: str | None = None,
) -> Any:
    """Have the flow run that this code is in wait until somebody resumes it.

    Its process keeps it. Task runs that are being executed go on; those that want to begin wait.

    Parameters:
        wait_for_input: what whoever resumes it has to give: a `penstock.input.RunInput`, a
            pydantic model, or any type such as `int` or `list[str]`.
        flow_run_id: have this run leave its process instead, when its next task run wants to
            begin. Better say `suspend_flow_run(flow_run_id=...)`, which does the same.
        timeout: seconds after which the run fails if nobody has resumed it; None for never.
        poll_interval: taken for programs that give it: a resumption is noticed within a tenth of
            a second, whatever it is.
        reschedule: have the run leave its process, as `suspend_flow_run` does, which is the
            better name for it.
        key: names this pause: in one flow run it rests once. By default the pauses are counted,
            so that a second execution knows those that it has passed.

    Returns:
        When the run is resumed: nothing, or the input, as an instance or a value; in async code
        an awaitable of it.

    Raises:
        FlowPauseTimeout: nobody resumed it in time. The run ends Failed.
        Pause: with `reschedule`, the run has left its process.
        RuntimeError: this is not in the code of a flow, or the run cannot be paused; or another
            run is to wait for input, or `reschedule` is given for it.
        TypeError: nothing of the type `wait_for_input` can be an input.
        ValueError: `timeout` or `poll_interval` is not positive, or `flow_run_id` no id; or the
            run waits for input, and `key` has other characters than lowercase letters, digits
            and dashes.

    Example:
        >>> @flow
        ... def release():
        ...     build()
        ...     pause_flow_run(timeout=3600)  # penstock flow-run resume ID
        ...     publish()
    """
    _check_positive("timeout", timeout)
    _check_positive("poll_interval", poll_interval)
    if flow_run_id is not None and wait_for_input is not None:
        message = (
            "Another flow run cannot be paused to wait for input: its code does not ask for any."
            " Leave out flow_run_id=... or wait_for_input=..., or suspend that run:"
            " suspend_flow_run(flow_run_id=..., wait_for_input=...)."
        )
        raise RuntimeError(message)
    if flow_run_id is not None and reschedule:
        message = (
            "Another flow run is not paused with reschedule=True: a run that is paused by its id"
            " leaves its process anyhow. Leave out reschedule, or call"
            " suspend_flow_run(flow_run_id=...)."
        )
        raise RuntimeError(message)
    if flow_run_id is not None:
        paused = Paused(timeout_seconds=timeout, reschedule=True, pause_key=key or str(new_id()))
        run_id = id_of(flow_run_id)
        return here_or_awaitable(lambda: ask_to_pause(get_store(), run_id, paused))
    call = call_to_pause("pause")
    if reschedule:
        return _leave(call, wait_for_input, timeout, key, "Paused")
    paused = paused_state(call, next_key(call, key), _end_of(timeout))
    wanted = _wanted(wait_for_input, paused)
    return _drive(_pause(call, paused, wanted), call, paused, wanted)


def _leave(
    call: FlowCall, wait_for_input: Any, timeout: float | None, key: str | None, name: str
) -> Any:
    suspended = suspended_state(call, next_key(call, key), _end_of(timeout), name)
    wanted = _wanted(wait_for_input, suspended)
    return _drive(_suspend(call, suspended, wanted), call, suspended, wanted)


def _wanted(wait_for_input: Any, state: State) -> Wanted | None:
    """Have a paused state say what it waits for, if it waits for an input."""
    if wait_for_input is None:
        return None
    from penstock.input.wanting import Wanted  # pydantic, which other pauses are spared

    wanted = Wanted(wait_for_input)
    wanted.announce(state)
    return wanted


def _drive(steps: Steps[None], call: FlowCall, state: State, wanted: Wanted | None) -> Any:
    """Wait as the caller waits, and then give it what the run was given."""
    caller = current_caller()
    if caller is not None and caller.isasync:
        return _drive_async(steps, call, state, wanted)
    choosing.through_gate(lambda: inline.drive(steps))
    return None if wanted is None else wanted.read(call.run.id, state)


async def _drive_async(
    steps: Steps[None], call: FlowCall, state: State, wanted: Wanted | None
) -> Any:
    from penstock.engine.drivers import asynchronous

    await asynchronous.drive(steps)
    if wanted is None:
        return None
    return await in_thread(lambda: wanted.read(call.run.id, state))


def _pause(call: FlowCall, paused: State, wanted: Wanted | None) -> Steps[None]:
    yield from _announce(call, paused, wanted)
    state = yield from rest(call, paused)
    if state.is_paused():
        raise never_resumed(call, state)


def _announce(call: FlowCall, paused: State, wanted: Wanted | None) -> Steps[None]:
    """Write down what a run is about to wait for; not if this pause has been before."""
    if wanted is not None and refusal_of(call, paused) is None:
        yield Commit(call.execution, wanted.rows(call.run.id, paused))


def suspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: UUID | str | None = None,
    timeout: float | None = 3600,
    key: str | None = None,
) -> Any:
    """Have the flow run that this code is in leave its process until somebody resumes it.

    Its tasks that are being executed come to their end first; none begins any more. When it is
    resumed, another process executes the flow anew: completed tasks are not executed again, and
    this call returns at once.

    Parameters:
        wait_for_input: what whoever resumes it has to give; see `pause_flow_run`.
        flow_run_id: suspend this run instead; it leaves when its next task run wants to begin.
        timeout: seconds after which it cannot be resumed any more; None for never.
        key: as for `pause_flow_run`, which shares its count.

    Returns:
        In the execution that has been resumed nothing, or the input; in async code an awaitable
        of it.

    Raises:
        Pause: the run is suspended. It is no `Exception`: let it through.
        RuntimeError: this is not in the code of a flow; or the run cannot be suspended, as it is
            a subflow's, or it is not recorded in which file its flow is.
        TypeError: nothing of the type `wait_for_input` can be an input.
        ValueError: `timeout` is not positive, or `flow_run_id` no id; or `key` as for
            `pause_flow_run`.

    Example:
        >>> @flow
        ... def release():
        ...     build()
        ...     suspend_flow_run(timeout=86400)  # penstock flow-run resume ID
        ...     publish()
    """
    _check_positive("timeout", timeout)
    if flow_run_id is not None:
        suspended = Suspended(timeout_seconds=timeout, pause_key=key or str(new_id()))
        run_id = id_of(flow_run_id)
        wanted = _wanted(wait_for_input, suspended)
        return here_or_awaitable(lambda: ask_to_pause(get_store(), run_id, suspended, wanted))
    return _leave(call_to_pause("suspend"), wait_for_input, timeout, key, SUSPENDED)


def _suspend(call: FlowCall, suspended: State, wanted: Wanted | None) -> Steps[None]:
    yield from _announce(call, suspended, wanted)
    yield from leave(call, suspended)


def _end_of(timeout: float | None) -> datetime | None:
    return None if timeout is None else clock.now() + timedelta(seconds=timeout)


def call_to_pause(deed: str) -> FlowCall:
    """Give the call of the flow that this code is in.

    Raises:
        RuntimeError: it is not in the code of a flow.
    """
    if TaskRunContext.variable.get() is not None:
        message = (
            f"Cannot {deed} task runs. {deed.capitalize()} the flow run: in its own code, or from"
            " outside by its id."
        )
        raise RuntimeError(message)
    context = FlowRunContext.variable.get()
    call = None if context is None or context.is_over else context.execution.call
    if call is None:
        message = (
            f"There is no flow run to {deed} here: this is not called by the code of a @flow. Give"
            f" flow_run_id=... to {deed} another one."
        )
        raise RuntimeError(message)
    return call


def next_key(call: FlowCall, key: str | None) -> str:
    """Give what names the next pause of an execution: its number, unless it is given."""
    seen = call.execution.observed_pauses
    seen["counter"] += 1
    return str(seen["counter"]) if key is None else key


def ask_to_pause(
    store: Store, flow_run_id: UUID, paused: State, wanted: Wanted | None = None
) -> None:
    """Ask for a pause of a run from outside.

    Parameters:
        wanted: what whoever resumes it has to give.

    Raises:
        RuntimeError: it cannot be paused.
        ObjectNotFound: there is no such run.
    """
    store.read_flow_run(flow_run_id)
    if wanted is not None:
        # First: the run may rest, and be resumed, before this function goes on.
        store.commit(wanted.new_rows(flow_run_id, paused))
    answer = transitions.set_flow_run_state(store, flow_run_id, paused, force=False)
    if answer.status is not Status.ACCEPT:
        message = f"Flow run {flow_run_id} cannot be paused: {answer.details.reason}"
        raise RuntimeError(message)
    for execution in attendant().executions():
        run = execution.flow_run
        if run is not None and run.id == flow_run_id:
            heed_requests(execution)  # this process has it: its next task run is not to begin


def resume_flow_run(flow_run_id: UUID | str, run_input: Mapping[str, Any] | None = None) -> Any:
    """Let a paused flow run go on.

    A run that is paused in its process goes on there. One that is in no process any more is
    scheduled: `penstock flow-run execute ID`, or `python -m penstock.engine ID`, goes on with it.

    Parameters:
        flow_run_id: the run's id.
        run_input: what the run waits for, by field; of a plain type it is the field `value`. It
            is checked before the run goes on.

    Returns:
        Nothing, when the run's process has taken note; in async code an awaitable of it.

    Raises:
        NotPausedError: the run is not paused.
        FlowPauseTimeout: its time to be resumed is over. It is Failed.
        ObjectNotFound: there is no such run.
        RuntimeError: it cannot be resumed, or not with this input: what is wrong with it, and
            what is wanted. It stays paused.
        ValueError: this is no id.

    Example:
        >>> resume_flow_run("01a20480-3334-7aa3-8186-a049104944c6")  # doctest: +SKIP
    """
    run_id = id_of(flow_run_id)
    return here_or_awaitable(lambda: resume_from_outside(get_store(), run_id, run_input))


def resume_from_outside(
    store: Store, flow_run_id: UUID, run_input: Mapping[str, Any] | None = None
) -> StateType:
    """Let a paused flow run go on; see `resume_flow_run`.

    Returns:
        RUNNING if its process goes on with it, SCHEDULED if one is to be started.
    """
    answer = transitions.resume_flow_run(store, flow_run_id, run_input)
    state = answer.state
    if answer.status is Status.ACCEPT and state is not None:
        if state.is_running():
            _wait_for_notice(store, flow_run_id)
        return state.type
    if state is not None and state.is_failed():
        raise FlowPauseTimeout(f"Flow run {flow_run_id} expired: {answer.details.reason}")
    message = f"Flow run {flow_run_id} cannot be resumed: {answer.details.reason}"
    raise RuntimeError(message)


def _wait_for_notice(store: Store, flow_run_id: UUID) -> None:
    """Wait until the owner has taken note; raise if the time was over just before."""
    until = clock.monotonic() + NOTICE_TIMEOUT_S
    while clock.monotonic() < until:
        rows = store.read(sql.READ_FENCE, (flow_run_id.bytes,))
        control = rows[0][1] if rows else None
        if control is None or requests.word_of(control) is not StateType.RUNNING:
            break
        clock.sleep(_NOTICE_INTERVAL_S)
    history = store.read_flow_run(flow_run_id).history
    if history[-1].is_failed() and history[-2].is_paused():
        raise FlowPauseTimeout(f"Flow run {flow_run_id} expired: {history[-1].message}")


def id_of(value: UUID | str) -> UUID:
    """Give a flow run's id.

    Raises:
        ValueError: this is none.
    """
    from penstock.client.base import id_of as parsed  # brings what searches are made of

    return parsed(value, "flow run")


def _check_positive(name: str, seconds: Any) -> None:
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if (name == "timeout" and seconds is None) or (is_number and seconds > 0):
        return
    message = f"{name}={seconds!r}: give a positive number of seconds."
    raise ValueError(message)
