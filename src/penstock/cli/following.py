"""`penstock flow-run logs`: what a run and its task runs logged, and go on to log."""

from __future__ import annotations

import difflib
import json
import logging
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from penstock import clock
from penstock.cli.choosing import is_of_task, title_of_task
from penstock.cli.failing import (
    EXIT_CANCELLED,
    EXIT_COMPLETED,
    EXIT_CRASHED,
    EXIT_FAILED,
    CommandError,
    warn,
)
from penstock.cli.finding import find_flow_run
from penstock.cli.objects import log_object
from penstock.cli.output import flush, write, write_json
from penstock.cli.ownership import ownership_of
from penstock.cli.stores import existing_store
from penstock.cli.visible import visible, visible_line
from penstock.ids import key_at
from penstock.states import StateType
from penstock.store import encoding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.records import FlowRun, Log
    from penstock.store import Store

PAGE = 1000
"""How many log records are read at once."""

LOOK_S = 0.1
"""How often it is looked whether something was written."""

READ_S = 1.0
"""How often the log is read even so: not every store says that something was logged."""

LATE_S = 5.0
"""How late a log record may come to the store, after others that are younger."""

_SMALLEST_ID = bytes(16)
_READ_LOGS = """select flow_run_id, id, task_run_id, name, level, message, timestamp from log
where flow_run_id = ? and id > ? and level >= ? order by id limit ?"""
_READ_TASK_RUNS = "select id, name, task_key from task_run where flow_run_id = ?"
_EXIT_CODES = {
    StateType.COMPLETED: EXIT_COMPLETED,
    StateType.FAILED: EXIT_FAILED,
    StateType.CRASHED: EXIT_CRASHED,
    StateType.CANCELLED: EXIT_CANCELLED,
}


class Wanted(NamedTuple):
    """Which log records: from a level on, of a task (its name, or a task run's) only."""

    level: int = 0
    task: str | None = None


def level_of(text: str | None) -> int:
    """Give a level of logging by its name, in any case, or by its number.

    Raises:
        CommandError: there is no such level.
    """
    if text is None:
        return 0
    if text.isdecimal():
        return int(text)
    levels = logging.getLevelNamesMapping()
    number = levels.get(text.upper())
    if number is None:
        close = difflib.get_close_matches(text.upper(), levels, 1)
        meant = f" Did you mean {close[0].lower()!r}?" if close else ""
        message = (
            f"There is no level {text!r}.{meant} Levels are: debug, info, warning, error,"
            " critical; or a number."
        )
        raise CommandError(message)
    return number


def show_logs(reference: str, wanted: Wanted, *, follow: bool, as_json: bool) -> int:
    """Print the log of a flow run with its task runs, the oldest record first.

    Parameters:
        reference: which; see `find_flow_run`.
        wanted: which records.
        follow: go on until the run is over.
        as_json: print objects for programs; with `follow` one a line.

    Returns:
        The exit code: with `follow`, that of the state in which the run ended.

    Raises:
        CommandError: it cannot be told which is meant.
    """
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    reader = _Reader(store, run, wanted)
    if follow:
        return _follow(store, reader, as_json=as_json)
    if as_json:
        write_json(log_object(log) for log in reader.read_all())
        return EXIT_COMPLETED
    count = 0
    for log in reader.read_all():
        write(reader.line_of(log))
        count += 1
    if not count and wanted != Wanted():
        reader.check_task()
    return EXIT_COMPLETED


