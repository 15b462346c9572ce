"""What the entry points need of the drivers, and of the process they are in.

The async ones are coroutines; asyncio itself is imported by the first of them.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from penstock import logging as run_logging
from penstock.exceptions import Pause
from penstock.logging.printing import ensure_print_is_patched
from penstock.settings import get_current_settings
from penstock.states import State, state_result
from penstock.store import get_store
from penstock.store import statements as sql
from penstock.task_runners.waiting import this_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from penstock.context import FlowRunContext
    from penstock.engine.effects import Steps
    from penstock.engine.execution import Execution
    from penstock.engine.task_transitions import TaskCall
    from penstock.futures import PenstockFuture

_LOGS_PER_COMMIT = 500
_logger = logging.getLogger("penstock.engine")


def log_prints(own: bool | None, parent: Execution | None) -> bool:  # noqa: FBT001
    """Tell whether prints of a run are logged, by its own option, its parent's or the setting."""
    inherited: bool = (
        get_current_settings().logging_log_prints if parent is None else parent.log_prints
    )
    is_logged = inherited if own is None else own
    if is_logged:
        ensure_print_is_patched()
    return is_logged


def flush_logs() -> None:
    """Write every log record that waits: a root run is about to return."""
    while run_logging.pending():
        logs = run_logging.drain(_LOGS_PER_COMMIT)
        try:
            get_store().commit([(sql.INSERT_LOG, log) for log in logs])
        except BaseException:
            run_logging.give_back(logs)
            raise


def flush_last_words() -> None:
    """Write the log records of a root run that ends with an exception, which is what is raised."""
    try:
        flush_logs()
    except Exception as error:  # noqa: BLE001 - said, and nothing more: the exception matters more
        _logger.warning("The last log records of a run could not be written: %s", error)


def reraise_pause(error: BaseException) -> None:
    """Raise a pause again, if it is one: it is no mistake, and a script need not show its ways."""
    if isinstance(error, Pause):
        # Here, as few flows rest.
        from penstock.utilities.tracebacks import without_own_frames

        raise error.with_traceback(without_own_frames(error.__traceback__)) from None


def reraise_cancellation(crash: BaseException, state: State) -> None:
    """Raise what is to unwind the caller's code, too: it was cancelled with the run."""
    if not state.is_crashed():
        raise crash
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(crash, asyncio.CancelledError):
        raise crash
    interrupts = sys.modules.get("penstock.task_runners.interrupts")
    if interrupts is not None and isinstance(crash, interrupts.Interrupted):
        raise crash


def through_gate(work: Callable[[], Any]) -> Any:
    """Run the engine's code so that a deadline of this thread does not interrupt it."""
    gate = this_thread.gate
    if gate is None:
        return work()
    gate.enter_engine()
    try:
        return work()
    finally:
        gate.leave_engine()


def value_of(state: State, return_type: str) -> Any:
    """Give what a call returns: the state, or the value that it stands for."""
    return state if return_type == "state" else state_result(state)


def named(coroutine: Coroutine[Any, Any, Any], name: str) -> Coroutine[Any, Any, Any]:
    """Have Python's warning about a coroutine that nobody awaits say what was called."""
    coroutine.__qualname__ = name
    return coroutine


async def drive_flow_async(steps: Steps[State], return_type: str, *, is_root: bool) -> Any:
    """Run an async flow on the running loop."""
    from penstock.engine.drivers import asynchronous
    from penstock.engine.termination import capture_signals

    if not is_root:
        return value_of(await asynchronous.drive(steps), return_type)
    with capture_signals():
        try:
            state = await asynchronous.drive(steps)
        except BaseException as error:
            flush_last_words()
            reraise_pause(error)
            raise
        flush_logs()
    return value_of(state, return_type)


async def drive_task_async(steps: Steps[State], call: TaskCall, return_type: str) -> Any:
    """Run an async task on the running loop."""
    from penstock.engine.drivers import asynchronous

    state = await asynchronous.drive(steps)
    if call.crash is not None:
        reraise_cancellation(call.crash, state)
    return value_of(state, return_type)


async def drive_autonomous_async(
    steps: Steps[State], call: TaskCall, context: FlowRunContext, return_type: str
) -> Any:
    """Run an async task outside of a flow on the running loop."""
    with context:
        value = await drive_task_async(steps, call, return_type)
    flush_logs()
    return value


async def drive_submitted_async(
    steps: Steps[State], call: TaskCall, future: PenstockFuture, return_type: str
) -> Any:
    """Run an async task that was submitted to a runner that runs one after the other."""
    future.set_state(await drive_task_async(steps, call, "state"))
    return future if return_type == "future" else future.state


async def map_async(
    upstreams: list[PenstockFuture], submit_each: Callable[[], Iterator[Any]], return_type: str
) -> list[Any]:
    """Submit the children of an async task's map, in order, when what is mapped over is there."""
    from penstock.task_runners import loops

    for upstream in upstreams:
        if not upstream.done():
            await loops.wait_for_done(upstream)
    futures = [await submitted for submitted in submit_each()]
    if return_type == "state":
        return [await future.wait() for future in futures]
    return futures
