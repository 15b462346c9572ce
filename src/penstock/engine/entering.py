"""Where calls of flows and tasks come in: what kind of run it is, and which driver takes it.

Sections 3.1, 3.8 and 3.9. Everything here is plain code that runs in the caller's thread; the runs
themselves are the generators of `flow_runs` and `task_runs`.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from penstock import clock
from penstock.context import FlowRunContext, TagsContext, TaskRunContext, current_caller
from penstock.engine import inputs as run_inputs
from penstock.engine.continuing import create_and_begin_subflow_run, resume_recorded_flow_run
from penstock.engine.drivers import choosing, inline
from penstock.engine.execution import TIMED_OUT, Execution
from penstock.engine.flow_runs import create_then_begin_flow_run
from penstock.engine.flow_transitions import FlowCall
from penstock.engine.mapping import children_of
from penstock.engine.task_runs import begin_task_run
from penstock.engine.task_transitions import TaskCall
from penstock.engine.termination import capture_signals
from penstock.exceptions import Abort
from penstock.futures import PenstockFuture, as_awaitable
from penstock.logging import get_logger, setup_logging
from penstock.logging.printing import ensure_print_is_patched
from penstock.records import FlowRun, FlowRunPolicy, TaskRun
from penstock.rules import Facts, record
from penstock.states import State, StateType, state_result
from penstock.store import get_store
from penstock.task_runners import SequentialTaskRunner, TaskConcurrencyType
from penstock.task_runners.waiting import this_thread
from penstock.utilities.slugs import random_slug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.engine.effects import Steps


# -- flows ----------------------------------------------------------------------------------------


def enter_flow_run_engine_from_flow_call(
    flow: Any,
    parameters: dict[str, Any],
    wait_for: Any = None,
    return_type: str = "result",
    flow_run_id: UUID | None = None,
) -> Any:
    """Run a flow that was called: as a root, or as a subflow of the run this code is in (3.1).

    Parameters:
        flow: the flow.
        parameters: its parameters, by name.
        wait_for: runs that have to complete before; only for a subflow.
        return_type: "result" gives the value or raises, "state" gives the final state.
        flow_run_id: the id that a root run gets, for callers that need it however the run ends.

    Returns:
        The value or state; a coroutine of it for an async flow that is not called by sync code of
        another flow; None, with a warning, while a script is being loaded.
    """
    if return_type not in ("state", "result"):
        message = f"Invalid return type {return_type!r} for a flow: give 'state' or 'result'."
        raise ValueError(message)
    if choosing.is_loading_script():
        get_logger("engine").warning(
            "Flow %r was called while its script is being loaded, and is not run. Put the call"
            ' under `if __name__ == "__main__":`.',
            flow.name,
        )
        return None
    parent_context = FlowRunContext.variable.get()
    if parent_context is None or parent_context.flow_run is None or parent_context.is_over:
        if wait_for is not None:
            message = (
                f"Flow {flow.name!r} was called with wait_for outside of a flow: only a flow that"
                " is called in another flow can wait for its runs."
            )
            raise ValueError(message)
        call = _root_call(flow, parameters, flow_run_id)
        steps = create_then_begin_flow_run(call)
        return _run_flow(flow, steps, return_type, is_root=True)
    return _run_subflow(flow, parameters, wait_for, return_type, parent_context.execution)


def _root_call(flow: Any, parameters: dict[str, Any], flow_run_id: UUID | None) -> FlowCall:
    setup_logging()
    store = get_store()
    run = _new_flow_run(flow)
    if flow_run_id is not None:
        run.id = flow_run_id
    execution = Execution(
        store, flow=flow, flow_run=run, log_prints=_log_prints(flow.log_prints, None)
    )
    execution.result_storage = flow.result_storage
    execution.result_serializer = flow.result_serializer
    return FlowCall(flow, run, execution, parameters)


def _new_flow_run(flow: Any) -> FlowRun:
    tags = TagsContext.current()
    return FlowRun(
        name=random_slug(),
        flow_name=flow.name,
        flow_version=flow.version,
        tags=sorted(tags) if tags else [],
        empirical_policy=FlowRunPolicy(
            retries=flow.retries or None,
            retry_delay=flow.retry_delay_seconds or None,
        ),
        entrypoint=flow.entrypoint,
    )


def _log_prints(own: bool | None, parent: Execution | None) -> bool:  # noqa: FBT001
    if own is None:
        own = choosing.log_prints_by_default() if parent is None else parent.log_prints
    if own:
        ensure_print_is_patched()
    return own


def _run_subflow(
    flow: Any,
    parameters: dict[str, Any],
    wait_for: Any,
    return_type: str,
    parent: Execution,
) -> Any:
    _refuse_when_stopped(parent)
    task_context = TaskRunContext.variable.get()
    index, dynamic_key = parent.next_dynamic_key(flow.task_key, task_context)
    inputs = run_inputs.look_at(parameters, wait_for, parent.links or None)
    run = _new_flow_run(flow)
    assert parent.flow_run is not None
    dummy = TaskRun(
        name=f"{flow.name}-{index}",
        flow_run_id=parent.flow_run.id,
        task_key=flow.task_key,
        dynamic_key=dynamic_key,
        task_version=flow.version,
        tags=run.tags,
        task_inputs={} if inputs is None else inputs.task_inputs(parameters),
        flow_run_run_count=parent.flow_run.run_count,
    )
    execution = Execution(
        parent.store,
        flow=flow,
        flow_run=run,
        parent=parent,
        log_prints=_log_prints(flow.log_prints, parent),
    )
    execution.result_storage = flow.result_storage or parent.result_storage
    execution.result_serializer = flow.result_serializer or parent.result_serializer
    call = FlowCall(
        flow,
        run,
        execution,
        parameters,
        wait_for=wait_for,
        dummy=dummy,
        counts=task_context is None,
    )
    return _run_flow(flow, create_and_begin_subflow_run(call, inputs), return_type, is_root=False)


def resume_flow_run_here(flow: Any, flow_run_id: UUID, return_type: str = "result") -> Any:
    """Execute a recorded run of `flow` again in this process, but for what is completed.

    Parameters:
        flow: the flow that the run is one of.
        flow_run_id: its id.
        return_type: as for a call.

    Raises:
        ObjectNotFound: there is no such run.
        RunOwnedElsewhere: a living process executes it.
    """
    setup_logging()
    store = get_store()
    run = store.read_flow_run(flow_run_id)
    if run.flow_name != flow.name:
        message = (
            f"Flow run {flow_run_id} is a run of flow {run.flow_name!r}, not of {flow.name!r}."
            " Resume it with the flow that it is a run of."
        )
        raise ValueError(message)
    execution = Execution(
        store, flow=flow, flow_run=run, log_prints=_log_prints(flow.log_prints, None)
    )
    execution.result_storage = flow.result_storage
    execution.result_serializer = flow.result_serializer
    call = FlowCall(flow, run, execution, {})
    return _run_flow(flow, resume_recorded_flow_run(call), return_type, is_root=True)


def _run_flow(flow: Any, steps: Steps[State], return_type: str, *, is_root: bool) -> Any:
    """Choose the driver by how the flow and the code that called it are written (2.2)."""
    if flow.isasync:
        caller = current_caller()
        if is_root or caller is None or caller.isasync:
            return choosing.drive_flow_async(steps, return_type, is_root=is_root)
        from penstock.task_runners import loops

        return _through_gate(
            lambda: loops.run_in_own_loop(
                lambda: choosing.drive_flow_async(steps, return_type, is_root=False)
            )
        )
    if not is_root:
        return _through_gate(lambda: _value(inline.drive(steps), return_type))
    with capture_signals():
        try:
            state = _through_gate(lambda: inline.drive(steps))
        except BaseException:
            choosing.flush_last_words()
            raise
        choosing.flush_logs()
    return _value(state, return_type)


def _value(state: State, return_type: str) -> Any:
    return state if return_type == "state" else state_result(state)


def _through_gate(work: Callable[[], Any]) -> Any:
    """Run the engine's code so that a deadline of this thread does not interrupt it."""
    gate = this_thread.gate
    if gate is None:
        return work()
    gate.enter_engine()
    try:
        return work()
    finally:
        gate.leave_engine()