def _follow(store: Store, reader: _Reader, *, as_json: bool) -> int:
    while True:
        version, read_at = store.version(), clock.monotonic()
        run = store.read_flow_run(reader.run.id)
        # Looked at before the log is read: what was logged before its end is seen then.
        ownership = ownership_of(store, run)
        for log in reader.read_new():
            write(f"{json.dumps(log_object(log))}\n" if as_json else reader.line_of(log))
        flush()
        state = run.state
        if state is not None and state.is_final():
            message = "" if not state.message else f": {visible_line(state.message)}"
            warn(f"The flow run is {visible_line(state.name)}{message}")
            return _EXIT_CODES.get(state.type, EXIT_CRASHED)
        is_executed = state is not None and (state.is_running() or state.is_cancelling())
        if is_executed and ownership.owner and not ownership.is_alive:
            warn(
                f"The process that executed the flow run is gone ({ownership.title}).\n"
                f"Go on with it: penstock flow-run resume {run.id}"
            )
            return EXIT_CRASHED
        while store.version() == version and clock.monotonic() - read_at < READ_S:
            clock.sleep(LOOK_S)


class _Reader:
    """Reads the log of a flow run, once each record."""

    def __init__(self, store: Store, run: FlowRun, wanted: Wanted) -> None:
        self.run = run
        self._store = store
        self._wanted = wanted
        self._after = _SMALLEST_ID
        self._seen: dict[UUID, float] = {}
        self._tasks: dict[bytes, tuple[str, str]] = {}
        self._names_read_at = float("-inf")

    def read_all(self) -> Iterator[Log]:
        """Give what is there, a page at a time."""
        key = self.run.id.bytes
        while True:
            rows = self._store.read(_READ_LOGS, (key, self._after, self._wanted.level, PAGE))
            for row in rows:
                log = encoding.log_from_row(row)
                if self._is_wanted(log):
                    yield log
            if rows:
                self._after = bytes(rows[-1][1])
            if len(rows) < PAGE:
                return

    def read_new(self) -> Iterator[Log]:
        """Give what has come since; what came late, too."""
        newest = None
        for log in self.read_all():
            newest = log.timestamp.timestamp()
            if log.id not in self._seen:
                self._seen[log.id] = newest
                yield log
        horizon = (clock.epoch() if newest is None else min(newest, clock.epoch())) - LATE_S
        self._after = min(self._after, key_at(horizon))
        self._seen = {key: at for key, at in self._seen.items() if at >= horizon - LATE_S}

    def _is_wanted(self, log: Log) -> bool:
        task = self._wanted.task
        if task is None:
            return True
        if log.task_run_id is None:
            return False
        name, task_key = self._task_of(log.task_run_id)
        return task == str(log.task_run_id) or is_of_task(task, name, task_key)

    def _task_of(self, run_id: UUID) -> tuple[str, str]:
        found = self._tasks.get(run_id.bytes)
        if found is None and clock.monotonic() - self._names_read_at > LOOK_S:
            rows = self._store.read(_READ_TASK_RUNS, (self.run.id.bytes,))
            self._tasks = {bytes(key): (name, task_key) for key, name, task_key in rows}
            self._names_read_at = clock.monotonic()
            found = self._tasks.get(run_id.bytes)
        return found or (str(run_id), "")

    def check_task(self) -> None:
        """Say it where a task was asked for that is none of this run's."""
        task = self._wanted.task
        if task is None:
            return
        rows = self._store.read(_READ_TASK_RUNS, (self.run.id.bytes,))
        if not any(
            is_of_task(task, row[1], row[2]) or task == str(UUID(bytes=row[0])) for row in rows
        ):
            tasks = {title_of_task(row[2]) for row in rows}
            listed = ", ".join(sorted(tasks)[:10]) or "none"
            warn(f"No task run {task!r} is recorded of it. Its tasks are: {listed}.")

    def line_of(self, log: Log) -> str:
        """Give a record as people read it; it cannot steer their terminal."""
        if log.task_run_id is None:
            whose = f"Flow run {self.run.name!r}"
        else:
            whose = f"Task run {self._task_of(log.task_run_id)[0]!r}"
        moment = log.timestamp.astimezone()
        time = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}"
        level = logging.getLevelName(log.level)
        return f"{time} | {level:<7} | {whose} - {visible(log.message)}\n"
