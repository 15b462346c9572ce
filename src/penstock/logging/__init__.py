"""Logs of runs: loggers for them, how they are set up, and the buffer on their way to the store.

Reading this room: `run_loggers` makes loggers, `printing` logs prints, `switching` turns loggers
off; `configuration` sets up `handlers` (to the console, to the `buffer`) and `formatters`.
"""

from __future__ import annotations

from penstock.logging.buffer import drain, give_back, on_overflow, pending, put_rows
from penstock.logging.configuration import setup_logging
from penstock.logging.direct import log_flow_run, log_task_run
from penstock.logging.forking import hold_handlers_at_fork
from penstock.logging.printing import ensure_print_is_patched
from penstock.logging.run_loggers import get_logger, get_run_logger
from penstock.logging.switching import LogEavesdropper, disable_run_logger
from penstock.utilities.lazy import lazy_names

__all__ = [
    "LogEavesdropper",
    "disable_run_logger",
    "drain",
    "ensure_print_is_patched",
    "get_logger",
    "get_run_logger",
    "give_back",
    "log_flow_run",
    "log_task_run",
    "on_overflow",
    "pending",
    "put_rows",
    "setup_logging",
]

hold_handlers_at_fork()

__getattr__ = lazy_names(__name__, {}, ("loggers",))