def _refuse_when_stopped(execution: Execution) -> None:
    if execution.stopped is not None:
        if execution.stopped == TIMED_OUT:
            raise TimeoutError(execution.stopped)
        raise Abort(execution.stopped)


# -- tasks ----------------------------------------------------------------------------------------


def enter_task_run_engine(
    task: Any,
    parameters: dict[str, Any],
    wait_for: Any = None,
    return_type: str = "result",
    task_runner: Any = None,
    mapped: bool = False,  # noqa: FBT001, FBT002 - the field's signature
    entering_from_task_run: bool = False,  # noqa: FBT001, FBT002
) -> Any:
    """Run a task that was called, submitted or mapped (3.8).

    Parameters:
        task: the task.
        parameters: its parameters, by name.
        wait_for: runs that have to complete before.
        return_type: "result", "state" or "future".
        task_runner: where it runs: none means here, for a direct call.
        mapped: the parameters are to be mapped over.
        entering_from_task_run: a direct call in a task: it does not decide the flow's state.

    Raises:
        RuntimeError: submitted or mapped outside of a flow.
        TimeoutError: the flow run's time is over.
    """
    gate = this_thread.gate
    if gate is None:
        return _enter_task(
            task, parameters, wait_for, return_type, task_runner, mapped, entering_from_task_run
        )
    return _through_gate(
        lambda: _enter_task(
            task, parameters, wait_for, return_type, task_runner, mapped, entering_from_task_run
        )
    )


