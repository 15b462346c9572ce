"""Where calls of flows come in: what kind of run it is, and which driver takes it (3.1).

Plain code that runs in the caller's thread; the runs themselves are the generators of `flow_runs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.context import (
    FlowRunContext,
    PenstockObjectRegistry,
    TagsContext,
    TaskRunContext,
    current_caller,
)
from penstock.engine import inputs as run_inputs
from penstock.engine.continuing import create_and_begin_subflow_run, resume_recorded_flow_run
from penstock.engine.drivers import choosing, inline
from penstock.engine.execution import Execution
from penstock.engine.flow_runs import create_then_begin_flow_run
from penstock.engine.flow_transitions import FlowCall
from penstock.engine.termination import capture_signals
from penstock.logging import get_logger, setup_logging
from penstock.records import FlowRun, FlowRunPolicy, TaskRun
from penstock.store import get_store, retention
from penstock.utilities.slugs import random_slug

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.engine.effects import Steps
    from penstock.states import State


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
    if PenstockObjectRegistry.blocks():
        setup_logging()
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
    retention.look(store)
    run = _new_flow_run(flow)
    if flow_run_id is not None:
        run.id = flow_run_id
    execution = Execution(
        store, flow=flow, flow_run=run, log_prints=choosing.log_prints(flow.log_prints, None)
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
            on_crash=None if flow.on_crash == "crash" else flow.on_crash,
            crash_hooks=bool(flow.on_crashed),
        ),
        entrypoint=flow.entrypoint,
    )


def _run_subflow(
    flow: Any,
    parameters: dict[str, Any],
    wait_for: Any,
    return_type: str,
    parent: Execution,
) -> Any:
    parent.refuse_when_stopped()
    task_context = TaskRunContext.variable.get()
    task_key, index, dynamic_key = parent.identify(flow, task_context)
    inputs = run_inputs.look_at(parameters, wait_for, parent.links or None)
    run = _new_flow_run(flow)
    assert parent.flow_run is not None
    dummy = TaskRun(
        name=f"{flow.name}-{index}",
        flow_run_id=parent.flow_run.id,
        task_key=task_key,
        dynamic_key=dynamic_key,
        task_version=flow.version,
        tags=run.tags,
        task_inputs=run_inputs.from_nowhere(tuple(parameters))
        if inputs is None
        else inputs.task_inputs(parameters),
        flow_run_run_count=parent.flow_run.run_count,
    )
    execution = Execution(
        parent.store,
        flow=flow,
        flow_run=run,
        parent=parent,
        log_prints=choosing.log_prints(flow.log_prints, parent),
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
        RuntimeError: it is paused and waits for input.
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
    from penstock.client.responding import refuse_without_input  # who resumes alone needs it

    refuse_without_input(store, run)
    execution = Execution(
        store, flow=flow, flow_run=run, log_prints=choosing.log_prints(flow.log_prints, None)
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
            driven = choosing.drive_flow_async(steps, return_type, is_root=is_root)
            return choosing.named(driven, flow.name)
        from penstock.task_runners import loops

        return choosing.through_gate(
            lambda: loops.run_in_own_loop(
                lambda: choosing.drive_flow_async(steps, return_type, is_root=False)
            )
        )
    if not is_root:
        return choosing.through_gate(lambda: choosing.value_of(inline.drive(steps), return_type))
    with capture_signals():
        try:
            state = choosing.through_gate(lambda: inline.drive(steps))
        except BaseException as error:
            choosing.flush_last_words()
            choosing.reraise_pause(error)
            raise
        choosing.flush_logs()
    return choosing.value_of(state, return_type)
