"""One thread for everything that is to happen later: deadlines, retry delays, pools that grow.

The thread is started when something is first asked for, and never waits for the process to end.
What it is given must be short; long work is handed to another thread.
"""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
import time
from typing import TYPE_CHECKING

from penstock import world

if TYPE_CHECKING:
    from collections.abc import Callable

_IDLE_S = 3600.0


class Timer:
    """Something that is to be called at a time; `cancel()` takes it back."""

    __slots__ = ("call", "due", "order")

    def __init__(self, due: float, order: int, call: Callable[[], None]) -> None:
        self.due = due
        self.order = order
        self.call: Callable[[], None] | None = call

    def __lt__(self, other: Timer) -> bool:
        """Order by time, then by when they were asked for."""
        return (self.due, self.order) < (other.due, other.order)

    def cancel(self) -> None:
        """Do not call it any more."""
        self.call = None


class Timers:
    """Calls what it is given at its time, on a daemon thread of its own."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._condition = threading.Condition(threading.Lock())
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Call `call` after `delay_s` seconds."""
        timer = Timer(time.monotonic() + delay_s, next(self._order), call)
        with self._condition:
            heapq.heappush(self._heap, timer)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="penstock-timers", daemon=True
                )
                self._thread.start()
            elif self._heap[0] is timer:
                self._condition.notify()
        return timer

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call `call` on the timers' thread as soon as it can."""
        self.call_later(0.0, call)

    def _run(self) -> None:
        while True:
            with self._condition:
                heap = self._heap
                wait_s = heap[0].due - time.monotonic() if heap else _IDLE_S
                if wait_s > 0:
                    self._condition.wait(wait_s)
                    continue
                call = heapq.heappop(heap).call
            if call is not None:
                try:
                    call()
                except Exception as error:  # noqa: BLE001 - reported; the others must go on
                    sys.excepthook(type(error), error, error.__traceback__)


_timers = Timers()


def timers() -> Timers:
    """Give this process's timers."""
    if world.stand_in is not None:
        return world.stand_in.timers()
    return _timers


def _after_fork() -> None:
    global _timers  # noqa: PLW0603 - the thread stays in the parent
    _timers = Timers()


world.at_new_process(_after_fork)
