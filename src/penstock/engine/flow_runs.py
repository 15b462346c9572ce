"""The stages of one flow run, from Pending to a final state (sections 3.3 to 3.7, 3.10)."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from penstock import clock, world
from penstock.context import FlowRunContext, current_caller
from penstock.engine import inputs as run_inputs
from penstock.engine.cancelling import attendant, names_of, wait_for_code
from penstock.engine.debugging import log_call
from penstock.engine.effects import Await, Commit, Invoke, Read, Save, Sleep, Steps
from penstock.engine.execution import CANCELLED, TIMED_OUT
from penstock.engine.flow_transitions import FlowCall, log_finish, propose, run_hooks
from penstock.engine.heartbeat import heartbeat
from penstock.engine.resting import SUSPENDED, never_resumed, suspended_as_asked
from penstock.engine.task_transitions import broken_off_state_of
from penstock.engine.termination import is_main_thread, termination
from penstock.exceptions import Abort, Pause, PausedRun, StoreError, UpstreamTaskError
from penstock.results import BaseResult
from penstock.results.objects import InlineResult
from penstock.rules import Facts, record
from penstock.rules.flow_rules import NEVER_RESUMED
from penstock.states import (
    Cancelled,
    Cancelling,
    Failed,
    Paused,
    Pending,
    Running,
    State,
    StateDetails,
    StateType,
    exception_to_crashed_state,
    format_exception,
    shape_return_value,
)
from penstock.store import statements as sql
from penstock.store.encoding import epoch_of, flow_run_update_row, task_run_row
from penstock.task_runners import Call, Outcome, duplicate_of
from penstock.task_runners.waiting import Interrupted
from penstock.utilities.collections import LEAF_TYPES

if TYPE_CHECKING:
    from penstock.store import Row

_RUNNING = StateType.RUNNING
_PICKLED_NONE = pickle.dumps(None)


def create_then_begin_flow_run(call: FlowCall) -> Steps[State]:
    """Record a new flow run and execute it (section 3.3).

    Parameters that do not fit make a Failed run whose function is not called; its hooks run.
    """
    run, flow = call.run, call.flow
    store = call.execution.store
    known = store.known_flow_id(flow.name)
    run.flow_id = (yield Read(lambda: store.flow_id(flow.name))) if known is None else known
    record(run, Pending(), Facts(now=clock.now()))
    failed = validate(call)
    if failed is not None:
        return (yield from refuse(call, failed))
    return (yield from begin_flow_run(call))


def validate(call: FlowCall) -> State | None:
    """Cast the parameters of a call; give the Failed state if they do not fit."""
    flow = call.flow
    try:
        if flow.should_validate_parameters:
            call.parameters = flow.validate_parameters(call.parameters)
    except Exception as error:  # noqa: BLE001 - becomes the run's Failed state
        message = f"Validation of flow parameters failed with error: {format_exception(error)}"
        state = Failed(message=message)
        state.data = call.execution.factory_of(flow).inline(error)
        call.run.parameters = flow.serialize_parameters(call.parameters)
        return state
    call.run.parameters = flow.serialize_parameters(call.parameters)
    call.run.parameters_pickle = flow.pickle_parameters(call.parameters, call.run.parameters)
    return None


def refuse(call: FlowCall, failed: State) -> Steps[State]:
    """Record a run whose function is not called, and run its hooks."""
    call.logger().error("%s", failed.message)
    state = yield from propose(call, failed)
    yield from run_hooks(call, state)
    log_finish(call, state)
    return state


def begin_flow_run(call: FlowCall) -> Steps[State]:
    """Execute a flow run: its task runner, its lease, and whatever breaks it (section 3.4)."""
    execution = call.execution
    execution.call = call
    execution.runner = duplicate_of(call.flow.task_runner).start()
    try:
        state = yield from orchestrate_flow_run(call)
    except (Abort, Interrupted) as error:
        if execution.is_cancelling() and not execution.is_lost:
            state = yield from _cancel(call)
        elif isinstance(error, Abort) or execution.is_lost:
            execution.invocation = None
            yield from _leave(call)
            if isinstance(error, Abort):
                raise
            raise Abort(execution.stopped) from error
        else:
            yield from report_flow_run_crashes(call, error)
            raise
    except Pause as pause:
        log_finish(call, pause.state)
        raise
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from report_flow_run_crashes(call, error)
        raise
    finally:
        execution.burst.end()
        execution.runner.close()
        heartbeat().unregister(execution)
        attendant().leave(execution)
    if not call.is_released:
        yield from _release(call)
    log_finish(call, state)
    return state


def _release(call: FlowCall) -> Steps[None]:
    """Give up a run that rests in a state that is not final, so that it can go on elsewhere."""
    fence = call.execution.fence
    if fence is not None:
        call.is_released = True
        yield Commit(call.execution, [(sql.RELEASE_FLOW_RUN, tuple(fence))])


def _leave(call: FlowCall) -> Steps[None]:
    """Stop a run that may not go on here; its recorded state stays as it is."""
    call.execution.stop("The flow run was aborted")
    try:
        yield from _release(call)
        yield from let_go(call)
    except Abort:
        return  # another process has it: there is nothing to give up
    except Exception as failure:  # noqa: BLE001 - the abortion itself is raised
        call.logger().error("The flow run could not be given up: %s", failure)


def let_go(call: FlowCall) -> Steps[None]:
    """Record what a flow run that was stopped leaves behind: its task runs and subflow runs.

    A thread that cannot be interrupted may still be in one of them: what comes of it later is not
    taken any more.
    """
    execution = call.execution
    while execution.unfinished:
        yield Await(list(execution.unfinished))
    for subflow in list(execution.subflows):
        yield from report_flow_run_crashes(subflow, Interrupted())
        heartbeat().unregister(subflow.execution)
        attendant().leave(subflow.execution)
        execution.left_behind.update(subflow.execution.still_running())
    facts = Facts(now=clock.now(), flow_run=call.run)
    left = [run for run in execution.in_flight if run.state and not run.state.is_final()]
    execution.in_flight.clear()
    for run in left:
        record(run, broken_off_state_of(run, Interrupted(), execution), facts)
    if left:
        yield Commit(execution, [(sql.WRITE_TASK_RUN, task_run_row(run)) for run in left])


def _cancel(call: FlowCall) -> Steps[State]:
    """Bring a run to its end that somebody wants cancelled; its hooks run before (section 8).

    It is Cancelled when nothing of its code is executed any more.
    """
    execution = call.execution
    execution.invocation = None
    execution.stop(CANCELLED)
    while execution.subflows:  # they are being cancelled, and end before
        yield Sleep(clock.epoch() + _LOOK_S)
    yield from let_go(call)
    settings = execution.settings
    running = yield from wait_for_code(execution, settings.interrupt_grace_s, 0.0)
    return (yield from _record_cancelled(call, running))


def _record_cancelled(call: FlowCall, running: list[Any]) -> Steps[State]:
    from penstock.client import transitions  # a run that is not cancelled does without the client

    execution, run = call.execution, call.run
    message = "It was asked for; nothing of the run is executed any more."
    if running:
        message = (
            f"It was asked for. What is still executed cannot be interrupted, and is waited for:"
            f" {names_of(running)}."
        )
        call.logger().warning("The flow run is being cancelled. %s", message)
    state = yield from propose(call, Cancelling(message=message))
    if state.type is not StateType.CANCELLING:
        return state
    yield from run_hooks(call, state)
    yield from wait_for_code(execution, None, 0.0)
    store, run_id = execution.store, run.id
    yield Read(lambda: transitions.cancel_what_a_run_leaves(store, run_id))
    return (yield from propose(call, Cancelled(message="The flow run was cancelled.")))


_LOOK_S = 0.02


def _is_to_be_cancelled(call: FlowCall) -> Steps[bool]:
    """Tell whether somebody asked for the run's cancellation, up to now."""
    execution, key = call.execution, call.run.id.bytes
    if execution.asked is None and execution.fence is not None:
        rows = yield Read(lambda: execution.store.read(sql.READ_FENCE, (key,)))
        if rows and rows[0][1] is not None:
            execution.heed(rows[0][1])
    return execution.is_cancelling()


