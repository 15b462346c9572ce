"""SIGTERM and Ctrl-C while a root flow runs in the main thread.

SIGTERM becomes `TerminationSignal`. Neither it nor Ctrl-C comes in the middle of a commit: it is
held until that is over, so that nothing is half written and no lock is left held.
"""

from __future__ import annotations

import _signal  # pyright: ignore[reportMissingImports] - it has no stubs
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from penstock.exceptions import TerminationSignal

if TYPE_CHECKING:
    from types import TracebackType

# The functions below Python's own: those look names up in enumerations, 10 us for each flow run.
_set_handler: Any = _signal.signal  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_get_handler: Any = _signal.getsignal  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_SIGTERM = int(signal.SIGTERM)
_SIGINT = int(signal.SIGINT)
_main_thread_id = threading.main_thread().ident


class _Critical:
    """Whether the main thread is where it must not be interrupted, and what was held for it.

    Whoever insists, by a second signal while the first is held, is not held up: the store may be
    busy for long.
    """

    __slots__ = ("depth", "held", "insists")

    def __init__(self) -> None:
        self.depth = 0
        self.insists = False
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
    if _critical.depth and not _critical.insists:
        _critical.insists = _critical.held is not None
        if not _critical.insists:
            _critical.held = error
            return
        _critical.held = None
    raise error


def termination() -> TerminationSignal | None:
    """Give the signal by which this process is being terminated, if it is."""
    return TerminationSignal(_SIGTERM) if _handlers.terminated else None


class _Handlers:
    """What handles the signals while root flows run: put in place by the first, back by the last.

    Flows on one event loop begin and end in any order.
    """

    __slots__ = ("count", "former_int", "former_term", "terminated")

    def __init__(self) -> None:
        self.count = 0
        self.terminated = False
        self.former_int: Any = None
        self.former_term: Any = None

    def install(self) -> None:
        self.count += 1
        if self.count > 1:
            return
        self.terminated = _critical.insists = False
        self.former_term = _set_handler(_SIGTERM, self._on_term)
        self.former_int = _get_handler(_SIGINT)
        if self.former_int is signal.default_int_handler:
            _set_handler(_SIGINT, self._on_int)

    def _on_term(self, number: int, _frame: Any) -> None:
        self.terminated = True
        _come(TerminationSignal(number))

    def _on_int(self, _number: int, _frame: Any) -> None:
        _come(KeyboardInterrupt())

    def remove(self) -> None:
        self.count -= 1
        if self.count == 0:
            _critical.held = None
            self.put_back()
            if self.terminated:
                os.kill(os.getpid(), _SIGTERM)

    def put_back(self) -> None:
        _set_handler(_SIGTERM, signal.SIG_DFL if self.former_term is None else self.former_term)
        if self.former_int is signal.default_int_handler:
            _set_handler(_SIGINT, self.former_int)


_handlers = _Handlers()


def _after_fork() -> None:
    # The flow runs are the parent's. A child, of a pool say, ends by a signal as any other does.
    global _critical, _handlers, _main_thread_id  # noqa: PLW0603 - the child's own from here on
    _main_thread_id = threading.get_ident()
    _critical = _Critical()
    if _handlers.count > 0:
        _handlers.put_back()
        _handlers = _Handlers()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)


class capture_signals:  # noqa: N801 - used like a function, in a `with`
    """Turn SIGTERM into `TerminationSignal` in the block; hold both signals during commits.

    Does nothing outside of the main thread. The former handlers are put back; if SIGTERM came, it
    is sent again to them.
    """

    __slots__ = ("_installed",)
    _installed: _Handlers | None

    def __enter__(self) -> Self:
        """Put the handlers in place."""
        self._installed = None
        if threading.get_ident() == _main_thread_id:
            self._installed = _handlers
            _handlers.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the former handlers back; send SIGTERM on if it came."""
        if self._installed is _handlers:
            _handlers.remove()
