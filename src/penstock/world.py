"""What a process has of the world around it: threads, waits, timers, event loops, a name.

Whoever starts a thread or waits for another one does it here, so that a simulation can put a world
of its own in place of the real one: threads that go on one at a time, in an order that a seed
decides, time that jumps, processes that die (`penstock.testing`). And whoever keeps something that
belongs to one process says here what a new one has to forget of it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from penstock import clock

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable, Generator


class World(Protocol):
    """What stands in for the real world while it is simulated."""

    @property
    def owner(self) -> str:
        """Give the id of the present process as an owner of flow runs."""
        ...

    def is_here(self) -> bool:
        """Tell whether this thread is a simulated one: others have nothing to do with it."""
        ...

    def is_owner_alive(self, owner: str, lease_expires: float | None, now: float) -> bool:
        """Tell whether an owner may still be executing."""
        ...

    def start_thread(self, target: Callable[[], None], name: str) -> None:
        """Start a thread that does not keep the process from ending."""
        ...

    def acquire(self, lock: LockType, timeout_s: float | None) -> bool:
        """Wait until somebody releases `lock`, for `timeout_s` at most; tell whether it was."""
        ...

    def timers(self) -> Any:
        """Give what calls something later."""
        ...

    def new_event_loop(self) -> Any:
        """Make an event loop."""
        ...

    def new_pool(self, max_workers: int) -> Any:
        """Make a pool of worker threads."""
        ...

    def observe(self, steps: Any) -> Any:
        """Give a run's generator, watched: it yields the same effects."""
        ...


stand_in: World | None = None
"""The world in place of the real one; none in real life."""


@contextmanager
def use_world(world: World) -> Generator[World]:
    """Put a world in place of the real one while the block lasts."""
    global stand_in  # noqa: PLW0603 - the one place that holds it
    former, stand_in = stand_in, world
    try:
        yield world
    finally:
        stand_in = former


def process_time() -> float:
    """Give the seconds for which this process has computed; a simulated one takes no time."""
    return time.process_time() if stand_in is None else 0.0


def start_thread(target: Callable[[], None], name: str) -> None:
    """Start a thread that does not keep the process from ending."""
    if stand_in is not None and stand_in.is_here():
        stand_in.start_thread(target, name)
    else:
        threading.Thread(target=target, name=name, daemon=True).start()


def sleep(seconds: float) -> None:
    """Let a thread that serves the process rest: it has its own pace.

    A clock that jumps forward when somebody sleeps is not moved by it.
    """
    if stand_in is not None and stand_in.is_here():
        clock.sleep(seconds)
    else:
        time.sleep(seconds)


WAIT_SLICE_S = 0.5
"""The longest that a thread waits without looking whether a signal has come meanwhile."""


def acquire(lock: LockType, timeout_s: float | None = None) -> bool:
    """Wait until somebody releases `lock`, at most `timeout_s` seconds; tell whether it was."""
    if stand_in is not None and stand_in.is_here():
        return stand_in.acquire(lock, timeout_s)
    left_s = timeout_s
    # A signal that comes just before the wait begins, or to another thread, does not end it: in
    # one long wait Ctrl-C would be lost.
    while left_s is None or left_s > WAIT_SLICE_S:
        if lock.acquire(timeout=WAIT_SLICE_S):
            return True
        if left_s is not None:
            left_s -= WAIT_SLICE_S
    return lock.acquire(timeout=left_s)


_forgetters: list[Callable[[], object]] = []


def at_new_process(forget: Callable[[], object]) -> None:
    """Have `forget` called in each new process that begins with what this one has in memory.

    That is a forked child, or the next process of a simulation. Threads and locks that were held
    are not there any more, connections and what waits to be written are the former process's.
    """
    _forgetters.append(forget)
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=forget)


def begin_process() -> None:
    """Forget what belongs to one process. For simulations; a fork does it by itself."""
    for forget in _forgetters:
        forget()
