"""Threads that go on one at a time, in an order that a seed decides, in a time that jumps.

A thread of a simulated process has a thread of this process to itself, so that it can be stopped
anywhere; but only one of them is ever awake. It goes on until it waits, or comes to a place where
others may go on, and then wakes the next one, chosen by the seed. When all of them wait, the clock
moves on to the earliest time that any of them waits for.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

from penstock import world
from penstock.engine.drivers.simulated import Ended
from penstock.task_runners import waiting

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from contextvars import Context
    from random import Random

START = 1_700_000_000.0
"""When a simulation begins, in seconds since the epoch."""

SERVICES = frozenset({"heartbeat"})
"""Threads that never end by themselves, nor bring the others on."""

CHOICES_WITHOUT_EFFECT_LIMIT = 20_000
"""So often may threads go on, one after the other, while nothing is done: then the run hangs."""

REAL_TIME_LIMIT_S = 60.0
"""A simulated process that takes longer, in real seconds, waits where the scheduler cannot see."""

LONGEST_STEP_S = 0.002
"""The most virtual seconds that pass between two effects."""

_FRAMES_SHOWN = 6
_UNTOLD = frozenset({__file__, world.__file__, waiting.__file__, threading.__file__})


_this_thread = threading.local()


class Stuck(Exception):
    """The simulated process would never go on: a deadlock, a lost wake-up, or a loop."""


class Clock:
    """Time that passes only when all wait, and a little with each effect.

    It counts from the simulation's start, so that the sums of short times are exact.
    """

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.scheduler: Scheduler | None = None

    def time(self) -> float:
        """Give the virtual seconds since the epoch."""
        return START + self.elapsed_s

    def monotonic(self) -> float:
        """Give the virtual seconds since the start."""
        return self.elapsed_s

    def sleep(self, seconds: float) -> None:
        """Let the others go on for so long; outside of a process the time just passes."""
        until = self.elapsed_s + max(seconds, 0.0)
        if self.scheduler is None:
            self.elapsed_s = until
        elif not self.scheduler.is_here():
            time.sleep(max(seconds, 0.0))  # a thread of real life, which was there before
        else:
            self.scheduler.wait(_never, lambda: until)


def _never() -> bool:
    return False


class _Strand:
    """One thread of a simulated process, and what it waits for."""

    __slots__ = ("due", "is_service", "name", "ready", "thread", "turn")

    def __init__(self, name: str, *, is_service: bool) -> None:
        self.name = name
        self.is_service = is_service
        self.turn = threading.Lock()
        self.turn.acquire()
        self.ready: Callable[[], bool] | None = None
        self.due: Callable[[], float | None] | None = None
        self.thread: threading.Thread | None = None

    def due_at(self) -> float | None:
        return None if self.due is None else self.due()

    def can_go(self, now: float) -> bool:
        if self.ready is None or self.ready():
            return True
        due = self.due_at()
        return due is not None and due <= now


class Scheduler:
    """Runs the threads of one simulated process.

    Parameters:
        random: what decides who goes on.
        clock: the time that they live in.
        context: the context variables that each thread begins with.
        switching: how likely it is, from 0 to 1, that another thread goes on where one may.
    """

    def __init__(self, random: Random, clock: Clock, context: Context, switching: float) -> None:
        self._random = random
        self._clock = clock
        self._context = context
        self._switching = switching
        self._strands: list[_Strand] = []
        self._current: _Strand | None = None
        self._over = threading.Lock()
        self._over.acquire()
        self._choices = 0
        self._started = 0
        self.ending: BaseException | None = None
        self.failures: list[BaseException] = []

    @property
    def here(self) -> str:
        """Give the name of the thread that is awake."""
        return "" if self._current is None else self._current.name

    def is_here(self) -> bool:
        """Tell whether this thread is one of those that the scheduler runs."""
        return getattr(_this_thread, "scheduler", None) is self

    def run(self, main: Callable[[], None]) -> None:
        """Run `main` as the first thread of the process, until it and all others have ended.

        The others end with it. What they raised that nobody handled is in `failures`.

        Raises:
            Stuck: some real wait, which the scheduler does not know of, has not ended.
        """

        def run_and_end() -> None:
            try:
                main()
            finally:
                self.end(Ended("the process has ended"))

        former, self._clock.scheduler = self._clock.scheduler, self
        try:
            self.start(run_and_end, "main")
            self._wake(self._strands[0])
            if not self._over.acquire(timeout=REAL_TIME_LIMIT_S):
                raise Stuck(f"A thread waits, and not by `penstock.world`.\n{self._describe()}")
        finally:
            self._clock.scheduler = former

    def start(self, target: Callable[[], None], name: str) -> None:
        """Start a thread. It goes on when it is chosen."""
        self.check()
        strand = _Strand(f"{name}#{self._started}", is_service=name in SERVICES)
        self._started += 1
        strand.thread = threading.Thread(
            target=self._live, args=(strand, target), name=f"simulated-{name}", daemon=True
        )
        self._strands.append(strand)
        strand.thread.start()

    def end(self, reason: BaseException) -> None:
        """Let no thread do anything more: each is raised out of what it waits in."""
        if self.ending is None:
            self.ending = reason

    def check(self) -> None:
        """Raise if the process has ended."""
        if self.ending is not None:
            raise Ended(str(self.ending))

    def pause(self) -> None:
        """Say that an effect is done or about to be; another thread may go on."""
        self.check()
        self._choices = 0
        self._clock.elapsed_s += self._random.random() * LONGEST_STEP_S
        if len(self._strands) > 1 and self._random.random() < self._switching:
            self._give_way(None, None)

    def wait(self, ready: Callable[[], bool], due: Callable[[], float | None]) -> bool:
        """Let others go on until `ready()`, or the time that `due` gives; tell whether it is."""
        self.check()
        self._give_way(ready, due)
        return ready()

    def acquire(self, lock: LockType, timeout_s: float | None) -> bool:
        """Wait for a lock."""
        self.check()
        if lock.acquire(blocking=False):
            return True
        until = None if timeout_s is None else self._clock.elapsed_s + timeout_s
        while True:
            self._give_way(lambda: not lock.locked(), lambda: until)
            if lock.acquire(blocking=False):
                return True
            if until is not None and self._clock.elapsed_s >= until:
                return False

    # -- who goes on --------------------------------------------------------------------------

    def _live(self, strand: _Strand, target: Callable[[], None]) -> None:
        strand.turn.acquire()
        _this_thread.scheduler = self
        try:
            if self.ending is None:
                self._context.copy().run(target)
        except Ended:
            pass
        except BaseException as error:  # noqa: BLE001 - reported by whoever runs the process
            if self.ending is None:
                # Later, what breaks is what the end has torn apart.
                self.failures.append(error)
        self._strands.remove(strand)
        if self._strands:
            self._wake(self._choose())
        else:
            self._over.release()

    def _wake(self, strand: _Strand) -> None:
        self._current = strand
        strand.turn.release()

    def _give_way(
        self, ready: Callable[[], bool] | None, due: Callable[[], float | None] | None
    ) -> None:
        """Let another thread go on, and come back when this one is chosen."""
        this = self._current
        assert this is not None
        this.ready, this.due = ready, due
        chosen = self._choose()
        if chosen is not this:
            self._wake(chosen)
            this.turn.acquire()
        this.ready = this.due = None
        self.check()

    def _choose(self) -> _Strand:
        while self.ending is None:
            now = self._clock.elapsed_s
            able = [strand for strand in self._strands if strand.can_go(now)]
            if able:
                chosen = able[0] if len(able) == 1 else self._random.choice(able)
                self._choices += not chosen.is_service
                if self._choices <= CHOICES_WITHOUT_EFFECT_LIMIT:
                    return chosen
                self.end(Stuck(f"It goes on and on, and nothing is done.\n{self._describe()}"))
            else:
                self._move_clock()
        return self._strands[0]

    def _move_clock(self) -> None:
        """Go to the next time that anybody waits for, if there is more to come than services."""
        times = [(due, s.is_service) for s in self._strands if (due := s.due_at()) is not None]
        if all(is_service for _, is_service in times):
            self.end(Stuck(f"All threads wait for each other.\n{self._describe()}"))
        else:
            self._clock.elapsed_s = min(times)[0]

    def _describe(self) -> str:
        """Say where each thread is."""
        frames = sys._current_frames()  # noqa: SLF001 - the documented way to see other threads  # pyright: ignore[reportPrivateUsage]
        lines: list[str] = []
        for strand in self._strands:
            thread = strand.thread
            frame = None if thread is None or thread.ident is None else frames.get(thread.ident)
            lines.append(f"{strand.name}:")
            if frame is not None:
                stack = [f for f in traceback.extract_stack(frame) if f.filename not in _UNTOLD]
                lines += traceback.format_list(stack[-_FRAMES_SHOWN:])
        return "\n".join(lines)
