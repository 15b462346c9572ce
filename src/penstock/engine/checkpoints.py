"""`checkpoint`: a flow's own code takes note of what was asked of its run (section 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.context import FlowRunContext, TaskRunContext
from penstock.engine.drivers import choosing, inline
from penstock.engine.effects import Read
from penstock.engine.heartbeat import heed_requests
from penstock.engine.resting import leave, never_resumed, suspended_as_asked, wait_for_resume

if TYPE_CHECKING:
    from penstock.engine.effects import Steps
    from penstock.engine.execution import Execution
    from penstock.engine.flow_transitions import FlowCall


def checkpoint() -> Any:
    """Do here what somebody may have asked of this flow run: pause, suspend, or cancel it.

    Otherwise it is done when the run's next task or subflow wants to begin. Call it where a flow
    computes for long by itself. It costs about as much as reading a row of the store.

    In the code of a task it does nothing, nor outside of runs, so that a function may call it
    that is used there, too.

    Returns:
        Nothing, when the run may go on: at once, or when it has been resumed; in async code an
        awaitable.

    Raises:
        Pause: the run was asked to leave its process, and has. It is no `Exception`: let it
            through.
        FlowPauseTimeout: it was asked to pause, and nobody resumed it in time.
        Abort: it was cancelled, or another process has it now.

    Example:
        >>> @flow
        ... def walks(files):
        ...     for file in files:
        ...         checkpoint()  # penstock flow-run suspend ID
        ...         read(file)
    """
    context = FlowRunContext.variable.get()
    if context is None or context.flow is None or TaskRunContext.variable.get() is not None:
        return None
    steps = _take_note(context)
    if context.flow.isasync:
        return _drive_async(steps)
    choosing.through_gate(lambda: inline.drive(steps))
    return None


async def _drive_async(steps: Steps[None]) -> None:
    from penstock.engine.drivers import asynchronous

    await asynchronous.drive(steps)


def _take_note(context: FlowRunContext) -> Steps[None]:
    if context.is_over or context.execution is None:  # a hook, or a context that a test made
        return
    execution: Execution = context.execution
    call: FlowCall | None = execution.call
    if call is None:
        return
    yield Read(lambda: heed_requests(execution))
    execution.refuse_when_stopped()
    if (yield from wait_for_resume(execution)):
        return
    suspended = suspended_as_asked(call)
    if suspended is not None:
        yield from leave(call, suspended)
    elif call.run.state is not None and call.run.state.is_paused():
        raise never_resumed(call, call.run.state)
