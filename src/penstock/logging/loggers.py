"""The loggers of runs, and what changes them for a while; by the names that the field uses."""

from __future__ import annotations

from penstock.logging.printing import patch_print, print_as_log
from penstock.logging.run_loggers import (
    PenstockLogAdapter,
    PrefectLogAdapter,
    flow_run_logger,
    get_logger,
    get_run_logger,
    task_run_logger,
)
from penstock.logging.switching import LogEavesdropper, disable_logger, disable_run_logger

__all__ = [
    "LogEavesdropper",
    "PenstockLogAdapter",
    "PrefectLogAdapter",
    "disable_logger",
    "disable_run_logger",
    "flow_run_logger",
    "get_logger",
    "get_run_logger",
    "patch_print",
    "print_as_log",
    "task_run_logger",
]
