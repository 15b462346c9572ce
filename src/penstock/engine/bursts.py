"""What keeps the cost of a submitted task flat while thousands wait.

Each full pass of Python's cyclic garbage collector looks at every object that waits, and passes
come more often the more of them are made: at 10,000 waiting task runs that was up to a half of the
cost of each (docs/decisions/0003-garbage-collector.md). So while a burst goes on, what is there is
set aside from the collector (`gc.freeze`, which takes no time), a few hundred task runs at a time,
and given back when the burst is over. What is young is collected first, so that cycles of garbage
that tasks make are freed as ever.
"""

from __future__ import annotations

import gc
import threading

from penstock import clock

BURST = 512
"""A burst goes on while a flow run has so many unfinished task runs."""
STRIDE = 512
"""After so many task runs that began to wait or have ended, what is there is set aside."""
FULL_PASS_S = 30.0
"""The collector makes a full pass after bursts at most once in so many seconds ..."""
SHARE = 20
"""... nor more often than that it takes one part in so many of the time."""

_lock = threading.Lock()
_going_on: set[int] = set()


class Burst:
    """The burst of one flow run: many of its task runs wait at once."""

    __slots__ = ("_changes", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        self._changes = 0

    def go_on(self) -> None:
        """One more task run waits, or has ended."""
        self._changes += 1
        if self._changes >= STRIDE:
            self._changes = 0
            self.set_aside()

    def set_aside(self) -> None:
        """Set aside what is there; left alone if the program sees to its own garbage."""
        if not gc.isenabled():
            return
        if not _going_on and gc.get_freeze_count():
            return
        gc.collect(1)
        with _lock:
            if not _going_on:
                _full_passes.begin()
            _going_on.add(id(self))
            self.is_on = True
            gc.freeze()

    def end(self) -> None:
        """Give everything back to the collector, if this was the last burst."""
        if not self.is_on:
            return
        with _lock:
            self.is_on = False
            _going_on.discard(id(self))
            if _going_on:
                return
            gc.unfreeze()
        _full_passes.make_up()


class _FullPasses:
    """Full passes of the collector that bursts put off, in a process that has many of them.

    Setting aside starts the collector's count towards its next full pass anew.
    """

    __slots__ = ("_due", "_seen")

    def __init__(self) -> None:
        self._due = 0.0
        self._seen = -1

    def begin(self) -> None:
        if self._seen < 0:
            self._note(0.0)

    def make_up(self) -> None:
        """Make the pass that is due, if Python has made none itself meanwhile."""
        if _count() != self._seen:
            self._note(0.0)
        elif clock.monotonic() >= self._due:
            begin = clock.monotonic()
            gc.collect()
            self._note(clock.monotonic() - begin)

    def _note(self, took_s: float) -> None:
        self._seen = _count()
        self._due = clock.monotonic() + max(FULL_PASS_S, SHARE * took_s)


def _count() -> int:
    return gc.get_stats()[2]["collections"]


_full_passes = _FullPasses()
