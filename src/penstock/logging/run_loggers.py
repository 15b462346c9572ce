"""Loggers of the package, of flow runs and of task runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from penstock.context import FlowRunContext, TaskRunContext
from penstock.exceptions import MissingContextError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from penstock.records import FlowRun, TaskRun

    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter

_UNKNOWN = "<unknown>"
_package = logging.getLogger("penstock")
_flow_runs = logging.getLogger("penstock.flow_runs")
_task_runs = logging.getLogger("penstock.task_runs")
_null = logging.getLogger("penstock.null")
_null.disabled = True
_null.propagate = False


class PenstockLogAdapter(_Adapter):
    """A logger whose records say which run they belong to.

    What a call gives as `extra` is added to that, and not put in its place.
    """

    def debug(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log at DEBUG; below the logger's level this costs a look-up."""
        if self.logger.isEnabledFor(logging.DEBUG):
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
            self.log(logging.DEBUG, msg, *args, **kwargs)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log at INFO; below the logger's level this costs a look-up."""
        if self.logger.isEnabledFor(logging.INFO):
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
            self.log(logging.INFO, msg, *args, **kwargs)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the run's fields to those of the call."""
        given = kwargs.get("extra")
        kwargs["extra"] = {**(self.extra or {}), **given} if given else self.extra
        return msg, kwargs

    def getChild(  # noqa: N802 - the name that loggers have for it
        self, suffix: str, extra: Mapping[str, Any] | None = None
    ) -> PenstockLogAdapter:
        """Give a logger one level down that belongs to the same run.

        Args:
            suffix: The last part of its name.
            extra: Fields that its records have besides.
        """
        return PenstockLogAdapter(
            self.logger.getChild(suffix), {**(self.extra or {}), **(extra or {})}
        )


PrefectLogAdapter = PenstockLogAdapter
"""The name that programs made for Prefect use."""


def get_logger(name: str | None = None) -> logging.Logger:
    """Give a logger under penstock's own. Its records go to the console, and not to a run's log.

    Args:
        name: Its name under `penstock`; None means that one itself.

    Example:
        >>> get_logger("my_library").name
        'penstock.my_library'
    """
    if name is None or name == "penstock":
        return _package
    return logging.getLogger(name if name.startswith("penstock.") else f"penstock.{name}")


def get_run_logger(
    context: FlowRunContext | TaskRunContext | None = None, **extra: Any
) -> PenstockLogAdapter | logging.Logger:
    """Give the logger of the task run that the calling code is in, else of its flow run.

    Args:
        context: The context of the run to log for; None means the present one.
        **extra: Further fields for each record.

    Returns:
        The run's logger; one that does nothing while both run loggers are disabled.

    Raises:
        MissingContextError: The code is in no run.
        TypeError: `context` is not the context of a run.

    Example:
        >>> from penstock import flow
        >>> @flow
        ... def greet():
        ...     get_run_logger().info("Hello")
    """
    if context is None:
        context = TaskRunContext.variable.get() or FlowRunContext.variable.get()
    elif not isinstance(context, (FlowRunContext, TaskRunContext)):  # pyright: ignore[reportUnnecessaryIsInstance]
        message = (
            f"Received unexpected type {type(context).__name__!r} for context. Give a"
            " FlowRunContext or a TaskRunContext, or nothing for the run that the code is in."
        )
        raise TypeError(message)
    if _flow_runs.disabled and _task_runs.disabled:
        return _null
    if isinstance(context, TaskRunContext):
        return task_run_logger(context.task_run, context.task, **extra)
    if context is not None and context.flow_run is not None:
        return flow_run_logger(context.flow_run, context.flow, **extra)
    message = (
        "There is no active flow or task run context: this is neither inside a flow run nor a task"
        " run. Call get_run_logger() in a function decorated with @flow or @task, use"
        " penstock.logging.get_logger() elsewhere, or disable_run_logger() in a unit test."
    )
    raise MissingContextError(message)


def flow_run_logger(flow_run: FlowRun, flow: Any = None, **kwargs: Any) -> PenstockLogAdapter:
    """Give the logger of a flow run.

    Args:
        flow_run: The flow run.
        flow: Its flow; without it the name comes from the record.
        **kwargs: Further fields for each record.
    """
    return PenstockLogAdapter(
        _flow_runs,
        {
            "flow_run_name": flow_run.name,
            "flow_run_id": str(flow_run.id),
            "flow_name": flow.name if flow is not None else flow_run.flow_name or _UNKNOWN,
            **kwargs,
        },
    )


def task_run_logger(
    task_run: TaskRun,
    task: Any = None,
    flow_run: FlowRun | None = None,
    flow: Any = None,
    **kwargs: Any,
) -> PenstockLogAdapter:
    """Give the logger of a task run.

    Args:
        task_run: The task run.
        task: Its task; without it the name comes from the record's key.
        flow_run: Its flow run; without it, the one of the present context.
        flow: Its flow; without it, the one of the present context.
        **kwargs: Further fields for each record.
    """
    if flow_run is None or flow is None:
        context = FlowRunContext.variable.get()
        if context is not None:
            flow_run = flow_run or context.flow_run
            flow = flow or context.flow
    flow_name = flow.name if flow is not None else flow_run.flow_name if flow_run else ""
    flow_run_id = task_run.flow_run_id
    return PenstockLogAdapter(
        _task_runs,
        {
            "task_run_id": str(task_run.id),
            "flow_run_id": None if flow_run_id is None else str(flow_run_id),
            "task_run_name": task_run.name,
            "task_name": task.name if task is not None else task_run.task_key or _UNKNOWN,
            "flow_run_name": flow_run.name if flow_run is not None else _UNKNOWN,
            "flow_name": flow_name or _UNKNOWN,
            **kwargs,
        },
    )
