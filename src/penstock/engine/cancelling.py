"""How a flow run is brought to its end that somebody wants cancelled, or whose process is to end.

One daemon thread looks every few hundredths of a second whether anything was asked of the runs
that are executed here, however long they commit nothing, and interrupts the code of flows that
are being cancelled. Runs that are over before it has looked once cost it nothing.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from penstock import clock, world
from penstock.engine import termination
from penstock.engine.effects import Sleep, Steps
from penstock.engine.heartbeat import heed_requests
from penstock.engine.places import place_of
from penstock.exceptions import StoreError

if TYPE_CHECKING:
    from penstock.engine.execution import Execution
    from penstock.store import Store

INTERVAL_S = 0.05
"""How often the thread looks: what bounds how long a cancellation goes unnoticed."""

IDLE_REST_S = 0.1
"""How long the thread rests when there is nothing to look at."""

REST_FACTOR = 200
"""The thread rests so much longer than it looked, so that it takes 0.5 % of a core at most."""

LONGEST_REST_S = 1.0

LINGERING_S = 5.0
"""How long the thread stays when no runs are left: the next one need not start it again."""

SETTLING_S = 0.1
"""How long the code of a flow is left alone whose subflow has just ended, or that is awaited: what
it awaits ends it, as a rule."""

COMPLAINT_S = 5.0
"""After how long the log says that the code of a flow has not come to its end yet."""

_FIRST_LOOK_S = 0.01
_LONGEST_LOOK_S = 0.25

_logger = logging.getLogger("penstock.engine")


class _Pressing:
    """How far the interruption of one flow's code has come."""

    __slots__ = ("alone_since", "complained", "since", "stopped_at")

    def __init__(self, now: float) -> None:
        self.since = now
        self.alone_since: float | None = -SETTLING_S
        self.stopped_at: float | None = None
        self.complained = False


class Attendant:
    """Looks after the runs that this process executes."""

    def __init__(self) -> None:
        self._executions: set[Execution] = set()
        self._lock = threading.Lock()
        self._reading = threading.RLock()
        """Held while the store is read for a run: when that is over its store may be closed."""
        self._looks = False
        self._versions: dict[Store, int] = {}
        self._pressed: dict[Execution, _Pressing] = {}

    def attend(self, execution: Execution) -> None:
        """Have an eye on what is asked of a run."""
        if world.stand_in is not None:
            return  # simulated runs are told with their commits
        with self._lock:
            self._executions.add(execution)
            if not self._looks:
                self._looks = True
                world.start_thread(self._run, "penstock-attendant")

    def executions(self) -> list[Execution]:
        """Give the runs that are executed."""
        with self._lock:
            return list(self._executions)

    def leave(self, execution: Execution) -> None:
        """A run is over here: nothing is read for it when this returns."""
        with self._lock:
            self._executions.discard(execution)
        with self._reading:
            return

    def _run(self) -> None:
        idle_s = 0.0
        rest_s = INTERVAL_S
        while True:
            world.sleep(rest_s)
            began = clock.monotonic()
            with self._lock:
                # Runs that rest are looked after where they wait.
                executions = [one for one in self._executions if one.rest is None]
                idle_s = 0.0 if self._executions else idle_s + rest_s
                if idle_s >= LINGERING_S:
                    self._looks = False
                    self._versions.clear()
                    return
            rest_s = INTERVAL_S if executions else IDLE_REST_S
            if executions:
                self._look(executions)
                took_s = clock.monotonic() - began
                if not self._pressed:
                    rest_s = min(max(INTERVAL_S, took_s * REST_FACTOR), LONGEST_REST_S)

    def _look(self, executions: list[Execution]) -> None:
        try:
            self._heed(executions)
        except StoreError as error:
            _logger.debug("What is asked of flow runs could not be read: %s", error)
            self._versions.clear()
        now = clock.monotonic()
        pressed = [execution for execution in executions if execution.is_to_end()]
        for execution in pressed:
            self._press(execution, now)
        if self._pressed:
            kept = set(pressed)
            self._pressed = {one: how for one, how in self._pressed.items() if one in kept}

    def _heed(self, executions: list[Execution]) -> None:
        """Take note of what is asked of runs, where anything was decided since the last look."""
        changed: dict[Store, bool] = {}
        for execution in executions:
            with self._reading:
                if execution not in self._executions:
                    continue
                store, fence = execution.store, execution.fence
                if store not in changed:
                    version = store.version()
                    changed[store] = self._versions.get(store) != version
                    self._versions[store] = version
                if changed[store] and fence is not None and execution.rest is None:
                    heed_requests(execution)

    def _press(self, execution: Execution, now: float) -> None:
        """Interrupt the code of a flow, once, where it is not in a subflow: that ends first."""
        how = self._pressed.get(execution)
        if how is None:
            how = self._pressed[execution] = _Pressing(now)
        if not how.complained and now - how.since > COMPLAINT_S:
            how.complained = True
            _complain(execution, now - how.since)
        call = execution.invocation
        if call is None or execution.subflows:
            how.alone_since = None
            return
        if how.alone_since is None:
            how.alone_since = now
        if execution.interrupted or now - how.alone_since < SETTLING_S:
            return
        if how.stopped_at is None:
            how.stopped_at = now
            if call.deadline is not None:
                call.deadline.stop()
                if not call.is_async:
                    execution.interrupted = True
                return
        if call.deadline is None or now - how.stopped_at > SETTLING_S:
            termination.press()


