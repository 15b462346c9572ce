"""A pool of daemon threads that grows when its workers block.

Own code, because the standard pool waits for its threads at exit (a task that cannot be
interrupted would keep the process), cannot lend a worker that waits, and costs twice as much.
It starts few threads, more when work has waited for a moment without one getting free, and one
more for each worker that waits for another run.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from penstock import clock, world
from penstock.task_runners.timers import timers
from penstock.task_runners.waiting import ThreadGate, this_thread

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

FIRST_WORKERS = 2
"""How many threads are started without waiting to see whether they are needed.

Few: threads that compute only take the interpreter's lock from each other."""

PATIENCE_S = 0.005
"""How long work waits, with its workers blocked, before the pool grows: it doubles each time."""


BUSY_PATIENCE_S = 0.05
"""The same while the process computes, which slows down workers that are not blocked."""


class WorkerPool:
    """Runs what it is given on its threads.

    Parameters:
        max_workers: how many threads may work at once; those that wait for other runs, or
            could not be stopped, do not count.
        name: the beginning of the threads' names.
    """

    def __init__(self, max_workers: int, name: str = "penstock-worker") -> None:
        self._limit = max_workers
        self._name = name
        self._lock = threading.Lock()
        self._queue: deque[Callable[[], None]] = deque()
        self._idle: list[LockType] = []
        self._workers = 0
        self._away = 0
        self._started = 0
        self._taken = 0
        self._watching = False
        self._closed = False

    def submit(self, work: Callable[[], None], *, first: bool = False) -> None:
        """Run `work` on a thread as soon as one is free. It must not raise.

        Parameters:
            work: what to call.
            first: before what waits for a thread already.
        """
        with self._lock:
            if first:
                self._queue.appendleft(work)
            else:
                self._queue.append(work)
            running = self._running()
            if running >= self._limit:
                # One of them takes it when it is done with what it has, or is about to wait.
                return
            if self._idle:
                self._idle.pop().release()
            elif running < FIRST_WORKERS:
                self._start_worker()
            elif not self._watching:
                self._watch()

    def _running(self) -> int:
        """Give how many workers are at work, or about to be: neither away nor idle."""
        return self._workers - self._away - len(self._idle)

    def close(self) -> None:
        """Let the threads end when the queue is empty. Does not wait for them."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for wake in idle:
            wake.release()

    def begin_blocking(self) -> None:
        """Let another worker in for the one that calls this, which is about to wait."""
        with self._lock:
            self._away += 1
            if self._queue and self._running() < self._limit:
                if self._idle:
                    self._idle.pop().release()
                else:
                    self._start_worker()

    def end_blocking(self) -> None:
        """Take the worker that calls this back; one too many leaves when it is free."""
        with self._lock:
            self._away -= 1

    def abandon(self) -> None:
        """Give one worker up that cannot be stopped; another may take its place."""
        self.begin_blocking()

    def _start_worker(self) -> None:
        self._workers += 1
        self._started += 1
        world.start_thread(self._work, f"{self._name}-{self._started}")

    def _watch(self) -> None:
        self._watching = True
        begun = (clock.monotonic(), world.process_time(), self._taken)
        timers().call_later(PATIENCE_S, lambda: self._grow(*begun))

    def _grow(self, since: float, cpu_before_s: float, taken_before: int) -> None:
        with self._lock:
            self._watching = False
            if not self._queue:
                return
            waited_s = clock.monotonic() - since
            used_s = world.process_time() - cpu_before_s
            if waited_s < BUSY_PATIENCE_S and used_s > waited_s / 2:
                # This process computes: its workers may be slow for that, and not be blocked.
                self._watching = True
                timers().call_later(
                    PATIENCE_S, lambda: self._grow(since, cpu_before_s, taken_before)
                )
                return
            running = self._running()
            room = self._limit - running
            # Workers that hold on to what they have are blocked: they wait, and do not compute.
            if self._taken - taken_before < running / 2:
                for _ in range(min(room, len(self._queue), self._workers)):
                    self._start_worker()
            if room > 0:
                self._watch()

    def _work(self) -> None:
        this_thread.employer = self
        # Work that is stopped is interrupted here; the gate is the thread's as long as it lives.
        gate = this_thread.gate = ThreadGate()
        gate.depth = gate.floor = 1
        wake = threading.Lock()
        wake.acquire()
        while True:
            with self._lock:
                if self._running() > self._limit:
                    self._workers -= 1
                    return
                if self._queue:
                    work = self._queue.popleft()
                    self._taken += 1
                elif self._closed:
                    self._workers -= 1
                    return
                else:
                    self._idle.append(wake)
                    work = None
            if work is None:
                world.acquire(wake)
            else:
                work()
                # Kept until the next one otherwise, with all that it holds.
                del work
