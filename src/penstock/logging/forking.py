"""A fork in the middle of a line that another thread logs.

`logging` gives the child new locks, but the file that a handler writes to has one of its own: a
child that inherits it held waits for ever. So nobody writes to a handler while a process forks.
"""

from __future__ import annotations

import logging
import os
import sys

WAIT_S = 0.5
"""How long a fork waits at most for one handler: its thread may be waiting for what forks."""

_held: list[logging.Handler] = []


def _handlers() -> list[logging.Handler]:
    known = logging.Logger.manager.loggerDict.values()
    loggers = [logging.root, *(each for each in known if isinstance(each, logging.Logger))]
    return list(dict.fromkeys(handler for logger in loggers for handler in logger.handlers))


def _acquire(handler: logging.Handler) -> bool:
    return handler.lock is not None and handler.lock.acquire(timeout=WAIT_S)


def _before_fork() -> None:
    _held.extend(handler for handler in _handlers() if _acquire(handler))


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def hold_handlers_at_fork() -> None:
    """Have each fork of this process wait until nobody is in the middle of a line."""
    if sys.platform != "win32":
        # In the child `logging` has put new locks in place of these.
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_after_fork_in_parent,
            after_in_child=_held.clear,
        )