def _complain(execution: Execution, waited_s: float) -> None:
    execution.call.logger().warning(
        "The flow run is to end, but after %.0f s its process still executes %s. It ends when that"
        " has come to its end; `penstock flow-run cancel --force` does not wait for it.",
        waited_s,
        _what_runs(execution),
    )


def _what_runs(execution: Execution) -> str:
    """Name the task runs that are executed, of which some may be recorded otherwise already."""
    names = {run.name for run in list(execution.in_flight)}
    names.update(drive.name for drive in execution.still_running())
    return f"task runs {_listed(names)}" if names else "the flow's own code"


_attendant = Attendant()


def attendant() -> Attendant:
    """Give this process's attendant."""
    return _attendant


def _last_words(within: str) -> None:
    """Say what is executed still in a process that ends all the same."""
    executions = _attendant.executions()
    for execution in executions:
        execution.call.logger().error(
            "The flow run has not come to its end %s: its process ends while it still executes %s."
            " The run is found to have crashed.",
            within,
            _what_runs(execution),
        )
    if executions:
        executions[0].flush_logs()


termination.when_late(_last_words)


def _after_fork() -> None:
    global _attendant  # noqa: PLW0603 - the thread stays in the parent, and so do its runs
    _attendant = Attendant()


world.at_new_process(_after_fork)


def wait_for_code(execution: Execution, limit_s: float | None, patience_s: float) -> Steps[Any]:
    """Wait until the functions of tasks that were interrupted have come to their end.

    Parameters:
        execution: whose tasks.
        limit_s: for how long at most; none for as long as it takes.
        patience_s: for how long where all that is left cannot react, being in blocking calls;
            that counts only where there is a limit.

    Returns:
        What is executed still.
    """
    began, look_s = clock.epoch(), _FIRST_LOOK_S
    while running := execution.still_running():
        waited_s = clock.epoch() - began
        if limit_s is not None and (
            waited_s >= limit_s
            or termination.is_insisted_on()
            or (waited_s >= patience_s and all(_is_blocked(one) for one in running))
        ):
            return running
        yield Sleep(clock.epoch() + look_s)
        look_s = min(look_s * 2, _LONGEST_LOOK_S)
    return []


def _is_blocked(drive: Any) -> bool:
    """Tell whether a function is in the very call still in which it was interrupted."""
    place = drive.stopped_at
    return place is not None and place == place_of(drive.thread_id)


def names_of(running: list[Any]) -> str:
    """Name what is executed still."""
    return _listed({drive.name for drive in running})


def _listed(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN_LIMIT])
    return shown if len(names) <= _SHOWN_LIMIT else f"{shown} and {len(names) - _SHOWN_LIMIT} more"


_SHOWN_LIMIT = 10
