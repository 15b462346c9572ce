"""The flow run that this code belongs to; every attribute is worked out when it is read.

Example:
    >>> from penstock.runtime import flow_run
    >>> flow_run.tags
    []
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.context import FlowRunContext
from penstock.runtime import _reading
from penstock.settings import PENSTOCK_API_URL, PENSTOCK_UI_URL

if TYPE_CHECKING:
    from datetime import datetime

    from penstock.records import FlowRun

__all__ = [
    "api_url",
    "flow_name",
    "flow_version",
    "id",
    "name",
    "parameters",
    "parent_deployment_id",
    "parent_flow_run_id",
    "run_count",
    "scheduled_start_time",
    "tags",
    "ui_url",
]

# Their values are given by `__getattr__`; these lines are for readers and type checkers.
id: str | None  # noqa: A001 - the field's name for it
name: str | None
flow_name: str | None
flow_version: str | None
tags: list[str]
run_count: int
scheduled_start_time: datetime
parameters: dict[str, Any]
parent_flow_run_id: str | None
parent_deployment_id: str | None
api_url: str | None
ui_url: str | None


def _id() -> str | None:
    run_id = _reading.flow_run_id()
    return None if run_id is None else str(run_id)


def _name() -> str | None:
    run = _reading.flow_run()
    return None if run is None else run.name


def _flow_name() -> str | None:
    context = FlowRunContext.get()
    if context is not None and context.flow is not None:
        return context.flow.name
    run = _reading.flow_run()
    return None if run is None else run.flow_name


def _flow_version() -> str | None:
    run = _reading.flow_run()
    return None if run is None else run.flow_version


def _tags() -> list[str]:
    run = _reading.flow_run()
    return [] if run is None else list(run.tags)


def _run_count() -> int:
    run = _reading.flow_run()
    return 0 if run is None else run.run_count


def _scheduled_start_time() -> datetime:
    run = _reading.flow_run()
    expected = None if run is None else run.expected_start_time
    return clock.now() if expected is None else expected


def _parameters() -> dict[str, Any]:
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        return dict(context.parameters)
    run = _reading.flow_run()
    return {} if run is None else dict(run.parameters)


def _parent() -> FlowRun | None:
    """Give the flow run that the subflow run was called in."""
    context = FlowRunContext.get()
    execution = None if context is None else context.execution
    parent = None if execution is None else execution.parent
    if parent is not None:
        return parent.flow_run
    run = _reading.flow_run()
    if run is None or run.parent_task_run_id is None:
        return None
    parent_id = _reading.stored_task_run(run.parent_task_run_id).flow_run_id
    return None if parent_id is None else _reading.stored_flow_run(parent_id)


def _parent_flow_run_id() -> str | None:
    parent = _parent()
    return None if parent is None else str(parent.id)


def _parent_deployment_id() -> str | None:
    parent = _parent()
    return None if parent is None or parent.deployment_id is None else str(parent.deployment_id)


def _api_url() -> str | None:
    run_id, base = _id(), PENSTOCK_API_URL.value()
    return None if run_id is None or not base else f"{base.rstrip('/')}/flow_runs/{run_id}"


def _ui_url() -> str | None:
    run_id, base = _id(), PENSTOCK_UI_URL.value()
    return (
        None if run_id is None or not base else f"{base.rstrip('/')}/flow-runs/flow-run/{run_id}"
    )


_FIELDS = {
    "id": _id,
    "name": _name,
    "flow_name": _flow_name,
    "flow_version": _flow_version,
    "tags": _tags,
    "run_count": _run_count,
    "scheduled_start_time": _scheduled_start_time,
    "parameters": _parameters,
    "parent_flow_run_id": _parent_flow_run_id,
    "parent_deployment_id": _parent_deployment_id,
    "api_url": _api_url,
    "ui_url": _ui_url,
}


def __getattr__(name: str) -> Any:
    return _reading.read_attribute(__name__, name, _FIELDS)


def __dir__() -> list[str]:
    return sorted(__all__)
