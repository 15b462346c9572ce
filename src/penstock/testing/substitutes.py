"""What a simulated process has instead of timers, event loops, and a part of its pools."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from typing import TYPE_CHECKING, Any

from penstock.engine.drivers.simulated import Ended
from penstock.task_runners.pool import WorkerPool
from penstock.task_runners.timers import Timer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.testing.scheduling import Clock, Scheduler


class Timers:
    """Calls what it is given at its virtual time, on a thread of its own."""

    def __init__(self, scheduler: Scheduler, clock: Clock) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._heap: list[Timer] = []
        self._order = itertools.count()

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Call `call` after `delay_s` virtual seconds."""
        due = self._clock.elapsed_s + max(delay_s, 0.0)
        order = next(self._order)
        timer = Timer(due, order, call)
        heapq.heappush(self._heap, timer)
        if order == 0:
            self._scheduler.start(self._run, "timers")
        return timer

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call `call` as soon as can be."""
        self.call_later(0.0, call)

    def _next(self) -> float | None:
        heap = self._heap
        while heap and heap[0].call is None:
            heapq.heappop(heap)
        return heap[0].due if heap else None

    def _run(self) -> None:
        while True:
            self._scheduler.wait(lambda: False, self._next)
            call = heapq.heappop(self._heap).call
            if call is not None:
                call()


class Pool(WorkerPool):
    """The pool of real life; its threads may take up work before whoever gives it goes on."""

    def __init__(self, scheduler: Scheduler, max_workers: int) -> None:
        super().__init__(max_workers)
        self._scheduler = scheduler

    def submit(self, work: Callable[[], None], *, first: bool = False) -> None:
        """Do `work` on a thread as soon as one is free."""
        super().submit(work, first=first)
        if self._scheduler.ending is None:
            self._scheduler.pause()


class _Selector(selectors.BaseSelector):
    """Waits for no file, but lets the other threads go on while its loop has nothing to do."""

    def __init__(self, scheduler: Scheduler, clock: Clock) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._known: dict[Any, selectors.SelectorKey] = {}
        self.woken = False

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Remember a file."""
        key = selectors.SelectorKey(fileobj, -1, events, data)
        self._known[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget a file."""
        return self._known.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Give the files."""
        return self._known

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for other threads to wake the loop, or for its next time."""
        is_busy = timeout is not None and timeout <= 0
        if is_busy and self._scheduler.ending is not None:
            # What ends with the process is taken down.
            return []
        if is_busy:
            self._scheduler.pause()
        else:
            until = None if timeout is None else self._clock.elapsed_s + timeout
            self._scheduler.wait(lambda: self.woken, lambda: until)
        self.woken = False
        return []


class EventLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, on a thread that goes on by the seed."""

    def __init__(self, scheduler: Scheduler, clock: Clock) -> None:
        self._simulated = _Selector(scheduler, clock)
        self._scheduler = scheduler
        self._clock = clock
        super().__init__(self._simulated)
        self.set_exception_handler(self._handle)

    def time(self) -> float:
        """Give the virtual time."""
        return self._clock.monotonic()

    def _write_to_self(self) -> None:
        # What the base class calls when another thread has given it something to do.
        self._simulated.woken = True

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> asyncio.Handle:
        """Call something on the loop; it may do so before this thread goes on."""
        handle = super().call_soon_threadsafe(*args, **kwargs)
        if self._scheduler.ending is None:
            self._scheduler.pause()
        return handle

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if self._scheduler.ending is None:
            loop.default_exception_handler(context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        """Run a function on a thread of the simulated process."""
        del executor
        future: asyncio.Future[Any] = self.create_future()

        def tell(set_outcome: Callable[[Any], None], outcome: Any) -> None:
            if not future.done():
                set_outcome(outcome)

        def work() -> None:
            try:
                value = func(*args)
            except Ended:
                raise
            except BaseException as error:  # noqa: BLE001 - raised in whoever awaits it
                self.call_soon_threadsafe(tell, future.set_exception, error)
            else:
                self.call_soon_threadsafe(tell, future.set_result, value)

        self._scheduler.start(work, "executor")
        return future

    def take_down(self) -> None:
        """Cancel what is left on the loop, and close it. The process has ended."""
        if self.is_closed():
            return
        left = asyncio.all_tasks(self)
        for task in left:
            task.cancel()
        if left:
            gathered = asyncio.gather(*left, return_exceptions=True)
            try:
                self.run_until_complete(gathered)
            except Ended:
                # One of them waits for something that will not come: it is let go as it is.
                gathered.cancel()
        self.close()
