"""The stages of one flow run, from Pending to a final state (sections 3.3 to 3.7, 3.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock import clock
from penstock.context import FlowRunContext
from penstock.engine import inputs as run_inputs
from penstock.engine.effects import Await, Commit, Invoke, Read, Save, Sleep, Steps
from penstock.engine.execution import TIMED_OUT
from penstock.engine.heartbeat import heartbeat
from penstock.engine.task_runs import call_hook
from penstock.exceptions import Abort, Pause, PausedRun, UpstreamTaskError
from penstock.futures import resolve_futures_to_states
from penstock.logging.loggers import flow_run_logger
from penstock.results import BaseResult
from penstock.rules import Facts, Status, decide_flow, record, state_for_parent_task
from penstock.states import (
    Crashed,
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
from penstock.store import Fence
from penstock.store import statements as sql
from penstock.store.encoding import (
    epoch_of,
    flow_run_insert_row,
    flow_run_update_row,
    task_run_row,
)
from penstock.store.lease import this_process
from penstock.task_runners import Call, Outcome, duplicate_of
from penstock.utilities.collections import LEAF_TYPES

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

    def logger(self) -> Any:
        """Give the logger of the run."""
        return flow_run_logger(self.run, self.flow)


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
        return (yield from _refuse(call, failed))
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


def _refuse(call: FlowCall, failed: State) -> Steps[State]:
    """Record a run whose function is not called, and run its hooks."""
    call.logger().error("%s", failed.message)
    state = yield from propose(call, failed)
    yield from run_hooks(call, state)
    log_finish(call, state)
    return state


def begin_flow_run(call: FlowCall) -> Steps[State]:
    """Execute a flow run: its task runner, its lease, and whatever breaks it (section 3.4)."""
    execution = call.execution
    execution.runner = duplicate_of(call.flow.task_runner).start()
    try:
        state = yield from orchestrate_flow_run(call)
    except (Abort, Pause, GeneratorExit):
        raise
    except BaseException as error:
        yield from report_flow_run_crashes(call, error)
        raise
    finally:
        execution.runner.close()
        heartbeat().unregister(execution)
    log_finish(call, state)
    return state


def report_flow_run_crashes(call: FlowCall, error: BaseException) -> Steps[None]:
    """Record that a flow run broke outside its own code, and run its hooks (section 3.10)."""
    call.execution.stop("the flow run crashed")
    crashed = exception_to_crashed_state(error)
    logger = call.logger()
    logger.error("Crash detected! %s", crashed.message)
    logger.debug("Crash details:", exc_info=error)
    try:
        state = yield from propose(call, crashed)
    except Abort as abort:
        logger.debug("The crash was not recorded: %s", abort)
        return
    except Exception as failure:  # noqa: BLE001 - the crash itself matters more
        logger.error("The crash could not be recorded: %s", failure)
        return
    yield from run_hooks(call, state)


def log_finish(call: FlowCall, state: State) -> None:
    """Say how a flow run ended."""
    logger = call.logger()
    if state.is_paused():
        until = state.state_details.pause_timeout
        hint = (
            "" if until is None else f" Resume before {until:%Y-%m-%d %H:%M:%S} UTC to finish it."
        )
        logger.info("Currently paused and suspending execution.%s", hint)
    elif state.is_completed():
        logger.info("Finished in state %s", state)
    else:
        logger.error("Finished in state %s", state)


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
            yield Sleep(epoch_of(state.state_details.scheduled_time) or 0.0)
            execution.begin_attempt()
            yield Read(execution.load_recorded)
            state = yield from propose(call, Running())
    return state


def _execute(call: FlowCall, context: FlowRunContext, *, rename: bool) -> Steps[State]:
    """Call the flow's function once, wait for its tasks, and give the state to propose."""
    flow, execution = call.flow, call.execution
    try:
        if rename and flow.flow_run_name is not None:
            yield from _rename(call, context)
    except Exception as error:  # noqa: BLE001 - a user's function or template: the run fails
        return _state_of_error(call, context, error)
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
    parent = execution.parent
    invocation.interruptible = parent is not None and bool(
        parent.flow is not None and parent.flow.timeout_seconds
    )
    outcome = yield Invoke(invocation)
    if outcome.timed_out:
        execution.stop(TIMED_OUT)
    elif outcome.error is not None and not isinstance(outcome.error, Exception):
        raise outcome.error
    else:
        while execution.unfinished:
            yield Await(list(execution.unfinished))
        if execution.crash is not None:
            raise execution.crash
        if execution.stopped is not None:
            raise Abort(execution.stopped)
    return (yield from _terminal_state(call, context, outcome))


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
        proposed = Failed(name="TimedOut", message=message)
        proposed.data = context.result_factory.inline(timeout)
        return proposed
    if isinstance(error, PausedRun):
        return _paused_by(error)
    if error is not None:
        return _state_of_error(call, context, error)
    value = outcome.value
    if value is None:
        return _state_of_tasks(call)
    if type(value) not in LEAF_TYPES:
        found = run_inputs.look_at({"value": value}, None, None)
        if found is not None and found.futures:
            yield Await(found.futures)
            value = resolve_futures_to_states(value)
    proposed = shape_return_value(value)
    if not isinstance(proposed.data, BaseResult):
        factory = context.result_factory
        made = factory.inline(proposed.data)
        if made is None:
            made = yield Save(factory, proposed.data, call.parameters, context)
        proposed.data = made
    return proposed