def report_flow_run_crashes(call: FlowCall, error: BaseException) -> Steps[None]:
    """Record that a flow run broke outside its own code, and run its hooks (section 3.10)."""
    state, execution = call.run.state, call.execution
    execution.invocation = None
    if state is not None and state.is_final():
        if not call.is_released:
            yield from _leave(call)
        return
    signal = termination()
    if signal is not None and type(error).__name__ == "CancelledError":
        error = signal  # it ended the event loop, which has cancelled what ran on it
    crashed = exception_to_crashed_state(error)
    logger = call.logger()
    try:
        is_cancelled = yield from _is_to_be_cancelled(call)
        if not is_cancelled:
            execution.stop("The flow run crashed")
            logger.error("Crash detected! %s", crashed.message)
            logger.debug("Crash details:", exc_info=error)
        yield from let_go(call)
        running = yield from _shut_down(call, error)
        if is_cancelled:
            yield from _record_cancelled(call, running)
            return
        state = yield from propose(call, crashed)
    except Abort as abort:
        logger.debug("The crash was not recorded: %s", abort)
        return
    except Exception as failure:  # noqa: BLE001 - the crash itself matters more
        execution.stop("The flow run crashed")
        logger.error("The crash could not be recorded: %s", failure)  # noqa: TRY400 - one line
        return
    yield from run_hooks(call, state)