def _enter_task(
    task: Any,
    parameters: dict[str, Any],
    wait_for: Any,
    return_type: str,
    task_runner: Any,
    mapped: bool,  # noqa: FBT001
    entering_from_task_run: bool,  # noqa: FBT001
) -> Any:
    flow_context = FlowRunContext.variable.get()
    if flow_context is None:
        if return_type == "future" or mapped or task_runner is not None:
            message = (
                f"Task {task.name!r} cannot be submitted or mapped outside of a flow. Call it"
                " directly, do it in a flow, or enable task scheduling"
                " (PENSTOCK_EXPERIMENTAL_ENABLE_TASK_SCHEDULING) to run it in the background."
            )
            raise RuntimeError(message)
        return _run_autonomous(task, parameters, wait_for, return_type)
    execution: Execution = flow_context.execution
    if execution.stopped is not None:
        _refuse_when_stopped(execution)
    if mapped:
        return begin_task_map(task, flow_context, parameters, wait_for, return_type, task_runner)
    task_context = TaskRunContext.variable.get()
    call = _make_call(task, execution, parameters, wait_for, task_context)
    if task_runner is None:
        call.counts = not entering_from_task_run and task_context is None
        return _call_here(call, return_type, task_context, flow_context)
    return _submit(call, return_type, task_runner, task_context, flow_context)


def _make_call(
    task: Any,
    execution: Execution,
    parameters: dict[str, Any],
    wait_for: Any,
    task_context: TaskRunContext | None,
    extra_sources: dict[str, list[UUID]] | None = None,
) -> TaskCall:
    index, dynamic_key = execution.next_dynamic_key(task.task_key, task_context)
    inputs = run_inputs.look_at(parameters, wait_for, execution.links or None)
    if extra_sources:
        inputs = inputs or run_inputs.Inputs()
        for name, ids in extra_sources.items():
            inputs.sources.setdefault(name, []).extend(ids)
    flow_run = execution.flow_run
    run = TaskRun(
        name=f"{task.name}-{index}",
        task_key=task.task_key,
        dynamic_key=dynamic_key,
        task_version=task.version,
        empirical_policy=task.policy,
    )
    if flow_run is not None:
        run.flow_run_id = flow_run.id
        run.flow_run_run_count = flow_run.run_count
    tags = TagsContext.variable.get()
    if tags is not None or task.tags:
        run.tags = sorted(task.tags | (set() if tags is None else tags.current_tags))
    if inputs is not None:
        run.task_inputs = inputs.task_inputs(parameters)
    now = clock.now()
    pending = State(type=StateType.PENDING, name="Pending", timestamp=now)
    record(run, pending, Facts(now=now, flow_run=flow_run))
    log_prints = task.log_prints
    if log_prints is None:
        log_prints = execution.log_prints
    elif log_prints:
        ensure_print_is_patched()
    return TaskCall(
        task,
        run,
        execution,
        parameters,
        inputs,
        wait_for,
        task_context is None,
        log_prints,
    )


def _is_called_by_async(task_context: TaskRunContext | None, flow_context: FlowRunContext) -> bool:
    if task_context is not None:
        return task_context.task.isasync
    flow = flow_context.flow
    return flow is not None and flow.isasync


