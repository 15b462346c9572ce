"""The task run that this code belongs to; every attribute is worked out when it is read.

Example:
    >>> from penstock.runtime import task_run
    >>> task_run.run_count
    0
"""

from __future__ import annotations

from typing import Any

from penstock.context import TaskRunContext
from penstock.runtime import _reading

__all__ = ["id", "name", "parameters", "run_count", "tags", "task_name"]

# Their values are given by `__getattr__`; these lines are for readers and type checkers.
id: str | None  # noqa: A001 - the field's name for it
name: str | None
task_name: str | None
tags: list[str]
parameters: dict[str, Any]
run_count: int


def _id() -> str | None:
    context = TaskRunContext.get()
    return None if context is None else str(context.task_run.id)


def _name() -> str | None:
    context = TaskRunContext.get()
    return None if context is None else context.task_run.name


def _task_name() -> str | None:
    context = TaskRunContext.get()
    return None if context is None else context.task.name


def _tags() -> list[str]:
    context = TaskRunContext.get()
    return [] if context is None else list(context.task_run.tags)


def _parameters() -> dict[str, Any]:
    context = TaskRunContext.get()
    return {} if context is None else dict(context.parameters)


def _run_count() -> int:
    context = TaskRunContext.get()
    return 0 if context is None else context.task_run.run_count


_FIELDS = {
    "id": _id,
    "name": _name,
    "task_name": _task_name,
    "tags": _tags,
    "parameters": _parameters,
    "run_count": _run_count,
}


def __getattr__(name: str) -> Any:
    return _reading.read_attribute(__name__, name, _FIELDS)


def __dir__() -> list[str]:
    return sorted(__all__)
