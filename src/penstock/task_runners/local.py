"""The runners of this process: one call after the other, or many on threads."""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import TYPE_CHECKING, Any

from penstock import world
from penstock.exceptions import PenstockException
from penstock.settings import get_current_settings
from penstock.task_runners.base import BaseTaskRunner, TaskConcurrencyType
from penstock.task_runners.calls import Call, Outcome, perform
from penstock.task_runners.pool import WorkerPool
from penstock.task_runners.timers import timers

if TYPE_CHECKING:
    from collections.abc import Callable

UNWINDING_S = 0.05
"""How long a call whose time is over has to come to its end by itself: most react at once."""

_logger = logging.getLogger("penstock.task_runners")


class SequentialTaskRunner(BaseTaskRunner):
    """Runs a task when it is submitted: the submission returns when the run is final."""

    concurrency_type = TaskConcurrencyType.SEQUENTIAL

    def duplicate(self) -> SequentialTaskRunner:
        """Give a fresh runner."""
        return type(self)()

    def run(self, call: Call, done: Callable[[Outcome], None]) -> None:
        """Make the call here and now."""
        done(perform(call))


class ConcurrentTaskRunner(BaseTaskRunner):
    """Runs tasks on threads, and async tasks beside each other on an event loop. The default.

    Parameters:
        max_workers: how many tasks may run at once, `PENSTOCK_TASK_RUNNER_MAX_WORKERS` (256) by
            default. A task that waits for another one does not count: it cannot deadlock.

    Example:
        >>> @flow(task_runner=ConcurrentTaskRunner(max_workers=4))
        ... def four_at_once(): ...  # doctest: +SKIP
    """

    concurrency_type = TaskConcurrencyType.CONCURRENT
    calls_on_its_workers = True

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        if max_workers is not None and (not isinstance(max_workers, int) or max_workers < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
            message = f"max_workers must be a positive whole number or None, not {max_workers!r}."
            raise ValueError(message)
        self.max_workers = max_workers
        self._options = {"max_workers": max_workers}
        self._pool: WorkerPool | None = None
        self._opening = threading.Lock()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make a runner that is not started."""
        super().__setstate__(state)
        self._pool = None
        self._opening = threading.Lock()

    def duplicate(self) -> ConcurrentTaskRunner:
        """Give a fresh runner with the same number of workers."""
        return type(self)(**self._options)

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def run(self, call: Call, done: Callable[[Outcome], None]) -> None:
        """Make the call on a thread of the pool."""
        pool = self._pool
        if pool is None:
            pool = self._open_pool()
        if call.timeout_s:
            pool.submit(_Limited(call, done, pool).run)
            return
        context = call.context
        if context is None:
            pool.submit(lambda: done(perform(call)))
        else:
            pool.submit(lambda: done(context.run(perform, call)))

    def dispatch(self, work: Callable[[], None], *, first: bool = False) -> None:
        """Run a piece of work on a thread of the pool."""
        pool = self._pool
        if pool is None:
            pool = self._open_pool()
        pool.submit(work, first=first)

    def run_limited(self, call: Call, done: Callable[[Outcome], None]) -> None:
        """Make a call of limited time on the worker that this runs on."""
        _Limited(call, done, self._pool or self._open_pool()).run()

    def _open_pool(self) -> WorkerPool:
        with self._opening:
            if not self._started:
                message = f"The task runner {self.name!r} must be started before submitting work."
                raise PenstockException(message)
            if self._pool is None:
                limit = self.max_workers or get_current_settings().task_runner_max_workers
                self._pool = _new_pool(limit)
            return self._pool


class _Limited:
    """A call whose time is limited: over when the time is, whether its thread stops or not."""

    def __init__(self, call: Call, done: Callable[[Outcome], None], pool: WorkerPool) -> None:
        self._call = call
        self._done = done
        self._pool = pool
        self._lock = threading.Lock()
        self._delivered = False
        self._returned = False
        self._abandoned = False

    def run(self) -> None:
        context = self._call.context
        if context is None:
            outcome = perform(self._call, self._expired)
        else:
            outcome = context.run(perform, self._call, self._expired)
        with self._lock:
            self._returned = True
        if self._abandoned:
            self._pool.end_blocking()
        self._deliver(outcome)

    def _expired(self) -> None:
        grace_s = get_current_settings().interrupt_grace_s
        timers().call_later(min(UNWINDING_S, grace_s), self._leave_behind)
        timers().call_later(grace_s, self._abandon)

    def _leave_behind(self) -> None:
        # What follows a time-out may take long (hooks): not on the timers' thread.
        if not self._delivered:
            world.start_thread(
                lambda: self._deliver(Outcome(timed_out=True)), "penstock-timed-out"
            )

    def _abandon(self) -> None:
        with self._lock:
            if self._returned:
                return
            self._abandoned = True
            self._pool.abandon()
        _logger.warning(
            "Run %r timed out, but its thread is in a blocking call that cannot be interrupted: it"
            " is let go and will end by itself. Only a runner that works in processes can kill"
            " such a call: a ProcessTaskRunner, which this release does not have yet. Until then"
            " give the call itself a time limit.",
            self._call.name,
        )

    def _deliver(self, outcome: Outcome) -> None:
        with self._lock:
            if self._delivered:
                return
            self._delivered = True
        self._done(outcome)


def _new_pool(max_workers: int) -> WorkerPool:
    if world.stand_in is not None:
        return world.stand_in.new_pool(max_workers)
    return WorkerPool(max_workers)


def run_on_spare_thread(call: Call, done: Callable[[Outcome], None]) -> None:
    """Make one limited call on a thread of its own; `done` is told when its time is over."""
    call.context = contextvars.copy_context()
    pool = _new_pool(1)
    pool.submit(_Limited(call, done, pool).run)
    pool.close()
