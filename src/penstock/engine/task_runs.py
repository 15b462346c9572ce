"""The stages of one task run, from Pending to a final state (sections 3.11, 3.12, 3.15)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.context import TaskRunContext
from penstock.engine import inputs as run_inputs
from penstock.engine.debugging import log_call, state_for_log
from penstock.engine.effects import Ask, Await, Commit, Invoke, Save, Sleep, Steps
from penstock.engine.links import link_recorded, link_result
from penstock.engine.task_transitions import (
    TaskCall,
    broken_off_state_of,
    let_go,
    propose,
    rows_of,
    run_hooks,
)
from penstock.exceptions import Abort, CancelledRun, Pause, UpstreamTaskError
from penstock.records import EXECUTE_AGAIN
from penstock.results import BaseResult, UnknownResult, have_same_inputs
from penstock.rules import Facts, record, take_back
from penstock.states import (
    Cancelled,
    Completed,
    Failed,
    Pending,
    Running,
    State,
    StateDetails,
    StateType,
    exception_to_crashed_state,
    format_exception,
    shape_return_value,
)
from penstock.store.encoding import epoch_of
from penstock.task_runners import Call, Outcome
from penstock.task_runners.waiting import Interrupted
from penstock.utilities.collections import LEAF_TYPES

if TYPE_CHECKING:
    from penstock.records import TaskRun

_COMPLETED = StateType.COMPLETED
_RUNNING = StateType.RUNNING
_logger = logging.getLogger("penstock.task_runs")


def begin_task_run(call: TaskCall) -> Steps[State]:
    """Execute a task run and give its final state; whatever breaks it becomes a Crashed state.

    Sections 3.10 and 3.11. `Abort` gives the state that is recorded, `Pause` a paused one.
    """
    try:
        if call.execution.stopped is None:
            state = yield from orchestrate_task_run(call)
        else:
            message = f"Not started: {call.execution.stopped}."
            state = yield from propose(call, Cancelled(message=message))
    except Abort as abort:
        if call.execution.stopped:
            raise
        try:
            state = yield from _state_after_abort(call, abort)
        except Exception as error:  # noqa: BLE001 - it could not be recorded
            state = yield from report_task_run_crashes(call, error)
    except Pause as pause:
        state = pause.state
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - it becomes the Crashed state, and is kept
        state = yield from report_task_run_crashes(call, error)
    finally:
        if call.slots is not None:  # its end could not be recorded
            let_go(call)
    execution, run = call.execution, call.run
    execution.in_flight.discard(run)
    execution.note_finished(state, counts=call.counts)
    if state.is_final():
        # It is recorded, and nothing follows it in this execution.
        run.history = []
    return state


def _state_after_abort(call: TaskCall, abort: Abort) -> Steps[State]:
    """Give the state that a run stays in; one that was never begun is recorded, and says why."""
    run = call.run
    state = run.state or Pending()
    if state.is_final():
        call.logger().info("Task run %r already finished.", run.name)
        return state
    if state.is_pending():
        former, state = run.state, Pending(message=str(abort))
        record(run, state, Facts(now=state.timestamp, flow_run=call.execution.seen_flow_run))
        try:
            yield Commit(call.execution, rows_of(run, state))
        except (Exception, Abort):
            take_back(run, former)
            raise
    call.logger().warning(
        "Task run %r received abort during orchestration: %s Task run is in %s state.",
        run.name,
        abort,
        state.type.value,
    )
    return state


def report_task_run_crashes(call: TaskCall, error: BaseException) -> Steps[State]:
    """Record that a task run broke outside its own code (section 3.10)."""
    call.crash = error
    execution = call.execution
    state = call.run.state
    if state is not None and state.is_final():
        # It came after the run was over: what is recorded stays, and the caller is told.
        return state
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        execution.crash = error
    logger = call.logger()
    if isinstance(error, Exception) or not execution.is_cancelling():
        broken_off = exception_to_crashed_state(error)
        logger.error("Crash detected! %s", broken_off.message)
        logger.debug("Crash details:", exc_info=error)
    else:
        broken_off = broken_off_state_of(call.run, error, execution)
        logger.info("%s", broken_off.message)
    try:
        return (yield from propose(call, broken_off, force=True))
    except Exception as failure:  # noqa: BLE001 - what broke the run matters more
        logger.error("The end of the run could not be recorded: %s", failure)  # noqa: TRY400 - one line
        return broken_off


def orchestrate_task_run(call: TaskCall) -> Steps[State]:
    """Take one task run from Pending to a final state, and give that state (section 3.12)."""
    run, task, execution = call.run, call.task, call.execution
    parameters = call.parameters
    if call.inputs is not None:
        try:
            parameters = yield from _ready_parameters(call, call.inputs)
        except UpstreamTaskError as blocked:
            return (yield from _not_ready(call, blocked))
    if run.fingerprint is None:  # a graph knows its tasks by another one
        links = execution.links
        run.fingerprint = run_inputs.fingerprint_of(call.parameters, call.inputs, links)
    if execution.recorded is not None:
        adopted = _adopt_recorded(call)
        if adopted is not None:
            return adopted
        run = call.run
    context = TaskRunContext(
        task=task,
        task_run=run,
        call=call,
        parameters=parameters,
        log_prints=call.log_prints,
        result_factory=execution.factory_of(task),
    )
    state = yield from _begin(call, context)
    if state.type is not _RUNNING:
        return state
    execution.in_flight.add(run)
    is_named = task.task_run_name is None or run.cache_key is not None
    while state.type is _RUNNING:
        failure = None if is_named else (yield from _name(call, context))
        is_named = failure is None
        outcome = failure or (yield Invoke(_call_of(call, context, parameters)))
        state = yield from _finish(call, context, outcome)
        if not state.is_final() and not state.is_paused():
            state = yield from _wait_and_run_again(call, state)
            context = context.copy(start_time=clock.now(), dynamic_keys=None)
    return state


def _begin(call: TaskCall, context: TaskRunContext) -> Steps[State]:
    """Propose Running; any other state is the run's answer, and its function is not called."""
    run, task = call.run, call.task
    details = None
    if task.cache_key_fn is not None:
        try:
            key = yield Ask(task.cache_key_fn, (context, context.parameters), {}, None)
            details = _cache_details(call, key)
        except Exception as error:  # noqa: BLE001 - a user's function: it fails, it does not crash
            yield from propose(call, Running())
            return (yield from _finish(call, context, Outcome(error=error), has_key=False))
    if details is not None and task.task_run_name is not None:
        # Before it is known whether it is Cached: such a run has its name, too.
        failure = yield from _name(call, context)
        if failure is not None:
            yield from propose(call, Running())
            return (yield from _finish(call, context, failure, has_key=False))
    if task.persist_result is not False and _was_completed_by_hand(run):
        # Without a result: it is not to be executed again.
        return (yield from propose(call, Completed(data=UnknownResult()), force=True))
    running = State(type=_RUNNING, name="Running", timestamp=clock.now())
    if details is not None:
        running.state_details = details
    state = yield from propose(call, running)
    if state.type is not _RUNNING:
        yield from _after_cached(call, context, state)
    return state


