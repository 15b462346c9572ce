"""The flow that a recorded run is one of, loaded again."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from penstock.exceptions import MissingFlowError
from penstock.loading import flows_in, load_flow_from_entrypoint

if TYPE_CHECKING:
    from penstock.records import FlowRun


def load_flow_of_run(run: FlowRun, place: str | None = None) -> Any:
    """Give the flow that a recorded run is one of, as it is in its file now.

    Parameters:
        run: the run.
        place: where the flow is now, if it has moved: `path.py`, `path.py:name`, or
            `package.module:name`. Without a name it has the one that is recorded.

    Raises:
        MissingFlowError: it cannot be told where the flow is, or it is not there any more.
        ScriptError: its file could not be imported.
    """
    in_python = f'In Python, call `.resume("{run.id}")` of the flow.'
    entrypoint = run.entrypoint if place is None else _entrypoint_at(place, run)
    if entrypoint is None:
        message = (
            f"It is not recorded which file has flow {run.flow_name!r}: the run was begun in an"
            f" interactive session, or the flow is made inside a function.\n{in_python}"
        )
        raise MissingFlowError(message)
    try:
        flow = load_flow_from_entrypoint(entrypoint)
    except FileNotFoundError as error:
        if place is not None:
            raise
        message = (
            f"The file of flow {run.flow_name!r} is gone: {entrypoint.rpartition(':')[0]!r}. Say"
            f" where it is now: `penstock flow-run resume {run.id} --flow PATH`. {in_python}"
        )
        raise MissingFlowError(message) from error
    except MissingFlowError as error:
        if place is not None:
            raise
        message = (
            f"Flow {run.flow_name!r} is not at {entrypoint!r} any more. Say where it is now:"
            f" `penstock flow-run resume {run.id} --flow PATH:NAME`. {in_python}"
        )
        raise MissingFlowError(message) from error
    if flow.name == run.flow_name:
        return flow
    # The run may be one of a variant that `with_options` made, beside the flow itself.
    module = sys.modules.get(flow.module_name)
    for other in [] if module is None else flows_in(module):
        if other.name == run.flow_name:
            return other
    message = (
        f"The flow at {entrypoint!r} is named {flow.name!r} now, and the run is one of flow"
        f" {run.flow_name!r}. Give it its former name. {in_python}"
    )
    raise MissingFlowError(message)


def _entrypoint_at(place: str, run: FlowRun) -> str:
    """Give the entrypoint of a run's flow that is at another place now."""
    is_file = place.endswith(".py") or ".py:" in place
    if not is_file and ":" in place:
        return place.replace(":", ".")
    if ":" in place:
        return place
    name = re.split(r"[:.]", run.entrypoint)[-1] if run.entrypoint else run.flow_name
    return f"{place}:{name}" if is_file else f"{place}.{name}"
