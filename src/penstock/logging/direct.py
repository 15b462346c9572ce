"""What the engine itself logs of runs: a short way to console and store if nobody listens in.

A record of `logging` costs 10 us, most of it to find the caller and to make an object that the
usual handlers hardly read. While logging is set up as penstock does it and nothing was added, the
same line and the same row are made without one, in 3 us; otherwise by the run's logger.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from penstock.logging.buffer import NO_FLOW_RUN
from penstock.logging.handlers import ConsoleHandler, StoreHandler, put_message
from penstock.logging.run_loggers import flow_run_logger, task_run_logger
from penstock.settings import get_current_settings

if TYPE_CHECKING:
    from penstock.records import FlowRun, TaskRun

_root = logging.getLogger()
_package = logging.getLogger("penstock")
_flow_runs = logging.getLogger("penstock.flow_runs")
_task_runs = logging.getLogger("penstock.task_runs")


def log_flow_run(run: FlowRun, level: int, message: str, flow: Any = None) -> None:
    """Log a message of the engine's for a flow run.

    Args:
        run: The flow run.
        level: The level, of the `logging` module.
        message: The text, as it is to be read.
        flow: The run's flow.
    """
    if not _flow_runs.isEnabledFor(level):
        return
    head = f"Flow run {run.name!r}"
    if not _log_directly(_flow_runs, head, run.id.bytes, None, level, message):
        flow_run_logger(run, flow).log(level, message, stacklevel=2)


def log_task_run(
    run: TaskRun,
    level: int,
    message: str,
    task: Any = None,
    flow_run: FlowRun | None = None,
    flow: Any = None,
) -> None:
    """Log a message of the engine's for a task run.

    Args:
        run: The task run.
        level: The level, of the `logging` module.
        message: The text, as it is to be read.
        task: The run's task.
        flow_run: Its flow run.
        flow: The flow of that.
    """
    if not _task_runs.isEnabledFor(level):
        return
    head = f"Task run {run.name!r}"
    flow_run_id = NO_FLOW_RUN if run.flow_run_id is None else run.flow_run_id.bytes
    if not _log_directly(_task_runs, head, flow_run_id, run.id.bytes, level, message):
        task_run_logger(run, task, flow_run, flow).log(level, message, stacklevel=2)


def _log_directly(
    logger: logging.Logger,
    head: str,
    flow_run_id: bytes,
    task_run_id: bytes | None,
    level: int,
    message: str,
) -> bool:
    """Write the line and put the row, unless somebody is to see a record; say whether."""
    console = _package.handlers[0] if len(_package.handlers) == 1 else None
    store = logger.handlers[0] if len(logger.handlers) == 1 else None
    if (
        _root.handlers
        or logger.filters
        or not logger.propagate
        or type(console) is not ConsoleHandler
        or type(store) is not StoreHandler
        or not store.is_plain()
        or (formatter := console.plain_formatter()) is None
        or logging.getLogRecordFactory() is not logging.LogRecord
    ):
        return False
    created = time.time()
    try:
        console.write(formatter.line(created, level, head, message))
    except Exception:  # noqa: BLE001 - the logger's way says what is wrong with the console
        return False
    if get_current_settings().values_by_name["PENSTOCK_LOGGING_TO_API_ENABLED"]:
        put_message(flow_run_id, task_run_id, logger.name, level, message, created)
    return True
