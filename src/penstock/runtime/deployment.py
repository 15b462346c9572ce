"""The deployment that made the flow run this code belongs to; empty for a flow that was called.

Example:
    >>> from penstock.runtime import deployment
    >>> deployment.parameters
    {}
"""

from __future__ import annotations

from typing import Any

from penstock.runtime import _reading

__all__ = ["flow_run_id", "id", "name", "parameters", "version"]

# Their values are given by `__getattr__`; these lines are for readers and type checkers.
id: str | None  # noqa: A001 - the field's name for it
name: str | None
version: str | None
flow_run_id: str | None
parameters: dict[str, Any]


def _id() -> str | None:
    run = _reading.flow_run()
    return None if run is None or run.deployment_id is None else str(run.deployment_id)


def _nothing() -> None:
    """Give none: no record of a deployment says it."""


def _flow_run_id() -> str | None:
    run_id = _reading.flow_run_id()
    return None if run_id is None else str(run_id)


def _parameters() -> dict[str, Any]:
    # The record has what the run was given; the function's defaults are in the context only.
    run = _reading.flow_run()
    return {} if run is None else dict(run.parameters)


_FIELDS = {
    "id": _id,
    "name": _nothing,
    "version": _nothing,
    "flow_run_id": _flow_run_id,
    "parameters": _parameters,
}


def __getattr__(name: str) -> Any:
    return _reading.read_attribute(__name__, name, _FIELDS)


def __dir__() -> list[str]:
    return sorted(__all__)
