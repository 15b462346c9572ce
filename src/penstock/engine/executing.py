"""A process that is started for a flow run that is recorded already (sections 3.2 and 3.5).

What is executed is the flow as its file has it now, with the recorded parameters; task runs that
have completed are not executed again.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import msgspec

from penstock.exceptions import CancelledRun, PausedRun
from penstock.store import get_store

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.records import FlowRun
    from penstock.states import State

FLOW_RUN_ID = "PENSTOCK__FLOW_RUN_ID"
FLOW_ENTRYPOINT = "PENSTOCK__FLOW_ENTRYPOINT"


def enter_flow_run_engine_from_subprocess(flow_run_id: UUID) -> State:
    """Execute a recorded flow run in this process, which was started for it (3.2).

    Parameters:
        flow_run_id: the run's id.

    Returns:
        The state in which the run ended, or rests.

    Raises:
        ObjectNotFound: there is no such run.
        MissingFlowError, ScriptError: its flow cannot be loaded. The run stays as it is.
        PausedRun: it is paused, and has to be resumed first.
        CancelledRun: it was cancelled.
        RunOwnedElsewhere: a living process executes it.
        Pause: the run suspended itself.
        Abort: another process has taken it over.
    """
    made = retrieve_flow_then_begin_flow_run(flow_run_id)
    if isinstance(made, Coroutine):
        import asyncio  # an asynchronous flow alone needs it

        made = asyncio.run(cast("Coroutine[Any, Any, State]", made))
    return made


def retrieve_flow_then_begin_flow_run(flow_run_id: UUID) -> Any:
    """Load the flow of a recorded run, and execute the run (3.5).

    Parameters, answer and errors are those of `enter_flow_run_engine_from_subprocess`, but for an
    asynchronous flow this is a coroutine.
    """
    run = get_store().read_flow_run(flow_run_id)
    refuse_to_execute(run)
    entrypoint = os.environ.get(FLOW_ENTRYPOINT)
    if entrypoint:
        run = msgspec.structs.replace(run, entrypoint=entrypoint)
    # It knows flows, which are above this room; the process that was started is above all.
    loading = import_module("penstock.loading_runs")
    flow = loading.load_flow_of_run(run)
    # A graph's `resume` always gives the state.
    return flow.resume(run.id) if flow.is_graph else flow.resume(run.id, return_state=True)


def refuse_to_execute(run: FlowRun) -> None:
    """Raise if a run is not to be executed: it waits for somebody, or was cancelled.

    Raises:
        PausedRun, CancelledRun: just that.
    """
    title = f"Flow run {run.name!r} ({run.id})"
    state = run.state
    if state is not None and state.is_paused():
        raise PausedRun(
            f"{title} is {state.name} and waits to be resumed first: `penstock flow-run resume"
            f" {run.id}` does that and executes it, `resume_flow_run` in Python lets it be"
            " executed.",
            state=state,
        )
    if state is not None and state.is_cancelled():
        raise CancelledRun(f"{title} was cancelled, which is final. Run its flow anew.")