def _was_completed_by_hand(run: TaskRun) -> bool:
    """Tell such a run from one whose result could not be recorded, which has to run again."""
    state, history = run.state, run.history
    if state is None or state.type is not _COMPLETED or isinstance(state.data, BaseResult):
        return False
    return len(history) < 2 or history[-2].type is not _RUNNING  # noqa: PLR2004 - the one before


def _wait_and_run_again(call: TaskCall, state: State) -> Steps[State]:
    call.logger().info(
        "Received non-final state %r when proposing final state; %s", state.name, state.message
    )
    when = state.state_details.scheduled_time
    if when is not None:
        yield Sleep(epoch_of(when) or 0.0)
    return (yield from propose(call, Running()))


def _call_of(call: TaskCall, context: TaskRunContext, parameters: dict[str, Any]) -> Call:
    task = call.task
    args, kwargs = task.signature.call_arguments(parameters)
    made = Call(
        task.fn,
        args,
        kwargs,
        timeout_s=task.timeout_seconds,
        is_async=task.isasync,
        inside=context,
        context=call.context,
        name=call.run.name,
    )
    execution = call.execution
    if execution.flow is not None and execution.flow.timeout_seconds:
        made.interruptible = True
    if execution.settings.debug_mode:
        log_call(call.logger(), made)
    return made


