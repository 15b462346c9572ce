"""`python -m penstock.services.crash_hooks ID`: call the `on_crashed` hooks of a run's flow.

It is begun for a run that was found Crashed, whose own process could not call them. In a process
of its own, so that the file of the flow, and what the hooks do, cannot harm whoever found the run.
"""

from __future__ import annotations

import sys
from typing import Any
from uuid import UUID

from penstock.engine.drivers import choosing, inline
from penstock.engine.execution import Execution
from penstock.engine.flow_transitions import FlowCall, run_hooks
from penstock.exceptions import MissingFlowError, ScriptError
from penstock.loading_runs import load_flow_of_run
from penstock.logging import get_logger, setup_logging
from penstock.logging.loggers import flow_run_logger
from penstock.store import get_store


def call_crash_hooks(flow_run_id: UUID) -> bool:
    """Call the hooks that a flow has for its crashed runs, for one of these.

    A flow that cannot be loaded is said in the run's log.

    Parameters:
        flow_run_id: the run.

    Returns:
        Whether the flow could be loaded.

    Raises:
        ObjectNotFound: there is no such run.
    """
    store = get_store()
    run = store.read_flow_run(flow_run_id)
    state = run.state
    if state is None or not state.is_crashed():
        return True  # gone on with meanwhile
    try:
        flow: Any = load_flow_of_run(run)
    except (MissingFlowError, ScriptError) as error:
        logger = flow_run_logger(run)
        logger.error("The on_crashed hooks of the flow are not called: %s", error)  # noqa: TRY400
        choosing.flush_logs()
        return False
    execution = Execution(store, flow=flow, flow_run=run)
    call = FlowCall(flow, run, execution, {})
    inline.drive(run_hooks(call, state))
    choosing.flush_logs()
    return True


def main(arguments: list[str]) -> int:
    """Call the hooks of the run that is named, and give the exit code."""
    setup_logging()
    try:
        return 0 if call_crash_hooks(UUID(arguments[0])) else 1
    except Exception as error:  # noqa: BLE001 - said in a line, and by the exit code
        get_logger("services").error("on_crashed hooks were not called: %s", error)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
