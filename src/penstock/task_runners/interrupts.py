"""Deadlines that really interrupt the code that runs under them.

The main thread is interrupted by a signal, so that `time.sleep` and other blocking calls stop; any
other thread by an asynchronous exception, which comes with its next bytecode. While penstock's own
code runs in the thread (a commit, say) the interruption waits at the gate until the thread is back
in the user's code.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.task_runners.timers import timers
from penstock.task_runners.waiting import Gate, Interrupted, ThreadGate, this_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SIGNAL = getattr(signal, "SIGALRM", None)


class _MainGate(Gate):
    """The main thread's gate: interruptions are signals, handled in the thread itself."""

    def __init__(self) -> None:
        super().__init__()
        self._former: Any = None
        self._wanted = False

    def open(self) -> None:
        self._former = signal.signal(_SIGNAL, self._handle)  # type: ignore[arg-type]

    def close(self) -> None:
        signal.signal(_SIGNAL, self._former)  # type: ignore[arg-type]

    def _handle(self, _number: int, _frame: object) -> None:
        if not self._wanted:
            return
        self._wanted = False
        if self.waits_for is not None:
            self.waits_for()
        if self.in_user_code:
            raise Interrupted
        self.pending = True

    def interrupt(self) -> None:
        self._wanted = True
        signal.pthread_kill(self.thread_id, _SIGNAL)  # type: ignore[arg-type]

    def settle(self) -> None:
        self._wanted = False


class Deadline:
    """The end of the time that a piece of the user's code may take.

    `fired` is true once the time is over (or the code was stopped by `fire`), whatever the code
    makes of the interruption; `stopped` once it was interrupted for another reason, by `stop`.
    """

    __slots__ = ("_gate", "_lock", "_on_fire", "_timer", "finished", "fired", "stopped")

    def __init__(
        self, gate: Gate, timeout_s: float | None, on_fire: Callable[[], None] | None
    ) -> None:
        self._gate = gate
        self._lock = threading.Lock()
        self._on_fire = on_fire
        self.fired = False
        self.stopped = False
        self.finished = False
        self._timer = None if timeout_s is None else timers().call_later(timeout_s, self.fire)

    @property
    def thread_id(self) -> int:
        """The thread that the code runs in."""
        return self._gate.thread_id

    def fire(self) -> None:
        """Interrupt the code now."""
        with self._lock:
            if self.finished or self.fired:
                return
            self.fired = True
            self._gate.interrupt()
        if self._on_fire is not None:
            self._on_fire()

    def stop(self) -> None:
        """Interrupt the code, once, though its time is not over: its run is to end."""
        with self._lock:
            if not (self.finished or self.fired or self.stopped):
                self.stopped = True
                self._gate.interrupt()

    def finish(self) -> None:
        """The code is over; nothing is interrupted any more."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self.finished = True


def can_interrupt_in_place() -> bool:
    """Tell whether blocking calls of this thread can be interrupted: the main thread's can."""
    return _SIGNAL is not None and threading.current_thread() is threading.main_thread()


def run_under_deadline(
    work: Callable[[], T],
    timeout_s: float | None,
    on_fire: Callable[[], None] | None = None,
    seen: Callable[[Deadline], None] | None = None,
) -> tuple[T | None, BaseException | None, bool]:
    """Run `work` in this thread and interrupt it when its time is over.

    Parameters:
        timeout_s: seconds it may take; none for as long as it likes, unless `fire`d.
        on_fire: called, on another thread, when the time is over.
        seen: called with the deadline before the work begins.

    Returns:
        The value, the exception, and whether the deadline fired while the work ran.
    """
    gate = this_thread.gate
    if gate is None:
        gate = this_thread.gate = _MainGate() if can_interrupt_in_place() else ThreadGate()
    if gate.depth == 0:
        gate.open()
    gate.depth += 1
    deadline = Deadline(gate, timeout_s, on_fire)
    if seen is not None:
        seen(deadline)
    value: T | None = None
    error: BaseException | None = None
    try:
        try:
            gate.leave_engine()
            value = work()
        finally:
            gate.enter_engine()
            deadline.finish()
            gate.settle()
    except BaseException as caught:  # noqa: BLE001 - handed on as a value
        error = caught
        gate.enter_engine()
        deadline.finish()
    if (deadline.fired or deadline.stopped) and not isinstance(error, Interrupted):
        # The code ended of itself while the interruption was on its way.
        gate.pending = False
    gate.depth -= 1
    if gate.depth == gate.floor:
        gate.settle()
        gate.pending = False
        if not gate.floor:
            gate.close()
            this_thread.gate = None
    return value, error, deadline.fired
