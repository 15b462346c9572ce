"""Where calls of tasks come in: what kind of run it is, and which driver takes it (3.8, 3.9).

Plain code that runs in the caller's thread; the runs themselves are the generators of `task_runs`.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from penstock import clock
from penstock.context import FlowRunContext, TagsContext, TaskRunContext
from penstock.engine import inputs as run_inputs
from penstock.engine.drivers import choosing, inline
from penstock.engine.execution import Execution
from penstock.engine.mapping import children_of
from penstock.engine.task_runs import begin_task_run
from penstock.engine.task_transitions import TaskCall
from penstock.futures import PenstockFuture, as_awaitable
from penstock.logging import setup_logging
from penstock.logging.printing import ensure_print_is_patched
from penstock.records import TaskRun
from penstock.rules import Facts, record
from penstock.states import State, StateType, state_result
from penstock.store import get_store
from penstock.task_runners import SequentialTaskRunner, TaskConcurrencyType
from penstock.task_runners.waiting import this_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID


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
    return choosing.through_gate(
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
                " directly, or do it in a flow. A task server that runs it in the background, for"
                " which Prefect 2 has programs enable task scheduling, is not there yet."
            )
            raise RuntimeError(message)
        return _run_autonomous(task, parameters, wait_for, return_type)
    execution: Execution = flow_context.execution
    task_context = TaskRunContext.variable.get()
    if execution.stopped is not None:
        if task.isasync and not mapped and _is_called_by_async(task_context, flow_context):
            return _refuse_when_awaited(execution)
        execution.refuse_when_stopped()
    if mapped:
        return begin_task_map(task, flow_context, parameters, wait_for, return_type, task_runner)
    call = _make_call(task, execution, parameters, wait_for, task_context)
    if task_runner is None:
        call.counts = not entering_from_task_run and task_context is None
        return _call_here(call, return_type, task_context, flow_context)
    return _submit(call, return_type, task_runner, task_context, flow_context)


async def _refuse_when_awaited(execution: Execution) -> None:
    """Raise as a call does, where async code expects it: not between two coroutines it makes."""
    execution.refuse_when_stopped()


def _make_call(
    task: Any,
    execution: Execution,
    parameters: dict[str, Any],
    wait_for: Any,
    task_context: TaskRunContext | None,
    extra_sources: dict[str, list[UUID]] | None = None,
) -> TaskCall:
    task_key, index, dynamic_key = execution.identify(task, task_context)
    inputs = run_inputs.look_at(parameters, wait_for, execution.links or None)
    if extra_sources:
        inputs = inputs or run_inputs.Inputs()
        for name, ids in extra_sources.items():
            inputs.sources.setdefault(name, []).extend(ids)
    flow_run = execution.flow_run
    run = TaskRun(
        name=f"{task.name}-{index}",
        task_key=task_key,
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
    elif parameters:
        run.task_inputs = run_inputs.from_nowhere(tuple(parameters))
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
        return choosing.named(choosing.drive_task_async(steps, call, return_type), call.task.name)
    state = inline.drive(steps)
    if call.crash is not None:
        choosing.reraise_cancellation(call.crash, state)
    return state if return_type == "state" else state_result(state)


def _run_autonomous(task: Any, parameters: dict[str, Any], wait_for: Any, return_type: str) -> Any:
    """Run a task outside of any flow: with a record, but without a flow run (10.1)."""
    setup_logging()
    execution = Execution(
        get_store(), runner=None, log_prints=choosing.log_prints(task.log_prints, None)
    )
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
        driven = choosing.drive_autonomous_async(steps, call, context, return_type)
        return choosing.named(driven, task.name)
    with context:
        state = inline.drive(steps)
    choosing.flush_logs()
    return choosing.value_of(state, return_type)


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
            driven = choosing.drive_submitted_async(steps, call, future, return_type)
            return choosing.named(driven, f"{task.name}.submit")
        state = inline.drive(steps)
        future.set_state(state)
        if call.crash is not None:
            choosing.reraise_cancellation(call.crash, state)
        return future if return_type == "future" else future.state
    call.context = contextvars.copy_context()
    start_in_background(call, future, runner, by_async=by_async)
    if return_type == "future":
        if not by_async:
            return future
        return choosing.named(as_awaitable(future), f"{task.name}.submit")
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

    drive = Drive(call, runner, future, loop)
    if loop is not None:
        future.drive = drive
    drive.start(futures)


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
        mapping = choosing.map_async(upstreams, submit_each, return_type)
        return choosing.named(mapping, f"{task.name}.map")
    futures = list(submit_each())
    return [future.wait() for future in futures] if return_type == "state" else futures
