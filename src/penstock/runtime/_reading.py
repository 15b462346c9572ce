"""How the modules of this room answer: by the environment's mocks, by contexts, by the store."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.context import FlowRunContext, TaskRunContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.records import FlowRun, TaskRun


def read_attribute(module: str, name: str, fields: Mapping[str, Callable[[], Any]]) -> Any:
    """Give the present value of an attribute.

    Args:
        module: The full name of the module that is asked.
        name: The attribute.
        fields: What works out each attribute of the module.

    Raises:
        AttributeError: There is no such attribute, and no mock of one.
        ValueError: A mock cannot be turned into the type of the real value.
    """
    if not name.startswith("_"):
        field = fields.get(name)
        part = module.rpartition(".")[2]
        variable = f"PENSTOCK__RUNTIME__{part.upper()}__{name.upper()}"
        mock = os.environ.get(variable)
        if mock is not None:
            return _cast(variable, mock, None if field is None else field())
        if field is not None:
            return field()
    message = f"module {module!r} has no attribute {name!r}; it has {', '.join(sorted(fields))}"
    raise AttributeError(message)


def _cast(variable: str, text: str, real: object) -> object:
    """Turn a mock's text into the type of the real value; text where that is none."""
    try:
        if real is None or isinstance(real, str):
            return text
        if isinstance(real, bool):
            return text.lower() == "true"
        if isinstance(real, (int, float)):
            return type(real)(text)
        if isinstance(real, datetime):
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except ValueError:
        expected = type(real).__name__
        message = f"{variable} is {text!r}, but the attribute it stands for is of type {expected}."
        raise ValueError(message) from None
    message = (
        f"{variable} cannot stand for an attribute of type {type(real).__name__}: only text,"
        " numbers, true or false and times can be given by a variable."
    )
    raise ValueError(message)


def flow_run_id() -> UUID | None:
    """Give the id of the flow run that this code, or this process, belongs to.

    Raises:
        ValueError: `PENSTOCK__FLOW_RUN_ID` is no id.
    """
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        return context.flow_run.id
    task_context = TaskRunContext.get()
    if task_context is not None:
        return task_context.task_run.flow_run_id
    given = os.environ.get("PENSTOCK__FLOW_RUN_ID")
    if not given:
        return None
    try:
        return UUID(given)
    except ValueError:
        message = f"PENSTOCK__FLOW_RUN_ID in the environment is {given!r}, which is no run's id."
        raise ValueError(message) from None


def flow_run() -> FlowRun | None:
    """Give the record of that flow run: of the context, else from the store."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        return context.flow_run
    run_id = flow_run_id()
    return None if run_id is None else stored_flow_run(run_id)


def stored_flow_run(run_id: UUID) -> FlowRun:
    """Read a flow run from the store."""
    from penstock.client import get_client  # only who asks from outside needs a client

    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id)


def stored_task_run(run_id: UUID) -> TaskRun:
    """Read a task run from the store."""
    from penstock.client import get_client  # only who asks from outside needs a client

    with get_client(sync_client=True) as client:
        return client.read_task_run(run_id)