def _state_of_error(call: FlowCall, context: FlowRunContext, error: BaseException) -> State:
    call.logger().error("Encountered exception during execution:", exc_info=error)
    message = f"Flow run encountered an exception. {format_exception(error)}"
    return Failed(message=message, data=context.result_factory.inline(error) or error)


def _state_of_tasks(call: FlowCall) -> State:
    """Give the state of a flow that returned nothing: that of its tasks, if it had any (1.7)."""
    execution = call.execution
    group = execution.group()
    if not group.total_count:
        return State(type=StateType.COMPLETED, data=execution.factory_of(call.flow).inline(None))
    kind, message = group.aggregate()
    if kind is StateType.FAILED:
        call.logger().warning(
            "The flow returned nothing, so its state is that of its tasks: %s Return a value, or"
            " the states that matter, to decide otherwise.",
            message,
        )
    return State(type=kind, message=message, data=list(execution.kept_states))


def _paused_by(error: PausedRun) -> State:
    paused = error.state
    details = paused.state_details if paused is not None else StateDetails()
    return Paused(
        name="Paused" if paused is None or paused.name == "NotReady" else paused.name,
        pause_expiration_time=details.pause_timeout,
        reschedule=details.pause_reschedule,
        pause_key=details.pause_key,
        message=None if paused is None else paused.message,
    )


# -- transitions and hooks ------------------------------------------------------------------------


def run_hooks(call: FlowCall, state: State) -> Steps[None]:
    """Call the hooks of a state, one after the other (section 8)."""
    flow = call.flow
    hooks = {
        StateType.RUNNING: flow.on_running,
        StateType.COMPLETED: flow.on_completion,
        StateType.FAILED: flow.on_failure,
        StateType.CANCELLING: flow.on_cancellation,
        StateType.CRASHED: flow.on_crashed,
    }.get(state.type)
    if not hooks or (
        state.type in (StateType.CANCELLING, StateType.CRASHED) and not _may_run_crash_hooks()
    ):
        return
    context = FlowRunContext(
        flow=flow,
        flow_run=call.run,
        task_runner=call.execution.runner,
        execution=call.execution,
        parameters=call.parameters,
    )
    kwargs = {"flow": flow, "flow_run": call.run, "state": state}
    for hook in hooks:
        yield from call_hook(hook, kwargs, call.logger(), context)


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
    record(run, state, facts, answer.changes)
    yield Commit(call.execution, _rows_of(call, state, facts))
    if not call.created:
        call.created = True
        if not state.is_final():
            call.execution.fence = Fence(run.id.bytes, 1)
            logger = call.logger()
            logger.info("Beginning flow run %r for flow %r", run.name, call.flow.name)
            if page := call.execution.settings.ui_url:
                logger.info("View at %s/flow-runs/flow-run/%s", page.rstrip("/"), run.id)
    return state


def _rows_of(call: FlowCall, state: State, facts: Facts) -> list[Row]:
    run, execution = call.run, call.execution
    is_over = state.is_final() or state.is_paused()
    rows: list[Row] = []
    if call.created:
        rows.append((sql.UPDATE_FLOW_RUN, flow_run_update_row(run)))
        if is_over and execution.fence is not None:
            rows.append((sql.RELEASE_FLOW_RUN, tuple(execution.fence)))
    elif is_over:
        rows.append((sql.INSERT_FLOW_RUN, flow_run_insert_row(run)))
    else:
        expires = clock.epoch() + execution.settings.lease_ttl_s
        row = flow_run_insert_row(run, this_process(), 1, expires)
        rows.append((sql.INSERT_FLOW_RUN, row))
    dummy = call.dummy
    if dummy is not None:
        record(dummy, state_for_parent_task(run), facts)
        rows.append((sql.WRITE_TASK_RUN, task_run_row(dummy)))
    return rows