# -- before the function --------------------------------------------------------------------------


def _ready_parameters(call: TaskCall, inputs: run_inputs.Inputs) -> Steps[dict[str, Any]]:
    """Wait for the runs that a run depends on, and give its parameters with their results.

    Raises:
        UpstreamTaskError: one of them did not complete.
    """
    if inputs.futures:
        yield Await(inputs.futures)
    parameters = run_inputs.resolve(call.parameters, inputs)
    if call.wait_for is not None:
        run_inputs.check_wait_for(call.wait_for, inputs)
    _warn_if_slow(call, inputs)
    return parameters


def _not_ready(call: TaskCall, blocked: UpstreamTaskError) -> Steps[State]:
    pending = Pending(name="NotReady", message=str(blocked))
    state = call.run.state
    return (yield from propose(call, pending, force=state is not None and state.is_pending()))


def _warn_if_slow(call: TaskCall, inputs: run_inputs.Inputs) -> None:
    threshold_s = call.execution.settings.task_introspection_warn_threshold
    if not threshold_s:
        return
    took_s = clock.monotonic() - inputs.started
    if took_s > threshold_s and not inputs.futures:
        call.logger().warning(
            "Looking for task results in the parameters took %.1f s. If a parameter holds much"
            " data and no results, wrap it: quote(...).",
            took_s,
        )


def _adopt_recorded(call: TaskCall) -> State | None:
    """Take what an earlier execution recorded: its answer, or its record to go on with."""
    execution, run = call.execution, call.run
    recorded = execution.take_recorded(run.task_key, run.dynamic_key)
    if recorded is None or recorded.state is None:
        return None
    state = recorded.state
    is_done = (
        state.type is _COMPLETED
        and isinstance(state.data, BaseResult)
        and state.data.type != "unpersisted"
    )
    if is_done and have_same_inputs(recorded.fingerprint, run.fingerprint):
        call.run = recorded
        if call.logger().isEnabledFor(logging.DEBUG):
            call.logger().debug(
                "Task run %r is recorded %s: not executed again.", run.name, state.name
            )
        link_recorded(call.execution.links, call.run.id, state)
        return state
    if is_done:
        if (recorded.fingerprint or b"").startswith(EXECUTE_AGAIN):
            call.logger().info("Task run %r is executed again, as was asked.", run.name)
            return None
        call.logger().warning(
            "Task run %r is executed again: its inputs differ from those recorded%s.",
            run.name,
            run_inputs.difference_in_words(recorded.task_inputs, run.task_inputs),
        )
        return None
    recorded.fingerprint = run.fingerprint
    recorded.task_inputs = run.task_inputs
    recorded.tags = run.tags
    recorded.empirical_policy = run.empirical_policy
    call.run = recorded
    return None


def _cache_details(call: TaskCall, key: Any) -> StateDetails | None:
    if key is None:
        return None
    if not isinstance(key, str):
        message = (
            f"cache_key_fn of task {call.task.name!r} must return a str or None, not"
            f" {type(key).__name__}."
        )
        raise TypeError(message)
    refresh = call.task.refresh_cache
    if refresh is None:
        refresh = call.execution.settings.tasks_refresh_cache
    call.run.cache_key = key
    return StateDetails(cache_key=key, refresh_cache=refresh)


def _after_cached(call: TaskCall, context: TaskRunContext, state: State) -> Steps[None]:
    call.execution.in_flight.discard(call.run)
    if state.name == "Cached":
        link_recorded(call.execution.links, call.run.id, state)
        if call.execution.settings.run_on_completion_hooks_on_cached:
            yield from run_hooks(call, context, state)
        if _logger.isEnabledFor(logging.DEBUG):
            call.logger().debug("Finished in state %s", _in_words(call, state))


