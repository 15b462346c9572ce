"""`penstock flow-run cancel`: asks for the end of a run, waits, and says what was stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from penstock import clock
from penstock.cli.controlling import title_of
from penstock.cli.failing import EXIT_FAILED, CommandError
from penstock.cli.finding import find_flow_run
from penstock.cli.output import write
from penstock.cli.ownership import ownership_of
from penstock.cli.stores import existing_store
from penstock.client.transitions import set_flow_run_state
from penstock.states import Cancelled, Cancelling
from penstock.store import encoding
from penstock.store import statements as sql

if TYPE_CHECKING:
    from datetime import datetime

    from penstock.records import FlowRun, TaskRun
    from penstock.store import Store

_LOOK_S = 0.05
_SHOWN_LIMIT = 10
_READ_LIMIT = 1000
"""The most task runs of one flow run that are looked at to say what was stopped."""


class _Stopped(NamedTuple):
    """What a cancellation has brought to an end: names, of a run and its subflow runs."""

    interrupted: list[str]
    dropped: list[str]
    subflow_runs: list[str]
    running: list[str]
    """Task runs that are recorded as executed still."""


def cancel_flow_run(reference: str, timeout_s: float, *, force: bool) -> int:
    """Have a flow run brought to its end, with its tasks and its subflow runs.

    Parameters:
        reference: which; see `find_flow_run`.
        timeout_s: seconds to wait for the process that executes it.
        force: then take the run away from that process, and record it Cancelled.

    Returns:
        The exit code: 0 if it is Cancelled.

    Raises:
        CommandError: it cannot be told which run is meant, or it is over and was not cancelled.
    """
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    _refuse_final(run)
    if run.state is not None and run.state.is_cancelled():
        write(f"{title_of(run)} is Cancelled already.\n")
        return 0
    asked_at = clock.now()
    if run.state is None or not run.state.is_cancelling():
        answer = set_flow_run_state(
            store,
            run.id,
            Cancelling(message="Asked for by `penstock flow-run cancel`."),
            force=False,
        )
        if answer.state is None or not (
            answer.state.is_cancelling() or answer.state.is_cancelled()
        ):
            run = store.read_flow_run(run.id)
            _refuse_final(run)
            message = f"{title_of(run)} cannot be cancelled: {answer.details.reason}"
            raise CommandError(message)
    run = _wait(store, run, timeout_s)
    if force and not _is_final(run):
        write(f"{_why_not_yet(store, run, asked_at)}\n")
        taken = Cancelled(
            message="Taken away from its process: `penstock flow-run cancel --force`."
        )
        set_flow_run_state(store, run.id, taken, force=True)
        run = store.read_flow_run(run.id)
    return _report(store, run, asked_at)


def _is_final(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final()


def _refuse_final(run: FlowRun) -> None:
    if _is_final(run) and run.state is not None and not run.state.is_cancelled():
        message = f"{title_of(run)} is {run.state.name} already: there is nothing to cancel."
        raise CommandError(message)


def _wait(store: Store, run: FlowRun, timeout_s: float) -> FlowRun:
    """Wait until the run is over, and give it as it is then."""
    until = clock.monotonic() + timeout_s
    while True:
        version = store.version()
        run = store.read_flow_run(run.id)
        if _is_final(run) or clock.monotonic() >= until:
            return run
        while store.version() == version and clock.monotonic() < until:
            clock.sleep(_LOOK_S)


def _report(store: Store, run: FlowRun, asked_at: datetime) -> int:
    assert run.state is not None
    stopped = _what_was_stopped(store, run, asked_at)
    if not run.state.is_final():
        write(f"{_why_not_yet(store, run, asked_at)}\n{_summary(stopped)}")
        write(
            "It is Cancelled when that has come to its end. To take it away from its process:"
            f" penstock flow-run cancel --force {run.id}\n"
        )
        return EXIT_FAILED
    if not run.state.is_cancelled():
        write(f"{title_of(run)} came to its end before it was stopped: {run.state.name}.\n")
        return EXIT_FAILED
    write(f"{title_of(run)} is Cancelled.\n{_summary(stopped)}")
    return 0


def _why_not_yet(store: Store, run: FlowRun, asked_at: datetime) -> str:
    waited_s = (clock.now() - asked_at).total_seconds()
    name = "without a state" if run.state is None else run.state.name
    ownership = ownership_of(store, run)
    who = f", executed by {ownership.title}" if ownership.is_alive else ""
    why = ""
    if run.state is not None and run.state.is_cancelling() and run.state.message:
        why = f" {run.state.message}"
    return f"{title_of(run)} is not Cancelled after {waited_s:.0f} s: it is {name}{who}.{why}"


def _what_was_stopped(store: Store, run: FlowRun, since: datetime) -> _Stopped:
    """Read what was brought to its end in a run, and in its subflow runs."""
    stopped = _Stopped([], [], [], [])
    waiting = [run]
    while waiting:
        rows = store.read(sql.SHOW_TASK_RUNS_THAT_MATTER, (waiting.pop().id.bytes, _READ_LIMIT))
        for row in rows:
            task_run = encoding.task_run_from_row(row)
            if task_run.state is None or task_run.state.is_completed():
                break  # those that completed come last
            subflow_runs = store.read_subflow_runs(task_run.id)
            waiting.extend(subflow_runs)
            stopped.subflow_runs.extend(
                one.name for one in subflow_runs if _was_cancelled(one, since)
            )
            if not subflow_runs:
                _sort_in(task_run, stopped, since)
    return stopped


def _sort_in(task_run: TaskRun, stopped: _Stopped, since: datetime) -> None:
    if _was_cancelled(task_run, since):
        (stopped.dropped if task_run.run_count == 0 else stopped.interrupted).append(task_run.name)
    elif task_run.state is not None and task_run.state.is_running():
        stopped.running.append(task_run.name)


def _was_cancelled(run: FlowRun | TaskRun, since: datetime) -> bool:
    state = run.state
    return state is not None and state.is_cancelled() and state.timestamp >= since


def _summary(stopped: _Stopped) -> str:
    lines = [
        _line("Interrupted", "task run", stopped.interrupted),
        _line("Not started", "task run", stopped.dropped),
        _line("Cancelled", "subflow run", stopped.subflow_runs),
        _line("Still running", "task run", stopped.running),
    ]
    return "".join(lines)


def _line(what: str, kind: str, names: list[str]) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > _SHOWN_LIMIT else ""
    plural = "" if len(names) == 1 else "s"
    return f"{what}: {len(names)} {kind}{plural} ({', '.join(names[:_SHOWN_LIMIT])}{more})\n"
