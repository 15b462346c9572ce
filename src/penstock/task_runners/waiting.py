"""Blocking waits, in one place, because much depends on who waits.

A worker of a bounded pool that waits lets the pool have another worker meanwhile; a thread with an
event loop that waits is not given more to do; a wait inside a run with a deadline can be
interrupted. What belongs to a thread is kept in `this_thread`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from penstock import world
from penstock.settings import get_current_settings

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from types import CodeType

F = TypeVar("F", bound=Any)


OPEN: set[CodeType] = set()
"""The code from which the user's is called, or that waits for a run: whatever has called that may
be interrupted there, where it is in the main thread."""

SEEN_THROUGH: set[CodeType] = set()
"""Penstock's code that such code calls, or that calls the user's, and that keeps nothing."""


def lets_in(function: F) -> F:
    """Mark a function: while it is the innermost of penstock's, interruptions may come."""
    OPEN.add(function.__code__)
    return function


def is_seen_through(function: F) -> F:
    """Mark a function: whether interruptions may come is up to what has called it."""
    SEEN_THROUGH.add(function.__code__)
    return function


class Interrupted(BaseException):
    """Raised in a user's code when its time is over, or its run was stopped."""

    def __str__(self) -> str:
        """Say what happened."""
        return "Execution was cancelled by the runtime environment."


class Gate:
    """Lets interruptions into a thread while it runs the user's code, and holds them otherwise."""

    def __init__(self) -> None:
        self.in_user_code = False
        self.pending = False
        self.thread_id = threading.get_ident()
        self.depth = self.floor = 0
        self.waits_for: Callable[[], None] | None = None
        """Stops what the thread waits for, while it waits for work of its own elsewhere."""

    def enter_engine(self) -> None:
        """Hold interruptions from here on."""
        self.in_user_code = False

    def leave_engine(self) -> None:
        """Let interruptions in from here on; one that was held comes now."""
        self.in_user_code = True
        if self.pending:
            self.pending = False
            raise Interrupted

    def interrupt(self) -> None:
        """Interrupt the thread. Called from another thread."""
        raise NotImplementedError

    def settle(self) -> None:
        """Take back an interruption that was sent and has not arrived."""

    def open(self) -> None:
        """Prepare the thread: its first limited call begins."""

    def close(self) -> None:
        """Leave the thread as it was: its last limited call is over."""


class ThreadGate(Gate):
    """The gate of a thread that is not the main one: interruptions are exceptions from outside."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._sent = False

    def enter_engine(self) -> None:
        """Hold interruptions from here on."""
        with self._lock:
            self.in_user_code = False

    def leave_engine(self) -> None:
        """Let interruptions in from here on; one that was held comes now."""
        with self._lock:
            self.in_user_code = not self.pending
            pending, self.pending = self.pending, False
        if pending:
            raise Interrupted

    def interrupt(self) -> None:
        """Interrupt the thread. Called from another thread."""
        with self._lock:
            if self.in_user_code:
                self._sent = True
                _raise_in_thread(self.thread_id, Interrupted)
            else:
                self.pending = True
            stop = self.waits_for
        if stop is not None:
            stop()

    def settle(self) -> None:
        """Take back an interruption that was sent and has not arrived."""
        if self._sent:
            self._sent = False
            _raise_in_thread(self.thread_id, None)


def _raise_in_thread(thread_id: int, error: type[BaseException] | None) -> None:
    """Have an exception raised with a thread's next bytecode; none takes it back."""
    import ctypes  # dear to import, and seldom needed

    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    set_exception.argtypes = (ctypes.c_ulong, ctypes.py_object)
    # Without a value it is a null pointer; None itself would be raised.
    set_exception(thread_id, ctypes.py_object() if error is None else ctypes.py_object(error))


class Blockable(Protocol):
    """What a thread works for, and wants to know when the thread has to wait."""

    def begin_blocking(self) -> None:
        """The thread is about to wait."""
        ...

    def end_blocking(self) -> None:
        """The thread goes on."""
        ...


class _ThisThread(threading.local):
    gate: Gate | None = None
    employer: Blockable | None = None


this_thread = _ThisThread()


def block_for_work(
    finished: LockType, stop: Callable[[], None], is_over: Callable[[], bool]
) -> None:
    """Wait for work of this thread's that is done on another one, which releases `finished`.

    When this thread is interrupted meanwhile, so is the work, by `stop`. It gets a moment to end:
    then it records by itself how it did. The interruption may come with the end, when `finished`
    has been taken already: that is what `is_over` is asked for.
    """
    gate = this_thread.gate
    try:
        if gate is not None:
            gate.waits_for = stop
            gate.leave_engine()
        block(finished)
    except BaseException as error:
        if gate is not None:
            gate.enter_engine()
        if gate is None or not isinstance(error, Interrupted):
            stop()  # a gate has done so
        if not is_over():
            block(finished, get_current_settings().interrupt_grace_s)
        raise
    finally:
        if gate is not None:
            gate.enter_engine()
            gate.waits_for = None


def block_for_user(lock: LockType, timeout_s: float | None = None) -> bool:
    """Wait as `block` does, but so that this thread may be interrupted, whoever's code waits."""
    gate = this_thread.gate
    if gate is None or gate.in_user_code:
        return block(lock, timeout_s)
    try:
        gate.leave_engine()
        return block(lock, timeout_s)
    finally:
        gate.enter_engine()


@lets_in
def block(lock: LockType, timeout_s: float | None = None) -> bool:
    """Wait until somebody releases `lock`, at most `timeout_s` seconds; tell whether it was."""
    limit = None if timeout_s is None else min(max(timeout_s, 0.0), threading.TIMEOUT_MAX)
    employer = this_thread.employer
    if employer is None:
        return world.acquire(lock, limit)
    if lock.acquire(blocking=False):
        return True
    employer.begin_blocking()
    try:
        return world.acquire(lock, limit)
    finally:
        employer.end_blocking()


is_seen_through(world.acquire)