# -- subflows and runs that go on -----------------------------------------------------------------


def create_and_begin_subflow_run(call: FlowCall, inputs: run_inputs.Inputs | None) -> Steps[State]:
    """Execute a flow that is called in another flow run (section 3.6).

    A task run in the parent stands for it; by that it is found again in a later execution.

    Raises:
        UpstreamTaskError: a result among the parameters is not there.
    """
    parent, dummy, flow = call.execution.parent, call.dummy, call.flow
    assert parent is not None and dummy is not None  # noqa: PT018 - what makes it a subflow
    given = call.parameters
    if inputs is not None:
        if inputs.futures:
            yield Await(inputs.futures)
        call.parameters = run_inputs.resolve(given, inputs)
    dummy.fingerprint = run_inputs.fingerprint_of(given, inputs)
    recorded = parent.take_recorded(dummy.task_key, dummy.dynamic_key)
    if recorded is not None:
        answer = yield from _meet_recorded(call, recorded)
        if answer is not None:
            parent.note_finished(answer, counts=call.counts, is_subflow=True)
            return answer
    record(call.dummy, Pending(), Facts(now=clock.now(), flow_run=parent.flow_run))  # type: ignore[arg-type]
    call.run.parent_task_run_id = call.dummy.id  # type: ignore[union-attr]
    store = parent.store
    if call.created:
        state = yield from begin_flow_run(call)
    else:
        call.run.flow_id = yield Read(lambda: store.flow_id(flow.name))
        record(call.run, Pending(), Facts(now=clock.now()))
        failed = validate(call)
        state = yield from (begin_flow_run(call) if failed is None else _refuse(call, failed))
    state.state_details.task_run_id = call.dummy.id  # type: ignore[union-attr]
    parent.note_finished(state, counts=call.counts, is_subflow=True)
    return state


def _meet_recorded(call: FlowCall, recorded: TaskRun) -> Steps[State | None]:
    """Take the answer of an earlier execution, or what it left to go on with."""
    parent, dummy = call.execution.parent, call.dummy
    assert parent is not None and dummy is not None  # noqa: PT018 - as the caller
    store, state = parent.store, recorded.state
    runs: list[FlowRun] = yield Read(lambda: store.read_subflow_runs(recorded.id))
    latest = runs[0] if runs else None
    if recorded.fingerprint != dummy.fingerprint:
        call.logger().warning(
            "Subflow %r is executed again: its inputs differ from those recorded.", call.flow.name
        )
        return None
    recorded.task_inputs = dummy.task_inputs
    call.dummy = recorded
    if latest is None or latest.state is None or state is None:
        return None
    is_rerun = parent.flow_run is not None and parent.flow_run.run_count > 1
    if state.is_final() and not (is_rerun and not state.is_completed()):
        has_result = not state.is_completed() or latest.state.data is not None
        if has_result:
            latest.state.state_details.task_run_id = recorded.id
            return latest.state
        return None
    if not latest.state.is_final() or latest.state.is_crashed():
        # It was left half way: the same run goes on, from its last finished task.
        yield from take_over(call, latest)
    return None


def take_over(call: FlowCall, run: FlowRun) -> Steps[None]:
    """Become the owner of a recorded run that nobody executes, to go on with it.

    Raises:
        RunOwnedElsewhere: a living process executes it.
    """
    execution = call.execution
    store, ttl_s = execution.store, execution.settings.lease_ttl_s
    run_id: UUID = run.id
    execution.fence = yield Read(lambda: store.claim(run_id, ttl_s))
    call.run = execution.flow_run = yield Read(lambda: store.read_flow_run(run_id))
    call.created = True
    yield Read(execution.load_recorded)
    state = call.run.state
    if state is not None and state.type in (StateType.RUNNING, StateType.CANCELLING):
        message = "The process that executed the flow run died."
        record(call.run, Crashed(message=message), Facts(now=clock.now()))


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
    yield from take_over(call, run)
    run = call.run
    policy = run.empirical_policy
    if policy.retries is None:
        policy.retries, policy.retry_delay = flow.retries, flow.retry_delay_seconds
    failed = None
    try:
        call.parameters = flow.parameters_of(run)
    except Exception as error:  # noqa: BLE001 - becomes the run's Failed state
        message = f"Validation of flow parameters failed with error: {format_exception(error)}"
        failed = Failed(message=message, data=error)
    if failed is not None:
        return (yield from _refuse(call, failed))
    call.logger().info("Going on with flow run %r for flow %r", run.name, flow.name)
    return (yield from begin_flow_run(call))
