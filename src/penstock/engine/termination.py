"""SIGTERM and Ctrl-C while a root flow runs in the main thread.

SIGTERM becomes `TerminationSignal`. Neither it nor Ctrl-C comes in the middle of a commit: it is
held until that is over, so that nothing is half written and no lock is left held.
"""

from __future__ import annotations

import _signal
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Self

from penstock.exceptions import TerminationSignal

if TYPE_CHECKING:
    from types import TracebackType

# The functions below Python's own: those look names up in enumerations, 10 us for each flow run.
_set_handler = _signal.signal
_get_handler = _signal.getsignal
_SIGTERM = int(signal.SIGTERM)
_SIGINT = int(signal.SIGINT)
_main_thread_id = threading.main_thread().ident


class _Critical:
    """Whether the main thread is where it must not be interrupted, and what was held for it."""

    __slots__ = ("depth", "held")

    def __init__(self) -> None:
        self.depth = 0
        self.held: BaseException | None = None


_critical = _Critical()


def enter_critical() -> bool:
    """Hold signals from here on, if this is the main thread; tell whether it is."""
    if threading.get_ident() != _main_thread_id:
        return False
    _critical.depth += 1
    return True


def leave_critical() -> None:
    """Let signals come again; raise the one that was held."""
    _critical.depth -= 1
    if _critical.held is not None and _critical.depth == 0:
        held, _critical.held = _critical.held, None
        raise held


def _come(error: BaseException) -> None:
    if _critical.depth:
        _critical.held = error
    else:
        raise error


class capture_signals:  # noqa: N801 - used like a function, in a `with`
    """Turn SIGTERM into `TerminationSignal` in the block; hold both signals during commits.

    Does nothing outside of the main thread. The former handlers are put back; if SIGTERM came, it
    is sent again to them.
    """

    __slots__ = ("_former_int", "_former_term", "_installed", "_terminated")

    def __enter__(self) -> Self:
        """Put the handlers in place."""
        self._terminated = False
        self._installed = threading.get_ident() == _main_thread_id
        if self._installed:
            self._former_term = _set_handler(_SIGTERM, self._on_term)
            self._former_int = _get_handler(_SIGINT)
            if self._former_int is signal.default_int_handler:
                _set_handler(_SIGINT, self._on_int)
        return self

    def _on_term(self, number: int, _frame: Any) -> None:
        self._terminated = True
        _come(TerminationSignal(number))

    def _on_int(self, _number: int, _frame: Any) -> None:
        _come(KeyboardInterrupt())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the former handlers back; send SIGTERM on if it came."""
        if not self._installed:
            return
        _critical.held = None
        former = self._former_term
        _set_handler(_SIGTERM, signal.SIG_DFL if former is None else former)
        if self._former_int is signal.default_int_handler:
            _set_handler(_SIGINT, self._former_int)
        if self._terminated:
            os.kill(os.getpid(), signal.SIGTERM)