def _name(call: TaskCall, context: TaskRunContext) -> Steps[Outcome | None]:
    """Name a run as its task says; what a template or callable of a user raises fails the run."""
    try:
        yield from _rename(call, context)
    except Exception as error:  # noqa: BLE001 - a user's code: it fails, it does not crash
        return Outcome(error=error)
    return None


def _rename(call: TaskCall, context: TaskRunContext) -> Steps[None]:
    name = call.task.task_run_name
    if isinstance(name, str):
        call.run.name = name.format(**context.parameters)
        return
    made = yield Ask(name, (), {}, context)
    if not isinstance(made, str):
        message = (
            f"task_run_name of task {call.task.name!r} gave {made!r}: a callable for the name must"
            " return a str."
        )
        raise TypeError(message)
    call.run.name = made


# -- after the function ---------------------------------------------------------------------------


def _finish(
    call: TaskCall, context: TaskRunContext, outcome: Outcome, *, has_key: bool = True
) -> Steps[State]:
    """Propose the state that an outcome means; run the hooks of what came back."""
    if outcome.error is None and not outcome.timed_out:
        proposed = yield from _completed(call, context, outcome.value)
    else:
        proposed = yield from _failed(call, context, outcome, has_key=has_key)
    if proposed.type is _COMPLETED:
        link_result(call.execution.links, call.run.id, proposed)
    state = yield from propose(call, proposed)
    kind = state.type
    if kind is _COMPLETED:
        if call.task.on_completion is not None:
            yield from run_hooks(call, context, state)
        if _logger.isEnabledFor(logging.DEBUG):
            call.logger().debug("Finished in state %s", _in_words(call, state))
    elif state.is_final():
        yield from run_hooks(call, context, state)
        call.logger().error("Finished in state %s", _in_words(call, state))
    return state


def _in_words(call: TaskCall, state: State) -> str:
    return state_for_log(state, call.execution.settings)


def _completed(call: TaskCall, context: TaskRunContext, value: Any) -> Steps[State]:
    if type(value) not in LEAF_TYPES:
        futures = run_inputs.futures_in(value)
        if futures:
            # Futures that the task made and gives back: their states decide its own.
            yield Await(futures)
            value = run_inputs.with_states(value)
    proposed = shape_return_value(value)
    if not isinstance(proposed.data, BaseResult):
        factory = context.result_factory
        made = factory.inline(proposed.data)
        if made is None:
            made = yield Save(factory, proposed.data, context.parameters, context)
        proposed.data = made
    run, task = call.run, call.task
    if run.cache_key is not None and proposed.type is _COMPLETED:
        details = proposed.state_details
        details.cache_key = run.cache_key
        if task.cache_expiration is not None:
            details.cache_expiration = clock.now() + task.cache_expiration
    return proposed


def _failed(
    call: TaskCall, context: TaskRunContext, outcome: Outcome, *, has_key: bool
) -> Steps[State]:
    task, error = call.task, outcome.error
    logger = call.logger()
    if isinstance(error, CancelledRun) and call.execution.is_cancelling():
        raise Interrupted from error  # what it called was cancelled with it
    if outcome.timed_out:
        message = f"Task run exceeded timeout of {task.timeout_seconds:g} seconds"
        timeout = TimeoutError(message)
        timeout.__cause__ = error
        error = timeout
        proposed = Failed(name="TimedOut", message=message)
        logger.error("%s.", message)
    elif isinstance(error, Exception):
        what = "Task run encountered an exception" if has_key else "The cache_key_fn failed:"
        message = f"{what} {format_exception(error)}"
        proposed = Failed(message=message)
        logger.error("Encountered exception during execution:", exc_info=error)
    else:
        assert error is not None
        raise error
    made = context.result_factory.inline(error)
    if made is None:
        made = yield Save(context.result_factory, error, context.parameters, context)
    proposed.data = made
    if not has_key:
        proposed.state_details.retriable = False  # the function has not been called
    elif task.retry_condition_fn is not None:
        try:
            proposed.state_details.retriable = bool(
                (yield Ask(task.retry_condition_fn, (task, call.run, proposed), {}, context))
            )
        except Exception:
            logger.exception("retry_condition_fn of task %r raised: it is not retried.", task.name)
            proposed.state_details.retriable = False
    return proposed
