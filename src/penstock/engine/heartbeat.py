"""One daemon thread a process: it extends the leases of the flow runs that are executed here.

It also writes log records that wait, and task runs that have been running for a while, so that
others see them. It is started by the first flow run, ends soon after the last, and survives a
fork.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING

from penstock import logging as run_logging
from penstock import world
from penstock.context import FlowRunContext
from penstock.exceptions import StoreError
from penstock.settings import get_current_settings
from penstock.states import StateType
from penstock.store import requests
from penstock.store import statements as sql
from penstock.store.encoding import task_run_row
from penstock.store.journal import fence_lost

if TYPE_CHECKING:
    from penstock.engine.execution import Execution
    from penstock.records import TaskRun
    from penstock.store import Row, Store
    from penstock.store.requests import Requests

NOTES_PER_BEAT_LIMIT = 500
"""The most running task runs that are written in one beat."""

_logger = logging.getLogger("penstock.engine")


class Heartbeat:
    """Keeps the leases of this process's executions."""

    def __init__(self) -> None:
        self._executions: set[Execution] = set()
        self._noted: set[object] = set()
        self._lock = threading.Lock()
        self._beats = False

    def register(self, execution: Execution) -> None:
        """Keep the lease of `execution` from now on."""
        with self._lock:
            self._executions.add(execution)
            if not self._beats:
                self._beats = True
                run_logging.on_overflow(self._relieve_logs)
                interval_s = execution.settings.heartbeat_interval_s
                world.start_thread(lambda: self._run(interval_s), "penstock-heartbeat")

    def unregister(self, execution: Execution) -> None:
        """Keep its lease no longer: the run is over here."""
        with self._lock:
            self._executions.discard(execution)

    def _relieve_logs(self) -> None:
        """Have a process that logs faster than its runs commit write its logs."""
        with self._lock:
            execution = next(iter(self._executions), None)
        if execution is not None:
            execution.relieve_logs()

    def executions_at_fork(self) -> list[Execution]:
        """Give what was executed when this process was forked: the lock may be held for ever."""
        return list(self._executions)

    def _run(self, interval_s: float) -> None:
        while True:
            world.sleep(interval_s)
            with self._lock:
                executions = list(self._executions)
                if not executions:
                    self._beats = False
                    return
            try:
                self.beat(executions)
            except StoreError as error:
                _logger.warning("The heartbeat could not reach the store: %s", error)

    def beat(self, executions: list[Execution]) -> None:
        """Extend the leases once, and write what waits."""
        by_store: dict[Store, list[Execution]] = {}
        for execution in executions:
            by_store.setdefault(execution.store, []).append(execution)
        ttl_s = get_current_settings().lease_ttl_s
        for store, owned in by_store.items():
            fences = [execution.fence for execution in owned if execution.fence is not None]
            read = requests.read_all(store) if len(owned) >= requests.MANY else None
            store.extend_leases(fences, ttl_s, None if read is None else read.items())
            for execution in owned:
                heed_requests(execution, read)
                _note_running(execution)
        executions[0].flush_logs()


def heed_requests(execution: Execution, read: Requests | None = None) -> None:
    """Take note of what was asked of a run that has committed nothing for a while.

    One that was taken away, while this process did not get to run, stops.

    Parameters:
        execution: the run's.
        read: what was read of this process's runs, so that each need not be asked for.
    """
    fence = execution.fence
    if fence is None:
        return
    found = None if read is None else read.get(fence.flow_run_id)
    rows = [found] if found else execution.store.read(sql.READ_FENCE, (fence.flow_run_id,))
    if not rows or rows[0][0] != fence.token:
        # The run's own end moves its token, too.
        if execution.stopped is None and not execution.call.is_released:
            execution.lost(fence_lost(is_there=bool(rows)))
            execution.stop(execution.stopped or "")
        return
    if rows[0][1] is not None and execution.rest is None:
        execution.heed(rows[0][1])


def _note_running(execution: Execution) -> None:
    """Write the task runs that run since the last beat, so that others see that they do."""
    if not execution.in_flight:
        return
    runs = list(execution.in_flight)[:NOTES_PER_BEAT_LIMIT]

    def rows() -> list[Row]:
        # Called while nobody else can enqueue: a final state that is not in yet comes after.
        built = [_row_if_running(run) for run in runs]
        return [row for row in built if row is not None]

    execution.store.journal.submit_built(rows, execution.fence)


def _row_if_running(run: TaskRun) -> Row | None:
    state = run.state
    if state is None or state.type is not StateType.RUNNING:
        return None
    steps = len(run.history)
    row = task_run_row(run)
    return (sql.WRITE_TASK_RUN, row) if run.state is state and len(run.history) == steps else None


_heartbeat = Heartbeat()


def heartbeat() -> Heartbeat:
    """Give this process's heartbeat."""
    return _heartbeat


def _leave_runs_to_parent() -> None:
    for execution in _heartbeat.executions_at_fork():
        execution.stopped = (
            "This process was forked from the one that executes the flow run. The run is its"
            " parent's to go on with: its tasks cannot be called here. Flows can."
        )
    context = FlowRunContext.variable.get()
    if context is not None:
        FlowRunContext.variable.set(context.copy(is_over=True))


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_runs_to_parent)


def _after_fork() -> None:
    global _heartbeat  # noqa: PLW0603 - the thread stays in the parent, and so do its runs
    _heartbeat = Heartbeat()


world.at_new_process(_after_fork)