def _call_here(
    call: TaskCall,
    return_type: str,
    task_context: TaskRunContext | None,
    flow_context: FlowRunContext,
) -> Any:
    steps = begin_task_run(call)
    if call.task.isasync and _is_called_by_async(task_context, flow_context):
        return choosing.drive_task_async(steps, call, return_type)
    state = inline.drive(steps)
    if call.crash is not None:
        choosing.reraise_cancellation(call.crash, state)
    return state if return_type == "state" else state_result(state)


def _run_autonomous(task: Any, parameters: dict[str, Any], wait_for: Any, return_type: str) -> Any:
    """Run a task outside of any flow: with a record, but without a flow run (10.1)."""
    setup_logging()
    execution = Execution(get_store(), runner=None, log_prints=_log_prints(task.log_prints, None))
    call = _make_call(task, execution, parameters, wait_for, None)
    run = call.run
    run.dynamic_key = str(uuid4())
    run.name = f"{task.name}-{run.dynamic_key[:8]}"
    execution.runner = SequentialTaskRunner().start()
    execution.autonomous = run
    context = FlowRunContext(
        execution=execution,
        task_runner=execution.runner,
        autonomous_task_run=run,
        log_prints=execution.log_prints,
    )
    steps = begin_task_run(call)
    if task.isasync:
        return choosing.drive_autonomous_async(steps, call, context, return_type)
    with context:
        state = inline.drive(steps)
    choosing.flush_logs()
    return _value(state, return_type)


def _submit(
    call: TaskCall,
    return_type: str,
    runner: Any,
    task_context: TaskRunContext | None,
    flow_context: FlowRunContext,
) -> Any:
    task = call.task
    by_async = task.isasync and _is_called_by_async(task_context, flow_context)
    future = PenstockFuture(
        call.run.name,
        call.run.id,
        call.run,
        asynchronous=by_async,
        identity=f"{call.run.task_key}:{call.run.dynamic_key}",
    )
    if runner.concurrency_type is TaskConcurrencyType.SEQUENTIAL:
        steps = begin_task_run(call)
        if by_async:
            return choosing.drive_submitted_async(steps, call, future, return_type)
        state = inline.drive(steps)
        future.set_state(state)
        if call.crash is not None:
            choosing.reraise_cancellation(call.crash, state)
        return future if return_type == "future" else future.state
    call.context = contextvars.copy_context()
    start_in_background(call, future, runner, by_async=by_async)
    if return_type == "future":
        return as_awaitable(future) if by_async else future
    return future.wait()


def start_in_background(
    call: TaskCall, future: PenstockFuture, runner: Any, *, by_async: bool
) -> None:
    """Start a submitted run: it goes on by itself, and tells its future when it is over."""
    from penstock.engine.drivers.event import Drive

    loop = None
    if call.task.isasync:
        from penstock.task_runners import loops

        loop = loops.running_loop() if by_async else loops.background_loop()
        future.loop = loop
    futures: list[PenstockFuture] = []
    if call.inputs is not None:
        futures = [one for one in call.inputs.futures if not one.done()]
        future.waits_for = tuple(futures)

    Drive(call, runner, future, loop).start(futures)


def begin_task_map(
    task: Any,
    flow_run_context: FlowRunContext,
    parameters: dict[str, Any],
    wait_for: Any,
    return_type: str,
    task_runner: Any,
    autonomous: bool = False,  # noqa: FBT001, FBT002 - the field's signature
) -> Any:
    """Run a task once for each element of its iterable parameters (3.9).

    Raises:
        MappingMissingIterable: no parameter can be iterated over.
        MappingLengthMismatch: the iterables differ in length.
        UpstreamTaskError: a whole parameter is the result of a run that did not complete.
    """
    del autonomous  # background tasks are started elsewhere; the name is the field's
    execution: Execution = flow_run_context.execution
    task_context = TaskRunContext.variable.get()
    runner = task_runner or execution.runner

    def submit_each() -> Iterator[Any]:
        children, sources = children_of(task, parameters, execution.links)
        for values in children:
            call = _make_call(task, execution, values, wait_for, task_context, sources)
            yield _submit(call, "future", runner, task_context, flow_run_context)

    if task.isasync and _is_called_by_async(task_context, flow_run_context):
        upstreams = [one for one in parameters.values() if isinstance(one, PenstockFuture)]
        return choosing.map_async(upstreams, submit_each, return_type)
    futures = list(submit_each())
    return [future.wait() for future in futures] if return_type == "state" else futures
