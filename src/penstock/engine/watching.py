"""One place where all runs of this process wait that rest in it: for somebody to resume them.

One daemon thread looks every few hundredths of a second whether anything was written to the store,
and only then at what is asked of the runs. It is started with the first run that rests and ends
with the last.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from penstock import clock, world
from penstock.exceptions import StoreError
from penstock.states import StateType
from penstock.store import requests
from penstock.store import statements as sql
from penstock.store.requests import MANY

if TYPE_CHECKING:
    from penstock.engine.execution import Execution
    from penstock.futures import PenstockFuture
    from penstock.states import State
    from penstock.store import Store
    from penstock.store.requests import Requests

INTERVAL_S = 0.05
"""How often the thread looks: what bounds how long after its resumption a run goes on."""

PATIENCE_LOOKS = 40
"""So often a run that rests is looked for before a clock that jumps goes on to its end."""

GLANCE_S = 1.0
"""How often each run is looked at when nothing was written: its process may have stopped it."""

REST_FACTOR = 10
"""The thread rests so much longer than it looked, so that it takes a tenth of a core at most."""

_logger = logging.getLogger("penstock.engine")


class Wait:
    """A run that rests.

    Parameters:
        execution: whose run it is.
        woken: is done when the run is asked for something, or its time is over.
        due: until when it rests at most, in seconds since the epoch; none for ever.
        state: the state in which it rests.

    Attributes:
        control: What it was asked for; none if its time was over.
        looks: How often it was looked for, by a clock that jumps.
    """

    __slots__ = ("control", "due", "execution", "looks", "state", "woken")

    def __init__(
        self, execution: Execution, woken: PenstockFuture, due: float | None, state: State
    ) -> None:
        self.execution = execution
        self.woken = woken
        self.due = due
        self.state = state
        self.control: str | None = None
        self.looks = 0

    def is_over(self, read: Requests | None = None) -> bool:
        """Look whether the run is asked for something, or its time is over; note what it is.

        Parameters:
            read: what was read of this process's runs, so that each need not be asked for.
        """
        execution = self.execution
        fence = execution.fence
        if execution.stopped is not None or fence is None:
            return True
        found = None if read is None else read.get(fence.flow_run_id)
        if found is None:
            rows = execution.store.read(sql.READ_FENCE, (fence.flow_run_id,))
            found = rows[0] if rows else (None, None)
        token, control = found
        if token != fence.token:
            return True  # somebody else has it: its next commit says so
        if control is not None and requests.word_of(control) is not StateType.PAUSED:
            self.control = control
            execution.heed(control)
            return True
        return self.is_due(clock.epoch())

    def is_due(self, now: float) -> bool:
        """Tell whether its time is over."""
        return self.due is not None and self.due <= now

    def end(self) -> None:
        """Let it go on."""
        self.woken.set_state(self.state)


def _let_time_pass(waits: list[Wait]) -> None:
    """Let a clock that jumps go on to the end of a pause, when nobody has ended that for long."""
    for wait in waits:
        wait.looks += 1
        if wait.due is not None and wait.looks > PATIENCE_LOOKS:
            clock.left_until(wait.due)


class Watch:
    """The runs of this process that rest, and the thread that looks for them."""

    def __init__(self) -> None:
        self._waits: set[Wait] = set()
        self._lock = threading.Lock()
        self._looks = False
        self._versions: dict[Store, int] = {}
        self._new: set[Wait] = set()
        self._listed: list[Wait] | None = None
        self._stores: set[Store] = set()
        self._next = 0.0

    def add(self, wait: Wait) -> None:
        """Wake a run when it is time."""
        with self._lock:
            self._waits.add(wait)
            self._new.add(wait)
            self._listed = None
            if not self._looks:
                self._looks = True
                world.start_thread(self._run, "penstock-watch")

    def remove(self, wait: Wait) -> None:
        """Look for a run no longer: it was woken otherwise."""
        with self._lock:
            self._waits.discard(wait)
            self._new.discard(wait)
            self._listed = None

    def _run(self) -> None:
        while True:
            began = clock.monotonic()
            with self._lock:
                if not self._waits:
                    self._looks = False
                    self._versions.clear()
                    return
                waits, new = self._list(), self._new
                if new:
                    self._new = set()
            for wait in self._over(waits, new):
                self.remove(wait)
                wait.end()
            # A clock that jumped meanwhile says nothing of how long it took.
            looked_s = min(clock.monotonic() - began, GLANCE_S)
            if clock.is_virtual():
                _let_time_pass(waits)
            world.sleep(max(INTERVAL_S, looked_s * REST_FACTOR))

    def _list(self) -> list[Wait]:
        """Give all that wait; what follows from who they are is made anew when that changes."""
        if self._listed is None:
            self._listed = list(self._waits)
            self._stores = {wait.execution.store for wait in self._listed}
            self._next = 0.0
        return self._listed

    def _over(self, waits: list[Wait], new: set[Wait]) -> list[Wait]:
        """Give the runs that rest no longer."""
        over: list[Wait] = []
        now = clock.epoch()
        try:
            changed = self._changed(self._stores)
            if not changed and not new and now < self._next:
                return over
            self._next = min([now + GLANCE_S, *[w.due for w in waits if w.due is not None]])
            reads = self._read_all(changed, len(waits))
            for wait in waits:
                store = wait.execution.store
                is_stopped = wait.execution.stopped is not None
                is_asked = wait in new or store in changed
                # What was begun just now is read by itself: nothing leads to it yet.
                read = None if wait in new else reads.get(store)
                if (is_asked or is_stopped or wait.is_due(now)) and wait.is_over(read):
                    over.append(wait)
        except StoreError as error:
            _logger.warning("The store of runs that rest could not be read: %s", error)
            self._versions.clear()
        return over

    def _read_all(self, stores: set[Store], count: int) -> dict[Store, Requests]:
        """Read what is asked of this process's runs at once, where they are many."""
        return {} if count < MANY else {store: requests.read_all(store) for store in stores}

    def _changed(self, stores: set[Store]) -> set[Store]:
        """Give the stores that were written to since this was asked last, as far as one sees."""
        changed: set[Store] = set()
        for store in stores:
            version = store.version()
            if self._versions.get(store) != version:
                self._versions[store] = version
                changed.add(store)
        return changed


_watch = Watch()


def watch() -> Watch:
    """Give this process's waiting place."""
    return _watch


def _after_fork() -> None:
    global _watch  # noqa: PLW0603 - the thread stays in the parent, and so do its runs
    _watch = Watch()


world.at_new_process(_after_fork)