def _shut_down(call: FlowCall, error: BaseException) -> Steps[list[Any]]:
    """Let what was interrupted come to its end before the process does; give what does not."""
    execution = call.execution
    if execution.parent is not None or isinstance(error, Exception):
        return []
    settings = execution.settings
    limit_s = settings.shutdown_timeout_s * _SHARE_OF_CODE
    running = yield from wait_for_code(execution, limit_s, settings.interrupt_grace_s)
    if running:
        call.logger().warning(
            "The flow run ends while it still executes what cannot be interrupted, or takes too"
            " long: %s.",
            names_of(running),
        )
        execution.left_behind.clear()
    return running


_SHARE_OF_CODE = 0.8
"""How much of the time that a process has to end is for the tasks; the rest is for the records."""


def orchestrate_flow_run(call: FlowCall) -> Steps[State]:
    """Take a flow run from its present state to a final or paused one (section 3.7)."""
    flow, run, execution = call.flow, call.run, call.execution
    if call.wait_for is not None:
        try:
            run_inputs.check_wait_for(call.wait_for)
        except UpstreamTaskError as blocked:
            pending = Pending(name="NotReady", message=str(blocked))
            return (yield from propose(call, pending, force=run.state is not None))
    state = yield from propose(call, Running())
    if state.type is _RUNNING:
        heartbeat().register(execution)
        attendant().attend(execution)
        if flow.on_running:
            yield from run_hooks(call, state)
    renamed = False
    while state.type is _RUNNING:
        context = FlowRunContext(
            flow=flow,
            flow_run=run,
            task_runner=execution.runner,
            execution=execution,
            parameters=call.parameters,
            log_prints=execution.log_prints,
            result_factory=execution.factory_of(flow),
        )
        proposed = yield from _execute(call, context, rename=not renamed)
        renamed = True
        state = yield from propose(call, proposed)
        if not state.is_paused():
            yield from run_hooks(call, state)
        if not state.is_final() and not state.is_paused() and state.is_scheduled():
            call.logger().info("Flow run is retried: %s", state.message)
            yield from _sleep_until(call, epoch_of(state.state_details.scheduled_time) or 0.0)
            execution.begin_attempt()
            yield Read(execution.load_recorded)
            state = yield from propose(call, Running())
    return state


def _sleep_until(call: FlowCall, when: float) -> Steps[None]:
    """Wait for a time, unless the run is cancelled meanwhile.

    Raises:
        Abort: it is.
    """
    while (now := clock.epoch()) < when:
        yield Sleep(min(when, now + _LONGEST_SLEEP_S))
        if call.execution.is_cancelling():
            raise Abort(CANCELLED)


_LONGEST_SLEEP_S = 0.2


def _is_called_by_async_code(call: FlowCall) -> bool:
    caller = None if call.flow.isasync or call.execution.parent is None else current_caller()
    return caller is not None and caller.isasync


def _execute(call: FlowCall, context: FlowRunContext, *, rename: bool) -> Steps[State]:
    """Call the flow's function once, wait for its tasks, and give the state to propose."""
    flow, execution = call.flow, call.execution
    try:
        if rename and flow.flow_run_name is not None:
            yield from _rename(call, context)
            # Seen by others from here on, also if the run is killed.
            rows: list[Row] = [(sql.UPDATE_FLOW_RUN, flow_run_update_row(call.run))]
            yield Commit(execution, rows)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - a user's function or template: the run fails
        return (yield from _state_of_error(call, context, error))
    args, kwargs = flow.signature.call_arguments(call.parameters)
    invocation = Call(
        flow.fn,
        args,
        kwargs,
        timeout_s=flow.timeout_seconds,
        is_async=flow.isasync,
        inside=context,
        name=call.run.name,
    )
    invocation.interruptible = _has_to_be_interruptible(call)
    invocation.apart = _is_called_by_async_code(call)
    execution.invocation = invocation
    if execution.settings.debug_mode:
        log_call(call.logger(), invocation)
    outcome = yield Invoke(invocation)
    execution.invocation = None
    if outcome.timed_out:
        execution.stop(TIMED_OUT)
        yield from let_go(call)
    elif outcome.error is not None and not isinstance(outcome.error, Exception):
        raise outcome.error
    else:
        while execution.unfinished:
            yield Await(list(execution.unfinished))
        if execution.crash is not None:
            raise execution.crash
        if execution.stopped is not None:
            raise Abort(execution.stopped)
    proposed = yield from _terminal_state(call, context, outcome)
    return (yield from _state_of_held_back(call, context, proposed))


