"""Signals while a root flow runs in the main thread.

SIGTERM becomes `TerminationSignal`. Neither it nor Ctrl-C comes in the middle of a commit: it is
held until that is over, so that nothing is half written and no lock is left held. From the first
on the process has `PENSTOCK_SHUTDOWN_TIMEOUT_S` to bring its runs to an end.

SIGURG is this process's own: it wakes up the main thread to interrupt a flow that is cancelled.
"""

from __future__ import annotations

import _signal  # pyright: ignore[reportMissingImports] - it has no stubs
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from penstock import world
from penstock.context import FlowRunContext
from penstock.exceptions import TerminationSignal
from penstock.settings import get_current_settings
from penstock.task_runners.waiting import OPEN, SEEN_THROUGH, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

# The functions below Python's own: those look names up in enumerations, 10 us for each flow run.
_set_handler: Any = _signal.signal  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_get_handler: Any = _signal.getsignal  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_DEFAULT: Any = _signal.SIG_DFL  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_SIGTERM = int(signal.SIGTERM)
_SIGINT = int(signal.SIGINT)
_SIGURG = int(getattr(signal, "SIGURG", 0))  # Windows has none: there nothing is interrupted
_main_thread_id = threading.main_thread().ident
_HOME = str(Path(__file__).parents[1]) + os.sep


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


def is_main_thread() -> bool:
    """Tell whether this is the thread in which signals are handled."""
    return threading.get_ident() == _main_thread_id


def press() -> None:
    """Have the main thread look whether its code is to be interrupted. From any thread.

    It is if it is a flow's that is being cancelled, and in no call of penstock's own: whoever
    presses does so again until it has come to be.
    """
    if _SIGURG and _main_thread_id is not None:
        signal.pthread_kill(_main_thread_id, _SIGURG)


def _on_pressed(_number: int, frame: FrameType | None) -> None:
    context = FlowRunContext.variable.get()
    execution = None if context is None else context.execution
    if execution is None or _critical.depth or not execution.may_be_interrupted():
        return
    if _is_open(frame):
        execution.interrupted = True
        raise Interrupted


def _is_open(frame: FrameType | None) -> bool:
    """Tell whether the user's code is executed in a frame, or penstock's where it just waits."""
    while frame is not None:
        code = frame.f_code
        if code in OPEN:
            return True
        if code not in SEEN_THROUGH and code.co_filename.startswith(_HOME):
            return False
        frame = frame.f_back
    return False


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


def is_insisted_on() -> bool:
    """Tell whether a second signal has come: nothing is to be waited for any more."""
    return _handlers.signals > 1


def termination() -> TerminationSignal | None:
    """Give the signal by which this process is being terminated, if it is."""
    return TerminationSignal(_SIGTERM) if _handlers.terminated else None


class _Handlers:
    """What handles the signals while root flows run: put in place by the first, back by the last.

    Flows on one event loop begin and end in any order.
    """

    __slots__ = (
        "count",
        "former_int",
        "former_term",
        "former_urgent",
        "over",
        "signals",
        "terminated",
    )

    def __init__(self) -> None:
        self.count = 0
        self.terminated = False
        self.signals = 0
        self.over: threading.Event | None = None
        """Set when the runs have come to their end that a signal was to end."""
        self.former_urgent: Any = None
        self.former_int: Any = None
        self.former_term: Any = None

    def install(self) -> None:
        self.count += 1
        if self.count > 1:
            return
        self.terminated = _critical.insists = False
        self.signals = 0
        self.former_term = _set_handler(_SIGTERM, self._on_term)
        self.former_int = _get_handler(_SIGINT)
        if self.former_int is signal.default_int_handler:
            _set_handler(_SIGINT, self._on_int)
        if _SIGURG:
            self.former_urgent = _set_handler(_SIGURG, _on_pressed)

    def _on_term(self, number: int, _frame: Any) -> None:
        self.terminated = True
        self._limit_time(number)
        _come(TerminationSignal(number))

    def _on_int(self, number: int, _frame: Any) -> None:
        self._limit_time(number)
        _come(KeyboardInterrupt())

    def _limit_time(self, number: int) -> None:
        """Have the process end if its runs have not come to their end in time."""
        self.signals += 1
        if self.over is None:
            over = self.over = threading.Event()
            limit_s = get_current_settings().shutdown_timeout_s
            within = f"within {limit_s:g} s (PENSTOCK_SHUTDOWN_TIMEOUT_S)"
        elif self.signals == _INSISTING:
            over, limit_s = self.over, INSISTED_LIMIT_S
            within = f"within {limit_s:g} s of a second signal"
        else:
            return
        world.start_thread(
            lambda: _end_when_late(over, limit_s, within, number), "penstock-shutdown"
        )

    def remove(self) -> None:
        self.count -= 1
        if self.count == 0:
            _critical.held = None
            if self.over is not None:
                self.over.set()
                self.over = None
            self.put_back()
            if self.terminated:
                os.kill(os.getpid(), _SIGTERM)

    def put_back(self) -> None:
        _set_handler(_SIGTERM, _DEFAULT if self.former_term is None else self.former_term)
        if self.former_int is signal.default_int_handler:
            _set_handler(_SIGINT, self.former_int)
        if _SIGURG:
            _set_handler(_SIGURG, _DEFAULT if self.former_urgent is None else self.former_urgent)


_INSISTING = 2

INSISTED_LIMIT_S = 2.0
"""How long after a second signal the process ends, where what it executes takes none of them."""

TOLD_AFTER_S = 0.5
"""Who waits for the end of the process longer than this is told so."""

_LAST_WORDS_S = 2.0
"""How long it may take to say what was still executed: the store may be busy."""


def _end_when_late(over: threading.Event, limit_s: float, within: str, number: int) -> None:
    """End the process if the runs are not over in time; the log says what was still executed."""
    told_after_s = min(TOLD_AFTER_S, limit_s)
    if over.wait(told_after_s):
        return
    if _listeners.told is not None and limit_s > told_after_s and not is_insisted_on():
        _listeners.told(number, limit_s - told_after_s)
    if over.wait(limit_s - told_after_s):
        return
    saying = threading.Thread(target=_say_last_words, args=(within, number), daemon=True)
    saying.start()
    saying.join(_LAST_WORDS_S)
    os._exit(128 + number)


def _say_last_words(within: str, number: int) -> None:
    if _listeners.last_words is not None:
        _listeners.last_words(within)
    if _listeners.told is not None:
        _listeners.told(number, 0.0)


class _Listeners:
    """Rooms above that have something to say while the process is being ended."""

    last_words: Callable[[str], None] | None = None
    told: Callable[[int, float], None] | None = None


_listeners = _Listeners()


def when_late(last_words: Callable[[str], None]) -> None:
    """Say who knows what is executed here, and tells the log when the process ends all the same.

    Parameters:
        last_words: called with the time within which its runs have not come to their end.
    """
    _listeners.last_words = last_words


def when_ending(told: Callable[[int, float], None] | None) -> None:
    """Say who tells the user that the process is being ended by a signal.

    Parameters:
        told: called from a thread, with the number of the signal and the seconds that are left
            to the runs: when they have not ended at once, and with none left when the process
            ends all the same. None: nobody any more.
    """
    _listeners.told = told


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
