"""What logs say of states and calls, and what more they say in `PENSTOCK_DEBUG_MODE`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from penstock.futures import call_repr

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.settings import Settings
    from penstock.states import State
    from penstock.task_runners import Call

LIMIT = 2000
"""The most characters of a representation that are logged: a value may be of any size."""


def state_for_log(state: State, settings: Settings) -> str:
    """Give a state as logs show it; in debug mode with its type and its result."""
    return _limited(lambda: repr(state), str(state)) if settings.debug_mode else str(state)


def log_call(logger: Any, call: Call) -> None:
    """Log the call of a run's function with its arguments: done in debug mode only."""
    if logger.isEnabledFor(logging.DEBUG):
        fallback = f"{getattr(call.fn, '__name__', call.name)}(...)"
        text = _limited(lambda: call_repr(call.fn, *call.args, **call.kwargs), fallback)
        logger.debug("Executing %s", text)


def _limited(make: Callable[[], str], fallback: str) -> str:
    try:
        text = make()
    except Exception as error:  # noqa: BLE001 - a user's __repr__: no reason for a run to fail
        return f"{fallback} (its representation fails: {type(error).__name__})"
    return text if len(text) <= LIMIT else f"{text[:LIMIT]}... ({len(text)} characters)"