def _has_to_be_interruptible(call: FlowCall) -> bool:
    """Tell whether preparations are needed so that the flow's code can be stopped.

    None are where signals reach it, in the main thread.
    """
    if call.flow.isasync:
        return True
    parent = call.execution.parent
    if parent is not None and parent.flow is not None and parent.flow.timeout_seconds:
        return True
    return world.stand_in is None and not is_main_thread()


def _rename(call: FlowCall, context: FlowRunContext) -> Steps[None]:
    from penstock.engine.effects import Ask

    flow, name = call.flow, call.flow.flow_run_name
    if isinstance(name, str):
        call.run.name = name.format(**call.parameters)
        return
    if not callable(name):
        message = f"flow_run_name of flow {flow.name!r} must be a str or a callable, not {name!r}."
        raise TypeError(message)
    made = yield Ask(name, (), {}, context)
    if not isinstance(made, str):
        message = (
            f"flow_run_name of flow {flow.name!r} gave {made!r}: a callable for the name must"
            " return a str."
        )
        raise TypeError(message)
    call.run.name = made


def _terminal_state(call: FlowCall, context: FlowRunContext, outcome: Outcome) -> Steps[State]:
    error = outcome.error
    if outcome.timed_out:
        message = f"Flow run exceeded timeout of {call.flow.timeout_seconds:g} seconds"
        timeout = TimeoutError(message)
        timeout.__cause__ = error
        call.logger().error("%s.", message)
        made = yield from _result_of(call, context, timeout)
        return Failed(name="TimedOut", message=message, data=made)
    if isinstance(error, PausedRun):
        return _paused_by(error)
    if error is not None:
        return (yield from _state_of_error(call, context, error))
    value = outcome.value
    if value is None:
        return _state_of_tasks(call)
    if type(value) not in LEAF_TYPES:
        futures = run_inputs.futures_in(value)
        if futures:
            yield Await(futures)
            value = run_inputs.with_states(value)
    proposed = shape_return_value(value)
    if not isinstance(proposed.data, BaseResult):
        proposed.data = yield from _result_of(call, context, proposed.data)
    return proposed


def _result_of(call: FlowCall, context: FlowRunContext, value: Any) -> Steps[BaseResult]:
    factory = context.result_factory
    made = factory.inline(value)
    return made or (yield Save(factory, value, call.parameters, context))


def _state_of_error(call: FlowCall, context: FlowRunContext, error: BaseException) -> Steps[State]:
    call.logger().error("Encountered exception during execution:", exc_info=error)
    message = f"Flow run encountered an exception. {format_exception(error)}"
    return Failed(message=message, data=(yield from _result_of(call, context, error)))


def _state_of_tasks(call: FlowCall) -> State:
    """Give the state of a flow that returned nothing: that of its tasks, if it had any (1.7)."""
    execution = call.execution
    if not execution.tally:
        return State(type=StateType.COMPLETED, data=execution.factory_of(call.flow).inline(None))
    kind, message = execution.group().aggregate()
    if kind is StateType.FAILED:
        call.logger().warning(
            "The flow returned nothing, so its state is that of its tasks: %s Return a value, or"
            " the states that matter, to decide otherwise.",
            message,
        )
    # The states are for the caller; read back from the record, the flow has returned nothing.
    data = InlineResult(_PICKLED_NONE, list(execution.kept_states))
    return State(type=kind, message=message, data=data)


def _state_of_held_back(call: FlowCall, context: FlowRunContext, proposed: State) -> Steps[State]:
    """Give the state to propose for a run that was asked to leave, or that nobody has resumed."""
    if proposed.is_paused() and (suspended := suspended_as_asked(call)) is not None:
        return suspended
    state = call.run.state
    if state is None or not state.is_paused() or proposed.is_failed():
        return proposed
    error = never_resumed(call, state)
    return Failed(message=NEVER_RESUMED, data=(yield from _result_of(call, context, error)))


def _paused_by(error: PausedRun) -> State:
    paused = error.state
    details = paused.state_details if paused is not None else StateDetails()
    name = SUSPENDED if details.pause_reschedule else "Paused"
    return Paused(
        name=name if paused is None or paused.name == "NotReady" else paused.name,
        pause_expiration_time=details.pause_timeout,
        reschedule=details.pause_reschedule,
        pause_key=details.pause_key,
        message=None if paused is None else paused.message,
    )
