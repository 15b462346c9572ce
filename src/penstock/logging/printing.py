"""Prints as logs: what a run with `log_prints` prints goes through its run logger.

`print` is replaced once for the process, by a function that looks at the run it is called in:
the context says whether that run's prints are logged, so runs beside it are not disturbed.
Code that is in no recorded run says itself by which logger: `prints_logged_by`.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from penstock.context import FlowRunContext, TaskRunContext
from penstock.logging.run_loggers import get_run_logger

if TYPE_CHECKING:
    import logging
    from collections.abc import Generator

_lock = threading.RLock()
_inside = threading.local()
_original = builtins.print
_patched_for_good = False
_patches_open = 0
_given: ContextVar[tuple[logging.Logger, object] | None] = ContextVar("prints", default=None)
"""The logger that prints go to, and the innermost run for whose code that was said."""


def print_as_log(
    *args: object,
    sep: str | None = " ",
    end: str | None = "\n",
    file: Any = None,
    flush: bool = False,
) -> None:
    """Log what is printed, if the run that the caller is in has its prints logged; else print it.

    Args:
        *args: As for `print`.
        sep: As for `print`.
        end: As for `print`.
        file: As for `print`; what is meant for another than a standard stream is printed.
        flush: As for `print`; for a log it means nothing.
    """
    context = TaskRunContext.variable.get() or FlowRunContext.variable.get()
    logger = None if context is not None and context.log_prints else _given_logger(context)
    if (
        (logger is None and (context is None or not context.log_prints))
        # Who says by which logger (`prints_logged_by`) says it of stdout.
        or not (file in (None, sys.stdout) or (file is sys.stderr and logger is None))
        # A log handler may print: that is no print of the run's.
        or getattr(_inside, "logging", False)
    ):
        _original(*args, sep=sep, end=end, file=file, flush=flush)
        return
    text = (" " if sep is None else sep).join(map(str, args)) + (end or "")
    _inside.logging = True
    try:
        if logger is None:
            get_run_logger(context).info(text.rstrip(), stacklevel=2)
        elif not text.isspace():
            logger.info("%s", text.rstrip(), stacklevel=2)
    finally:
        _inside.logging = False


def _given_logger(context: object) -> logging.Logger | None:
    given = _given.get()
    return given[0] if given is not None and given[1] is context else None


@contextmanager
def prints_logged_by(logger: logging.Logger) -> Generator[None]:
    """Have what the block prints logged by `logger`, where no run logs it that logs its prints.

    What is printed to stderr is left there.

    `print` has to be replaced: see `ensure_print_is_patched`. Runs that begin in the block log
    their prints as they do elsewhere. Blank prints are left out.

    Args:
        logger: What logs each print, at INFO.
    """
    context = TaskRunContext.variable.get() or FlowRunContext.variable.get()
    token = _given.set((logger, context))
    try:
        yield
    finally:
        _given.reset(token)


def ensure_print_is_patched() -> None:
    """Replace `print` for the rest of the process; later calls do nothing."""
    global _patched_for_good  # noqa: PLW0603 - there is one `print`
    if _patched_for_good:
        return
    with _lock:
        _patched_for_good = True
        _install()


@contextmanager
def patch_print() -> Generator[None]:
    """Replace `print` while the block lasts, so that runs in it that log their prints can.

    It stays replaced while another block is open, or where a run has asked for it.
    """
    global _patches_open  # noqa: PLW0603 - there is one `print`
    with _lock:
        _patches_open += 1
        _install()
    try:
        yield
    finally:
        with _lock:
            _patches_open -= 1
            if not _patches_open and not _patched_for_good and builtins.print is print_as_log:
                builtins.print = _original


def _install() -> None:
    global _original  # noqa: PLW0603 - there is one `print`
    if builtins.print is not print_as_log:
        _original = builtins.print
        builtins.print = print_as_log


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent may have held it
    _lock = threading.RLock()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_renew_lock)
